//! The flash fails while the settings of an OpenWrt box are written, when the firmware is there already: the firmware is good, the
//! settings are told to be lost and why, and no half of them is unpacked by the new firmware.

use crate::settings::{ERASE, FIRMWARE, KEPT, MARK, boot, image, lived_in};
use crate::simbox::{SimBox, bytes};
use crate::simrun;
use flasher::base::error::Harm;
use flasher::base::outcome::{Fate, KeptState, Outcome};
use flasher::cli::Apply;
use flasher::flash::Policy;
use mtd_rs::Fault;
use std::fs;

/// `apply --part firmware` with these faults on the chip.
fn update(sim: &SimBox, image: &[u8], faults: &[Fault], backup: Option<&str>) -> Outcome {
    let options = Apply {
        parts: vec!["firmware".into()],
        backup: backup.map(Into::into),
        ..Apply::default()
    };
    simrun::update(sim, (options, image), faults, Policy::default())
        .result
        .unwrap()
}

/// A box with settings of several erase blocks, more than the image reaches; and where the place for them begins, in the image.
fn long_settings(order: &str, image: &[u8]) -> (SimBox, usize) {
    let sim = lived_in(order);
    fs::write(sim.path().join("etc/config/long"), bytes(400_000, 4)).unwrap();
    let mark = image.chunks(ERASE).position(|block| block.starts_with(MARK)).unwrap() * ERASE;
    (sim, mark)
}

/// That the firmware is good, and what is said of the settings; status says the same.
fn lost(sim: &SimBox, outcome: &Outcome) -> Fate {
    assert!(outcome.is_ok() && outcome.harm == Harm::Written, "{outcome:?}");
    let kept = outcome.kept.clone().unwrap();
    assert_eq!(kept.state, KeptState::Failed, "{kept}");
    let status = sim.run("status", &["--format", "json"]).exits(0).json();
    assert_eq!(status["harm"], "written");
    assert_eq!(status["kept"]["state"], "failed", "{status}");
    assert_eq!(status["kept"]["text"], kept.text.as_str());
    let text = sim.run("status", &[]).exits(0).out;
    assert!(text.contains(&format!("kept files: failed, {}", kept.files)), "{text}");
    kept
}

/// Whichever erase block it is, the new firmware finds the mark of an empty overlay, and nothing of the settings.
#[test]
fn settings_that_cannot_be_written_whole_leave_a_firmware_that_starts_afresh() {
    let image = image();
    for order in ["big", "little"] {
        for block in [0, 3, 7, 9] {
            let (sim, mark) = long_settings(order, &image);
            let at = (FIRMWARE.start + mark + block * ERASE) as u64;
            let fault = match block {
                // The mark can be written there, and the beginning of a JFFS2 cannot.
                0 => Fault::StuckBit { offset: at, bit: 0 },
                _ => Fault::ProgramFails {
                    offset: at + 100,
                    times: u32::MAX,
                },
            };
            let outcome = update(&sim, &image, &[fault], None);
            let kept = lost(&sim, &outcome);
            assert!(kept.text.contains("firmware"), "where it failed: {kept}");
            assert!(kept.text.contains("starts with settings of its own"), "{kept}");
            let flash = &sim.flash()[FIRMWARE];
            assert!(flash[..mark] == image[..mark], "the firmware is as it should be");
            assert!(flash[mark..].starts_with(MARK), "{order}, block {block}");
            let (status, root) = boot(&sim, order);
            assert_eq!((status, root.len()), (Some(3), 0), "{order}, block {block}");
        }
    }
}

/// Where not even the mark can be written, it is said that this is not known; a backup has the settings.
#[test]
fn what_is_left_in_the_place_of_the_settings_is_not_made_up() {
    let image = image();
    let (sim, mark) = long_settings("big", &image);
    let again = sim.file("image", &image);
    sim.apply(&["--part", "firmware", "--no-keep", &again]).exits(0);
    let worn = Fault::EraseFails {
        block: (FIRMWARE.start + mark) as u64,
        times: u32::MAX,
    };
    let backup = sim.dir.path().join("backup");
    let backup = backup.to_str().unwrap();
    let kept = lost(&sim, &update(&sim, &image, &[worn], Some(backup)));
    assert!(kept.text.contains("is not known"), "{kept}");
    let archive = format!("{backup}/sysupgrade.tgz");
    assert!(kept.text.contains(&format!("they are in {archive}")), "{kept}");
    let listed = crate::simbox::tool("tar", &["-tzf", &archive]).stdout;
    assert_eq!(String::from_utf8_lossy(&listed).lines().count(), KEPT.len() + 1);
}

/// What fails once is tried again, and then the settings are whole.
#[test]
fn settings_that_fail_once_are_tried_again() {
    let image = image();
    let (sim, mark) = long_settings("little", &image);
    let fault = Fault::ProgramFails {
        offset: (FIRMWARE.start + mark + 7 * ERASE + 100) as u64,
        times: 1,
    };
    let outcome = update(&sim, &image, &[fault], None);
    assert_eq!(outcome.kept.unwrap().state, KeptState::Restored);
    let (status, root) = boot(&sim, "little");
    assert_eq!((status, root.len()), (Some(0), KEPT.len() + 1));
}
