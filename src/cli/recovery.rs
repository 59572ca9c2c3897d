//! The command line of `recovery`: its rows of the tables, and its options. Those of the network side are in `network`.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::error::{Failure, Result};
use crate::base::lossless;
use crate::board::selector::Where;
use crate::cli::Apply;
use crate::cli::table::{Flag, VerbRow, flag};
use std::path::PathBuf;

/// What `recovery create` makes its image of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The image to write, or the directory to write it into under the name that the box asks for.
    pub output: PathBuf,
    /// The box.
    pub at: Where,
    /// A directory with copies of its partitions; the box itself when absent.
    pub from: Option<PathBuf>,
    /// An installer's kernel and initial ramdisk instead of those in the copies.
    pub installer: Option<(PathBuf, PathBuf)>,
    /// Checks that are overridden, by name.
    pub force: Vec<CheckId>,
}

/// The verbs behind `recovery`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Make an image.
    Create(Create),
    /// Check one.
    Check {
        /// The path, URL or `-`.
        image: String,
    },
    /// The table of file names.
    Boards,
    /// The file name for one box.
    Name {
        /// The box.
        at: Where,
        /// A backup of it, or the copy of its boot loader configuration.
        from: Option<PathBuf>,
    },
}

/// The rows of the table of verbs.
pub const VERBS: &[VerbRow] = &[
    VerbRow {
        name: "recovery create",
        operands: &["FILE"],
        summary: "make a QNAP recovery image of a backup, of this box, or of an installer",
        text: "Of this box (or --sim DIR) as it runs; with --from DIR of copies of its partitions, as backup makes \
               them or as files mtd0, mtd1, …; with --kernel and --initrd besides, of an installer: both are padded \
               with zeros to their partitions, and the rest comes from the copies. FILE may be a directory: the image is \
               then written into it under the name that the box asks for.",
    },
    VerbRow {
        name: "recovery check",
        operands: &["IMAGE"],
        summary: "whether a file is a proper recovery image, for which boxes, and what would be written",
        text: "",
    },
    VerbRow {
        name: "recovery boards",
        operands: &[],
        summary: "the file name that each box with a recovery mode asks for",
        text: "",
    },
    VerbRow {
        name: "recovery name",
        operands: &["[BACKUP]"],
        summary: "the file name that this box, or the box of a backup, asks for",
        text: "Found as bootp_vendor_class in the boot loader's configuration. A TS-219P+ has none there: its name \
               is F_TS-219P+. BACKUP is a directory of copies, or the copy of mtd4.",
    },
];

const CREATE: &[&str] = &["recovery create"];
/// The rows of the table of flags.
pub const FLAGS: &[Flag] = &[
    flag(
        "from",
        Some("DIR"),
        CREATE,
        "take the partitions from the copies in DIR, not from this box",
    ),
    flag("kernel", Some("FILE"), CREATE, "the installer's kernel"),
    flag("initrd", Some("FILE"), CREATE, "the installer's initial ramdisk"),
];

/// The values of these flags, before they are sorted.
#[derive(Default)]
pub(super) struct Raw {
    from: Option<PathBuf>,
    kernel: Option<PathBuf>,
    initrd: Option<PathBuf>,
}

impl Raw {
    pub(super) fn set(&mut self, flag: &str, value: String) {
        match flag {
            "from" => self.from = Some(lossless::path(&value)),
            "kernel" => self.kernel = Some(lossless::path(&value)),
            "initrd" => self.initrd = Some(lossless::path(&value)),
            _ => (),
        }
    }

    pub(super) fn finish(self, verb: &str, operand: Option<String>, apply: Apply) -> Result<Recovery> {
        let given = operand.clone().unwrap_or_default();
        Ok(match verb {
            "recovery create" => Recovery::Create(Create {
                output: lossless::path(&given),
                at: apply.at,
                installer: match (self.kernel, self.initrd, &self.from) {
                    (None, None, _) => None,
                    (Some(kernel), Some(initrd), Some(_)) => Some((kernel, initrd)),
                    _ => return Err(Failure::usage("an installer needs --kernel, --initrd and --from")),
                },
                from: self.from,
                force: apply.force,
            }),
            "recovery check" => Recovery::Check { image: given },
            "recovery boards" => Recovery::Boards,
            _ => Recovery::Name {
                at: apply.at,
                from: operand.as_deref().map(lossless::path),
            },
        })
    }
}
