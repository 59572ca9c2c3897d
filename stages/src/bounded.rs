//! System calls that may never come back, because a server or a device does not answer.
#![forbid(unsafe_code)]

use std::io;
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

const STACK: usize = 64 << 10;
/// For one call on the old system: the file system of a server that has gone, or a device on it, may keep us for good.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Does it in a thread of its own, which is left behind when the time is up.
///
/// # Errors
/// The work's own, and [`io::ErrorKind::TimedOut`].
pub fn within(limit: Duration, work: Box<dyn FnOnce() -> io::Result<()> + Send>) -> io::Result<()> {
    let thread = Builder::new().stack_size(STACK).spawn(work)?;
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    while !thread.is_finished() {
        if start.elapsed() >= limit {
            return Err(io::ErrorKind::TimedOut.into());
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    // As PID 1 a panic has ended the box already.
    thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_answered_and_what_does_not_is_left() {
        let limit = Duration::from_secs(5);
        assert!(within(limit, Box::new(|| Ok(()))).is_ok());
        let failed = within(limit, Box::new(|| Err(io::ErrorKind::NotFound.into())));
        assert!(failed.is_err_and(|e| e.kind() == io::ErrorKind::NotFound));
        let stuck = within(
            Duration::from_millis(50),
            Box::new(move || {
                loop {
                    sleep(limit);
                }
            }),
        );
        assert!(stuck.is_err_and(|e| e.kind() == io::ErrorKind::TimedOut));
    }
}
