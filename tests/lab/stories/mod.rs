//! What users do with their boxes, and what happens then. One story a file, told on each kind of box where that says more.

use super::{Expected, Firmware, Kind, Machine, Parts, Rescue, jffs2, made, tools};

/// Makes a test of `$tell` on each of these kinds of box.
macro_rules! on {
    ($tell:ident: $($test:ident = $kind:ident),+ $(,)?) => {
        $(
            #[test]
            #[ignore = "needs the lab: tests/run"]
            fn $test() {
                $tell(super::Kind::$kind);
            }
        )+
    };
}

mod attacks;
mod busy_root;
mod by_hand;
mod confined;
mod demo;
mod env_on_ubi;
mod fleet;
mod foreign_init;
mod fuse;
mod held_every_way;
mod image_on_disk;
mod in_place;
mod initramfs_root;
mod jffs2_rest;
mod keep_config;
mod layers;
mod listen_through_takeover;
mod little_memory;
mod loop_root;
mod nand_blocks;
mod nbd_mounted;
mod nested_partitions;
mod nfs_export;
mod nfs_root;
mod old_system_calls;
mod openwrt_box;
mod over_the_network;
mod overlay_root;
mod packed;
mod pc;
mod pmsg;
mod poll;
mod power_cut;
mod power_cuts_before_writing;
mod power_cuts_while_writing;
mod push_over_dropbear;
mod refusals;
mod rescue_network;
mod rescue_shell;
mod restart_line;
mod shapes;
mod signals;
mod small_box;
mod softdog;
mod swapped_out;
mod sysupgrade_volumes;
mod tampered;
mod time_before_signature;
mod two_slots;
mod two_watchdogs;
mod ubi_image;
mod ubi_root;
mod ubi_volume;
mod ubiblock_mounted;
mod watchdog;
mod whole_chip;
mod words;

/// The parts of the flash that the image of the stories is made for.
const PARTITIONS: [&str; 2] = ["kernel", "rootfs"];

/// The command under test, with an image already in `/tmp`.
const APPLY: &str = "/tmp/flasher apply -y --part kernel,rootfs /tmp/image.bin";

/// A box with firmware A in its flash, and the product and the image of firmware B on its data disk.
fn box_with_disk(story: &str, kind: Kind) -> (Machine, Vec<u8>) {
    let image = Parts::plain(kind, 'B').image();
    let product = tools::read(&tools::flasher(kind));
    let machine =
        Machine::new(story, Parts::plain(kind, 'A')).data_disk(&[("flasher", &product), ("image.bin", &image)]);
    (machine, image)
}

/// Copies the files of the data disk to `/tmp`, as a user would.
fn copy_from_disk(machine: &mut Machine) {
    machine.must("cp /mnt/data/flasher /mnt/data/image.bin /tmp/");
    machine.must("chmod +x /tmp/flasher");
}

/// Starts firmware A from a disk whose `init` mounts the root from elsewhere, and fetches what that root has for the story.
fn boot_from_elsewhere(
    story: &str,
    kind: Kind,
    mut files: Vec<(String, Vec<u8>)>,
    init: String,
    root: &str,
) -> Machine {
    files.push(("new/.keep".into(), Vec::new()));
    files.push(("init".into(), init.into_bytes()));
    let files: Vec<_> = files.iter().map(|(name, content)| (&**name, &**content)).collect();
    let mut machine = Machine::new(story, Parts::plain(kind, 'A'));
    machine.boot_installer(&Rescue::pack_with_init(kind, &files), 'A');
    let mounts = machine.must("cat /proc/mounts");
    assert!(mounts.contains(root), "{mounts}");
    machine.must("cp /root/lab/* /tmp/ && chmod +x /tmp/flasher");
    machine
}

/// An ext2 of this many KiB with these files, made on the workstation.
fn ext2(kib: usize, files: &[(&str, &[u8])]) -> Vec<u8> {
    let dir = tools::scratch();
    let (root, image) = (dir.path().join("root"), dir.path().join("ext2"));
    for (name, content) in files {
        tools::write(&root.join(name), content);
    }
    tools::run(
        tools::command("mke2fs")
            .args(["-q", "-t", "ext2", "-m", "0", "-d"])
            .args([tools::text(&root), tools::text(&image), &format!("{kib}k")]),
    );
    tools::read(&image)
}

/// The command that replaces `config` and `spare`, and its image: new settings, and this many bytes of another content.
fn config_and_spare(kind: Kind, length: usize) -> (String, Vec<u8>) {
    let settings = tools::scratch();
    tools::write(&settings.path().join("settings"), b"new\n");
    let mut image = Parts::plain(kind, 'A').config(settings.path());
    image.resize(image.len() + length, b'n');
    let apply = APPLY
        .replace("kernel,rootfs", "config,spare")
        .replace("-y", "-y --force=settings,content");
    (apply, image)
}

/// Asserts that nothing is written while the box runs, and that all that holds the flash is named.
fn refused_in_place(machine: &mut Machine, apply: &str, holders: &[&str]) {
    let (status, said) = machine.run(&format!("{apply} --in-place 2>&1"));
    assert_eq!(status, 78, "{said}");
    for holder in holders {
        assert!(said.contains(holder), "{holder}: {said}");
    }
}

/// Takes the box over, which frees these things in this order, and looks at `config` and `spare`, which were written.
fn becomes_new(machine: &mut Machine, apply: &str, before: &[u8], image: &[u8], freed: &[&str]) {
    machine.send_line(apply);
    for words in freed.iter().chain(&[words::PROVED, words::WRITING]) {
        machine.expect(words, tools::patience(120));
    }
    machine.wait_exit(tools::patience(300));
    Expected::unchanged(machine.kind, before)
        .with_image(&["config", "spare"], image)
        .compare(&machine.flash());
    machine.boot('A');
    machine.must("grep -q new /config/settings");
}

/// Asserts that the box goes down, that exactly the planned bytes of its flash have changed, and that it comes back as B.
fn becomes_b(machine: &mut Machine, before: &[u8], image: &[u8]) {
    machine.wait_exit(tools::patience(300));
    Expected::unchanged(machine.kind, before)
        .with_image(&PARTITIONS, image)
        .compare(&machine.flash());
    machine.boot('B');
}

/// Asserts that `flasher status` of the box tells of this end of the last update.
fn status_tells(machine: &mut Machine, harm: &str) {
    let status = machine.must("/tmp/flasher --format json status");
    assert_eq!(words::field(&status, "harm").as_deref(), Some(harm), "{status}");
}
