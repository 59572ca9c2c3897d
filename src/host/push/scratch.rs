//! A directory of our own for the socket of the ssh connection and for host keys, which goes away with us.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Result};
use crate::base::units::hex;
use std::fs::{DirBuilder, File};
use std::io::Read;
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
        let mut parent = std::env::temp_dir();
        if parent.as_os_str().len() > LONGEST {
            parent = "/tmp".into();
        }
        let path = parent.join(format!("flasher-{}", random()?));
        DirBuilder::new().mode(0o700).create(&path).context(path.display())?;
        Ok(Scratch { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
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
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("/dev/urandom")?;
    Ok(hex(&bytes))
}
