//! Protects what no profile describes by what its name says.

#![forbid(unsafe_code)]

use super::profile::{Profile, Protection};
use super::{Partition, linux, names};
use mtd_rs::{Access, Map, Place};

/// Bytes from the start of a partition that tell what is in it: as far as `ustar` in the header of a tar.
const HEAD: usize = 512;

/// Bytes of the largest boot loader that is called `boot`: those of Cavium's Octeon have 3 MiB, with what they keep beside.
const LOADER: u64 = 4 << 20;

/// Gives every partition that neither the profile nor a suspect names the protection that its name asks for; a volume that of
/// its own name, where the partition below has none.
pub(super) fn protect(profile: &Profile, suspects: &[Profile], map: &Map, partitions: &mut [Partition]) {
    let described = |partition: &Partition| {
        !profile.is_generic() && profile.partition(&partition.name).is_some()
            || suspects
                .iter()
                .any(|suspect| suspect.partition(&partition.name).is_some())
    };
    let short = |partition: &Partition| match &partition.volume {
        Some(info) => info.name.clone(),
        None => partition.name.clone(),
    };
    let all: Vec<String> = partitions.iter().map(short).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for (index, keep) in names::protections(&all).into_iter().enumerate() {
        let partition = &mut partitions[index];
        let asked = keep.filter(|_| partition.keep.is_none() && !described(partition));
        if asked.is_some() && !(names::is_only_config(all[index]) && is_file_system(partition)) {
            partition.keep = asked;
        }
    }
    // `boot` is a kernel mostly where something else is called like a boot loader. Else it is one, if it may be where processors
    // begin to read (`boot` of Broadcom's and TP-Link's, `BOOT` of Gemini's, `boot0` and `boot1` of Ubiquiti's Octeons).
    if partitions.iter().any(|it| it.keep == Some(Protection::Bootloader)) {
        return;
    }
    let boots = |it: &Partition| it.volume.is_none() && names::is_boot(&it.name) && it.geometry.size <= LOADER;
    let begins = |it: &Partition| match map.place(it.id) {
        Place::Known(extents) => extents.first().is_some_and(|first| first.range.start == 0),
        _ => true,
    };
    if partitions.iter().any(|it| boots(it) && begins(it)) {
        for partition in partitions
            .iter_mut()
            .filter(|it| boots(it) && it.keep.is_none() && !described(it))
        {
            partition.keep = Some(Protection::Bootloader);
        }
    }
}

/// Whether a partition that is called `config` is blank, or has a file system or kept files of the user's: then it is no
/// settings of the vendor's. What cannot be read may be any.
fn is_file_system(partition: &Partition) -> bool {
    let mut head = [0; HEAD];
    let read = linux::open(partition, Access::ReadOnly)
        .and_then(|mut flash| flash.read(0, &mut head).map_err(super::linux::gone));
    // The magic numbers of fs/jffs2 (in either byte order), of UBI, squashfs and cramfs, and of a tar.
    let magic: [&[u8]; 6] = [
        &[0x85, 0x19],
        &[0x19, 0x85],
        b"UBI#",
        b"hsqs",
        b"sqsh",
        &[0x45, 0x3d, 0xcd, 0x28],
    ];
    read.is_ok()
        && (head.iter().all(|byte| *byte == 0xff)
            || magic.iter().any(|magic| head.starts_with(magic))
            || head[257..].starts_with(b"ustar"))
}
