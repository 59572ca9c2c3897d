//! What whoever connects asks for: the first line of an HTTP request, of which the token is the only thing that opens anything.

#![forbid(unsafe_code)]

use std::hint::black_box;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The page.
    Page,
    /// The events.
    Events,
    /// Something else, or without the token.
    Nothing,
}

/// Reads the first line of a request. Whoever has not the token learns nothing from the answer.
pub fn asked(line: &[u8], token: &str) -> Asked {
    let words = line.strip_prefix(b"GET /").unwrap_or_default();
    let path = words.split(|byte| *byte == b' ').next().unwrap_or_default();
    let (given, rest) = path.split_at(token.len().min(path.len()));
    match (same(given, token.as_bytes()), rest) {
        (true, b"" | b"/") => Asked::Page,
        (true, b"/events") => Asked::Events,
        _ => Asked::Nothing,
    }
}

/// Whether two tokens are the same. It takes as long for one that is wrong in its first digit as for one that is wrong in its last.
fn same(given: &[u8], token: &[u8]) -> bool {
    let differing = given.iter().zip(token).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    !token.is_empty() && given.len() == token.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn only_the_whole_token_opens_anything() {
        let ask = |path: &str| asked(format!("GET /{path} HTTP/1.1").as_bytes(), TOKEN);
        assert_eq!(ask(TOKEN), Asked::Page);
        assert_eq!(ask(&format!("{TOKEN}/")), Asked::Page);
        assert_eq!(ask(&format!("{TOKEN}/events")), Asked::Events);
        for wrong in [
            String::new(),
            "events".to_owned(),
            TOKEN[..31].to_owned(),
            format!("{}/events", &TOKEN[..31]),
            format!("{TOKEN}0"),
            format!("{TOKEN}//events"),
            format!("{TOKEN}/events/"),
            format!("{TOKEN}?"),
            TOKEN.to_uppercase(),
            format!("/{TOKEN}"),
            TOKEN.replacen('0', "1", 1),
            format!("{}e", &TOKEN[..31]),
        ] {
            assert_eq!(ask(&wrong), Asked::Nothing, "{wrong}");
        }
        for wrong in ["", "GET", "GET /", "\0", "POST /"] {
            assert_eq!(asked(wrong.as_bytes(), TOKEN), Asked::Nothing, "{wrong}");
        }
        assert_eq!(
            asked(format!("POST /{TOKEN} HTTP/1.1").as_bytes(), TOKEN),
            Asked::Nothing
        );
        // Old clients say nothing behind the path.
        assert_eq!(asked(format!("GET /{TOKEN}").as_bytes(), TOKEN), Asked::Page);
        // A job without a token opens nothing.
        assert_eq!(asked(b"GET / HTTP/1.1", ""), Asked::Nothing);
        assert_eq!(asked(b"GET /events HTTP/1.1", ""), Asked::Nothing);
    }
}
