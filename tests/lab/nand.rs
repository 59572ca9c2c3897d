//! NAND for the boxes, whose own chips are NOR: the kernel's simulator, and images for UBI on it.
//!
//! The simulator keeps its content in the box's RAM, so nothing of it outlives a reboot or a power cut.

use std::path::Path;

use super::firmware::Parts;
use super::kind::Kind;
use super::machine::Machine;
use super::modules;
use super::tools::{command, read, run, scratch, text, write};

/// Bytes of a page, and of an erase block of the chip that [`load`] plugs in.
pub const PAGE: usize = 2048;
pub const BLOCK: usize = 64 * PAGE;
/// Bytes of a logical erase block of UBI on it. Both of UBI's headers fit the first page, which has four subpages.
pub const LEB: usize = BLOCK - PAGE;

/// 64 MiB of SLC with pages of 2048 bytes, in the words of `nandsim`.
const CHIP: &str = "first_id_byte=0x20 second_id_byte=0xa2 third_id_byte=0x00 fourth_id_byte=0x15";

/// The modules that a kind of box needs for NAND and UBI, in the order of loading.
pub fn modules(kind: Kind) -> Vec<(String, Vec<u8>)> {
    // UBIFS asks for its compressors by name, which no symbol tells.
    modules::with_needs(kind, &["nandsim", "lzo", "deflate", "ubi", "ubifs"])
}

/// The files of the data disk for [`load`]: `modules/*.ko`, and a script that loads them.
pub fn disk_files(kind: Kind) -> Vec<(String, Vec<u8>)> {
    let modules = modules(kind);
    let mut script = String::from("#!/bin/sh\n# usage: load DIRECTORY [WORD OF NANDSIM…]\ndir=$1\nshift\n");
    for (name, _) in &modules {
        let words = if name == "nandsim" {
            format!(" {CHIP} \"$@\"")
        } else {
            String::new()
        };
        script.push_str(&format!("insmod \"$dir/{name}.ko\"{words} || exit\n"));
    }
    let mut files = vec![("modules/load".to_owned(), script.into_bytes())];
    files.extend(
        modules
            .into_iter()
            .map(|(name, module)| (format!("modules/{name}.ko"), module)),
    );
    files
}

/// Plugs the chip in. `words` are more of nandsim's, such as `parts=` and `badblocks=`. Its first partition is the one
/// behind those of the box's own chip.
pub fn load(machine: &mut Machine, words: &str) {
    machine.must(&format!("sh /mnt/data/modules/load /mnt/data/modules {words}"));
}

/// A box that runs firmware A, with these files on its data disk, `product` as `/tmp/flasher`, and the chip plugged in with
/// `words` as for [`load`].
pub fn boot(story: &str, kind: Kind, product: Vec<u8>, files: Vec<(String, Vec<u8>)>, words: &str) -> Machine {
    let mut all = disk_files(kind);
    all.extend(files);
    all.push(("flasher".into(), product));
    let all: Vec<_> = all.iter().map(|(name, content)| (&**name, &**content)).collect();
    let mut machine = Machine::new(story, Parts::plain(kind, 'A')).data_disk(&all);
    machine.boot('A');
    machine.must("cp /mnt/data/flasher /tmp/ && chmod +x /tmp/flasher");
    load(&mut machine, words);
    machine
}

/// Writes this `ubinize` image of the data disk onto the chip's first partition, attaches it, and answers its number.
pub fn attach(machine: &mut Machine, image: &str) -> usize {
    let mtd = first_mtd(machine.kind);
    machine.must(&format!(
        "/tmp/flasher apply -y --no-reboot --part mtd{mtd} /mnt/data/{image}"
    ));
    machine.must(&format!("ubiattach -m {mtd} /dev/ubi_ctrl"));
    mtd
}

/// The number of the simulator's first MTD partition.
pub fn first_mtd(kind: Kind) -> usize {
    kind.partitions().len()
}

/// A UBIFS with these files, for volumes of 60 erase blocks or a few less: its journal is made for that size.
pub fn ubifs(files: &[(&str, &[u8])]) -> Vec<u8> {
    let dir = scratch();
    let (root, image) = (dir.path().join("root"), dir.path().join("ubifs"));
    for (name, content) in files {
        write(&root.join(name), content);
    }
    ubifs_of(&root, &image, 60);
    read(&image)
}

/// A UBIFS with the content of a directory, for volumes of up to this many erase blocks.
pub fn ubifs_of(root: &Path, image: &Path, blocks: usize) {
    run(command("mkfs.ubifs")
        .args(["-m", &PAGE.to_string(), "-e", &LEB.to_string()])
        .args(["-c", &blocks.to_string(), "-r", text(root), "-o", text(image)]));
}

/// What `ubinize` makes of these volumes: name, type, content, and size in erase blocks.
pub fn ubinize(volumes: &[(&str, &str, &[u8], usize)]) -> Vec<u8> {
    let dir = scratch();
    let (config, image) = (dir.path().join("ini"), dir.path().join("ubi"));
    let mut lines = String::new();
    for (id, (name, kind, content, blocks)) in volumes.iter().enumerate() {
        let file = dir.path().join(name);
        write(&file, content);
        lines.push_str(&format!(
            "[{name}]\nmode=ubi\nvol_name={name}\nvol_type={kind}\nvol_id={id}\nvol_size={}\nimage={}\n",
            blocks * LEB,
            text(&file)
        ));
    }
    write(&config, lines.as_bytes());
    run(command("ubinize")
        .args(["-m", &PAGE.to_string(), "-p", &BLOCK.to_string(), "-s", "512", "-o"])
        .args([text(&image), text(&config)]));
    read(&image)
}
