//! Shows the MTD devices of this box and the UBI volumes on them. Opens nothing for writing.
//!
//! `cargo run --example list`

use mtd_rs::{MtdInfo, SystemPaths, list, ubi};

fn main() -> mtd_rs::Result<()> {
    let paths = SystemPaths::default();
    let devices = list(&paths)?;
    if devices.is_empty() {
        println!("no MTD devices");
    }
    for info in &devices {
        println!("{}", describe(info));
    }
    for device in ubi::list(&paths)? {
        let mtd = device
            .mtd
            .map_or("an unknown MTD".into(), |number| format!("mtd{number}"));
        println!("ubi{} on {mtd}: LEBs of {} bytes", device.index, device.leb_size);
        for volume in &device.volumes {
            println!("  {}: {} bytes", volume.label(), volume.data_bytes);
        }
    }
    Ok(())
}

fn describe(info: &MtdInfo) -> String {
    let geometry = &info.geometry;
    let mut text = format!(
        "{}: {}, {} bytes, erase blocks of {}, pages of {}",
        info.label(),
        geometry.kind.as_str(),
        geometry.size,
        geometry.erase_size,
        geometry.write_size
    );
    for region in &geometry.regions {
        text += &format!(
            ", {} blocks of {} at {:#x}",
            region.blocks, region.erase_size, region.offset
        );
    }
    if let Some(bad) = info.bad_blocks.filter(|count| *count != 0) {
        text += &format!(", {bad} bad");
    }
    if !info.writable {
        text += ", read-only";
    }
    text
}
