//! flasher beside the tools that flash is written with otherwise, on the same kernel, the same emulated chips and the same
//! images, in one run.
//!
//! `counts` is a test: what the chip is told does not depend on the machine that emulates it. `times` only prints;
//! `tests/bench/run` puts its tables into `docs/benchmarks.md`.
//!
//! The box of NAND and RAM has a clock of its own: each instruction takes a nanosecond of its time ([`CLOCK`]), however busy
//! the workstation is. So the work of the CPU costs what it costs on a Marvell Kirkwood of 1.2 GHz, the processor of the boxes
//! with such NAND, which does somewhat less than an instruction a clock; the chip's delays cost what they are said to be, and
//! each run gives the same times. The NOR chip's delays are QEMU's, which keeps them by the workstation's clock; so does the
//! box that has it.
//!
//! There a tool's time is in good part its own. How close it comes to the chip shows a box with the workstation's processor
//! ([`uml`]), where an image is larger, so that beginning and end count less, and every figure is the median of [`ROUNDS`].
//!
//! What a chip was told is not what flasher says of itself: nandsim logs each operation, in runs of their own because that
//! takes time, and QEMU traces what its NOR chip is told. Nobody counts for the RAM that plays flash (mtdram).

mod bench_box;
mod images;
mod listen;
mod table;
mod takeover;

mod uml;

use crate::lab::{Kind, Machine, Parts, nand, tools};
use bench_box::{BenchBox, Chip, Nand, PAGE, Told};
use images::Case;
use table::{Column, Row, Section};

/// What writes. The names are those that `guest` knows.
const TOOLS: [(&str, &str); 6] = [
    ("flasher", "`flasher apply`"),
    ("flasher--no-rollback", "`flasher apply --no-rollback`"),
    ("flashcp-p", "`flashcp -p`"),
    ("flashcp", "`flashcp`"),
    ("nandwrite", "`flash_erase`, `nandwrite -p`"),
    ("mtdblock", "`dd` to `mtdblock`, `sync`"),
];

/// What an instruction takes in the box of NAND and RAM, as QEMU's `-icount` says it: two to the power of nought nanoseconds.
const CLOCK: &str = "shift=0";

/// How many erase blocks the image has for each one of the ARM box's, where the processor is fast: 50 MiB in all.
const STRETCH: usize = 4;
/// How often everything is measured there: what the processor did is counted in hundredths of a second.
const ROUNDS: usize = 5;

/// What flasher reads to know what lies there before it is overwritten: the beginnings of eight blocks, 8 KiB each.
const LOOK: u64 = 64 << 10;

/// Bytes that do not pack, and for another salt nowhere the same.
fn noise(length: u32, salt: u32) -> Vec<u8> {
    (0..length)
        .map(|i| ((i ^ salt).wrapping_mul(2_654_435_761) >> 9) as u8)
        .collect()
}

/// A box with NAND that has a data sheet's delays, and flasher and these files in `/tmp`. Its clock is its own.
fn box_of_nand(name: &str, images: Vec<(String, Vec<u8>)>) -> Machine {
    let kind = Kind::Armel;
    let mut files = nand::disk_files(kind);
    files.push(("flasher".to_owned(), tools::read(&tools::flasher(kind))));
    let copies: Vec<_> = images.iter().map(|(name, _)| format!("/mnt/data/{name}")).collect();
    files.extend(images);
    let files: Vec<_> = files.iter().map(|(name, content)| (&**name, &**content)).collect();
    let mut machine = Machine::new(name, Parts::plain(kind, 'A'))
        .ram_mib(256)
        .data_disk(&files)
        .steady_clock(CLOCK);
    machine.boot('A');
    machine.must(&format!(
        "cp /mnt/data/flasher {} /tmp/ && chmod +x /tmp/flasher",
        copies.join(" ")
    ));
    nand::load(&mut machine, &format!("parts=128 {}", bench_box::DELAYS));
    machine
}

/// On NAND, flasher erases and programs exactly the blocks that differ, by the chip's own count, and reads no block more often
/// than it must, but for a look at what was there: what differs for the first page, for its old content and when it was written,
/// what does not once, and everything at the end. Where nothing differs everything is read once. The chip then holds the image.
#[test]
#[ignore = "needs the lab: tests/run"]
fn counts() {
    let mut machine = BenchBox::new("bench-counts", Some(CLOCK));
    let chip = machine.load_nand(Nand::Logging);
    let images = images::Families::new(1);
    machine.take("flashcp", chip, images.other());
    for case in Case::ALL {
        let image = images.next(0, case);
        let took = machine.take("flasher", chip, &image);
        let (block, all) = (images::BLOCK as u64, images::BLOCKS as u64);
        let changed = case.changed_blocks() as u64;
        assert_eq!(took.says_erased, changed, "{case:?}");
        let end = if changed > 0 { all * block } else { 0 };
        let least = changed * (PAGE + 2 * block) + (all - changed) * block + end;
        let told = Told {
            erase: changed,
            program: changed * block,
            read: LOOK + least,
        };
        assert_eq!(took.told, told, "{case:?}");
        machine.holds(chip, &image);
    }
}

/// Prints the table of `docs/benchmarks.md`.
#[test]
#[ignore = "takes many minutes and tests nothing: tests/bench/run"]
fn times() {
    let images = images::Families::new(1);
    let mut sections = Vec::new();
    let mut machine = BenchBox::new("bench-times", Some(CLOCK));

    let delayed = machine.load_nand(Nand::Delayed);
    let limit = limit(&mut machine, delayed, &images);
    println!("NAND {limit:?}");
    let mut took = all(&mut machine, delayed, &images);
    machine.unload_nand();
    let logging = machine.load_nand(Nand::Logging);
    machine.take("flashcp", logging, images.other());
    for (row, counted) in took.iter_mut().zip(all(&mut machine, logging, &images)) {
        for (cell, counted) in row.cells.iter_mut().zip(counted.cells) {
            cell.told = counted.told;
        }
    }
    machine.unload_nand();
    sections.push(Section::new("NAND", limit, took));
    sections.push(fast_processor());

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
    println!("NOR {limit:?}");
    let took = all(&mut machine, nor, &images);
    sections.push(Section::new("NOR", limit, took));

    kept(&table::markdown(&sections, &cpu));
}

/// Prints how long all of an update takes beside the procedure by hand.
#[test]
#[ignore = "takes minutes and tests nothing: tests/bench/run"]
fn takeovers() {
    kept(&takeover::markdown(&takeover::measure()));
}

/// Prints the same by the box's own clock, and what it costs to let an update be followed.
#[test]
#[ignore = "takes minutes and tests nothing: tests/bench/run"]
fn clock() {
    kept(&(takeover::by_own_clock() + &listen::markdown(&listen::measure())));
}

/// Prints a table, and hands it to `tests/bench/run`.
fn kept(text: &str) {
    println!("{text}");
    if let Some(file) = std::env::var_os("FLASHER_BENCH_TABLE") {
        std::fs::write(file, text).unwrap();
    }
}

/// NAND where the processor is the workstation's.
fn fast_processor() -> Section {
    let images = images::Families::new(STRETCH);
    let mut machine = BenchBox::native(STRETCH);
    let chip = machine.load_nand(Nand::Delayed);
    machine.take("flashcp", chip, images.other());
    let mut limits = Vec::new();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        limits.push(limit(&mut machine, chip, &images));
        rounds.push(all(&mut machine, chip, &images));
    }
    let limit = Column {
        erase: median(limits.iter().map(|limit| limit.erase)),
        program: median(limits.iter().map(|limit| limit.program)),
        read: median(limits.iter().map(|limit| limit.read)),
    };
    let mut took = rounds.pop().unwrap_or_default();
    for (row, tool) in took.iter_mut().enumerate() {
        for (case, cell) in tool.cells.iter_mut().enumerate() {
            let last = *cell;
            let all = || rounds.iter().map(|round| round[row].cells[case]).chain([last]);
            cell.seconds = median(all().map(|took| took.seconds));
            cell.traps = median(all().map(|took| took.traps));
        }
    }
    Section::new("NAND, fast processor", limit, took)
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
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
