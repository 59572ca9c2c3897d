//! What follows from the kernel's facts for the position of each device.
//!
//! Every rule here ends in "anywhere" where a fact is missing or two contradict each other.
#![forbid(unsafe_code)]

use super::facts::{Facts, Home, OFFSET_SHOWN, TREE_SHOWN};
use super::node::{Node, Spot, Suspect, chip_of, half_capacity, slice, split};
use super::sums::tile;
use super::tables;
use super::types::{ChipId, Extent, meet};
use crate::discover::MtdInfo;
use crate::kind::FlashKind;

/// Of the positions that a device may have.
const MAX_CHOICES: usize = 64;
/// Places every device. The result has the order of the facts.
pub(super) fn nodes(facts: &Facts) -> Vec<Node> {
    let mut nodes = start(&facts.devices);
    let placer = Placer {
        facts,
        // A kernel that shows the offset of one device shows those of all partitions.
        offsets: facts.release.is_some_and(|release| release >= OFFSET_SHOWN)
            || nodes.iter().any(|node| node.info.offset.is_some()),
        // A directory below that of another MTD: either the kernel is new enough, or CONFIG_MTD_PARTITIONED_MASTER is set, and
        // either way every partition is shown below what it counts from.
        tree: facts.release.is_some_and(|release| release >= TREE_SHOWN)
            || nodes.iter().any(|node| node.parent.is_some()),
    };
    // There are no more groups than devices.
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        // A gluebi device stands for a volume, and those with a parent follow it.
        if node.parent.is_none() && node.info.geometry.kind != FlashKind::UbiVolume {
            groups[node.group].push(index);
        }
    }
    groups.retain(|group| !group.is_empty());
    for group in &groups {
        placer.group(&mut nodes, group);
    }
    for index in 0..nodes.len() {
        placer.child(&mut nodes, index);
    }
    // Partitions of other chips first: a concatenation is made of them.
    for group in &groups {
        placer.made_of(&mut nodes, group);
    }
    for index in 0..nodes.len() {
        placer.child(&mut nodes, index);
    }
    nodes
}

/// The nodes without positions, with their groups and with the parents that sysfs shows.
fn start(devices: &[(MtdInfo, Home)]) -> Vec<Node> {
    let all_kinds = devices.iter().all(|(info, _)| info.geometry.kind != FlashKind::Unknown);
    let mut keys: Vec<(Home, &str, u32, u32)> = Vec::new();
    let mut nodes: Vec<Node> = Vec::new();
    for (info, home) in devices {
        let shape = &info.geometry;
        let key = match home {
            Home::Unknown if !all_kinds => (Home::Unknown, "", 0, 0),
            _ => (home.clone(), shape.kind.as_str(), shape.write_size, shape.oob_size),
        };
        let group = keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            keys.push(key);
            keys.len() - 1
        });
        nodes.push(Node {
            info: info.clone(),
            home: home.clone(),
            chip: None,
            spot: Spot::Anywhere,
            parent: None,
            suspect: Suspect::No,
            apart: None,
            group,
        });
    }
    let number = |index: u32| devices.iter().position(|(info, _)| info.index == index);
    for index in 0..nodes.len() {
        nodes[index].parent = devices[index]
            .0
            .parent
            .and_then(number)
            .filter(|parent| *parent != index);
    }
    // No kernel shows a circle. Cut, it is no more than a contradiction.
    for index in 0..nodes.len() {
        let mut above = nodes[index].parent;
        for _ in 0..=nodes.len() {
            above = above.and_then(|parent| nodes[parent].parent);
        }
        if above.is_some() {
            nodes[index].parent = None;
            nodes[index].info.offset = None;
            nodes[index].suspect(Suspect::OfAny);
        }
    }
    nodes
}

pub(super) struct Placer<'a> {
    pub(super) facts: &'a Facts,
    /// Whether this kernel shows the offset of partitions.
    offsets: bool,
    /// Whether this kernel shows what an offset counts from.
    tree: bool,
}

impl Placer<'_> {
    /// Devices with one home and one shape that lie in none that is shown.
    fn group(&self, nodes: &mut [Node], group: &[usize]) {
        let home = nodes[group[0]].home.clone();
        let chip = chip_of(&nodes[group[0]], None);
        if self.concat(nodes, group) {
            return;
        }
        if home != Home::Unknown {
            for &index in group {
                nodes[index].chip = Some(chip.clone());
            }
        }
        let shown = |nodes: &[Node]| nodes.iter().any(|node| node.info.offset.is_some());
        let plain = match home {
            Home::Unknown => !group.iter().any(|&index| nodes[index].info.offset.is_some()),
            // Several on one device, and nothing but the release says that the kernel would show offsets: whole chips, or not.
            Home::Device(_) => group.len() > 1 && !shown(nodes),
            Home::Virtual | Home::Block => false,
        };
        if !self.offsets || plain {
            self.without_offsets(nodes, group, &chip);
        } else {
            match home {
                // Not even which devices hang together is known.
                Home::Unknown | Home::Block => {}
                Home::Device(_) => self.on_device(nodes, group, &chip),
                Home::Virtual => self.on_nothing(nodes, group, &chip),
            }
        }
    }

    /// A kernel before 4.1: what others wrote down, else the sizes.
    fn without_offsets(&self, nodes: &mut [Node], group: &[usize], chip: &ChipId) {
        let home = nodes[group[0]].home.clone();
        let sizes: Vec<(&str, u64)> = group
            .iter()
            .map(|&index| (nodes[index].info.name.as_str(), nodes[index].size()))
            .collect();
        if let Some(offsets) = tables::offsets(&self.facts.tables, &sizes) {
            for (&index, offset) in group.iter().zip(offsets) {
                let node = &mut nodes[index];
                let range = offset..offset.saturating_add(node.size());
                node.chip = Some(chip.clone());
                node.spot = Spot::At(vec![Extent {
                    chip: chip.clone(),
                    range,
                }]);
            }
        } else if tile(home.name(), &sizes) {
            for &index in group {
                nodes[index].apart = Some(nodes[index].group);
            }
        }
        for &index in group {
            // On the device of its first part it would be in one group with it, but not with what else it is made of.
            let placed = nodes[index].spot != Spot::Anywhere || nodes[index].apart.is_some();
            if !placed && self.may_be_sum(nodes, index) {
                nodes[index].suspect(Suspect::OfOthers);
            }
            // Drivers of that time often named no device, so this is no sign of a concatenation, nor of the contrary.
            if home == Home::Virtual {
                nodes[index].suspect(Suspect::OfOthers);
            }
        }
    }

    /// Partitions and whole chips that hang on one device.
    fn on_device(&self, nodes: &mut [Node], group: &[usize], chip: &ChipId) {
        let (masters, parts) = split(nodes, group);
        match masters[..] {
            [] => self.flat(nodes, &parts, chip),
            [master] => {
                let size = nodes[master].size();
                let fits = parts
                    .iter()
                    .all(|&part| nodes[part].from(0).is_some_and(|range| range.end <= size));
                if !fits {
                    // The kernel cuts partitions at the end of their chip, so this is not theirs: it is another, or made of them.
                    self.flat(nodes, &parts, chip);
                    nodes[master].suspect(Suspect::OfAny);
                    return;
                }
                // A chip is registered before its partitions, a concatenation after what it is made of.
                let late = parts
                    .iter()
                    .any(|&part| nodes[part].info.index < nodes[master].info.index);
                if late && self.may_be_sum(nodes, master) {
                    nodes[master].suspect(Suspect::OfAny);
                }
                at(&mut nodes[master], chip, 0);
                self.flat(nodes, &parts, chip);
                if nodes[master].suspect == Suspect::No && self.tree {
                    for &part in &parts {
                        nodes[part].parent = Some(master);
                    }
                }
            }
            _ => {
                // A controller with several chips. A concatenation may hang on the device of its first part, too.
                for &master in &masters {
                    if self.may_be_sum(nodes, master) {
                        nodes[master].suspect(Suspect::OfAny);
                    }
                    let own = chip_of(&nodes[master], Some(nodes[master].info.index));
                    at(&mut nodes[master], &own, 0);
                }
                self.choose(nodes, &parts, &masters, chip);
            }
        }
    }

    /// Devices whose driver named no device: simulated ones, RAM, and concatenations (`mtd_concat_create` sets no `dev.parent`).
    fn on_nothing(&self, nodes: &mut [Node], group: &[usize], chip: &ChipId) {
        let (masters, parts) = split(nodes, group);
        for &master in &masters {
            if self.may_be_sum(nodes, master) {
                nodes[master].suspect(Suspect::OfAny);
            }
            let own = chip_of(&nodes[master], Some(nodes[master].info.index));
            at(&mut nodes[master], &own, 0);
        }
        for &part in &parts {
            nodes[part].suspect(Suspect::OfOthers);
        }
        let ranges: Vec<_> = parts.iter().map(|&part| nodes[part].from(0)).collect();
        let cross = (0..ranges.len()).any(|a| {
            (0..a).any(|b| match (&ranges[a], &ranges[b]) {
                (Some(a), Some(b)) => meet(a, b),
                _ => true,
            })
        });
        if cross {
            // Partitions of more than one chip, whichever they are.
            for &part in &parts {
                nodes[part].chip = None;
            }
        } else {
            self.choose(nodes, &parts, &masters, chip);
        }
    }

    /// Partitions of one of several chips, or of one that is not shown.
    fn choose(&self, nodes: &mut [Node], parts: &[usize], masters: &[usize], hidden: &ChipId) {
        self.flat(nodes, parts, hidden);
        for &part in parts {
            let (Spot::At(here) | Spot::OneOf(here)) = nodes[part].spot.clone() else {
                nodes[part].chip = None;
                continue;
            };
            let mut choices = here.clone();
            for &master in masters {
                let chip = nodes[master].chip.clone();
                let fits = here.iter().filter(|extent| extent.range.end <= nodes[master].size());
                choices.extend(fits.filter_map(|extent| {
                    Some(Extent {
                        chip: chip.clone()?,
                        range: extent.range.clone(),
                    })
                }));
            }
            if choices.len() > here.len() {
                nodes[part].chip = None;
                nodes[part].spot = Spot::OneOf(choices);
            }
        }
    }

    /// Partitions of one chip, whose offsets count from its start, or from what this kernel does not show.
    fn flat(&self, nodes: &mut [Node], parts: &[usize], chip: &ChipId) {
        let sizes: Vec<(&str, u64)> = parts
            .iter()
            .map(|&part| (nodes[part].info.name.as_str(), nodes[part].size()))
            .collect();
        let trusted = self.tree || fills(nodes, parts) && tile("", &sizes);
        for (position, &part) in parts.iter().enumerate() {
            nodes[part].chip = Some(chip.clone());
            let Some(range) = nodes[part].from(0) else {
                continue;
            };
            let known = trusted || tables::has(&self.facts.tables, &nodes[part].info);
            let mut starts = vec![range.start];
            if !known {
                for &above in parts[..position]
                    .iter()
                    .filter(|&&above| range.end <= nodes[above].size())
                {
                    starts.extend(match &nodes[above].spot {
                        Spot::At(list) | Spot::OneOf(list) => list
                            .iter()
                            .filter_map(|extent| extent.range.start.checked_add(range.start))
                            .collect(),
                        Spot::Anywhere => Vec::new(),
                    });
                    // What it may lie in is anywhere, so it is.
                    if nodes[above].spot == Spot::Anywhere {
                        starts.resize(MAX_CHOICES + 1, 0);
                    }
                }
            }
            starts.sort_unstable();
            starts.dedup();
            let extents = starts.iter().map(|start| Extent {
                chip: chip.clone(),
                range: *start..start.saturating_add(nodes[part].size()),
            });
            nodes[part].spot = match starts.len() {
                1 => Spot::At(extents.collect()),
                2..=MAX_CHOICES => Spot::OneOf(extents.collect()),
                _ => Spot::Anywhere,
            };
        }
        for &part in parts {
            half_capacity(&mut nodes[part]);
        }
    }

    /// A device below another one.
    fn child(&self, nodes: &mut [Node], index: usize) {
        let mut chain = vec![index];
        while let Some(parent) = nodes[chain[chain.len() - 1]].parent {
            chain.push(parent);
        }
        for pair in chain.windows(2).rev() {
            let (below, above) = (pair[0], pair[1]);
            if nodes[below].spot != Spot::Anywhere {
                continue;
            }
            nodes[below].chip = nodes[above].chip.clone();
            let above_suspect = nodes[above].suspect;
            nodes[below].suspect(above_suspect);
            // Without an offset it is not a partition: a concatenation that the kernel hangs on its first part
            // (`mtd_virt_concat_create_join`, drivers/mtd/mtd_virt_concat.c).
            if nodes[below].info.offset.is_none() {
                nodes[below].suspect(Suspect::OfAny);
                nodes[below].chip = None;
                continue;
            }
            let Some(range) = nodes[below].from(0) else { continue };
            nodes[below].spot = match &nodes[above].spot {
                _ if range.end > nodes[above].size() => Spot::Anywhere,
                Spot::At(extents) => slice(extents, &range).map_or(Spot::Anywhere, Spot::At),
                Spot::OneOf(choices) => choices
                    .iter()
                    .map(|extent| slice(std::slice::from_ref(extent), &range)?.pop())
                    .collect::<Option<_>>()
                    .map_or(Spot::Anywhere, Spot::OneOf),
                Spot::Anywhere => Spot::Anywhere,
            };
            half_capacity(&mut nodes[below]);
        }
    }
}

fn at(node: &mut Node, chip: &ChipId, start: u64) {
    node.chip = Some(chip.clone());
    let range = start..start.saturating_add(node.size());
    node.spot = Spot::At(vec![Extent {
        chip: chip.clone(),
        range,
    }]);
}

/// Whether partitions read flat follow each other from 0 on without a hole.
fn fills(nodes: &[Node], parts: &[usize]) -> bool {
    let mut ranges: Vec<_> = parts.iter().filter_map(|&part| nodes[part].from(0)).collect();
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut end = 0;
    ranges.len() == parts.len()
        && ranges.iter().all(|range| {
            let follows = range.start == end;
            end = range.end;
            follows
        })
}
