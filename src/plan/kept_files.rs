//! The user's files that outlive the update, as a part of the plan.

#![forbid(unsafe_code)]

use super::{Write, told};
use crate::base::lossless;
use crate::base::quoted::Shown;
use crate::base::units::{Count, Size};
use serde::{Deserialize, Serialize, Serializer};

/// In which form the new firmware gets the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The files themselves, or for a raw place a tar of them.
    #[default]
    Files,
    /// `sysupgrade.tgz` in the top directory of the place, which OpenWrt unpacks when it boots.
    Archive,
    /// The same in a JFFS2 that is made for it.
    Jffs2 {
        /// Whether the box is big-endian.
        big_endian: bool,
        /// Bytes of an erase block.
        erase_size: u32,
    },
}

/// What will be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptFiles {
    /// The place, as the user or the profile gives it.
    pub to: String,
    /// What is mounted, or the partition of a raw place.
    pub source: String,
    /// Bytes of the tar, or of what is written in its place.
    pub bytes: u64,
    /// In which form.
    #[serde(skip)]
    pub form: Form,
    /// Everything in it, in its order.
    pub files: Vec<KeptFile>,
    /// For a raw place, how the tar is written.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "told::maybe_write")]
    pub write: Option<Write>,
}

/// A file, link or directory that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeptFile {
    /// Where it is now; its bytes are those of `lossless::bytes`.
    #[serde(serialize_with = "lossy")]
    pub path: String,
    /// Device and inode number: what has that path when it is read must still be that file.
    #[serde(skip)]
    pub identity: (u64, u64),
    /// Bytes of a file; 0 for all others.
    pub size: u64,
    /// What it is called in its new place, without a slash in front.
    #[serde(skip)]
    pub name: String,
    /// As in the tar: `0`, `2` or `5`.
    #[serde(skip)]
    pub kind: u8,
    /// Permission bits.
    #[serde(skip)]
    pub mode: u32,
    /// The owner.
    #[serde(skip)]
    pub uid: u32,
    /// The group.
    #[serde(skip)]
    pub gid: u32,
    /// Seconds since 1970.
    #[serde(skip)]
    pub mtime: u64,
    /// Where a link leads.
    #[serde(skip)]
    pub link: String,
    /// The bytes of a file that is made for the new firmware and lies nowhere now.
    #[serde(skip)]
    pub made: Option<String>,
}

/// JSON has no bytes, so a program sees what is left of them.
fn lossy<S: Serializer>(path: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(&lossless::bytes(path)))
}

impl KeptFiles {
    /// For people, a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .files
            .iter()
            .map(|kept| format!("keep: {} {}", Size(kept.size), Shown(&kept.path)))
            .collect();
        lines.push(format!("keep: {}, to {}", self.summary(), self.to));
        lines
    }

    /// How many, how long, and as what.
    pub fn summary(&self) -> String {
        let form = match self.form {
            Form::Files => "as a tar",
            Form::Archive => "as sysupgrade.tgz",
            Form::Jffs2 { .. } => "as sysupgrade.tgz in a jffs2",
        };
        let files = Count(self.files.len() as u64, "file");
        format!("{files}, {} {form}", Size(self.bytes))
    }
}
