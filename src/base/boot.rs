//! Which boot of a box this is.

#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

/// The kernel's number for this boot, below this root; `None` where it does not say one. It is another one at each boot
/// (`Documentation/admin-guide/sysctl/kernel.rst`, random).
pub fn id(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("proc/sys/kernel/random/boot_id")).ok()?;
    let id = text.trim();
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (plain && (1..=40).contains(&id.len())).then(|| id.to_owned())
}
