//! What the product says, as far as stories wait for it or judge it.

/// On the console, from busybox init when it was told to restart, before it ends a process.
pub const INIT_ENDS_ALL: &str = "The system is going down NOW!";

/// On the console, from busybox init when its own second between TERM and KILL is over.
pub const INIT_HAS_KILLED: &str = "Sent SIGKILL to all processes";

/// On the console, directly before the first erase.
pub const WRITING: &str = "nothing holds the flash any more: writing";

/// On the console, when PID 1 is the product.
pub const AS_PID_ONE: &str = "stage two: flasher is PID 1";

/// On the console, when the old root is unmounted and writing begins.
pub const PROVED: &str = "stage three: the old root is unmounted and proved gone";

/// On the console, when someone holds the old root who outlives SIGKILL.
pub const UNKILLABLE: &str = "stage three: cannot be killed";

/// On the console, when PID 1 is the product but nothing was prepared for it.
pub const NOTHING_PREPARED: &str = "started as PID 1 with nothing to do";

/// On the console, when the image in RAM is not the one that was checked.
pub const NOT_AS_CHECKED: &str = "is not the one that was checked";

/// On the console, when the watchdog has a new owner.
pub const FED: &str = "stage two: feeding the watchdog";

/// On the console, when the box stays up because its flash is not good.
pub const RESCUE: &str = "do NOT switch the box off";

/// In the caller's session, the last line before init ends the session.
pub const HANDED_OVER: &str = "handed over: this connection ends now";

/// The most that PID 1 may take beyond the staged image, in bytes; the binary, all of which is locked into RAM, included.
pub const MOST_MEMORY: u64 = 5 << 19;

/// Holds what PID 1 says about its own memory against a limit in bytes.
pub fn check_memory(most: u64, transcript: &str) {
    let peak = transcript
        .lines()
        .find_map(|line| line.split_once("memory: ")?.1.split_once('(')?.1.split_once(" bytes)"))
        .and_then(|(bytes, _)| bytes.parse::<u64>().ok())
        .expect("a line with the peak memory of PID 1");
    assert!(peak <= most, "PID 1 took {peak} bytes beside the image");
    // The one line for whoever reads the test's output.
    println!("peak memory of PID 1 beside the image: {peak} bytes, at most {most} allowed");
}

/// The value of a string field in one flat JSON object.
pub fn field(json: &str, name: &str) -> Option<String> {
    let (_, rest) = json.split_once(&format!("\"{name}\""))?;
    let (_, rest) = rest.split_once('"')?;
    Some(rest.split_once('"')?.0.to_owned())
}
