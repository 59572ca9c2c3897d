//! Names with `*` and `?` in them, as a shell has them.

#![forbid(unsafe_code)]

/// Whether the name fits: `*` stands for any characters, `?` for one.
pub fn glob(pattern: &[u8], name: &[u8]) -> bool {
    fits(pattern, name, false)
}

/// The same, and `[abc]`, `[a-c]` for one of these characters, `[!abc]` for one that is none of them (glob(7)).
pub fn glob_with_classes(pattern: &[u8], name: &[u8]) -> bool {
    fits(pattern, name, true)
}

/// Goes back to the last star only, which is enough.
fn fits<'a>(mut pattern: &'a [u8], mut name: &'a [u8], classes: bool) -> bool {
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some(rest) = pattern.strip_prefix(b"*") {
            star = Some((rest, name));
            pattern = rest;
        } else if let Some(rest) = one(pattern, name, classes) {
            (pattern, name) = rest;
        } else if pattern.is_empty() && name.is_empty() {
            return true;
        } else if let Some((rest, [_, tail @ ..])) = star {
            star = Some((rest, tail));
            pattern = rest;
            name = tail;
        } else {
            return false;
        }
    }
}

/// What follows in both when the first character of the name is one that the beginning of the pattern stands for.
fn one<'a>(pattern: &'a [u8], name: &'a [u8], classes: bool) -> Option<(&'a [u8], &'a [u8])> {
    let (wanted, rest) = pattern.split_first()?;
    let (found, tail) = name.split_first()?;
    let class = if classes && *wanted == b'[' {
        class(rest, *found)
    } else {
        None
    };
    let (fits, rest) = class.unwrap_or((*wanted == b'?' || wanted == found, rest));
    fits.then_some((rest, tail))
}

/// Whether the class that begins here, behind its bracket, has the byte, and what follows it. `None` where it has no end: then its
/// bracket is one.
fn class(rest: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (not, list) = match rest.strip_prefix(b"!").or(rest.strip_prefix(b"^")) {
        Some(list) => (true, list),
        None => (false, rest),
    };
    // A bracket that closes is one of the characters where it is the first.
    let length = 1 + list.get(1..)?.iter().position(|byte| *byte == b']')?;
    let (mut left, after) = (&list[..length], &list[length + 1..]);
    let mut has = false;
    while let [first, others @ ..] = left {
        (has, left) = match others {
            [b'-', last, others @ ..] => (has || (*first..=*last).contains(&byte), others),
            others => (has || *first == byte, others),
        };
    }
    Some((has != not, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_a_shell() {
        for (pattern, name, matches) in [
            ("*", "", true),
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "acb", false),
            ("?", "", false),
            ("h?st*", "hosts", true),
            ("abc", "abd", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn classes_stand_for_one_character() {
        for (pattern, name, matches) in [
            ("[abc]", "b", true),
            ("[abc]", "d", false),
            ("[abc]", "[abc]", false),
            ("[a-c]*", "cron", true),
            ("[a-c]*", "dnsmasq", false),
            ("x[!a-c]", "xd", true),
            ("x[^a-c]", "xa", false),
            ("[]x]", "]", true),
            ("[!]]", "]", false),
            ("[a-]", "-", true),
            ("*[0-9]", "wan10", true),
            ("*[0-9].conf", "wan.conf", false),
            ("a[1", "a[1", true),
            ("a[", "a[", true),
            ("[", "x", false),
            ("[]", "[]", true),
        ] {
            let (wanted, found) = (pattern.as_bytes(), name.as_bytes());
            assert_eq!(glob_with_classes(wanted, found), matches, "{pattern} {name}");
        }
        assert!(glob(b"a[1]*", b"a[1].bin"));
    }
}
