//! Whether a file is a proper recovery image.

#![forbid(unsafe_code)]

use crate::base::error::Result;
use crate::base::format::Format;
use crate::base::machine::{Arch, Cpu, Order, Processor, Role};
use crate::base::units::Grouped;
use crate::bytes::store::Store;
use crate::image::content;
use crate::image::content::Content;
use crate::recovery::boards::DEVICES;
use crate::recovery::{Fate, Layout, Mode, Slot, boards, name};
use serde::Serialize;
use std::io;

/// What all of these boxes have.
const CPU: Cpu = Cpu {
    arch: Arch::Arm,
    order: Order::Little,
};

/// A part of the image.
#[derive(Debug, Serialize)]
pub struct Part {
    /// The partition's number.
    pub mtd: u32,
    /// Its name.
    pub name: String,
    /// Where it is in the image, in bytes.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// `written`, `ignored` or `depends`.
    pub fate: &'static str,
    /// What it is, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether a box may be given it.
    pub ok: bool,
    /// The id of the profile; none when the size fits no box.
    pub board: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal SHA-256.
    pub sha256: String,
    /// What the boot loader configuration inside says the file name is.
    pub names: Vec<String>,
    /// The boxes that it may be for.
    pub devices: Vec<&'static str>,
    /// In the order of the image.
    pub parts: Vec<Part>,
    /// Bytes behind the last part, which the boot loader ignores.
    pub ignored: u64,
    /// What is wrong.
    pub problems: Vec<String>,
}

/// Looks at all of it.
///
/// # Errors
/// Those of reading the store.
pub fn check(store: &Store, sha256: String) -> Result<io::Result<Report>> {
    let layouts = Layout::all()?;
    Ok(with(&layouts, store, sha256))
}

fn with(layouts: &[Layout], store: &Store, sha256: String) -> io::Result<Report> {
    let mut report = Report {
        ok: false,
        board: None,
        size: store.len(),
        sha256,
        names: Vec::new(),
        devices: Vec::new(),
        parts: Vec::new(),
        ignored: 0,
        problems: Vec::new(),
    };
    let Some(layout) = layouts.iter().find(|layout| layout.sizes.contains(&report.size)) else {
        report.problems.push(wrong_size(layouts, report.size));
        return Ok(report);
    };
    report.board = Some(layout.board.clone());
    report.ignored = report.size - layout.size();
    for slot in &layout.slots {
        let content = content::look(store, slot.range.clone())?;
        if slot.partition.name == "Kernel" {
            report
                .problems
                .extend(wrong_kernel(layout, content.as_ref(), store, &slot.label())?);
        } else if let Some(content) = content.as_ref().filter(|_| slot.fate == Fate::Written) {
            report.problems.extend(wrong(slot, content));
        }
        report.parts.push(Part {
            mtd: slot.partition.mtd,
            name: slot.partition.name.clone(),
            offset: slot.range.start,
            size: slot.range.end - slot.range.start,
            fate: slot.fate.as_str(),
            content,
        });
    }
    report.names = names(layout, store)?;
    let known = |device: &&boards::Device| report.names.iter().any(|name| device.names.contains(&name.as_str()));
    let told = DEVICES.iter().any(|device| known(&device));
    report.devices = DEVICES
        .iter()
        .filter(|device| device.board == layout.board && (!told || known(device)))
        .map(|device| device.device)
        .collect();
    report.ok = report.problems.is_empty();
    Ok(report)
}

/// The file names that the image itself tells: its boot loader configuration may.
///
/// # Errors
/// Those of reading the store.
pub fn names(layout: &Layout, store: &Store) -> io::Result<Vec<String>> {
    match (layout.mode(), layout.slot(4)) {
        (Mode::Dhcp, Some(config)) => {
            let mut bytes = vec![0; (config.range.end - config.range.start) as usize];
            store.read_exact_at(config.range.start, &mut bytes)?;
            Ok(name::search(&bytes))
        }
        (Mode::Dhcp, None) => Ok(Vec::new()),
        (Mode::Fixed, _) => Ok(vec![boards::FIXED.to_owned()]),
    }
}

fn wrong_size(layouts: &[Layout], size: u64) -> String {
    let known: Vec<_> = layouts
        .iter()
        .flat_map(|layout| layout.sizes.iter().map(|size| (size, &layout.board)))
        .map(|(size, board)| format!("{} ({board})", Grouped(*size)))
        .collect();
    format!(
        "it has {} bytes; a recovery image has {}",
        Grouped(size),
        known.join(" or ")
    )
}

/// What is wrong with what another partition would get.
fn wrong(slot: &Slot, content: &Content) -> Option<String> {
    let holds = &slot.partition.holds;
    let fits = holds.is_empty() || holds.iter().any(|what| what.takes(content.format, content.role));
    let problem = content.problem.clone().or_else(|| content.foreign_to(CPU));
    let problem = problem.or_else(|| (!fits).then(|| format!("{} does not belong there", content.format.described())));
    problem.map(|problem| format!("{}: {problem}", slot.label()))
}

fn wrong_kernel(layout: &Layout, found: Option<&Content>, store: &Store, label: &str) -> io::Result<Option<String>> {
    Ok(match found {
        Some(content) if content.role != Role::Kernel || content.arch != Some(Processor::Known(Arch::Arm)) => {
            Some(format!("{label} does not begin with a kernel for ARM"))
        }
        Some(content) if content.format != Format::Uimage => Some(no_uimage(label)),
        Some(content) => content.problem.as_ref().map(|problem| format!("{label}: {problem}")),
        None => {
            // The commonest mistake: the files in the order of their numbers, so that the kernel follows mtd0.
            let first = layout.slot(0).map_or(0, |slot| slot.partition.size);
            let misplaced = match layout.mode() {
                Mode::Dhcp => content::look(store, first..store.len())?,
                Mode::Fixed => None,
            };
            let order: Vec<_> = layout
                .slots
                .iter()
                .map(|slot| format!("mtd{}", slot.partition.mtd))
                .collect();
            Some(match misplaced.is_some_and(|content| content.role == Role::Kernel) {
                true => format!(
                    "the partitions are in the wrong order: the kernel follows mtd0, but the order is {}",
                    order.join(" ")
                ),
                false => no_uimage(label),
            })
        }
    })
}

fn no_uimage(label: &str) -> String {
    format!("{label} does not begin with a uImage, which is all that the boot loader starts")
}
