//! What ECC saw: told at the end of a run, and a reason for a warning before it.

use crate::engine::{run, write_of};
use crate::simbox::{SimBox, bytes};
use flasher::bytes::store::Store;
use mtd_rs::{Fault, SimChip};
use std::fs;

const BLOCK: u64 = 64 << 10;

#[test]
fn bits_that_were_corrected_and_reads_that_could_not_be_are_in_the_tally() {
    let chip = SimChip::nand(8 * BLOCK, BLOCK as u32, 2048, 64).build().unwrap();
    let old = bytes(8 * BLOCK as usize, 1);
    chip.load(0, &old);
    chip.inject(Fault::FlipOnRead {
        offset: 3 * BLOCK + 5,
        bit: 2,
        times: 2,
    });
    chip.inject(Fault::Uncorrectable {
        offset: 5 * BLOCK,
        times: 1,
    });
    let verified = run(
        &chip,
        &write_of(8 * BLOCK, 8 * BLOCK, false),
        &Store::Memory(old.clone()),
        &mut |_| (),
    )
    .unwrap();
    // What ECC could not correct is written again, what it could is left alone.
    assert_eq!((verified.tally.erased, verified.tally.unchanged), (1, 7));
    assert_eq!((verified.tally.corrected, verified.tally.uncorrectable), (2, 1));
    let said = verified.tally.to_string();
    assert!(said.ends_with("ECC corrected 2 bits and failed in 1 reads"), "{said}");
    assert!(chip.contents(0..8 * BLOCK) == old);
}

#[test]
fn a_chip_that_fails_while_it_is_only_compared_is_worth_a_warning() {
    let sim = SimBox::new("thincan");
    // The mark of the simulated chip for a page whose ECC does not fit: byte 1 of its OOB.
    let oob = sim.path().join("flash.bin.oob");
    let mut marks = fs::read(&oob).unwrap();
    marks[7 * 16 + 1] = 0;
    fs::write(&oob, marks).unwrap();
    let mut flash = sim.flash();
    flash[..40_000].copy_from_slice(&bytes(40_000, 2));
    sim.fill(&flash);
    let path = sim.file("image", &bytes(40_000, 2));
    let plan = sim
        .run("plan", &["--format", "json", "--part", "boot", &path])
        .exits(0)
        .json();
    let checks = plan["checks"].as_array().unwrap();
    let ecc = checks.iter().find(|check| check["name"] == "ecc").unwrap();
    assert_eq!(ecc["status"], "warn");
    assert!(
        ecc["text"].as_str().unwrap().contains("could not correct 1 reads"),
        "{ecc}"
    );
    let result = sim.apply(&["--part", "boot", &path]).exits(0).json();
    // When it was compared once more, and both times that its old content was to be kept.
    assert_eq!(
        (result["erased"].as_u64(), result["uncorrectable"].as_u64()),
        (Some(1), Some(3))
    );
    let status = sim.run("status", &["--format", "json"]).exits(0).json();
    assert_eq!(status["tally"]["uncorrectable"], 3, "{status}");
}
