//! The box as it is: its profile, its partitions and where they lie, read from Linux or from a simulated box.
//!
//! Nothing here writes to flash. A partition is opened for writing only against a [`Proof`].

#![forbid(unsafe_code)]

pub(crate) mod bootloader;
mod by_name;
mod hardware;
mod identify;
pub mod indicators;
pub(crate) mod known;
mod linux;
pub mod lock;
mod names;
mod partition;
pub mod profile;
mod protection;
pub mod purpose;
pub mod selector;
mod signs;
pub(crate) mod sim;
pub(crate) mod usable;

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::machine::Cpu;
use mtd_rs::{Area, Flash, Map, Overlap, PartitionId, Place};
use profile::Profile;
use selector::Where;
use sim::SimBox;

pub use hardware::Hardware;
pub use partition::{Health, Partition};
pub use protection::Protected;
pub use signs::Seen;

/// Which box this is.
pub enum Backend {
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
    Sim(lock::Lock),
}

/// A box.
pub struct Board {
    /// What kind of box.
    pub profile: Profile,
    /// What to know about how it was recognised.
    pub remark: Option<String>,
    /// Profiles whose signs it shows although its partitions are others: what they protect may be here.
    pub suspects: Vec<Profile>,
    /// The MTD partitions in the order of their numbers, then the volumes.
    pub partitions: Vec<Partition>,
    /// Where they lie, and which of them share bytes.
    pub map: Map,
    /// What OpenWrt calls this box: its device tree's `compatible`, and names of older systems.
    pub names: Vec<String>,
    /// The `compat_version` of OpenWrt's configuration here.
    pub compat: String,
    /// What its running system says of the hardware.
    pub hardware: Hardware,
    /// Which one.
    pub backend: Backend,
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

    /// What it shows of itself; nothing where it is simulated.
    ///
    /// # Errors
    /// A sign that is there and cannot be read.
    pub fn signs(&self) -> Result<Seen> {
        match self.backend {
            Backend::Linux => Seen::read(std::path::Path::new("/")),
            Backend::Sim(_) => Ok(Seen::default()),
        }
    }

    /// Whether it is simulated.
    pub fn is_sim(&self) -> bool {
        matches!(self.backend, Backend::Sim(_))
    }

    /// What its programs are compiled for.
    pub fn cpu(&self) -> Option<Cpu> {
        match self.backend {
            Backend::Linux => self.profile.cpu.or_else(Cpu::ours),
            Backend::Sim(_) => self.profile.cpu,
        }
    }

    /// The partition that keeps the record on this box: the profile's, or one that is named `flasher`. None where several
    /// are named so, or where it has, or may have, bytes of another one that is protected. A volume is none: UBI takes no less
    /// than an erase block.
    pub fn record_partition(&self) -> Option<&Partition> {
        let named = match &self.profile.record {
            Some(name) => self.known_as(name),
            None => self.named("flasher"),
        };
        let fits = |partition: &&Partition| {
            let protected = self.protected(&self.map.whole(partition.id));
            partition.volume.is_none()
                && partition.writable
                && protected.iter().all(|protected| protected.label == partition.label())
        };
        named.ok().filter(fits)
    }

    /// The same where writes to these areas leave it alone: a record within the new firmware would spoil it.
    pub fn record_beside(&self, areas: impl IntoIterator<Item = Area>) -> Option<&Partition> {
        let partition = self.record_partition()?;
        let whole = self.map.whole(partition.id);
        let alone = |area: Area| self.map.overlap(&area, &whole) == Overlap::No;
        areas.into_iter().all(alone).then_some(partition)
    }

    /// Whether both edges of a partition fall on erase blocks, of itself and of its chip. Of a partition whose position is not
    /// known the kernel says so: it makes one read-only that begins or ends within an erase block (`allocate_partition` in
    /// `drivers/mtd/mtdpart.c`), as far as it knows the chip's regions.
    pub fn is_aligned(&self, partition: &Partition) -> bool {
        let geometry = &partition.geometry;
        if !geometry.regions.is_empty() {
            return geometry.is_aligned(&(0..geometry.size));
        }
        let multiple = |bytes: u64| bytes.is_multiple_of(u64::from(geometry.erase_size).max(1));
        geometry.erase_size > 0
            && multiple(geometry.size)
            && match self.map.place(partition.id) {
                Place::Known(extents) => extents.iter().all(|extent| multiple(extent.range.start)),
                _ => true,
            }
    }

    /// Whether one of the volumes lies on the other partition's UBI.
    pub fn is_on(&self, volume: &Partition, other: &Partition) -> bool {
        volume.volume.is_some() && self.map.parent(volume.id) == Some(other.id)
    }

    /// Opens a partition for reading.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open(&self, partition: &Partition) -> Result<Box<dyn Flash>> {
        match &self.backend {
            Backend::Linux => linux::open(partition, mtd_rs::Access::ReadOnly),
            Backend::Sim(sim) => sim.open(partition, &self.map),
        }
    }

    /// Opens a partition for writing, against the proof that it may be.
    ///
    /// # Errors
    /// Those of opening, and a proof that does not cover this partition.
    pub fn open_writable(&self, partition: &Partition, proof: &Proof) -> Result<Box<dyn Flash>> {
        match (&self.backend, proof) {
            (Backend::Linux, Proof::Unheld(proof)) if proof.covers(partition.id) => {
                linux::open(partition, mtd_rs::Access::ReadWrite)
            }
            (Backend::Sim(sim), Proof::Sim(_)) => sim.open(partition, &self.map),
            _ => Err(Failure::new(
                Exit::Bug,
                Code::Bug,
                format_args!("{} would be opened without proof", partition.label()),
            )),
        }
    }

    /// Everything that uses these partitions, or flash that they share with others; nothing on a simulated box.
    ///
    /// # Errors
    /// A system that does not say.
    pub fn holders(&self, ids: &[PartitionId]) -> Result<Vec<stages::Holder>> {
        if self.is_sim() || ids.is_empty() {
            return Ok(Vec::new());
        }
        stages::holders(&self.map, ids).map_err(unseen)
    }

    /// The same for each partition by itself, in their order.
    ///
    /// # Errors
    /// As [`Board::holders`].
    pub fn holders_of_each(&self) -> Result<Vec<Vec<stages::Holder>>> {
        let ids: Vec<_> = self.partitions.iter().map(|partition| partition.id).collect();
        match self.is_sim() {
            true => Ok(vec![Vec::new(); ids.len()]),
            false => stages::holders_of_each(&self.map, &ids).map_err(unseen),
        }
    }
}

fn unseen(error: std::io::Error) -> Failure {
    Failure::system(format_args!("what uses the flash cannot be seen: {error}"))
        .hint("mount /proc: mount -t proc proc /proc")
}
