//! The scanner against a stand-in `/proc` and `/sys` with real device nodes in it.

use super::*;
use crate::device::at_own_node_in;
use mtd_rs::map::OnChip;
use mtd_rs::ubi::UbiInfo;
use mtd_rs::{Geometry, MtdInfo};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

struct FakeBox {
    dir: PathBuf,
}

impl FakeBox {
    /// `mountinfo` is the table; processes, swaps and loops are added by the tests.
    fn new(name: &str, mountinfo: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("stages-holders-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let fake = Self { dir };
        fake.file("proc/self/mountinfo", mountinfo);
        fake.file("proc/mtd", "dev:    size   erasesize  name\nmtd2: 00900000 00040000 \"RootFS1\"\nmtd3: 00300000 00040000 \"RootFS2\"\n");
        fake.file("proc/swaps", "Filename Type Size Used Priority\n");
        fs::create_dir_all(fake.dir.join("dev")).expect("made");
        fake
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().expect("has one")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn process_with_open(&self, pid: u32, node: &str, kind: SFlag, number: (u64, u64)) {
        self.file(
            &format!("proc/{pid}/stat"),
            &format!("{pid} (nanddump) S 1 1 1 0 -1 4194560 0"),
        );
        let path = self.dir.join("dev").join(node);
        mknod(&path, kind, Mode::S_IRUSR, makedev(number.0, number.1) as _)
            .expect("these tests make device nodes and need root");
        let fd = self.dir.join(format!("proc/{pid}/fd"));
        fs::create_dir_all(&fd).expect("made");
        symlink(path, fd.join("3")).expect("linked");
    }

    /// A UBI device on an MTD, with volumes that have these numbers for their character devices.
    fn ubi(&self, index: u32, mtd: Option<u32>, volumes: &[(&str, &str)]) {
        let number = mtd.map(|mtd| ("mtd_num", mtd.to_string()));
        let device = [
            "eraseblock_size",
            "min_io_size",
            "total_eraseblocks",
            "avail_eraseblocks",
        ];
        let more = ["bad_peb_count", "reserved_for_bad", "max_ec"];
        let attributes = device.iter().chain(&more).map(|name| (*name, "512".to_owned()));
        for (name, text) in attributes.chain(number) {
            self.file(&format!("sys/class/ubi/ubi{index}/{name}"), &format!("{text}\n"));
        }
        for (id, (name, device)) in volumes.iter().enumerate() {
            let list = [
                ("name", *name),
                ("dev", device),
                ("type", "dynamic"),
                ("data_bytes", "9"),
                ("reserved_ebs", "9"),
                ("usable_eb_size", "512"),
                ("upd_marker", "0"),
                ("corrupted", "0"),
            ];
            for (attribute, text) in list {
                self.file(
                    &format!("sys/class/ubi/ubi{index}_{id}/{attribute}"),
                    &format!("{text}\n"),
                );
            }
        }
    }

    fn paths(&self) -> SystemPaths {
        SystemPaths::under(&self.dir)
    }

    /// Scans for one MTD of [`qnap`].
    fn scan(&self, index: u32) -> Vec<String> {
        self.held(&qnap(), PartitionId::Mtd(index))
    }

    fn held(&self, map: &Map, target: PartitionId) -> Vec<String> {
        let found = scan_with(map, &[target], &self.paths(), Processes::Seen).expect("scanned");
        let others = map.devices().map(|info| PartitionId::Mtd(info.index));
        let all: Vec<_> = std::iter::once(target).chain(others).collect();
        let each = scan_each(map, &all, &self.paths()).expect("scanned");
        assert_eq!(each[0], found, "the same among others");
        found.iter().map(Holder::to_string).collect()
    }
}

/// Two partitions, and one around both of which `/proc/mtd` knows nothing.
fn qnap() -> Map {
    let devices = [(0, "both", 12, 0), (2, "RootFS1", 9, 0), (3, "RootFS2", 3, 9)];
    described(&devices, Vec::new())
}

fn described(devices: &[(u32, &str, u64, u64)], ubi: Vec<UbiInfo>) -> Map {
    let device = |&(index, name, size, offset): &(u32, &str, u64, u64)| OnChip {
        info: MtdInfo::new(index, name, Geometry::nor(size << 20, 0x4_0000)),
        chip: "spi0.0".to_owned(),
        offset: Some(offset << 20),
    };
    Map::new(devices.iter().map(device), ubi)
}

impl Drop for FakeBox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

const QUIET: &str = "14 1 0:2 / / rw - tmpfs tmpfs rw\n";

#[test]
fn a_box_on_tmpfs_holds_nothing() {
    assert_eq!(FakeBox::new("quiet", QUIET).scan(2), [""; 0]);
}

#[test]
fn a_root_called_dev_root_is_found_by_its_number() {
    let fake = FakeBox::new("root", "14 1 31:2 / / ro - squashfs /dev/root ro\n");
    assert_eq!(fake.scan(2), ["/dev/root mounted on / (squashfs)"]);
    assert_eq!(fake.scan(3), [""; 0]);
    assert_eq!(
        fake.scan(0),
        ["/dev/root mounted on / (squashfs)"],
        "a parent partition is held by its child"
    );
}

#[test]
fn jffs2_by_name_and_ubifs_by_its_ubi_are_found() {
    let fake = FakeBox::new(
        "names",
        "14 1 31:2 / /a rw - jffs2 mtd:RootFS1 rw\n15 1 0:17 / /b rw - ubifs ubi1:data rw\n",
    );
    fake.ubi(1, Some(3), &[]);
    assert_eq!(fake.scan(2), ["mtd:RootFS1 mounted on /a (jffs2)"]);
    assert_eq!(
        fake.scan(0),
        [
            "mtd:RootFS1 mounted on /a (jffs2)",
            "ubi1:data mounted on /b (ubifs)",
            "ubi1 attached to mtd3"
        ]
    );
}

/// Without sysfs the kernel tells of a UBI only by the driver of its character devices.
#[test]
fn an_ubi_that_sysfs_does_not_show_may_lie_on_any_mtd() {
    let fake = FakeBox::new(
        "ubi-untold",
        "14 1 0:17 / /b rw - ubifs ubi1:data rw\n15 1 254:0 / /c ro - squashfs /dev/ubiblock1_1 ro\n",
    );
    let devices = "Character devices:\n 90 mtd\n252 ubi1\n\nBlock devices:\n 31 mtdblock\n253 ubiblock\n";
    fake.file("proc/devices", devices);
    for index in [0, 2, 3] {
        let held = fake.scan(index);
        let [data, rom, ubi] = &held[..] else {
            panic!("{index}: {held:?}")
        };
        assert_eq!(data, "ubi1:data mounted on /b (ubifs)");
        assert_eq!(rom, "/dev/ubiblock1_1 mounted on /c (squashfs)");
        assert!(ubi.contains("ubi1"), "{ubi}");
    }
    // Where sysfs shows it, it lies where that says.
    fake.ubi(1, Some(3), &[]);
    assert_eq!(fake.scan(2), [""; 0]);
    assert_eq!(fake.scan(3).len(), 3);
}

#[test]
fn a_volume_is_held_by_what_uses_it_and_by_nothing_else_on_its_ubi() {
    let fake = FakeBox::new(
        "volume",
        "14 1 0:17 / / rw - ubifs ubi1:rootfs rw\n15 1 254:0 / /b ro - squashfs /dev/root ro\n",
    );
    fake.ubi(1, Some(3), &[("rootfs", "252:1"), ("app", "252:2"), ("free", "252:3")]);
    fake.file("sys/block/ubiblock1_1/dev", "254:0\n");
    let held = |id| fake.held(&qnap(), PartitionId::Volume { ubi: 1, id });
    assert_eq!(held(0), ["ubi1:rootfs mounted on / (ubifs)"]);
    assert_eq!(held(1), ["/dev/root mounted on /b (squashfs)"]);
    assert_eq!(held(2), [""; 0], "that its ubi is attached is what it needs");
    fake.process_with_open(77, "ubi1_2", SFlag::S_IFCHR, (252, 3));
    assert_eq!(held(2).len(), 1);
    // The MTD below is held by all of it.
    assert_eq!(fake.scan(3).len(), 4);
}

/// `open_ubi` in fs/ubifs/super.c takes more than it shows: a number alone, and the path of any node.
#[test]
fn ubifs_may_be_mounted_by_any_name_of_its_volume() {
    let held = |name: &str, source: &str, node: Option<(u64, u64)>| {
        let fake = FakeBox::new(name, &format!("14 1 0:17 / /a ro - ubifs {source} ro\n"));
        fake.ubi(0, Some(3), &[("rootfs", "252:1"), ("app", "252:2")]);
        if let Some((major, minor)) = node {
            let path = fake.dir.join("dev/app");
            mknod(&path, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(major, minor) as _)
                .expect("these tests make device nodes and need root");
        }
        [0, 1].map(|id| !fake.held(&qnap(), PartitionId::Volume { ubi: 0, id }).is_empty())
    };
    assert_eq!(held("ubi-nm", "ubi:app", None), [false, true]);
    assert_eq!(held("ubi-y", "ubi1", None), [false, true], "volume 1 of ubi0");
    assert_eq!(held("ubi-link", "/dev/app", Some((252, 2))), [false, true]);
    assert_eq!(
        held("ubi-free", "/dev/app", Some((252, 9))),
        [false, false],
        "of another UBI"
    );
    for source in ["/dev/app", "/tmp/app", "ubi0x0_0x1", "none"] {
        assert_eq!(held("ubi-odd", source, None), [true, true], "{source} may be any");
    }
}

/// A node in a `/dev` of plain files may have the number that another device has since the last start.
#[test]
fn a_volume_is_not_asked_by_a_node_of_another_device() {
    let fake = FakeBox::new("stale", QUIET);
    let dev = fake.dir.join("dev");
    // /dev/null can be opened by everybody; no driver has a character device 511:1.
    mknod(&dev.join("ubi1_0"), SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 3) as _)
        .expect("these tests make device nodes and need root");
    let opened = open_node(
        &dev,
        &dev.join("ubi1_0"),
        SFlag::S_IFCHR,
        (511, 1),
        fs::OpenOptions::new().read(true),
    );
    assert_eq!(opened.err().and_then(|error| error.raw_os_error()), Some(libc::ENXIO));
    // A block device of the same number is another one.
    let opened = open_node(
        &dev,
        &dev.join("ubi1_0"),
        SFlag::S_IFBLK,
        (1, 3),
        fs::OpenOptions::new().read(true),
    );
    let about = opened.and_then(|file| file.metadata());
    assert!(about.is_err() || about.is_ok_and(|about| about.file_type().is_block_device()));
    let opened = open_node(
        &dev,
        &dev.join("ubi1_1"),
        SFlag::S_IFCHR,
        (1, 3),
        fs::OpenOptions::new().read(true),
    );
    assert!(opened.is_ok(), "by a node of its own");
    assert_eq!(fs::read_dir(&dev).expect("read").count(), 1);
}

/// On a read-only root no node can be made in `/dev`; that is not an answer of the device.
#[test]
fn where_no_node_can_be_made_it_is_not_known_who_holds_the_device() {
    let read = fs::OpenOptions::new().read(true).clone();
    // Such a name is too long for any file system.
    let long = PathBuf::from("/").join("x".repeat(300));
    let opened = at_own_node_in(&[&long, Path::new("/proc")], SFlag::S_IFCHR, (1, 3), &read);
    let found = busy(Path::new("/dev/ubi0_0"), opened).expect("not known");
    assert!(matches!(found, Holder::Unread { .. }), "{found:?}");
    // Nor is one made where others could put theirs in its place.
    let fake = FakeBox::new("others", QUIET);
    let others = fake.dir.join("others");
    fs::create_dir(&others).expect("made");
    fs::set_permissions(&others, fs::Permissions::from_mode(0o777)).expect("set");
    let opened = at_own_node_in(&[&others], SFlag::S_IFCHR, (1, 3), &read);
    assert!(busy(Path::new("/dev/ubi0_0"), opened).is_some());
    fs::set_permissions(&others, fs::Permissions::from_mode(0o1777)).expect("set");
    let opened = at_own_node_in(&[&others], SFlag::S_IFCHR, (1, 3), &read);
    assert!(opened.is_ok(), "{opened:?}");
    for error in [libc::EROFS, libc::ENOENT] {
        // What the device itself says is that nobody writes it, or that it has gone.
        assert!(busy(Path::new("/dev/ubi0_0"), Err(io::Error::from_raw_os_error(error))).is_none());
    }
}

/// Only the kernel has the file of a loop device open, and its name need be none of the kernel's.
#[test]
fn a_loop_on_a_node_of_any_name_is_found() {
    let fake = FakeBox::new("loop-node", QUIET);
    let path = fake.dir.join("dev/odd");
    mknod(&path, SFlag::S_IFBLK, Mode::S_IRUSR, makedev(31, 2) as _)
        .expect("these tests make device nodes and need root");
    fake.file("sys/block/loop0/loop/backing_file", &format!("{}\n", path.display()));
    assert_eq!(fake.scan(2).len(), 1);
    assert_eq!(fake.scan(3), [""; 0]);
}

#[test]
fn swap_and_loop_are_found() {
    let fake = FakeBox::new("swap", QUIET);
    fake.file(
        "proc/swaps",
        "Filename Type Size Used Priority\n/dev/mtdblock2 partition 9 0 -1\n/swap\\040file file 9 0 -2\n",
    );
    fake.file("sys/block/loop0/loop/backing_file", "/dev/mtdblock2\n");
    assert_eq!(
        fake.scan(2),
        ["swap on /dev/mtdblock2", "loop device /dev/loop0 on /dev/mtdblock2"]
    );
}

#[test]
fn open_nodes_are_found_by_number_whatever_they_are_called() {
    let fake = FakeBox::new("fd", QUIET);
    fake.process_with_open(77, "odd-name", SFlag::S_IFCHR, (90, 5));
    let found = fake.scan(2);
    assert!(
        found.len() == 1
            && found[0].starts_with("process 77 (nanddump), which has ")
            && found[0].ends_with("odd-name open"),
        "{found:?}"
    );
    assert_eq!(fake.scan(3), [""; 0]);
    fake.process_with_open(78, "block", SFlag::S_IFBLK, (31, 3));
    assert_eq!(fake.scan(3).len(), 1);
}

#[test]
fn text_of_a_root_that_was_lazily_unmounted_is_found() {
    let fake = FakeBox::new("maps", QUIET);
    fake.file("proc/9/stat", "9 (httpd) S 1 1 1 0 -1 4194560 0");
    fake.file(
        "proc/9/maps",
        "00008000-0000f000 r-xp 00000000 1f:02 12         /usr/sbin/httpd (deleted)\n\
         00017000-00018000 rw-p 00007000 1f:02 12         /usr/sbin/httpd (deleted)\n\
         00018000-00019000 rw-p 00000000 00:00 0          [heap]\n",
    );
    assert_eq!(
        fake.scan(2),
        ["process 9 (httpd), which runs /usr/sbin/httpd (deleted)"]
    );
}

#[test]
fn another_mount_namespace_is_looked_into_once() {
    let fake = FakeBox::new("ns", QUIET);
    for pid in [20, 21] {
        fake.file(
            &format!("proc/{pid}/stat"),
            &format!("{pid} (lxc) S 1 1 1 0 -1 4194560 0"),
        );
        fake.file(
            &format!("proc/{pid}/mountinfo"),
            "99 1 31:2 / /old rw - jffs2 /dev/mtdblock2 rw\n",
        );
        fs::create_dir_all(fake.dir.join(format!("proc/{pid}/ns"))).expect("made");
        symlink("mnt:[1]", fake.dir.join(format!("proc/{pid}/ns/mnt"))).expect("linked");
    }
    assert_eq!(
        fake.scan(2),
        ["mounted on /old in the mount namespace of process 20 (lxc)"]
    );
}

#[test]
fn what_the_kernel_serves_to_another_machine_is_held() {
    let config = "sys/kernel/config";
    for (file, text, held) in [
        (
            "usb_gadget/g1/functions/mass_storage.0/lun.0/file",
            "/dev/mtdblock2\n",
            true,
        ),
        ("usb_gadget/g1/functions/mass_storage.0/lun.0/file", "\n", false),
        (
            "target/core/fileio_0/flash/info",
            "Status: ACTIVATED  Max Queue Depth: 128\n        TCM FILEIO ID: 0        File: /dev/mtdblock2  Size: 9437184\n",
            true,
        ),
        ("target/core/iblock_0/disk/info", "iBlock device: sda\n", false),
        ("nvmet/subsystems/nqn/namespaces/1/device_path", "/dev/mtdblock2", true),
        ("nvmet/subsystems/nqn/namespaces/1/device_path", "/dev/mtdblock3", false),
    ] {
        let fake = FakeBox::new("served", QUIET);
        fake.file(&format!("{config}/{file}"), text);
        let expected = "the kernel, which serves /dev/mtdblock2 to another machine";
        assert_eq!(
            fake.scan(2),
            if held { vec![expected] } else { vec![] },
            "{file} {text}"
        );
    }
    let fake = FakeBox::new("served", QUIET);
    fake.file(
        "sys/module/g_mass_storage/parameters/file",
        "/dev/sda1,/dev/mtdblock2\n",
    );
    assert_eq!(fake.scan(2).len(), 1);
    // The module was given another file since.
    fake.file("sys/module/g_mass_storage/parameters/file", "/dev/sda1\n");
    assert_eq!(fake.scan(2), [""; 0]);
    fake.file(
        "sys/class/udc/musb-hdrc.0/device/gadget.0/lun0/file",
        "/dev/mtdblock2\n",
    );
    assert_eq!(fake.scan(2).len(), 1);
    fake.file("sys/kernel/config/usb_gadget", "no directory");
    assert_eq!(fake.scan(2).len(), 2);
}

/// The first thread of a process may end before the others, and each may have descriptors and mounts of its own: what is shown
/// of the process itself is then not all.
#[test]
fn what_a_thread_alone_has_is_found() {
    for (state, first) in [('S', "mnt:[1]"), ('Z', "")] {
        let fake = FakeBox::new("threads", QUIET);
        let stat =
            |pid: u32, state: char| format!("{pid} (srv) {state} 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 2 0 7\n");
        fake.file("proc/30/stat", &stat(30, state));
        fake.file("proc/30/task/30/stat", &stat(30, state));
        fake.file("proc/30/task/31/stat", &stat(31, 'S'));
        let mounted = "99 1 31:2 / /old rw - jffs2 /dev/mtdblock2 rw\n";
        fake.file("proc/30/task/31/mountinfo", mounted);
        for (tid, namespace) in [(30, first), (31, "mnt:[2]")] {
            fs::create_dir_all(fake.dir.join(format!("proc/30/task/{tid}/ns"))).expect("made");
            let _ = symlink(namespace, fake.dir.join(format!("proc/30/task/{tid}/ns/mnt")));
        }
        // Of a thread that has ended the kernel says that this makes no sense (`mounts_open_common`, fs/proc_namespace.c).
        fake.file("proc/30/task/30/mountinfo", if state == 'Z' { "?" } else { QUIET });
        let node = fake.dir.join("dev/raw");
        mknod(&node, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(90, 4) as _)
            .expect("these tests make device nodes and need root");
        fs::create_dir_all(fake.dir.join("proc/30/task/31/fd")).expect("made");
        symlink(&node, fake.dir.join("proc/30/task/31/fd/3")).expect("linked");
        let found = fake.scan(2);
        assert!(
            found.len() == 2 && found[0].contains("process 30 (srv)"),
            "{state}: {found:?}"
        );
        assert_eq!(
            found[1], "mounted on /old in the mount namespace of process 30 (srv)",
            "{state}"
        );
        // Which threads there are has to be known.
        fs::remove_dir_all(fake.dir.join("proc/30/task")).expect("removed");
        fake.file("proc/30/task", "no directory");
        let found = fake.scan(2);
        assert!(found.len() == 1 && found[0].contains("30/task"), "{state}: {found:?}");
    }
}

#[test]
fn what_lies_on_a_file_system_on_flash_is_found_too() {
    let fake = FakeBox::new(
        "on",
        "14 1 0:2 / / rw - tmpfs tmpfs rw\n15 14 31:2 / /data rw - jffs2 mtd:RootFS1 rw\n\
         16 14 7:3 / /app ro - squashfs /dev/loop3 ro\n",
    );
    fake.file(
        "proc/swaps",
        "Filename Type Size Used Priority\n/data/swap file 9 0 -1\n/swap file 9 0 -2\n",
    );
    fake.file("sys/block/loop3/loop/backing_file", "/data/app.img\n");
    fake.file("sys/block/loop4/loop/backing_file", "/tmp/data.img\n");
    fake.file(
        "proc/net/rpc/nfsd.export/content",
        "#path domain(flags)\n/data/my\\040share\tlab(rw)\n/data/my\\040share\tother(rw)\n/tmp\tlab(ro)\n# /data\told()\n",
    );
    assert_eq!(
        fake.scan(2),
        [
            "mtd:RootFS1 mounted on /data (jffs2)",
            "/dev/loop3 mounted on /app (squashfs)",
            "swap on /data/swap",
            "the NFS export of /data/my share",
            "loop device /dev/loop3 on /data/app.img",
        ]
    );
}

/// A block device that is there, of which the kernel does not say which it is, cannot be asked who has claimed it.
#[test]
fn a_block_device_without_a_number_may_be_claimed() {
    let fake = FakeBox::new("numberless", QUIET);
    for text in ["", "31\n", "x:2\n"] {
        fake.file("sys/block/mtdblock2/dev", text);
        let found = fake.scan(2);
        assert!(
            found.len() == 1 && found[0].contains("mtdblock2") && found[0].contains("its number is not known"),
            "{text:?}: {found:?}"
        );
        assert_eq!(fake.scan(3), [""; 0]);
    }
}

#[test]
fn jffs2_out_of_sight_is_known_by_its_garbage_collector() {
    let fake = FakeBox::new("gcd", QUIET);
    // PF_KTHREAD.
    fake.file("proc/60/stat", "60 (jffs2_gcd_mtd2) S 2 0 0 0 -1 2129984 0");
    assert_eq!(
        fake.scan(2),
        ["the kernel, which has mtd2 mounted or claimed out of our sight"]
    );
    // A name has 15 letters, of which that of mtd100 or mtd105 lacks the last.
    let many = described(&[(10, "a", 1, 0), (105, "b", 1, 1), (11, "c", 1, 2)], Vec::new());
    fake.file("proc/60/stat", "60 (jffs2_gcd_mtd10) S 2 0 0 0 -1 2129984 0");
    fake.file("proc/mtd", "dev:    size   erasesize  name\n");
    for (index, held) in [(10, true), (105, true), (11, false)] {
        assert_eq!(
            !fake.held(&many, PartitionId::Mtd(index)).is_empty(),
            held,
            "mtd{index}"
        );
    }
    fake.file("proc/60/stat", "60 (jffs2_gcd_mtd105) S 2 0 0 0 -1 2129984 0");
    for (index, held) in [(10, false), (105, true)] {
        assert_eq!(
            !fake.held(&many, PartitionId::Mtd(index)).is_empty(),
            held,
            "mtd{index}"
        );
    }
    fs::remove_dir_all(fake.dir.join("proc/60")).expect("removed");
    fake.file("proc/61/stat", "61 (jffs2_gcd_mtd3) S 1 1 1 0 -1 4194560 0");
    assert_eq!(fake.scan(3), [""; 0], "anybody may be called that");
}

#[test]
fn in_a_chroot_the_table_of_init_counts() {
    let fake = FakeBox::new("chroot", QUIET);
    fake.file("proc/1/stat", "1 (init) S 0 1 1 0 -1 4194560 0");
    fake.file("proc/1/mountinfo", "99 1 31:2 / / ro - squashfs /dev/root ro\n");
    for pid in ["self", "1"] {
        fs::create_dir_all(fake.dir.join(format!("proc/{pid}/ns"))).expect("made");
        symlink("mnt:[1]", fake.dir.join(format!("proc/{pid}/ns/mnt"))).expect("linked");
    }
    assert_eq!(
        fake.scan(2),
        ["mounted on / in the mount namespace of process 1 (init)"]
    );
}

/// A file of a server that has gone must not be asked for; its path is enough. Here the link leads nowhere.
#[test]
fn files_of_servers_are_known_by_their_path() {
    let fake = FakeBox::new(
        "remote",
        "14 1 0:2 / / rw - tmpfs tmpfs rw\n15 14 0:30 / /net rw - nfs 10.0.0.1:/ rw\n",
    );
    fake.file("proc/9/stat", "9 (sh) S 1 1 1 0 -1 4194560 0");
    symlink("/net/home", fake.dir.join("proc/9/cwd")).expect("linked");
    let found = crate::scan::scan_processes(&fake.dir.join("proc"), &|file| file.path.starts_with("/net"));
    assert!(
        matches!(&found[..], [Holder::Cwd { pid: 9, path, .. }] if path == "/net/home"),
        "{found:?}"
    );
}

#[test]
fn what_lies_on_top_of_a_partition_holds_it() {
    let fake = FakeBox::new(
        "stack",
        "14 1 0:2 / / rw - tmpfs tmpfs rw\n15 14 253:0 / /rom ro - squashfs /dev/dm-0 ro\n",
    );
    fake.ubi(0, Some(3), &[("fit", "252:1"), ("data", "252:2")]);
    fake.file("sys/block/ubiblock0_0/dev", "254:0\n");
    fake.file("sys/block/dm-0/dev", "253:0\n");
    fake.file("sys/block/dm-0/dm/name", "fit0\n");
    fake.file("sys/block/dm-0/slaves/ubiblock0_0/dev", "254:0\n");
    let fit = |id| fake.held(&qnap(), PartitionId::Volume { ubi: 0, id });
    let all = [
        "/dev/dm-0 mounted on /rom (squashfs)",
        "block device dm-0 on ubiblock0_0",
    ];
    assert_eq!(fit(0), all);
    assert_eq!(fit(1), [""; 0], "another volume of the same ubi");
    let mtd = fake.scan(3);
    assert!(
        all.iter().all(|holder| mtd.iter().any(|other| other == holder)),
        "{mtd:?}"
    );
    assert_eq!(fake.scan(2), [""; 0]);
    // A file on it under a loop device, and swap by its other name.
    fake.file("sys/block/loop1/loop/backing_file", "/rom/app.img\n");
    fake.file(
        "proc/swaps",
        "Filename Type Size Used Priority\n/dev/mapper/fit0 partition 9 0 -1\n",
    );
    let found = fit(0);
    assert!(
        found.contains(&"loop device /dev/loop1 on /rom/app.img".to_owned()),
        "{found:?}"
    );
    assert!(found.contains(&"swap on /dev/mapper/fit0".to_owned()), "{found:?}");
}

#[test]
fn what_the_kernel_names_as_a_holder_is_one_without_any_mount() {
    let fake = FakeBox::new("claim", QUIET);
    fake.file("sys/block/mtdblock2/dev", "31:2\n");
    fake.file("sys/block/mtdblock2/holders/md0/dev", "9:0\n");
    fake.file("sys/block/mtdblock3/dev", "31:3\n");
    fs::create_dir_all(fake.dir.join("sys/block/mtdblock3/holders")).expect("made");
    assert_eq!(fake.scan(2), ["block device md0 on mtdblock2"]);
    assert_eq!(fake.scan(3), [""; 0]);
    // On two steps, and opened by somebody; a partition of it is not in itself a use.
    fake.file("sys/block/md0/dev", "9:0\n");
    fake.file("sys/block/md0/md0p1/dev", "259:1\n");
    fake.file("sys/block/md0/md0p1/partition", "1\n");
    fake.process_with_open(77, "part", SFlag::S_IFBLK, (259, 1));
    let found = fake.scan(2);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].starts_with("process 77 (nanddump)"), "{found:?}");
}

#[test]
fn a_device_that_the_map_does_not_know_may_share_flash_with_any() {
    let fake = FakeBox::new("new", "14 1 31:9 / / ro - squashfs /dev/root ro\n");
    assert_eq!(fake.scan(2), [""; 0], "no such mtd");
    fake.file(
        "proc/mtd",
        "mtd2: 00900000 00040000 \"RootFS1\"\nmtd3: 00300000 00040000 \"RootFS2\"\nmtd9: 00300000 00040000 \"new\"\n",
    );
    assert_eq!(fake.scan(2), ["/dev/root mounted on / (squashfs)"]);
    assert_eq!(fake.held(&qnap(), PartitionId::Volume { ubi: 0, id: 0 }).len(), 1);
    // A number that was given out anew.
    fake.file("proc/self/mountinfo", "14 1 31:3 / / ro - squashfs /dev/root ro\n");
    fake.file(
        "proc/mtd",
        "mtd2: 00900000 00040000 \"RootFS1\"\nmtd3: 00300000 00040000 \"other\"\n",
    );
    assert_eq!(fake.scan(2), ["/dev/root mounted on / (squashfs)"]);
    // A target that the map does not know may be any.
    assert_eq!(fake.scan(7), ["/dev/root mounted on / (squashfs)"]);
    // So may a UBI whose MTD is not told.
    fake.file("proc/self/mountinfo", QUIET);
    fake.ubi(4, None, &[]);
    assert_eq!(
        fake.scan(2),
        [
            "something that cannot be seen, because /sys/class/ubi/ubi4/mtd_num cannot be read (this kernel does not have it)"
        ]
    );
}

/// Root may read what no permission allows, so what it cannot read is made of what is not a file.
#[test]
fn what_cannot_be_read_counts_as_held() {
    for (path, said) in [
        ("proc/swaps", "swaps"),
        ("proc/mtd", "the list of MTD devices"),
        ("proc/net/rpc/nfsd.export/content", "nfsd.export/content"),
        ("proc/9/maps", "/9/maps"),
        ("proc/9/mountinfo", "/9/mountinfo"),
    ] {
        let fake = FakeBox::new("unread", QUIET);
        fake.file("proc/9/stat", "9 (sh) S 1 1 1 0 -1 4194560 0");
        fs::create_dir_all(fake.dir.join("proc/9/ns")).expect("made");
        symlink("mnt:[2]", fake.dir.join("proc/9/ns/mnt")).expect("linked");
        let path = fake.dir.join(path);
        let _ = fs::remove_file(&path);
        fs::create_dir_all(&path).expect("made");
        let found = fake.scan(2);
        let unread = |text: &String| text.starts_with("something that cannot be seen, because ") && text.contains(said);
        assert!(found.len() == 1 && found.iter().all(unread), "{said}: {found:?}");
    }
    let fake = FakeBox::new("unread", QUIET);
    fake.file("sys/class/ubi/ubi0/eraseblock_size", "many\n");
    let found = fake.scan(2);
    assert!(
        found.len() == 1 && found[0].contains("the list of UBI devices"),
        "{found:?}"
    );
    fake.file("sys/block", "no directory");
    assert_eq!(fake.scan(2).len(), 3, "blocks of UBI, and all others");
    let fake = FakeBox::new("unread", QUIET);
    fake.file("proc/9/stat", "9 (sh) S 1 1 1 0 -1 4194560 0");
    fake.file("proc/9/fd", "no directory");
    assert_eq!(fake.scan(2).len(), 1);
    // One that has ended meanwhile holds nothing.
    fake.file("proc/9/stat", "9 (sh) Z 1 1 1 0 -1 4194560 0");
    assert_eq!(fake.scan(2), [""; 0]);
    // One of which nothing is known may hold anything.
    fake.file("proc/9/stat", "9 (sh");
    let found = fake.scan(2);
    assert!(found.len() == 1 && found[0].contains("proc/9/stat"), "{found:?}");
}

/// What shows an MTD as a disk under another name: swap on it, and file systems of a translation layer.
#[test]
fn translation_layers_and_mtdswap_are_the_flash() {
    let fake = FakeBox::new(
        "translated",
        "14 1 0:2 / / rw - tmpfs tmpfs rw\n15 14 44:0 / /ftl ro - ext2 /dev/ftla ro\n",
    );
    for (name, number, mtd) in [("mtdswap3", "252:3", 3), ("ftla", "44:0", 2), ("mtdblock3", "31:3", 3)] {
        fake.file(&format!("sys/block/{name}/dev"), &format!("{number}\n"));
        let link = fake.dir.join(format!("sys/block/{name}/device"));
        symlink(format!("../../devices/platform/flash/mtd/mtd{mtd}"), link).expect("linked");
    }
    fake.file(
        "proc/swaps",
        "Filename Type Size Used Priority\n/dev/mtdswap3 partition 3000 0 -2\n",
    );
    assert_eq!(fake.scan(3), ["swap on /dev/mtdswap3"]);
    assert_eq!(fake.scan(2), ["/dev/ftla mounted on /ftl (ext2)"]);
}

/// A disk that hangs on the block device of a volume lies on it, also if it names no slaves.
#[test]
fn a_disk_made_of_a_volume_lies_on_it() {
    let fake = FakeBox::new(
        "fitblk",
        "14 1 0:2 / / rw - tmpfs tmpfs rw\n15 14 259:0 / /rom ro - squashfs /dev/fit0 ro\n",
    );
    fake.ubi(0, Some(2), &[("fit", "252:1")]);
    fake.file("sys/block/ubiblock0_0/dev", "254:0\n");
    fake.file("sys/block/fit0/dev", "259:0\n");
    let link = fake.dir.join("sys/block/fit0/device");
    symlink("../../devices/virtual/block/ubiblock0_0", link).expect("linked");
    let held = fake.held(&qnap(), PartitionId::Volume { ubi: 0, id: 0 });
    assert_eq!(
        held,
        [
            "/dev/fit0 mounted on /rom (squashfs)",
            "block device fit0 on ubiblock0_0"
        ]
    );
}

/// A backing device of zram, and a dm device on mtdblock: each by what sysfs says of it.
#[test]
fn what_lies_on_the_block_device_holds_it() {
    let fake = FakeBox::new("zram", "14 1 0:2 / / rw - tmpfs tmpfs rw\n");
    fake.file("sys/block/mtdblock3/dev", "31:3\n");
    fake.file("sys/block/zram0/dev", "253:0\n");
    fake.file("sys/block/zram0/backing_dev", "/dev/mtdblock3\n");
    fake.file("sys/block/dm-1/dev", "252:1\n");
    fake.file("sys/block/dm-1/slaves/mtdblock3/dev", "31:3\n");
    let mut held = fake.scan(3);
    held.sort();
    assert_eq!(
        held,
        ["block device dm-1 on mtdblock3", "block device zram0 on /dev/mtdblock3"]
    );
}

/// A device that is mapped and closed again, by whatever name; its node lies on another file system.
#[test]
fn a_mapped_block_device_is_found() {
    let fake = FakeBox::new("mapped", QUIET);
    fake.process_with_open(7, "opened", SFlag::S_IFBLK, (8, 1));
    let root = fake.dir.join("proc/7/root");
    let _ = fs::remove_file(&root);
    fs::create_dir_all(fake.dir.join("other/dev")).expect("made");
    symlink(fake.dir.join("other"), &root).expect("linked");
    mknod(
        &root.join("dev/flash"),
        SFlag::S_IFBLK,
        Mode::S_IRUSR,
        makedev(31, 3) as _,
    )
    .expect("made");
    fake.file("proc/7/maps", "0-1 rw-s 0 00:05 77    /dev/flash\n");
    assert_eq!(fake.scan(2), [""; 0]);
    let found = fake.scan(3);
    assert!(found.len() == 1 && found[0].contains("/dev/flash"), "{found:?}");
}
