//! The power fails at a hundred random moments between `apply` and the first erase, fifty on each kind of box. Each time the
//! flash is byte for byte what it was, and the old firmware boots.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::tools::patience;
use super::*;

on!(tell: armel = Armel, mips = Mips);

const CUTS: usize = 50;

/// What `apply` goes through until the first erase: the first words of each stage on the console, and what it is.
const STAGES: [(&str, &str); 7] = [
    ("", "checks"),
    ("stage one: goes on as process", "stage one"),
    (words::HANDED_OVER, "the session ends"),
    (words::INIT_ENDS_ALL, "init ends every process"),
    (words::INIT_HAS_KILLED, "init starts flasher"),
    (words::AS_PID_ONE, "flasher is PID 1"),
    (words::PROVED, "the old root is gone"),
];

/// Stages in which a cut must have happened: before QUIT, and after the start of PID 1. What comes after the end of the old root
/// may be over before a cut can fall into it: an image that nobody can have changed is not hashed again.
const BEFORE_QUIT: [usize; 3] = [0, 1, 2];
const AS_PID_ONE: [usize; 2] = [5, 6];
/// A stage that lasts less is not aimed at.
const SHORTEST: Duration = Duration::from_millis(50);

fn tell(kind: Kind) {
    let (mut machine, _) = box_with_disk("power-cuts-before-writing", kind);
    let (lasts, before) = measure(&mut machine);
    let span: Duration = lasts.iter().sum();
    println!("{kind}: from apply to the first erase: {span:.1?}, by stages {lasts:.1?}");

    let mut random = Random::new(kind);
    let mut fell = [0; STAGES.len()];
    let mut late = 0;
    let mut cut = 0;
    while cut < CUTS {
        let (stage, delay) = random.moment(&lasts, cut);
        machine.boot('A');
        copy_from_disk(&mut machine);
        let shown = machine.transcript().len();
        machine.send_line(APPLY);
        for (word, _) in &STAGES[1..=stage] {
            machine.expect(word, patience(120));
        }
        std::thread::sleep(delay);
        machine.power_cut();
        let said = machine.transcript().split_off(shown);
        if said.contains(words::WRITING) {
            // Not before the first erase any more: does not count, and another is made.
            late += 1;
            assert!(late < CUTS, "the cuts come too late");
            machine.set_flash(&before);
            continue;
        }
        let stage = STAGES.iter().rposition(|(word, _)| said.contains(word)).unwrap_or(0);
        let now = machine.flash();
        if now != before {
            let at = now.iter().zip(&before).position(|(now, then)| now != then);
            panic!("cut {cut}, in {:?}, changed the flash at {at:x?}", STAGES[stage].1);
        }
        fell[stage] += 1;
        cut += 1;
    }
    // The last cut has its proof still to come.
    machine.boot('A');
    let places: Vec<_> = STAGES
        .iter()
        .zip(&fell)
        .map(|((_, name), cuts)| format!("{cuts} in {name:?}"))
        .collect();
    println!(
        "{kind}: {CUTS} power cuts: {}; {late} more came after the first erase",
        places.join(", ")
    );
    for stages in [&BEFORE_QUIT[..], &AS_PID_ONE] {
        let cuts: usize = stages.iter().map(|stage| fell[*stage]).sum();
        assert!(cuts > 0, "nothing can be said of stages {stages:?}");
    }
}

/// How long each stage lasts, and what is in the flash before the first erase: what the firmware's maker put there, and the marks
/// that the kernel has put into the empty blocks of `config` since. Not a byte of that may change.
fn measure(machine: &mut Machine) -> ([Duration; STAGES.len()], Vec<u8>) {
    machine.boot('A');
    copy_from_disk(machine);
    machine.send_line(APPLY);
    let mut begun = Instant::now();
    let mut before = Vec::new();
    let lasts = std::array::from_fn(|stage| {
        machine.expect(
            STAGES.get(stage + 1).map_or(words::WRITING, |next| next.0),
            patience(120),
        );
        let lasted = std::mem::replace(&mut begun, Instant::now()).elapsed();
        if stage + 2 == STAGES.len() {
            before = machine.flash();
        }
        lasted
    });
    machine.power_cut();
    machine.set_flash(&before);
    (lasts, before)
}

/// George Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    /// Other moments in each run; `FLASHER_LAB_SEED` repeats those of another.
    fn new(kind: Kind) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = std::env::var("FLASHER_LAB_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let seed: u64 = seed.unwrap_or(now.as_secs());
        println!("{kind}: FLASHER_LAB_SEED={seed} makes the cuts at these moments again");
        // Seeds that follow each other give numbers that do not.
        Random((seed ^ kind as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        limit.mul_f64((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// A stage, and a moment in it. One cut in two falls anywhere between `apply` and the first erase, the others into each stage
    /// in turn, because some last a few hundredths of a second.
    fn moment(&mut self, lasts: &[Duration; STAGES.len()], cut: usize) -> (usize, Duration) {
        if cut % 2 == 1 {
            let aims: Vec<usize> = (0..STAGES.len()).filter(|stage| lasts[*stage] >= SHORTEST).collect();
            let stage = aims[cut / 2 % aims.len()];
            return (stage, self.below(lasts[stage]));
        }
        let mut at = self.below(lasts.iter().sum());
        for (stage, lasts) in lasts.iter().enumerate() {
            match at.checked_sub(*lasts) {
                Some(rest) => at = rest,
                None => return (stage, at),
            }
        }
        (0, Duration::ZERO)
    }
}
