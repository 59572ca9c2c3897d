//! Temporary files and directories for tests, by the names of the crate `tempfile`. That one, with what it needs, is a
//! fifteenth of what a newcomer's first `cargo run --example demo` compiles; these few lines are what the tests use of it.
//! They are for tests only: names can be guessed, and are only kept from being taken twice.

#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

/// Calls `make` with new names in `directory` until one of them is not there yet.
fn unused<T>(directory: &Path, prefix: &str, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("{prefix}{}-{number}", process::id()));
        match make(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done.map(|made| (path, made)),
        }
    }
}

/// A directory that is removed with the value, and everything in it.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// A new, empty directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        Self::new_in(env::temp_dir())
    }

    /// A new, empty directory in another one.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new_in(directory: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self(
            unused(directory.as_ref(), ".tmp-", |path| fs::create_dir(path))?.0,
        ))
    }

    /// A new, empty directory whose name begins with `prefix`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn with_prefix(prefix: &str) -> io::Result<Self> {
        Ok(Self(unused(&env::temp_dir(), prefix, |path| fs::create_dir(path))?.0))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for TempDir {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // As with tempfile: what a test left mounted there stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A new, empty directory.
///
/// # Errors
/// It cannot be made.
pub fn tempdir() -> io::Result<TempDir> {
    TempDir::new()
}

/// An open file for its user alone, which is removed with the value.
#[derive(Debug)]
pub struct NamedTempFile {
    path: PathBuf,
    file: File,
}

impl NamedTempFile {
    /// A new, empty file.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let (path, file) = unused(&env::temp_dir(), ".tmp-", |path| options.open(path))?;
        Ok(Self { path, file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn as_file(&self) -> &File {
        &self.file
    }
}

impl AsRef<Path> for NamedTempFile {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl Write for NamedTempFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NamedTempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
