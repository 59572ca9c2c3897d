//! PID 1 never exits and never panics: the kernel would panic with it.
//!
//! Every unforeseen end goes through [`end`]: a reboot while the flash is whole, the rescue once it has been touched.
#![forbid(unsafe_code)]

use crate::{power, rescue};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

static FLASH_TOUCHED: AtomicBool = AtomicBool::new(false);

/// Says whether flash may be in a state that does not boot. Set it before the first erase, and clear it when everything is
/// written and verified.
pub fn set_flash_touched(touched: bool) {
    FLASH_TOUCHED.store(touched, Ordering::SeqCst);
}

/// The end of PID 1 when something went wrong: reboot into the old firmware if the flash is whole, otherwise rescue.
pub fn end(reason: &str) -> ! {
    if FLASH_TOUCHED.load(Ordering::SeqCst) {
        rescue::run(reason, "", &mut || ())
    } else {
        power::reboot()
    }
}

/// Makes a panic end there too. The release profile aborts on panic, and an abort of PID 1 is a kernel panic, so the
/// hook itself must never return.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(|info| {
        let text = bug(info);
        crate::say::say(&text);
        end(&text)
    }));
}

/// A panic within the hook would abort, so the text is put together by parts that cannot panic.
fn bug(info: &PanicHookInfo<'_>) -> String {
    let place = info
        .location()
        .map(|place| format!("{}:{}", place.file(), place.line()))
        .unwrap_or_default();
    format!("a bug in flasher at {place}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic;
    use std::sync::mpsc;

    #[test]
    fn the_line_of_a_bug_is_told() {
        let (told, text) = mpsc::channel();
        let us = std::thread::current().id();
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == us {
                let _ = told.send(bug(info));
            }
        }));
        let line = line!() + 1;
        let ended = panic::catch_unwind(|| panic!("a test of ours"));
        panic::set_hook(before);
        assert!(ended.is_err());
        assert_eq!(text.try_recv(), Ok(format!("a bug in flasher at {}:{line}", file!())));
    }
}
