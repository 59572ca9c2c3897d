//! Copies that were made by hand, as `cat /dev/mtdblock1 >mtd1`: of the partitions of this box with the same numbers, if their
//! lengths are the same too.

#![forbid(unsafe_code)]

use super::{Backup, Member, bad, names_in};
use crate::base::error::Result;
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::base::units::Grouped;
use std::fs;
use std::path::Path;

/// A partition of the box, as a backup by hand names it.
pub struct Numbered {
    /// Its number.
    pub mtd: u32,
    /// Its name.
    pub name: String,
    /// Lengths that a copy of it has, in bytes.
    pub sizes: Vec<u64>,
}

/// Files that are called as copies by hand are; `None` where there are none.
pub(super) fn by_hand(dir: &Path, here: &[Numbered]) -> Result<Option<Backup>> {
    let mut backup = Backup {
        members: Vec::new(),
        unused: Vec::new(),
    };
    for (name, plain) in names_in(dir)? {
        match Hand::parse(&name) {
            _ if !plain => backup.leave(&name, "it is not a plain file"),
            Some(hand) if here.iter().any(|partition| partition.mtd == hand.mtd) => {
                backup.members.push(hand.member(dir, here)?);
            }
            Some(hand) => backup.leave(&name, &format!("there is no mtd{} here", hand.mtd)),
            None => backup.leave(&name, "it is not called as a copy of a partition is, mtdN"),
        }
    }
    match backup.members.is_empty() {
        true => Ok(None),
        false => backup.finish(dir).map(Some),
    }
}

/// The name of a copy that was made by hand: `mtd0`, `mtdblock0`, `mtd0.bin`, `mtd0_u-boot.img`, `mtd0-u-boot`.
pub(super) struct Hand<'n> {
    file: &'n str,
    pub(super) mtd: u32,
    /// What it says of the partition's name.
    partition: &'n str,
}

impl<'n> Hand<'n> {
    /// What such a name says; `None` for any other.
    pub(super) fn parse(file: &'n str) -> Option<Hand<'n>> {
        // It would lead elsewhere.
        if file.contains('/') {
            return None;
        }
        let stem = [".bin", ".img", ".raw", ".dd", ".dump"]
            .iter()
            .find_map(|ending| file.strip_suffix(ending))
            .unwrap_or(file);
        let rest = stem.strip_prefix("mtdblock").or_else(|| stem.strip_prefix("mtd"))?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, name) = rest.split_at(digits);
        let partition = match name.is_empty() {
            true => name,
            // With a dot it is one of `backup`, for which its list is missing.
            false => name.strip_prefix(['_', '-'])?,
        };
        Some(Hand {
            file,
            mtd: number.parse().ok()?,
            partition,
        })
    }

    /// The copy, if it can be one of the partition of this number.
    pub(super) fn member(&self, dir: &Path, here: &[Numbered]) -> Result<Member> {
        let path = dir.join(lossless::path(self.file));
        let partition = here.iter().find(|partition| partition.mtd == self.mtd);
        let partition = partition.ok_or_else(|| bad(dir, format_args!("there is no mtd{} here", self.mtd)))?;
        let plain = |name: &str| -> String { name.chars().filter(char::is_ascii_alphanumeric).collect() };
        if !self.partition.is_empty() && !plain(self.partition).eq_ignore_ascii_case(&plain(&partition.name)) {
            let what = format_args!(
                "{} is called a copy of another partition than mtd{} {}",
                path.display(),
                partition.mtd,
                Quoted(&partition.name)
            );
            return Err(
                bad(dir, what).hint("rename it if it is one; flasher apply PARTITION=FILE … takes single files")
            );
        }
        let length = fs::metadata(&path)
            .map(|about| about.len())
            .map_err(|error| bad(dir, error))?;
        if !partition.sizes.contains(&length) {
            let what = format_args!(
                "{} has {} bytes, but mtd{} {} has {} here: it is the copy of another partition or cut off",
                path.display(),
                Grouped(length),
                partition.mtd,
                Quoted(&partition.name),
                Grouped(partition.sizes.first().copied().unwrap_or_default())
            );
            return Err(bad(dir, what).hint(
                "flasher devices lists the partitions of this box; flasher apply PARTITION=FILE … takes single files",
            ));
        }
        Ok(Member {
            mtd: partition.mtd,
            partition: partition.name.clone(),
            path,
            sha256: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_by_hand_are_known_by_their_names() {
        let of = |file| Hand::parse(file).map(|hand| (hand.mtd, hand.partition.to_owned()));
        for (file, mtd, partition) in [
            ("mtd0", 0, ""),
            ("mtd12.bin", 12, ""),
            ("mtdblock3", 3, ""),
            ("mtdblock3.img", 3, ""),
            ("mtd1_u-boot.bin", 1, "u-boot"),
            ("mtd1-NAS Config.dd", 1, "NAS Config"),
        ] {
            assert_eq!(of(file), Some((mtd, partition.to_owned())), "{file}");
        }
        for file in [
            "mtd1.Kernel.bin",
            "mtd",
            "mtdx",
            "mtd1x",
            "keep.tar",
            "SHA256SUMS",
            "mtd99999999999",
            "mtd1_../Kernel",
        ] {
            assert_eq!(of(file), None, "{file}");
        }
    }
}
