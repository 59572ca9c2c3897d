//! The serial console of a box: everything it printed, and waiting for what it will print.

use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The console over all power cycles of a box.
#[derive(Default)]
pub struct Console {
    shared: Arc<Shared>,
    input: Option<ChildStdin>,
    /// How far into the transcript expectations have come; earlier text matches nothing any more.
    seen: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    transcript: Vec<u8>,
    /// Whether the machine at the other end is running.
    open: bool,
}

impl Console {
    /// Connects the console to a machine that was just switched on.
    pub fn connect(&mut self, input: ChildStdin, mut output: ChildStdout) {
        self.input = Some(input);
        let shared = Arc::clone(&self.shared);
        shared.lock().open = true;
        // `tests/lab/demo` sets this, to show the console as it goes.
        let echo = std::env::var_os("FLASHER_LAB_ECHO").is_some();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut chunk) {
                shared.append(&chunk[..length]);
                if echo {
                    let mut stdout = std::io::stdout();
                    // A reader that went away is no reason to stop the machine.
                    let _ = stdout.write_all(&chunk[..length]).and_then(|()| stdout.flush());
                }
            }
            shared.lock().open = false;
            shared.changed.notify_all();
        });
    }

    /// Adds a remark of the lab itself to the transcript.
    pub fn note(&mut self, remark: &str) {
        self.shared.append(format!("\r\n[lab: {remark}]\r\n").as_bytes());
    }

    /// Types a line.
    ///
    /// # Errors
    ///
    /// When the machine is switched off.
    pub fn send_line(&mut self, line: &str) -> std::io::Result<()> {
        let input = self.input.as_mut().ok_or(std::io::ErrorKind::NotConnected)?;
        input.write_all(format!("{line}\n").as_bytes())?;
        input.flush()
    }

    /// Waits until `pattern` is printed and returns what came before it. What was returned is never matched again.
    ///
    /// # Errors
    ///
    /// Why it will not come: the machine ended, or the time is up.
    pub fn expect(&mut self, pattern: &str, timeout: Duration) -> Result<String, String> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            let new = &state.transcript[self.seen..];
            if let Some(at) = find(new, pattern.as_bytes()) {
                let text = String::from_utf8_lossy(&new[..at]).replace('\r', "");
                self.seen += at + pattern.len();
                return Ok(text);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !state.open || left.is_zero() {
                let why = if state.open {
                    format!("not within {timeout:?}")
                } else {
                    "but the machine ended".into()
                };
                return Err(format!(
                    "expected {pattern:?}, {why}; the console's last words:\n{}",
                    tail(new)
                ));
            }
            state = match self.shared.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Waits until both patterns are printed, in whatever order.
    ///
    /// # Errors
    ///
    /// Why one of them will not come: the machine ended, or the time is up.
    pub fn expect_both(&mut self, one: &str, other: &str, timeout: Duration) -> Result<(), String> {
        let start = self.seen;
        self.expect(one, timeout)?;
        let after_one = std::mem::replace(&mut self.seen, start);
        self.expect(other, timeout)?;
        self.seen = self.seen.max(after_one);
        Ok(())
    }

    /// Everything printed since the first power-on.
    pub fn transcript(&self) -> String {
        String::from_utf8_lossy(&self.shared.lock().transcript).replace('\r', "")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn append(&self, bytes: &[u8]) {
        self.lock().transcript.extend_from_slice(bytes);
        self.changed.notify_all();
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}
