//! The bytes of an image: where they come from, where they are kept, and how they are packed. What they are says `image`.

#![forbid(unsafe_code)]

pub mod access;
pub(crate) mod blocks;
pub(crate) mod budget;
pub(crate) mod by_pipe;
mod fetch;
mod fetch_config;
mod fetch_head;
mod fetch_resume;
pub(crate) mod gzip_write;
pub mod hashing;
pub(crate) mod http;
pub mod joined;
pub(crate) mod on_disk;
pub mod packed;
pub(crate) mod pull;
pub(crate) mod pushed;
pub(crate) mod scattered;
pub(crate) mod source;
pub mod store;
pub(crate) mod tar;
pub(crate) mod tar_entries;
pub(crate) mod tar_write;
mod unusable;
pub(crate) mod url;
