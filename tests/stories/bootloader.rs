//! Which boot loader a box has, whether that can recover it, and what replacing it takes. Sources: "Recovery mode of
//! the QNAP TS-109", and <https://lists.debian.org/debian-arm/2010/05/msg00059.html>.

use crate::containers::uimage;
use crate::simbox::{SimBox, bytes, flasher, tool};
use flasher::base::checksum::Cksum;

/// The page's table: checksum of mtd0, recovery mode, build date.
const TABLE: [(u32, &str, &str); 5] = [
    (1738123099, "no", "May 25 2007 - 12:05:32"),
    (1567861493, "no", "Jul 25 2007 - 11:20:10"),
    (2717372588, "no", "Aug 1 2007 - 16:47:15"),
    (2855509147, "no", "Dec 6 2007 - 14:48:05"),
    (1248388818, "yes", "Nov 14 2008 - 17:05:22"),
];

const LOADER: usize = 512 << 10;
/// Of a TS-109: mtd0 is the end of the chip.
const AT: usize = 0x780000;

fn cksum(bytes: &[u8]) -> u32 {
    let mut sum = Cksum::default();
    sum.update(bytes);
    sum.finish()
}

/// Gives the bytes this POSIX checksum by changing their last four: the checksum is linear in each bit.
pub fn forge(bytes: &mut [u8], target: u32) {
    let end = bytes.len() - 4;
    let mut with = |tail: u32| {
        bytes[end..].copy_from_slice(&tail.to_be_bytes());
        cksum(bytes)
    };
    let base = with(0);
    // Rows of (effect, cause), brought into a form in which each effect has a leading bit of its own.
    let mut rows: Vec<(u32, u32)> = Vec::new();
    for bit in 0..32 {
        let (mut effect, mut cause) = (with(1 << bit) ^ base, 1u32 << bit);
        for (other, why) in &rows {
            if effect ^ other < effect {
                effect ^= other;
                cause ^= why;
            }
        }
        rows.push((effect, cause));
        rows.sort_by_key(|(effect, _)| std::cmp::Reverse(*effect));
    }
    let (mut rest, mut tail) = (target ^ base, 0);
    for (effect, cause) in rows {
        if rest ^ effect < rest {
            rest ^= effect;
            tail ^= cause;
        }
    }
    assert_eq!(with(tail), target);
}

/// A TS-109 with this boot loader.
fn ts109(loader: &[u8]) -> SimBox {
    let sim = SimBox::new("qnap-ts109");
    let mut chip = sim.flash();
    chip[AT..AT + loader.len()].copy_from_slice(loader);
    sim.fill(&chip);
    sim
}

#[test]
fn the_checksum_is_that_of_cksum() {
    let sim = SimBox::new("generic");
    for (seed, length) in [0, 1, 2, 255, 256, 65_535, 65_536, 1 << 20, (1 << 24) + 1]
        .into_iter()
        .enumerate()
    {
        let content = bytes(length, seed as u64);
        let path = sim.file("content", &content);
        let said = String::from_utf8(tool("cksum", &[&path]).stdout).unwrap();
        assert_eq!(
            said.split(' ').next().unwrap(),
            cksum(&content).to_string(),
            "{length} bytes"
        );
    }
}

#[test]
fn every_boot_loader_of_the_table_is_known_and_dated() {
    for (sum, recovery, built) in TABLE {
        let mut loader = bytes(LOADER, 1);
        forge(&mut loader, sum);
        let sim = ts109(&loader);
        let devices = sim.run("devices", &["--format", "json"]).exits(0).json();
        let found = &devices["bootloader"];
        assert_eq!(
            (&found["cksum"], &found["recovery"], &found["built"]),
            (&sum.into(), &recovery.into(), &built.into())
        );
        let text = sim.run("devices", &[]).exits(0);
        assert!(
            text.out
                .contains(&format!("cksum {sum}, built {built}, recovery mode: {recovery}")),
            "{text:?}"
        );
    }
}

#[test]
fn the_build_date_is_read_from_the_boot_loader_wherever_it_lies() {
    // The last of these lies across two reads.
    for at in [0, 1000, LOADER - 60, (16 << 10) - 20] {
        let mut loader = bytes(LOADER, 2);
        let text = b"U-Boot 1.1.4 (Aug  1 2008 - 06:07:08) Marvell version: 3.5.9";
        loader[at..at + text.len()].copy_from_slice(text);
        let devices = ts109(&loader).run("devices", &["--format", "json"]).json();
        assert_eq!(devices["bootloader"]["built"], "Aug 1 2008 - 06:07:08", "at {at}");
    }
}

#[test]
fn an_unknown_boot_loader_is_said_to_be_so_with_a_way_to_contribute() {
    let sim = ts109(&bytes(LOADER, 3));
    let found = sim.run("devices", &["--format", "json"]).json()["bootloader"].clone();
    assert_eq!(found["recovery"], "unknown");
    let text = sim.run("devices", &[]);
    let sum = found["cksum"].to_string();
    assert!(text.err.contains(&sum) && text.err.contains("report"), "{text:?}");
}

/// As the thread on debian-arm has it: the build of January 2009 erases from 0xc0000 on, that of February 2009 leaves
/// NAS Config alone.
#[test]
fn a_recovery_that_erases_the_nas_configuration_is_warned_of() {
    for (built, warned) in [
        ("Jan 19 2009", true),
        ("Feb 10 2009", false),
        ("Dec 31 2008", true),
        ("", true),
    ] {
        let sim = SimBox::new("qnap-ts219");
        let mut chip = sim.flash();
        let text = format!("U-Boot 1.1.4 ({built} - 12:00:00)");
        chip[5000..5000 + text.len()].copy_from_slice(text.as_bytes());
        sim.fill(&chip);
        let run = sim.run("devices", &[]).exits(0);
        assert_eq!(run.err.contains("NAS Config"), warned, "{built:?}: {run:?}");
        assert!(run.out.contains("recovery mode: yes"), "{run:?}");
    }
}

#[test]
fn the_two_files_of_the_recovery_package_are_known() {
    let sim = SimBox::new("generic");
    for (sum, size, word) in [
        (1122474640, 1_788_312, "leaves mtd0 writable"),
        (3310502457, 459_100, "recovery mode"),
    ] {
        let mut content = bytes(size, 4);
        let path = sim.file("file", &content);
        assert!(
            flasher(&["inspect", "--format", "json", &path])
                .exits(0)
                .json()
                .get("known")
                .is_none()
        );
        forge(&mut content, sum);
        let path = sim.file("file", &content);
        let known = flasher(&["inspect", "--format", "json", &path]).exits(0).json()["known"].clone();
        assert!(known.as_str().is_some_and(|known| known.contains(word)), "{known}");
    }
}

/// Force, checksum and backup, each of them.
#[test]
fn replacing_the_boot_loader_must_be_wanted_three_times() {
    let sim = SimBox::changed("qnap-ts109", |profile| {
        profile["partitions"][0]["read_only"] = false.into()
    });
    let image = bytes(459_100, 5);
    let path = sim.file("u-boot.bin", &image);
    let sum = tool("sha256sum", &[&path]).stdout;
    let sum = String::from_utf8(sum[..64].to_vec()).unwrap();
    let backup = sim.dir.path().join("backup");
    let backup = backup.to_str().unwrap();
    let force: &[&str] = &["--force=bootloader"];
    let sha256: &[&str] = &["--sha256", &sum];
    let copy: &[&str] = &["--backup", backup];
    let before = sim.flash();
    for (given, code) in [
        ([&[], sha256, copy], "bootloader"),
        ([force, &[], copy], "bootloader-checksum"),
        ([force, sha256, &[]], "bootloader-backup"),
    ] {
        let mut args = vec!["--part", "U-Boot", &path];
        args.extend(given.concat());
        let run = sim.apply(&args).exits(78);
        assert_eq!(run.json()["code"], code, "{run:?}");
        assert!(sim.flash() == before);
        // Neither a checksum nor a copy can be forced away.
        args.push("--force=bootloader-checksum,bootloader-backup");
        sim.apply(&args).exits(78);
    }
    let mut args = vec!["--part", "U-Boot", &path];
    args.extend([force, sha256, copy].concat());
    sim.apply(&args).exits(0);
    assert!(sim.flash()[AT..AT + image.len()] == image[..]);
    assert!(std::path::Path::new(backup).join("mtd0.U-Boot.bin").is_file());
}

/// Forced, with its checksum and a copy of the old one, but the wrong file.
#[test]
fn what_a_boot_loader_starts_is_none() {
    let sim = SimBox::changed("qnap-ts109", |profile| {
        profile["partitions"][0]["read_only"] = false.into()
    });
    let kernel = uimage(&sim, &bytes(30_000, 7));
    let sum = tool("sha256sum", &[&kernel]).stdout;
    let sum = String::from_utf8(sum[..64].to_vec()).unwrap();
    let backup = sim.dir.path().join("backup");
    let args = [
        "--part",
        "U-Boot",
        &kernel,
        "--sha256",
        &sum,
        "--backup",
        backup.to_str().unwrap(),
    ];
    let before = sim.flash();
    let run = sim.apply(&[&args[..], &["--force=bootloader"]].concat()).exits(78);
    assert_eq!(run.json()["code"], "content", "{run:?}");
    assert!(run.out.contains("it holds the boot loader"), "{run:?}");
    assert!(sim.flash() == before);
    sim.apply(&[&args[..], &["--force=bootloader,content"]].concat())
        .exits(0);
}

/// As the page has it: the kernel that does not protect mtd0, a reboot, then u-boot.bin.
#[test]
fn a_protected_boot_loader_is_refused_with_the_way_that_leads_there() {
    let sim = SimBox::new("qnap-ts109");
    let path = sim.file("u-boot.bin", &bytes(459_100, 6));
    let run = sim
        .run("apply", &["-y", "--part", "U-Boot", "--force=bootloader", &path])
        .exits(78);
    for word in ["1122474640 1788312", "reboot", "3310502457 459100"] {
        assert!(run.err.contains(word), "{word}: {run:?}");
    }
}

/// The file of QNAP's package is shorter than its partition: behind it there is what the box had there before.
#[test]
fn the_known_file_is_recognised_whatever_stands_behind_it() {
    let mut file = bytes(459_100, 3);
    forge(&mut file, 3310502457);
    for rest in [
        vec![0xff; LOADER - file.len()],
        vec![0; LOADER - file.len()],
        bytes(LOADER - file.len(), 4),
    ] {
        let sim = ts109(&[&file[..], &rest].concat());
        let said = sim.run("devices", &["--format", "json"]).exits(0).json();
        assert_eq!(said["bootloader"]["recovery"], "yes", "{said}");
        assert_eq!(said["bootloader"]["built"], "Nov 14 2008 - 17:05:22");
    }
    let mut other = file;
    other[1000] ^= 1;
    other.resize(LOADER, 0xff);
    let said = ts109(&other).run("devices", &["--format", "json"]).exits(0).json();
    assert_ne!(said["bootloader"]["recovery"], "yes", "{said}");
}
