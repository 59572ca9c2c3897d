//! The image, staged: in memory, in the RAM root, where it lies, or on its disk. It is read once; those bytes are checked, and
//! those are written.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::format::Format;
use crate::base::lossless;
use crate::base::units::{Grouped, Size};
use crate::board::{Board, Partition};
use crate::bytes::budget::{Budget, Memory};
use crate::bytes::by_pipe::by_pipe;
use crate::bytes::packed::Packing;
use crate::bytes::pull::Pull;
use crate::bytes::pushed::Sender;
use crate::bytes::source::Source;
use crate::bytes::store::{Store, Stream};
use crate::checks::{Delivered, MORE_ROOM, OVERHEAD, Signature};
use crate::cli::Apply;
use crate::image::backup::{Backup, Numbered};
use crate::image::pieces::Pieces;
use crate::image::signature::Keyring;
use crate::image::unpacked_pat::UnpackedPat;
use crate::image::{self, Image, Reading, signature};
use crate::plan::ImageFile;
use crate::report::Reporter;
use crate::update::handoff::{self, Stamp};
use crate::update::members::{self, Member};
use crate::update::offer;
use crate::update::partial;
use crate::update::trust;
use mtd_rs::PartitionId;
use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What the operand names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// An image, or several files.
    Image,
    /// The directory of a backup.
    Backup,
    /// The directory into which a `.pat` was unpacked.
    Pat,
}

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

pub(super) fn unreadable(error: io::Error) -> Failure {
    Failure::new(Exit::ImageUnreadable, Code::ImageUnreadable, error)
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
    /// Of which one must have signed it; nothing is demanded where there is none.
    pub keys: &'a Keyring,
}

/// Where the bytes are to be.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// Only to be looked at.
    WhereItLies,
    /// To be written to a simulated box.
    Memory,
    /// To be written to this box.
    RamRoot(&'a Path),
}

/// A file on its way.
#[derive(Clone, Copy)]
struct Operand<'a> {
    index: usize,
    image: &'a str,
    /// The partitions that all of it goes to, where they are named.
    partitions: &'a [&'a str],
    /// What RAM is left for it, in bytes.
    available: Option<u64>,
    /// Who sends it, where that is `flasher push`.
    sender: Option<&'a Sender>,
    /// Files that came before it.
    earlier: &'a [image::files::File],
}

/// A file that is at hand, before it is looked at.
struct AtHand {
    store: Store<'static>,
    sha256: String,
    /// Whether its sender said how long it is.
    sized: bool,
}

impl Staging<'_> {
    /// Only to be looked at: a file stays where it is.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub fn where_it_lies(self, reporter: &mut Reporter) -> Result<StagedImage> {
        match self.from {
            ImageSource::Image => self.files(Place::WhereItLies, reporter),
            _ => self.in_memory(reporter),
        }
    }

    /// To be written to a simulated box.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub fn in_memory(self, reporter: &mut Reporter) -> Result<StagedImage> {
        let Some(pieces) = self.pieces()? else {
            return self.files(Place::Memory, reporter);
        };
        room_for(pieces.length()?, self.available)?;
        let mut bytes = Vec::new();
        let image = pieces.copy(&mut bytes, &mut |_| ())?;
        self.of_pieces(image, Store::Memory(bytes))
    }

    /// To be written to this box: the one copy that is hashed, checked and written. What is read a second
    /// time by its path may be another file by then.
    ///
    /// # Errors
    /// An image that cannot be read, or too little RAM for it.
    pub fn in_ram_root(self, root: &Path, reporter: &mut Reporter) -> Result<StagedImage> {
        let Some(pieces) = self.pieces()? else {
            return self.files(Place::RamRoot(root), reporter);
        };
        let path = handoff::image_path(root, 0);
        let mut file = File::create_new(&path).context(path.display())?;
        let length = pieces.length()?;
        room_for(length, self.available)?;
        let mut sink = Budget::of_ram(&mut file);
        let image = pieces.copy(&mut sink, &mut |done| reporter.progress("reading", done, length))?;
        let store = Store::file(File::open(&path).context(path.display())?).map_err(unreadable)?;
        self.of_pieces(image, store)
    }

    /// The directory, where the operand names one.
    fn pieces(self) -> Result<Option<Pieces>> {
        let dir = &lossless::path(&self.options.image);
        Ok(match self.from {
            ImageSource::Image => None,
            ImageSource::Backup => Some(Pieces::Backup(Backup::open(dir, &self.numbered())?)),
            ImageSource::Pat => Some(Pieces::Pat(UnpackedPat::open(dir)?)),
        })
    }

    /// The partitions of this box as a backup by hand names them: by their numbers alone.
    fn numbered(self) -> Vec<Numbered> {
        let of = |partition: &Partition| match partition.id {
            PartitionId::Mtd(mtd) => Some(Numbered {
                mtd,
                name: partition.name.clone(),
                sizes: copies(&[partition]),
            }),
            PartitionId::Volume { .. } => None,
        };
        self.board.partitions.iter().filter_map(of).collect()
    }

    fn of_pieces(self, image: Image, store: Store<'static>) -> Result<StagedImage> {
        let name = self.options.image.clone();
        let signature = trust::of_directory(self.keys, &lossless::path(&name), &image, &store);
        let version = match &signature {
            Signature::Right(signed) => signed.version.clone(),
            _ => None,
        };
        Ok(StagedImage {
            told: vec![ImageFile::of(&name, None, &image)],
            files: vec![StagedFile {
                name,
                sha256: image.sha256.clone(),
                wanted: None,
                signature,
                version,
                packing: None,
                endless: false,
                stamp: None,
            }],
            disks: Vec::new(),
            image,
            store,
            members: Vec::new(),
            available: self.available,
        })
    }

    /// Every file, one after the other, and what they are together.
    fn files(self, place: Place<'_>, reporter: &mut Reporter) -> Result<StagedImage> {
        let options = self.options;
        let mut staged = StagedImage {
            image: Image::nothing(Format::Raw),
            store: Store::Memory(Vec::new()),
            files: Vec::new(),
            disks: Vec::new(),
            members: Vec::new(),
            told: Vec::new(),
            available: self.available,
        };
        let mut together = Vec::new();
        let mut available = self.available;
        let several = options
            .files
            .iter()
            .map(|file| (file.image.as_str(), vec![file.partition.as_str()]));
        let only = || {
            let whole = options.parts.iter().all(|choice| choice.member.is_none());
            let parts = options.parts.iter().filter(|_| whole);
            (
                options.image.as_str(),
                parts.map(|choice| choice.partition.as_str()).collect(),
            )
        };
        let operands: Vec<(&str, Vec<&str>)> = match options.files.is_empty() {
            true => vec![only()],
            false => several.collect(),
        };
        if operands.len() > 1 && operands.iter().filter(|(image, _)| *image == "-").count() > 1 {
            return Err(Failure::usage("only one of the files can be standard input"));
        }
        let sender = match options.pushed {
            true => Some(offer::tell(self.board, options, reporter)?),
            false => None,
        };
        for (index, (image, partitions)) in operands.iter().enumerate() {
            let operand = Operand {
                sender: sender.as_ref(),
                earlier: &together,
                index,
                image,
                partitions,
                available,
            };
            let delivered = self.deliver(operand, place, &mut staged.disks, reporter)?;
            if let (Store::Memory(_) | Store::File(..), Some(left)) = (&delivered.store, &mut available) {
                *left = left.saturating_sub(delivered.store.len());
            }
            let stamp = match place {
                // With a key its signature may have to be cut off first.
                Place::RamRoot(root) if self.options.trust.key.is_none() => {
                    Stamp::of(&handoff::image_path(root, index))
                }
                _ => None,
            };
            let (file, image, store) = self.open(operand, delivered)?;
            let file = StagedFile { stamp, ..file };
            let partition = (operands.len() > 1).then(|| partitions[0].to_owned());
            staged
                .told
                .push(ImageFile::of(&file.name, partition.as_deref(), &image));
            let name = file.name.clone();
            staged.files.push(file);
            match partition {
                Some(partition) => together.push(image::files::File {
                    partition,
                    name,
                    image,
                    store,
                }),
                None => (staged.image, staged.store) = (image, store),
            }
        }
        if !together.is_empty() {
            (staged.store, staged.image) = image::files::together(together).map_err(unreadable)?;
        }
        members::unpack(&mut staged, self.board, &self.reading(&[]), &options.parts)?;
        Ok(staged)
    }

    /// The bytes of a file, where they are to be.
    fn deliver(
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
        if let Some((disk, file, source)) = stays {
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
                let link = Path::new(&stages::moved(number)).join(file);
                let path = handoff::image_path(root, operand.index);
                symlink(link, &path).context(path.display())?;
            }
            let (store, sha256) = source.on_disk(&mut |done| reporter.progress("reading", done, length))?;
            return Ok(AtHand {
                store,
                sha256,
                sized: true,
            });
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
                reporter.progress("reading", done, length.unwrap_or(done.saturating_add(1)));
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
    fn stays(self, operand: Operand<'_>) -> Option<(PathBuf, PathBuf, Source)> {
        // A URL or standard input is opened only once.
        let file = !self.options.prepare && !self.options.pushed && lossless::path(operand.image).is_file();
        let source = file.then(|| self.source(operand).ok())??;
        let short = operand.available? < source.length()? + OVERHEAD;
        let (disk, file) = source.disk().filter(|_| short)?;
        Some((disk, file, source))
    }

    /// What a file is.
    fn open(self, operand: Operand<'_>, delivered: AtHand) -> Result<(StagedFile, Image, Store<'static>)> {
        let trust = &self.options.trust;
        let AtHand {
            mut store,
            mut sha256,
            sized,
        } = delivered;
        let wanted = match &trust.sha256 {
            Some(sum) => Some(sum.wanted(operand.image)?),
            None => None,
        };
        let demanded = !self.keys.is_empty();
        let stream = operand.image == "-" || operand.image.contains("://");
        let behind = match demanded && stream {
            true => signature::take_off(&mut store)?,
            false => None,
        };
        let signature = trust::verdict((self.board, self.keys), operand.image, behind.as_deref(), &store)?;
        if let Signature::Wrong(why) = &signature
            && stages::rescue::is_on()
        {
            return Err(Failure::new(Exit::ImageBad, Code::Signature, why));
        }
        if behind.is_some() {
            sha256 = store.sha256(&mut |_| ()).map_err(unreadable)?;
        }
        let reading = self.reading(operand.partitions);
        let (store, image) = match &signature {
            // It may come from anybody: it is not looked into.
            Signature::Wrong(_) => {
                let image = Image::unseen(&store, sha256.clone());
                (store, image)
            }
            _ => image::open(store, sha256.clone(), &reading).map_err(unreadable)?,
        };
        let vouched = sized || wanted.is_some() || demanded;
        let endless = !vouched && !image::ends::says_its_end(&image, &store).map_err(unreadable)?;
        let said = match &signature {
            Signature::Right(signed) => signed.version.clone(),
            _ => None,
        };
        let metadata = image.metadata.as_ref().and_then(|metadata| metadata.version.as_ref());
        let version = said.or_else(|| metadata.map(|version| version.number().to_owned()));
        let file = StagedFile {
            name: operand.image.to_owned(),
            sha256,
            wanted,
            signature,
            version: version.filter(|version| !version.is_empty()),
            packing: image.packing,
            endless,
            stamp: None,
        };
        Ok((file, image, store))
    }

    /// How what goes to these partitions is to be read.
    fn reading(self, partitions: &[&str]) -> Reading {
        let named: Option<Vec<&Partition>> = partitions.iter().map(|name| self.board.partition(name).ok()).collect();
        Reading {
            // One byte more than the box can hold is too much already.
            room: self.board.partitions.iter().map(Partition::capacity).sum(),
            unpacking: self.options.unpacking,
            copy: named.as_deref().map(copies).unwrap_or_default(),
        }
    }
}

/// Lengths that a copy of these partitions has. A copy has their bad blocks, or leaves them out.
pub(super) fn copies(partitions: &[&Partition]) -> Vec<u64> {
    match partitions.is_empty() {
        true => Vec::new(),
        false => vec![
            partitions.iter().map(|partition| partition.geometry.size).sum(),
            partitions.iter().map(|partition| partition.capacity()).sum(),
        ],
    }
}

/// Refuses before RAM is filled in vain.
fn room_for(length: u64, available: Option<u64>) -> Result<()> {
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
