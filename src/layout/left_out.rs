//! Which parts of an image with several of them are not written, and why not.
//!
//! What is left out is always said: an owner who puts a backup back must not believe that all of it is back.

#![forbid(unsafe_code)]

use crate::base::quoted::Quoted;
use crate::board::{Board, Partition};
use mtd_rs::{Extent, Place};
use std::ops::Range;

/// A part of an image that is not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The partition that it is for.
    pub name: String,
    /// Why not, in words.
    pub why: String,
}

/// A part of an image and its partition.
pub(super) type Bound<'b> = (&'b Partition, Range<u64>);

/// Of parts whose places are known, those that are written. What the profile protects is not.
pub(super) fn unprotected<'b>(parts: Vec<Bound<'b>>) -> (Vec<Bound<'b>>, Vec<LeftOut>) {
    let why = |partition: &Partition| {
        partition
            .keep
            .map(|keep| format!("protected: it holds {}", keep.explain()))
    };
    divide(parts, why)
}

/// Of a backup, those that are written: not what is protected, also where that is reached through a larger partition; not what
/// nobody can write; and not a window onto bytes that a larger partition, which is written, has too. That it is one must be
/// certain: what only may be one is written, or refused.
pub(super) fn of_backup<'b>(board: &Board, parts: Vec<Bound<'b>>) -> (Vec<Bound<'b>>, Vec<LeftOut>) {
    let hindered = |partition: &Partition| protected(board, partition).or_else(|| read_only(partition));
    let (may, _): (Vec<_>, Vec<_>) = parts
        .iter()
        .map(|(partition, _)| *partition)
        .partition(|partition| hindered(partition).is_none());
    let covering = |partition: &Partition| {
        let mut larger = may.iter().filter(|other| covers(board, other, partition));
        // The outermost, which itself is in none.
        larger.find(|other| !may.iter().any(|outer| covers(board, outer, other)))
    };
    divide(parts, |partition| match covering(partition) {
        Some(other) => Some(format!("covered by {}", Quoted(&other.name))),
        None => hindered(partition),
    })
}

fn divide<'b>(parts: Vec<Bound<'b>>, why: impl Fn(&Partition) -> Option<String>) -> (Vec<Bound<'b>>, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let mut written = Vec::new();
    for (partition, range) in parts {
        match why(partition) {
            None => written.push((partition, range)),
            Some(why) => left_out.push(LeftOut {
                name: partition.name.clone(),
                why,
            }),
        }
    }
    (written, left_out)
}

fn protected(board: &Board, partition: &Partition) -> Option<String> {
    if let Some(keep) = partition.keep {
        return Some(format!("protected: it holds {}", keep.explain()));
    }
    let found = board.protected(&board.map.whole(partition.id));
    let certain = found.into_iter().find(|protected| protected.certain)?;
    Some(format!(
        "protected: it contains {}, which holds {}",
        certain.label,
        certain.keep.explain()
    ))
}

fn read_only(partition: &Partition) -> Option<String> {
    (!partition.writable).then(|| "read-only".to_owned())
}

/// Whether every byte of the partition is one of the other's, which has more.
fn covers(board: &Board, other: &Partition, partition: &Partition) -> bool {
    let (Place::Known(whole), Place::Known(part)) = (board.map.place(other.id), board.map.place(partition.id)) else {
        return false;
    };
    let inside = |extent: &Extent| {
        whole.iter().any(|other| {
            other.chip == extent.chip && other.range.start <= extent.range.start && extent.range.end <= other.range.end
        })
    };
    other.geometry.size > partition.geometry.size && part.iter().all(inside)
}
