//! Positions that somebody else knows.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::node::{Node, Spot, Suspect, chip_of};
use super::types::{ChipId, Extent, Hint, cross, meet};

/// Places what the hints name, where they fit; answers which nodes were placed.
pub(super) fn learn(nodes: &mut [Node], hints: &[Hint]) -> Vec<usize> {
    let mut named: Vec<(usize, &Hint)> = Vec::new();
    for (index, node) in nodes.iter().enumerate().filter(|(_, node)| is_unplaced(node)) {
        let mut fitting = hints.iter().filter(|hint| hint.name == node.info.name);
        named.extend(fitting.next().map(|hint| (index, hint)));
        // Of two hints with one name neither says which it means.
        if fitting.next().is_some() {
            return Vec::new();
        }
    }
    // The hints are of one chip. If they name devices of two, they are of neither.
    if named
        .iter()
        .any(|(index, _)| nodes[*index].group != nodes[named[0].0].group)
    {
        return Vec::new();
    }
    let mut chosen: Vec<(usize, Range<u64>)> = Vec::new();
    for &(index, hint) in &named {
        let node = &nodes[index];
        let twin = named
            .iter()
            .any(|(other, twin)| *other != index && twin.name == hint.name);
        let Some(end) = hint.offset.checked_add(hint.size) else {
            return Vec::new();
        };
        let range = hint.offset..end;
        if twin || hint.size != node.size() || !possible(nodes, index, &range) {
            return Vec::new();
        }
        let contradicts = chosen.iter().any(|(other, taken)| {
            let apart = node.apart.is_some() && node.apart == nodes[*other].apart;
            cross(&range, taken) || apart && meet(&range, taken)
        });
        if contradicts {
            return Vec::new();
        }
        chosen.push((index, range));
    }
    for (index, range) in &chosen {
        let chip = chip(&nodes[*index]);
        nodes[*index].chip = Some(chip.clone());
        nodes[*index].spot = Spot::At(vec![Extent {
            chip,
            range: range.clone(),
        }]);
    }
    chosen.into_iter().map(|(index, _)| index).collect()
}

/// Whether the kernel shows no position, rather than one that contradicts itself.
fn is_unplaced(node: &Node) -> bool {
    let open = match node.spot {
        Spot::At(_) => false,
        Spot::OneOf(_) => true,
        Spot::Anywhere => node.info.offset.is_none(),
    };
    open && node.parent.is_none() && node.suspect != Suspect::OfAny
}

fn chip(node: &Node) -> ChipId {
    node.chip.clone().unwrap_or_else(|| chip_of(node, None))
}

/// Whether nothing that is known speaks against it.
fn possible(nodes: &[Node], index: usize, range: &Range<u64>) -> bool {
    let node = &nodes[index];
    let chip = chip(node);
    if let Spot::OneOf(choices) = &node.spot
        && !choices
            .iter()
            .any(|extent| extent.chip == chip && extent.range == *range)
    {
        return false;
    }
    nodes
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index)
        .all(|(_, other)| match &other.spot {
            Spot::At(extents) => {
                let apart = node.apart.is_some() && node.apart == other.apart;
                extents
                    .iter()
                    .filter(|extent| extent.chip == chip)
                    .all(|extent| !(cross(&extent.range, range) || apart && meet(&extent.range, range)))
            }
            Spot::OneOf(_) | Spot::Anywhere => true,
        })
}
