//! The bytes of an image: where they come from, where they are kept, and how they are packed. What they are says `image`.

#![forbid(unsafe_code)]

mod http;
pub mod on_disk;
pub mod packed;
pub mod source;
pub mod store;
pub mod tar;
pub mod tar_entries;
pub mod tar_write;
