//! Partitions of the device tree, as `drivers/mtd/parsers/ofpart_core.c` reads them.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use super::facts::{Entry, Table, limited};

/// Of a node. Real trees have some thousand nodes, ten deep at most.
const MAX_DEPTH: u32 = 16;
const MAX_NODES: u32 = 20_000;
/// Of a property.
const MAX_BYTES: u64 = 4096;

/// A device that is made of others: `compatible = "mtd-concat"`, with the partitions' phandles in `devices` (OpenWrt's
/// `drivers/mtd/mtd_virt_concat.c`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Concat {
    /// The name of its node.
    pub(super) node: String,
    /// The names of what it is made of, in order; empty where they cannot be found out.
    pub(super) members: Vec<String>,
}

/// What a device tree says of flash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// One a node that has partitions below it.
    pub(super) tables: Vec<Table>,
    pub(super) concats: Vec<Concat>,
}

/// Reads the tree at `root`; empty where there is none. What cannot be read is left out: then less is known.
pub(super) fn read(root: &Path) -> Tree {
    let mut walk = Walk::default();
    walk.node(root, Cells { address: 1, size: 1 }, 0, false);
    let label = |phandle| {
        let mut nodes = walk.labels.iter().filter(|(known, _)| *known == phandle);
        nodes.next().map(|(_, name)| name.clone())
    };
    let concats = walk.concats.iter().map(|(node, phandles)| Concat {
        node: node.clone(),
        members: phandles
            .iter()
            .map(|phandle| label(*phandle))
            .collect::<Option<_>>()
            .unwrap_or_default(),
    });
    Tree {
        concats: concats.collect(),
        tables: walk.tables,
    }
}

#[derive(Clone, Copy)]
struct Cells {
    address: u32,
    size: u32,
}

#[derive(Default)]
struct Walk {
    tables: Vec<Table>,
    /// Phandles of partitions, with the names that their devices get.
    labels: Vec<(u32, String)>,
    concats: Vec<(String, Vec<u32>)>,
    nodes: u32,
}

impl Walk {
    /// `inherited` are the cells of the nearest node above that states them. What is inside a partition counts from there, so it is
    /// no table of a chip.
    fn node(&mut self, path: &Path, inherited: Cells, depth: u32, inside: bool) {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return;
        }
        let cells = Cells {
            address: cell(path, "#address-cells").unwrap_or(inherited.address),
            size: cell(path, "#size-cells").unwrap_or(inherited.size),
        };
        if text(path, "compatible").is_some_and(|list| list.split('\0').any(|word| word == "mtd-concat")) {
            let phandles = bytes(path, "devices").unwrap_or_default();
            self.concats.push((node_name(path), cells_of(&phandles)));
        }
        let dedicated = node_name(path) == "partitions";
        let mut entries = Vec::new();
        for child in children(path) {
            // Beside partitions other things may hang on a flash; those have a driver.
            let entry = match dedicated || bytes(&child, "compatible").is_none() {
                true => partition(&child, cells),
                false => None,
            };
            let within = inside || entry.is_some();
            if let Some(entry) = entry {
                for property in ["phandle", "linux,phandle"] {
                    self.labels
                        .extend(cell(&child, property).map(|phandle| (phandle, entry.name.clone())));
                }
                entries.push(entry);
            }
            self.node(&child, cells, depth + 1, within);
        }
        if !entries.is_empty() && !inside {
            let flash = if dedicated { path.parent().unwrap_or(path) } else { path };
            self.tables.push(Table {
                chip: node_name(flash),
                entries,
            });
        }
    }
}

/// A node with `reg`, and the name that its partition gets: `label`, else that of the node.
fn partition(node: &Path, cells: Cells) -> Option<Entry> {
    // Written for nodes below a NAND controller, where a size of no cells is taken for one.
    let size = cells.size.max(1);
    if !(1..=2).contains(&cells.address) || size > 2 {
        return None;
    }
    let reg = bytes(node, "reg")?;
    let found = cells_of(&reg);
    if reg.len() % 4 != 0 || found.len() != (cells.address + size) as usize {
        return None;
    }
    let number = |part: &[u32]| part.iter().fold(0u64, |sum, cell| sum << 32 | u64::from(*cell));
    let (address, length) = found.split_at(cells.address as usize);
    Some(Entry {
        name: text(node, "label").unwrap_or_else(|| node_name(node)),
        size: Some(number(length)),
        offset: number(address),
    })
}

fn children(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        // Links are not followed: the tree has none.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable();
    found
}

/// The name of a node, without its address.
fn node_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('@').next().unwrap_or_default().to_owned()
}

fn bytes(node: &Path, property: &str) -> Option<Vec<u8>> {
    limited(&node.join(property), MAX_BYTES)
}

/// A string, or a list of them with a NUL between each.
fn text(node: &Path, property: &str) -> Option<String> {
    let bytes = bytes(node, property)?;
    let text = String::from_utf8(bytes).ok()?;
    Some(text.trim_end_matches('\0').to_owned())
}

fn cells_of(bytes: &[u8]) -> Vec<u32> {
    let whole = bytes.chunks_exact(4);
    whole
        .map(|cell| cell.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
        .collect()
}

fn cell(node: &Path, property: &str) -> Option<u32> {
    match &cells_of(&bytes(node, property)?)[..] {
        [cell] => Some(*cell),
        _ => None,
    }
}
