//! The whole chip is listed beside its partitions, as kernels with CONFIG_MTD_PARTITIONED_MASTER do: what protects a partition
//! protects its bytes, by whatever name they are reached.

use crate::lab::nested_nor;

/// A TS-219's flash.
const PARTS: &str = "whole=spi0.0 'parts=\"U-Boot:0:0x80000,U-Boot Config:0x80000:0x40000,NAS Config:0xc0000:0x140000,\
Kernel:0x200000:0x200000,RootFS1:0x400000:0x900000,RootFS2:0xd00000:0x300000\"'";

#[test]
#[ignore = "needs the lab: tests/run"]
fn the_boot_loader_is_protected_through_the_whole_chip() {
    let noise: Vec<u8> = (0..16_u32 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect();
    let mut machine = nested_nor::boot("whole-chip", PARTS, &[("whole.bin", &noise)]);
    let [chip, loader] = ["spi0.0", "U-Boot"].map(|name| nested_nor::mtd(&mut machine, name));
    machine.must(&format!(
        "dd if=/etc/inittab of=/dev/mtdblock{loader} && sync && dd if=/dev/mtd{loader} of=/tmp/loader"
    ));
    let devices = machine.must("/tmp/flasher devices --board qnap-ts219 2>&1");
    assert!(devices.contains("board: qnap-ts219"), "{devices}");

    let apply = "/tmp/flasher apply -y --no-reboot --in-place --no-rollback --board qnap-ts219";
    for command in [
        format!("{apply} --part spi0.0 /mnt/data/whole.bin"),
        format!("{apply} --part mtd{chip} /mnt/data/whole.bin"),
        // That the content is not what the partition should have may be forced, and that says nothing of the boot loader.
        format!("{apply} --force=content,metadata,settings --part spi0.0 /mnt/data/whole.bin"),
    ] {
        let (status, said) = machine.run(&format!("{command} 2>&1"));
        assert_eq!(status, 78, "{command}: {said}");
        assert!(said.contains("refused by check bootloader: "), "{command}: {said}");
        machine.must(&format!("cmp /tmp/loader /dev/mtd{loader}"));
    }
}
