//! `/dev/pmsg0`: memory that survives a warm reboot where the kernel was given some (ramoops). What is
//! written there appears in `/sys/fs/pstore` after the next boot (`Documentation/admin-guide/ramoops.rst`).

#![forbid(unsafe_code)]

use crate::base::error::{Context, Result};
use crate::base::files;
use std::fs;
use std::io::Write;

/// Bytes of what is read of one of its files, which are as long as the memory that the kernel was given.
const LONGEST: u64 = 4 << 20;
const MARK: &str = "flasher-record ";

/// Appends the record; `false` where there is no such memory.
pub fn save(text: &str) -> Result<bool> {
    let Ok(mut pmsg) = fs::OpenOptions::new().write(true).open("/dev/pmsg0") else {
        return Ok(false);
    };
    // One write is one message.
    pmsg.write_all(format!("{MARK}{text}\n").as_bytes())
        .context("/dev/pmsg0")?;
    Ok(true)
}

/// The last record of the boot before.
pub fn load() -> Option<String> {
    fs::read_dir("/sys/fs/pstore")
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("pmsg-ramoops"))
        .filter_map(|entry| files::read(&entry.path(), LONGEST).ok())
        .find_map(|bytes| {
            String::from_utf8_lossy(&bytes)
                .lines()
                .rev()
                .find_map(|line| line.split_once(MARK).map(|(_, text)| text.to_owned()))
        })
}
