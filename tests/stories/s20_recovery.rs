//! Recovery images: the recipes, tables, orders and sizes of the pages "Recovery mode of the QNAP TS-109" and
//! "Recovery mode of QNAP TS-21x/TS-22x", held against `cat` and `dd`.

use crate::simbox::{Run, SimBox, bytes, flasher, read, tool};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// A kind of box: its id, the order of its recovery image, and the size of each of mtd0 to mtd5.
pub struct Kind {
    pub board: &'static str,
    pub order: &'static [usize],
    pub sizes: [usize; 6],
}

pub const TS109: Kind = Kind {
    board: "qnap-ts109",
    order: &[1, 2, 3],
    sizes: [0x80000, 2 * MIB, 4 * MIB, MIB, 0x20000, 0x60000],
};
pub const TS219: Kind = Kind {
    board: "qnap-ts219",
    order: &[0, 4, 5, 1, 2, 3],
    sizes: [0x80000, 2 * MIB, 9 * MIB, 3 * MIB, 0x40000, 0x140000],
};
const KINDS: [&Kind; 2] = [&TS109, &TS219];

/// A kernel for the boot loader, made by U-Boot's own tool.
pub fn kernel(dir: &Path, length: usize) -> Vec<u8> {
    let (payload, image) = (dir.join("payload"), dir.join("uImage"));
    fs::write(&payload, bytes(length, 40)).unwrap();
    let [payload, image] = [&payload, &image].map(|path| path.to_str().unwrap());
    tool(
        "mkimage",
        &[
            "-A", "arm", "-O", "linux", "-T", "kernel", "-C", "none", "-n", "Linux", "-d", payload, image,
        ],
    );
    read(image.as_ref())
}

/// The content of each partition of a box that starts, and whose boot loader says what it asks for.
pub fn partitions(kind: &Kind, dir: &Path, vendor_class: &str) -> Vec<Vec<u8>> {
    (0..6)
        .map(|mtd| {
            let mut content = bytes(kind.sizes[mtd], 50 + mtd as u64);
            let head = match mtd {
                1 => kernel(dir, 1_500_000),
                4 => {
                    let mut config = vec![0; 0x1000];
                    let text = format!("CRC!bootdelay=3\0bootp_vendor_class={vendor_class}\0ethact=egiga0\0\0");
                    config[..text.len()].copy_from_slice(text.as_bytes());
                    config
                }
                _ => Vec::new(),
            };
            content[..head.len()].copy_from_slice(&head);
            content
        })
        .collect()
}

/// `cat mtdA mtdB …` in the order of the page.
pub fn cat(kind: &Kind, parts: &[Vec<u8>]) -> Vec<u8> {
    kind.order.iter().flat_map(|mtd| parts[*mtd].clone()).collect()
}

/// The files `mtd0` to `mtd5` of the pages.
fn plain_copies(dir: &Path, parts: &[Vec<u8>]) -> PathBuf {
    let copies = dir.join("copies");
    fs::create_dir_all(&copies).unwrap();
    for (mtd, part) in parts.iter().enumerate() {
        fs::write(copies.join(format!("mtd{mtd}")), part).unwrap();
    }
    copies
}

/// A simulated box with these partitions, put where the chip has them.
fn sim(kind: &Kind, parts: &[Vec<u8>]) -> SimBox {
    let sim = SimBox::new(kind.board);
    let physical: &[usize] = match kind.board {
        "qnap-ts109" => &[1, 2, 3, 5, 4, 0],
        _ => kind.order,
    };
    let chip: Vec<u8> = physical.iter().flat_map(|mtd| parts[*mtd].clone()).collect();
    sim.fill(&chip);
    sim
}

fn create(args: &[&str]) -> Run {
    flasher(&[&["recovery", "create"][..], args].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_table_of_file_names() {
    let rows: [(&str, &[&str]); 12] = [
        ("TS-109", &["qnapimg.bin"]),
        ("HS-210", &["F_HS-210"]),
        ("TS-210", &["F_TS-210"]),
        ("TS-212", &["F_TS-212"]),
        ("TS-219", &["F_TS-219"]),
        ("TS-219P", &["F_TS-219", "F_TS-219PE"]),
        ("TS-219P+", &["F_TS-219P+"]),
        ("TS-219P II", &["F_TS-219P2+"]),
        ("TS-220", &["F_TS-220"]),
        ("TS-221", &["F_TS-221"]),
        ("Fujitsu Q700", &["F_Q700"]),
        ("Fujitsu Q703", &["F_Q703"]),
    ];
    let table = flasher(&["recovery", "boards", "--format", "json"]).exits(0).json();
    let text = flasher(&["recovery", "boards"]).exits(0).out;
    for (device, names) in rows {
        let row = table.as_array().unwrap().iter().find(|row| row["device"] == device);
        let row = row.unwrap_or_else(|| panic!("{device} is missing"));
        assert_eq!(row["names"], serde_json::json!(names), "{device}");
        assert!(
            text.contains(&format!("{device} ")) && text.contains(names[0]),
            "{device}"
        );
    }
}

#[test]
fn from_files_as_the_pages_make_them_it_is_what_cat_makes() {
    for kind in KINDS {
        let dir = TempDir::new().unwrap();
        let parts = partitions(kind, dir.path(), "F_TS-219");
        let copies = plain_copies(dir.path(), &parts);
        let out = dir.path().join("image");
        let run = create(&["--format", "json", "--from", text(&copies), text(&out)]).exits(0);
        assert!(read(&out) == cat(kind, &parts), "{}", kind.board);
        assert_eq!(run.json()["board"], kind.board);
        let wanted: usize = kind.order.iter().map(|mtd| kind.sizes[*mtd]).sum();
        assert_eq!(read(&out).len(), wanted);
        assert!([7 * MIB, 16 * MIB].contains(&wanted));
        let order: Vec<_> = run.json()["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["mtd"].as_u64().unwrap() as usize)
            .collect();
        assert_eq!(order, kind.order);
    }
}

#[test]
fn from_a_backup_and_from_the_running_box_it_is_the_same() {
    for kind in KINDS {
        let dir = TempDir::new().unwrap();
        let parts = partitions(kind, dir.path(), "F_TS-221");
        let sim = sim(kind, &parts);
        let backup = dir.path().join("backup");
        sim.run("backup", &[text(&backup)]).exits(0);
        let (of_backup, of_box) = (dir.path().join("of-backup"), dir.path().join("of-box"));
        create(&["--from", text(&backup), text(&of_backup)]).exits(0);
        create(&["--sim", text(&sim.path()), text(&of_box)]).exits(0);
        assert!(read(&of_backup) == cat(kind, &parts));
        assert!(read(&of_box) == cat(kind, &parts));
    }
}

#[test]
fn into_a_directory_it_gets_the_name_that_the_box_asks_for() {
    for (kind, name) in [(&TS109, "qnapimg.bin"), (&TS219, "F_TS-219P2+")] {
        let dir = TempDir::new().unwrap();
        let sim = sim(kind, &partitions(kind, dir.path(), "F_TS-219P2+"));
        let out = dir.path().join("out");
        fs::create_dir(&out).unwrap();
        let run = create(&["--sim", text(&sim.path()), text(&out)]).exits(0);
        assert!(run.out.contains(name), "{run:?}");
        let names: Vec<_> = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, [name]);
    }
}

#[test]
fn of_an_installer_it_is_what_dd_and_cat_make() {
    for kind in KINDS {
        let dir = TempDir::new().unwrap();
        let parts = partitions(kind, dir.path(), "F_TS-219");
        let copies = plain_copies(dir.path(), &parts);
        let path = |name: &str| text(&dir.path().join(name)).to_owned();
        fs::write(path("kernel"), kernel(dir.path(), 1_234_567)).unwrap();
        let script = format!(
            "cd '{}' && dd if=kernel of=kernel.pad ibs=2097152 conv=sync 2>/dev/null",
            text(dir.path())
        );
        tool("sh", &["-c", &script]);
        // An initrd of the whole partition, as the pages have it, and one that is shorter.
        for length in [kind.sizes[2], kind.sizes[2] - 100_001] {
            let initrd = bytes(length, 70);
            fs::write(path("initrd"), &initrd).unwrap();
            let args = [
                "--kernel",
                &path("kernel"),
                "--initrd",
                &path("initrd"),
                "--from",
                text(&copies),
            ];
            create(&[&args[..], &[&path("image")]].concat()).exits(0);
            let mut wanted = parts.clone();
            wanted[1] = read(path("kernel.pad").as_ref());
            wanted[2] = initrd;
            wanted[2].resize(kind.sizes[2], 0);
            assert!(
                read(path("image").as_ref()) == cat(kind, &wanted),
                "{} {length}",
                kind.board
            );
        }
    }
}

#[test]
fn an_installer_that_does_not_fit_is_told_the_exact_shortfall() {
    for kind in KINDS {
        let dir = TempDir::new().unwrap();
        let parts = partitions(kind, dir.path(), "F_TS-219");
        let copies = plain_copies(dir.path(), &parts);
        let path = |name: &str| text(&dir.path().join(name)).to_owned();
        let (good, long) = (kernel(dir.path(), 1000), kernel(dir.path(), 2_451_032 - 64));
        fs::write(path("good"), good).unwrap();
        fs::write(path("long"), long).unwrap();
        fs::write(path("initrd"), bytes(1000, 1)).unwrap();
        fs::write(path("long-initrd"), bytes(kind.sizes[2] + 7, 1)).unwrap();
        for (kernel, initrd, shortfall) in [
            ("long", "initrd", "353,880 bytes too many"),
            ("good", "long-initrd", ": 7 bytes too many"),
        ] {
            let args = [
                "--kernel",
                &path(kernel),
                "--initrd",
                &path(initrd),
                "--from",
                text(&copies),
            ];
            let run = create(&[&args[..], &[&path("image")]].concat()).exits(78);
            assert!(run.err.contains(shortfall), "{run:?}");
            assert!(!Path::new(&path("image")).exists());
        }
        create(&["--kernel", &path("good"), "--from", text(&copies), &path("image")]).exits(64);
        create(&["--kernel", &path("good"), "--initrd", &path("initrd"), &path("image")]).exits(64);
    }
}

#[test]
fn the_image_of_one_box_makes_another_the_same_except_what_is_its_own() {
    for kind in KINDS {
        let dir = TempDir::new().unwrap();
        let old = sim(kind, &partitions(kind, dir.path(), "F_TS-219"));
        let image = dir.path().join("image");
        create(&["--sim", text(&old.path()), text(&image)]).exits(0);
        let fresh = SimBox::new(kind.board);
        let before = fresh.dir.path().join("before");
        fresh.run("backup", &[text(&before)]).exits(0);
        fresh.apply(&[text(&image)]).exits(0);
        let (theirs, ours) = (dir.path().join("old"), dir.path().join("new"));
        old.run("backup", &[text(&theirs)]).exits(0);
        fresh.run("backup", &[text(&ours)]).exits(0);
        for entry in fs::read_dir(&theirs).unwrap() {
            let name = entry.unwrap().file_name();
            let protected = ["mtd0", "mtd4", "mtd5"]
                .iter()
                .any(|mtd| name.to_str().unwrap().starts_with(mtd));
            let wanted = match protected {
                true => &before,
                false => &theirs,
            };
            if name != "SHA256SUMS" {
                assert!(read(&ours.join(&name)) == read(&wanted.join(&name)), "{name:?}");
            }
        }
    }
}

/// What was there before is still there, and nothing half-done is left.
#[test]
fn sources_that_are_wrong_leave_no_image() {
    let dir = TempDir::new().unwrap();
    let parts = partitions(&TS219, dir.path(), "F_TS-219");
    let copies = plain_copies(dir.path(), &parts);
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let image = out.join("image");
    fs::write(&image, "the old one").unwrap();
    let refused = |exit: i32, said: &str| {
        let run = create(&["--from", text(&copies), text(&image)]).exits(exit);
        assert!(run.err.contains(said), "{run:?}");
        assert_eq!(read(&image), b"the old one");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    };
    let file = |mtd: usize| copies.join(format!("mtd{mtd}"));
    for mtd in 0..6 {
        fs::remove_file(file(mtd)).unwrap();
        refused(66, &format!("no copy of mtd{mtd}"));
        if mtd != 3 {
            fs::write(file(mtd), &parts[mtd][1..]).unwrap();
            refused(65, "bytes, but mtd");
        }
        fs::write(file(mtd), &parts[mtd]).unwrap();
    }
    let mut damaged = parts[1].clone();
    damaged[700_000] ^= 1;
    fs::write(file(1), &damaged).unwrap();
    refused(65, "data fails its CRC");
    create(&["--force", "content", "--from", text(&copies), text(&image)]).exits(0);
    assert_eq!(read(&image).len(), 16 * MIB);
    // Another kind of box than the copies are of.
    create(&["--board", "qnap-ts109", "--from", text(&copies), text(&image)]).exits(65);
    for board in ["qnap-ts219-resized", "generic", "tplink-wdr3600"] {
        create(&["--board", board, "--from", text(&copies), text(&image)]).exits(69);
    }
    create(&["--from", "/nonexistent", text(&image)]).exits(66);
    create(&["--from", text(&copies), "/nonexistent/image"]).exits(71);
}

#[test]
fn a_backup_that_is_not_what_its_sums_say_makes_no_image() {
    let dir = TempDir::new().unwrap();
    let sim = sim(&TS109, &partitions(&TS109, dir.path(), ""));
    let backup = dir.path().join("backup");
    sim.run("backup", &[text(&backup)]).exits(0);
    let path = backup.join("mtd2.RootFS1.bin");
    let mut copy = read(&path);
    copy[5] ^= 1;
    fs::write(path, copy).unwrap();
    let run = create(&["--from", text(&backup), text(&dir.path().join("image"))]).exits(65);
    assert!(run.err.contains("SHA256SUMS"), "{run:?}");
}

fn check(dir: &Path, image: &[u8], exit: i32) -> Run {
    let path = dir.join("checked");
    fs::write(&path, image).unwrap();
    let run = flasher(&["recovery", "check", "--format", "json", text(&path)]).exits(exit);
    assert_eq!(run.json()["ok"], exit == 0, "{run:?}");
    run
}

#[test]
fn check_says_what_is_written_and_what_is_ignored() {
    let dir = TempDir::new().unwrap();
    for (kind, fates) in [
        (&TS109, &["written", "written", "written"][..]),
        (
            &TS219,
            &["ignored", "ignored", "depends", "written", "written", "written"],
        ),
    ] {
        let report = check(dir.path(), &cat(kind, &partitions(kind, dir.path(), "F_TS-219")), 0).json();
        assert_eq!(report["board"], kind.board);
        let found: Vec<_> = report["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["fate"].as_str().unwrap())
            .collect();
        assert_eq!(found, fates);
        assert_eq!(report["ignored"], 0);
    }
    assert_eq!(
        check(dir.path(), &cat(&TS219, &partitions(&TS219, dir.path(), "F_TS-219")), 0).json()["devices"],
        serde_json::json!(["TS-219", "TS-219P"])
    );
    // QNAP's own image for the TS-109 has 8 MiB, of which the last is ignored.
    let mut official = cat(&TS109, &partitions(&TS109, dir.path(), ""));
    official.resize(8 * MIB, 0xff);
    assert_eq!(check(dir.path(), &official, 0).json()["ignored"], MIB);
    let path = dir.path().join("checked");
    let run = flasher(&["recovery", "check", text(&path)]).exits(0);
    assert!(
        run.out.contains("a proper recovery image") && run.out.contains("the last 1 MiB are ignored"),
        "{run:?}"
    );
}

#[test]
fn a_damaged_image_is_no_recovery_image() {
    let dir = TempDir::new().unwrap();
    for kind in KINDS {
        let good = cat(kind, &partitions(kind, dir.path(), "F_TS-219"));
        let kernel = if kind.board == "qnap-ts109" { 0 } else { 2 * MIB };
        for at in [0, 5, 31, 40, 64, 70_000, 1_499_999] {
            let mut bad = good.clone();
            bad[kernel + at] ^= 4;
            check(dir.path(), &bad, 65);
        }
        for length in (4096..good.len())
            .step_by(64 * 4096)
            .chain([1, 63, 4096, good.len() - 4096, good.len() - 1])
        {
            check(dir.path(), &good[..length], 65);
        }
        let mut longer = good.clone();
        longer.push(0);
        check(dir.path(), &longer, 65);
    }
    // The files in the order of their numbers.
    let parts = partitions(&TS219, dir.path(), "F_TS-219");
    let run = check(dir.path(), &parts.concat(), 65);
    assert!(
        run.out.contains("wrong order") && run.out.contains("mtd0 mtd4 mtd5 mtd1 mtd2 mtd3"),
        "{run:?}"
    );
    flasher(&["recovery", "check", "/nonexistent"]).exits(66);
}

fn name(args: &[&str], exit: i32) -> Run {
    flasher(&[&["recovery", "name"][..], args].concat()).exits(exit)
}

#[test]
fn the_right_name_is_found_in_the_boot_loader_configuration() {
    let dir = TempDir::new().unwrap();
    for class in ["F_TS-219", "F_TS-219PE", "F_TS-219P2+", "F_HS-210", "F_Q703"] {
        let parts = partitions(&TS219, dir.path(), class);
        let copies = plain_copies(dir.path(), &parts);
        let mtd4 = copies.join("mtd4");
        assert_eq!(name(&[text(&copies)], 0).out.trim(), class);
        assert_eq!(name(&[text(&mtd4)], 0).out.trim(), class);
        // As the page does it.
        let strings = tool(
            "sh",
            &["-c", &format!("strings '{}' | grep bootp_vendor_class", text(&mtd4))],
        );
        assert_eq!(
            String::from_utf8(strings.stdout).unwrap().trim(),
            format!("bootp_vendor_class={class}")
        );
    }
    let sim = sim(&TS219, &partitions(&TS219, dir.path(), "F_TS-219"));
    let path = sim.path();
    let report = name(&["--format", "json", "--sim", text(&path)], 0).json();
    assert_eq!(report["name"], "F_TS-219");
    assert_eq!(report["devices"], serde_json::json!(["TS-219", "TS-219P"]));
    let backup = dir.path().join("backup");
    sim.run("backup", &[text(&backup)]).exits(0);
    assert_eq!(name(&[text(&backup)], 0).out.trim(), "F_TS-219");
}

#[test]
fn where_the_boot_loader_does_not_tell_the_name_that_is_said() {
    let run = name(&["--sim", text(&SimBox::new("qnap-ts219").path())], 69);
    assert!(run.err.contains("TS-219P+ asks for F_TS-219P+"), "{run:?}");
    let run = name(&["--sim", text(&SimBox::new("qnap-ts109").path())], 0);
    assert_eq!(run.out.trim(), "qnapimg.bin");
    name(&["--sim", text(&SimBox::new("thincan").path())], 69);
    let resized = SimBox::new("qnap-ts219-resized");
    let run = create(&["--sim", text(&resized.path()), text(&resized.dir.path().join("image"))]).exits(69);
    assert!(run.err.contains("resized"), "{run:?}");
}

#[test]
fn entries_for_other_servers_are_accepted_by_them() {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("F_TS-219_debian");
    fs::write(&image, cat(&TS219, &partitions(&TS219, dir.path(), "F_TS-219"))).unwrap();
    let config = |server: &str| {
        flasher(&[
            "recovery",
            "config",
            "--mac",
            "00:50:43:3c:3b:5d",
            "--ip",
            "192.168.1.71",
            "--server",
            "192.168.1.2",
            "--for",
            server,
            text(&image),
        ])
        .exits(0)
        .out
    };
    let file = dir.path().join("config");
    let dhcpd = config("dhcpd");
    for line in [
        "    hardware ethernet 00:50:43:3c:3b:5d;\n",
        "    filename \"F_TS-219_debian\";\n",
        "    fixed-address 192.168.1.71;\n",
        "    next-server 192.168.1.2;\n",
    ] {
        assert!(dhcpd.contains(line), "{dhcpd}");
    }
    fs::write(&file, dhcpd).unwrap();
    tool("dhcpd", &["-t", "-cf", text(&file)]);
    fs::write(&file, config("dnsmasq")).unwrap();
    tool("dnsmasq", &["--test", &format!("--conf-file={}", text(&file))]);
    let hpa = config("tftpd-hpa");
    fs::write(&file, &hpa).unwrap();
    let value = tool("sh", &["-c", &format!(". '{}' && echo $TFTP_ADDRESS", text(&file))]);
    assert_eq!(value.stdout, b"192.168.1.2:69\n");
    flasher(&["recovery", "config", text(&image)]).exits(64);

    let image = dir.path().join("qnapimg.bin");
    fs::write(&image, cat(&TS109, &partitions(&TS109, dir.path(), ""))).unwrap();
    let all = flasher(&["recovery", "config", text(&image)]).exits(0).out;
    assert!(
        all.contains("192.168.0.11:69") && all.contains("DHCP is not needed"),
        "{all}"
    );
    fs::write(
        &file,
        flasher(&["recovery", "config", "--for", "dnsmasq", text(&image)])
            .exits(0)
            .out,
    )
    .unwrap();
    tool("dnsmasq", &["--test", &format!("--conf-file={}", text(&file))]);
}
