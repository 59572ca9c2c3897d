//! OpenWrt's tar on a box whose root is a volume of a UBI beside `rootfs_data`: the kernel goes to its MTD, the root to its
//! volume, which gets the size that it needs, and `rootfs_data` is made anew of all that is left.

use super::*;
use crate::lab::nand;
use tools::{command, run, scratch, text};

on!(tell: armel = Armel);
on!(tell_settings: settings_armel = Armel);

fn squashfs(length: usize, seed: u32) -> Vec<u8> {
    let dir = scratch();
    let (root, image) = (dir.path().join("root"), dir.path().join("image"));
    tools::write(&root.join("file"), &tools::noise(length, seed));
    run(command("mksquashfs").args([
        text(&root),
        text(&image),
        "-noappend",
        "-all-root",
        "-quiet",
        "-comp",
        "gzip",
    ]));
    tools::read(&image)
}

/// `sysupgrade-lab_box/CONTROL`, `kernel`, `root`.
fn archive(kernel: &[u8], root: &[u8]) -> Vec<u8> {
    let dir = scratch();
    let top = dir.path().join("sysupgrade-lab_box");
    for (name, content) in [
        ("CONTROL", b"BOARD=lab_box\n".as_slice()),
        ("kernel", kernel),
        ("root", root),
    ] {
        tools::write(&top.join(name), content);
    }
    let tar = dir.path().join("tar");
    run(command("tar").args([
        "-C",
        text(dir.path()),
        "--sort=name",
        "-cf",
        text(&tar),
        "sysupgrade-lab_box",
    ]));
    tools::read(&tar)
}

/// How long the roots of the two images are, by their names.
type Lengths = [(&'static str, usize); 2];

/// A box that runs A, with a UBI that has an old system, and two images.
fn ready(story: &str, firmware: &Parts) -> (Machine, Lengths) {
    let kind = firmware.kind;
    let kernel = Parts::plain(kind, 'B').kernel.clone();
    let [old, longer, shorter] =
        [(500_000, 1), (1_500_000, 2), (300_000, 3)].map(|(length, seed)| squashfs(length, seed));
    let lengths = [("longer", longer.len()), ("shorter", shorter.len())];
    let settings = nand::ubifs(&[("settings", b"of the old system")]);
    let ubifs = nand::ubifs(&[("system", b"the new one")]);
    let image = nand::ubinize(&[
        ("rootfs", "dynamic", &old, 8),
        ("rootfs_data", "dynamic", &settings, 60),
        ("factory", "static", b"calibration", 2),
    ]);
    let files = [
        ("flasher", tools::read(&tools::flasher(kind))),
        ("image.ubi", image),
        ("longer.tar", archive(&kernel, &longer)),
        ("shorter.tar", archive(&kernel, &shorter)),
        ("ubifs.tar", archive(&kernel, &ubifs)),
        ("other.ubifs", nand::ubifs(&[("system", b"the other one")])),
        ("longer", longer),
        ("shorter", shorter),
        ("kernel", kernel),
    ]
    .map(|(name, content)| (name.to_owned(), content));
    let mut all = nand::disk_files(kind);
    all.extend(files);
    let all: Vec<_> = all.iter().map(|(name, content)| (&**name, &**content)).collect();
    // The same partitions, of which none is called as the volume is.
    let table = kind.command_line(&kind.table());
    let table = table
        .split(' ')
        .find(|word| word.starts_with("mtdparts="))
        .expect("a table");
    let table = table.replace("(rootfs)", "(system)");
    let mut machine = Machine::new(story, firmware).append(&table).data_disk(&all);
    machine.boot('A');
    machine.must("cp /mnt/data/flasher /tmp/ && chmod +x /tmp/flasher");
    nand::load(&mut machine, "");
    nand::attach(&mut machine, "image.ubi");
    machine.must("mkdir -p /tmp/m");
    (machine, lengths)
}

fn tell(kind: Kind) {
    let (mut machine, lengths) = ready("sysupgrade-volumes", Parts::plain(kind, 'A'));
    let apply = "/tmp/flasher apply -y --no-reboot --in-place --force=metadata";
    // Who has the old settings open is asked to let go, and nothing has changed.
    machine.must("mount -t ubifs ubi0:rootfs_data /tmp/m && grep -q old /tmp/m/settings");
    let (status, said) = machine.run(&format!("{apply} /mnt/data/longer.tar 2>&1"));
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("ubi0:rootfs_data mounted on /tmp/m"), "{said}");
    machine.must("umount /tmp/m");

    let mut had = 8;
    for (name, length) in lengths {
        let gets = length.div_ceil(nand::LEB);
        let other = format!("gets {gets} erase blocks, had {had}");
        had = gets;
        let plan = machine.must(&format!("/tmp/flasher plan --force=metadata /mnt/data/{name}.tar 2>&1"));
        assert!(plan.contains(&format!("ubi0:rootfs {other}")), "{plan}");
        assert!(plan.contains("ubi0:rootfs_data is made anew"), "{plan}");
        machine.must(&format!("{apply} /mnt/data/{name}.tar"));
        machine.must(&format!(
            "dd if=/dev/ubi0_0 bs=$(wc -c </mnt/data/{name}) count=1 | cmp - /mnt/data/{name}"
        ));
        let mtd = machine.must("grep '\"kernel\"' /proc/mtd | sed 's/mtd\\([0-9]*\\):.*/\\1/'");
        machine.must(&format!(
            "dd if=/dev/mtd{} bs=$(wc -c </mnt/data/kernel) count=1 | cmp - /mnt/data/kernel",
            mtd.trim()
        ));
        machine.must("dd if=/dev/ubi0_2 bs=11 count=1 | grep -q calibration");
        // All that is left is the new overlay's, which is blank, so that UBIFS formats it.
        assert_eq!(machine.must("cat /sys/class/ubi/ubi0/avail_eraseblocks").trim(), "0");
        machine.must("mount -t ubifs ubi0:rootfs_data /tmp/m && test -z \"$(ls /tmp/m)\"");
        machine.must("echo new >/tmp/m/settings && sync && umount /tmp/m");
        // The same once more leaves the new settings alone.
        let again = machine.must(&format!("{apply} /mnt/data/{name}.tar"));
        assert!(again.contains("nothing to do"), "{again}");
        machine.must("mount -t ubifs ubi0:rootfs_data /tmp/m && grep -q new /tmp/m/settings && umount /tmp/m");
    }
    let log = machine.must("dmesg | grep -i 'ubi.*error' || true");
    assert_eq!(log.trim(), "", "neither UBI nor UBIFS complains");
}

/// An OpenWrt box: what its lists name lies in the new volume as OpenWrt's `nand_restore_config` puts it there.
fn tell_settings(kind: Kind) {
    let firmware = Firmware::new(kind, 'A')
        .file("etc/openwrt_release", b"DISTRIB_ID='OpenWrt'\n")
        .file("lib/upgrade/keep.d/lab", b"/config/mine\n/config/nothing\n")
        .pack();
    let (mut machine, _) = ready("sysupgrade-settings", &firmware);
    machine.must("echo secret >/config/mine && chmod 640 /config/mine && chown 3:4 /config/mine");
    let plan = machine.must("/tmp/flasher plan --force=metadata /mnt/data/longer.tar 2>&1");
    assert!(plan.contains("as sysupgrade.tgz, to ubifs:ubi0:rootfs_data"), "{plan}");
    let apply = "/tmp/flasher apply -y --no-reboot --in-place --force=metadata";
    let said = machine.must(&format!("{apply} /mnt/data/longer.tar 2>&1"));
    assert!(
        said.contains("handed to the new firmware in ubifs:ubi0:rootfs_data"),
        "{said}"
    );
    machine.must("mount -t ubifs ubi0:rootfs_data /tmp/m && test \"$(ls /tmp/m)\" = sysupgrade.tgz");
    let listed = machine.must("ls -ln /tmp/m/sysupgrade.tgz");
    assert!(listed.starts_with("-rw-------    1 0        0"), "{listed}");
    assert_eq!(machine.must("tar tzf /tmp/m/sysupgrade.tgz").trim(), "config/mine");
    machine.must("mkdir /tmp/new && tar xzf /tmp/m/sysupgrade.tgz -C /tmp/new && umount /tmp/m");
    let mine = machine.must("cat /tmp/new/config/mine && ls -ln /tmp/new/config/mine");
    assert!(
        mine.starts_with("secret") && mine.contains("-rw-r-----    1 3        4"),
        "{mine}"
    );
    // Without them the volume is blank.
    machine.must(&format!("cd /tmp && {apply} --no-keep /mnt/data/shorter.tar"));
    machine.must("mount -t ubifs ubi0:rootfs_data /tmp/m && test -z \"$(ls /tmp/m)\" && umount /tmp/m");
    // A root that can be written has them in its own top directory, and gets all that is left.
    let plan = machine.must("/tmp/flasher plan --force=metadata /mnt/data/ubifs.tar 2>&1");
    let place = "as sysupgrade.tgz, to ubifs:ubi0:rootfs";
    assert!(
        plan.contains(place) && !plan.contains(&format!("{place}_data")),
        "{plan}"
    );
    let said = machine.must(&format!("{apply} /mnt/data/ubifs.tar 2>&1"));
    assert!(
        said.contains("handed to the new firmware in ubifs:ubi0:rootfs and"),
        "{said}"
    );
    machine.must("! grep -q rootfs_data /sys/class/ubi/ubi0_*/name && mount -t ubifs ubi0:rootfs /tmp/m");
    machine.must("grep -q new /tmp/m/system && tar tzf /tmp/m/sysupgrade.tgz | grep -qx config/mine && umount /tmp/m");
    // The same by itself.
    let said = machine.must(&format!("{apply} --part ubi0:rootfs /mnt/data/other.ubifs 2>&1"));
    assert!(
        said.contains("handed to the new firmware in ubifs:ubi0:rootfs and"),
        "{said}"
    );
    machine.must("mount -t ubifs ubi0:rootfs /tmp/m && grep -q other /tmp/m/system");
    machine.must("tar tzf /tmp/m/sysupgrade.tgz | grep -qx config/mine && umount /tmp/m");
}
