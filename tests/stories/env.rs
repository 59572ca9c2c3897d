//! U-Boot's environment: what `fw_setenv` and `mkenvimage` wrote is read, what we write `fw_printenv` reads, and nothing
//! that is not whole is ever written.

use crate::engine::target;
use crate::simbox::{Run, SimBox, bytes, flasher, read, tool};
use flasher::board::selector::Where;
use flasher::board::{Backend, Board};
use flasher::env::{Environment, Place};
use flasher::flash::{Policy, sequential};
use mtd_rs::{Fault, Flash, SimChip};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

pub const BLOCK: usize = 16 << 10;
/// Bytes of a copy; those behind it in its erase block belong to somebody else.
pub const SIZE: usize = 0x2000;
/// Where the environment's partition begins on the chip.
pub const ENV: usize = 2 * BLOCK;

/// A box with a partition for two copies, and slots for those who want them.
pub fn profile(nand: bool) -> Value {
    let mut chip = json!({"kind": "nor", "size": 32 * BLOCK, "erase_size": BLOCK});
    if nand {
        chip = json!({"kind": "nand", "size": 32 * BLOCK, "erase_size": BLOCK, "write_size": 512, "oob_size": 16});
    }
    let partition = |mtd: usize, name: &str, at: usize, blocks: usize| json!({"mtd": mtd, "name": name, "offset": at * BLOCK, "size": blocks * BLOCK});
    json!({
        "id": "two-copies", "name": "a box of the stories", "cpu": {"arch": "arm", "order": "little"},
        "chip": chip, "ram": 64 << 20,
        "partitions": [
            partition(0, "boot", 0, 2),
            partition(1, "env", 2, 6),
            partition(2, "kernel-a", 8, 4), partition(3, "rootfs-a", 12, 4),
            partition(4, "kernel-b", 16, 4), partition(5, "rootfs-b", 20, 4),
            partition(6, "data", 24, 8),
        ],
        "environment": [format!("env 0 {SIZE:#x}"), format!("/dev/mtd1 {:#x} {SIZE:#x}", 2 * BLOCK)],
    })
}

/// A box of that profile, its chip full of something.
pub fn sim(profile: &Value) -> SimBox {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("profile.json");
    fs::write(&file, profile.to_string()).unwrap();
    let sim = SimBox::new(file.to_str().unwrap());
    let mut chip = bytes(32 * BLOCK, 1);
    chip[ENV..ENV + 6 * BLOCK].fill(0xff);
    sim.fill(&chip);
    sim
}

pub fn put(sim: &SimBox, at: usize, content: &[u8]) {
    let mut chip = sim.flash();
    chip[at..at + content.len()].copy_from_slice(content);
    sim.fill(&chip);
}

/// The environment's partition as a file, and a configuration of libubootenv's tools for it.
pub struct Judge {
    dir: TempDir,
    copies: usize,
}

impl Judge {
    pub fn new(copies: usize) -> Judge {
        let judge = Judge {
            dir: TempDir::new().unwrap(),
            copies,
        };
        let lines: String = (0..copies)
            .map(|copy| format!("{} {:#x} {SIZE:#x}\n", judge.file("env"), copy * 2 * BLOCK))
            .collect();
        fs::write(judge.file("config"), lines).unwrap();
        fs::write(judge.file("defaults"), "bootdelay=3\n").unwrap();
        judge
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn take(&self, sim: &SimBox) {
        fs::write(self.file("env"), &sim.flash()[ENV..ENV + 6 * BLOCK]).unwrap();
    }

    fn give(&self, sim: &SimBox) {
        put(sim, ENV, &read(&self.dir.path().join("env")));
    }

    /// `fw_setenv` on the box.
    pub fn set(&self, sim: &SimBox, name: &str, value: &str) {
        self.take(sim);
        let (config, defaults) = (self.file("config"), self.file("defaults"));
        tool("fw_setenv", &["-c", &config, "-f", &defaults, name, value]);
        self.give(sim);
    }

    /// `fw_printenv` on the box: its lines, sorted.
    fn print(&self, sim: &SimBox) -> Vec<String> {
        self.take(sim);
        let output = tool("fw_printenv", &["-c", &self.file("config")]);
        assert!(output.stderr.is_empty(), "it took the defaults: {output:?}");
        sorted(&String::from_utf8(output.stdout).unwrap())
    }

    /// What both say, which must be the same.
    #[track_caller]
    pub fn agrees(&self, sim: &SimBox) -> Vec<String> {
        let ours = sorted(&sim.run("env", &[]).exits(0).out);
        assert_eq!(ours, self.print(sim), "{} copies", self.copies);
        ours
    }
}

pub fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn set(sim: &SimBox, assignments: &[&str]) -> Run {
    let path = sim.path();
    let mut all = vec!["env", "set"];
    all.extend(assignments);
    all.extend(["--sim", path.to_str().unwrap(), "--format", "json"]);
    flasher(&all)
}

/// `mkenvimage`'s environment.
pub fn made(text: &str, options: &[&str]) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name).to_str().unwrap().to_owned());
    fs::write(&from, text).unwrap();
    let size = format!("{SIZE:#x}");
    let mut all = vec!["-s", &size, "-o", &to];
    all.extend(options);
    all.push(&from);
    tool("mkenvimage", &all);
    fs::read(&to).unwrap()
}

/// It has a CRC. What stands in front of it in its erase block has none, and is programmed again with it.
#[test]
fn what_stands_in_front_of_it_is_not_taken_from_one_read() {
    let mut profile = profile(false);
    profile["environment"] = json!([format!("env 0x1000 {SIZE:#x}")]);
    let sim = sim(&profile);
    put(&sim, ENV + 0x1000, &made("bootdelay=3\n", &[]));
    let board = Board::discover(&Where {
        sim: Some(sim.path()),
        board: None,
    })
    .unwrap();
    let read = || Environment::read(&board, Place::find(&board, None).unwrap());
    assert!(read().is_ok());
    let Backend::Sim(backend) = &board.backend else {
        panic!("a simulated box");
    };
    let offset = ENV as u64 + 16;
    let (bit, times) = (3, 1);
    backend.chip().inject(Fault::FlipOnRead { offset, bit, times });
    let failure = read().err().unwrap();
    assert!(failure.what.contains("in front of the environment"), "{failure}");
    assert!(read().is_ok());
}

#[test]
fn each_reads_what_the_other_wrote_on_nand_for_as_often_as_the_serial_number_wraps() {
    let (sim, judge) = (sim(&profile(true)), Judge::new(2));
    judge.set(&sim, "first", "by fw_setenv");
    for (round, flags) in [None, None, Some(0xfe), None, None, None].into_iter().enumerate() {
        if let Some(flags) = flags {
            let active = sim.run("env", &["--format", "json"]).json()["copies"]
                .as_array()
                .unwrap()
                .iter()
                .position(|copy| copy["active"] == true)
                .unwrap();
            put(&sim, ENV + active * 2 * BLOCK + 4, &[flags]);
            // The other must be the older one for both of us.
            put(&sim, ENV + (1 - active) * 2 * BLOCK + 4, &[flags - 1]);
        }
        judge.agrees(&sim);
        let before = sim.flash();
        let result = set(&sim, &[&format!("ours={round}"), "gone="]).exits(0).json();
        assert_eq!(result["harm"], "written");
        let after = sim.flash();
        let changed: Vec<usize> = (0..32)
            .filter(|n| before[n * BLOCK..][..BLOCK] != after[n * BLOCK..][..BLOCK])
            .collect();
        assert!(changed == [2] || changed == [4], "only the inactive copy: {changed:?}");
        let now = judge.agrees(&sim);
        assert!(
            now.contains(&format!("ours={round}")) && now.contains(&"first=by fw_setenv".into()),
            "{now:?}"
        );
        judge.set(&sim, "theirs", &round.to_string());
        assert_eq!(sim.run("env", &["theirs"]).exits(0).out.trim(), round.to_string());
    }
}

#[test]
fn on_nor_the_other_copy_becomes_obsolete_and_nothing_else_of_it_changes() {
    let (sim, judge) = (sim(&profile(false)), Judge::new(2));
    put(&sim, ENV, &made("bootcmd=run a\nslot=a\n", &["-r"]));
    // What shares the erase blocks with the copies belongs to others.
    put(&sim, ENV + SIZE, &bytes(BLOCK - SIZE, 7));
    put(&sim, ENV + 2 * BLOCK + SIZE, &bytes(BLOCK - SIZE, 8));
    for round in 0..4 {
        let before = sim.flash();
        set(&sim, &[&format!("round={round}")]).exits(0);
        let after = sim.flash();
        let (active, other) = if round % 2 == 0 { (2, 0) } else { (0, 2) };
        assert_eq!(after[ENV + active * BLOCK + 4], 1);
        assert_eq!(after[ENV + other * BLOCK + 4], 0);
        let outside = |chip: &[u8]| {
            let mut chip = chip.to_vec();
            chip[ENV + active * BLOCK..][..SIZE].fill(0);
            chip[ENV + other * BLOCK + 4] = 0;
            chip
        };
        assert!(outside(&before) == outside(&after), "round {round}");
        assert!(judge.agrees(&sim).contains(&format!("round={round}")));
    }
    set(&sim, &["round=3"]).exits(0).json()["code"]
        .as_str()
        .filter(|code| *code == "nothing-to-do")
        .unwrap();
}

#[test]
fn an_only_copy_is_read_and_written_when_that_is_forced() {
    let mut alone = profile(false);
    alone["environment"].as_array_mut().unwrap().pop();
    let (sim, judge) = (sim(&alone), Judge::new(1));
    judge.set(&sim, "first", "by fw_setenv");
    judge.agrees(&sim);
    let before = sim.flash();
    let refused = set(&sim, &["x=1"]).exits(78);
    assert_eq!(refused.json()["code"], "one-copy");
    assert!(sim.flash() == before);
    set(&sim, &["x=1", "--force=one-copy"]).exits(0);
    assert!(judge.agrees(&sim).contains(&"x=1".into()));
}

#[test]
fn a_big_endian_box_keeps_its_byte_order() {
    let sim = sim(&profile(false));
    put(&sim, ENV, &made("a=1\n", &["-r", "-b"]));
    set(&sim, &["b=2"]).exits(0);
    let shown = sim.run("env", &["--format", "json"]).exits(0).json();
    assert_eq!(shown["order"], "big-endian");
    assert_eq!(shown["variables"], json!({"a": "1", "b": "2"}));
    // The same, but for flags and fill, as the maker of images for big-endian boxes makes it.
    let expected = made("a=1\nb=2\n", &["-r", "-b"]);
    assert!(sim.flash()[ENV + 2 * BLOCK..][..SIZE] == expected[..]);
}

#[test]
fn a_dry_run_and_a_question_change_nothing() {
    let sim = sim(&profile(false));
    put(&sim, ENV, &made("a=1\n", &["-r"]));
    let before = sim.flash();
    let plan = set(&sim, &["a=2", "-n"]).exits(0).json();
    assert_eq!(plan["valid"], true);
    assert_eq!(plan["writes"][0]["offset"], 2 * BLOCK);
    assert_eq!(sim.run("env", &["a"]).exits(0).out, "1\n");
    sim.run("env", &["b"]).exits(1);
    assert!(sim.flash() == before);
}

#[test]
fn the_place_may_be_named_by_a_file_as_fw_printenv_has_it() {
    let mut bare = profile(false);
    bare.as_object_mut().unwrap().remove("environment");
    let sim = sim(&bare);
    put(&sim, ENV, &made("a=1\n", &["-r"]));
    assert!(sim.run("env", &[]).exits(69).err.contains("--env-config"));
    let right = format!(
        "# device offset size sector count\n/dev/mtd1 0x0000 {SIZE:#x} 0x10000\nenv {:#x} {SIZE:#x}\n",
        2 * BLOCK
    );
    let file = sim.file("config", right.as_bytes());
    assert_eq!(sim.run("env", &["a", "--env-config", &file]).exits(0).out, "1\n");
    let directory = sim.dir.path().to_str().unwrap();
    for unreadable in ["/nonexistent", directory] {
        let run = sim.run("env", &["--env-config", unreadable]).exits(64);
        assert!(run.err.contains(unreadable), "{run:?}");
    }
    let block = BLOCK;
    for wrong in [
        "".to_owned(),
        "nonsense".into(),
        "/dev/mtd1 0x0".into(),
        "/dev/mtd9 0x0 0x2000".into(),
        "/dev/ubi0:env 0x0 0x2000".into(),
        "/dev/mtd1 0x0 4".into(),
        "/dev/mtd1 0x0 0xffffffffffffffff".into(),
        "/dev/mtd1 0xffffffffffffffff 0x2000".into(),
        "/dev/mtd1 0x0 0x2000 0xffffffffffffffff 0xffffffffffffffff".into(),
        "/dev/mtd1 0x17000 0x2000".into(),
        // Sizes that differ.
        format!("/dev/mtd1 0x0 0x2000\n/dev/mtd1 {block:#x} 0x1000"),
    ] {
        let file = sim.file("config", wrong.as_bytes());
        let run = sim.run("env", &["--env-config", &file]).exits(78);
        assert!(run.err.lines().count() >= 2, "{run:?}");
    }
}

/// Whatever the partition is called, and by whatever file that is known.
#[test]
fn an_update_keeps_the_environment_wherever_its_lines_place_it() {
    let sim = sim(&profile(false));
    let image = sim.file("image", &bytes(2 * BLOCK, 1));
    let before = sim.flash();
    let plan = |config: &str, more: &[&str]| {
        let file = sim.file("config", config.as_bytes());
        let all = ["--part", "kernel-a", "--env-config", &file, "--format", "json"];
        sim.run("plan", &[&all[..], more, &[&image]].concat())
    };
    let within = format!("kernel-a {BLOCK:#x} {SIZE:#x}\n");
    let run = plan(&within, &[]).exits(78);
    assert!(
        run.out.contains("kernel-a\\\" has the boot loader's environment in it"),
        "{run:?}"
    );
    assert_eq!(run.json()["valid"], false);
    plan(&within, &["--force", "settings,content"]).exits(0);
    // Behind what is written.
    plan(&format!("kernel-a {:#x} {SIZE:#x}\n", 2 * BLOCK), &[]).exits(0);
    // A file that is named has to be there, and to make sense.
    plan("kernel-a\n", &[]).exits(78);
    let run = sim.run("plan", &["--part", "kernel-a", "--env-config", "/nonexistent", &image]);
    assert!(run.exits(64).err.contains("/nonexistent"));
    assert!(sim.flash() == before);
}

/// The boot loader would take its defaults. Of two copies each has a byte of flags.
#[test]
fn a_damaged_environment_is_not_written_where_one_belongs() {
    let sim = sim(&profile(false));
    let before = sim.flash();
    let whole = made("a=1\n", &["-r"]);
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    // As long as the partition, as a copy of it would be.
    let mut copy = flipped.clone();
    copy.resize(6 * BLOCK, 0xff);
    for (image, says) in [
        (&copy[..], "its CRC is wrong"),
        (&flipped[..], "its CRC is wrong"),
        (&made("a=1\n", &[])[..], "its CRC is wrong"),
        (&whole[..whole.len() - 1], "it is shorter"),
    ] {
        let path = sim.file("image", image);
        let args = ["--part", "env", &path, "--force"];
        let run = sim.apply(&[&args[..], &["settings"]].concat()).exits(78);
        assert_eq!(run.json()["code"], "content", "{run:?}");
        assert!(run.out.contains(says), "{says}: {run:?}");
        assert!(sim.flash() == before);
        sim.apply(&[&args[..], &["settings,content"]].concat()).exits(0);
        sim.fill(&before);
    }
    sim.apply(&["--part", "env", &sim.file("image", &whole), "--force", "settings"])
        .exits(0);
    assert!(sim.flash()[ENV..].starts_with(&whole));
    // The boot loader takes the copy that is whole, and writes the other one next.
    let mut one = whole;
    one.resize(2 * BLOCK + SIZE, 0xff);
    sim.apply(&["--part", "env", &sim.file("image", &one), "--force", "settings"])
        .exits(0);
}

#[test]
fn what_is_not_whole_is_refused_and_nothing_is_written() {
    let whole = made("a=1\n", &["-r"]);
    let crc = |data: &[u8], flags: u8| {
        let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(data);
        [&sum.to_le_bytes()[..], &[flags], data].concat()
    };
    let mut broken = whole.clone();
    broken[100] ^= 1;
    let endless = crc(&[b'x'; SIZE - 5], 1);
    let half = crc(&[&[b'x'; SIZE - 6][..], &[0]].concat(), 1);
    let of = |flags: u8| {
        let mut copy = whole.clone();
        copy[4] = flags;
        copy
    };
    let blank = vec![0xff; SIZE];
    for (one, two, word) in [
        (&blank, &blank, "blank"),
        (&vec![0; SIZE], &blank, "blank"),
        (&broken, &broken, "CRC"),
        (&broken, &blank, "CRC"),
        (&endless, &blank, "two NULs"),
        (&half, &blank, "two NULs"),
        // The boot loader goes by CRC and flags: the newer of these is the one without an end.
        (&of(0), &endless, "two NULs"),
        // The layout of a single copy.
        (&made("a=1\n", &[]), &blank, "CRC"),
    ] {
        let sim = sim(&profile(false));
        put(&sim, ENV, one);
        put(&sim, ENV + 2 * BLOCK, two);
        let before = sim.flash();
        let run = set(&sim, &["a=2"]).exits(78);
        assert!(run.out.contains(word), "{word}: {run:?}");
        assert_eq!(run.json()["harm"], "untouched");
        sim.run("env", &[]).exits(78);
        assert!(sim.flash() == before, "{word}");
    }
    // One that is whole is enough, and what does not fit is refused before anything is written.
    let sim = sim(&profile(false));
    put(&sim, ENV, &whole);
    put(&sim, ENV + 2 * BLOCK, &broken);
    let before = sim.flash();
    let long = format!("a={}", "x".repeat(SIZE));
    assert!(set(&sim, &[&long]).exits(78).out.contains("bytes"));
    for wrong in ["a", "=1", "a b=1"] {
        set(&sim, &[wrong]).exits(64);
    }
    assert!(sim.flash() == before);
    set(&sim, &["a=2"]).exits(0);
    assert_eq!(sim.run("env", &["a"]).exits(0).out, "2\n");
}

#[test]
fn bad_blocks_are_passed_over_within_the_sectors_that_are_named() {
    let sim = sim(&profile(true));
    put(&sim, ENV, &vec![0xff; 6 * BLOCK]);
    // The first block of the first copy is bad, so that copy begins in the second.
    fs::write(sim.path().join("flash.bin.bad"), format!("{ENV:x}\n")).unwrap();
    put(&sim, ENV + BLOCK, &made("a=1\n", &["-r"]));
    let place = |sectors: usize| {
        let line = |at: usize| format!("env {at:#x} {SIZE:#x} {BLOCK:#x} {sectors}\n");
        sim.file("config", (line(0) + &line(3 * BLOCK)).as_bytes())
    };
    let one = place(1);
    assert!(
        sim.run("env", &["--env-config", &one])
            .exits(78)
            .err
            .contains("bad blocks")
    );
    let three = place(3);
    for value in ["2", "3", "4"] {
        set(&sim, &["--env-config", &three, &format!("a={value}")]).exits(0);
        assert_eq!(
            sim.run("env", &["a", "--env-config", &three]).exits(0).out.trim(),
            value
        );
    }
    let chip = sim.flash();
    assert!(chip[ENV..ENV + BLOCK].iter().all(|byte| *byte == 0xff), "the bad block");
}

#[test]
fn a_power_cut_at_any_operation_leaves_the_old_environment_or_the_new_one() {
    let mut cuts = 0;
    for nand in [false, true] {
        for turn in 0..2 {
            let sim = sim(&profile(nand));
            put(&sim, ENV, &made("slot=a\nkept=yes\n", &["-r"]));
            set(&sim, &["turn=0"]).exits(0);
            if turn == 1 {
                set(&sim, &["turn=1"]).exits(0);
            }
            let before = sim.flash();
            for operations in 0.. {
                sim.fill(&before);
                let finished = cut(&sim, nand, operations);
                let slot = sim.run("env", &["slot"]).exits(0).out;
                assert!(
                    slot == "a\n" || slot == "b\n",
                    "nand {nand}, after {operations}: {slot}"
                );
                assert_eq!(sim.run("env", &["kept"]).exits(0).out, "yes\n");
                let after = sim.flash();
                assert!(after[..ENV] == before[..ENV] && after[ENV + 3 * BLOCK..] == before[ENV + 3 * BLOCK..]);
                assert!(!finished || slot == "b\n", "said to be done");
                // The next run completes it.
                set(&sim, &["slot=b"]).exits(0);
                assert_eq!(sim.run("env", &["slot"]).exits(0).out, "b\n");
                if finished {
                    break;
                }
                cuts += 1;
            }
        }
    }
    println!("{cuts} power cuts");
    // One to four operations each, but all of them.
    assert!(cuts >= 10, "{cuts}");
}

/// `env set slot=b` on a copy of the chip that loses power after so many operations; what that leaves goes back into the
/// box. Whether it finished.
fn cut(sim: &SimBox, nand: bool, operations: u64) -> bool {
    let board = Board::discover(&Where {
        sim: Some(sim.path()),
        board: None,
    })
    .unwrap();
    let environment = Environment::read(&board, Place::find(&board, None).unwrap()).unwrap();
    let change = environment.change(&board, &["slot=b".to_owned()]).unwrap();
    let size = 32 * BLOCK as u64;
    let chip = match nand {
        true => SimChip::nand(size, BLOCK as u32, 512, 16),
        false => SimChip::nor(size, BLOCK as u32),
    };
    let chip = chip.build().unwrap();
    chip.load(0, &sim.flash());
    chip.inject(Fault::PowerCutAfter { operations });
    let end = sequential(
        &mut change.writes.iter().zip(&change.bytes),
        &mut |write| {
            let start = ENV as u64;
            let flash: Box<dyn Flash> = Box::new(chip.partition("env", start..start + 6 * BLOCK as u64, true));
            Ok(vec![target(write, flash)])
        },
        Policy::default(),
        &mut |_| (),
    );
    let power = chip.power();
    assert_eq!(end.is_ok(), power, "{end:?}");
    sim.fill(&chip.contents(0..size));
    power
}
