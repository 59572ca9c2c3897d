//! Staging: the image comes into memory or into the RAM root, or stays where it lies or on its disk. It is read once; those bytes are
//! checked, and those are written.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::format::Format;
use crate::base::lossless;
use crate::base::phase::Phase;
use crate::board::{Board, Partition};
use crate::bytes::budget::Budget;
use crate::bytes::store::Store;
use crate::checks::Signature;
use crate::cli::Apply;
use crate::image::backup::{Backup, Numbered};
use crate::image::pieces::Pieces;
use crate::image::signature::Keyring;
use crate::image::unpacked_pat::UnpackedPat;
use crate::image::{self, Image, Reading, signature};
use crate::plan::ImageFile;
use crate::report::Reporter;
use crate::update::deliver::{AtHand, Operand, Place, room_for};
use crate::update::handoff::{self, Stamp};
use crate::update::members;
use crate::update::offer;
use crate::update::staged::{StagedFile, StagedImage, unreadable};
use crate::update::trust;
use mtd_rs::PartitionId;
use std::fs::File;
use std::path::Path;

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
        let image = pieces.copy(&mut sink, &mut |done| reporter.progress(Phase::Reading, done, length))?;
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
        let operands = operands(options)?;
        let tell = || offer::tell(self.board, options, reporter);
        let sender = options.pushed.then(tell).transpose()?;
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
        let signature = trust::verdict(self.board, self.keys, operand.image, behind.as_deref(), &store)?;
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

/// Each file with the partitions that all of it goes to, where they are named.
fn operands(options: &Apply) -> Result<Vec<(&str, Vec<&str>)>> {
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
    Ok(operands)
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
