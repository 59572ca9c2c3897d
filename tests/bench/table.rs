//! The table of the README.

use super::bench_box::Took;
use super::images::{BLOCKS, Case};
use std::fmt::Write;

/// Seconds that the chip's own operations take on all blocks of the image.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub erase: f64,
    pub program: f64,
    pub read: f64,
}

impl Column {
    /// The least work for a case: what differs is erased and programmed once, everything is read once. Whoever does not read
    /// can be faster, and knows less.
    fn seconds(&self, case: Case) -> f64 {
        let changed = case.changed_blocks() as f64 / BLOCKS as f64;
        changed * (self.erase + self.program) + self.read
    }
}

/// A tool.
pub struct Row {
    pub name: &'static str,
    pub cells: [Took; 4],
}

/// A chip.
pub struct Section {
    name: &'static str,
    limit: Column,
    rows: Vec<(&'static str, [Cell; 4])>,
}

struct Cell {
    seconds: f64,
    counted: Option<super::Counts>,
}

impl Section {
    /// `counts` has the same rows as `took`, from a chip that counts.
    pub fn new(name: &'static str, limit: Column, took: &[Row], counts: Option<&[Row]>) -> Self {
        let rows = took.iter().enumerate().map(|(row, tool)| {
            let cell = |case: usize| Cell {
                seconds: tool.cells[case].seconds,
                counted: counts.map(|counts| counts[row].cells[case].counts),
            };
            (tool.name, std::array::from_fn(cell))
        });
        Section {
            name,
            limit,
            rows: rows.collect(),
        }
    }
}

/// Everything as Markdown.
pub fn markdown(sections: &[Section], cpu: &[(&str, f64)]) -> String {
    let mut text = String::new();
    for section in sections {
        let limit = &section.limit;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "\n| {} | everything | nothing | 1 % | 30 % |\n|---|---|---|---|---|",
            section.name
        );
        let _ = write!(text, "| least work");
        for case in Case::ALL {
            let _ = write!(text, " | {:.2} s", limit.seconds(case));
        }
        let _ = writeln!(text, " |");
        for (name, cells) in &section.rows {
            let _ = write!(text, "| {name}");
            for (case, cell) in Case::ALL.into_iter().zip(cells) {
                let _ = write!(text, " | {:.2}", cell.seconds / limit.seconds(case));
                if let Some(counts) = cell.counted {
                    let _ = write!(text, " ({}, {}, {})", counts.erased, counts.programmed, counts.read);
                }
            }
            let _ = writeln!(text, " |");
        }
        let _ = writeln!(
            text,
            "\nErase {:.3} s, program {:.3} s, read {:.3} s.",
            limit.erase, limit.program, limit.read
        );
    }
    for (name, seconds) in cpu {
        let _ = writeln!(text, "\n{name}: {seconds:.2} s.");
    }
    text
}
