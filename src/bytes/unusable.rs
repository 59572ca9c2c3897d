//! What is wrong with an image that cannot be read as it is said to be, and what to do about it.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure};
use crate::base::units::{Grouped, Size};
use std::io;

pub(super) fn unreadable(name: &str, at: u64, error: &io::Error) -> Failure {
    Failure::new(
        Exit::ImageUnreadable,
        Code::ImageUnreadable,
        format_args!("image {name}: reading failed after {}: {error}", Size(at)),
    )
    .hint("copy it to the box again")
}

pub(super) fn spoiled(name: &str) -> Failure {
    Failure::new(
        Exit::ImageUnreadable,
        Code::ImageChanged,
        format_args!("image {name} is not what was sent: it has another SHA-256"),
    )
    .hint("send it again")
}

pub(super) fn changed(name: &str) -> Failure {
    Failure::new(
        Exit::ImageUnreadable,
        Code::ImageChanged,
        format_args!("image {name} changed while it was being read"),
    )
    .hint("wait until the copy to the box has ended, then try again")
}

pub(super) fn other_size(name: &str, length: u64, size: u64) -> Failure {
    Failure::new(
        Exit::ImageBad,
        Code::Size,
        format_args!(
            "image {name} has {} bytes, and --size says {}",
            Grouped(length),
            Grouped(size)
        ),
    )
    .hint("copy it to the box again")
}

pub(super) fn too_long(name: &str, size: u64) -> Failure {
    Failure::new(
        Exit::ImageBad,
        Code::Size,
        format_args!(
            "image {name} goes on behind the {} bytes that it was said to have",
            Grouped(size)
        ),
    )
    .hint("say its true length with --size, or send the right file")
}

pub(super) fn no_ram(name: &str, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Refused,
        Code::Ram,
        format_args!("refused by check ram: image {name} does not fit into RAM: {error}"),
    )
    .hint("copy it to a disk that is mounted and name it there, stop services that use much memory, or reboot and try again at once")
}

pub(super) fn cut_off(name: &str, length: u64, expected: u64) -> Failure {
    Failure::new(
        Exit::ImageUnreadable,
        Code::ImageCutOff,
        format_args!("image {name} ended after {length} of {expected} bytes"),
    )
    .hint("copy it to the box again")
}
