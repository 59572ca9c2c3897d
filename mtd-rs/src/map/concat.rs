//! Devices that are made of others (drivers/mtd/mtdconcat.c).
#![forbid(unsafe_code)]

use super::facts::{Home, looks_like_concat};
use super::node::{Node, Spot, Suspect, half_capacity, slice, split};
use super::place::Placer;
use super::sums::is_sum_of_several;
use super::tree::Concat;

impl Placer<'_> {
    /// What is known to be a concatenation by the name of its device, which is one of its own then. Answers whether it is one.
    pub(super) fn concat(&self, nodes: &mut [Node], group: &[usize]) -> bool {
        let home = nodes[group[0]].home.clone();
        let is_concat = self.described(&home).is_some() || looks_like_concat(home.name());
        for &index in group {
            if is_concat || nodes[index].info.offset.is_none() && looks_like_concat(&nodes[index].info.name) {
                nodes[index].suspect(Suspect::OfAny);
            }
        }
        is_concat
    }

    /// What the device tree says of a concatenation.
    fn described(&self, home: &Home) -> Option<&Concat> {
        let Home::Device(_) = home else { return None };
        self.facts.concats.iter().find(|it| it.node == node_part(home.name()))
    }

    /// A concatenation lies where its parts lie, where the device tree says which these are.
    pub(super) fn made_of(&self, nodes: &mut [Node], group: &[usize]) {
        let home = nodes[group[0]].home.clone();
        let Some(concat) = self.described(&home).filter(|concat| !concat.members.is_empty()) else {
            return;
        };
        let mut extents = Vec::new();
        for member in &concat.members {
            let mut named = nodes
                .iter()
                .filter(|node| node.info.name == *member && node.home != home);
            match (named.next(), named.next()) {
                (
                    Some(Node {
                        spot: Spot::At(part),
                        suspect: Suspect::No,
                        ..
                    }),
                    None,
                ) => extents.extend(part.iter().cloned()),
                _ => return,
            }
        }
        let total = extents
            .iter()
            .map(|extent| extent.range.end - extent.range.start)
            .sum::<u64>();
        let (masters, parts) = split(nodes, group);
        let master = match masters[..] {
            [] => None,
            [master] if nodes[master].size() == total => Some(master),
            _ => return,
        };
        for &index in group {
            let range = nodes[index].from(0);
            let range = if Some(index) == master { Some(0..total) } else { range };
            if let Some(part) = range.and_then(|range| slice(&extents, &range)) {
                nodes[index].chip = part.first().map(|extent| extent.chip.clone());
                nodes[index].spot = Spot::At(part);
                nodes[index].suspect = Suspect::No;
                half_capacity(&mut nodes[index]);
            }
        }
        for part in parts {
            nodes[part].parent = master;
        }
    }

    /// Whether its size is the sum of others that are not its own partitions.
    pub(super) fn may_be_sum(&self, nodes: &[Node], index: usize) -> bool {
        let own = |mut other: usize| {
            while let Some(parent) = nodes[other].parent {
                if parent == index {
                    return true;
                }
                other = parent;
            }
            other == index
        };
        let sizes: Vec<u64> = (0..nodes.len())
            .filter(|&other| !own(other) && nodes[index].may_share_chip_with(&nodes[other]))
            .map(|other| nodes[other].size())
            .collect();
        is_sum_of_several(nodes[index].size(), &sizes)
    }
}

/// The name of a platform device without its address: `10000000.flash` is that of a node `flash@10000000`.
fn node_part(name: &str) -> &str {
    match name.split_once('.') {
        Some((address, node)) if address.bytes().all(|byte| byte.is_ascii_hexdigit()) => node,
        _ => name,
    }
}
