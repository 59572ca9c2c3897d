//! Making recovery images: the recipes, orders and sizes of the pages "Recovery mode of the QNAP TS-109" and "Recovery
//! mode of QNAP TS-21x/TS-22x", held against `cat` and `dd`.

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

/// An initial ramdisk, as a packed archive.
pub fn ramdisk(dir: &Path) -> Vec<u8> {
    fs::write(dir.join("init"), bytes(300_000, 70)).unwrap();
    let make = "cd \"$1\" && echo init | cpio -o -H newc --quiet | gzip -n";
    tool("sh", &["-ec", make, "sh", text(dir)]).stdout
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
pub fn plain_copies(dir: &Path, parts: &[Vec<u8>]) -> PathBuf {
    let copies = dir.join("copies");
    fs::create_dir_all(&copies).unwrap();
    for (mtd, part) in parts.iter().enumerate() {
        fs::write(copies.join(format!("mtd{mtd}")), part).unwrap();
    }
    copies
}

/// A simulated box with these partitions, put where the chip has them.
pub fn sim(kind: &Kind, parts: &[Vec<u8>]) -> SimBox {
    let sim = SimBox::new(kind.board);
    let physical: &[usize] = match kind.board {
        "qnap-ts109" => &[1, 2, 3, 5, 4, 0],
        _ => kind.order,
    };
    let chip: Vec<u8> = physical.iter().flat_map(|mtd| parts[*mtd].clone()).collect();
    sim.fill(&chip);
    sim
}

pub fn create(args: &[&str]) -> Run {
    flasher(&[&["recovery", "create"][..], args].concat())
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
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
            let mut initrd = ramdisk(dir.path());
            initrd.resize(length, 0);
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

/// The three recipes of the pages: of the running box, of copies, of an installer.
#[test]
fn the_image_of_one_box_makes_another_the_same_except_what_is_its_own() {
    for (kind, recipe) in KINDS
        .into_iter()
        .flat_map(|kind| ["box", "copies", "installer"].map(|recipe| (kind, recipe)))
    {
        let dir = TempDir::new().unwrap();
        let mut parts = partitions(kind, dir.path(), "F_TS-219");
        let image = dir.path().join("image");
        let copies = plain_copies(dir.path(), &parts);
        let path = |name: &str| text(&dir.path().join(name)).to_owned();
        let old = match recipe {
            "box" => {
                let old = sim(kind, &parts);
                create(&["--sim", text(&old.path()), text(&image)]).exits(0);
                old
            }
            "copies" => {
                create(&["--from", text(&copies), text(&image)]).exits(0);
                sim(kind, &parts)
            }
            _ => {
                let (kernel, initrd) = (kernel(dir.path(), 1_700_001), ramdisk(dir.path()));
                fs::write(path("kernel"), &kernel).unwrap();
                fs::write(path("initrd"), &initrd).unwrap();
                let installer = ["--kernel", &path("kernel"), "--initrd", &path("initrd")];
                create(&[&installer[..], &["--from", text(&copies), text(&image)]].concat()).exits(0);
                // What a box with this installer in its flash holds: both padded with zeros.
                for (mtd, mut content) in [(1, kernel), (2, initrd)] {
                    content.resize(kind.sizes[mtd], 0);
                    parts[mtd] = content;
                }
                sim(kind, &parts)
            }
        };
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
                assert!(
                    read(&ours.join(&name)) == read(&wanted.join(&name)),
                    "{} {recipe} {name:?}",
                    kind.board
                );
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
    for (mtd, part) in parts.iter().enumerate() {
        fs::remove_file(file(mtd)).unwrap();
        refused(66, &format!("no copy of mtd{mtd}"));
        if mtd != 3 {
            fs::write(file(mtd), &part[1..]).unwrap();
            refused(65, "bytes, but mtd");
        }
        fs::write(file(mtd), part).unwrap();
    }
    let mut damaged = parts[1].clone();
    damaged[700_000] ^= 1;
    fs::write(file(1), &damaged).unwrap();
    refused(65, "data fails its CRC");
    create(&["--force", "content", "--from", text(&copies), text(&image)]).exits(0);
    assert_eq!(read(&image).len(), 16 * MIB);
    // What the image is made of is not replaced by it: it may be the only copy.
    let run = create(&["--force", "content", "--from", text(&copies), text(&file(1))]).exits(64);
    assert!(
        run.err.contains("is one of the files") && read(&file(1)) == damaged,
        "{run:?}"
    );
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

#[test]
fn what_is_no_initial_ramdisk_makes_no_image() {
    let dir = TempDir::new().unwrap();
    let parts = partitions(&TS219, dir.path(), "F_TS-219");
    let copies = plain_copies(dir.path(), &parts);
    let path = |name: &str| text(&dir.path().join(name)).to_owned();
    fs::write(path("kernel"), kernel(dir.path(), 1_000_000)).unwrap();
    let good = ramdisk(dir.path());
    let mut cut = good.clone();
    cut.truncate(good.len() / 2);
    let plain = read(path("kernel").as_ref());
    // Its boot loader starts nothing but a uImage, and hands all of mtd2 to the kernel as it is.
    let mut zimage = bytes(200_000, 3);
    for (at, value) in [(0x24, 0x016f_2818), (0x28, 0), (0x2c, 200_000)] {
        zimage[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
    }
    fs::write(path("other"), zimage).unwrap();
    fs::write(path("packed"), &good).unwrap();
    let mkimage = format!(
        "mkimage -A arm -T ramdisk -C none -d {} {}",
        path("packed"),
        path("wrapped")
    );
    tool("sh", &["-ec", &mkimage]);
    let foreign = "cd \"$1\" && mkdir -p bin && cp /bin/true bin/sh && echo bin/sh | cpio -o -H newc --quiet | gzip -n";
    let foreign = tool("sh", &["-ec", foreign, "sh", text(dir.path())]).stdout;
    for (name, kernel, content, why) in [
        ("noise", "kernel", bytes(5000, 1), "is not an initial ramdisk"),
        ("kernel", "kernel", plain, "is not an initial ramdisk"),
        ("cut", "kernel", cut, "the gzip is damaged"),
        (
            "wrapped",
            "kernel",
            read(path("wrapped").as_ref()),
            "a uImage does not belong there",
        ),
        ("foreign", "kernel", foreign, "for x86 processors"),
        ("zImage", "other", good, "does not begin with a uImage"),
    ] {
        fs::write(path("initrd"), content).unwrap();
        let args = [
            "--kernel",
            &path(kernel),
            "--initrd",
            &path("initrd"),
            "--from",
            text(&copies),
            &path("image"),
        ];
        let run = create(&args).exits(65);
        assert!(run.err.contains(why), "{name}: {run:?}");
        assert!(!Path::new(&path("image")).exists());
        create(&[&args[..], &["--force=content"]].concat()).exits(0);
        fs::remove_file(path("image")).unwrap();
    }
}

/// A box takes only what begins with its own string; an image that was given another name by mistake would be refused by it.
#[test]
fn the_name_that_is_in_the_image_counts_more_than_that_of_its_file() {
    let dir = TempDir::new().unwrap();
    let parts = partitions(&TS219, dir.path(), "F_TS-219P2+");
    let image = cat(&TS219, &parts);
    let config = |name: &str, more: &[&str]| {
        let path = dir.path().join(name);
        fs::write(&path, &image).unwrap();
        let options = ["--mac=00:08:9b:aa:bb:cc", "--ip=192.168.1.71", "--server=192.168.1.2"];
        flasher(
            &[
                &["--format", "json", "recovery", "config"],
                &options[..],
                more,
                &[text(&path)],
            ]
            .concat(),
        )
    };
    for (name, served) in [
        ("image", "F_TS-219P2+"),
        ("F_TS-219P2+", "F_TS-219P2+"),
        ("F_TS-219P2+_debian", "F_TS-219P2+_debian"),
    ] {
        assert_eq!(config(name, &[]).exits(0).json()["name"], served);
    }
    for wrong in [
        "--name=..",
        "--name=.",
        "--name=-x",
        "--mac=01:00:5e:00:00:01",
        "--mac=00:00:00:00:00:00",
        "--mac=+0:08:9b:aa:bb:cc",
        "--ip=0.0.0.0",
        "--ip=255.255.255.255",
        "--ip=224.0.0.1",
        "--ip=192.168.1.2",
    ] {
        let run = config("image", &[wrong]).exits(64);
        assert!(!run.out.contains("filename"), "{wrong}: {run:?}");
    }
    let run = config("F_TS-219_debian", &[]).exits(65);
    let said = format!("{}{}", run.out, run.err);
    assert!(said.contains("F_TS-219P2+") && said.contains("--name"), "{said}");
    assert_eq!(
        config("F_TS-219_debian", &["--name=F_TS-219_debian"]).exits(0).json()["name"],
        "F_TS-219_debian"
    );
}
