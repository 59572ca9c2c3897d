//! What is read of processes and of the kernel's tables, for who feeds it with other bytes.

use crate::{json as documents, mounts, process, program_text, ubus};
use std::collections::BTreeMap;
use std::io::Cursor;

/// `/proc/self/mountinfo`.
pub fn mountinfo(bytes: &[u8]) {
    mounts::fuzz(bytes);
}

/// Messages of OpenWrt's bus.
pub fn ubus(bytes: &[u8]) {
    ubus::fuzz(bytes);
}

/// `/proc/N/stat`.
pub fn stat(bytes: &[u8]) {
    process::fuzz(&String::from_utf8_lossy(bytes));
}

/// The program of an init.
pub fn program(bytes: &[u8]) {
    for file in ["init", "busybox", "systemd"] {
        let _ = program_text::search(Cursor::new(bytes), file);
    }
}

/// Documents.
pub fn json(bytes: &[u8]) {
    let _ = documents::parse::<BTreeMap<String, Vec<Option<u64>>>>(bytes);
    let _ = documents::parse::<BTreeMap<String, BTreeMap<String, String>>>(bytes);
    let _ = documents::parse::<(i32, bool, String)>(bytes);
}
