//! Names from outside as messages show them.

#![forbid(unsafe_code)]

use crate::base::lossless;
use stages::is_plain;
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// A name between quotation marks: `"Kernel"`. What would move the cursor of a terminal, turn the direction of the
/// line or end the quotation is escaped, for names come from images and from the network.
#[derive(Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => {
                    f.write_char('\\')?;
                    f.write_char(c)?;
                }
                _ if lossless::byte(c).is_some() => write!(f, "\\x{:02x}", lossless::byte(c).unwrap_or_default())?,
                _ if is_plain(c) => f.write_char(c)?,
                _ => write!(f, "{}", c.escape_default())?,
            }
        }
        f.write_char('"')
    }
}

/// A name as it is where nobody can mistake it, else as [`Quoted`] has it.
#[derive(Clone, Copy)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let odd = |c: char| matches!(c, '"' | '\\') || !is_plain(c) || lossless::byte(c).is_some();
        match self.0.is_empty() || self.0.contains(odd) {
            true => Quoted(self.0).fmt(f),
            false => f.write_str(self.0),
        }
    }
}

/// A text for a terminal, in which names were quoted already: whatever else could move the cursor is escaped, and lines end as they
/// do. It stands before everything that is printed, for the name that somebody forgot.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c| match lossless::byte(c) {
        Some(byte) => format!("\\x{byte:02x}"),
        None => c.escape_default().to_string(),
    })
}

/// The same of a text that is JSON.
pub fn printable_json(text: &str) -> Cow<'_, str> {
    escaped(text, |c| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units)
            .iter()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect()
    })
}

/// The same without line ends: for a name in the midst of a line.
pub fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    let odd = |c: char| c != '\n' && (!is_plain(c) || lossless::byte(c).is_some());
    match text.contains(odd) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(text.chars().fold(String::with_capacity(text.len()), |mut whole, c| {
            match odd(c) {
                true => whole.push_str(&escape(c)),
                false => whole.push(c),
            }
            whole
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotation_marks() {
        for (name, shown) in [
            ("Kernel", r#""Kernel""#),
            ("Größe 大", r#""Größe 大""#),
            ("", r#""""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\x1b[2J\n\t", r#""\u{1b}[2J\n\t""#),
            ("\u{202e}nib", r#""\u{202e}nib""#),
        ] {
            assert_eq!(Quoted(name).to_string(), shown);
            assert_eq!(format!("{name:?}"), shown, "as Debug has it");
        }
        assert_eq!(printable("a\x1b[2J\nb\u{9b}31m"), "a\\u{1b}[2J\nb\\u{9b}31m");
        assert_eq!(
            printable_json("{\"a\":\"\u{202e}\u{9b}\"}"),
            "{\"a\":\"\\u202e\\u009b\"}"
        );
        let latin1 = lossless::text(b"M\xfcller");
        assert_eq!(Quoted(&latin1).to_string(), r#""M\xfcller""#);
        assert_eq!(Shown(&latin1).to_string(), r#""M\xfcller""#);
        assert_eq!(Shown("/etc/my file").to_string(), "/etc/my file");
    }
}
