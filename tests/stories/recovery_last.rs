//! A partition that carries the way back is written when all else is right, and not before.

use crate::engine::{target, write_of};
use crate::simbox::{SimBox, anything, bytes};
use flasher::base::error::Harm;
use flasher::base::outcome::Stopped;
use flasher::base::phase::Phase;
use flasher::bytes::store::Store;
use flasher::flash::{self, Policy, Progress, Target, Verified};
use mtd_rs::{Fault, PartitionId, SimChip};

const BLOCK: u64 = 64 << 10;
const PART: u64 = 4 * BLOCK;

/// Two partitions, of which the first, planned first, is the way back; both are bootable.
fn targets(chip: &SimChip, writable: bool) -> Vec<Target> {
    let target = |number: u64| {
        let mut write = write_of(PART, PART, true);
        write.to.id = PartitionId::Mtd(number as u32);
        write.source = number * PART..(number + 1) * PART;
        write.order.recovery = number == 0;
        let range = number * PART..(number + 1) * PART;
        let writable = writable || number > 0;
        target(
            &write,
            Box::new(chip.partition(&format!("mtd{number}"), range, writable)),
        )
    };
    vec![target(0), target(1)]
}

fn run(chip: &SimChip, image: &Store, seen: &mut dyn FnMut(Progress)) -> Result<Verified, Stopped> {
    let mut seen = seen;
    flash::write(targets(chip, true), image, Policy::default(), &mut seen)?.verify(image, &mut seen)
}

fn chip() -> (SimChip, Vec<u8>, Store<'static>) {
    let chip = SimChip::nor(2 * PART, BLOCK as u32).build().unwrap();
    let old = bytes(2 * PART as usize, 1);
    chip.load(0, &old);
    (chip, old, Store::Memory(bytes(2 * PART as usize, 2)))
}

#[test]
fn nothing_of_it_changes_before_the_rest_is_whole() {
    let (chip, old, image) = chip();
    let mut untouched = 0;
    let verified = run(&chip, &image, &mut |progress| {
        if progress.phase == Phase::Writing && progress.done <= PART {
            assert!(chip.contents(0..PART) == old[..PART as usize]);
            untouched += 1;
        }
    })
    .unwrap();
    assert_eq!((untouched, verified.tally.erased), (4, 8));
    assert!(chip.contents(0..2 * PART) == bytes(2 * PART as usize, 2));
}

/// A block that cannot be unlocked can neither be written, and the way back is unlocked last of all.
#[test]
fn what_stays_locked_is_found_before_anything_else_is_erased() {
    let (chip, old, image) = chip();
    let policy = Policy {
        keep_old: 0,
        ..Policy::default()
    };
    let stopped = flash::write(targets(&chip, false), &image, policy, &mut |_| ())
        .err()
        .unwrap();
    assert_eq!(stopped.failure.harm, Harm::Untouched, "{}", stopped.failure);
    assert!(chip.contents(0..2 * PART) == old);
}

#[test]
fn it_stays_as_it_is_when_the_rest_fails_at_any_operation() {
    for operations in 0..20 {
        let (chip, old, image) = chip();
        chip.inject(Fault::PowerCutAfter { operations });
        let stopped = run(&chip, &image, &mut |_| ()).unwrap_err();
        assert_eq!(stopped.failure.harm, Harm::Partly);
        assert!(chip.contents(0..PART) == old[..PART as usize], "after {operations}");
    }
    for fault in [
        Fault::EraseFails {
            block: PART + BLOCK,
            times: u32::MAX,
        },
        Fault::ProgramFails {
            offset: PART + 3 * BLOCK + 9,
            times: u32::MAX,
        },
        Fault::ReadFails {
            offset: PART,
            times: u32::MAX,
        },
    ] {
        let (chip, old, image) = chip();
        chip.inject(fault);
        let _ = run(&chip, &image, &mut |_| ()).unwrap_err();
        assert!(chip.contents(0..PART) == old[..PART as usize], "{fault:?}");
    }
}

#[test]
fn a_bit_of_the_rest_that_flips_after_it_was_read_back_keeps_it_as_it_is() {
    let (chip, old, image) = chip();
    let stopped = run(&chip, &image, &mut |progress| {
        if progress.phase == Phase::Writing && progress.done == PART {
            let at = PART + 2 * BLOCK;
            let byte = chip.contents(at..at + 1)[0];
            chip.load(at, &[byte ^ 1]);
        }
    })
    .unwrap_err();
    assert!(
        stopped.failure.what.contains("is not any more"),
        "{}",
        stopped.failure.what
    );
    assert!(chip.contents(0..PART) == old[..PART as usize]);
}

#[test]
fn the_profile_says_which_it_is_and_the_plan_has_it_last() {
    let sim = SimBox::changed("qnap-ts219", |profile| {
        anything(profile);
        let partitions = profile["partitions"].as_array_mut().unwrap();
        let kernel = partitions.iter_mut().find(|p| p["name"] == "Kernel").unwrap();
        kernel["recovery"] = true.into();
    });
    let path = sim.file("image", &bytes(3 << 20, 3));
    let plan = sim.run("plan", &["--format", "json", "--part", "Kernel,RootFS1", &path]);
    let plan = plan.exits(0).json();
    assert_eq!(plan["writes"][0]["partition"], "RootFS1");
    assert_eq!(plan["writes"][1]["partition"], "Kernel");
    sim.apply(&["--part", "Kernel,RootFS1", &path]).exits(0);
    assert!(sim.flash()[0x20_0000..0x40_0000] == bytes(3 << 20, 3)[..2 << 20]);
}

#[test]
fn so_is_a_boot_loader_that_is_replaced() {
    let sim = SimBox::changed("qnap-ts219", |profile| {
        anything(profile);
        profile["partitions"][0]["read_only"] = false.into();
    });
    let path = sim.file("image", &bytes(2 << 20, 3));
    let force = "--force=bootloader,bootloader-checksum,bootloader-backup";
    let plan = sim.run("plan", &["--format", "json", "--part", "U-Boot,Kernel", force, &path]);
    assert_eq!(plan.json()["writes"][1]["partition"], "U-Boot", "{plan:?}");
}
