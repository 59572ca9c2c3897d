//! `/proc/mtd`, as `mtd_proc_show` in `drivers/mtd/mtdcore.c` prints it:
//!
//! ```text
//! dev:    size   erasesize  name
//! mtd0: 00080000 00020000 "U-Boot"
//! ```
//!
//! Sizes are hexadecimal with *at least* eight digits. The name is printed between quotes but not escaped, so
//! that it may hold spaces and even quotes and line ends itself.
#![forbid(unsafe_code)]

use super::{MtdInfo, mtd_number};
use crate::id::number;

/// One line of `/proc/mtd`; sizes in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) index: u32,
    pub(super) size: u64,
    pub(super) erase_size: u32,
    pub(super) name: String,
}

/// All lines of `/proc/mtd`; `None` when one of them cannot be understood.
pub(super) fn parse(text: &str) -> Option<Vec<Line>> {
    let mut found = Vec::new();
    let mut read = String::new();
    for line in text.split('\n') {
        if read.is_empty() && line.starts_with("dev:") {
            continue;
        }
        read.push_str(line);
        match parse_line(&read) {
            Some(line) => {
                found.push(line);
                read.clear();
            }
            // The name may go on in the next line.
            None if !read.is_empty() => read.push('\n'),
            None => (),
        }
    }
    read.trim().is_empty().then_some(found)
}

/// The first device that is not in the text as it is in `found`, which is sorted. The kernel prints them in the order of their numbers.
///
/// Each is taken off the text by what sysfs says of it: because of what a name may hold, lines cannot be told by themselves.
pub(super) fn contradicted(text: &str, found: &[MtdInfo]) -> Option<String> {
    let mut rest = match text.split_once('\n') {
        Some((head, rest)) if head.starts_with("dev:") => rest,
        _ => text,
    };
    let next = |rest: &str| mtd_number(rest.split_once(':')?.0);
    for info in found {
        match behind(rest, info) {
            Some(behind) => rest = behind,
            None => {
                let only_here = next(rest).filter(|next| *next < info.index);
                return Some(only_here.map_or_else(|| info.label(), |next| format!("mtd{next}")));
            }
        }
    }
    let only_here = next(rest).map_or_else(|| "the last line".to_owned(), |next| format!("mtd{next}"));
    (!rest.is_empty()).then_some(only_here)
}

/// What stands behind the line of this device, with which the text begins; `None` where it does not.
fn behind<'t>(text: &'t str, info: &MtdInfo) -> Option<&'t str> {
    let mut rest = text.strip_prefix(&format!("mtd{}:", info.index))?;
    for value in [info.geometry.size, info.geometry.erase_size.into()] {
        let (digits, behind) = rest.trim_start_matches(' ').split_once(' ')?;
        rest = Some(behind).filter(|_| number(digits, 16) == Some(value))?;
    }
    let rest = rest
        .trim_start_matches(' ')
        .strip_prefix(&format!("\"{}\"", info.name))?;
    Some(rest.strip_prefix('\n').unwrap_or(rest))
}

fn parse_line(line: &str) -> Option<Line> {
    let (device, rest) = line.split_once(':')?;
    let index = number(device.strip_prefix("mtd")?, 10)?;
    let first = rest.find('"')?;
    let last = rest.rfind('"')?;
    let name = rest.get(first + 1..last).filter(|_| last + 1 == rest.len())?.to_owned();
    let mut numbers = rest[..first].split_whitespace();
    let size = number(numbers.next()?, 16)?;
    let erase_size = number(numbers.next()?, 16)?;
    numbers.next().is_none().then_some(Line {
        index,
        size,
        erase_size,
        name,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn only(line: &str) -> Line {
        let mut lines = parse(line).unwrap();
        assert_eq!(lines.len(), 1);
        lines.remove(0)
    }

    #[test]
    fn numbers_are_hexadecimal() {
        let line = only("mtd12: 00780000 00020000 \"U-Boot\"\n");
        assert_eq!((line.index, line.size, line.erase_size), (12, 0x78_0000, 0x2_0000));
    }

    #[test]
    fn names_keep_their_spaces_and_quotes() {
        assert_eq!(only("mtd4: 00020000 00020000 \"U-Boot Config\"").name, "U-Boot Config");
        assert_eq!(
            only("mtd4: 00020000 00020000 \"a \"quoted\" name\"").name,
            "a \"quoted\" name"
        );
        assert_eq!(only("mtd4: 00020000 00020000 \" b \"").name, " b ");
        assert_eq!(only("mtd4: 00020000 00020000 \"\"").name, "");
        assert_eq!(only("mtd4: 00020000 00020000 \"spi0.0: part\"").name, "spi0.0: part");
    }

    #[test]
    fn sizes_may_need_more_than_32_bits() {
        assert_eq!(only("mtd0: 200000000 00100000 \"big\"").size, 8 << 30);
    }

    #[test]
    fn the_head_line_alone_is_an_empty_list() {
        assert_eq!(parse("dev:    size   erasesize  name\n"), Some(Vec::new()));
    }

    #[test]
    fn a_line_that_is_not_understood_is_not_skipped() {
        for line in [
            "mtd0: 00080000",
            "mtd0: 00080000 00020000 \"",
            "mtdx: 1 1 \"a\"",
            "mtd0: zz 1 \"a\"",
            "mtd+0: 1 1 \"a\"",
            "mtd0: +1 1 \"a\"",
            "mtd0: 1 +1 \"a\"",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_name_may_hold_all_that_separates_elsewhere() {
        let text = "dev:    size   erasesize  name\n\
            mtd0: 00080000 00020000 \"U \"Boot\"\"\nmtd1: 00000002 00000001 \"a\nb\nc\n\"\nmtd2: 1 1 \"\"\n";
        let names = |text: &str| parse(text).map(|lines| lines.into_iter().map(|line| line.name).collect::<Vec<_>>());
        assert_eq!(
            names(text).as_deref(),
            Some(&["U \"Boot\"".to_owned(), "a\nb\nc\n".to_owned(), String::new()][..])
        );
        assert_eq!(names(""), Some(Vec::new()));
        for text in [
            "mtd0: 1 1\nmtd1: 1 1 \"a\"\n",
            "mtd0: 1 1 \"a\nmtd1: 1 1\n",
            "x\n",
            "mtd0: 1 1 1 \"a\"\n",
        ] {
            assert_eq!(names(text), None, "{text}");
        }
    }
}
