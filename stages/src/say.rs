//! Words on the console that can neither fail nor block for the program.
#![forbid(unsafe_code)]

use std::io::Write;

/// One line on standard error. A dead console is ignored; the line goes out in one write, so that lines stay whole.
pub(crate) fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("flasher: {text}\n").as_bytes());
}
