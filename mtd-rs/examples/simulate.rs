//! Cuts the power at every point of a small update, and shows what the flash holds then.
//!
//! `cargo run --example simulate`

use mtd_rs::{ErrorKind, Fault, Flash, Result, SimChip};

const BLOCK: u64 = 64 << 10;

fn main() -> Result<()> {
    for operations in 0.. {
        // A NOR chip of 1 MiB with an old kernel in its last two blocks.
        let chip = SimChip::nor(1 << 20, BLOCK as u32).build()?;
        chip.load(14 * BLOCK, &[b'o'; 2 * BLOCK as usize]);
        let mut kernel = chip.partition("mtd1 \"Kernel\"", 14 * BLOCK..16 * BLOCK, true);

        chip.inject(Fault::PowerCutAfter { operations });
        let result = update(&mut kernel);
        let held = chip.contents(14 * BLOCK..16 * BLOCK);
        let count = |byte| held.iter().filter(|held| **held == byte).count();
        println!(
            "power cut after {operations}: {} old bytes, {} new, {} blank",
            count(b'o'),
            count(b'n'),
            count(0xff)
        );
        match result {
            Ok(()) => {
                println!(
                    "done: {} erases, {:.1} s by the data sheet",
                    chip.counters().erases,
                    chip.elapsed().as_secs_f32()
                );
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::PowerLost => println!("  {error}"),
            Err(error) => return Err(error),
        }

        // The box is switched on again, and the update is run a second time.
        chip.restore_power();
        update(&mut kernel)?;
        assert_eq!(chip.contents(14 * BLOCK..16 * BLOCK), [b'n'; 2 * BLOCK as usize]);
    }
    Ok(())
}

/// Erases and programs each block. It knows nothing but `Flash`, and would do the same to an `MtdDevice`.
fn update(flash: &mut dyn Flash) -> Result<()> {
    for block in flash.geometry().clone().blocks() {
        flash.erase(block.start)?;
        flash.program(block.start, &vec![b'n'; (block.end - block.start) as usize])?;
    }
    Ok(())
}
