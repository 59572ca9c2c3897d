//! The record of the last update tells how long each stage took, and what flash and ECC met.

use crate::simbox::{SimBox, bytes};

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
