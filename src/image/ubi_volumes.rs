//! What a UBI image says of its volumes: the two volume tables, and the header of each logical erase block
//! (`struct ubi_vid_hdr` and `struct ubi_vtbl_record` in `drivers/mtd/ubi/ubi-media.h`; all numbers are big-endian).
//!
//! Of a static volume the number of blocks and the CRC of each are known. Of a dynamic one only what its first block says of
//! what is in it: that a squashfs has more blocks than are there, or ends within the last one, and the CRC of a uImage.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::format::Format;
use crate::base::machine::{Order, Processor};
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::fwtool::CRC;
use crate::image::{content, piece, uimage};
use std::io;
use std::ops::Range;

/// The volume that holds the volume table (`UBI_LAYOUT_VOLUME_ID`).
const LAYOUT_VOLUME: u32 = 0x7fff_efff;
/// Bytes of a record of that table (`UBI_VTBL_RECORD_SIZE`), and how many there are at the most (`UBI_MAX_VOLUMES`).
const RECORD: usize = 172;
const RECORDS: u64 = 128;
/// `UBI_VID_STATIC`.
const STATIC: u8 = 2;
/// The volumes with which a box begins, as OpenWrt calls them (`CI_KERNPART` and `CI_ROOTPART` of its `nand.sh`).
const BEGIN: [&str; 3] = ["kernel", "rootfs", "fit"];
/// Bytes of a volume that are looked at for what is in it.
const HEAD: u64 = 4096;

/// A record of the volume table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    volume: u32,
    reserved: u64,
    is_static: bool,
    name: String,
}

/// What is known of the blocks of a volume.
#[derive(Default)]
struct Blocks {
    /// How many there must be, where that is known.
    wanted: Option<u64>,
    is_static: bool,
    /// What a dynamic volume holds, by its first block, and its bytes.
    holds: Option<(Format, u64)>,
    /// What it holds, of either kind, that no boot loader or kernel can begin with.
    strange: Option<Format>,
    /// The numbers of those that are there and whole, ascending, and where their data is.
    there: Vec<(u32, u64)>,
    /// The highest number.
    highest: u32,
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
    /// For which processor what is in them is.
    made_for: (Option<Processor>, Option<Order>),
    doubt: Option<String>,
}

impl Volumes {
    pub fn new(usable: u64, most: u64) -> Volumes {
        Volumes {
            usable,
            most,
            tables: [None, None],
            blocks: Vec::new(),
            made_for: (None, None),
            doubt: None,
        }
    }

    /// Takes an erase block in, by its volume header and where its data is.
    pub fn block(&mut self, store: &Store, header: &[u8], data: Range<u64>) -> io::Result<()> {
        let field = |at| Fields(header).be32(at).unwrap_or_default();
        let (volume, number) = (field(8), field(12));
        if volume == LAYOUT_VOLUME {
            if let Some(table) = self.tables.get_mut(number as usize) {
                *table = read_table(store, data)?;
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
        let is_static = header[5] == STATIC;
        let mut good = u64::from(number) < self.most;
        let (mut holds, mut strange) = (None, None);
        if number == 0 {
            holds = self.needed(store, &data)?;
            strange = holds.map(|(format, _)| format).filter(|format| is_strange(*format));
            holds = holds.filter(|_| !is_static);
        }
        if is_static {
            let mut digest = CRC.digest();
            good &= size <= data.end - data.start;
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
        blocks.strange = blocks.strange.or(strange);
        blocks.highest = blocks.highest.max(number);
        if is_static {
            blocks.wanted = blocks.wanted.max(Some(wanted));
        } else if let Some((_, length)) = holds {
            blocks.wanted = Some(length.div_ceil(self.usable));
            blocks.holds = holds;
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

    /// What begins in a volume, and how many bytes it says that it has.
    fn needed(&mut self, store: &Store, data: &Range<u64>) -> io::Result<Option<(Format, u64)>> {
        let mut head = vec![0; HEAD.min(data.end - data.start) as usize];
        store.read_exact_at(data.start, &mut head)?;
        let length = head.len() as u64;
        // What is in there is looked at for its length alone.
        let Some(found) = content::first(&Store::Memory(head), &(0..length))? else {
            return Ok(None);
        };
        let made_for = found
            .erase_size
            .filter(|_| found.format == Format::Ubifs)
            .map(u64::from);
        if made_for.is_some_and(|size| size != self.usable) {
            self.doubt = Some(format!(
                "the ubi image has a ubifs for blocks of {} bytes in a volume whose blocks have {}",
                made_for.unwrap_or_default(),
                self.usable
            ));
        }
        self.made_for.0 = self.made_for.0.take().or(found.arch);
        self.made_for.1 = self.made_for.1.take().or(found.order);
        Ok(Some((found.format, found.length)))
    }

    /// The table that counts.
    fn table(&self) -> &[Record] {
        self.tables.iter().flatten().next().map_or(&[], Vec::as_slice)
    }

    /// Erase blocks that the volumes need.
    pub fn reserved(&self) -> u64 {
        self.table().iter().map(|record| record.reserved).sum()
    }

    /// For which processor it is, by the first volume that says so.
    pub fn made_for(&self) -> (Option<Processor>, Option<Order>) {
        self.made_for.clone()
    }

    /// `, with rootfs, data`.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.table().iter().map(|record| record.name.as_str()).collect();
        match names.is_empty() {
            true => String::new(),
            false => format!(", with {}", names.join(", ")),
        }
    }

    /// What is wrong, and what is wrong with an image and may be of the copy of a UBI in use.
    ///
    /// # Errors
    /// Those of reading the store.
    pub fn verdict(&self, store: &Store) -> io::Result<(Option<String>, Option<String>)> {
        if self.table().is_empty() {
            let none = "the ubi image has no volume table that is whole, or no volume";
            return Ok((Some(none.into()), None));
        }
        let missing = |blocks: &Blocks| {
            let is_there = |number: u64| u32::try_from(number).is_ok_and(|number| find(&blocks.there, number).is_ok());
            (0..blocks.wanted.unwrap_or_default()).find(|number| !is_there(*number))
        };
        let mut doubt = self.doubt.clone();
        for (volume, blocks) in &self.blocks {
            let Some(record) = self.table().iter().find(|record| record.volume == *volume) else {
                doubt = Some(format!(
                    "the ubi image has blocks of a volume {volume}, which is not in its table"
                ));
                continue;
            };
            if u64::from(blocks.highest) >= record.reserved {
                let more = format!(
                    "the volume {} of the ubi image has more blocks than its table says",
                    record.name
                );
                return Ok((Some(more), None));
            }
            // Other volumes may hold anything; a page of a server's is no volume.
            let begins = BEGIN.contains(&record.name.as_str());
            let strange = blocks.strange.filter(|format| begins || *format == Format::Html);
            let strange = strange.map(|format| {
                format!(
                    "the volume {} of the ubi image holds {}",
                    record.name,
                    format.described()
                )
            });
            doubt = doubt.or(strange);
            let Some(number) = missing(blocks) else {
                if let Some(what) = self.inside(store, blocks)? {
                    doubt = doubt.or(Some(format!("the volume {} of the ubi image: {what}", record.name)));
                }
                continue;
            };
            let what = format!(
                "block {number} of volume {} of the ubi image is missing, or fails its CRC",
                record.name
            );
            match blocks.is_static {
                true => return Ok((Some(what), None)),
                false => doubt = Some(what),
            }
        }
        // UBI takes a static volume without blocks for an empty one (`init_volumes` in `drivers/mtd/ubi/vtbl.c`).
        let empty = |record: &&Record| record.is_static && find(&self.blocks, record.volume).is_err();
        if let Some(record) = self.table().iter().find(empty) {
            doubt = Some(format!("the volume {} of the ubi image has no data", record.name));
        }
        if doubt.is_none() && self.tables[0] != self.tables[1] {
            doubt = Some("the two volume tables of the ubi image are not the same, or one of them is missing".into());
        }
        Ok((None, doubt))
    }

    /// What is wrong with what a dynamic volume holds, all of whose blocks are there. `ubinize` fills the last one with 0xff,
    /// which no table of a squashfs ends with; a UBIFS may.
    fn inside(&self, store: &Store, blocks: &Blocks) -> io::Result<Option<String>> {
        const END: u64 = 8;
        let Some((format, length)) = blocks.holds.filter(|(_, length)| *length > END) else {
            return Ok(None);
        };
        let last = (length - 1) / self.usable;
        let ends = length - last * self.usable;
        let at = u32::try_from(last).ok().and_then(|last| find(&blocks.there, last).ok());
        let data = at.map(|at| blocks.there[at].1);
        if let Some(data) = data.filter(|_| format == Format::Squashfs && ends >= END) {
            let end = data + ends - END..data + ends;
            if store.past(end.clone(), 0xff)? == end.end {
                return Ok(Some(format!(
                    "the squashfs in it has {length} bytes and is cut off before"
                )));
            }
        }
        if format != Format::Uimage {
            return Ok(None);
        }
        let mut digest = CRC32.digest();
        let mut wanted = [0; 4];
        let mut left = length;
        for &(_, data) in &blocks.there {
            let end = data + left.min(self.usable);
            let mut from = data;
            if left == length {
                store.read_exact_at(data + 24, &mut wanted)?;
                from += uimage::HEADER;
            }
            store.scan(from..end, |chunk| digest.update(chunk))?;
            left -= end - data;
        }
        let right = digest.finalize() == u32::from_be_bytes(wanted);
        Ok((!right).then(|| "the uimage in it fails its CRC".to_owned()))
    }
}

/// Whether neither a boot loader nor a kernel begins with it. Some boot loaders start an ELF program.
fn is_strange(format: Format) -> bool {
    piece::strange(format) && format != Format::Elf
}

/// Where something has its place among others by its number: as it is there, or as it is to be put there.
fn find<T>(ascending: &[(u32, T)], number: u32) -> Result<usize, usize> {
    ascending.binary_search_by_key(&number, |(known, _)| *known)
}

/// The volumes of a table; `None` where a record fails its CRC.
fn read_table(store: &Store, table: Range<u64>) -> io::Result<Option<Vec<Record>>> {
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
        let reserved = u64::from(fields.be32(0).unwrap_or_default());
        let length = usize::from(record[14]) << 8 | usize::from(record[15]);
        if reserved > 0 {
            let name = record.get(16..16 + length.min(128)).unwrap_or_default();
            records.push(Record {
                volume: number as u32,
                reserved,
                is_static: record[12] == STATIC,
                name: String::from_utf8_lossy(name)
                    .chars()
                    .filter(|c| !c.is_control())
                    .collect(),
            });
        }
    }
    Ok(Some(records))
}
