//! More lies in a tmpfs of the old system than RAM has room for: the rest of it is in swap, and cannot come back.

use super::*;

on!(tell: armel = Armel);

/// MiB of RAM; of swap; of the tmpfs.
const RAM: u32 = 48;
const SWAP: usize = 40;
const FILLED: usize = 44;

fn tell(kind: Kind) {
    let (apply, image) = config_and_spare(kind, 64 << 10);
    let product = tools::read(&tools::flasher(kind));
    // Not zeros, of which mke2fs makes holes.
    let swap = vec![b'-'; SWAP << 20];
    let mut machine = Machine::new("swapped-out", Parts::plain(kind, 'A'))
        .data_disk(&[("flasher", &product), ("image.bin", &image), ("swap", &swap)])
        .ram_mib(RAM);
    let before = machine.flash();
    machine.boot('A');
    machine.must("mkswap /mnt/data/swap && swapon /mnt/data/swap");
    copy_from_disk(&mut machine);
    machine.must(&format!(
        "mkdir /tmp/full && mount -t tmpfs -o size={FILLED}m tmpfs /tmp/full && \
         dd if=/dev/zero of=/tmp/full/file bs=1M count={FILLED}"
    ));
    // What is asked for at once and given back drives the rest out.
    machine.must("dd if=/dev/zero of=/dev/null bs=16M count=1");
    becomes_new(
        &mut machine,
        &apply,
        &before,
        &image,
        &["/oldroot/tmp/full unmounted", "swap /oldroot/mnt/data/swap is off"],
    );
}
