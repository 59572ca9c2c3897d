//! What was staged: the image with its bytes, and the files as which it was delivered.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure};
use crate::bytes::packed::Packing;
use crate::bytes::store::Store;
use crate::checks::{Delivered, Signature};
use crate::image::Image;
use crate::plan::ImageFile;
use crate::update::handoff::Stamp;
use crate::update::members::Member;
use std::io;
use std::path::PathBuf;

/// An image that is at hand.
pub struct StagedImage {
    pub(super) image: Image,
    pub(super) store: Store<'static>,
    /// The files that it was delivered as.
    pub(super) files: Vec<StagedFile>,
    /// The disks on which some of them stay, because RAM is short.
    pub(super) disks: Vec<PathBuf>,
    /// Members of an archive that are unpacked, in the order in which they stand behind it.
    pub(super) members: Vec<Member>,
    /// What the plan says of each file and each of those members.
    pub(super) told: Vec<ImageFile>,
    /// What RAM could be had before it was staged, in bytes.
    pub(super) available: Option<u64>,
}

/// A file as it was delivered.
pub struct StagedFile {
    pub(super) name: String,
    /// Its SHA-256 where that was asked for, else empty.
    pub(super) sha256: String,
    /// The SHA-256 that it is to have.
    pub(super) wanted: Option<String>,
    /// What became of its signature.
    pub(super) signature: Signature,
    /// The version that it says it is, which is signed as it is where it has to be signed.
    pub(super) version: Option<String>,
    /// How it is packed, where it is unpacked.
    pub(super) packing: Option<Packing>,
    /// Whether nobody says how long it ought to be, not even its own bytes.
    pub(super) endless: bool,
    /// What the file of the RAM root was like before it was looked at.
    pub(super) stamp: Option<Stamp>,
}

impl StagedImage {
    /// Its bytes.
    pub fn store(&self) -> &Store<'_> {
        &self.store
    }

    /// The version of each file, where it says one.
    pub(super) fn versions(&self) -> Vec<Option<&str>> {
        self.files.iter().map(|file| file.version.as_deref()).collect()
    }

    /// Whether a signature is demanded.
    pub(super) fn is_demanded(&self) -> bool {
        let free = |file: &StagedFile| matches!(file.signature, Signature::NotDemanded(_));
        !self.files.iter().all(free)
    }

    /// Each file, for the checks of what was delivered.
    pub(super) fn delivered(&self) -> Vec<Delivered<'_>> {
        let stores = self.store.delivered();
        let alone = self.files.len() == 1;
        let of = |(file, store)| {
            let file: &StagedFile = file;
            Delivered {
                name: &file.name,
                signature: &file.signature,
                sha256: if alone { &self.image.sha256 } else { &file.sha256 },
                wanted: file.wanted.as_deref(),
                endless: file.endless,
                store,
            }
        };
        self.files.iter().zip(stores).map(of).collect()
    }
}

pub(super) fn unreadable(error: io::Error) -> Failure {
    Failure::new(Exit::ImageUnreadable, Code::ImageUnreadable, error)
}
