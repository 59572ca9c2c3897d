//! The tables of `docs/benchmarks.md`.

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
    fn least(&self, case: Case) -> f64 {
        changed(case) * (self.erase + self.program) + self.read
    }

    /// The least work of who also reads back what was written, and then everything once more; what does not differ was read
    /// before, or that would not be known.
    fn proven(&self, case: Case) -> f64 {
        match changed(case) {
            0.0 => self.read,
            changed => changed * (self.erase + self.program + self.read) + (1.0 - changed) * self.read + self.read,
        }
    }
}

/// How much of the image differs: 1 is everything.
fn changed(case: Case) -> f64 {
    case.changed_blocks() as f64 / BLOCKS as f64
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

    fn write(&self, text: &mut String) {
        let limit = &self.limit;
        line(text, self.name, |case| heading(case).to_owned());
        text.push_str("|---|---|---|---|---|\n");
        line(text, "least work", |case| format!("{:.2} s", limit.least(case)));
        line(text, "least work, proven", |case| {
            format!("{:.2} s", limit.proven(case))
        });
        for row in &self.rows {
            line(text, row.name, |case| {
                let seconds = row.cells[case as usize].seconds;
                let (least, proven) = (seconds / limit.least(case), seconds / limit.proven(case));
                match row.name.contains("flasher") {
                    true => format!("{least:.2} ({proven:.2})"),
                    false => format!("{least:.2}"),
                }
            });
        }
        let flashcp = self.rows.iter().find(|row| row.name == "`flashcp`");
        if let (Some(flasher), Some(flashcp)) = (self.rows.first(), flashcp) {
            line(text, "`flasher apply` : `flashcp`", |case| {
                let of = |row: &Row| row.cells[case as usize].seconds;
                format!("{:.2}", of(flasher) / of(flashcp))
            });
        }
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "\nErase {:.3} s, program {:.3} s, read {:.3} s.",
            limit.erase, limit.program, limit.read
        );
        if self
            .rows
            .iter()
            .any(|row| row.cells.iter().any(|cell| cell.traps > 0.0))
        {
            self.write_traps(text);
        }
        if self
            .rows
            .iter()
            .all(|row| row.cells.iter().all(|cell| cell.told.erase == 0))
        {
            return;
        }
        text.push('\n');
        line(text, &format!("{}: erased, programmed, read", self.name), |case| {
            heading(case).to_owned()
        });
        text.push_str("|---|---|---|---|---|\n");
        for row in &self.rows {
            line(text, row.name, |case| {
                let told = row.cells[case as usize].told;
                let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
                let read = match told.read {
                    0 => String::new(),
                    bytes => format!(", {:.1}", mib(bytes)),
                };
                format!("{}, {:.1}{read}", told.erase, mib(told.program))
            });
        }
    }

    /// What the emulation of traps and page tables took, which is in no other figure.
    fn write_traps(&self, text: &mut String) {
        text.push('\n');
        line(text, &format!("{}: traps, left out", self.name), |case| {
            heading(case).to_owned()
        });
        text.push_str("|---|---|---|---|---|\n");
        for row in &self.rows {
            line(text, row.name, |case| {
                format!("{:.2} s", row.cells[case as usize].traps)
            });
        }
    }
}

fn heading(case: Case) -> &'static str {
    match case {
        Case::Everything => "everything",
        Case::Nothing => "nothing",
        Case::One => "1 %",
        Case::Thirty => "30 %",
    }
}

/// A line of a table: its name, and what there is to say for each case.
fn line(text: &mut String, name: &str, cell: impl Fn(Case) -> String) {
    let cells = Case::ALL.map(cell);
    let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
}

/// Everything as Markdown.
pub fn markdown(sections: &[Section], cpu: &[(&str, f64)]) -> String {
    let mut text = String::new();
    for section in sections {
        text.push('\n');
        section.write(&mut text);
    }
    for (name, seconds) in cpu {
        let _ = writeln!(text, "\n{name}: {seconds:.2} s.");
    }
    text
}
