//! A partition as `devices` tells it. The names of the fields are relied on from outside.

#![forbid(unsafe_code)]

use super::tree::offset;
use crate::base::check_id::CheckId;
use crate::base::quoted::Quoted;
use crate::base::units::{Count, Size};
use crate::board::{Board, Partition, Protected};
use crate::plan::told::number;
use mtd_rs::{Overlap, PartitionId};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct PartitionReport {
    #[serde(skip)]
    pub(super) id: PartitionId,
    mtd: u32,
    name: String,
    /// `ubi0_1` of a volume, whose number is none of MTD's.
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<String>,
    r#type: &'static str,
    size: u64,
    /// Bytes from the start of its chip.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    /// The kernel's name of the chip.
    #[serde(skip_serializing_if = "Option::is_none")]
    chip: Option<String>,
    /// What it lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// What shares bytes with it.
    overlaps: Vec<String>,
    /// What may share bytes with it, for all that is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    may_overlap: Vec<String>,
    erase_size: u32,
    write_size: u32,
    bad_blocks: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bad_at: Vec<u64>,
    good_blocks: usize,
    writable: bool,
    pub(super) used_by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ecc_corrected: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ecc_failed: Option<u32>,
    /// The check that stands before writing all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<CheckId>,
    /// Why, in words.
    #[serde(skip)]
    kept: Vec<String>,
}

pub(super) fn describe(board: &Board, partition: &Partition, holders: &[stages::Holder]) -> PartitionReport {
    let id = partition.id;
    let used_by = holders.iter().map(ToString::to_string).collect();
    let whole = board.map.whole(id);
    let sharing = |wanted: Overlap| -> Vec<String> {
        let others = board.partitions.iter().filter(|other| other.id != id);
        others
            .filter(|other| board.map.overlap(&whole, &board.map.whole(other.id)) == wanted)
            .map(|other| other.id.to_string())
            .collect()
    };
    let protected = board.protected(&whole);
    let first = partition.keep.or_else(|| protected.first().map(|found| found.keep));
    PartitionReport {
        id,
        mtd: number(id),
        name: partition.name.clone(),
        volume: partition.volume.as_ref().map(|_| id.to_string()),
        r#type: partition.geometry.kind.as_str(),
        size: partition.geometry.size,
        offset: offset(board, id),
        chip: board.map.chip(id).map(|chip| chip.name().to_owned()),
        parent: board.map.parent(id).map(|parent| parent.to_string()),
        overlaps: sharing(Overlap::Yes),
        may_overlap: sharing(Overlap::Maybe),
        erase_size: partition.geometry.erase_size,
        write_size: partition.geometry.write_size,
        bad_blocks: partition.bad.len(),
        bad_at: partition.bad.clone(),
        good_blocks: partition.good_blocks().count(),
        writable: partition.writable,
        used_by,
        ecc_corrected: partition.health.corrected,
        ecc_failed: partition.health.failed,
        keep: first.map(|keep| keep.check()),
        kept: kept(partition, &protected),
    }
}

/// Why it is kept: for what it is, or for what it contains.
fn kept(partition: &Partition, protected: &[Protected]) -> Vec<String> {
    if let Some(keep) = partition.keep {
        return vec![format!("{}: kept unless forced", keep.check())];
    }
    let say = |found: &Protected| {
        let contains = if found.certain { "contains" } else { "may contain" };
        format!(
            "{contains} {} ({}): kept unless forced",
            found.label,
            found.keep.check()
        )
    };
    protected.iter().map(say).collect()
}

impl PartitionReport {
    /// A line for people, that much indented.
    pub(super) fn line(&self, depth: usize) -> String {
        let at = self.offset.map_or_else(|| "?".to_owned(), |at| format!("0x{at:08x}"));
        let indent = 2 * depth;
        let mut line = format!(
            "{:indent$}  {} {:<16} {at:>10} {:>9}  {}, erase block {}",
            "",
            self.id,
            Quoted(&self.name).to_string(),
            Size(self.size).to_string(),
            self.r#type,
            Size(self.erase_size.into())
        );
        if self.bad_blocks > 0 {
            line.push_str(&format!(
                ", {}, {} good",
                Count(self.bad_blocks as u64, "bad block"),
                self.good_blocks
            ));
        }
        if let Some(corrected) = self.ecc_corrected.filter(|corrected| *corrected > 0) {
            line.push_str(&format!(", {} corrected", Count(corrected.into(), "bit")));
        }
        if let Some(failed) = self.ecc_failed.filter(|failed| *failed > 0) {
            line.push_str(&format!(", {}", Count(failed.into(), "uncorrectable page")));
        }
        if !self.writable {
            line.push_str(", read-only");
        }
        for kept in &self.kept {
            line.push_str(&format!(", {kept}"));
        }
        line
    }
}
