//! Names from outside as messages show them: paths, sources of mounts, what a process calls itself. They are bytes.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

/// As it is, if nobody can mistake it: else between quotation marks, with escapes for what would end them, move the cursor, turn
/// the direction of the line, or is not UTF-8.
pub(crate) fn shown(name: impl AsRef<OsStr>) -> String {
    let bytes = name.as_ref().as_bytes();
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.is_empty()
        && text.chars().all(|c| is_plain(c) && c != '"' && c != '\\')
    {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                _ if is_plain(c) => out.push(c),
                _ => out.extend(c.escape_default()),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// Neither a control character nor one without a width that changes how its neighbours are read.
#[must_use]
pub fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_so_that_nobody_mistakes_it() {
        for (name, expected) in [
            (&b"/mnt/disk"[..], "/mnt/disk"),
            ("/mnt/Müller".as_bytes(), "/mnt/Müller"),
            (b"/mnt/M\xfcller", r#""/mnt/M\xfcller""#),
            (b"/mnt/my disk", "/mnt/my disk"),
            (b"a\"b\\\x1b[2J\n", r#""a\"b\\\u{1b}[2J\n""#),
            ("\u{202e}nib".as_bytes(), r#""\u{202e}nib""#),
            (b"", r#""""#),
        ] {
            assert_eq!(shown(OsStr::from_bytes(name)), expected);
        }
    }
}
