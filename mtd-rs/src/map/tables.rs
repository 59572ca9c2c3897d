//! Tables of partitions that were written down for a chip, held against what the kernel lists.
#![forbid(unsafe_code)]

use super::facts::{Entry, Table};
use crate::discover::MtdInfo;

impl Entry {
    fn fits(&self, name: &str, size: u64) -> bool {
        self.name == name && self.size.is_none_or(|known| known == size)
    }
}

/// Where the devices of one chip lie, each given by name and size: the offsets of the one table that has each of them, and
/// nothing else.
///
/// A kernel that took its partitions from a table lists all of it. So where a device has no line, or a line no device, others
/// made the partitions, or a splitter has put more into them.
pub(super) fn offsets(tables: &[Table], devices: &[(&str, u64)]) -> Option<Vec<u64>> {
    let mut found = tables.iter().filter_map(|table| of_table(table, devices));
    let first = found.next()?;
    // Two that say different things say nothing.
    found.all(|other| other == first).then_some(first)
}

fn of_table(table: &Table, devices: &[(&str, u64)]) -> Option<Vec<u64>> {
    let lines = table.entries.iter().filter(|entry| entry.size != Some(0));
    if lines.count() != devices.len() {
        return None;
    }
    devices
        .iter()
        .enumerate()
        .map(|(index, (name, size))| {
            let mut fitting = table.entries.iter().filter(|entry| entry.fits(name, *size));
            let entry = fitting.next()?;
            let twin = devices
                .iter()
                .enumerate()
                .any(|(other, (name, size))| other != index && entry.fits(name, *size));
            let end = entry.offset.checked_add(*size);
            (!twin && fitting.next().is_none() && end.is_some()).then_some(entry.offset)
        })
        .collect()
}

/// Whether a table has a device with this name, size and offset, and none with the same name and size elsewhere.
pub(super) fn has(tables: &[Table], info: &MtdInfo) -> bool {
    let mut fitting = tables
        .iter()
        .flat_map(|table| &table.entries)
        .filter(|entry| entry.fits(&info.name, info.geometry.size))
        .peekable();
    fitting.peek().is_some() && fitting.all(|entry| Some(entry.offset) == info.offset)
}
