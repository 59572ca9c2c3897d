//! The image, staged: in memory, in the RAM root, where it lies, or on its disk. It is read once; those bytes are checked, and
//! those are written.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::units::Size;
use crate::board::{Board, Partition};
use crate::bytes::source::Source;
use crate::bytes::store::Store;
use crate::checks::{MORE_ROOM, OVERHEAD};
use crate::cli::Apply;
use crate::image::backup::Backup;
use crate::image::pieces::Pieces;
use crate::image::signature::Key;
use crate::image::unpacked_pat::UnpackedPat;
use crate::image::{self, Image, signature};
use crate::report::Reporter;
use crate::update::handoff;
use std::fs::File;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What the operand names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// An image.
    Image,
    /// The directory of a backup.
    Backup,
    /// The directory into which a `.pat` was unpacked.
    Pat,
}

/// An image that is at hand.
pub struct StagedImage {
    pub(super) name: String,
    pub(super) image: Image,
    pub(super) store: Store,
    /// What stood behind an image that came by standard input.
    pub(super) signature: Option<String>,
    /// What RAM could be had before it was staged, in bytes.
    pub(super) available: Option<u64>,
    /// The mount point of the disk on which the image stays, because RAM is short.
    pub(super) disk: Option<PathBuf>,
}

pub(super) fn unreadable(error: io::Error) -> Failure {
    Failure::new(Exit::ImageUnreadable, Code::ImageUnreadable, error)
}

/// The image. It is hashed on its way where its checksum decides whether it is taken, and later where it is written.
fn source(options: &Apply) -> Result<Source> {
    let source = Source::open(&options.image)?;
    Ok(match options.trust.sha256 {
        Some(_) => source,
        None => source.unhashed(),
    })
}

/// The directory, where the operand names one.
fn pieces(options: &Apply, from: ImageSource) -> Result<Option<Pieces>> {
    let dir = Path::new(&options.image);
    Ok(match from {
        ImageSource::Image => None,
        ImageSource::Backup => Some(Pieces::Backup(Backup::open(dir)?)),
        ImageSource::Pat => Some(Pieces::Pat(UnpackedPat::open(dir)?)),
    })
}

impl StagedImage {
    /// Its bytes.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

/// What is to be staged.
#[derive(Clone, Copy)]
pub struct Staging<'a> {
    /// What the user asked for.
    pub options: &'a Apply,
    /// The box that it is for.
    pub board: &'a Board,
    /// What the operand names.
    pub from: ImageSource,
    /// What RAM can be had, in bytes, where that is known.
    pub available: Option<u64>,
}

impl Staging<'_> {
    /// Only to be staged at: a file stays where it is.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub fn where_it_lies(self) -> Result<StagedImage> {
        if self.from != ImageSource::Image {
            return self.in_memory();
        }
        if !self.board.is_sim()
            && let Some((_, _, file)) = stays(self.options, self.available)
        {
            let (store, sha256) = file.on_disk(&mut |_| ())?;
            return self.finish(store, sha256);
        }
        let (store, sha256) = source(self.options)?.in_place()?;
        self.finish(store, sha256)
    }

    /// To be written to a simulated box.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub fn in_memory(self) -> Result<StagedImage> {
        if let Some(pieces) = pieces(self.options, self.from)? {
            let mut bytes = Vec::new();
            let image = pieces.copy(&mut bytes, &mut |_| ())?;
            return Ok(StagedImage {
                name: self.options.image.clone(),
                image,
                store: Store::Memory(bytes),
                signature: None,
                available: self.available,
                disk: None,
            });
        }
        let (store, sha256) = source(self.options)?.into_memory()?;
        self.finish(store, sha256)
    }

    /// To be written to this box: the one copy that is hashed, checked and written. What is read a second
    /// time by its path may be another file by then.
    ///
    /// # Errors
    /// An image that cannot be read, or too little RAM for it.
    pub fn in_ram_root(self, root: &Path, reporter: &mut Reporter) -> Result<StagedImage> {
        let path = handoff::image_path(root);
        if self.from == ImageSource::Image
            && let Some((disk, file, source)) = stays(self.options, self.available)
        {
            reporter.stage(format_args!("RAM is short: the image stays on {}", disk.display()));
            // Where PID 1 finds it.
            symlink(Path::new(&stages::moved(0)).join(file), &path).context(path.display())?;
            let length = source.length().unwrap_or_default();
            let (store, sha256) = source.on_disk(&mut |done| reporter.progress("reading", done, length))?;
            let mut staged = self.finish(store, sha256)?;
            staged.disk = Some(disk);
            return Ok(staged);
        }
        let mut file = File::create_new(&path).context(path.display())?;
        let mut sink = Budget {
            file: &mut file,
            written: 0,
        };
        if let Some(pieces) = pieces(self.options, self.from)? {
            let length = pieces.length()?;
            room_for(length, self.available)?;
            let image = pieces.copy(&mut sink, &mut |done| reporter.progress("reading", done, length))?;
            return Ok(StagedImage {
                name: self.options.image.clone(),
                image,
                store: Store::file(File::open(&path).context(path.display())?).map_err(unreadable)?,
                signature: None,
                available: self.available,
                disk: None,
            });
        }
        let source = source(self.options)?;
        let length = source.length();
        room_for(length.unwrap_or_default(), self.available)?;
        let (_, sha256) = source.copy(&mut sink, &mut |done| {
            reporter.progress("reading", done, length.unwrap_or(done.saturating_add(1)));
        })?;
        // For writing too: a signature behind it is cut off.
        let opened = File::options().read(true).write(true).open(&path);
        let store = Store::file(opened.context(path.display())?).map_err(unreadable)?;
        self.finish(store, sha256)
    }

    fn finish(self, mut store: Store, mut sha256: String) -> Result<StagedImage> {
        let options = self.options;
        let mut signature = None;
        if let (Some(key), "-") = (&options.trust.key, options.image.as_str()) {
            signature = signature::take_off(&mut store)?;
            // It may come from anybody: it is not looked into before.
            Key::read(key)?.verify("-", signature.as_deref(), &store)?;
            sha256 = store.sha256(&mut |_| ()).map_err(unreadable)?;
        }
        // One byte more than the box can hold is too much already.
        let room = self.board.partitions.iter().map(Partition::capacity).sum();
        let (store, image) = image::open(store, sha256, room).map_err(unreadable)?;
        Ok(StagedImage {
            name: options.image.clone(),
            image,
            store,
            signature,
            available: self.available,
            disk: None,
        })
    }
}

/// The disk on which the image stays, and its path there: where RAM is short and nothing of flash is below it. What runs
/// between `--prepare` and the takeover may unmount it.
fn stays(options: &Apply, available: Option<u64>) -> Option<(PathBuf, PathBuf, Source)> {
    // A URL or standard input is opened only once.
    let file = !options.prepare && Path::new(&options.image).is_file();
    let source = file.then(|| Source::open(&options.image).ok())??;
    let short = available? < source.length()? + OVERHEAD;
    let (disk, file) = source.disk().filter(|_| short)?;
    Some((disk, file, source))
}

/// Refuses before RAM is filled in vain.
fn room_for(length: u64, available: Option<u64>) -> Result<()> {
    match available {
        Some(available) if available < length + OVERHEAD => Err(no_room(length, available)),
        _ => Ok(()),
    }
}

fn no_room(length: u64, available: u64) -> Failure {
    Failure::new(
        Exit::Refused,
        Code::Ram,
        format_args!(
            "refused by check ram: the update needs {} of RAM (image and {}), {} are available",
            Size(length + OVERHEAD),
            Size(OVERHEAD),
            Size(available)
        ),
    )
    .hint(MORE_ROOM)
}

/// A sink that stops before the out-of-memory killer starts: pages of a tmpfs belong to no process, so it
/// would kill the wrong ones (OpenIPC/firmware #2457).
struct Budget<'a> {
    file: &'a mut File,
    written: u64,
}

impl io::Write for Budget<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const STRIDE: u64 = 1 << 20;
        let crossed = self.written / STRIDE != (self.written + bytes.len() as u64) / STRIDE;
        if crossed && stages::memory::available().is_some_and(|available| available < OVERHEAD) {
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                format!("less than {} are left", Size(OVERHEAD)),
            ));
        }
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
