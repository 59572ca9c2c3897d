//! The word that was probably meant.

#![forbid(unsafe_code)]

use crate::base::quoted::Shown;

/// Bytes of the longest word for which one is suggested.
const LONGEST: usize = 40;

/// `; did you mean "Kernel"?` where one of these words is near the one that was typed, else nothing. What stands before
/// each of them (`--`) is not compared.
pub fn did_you_mean(before: &str, typed: &str, known: &mut dyn Iterator<Item = &str>) -> String {
    match nearest(typed, known) {
        Some(word) => format!("; did you mean {before}{}?", Shown(word)),
        None => String::new(),
    }
}

/// The nearest of these words: the first of those with the fewest slips, of which every third letter may have one; else the
/// first that has the typed word in it. Capitals do not matter.
fn nearest<'a>(typed: &str, known: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase();
    let mut best = None;
    for word in known {
        let lower = word.to_ascii_lowercase();
        let slips = distance(typed.as_bytes(), lower.as_bytes());
        let allowed = typed.len().div_ceil(3).min(3);
        let rank = match slips <= allowed && slips < typed.len() {
            true => slips,
            false if typed.len() > 3 && lower.contains(&typed) => LONGEST,
            false => continue,
        };
        if best.is_none_or(|(least, _)| rank < least) {
            best = Some((rank, word));
        }
    }
    best.map(|(_, word)| word)
}

/// How many letters have to be inserted, left out, replaced or swapped with their neighbour.
fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    // The row that is filled, the one above it, and the one above that.
    let mut rows = [[0; LONGEST + 1]; 3];
    (0..=b.len()).for_each(|at| rows[0][at] = at);
    for (i, x) in a.iter().enumerate() {
        rows.rotate_right(1);
        let [row, above, before] = &mut rows;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            row[j + 1] = (above[j] + usize::from(x != y)).min(row[j] + 1).min(above[j + 1] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
    }
    rows[0][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_in_three_letters_is_forgiven() {
        let known = ["apply", "plan", "env", "recovery", "qnap-ts219", "Kernel", "no-reboot"];
        for (typed, meant) in [
            ("aply", Some("apply")),
            ("appyl", Some("apply")),
            ("paln", Some("plan")),
            ("evn", Some("env")),
            ("recvoery", Some("recovery")),
            ("ts219", Some("qnap-ts219")),
            ("kernal", Some("Kernel")),
            ("noreboot", Some("no-reboot")),
            ("xyz", None),
            ("p", None),
            ("", None),
            ("write", None),
        ] {
            assert_eq!(nearest(typed, &mut known.into_iter()), meant, "{typed}");
        }
        let long = "x".repeat(100_000);
        assert_eq!(nearest(&long, &mut known.into_iter()), None);
    }

    #[test]
    fn the_distance_is_that_of_single_slips() {
        for (a, b, slips) in [
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
            ("ab", "ab", 0),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), slips, "{a} {b}");
        }
    }
}
