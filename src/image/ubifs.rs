//! UBIFS: the superblock is the first node of its first erase block and says how many there are
//! (`struct ubifs_sb_node` in `fs/ubifs/ubifs-media.h`; all of it is little-endian).

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

/// Recognises a UBIFS as `mkfs.ubifs` makes it, for a volume of UBI; its superblock has a CRC over everything behind it.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut head = [0; 24];
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
    content.erase_size = Some(block);
    content.page_size = Some(page);
    content.title = format!(
        "version {}, for volumes of up to {} blocks of {block} bytes",
        field(80),
        field(44)
    );
    Ok(Some(content))
}
