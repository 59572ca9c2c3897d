//! The image, at hand: in memory, in the RAM root, where it lies, or on its disk; and the plan for it.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::units::Size;
use crate::board::{Board, Partition};
use crate::bytes::source::Source;
use crate::bytes::store::Store;
use crate::checks::request::Trust;
use crate::checks::{MORE_ROOM, OVERHEAD, Question, Wish};
use crate::cmd::apply::From;
use crate::image::backup::Backup;
use crate::image::pieces::Pieces;
use crate::image::signature::Key;
use crate::image::unpacked_pat::UnpackedPat;
use crate::image::{Image, signature};
use crate::layout;
use crate::plan::{Plan, Request, Write};
use crate::report::Reporter;
use crate::update::handoff;
use crate::{checks, cli, image, slots};
use std::fs::File;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// An image that is at hand.
pub(crate) struct Looked {
    name: String,
    pub(crate) image: Image,
    pub(crate) store: Store,
    /// What stood behind an image that came by standard input.
    signature: Option<String>,
    /// The mount point of the disk on which the image stays, because RAM is short.
    pub(crate) disk: Option<PathBuf>,
}

pub(crate) fn unreadable(error: io::Error) -> Failure {
    Failure::new(Exit::ImageUnreadable, "image-unreadable", error)
}

/// The image. It is hashed on its way where its checksum decides whether it is taken, and later where it is written.
fn source(options: &cli::Apply) -> Result<Source> {
    let source = Source::open(&options.image)?;
    Ok(match options.trust.sha256 {
        Some(_) => source,
        None => source.unhashed(),
    })
}

/// The directory, where the operand names one.
fn pieces(options: &cli::Apply, from: From) -> Result<Option<Pieces>> {
    let dir = Path::new(&options.image);
    Ok(match from {
        From::Image => None,
        From::Backup => Some(Pieces::Backup(Backup::open(dir)?)),
        From::Pat => Some(Pieces::Pat(UnpackedPat::open(dir)?)),
    })
}

impl Looked {
    /// Only to be looked at: a file stays where it is.
    pub(crate) fn at(options: &cli::Apply, board: &Board, from: From, available: Option<u64>) -> Result<Looked> {
        if from != From::Image {
            return Looked::into_memory(options, board, from);
        }
        if !board.is_sim()
            && let Some((_, _, file)) = stays(options, available)
        {
            let (store, sha256) = file.on_disk(&mut |_| ())?;
            return Looked::finish(options, board, store, sha256);
        }
        let (store, sha256) = source(options)?.in_place()?;
        Looked::finish(options, board, store, sha256)
    }

    /// To be written to a simulated box.
    pub(crate) fn into_memory(options: &cli::Apply, board: &Board, from: From) -> Result<Looked> {
        if let Some(pieces) = pieces(options, from)? {
            let mut bytes = Vec::new();
            let image = pieces.copy(&mut bytes, &mut |_| ())?;
            return Ok(Looked {
                name: options.image.clone(),
                image,
                store: Store::Memory(bytes),
                signature: None,
                disk: None,
            });
        }
        let (store, sha256) = source(options)?.into_memory()?;
        Looked::finish(options, board, store, sha256)
    }

    /// To be written to this box: the one copy that is hashed, checked and written. What is read a second
    /// time by its path may be another file by then.
    pub(crate) fn into_ram_root(
        options: &cli::Apply,
        board: &Board,
        from: From,
        root: &Path,
        available: Option<u64>,
        reporter: &mut Reporter,
    ) -> Result<Looked> {
        let path = handoff::image_path(root);
        if from == From::Image
            && let Some((disk, file, source)) = stays(options, available)
        {
            reporter.stage(format_args!("RAM is short: the image stays on {}", disk.display()));
            // Where PID 1 finds it.
            symlink(Path::new(&stages::moved(0)).join(file), &path).context(path.display())?;
            let length = source.length().unwrap_or_default();
            let (store, sha256) = source.on_disk(&mut |done| reporter.progress("reading", done, length))?;
            let mut looked = Looked::finish(options, board, store, sha256)?;
            looked.disk = Some(disk);
            return Ok(looked);
        }
        let mut file = File::create_new(&path).context(path.display())?;
        let mut sink = Budget {
            file: &mut file,
            written: 0,
        };
        if let Some(pieces) = pieces(options, from)? {
            let length = pieces.length()?;
            room_for(length, available)?;
            let image = pieces.copy(&mut sink, &mut |done| reporter.progress("reading", done, length))?;
            return Ok(Looked {
                name: options.image.clone(),
                image,
                store: Store::file(File::open(&path).context(path.display())?).map_err(unreadable)?,
                signature: None,
                disk: None,
            });
        }
        let source = source(options)?;
        let length = source.length();
        room_for(length.unwrap_or_default(), available)?;
        let (_, sha256) = source.copy(&mut sink, &mut |done| {
            reporter.progress("reading", done, length.unwrap_or(done.saturating_add(1)));
        })?;
        // For writing too: a signature behind it is cut off.
        let opened = File::options().read(true).write(true).open(&path);
        let store = Store::file(opened.context(path.display())?).map_err(unreadable)?;
        Looked::finish(options, board, store, sha256)
    }

    fn finish(options: &cli::Apply, board: &Board, mut store: Store, mut sha256: String) -> Result<Looked> {
        let mut signature = None;
        if let (Some(key), "-") = (&options.trust.key, options.image.as_str()) {
            signature = signature::take_off(&mut store)?;
            // It may come from anybody: it is not looked into before.
            Key::read(key)?.verify("-", signature.as_deref(), &store)?;
            sha256 = store.sha256(&mut |_| ()).map_err(unreadable)?;
        }
        // One byte more than the box can hold is too much already.
        let room = board.partitions.iter().map(Partition::capacity).sum();
        let (store, image) = image::open(store, sha256, room).map_err(unreadable)?;
        Ok(Looked {
            name: options.image.clone(),
            image,
            store,
            signature,
            disk: None,
        })
    }

    /// Gives the plan the image's checksum, if that was left for later: that of the bytes in RAM, which will be written.
    pub(crate) fn hash(&self, plan: &mut Plan, reporter: &mut Reporter) -> Result<()> {
        if plan.image.sha256.is_empty() {
            let length = self.store.delivered().len();
            let sha256 = self
                .store
                .sha256(&mut |done| reporter.progress("hashing", done, length));
            plan.image.sha256 = sha256.map_err(unreadable)?;
        }
        Ok(())
    }

    /// The plan for it.
    pub(crate) fn plan(
        &self,
        board: &Board,
        options: &cli::Apply,
        available: Option<u64>,
        survey: &mut dyn FnMut(&mut [Write]) -> Result<()>,
    ) -> Result<Plan> {
        let trust: &Trust = &options.trust;
        // A backup has both slots, and goes back as it is.
        let seen = match self.image.format.as_str() {
            "backup" => None,
            _ => slots::look(board, options.env_config.as_deref()),
        };
        let running = seen.as_ref().and_then(|seen| Some(seen.as_ref().ok()?.active));
        let question = Question {
            name: &self.name,
            request: Request {
                parts: options.parts.clone(),
                force: options.force.clone(),
                slot: running.map(|active| 1 - active),
            },
            slot: seen.as_ref(),
            trust,
            signature: self.signature.as_deref(),
            backup: options.backup.is_some(),
            wish: match (options.in_place, options.prepare) {
                (true, _) => Wish::InPlace,
                (_, true) => Wish::Takeover,
                _ => Wish::Either,
            },
            rollback: options.keep.rollback,
            available,
        };
        let mut plan = checks::assemble(board, &self.image, &self.store, &question, survey)?;
        if let Some(active) = running {
            let here = Request {
                slot: running,
                parts: options.parts.clone(),
                ..Request::default()
            };
            let mut same = slots::same(board, active, &plan, || {
                layout::layout(board, &self.image, &here).unwrap_or_default()
            });
            survey(&mut same)?;
            if !same.is_empty() && same.iter().all(|write| write.unchanged == Some(write.erase_blocks)) {
                slots::drop_writes(&mut plan);
            }
        }
        Ok(plan)
    }
}

/// The disk on which the image stays, and its path there: where RAM is short and nothing of flash is below it. What runs
/// between `--prepare` and the takeover may unmount it.
fn stays(options: &cli::Apply, available: Option<u64>) -> Option<(PathBuf, PathBuf, Source)> {
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
        "ram",
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
