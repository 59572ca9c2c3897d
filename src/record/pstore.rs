//! `/dev/pmsg0`: memory that survives a warm reboot where the kernel was given some (ramoops). What is
//! written there appears in `/sys/fs/pstore` after the next boot (`Documentation/admin-guide/ramoops.rst`).

#![forbid(unsafe_code)]

use crate::base::error::{Context, Result};
use crate::base::files;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Bytes of what is read of one of its files, which are as long as the memory that the kernel was given.
const LONGEST: u64 = 4 << 20;
const MARK: &str = "flasher-record ";

const NODE: &str = "/dev/pmsg0";
/// The number of its node, as the kernel has it.
const NUMBER: &str = "/sys/class/pmsg/pmsg0/dev";

/// Appends the record; `false` where there is no such memory.
pub fn save(text: &str) -> Result<bool> {
    let number = fs::read_to_string(NUMBER).unwrap_or_default();
    // Before it is opened, which waits at a pipe, and afterwards.
    let is_it = |about: io::Result<Metadata>| about.is_ok_and(|about| is_device(&about, &number));
    if !is_it(fs::metadata(NODE)) {
        return Ok(false);
    }
    let Ok(mut pmsg) = fs::OpenOptions::new().write(true).open(NODE) else {
        return Ok(false);
    };
    if !is_it(pmsg.metadata()) {
        return Ok(false);
    }
    // One write is one message.
    pmsg.write_all(format!("{MARK}{text}\n").as_bytes()).context(NODE)?;
    Ok(true)
}

/// Whether this is the character device with this number, `MAJOR:MINOR`.
fn is_device(about: &Metadata, number: &str) -> bool {
    let (major, minor) = stages::numbers(about.rdev());
    about.file_type().is_char_device() && number.trim() == format!("{major}:{minor}")
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A plain file of that name would be taken for memory that survives the reboot, and a pipe would keep process 1 for ever.
    #[test]
    fn only_the_device_itself_is_written() {
        let null = fs::metadata("/dev/null").unwrap();
        assert!(is_device(&null, "1:3\n"));
        assert!(!is_device(&null, "1:5\n"));
        assert!(!is_device(&null, ""));
        assert!(!is_device(&fs::metadata("/dev").unwrap(), "0:0\n"));
    }
}
