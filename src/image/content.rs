//! What a run of bytes is: a kernel, a file system, or nothing known.
//!
//! The running kernel is never asked: a mount of the new file system by the old kernel fails for the wrong reasons,
//! such as a compression that only the new kernel has (OpenIPC/companion #191). Everything here reads the bytes only.

#![forbid(unsafe_code)]

use crate::base::format::{Format, Nature};
use crate::base::machine::Role;
use crate::base::machine::{Arch, Cpu, Order, Processor};
use crate::base::quoted::one_line;
use crate::bytes::store::Store;
use crate::image::device_tree::MadeFor;
use crate::image::{behind, cramfs, fit, foreign, jffs2, ramdisk, seama, squashfs, tplink, trx, ubi, ubifs, uimage};
use serde::Serialize;
use std::io;
use std::ops::Range;

/// What was found at the head of a run of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Content {
    /// The format that was recognised.
    pub format: Format,
    /// What it is for.
    pub role: Role,
    /// Bytes that it says it needs, header included.
    pub length: u64,
    /// The processor it is for, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<Processor>,
    /// The byte order of the processor it is for, where it depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The erase block size that it was made for, in bytes, where it depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erase_size: Option<u64>,
    /// The smallest erase blocks that it can lie in, in bytes, where it depends on that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_erase_size: Option<u64>,
    /// The page size that it was made for, in bytes, where it depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    /// The magic number of a uImage's header, where it is not U-Boot's own.
    #[serde(skip)]
    pub magic: Option<u32>,
    /// What its erase blocks have in common, of UBI.
    #[serde(skip)]
    pub ubi: Option<ubi::Layout>,
    /// What the device tree that comes with it says it is for; empty where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compatible: Vec<String>,
    /// The system on a chip that this device tree is for, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soc: Option<String>,
    /// The number of the hardware that its header names, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Whether all was held against it that it can be held against, and that is something.
    pub checked: bool,
    /// What stands behind it, such as the file system behind a kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<Box<Content>>,
    /// A name or version that it carries.
    pub title: String,
    /// What is wrong with it as a file of its own, and may be of the copy of a partition, which holds more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Content {
    /// One that says nothing but what it is.
    pub(super) fn new(format: Format, role: Role) -> Content {
        Content {
            format,
            role,
            length: 0,
            arch: None,
            order: None,
            erase_size: None,
            least_erase_size: None,
            page_size: None,
            magic: None,
            ubi: None,
            compatible: Vec::new(),
            soc: None,
            behind: None,
            hardware: None,
            checked: true,
            title: String::new(),
            doubt: None,
            problem: None,
        }
    }

    /// Takes over what the device tree that comes with it is for.
    pub(super) fn with_tree(&mut self, tree: io::Result<Option<MadeFor>>) -> io::Result<()> {
        match tree {
            Ok(tree) => {
                let tree = tree.unwrap_or_default();
                (self.compatible, self.soc) = (tree.compatible, tree.soc);
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => self.doubt = Some(error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes over for which processor, box and erase blocks a piece of it is made.
    pub(super) fn made_as(&mut self, piece: Content) {
        if self.compatible.is_empty() {
            (self.compatible, self.soc) = (piece.compatible, piece.soc);
        }
        self.arch = self.arch.take().or(piece.arch);
        self.order = self.order.or(piece.order);
        if piece.format == Format::Jffs2 {
            self.erase_size = self.erase_size.or(piece.erase_size);
            self.least_erase_size = self.least_erase_size.max(piece.least_erase_size);
        }
    }

    /// What is wrong where it says that it has more bytes than are there.
    pub(super) fn too_long(&self, room: u64) -> Option<String> {
        let (name, length) = (self.format.as_str(), self.length);
        (length > room).then(|| format!("the {name} says it has {length} bytes, but only {room} are there"))
    }

    /// What it is, with its title, for people.
    pub fn described(&self) -> String {
        let described = self.format.described();
        match self.title == described {
            true => self.title.clone(),
            false => format!("{described} {}", self.title).trim_end().to_owned(),
        }
    }

    /// It, and what stands behind it.
    pub fn all(&self) -> impl Iterator<Item = &Content> {
        std::iter::successors(Some(self), |content| content.behind.as_deref())
    }

    /// Why this cannot run on a box with that processor, if so.
    pub fn foreign_to(&self, cpu: Cpu) -> Option<String> {
        // Kernels for 64-bit ARM run programs for 32 bits as well.
        let older = self.role == Role::Ramdisk && self.format != Format::Uimage && cpu.arch == Arch::Aarch64;
        let fits = |arch: &&Processor| match arch {
            Processor::Known(Arch::Arm) if older => true,
            arch => **arch == Processor::Known(cpu.arch),
        };
        let arch = self.arch.as_ref().filter(|arch| !fits(arch));
        let order = self.order.filter(|order| *order != cpu.order);
        let name = self.format.as_str();
        match (arch, order) {
            (Some(Processor::Unnamed), _) => Some(format!(
                "the {name} does not say for which processor it is, this box has {}",
                cpu.arch.as_str()
            )),
            (Some(arch), _) => Some(format!(
                "the {name} is for {} processors, this box has {}",
                arch.as_str(),
                cpu.arch.as_str()
            )),
            (None, Some(order)) => Some(format!(
                "the {name} is for {} boxes, this one is {}",
                order.as_str(),
                cpu.order.as_str()
            )),
            (None, None) => None,
        }
    }
}

/// A recogniser: `None` when the bytes are not of its kind.
pub(super) type Recognise = fn(&Store, &Range<u64>) -> io::Result<Option<Content>>;

/// In this order: what has a checksum or a structure of its own, then what only begins as something.
const FORMATS: [Recognise; 12] = [
    uimage::recognise,
    squashfs::recognise,
    cramfs::recognise,
    jffs2::recognise,
    fit::recognise,
    trx::recognise,
    ubi::recognise,
    ubifs::recognise,
    tplink::recognise,
    seama::recognise,
    ramdisk::recognise,
    foreign::recognise,
];

/// Says what the bytes in this range of the image are, `None` for nothing known.
///
/// # Errors
/// Those of reading the store.
pub fn look(store: &Store, range: Range<u64>) -> io::Result<Option<Content>> {
    let Some(mut content) = first(store, &range)? else {
        return Ok(None);
    };
    let room = range.end - range.start;
    // A footer says of the whole file that it is for a vendor's own installer.
    if content.format.nature() == Nature::Flash
        && content.length < room
        && let Some(format) = foreign::of_tail(store, &range)?
    {
        return Ok(Some(foreign::content(format)));
    }
    if content.length < room {
        behind::look(store, &range, &mut content)?;
    }
    Ok(Some(content))
}

/// The first that recognises it, held to its own length.
///
/// # Errors
/// Those of reading the store.
pub(super) fn first(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let room = range.end - range.start;
    for recognise in FORMATS {
        if let Some(mut content) = recognise(store, range)? {
            // Titles are names that the image gives itself.
            content.title = one_line(&content.title);
            content.problem = content.problem.take().or_else(|| content.too_long(room));
            return Ok(Some(content));
        }
    }
    Ok(None)
}
