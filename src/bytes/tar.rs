//! Tar archives that an image may be: where the bytes of each member are, without unpacking.
//!
//! Strict, because what is in the archive ends on the flash: a name that leads elsewhere, a link, a device, a name
//! twice or a size that lies makes the archive bad, and never a guess.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::quoted::Quoted;
use crate::bytes::store::Store;
use crate::bytes::tar_entries::{BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, Entries, FIFO, FILE, HARD_LINK, LINK};
use std::io;
use std::ops::Range;

pub use crate::bytes::tar_entries::{is_header, is_tar};

/// More members than any firmware has; bounds memory.
const MEMBERS: usize = 4096;

/// A regular file in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path, without `.` and empty parts; never absolute, never with `..`.
    pub name: String,
    /// Its bytes in the store.
    pub data: Range<u64>,
    /// Its permission bits.
    pub mode: u32,
}

/// A link in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its path, as that of a [`Member`].
    pub name: String,
    /// Where it leads, as the archive has it.
    pub target: String,
    /// Whether it is another name of a member, and its target so the name of one.
    pub hard: bool,
}

/// Finds every regular file of the archive in this range. Directories are passed over.
///
/// # Errors
/// `InvalidData` for an archive that is damaged, cut off or hostile, or has a link in it; else those of reading.
#[cfg(feature = "host")]
pub fn walk(store: &Store, range: Range<u64>) -> io::Result<Vec<Member>> {
    let (members, links) = walk_with_links(store, range)?;
    without_links(members, &links)
}

fn without_links(members: Vec<Member>, links: &[Link]) -> io::Result<Vec<Member>> {
    match links.first() {
        Some(link) => Err(bad(format_args!("the tar has a link in it: {}", Quoted(&link.name)))),
        None => Ok(members),
    }
}

/// The same of a file that is the archive and nothing else: behind its end is only padding.
///
/// # Errors
/// As [`walk`], and `InvalidData` for something behind the end, where one program reads on and another does not: a second
/// archive, or a member behind a single block of zeros.
pub fn walk_all(store: &Store, range: Range<u64>) -> io::Result<Vec<Member>> {
    let mut entries = Entries::new(store, range.clone());
    let (members, links) = collect(&mut entries)?;
    let mut rest = entries.position();
    for padding in [0, 0xff] {
        rest = store.past(rest..range.end, padding)?;
    }
    match rest == range.end {
        true => without_links(members, &links),
        false => Err(bad(format_args!(
            "behind the end of the tar, at 0x{:x}, something follows that is no part of it",
            rest - range.start
        ))),
    }
}

/// The same of an archive that may have links.
///
/// # Errors
/// `InvalidData` for an archive that is damaged, cut off or hostile; else those of reading.
#[cfg(feature = "host")]
pub fn walk_with_links(store: &Store, range: Range<u64>) -> io::Result<(Vec<Member>, Vec<Link>)> {
    collect(&mut Entries::new(store, range))
}

fn collect(entries: &mut Entries<'_>) -> io::Result<(Vec<Member>, Vec<Link>)> {
    let mut members: Vec<Member> = Vec::new();
    let mut links: Vec<Link> = Vec::new();
    for entry in entries {
        let entry = entry?;
        match entry.kind() {
            kind @ (FILE | HARD_LINK | LINK) => {
                let name = named(&entry.name)?;
                if members.iter().any(|member| member.name == name) || links.iter().any(|link| link.name == name) {
                    return Err(bad(format_args!("the tar has {} twice", Quoted(&name))));
                }
                if members.len().max(links.len()) == MEMBERS {
                    return Err(bad(format_args!("the tar has more than {MEMBERS} members")));
                }
                match kind {
                    FILE => members.push(Member {
                        name,
                        mode: entry.mode().unwrap_or_default() & 0o777,
                        data: entry.data,
                    }),
                    _ => links.push(Link {
                        name,
                        target: entry.link(),
                        hard: kind == HARD_LINK,
                    }),
                }
            }
            DIRECTORY if entry.data.is_empty() => {
                safe(&entry.name)?;
            }
            CHARACTER_DEVICE | BLOCK_DEVICE | FIFO => {
                return Err(bad(format_args!("the tar has a device in it: {}", Quoted(&entry.name))));
            }
            kind => {
                return Err(bad(format_args!(
                    "the tar has {} of unknown kind 0x{kind:02x}",
                    Quoted(&entry.name)
                )));
            }
        }
    }
    Ok((members, links))
}

/// The name of something that is not a directory, and so has one.
fn named(name: &str) -> io::Result<String> {
    let short = safe(name)?;
    match short.is_empty() {
        true => Err(bad(format_args!(
            "the tar has a member without a name: {}",
            Quoted(name)
        ))),
        false => Ok(short),
    }
}

/// A name that stays below where it is put, in the one way in which it can be written.
fn safe(name: &str) -> io::Result<String> {
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let outside = name.starts_with('/') || parts.contains(&"..");
    match outside || name.chars().any(char::is_control) {
        true => Err(bad(format_args!(
            "the tar has a member that leads elsewhere: {}",
            Quoted(name)
        ))),
        false => Ok(parts.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        for name in ["/etc/passwd", "../x", "a/../../x", "a/..", "a\nb"] {
            assert!(safe(name).is_err(), "{name}");
        }
        assert_eq!(safe("./a/b..c").ok().as_deref(), Some("a/b..c"));
        assert_eq!(safe("a//b/./c/").ok().as_deref(), Some("a/b/c"));
        assert_eq!(safe("./").ok().as_deref(), Some(""));
        assert!(named(".").is_err() && named("").is_err());
    }
}
