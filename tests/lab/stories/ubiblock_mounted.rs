//! A squashfs on a UBI volume, mounted through the volume's block device and a device-mapper device on top of that, as boxes
//! with dm-verity or a FIT's file systems do: the volume is in use, however many devices lie between.

use super::*;
use crate::lab::{modules, nand, nested_nor};

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let file = b"\x02what runs from the volume\n".repeat(4000);
    let rom = nested_nor::squashfs("file", &file);
    let ubi = nand::ubinize(&[
        ("fit", "dynamic", &rom, 60),
        ("spare-volume", "dynamic", b"nobody's", 20),
    ]);
    let helper = tools::read(&made(kind).join("stack-block"));
    let dm = modules::with_needs(kind, &["dm_mod"]);
    let mut files = vec![
        ("ubi.bin".to_owned(), ubi),
        ("file".to_owned(), file),
        ("stack-block".to_owned(), helper),
    ];
    files.extend(
        dm.iter()
            .map(|(name, module)| (format!("dm/{name}.ko"), module.clone())),
    );
    let product = tools::read(&tools::flasher(kind));
    let mut machine = nand::boot("ubiblock-mounted", kind, product, files, "parts=128");
    nand::attach(&mut machine, "ubi.bin");
    for (name, _) in &dm {
        machine.must(&format!("insmod /mnt/data/dm/{name}.ko"));
    }
    machine.must("cp /mnt/data/stack-block /tmp/ && chmod +x /tmp/stack-block && mkdir /tmp/rom");
    machine.must("/tmp/stack-block ubiblock /dev/ubi0_0");
    machine.must("/tmp/stack-block linear fit0 /dev/ubiblock0_0");
    machine.must("mount -t squashfs -o ro /dev/dm-0 /tmp/rom && ls /sys/block/ubiblock0_0/holders/dm-0");

    let (status, said) = machine.run("/tmp/flasher apply -y --in-place --part ubi0:fit /mnt/data/file 2>&1");
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("refused by check holders"), "{said}");
    assert!(said.contains("mounted on /tmp/rom (squashfs)"), "{said}");
    // A takeover would not end what is mapped.
    let (status, said) = machine.run("/tmp/flasher apply -y --part ubi0:fit /mnt/data/file 2>&1");
    assert_eq!(status, 78, "{said}");
    assert!(
        said.contains("also when everything has ended: block device dm-0 on ubiblock0_0"),
        "{said}"
    );
    let devices = machine.must("/tmp/flasher devices");
    assert!(devices.contains("mounted on /tmp/rom (squashfs)"), "{devices}");
    machine.must("echo 3 >/proc/sys/vm/drop_caches && cmp /tmp/rom/file /mnt/data/file");

    // The volume beside it is nobody's.
    machine.must("/tmp/flasher apply -y --no-reboot --in-place --part ubi0:spare-volume /mnt/data/file");
    machine.must("echo 3 >/proc/sys/vm/drop_caches && cmp /tmp/rom/file /mnt/data/file");
}
