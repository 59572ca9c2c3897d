//! Every shape in which kernels show flash, on one box and a kernel that shows it: a second chip with the same offsets as the
//! first, a UBI inside of a nested partition, two partitions of one name, a concatenation; then the same box with the sysfs of a
//! kernel before 4.1, which tells no offsets, and with none. What is mounted is never written, by whatever partition.

use super::*;
use crate::lab::{modules, nested_nor};
use serde_json::Value;

/// The box's own chip has a `spare` too, and its root where this one has `inner`, up to `free`.
const PARTS: &str = "parts=outer:0:0x800000,inner-kernel:0:0x100000:outer,inner:0x100000:0:outer,spare:0x800000:0x100000,\
twin:0x900000:0x100000,twin:0xa00000:0x100000,free:0xb00000:0x100000,first:0xc00000:0x200000,second:0xe00000:0x200000 \
concat=first:second:joined";

/// Has sysfs show flash as kernels before 4.1 do: without the attribute, and no partition below another.
const OLD_SYSFS: &str = r#"#!/bin/sh
set -e
mkdir /tmp/old
mount -t tmpfs tmpfs /tmp/old
mkdir /tmp/old/class
for chip in $(find /sys/devices -name mtd); do
    flat=/tmp/old$chip
    for device in $(find $chip -name 'mtd[0-9]*'); do
        name=${device##*/}
        case $name in *ro) continue ;; esac
        mkdir -p $flat/$name
        for file in name type flags size erasesize writesize subpagesize oobsize numeraseregions dev; do
            cat $device/$file >$flat/$name/$file
        done
        ln -s ../..${chip#/sys}/$name /tmp/old/class/$name
    done
    mount --bind $flat $chip
done
mount --bind /tmp/old/class /sys/class/mtd
"#;

/// What refuses a partition on this box, in any order of sysfs: something mounted, a protected part, or a name that is not one.
const CHECKS: [&str; 3] = ["holders", "bootloader", "partition"];

/// What is mounted from the second chip.
const MOUNTS: [&str; 2] = ["mounted on /tmp/rom (squashfs)", "ubi0_0 mounted on /tmp/data (ubifs)"];

/// The MTDs of the second chip by the numbers that they are listed under.
struct Numbers {
    outer: u32,
    spare: u32,
    rom: u32,
    free: u32,
    kernel: u32,
    inner: u32,
    joined: u32,
}

#[test]
#[ignore = "needs the lab: tests/run"]
fn what_is_mounted_is_held_in_every_shape() {
    let file = tools::noise(300_000, 1);
    let mut machine = boot(&file);
    let numbers = mount(&mut machine);
    let before = machine.flash();
    let second = sum(&mut machine);

    every_shape_is_told(&mut machine, &numbers);
    let [rom, inner] = MOUNTS;
    for (part, check, says) in [
        ("outer".to_owned(), "holders", inner),
        ("inner".into(), "holders", inner),
        (format!("mtd{}", numbers.rom), "holders", rom),
        ("joined".into(), "bootloader", "may contain mtd0"),
        ("spare".into(), "partition", "several partitions are named"),
        ("twin".into(), "partition", "several partitions are named"),
        ("rootfs".into(), "holders", "mounted on / (squashfs)"),
    ] {
        refused(&mut machine, &part, &[check], says);
    }
    untouched(&mut machine, &before, &second);

    // What has the same offset on the other chip is mounted, and what has the same name.
    for mtd in [numbers.kernel, numbers.spare, numbers.rom + 1, numbers.free] {
        machine.must(&apply(&format!("mtd{mtd}")));
        machine.must(&format!(
            "dd if=/dev/mtd{mtd} bs=300000 count=1 2>/dev/null | cmp - /mnt/data/file"
        ));
    }
    let second = sum(&mut machine);
    untouched(&mut machine, &before, &second);

    machine.must("sh /mnt/data/old-sysfs");
    nothing_is_told(&mut machine, &numbers, Some("nested_nor"));
    for part in second_chip(&numbers) {
        refused(&mut machine, &part, &CHECKS, "");
    }
    refused(&mut machine, "mtd2", &["holders"], "mounted on / (squashfs)");
    untouched(&mut machine, &before, &second);

    machine.must("umount -l /sys && [ ! -e /sys/class ]");
    nothing_is_told(&mut machine, &numbers, None);
    for part in second_chip(&numbers)
        .into_iter()
        .chain(["kernel".into(), "rootfs".into()])
    {
        refused(&mut machine, &part, &CHECKS, "");
    }
    untouched(&mut machine, &before, &second);
}

fn boot(file: &[u8]) -> Machine {
    let rom = nested_nor::squashfs("file", file);
    let mut files = modules::files(Kind::Armel, &["lzo", "deflate", "ubi", "ubifs"]);
    files.extend([
        ("rom".to_owned(), rom),
        ("file".into(), file.to_vec()),
        ("old-sysfs".into(), OLD_SYSFS.into()),
    ]);
    let files: Vec<_> = files.iter().map(|(name, content)| (&**name, &**content)).collect();
    nested_nor::boot("shapes", PARTS, &files)
}

/// Mounts a UBIFS from inside of `outer`, and a squashfs from the first `twin`.
fn mount(machine: &mut Machine) -> Numbers {
    let [outer, spare, rom, free, kernel, inner, joined] =
        ["outer", "first", "free", "free", "inner-kernel", "inner", "joined"]
            .map(|name| nested_nor::mtd(machine, name));
    // Of one name are these two, and their neighbours are not.
    let (spare, rom) = (spare - 4, rom - 2);
    machine.must("sh /mnt/data/modules/load /mnt/data/modules && mkdir /tmp/data /tmp/rom");
    machine.must(&format!(
        "ubiattach -m {inner} /dev/ubi_ctrl && ubimkvol -N data -m /dev/ubi0"
    ));
    machine.must("mount -t ubifs ubi0_0 /tmp/data && cp /mnt/data/file /tmp/data/ && umount /tmp/data");
    machine.must("mount -t ubifs -o ro ubi0_0 /tmp/data");
    machine.must(&format!("dd if=/mnt/data/rom of=/dev/mtdblock{rom} bs=64k && sync"));
    machine.must(&format!("mount -t squashfs -o ro /dev/mtdblock{rom} /tmp/rom && sync"));
    Numbers {
        outer,
        spare,
        rom,
        free,
        kernel,
        inner,
        joined,
    }
}

fn apply(part: &str) -> String {
    format!(
        "/tmp/flasher -q apply -y --in-place --no-reboot --no-rollback --force=content --part {part} /mnt/data/file 2>&1"
    )
}

fn refused(machine: &mut Machine, part: &str, checks: &[&str], says: &str) {
    let (status, said) = machine.run(&apply(part));
    assert_eq!(status, 78, "{part}: {said}");
    let check = |check: &&str| said.contains(&format!("refused by check {check}: "));
    assert!(checks.iter().any(check) && said.contains(says), "{part}: {said}");
    assert!(said.contains("flash: untouched"), "{part}: {said}");
}

/// All of the second chip, by numbers, because two share a name.
fn second_chip(numbers: &Numbers) -> Vec<String> {
    (numbers.outer..=numbers.joined)
        .map(|mtd| format!("mtd{mtd}"))
        .collect()
}

/// A sum of the second chip, but for what UBI tidies up by itself.
fn sum(machine: &mut Machine) -> String {
    machine.must("md5sum $(sed -n 's/^\\(mtd[0-9]*\\):.* \"\\(inner-kernel\\|spare\\|twin\\|free\\|first\\|second\\)\"$/\\/dev\\/\\1/p' /proc/mtd)")
}

/// Both chips hold what they held, and so do the file systems, by the kernel's own reading.
fn untouched(machine: &mut Machine, before: &[u8], second: &str) {
    assert_eq!(sum(machine), second);
    Expected::unchanged(Kind::Armel, before).compare(&machine.flash());
    machine.must("echo 3 >/proc/sys/vm/drop_caches");
    machine.must("cmp /tmp/rom/file /mnt/data/file && cmp /tmp/data/file /mnt/data/file");
}

/// A partition as `devices` has it.
fn of<'a>(devices: &'a Value, id: &str) -> &'a Value {
    let all = devices["partitions"].as_array().expect("partitions");
    let is = |one: &&Value| match one["volume"].as_str() {
        Some(volume) => volume == id,
        None => format!("mtd{}", one["mtd"]) == id,
    };
    all.iter().find(is).unwrap_or_else(|| panic!("no {id}: {devices}"))
}

fn devices(machine: &mut Machine) -> Value {
    let text = machine.must("/tmp/flasher --format json devices");
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn every_shape_is_told(machine: &mut Machine, numbers: &Numbers) {
    let devices = devices(machine);
    let id = |mtd: u32| format!("mtd{mtd}");
    let (outer, spare, free) = (id(numbers.outer), id(numbers.spare), id(numbers.free));
    let (rom, twin, joined) = (id(numbers.rom), id(numbers.rom + 1), id(numbers.joined));
    let (kernel, inner) = (id(numbers.kernel), id(numbers.inner));
    let nothing: &[&str] = &[];
    for (id, name, offset, parent, overlaps) in [
        ("mtd2", "rootfs", 4 << 20, None, nothing),
        (&outer, "outer", 0, None, &[&kernel, &inner, "ubi0_0"]),
        (&kernel, "inner-kernel", 0, Some(&outer), &[&outer]),
        (&inner, "inner", 1 << 20, Some(&outer), &[&outer, "ubi0_0"]),
        (&spare, "spare", 8 << 20, None, nothing),
        (&rom, "twin", 9 << 20, None, nothing),
        (&twin, "twin", 10 << 20, None, nothing),
        (&free, "free", 11 << 20, None, nothing),
    ] {
        let found = of(&devices, id);
        assert_eq!(
            (&found["name"], &found["offset"]),
            (&name.into(), &offset.into()),
            "{devices}"
        );
        assert_eq!(found["parent"].as_str(), parent.map(String::as_str), "{id}: {devices}");
        assert_eq!(found["overlaps"], serde_json::json!(overlaps), "{id}: {devices}");
        assert_eq!(found["may_overlap"], serde_json::json!([joined]), "{id}: {devices}");
        let chip = if id == "mtd2" { "34000000.flash" } else { "nested_nor" };
        assert_eq!(found["chip"], chip, "{id}: {devices}");
    }
    assert_eq!(of(&devices, "ubi0_0")["parent"], inner, "{devices}");
    let concat = of(&devices, &joined);
    assert!(concat["offset"].is_null() && concat["chip"].is_null(), "{devices}");
    let rest = devices["partitions"].as_array().expect("partitions").len() - 1;
    assert_eq!(concat["may_overlap"].as_array().map(Vec::len), Some(rest), "{devices}");
}

/// Nothing of the second chip has a place, each of its partitions may share bytes with all others of it, and is used by all
/// that uses one.
fn nothing_is_told(machine: &mut Machine, numbers: &Numbers, chip: Option<&str>) {
    let devices = devices(machine);
    for id in second_chip(numbers) {
        let found = of(&devices, &id);
        assert!(
            found["offset"].is_null() && found["parent"].is_null(),
            "{id}: {devices}"
        );
        if id != format!("mtd{}", numbers.joined) {
            assert_eq!(found["chip"].as_str(), chip, "{id}: {devices}");
        }
        let users = found["used_by"].as_array().expect("a list");
        for mount in MOUNTS {
            assert!(
                users
                    .iter()
                    .any(|user| user.as_str().is_some_and(|user| user.ends_with(mount))),
                "{id}, {mount}: {devices}"
            );
        }
        let may = found["may_overlap"].as_array().expect("a list");
        for other in second_chip(numbers).iter().filter(|other| **other != id) {
            assert!(may.iter().any(|it| it == other), "{id}, {other}: {devices}");
        }
    }
    let root = of(&devices, "mtd2");
    let known = chip.map(|_| 4 << 20);
    assert_eq!(root["offset"].as_u64(), known, "by the command line, or not: {devices}");
}
