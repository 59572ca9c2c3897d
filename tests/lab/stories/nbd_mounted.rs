//! A file system of the flash that is mounted by way of a network block device, whose server is a program of the box: the program
//! that has the flash open is named, and the takeover unmounts what lies on a device without a server.

use super::tools::patience;
use super::*;
use crate::lab::{modules, nested_nor};

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let file = b"\x02what runs from the network block device\n".repeat(4000);
    let rom = nested_nor::squashfs("file", &file);
    let helper = tools::read(&made(kind).join("nbd-self"));
    let product = tools::read(&tools::flasher(kind));
    let nbd = modules::with_needs(kind, &["nbd"]);
    let names: Vec<String> = nbd.iter().map(|(name, _)| format!("{name}.ko")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![
        ("flasher", &product),
        ("image.bin", &file),
        ("rom", &rom),
        ("nbd-self", &helper),
    ];
    files.extend(names.iter().zip(&nbd).map(|(name, (_, module))| (&**name, &**module)));
    let mut machine = Machine::new("nbd-mounted", Parts::plain(kind, 'A')).data_disk(&files);
    machine.boot('A');
    copy_from_disk(&mut machine);
    for name in &names {
        machine.must(&format!("insmod /mnt/data/{name}"));
    }
    machine.must("dd if=/mnt/data/rom of=/dev/mtdblock5 bs=64k && sync && echo 3 >/proc/sys/vm/drop_caches");
    machine.must(
        "cp /mnt/data/nbd-self /tmp/ && chmod +x /tmp/nbd-self && mkdir /tmp/rom && /tmp/nbd-self /dev/mtdblock5",
    );
    // It is connected some time later.
    machine.must("until mount -t squashfs -o ro /dev/nbd0 /tmp/rom 2>/dev/null; do sleep 1; done; cmp /tmp/rom/file /tmp/image.bin");
    let before = machine.flash();

    let apply = "/tmp/flasher apply -y --force=content --part spare /tmp/image.bin";
    refused_in_place(&mut machine, apply, &["(nbd-self)", "/dev/mtdblock5"]);
    machine.send_line(apply);
    machine.expect("/oldroot/tmp/rom unmounted", patience(120));
    machine.expect(words::WRITING, patience(120));
    machine.wait_exit(patience(300));
    Expected::unchanged(kind, &before)
        .with_image(&["spare"], &file)
        .compare(&machine.flash());
}
