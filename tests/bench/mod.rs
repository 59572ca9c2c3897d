//! flasher beside the tools that flash is written with otherwise, on the same kernel, the same emulated chips and the same
//! images, in one run.
//!
//! `counts` is a test: how many blocks are erased does not depend on the machine that emulates the chip. `times` only
//! prints; `tests/bench/run` puts its table into the README.
//!
//! The box of NAND and RAM has a clock of its own: each instruction takes two nanoseconds of its time, however busy the
//! workstation is. So the work of the CPU costs what it costs on a slow box, the chip's delays cost what they are said to be,
//! and each run gives the same times. The NOR chip's delays are QEMU's, which keeps them by the workstation's clock; so does
//! the box that has it.

mod bench_box;
mod images;
mod table;

use bench_box::{BenchBox, Chip};
use images::Case;
use table::{Column, Row, Section};

/// What writes. The names are those that `guest` knows.
const TOOLS: [(&str, &str); 5] = [
    ("flasher", "`flasher apply`"),
    ("flashcp-p", "`flashcp -p`"),
    ("flashcp", "`flashcp`"),
    ("nandwrite", "`flash_erase`, `nandwrite -p`"),
    ("mtdblock", "`dd` to `mtdblock`, `sync`"),
];

/// On NAND, flasher erases exactly the blocks that differ, and the chip then holds the image.
#[test]
#[ignore = "needs the lab: tests/run"]
fn counts() {
    let mut machine = BenchBox::new("bench-counts", Some("shift=1"));
    let chip = machine.load_nand(bench_box::Nand::Quick);
    let images = images::Families::new();
    machine.take("flashcp", chip, images.other());
    for case in Case::ALL {
        let image = images.next(0, case);
        let took = machine.take("flasher", chip, &image);
        assert_eq!(
            took.erased,
            case.changed_blocks() as u64,
            "{case:?}: erase blocks erased"
        );
        machine.holds(chip, &image);
    }
}

/// Prints the table of the README.
#[test]
#[ignore = "takes many minutes and tests nothing: tests/bench/run"]
fn times() {
    let images = images::Families::new();
    let mut sections = Vec::new();
    let mut machine = BenchBox::new("bench-times", Some("shift=1"));

    let delayed = machine.load_nand(bench_box::Nand::Delayed);
    let limit = limit(&mut machine, delayed, &images);
    println!("NAND {limit:?}");
    let took = all(&mut machine, delayed, &images);
    machine.unload_nand();
    sections.push(Section::new("NAND", limit, took));

    let ram = machine.load_mtdram();
    let limit = self::limit(&mut machine, ram, &images);
    let took = all(&mut machine, ram, &images);
    sections.push(Section::new("RAM", limit, took));
    let cpu = [
        ("hash", "`sha256sum` of busybox"),
        ("inspect", "`flasher inspect`, which hashes"),
    ]
    .map(|(tool, name)| (name, machine.take(tool, ram, images.other()).seconds));
    drop(machine);

    let mut machine = BenchBox::new("bench-nor", None);
    let nor = machine.nor();
    let limit = self::limit(&mut machine, nor, &images);
    let took = all(&mut machine, nor, &images);
    sections.push(Section::new("NOR", limit, took));

    let text = table::markdown(&sections, &cpu);
    println!("{text}");
    if let Some(file) = std::env::var_os("FLASHER_BENCH_TABLE") {
        std::fs::write(file, text).unwrap();
    }
}

/// The chip's own operations on all blocks, each by itself: least work is made of these.
fn limit(machine: &mut BenchBox, chip: Chip, images: &images::Families) -> Column {
    let image = images.other();
    let mut seconds = |tool| machine.take(tool, chip, image).seconds;
    Column {
        erase: seconds("erase"),
        program: seconds("program"),
        read: seconds("read"),
    }
}

/// Every tool in every case. Each begins with what the one before left, which differs in every block from its first image.
fn all(machine: &mut BenchBox, chip: Chip, images: &images::Families) -> Vec<Row> {
    let mut rows = Vec::new();
    let tools = TOOLS.iter().filter(|(tool, _)| *tool != "nandwrite" || chip.nand);
    for (turn, (tool, name)) in tools.enumerate() {
        let cells = Case::ALL.map(|case| {
            let took = machine.take(tool, chip, &images.next(turn, case));
            println!("{tool} {case:?}: {took:?}");
            took
        });
        rows.push(Row { name, cells });
    }
    rows
}
