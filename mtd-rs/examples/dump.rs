//! Reads a partition to standard output, block by block, and leaves bad blocks out.
//!
//! `cargo run --example dump -- Kernel >kernel.bin`

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};

use mtd_rs::{Access, Flash as _, MtdDevice, SystemPaths, list};

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).ok_or("usage: dump PARTITION >FILE")?;
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        return Err("standard output is a terminal".into());
    }
    let paths = SystemPaths::default();
    let mut named = list(&paths)?.into_iter().filter(|info| info.name == name);
    // Names need not be unique, and the wrong one of two is not what was asked for.
    let info = match (named.next(), named.next()) {
        (Some(info), None) => info,
        (None, _) => return Err(format!("no partition is called \"{name}\"").into()),
        _ => return Err(format!("several partitions are called \"{name}\"").into()),
    };

    let mut flash = MtdDevice::open(&paths, &info, Access::ReadOnly)?;
    let before = flash.ecc_stats()?;
    for block in flash.geometry().clone().blocks() {
        if flash.is_bad(block.start)? {
            eprintln!("bad block at {:#x} left out", block.start);
            continue;
        }
        let mut content = vec![0; usize::try_from(block.end - block.start)?];
        flash.read(block.start, &mut content)?;
        out.write_all(&content)?;
    }
    out.flush()?;
    // The kernel reports no error when ECC could not correct what was read.
    let failed = |stats: Option<mtd_rs::EccStats>| stats.map_or(0, |stats| stats.failed);
    match failed(flash.ecc_stats()?).wrapping_sub(failed(before)) {
        0 => Ok(()),
        count => Err(format!("{count} reads could not be corrected: the file holds wrong bytes").into()),
    }
}
