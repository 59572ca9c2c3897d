//! What the plan says of time and memory before the start, and what is done while a chip is busy.

use crate::containers::pack;
use crate::engine::{nor, run, target, write_of};
use crate::simbox::{SimBox, anything, bytes};
use flasher::bytes::packed::{Codec, Packed};
use flasher::bytes::store::Store;
use flasher::flash::{self, Policy, Target};
use flasher::plan::{self, Pace, Step, Survey};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// The chip is simulated with the times of its data sheet, and so is the plan's guess made: what is compared is whether
/// the guess counts what the engine does.
#[test]
fn the_time_in_the_plan_is_about_the_time_that_it_takes() {
    for changed in [0, 20, 64] {
        let chip = nor(4 * MIB);
        let mut old = bytes(4 << 20, 1);
        let new = bytes(4 << 20, 1);
        old[..changed << 16].copy_from_slice(&bytes(changed << 16, 2));
        chip.load(0, &old);
        let geometry = chip.geometry();
        let step = Step {
            write: write_of(4 * MIB, 4 * MIB, false),
            survey: Some(Survey {
                up_to_date: (changed as u64..64).map(|block| block << 16).collect(),
                uncorrectable: 0,
            }),
        };
        let seconds = |pace| plan::seconds([(&step, &geometry)], pace);
        let said = seconds(None);
        // In place, under the lock that is still held, what was found up to date is not compared again.
        let known = Target {
            up_to_date: step.survey.clone().unwrap().up_to_date,
            ..target(&step.write, Box::new(chip.whole("mtd0")))
        };
        let store = Store::Memory(new);
        let written = flash::write(vec![known], &store, Policy::default(), &mut |_| ()).unwrap();
        let _ = written.verify(&store, &mut |_| ()).unwrap();
        let took = chip.elapsed().as_secs_f64();
        let ratio = said as f64 / took;
        assert!(
            (0.9..1.6).contains(&ratio) && (changed == 0 || ratio < 1.1),
            "{changed}: {said} s, took {took} s"
        );
        // A bus of 100 kB/s makes two reads of 4 MiB take 84 s instead of 1; what is known to be up to date is read once.
        let reads = 2 * 4 * MIB - ((64 - changed as u64) << 16);
        let expected = reads / 100_000;
        let slow = Pace {
            bytes: 100_000,
            millis: 1000,
        };
        let slower = seconds(Some(slow));
        assert!(
            (expected - 3..expected + 3).contains(&(slower - said)),
            "{slower} s instead of {said} s"
        );
        // Too short to say anything.
        let moment = Pace { bytes: 10, millis: 1 };
        assert_eq!(seconds(Some(moment)), said);
    }
}

#[test]
fn room_for_the_old_content_is_told_apart_from_what_is_needed() {
    let image = bytes(3 << 20, 3);
    for (ram, rollback) in [(64 << 20, 3 << 20), (9 << 20, 0)] {
        let sim = SimBox::changed("tplink-wdr3600", |profile| {
            anything(profile);
            profile["ram"] = ram.into();
        });
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

/// The threads of this process that decode ahead, and whether they sleep.
fn decoders() -> Vec<(PathBuf, bool)> {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let about =
        threads.filter_map(|thread| Some((thread.path(), fs::read_to_string(thread.path().join("stat")).ok()?)));
    about
        .filter(|(_, stat)| stat.contains(" (ahead) "))
        .map(|(path, stat)| (path, stat.contains(") S ")))
        .collect()
}

/// The observer stands for a chip that is busy: it comes back when the decoder has nothing left to do, because what was
/// decoded fills the room that there is.
#[test]
fn a_packed_image_is_decoded_while_the_chip_is_busy_and_nobody_is_left_behind() {
    let sim = SimBox::new("generic");
    let content = bytes(2 << 20, 9);
    let packed = pack(&sim.file("content", &content), "gzip", &["-n"]);
    let inner = Store::file(fs::File::open(&packed).unwrap()).unwrap();
    let length = inner.len();
    let image = Packed::open(Arc::new(inner), Codec::Gzip, length, 4 * MIB).unwrap();
    let chip = nor(2 * MIB);
    let mut met = None;
    let busy = &mut |_| {
        let start = Instant::now();
        while met.is_none() {
            met = decoders().into_iter().find(|(_, sleeps)| *sleeps);
            assert!(start.elapsed() < Duration::from_secs(30), "nobody decodes ahead");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let _ = run(&chip, &write_of(2 * MIB, 2 * MIB, false), &Store::Packed(image), busy).unwrap();
    assert!(chip.contents(0..2 * MIB) == content, "decoded ahead in the wrong order");
    let (thread, _) = met.unwrap();
    assert!(!thread.exists(), "{} is left", thread.display());
}
