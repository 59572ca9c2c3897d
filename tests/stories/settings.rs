//! An OpenWrt box keeps its settings: what `sysupgrade` would keep is found, measured, and put where the new firmware looks for it.
//! The judges are the formats' own tools, and a script that does what OpenWrt does at its first boot.

use crate::simbox::{Run, SimBox, bytes, read, tool};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const KIB: usize = 1 << 10;
/// `firmware` of the box, and its erase blocks.
pub const FIRMWARE: std::ops::Range<usize> = 131_072..131_072 + 8_192_000;
pub const ERASE: usize = 64 * KIB;
/// What the mark looks like.
pub const MARK: &[u8] = &[0xde, 0xad, 0xc0, 0xde];

/// A squashfs of about this length.
pub fn squashfs(length: usize) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (root, image) = (dir.path().join("root"), dir.path().join("image"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("bulk"), bytes(length, 3)).unwrap();
    let [root, image_text] = [&root, &image].map(|path| path.to_str().unwrap());
    tool("mksquashfs", &[root, image_text, "-noappend", "-quiet", "-no-progress"]);
    read(&image)
}

/// A kernel, a squashfs right behind it as some routers have it, and the marks that `padjffs2` makes.
pub fn firmware(kernel: &[u8], root: &[u8]) -> Vec<u8> {
    let mut image = [kernel, root].concat();
    let end = (image.len() as u64).next_multiple_of(4 * KIB as u64) as usize;
    image.resize(end, 0xff);
    for align in [4, 8, 64, 128, 256] {
        let at = image.len().next_multiple_of(align * KIB);
        image.resize(at, 0xff);
        if image.len() < end + 300 * KIB {
            image.extend(MARK);
        }
    }
    image
}

pub fn image() -> Vec<u8> {
    firmware(&bytes(200_004, 1), &squashfs(500_000))
}

/// An OpenWrt box, of that byte order.
fn openwrt(order: &str) -> SimBox {
    let sim = SimBox::changed("tplink-wdr3600", |profile| {
        crate::simbox::anything(profile);
        profile["cpu"]["order"] = json!(order);
    });
    put(
        &sim,
        "etc/openwrt_release",
        "DISTRIB_ID='OpenWrt'\nDISTRIB_RELEASE='23.05.2'\n",
    );
    put(
        &sim,
        "lib/upgrade/keep.d/base-files",
        "/etc/config/\n/etc/shadow\n/etc/dropbear/\n",
    );
    sim
}

fn put(sim: &SimBox, name: &str, content: &str) -> PathBuf {
    let path = sim.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

/// A box as its owner has it.
pub fn lived_in(order: &str) -> SimBox {
    let sim = openwrt(order);
    let secret = |path: PathBuf| fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    put(
        &sim,
        "etc/config/network",
        &"config interface 'lan'\n\toption proto 'static'\n".repeat(50),
    );
    put(&sim, "etc/config/with space", "a name\n");
    secret(put(&sim, "etc/shadow", "root:$1$x:0:0:99999:7:::\n"));
    fs::create_dir_all(sim.path().join("etc/dropbear")).unwrap();
    fs::write(sim.path().join("etc/dropbear/key"), bytes(200_000, 9)).unwrap();
    secret(sim.path().join("etc/dropbear/key"));
    symlink("network", sim.path().join("etc/config/link")).unwrap();
    put(
        &sim,
        "etc/sysupgrade.conf",
        "## to be kept\n\n#/etc/not\n  /etc/mine/*.conf  # mine\n/root/a /root/b\n",
    );
    put(&sim, "etc/not", "not");
    put(&sim, "etc/mine/one.conf", "1");
    put(&sim, "etc/mine/two.txt", "2");
    put(&sim, "root/a", "a");
    put(&sim, "root/b", "b");
    let sum = |program: &str, content: &str| {
        let file = sim.file("sum", content.as_bytes());
        String::from_utf8(tool(program, &[&file]).stdout).unwrap()[..]
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    let (sha, md5) = (sum("sha256sum", "as installed\n"), sum("md5sum", "as installed\n"));
    for name in ["same", "same5"] {
        put(&sim, &format!("etc/{name}"), "as installed\n");
    }
    for name in ["changed", "changed5", "unknown"] {
        put(&sim, &format!("etc/{name}"), "otherwise\n");
    }
    put(
        &sim,
        "usr/lib/opkg/status",
        &format!(
            "Package: one\nConffiles:\n /etc/same {sha}\n /etc/changed {sha}\n /etc/gone {sha}\nStatus: install\n /etc/not x\n\n\
             Package: two\nConffiles:\n /etc/same5 {md5}\n /etc/changed5 {md5}\n /etc/unknown 0\n"
        ),
    );
    sim
}

/// What of it is kept.
pub const KEPT: [&str; 11] = [
    "etc/changed",
    "etc/changed5",
    "etc/config/link",
    "etc/config/network",
    "etc/config/with space",
    "etc/dropbear/key",
    "etc/mine/one.conf",
    "etc/shadow",
    "etc/unknown",
    "root/a",
    "root/b",
];

/// Files and links by their names: mode, and content or where it leads.
pub type Tree = BTreeMap<String, (u32, Vec<u8>)>;

/// Those below a directory.
fn tree(root: &Path) -> Tree {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if about.is_dir() {
                todo.push(path);
            } else if about.is_symlink() {
                let target = fs::read_link(&path).unwrap().display().to_string();
                found.insert(name, (0, target.into_bytes()));
            } else {
                found.insert(name, (about.permissions().mode() & 0o7777, read(&path)));
            }
        }
    }
    found
}

/// The first boot of what is in the flash: exit status, and the root afterwards.
pub fn boot(sim: &SimBox, order: &str) -> (Option<i32>, Tree) {
    let partition = sim.file("firmware", &sim.flash()[FIRMWARE]);
    let root = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stories/openwrt-boot");
    let output = Command::new("sh")
        .args([
            script,
            &partition,
            &ERASE.to_string(),
            &order[..1],
            root.path().to_str().unwrap(),
        ])
        .output()
        .unwrap();
    if !output.status.success() {
        assert_eq!(output.status.code(), Some(3), "{output:?}");
    }
    (output.status.code(), tree(root.path()))
}

fn apply(sim: &SimBox, image: &[u8], more: &[&str]) -> Run {
    let image = sim.file("image", image);
    sim.apply(&[&["--part", "firmware"], more, &[&image]].concat())
}

fn plan(sim: &SimBox, image: &[u8], more: &[&str]) -> Value {
    let image = sim.file("image", image);
    let all = [&["--format", "json", "--part", "firmware"], more, &[&image]].concat();
    sim.run("plan", &all).json()
}

fn keep_check(plan: &Value) -> Value {
    let checks = plan["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["name"] == "keep")
        .cloned()
        .unwrap_or_default()
}

/// Asserts that the update is refused because of the settings, touches nothing, and goes on without them when that is asked for.
#[track_caller]
fn refused(sim: &SimBox, image: &[u8], why: &str) {
    let before = sim.flash();
    let check = keep_check(&plan(sim, image, &[]));
    assert_eq!(check["status"], "fail", "{check}");
    let text = check["text"].as_str().unwrap();
    assert!(text.contains(why), "{text}");
    apply(sim, image, &[]).exits(78);
    assert!(sim.flash() == before);
    let result = apply(sim, image, &["--no-keep"]).exits(0).json();
    assert_eq!(result["kept"], Value::Null);
}

#[test]
fn settings_come_through_as_sysupgrade_keeps_them_in_either_byte_order() {
    for order in ["big", "little"] {
        let sim = lived_in(order);
        let image = image();
        let before = tree(&sim.path());
        let result = apply(&sim, &image, &[]).exits(0).json();
        assert_eq!(
            (&result["harm"], &result["kept"]["state"]),
            (&json!("written"), &json!("restored"))
        );
        let (status, after) = boot(&sim, order);
        assert_eq!(status, Some(0));
        assert_eq!(after.keys().collect::<Vec<_>>(), KEPT);
        for name in KEPT {
            assert!(after[name] == before[name], "{name}");
        }
        // The firmware up to the end of its root is what the image has.
        let mark = image.chunks(ERASE).position(|block| block.starts_with(MARK)).unwrap() * ERASE;
        assert!(sim.flash()[FIRMWARE][..mark] == image[..mark]);
        let status = sim.run("status", &["--format", "json"]).exits(0).json();
        assert_eq!(status["kept"]["state"], "restored");
    }
}

/// No other user may read the archive, wherever it lies: the archive has keys and passwords.
#[test]
fn the_archive_is_for_root_alone() {
    let sim = lived_in("big");
    let backup = sim.dir.path().join("backup");
    apply(&sim, &image(), &["--backup", backup.to_str().unwrap()]).exits(0);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let archive = backup.join("sysupgrade.tgz");
    assert_eq!(mode(&archive), 0o600);
    let listed = tool("tar", &["-tzf", archive.to_str().unwrap()]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.lines().collect::<Vec<_>>(), KEPT);
    assert_eq!(mode(&sim.path().join("keep.tar")), 0o600);
    let flash = &sim.flash()[FIRMWARE];
    // The mode of each inode of the file: a regular file, 0600.
    let inode = [0x19, 0x85, 0xe0, 0x02];
    let inodes: Vec<_> = (0..flash.len())
        .step_by(4)
        .filter(|at| flash[*at..].starts_with(&inode))
        .collect();
    assert!(inodes.len() > 200_000 / 4096);
    for at in inodes {
        assert_eq!(flash[at + 20..at + 24], 0o100_600_u32.to_be_bytes());
    }
}

/// Where the box's own sysupgrade does so, what is switched off is so again in the new firmware: its boot runs the script.
#[test]
fn services_that_are_switched_off_stay_off() {
    let script = "etc/uci-defaults/10_disable_services";
    for (sysupgrade, links, off) in [
        ("tar_print_member /etc/uci-defaults/10_disable_services", true, true),
        ("tar czf", true, false),
        ("tar_print_member /etc/uci-defaults/10_disable_services", false, false),
    ] {
        let sim = lived_in("big");
        put(&sim, "sbin/sysupgrade", sysupgrade);
        for (name, place) in [
            ("network", "START=20"),
            ("telnet", "START=50"),
            ("odhcpd", "START=35\nSTOP=85"),
        ] {
            put(
                &sim,
                &format!("etc/init.d/{name}"),
                &format!("#!/bin/sh /etc/rc.common\n{place}\n"),
            );
        }
        put(&sim, "etc/init.d/stranger", "#!/bin/sh\n");
        fs::create_dir_all(sim.path().join("etc/rc.d")).unwrap();
        for link in ["S20network", "S35odhcpd"].iter().filter(|_| links) {
            symlink("../init.d/x", sim.path().join("etc/rc.d").join(link)).unwrap();
        }
        let plan = plan(&sim, &image(), &[]);
        let listed = plan["keep"]["files"].to_string().contains(script);
        assert_eq!(listed, off, "{}", plan["keep"]["files"]);
        apply(&sim, &image(), &[]).exits(0);
        let (status, after) = boot(&sim, "big");
        assert_eq!(status, Some(0));
        let text = after
            .get(script)
            .map(|(mode, text)| (*mode, String::from_utf8_lossy(text).into_owned()));
        let expected = "/etc/init.d/odhcpd disable\n/etc/init.d/telnet disable\n\nexit 0\n";
        assert_eq!(text, off.then(|| (0o644, expected.to_owned())));
    }
}

/// A script of that name that the owner keeps is the owner's.
#[test]
fn a_script_of_the_owners_is_not_replaced() {
    let sim = lived_in("little");
    put(&sim, "sbin/sysupgrade", "etc/uci-defaults/10_disable_services");
    put(&sim, "etc/init.d/telnet", "#!/bin/sh /etc/rc.common\nSTART=50\n");
    put(&sim, "etc/rc.d/S20network", "");
    put(&sim, "etc/uci-defaults/10_disable_services", "mine");
    put(&sim, "etc/sysupgrade.conf", "/etc/uci-defaults/\n");
    apply(&sim, &image(), &[]).exits(0);
    assert_eq!(
        boot(&sim, "little").1["etc/uci-defaults/10_disable_services"].1,
        b"mine"
    );
}

#[test]
fn the_plan_says_what_is_kept_how_much_and_that_it_fits() {
    let sim = lived_in("big");
    let before = sim.flash();
    let file = sim.file("image", &image());
    let text = sim.run("plan", &["-v", "--part", "firmware", &file]).exits(0).out;
    for line in [
        "keep: 11 files, ",
        "as sysupgrade.tgz in a jffs2",
        "etc/config/with space",
        "behind the new root",
        " are free",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let plan = plan(&sim, &image(), &[]);
    assert_eq!(plan["keep"]["files"].as_array().unwrap().len(), KEPT.len());
    assert_eq!(plan["keep"]["bytes"].as_u64().unwrap() as usize % ERASE, 0);
    assert!(sim.flash() == before);
}

#[test]
fn without_them_the_new_firmware_starts_afresh() {
    let sim = lived_in("big");
    let check = keep_check(&plan(&sim, &image(), &["--no-keep"]));
    assert_eq!(check["status"], "warn", "{check}");
    let result = apply(&sim, &image(), &["--no-keep"]).exits(0).json();
    assert_eq!(result["kept"], Value::Null);
    assert_eq!(boot(&sim, "big").0, Some(3));
    for other in [["--keep", "/etc/passwd"], ["--keep-to", "raw:art"]] {
        apply(&sim, &image(), &[&["--no-keep"], &other[..]].concat()).exits(64);
    }
}

#[test]
fn what_does_not_fit_behind_the_root_is_refused_with_numbers() {
    let sim = lived_in("big");
    fs::write(sim.path().join("etc/config/long"), bytes(1 << 20, 4)).unwrap();
    let image = firmware(&bytes(200_004, 1), &squashfs(6_600_000));
    refused(&sim, &image, "where there is room for");
    // Nothing of it is on the disk, and none of it is packed to find out.
    let endless = fs::File::create(sim.path().join("etc/config/long")).unwrap();
    endless.set_len(1 << 43).unwrap();
    refused(&sim, &image, "where there is room for");
}

#[test]
fn an_image_without_a_place_for_them_is_refused() {
    let root = squashfs(300_000);
    let kernel = bytes(200_004, 1);
    let without: Vec<u8> = [&kernel[..], &root].concat();
    refused(&lived_in("big"), &without, "no 0xdeadc0de");
    // A mark that does not stand where the kernel looks.
    let mut later = without.clone();
    let end = later.len().next_multiple_of(ERASE) + ERASE;
    later.resize(end, 0xff);
    later.extend(MARK);
    refused(&lived_in("big"), &later, "no squashfs ends");
    // What is behind the root is a part of what the boot loader checks.
    let mut trx = firmware(&[&[0; 28], &kernel[..]].concat(), &root);
    let length = u32::try_from(trx.len()).unwrap();
    trx[..4].copy_from_slice(b"HDR0");
    trx[4..8].copy_from_slice(&length.to_le_bytes());
    trx[14..16].copy_from_slice(&1_u16.to_le_bytes());
    trx[16..20].copy_from_slice(&28_u32.to_le_bytes());
    let crc = !crc32(&trx[12..]);
    trx[8..12].copy_from_slice(&crc.to_le_bytes());
    refused(&lived_in("big"), &trx, "has a checksum over");
    refused(&lived_in("big"), &trx, "what was checked and signed");
    // Forced, nothing is kept.
    let sim = lived_in("big");
    let result = apply(&sim, &without, &["--force", "keep"]).exits(0).json();
    assert_eq!(result["kept"], Value::Null);
}

/// zlib's.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn what_cannot_be_read_is_refused_by_its_name() {
    for (list, why) in [
        (format!("/etc/{}", "x".repeat(300)), "/etc/xxx"),
        ("etc/relative".to_owned(), "etc/relative: it is not an absolute path"),
        ("/etc/[[:alpha:]]*".to_owned(), "patterns with [: :] are not understood"),
        ("/etc/../shadow".to_owned(), "has .. in it"),
    ] {
        let sim = lived_in("big");
        put(&sim, "etc/sysupgrade.conf", &list);
        refused(&sim, &image(), why);
    }
    let sim = lived_in("big");
    fs::create_dir(sim.path().join("lib/upgrade/keep.d/directory")).unwrap();
    refused(&sim, &image(), "keep.d/directory");
    if !nix::unistd::geteuid().is_root() {
        let sim = lived_in("big");
        fs::set_permissions(sim.path().join("etc/shadow"), PermissionsExt::from_mode(0o000)).unwrap();
        refused(&sim, &image(), "etc/shadow");
    }
}

/// What is not known to be OpenWrt is not treated as such, and that is said.
#[test]
fn only_a_root_that_has_what_sysupgrade_needs_is_openwrts() {
    let sim = lived_in("big");
    fs::remove_dir_all(sim.path().join("lib/upgrade")).unwrap();
    let check = keep_check(&plan(&sim, &image(), &[]));
    assert_eq!(check["status"], "warn", "{check}");
    assert!(check["text"].as_str().unwrap().contains("no /lib/upgrade"), "{check}");
    let sim = lived_in("big");
    fs::remove_file(sim.path().join("etc/openwrt_release")).unwrap();
    assert_eq!(keep_check(&plan(&sim, &image(), &[])), Value::Null);
    let result = apply(&sim, &image(), &[]).exits(0).json();
    assert_eq!(result["kept"], Value::Null);
    assert_eq!(boot(&sim, "big").0, Some(3));
}

#[test]
fn files_of_the_users_go_along_or_where_they_are_sent() {
    let sim = lived_in("big");
    let mine = put(&sim, "opt/mine", "mine");
    put(&sim, "etc/flasher/keep", "/opt/listed\n");
    put(&sim, "opt/listed", "listed");
    let mine = mine.to_str().unwrap();
    apply(&sim, &image(), &["--keep", mine]).exits(0);
    let after = boot(&sim, "big").1;
    assert!(
        after.contains_key("opt/mine") && after.contains_key("opt/listed"),
        "{:?}",
        after.keys()
    );
    assert_eq!(after.len(), KEPT.len() + 2);
    // Classes, as the shell of `sysupgrade` has them; what fits nothing is a name.
    put(&sim, "etc/sysupgrade.conf", "/srv/[a-c]?[!0-9] /srv/odd[1]\n");
    for name in ["a1x", "b22", "d1x", "odd[1]"] {
        put(&sim, &format!("srv/{name}"), name);
    }
    let listed = plan(&sim, &image(), &[]).to_string();
    for (name, kept) in [("a1x", true), ("b22", false), ("d1x", false), ("odd[1]", true)] {
        assert_eq!(listed.contains(&format!("srv/{name}\"")), kept, "{name}: {listed}");
    }
    // A program of the firmware may name more when `sysupgrade` runs it.
    put(&sim, "lib/upgrade/more.sh", "append sysupgrade_init_conffiles more\n");
    let check = keep_check(&plan(&sim, &image(), &[]));
    assert_eq!(check["status"], "warn", "{check}");
    assert!(
        check["text"].as_str().unwrap().contains("/lib/upgrade/more.sh"),
        "{check}"
    );
}

/// The newest releases have apk, which keeps the checksums elsewhere.
#[test]
fn packages_of_apk_have_their_settings_too() {
    let sim = lived_in("big");
    fs::remove_dir_all(sim.path().join("usr/lib/opkg")).unwrap();
    let sum = "0".repeat(64);
    put(
        &sim,
        "lib/apk/packages/one.conffiles_static",
        &format!("/etc/same {sum}\n/etc/gone {sum}\n"),
    );
    put(&sim, "lib/apk/packages/one.list", "/etc/changed\n");
    apply(&sim, &image(), &[]).exits(0);
    let after = boot(&sim, "big").1;
    assert!(
        after.contains_key("etc/same") && !after.contains_key("etc/changed"),
        "{:?}",
        after.keys()
    );
}

/// `--sim box` and `--sim ./box` are the box that `--sim /…/box` is.
#[test]
fn a_simulated_box_by_a_relative_path_keeps_its_settings() {
    let sim = lived_in("big");
    sim.file("image", &image());
    for path in ["box", "./box"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flasher"));
        command.current_dir(sim.dir.path());
        command.args(["plan", "--format", "json", "--sim", path, "--part", "firmware", "image"]);
        let plan = Run::from(command.output().unwrap()).exits(0).json();
        assert!(plan["keep"].to_string().contains("etc/config/network"), "{plan}");
    }
}
