//! What is in an image of U-Boot's that says it is a kernel, by its first bytes: a boot loader that is told to unpack what is not
//! packed, or starts what is not a kernel, starts nothing.

#![forbid(unsafe_code)]

use crate::base::format::{Format, Nature};
use crate::base::machine::{Arch, Processor};
use crate::base::quoted::Quoted;
use crate::base::units::Fields;
use crate::bytes::packed::{Codec, first_end};
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::surplus::{self, HEAD};
use crate::image::{ramdisk, zimage};
use std::io;
use std::ops::Range;

/// The packings, in the order of their numbers in a legacy image (`IH_COMP_*` in U-Boot's `include/image.h`).
const PACKINGS: [&str; 7] = ["none", "gzip", "bzip2", "lzma", "lzo", "lz4", "zstd"];
/// Bytes that come out and are looked at: more than a kernel has that fits onto such flash.
const UNPACKED: usize = 64 << 20;
/// From this number on boot loaders of vendors have others.
const DISPUTED: usize = 5;

/// How a kernel is packed, as its image says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Declared<'a> {
    /// By number.
    Number(u8),
    /// By name; the empty name says that it is not.
    Name(&'a str),
}

impl Declared<'_> {
    /// The place in [`PACKINGS`].
    fn place(self) -> Option<usize> {
        match self {
            Declared::Number(number) => Some(usize::from(number)),
            Declared::Name("") => Some(0),
            Declared::Name(name) => PACKINGS.iter().position(|known| *known == name),
        }
    }
}

/// What is found out about a kernel or what is packed.
#[derive(Default)]
pub(super) struct Found {
    /// What is wrong with it.
    wrong: Option<String>,
    /// Where it ends in the store, where that is known.
    end: Option<u64>,
    /// How it is packed, where it is said not to be.
    packed: Option<Format>,
}

impl Found {
    fn wrong(what: String) -> Found {
        Found {
            wrong: Some(what),
            ..Found::default()
        }
    }
}

/// What is wrong with the kernel of an image that is declared to be packed so. What is in its data beside the kernel is told in
/// the title of the image.
///
/// # Errors
/// Those of reading the store.
pub(super) fn problem(
    store: &Store,
    data: &Range<u64>,
    declared: Declared<'_>,
    content: &mut Content,
) -> io::Result<Option<String>> {
    let found = kernel(store, data, declared, content.arch.as_ref())?;
    if let (None, Some(packed)) = (&found.wrong, found.packed) {
        // U-Boot would jump into it; loaders of vendors look.
        content.title.push_str(&format!(
            "; says that it is not packed, and begins with {}",
            packed.described()
        ));
        content.checked = false;
    }
    if let (None, Some(end)) = (&found.wrong, found.end) {
        surplus::tell(store, data, "kernel", end, content)?;
    }
    Ok(found.wrong)
}

fn kernel(store: &Store, data: &Range<u64>, declared: Declared<'_>, arch: Option<&Processor>) -> io::Result<Found> {
    if data.is_empty() {
        return Ok(Found::wrong("there is no kernel in it".to_owned()));
    }
    let mut head = [0; HEAD];
    let head = store.front(data, &mut head)?;
    let found = surplus::begins(head);
    let is_packed = found.is_some_and(|found| found.nature() == Nature::Packed);
    let described = found.unwrap_or(Format::Raw).described();
    let codec = Codec::recognise(head);
    let name = match (declared.place(), declared) {
        (Some(0), _) if is_packed && ramdisk::is_packed(store, data)? => {
            return Ok(Found::wrong(said("a kernel", Format::Ramdisk.described())));
        }
        (Some(0), _) => {
            return Ok(match found {
                Some(Format::Zimage) => Found {
                    wrong: zimage_problem(head, data, arch),
                    end: zimage::length(&Fields(head)).map(|length| data.start + length),
                    packed: None,
                },
                Some(found) if is_no_kernel(found, arch) => Found::wrong(said("a kernel", described)),
                _ => Found {
                    // The older lzma has no magic number, and code may look like it.
                    packed: found.filter(|found| is_packed && *found != Format::Lzma),
                    ..broken(store, data, codec)?
                },
            });
        }
        // Nothing tells the older lzma for sure.
        (Some(3), _) if found.is_none() => return Ok(Found::default()),
        (Some(place), _) if place >= DISPUTED && is_packed => return Ok(Found::default()),
        (Some(place), _) if place < PACKINGS.len() => PACKINGS[place],
        (_, Declared::Number(number)) => {
            return Ok(Found::wrong(format!(
                "it is packed in a way that is not known: number {number}"
            )));
        }
        (_, Declared::Name(name)) => {
            return Ok(Found::wrong(format!(
                "it is packed in a way that is not known: {}",
                Quoted(name)
            )));
        }
    };
    let fits = found.is_some_and(|found| found.as_str() == name);
    match fits {
        true => broken(store, data, codec),
        false => Ok(Found::wrong(said(&format!("packed with {name}"), described))),
    }
}

/// What is wrong with packed bytes of which only the outside has a checksum: all of the first member is unpacked once. More than
/// any kernel has is not looked at, nor what takes too much memory.
///
/// # Errors
/// Those of reading the store.
fn broken(store: &Store, data: &Range<u64>, codec: Option<Codec>) -> io::Result<Found> {
    let Some(codec) = codec else {
        return Ok(Found::default());
    };
    let (mut first, mut length) = ([0; 16], 0);
    let mut each = |chunk: &[u8]| {
        let at = first.len().min(length);
        let take = chunk.len().min(first.len() - at);
        first[at..at + take].copy_from_slice(&chunk[..take]);
        length += chunk.len();
        match length > UNPACKED {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => Ok(()),
        }
    };
    let mut end = match first_end(store, data, codec, &mut each) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Found::wrong(error.to_string())),
        Err(error) if error.kind() != io::ErrorKind::FileTooLarge => return Err(error),
        end => end.unwrap_or_default(),
    };
    // Linux puts the length of what is packed behind it (`size_append` in `scripts/Makefile.lib`).
    let mut size = [0; 4];
    if let Some(end) = &mut end
        && store.read_head(&(*end..data.end), &mut size)?
        && u32::from_le_bytes(size) as usize == length
    {
        *end += size.len() as u64;
    }
    // The older lzma has no magic number, and code may look like it.
    let again = Codec::recognise(&first[..length.min(first.len())]).filter(|again| *again != Codec::Lzma);
    let twice = |again: Codec| format!("it is packed twice: in the {} is {}", codec.as_str(), again.as_str());
    Ok(Found {
        wrong: again.map(twice),
        end,
        packed: None,
    })
}

/// The same of a part of an image that says of its parts only where they are; `None` also for what is not packed.
///
/// # Errors
/// Those of reading the store.
pub(super) fn part(store: &Store, data: &Range<u64>) -> io::Result<Option<String>> {
    Ok(broken(store, data, Codec::at(store, data)?)?.wrong)
}

/// What comes out of packed bytes; `None` where that is more than so many, or they are packed in a way that is not known.
///
/// # Errors
/// `InvalidData` for what is damaged, else those of reading the store.
pub(super) fn unpacked(store: &Store, data: &Range<u64>, most: usize) -> io::Result<Option<Vec<u8>>> {
    let Some(codec) = Codec::at(store, data)? else {
        return Ok(None);
    };
    let mut all = Vec::new();
    let mut each = |chunk: &[u8]| match all.len() + chunk.len() > most {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => {
            all.extend_from_slice(chunk);
            Ok(())
        }
    };
    match first_end(store, data, codec, &mut each) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(None),
        other => Ok(other?.map(|_| all)),
    }
}

fn said(what: &str, described: &str) -> String {
    format!("it says that it is {what}, and in it is {described}")
}

/// Whether a processor would not run this.
fn is_no_kernel(found: Format, arch: Option<&Processor>) -> bool {
    let for_arch = |wanted| arch.is_none_or(|arch| *arch == Processor::Known(wanted));
    match found {
        Format::Arm64Image => !for_arch(Arch::Aarch64),
        Format::BzImage => !for_arch(Arch::X86),
        Format::RiscvImage => arch.is_some_and(|arch| arch.as_str() != "riscv"),
        // What has only printable bytes may be anything.
        Format::Text => false,
        // A tree alone is not a kernel; some loaders read headers of vendors.
        found => !matches!(found.nature(), Nature::Packed | Nature::Factory),
    }
}

/// A kernel for ARM says how long it is.
fn zimage_problem(head: &[u8], data: &Range<u64>, arch: Option<&Processor>) -> Option<String> {
    if arch.is_some_and(|arch| *arch != Processor::Known(Arch::Arm)) {
        return Some(said("a kernel", Format::Zimage.described()));
    }
    let (length, there) = (zimage::length(&Fields(head))?, data.end - data.start);
    (length > there).then(|| format!("the kernel in it says that it has {length} bytes, and {there} are there"))
}
