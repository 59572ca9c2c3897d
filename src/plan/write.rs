//! A run of bytes of the image that goes into one partition, and the erase blocks it takes.

#![forbid(unsafe_code)]

use crate::base::label::label;
use crate::board::Partition;
use crate::image::ubi;
use mtd_rs::{Area, Geometry, PartitionId};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The partition that is written, with everything that must still be true of it before the first erase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Which one.
    #[serde(with = "super::id_as_text")]
    pub id: PartitionId,
    /// Its name, for people and to be compared.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its largest erase block in bytes.
    pub erase_size: u32,
    /// Offsets of its bad blocks, which are passed over.
    pub bad: Vec<u64>,
}

impl Destination {
    /// `mtd1 "Kernel"`, `ubi0_1 "rootfs"`.
    pub fn label(&self) -> String {
        label(self.id, &self.name)
    }
}

impl From<&Partition> for Destination {
    fn from(partition: &Partition) -> Destination {
        Destination {
            id: partition.id,
            name: partition.name.clone(),
            size: partition.geometry.size,
            erase_size: partition.geometry.erase_size,
            bad: partition.bad.clone(),
        }
    }
}

/// What becomes of the bytes behind the image's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rest {
    /// They keep their content.
    #[default]
    Keep,
    /// They become blank: JFFS2, UBI and UBIFS take what they find there for a part of themselves.
    Blank,
    /// They become zero: the boot loader hands all of the partition to the kernel as the initial ramdisk.
    Zero,
}

impl Rest {
    /// The byte that they become.
    pub fn byte(self) -> Option<u8> {
        match self {
            Rest::Keep => None,
            Rest::Blank => Some(0xff),
            Rest::Zero => Some(0),
        }
    }
}

/// How the bytes get onto the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Erase block by erase block.
    Blocks {
        /// Blank pages at the end of an erase block are left as the erase leaves them: JFFS2 and UBI program them later,
        /// and on NAND no page takes a second program.
        leave_blank: bool,
        /// What becomes of everything behind the image's end.
        rest: Rest,
    },
    /// The image of a UBI: the whole partition is written, each erase block keeps its own erase counter, and those behind
    /// the image's end hold nothing else.
    Ubi(ubi::Layout),
    /// A volume that UBI replaces only as a whole: emptied and filled anew from its beginning.
    VolumeUpdate,
}

impl Method {
    /// Erase blocks one by one, the rest of the last keeping its content.
    pub const BLOCKS: Method = Method::Blocks {
        leave_blank: false,
        rest: Rest::Keep,
    };

    /// Whether everything behind the image's end, up to the end of the partition, is decided too.
    pub fn fills(self) -> bool {
        matches!(self, Method::Ubi(_)) || self.rest() != Rest::Keep
    }

    /// What becomes of the bytes behind the image's end, block by block.
    pub fn rest(self) -> Rest {
        match self {
            Method::Blocks { rest, .. } => rest,
            Method::Ubi(_) | Method::VolumeUpdate => Rest::Keep,
        }
    }

    /// As [`Method::Blocks`] has it; UBI does so as well.
    pub fn leaves_blank(self) -> bool {
        matches!(self, Method::Ubi(_) | Method::Blocks { leave_blank: true, .. })
    }
}

/// When it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The first erase block makes the box bootable: it is invalidated first and becomes valid last, so that a boot loader
    /// sees a broken update as broken.
    pub boot: bool,
    /// It is the way back when everything else fails, so it is written when all else is verified.
    pub recovery: bool,
}

/// A run of the image that goes into one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The partition.
    pub to: Destination,
    /// The bytes of the partition that may change, in whole erase blocks.
    #[serde(with = "crate::base::range")]
    pub range: Range<u64>,
    /// The bytes of the image.
    #[serde(with = "crate::base::range")]
    pub source: Range<u64>,
    /// How.
    pub method: Method,
    /// When.
    pub order: Order,
    /// Erase blocks that it takes.
    pub erase_blocks: u64,
    /// Good erase blocks of NAND beyond those that are needed; nothing on other flash, or where there are too few.
    pub spare: Option<u64>,
}

/// One erase block of a [`Write`] and the bytes of the image it is to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockStep {
    /// The erase block in the partition.
    pub block: Range<u64>,
    /// The bytes of the image; shorter than the block at the end, where the rest keeps its content, or is blank.
    pub image: Range<u64>,
    /// How.
    pub method: Method,
}

impl BlockStep {
    /// Bytes of the block that the plan decides on.
    pub fn bytes(&self) -> u64 {
        match self.method.fills() {
            true => self.block.end - self.block.start,
            false => self.image.end - self.image.start,
        }
    }
}

impl Write {
    /// Bytes of an image, bound for a partition of that shape from `offset` on.
    pub fn new(to: Destination, geometry: &Geometry, offset: u64, source: Range<u64>) -> Write {
        let mut write = Write {
            to,
            range: offset..offset,
            source,
            method: Method::BLOCKS,
            order: Order::default(),
            erase_blocks: 0,
            spare: None,
        };
        write.count(geometry);
        write
    }

    /// The same in another way.
    pub fn by(mut self, method: Method, geometry: &Geometry) -> Write {
        self.method = method;
        self.count(geometry);
        self
    }

    /// Counts the erase blocks anew, after something was changed that they depend on.
    pub fn count(&mut self, geometry: &Geometry) {
        let (mut blocks, mut end) = (0, self.range.start);
        for step in self.blocks(geometry) {
            blocks += 1;
            end = step.block.end;
        }
        self.erase_blocks = blocks;
        self.range.end = end;
    }

    /// Whether good blocks of this shape take all of its part of the image.
    pub fn fits(&self, geometry: &Geometry) -> bool {
        let room = |step: BlockStep| step.image.end - step.image.start;
        self.blocks(geometry).map(room).sum::<u64>() == self.length()
    }

    /// The bytes of flash that may change.
    pub fn area(&self) -> Area {
        Area {
            id: self.to.id,
            range: self.range.clone(),
        }
    }

    /// Bytes of the image.
    pub fn length(&self) -> u64 {
        self.source.end - self.source.start
    }

    /// Bytes of the partition that the plan decides on.
    pub fn bytes(&self) -> u64 {
        match self.method.fills() {
            true => self.erase_blocks * u64::from(self.to.erase_size),
            false => self.length(),
        }
    }

    /// The blocks in ascending order. A pure function of plan and geometry.
    pub fn blocks<'a>(&'a self, geometry: &'a Geometry) -> impl Iterator<Item = BlockStep> + 'a {
        let mut at = self.source.start;
        geometry
            .blocks()
            .filter(|block| block.start >= self.range.start && !self.to.bad.contains(&block.start))
            .map_while(move |block| {
                let take = (block.end - block.start).min(self.source.end - at);
                let image = at..at + take;
                at += take;
                (take > 0 || self.method.fills()).then_some(BlockStep {
                    block,
                    image,
                    method: self.method,
                })
            })
    }
}
