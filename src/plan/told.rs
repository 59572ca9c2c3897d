//! A plan as programs read it. The names of these fields are relied on from outside.

#![forbid(unsafe_code)]

use super::{Method, Rest, Step, Write};
use crate::image::ubi;
use mtd_rs::PartitionId;
use serde::{Serialize, Serializer};

/// A write as JSON has it.
#[derive(Serialize)]
pub struct ToldWrite<'a> {
    /// The partition's name.
    pub partition: &'a str,
    /// Its number, see [`number`].
    pub mtd: u32,
    /// Where in the partition it begins, in bytes.
    pub offset: u64,
    /// Bytes of the image.
    pub length: u64,
    /// Erase blocks.
    pub erase_blocks: u64,
    /// How many of those are up to date.
    pub unchanged: Option<u64>,
    /// Where in the image its bytes begin.
    pub source: u64,
    /// As [`super::Order::boot`].
    pub boot: bool,
    /// Bad blocks of the partition.
    pub bad: &'a [u64],
    /// Size of the partition in bytes.
    pub size: u64,
    /// Its largest erase block in bytes.
    pub erase_size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ubi: Option<ubi::Layout>,
    leave_blank: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    blank_rest: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    zero_rest: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    whole: bool,
    recovery: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    spare: Option<u64>,
    uncorrectable: u32,
}

/// What UBI's `UBI_MAX_VOLUMES` is (`drivers/mtd/ubi/ubi-media.h`).
const VOLUMES: u32 = 128;

/// The number of a partition in JSON: N of `mtdN`; of a volume one that no MTD has, 65536 + 128 × N + M of `ubiN_M`.
pub fn number(id: PartitionId) -> u32 {
    match id {
        PartitionId::Mtd(index) => index,
        PartitionId::Volume { ubi, id } => (1u32 << 16)
            .saturating_add(ubi.saturating_mul(VOLUMES))
            .saturating_add(id),
    }
}

impl Write {
    fn told(&self) -> ToldWrite<'_> {
        ToldWrite {
            partition: &self.to.name,
            mtd: number(self.to.id),
            offset: self.range.start,
            length: self.length(),
            erase_blocks: self.erase_blocks,
            unchanged: None,
            source: self.source.start,
            boot: self.order.boot,
            bad: &self.to.bad,
            size: self.to.size,
            erase_size: self.to.erase_size,
            ubi: match self.method {
                Method::Ubi(layout) => Some(layout),
                _ => None,
            },
            leave_blank: self.method.leaves_blank(),
            blank_rest: self.method.rest() == Rest::Blank,
            zero_rest: self.method.rest() == Rest::Zero,
            whole: self.method == Method::VolumeUpdate,
            recovery: self.order.recovery,
            spare: self.spare,
            uncorrectable: 0,
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ToldWrite {
            unchanged: self.unchanged(),
            uncorrectable: self.survey.as_ref().map_or(0, |survey| survey.uncorrectable),
            ..self.write.told()
        }
        .serialize(serializer)
    }
}

/// Writes of which nothing is known but what they are.
///
/// # Errors
/// Those of the serializer.
pub fn writes<S: Serializer>(writes: &[Write], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(writes.iter().map(Write::told))
}

/// The same of one that need not be.
///
/// # Errors
/// Those of the serializer.
pub fn maybe_write<S: Serializer>(write: &Option<Write>, serializer: S) -> Result<S::Ok, S::Error> {
    write.as_ref().map(Write::told).serialize(serializer)
}
