//! A JFFS2 with one file in its top directory, made of nothing but nodes (`include/uapi/linux/jffs2.h`), and behind it the mark
//! by which the kernels of OpenWrt know that all that follows is to be erased (`JFFS2_EOF` in its `package/system/mtd`).

#![forbid(unsafe_code)]

use crate::base::machine::Order;
use crate::image::jffs2::CRC;

/// `0xdeadc0de`, which has these bytes in every byte order.
pub const MARK: [u8; 4] = [0xde, 0xad, 0xc0, 0xde];

/// Bytes of the fixed parts of a node: `jffs2_unknown_node`, `jffs2_raw_dirent`, `jffs2_raw_inode`.
const HEADER: usize = 12;
const DIRENT: usize = 40;
const INODE: usize = 68;
/// The types of nodes.
const OF_DIRENT: u16 = 0xe001;
const OF_INODE: u16 = 0xe002;
const OF_CLEANMARKER: u16 = 0x2003;
/// No node has bytes of two pages of its file.
const PAGE: usize = 4096;
/// The rest of an erase block that is not worth a node.
const LEAST: usize = 128;
/// The top directory, and the file.
const ROOT_INO: u32 = 1;
const INO: u32 = 2;
/// `S_IFREG` for root alone, and `DT_REG`.
const MODE: u32 = 0o100_600;
const DT_REG: u32 = 8;

/// The shape of the file system.
#[derive(Clone, Copy)]
pub struct Shape {
    /// The byte order of the box.
    pub order: Order,
    /// Bytes of an erase block.
    pub erase_size: usize,
}

/// The file of this name, whole erase blocks, the last of which is the mark. Empty for erase blocks of less than 4 KiB, which no
/// JFFS2 has.
///
/// The name is the last node: where only a part was written the bytes have no name, and the kernel drops them
/// (`jffs2_build_remove_unlinked_inode` of `fs/jffs2/build.c`), so that no half archive is unpacked.
pub fn with_file(shape: Shape, name: &str, content: &[u8]) -> Vec<u8> {
    let mut log = Log {
        shape,
        bytes: Vec::new(),
    };
    if shape.erase_size < PAGE {
        return log.bytes;
    }
    let (mut at, mut version) = (0, 0);
    loop {
        let left = log.left();
        if left < INODE + LEAST {
            log.fill();
            continue;
        }
        let take = (PAGE - at % PAGE).min((left - INODE) & !3).min(content.len() - at);
        version += 1;
        log.inode(content, at..at + take, version);
        at += take;
        if at == content.len() {
            break;
        }
    }
    if log.left() < DIRENT + name.len() {
        log.fill();
    }
    log.dirent(name.as_bytes());
    log.fill();
    log.bytes.extend(MARK);
    log.fill();
    log.bytes
}

struct Log {
    shape: Shape,
    bytes: Vec<u8>,
}

impl Log {
    /// Bytes that are left of this erase block; of one that begins, those behind its marker.
    fn left(&mut self) -> usize {
        let size = self.shape.erase_size;
        if self.bytes.len().is_multiple_of(size) {
            let mut marker = self.node(OF_CLEANMARKER, HEADER);
            self.bytes.append(&mut marker);
        }
        size - self.bytes.len() % size
    }

    /// Up to the next erase block.
    fn fill(&mut self) {
        let end = self.bytes.len().next_multiple_of(self.shape.erase_size);
        self.bytes.resize(end, 0xff);
    }

    fn half(&self, value: u16) -> [u8; 2] {
        match self.shape.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    fn word(&self, value: u32) -> [u8; 4] {
        match self.shape.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    /// The header of a node of this type and length, with its CRC.
    fn node(&self, of: u16, length: usize) -> Vec<u8> {
        let mut node = [self.half(0x1985), self.half(of)].concat();
        node.extend(self.word(length as u32));
        self.sum(&mut node);
        node
    }

    /// Appends the CRC of all that is there.
    fn sum(&self, node: &mut Vec<u8>) {
        let sum = self.word(CRC.checksum(node));
        node.extend(sum);
    }

    fn words(&self, node: &mut Vec<u8>, values: &[u32]) {
        for value in values {
            node.extend(self.word(*value));
        }
    }

    /// Appends it. Nodes begin at multiples of four.
    fn put(&mut self, mut node: Vec<u8>) {
        node.resize(node.len().next_multiple_of(4), 0xff);
        self.bytes.append(&mut node);
    }

    fn dirent(&mut self, name: &[u8]) {
        self.left();
        let mut node = self.node(OF_DIRENT, DIRENT + name.len());
        // Parent, version, inode, time.
        self.words(&mut node, &[ROOT_INO, 1, INO, 0]);
        node.extend([name.len() as u8, DT_REG as u8, 0, 0]);
        self.sum(&mut node);
        let sum = self.word(CRC.checksum(name));
        node.extend(sum);
        node.extend(name);
        self.put(node);
    }

    fn inode(&mut self, content: &[u8], part: std::ops::Range<usize>, version: u32) {
        let data = &content[part.clone()];
        let mut node = self.node(OF_INODE, INODE + data.len());
        self.words(&mut node, &[INO, version, MODE]);
        // User and group; size of the file; three times; where these bytes are, how many packed and unpacked; how they are packed.
        let (size, length) = (content.len() as u32, data.len() as u32);
        self.words(&mut node, &[0, size, 0, 0, 0, part.start as u32, length, length, 0]);
        let covered = CRC.checksum(&node);
        self.words(&mut node, &[CRC.checksum(data), covered]);
        node.extend(data);
        self.put(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::store::Store;
    use crate::image::jffs2::recognise;

    #[test]
    fn it_is_whole_erase_blocks_of_nodes_with_right_sums_and_the_mark_in_the_last() {
        for order in [Order::Little, Order::Big] {
            for erase_size in [4096, 65536] {
                for length in [0, 1, 4028, 4096, 65_300, 70_001] {
                    let content: Vec<u8> = (0..length).map(|i| (i * 7 + i / 251) as u8).collect();
                    let bytes = with_file(Shape { order, erase_size }, "sysupgrade.tgz", &content);
                    assert_eq!(bytes.len() % erase_size, 0);
                    let (nodes, mark) = bytes.split_at(bytes.len() - erase_size);
                    assert!(mark.starts_with(&MARK) && mark[4..].iter().all(|byte| *byte == 0xff));
                    let store = Store::Memory(nodes.to_vec());
                    let found = recognise(&store, &(0..store.len())).ok().flatten();
                    let found = found.expect("a jffs2");
                    assert_eq!((found.order, found.doubt, found.problem), (Some(order), None, None));
                }
            }
        }
    }

    /// With two erase blocks of nodes, the name stands in the second alone, wherever the content ends.
    #[test]
    fn the_name_is_the_last_that_is_written() {
        for length in 8000..8200 {
            let (order, erase_size) = (Order::Big, 8192);
            let bytes = with_file(Shape { order, erase_size }, "sysupgrade.tgz", &vec![b'-'; length]);
            let names: Vec<usize> = (0..bytes.len() - 14)
                .filter(|at| bytes[*at..].starts_with(b"sysupgrade.tgz"))
                .collect();
            assert_eq!(names.len(), 1, "{length}");
            assert!(names[0] > bytes.len() - 2 * erase_size, "{length}");
            assert!(!bytes[names[0]..].contains(&b'-'), "{length}");
        }
    }

    #[test]
    fn erase_blocks_that_no_jffs2_has_give_nothing() {
        let order = Order::Little;
        assert!(with_file(Shape { order, erase_size: 512 }, "x", b"x").is_empty());
    }
}
