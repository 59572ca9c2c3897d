//! When progress is drawn, and how.

#![forbid(unsafe_code)]

use crate::base::phase::Phase;
use crate::base::units::Size;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Without a terminal a line is due at each new step of so many percent …
const STEP: u64 = 5;
/// … and whenever nothing was said for so long.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// A bar is drawn no sooner after it was drawn last, unless it is full: each line goes through a slow serial console.
const FRAME: Duration = Duration::from_millis(100);

/// How long comparing or copying goes on without a word.
const PATIENCE: Duration = Duration::from_secs(2);

/// Characters of the longest line that is drawn with a bar.
const WIDEST: usize = 76;

/// Whether standard output is a terminal on which a line can be drawn over. One without a `TERM` – a serial console, a
/// terminal that ssh was told to make for a script – is believed to be, unlike one that says that it is dumb.
pub fn rewrites() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Characters that fit on a line of the terminal without going on to the next one, where it cannot be drawn over.
fn room() -> usize {
    match stages::terminal_columns(&io::stdout()) {
        Some(columns) => usize::from(columns) - 1,
        None => WIDEST,
    }
}

/// Remembers what was drawn last.
pub struct Meter {
    /// Whether a bar is drawn over and over on one line.
    pub bar: bool,
    phase: Option<Phase>,
    percent: Option<u64>,
    begun: Instant,
    drawn: Instant,
    open: bool,
}

impl Meter {
    /// Nothing drawn yet.
    pub fn new(bar: bool) -> Meter {
        Meter {
            bar,
            phase: None,
            percent: None,
            begun: Instant::now(),
            drawn: Instant::now(),
            open: false,
        }
    }

    /// The percentage to draw now, if anything is due. 100 only at the very end.
    pub fn due(&mut self, phase: Phase, done: u64, total: u64) -> Option<u64> {
        if self.phase != Some(phase) {
            self.phase = Some(phase);
            self.percent = None;
            self.begun = Instant::now();
        }
        let percent = match total {
            0 => 0,
            total if done >= total => 100,
            total => (done.saturating_mul(100) / total).min(99),
        };
        let step = if self.bar { 1 } else { STEP };
        // What is over in a moment is not worth twenty lines, unless it changes the flash or leads to that.
        if !phase.changes() && !self.bar && self.begun.elapsed() < PATIENCE {
            return None;
        }
        let new = self.percent.is_none_or(|last| percent / step != last / step);
        if !new && self.drawn.elapsed() < HEARTBEAT {
            return None;
        }
        let soon = self.bar && self.percent.is_some() && percent < 100;
        if soon && self.drawn.elapsed() < FRAME {
            return None;
        }
        self.percent = Some(percent);
        self.drawn = Instant::now();
        self.open = self.bar;
        Some(percent)
    }

    /// Seconds that the phase takes yet, once that can be said.
    pub fn left(&self, done: u64, total: u64) -> Option<u64> {
        let elapsed = self.begun.elapsed().as_secs();
        let known = elapsed >= 2 && done > 0 && done < total;
        known.then(|| (total - done).saturating_mul(elapsed) / done)
    }

    /// `writing 45 %, 7.1 MiB of 16 MiB, 12 s left`.
    pub fn text(&self, phase: Phase, percent: u64, done: u64, total: u64) -> String {
        let left = match self.left(done, total) {
            None => String::new(),
            Some(seconds) => format!(", {seconds} s left"),
        };
        let rest = format!("{percent} %, {} of {}{left}", Size(done), Size(total));
        match self.bar {
            true => drawn(phase, percent, &rest, room()),
            false => format!("{phase} {rest}"),
        }
    }

    /// Ends the line that the bar is on.
    pub fn end(&mut self, out: &mut dyn Write) {
        if std::mem::take(&mut self.open) {
            let _ = out.write_all(b"\n");
        }
    }
}

/// A line with a bar, or as much of it as there is room for.
fn drawn(phase: Phase, percent: u64, rest: &str, room: usize) -> String {
    let filled = (percent / 5) as usize;
    let mut line = match room < WIDEST {
        true => format!("{phase} {rest}"),
        false => format!("{phase} [{}{}] {rest}", "#".repeat(filled), "-".repeat(20 - filled)),
    };
    // All of it is ASCII.
    line.truncate(room);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_gets_a_line_that_fits() {
        let rest = "45 %, 7.1 MiB of 16 MiB, 12 s left";
        let bar = format!("writing [{}{}] {rest}", "#".repeat(9), "-".repeat(11));
        assert_eq!(drawn(Phase::Writing, 45, rest, 79), bar);
        assert_eq!(drawn(Phase::Writing, 45, rest, 60), format!("writing {rest}"));
        assert_eq!(drawn(Phase::Writing, 45, rest, 12), "writing 45 %");
        assert_eq!(drawn(Phase::Writing, 45, rest, 0), "");
    }

    #[test]
    fn what_changes_the_flash_is_told_at_once_however_short_it_is() {
        for (phase, told) in [
            (Phase::Comparing, None),
            (Phase::Writing, Some(0)),
            (Phase::PuttingBack, Some(0)),
            (Phase::Unknown, Some(0)),
        ] {
            assert_eq!(Meter::new(false).due(phase, 0, 1000), told, "{phase}");
        }
    }

    #[test]
    fn a_hundred_is_said_at_the_very_end_only_and_steps_are_five() {
        let mut meter = Meter::new(false);
        let said: Vec<u64> = (0..=1000)
            .filter_map(|done| meter.due(Phase::Writing, done, 1000))
            .collect();
        assert_eq!(said.first(), Some(&0));
        assert_eq!(said.last(), Some(&100));
        assert_eq!(said.len(), 21);
        assert_eq!(meter.due(Phase::Writing, 999_999, 1_000_000), Some(99));
    }

    #[test]
    fn a_bar_is_drawn_at_its_beginning_now_and_then_and_when_it_is_full() {
        let mut meter = Meter::new(true);
        let begun = Instant::now();
        let said: Vec<u64> = (0..=1000)
            .filter_map(|done| meter.due(Phase::Writing, done, 1000))
            .collect();
        let frames = (begun.elapsed().as_millis() / FRAME.as_millis()) as usize;
        assert_eq!((said.first(), said.last()), (Some(&0), Some(&100)));
        assert!(said.len() <= 2 + frames, "{said:?}");
        // The next phase begins anew.
        assert_eq!(meter.due(Phase::Verifying, 0, 1000), Some(0));
    }
}
