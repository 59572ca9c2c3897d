//! When the server is asked: a fleet that was started by one power cut does not ask all at once.

#![forbid(unsafe_code)]

use crate::base::random;
use crate::cli::poll::{Every, Poll};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where neither the server nor anybody else says it.
const USUAL: Duration = Duration::from_secs(300);
/// What a server may ask for: neither to be asked without end nor never again.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(86_400);
/// How often the interval doubles while the server does not answer.
const DOUBLED: u32 = 5;

/// The pauses of a run.
pub struct Waits {
    every: Option<Every>,
    jitter: Option<Duration>,
    /// Polls that failed, one after the other.
    failed: u32,
}

impl Waits {
    /// As they were asked for.
    pub fn new(options: &Poll) -> Waits {
        Waits {
            every: options.every,
            jitter: options.jitter,
            failed: 0,
        }
    }

    /// Waits before the first poll, where that was asked for.
    pub fn before_the_first(&self) {
        sleep(part(self.jitter.unwrap_or_default(), random()));
    }

    /// Waits until the next poll; `false` if there is to be none. What a server asks for counts unless the user said something else.
    pub fn until_the_next(&mut self, asked: Option<Duration>, fine: bool) -> bool {
        let Some(every) = self.every else { return false };
        self.failed = if fine { 0 } else { self.failed.saturating_add(1) };
        sleep(self.pause(every, asked, random()));
        true
    }

    fn pause(&self, every: Every, asked: Option<Duration>, thousandths: u32) -> Duration {
        let interval = match every {
            Every::After(interval) => interval,
            Every::Server => asked.unwrap_or(USUAL).clamp(SHORTEST, LONGEST),
        };
        let longest = interval.max(LONGEST);
        let interval = interval.saturating_mul(1 << self.failed.min(DOUBLED)).min(longest);
        interval + part(self.jitter.unwrap_or(interval / 10), thousandths)
    }
}

/// So many thousandths of it.
fn part(whole: Duration, thousandths: u32) -> Duration {
    whole / 1000 * thousandths
}

/// A number below 1000. On a box without random numbers at least another one each time.
fn random() -> u32 {
    let mut bytes = [0; 4];
    let number = match random::fill(&mut bytes) {
        Ok(()) => u32::from_ne_bytes(bytes),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.subsec_nanos()),
    };
    number % 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_makes_a_box_ask_without_end_or_never_again() {
        let mut waits = Waits {
            every: None,
            jitter: None,
            failed: 0,
        };
        let of = |waits: &Waits, every, asked| waits.pause(every, asked, 0).as_secs();
        assert_eq!(of(&waits, Every::Server, None), 300);
        assert_eq!(of(&waits, Every::Server, Some(Duration::ZERO)), 10);
        assert_eq!(of(&waits, Every::Server, Some(Duration::MAX)), 86_400);
        assert_eq!(of(&waits, Every::After(Duration::from_secs(1)), Some(Duration::MAX)), 1);
        assert!(random() < 1000);
        let minute = Every::After(Duration::from_secs(60));
        assert_eq!(waits.pause(minute, None, 500).as_secs(), 63);
        waits.failed = 3;
        assert_eq!(of(&waits, minute, None), 480);
        waits.failed = u32::MAX;
        assert_eq!(of(&waits, minute, None), 60 * 32);
        let year = Every::After(Duration::from_secs(365 * 86_400));
        assert_eq!(of(&waits, year, None), 365 * 86_400);
    }
}
