//! What makes disks of flash: a translation layer with a file system on it, swap on NAND, compressed RAM that writes back to flash,
//! device-mapper. Each holds the flash; what would outlive a takeover has to be taken away first.

use super::*;
use crate::lab::{modules, nand, nested_nor};

on!(tell: armel = Armel);

/// All of it: FTL in `spare`, zram in front of `config`, swap and device-mapper on the two partitions of the NAND.
const HOLD: &str = "#!/bin/sh
set -e
data=/mnt/data swapped=$1 mapped=$2
umount /config
cp -r $data/tools $data/stack-block /tmp/
chmod +x /tmp/tools/ld.so /tmp/stack-block
/tmp/tools/ld.so --library-path /tmp/tools /tmp/tools/ftl_format -q /dev/mtd5
rm -r /tmp/tools
for name in $(cat $data/layers/order); do
	case $name in
	mtdswap) insmod $data/layers/$name.ko partitions=$swapped ;;
	*) insmod $data/layers/$name.ko ;;
	esac
done
mkdir /tmp/ftl
dd if=$data/ext2 of=/dev/ftla bs=64k
mount -t ext2 -o ro /dev/ftla /tmp/ftl
cmp /tmp/ftl/busybox /bin/busybox
mkswap /dev/mtdswap$swapped
swapon /dev/mtdswap$swapped
echo /dev/mtdblock3 >/sys/block/zram0/backing_dev
echo 1M >/sys/block/zram0/disksize
dd if=$data/rom of=/dev/mtdblock$mapped bs=128k
sync
/tmp/stack-block linear layer /dev/mtdblock$mapped
";

fn tell(kind: Kind) {
    let busybox = tools::read(&made(kind).join("root/bin/busybox"));
    let rom = nested_nor::squashfs("file", b"what is mapped");
    let utils = tools::built(&["--mtd-utils", "armel"]);
    let mut files = vec![
        ("hold".to_owned(), HOLD.as_bytes().to_vec()),
        ("ext2".to_owned(), ext2(2 << 10, &[("busybox", &busybox)])),
        ("rom".to_owned(), rom),
        ("stack-block".to_owned(), tools::read(&made(kind).join("stack-block"))),
    ];
    for name in ["bin/ftl_format", "lib/ld.so", "lib/libc.so.6"] {
        let (_, file) = name.split_once('/').expect("in a directory");
        files.push((format!("tools/{file}"), tools::read(&utils.join(name))));
    }
    let layers = modules::with_needs(kind, &["ftl", "mtdswap", "lzo_rle", "zram", "dm_mod"]);
    // Those that the NAND needs too are loaded with it.
    let loaded = nand::modules(kind);
    let layers: Vec<_> = layers
        .into_iter()
        .filter(|(name, _)| !loaded.iter().any(|(other, _)| other == name))
        .collect();
    let order: Vec<_> = layers.iter().map(|(name, _)| &**name).collect();
    files.push(("layers/order".to_owned(), order.join("\n").into_bytes()));
    files.extend(
        layers
            .into_iter()
            .map(|(name, module)| (format!("layers/{name}.ko"), module)),
    );
    let (apply, image) = config_and_spare(kind, 3 << 20);
    files.push(("image.bin".to_owned(), image.clone()));

    let product = tools::read(&tools::flasher(kind));
    let mut machine = nand::boot("layers", kind, product, files, "parts=128,128");
    let swapped = nand::first_mtd(kind);
    let mapped = swapped + 1;
    machine.must(&format!(
        "sh /mnt/data/hold {swapped} {mapped} && cp /mnt/data/image.bin /tmp/"
    ));
    let before = machine.flash();
    let backed = "block device zram0 on /dev/mtdblock3";
    refused_in_place(&mut machine, &apply, &["/dev/ftla mounted on /tmp/ftl (ext2)", backed]);
    let swap = format!("swap on /dev/mtdswap{swapped}");
    let of_nand = |mtd| format!("/tmp/flasher apply -y --part mtd{mtd} /mnt/data/rom");
    refused_in_place(&mut machine, &of_nand(swapped), &[&swap]);
    let dm = format!("block device dm-0 on mtdblock{mapped}");
    refused_in_place(&mut machine, &of_nand(mapped), &[&dm]);

    // Nobody's end frees what is mapped, or has a device behind it.
    for (command, holder) in [(&apply, backed), (&of_nand(mapped), &dm)] {
        let (status, said) = machine.run(&format!("{command} 2>&1"));
        let against = format!("in use, also when everything has ended: {holder}");
        assert!(status == 78 && said.contains(&against), "{status}: {said}");
    }
    let plan = machine.must(&of_nand(swapped).replace("apply -y", "plan -v"));
    assert!(plan.contains("route: staged") && plan.contains(&swap), "{plan}");

    machine.must("echo 1 >/sys/block/zram0/reset");
    let off = format!("swap /dev/mtdswap{swapped} is off");
    becomes_new(
        &mut machine,
        &apply,
        &before,
        &image,
        // What is in a tmpfs leaves the swap first.
        &["/oldroot/tmp/ftl unmounted", &off],
    );
}
