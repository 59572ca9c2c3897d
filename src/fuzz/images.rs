//! Images of every kind. Where a checksum stands in front of what is read, it is put right behind each change, so that it hides
//! nothing.

use super::eaten::Eaten;
use crate::base::checksum::CRC32;
use crate::bytes::packed::{self, Codec, Packed};
use crate::bytes::store::Store;
use crate::bytes::{tar, tar_entries};
use crate::image::signature::Keyring;
use crate::image::{self, Reading, backup, content, device_tree, fwtool, jffs2, pat, qpkg};
use std::sync::Arc;

fn memory(bytes: &[u8]) -> Store<'static> {
    Store::Memory(bytes.to_vec())
}

/// All that is done with the bytes of an image before its plan.
pub fn open(bytes: &[u8]) {
    let reading = Reading {
        room: 1 << 20,
        ..Reading::default()
    };
    if let Ok((store, image)) = image::open(memory(bytes), String::new(), &reading) {
        assert!(
            image
                .parts
                .iter()
                .all(|part| image.problem.is_some() || part.range().end <= store.len())
        );
    }
}

/// What the bytes are.
pub fn look(bytes: &[u8]) {
    let store = memory(bytes);
    if let Ok(Some(content)) = content::look(&store, 0..store.len()) {
        assert!(!content.title.contains(char::is_control));
        assert!(content.length <= store.len() || content.problem.is_some());
    }
}

/// A uImage with a header and data whose CRCs are right.
pub fn uimage(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 64 {
        let length = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) as usize;
        if let Some(data) = bytes.get(64..64usize.saturating_add(length)) {
            let sum = CRC32.checksum(data).to_be_bytes();
            bytes[24..28].copy_from_slice(&sum);
        }
        bytes[4..8].fill(0);
        let sum = CRC32.checksum(&bytes[..64]).to_be_bytes();
        bytes[4..8].copy_from_slice(&sum);
    }
    look(&bytes);
}

/// A UBI whose headers and volume tables have the right CRCs. Erase blocks are of 4 KiB, as in the seeds.
pub fn ubi(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    let seal = |bytes: &mut [u8], length: usize| {
        if let Some(record) = bytes.get_mut(..length) {
            let sum = fwtool::CRC.checksum(&record[..length - 4]);
            record[length - 4..].copy_from_slice(&sum.to_be_bytes());
        }
    };
    for block in bytes.chunks_mut(4096) {
        if !block.starts_with(b"UBI#") || block.len() < 64 {
            continue;
        }
        seal(block, 64);
        let at = |at: usize| u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]) as usize;
        let (header, data) = (at(16), at(20));
        let mut table = false;
        if let Some(header) = block
            .get_mut(header..)
            .filter(|header| header.starts_with(b"UBI!") && header.len() >= 64)
        {
            table = header[8..12] == [0x7f, 0xff, 0xef, 0xff];
            seal(header, 64);
        }
        if let Some(data) = block.get_mut(data..).filter(|_| table) {
            data.chunks_mut(172).for_each(|record| seal(record, 172));
        }
    }
    look(&bytes);
}

/// A JFFS2 whose nodes have the right CRCs.
pub fn jffs2(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(node) = bytes.get_mut(at..).filter(|node| node.len() >= 12) {
        if node[..2] == [0x85, 0x19] {
            let sum = jffs2::CRC.checksum(&node[..8]).to_le_bytes();
            node[8..12].copy_from_slice(&sum);
            let length = u32::from_le_bytes([node[4], node[5], node[6], node[7]]) as usize;
            let (kind, all) = ([node[2], node[3]], length.min(node.len()));
            match kind {
                [2, 0xe0] if all >= 68 => {
                    let data = jffs2::CRC.checksum(&node[68..all]).to_le_bytes();
                    node[60..64].copy_from_slice(&data);
                    let sum = jffs2::CRC.checksum(&node[..60]).to_le_bytes();
                    node[64..68].copy_from_slice(&sum);
                }
                [1, 0xe0] if all >= 40 => {
                    let name = jffs2::CRC.checksum(&node[40..all]).to_le_bytes();
                    node[36..40].copy_from_slice(&name);
                    let sum = jffs2::CRC.checksum(&node[..32]).to_le_bytes();
                    node[32..36].copy_from_slice(&sum);
                }
                _ => (),
            }
            at += all.max(4).next_multiple_of(4);
        } else {
            at += 4;
        }
    }
    look(&bytes);
}

/// A device tree, and a FIT, which is one.
pub fn fit(bytes: &[u8]) {
    look(bytes);
    let store = memory(bytes);
    let _ = device_tree::made_for(&store, &(0..store.len()));
}

/// Everything that something can be packed with, all of it and only its beginning, from the front and with looks back.
pub fn packings(bytes: &[u8]) {
    let Some(codec) = Codec::recognise(bytes) else {
        return;
    };
    const ROOM: u64 = 1 << 20;
    let store = Arc::new(memory(bytes));
    let mut head = [0; 600];
    let peeked = packed::peek(&store, &(0..store.len()), codec, &mut head);
    let _ = packed::first_end(&store, &(0..store.len()), codec, &mut |_| Ok(()))
        .map(|end| assert!(end <= Some(store.len())));
    let Ok(packed) = Packed::open(Arc::clone(&store), codec, store.len(), ROOM) else {
        return;
    };
    let length = packed.packing.length;
    assert!(length <= ROOM);
    let store = Store::Packed(packed);
    assert_eq!(store.len(), length);
    let mut first = vec![0; length.min(600) as usize];
    store.read_exact_at(0, &mut first).unwrap();
    assert_eq!(peeked.unwrap(), first.len());
    assert!(head.starts_with(&first));
    let mut sum = 0;
    store.scan(0..length, |chunk| sum += chunk.len() as u64).unwrap();
    assert_eq!(sum, length, "what is whole once is whole again");
}

/// An archive, as it is looked into and as kept files are unpacked from it.
pub fn tar(bytes: &[u8]) {
    let store = memory(bytes);
    if let Ok((members, links)) = tar::walk_with_links(&store, 0..store.len()) {
        assert!(members.iter().all(|member| member.data.end <= store.len()));
        assert!(members.len() + links.len() <= bytes.len() / 512);
    }
    let _ = tar_entries::Entries::new(&store, 0..store.len()).all(|entry| entry.is_ok());
}

/// Synology's archive and its list, and the list of a backup.
pub fn pat(bytes: &[u8]) {
    let store = memory(bytes);
    let _ = pat::is_encrypted(&store, &(0..store.len()));
    if let Ok(Some(pat)) = pat::Pat::open(&store, 0..store.len())
        && let Ok(members) = tar::walk(&store, 0..store.len())
    {
        for member in members {
            let _ = pat.problem(&store, &member);
        }
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(lines) = pat::parse_checksum_syno(&text) {
        let again = pat::format_checksum_syno(&lines);
        assert!(
            pat::parse_checksum_syno(&again).is_ok_and(|again| again == lines),
            "{text:?}"
        );
    }
    let _ = backup::listing(bytes).count();
}

/// A package of QNAP's, alone or in a zip.
pub fn qpkg(bytes: &[u8]) {
    let store = memory(bytes);
    let _ = qpkg::Outline::of(&store);
    let _ = crate::host::qpkg::fuzz(&store);
}

/// The trailers of OpenWrt's images; the last one's checksum is right.
pub fn trailers(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if let Some(at) = bytes.len().checked_sub(16) {
        let sum = fwtool::CRC.checksum(&bytes[..at]);
        bytes[at..at + 4].copy_from_slice(b"FWx0");
        bytes[at + 4..at + 8].copy_from_slice(&sum.to_be_bytes());
    }
    let _ = fwtool::strip(&memory(&bytes));
    let signed = Keyring::default().trailer(&memory(&bytes));
    assert!(!matches!(signed, Ok(Some(Ok(_)))), "without keys nothing is right");
}

/// What the settings of a box become for its new firmware: any bytes under any name.
pub fn settings(bytes: &[u8]) {
    let mut input = Eaten(bytes);
    crate::keep::fuzz(input.number(1) as u8, input.0);
}
