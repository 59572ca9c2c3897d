//! What the plan says of time and memory before the start.

use crate::s04_engine::{nor, run, write_of};
use crate::simbox::{SimBox, bytes};
use flasher::board::Board;
use flasher::cli::Where;
use flasher::image::store::Store;
use flasher::plan::{self, Pace, Write};

const MIB: u64 = 1 << 20;

/// The chip is simulated with the times of its data sheet, and so is the plan's guess made: what is compared is whether
/// the guess counts what the engine does.
#[test]
fn the_time_in_the_plan_is_about_the_time_that_it_takes() {
    let sim = SimBox::new("tplink-wdr3600");
    let at = Where {
        sim: Some(sim.path()),
        board: None,
    };
    let board = Board::discover(&at).unwrap();
    for changed in [0, 20, 64] {
        let chip = nor(4 * MIB);
        let mut old = bytes(4 << 20, 1);
        let new = bytes(4 << 20, 1);
        old[..changed << 16].copy_from_slice(&bytes(changed << 16, 2));
        chip.load(0, &old);
        let write = Write {
            mtd: 1,
            unchanged: Some(64 - changed as u64),
            ..write_of(4 * MIB, 4 * MIB, false)
        };
        let said = plan::seconds(&board, std::slice::from_ref(&write), None);
        let _ = run(&chip, &write, &Store::Memory(new), &mut |_| ()).unwrap();
        let took = chip.elapsed().as_secs_f64();
        let ratio = said as f64 / took;
        assert!(
            (0.9..1.6).contains(&ratio) && (changed == 0 || ratio < 1.1),
            "{changed}: {said} s, took {took} s"
        );
        // A bus of 100 kB/s makes two reads of 4 MiB take 84 s instead of 1.
        let slow = Pace {
            bytes: 100_000,
            millis: 1000,
        };
        let slower = plan::seconds(&board, std::slice::from_ref(&write), Some(slow));
        assert!((80..86).contains(&(slower - said)), "{slower} s instead of {said} s");
        // Too short to say anything.
        let moment = Pace { bytes: 10, millis: 1 };
        assert_eq!(plan::seconds(&board, &[write], Some(moment)), said);
    }
}

#[test]
fn room_for_the_old_content_is_told_apart_from_what_is_needed() {
    let image = bytes(3 << 20, 3);
    for (ram, rollback) in [(64 << 20, 3 << 20), (9 << 20, 0)] {
        let sim = SimBox::changed("tplink-wdr3600", |profile| profile["ram"] = ram.into());
        let path = sim.file("image", &image);
        let args = ["--part", "firmware", &path];
        let plan = sim
            .run("plan", &[&["--format", "json"], &args[..]].concat())
            .exits(0)
            .json();
        assert_eq!(plan["ram"]["needed"], 5 << 20);
        assert_eq!(plan["ram"]["rollback"], rollback);
        assert!(plan["seconds"].as_u64().unwrap() > 30, "{plan}");
        let text = sim.run("plan", &args).exits(0).out;
        let line = text.lines().find(|line| line.starts_with("takes: about ")).unwrap();
        let says = if rollback > 0 {
            "meanwhile: 3 MiB"
        } else {
            "cannot be put back"
        };
        assert!(line.ends_with(says), "{line}");
    }
}
