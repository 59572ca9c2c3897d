//! Whether the image is older than what the box has: a signature says who made an image, not when, and an old one with a hole in it
//! is signed as well.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::quoted::Quoted;
use crate::plan::Check;
use std::cmp::Ordering;

/// A version that the box has, and where it says so.
pub struct Installed {
    /// `the last update`, `/etc/os-release`.
    pub says: String,
    /// The version.
    pub version: String,
}

/// The check, where there is anything to say. `offered` is what the image says of itself; `signed` whether it must be signed.
pub fn check(offered: Option<&str>, installed: &[Installed], signed: bool) -> Option<Check> {
    let unknown = |text: String| Some(Check::warn(CheckId::Downgrade, text));
    let Some(offered) = offered else {
        return match signed {
            true => unknown(
                "whether it is older than what runs is not known: nothing that is signed says its version".into(),
            ),
            false => None,
        };
    };
    if installed.is_empty() {
        return unknown(format!(
            "whether it is older than what runs is not known: it is version {}, and the box does not say which it has",
            Quoted(offered)
        ));
    }
    let mut not_comparable = None;
    for have in installed {
        let (says, version) = (&have.says, Quoted(&have.version));
        match compare(offered, &have.version) {
            Some(Ordering::Less) => {
                return Some(
                    Check::fail(
                        CheckId::Downgrade,
                        format!(
                            "the image is version {}, older than {version} of {says}",
                            Quoted(offered)
                        ),
                        "get the newest image; --force=downgrade if the older one is wanted",
                    )
                    .forceable(),
                );
            }
            Some(_) => (),
            None => {
                not_comparable = Some(format!(
                    "whether it is older than what runs is not known: it is version {}, and {says} says {version}",
                    Quoted(offered)
                ))
            }
        }
    }
    match not_comparable {
        Some(text) => unknown(text),
        None => Some(Check::pass(
            CheckId::Downgrade,
            format!("version {} is not older than what the box has", Quoted(offered)),
        )),
    }
}

/// A part of a version.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// `rc`, `beta`: before the version itself.
    Before(String),
    /// The end.
    End,
    /// Words that come later, such as `p1` or `post`.
    Word(String),
    Number(u128),
}

/// Which is newer; `None` for what does not begin with a number, such as `SNAPSHOT`.
fn compare(one: &str, two: &str) -> Option<Ordering> {
    let (mut one, mut two) = (parts(one)?.into_iter(), parts(two)?.into_iter());
    loop {
        let order = match (one.next(), two.next()) {
            (None, None) => return Some(Ordering::Equal),
            (one, two) => {
                let (one, two) = (one.unwrap_or(Part::End), two.unwrap_or(Part::End));
                // Zeros at the end say nothing: 1.2 and 1.2.0.
                match (&one, &two) {
                    (Part::End, Part::Number(0)) | (Part::Number(0), Part::End) => Ordering::Equal,
                    _ => one.cmp(&two),
                }
            }
        };
        if order != Ordering::Equal {
            return Some(order);
        }
    }
}

fn parts(version: &str) -> Option<Vec<Part>> {
    let version = version.strip_prefix(['v', 'V', 'r']).unwrap_or(version);
    if !version.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let same = |c: char| match first.is_ascii_digit() {
            true => c.is_ascii_digit(),
            false => c.is_alphabetic() && first.is_alphabetic(),
        };
        let length = rest.find(|c| !same(c)).unwrap_or(rest.len()).max(first.len_utf8());
        let (part, tail) = rest.split_at(length);
        rest = tail;
        if first.is_ascii_digit() {
            parts.push(Part::Number(part.parse().ok()?));
        } else if first.is_alphabetic() {
            let word = part.to_ascii_lowercase();
            parts.push(match word.as_str() {
                "rc" | "alpha" | "beta" | "pre" | "dev" | "snapshot" => Part::Before(word),
                _ => Part::Word(word),
            });
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (older, newer) in [
            ("1.9", "1.10"),
            ("22.03.5", "23.05.0"),
            ("23.05.0-rc1", "23.05.0-rc2"),
            ("23.05.0-rc4", "23.05.0"),
            ("1.2", "1.2.1"),
            ("v1.2", "1.2p1"),
            ("4.3.6 Build 20230101", "4.3.6 Build 20230918"),
            ("1", "99999999999999999999"),
        ] {
            assert_eq!(compare(older, newer), Some(Ordering::Less), "{older} {newer}");
            assert_eq!(compare(newer, older), Some(Ordering::Greater), "{older} {newer}");
            assert_eq!(compare(newer, newer), Some(Ordering::Equal));
        }
        assert_eq!(compare("1.2.0", "1.2"), Some(Ordering::Equal));
        for odd in ["SNAPSHOT", "", "-1", "999999999999999999999999999999999999999999999"] {
            assert_eq!(compare(odd, "1"), None, "{odd}");
        }
    }
}
