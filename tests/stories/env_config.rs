//! Whatever `fw_printenv` of libubootenv reads, `flasher env` reads: configurations and environments of every kind, with
//! `fw_printenv` as the judge. What it reads and could not be written safely is only read.

use crate::env::{BLOCK, ENV, Judge, SIZE, made, profile, put, sim, sorted};
use crate::fakebox::{FakeBox, mtd};
use crate::shapes::NEW;
use crate::simbox::{Run, SimBox, bytes, is_root};
use std::fs;
use std::process::Command;

/// xorshift64*: the same cases in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A copy of an environment, as U-Boot lays it out on a little-endian box.
fn copy(text: &str, size: usize, flags: Option<u8>) -> Vec<u8> {
    let header = 4 + usize::from(flags.is_some());
    let mut data = text.replace('\n', "\0").into_bytes();
    data.push(0);
    data.resize(size - header, 0);
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&data);
    let mut copy = sum.to_le_bytes().to_vec();
    copy.extend(flags);
    copy.extend(data);
    copy
}

/// A number as somebody may write it; sizes are hexadecimal whatever they look like.
fn written(random: &mut Random, number: usize, offset: bool) -> String {
    match random.below(if offset { 4 } else { 3 }) {
        0 => format!("{number:#x}"),
        1 => format!("0X{number:X}"),
        2 if offset => number.to_string(),
        3 => format!("0{number:o}"),
        _ => format!("{number:x}"),
    }
}

/// What `fw_printenv` shows; nothing where it cannot read it.
fn judged(config: &str) -> Option<Vec<String>> {
    let output = Command::new("fw_printenv").args(["-c", config]).output().unwrap();
    let failed = !output.status.success() || !output.stderr.is_empty();
    (!failed).then(|| sorted(std::str::from_utf8(&output.stdout).unwrap()))
}

fn ours(sim: &SimBox, config: &str) -> Run {
    sim.run("env", &["--env-config", config])
}

/// The files that it lies in are read as `fw_printenv` reads them, so both have the same configuration.
#[test]
fn random_configurations_are_read_as_fw_printenv_reads_them() {
    let sim = SimBox::new("generic");
    let mut random = Random(0xe0e1_f00d);
    let (mut read, mut refused) = (0, 0);
    for round in 0..300 {
        let two = random.below(2) == 0;
        let size = [0x400, 0x1000, 0x2000, 0x4000][random.below(4) as usize];
        let mut content = bytes(0x1_0000, round);
        let offsets = [
            random.below(0x20) as usize * 0x100,
            0x8000 + random.below(0x20) as usize * 0x100,
        ];
        for (number, offset) in offsets.into_iter().enumerate().take(1 + usize::from(two)) {
            let text: String = (0..1 + random.below(20))
                .map(|n| format!("name{n}{number}=value {} = x\n", random.below(1 << 30)))
                .collect();
            let flags = random.of(&[&0, &1, &2, &7, &8, &0xfe, &0xff]);
            let copy = copy(&text, size, two.then_some(*flags));
            content[offset..offset + size].copy_from_slice(&copy);
            if random.below(8) == 0 {
                content[offset + 10] ^= 1;
            }
        }
        let file = sim.file("environment", &content);
        let mut config = Vec::new();
        for offset in offsets.iter().take(1 + usize::from(two)) {
            config.extend_from_slice(random.of(&[
                &b""[..],
                b"# a comment\n",
                b"# f\xfcr mich 0 10\n",
                b"\n",
                b"nonsense 1\n",
                b"  # x y\n",
            ]));
            let gap = random.of(&[" ", "\t", "   ", "\t "]);
            let offset = written(&mut random, *offset, true);
            // Now and then it is another one.
            let size = if random.below(12) == 0 { size / 2 } else { size };
            let size = written(&mut random, size, false);
            config.extend(format!("{file}{gap}{offset}{gap}{size}").into_bytes());
            config.extend_from_slice(random.of(&[
                &b""[..],
                b" ",
                b"\r",
                b" # NOR",
                b"# NOR",
                b" 0x1000",
                b" 1000 1",
                b" 10000 0x10 # x",
                b" zz",
                b" \xff\xfe",
                b" 4096 4",
            ]));
            config.push(b'\n');
        }
        let config = sim.file("config", &config);
        let run = ours(&sim, &config);
        let told = fs::read(&config).unwrap();
        match judged(&config) {
            Some(wanted) => {
                assert_eq!(
                    sorted(&run.exits(0).out),
                    wanted,
                    "round {round}: {}",
                    told.escape_ascii()
                );
                read += 1;
            }
            None => {
                run.exits(78);
                refused += 1;
            }
        }
    }
    assert!(read > 150 && refused > 20, "{read} read, {refused} refused");
}

/// What each sets to whatever values, the other reads.
#[test]
fn random_variables_go_forth_and_back() {
    let (sim, judge) = (sim(&profile(true)), Judge::new(2));
    put(&sim, ENV, &made("first=1\n", &["-r"]));
    let mut random = Random(0x5e7_e2f);
    for round in 0..30 {
        let name = format!("v{}", random.below(6));
        let length = random.below(120) as usize;
        let value: String = (0..length)
            .map(|_| *random.of(&[&'a', &' ', &'=', &'ß', &'"', &'$', &'#']))
            .collect();
        let value = format!("x{value}x");
        match random.below(2) {
            0 => judge.set(&sim, &name, &value),
            _ => {
                let path = sim.path();
                let assignment = format!("{name}={value}");
                crate::simbox::flasher(&["env", "set", &assignment, "--sim", path.to_str().unwrap()]).exits(0);
            }
        }
        let all = judge.agrees(&sim);
        assert!(all.contains(&format!("{name}={value}")), "round {round}: {all:?}");
    }
}

/// The JSON of `env` for this configuration, which is read, and a change of it, which is refused and says why.
#[track_caller]
fn only_read(sim: &SimBox, config: &str, why: &str) {
    let config = sim.file("config", config.as_bytes());
    let shown = sim
        .run("env", &["--format", "json", "--env-config", &config])
        .exits(0)
        .json();
    assert_eq!(shown["variables"]["a"], "1", "{shown}");
    assert!(shown["only_read"].as_str().unwrap().contains(why), "{shown}");
    let before = sim.flash();
    let path = sim.path();
    let words = [
        "env",
        "set",
        "a=2",
        "--sim",
        path.to_str().unwrap(),
        "--env-config",
        &config,
        "--force=one-copy",
    ];
    let run = crate::simbox::flasher(&words).exits(78);
    assert!(
        run.err.contains("can be read and not changed") && run.err.contains(why),
        "{run:?}"
    );
    assert!(sim.flash() == before);
}

#[test]
fn what_cannot_be_written_safely_is_only_read() {
    // Two copies in one erase block.
    let nor = sim(&profile(false));
    put(&nor, ENV, &made("a=1\n", &["-r"]));
    only_read(&nor, "/dev/mtd1 0 2000\n/dev/mtd1 2000 2000\n", "share erase blocks");
    // Flags of which boot loaders make different things.
    for (one, two) in [(2, 3), (0, 0xff)] {
        let mut copies = [made("a=0\n", &["-r"]), made("a=1\n", &["-r"])];
        (copies[0][4], copies[1][4]) = (one, two);
        put(&nor, ENV, &copies[0]);
        put(&nor, ENV + 2 * BLOCK, &copies[1]);
        only_read(
            &nor,
            &format!("env 0 {SIZE:#x}\nenv {:#x} {SIZE:#x}\n", 2 * BLOCK),
            "flags",
        );
    }
    // More lines than there can be copies.
    let lines = format!("env 0 {SIZE:#x}\nenv {:#x} {SIZE:#x}\nboot 0 {SIZE:#x}\n", 2 * BLOCK);
    let mut copies = [made("a=1\n", &["-r"]), made("a=0\n", &["-r"])];
    copies[1][4] = 0;
    put(&nor, ENV, &copies[0]);
    put(&nor, ENV + 2 * BLOCK, &copies[1]);
    only_read(&nor, &lines, "first two");
    // Counted from the end, as of a block device; the partition has six erase blocks.
    put(&nor, ENV, &made("a=1\n", &[]));
    only_read(
        &nor,
        &format!("/dev/mtdblock1 -{:#x} {SIZE:#x}\n", 6 * BLOCK),
        "from the end",
    );
    let config = nor.file("config", format!("env -{:#x} 1000\n", 7 * BLOCK).as_bytes());
    assert!(ours(&nor, &config).exits(78).err.contains("before its start"));
    // Within an erase block of NAND.
    let nand = sim(&profile(true));
    put(&nand, ENV + 0x1000, &made("a=1\n", &[]));
    only_read(&nand, "/dev/mtd1 0x1000 2000\n", "erase block");
    // A file.
    let file = nand.file("environment", &made("a=1\n", &[]));
    only_read(&nand, &format!("{file} 0 2000\n"), "is not flash");
    // One copy on NOR, whose flags are no numbers as those of the other are.
    put(&nor, ENV, &made("a=1\n", &["-r"]));
    let file = nor.file("other", &made("a=1\n", &["-r"]));
    only_read(&nor, &format!("env 0 2000\n{file} 0 2000\n"), "different kinds");
    // A sector count beyond the partition is what NOR does not look at.
    put(&nor, ENV, &made("a=1\n", &[]));
    let config = nor.file("config", b"/dev/mtd1 0 2000 ffffffffffffffff ffff\n");
    assert_eq!(nor.run("env", &["a", "--env-config", &config]).exits(0).out, "1\n");
    // Newer forms of the file than those of lines.
    let yaml = "uboot:\n  size : 0x4000\n  devices:\n    - path : /dev/mtd1\n      offset : 0x0\n";
    let config = nor.file("config", yaml.as_bytes());
    assert!(ours(&nor, &config).exits(78).err.contains("this is YAML"));
    // A name as udev's links have it.
    let config = nor.file("config", b"/dev/mtd/by-name/env 0x0 0x2000\n");
    assert_eq!(nor.run("env", &["a", "--env-config", &config]).exits(0).out, "1\n");
}

#[test]
fn what_would_fit_is_said_where_a_crc_is_wrong() {
    let sim = sim(&profile(false));
    for (content, words) in [
        (made("a=1\n", &[]), vec!["SIZE 0x2000 instead of 0x1000"]),
        (
            made("a=1\n", &["-r"]),
            vec!["SIZE 0x2000", "a byte of flags", "name the other one"],
        ),
        (copy("a=1\n", 0x1000, Some(1)), vec!["it is right with a byte of flags"]),
        (copy("a=1\n", 0x3000, None), vec!["SIZE 0x3000"]),
    ] {
        put(&sim, ENV, &content);
        let config = sim.file("config", b"env 0 1000\n");
        let run = ours(&sim, &config).exits(78);
        for word in words {
            assert!(run.err.contains(word), "{word}: {run:?}");
        }
    }
    let mut broken = made("a=1\n", &[]);
    broken[9] ^= 1;
    put(&sim, ENV, &broken);
    let config = sim.file("config", b"env 0 1000\n");
    assert!(!ours(&sim, &config).exits(78).err.contains("it is right"));
}

/// A partition is meant by its node, whatever that is called and whatever leads to it.
#[test]
fn a_link_to_a_node_is_the_partition() {
    if !is_root() {
        return;
    }
    let router = FakeBox::new(
        NEW,
        &[mtd(0, "u-boot-env", 64 << 10, 0), mtd(1, "firmware", 1 << 20, 64 << 10)],
    );
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("env");
    let made = Command::new("mknod")
        .arg(&node)
        .args(["c", "90", "0"])
        .status()
        .unwrap();
    assert!(made.success());
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("env", &link).unwrap();
    let config = dir.path().join("config");
    for (device, found) in [
        (link.to_str().unwrap(), true),
        ("/dev/mtd/by-name/u-boot-env", true),
        ("/dev/mtdblock0", true),
        ("/dev/mtd/by-name/other", false),
    ] {
        fs::write(&config, format!("{device} 0 1000\n")).unwrap();
        let run = router.run(&["env", "--env-config", config.to_str().unwrap()]);
        // It is found, but there is no flash behind it here.
        let said = if found { "mtd0" } else { "there is no partition" };
        assert!(run.err.contains(said), "{device}: {run:?}");
    }
}
