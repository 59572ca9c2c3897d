//! The box as it is: its profile and its partitions, read from Linux or from a simulated box.
//!
//! Nothing here writes to flash. A partition is opened for writing only against a [`Proof`].

#![forbid(unsafe_code)]

pub mod bootloader;
mod identify;
pub mod indicators;
pub mod known;
mod linux;
pub mod lock;
pub mod profile;
pub mod selector;
pub mod sim;
pub mod usable;
pub mod volumes;

use crate::base::error::{Exit, Failure, Result};
use crate::base::machine::Cpu;
use crate::base::quoted::Quoted;
use crate::board::selector::Where;
use mtd_rs::{Flash, Geometry};
use profile::{Keep, Profile};
use sim::SimBox;
use std::ops::Range;
use std::path::PathBuf;
use volumes::Volume;

/// A partition of this box; plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The number in `mtdN`. Volumes have numbers of their own, see [`volumes`].
    pub mtd: u32,
    /// The name in `/proc/mtd`; `ubi0:rootfs` of a volume.
    pub name: String,
    /// Size, erase blocks, pages.
    pub geometry: Geometry,
    /// Offsets of bad blocks, ascending, in bytes.
    pub bad: Vec<u64>,
    /// Whether the kernel lets it be written.
    pub writable: bool,
    /// Where it begins on its chip, in bytes, where known.
    pub chip_offset: Option<u64>,
    /// What tells its chip from others, where a box has several and the kernel says which.
    pub chip: Option<PathBuf>,
    /// Why the profile wants it kept.
    pub keep: Option<Keep>,
    /// Whether it is the way back when everything else fails.
    pub recovery: bool,
    /// Whether the boot loader reads it at fixed offsets, bad blocks or not.
    pub fixed_offset: bool,
    /// ECC counters and such, for people.
    pub health: Health,
    /// The UBI volume that it is, if it is none of MTD's partitions.
    pub volume: Option<Volume>,
}

/// What the driver counts about a partition's chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Bits corrected by ECC so far.
    pub corrected: Option<u32>,
    /// Uncorrectable pages met so far.
    pub failed: Option<u32>,
}

impl Partition {
    /// `mtd1 "Kernel"`, `ubi0_1 "rootfs"`.
    pub fn label(&self) -> String {
        volumes::label(self.mtd, &self.name)
    }

    /// The blocks that can hold data, ascending.
    pub fn good_blocks(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.geometry.blocks().filter(|block| !self.bad.contains(&block.start))
    }

    /// Bytes that it can hold.
    pub fn capacity(&self) -> u64 {
        self.good_blocks().map(|block| block.end - block.start).sum()
    }

    /// Whether both edges fall on erase blocks, of itself and of its chip. The kernel makes such partitions read-only
    /// (`drivers/mtd/mtdpart.c`), but only where it knows the chip's regions.
    pub fn is_aligned(&self) -> bool {
        let Geometry {
            size,
            erase_size,
            ref regions,
            ..
        } = self.geometry;
        if !regions.is_empty() {
            return self.geometry.is_aligned(&(0..size));
        }
        let erase_size = u64::from(erase_size);
        size.is_multiple_of(erase_size) && self.chip_offset.is_none_or(|offset| offset.is_multiple_of(erase_size))
    }

    /// Whether it is a volume that lies on that partition.
    pub fn is_on(&self, other: &Partition) -> bool {
        self.volume.as_ref().is_some_and(|volume| volume.on == Some(other.mtd))
    }

    /// Its character devices, for a `/dev` that has none.
    pub fn nodes(&self) -> Vec<stages::DeviceNode> {
        match &self.volume {
            None => stages::DeviceNode::mtd(self.mtd).into(),
            Some(volume) => vec![stages::DeviceNode {
                name: volume.device(),
                block: false,
                major: volume.info.device.0,
                minor: volume.info.device.1,
            }],
        }
    }

    /// Whether the two share bytes of the chip, as far as is known.
    pub fn overlaps(&self, other: &Partition) -> bool {
        // Every chip begins at 0.
        if self.chip.is_some() && other.chip.is_some() && self.chip != other.chip {
            return false;
        }
        match (self.chip_offset, other.chip_offset) {
            (Some(a), Some(b)) => a < b.saturating_add(other.geometry.size) && b < a.saturating_add(self.geometry.size),
            _ => self.mtd == other.mtd || self.is_on(other) || other.is_on(self),
        }
    }
}

/// Which box this is.
pub enum Seat {
    /// The one we run on.
    Linux,
    /// A simulated one.
    Sim(SimBox),
}

/// What shows that a partition may be written.
pub enum Proof {
    /// Nothing holds the partitions of this box.
    Unheld(stages::Unheld),
    /// Nobody else uses the simulated box; held by its lock.
    Sim(crate::board::lock::Lock),
}

/// A box.
pub struct Board {
    /// What kind of box.
    pub profile: Profile,
    /// What to know about how it was recognised.
    pub remark: Option<String>,
    /// In the order of their numbers.
    pub partitions: Vec<Partition>,
    /// What OpenWrt calls this box: its device tree's `compatible`, and names of older systems.
    pub names: Vec<String>,
    /// The `compat_version` of OpenWrt's configuration here.
    pub compat: String,
    /// Which one.
    pub seat: Seat,
}

impl Board {
    /// Finds out which box is meant and reads its partitions.
    ///
    /// # Errors
    /// An unknown board, a damaged simulated box, or a system that does not answer.
    pub fn discover(at: &Where) -> Result<Board> {
        match &at.sim {
            Some(dir) => sim::discover(dir, at.board.as_deref()),
            None => linux::discover(at.board.as_deref()),
        }
    }

    /// Whether it is simulated.
    pub fn is_sim(&self) -> bool {
        matches!(self.seat, Seat::Sim(_))
    }

    /// What its programs are compiled for.
    pub fn cpu(&self) -> Option<Cpu> {
        match self.seat {
            Seat::Linux => self.profile.cpu.or_else(Cpu::ours),
            Seat::Sim(_) => self.profile.cpu,
        }
    }

    /// The partition that a user named, by name or as `mtdN`; a volume also by its own name or as `ubiN_M`.
    ///
    /// # Errors
    /// A name that is not there, or that several partitions have.
    pub fn partition(&self, name: &str) -> std::result::Result<&Partition, String> {
        let exactly: fn(&Partition, &str) -> bool = |p, name| p.name == name;
        let as_volume: fn(&Partition, &str) -> bool = |p, name| p.volume.as_ref().is_some_and(|v| v.is_called(name));
        for (fits, say) in [(exactly, "mtdN"), (as_volume, "ubiN_M")] {
            let mut named = self.partitions.iter().filter(|p| fits(p, name));
            match (named.next(), named.next()) {
                (Some(one), None) => return Ok(one),
                (Some(_), Some(_)) => return Err(format!("several partitions are named {}: say {say}", Quoted(name))),
                _ => (),
            }
        }
        name.strip_prefix("mtd")
            .and_then(|number| number.parse().ok())
            .and_then(|number: u32| self.partitions.iter().find(|p| p.mtd == number))
            .ok_or_else(|| {
                let known: Vec<_> = self.partitions.iter().map(|p| Quoted(&p.name).to_string()).collect();
                format!("there is no partition {} here: {}", Quoted(name), known.join(", "))
            })
    }

    /// The partition that keeps the record on this box: the profile's, or one that is named `flasher`.
    pub fn record_partition(&self) -> Option<&Partition> {
        let name = self.profile.record.as_deref().unwrap_or("flasher");
        self.partitions
            .iter()
            .find(|partition| partition.name == name && partition.writable)
    }

    /// Opens a partition for reading.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open(&self, partition: &Partition) -> Result<Box<dyn Flash>> {
        match &self.seat {
            Seat::Linux => linux::open(partition, mtd_rs::Access::ReadOnly),
            Seat::Sim(sim) => sim.open(partition),
        }
    }

    /// Opens a partition for writing, against the proof that it may be.
    ///
    /// # Errors
    /// Those of opening, and a proof that does not cover this partition.
    pub fn open_writable(&self, partition: &Partition, proof: &Proof) -> Result<Box<dyn Flash>> {
        match (&self.seat, proof) {
            (Seat::Linux, Proof::Unheld(proof)) if proof.covers(partition.mtd) => {
                linux::open(partition, mtd_rs::Access::ReadWrite)
            }
            (Seat::Sim(sim), Proof::Sim(_)) => sim.open(partition),
            _ => Err(Failure::new(
                Exit::Bug,
                "bug",
                format_args!("{} would be opened without proof", partition.label()),
            )),
        }
    }

    /// What the holder scan needs to know of these partitions.
    pub fn targets<'a>(&self, partitions: impl IntoIterator<Item = &'a Partition>) -> Vec<stages::MtdTarget> {
        partitions
            .into_iter()
            .map(|partition| stages::MtdTarget {
                index: partition.mtd,
                name: match &partition.volume {
                    None => partition.name.clone(),
                    Some(volume) => volume.info.name.clone(),
                },
                volume: partition
                    .volume
                    .as_ref()
                    .map(|volume| (volume.info.ubi, volume.info.id)),
                overlaps: self
                    .partitions
                    .iter()
                    .filter(|other| other.mtd != partition.mtd && other.overlaps(partition))
                    // Volumes are found by what they lie on, and do not stand for all of it.
                    .filter(|other| partition.volume.is_none() && other.volume.is_none())
                    .map(|other| other.mtd)
                    .collect(),
            })
            .collect()
    }
}
