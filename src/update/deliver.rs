//! The bytes of each file, brought to where they are to be: they stay where they lie, or come into memory, into the RAM root, or stay
//! on their disk where RAM is short.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::lossless;
use crate::base::phase::Phase;
use crate::base::units::{Grouped, Size};
use crate::bytes::budget::{Budget, Memory};
use crate::bytes::by_pipe::by_pipe;
use crate::bytes::pull::Pull;
use crate::bytes::pushed::Sender;
use crate::bytes::source::Source;
use crate::bytes::store::{Store, Stream};
use crate::checks::{MORE_ROOM, OVERHEAD};
use crate::image::files;
use crate::report::Reporter;
use crate::update::handoff;
use crate::update::partial;
use crate::update::stage::Staging;
use crate::update::staged::unreadable;
use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where the bytes are to be.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// Only to be looked at.
    WhereItLies,
    /// To be written to a simulated box.
    Memory,
    /// To be written to this box.
    RamRoot(&'a Path),
}

/// A file on its way.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    pub(super) index: usize,
    pub(super) image: &'a str,
    /// The partitions that all of it goes to, where they are named.
    pub(super) partitions: &'a [&'a str],
    /// What RAM is left for it, in bytes.
    pub(super) available: Option<u64>,
    /// Who sends it, where that is `flasher push`.
    pub(super) sender: Option<&'a Sender>,
    /// Files that came before it.
    pub(super) earlier: &'a [files::File],
}

/// A file that is at hand, before it is looked at.
pub(super) struct AtHand {
    pub(super) store: Store<'static>,
    pub(super) sha256: String,
    /// Whether its sender said how long it is.
    pub(super) sized: bool,
}

/// A file that stays on its disk.
struct Stays {
    disk: PathBuf,
    /// Its path there.
    path: PathBuf,
    source: Source,
}

impl Staging<'_> {
    /// The bytes of a file, where they are to be.
    pub(super) fn deliver(
        self,
        operand: Operand<'_>,
        place: Place<'_>,
        disks: &mut Vec<PathBuf>,
        reporter: &mut Reporter,
    ) -> Result<AtHand> {
        let stays = match place {
            Place::Memory => None,
            _ if self.board.is_sim() => None,
            _ => self.stays(operand),
        };
        if let Some(stays) = stays {
            return on_disk(stays, operand, place, disks, reporter);
        }
        let source = self.source(operand);
        let source = source.inspect_err(|failure| self.spare(operand, failure, &mut io::empty()))?;
        let length = source.length();
        let sized = length.is_some();
        let of = |(store, sha256)| AtHand { store, sha256, sized };
        if let Place::WhereItLies = place
            && source.is_file()
        {
            return source.in_place().map(of);
        }
        room_for(length.unwrap_or_default(), operand.available)?;
        let mut progress = |done: u64| {
            if let Place::RamRoot(_) = place {
                reporter.progress(Phase::Reading, done, length.unwrap_or(done.saturating_add(1)));
            }
        };
        let Place::RamRoot(root) = place else {
            let limit = operand.available.map(|available| available.saturating_sub(OVERHEAD));
            let mut memory = Memory::of(length);
            let mut sink = Budget::new(&mut memory, limit, !self.board.is_sim());
            let copied = source.copy(&mut sink, &mut progress);
            let copied = copied.inspect_err(|failure| self.spare(operand, failure, &mut &memory.0[..]))?;
            return Ok(of((Store::Memory(memory.0), copied.1)));
        };
        let path = handoff::image_path(root, operand.index);
        let mut file = File::create_new(&path).context(path.display())?;
        let copied = source.copy(&mut Budget::of_ram(&mut file), &mut progress);
        file.rewind().map_err(Failure::system)?;
        let (_, sha256) = copied.inspect_err(|failure| self.spare(operand, failure, &mut file))?;
        // For writing too: a signature behind it is cut off.
        let opened = File::options().read(true).write(true).open(&path);
        let store = Store::file(opened.context(path.display())?).map_err(unreadable)?;
        Ok(of((store, sha256)))
    }

    /// Keeps what has arrived from a sender whose connection broke: of this file, and those before it.
    fn spare(self, operand: Operand<'_>, failure: &Failure, arrived: &mut dyn Pull) {
        if operand.sender.is_none() || failure.exit != Exit::ImageUnreadable || failure.code == Code::ImageChanged {
            return;
        }
        let earlier = operand.earlier.iter().map(|file| &file.store);
        let mut earlier: Vec<_> = earlier.map(|store| Stream::new(store, 0..store.len())).collect();
        let mut files: Vec<&mut dyn Pull> = earlier.iter_mut().map(|file| file as &mut dyn Pull).collect();
        files.push(arrived);
        partial::keep(self.board, files);
    }

    /// The source. It is hashed on its way where its checksum decides whether it is taken, and later where it is written.
    fn source(self, operand: Operand<'_>) -> Result<Source> {
        let options = self.options;
        let source = match operand.sender {
            Some(sender) => sender.next(operand.image)?,
            None => Source::fetch(operand.image, &options.trust.access)
                .map_err(|failure| by_pipe(failure, operand.image, &options.typed))?,
        };
        let source = match options.trust.size.filter(|_| options.files.is_empty()) {
            Some(size) => source.of_size(size)?,
            None => source,
        };
        Ok(match options.trust.sha256 {
            Some(_) => source,
            None => source.unhashed(),
        })
    }

    /// The disk on which a file stays, and its path there: where RAM is short and nothing of flash is below it. What runs
    /// between `--prepare` and the takeover may unmount it.
    fn stays(self, operand: Operand<'_>) -> Option<Stays> {
        // A URL or standard input is opened only once.
        let file = !self.options.prepare && !self.options.pushed && lossless::path(operand.image).is_file();
        let source = file.then(|| self.source(operand).ok())??;
        let short = operand.available? < source.length()? + OVERHEAD;
        let (disk, path) = source.disk().filter(|_| short)?;
        Some(Stays { disk, path, source })
    }
}

/// The bytes of a file that stays on its disk.
fn on_disk(
    stays: Stays,
    operand: Operand<'_>,
    place: Place<'_>,
    disks: &mut Vec<PathBuf>,
    reporter: &mut Reporter,
) -> Result<AtHand> {
    let Stays { disk, path, source } = stays;
    let length = source.length().unwrap_or_default();
    let number = disks.iter().position(|known| *known == disk).unwrap_or(disks.len());
    if number == disks.len() {
        disks.push(disk.clone());
    }
    if let Place::RamRoot(root) = place {
        reporter.stage(format_args!(
            "RAM is short: {} stays on {}",
            operand.image,
            disk.display()
        ));
        // Where PID 1 finds it.
        let link = Path::new(&stages::moved(number)).join(path);
        let path = handoff::image_path(root, operand.index);
        symlink(link, &path).context(path.display())?;
    }
    let (store, sha256) = source.on_disk(&mut |done| reporter.progress(Phase::Reading, done, length))?;
    Ok(AtHand {
        store,
        sha256,
        sized: true,
    })
}

/// Refuses before RAM is filled in vain.
pub(super) fn room_for(length: u64, available: Option<u64>) -> Result<()> {
    match available {
        Some(available) if available < length.saturating_add(OVERHEAD) => Err(no_room(length, available)),
        _ => Ok(()),
    }
}

fn no_room(length: u64, available: u64) -> Failure {
    Failure::new(
        Exit::Refused,
        Code::Ram,
        format_args!(
            "refused by check ram: the update needs {} bytes of RAM (image and {}), {} are available: {} too few",
            Grouped(length.saturating_add(OVERHEAD)),
            Size(OVERHEAD),
            Grouped(available),
            Grouped(length.saturating_add(OVERHEAD).saturating_sub(available))
        ),
    )
    .hint(MORE_ROOM)
}
