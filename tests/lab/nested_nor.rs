//! A second NOR chip for a box, in RAM, with partitions inside of partitions: `tests/lab/kernel/nested_nor.c`.
//!
//! Its content is gone with the box. The names of its partitions should be none of the box's own chip.

use super::firmware::Parts;
use super::kind::Kind;
use super::machine::Machine;
use super::tools;

/// A box that runs firmware A, with these files on its data disk, the product as `/tmp/flasher`, and the chip plugged in with
/// these words of the module.
pub fn boot(story: &str, words: &str, files: &[(&str, &[u8])]) -> Machine {
    // The module is built for this kind only.
    let kind = Kind::Armel;
    let module = tools::module("nested_nor");
    let product = tools::read(&tools::flasher(kind));
    let mut all = vec![("nested_nor.ko", &module[..]), ("flasher", &product)];
    all.extend_from_slice(files);
    let mut machine = Machine::new(story, Parts::plain(kind, 'A')).data_disk(&all);
    machine.boot('A');
    machine.must("cp /mnt/data/flasher /tmp/ && chmod +x /tmp/flasher");
    machine.must(&format!("insmod /mnt/data/nested_nor.ko {words}"));
    machine
}

/// The number of the MTD of this name.
pub fn mtd(machine: &mut Machine, name: &str) -> u32 {
    let table = machine.must("cat /proc/mtd");
    table
        .lines()
        .find(|line| line.ends_with(&format!("\"{name}\"")))
        .and_then(|line| line.strip_prefix("mtd")?.split(':').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in\n{table}"))
}

/// A squashfs with this file in it.
pub fn squashfs(name: &str, content: &[u8]) -> Vec<u8> {
    let dir = tools::scratch();
    let (root, image) = (dir.path().join("root"), dir.path().join("squashfs"));
    tools::write(&root.join(name), content);
    tools::run(
        tools::command("mksquashfs")
            .args([tools::text(&root), tools::text(&image)])
            .args(["-all-root", "-noappend", "-no-progress", "-quiet", "-noD", "-noF"]),
    );
    tools::read(&image)
}
