//! Readers behind a pointer. `dyn Read` would be reached by each of std's ways to read, and every kind of reader would bring
//! all of them into the program: a kilobyte each on a device.

#![forbid(unsafe_code)]

use std::io::{self, Read};

/// Whatever can be read, by nothing but `read`.
pub trait Pull {
    /// [`Read::read`].
    ///
    /// # Errors
    /// The reader's.
    fn pull(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

impl<R: Read> Pull for R {
    fn pull(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }
}

impl Read for dyn Pull + '_ {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pull(buffer)
    }
}

impl Read for dyn Pull + Send + '_ {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pull(buffer)
    }
}
