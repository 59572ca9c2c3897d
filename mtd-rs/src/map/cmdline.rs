//! `mtdparts=` of the kernel's command line, as `drivers/mtd/parsers/cmdlinepart.c` reads it.
#![forbid(unsafe_code)]

use super::facts::{Entry, Table};

/// The tables of the last `mtdparts=`, one a chip. Nothing where it is not well-formed: then the kernel took none of it.
pub(super) fn tables(cmdline: &str) -> Vec<Table> {
    let value = words(cmdline).into_iter().rev().find_map(|word| {
        word.strip_prefix("mtdparts=")
            .or_else(|| word.strip_prefix("cmdlinepart.mtdparts="))
            .map(str::to_owned)
    });
    value.and_then(|value| parse(&value)).unwrap_or_default()
}

/// Splits at blanks that are not between quotes, and takes the quotes away (`next_arg`, lib/cmdline.c).
fn words(cmdline: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in cmdline.chars() {
        if c == '"' {
            quoted = !quoted;
        } else if c.is_ascii_whitespace() && !quoted {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words
}

fn parse(mut text: &str) -> Option<Vec<Table>> {
    let mut tables = Vec::new();
    loop {
        // The name of a chip may hold colons; that of a partition, which stands between brackets, too.
        let head = &text[..text.find([';', '(']).unwrap_or(text.len())];
        let colon = head.rfind(':')?;
        let chip = text[..colon].to_owned();
        text = &text[colon + 1..];
        let mut entries = Vec::new();
        let mut next = Some(0);
        loop {
            let (entry, rest) = partition(text, next, entries.len())?;
            next = entry.size.and_then(|size| entry.offset.checked_add(size));
            entries.push(entry);
            text = rest;
            match text.strip_prefix(',') {
                // Nothing may stand behind a partition that takes the rest.
                Some(_) if next.is_none() => return None,
                Some(rest) => text = rest,
                None => break,
            }
        }
        tables.push(Table { chip, entries });
        match text.strip_prefix(';') {
            Some(rest) => text = rest,
            None if text.is_empty() => return Some(tables),
            None => return None,
        }
    }
}

/// `<size>[@<offset>][(<name>)][ro][lk][slc]`; `next` is where it lies without an offset of its own.
fn partition(text: &str, next: Option<u64>, number: usize) -> Option<(Entry, &str)> {
    let (size, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (None, rest),
        None => {
            let (size, rest) = memparse(text)?;
            if size == 0 {
                return None;
            }
            (Some(size), rest)
        }
    };
    let mut offset = next?;
    if let Some(given) = rest.strip_prefix('@') {
        (offset, rest) = memparse(given)?;
    }
    let mut name = format!("Partition_{number:03}");
    if let Some(given) = rest.strip_prefix('(') {
        let (inner, behind) = given.split_once(')')?;
        name = inner.to_owned();
        rest = behind;
    }
    for flag in ["ro", "lk", "slc"] {
        rest = rest.strip_prefix(flag).unwrap_or(rest);
    }
    Some((Entry { name, size, offset }, rest))
}

/// `memparse` of lib/cmdline.c: decimal, `0x` or octal, and K, M, G or T.
fn memparse(text: &str) -> Option<(u64, &str)> {
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &text[2..]),
        [b'0', next, ..] if next.is_ascii_digit() => (8, &text[1..]),
        _ => (10, text),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let number = u64::from_str_radix(&digits[..end], radix).ok()?;
    let rest = &digits[end..];
    let shift = match rest.bytes().next() {
        Some(b'k' | b'K') => 10,
        Some(b'm' | b'M') => 20,
        Some(b'g' | b'G') => 30,
        Some(b't' | b'T') => 40,
        _ => return Some((number, rest)),
    };
    Some((number.checked_mul(1 << shift)?, &rest[1..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entries(table: &Table) -> Vec<(&str, Option<u64>, u64)> {
        let entries = table.entries.iter();
        entries.map(|e| (e.name.as_str(), e.size, e.offset)).collect()
    }

    #[test]
    fn several_chips_sizes_offsets_and_flags_are_read() {
        let found = tables(
            "console=ttyS0 mtdparts=old:-(x) root=/dev/mtdblock2 \
             mtdparts=spi0.0:512k(U-Boot)ro,0x40000@0x80000(U-Boot Config)rolk,2M@2M(Kernel),-(rest);a:b.nand:1g(all) quiet",
        );
        // An unquoted blank ends the value, so that this is none at all.
        assert!(found.is_empty());
        let found = tables(
            "mtdparts=old:-(x) \"mtdparts=spi0.0:512k(U-Boot)ro,0x40000@0x80000(U-Boot Config)rolk,2M@2M(Kernel),-(rest);a:b.nand:1g(all)\"\n",
        );
        let [spi, nand] = &found[..] else { panic!("{found:?}") };
        assert_eq!((spi.chip.as_str(), nand.chip.as_str()), ("spi0.0", "a:b.nand"));
        assert_eq!(
            entries(spi),
            [
                ("U-Boot", Some(0x8_0000), 0),
                ("U-Boot Config", Some(0x4_0000), 0x8_0000),
                ("Kernel", Some(2 << 20), 2 << 20),
                ("rest", None, 4 << 20),
            ]
        );
        assert_eq!(entries(nand), [("all", Some(1 << 30), 0)]);
    }

    #[test]
    fn a_name_may_hold_what_separates_elsewhere() {
        let found = tables("mtdparts=nor:1M(a:b;c,d),010(eight)");
        assert_eq!(
            entries(&found[0]),
            [("a:b;c,d", Some(1 << 20), 0), ("eight", Some(8), 1 << 20)]
        );
    }

    #[test]
    fn what_the_kernel_refuses_is_nothing() {
        for text in [
            "nor",
            "nor:",
            "nor:0(a)",
            "nor:1M(a",
            "nor:-(a),1M(b)",
            "nor:1M(a)x",
            "nor:1M(a);",
            "nor:99999999999999999999(a)",
            "nor:0xffffffffffffffffG(a)",
            "nor:16777215T(a),16777215T@0xffffffffffffffff(b),1(c)",
        ] {
            assert_eq!(tables(&format!("mtdparts={text}")), [], "{text}");
        }
    }
}
