//! The record of the last update tells how long each stage took, and what flash and ECC met.

use crate::simbox::{SimBox, bytes};
use crate::simrun;
use flasher::base::error::Harm;
use flasher::board::Board;
use flasher::board::selector::Where;
use flasher::cli::Apply;
use flasher::flash::Policy;
use mtd_rs::{Fault, Place};

const MIB: usize = 1 << 20;

#[test]
fn status_tells_the_stages_in_their_order_with_times() {
    let sim = SimBox::new("generic");
    let image = sim.file("image", &bytes(MIB, 1));
    sim.apply(&["--part", "kernel", &image]).exits(0);
    let status = sim.run("status", &["--format", "json"]).exits(0).json();
    let stages = status["stages"].as_str().unwrap();
    let told: Vec<_> = stages
        .split("; ")
        .map(|stage| stage.split_once(" s ").unwrap())
        .collect();
    let names: Vec<_> = told.iter().map(|(_, name)| *name).collect();
    assert_eq!(names, ["begun", "written", "verified"]);
    let times: Vec<f64> = told.iter().map(|(time, _)| time.parse().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(status["erased"], serde_json::Value::Null);
    assert!(status["tally"]["erased"].is_u64() && status["tally"]["retried"].is_u64());
    let text = sim.run("status", &[]).exits(0).out;
    assert!(text.contains(" s verified"), "{text}");
}

#[test]
fn a_record_of_an_earlier_flasher_is_still_understood() {
    let sim = SimBox::new("generic");
    let old =
        r#"{"result":"ok","harm":"written","code":"written","image_sha256":"ab","finished":"2026-01-01T00:00:00Z"}"#;
    std::fs::write(sim.path().join("status.json"), old).unwrap();
    let text = sim.run("status", &[]).exits(0).out;
    assert!(text.starts_with("ok: flash written"), "{text}");
}

#[test]
fn nand_tells_what_its_ecc_met_and_nor_says_nothing_of_it() {
    for (board, part, has) in [("thincan", "boot", true), ("generic", "kernel", false)] {
        let sim = SimBox::new(board);
        let image = sim.file("image", &bytes(3 * 16384, 1));
        sim.apply(&["--part", part, &image]).exits(0);
        let status = sim.run("status", &["--format", "json"]).exits(0).json();
        let stages = status["stages"].as_str().unwrap();
        assert_eq!(stages.contains(" reads failed"), has, "{board}: {status}");
    }
}

/// What a run left half written is not made whole by the next one's doing nothing.
#[test]
fn a_run_that_does_nothing_behind_one_that_was_interrupted_leaves_the_flash_partly_written() {
    let sim = SimBox::new("generic");
    let board = Board::discover(&Where {
        sim: Some(sim.path()),
        board: None,
    })
    .unwrap();
    let kernel = board.partition("kernel").unwrap();
    let Place::Known(extents) = board.map.place(kernel.id) else {
        panic!("a simulated partition has a place");
    };
    let erase_size = u64::from(kernel.geometry.erase_size);
    let start = extents[0].range.start;
    let (block, times) = (start + 3 * erase_size, u32::MAX);
    let image = bytes(MIB, 1);
    // The blocks in front of it are up to date, so it is the first that changes.
    let mut flash = sim.flash();
    flash[start as usize..block as usize].copy_from_slice(&image[..(block - start) as usize]);
    sim.fill(&flash);
    let (broken, busy) = (
        Fault::ProgramFails { offset: block, times },
        Fault::Busy { block, times },
    );
    for (fault, harm, word) in [
        (busy, Harm::Untouched, "untouched"),
        (broken, Harm::Partly, "partly"),
        (busy, Harm::Partly, "partly"),
    ] {
        let options = Apply {
            parts: vec!["kernel".into()],
            ..Apply::default()
        };
        let end = simrun::update(&sim, (options, &image), &[fault], Policy::default());
        assert_eq!(end.result.unwrap_err().harm, harm, "{fault:?}");
        let status = sim.run("status", &["--format", "json"]).exits(0).json();
        assert_eq!(status["harm"], word, "{status}");
    }
}
