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
    rows: Vec<Row>,
}

impl Section {
    pub fn new(name: &'static str, limit: Column, rows: Vec<Row>) -> Self {
        Section { name, limit, rows }
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
        for row in &section.rows {
            let _ = write!(text, "| {}", row.name);
            for (case, took) in Case::ALL.into_iter().zip(&row.cells) {
                let _ = write!(text, " | {:.2}", took.seconds / limit.seconds(case));
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
