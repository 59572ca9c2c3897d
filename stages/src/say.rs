//! Words on the console that can neither fail nor block for the program.
#![forbid(unsafe_code)]

use std::io::Write;

/// One line on standard error, without what could move the cursor. A dead console is ignored; the line goes out in one write, so that lines stay whole.
pub(crate) fn say(text: &str) {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() && c != '\n' { '?' } else { c })
        .collect();
    let _ = std::io::stderr().write_all(format!("flasher: {plain}\n").as_bytes());
}
