//! PID 1 never exits and never panics: the kernel would panic with it.
//!
//! Every unforeseen end goes through [`end`]: a reboot while the flash is whole, the rescue once it has been touched.
#![forbid(unsafe_code)]

use crate::{power, rescue};
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
        // A panic within the hook would abort, so the text is put together by parts that cannot panic.
        let place = info
            .location()
            .map(|place| format!("{}:{}", place.file(), place.line()))
            .unwrap_or_default();
        let text = format!("a bug in flasher at {place}");
        crate::say::say(&text);
        end(&text)
    }));
}
