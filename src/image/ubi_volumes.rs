//! What a UBI image says of its volumes: the two volume tables, and the header of each logical erase block
//! (`struct ubi_vid_hdr` and `struct ubi_vtbl_record` in `drivers/mtd/ubi/ubi-media.h`; all numbers are big-endian).
//!
//! Of a static volume the number of blocks and the CRC of each are known, of a dynamic one nothing. What is in either is looked at
//! as in a file of its own.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::units::Fields;
use crate::bytes::scattered::Scattered;
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::fwtool::CRC;
use crate::image::piece::{self, Piece};
use std::io;
use std::ops::Range;

/// The volume that holds the volume table (`UBI_LAYOUT_VOLUME_ID`).
const LAYOUT_VOLUME: u32 = 0x7fff_efff;
/// Bytes of a record of that table (`UBI_VTBL_RECORD_SIZE`), and how many there are at the most (`UBI_MAX_VOLUMES`).
const RECORD: usize = 172;
const RECORDS: u64 = 128;
/// `UBI_VID_DYNAMIC` and `UBI_VID_STATIC`.
const DYNAMIC: u8 = 1;
const STATIC: u8 = 2;
/// `UBI_VTBL_AUTORESIZE_FLG`.
const AUTORESIZE: u8 = 1;
/// The volumes with which a box begins, as OpenWrt calls them (`CI_KERNPART` and `CI_ROOTPART` of its `nand.sh`).
const BEGIN: [&str; 3] = ["kernel", "rootfs", "fit"];

/// A record of the volume table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    volume: u32,
    reserved: u64,
    is_static: bool,
    /// Whether it takes what is left of the flash.
    resizes: bool,
    /// Bytes of data in a block.
    usable: u64,
    name: Vec<u8>,
    /// Why no kernel attaches a UBI with such a record.
    flaw: Option<&'static str>,
}

impl Record {
    /// The name, for people.
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.name)
            .chars()
            .filter(|c| !c.is_control())
            .collect()
    }
}

/// What is known of the blocks of a volume.
#[derive(Default)]
struct Blocks {
    is_static: bool,
    /// How many a static volume must have.
    wanted: u64,
    /// The numbers of those that are there and whole, ascending, and where their data is.
    there: Vec<(u32, u64)>,
    /// The highest number.
    highest: u32,
    /// Bytes of data in a block, and in the highest of a static volume.
    size: u64,
    last: u64,
}

impl Blocks {
    /// The first that is missing of so many.
    fn missing(&self, wanted: u64) -> Option<u64> {
        let is_there = |number: u64| u32::try_from(number).is_ok_and(|number| find(&self.there, number).is_ok());
        (0..wanted).find(|number| !is_there(*number))
    }
}

/// What was found while the erase blocks were gone through.
pub(super) struct Volumes {
    /// Bytes of data in an erase block.
    usable: u64,
    /// Erase blocks of the image; no volume has more.
    most: u64,
    tables: [Option<Vec<Record>>; 2],
    /// Of each volume, whose numbers ascend.
    blocks: Vec<(u32, Blocks)>,
    doubt: Option<String>,
}

impl Volumes {
    pub fn new(usable: u64, most: u64) -> Volumes {
        Volumes {
            usable,
            most,
            tables: [None, None],
            blocks: Vec::new(),
            doubt: None,
        }
    }

    /// Takes an erase block in, by its volume header and where its data is.
    pub fn block(&mut self, store: &Store, header: &[u8], data: Range<u64>) -> io::Result<()> {
        let field = |at| Fields(header).be32(at).unwrap_or_default();
        let (volume, number) = (field(8), field(12));
        if volume == LAYOUT_VOLUME {
            if let Some(table) = self.tables.get_mut(number as usize) {
                *table = read_table(store, data, self.usable)?;
            }
            return Ok(());
        }
        if volume > LAYOUT_VOLUME {
            // It lists where every block lies.
            let fastmap = "the ubi image has a fastmap, which is right only on the flash that it was read from";
            self.doubt = Some(fastmap.to_owned());
            return Ok(());
        }
        let (size, wanted, crc) = (u64::from(field(20)), u64::from(field(24)), field(32));
        // What is left over at the end of a block where the volume is aligned.
        let usable = self.usable.saturating_sub(u64::from(field(28)));
        if usable == 0 {
            self.doubt = Some(format!("the blocks of volume {volume} of the ubi image have no room"));
            return Ok(());
        }
        let is_static = header[5] == STATIC;
        let mut good = u64::from(number) < self.most;
        if is_static {
            let mut digest = CRC.digest();
            good &= size <= usable;
            if good {
                store.scan(data.start..data.start + size, |chunk| digest.update(chunk))?;
            }
            good &= digest.finalize() == crc;
        }
        let at = find(&self.blocks, volume).unwrap_or_else(|at| {
            self.blocks.insert(at, (volume, Blocks::default()));
            at
        });
        let blocks = &mut self.blocks[at].1;
        blocks.is_static = is_static;
        blocks.size = usable;
        if number >= blocks.highest {
            blocks.highest = number;
            blocks.last = if is_static { size } else { usable };
        }
        if is_static {
            blocks.wanted = blocks.wanted.max(wanted);
        }
        match find(&blocks.there, number) {
            _ if !good => (),
            Err(at) => blocks.there.insert(at, (number, data.start)),
            // Of two the younger counts, and an image that was just made has no older ones.
            Ok(at) => {
                blocks.there[at].1 = data.start;
                self.doubt = Some(format!(
                    "block {number} of volume {volume} of the ubi image is there twice"
                ));
            }
        }
        Ok(())
    }

    /// The table that counts.
    fn table(&self) -> &[Record] {
        self.tables.iter().flatten().next().map_or(&[], Vec::as_slice)
    }

    /// Erase blocks that the volumes need.
    pub fn reserved(&self) -> u64 {
        self.table().iter().map(|record| record.reserved).sum()
    }

    /// `, with rootfs, data`.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.table().iter().map(Record::shown).collect();
        match names.is_empty() {
            true => String::new(),
            false => format!(", with {}", names.join(", ")),
        }
    }

    /// Says what is wrong, and takes over what the volumes are made for.
    ///
    /// # Errors
    /// Those of reading the store.
    pub fn verdict(&self, store: &Store, content: &mut Content) -> io::Result<()> {
        if self.table().is_empty() {
            content.problem = Some("the ubi image has no volume table that is whole, or no volume".into());
            return Ok(());
        }
        if let Some((name, flaw)) = self.flaw() {
            content.problem = Some(format!(
                "the volume {name} of the ubi image {flaw}, and no kernel attaches it"
            ));
            return Ok(());
        }
        // What is no problem may be so in the copy of a UBI in use.
        let mut doubt = self.doubt.clone();
        for (volume, blocks) in &self.blocks {
            let Some(record) = self.table().iter().find(|record| record.volume == *volume) else {
                doubt = Some(format!(
                    "the ubi image has blocks of a volume {volume}, which is not in its table"
                ));
                continue;
            };
            let name = record.shown();
            let missing =
                |number| format!("block {number} of volume {name} of the ubi image is missing, or fails its CRC");
            if u64::from(blocks.highest) >= record.reserved {
                let more = format!("the volume {name} of the ubi image has more blocks than its table says");
                content.problem = Some(more);
                return Ok(());
            }
            if let Some(number) = blocks.missing(blocks.wanted) {
                content.problem = Some(missing(number));
                return Ok(());
            }
            let begins = BEGIN.contains(&name.as_str());
            let held = Store::Scattered(self.held(store, blocks));
            let piece = piece::look(&held, &(0..held.len()))?;
            let mut damaged = wrong(&piece, blocks.size, begins);
            if let Some(found) = piece.content {
                let needs = found.length.div_ceil(blocks.size);
                doubt = doubt.or(blocks.missing(needs).filter(|_| !blocks.is_static).map(missing));
                damaged = damaged.or(found.too_long(held.len()).map(|long| format!("is cut off: {long}")));
                content.made_as(found);
            }
            doubt = doubt.or(damaged.map(|damaged| format!("the volume {name} of the ubi image {damaged}")));
        }
        // UBI takes a static volume without blocks for an empty one (`init_volumes` in `drivers/mtd/ubi/vtbl.c`).
        let empty = |record: &&Record| record.is_static && find(&self.blocks, record.volume).is_err();
        if let Some(record) = self.table().iter().find(empty) {
            doubt = Some(format!("the volume {} of the ubi image has no data", record.shown()));
        }
        if doubt.is_none() && self.tables[0] != self.tables[1] {
            doubt = Some("the two volume tables of the ubi image are not the same, or one of them is missing".into());
        }
        content.doubt = doubt;
        Ok(())
    }

    /// The first volume with which nothing of the UBI is attached (`vtbl_check`, `init_volumes` and `check_av` in
    /// `drivers/mtd/ubi/vtbl.c`), and what is wrong with it.
    fn flaw(&self) -> Option<(String, &'static str)> {
        let table = self.table();
        table.iter().enumerate().find_map(|(at, record)| {
            let before = &table[..at];
            let blocks = find(&self.blocks, record.volume).ok().map(|at| &self.blocks[at].1);
            let flaw = match record.flaw {
                Some(flaw) => flaw,
                None if before.iter().any(|other| other.name == record.name) => "has the name of another",
                None if record.resizes && before.iter().any(|other| other.resizes) => "is the second that grows",
                None if blocks.is_some_and(|blocks| blocks.is_static != record.is_static) => {
                    "is static in its table or in its blocks, and dynamic in the other"
                }
                None if blocks.is_some_and(|blocks| blocks.size != record.usable) => {
                    "is aligned in another way in its blocks"
                }
                None => return None,
            };
            Some((record.shown(), flaw))
        })
    }

    /// The bytes of a volume.
    fn held<'s>(&self, store: &'s Store<'s>, blocks: &'s Blocks) -> Scattered<'s> {
        // The copy of a UBI in use that was cut off has higher numbers than blocks.
        let highest = u64::from(blocks.highest).min(self.most - 1);
        Scattered {
            store,
            size: blocks.size,
            blocks: &blocks.there,
            length: highest * blocks.size + blocks.last.min(blocks.size),
        }
    }
}

/// What is wrong with what a volume holds whose blocks have so many bytes.
fn wrong(piece: &Piece, size: u64, begins: bool) -> Option<String> {
    let damaged = || {
        let damaged = piece.damaged.as_ref();
        damaged.map(|damaged| format!("is damaged: {damaged}"))
    };
    let Some(found) = &piece.content else {
        return damaged().filter(|_| begins);
    };
    if let Some(made_for) = found
        .erase_size
        .filter(|made_for| found.format == Format::Ubifs && *made_for != size)
    {
        return Some(format!(
            "a ubifs for blocks of {made_for} bytes, and its own have {size}"
        ));
    }
    // Other volumes may hold anything; a page of a server's is no volume.
    if is_strange(found.format) {
        let strange = begins || found.format == Format::Html;
        return strange.then(|| format!("holds {}", found.format.described()));
    }
    damaged()
}

/// Whether neither a boot loader nor a kernel begins with it. Some boot loaders start an ELF program.
fn is_strange(format: Format) -> bool {
    piece::strange(format) && format != Format::Elf
}

/// Where something has its place among others by its number: as it is there, or as it is to be put there.
fn find<T>(ascending: &[(u32, T)], number: u32) -> Result<usize, usize> {
    ascending.binary_search_by_key(&number, |(known, _)| *known)
}

/// The volumes of a table; `None` where a record fails its CRC. An erase block holds so many bytes of data.
fn read_table(store: &Store, table: Range<u64>, usable: u64) -> io::Result<Option<Vec<Record>>> {
    let mut records = Vec::new();
    let mut record = [0; RECORD];
    for number in 0..RECORDS {
        let at = table.start + number * RECORD as u64;
        if at + RECORD as u64 > table.end {
            break;
        }
        store.read_exact_at(at, &mut record)?;
        let fields = Fields(&record);
        if fields.be32(168) != Some(CRC.checksum(&record[..168])) {
            return Ok(None);
        }
        let number_at = |at| u64::from(fields.be32(at).unwrap_or_default());
        let (reserved, alignment, pad) = (number_at(0), number_at(4), number_at(8));
        let length = usize::from(record[14]) << 8 | usize::from(record[15]);
        if reserved > 0 {
            let name = record.get(16..16 + length.min(128)).unwrap_or_default();
            let flaw = if !(1..=usable).contains(&alignment) || pad != usable % alignment {
                Some("has an alignment that makes no sense")
            } else if ![DYNAMIC, STATIC].contains(&record[12]) {
                Some("is of no known type")
            } else if record[13] > 1 {
                Some("has an update marker that makes no sense")
            } else if !(1..128).contains(&length) || name.contains(&0) || record[16 + length] != 0 {
                Some("has a name that makes no sense")
            } else {
                None
            };
            records.push(Record {
                volume: number as u32,
                reserved,
                is_static: record[12] == STATIC,
                resizes: record[144] & AUTORESIZE != 0,
                usable: usable.saturating_sub(pad),
                flaw,
                name: name.to_owned(),
            });
        }
    }
    Ok(Some(records))
}
