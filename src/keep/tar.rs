//! The tar of the kept files.

#![forbid(unsafe_code)]

use crate::base::files;
use crate::base::lossless;
use crate::base::quoted::Shown;
use crate::bytes::pull::Pull;
use crate::bytes::store::Store;
use crate::bytes::tar_entries::{Entries, FILE};
use crate::bytes::tar_write;
use crate::bytes::tar_write::Head;
use crate::plan::KeptFile;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

pub use crate::bytes::tar_write::{END, end};

/// The header of an item.
pub fn head(item: &KeptFile) -> Head<'_> {
    Head {
        name: &item.name,
        kind: item.kind,
        mode: item.mode,
        uid: item.uid,
        gid: item.gid,
        size: item.size,
        mtime: item.mtime,
        link: &item.link,
    }
}

/// Appends an item with the size it was measured with.
///
/// # Errors
/// A file that has another size now, or cannot be read.
pub fn append(item: &KeptFile, out: &mut dyn Write) -> io::Result<()> {
    let mut content: Box<dyn Pull + '_> = match (item.kind, &item.made) {
        (_, Some(made)) => Box::new(made.as_bytes()),
        (FILE, None) => Box::new(open(item)?),
        _ => Box::new(io::empty()),
    };
    tar_write::append(&head(item), &mut content, out)
}

/// Opens the file that was listed, and no other that has its path by now: a link to a secret of root's would come back with the
/// owner and mode of what was listed.
fn open(item: &KeptFile) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(lossless::path(&item.path))?;
    let about = file.metadata()?;
    match about.is_file() && files::identity(&about) == item.identity && about.uid() == item.uid {
        true => Ok(file),
        false => Err(io::Error::other("it was replaced since it was listed")),
    }
}

/// Calls `each` with every item, its path being empty, and with where its bytes are.
///
/// # Errors
/// A tar that is not ours, and what `each` answers, with the name it was at.
pub fn walk(tar: &Store, each: &mut dyn FnMut(&KeptFile, Range<u64>) -> io::Result<()>) -> io::Result<()> {
    for entry in Entries::new(tar, 0..tar.len()) {
        let entry = entry?;
        let invalid = io::ErrorKind::InvalidData;
        let item = KeptFile {
            name: entry.name.trim_end_matches('/').to_owned(),
            kind: entry.kind(),
            mode: entry.mode().ok_or(invalid)?,
            uid: entry.uid().ok_or(invalid)?,
            gid: entry.gid().ok_or(invalid)?,
            size: entry.data.end - entry.data.start,
            mtime: entry.mtime().ok_or(invalid)?,
            link: entry.link(),
            ..KeptFile::default()
        };
        each(&item, entry.data)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", Shown(&item.name))))?;
    }
    Ok(())
}
