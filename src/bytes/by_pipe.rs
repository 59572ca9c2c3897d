//! The way around a box that cannot fetch an image by itself: another program fetches it, into a pipe.

#![forbid(unsafe_code)]

use crate::base::error::Failure;
use crate::base::shell;

/// The same failure, with the command that brings an image in by a pipe: that which was typed, for standard input instead.
pub fn by_pipe(failure: Failure, url: &str, typed: &[String]) -> Failure {
    if !url.contains("://") || url.starts_with("http://") || typed.is_empty() {
        return failure;
    }
    let mut words: Vec<String> = Vec::new();
    for word in typed {
        // Also that of PARTITION=URL.
        let word = match word.strip_suffix(url) {
            Some(front) if front.is_empty() || front.ends_with('=') => format!("{front}-"),
            _ => word.clone(),
        };
        words.push(shell::typed(&word));
    }
    // Nobody can be asked who is not at the keyboard.
    let asks = words.iter().any(|word| word == "apply") && !words.iter().any(|word| word == "-y" || word == "--yes");
    if asks && let Some(verb) = words.iter().position(|word| word == "apply") {
        words.insert(verb + 1, "-y".to_owned());
    }
    failure.hint(format!("wget -O - {} | flasher {}", shell::typed(url), words.join(" ")))
}
