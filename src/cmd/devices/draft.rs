//! `devices --profile`: a profile of this box, to be completed by whoever knows it.
//!
//! What cannot be found out is left as `"?"`, which no profile may have: it must be filled in before the profile is used.

#![forbid(unsafe_code)]

use super::tree::offset;
use crate::base::error::Result;
use crate::base::json;
use crate::base::sizes::written;
use crate::board::profile::Protection;
use crate::board::{Board, Partition, Seen};
use mtd_rs::map::ChipId;

/// The lines of the profile, and what it leaves out.
pub(super) struct Draft {
    pub lines: Vec<String>,
    pub left_out: Vec<String>,
}

/// Drafts it. The chip is the one with most partitions; a profile has one.
///
/// # Errors
/// Signs of the box that cannot be read.
pub(super) fn draft(board: &Board) -> Result<Draft> {
    let chip = main_chip(board);
    let mut left_out = Vec::new();
    let mut on_chip: Vec<&Partition> = Vec::new();
    for partition in board.partitions.iter().filter(|partition| partition.volume.is_none()) {
        let elsewhere = board.map.chip(partition.id) != chip;
        let twin = on_chip.iter().any(|other| other.name == partition.name);
        match elsewhere || twin || partition.geometry.size == 0 {
            true => left_out.push(partition.label()),
            false => on_chip.push(partition),
        }
    }
    let seen = board.signs()?;
    let name = name(&seen);
    let mut lines = vec![
        "{".to_owned(),
        format!("  \"id\": {},", text(&slug(&name))),
        format!("  \"name\": {},", text(&name)),
    ];
    if let Some(cpu) = board.cpu() {
        lines.push(format!("  \"cpu\": {},", json::write(&cpu).unwrap_or_default()));
    }
    lines.push(format!("  \"signs\": {},", signs(&seen)));
    lines.push(format!("  \"chip\": {},", chip_line(board, &on_chip)));
    let ram = stages::memory::total()
        .filter(|_| !board.is_sim())
        .unwrap_or(board.profile.ram);
    lines.push(format!("  \"ram\": {},", text(&written(ram.next_multiple_of(1 << 20)))));
    lines.push("  \"partitions\": [".to_owned());
    for (index, partition) in on_chip.iter().enumerate() {
        let comma = if index + 1 < on_chip.len() { "," } else { "" };
        lines.push(format!("    {}{comma}", line(board, partition, erase_size(&on_chip))));
    }
    lines.push("  ],".to_owned());
    lines.push("  \"accepts\": []".to_owned());
    lines.push("}".to_owned());
    Ok(Draft { lines, left_out })
}

fn main_chip(board: &Board) -> Option<ChipId> {
    let chips = board
        .partitions
        .iter()
        .filter_map(|partition| board.map.chip(partition.id));
    let chips: Vec<ChipId> = chips.collect();
    let count = |chip: &ChipId| chips.iter().filter(|other| *other == chip).count();
    // Of several with as many, the first.
    chips.iter().rev().max_by_key(|chip| count(chip)).cloned()
}

/// A text as JSON has it.
fn text(value: &str) -> String {
    json::write(&value).unwrap_or_default()
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| text(word)).collect();
    format!("[{}]", words.join(", "))
}

fn name(seen: &Seen) -> String {
    let first = seen.machine().or_else(|| seen.dmi().first().map(String::as_str));
    let first = first.or_else(|| seen.compatible().first().map(String::as_str));
    first.unwrap_or("a box of mine").to_owned()
}

/// A name that is easily typed.
fn slug(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let all: String = name.chars().map(plain).collect();
    let words: Vec<&str> = all.split('-').filter(|word| !word.is_empty()).collect();
    match words.is_empty() {
        true => "my-box".to_owned(),
        false => words.join("-"),
    }
}

fn signs(seen: &Seen) -> String {
    let machine: Vec<String> = seen.machine().map(str::to_owned).into_iter().collect();
    let all = [
        // The first is the box's own, the others those of its processor.
        ("compatible", &seen.compatible()[..seen.compatible().len().min(1)]),
        ("machine", &machine),
        ("dmi", seen.dmi()),
    ];
    let some: Vec<String> = all
        .iter()
        .filter(|(_, words)| !words.is_empty())
        .map(|(sign, words)| format!("{}: {}", text(sign), list(words)))
        .collect();
    match some.is_empty() {
        true => "{}".to_owned(),
        false => format!("{{ {} }}", some.join(", ")),
    }
}

fn chip_line(board: &Board, partitions: &[&Partition]) -> String {
    let ends = partitions
        .iter()
        .map(|partition| Some(offset(board, partition.id)? + partition.geometry.size));
    let end: Option<u64> = ends
        .collect::<Option<Vec<u64>>>()
        .and_then(|ends| ends.into_iter().max());
    // A chip has a power of two; where not all of it is divided the end is what is known.
    let size = end.map_or_else(|| "?".to_owned(), |end| written(end.next_power_of_two()));
    let Some(first) = partitions.first() else {
        return format!(
            "{{ \"kind\": \"nor\", \"size\": {}, \"erase_size\": \"?\" }}",
            text(&size)
        );
    };
    let geometry = &first.geometry;
    let kind = if geometry.kind.is_nand() { "nand" } else { "nor" };
    let mut line = format!(
        "{{ \"kind\": \"{kind}\", \"size\": {}, \"erase_size\": {}",
        text(&size),
        text(&written(erase_size(partitions)))
    );
    if geometry.kind.is_nand() {
        line.push_str(&format!(
            ", \"write_size\": {}, \"oob_size\": {}",
            geometry.write_size, geometry.oob_size
        ));
    }
    line.push_str(" }");
    line
}

/// Bytes of the largest erase block: partitions of one chip may have been made with different ones.
fn erase_size(partitions: &[&Partition]) -> u64 {
    let sizes = partitions.iter().map(|partition| partition.geometry.erase_size);
    sizes.max().unwrap_or_default().into()
}

fn line(board: &Board, partition: &Partition, block: u64) -> String {
    let start = offset(board, partition.id);
    let at = start.map_or_else(|| "?".to_owned(), |at| format!("{at:#x}"));
    let mut line = format!(
        "{{ \"mtd\": {}, \"name\": {}, \"offset\": {}, \"size\": {}",
        crate::plan::told::number(partition.id),
        text(&partition.name),
        text(&at),
        text(&written(partition.geometry.size))
    );
    if !partition.writable {
        line.push_str(", \"read_only\": true");
    }
    match partition.keep {
        Some(Protection::Bootloader) => line.push_str(", \"keep\": \"bootloader\""),
        Some(Protection::Settings) => line.push_str(", \"keep\": \"settings\""),
        None => (),
    }
    // What is cut out of another partition is elsewhere with the next image.
    let inside = board.map.parent(partition.id).and_then(|id| board.get(id));
    let cut_out = inside.is_some_and(|outer| board.map.parent(outer.id).is_some() || outer.name == "firmware");
    // And so is what does not begin and end with erase blocks: somebody looked where a file system begins.
    let mut edges = start.into_iter().chain([partition.geometry.size]);
    if cut_out || edges.any(|edge| !edge.is_multiple_of(block)) {
        line.push_str(", \"moves\": true");
    }
    line.push_str(" }");
    line
}
