//! Which box is meant, and which of its partitions.

#![forbid(unsafe_code)]

use super::{Board, Partition};
use crate::base::digits;
use crate::base::quoted::Quoted;
use crate::base::suggest::did_you_mean;
use mtd_rs::{MTD_BLOCK_MAJOR, MTD_CHAR_MAJOR, PartitionId};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Which box is meant: the one we run on, or a simulated one; and what it is said to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Where {
    /// The directory of a simulated box.
    pub sim: Option<PathBuf>,
    /// A board id or the file of a profile; recognised by its signs when absent.
    pub board: Option<String>,
}

impl Board {
    /// The partition with this identity.
    pub fn get(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.id == id)
    }

    /// The partition that a user names: by its name, as `mtdN` or `ubiN_M` with or without `/dev/`, a volume also by its name
    /// without that of its device, or as `mtd:NAME`. Texts become partitions in this file alone.
    ///
    /// # Errors
    /// A name that is not there, or that more than one partition answers to.
    pub fn partition(&self, text: &str) -> Result<&Partition, String> {
        let (device, name) = (text.strip_prefix("/dev/"), text.strip_prefix("mtd:"));
        self.only(device.unwrap_or(text), |partition| {
            let by_id = name.is_none() && device.unwrap_or(text).parse() == Ok(partition.id);
            // `fw_env.config` has `/dev/ubi0:env` for a volume.
            let as_node = partition.volume.is_some() && device == Some(partition.name.as_str());
            by_id || as_node || device.is_none() && partition.name == name.unwrap_or(text)
        })
    }

    /// The partition that a device stands for: as users name one, `/dev/mtdblockN`, `/dev/mtd/N`, or the path of any node of it.
    ///
    /// # Errors
    /// What is not flash, and those of [`partition`](Self::partition).
    pub fn device(&self, path: &Path) -> Result<&Partition, String> {
        let text = path.to_string_lossy();
        let number = ["/dev/mtdblock", "/dev/mtd/"]
            .iter()
            .find_map(|prefix| digits::decimal(text.strip_prefix(prefix)?));
        let numbered = number.and_then(|number| self.get(PartitionId::Mtd(number)));
        match numbered.or_else(|| self.node(path)) {
            Some(partition) => Ok(partition),
            // Other forms in which the kernel names a volume (`open_ubi` in fs/ubifs/super.c).
            None if text.starts_with("ubi") => {
                let text = text.replacen('!', ":", 1);
                let first = text.strip_prefix("ubi:").map(|name| format!("ubi0:{name}"));
                self.partition(first.as_deref().unwrap_or(&text))
            }
            None => self.partition(&text),
        }
    }

    /// The partition whose node this is.
    fn node(&self, path: &Path) -> Option<&Partition> {
        let about = fs::metadata(path)
            .ok()
            .filter(|_| !self.is_sim() && path.is_absolute())?;
        let (major, minor) = stages::numbers(about.rdev());
        match about.file_type() {
            kind if kind.is_char_device() && major == MTD_CHAR_MAJOR => self.get(PartitionId::Mtd(minor / 2)),
            kind if kind.is_block_device() && major == MTD_BLOCK_MAJOR => self.get(PartitionId::Mtd(minor)),
            kind if kind.is_char_device() => self.partitions.iter().find(|partition| {
                let volume = partition.volume.as_ref();
                volume.is_some_and(|info| info.device == (major, minor))
            }),
            _ => None,
        }
    }

    /// The partition that a profile or an image names: by its name, a volume also by its name without that of its device. A name
    /// that looks like a number is none: what an image calls `mtd1` is not `/dev/mtd1`.
    ///
    /// # Errors
    /// A name that is not there, or that more than one partition answers to.
    pub fn named(&self, name: &str) -> Result<&Partition, String> {
        self.only(name, |partition| partition.name == name)
    }

    /// The partition that the profile of this box names, in whichever case its kernel writes it.
    ///
    /// # Errors
    /// A name that is not there, or that more than one partition answers to.
    pub fn known_as(&self, name: &str) -> Result<&Partition, String> {
        self.only(name, |partition| partition.name.eq_ignore_ascii_case(name))
    }

    fn only(&self, text: &str, fits: impl Fn(&Partition) -> bool) -> Result<&Partition, String> {
        let as_volume = |partition: &Partition| partition.volume.as_ref().is_some_and(|info| info.name == text);
        let mut fit: Vec<&Partition> = self.partitions.iter().filter(|partition| fits(partition)).collect();
        if fit.is_empty() {
            fit = self
                .partitions
                .iter()
                .filter(|partition| as_volume(partition))
                .collect();
        }
        match fit.as_slice() {
            [one] => Ok(one),
            [] => {
                let known = self
                    .partitions
                    .iter()
                    .map(|partition| Quoted(&partition.name).to_string());
                let known: Vec<_> = known.collect();
                let names = self.partitions.iter().map(|partition| partition.name.as_str());
                Err(format!(
                    "there is no partition {} here: {}{}",
                    Quoted(text),
                    known.join(", "),
                    did_you_mean("", text, &mut names.into_iter())
                ))
            }
            several => {
                let ids: Vec<_> = several
                    .iter()
                    .map(|partition| format!("/dev/{}", partition.id))
                    .collect();
                Err(format!(
                    "several partitions are named {}: say {}",
                    Quoted(text),
                    ids.join(" or ")
                ))
            }
        }
    }
}
