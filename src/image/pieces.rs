//! Images that lie about in pieces: a directory of files, each with a checksum, that become one image on their way into
//! memory.

#![forbid(unsafe_code)]

use crate::base::error::Result;
use crate::image::Image;
use crate::image::backup::Backup;
use crate::image::unpacked_pat::UnpackedPat;
use std::io::Write;

/// A directory that is an image.
pub enum Pieces {
    /// One that `backup` made.
    Backup(Backup),
    /// A `.pat` that was unpacked.
    Pat(UnpackedPat),
}

impl Pieces {
    /// Bytes of the image.
    ///
    /// # Errors
    /// Files that cannot be looked at.
    pub fn length(&self) -> Result<u64> {
        match self {
            Pieces::Backup(backup) => backup.length(),
            Pieces::Pat(pat) => Ok(pat.length()),
        }
    }

    /// Copies everything into `sink`, one piece behind the other, each checked against its checksum.
    ///
    /// # Errors
    /// Files that cannot be read or are not what was listed.
    pub fn copy(self, sink: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<Image> {
        match self {
            Pieces::Backup(backup) => backup.copy(sink, progress),
            Pieces::Pat(pat) => pat.copy(sink, progress),
        }
    }
}
