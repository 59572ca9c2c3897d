//! Names with `*` and `?` in them, as a shell has them.

#![forbid(unsafe_code)]

/// Whether the name fits: `*` stands for any characters, `?` for one. Goes back to the last star only, which is enough.
pub fn glob(mut pattern: &[u8], mut name: &[u8]) -> bool {
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (Some((b'*', rest)), _) => {
                star = Some((rest, name));
                pattern = rest;
            }
            (Some((wanted, rest)), Some((found, tail))) if *wanted == b'?' || wanted == found => {
                pattern = rest;
                name = tail;
            }
            (None, None) => return true,
            _ => match star {
                Some((rest, [_, tail @ ..])) => {
                    star = Some((rest, tail));
                    pattern = rest;
                    name = tail;
                }
                _ => return false,
            },
        }
    }
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
}
