//! The map of a box, one shape after the other. The layouts are those of real boxes and of public threads about them.
#![allow(clippy::unwrap_used)]

mod common;

use common::TempDir;
use common::layout::{Layout, Mtd, mtd, read, ubi};
use mtd_rs::map::Hint;
use mtd_rs::{Area, ErrorKind, Map, Overlap, PartitionId, Place, SystemPaths};

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;

fn id(text: &str) -> PartitionId {
    text.parse().unwrap()
}

fn whole(map: &Map, a: &str, b: &str) -> Overlap {
    let answer = map.overlap(&map.whole(id(a)), &map.whole(id(b)));
    assert_eq!(answer, map.overlap(&map.whole(id(b)), &map.whole(id(a))), "{a} and {b}");
    answer
}

fn overlapping(map: &Map, of: &str) -> Vec<String> {
    let found = map.overlapping(id(of));
    found.iter().map(PartitionId::to_string).collect()
}

fn area(of: &str, range: std::ops::Range<u64>) -> Area {
    Area { id: id(of), range }
}

/// The absolute ranges, each with the name of its chip.
fn place(map: &Map, of: &str) -> Vec<(String, u64, u64)> {
    match map.place(id(of)) {
        Place::Known(extents) => extents
            .iter()
            .map(|extent| (extent.chip.to_string(), extent.range.start, extent.range.end))
            .collect(),
        _ => Vec::new(),
    }
}

/// No two overlap, and each is known or not as `known` says.
fn all_apart(map: &Map) {
    for of in map.ids() {
        assert_eq!(map.overlapping(of), [], "{of}");
    }
}

/// A dual image box of OpenWrt with the active firmware in the upper half.
fn openwrt() -> Vec<Mtd> {
    vec![
        mtd(0, "u-boot", 192 * K).at(0),
        mtd(1, "factory", 64 * K).at(192 * K),
        mtd(2, "firmware1", 7936 * K).at(256 * K),
        mtd(3, "firmware", 8128 * K).at(8 * M),
        mtd(4, "kernel", 2 * M).at(0).inside(3),
        mtd(5, "rootfs", 6080 * K).at(2 * M).inside(3),
        mtd(6, "rootfs_data", 1984 * K).at(4 * M).inside(5),
    ]
}

#[test]
fn partitions_three_deep_lie_at_the_sum_of_their_offsets() {
    let map = Layout::new(openwrt()).map();
    assert_eq!(place(&map, "mtd6"), [("spi0.0".into(), 14 * M, 14 * M + 1984 * K)]);
    assert_eq!(overlapping(&map, "mtd3"), ["mtd4", "mtd5", "mtd6"]);
    assert_eq!(overlapping(&map, "mtd6"), ["mtd3", "mtd5"]);
    assert_eq!(
        overlapping(&map, "mtd0"),
        [""; 0],
        "the kernel's offset 0 is not that of the boot loader"
    );
    assert_eq!(
        (map.parent(id("mtd6")), map.parent(id("mtd3"))),
        (Some(id("mtd5")), None)
    );
    assert_eq!(map.children(id("mtd3")), [id("mtd4"), id("mtd5")]);
    // By bytes, not by partitions.
    let tail = area("mtd3", 2 * M..4 * M);
    assert_eq!(map.overlap(&tail, &map.whole(id("mtd4"))), Overlap::No);
    assert_eq!(map.overlap(&tail, &map.whole(id("mtd5"))), Overlap::Yes);
    assert_eq!(map.overlap(&tail, &map.whole(id("mtd6"))), Overlap::No);
}

fn ts219() -> Vec<Mtd> {
    vec![
        mtd(0, "U-Boot", 512 * K).at(0),
        mtd(1, "Kernel", 2 * M).at(2 * M),
        mtd(2, "RootFS1", 9 * M).at(4 * M),
        mtd(3, "RootFS2", 3 * M).at(13 * M),
        mtd(4, "U-Boot Config", 256 * K).at(512 * K),
        mtd(5, "NAS Config", 1280 * K).at(768 * K),
    ]
}

#[test]
fn an_ordinary_box_has_nothing_doubtful() {
    for release in ["6.1.0-18-marvell", "4.19.0", "4.9.0", "4.1.0"] {
        let map = Layout::new(ts219()).release(release).map();
        all_apart(&map);
        assert_eq!(place(&map, "mtd4"), [("spi0.0".into(), 512 * K, 768 * K)], "{release}");
    }
}

#[test]
fn the_whole_chip_beside_its_partitions_covers_them() {
    let mut mtds = vec![mtd(0, "spi0.0", 16 * M)];
    mtds.extend(ts219().into_iter().map(|mut it| {
        it.index += 1;
        it
    }));
    let map = Layout::new(mtds).map();
    assert_eq!(overlapping(&map, "mtd0").len(), 6);
    assert_eq!(overlapping(&map, "mtd2"), ["mtd0"]);
    assert_eq!(whole(&map, "mtd0", "mtd3"), Overlap::Yes);
    assert_eq!(map.parent(id("mtd3")), Some(id("mtd0")));
    assert_eq!(
        map.overlap(&area("mtd0", 0..512 * K), &map.whole(id("mtd2"))),
        Overlap::No
    );
}

/// OpenBMC with `CONFIG_MTD_PARTITIONED_MASTER`, and a second chip of the same size whose only device is the chip.
#[test]
fn the_whole_chip_above_its_partitions_covers_them_and_no_other_chip() {
    let (a, b) = ("platform/soc/spi", "platform/soc/spi2");
    let part = |index, name, size, offset| mtd(index, name, size).on(a).at(offset).inside(0);
    let map = Layout::new(vec![
        mtd(0, "bmc", 32 * M).on(a),
        part(1, "u-boot", 384 * K, 0),
        part(2, "u-boot-env", 128 * K, 384 * K),
        part(3, "kernel", 2560 * K, 512 * K),
        part(4, "initramfs", 1792 * K, 3 * M),
        part(5, "rofs", 23808 * K, 4864 * K),
        part(6, "rwfs", 4 * M, 28 * M),
        mtd(7, "pnor", 32 * M).on(b),
    ])
    .map();
    assert_eq!(overlapping(&map, "mtd0").len(), 6);
    assert_eq!(overlapping(&map, "mtd3"), ["mtd0"]);
    assert_eq!(overlapping(&map, "mtd7"), [""; 0]);
    assert_eq!(place(&map, "mtd7"), [("spi2".into(), 0, 32 * M)]);
}

#[test]
fn the_same_offsets_on_two_chips_are_different_bytes() {
    let b = "platform/ahb/spi0/spi0.1";
    let map = Layout::new(vec![
        mtd(0, "boot", M).at(0),
        mtd(1, "data", M).at(M),
        mtd(2, "boot", M).at(0).on(b),
        mtd(3, "data", M).at(M).on(b),
    ])
    .map();
    all_apart(&map);
    assert_ne!(map.chip(id("mtd0")), map.chip(id("mtd2")));
    assert_eq!(map.chip(id("mtd0")), map.chip(id("mtd1")));
}

/// As a module of one file registers it: partitions of a real chip, and a concatenation of two of them, which has no device, with
/// partitions of its own.
#[test]
fn a_concatenation_without_a_device_may_overlap_what_it_could_be_made_of() {
    let map = Layout::new(vec![
        mtd(0, "a", 4 * M).at(0),
        mtd(1, "b", 4 * M).at(4 * M),
        mtd(2, "kernel", 2 * M).at(0).on("virtual"),
        mtd(3, "rootfs", 6 * M).at(2 * M).on("virtual"),
        mtd(4, "nand", 64 * M).at(0).nand().on("platform/nand"),
    ])
    .map();
    assert_eq!(overlapping(&map, "mtd0"), ["mtd2", "mtd3"]);
    assert_eq!(overlapping(&map, "mtd2"), ["mtd0", "mtd1"]);
    assert_eq!(
        overlapping(&map, "mtd4"),
        [""; 0],
        "nand and nor cannot be put together"
    );
    // Listed as a whole its size gives it away.
    let listed = |size| {
        Layout::new(vec![
            mtd(0, "a", 4 * M).at(0),
            mtd(1, "b", 4 * M).at(4 * M),
            mtd(2, "x", size).on("virtual"),
        ])
        .map()
    };
    assert_eq!(overlapping(&listed(8 * M), "mtd2"), ["mtd0", "mtd1"]);
    assert_eq!(overlapping(&listed(6 * M), "mtd2"), [""; 0]);
}

#[test]
fn a_concatenation_is_known_by_its_name_or_by_where_it_stands() {
    let with = |concat: Mtd| {
        let mut mtds = openwrt();
        mtds.push(concat);
        Layout::new(mtds).map()
    };
    let all = ["mtd0", "mtd1", "mtd2", "mtd3", "mtd4", "mtd5", "mtd6"];
    let map = with(mtd(7, "flash", 3 * M).on("platform/virtual_flash"));
    assert_eq!(overlapping(&map, "mtd7"), all);
    assert_eq!(map.chip(id("mtd7")), None);
    let map = with(mtd(7, "u-boot-factory-concat", 256 * K).inside(0));
    assert_eq!(overlapping(&map, "mtd7"), all);
    // On the device of its first part, behind the partitions.
    let map = with(mtd(7, "x", 256 * K));
    assert_eq!(overlapping(&map, "mtd7"), all);
}

fn node(root: &TempDir, path: &str, properties: &[(&str, &[u8])]) {
    for (name, value) in properties {
        let path = root.path().join("proc/device-tree").join(path);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join(name), value).unwrap();
    }
}

fn cells(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

#[test]
fn the_device_tree_says_what_a_concatenation_is_made_of() {
    let root = TempDir::new();
    let concat = "platform/virtual_flash";
    Layout::new(vec![
        mtd(0, "boot", M).at(0),
        mtd(1, "a", 4 * M).at(8 * M),
        mtd(2, "b", 2 * M).at(2 * M),
        mtd(3, "kernel", 3 * M).at(0).on(concat),
        mtd(4, "rootfs", 3 * M).at(3 * M).on(concat),
    ])
    .write(&root);
    let flash = "spi/flash@0/partitions";
    node(
        &root,
        flash,
        &[("#address-cells", &cells(&[1])), ("#size-cells", &cells(&[1]))],
    );
    let part = |name: &str, at: u32, size: u32, phandle: u32| {
        let (reg, phandle) = (cells(&[at, size]), cells(&[phandle]));
        let label = format!("{name}\0");
        let path = format!("{flash}/partition@{at:x}");
        node(
            &root,
            &path,
            &[("label", label.as_bytes()), ("reg", &reg), ("phandle", &phandle)],
        );
    };
    part("a", 0x80_0000, 0x40_0000, 7);
    part("b", 0x20_0000, 0x20_0000, 8);
    let devices = |list: &[u32]| {
        node(
            &root,
            "virtual_flash",
            &[("compatible", b"mtd-concat\0"), ("devices", &cells(list))],
        );
        read(&root)
    };
    let map = devices(&[7, 8]);
    let spi = || "spi0.0".to_owned();
    assert_eq!(place(&map, "mtd3"), [(spi(), 8 * M, 11 * M)]);
    assert_eq!(place(&map, "mtd4"), [(spi(), 11 * M, 12 * M), (spi(), 2 * M, 4 * M)]);
    assert_eq!(overlapping(&map, "mtd4"), ["mtd1", "mtd2"]);
    assert_eq!(whole(&map, "mtd3", "mtd1"), Overlap::Yes);
    assert_eq!(overlapping(&map, "mtd0"), [""; 0]);
    // A part that nobody knows: anything may be in it.
    let map = devices(&[7, 9]);
    assert_eq!(overlapping(&map, "mtd4"), ["mtd0", "mtd1", "mtd2", "mtd3"]);
}

#[test]
fn without_offsets_the_command_line_says_where_partitions_lie() {
    let root = TempDir::new();
    let layout = Layout::new(ts219()).without_offsets();
    layout.write(&root);
    root.write(
        "proc/cmdline",
        "console=ttyS0 \"mtdparts=spi0.0:512k(U-Boot)ro,2M@2M(Kernel),9M(RootFS1),-(RootFS2)\" root=/dev/ram\n",
    );
    // Two devices have no line, so that it is another table. But the sizes fill a chip.
    let map = read(&root);
    assert_eq!(place(&map, "mtd1"), []);
    all_apart(&map);
    root.write(
        "proc/cmdline",
        "\"mtdparts=nand:1M(x);spi0.0:512k(U-Boot)ro,256k(U-Boot Config),1280k(NAS Config),2M(Kernel),9M(RootFS1),-(RootFS2)\"\n",
    );
    let map = read(&root);
    assert_eq!(place(&map, "mtd1"), [("spi0.0".into(), 2 * M, 4 * M)]);
    assert_eq!(place(&map, "mtd3"), [("spi0.0".into(), 13 * M, 16 * M)]);
    all_apart(&map);
}

#[test]
fn without_offsets_the_device_tree_says_where_partitions_lie() {
    let root = TempDir::new();
    let part = |index, name, size| mtd(index, name, size);
    // One lies in another, so that sizes could not tell.
    let listed = vec![part(0, "boot", M), part(1, "all", 4 * M), part(2, "data", M)];
    let layout = Layout::new(listed).without_offsets();
    layout.write(&root);
    assert_eq!(whole(&read(&root), "mtd0", "mtd2"), Overlap::Maybe);
    // Directly below the flash, with 64-bit addresses; one has no label.
    let flash = "soc/flash@1000";
    node(
        &root,
        flash,
        &[("#address-cells", &cells(&[2])), ("#size-cells", &cells(&[1]))],
    );
    let lines: [(&str, &[u8], [u32; 3]); 3] = [
        ("p@0", b"boot\0", [0, 0, 1 << 20]),
        ("all@0", b"", [0, 0, 4 << 20]),
        ("p@300000", b"data\0", [0, 3 << 20, 1 << 20]),
    ];
    for (name, label, reg) in lines {
        let path = format!("{flash}/{name}");
        node(&root, &path, &[("reg", &cells(&reg))]);
        if !label.is_empty() {
            node(&root, &path, &[("label", label)]);
        }
    }
    let map = read(&root);
    assert_eq!(place(&map, "mtd2"), [("spi0.0".into(), 3 * M, 4 * M)]);
    assert_eq!(overlapping(&map, "mtd1"), ["mtd0", "mtd2"]);
    assert_eq!(overlapping(&map, "mtd0"), ["mtd1"]);
}

/// Where a kernel shows offsets and not what they count from, a table that counts from the start of a partition says nothing of the
/// chip.
#[test]
fn the_table_of_a_partition_is_none_of_its_chip() {
    let root = TempDir::new();
    let devices = vec![
        mtd(0, "boot", M).at(0),
        mtd(1, "firmware", 6 * M).at(2 * M),
        mtd(2, "kernel", M).at(0),
    ];
    Layout::new(devices).release("4.9.0").write(&root);
    let flash = "spi/flash@0/partitions";
    let nested = "spi/flash@0/partitions/partition@200000";
    for (path, name, at, size) in [
        (flash, "boot", 0, M),
        (flash, "firmware", 2 * M, 6 * M),
        (nested, "kernel", 0, M),
    ] {
        node(
            &root,
            path,
            &[("#address-cells", &cells(&[1])), ("#size-cells", &cells(&[1]))],
        );
        let label = format!("{name}\0");
        let (path, reg) = (format!("{path}/partition@{at:x}"), cells(&[at as u32, size as u32]));
        node(&root, &path, &[("label", label.as_bytes()), ("reg", &reg)]);
    }
    let map = read(&root);
    assert_eq!(place(&map, "mtd1"), [("spi0.0".into(), 2 * M, 8 * M)]);
    assert_eq!(whole(&map, "mtd2", "mtd1"), Overlap::Maybe);
    assert_eq!(whole(&map, "mtd2", "mtd0"), Overlap::Maybe);
}

#[test]
fn without_offsets_sizes_that_fill_a_chip_lie_apart() {
    let layout = Layout::new(ts219()).without_offsets();
    let mut map = layout.map();
    all_apart(&map);
    assert!(matches!(map.place(id("mtd0")), Place::Unknown { chip: Some(_) }));
    // Somebody who knows the board knows more.
    let hint = |it: &Mtd| Hint {
        name: it.name.clone(),
        size: it.size,
        offset: it.offset.unwrap(),
    };
    let hints: Vec<Hint> = ts219().iter().map(hint).collect();
    assert_eq!(map.learn(&hints).len(), 6);
    assert_eq!(place(&map, "mtd5"), [("spi0.0".into(), 768 * K, 2 * M)]);
    all_apart(&map);
}

#[test]
fn what_contradicts_is_not_learned() {
    let layout = Layout::new(ts219()).without_offsets();
    let hint = |name: &str, size, offset| Hint {
        name: name.into(),
        size,
        offset,
    };
    for (hints, why) in [
        (vec![hint("Kernel", 3 * M, 2 * M)], "another size"),
        (
            vec![hint("Kernel", 2 * M, 2 * M), hint("RootFS1", 9 * M, 3 * M)],
            "they overlap",
        ),
        (
            vec![hint("Kernel", 2 * M, 2 * M), hint("Kernel", 2 * M, 4 * M)],
            "two of one name",
        ),
        (vec![hint("Kernel", 2 * M, u64::MAX)], "beyond all"),
        (vec![hint("Other", 2 * M, 0)], "names none"),
    ] {
        assert_eq!(layout.map().learn(&hints), [], "{why}");
    }
    // Two devices of one name, and devices of two chips.
    let mut mtds = ts219();
    mtds.push(mtd(6, "Kernel", 2 * M));
    let hints = [hint("Kernel", 2 * M, 2 * M)];
    assert_eq!(Layout::new(mtds).without_offsets().map().learn(&hints), []);
    let mut mtds = ts219();
    mtds.push(mtd(6, "app", 2 * M).nand().on("platform/nand"));
    let hints = [hint("Kernel", 2 * M, 2 * M), hint("app", 2 * M, 0)];
    assert_eq!(Layout::new(mtds).without_offsets().map().learn(&hints), []);
    // What the kernel says, counts.
    assert_eq!(Layout::new(ts219()).map().learn(&[hint("Kernel", 2 * M, 0)]), []);
}

/// TL-WDR3600 with OpenWrt 15.05.
#[test]
fn without_offsets_what_may_nest_may_overlap() {
    let map = Layout::new(vec![
        mtd(0, "u-boot", 128 * K),
        mtd(1, "kernel", 1216 * K),
        mtd(2, "rootfs", 6784 * K),
        mtd(3, "rootfs_data", 4736 * K),
        mtd(4, "art", 64 * K),
        mtd(5, "firmware", 8000 * K),
        mtd(6, "nand", 64 * M).nand().on("platform/nand"),
    ])
    .without_offsets()
    .map();
    assert_eq!(whole(&map, "mtd5", "mtd2"), Overlap::Maybe);
    assert_eq!(whole(&map, "mtd3", "mtd2"), Overlap::Maybe);
    assert_eq!(overlapping(&map, "mtd5"), ["mtd0", "mtd1", "mtd2", "mtd3", "mtd4"]);
    assert_eq!(overlapping(&map, "mtd6"), [""; 0]);
    // The release alone is no proof that these are whole chips.
    let three = |mtds: Vec<Mtd>| Layout::new(mtds).map();
    let map = three(vec![
        mtd(0, "a", M),
        mtd(1, "b", 2 * M),
        mtd(2, "c", 3 * M).on("platform/other"),
    ]);
    assert_eq!(whole(&map, "mtd0", "mtd1"), Overlap::Maybe);
    assert_eq!(overlapping(&map, "mtd2"), [""; 0]);
    // That another one has the attribute is.
    let map = three(vec![
        mtd(0, "a", M),
        mtd(1, "b", 2 * M),
        mtd(2, "c", 3 * M).on("platform/other").at(0),
    ]);
    assert_eq!(overlapping(&map, "mtd0"), [""; 0]);
}

#[test]
fn without_sysfs_names_and_sizes_must_do() {
    let ts109 = || {
        vec![
            mtd(0, "U-Boot", 512 * K),
            mtd(1, "Kernel", 2 * M),
            mtd(2, "RootFS1", 4 * M),
            mtd(3, "RootFS2", M),
            mtd(4, "U-Boot Config", 128 * K),
            mtd(5, "NAS Config", 384 * K),
        ]
    };
    let map = Layout::new(ts219()).without_sysfs().map();
    all_apart(&map);
    assert_eq!(map.place(id("mtd0")), Place::Unknown { chip: None });
    // Of these the one of 4 MiB could be a chip that the others share.
    let map = Layout::new(ts109()).without_sysfs().map();
    assert_eq!(overlapping(&map, "mtd1").len(), 5);
    let mut more = ts109();
    more.push(mtd(6, "mtdram test device", 4 * M));
    let mut map = Layout::new(more).without_sysfs().map();
    assert_eq!(
        overlapping(&map, "mtd1").len(),
        6,
        "what is not of the table makes all doubtful"
    );
    let hint = |name: &str, size, offset| Hint {
        name: name.into(),
        size,
        offset,
    };
    let placed = map.learn(&[hint("Kernel", 2 * M, 0), hint("RootFS1", 4 * M, 2 * M)]);
    assert_eq!(placed, [id("mtd1"), id("mtd2")]);
    assert_eq!(whole(&map, "mtd1", "mtd2"), Overlap::No);
    assert_eq!(whole(&map, "mtd1", "mtd3"), Overlap::Maybe);
}

/// `block2mtd` makes one of any block device, with a name of the user's choice, and `mtdblock0` is one.
#[test]
fn a_block_device_shown_as_flash_may_be_any_other() {
    let mut mtds = ts219();
    mtds.push(mtd(6, "block2mtd: /dev/mtdblock0", 512 * K).ram().on("virtual"));
    mtds.push(mtd(7, "mine", 512 * K).ram().on("virtual"));
    mtds.push(mtd(8, "part", 256 * K).ram().at(0).inside(7).on("virtual"));
    let root = TempDir::new();
    Layout::new(mtds).write(&root);
    let map = read(&root);
    assert_eq!(whole(&map, "mtd6", "mtd0"), Overlap::Maybe);
    assert_eq!(whole(&map, "mtd7", "mtd0"), Overlap::No, "RAM of its own");
    root.write("sys/module/block2mtd/parameters/block2mtd", "");
    let map = read(&root);
    for of in ["mtd6", "mtd7", "mtd8"] {
        for other in ["mtd0", "mtd5", "mtd6", "mtd7", "mtd8"] {
            let wanted = if of == other { Overlap::Yes } else { Overlap::Maybe };
            assert_eq!(whole(&map, of, other), wanted, "{of} {other}");
        }
    }
    assert_eq!(whole(&map, "mtd0", "mtd1"), Overlap::No);
}

#[test]
fn simulated_flash_beside_a_real_chip_is_its_own() {
    let mut mtds = ts219();
    mtds.push(mtd(6, "NAND simulator partition 0", 64 * M).nand().at(0).on("virtual"));
    mtds.push(
        mtd(7, "NAND simulator partition 1", 64 * M)
            .nand()
            .at(64 * M)
            .on("virtual"),
    );
    mtds.push(mtd(8, "mtdram test device", 16 * M).ram().on("virtual"));
    mtds.push(mtd(9, "NAND 64MiB 3,3V 8-bit", 16 * M).nand().on("virtual"));
    all_apart(&Layout::new(mtds.clone()).map());
    // RAM beside the old kernel's table, whatever it hangs on.
    mtds.truncate(6);
    mtds.push(mtd(8, "mtdram test device", 4 * M).ram());
    all_apart(&Layout::new(mtds).without_offsets().map());
}

#[test]
fn partitions_that_hang_on_nothing_are_doubtful_where_they_meet() {
    let part = |index, size, offset| mtd(index, "x", size).at(offset).on("virtual");
    let map = Layout::new(vec![part(0, M, 0), part(1, M, M), part(2, 2 * M, 0)]).map();
    assert_eq!(overlapping(&map, "mtd0"), ["mtd1", "mtd2"]);
    assert_eq!(whole(&map, "mtd0", "mtd2"), Overlap::Maybe);
    // A chip that could be theirs.
    let map = Layout::new(vec![part(0, M, 0), part(1, M, M), mtd(2, "chip", 4 * M).on("virtual")]).map();
    assert_eq!(overlapping(&map, "mtd2"), ["mtd0", "mtd1"]);
    assert_eq!(whole(&map, "mtd0", "mtd1"), Overlap::No);
}

/// From 4.1 to 4.12 sysfs does not show what a partition lies in.
#[test]
fn an_offset_may_count_from_a_partition_that_is_not_shown() {
    let flat = || {
        let mut mtds = openwrt();
        for it in &mut mtds {
            it.parent = None;
        }
        mtds
    };
    let map = Layout::new(flat()).release("4.9.58").map();
    // Read flat the kernel lies in the boot loader, and it may lie in either firmware.
    assert_eq!(whole(&map, "mtd4", "mtd0"), Overlap::Maybe);
    assert_eq!(whole(&map, "mtd4", "mtd3"), Overlap::Maybe);
    assert_eq!(place(&map, "mtd0"), [("spi0.0".into(), 0, 192 * K)], "it was the first");
    assert_eq!(whole(&map, "mtd0", "mtd3"), Overlap::No);
    // A directory below another says that this kernel shows them.
    assert_eq!(
        overlapping(&Layout::new(openwrt()).release("4.9.58").map(), "mtd0"),
        [""; 0]
    );
}

#[test]
fn a_volume_shares_bytes_with_its_mtd_and_all_around_it() {
    let root = TempDir::new();
    Layout::new(vec![
        mtd(0, "boot", M).at(0).nand(),
        mtd(1, "system", 64 * M).at(M).nand(),
        mtd(2, "ubi", 32 * M).at(16 * M).nand().inside(1),
        mtd(3, "data", 8 * M).at(0).nand().inside(1),
    ])
    .write(&root);
    ubi(&root, 0, Some(2), &["rootfs", "rootfs_data"]);
    root.write("sys/block/ubiblock0_1/dev", "254:3\n");
    root.write("sys/block/ubiblock0_1/size", "9\n");
    root.write("sys/block/sda/dev", "8:0\n");
    let map = read(&root);
    assert_eq!(overlapping(&map, "ubi0_0"), ["mtd1", "mtd2"]);
    assert_eq!(overlapping(&map, "mtd2"), ["mtd1", "ubi0_0", "ubi0_1"]);
    assert_eq!(overlapping(&map, "mtd3"), ["mtd1"]);
    assert_eq!(whole(&map, "ubi0_0", "ubi0_1"), Overlap::No);
    assert_eq!(whole(&map, "ubi0_0", "mtd1"), Overlap::Yes);
    // Which blocks are a volume's, UBI decides.
    assert_eq!(
        map.overlap(&area("mtd2", 0..K), &map.whole(id("ubi0_0"))),
        Overlap::Maybe
    );
    assert_eq!(
        map.overlap(&area("mtd1", 0..16 * M), &map.whole(id("ubi0_0"))),
        Overlap::No
    );
    assert_eq!(
        (map.parent(id("ubi0_1")), map.children(id("mtd2")).len()),
        (Some(id("mtd2")), 2)
    );
    assert_eq!((map.ubi_block(0, 1), map.ubi_block(0, 0)), (Some((254, 3)), None));
    assert_eq!(map.get(id("ubi0_1")).unwrap().name(), "rootfs_data");
    // What the box does not have may be anything.
    assert_eq!(overlapping(&map, "ubi0_7").len(), 6);
    assert_eq!(overlapping(&map, "mtd9").len(), 6);
    root.write("sys/block/ubiblock0_1/dev", "254\n");
    let error = Map::read(&SystemPaths::under(root.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
}

#[test]
fn a_ubi_whose_mtd_is_not_shown_may_lie_on_any() {
    let root = TempDir::new();
    let layout = Layout::new(vec![mtd(0, "a", M).at(0), mtd(1, "b", M).at(M)]);
    layout.write(&root);
    ubi(&root, 0, None, &["x", "y"]);
    let map = read(&root);
    assert_eq!(overlapping(&map, "ubi0_0"), ["mtd0", "mtd1"]);
    assert_eq!(overlapping(&map, "mtd0"), ["ubi0_0", "ubi0_1"]);
}

#[test]
fn an_mtd_made_of_a_volume_is_that_volume() {
    let root = TempDir::new();
    let gluebi = |index, name| Mtd {
        kind: "ubi",
        ..mtd(index, name, 1_269_760).on("virtual")
    };
    Layout::new(vec![
        mtd(0, "boot", M).at(0).nand(),
        mtd(1, "ubi", 32 * M).at(M).nand(),
        gluebi(2, "rootfs"),
        gluebi(3, "other"),
    ])
    .write(&root);
    ubi(&root, 0, Some(1), &["rootfs", "free"]);
    let map = read(&root);
    assert_eq!(whole(&map, "mtd2", "ubi0_0"), Overlap::Yes);
    assert_eq!(whole(&map, "mtd2", "ubi0_1"), Overlap::No);
    assert_eq!(whole(&map, "mtd2", "mtd1"), Overlap::Yes);
    assert_eq!(whole(&map, "mtd2", "mtd0"), Overlap::No);
    assert_eq!(overlapping(&map, "mtd3").len(), 5, "of no volume that is known");
}

#[test]
fn names_that_occur_twice_are_no_matter() {
    let map = Layout::new(vec![
        mtd(0, "data", M).at(0),
        mtd(1, "data", M).at(M),
        mtd(2, "data", M / 2).at(M / 2).inside(1),
    ])
    .map();
    assert_eq!(overlapping(&map, "mtd1"), ["mtd2"]);
    assert_eq!(overlapping(&map, "mtd0"), [""; 0]);
}

#[test]
fn a_size_of_zero_has_no_bytes_and_odd_sizes_are_taken_as_they_are() {
    let mut zero_erase = mtd(2, "no erase size", M).at(M);
    zero_erase.erase = 0;
    let map = Layout::new(vec![
        mtd(0, "u-boot", 512 * K).at(0),
        mtd(1, "out of reach", 0).at(0),
        zero_erase,
        mtd(3, "odd", M + 4096).at(2 * M),
    ])
    .map();
    all_apart(&map);
    assert_eq!(place(&map, "mtd3"), [("spi0.0".into(), 2 * M, 3 * M + 4096)]);
}

#[test]
fn what_contradicts_itself_may_overlap_its_chip() {
    // The end is beyond all numbers.
    let map = Layout::new(vec![mtd(0, "a", M).at(0), mtd(1, "b", M).at(u64::MAX - 5)]).map();
    assert_eq!(whole(&map, "mtd0", "mtd1"), Overlap::Maybe);
    // It ends behind its parent.
    let map = Layout::new(vec![
        mtd(0, "a", M).at(0),
        mtd(1, "b", M).at(M),
        mtd(2, "c", M).at(K).inside(1),
        mtd(3, "d", M).at(u64::MAX).inside(1),
    ])
    .map();
    assert_eq!(overlapping(&map, "mtd2"), ["mtd0", "mtd1", "mtd3"]);
    assert_eq!(overlapping(&map, "mtd0"), ["mtd2", "mtd3"]);
    // A whole chip that is smaller than what lies beside it is none.
    let map = Layout::new(vec![mtd(0, "chip", M), mtd(1, "a", M).at(0), mtd(2, "b", M).at(M)]).map();
    assert_eq!(overlapping(&map, "mtd0"), ["mtd1", "mtd2"]);
    assert_eq!(overlapping(&map, "mtd1"), ["mtd0"]);
}
