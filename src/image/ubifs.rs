//! UBIFS: the superblock is the first node of its first erase block and says how many there are. All but the tree of what is used
//! in its blocks (LPT) are nodes with a CRC (`fs/ubifs/ubifs-media.h`; all of it is little-endian).

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::Role;
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::fwtool::CRC;
use std::io;
use std::ops::Range;

/// `UBIFS_NODE_MAGIC`.
const MAGIC: u32 = 0x0610_1831;
/// `UBIFS_SB_NODE`.
const SUPERBLOCK: u8 = 6;
/// Bytes of a superblock (`UBIFS_SB_NODE_SZ`).
const NODE: usize = 4096;
/// `UBIFS_PAD_NODE`, and its bytes: behind them are as many as it says that are skipped.
const PADDING: (u8, u64) = (5, 28);
/// Where less than that is to be skipped, up to the next 8 bytes (`UBIFS_PADDING_BYTE`).
const SKIPPED: u8 = 0xce;
/// Bytes of the head of each node (`UBIFS_CH_SZ`).
const HEAD: usize = 24;
/// The first block of the log: in front of it are the superblock and two masters (`UBIFS_LOG_LNUM`).
const LOG: u64 = 3;

/// Recognises a UBIFS as `mkfs.ubifs` makes it, for a volume of UBI.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut head = [0; HEAD];
    if !store.read_head(range, &mut head)? || Fields(&head).le32(0) != Some(MAGIC) || head[20] != SUPERBLOCK {
        return Ok(None);
    }
    let mut content = Content::new(Format::Ubifs, Role::Filesystem);
    let mut node = vec![0; NODE];
    let whole = store.read_head(range, &mut node)? && Fields(&node).le32(16) == Some(NODE as u32);
    if !whole || Fields(&node).le32(4) != Some(CRC.checksum(&node[8..])) {
        content.problem = Some("the ubifs superblock fails its CRC".into());
        return Ok(Some(content));
    }
    let field = |at: usize| Fields(&node).le32(at).unwrap_or_default();
    let (page, block, blocks) = (field(32), field(36), field(40));
    content.length = u64::from(block) * u64::from(blocks);
    content.erase_size = Some(block.into());
    content.page_size = Some(page);
    content.title = format!(
        "version {}, for volumes of up to {} blocks of {block} bytes",
        field(80),
        field(44)
    );
    let tree = LOG + u64::from(field(56));
    let tree = tree..tree + u64::from(field(60));
    let block = u64::from(block);
    // As long as all are there: what is cut off is told as that.
    for number in 0..u64::from(blocks) {
        let start = range.start + number * block;
        if block < NODE as u64 || start + block > range.end {
            break;
        }
        if !tree.contains(&number)
            && let Some(at) = broken(store, start..start + block)?
        {
            content.doubt = Some(format!(
                "a node of the ubifs fails its CRC, at 0x{:x}",
                at - range.start
            ));
            break;
        }
    }
    Ok(Some(content))
}

/// Where in a block something is that is no whole node; `None` where all are whole, and blank flash follows.
fn broken(store: &Store, block: Range<u64>) -> io::Result<Option<u64>> {
    let mut head = [0; HEAD + 4];
    let mut at = block.start;
    while store.read_head(&(at..block.end), &mut head)? {
        let field = |at: usize| Fields(&head).le32(at).unwrap_or_default();
        if head[0] == SKIPPED {
            at += 8;
            continue;
        }
        let length = u64::from(field(16));
        if field(0) != MAGIC || length < HEAD as u64 || length > block.end - at {
            break;
        }
        let mut digest = CRC.digest();
        store.scan(at + 8..at + length, |chunk| digest.update(chunk))?;
        if digest.finalize() != field(4) {
            return Ok(Some(at));
        }
        let skipped = if (head[20], length) == PADDING { field(HEAD) } else { 0 };
        at += (length + u64::from(skipped)).next_multiple_of(8);
    }
    let blank = at >= block.end || store.past(at..block.end, 0xff)? == block.end;
    Ok((!blank).then_some(at))
}
