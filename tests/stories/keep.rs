//! Files of the user's outlive the update: listed with their sizes before anything happens, refused when they do not fit,
//! put back and read back afterwards.

use crate::fakebox::{FakeBox, mtd};
use crate::shapes::NEW;
use crate::simbox::{SimBox, bytes, is_root, read, tool};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const MIB: usize = 1 << 20;
/// Where `config` of the generic box begins, and how long it is.
const CONFIG: usize = 15_007_744;
const ROOM: usize = 1_769_472;

/// A configuration beside the box, with all that a tar can hold.
fn configuration(sim: &SimBox) -> PathBuf {
    let etc = sim.dir.path().join("etc");
    fs::create_dir_all(etc.join("ssh/keys")).unwrap();
    fs::write(etc.join("passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
    fs::write(etc.join("ssh/keys/host"), bytes(70_000, 7)).unwrap();
    fs::set_permissions(etc.join("ssh/keys/host"), PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(etc.join("empty.conf"), "").unwrap();
    symlink("passwd", etc.join("passwd.link")).unwrap();
    let deep = etc.join(format!("{}/{}", "d".repeat(90), "e".repeat(90)));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("f"), "a long name").unwrap();
    fs::write(etc.join(latin1()), "his").unwrap();
    etc
}

/// A name that is not UTF-8.
fn latin1() -> &'static OsStr {
    OsStr::from_bytes(b"M\xfcller")
}

/// The tar of `config`, unpacked by tar(1).
fn unpacked(sim: &SimBox) -> PathBuf {
    let tar = sim.file("config.tar", &sim.flash()[CONFIG..CONFIG + ROOM]);
    let out = sim.dir.path().join("out");
    fs::create_dir(&out).unwrap();
    tool("tar", &["-xpf", &tar, "-C", out.to_str().unwrap()]);
    out
}

fn same(from: &Path, root: &Path) {
    let to = root.join(from.strip_prefix("/").unwrap());
    let (a, b) = (fs::symlink_metadata(from).unwrap(), fs::symlink_metadata(&to).unwrap());
    assert_eq!((a.mode(), a.mtime()), (b.mode(), b.mtime()), "{}", to.display());
    assert_eq!((a.uid(), a.gid()), (b.uid(), b.gid()), "{}", to.display());
    match a.is_symlink() {
        true => assert_eq!(fs::read_link(from).unwrap(), fs::read_link(&to).unwrap()),
        false => assert_eq!(read(from), read(&to), "{}", to.display()),
    }
}

#[test]
fn kept_files_are_a_tar_in_the_partition_that_any_tar_unpacks_as_they_were() {
    let sim = SimBox::new("generic");
    let etc = configuration(&sim);
    let image = sim.file("image", &bytes(MIB, 1));
    let keep = etc.to_str().unwrap();
    let result = sim
        .apply(&["--part", "kernel", "--keep", keep, "--keep-to", "raw:config", &image])
        .exits(0)
        .json();
    assert_eq!(result["harm"], "written");
    assert_eq!(result["kept"]["state"], "restored");
    let out = unpacked(&sim);
    let deep = format!("{}/{}/f", "d".repeat(90), "e".repeat(90));
    for name in ["passwd", "ssh/keys/host", "empty.conf", "passwd.link", &deep] {
        same(&etc.join(name), &out);
    }
    same(&etc.join(latin1()), &out);
    let status = sim.run("status", &["--format", "json"]).exits(0).json();
    assert_eq!(status["harm"], "written");
    assert_eq!(status["kept"]["state"], "restored");
    assert_eq!(status["kept"]["to"], "raw:config");
}

#[test]
fn the_plan_lists_every_path_with_its_size_and_touches_nothing() {
    let sim = SimBox::new("generic");
    let etc = configuration(&sim);
    let image = sim.file("image", &bytes(MIB, 1));
    let before = sim.flash();
    let keep = format!("{}/pass*", etc.display());
    let args = ["--part", "kernel", "--keep", &keep, "--keep-to", "raw:config", &image];
    let text = sim.run("plan", &args).exits(0).out;
    assert!(
        text.contains(&format!("keep: 22 bytes {}/passwd", etc.display())),
        "{text}"
    );
    assert!(text.contains("as a tar, to raw:config"), "{text}");
    let plan = sim
        .run("plan", &[&["--format", "json"], &args[..]].concat())
        .exits(0)
        .json();
    let of = |name: &str| {
        let files = plan["keep"]["files"].as_array().unwrap();
        let path = etc.join(name).display().to_string();
        files.iter().find(|file| file["path"] == json!(path)).cloned()
    };
    assert_eq!(of("passwd").unwrap()["size"], 22);
    assert_eq!(of("passwd.link").unwrap()["size"], 0);
    assert_eq!(of("empty.conf"), None, "the glob names it not");
    assert_eq!(plan["keep"]["bytes"].as_u64().unwrap() % 512, 0);
    assert_eq!(sim.flash(), before);
}

/// The check `keep` of a plan that is refused by it.
fn refusal(sim: &SimBox, args: &[&str]) -> Value {
    let image = sim.file("image", &bytes(MIB, 1));
    let all = [&["--format", "json", "--part", "kernel"], args, &[&image]].concat();
    let before = sim.flash();
    let plan = sim.run("plan", &all).exits(78).json();
    sim.apply(&all[2..]).exits(78);
    assert_eq!(sim.flash(), before);
    let checks = plan["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "keep").unwrap().clone();
    assert_eq!(
        (&check["status"], &plan["valid"]),
        (&json!("fail"), &json!(false)),
        "{check}"
    );
    check
}

#[test]
fn what_does_not_fit_is_refused_with_numbers_and_nothing_is_touched() {
    let sim = SimBox::new("generic");
    let big = sim.file("big", &bytes(ROOM, 1));
    let text = refusal(&sim, &["--keep", &big, "--keep-to", "raw:config"])["text"].to_string();
    assert!(text.contains("1,769,472"), "{text}");

    let sim = SimBox::changed("generic", |profile| profile["ram"] = json!(4_500_000));
    let some = sim.file("some", &bytes(ROOM - 65536, 1));
    let text = refusal(&sim, &["--keep", &some, "--keep-to", "raw:config"])["text"].to_string();
    assert!(text.contains("of RAM"), "{text}");

    // Nothing of it is on the disk.
    let long = sim.file("long", b"");
    fs::File::create(&long).unwrap().set_len(1 << 40).unwrap();
    let text = refusal(&sim, &["--keep", &long, "--keep-to", "raw:config"])["text"].to_string();
    assert!(text.contains("too long for a tar"), "{text}");
}

#[test]
fn what_cannot_be_kept_is_refused_by_name_unless_it_is_forced_not_to_be() {
    let sim = SimBox::new("generic");
    let some = sim.file("some", b"some");
    for (args, why) in [
        (vec!["--keep", &some], "nothing says where"),
        (
            vec!["--keep", &some, "--keep-to", "raw:kernel"],
            "written by the update",
        ),
        (vec!["--keep", &some, "--keep-to", "raw:u-boot"], "protected"),
        (vec!["--keep", &some, "--keep-to", "raw:nowhere"], "no partition"),
        (
            vec!["--keep", "/no/such/file", "--keep-to", "raw:config"],
            "there is no /no/such/file",
        ),
        (
            vec!["--keep", "relative", "--keep-to", "raw:config"],
            "not an absolute path",
        ),
        (vec!["--keep", "/a/../b", "--keep-to", "raw:config"], "has .. in it"),
        (vec!["--keep", &some, "--keep-to", "jffs2:config"], "no file systems"),
    ] {
        let text = refusal(&sim, &args)["text"].to_string();
        assert!(text.contains(why), "{args:?}: {text}");
    }
    // A place that is named is one, whether anything goes there or not.
    for (to, why) in [
        ("raw:nowhere", "no partition"),
        ("raw:kernel", "written by the update"),
        ("raw:u-boot", "protected"),
        ("jffs2:config", "no file systems"),
    ] {
        let text = refusal(&sim, &["--keep-to", to])["text"].to_string();
        assert!(text.contains(why), "{to}: {text}");
    }
    let image = sim.file("image", &bytes(MIB, 1));
    let run = sim.run("plan", &["--part", "kernel", "--keep-to", "raw:config", &image]);
    assert!(run.exits(0).out.contains("nothing is kept in raw:config"));
    for to in ["config", "raw:", "raw:config,../x"] {
        sim.apply(&["--part", "kernel", "--keep-to", to, &image]).exits(64);
    }
    sim.apply(&["--part", "kernel", "--keep", &some, "--keep-to", "config", &image])
        .exits(64);
    let result = sim
        .apply(&["--part", "kernel", "--keep", &some, "--force", "keep", &image])
        .exits(0)
        .json();
    assert_eq!(result["kept"], Value::Null);
}

/// Kernels write the names of partitions in other cases than profiles.
#[test]
fn the_partition_of_the_record_is_no_place_whatever_its_name_is_written_like() {
    let sim = SimBox::new("generic");
    let path = sim.path().join("board.json");
    let mut profile: Value = serde_json::from_slice(&read(&path)).unwrap();
    profile["record"] = json!("Config");
    fs::write(path, profile.to_string()).unwrap();
    let some = sim.file("some", b"some");
    let text = refusal(&sim, &["--keep", &some, "--keep-to", "raw:config"])["text"].to_string();
    assert!(text.contains("protected"), "{text}");
}

#[test]
fn the_profile_may_say_where_they_go() {
    let sim = SimBox::changed("generic", |profile| profile["keep_to"] = json!("raw:config"));
    let some = sim.file("some", b"some");
    let image = sim.file("image", &bytes(MIB, 1));
    let result = sim
        .apply(&["--part", "kernel", "--keep", &some, &image])
        .exits(0)
        .json();
    assert_eq!(result["kept"]["state"], "restored");
    same(Path::new(&some), &unpacked(&sim));
}

#[test]
fn a_backup_has_a_copy_of_the_tar() {
    let sim = SimBox::new("generic");
    let some = sim.file("some", b"some");
    let image = sim.file("image", &bytes(MIB, 1));
    let backup = sim.dir.path().join("backup");
    let to = backup.to_str().unwrap();
    sim.apply(&[
        "--part",
        "kernel",
        "--keep",
        &some,
        "--keep-to",
        "raw:config",
        "--backup",
        to,
        &image,
    ])
    .exits(0);
    let tar = read(&backup.join("keep.tar"));
    assert_eq!(tar, sim.flash()[CONFIG..CONFIG + tar.len()]);
}

/// Names are bytes, in the lists too: one that is not UTF-8 is kept, and one in a comment disturbs nothing.
#[test]
fn a_list_is_bytes() {
    if !is_root() {
        return;
    }
    let parts = [mtd(0, "kernel", 256 << 10, 0), mtd(1, "data", 8 << 20, 1 << 20)];
    let router = FakeBox::new(NEW, &parts)
        .proc("filesystems", "nodev\ttmpfs\n\tjffs2\n")
        .etc(
            "flasher/keep",
            b"# f\xfcr mich\n/etc/shadow\n/etc/M\xfcller\r\n/etc/[?\n/etc/?.\xff*\n",
        )
        .etc("shadow", b"root:x\n")
        .etc("a.\u{ff}", b"another")
        .etc_bytes(b"M\xfcller", b"his")
        .etc_bytes(b"b.\xffx", b"hers");
    let plan = router.plan("kernel", &["--keep-to", "jffs2:data"]);
    assert!(plan.refused().is_empty(), "{}", plan.json);
    let files = plan.json["keep"]["files"].as_array().unwrap();
    let paths: Vec<_> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/etc", "/etc/M\u{fffd}ller", "/etc/b.\u{fffd}x", "/etc/shadow"]);
    let image = tempfile::NamedTempFile::new().unwrap();
    fs::write(&image, "an image").unwrap();
    let (image, other) = (image.path().to_str().unwrap(), "0".repeat(64));
    let run = router.run(&[
        "plan",
        "--sha256",
        &other,
        "--part",
        "kernel",
        "--keep-to",
        "jffs2:data",
        image,
    ]);
    assert!(run.out.contains(r#""/etc/M\xfcller""#), "{run:?}");
    // A list that is a directory cannot be read.
    let odd = FakeBox::new(NEW, &parts).etc("flasher/keep/x", b"");
    let plan = odd.plan("kernel", &["--keep-to", "jffs2:data"]);
    assert!(plan.refused().contains(&"keep"), "{}", plan.json);
}

/// To mount is to write: JFFS2 erases what it finds dirty, the boot loader in front of it among it.
#[test]
fn nothing_is_kept_where_a_mount_would_write_into_what_is_protected() {
    if !is_root() {
        return;
    }
    let parts = [
        mtd(0, "u-boot", 256 << 10, 0),
        mtd(1, "factory", 256 << 10, 256 << 10),
        mtd(2, "low", 1 << 20, 0),
        mtd(3, "kernel", 1 << 20, 2 << 20),
        mtd(4, "data", 8 << 20, 4 << 20),
    ];
    let router = FakeBox::new(NEW, &parts)
        .proc("filesystems", "nodev\ttmpfs\n\tjffs2\n\text4\nnodev\tubifs\n")
        .etc("passwd", b"root:x\n");
    let keep = |to| router.plan("kernel", &["--keep", "/etc/passwd", "--keep-to", to]);
    for (to, why) in [
        ("jffs2:u-boot", "the boot loader"),
        ("jffs2:low", "mtd0 \\\"u-boot\\\""),
        ("jffs2:/dev/mtdblock2", "mtd0 \\\"u-boot\\\""),
        ("ext4:/dev/mtdblock2", "mtd0 \\\"u-boot\\\""),
        ("ext4:/dev/mtd/2", "mtd0 \\\"u-boot\\\""),
        ("jffs2:/dev/mtdblock3", "brings no jffs2 for mtd3"),
        ("jffs2:mtd:nowhere", "there is no partition"),
        ("ubifs:ubi!nowhere", "there is no partition \\\"ubi0:nowhere\\\""),
        ("ext4:data", "cannot be looked at"),
    ] {
        let plan = keep(to);
        assert!(plan.refused().contains(&"keep"), "{to}: {}", plan.json);
        assert!(plan.json.to_string().contains(why), "{to}: {}", plan.json);
    }
    for to in ["jffs2:data", "jffs2:factory"] {
        assert!(keep(to).refused().is_empty(), "{to}");
    }
}
