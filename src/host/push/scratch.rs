//! A directory of our own for the socket of the ssh connection and for host keys, which goes away with us.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Result};
use crate::base::random;
use crate::base::units::hex;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Bytes of the longest directory. The address of a socket has 108 (unix(7)), and ssh adds 17 while it makes it.
const LONGEST: usize = 60;

/// The directory.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes it, for nobody but the user.
    ///
    /// # Errors
    /// No room or no right to make it.
    pub fn create() -> Result<Scratch> {
        let path = parent(std::env::temp_dir()).join(format!("flasher-{}", random()?));
        DirBuilder::new().mode(0o700).create(&path).context(path.display())?;
        Ok(Scratch { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The directory for temporary files, if ssh takes its name as it is: it reads `%` and `$` as something else, and a blank as the end of
/// the name of a file (ssh_config(5)).
fn parent(wanted: PathBuf) -> PathBuf {
    let name = wanted.as_os_str().as_encoded_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:@".contains(byte);
    match name.len() <= LONGEST && name.starts_with(b"/") && name.iter().all(plain) {
        true => wanted,
        false => "/tmp".into(),
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Sixteen hexadecimal digits that nobody can foresee.
///
/// # Errors
/// A system without `/dev/urandom`.
pub fn random() -> Result<String> {
    let mut bytes = [0; 8];
    random::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_would_read_as_another_name_is_not_taken() {
        for name in ["/tmp", "/home/ann/tmp.x_1-2"] {
            assert_eq!(parent(name.into()), Path::new(name));
        }
        let long = format!("/{}", "x".repeat(LONGEST));
        for name in [
            "/tmp/my files",
            "/tmp/%h",
            "/tmp/${HOME}",
            "/tmp/\"",
            "/tmp/\u{fc}",
            "tmp",
            "~/tmp",
            "",
            &long,
        ] {
            assert_eq!(parent(name.into()), Path::new("/tmp"), "{name}");
        }
    }
}
