//! How a URL is reached: what is asked for, with which credentials, and until when all of it has to be there.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a sender may take who keeps all others away from a box in the rescue.
pub(super) const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// What is to stay between us and a server: it is in no command line and in nothing that is said.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How a URL is reached, besides what stands in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The file with credentials for the program that fetches what is not `http://`.
    pub config: Option<PathBuf>,
    /// The value of the header `Authorization`. Only the host of the URL gets it.
    pub authorization: Option<Secret>,
    /// When all of it has to be there.
    pub until: Option<Instant>,
}

/// A request.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub url: &'a str,
    pub access: &'a Access,
    /// The method and a JSON text for those that send one; else it is a `GET`.
    pub sent: Option<(&'a str, &'a str)>,
}

/// A stream that has to end in time.
pub(super) struct Hurried<R>(pub R, pub Instant);

impl<R: Read> Read for Hurried<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match Instant::now() < self.1 {
            true => self.0.read(buffer),
            false => Err(io::Error::new(io::ErrorKind::TimedOut, "it takes too long")),
        }
    }
}
