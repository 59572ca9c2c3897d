//! The scanner against a stand-in `/proc` and `/sys` with real device nodes in it.

use super::*;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::os::unix::fs::symlink;

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

    fn process_with_open(&self, pid: u32, node: &str, kind: SFlag, major: u64, minor: u64) {
        self.file(
            &format!("proc/{pid}/stat"),
            &format!("{pid} (nanddump) S 1 1 1 0 -1 4194560 0"),
        );
        let path = self.dir.join("dev").join(node);
        mknod(&path, kind, Mode::S_IRUSR, makedev(major, minor) as _)
            .expect("these tests make device nodes and need root");
        let fd = self.dir.join(format!("proc/{pid}/fd"));
        fs::create_dir_all(&fd).expect("made");
        symlink(path, fd.join("3")).expect("linked");
    }

    fn scan(&self, index: u32, overlaps: &[u32]) -> Vec<String> {
        let target = MtdTarget {
            index,
            name: "RootFS1".into(),
            volume: None,
            overlaps: overlaps.to_vec(),
        };
        let found = scan(
            &[target],
            &self.dir.join("proc"),
            &self.dir.join("sys"),
            &self.dir.join("dev"),
        )
        .expect("scanned");
        found.iter().map(Holder::to_string).collect()
    }
}

impl Drop for FakeBox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

const QUIET: &str = "14 1 0:2 / / rw - tmpfs tmpfs rw\n";

#[test]
fn a_box_on_tmpfs_holds_nothing() {
    assert_eq!(FakeBox::new("quiet", QUIET).scan(2, &[]), [""; 0]);
}

#[test]
fn a_root_called_dev_root_is_found_by_its_number() {
    let fake = FakeBox::new("root", "14 1 31:2 / / ro - squashfs /dev/root ro\n");
    assert_eq!(fake.scan(2, &[]), ["/dev/root mounted on / (squashfs)"]);
    assert_eq!(fake.scan(3, &[]), [""; 0]);
    assert_eq!(
        fake.scan(0, &[2]),
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
    fake.file("sys/class/ubi/ubi1/mtd_num", "3\n");
    assert_eq!(fake.scan(2, &[]), ["mtd:RootFS1 mounted on /a (jffs2)"]);
    assert_eq!(
        fake.scan(3, &[]),
        [
            "mtd:RootFS1 mounted on /a (jffs2)",
            "ubi1:data mounted on /b (ubifs)",
            "ubi1 attached to mtd3"
        ]
    );
}

#[test]
fn a_volume_is_held_by_what_uses_it_and_by_nothing_else_on_its_ubi() {
    let fake = FakeBox::new(
        "volume",
        "14 1 0:17 / / rw - ubifs ubi1:rootfs rw\n15 1 254:0 / /b ro - squashfs /dev/root ro\n",
    );
    for (device, name, number) in [
        ("ubi1_0", "rootfs", "252:1"),
        ("ubi1_1", "app", "252:2"),
        ("ubi1_2", "free", "252:3"),
    ] {
        fake.file(&format!("sys/class/ubi/{device}/name"), &format!("{name}\n"));
        fake.file(&format!("sys/class/ubi/{device}/dev"), &format!("{number}\n"));
    }
    fake.file("sys/class/ubi/ubi1/mtd_num", "3\n");
    fake.file("sys/block/ubiblock1_1/dev", "254:0\n");
    let held = |id, name: &str| {
        let target = MtdTarget {
            index: 70_000 + id,
            name: name.into(),
            volume: Some((1, id)),
            overlaps: vec![],
        };
        let path = |part| fake.dir.join(part);
        let found = scan(&[target], &path("proc"), &path("sys"), &path("dev")).expect("scanned");
        found.iter().map(Holder::to_string).collect::<Vec<_>>()
    };
    assert_eq!(held(0, "rootfs"), ["ubi1:rootfs mounted on / (ubifs)"]);
    assert_eq!(held(1, "app"), ["/dev/root mounted on /b (squashfs)"]);
    assert_eq!(held(2, "free"), [""; 0], "that its ubi is attached is what it needs");
    fake.process_with_open(77, "ubi1_2", SFlag::S_IFCHR, 252, 3);
    assert_eq!(held(2, "free").len(), 1);
    // The MTD below is held by all of it.
    assert_eq!(fake.scan(3, &[]).len(), 4);
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
        fake.scan(2, &[]),
        ["swap on /dev/mtdblock2", "loop device /dev/loop0 on /dev/mtdblock2"]
    );
}

#[test]
fn open_nodes_are_found_by_number_whatever_they_are_called() {
    let fake = FakeBox::new("fd", QUIET);
    fake.process_with_open(77, "odd-name", SFlag::S_IFCHR, 90, 5);
    let found = fake.scan(2, &[]);
    assert!(
        found.len() == 1
            && found[0].starts_with("process 77 (nanddump), which has ")
            && found[0].ends_with("odd-name open"),
        "{found:?}"
    );
    assert_eq!(fake.scan(3, &[]), [""; 0]);
    fake.process_with_open(78, "block", SFlag::S_IFBLK, 31, 3);
    assert_eq!(fake.scan(3, &[]).len(), 1);
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
        fake.scan(2, &[]),
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
        fake.scan(2, &[]),
        ["mounted on /old in the mount namespace of process 20 (lxc)"]
    );
}

#[test]
fn map_lines_and_device_numbers_are_decoded() {
    assert_eq!(
        parse_map("0-1 r-xp 0 1f:02 12    /a b"),
        Some(((31, 2), Path::new("/a b")))
    );
    assert_eq!(parse_map("0-1 r-xp 0 00:00 0 [heap]"), None);
    assert_eq!(numbers(makedev(31, 2)), (31, 2));
    assert_eq!(numbers(makedev(259, 70000)), (259, 70000));
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
        fake.scan(2, &[]),
        [
            "mtd:RootFS1 mounted on /data (jffs2)",
            "/dev/loop3 mounted on /app (squashfs)",
            "swap on /data/swap",
            "the NFS export of /data/my share",
            "loop device /dev/loop3 on /data/app.img",
        ]
    );
}

#[test]
fn jffs2_out_of_sight_is_known_by_its_garbage_collector() {
    let fake = FakeBox::new("gcd", QUIET);
    // PF_KTHREAD.
    fake.file("proc/60/stat", "60 (jffs2_gcd_mtd2) S 2 0 0 0 -1 2129984 0");
    assert_eq!(
        fake.scan(2, &[]),
        ["the kernel, which has mtd2 mounted or claimed out of our sight"]
    );
    fake.file("proc/61/stat", "61 (jffs2_gcd_mtd3) S 1 1 1 0 -1 4194560 0");
    assert_eq!(fake.scan(3, &[]), [""; 0], "anybody may be called that");
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
        fake.scan(2, &[]),
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
    let found = scan_processes(&fake.dir.join("proc"), &|file| file.path.starts_with("/net"));
    assert!(
        matches!(&found[..], [HolderKind::Cwd { pid: 9, path, .. }] if path == "/net/home"),
        "{found:?}"
    );
}
