//! What the product says, as far as stories wait for it or judge it.

/// On the console, when PID 1 is the product.
pub const AS_PID_ONE: &str = "stage two: flasher is PID 1";

/// On the console, when the old root is unmounted and writing begins.
pub const PROVED: &str = "stage three: the old root is unmounted and proved gone";

/// On the console, when someone holds the old root who outlives SIGKILL.
pub const UNKILLABLE: &str = "stage three: cannot be killed";

/// On the console, when PID 1 is the product but nothing was prepared for it.
pub const NOTHING_PREPARED: &str = "started as PID 1 with nothing to do";

/// In the caller's session, the last line before init ends the session.
pub const HANDED_OVER: &str = "whatever happens to this session";

/// The most that PID 1 may take beyond the staged image, in KiB.
const MEMORY_KIB: u64 = 2048;

/// Holds what the console says about the memory of PID 1 against the limit.
pub fn check_memory(transcript: &str) {
    let line = transcript
        .lines()
        .find(|line| line.contains("peak memory"))
        .expect("a line about peak memory");
    let kib = line
        .split_whitespace()
        .rev()
        .find_map(|word| word.parse::<u64>().ok());
    let kib = kib.unwrap_or_else(|| panic!("no number in: {line}"));
    assert!(kib <= MEMORY_KIB, "{line}");
}

/// The value of a string field in one flat JSON object.
pub fn field(json: &str, name: &str) -> Option<String> {
    let (_, rest) = json.split_once(&format!("\"{name}\""))?;
    let (_, rest) = rest.split_once('"')?;
    Some(rest.split_once('"')?.0.to_owned())
}
