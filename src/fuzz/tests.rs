//! Each target for a moment. `FLASHER_FUZZ_SECONDS=60 cargo test --lib fuzz:: -- --nocapture` is more of it, and prints the counts.

use super::{TARGETS, Target};
use std::path::Path;
use std::time::{Duration, Instant};

/// Processor time that one run may take.
const HANG: Duration = Duration::from_secs(5);
/// Milliseconds of each target.
const MOMENT: u64 = 300;
/// Bytes of the longest input.
const LONGEST: usize = 64 << 10;

/// xorshift64: the same at every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % below.max(1)
    }

    /// A few changes of one of the seeds.
    fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        const ODD: [u32; 8] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1000];
        let mut bytes = seeds[self.next(seeds.len())].clone();
        for _ in 0..=self.next(6) {
            let at = self.next(bytes.len());
            // Headers decide most.
            let at = if self.next(2) == 0 { at.min(self.next(512)) } else { at };
            match self.next(8) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.next(8),
                1 if !bytes.is_empty() => bytes[at] = self.next(256) as u8,
                2 => bytes.truncate(at),
                3 => bytes.insert(at.min(bytes.len()), self.next(256) as u8),
                4 | 5 => {
                    let odd = ODD[self.next(ODD.len())];
                    let odd = if self.next(2) == 0 {
                        odd.to_be_bytes()
                    } else {
                        odd.to_le_bytes()
                    };
                    bytes.iter_mut().skip(at).zip(odd).for_each(|(byte, odd)| *byte = odd);
                }
                6 => {
                    let from = self.next(bytes.len());
                    let piece: Vec<u8> = bytes.iter().skip(from).take(self.next(64)).copied().collect();
                    let at = at.min(bytes.len());
                    bytes.splice(at..at, piece);
                }
                _ => {
                    let other = &seeds[self.next(seeds.len())];
                    bytes.truncate(at);
                    bytes.extend(other.iter().skip(self.next(other.len())));
                }
            }
            bytes.truncate(LONGEST);
        }
        bytes
    }
}

/// The files of a directory in the order of their names; nothing where there is none.
fn files(directory: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Processor time of this thread so far.
fn time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// Runs a target on its seeds and on changes of them.
fn fuzz(Target { name, run }: &Target) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut seeds = files(&top.join("seeds").join(name));
    assert!(!seeds.is_empty(), "fuzz/seeds/{name} has the seeds of {name}");
    // What once did what it must not.
    seeds.extend(files(&top.join("found").join(name)));
    let seconds = std::env::var("FLASHER_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let until = Instant::now() + seconds.unwrap_or(Duration::from_millis(MOMENT));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut count = 0u64;
    seeds.iter().for_each(|seed| run(seed));
    while Instant::now() < until {
        let input = random.mutate(&seeds);
        let begun = Instant::now();
        let before = time();
        run(&input);
        // Where others have the processor a run may only seem to hang.
        let hangs = begun.elapsed() > HANG && time() - before > HANG;
        assert!(!hangs, "{name} hangs on {input:02x?}");
        count += 1;
    }
    println!("{name}: {count} runs");
}

#[test]
fn no_parser_panics_or_hangs_whatever_it_is_fed_with() {
    TARGETS.iter().for_each(fuzz);
}
