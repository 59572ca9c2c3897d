//! Whether two areas share bytes.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::Map;
use super::facts::Home;
use super::node::{Node, Spot, Suspect, slice};
use super::types::{Area, Extent, Overlap, meet, within};
use crate::id::PartitionId;
use crate::kind::FlashKind;

/// What an area stands for.
enum Basis {
    /// These bytes of the node.
    Bytes(usize, Range<u64>),
    /// Some bytes of the node, which a volume owns: UBI moves them about.
    Some(usize),
    /// Nobody knows what.
    Unknown,
}

pub(super) fn overlap(map: &Map, a: &Area, b: &Area) -> Overlap {
    if a.range.is_empty() || b.range.is_empty() {
        return Overlap::No;
    }
    if a.id == b.id {
        return yes_if(meet(&a.range, &b.range));
    }
    if let (Some(volume), Some(other)) = (volume_of(map, a.id), volume_of(map, b.id)) {
        if volume == other {
            return yes_if(meet(&a.range, &b.range));
        }
        if volume.0 == other.0 {
            return Overlap::No;
        }
    }
    match (basis(map, a), basis(map, b)) {
        (Basis::Bytes(i, a), Basis::Bytes(j, b)) => nodes(&map.nodes, (i, a), (j, b)),
        (Basis::Some(i), Basis::Some(j)) => at_most_maybe(nodes(&map.nodes, whole(map, i), whole(map, j))),
        (Basis::Some(i), Basis::Bytes(j, range)) | (Basis::Bytes(j, range), Basis::Some(i)) => {
            let covered = covers(&map.nodes, (j, range.clone()), whole(map, i));
            let found = nodes(&map.nodes, whole(map, i), (j, range));
            if covered { found } else { at_most_maybe(found) }
        }
        _ => Overlap::Maybe,
    }
}

fn yes_if(shared: bool) -> Overlap {
    if shared { Overlap::Yes } else { Overlap::No }
}

fn at_most_maybe(found: Overlap) -> Overlap {
    if found == Overlap::No {
        Overlap::No
    } else {
        Overlap::Maybe
    }
}

fn whole(map: &Map, node: usize) -> (usize, Range<u64>) {
    (node, 0..map.nodes[node].size())
}

/// The volume that a partition is, or that a gluebi device shows as an MTD. Such a device has its name
/// (`gluebi_create`, drivers/mtd/ubi/gluebi.c).
fn volume_of(map: &Map, id: PartitionId) -> Option<(u32, u32)> {
    match id {
        PartitionId::Volume { ubi, id } => map.volume(ubi, id).map(|_| (ubi, id)),
        PartitionId::Mtd(index) => {
            let info = &map.nodes[map.node(index)?].info;
            if info.geometry.kind != FlashKind::UbiVolume {
                return None;
            }
            let mut volumes = map
                .ubi
                .iter()
                .flat_map(|ubi| &ubi.volumes)
                .filter(|it| it.name == info.name);
            let first = volumes.next()?;
            volumes.next().is_none().then_some((first.ubi, first.id))
        }
    }
}

fn basis(map: &Map, area: &Area) -> Basis {
    let node = match area.id {
        PartitionId::Mtd(index) => map.node(index),
        PartitionId::Volume { .. } => None,
    };
    if node.is_some_and(|node| map.nodes[node].home == Home::Block) {
        return Basis::Unknown;
    }
    if let Some(node) = node.filter(|node| map.nodes[*node].info.geometry.kind != FlashKind::UbiVolume) {
        return Basis::Bytes(node, area.range.clone());
    }
    let below = volume_of(map, area.id).and_then(|(ubi, _)| map.node(map.ubi_device(ubi)?.mtd?));
    below.map_or(Basis::Unknown, Basis::Some)
}

/// The area as bytes of every node that it is a part of, itself first. It ends where the next step is not known.
fn chain(nodes: &[Node], area: (usize, Range<u64>)) -> Vec<(usize, Range<u64>)> {
    let mut found = vec![area];
    while let Some((node, range)) = found.last()
        && let Some(parent) = nodes[*node].parent
        && found.len() <= nodes.len()
        && range.end <= nodes[*node].size()
        && matches!(nodes[*node].from(0), Some(all) if all.end <= nodes[parent].size())
        && nodes[*node].is_linear()
        && let Some(offset) = nodes[*node].info.offset
    {
        found.push((parent, range.start + offset..range.end + offset));
    }
    found
}

fn nodes(nodes: &[Node], a: (usize, Range<u64>), b: (usize, Range<u64>)) -> Overlap {
    let (x, y) = (&nodes[a.0], &nodes[b.0]);
    let above = chain(nodes, b.clone());
    for (node, range) in chain(nodes, a.clone()) {
        if let Some((_, other)) = above.iter().find(|(other, _)| *other == node) {
            return yes_if(meet(&range, other));
        }
    }
    let alike = x.may_share_chip_with(y);
    let found = if a.1.end > x.size() || b.1.end > y.size() {
        somewhere(x, y)
    } else if x.apart.is_some() && x.apart == y.apart {
        Overlap::No
    } else {
        match (choices(x, &a.1), choices(y, &b.1)) {
            (Some(a), Some(b)) => any_of(&a, &b),
            _ => somewhere(x, y),
        }
    };
    let suspect = x.suspect.max(y.suspect);
    match suspect {
        Suspect::OfAny if alike && found == Overlap::No => Overlap::Maybe,
        Suspect::OfOthers if alike && found == Overlap::No && x.group != y.group => Overlap::Maybe,
        _ => found,
    }
}

/// Two areas of which one may be anywhere.
fn somewhere(x: &Node, y: &Node) -> Overlap {
    match (&x.chip, &y.chip) {
        (Some(a), Some(b)) if a != b => Overlap::No,
        (Some(_), Some(_)) => Overlap::Maybe,
        _ if x.may_share_chip_with(y) => Overlap::Maybe,
        _ => Overlap::No,
    }
}

/// The positions that an area may have; `None` where they cannot be counted.
fn choices(node: &Node, range: &Range<u64>) -> Option<Vec<Vec<Extent>>> {
    match &node.spot {
        Spot::At(extents) => Some(vec![slice(extents, range)?]),
        Spot::OneOf(places) => places
            .iter()
            .map(|place| slice(std::slice::from_ref(place), range))
            .collect(),
        Spot::Anywhere => None,
    }
}

fn any_of(a: &[Vec<Extent>], b: &[Vec<Extent>]) -> Overlap {
    let mut pairs = a.iter().flat_map(|a| b.iter().map(move |b| share(a, b)));
    let Some(first) = pairs.next() else {
        return Overlap::Maybe;
    };
    if pairs.all(|other| other == first) {
        yes_if(first)
    } else {
        Overlap::Maybe
    }
}

fn share(a: &[Extent], b: &[Extent]) -> bool {
    a.iter()
        .any(|a| b.iter().any(|b| a.chip == b.chip && meet(&a.range, &b.range)))
}

/// Whether the first area is known to hold all of the second.
fn covers(nodes: &[Node], a: (usize, Range<u64>), b: (usize, Range<u64>)) -> bool {
    if let Some((_, range)) = chain(nodes, b.clone()).iter().find(|(node, _)| *node == a.0) {
        return within(range, &a.1);
    }
    match (
        choices(&nodes[a.0], &a.1).as_deref(),
        choices(&nodes[b.0], &b.1).as_deref(),
    ) {
        (Some([a]), Some([b])) => b
            .iter()
            .all(|b| a.iter().any(|a| a.chip == b.chip && within(&b.range, &a.range))),
        _ => false,
    }
}
