//! Whether the planned writes are right for this box, one named check after the other.

#![forbid(unsafe_code)]

use crate::base::error::Exit;
use crate::base::machine::Role;
use crate::base::units::Grouped;
use crate::board::profile::Keep;
use crate::board::{Board, Partition};
use crate::checks::{bad_blocks, ecc};
use crate::image::content::{Content, ContentFormat};
use crate::image::known;
use crate::plan::{Check, Write};

/// Judges the writes. `contents` is what the image's bytes are at the start of each of them; `dump` says that they are one
/// run of bytes that was read from a chip across partitions.
pub fn judge(board: &Board, writes: &mut [Write], contents: &[Option<Content>], dump: bool) -> Vec<Check> {
    let mut checks = Vec::new();
    for (write, content) in writes.iter_mut().zip(contents) {
        let Ok(partition) = board.partition(&format!("mtd{}", write.mtd)) else {
            continue;
        };
        checks.extend(partition_checks(partition));
        if let Some(content) = content {
            // The boot loader checks these two before it starts them.
            write.boot = matches!(content.role, Role::Kernel | Role::Ramdisk) && !write.whole;
            write.leave_blank = matches!(content.format, ContentFormat::Jffs2 | ContentFormat::Ubi);
            write.blank_rest = matches!(content.format, ContentFormat::Jffs2 | ContentFormat::Ubifs) && !write.whole;
            write.ubi = content.ubi.filter(|_| is_whole_ubi(write, partition, content));
            write.erase_blocks = write.blocks(&partition.geometry).count() as u64;
            checks.extend(content_checks(board, partition, content));
            checks.extend(place_of_ubifs(board, partition, content));
            if write.blank_rest && write.length < partition.capacity() {
                checks.push(blank_rest(partition, content));
            }
        }
        checks.extend(bad_blocks::checks(partition, write, content.as_ref(), dump));
    }
    checks.extend(overlaps(board, writes));
    checks
}

/// Whether the bytes can be written as an UBI. What is forced although it cannot be right is written as it is.
fn is_whole_ubi(write: &Write, partition: &Partition, content: &Content) -> bool {
    let geometry = &partition.geometry;
    content.problem.is_none()
        && content.erase_size == Some(geometry.erase_size)
        && content.length == write.length
        && geometry.regions.is_empty()
}

fn partition_checks(partition: &Partition) -> Vec<Check> {
    let label = partition.label();
    let mut checks = Vec::new();
    let [kernel, loader] = &known::FILES;
    let remark = partition.volume.as_ref().and_then(|volume| volume.remark());
    checks.push(match (partition.writable, remark) {
        (true, Some(remark)) => Check::warn("writable", format!("{label} {remark}")),
        (true, None) => Check::pass("writable", format!("{label} can be written")),
        (false, _) => Check::fail(
            "writable",
            format!("{label} is read-only: the kernel lets nobody write it"),
            match partition.keep {
                // The two steps by which QNAP itself replaces a protected boot loader ("Recovery mode of the QNAP
                // TS-109", for boxes that are not initialised).
                Some(Keep::Bootloader) => format!(
                    "the running kernel protects the boot loader, so another kernel comes first: apply one that does \
                     not (QNAP's SystemRecovery package has it as uImage, cksum {} {}), reboot, then apply u-boot.bin \
                     (cksum {} {}) with --part; flasher inspect knows both files",
                    kernel.cksum, kernel.size, loader.cksum, loader.size
                ),
                _ => "only another kernel or device tree can open it".to_owned(),
            },
        ),
    });
    checks.push(match partition.is_aligned() {
        true => Check::pass("aligned", format!("{label} begins and ends with erase blocks")),
        false => Check::fail(
            "aligned",
            format!(
                "{label} does not begin or end with an erase block of {} bytes: a neighbour would be erased with it",
                Grouped(partition.geometry.erase_size.into())
            ),
            "the partition table has to be mended first",
        ),
    });
    if let Some(keep) = partition.keep {
        checks.push(
            Check::fail(
                keep.check(),
                format!("{label} holds {}", keep.explain()),
                format!("leave it out, or after a backup --force={}", keep.check()),
            )
            .forceable(),
        );
    }
    checks.extend(ecc::since_boot(partition));
    checks
}

fn content_checks(board: &Board, partition: &Partition, content: &Content) -> Vec<Check> {
    let label = partition.label();
    let name = content.format.as_str();
    let mut checks = Vec::new();
    checks.push(match &content.problem {
        None => Check::pass(
            "content",
            format!("{label} gets a {name} {}", content.title).trim_end().to_owned(),
        ),
        Some(problem) => Check::fail(
            "content",
            format!("what {label} would get is damaged: {problem}"),
            "get the image again; --force=content if you know better",
        )
        .forceable()
        .exit(Exit::ImageBad),
    });
    let room = partition.capacity();
    if content.length > room && content.problem.is_none() {
        checks.push(Check::fail(
            "size",
            format!(
                "the {name} for {label} has {} bytes and the partition {}: {} bytes too many",
                Grouped(content.length),
                Grouped(room),
                Grouped(content.length - room)
            ),
            "use a smaller one",
        ));
    }
    // Of a UBIFS only a volume can have the right ones.
    let blocks = content
        .erase_size
        .filter(|_| content.format != ContentFormat::Ubifs || partition.volume.is_some());
    if let Some(made_for) = blocks.filter(|size| *size != partition.geometry.erase_size) {
        checks.push(
            Check::fail(
                "content",
                format!(
                    "the {name} is made for erase blocks of {} bytes, {label} has {}",
                    Grouped(made_for.into()),
                    Grouped(partition.geometry.erase_size.into())
                ),
                match content.format {
                    ContentFormat::Ubifs => {
                        "make it with mkfs.ubifs -e for this volume; --force=content if you know better"
                    }
                    _ => "make it with ubinize -p for this flash; --force=content if you know better",
                },
            )
            .forceable(),
        );
    }
    if let Some(foreign) = board.cpu().and_then(|cpu| content.foreign_to(cpu)) {
        checks.push(
            Check::fail(
                "cpu",
                format!("{label}: {foreign}"),
                "get the image for this box; --force=cpu if you know better",
            )
            .forceable(),
        );
    }
    checks
}

/// JFFS2 looks at all of its partition when it is mounted, and old nodes with higher versions would win over those of the
/// image (`jffs2_scan_medium` in `fs/jffs2/scan.c`); UBIFS takes the erase blocks behind its own for free ones.
fn blank_rest(partition: &Partition, content: &Content) -> Check {
    Check::warn(
        "content",
        format!(
            "all of {} is made blank behind the {}, which would take what it finds there for a part of itself",
            partition.label(),
            content.format.as_str()
        ),
    )
}

/// A UBIFS lies in a volume of UBI, whose pages are those that it was made for (`validate_sb` in `fs/ubifs/sb.c`).
fn place_of_ubifs(board: &Board, partition: &Partition, content: &Content) -> Option<Check> {
    let made_for = content.page_size.filter(|_| content.format == ContentFormat::Ubifs)?;
    let label = partition.label();
    let (what, remedy) = match &partition.volume {
        // UBIFS itself writes 8 bytes at least.
        Some(_) if made_for == partition.geometry.write_size.max(8) => return None,
        Some(_) => (
            format!(
                "the ubifs is made for pages of {made_for} bytes, {label} has {}",
                partition.geometry.write_size
            ),
            "make it with mkfs.ubifs -m for this volume".to_owned(),
        ),
        None => {
            let volumes = board.partitions.iter().filter(|volume| volume.is_on(partition));
            let volumes: Vec<_> = volumes.map(|volume| volume.name.as_str()).collect();
            let remedy = match volumes.is_empty() {
                false => format!("--part with one of its volumes: {}", volumes.join(" ")),
                true => format!(
                    "if there is a UBI on it, ubiattach -m {} and --part ubiN:NAME; if not, ubinize makes an image of the \
                     ubifs that can be written here",
                    partition.mtd
                ),
            };
            (format!("a ubifs lies in a volume of UBI, and {label} is none"), remedy)
        }
    };
    Some(Check::fail("content", what, format!("{remedy}; --force=content if you know better")).forceable())
}

/// No byte of the chip may be planned twice.
fn overlaps(board: &Board, writes: &[Write]) -> Option<Check> {
    let find = |write: &Write| board.partitions.iter().find(|p| p.mtd == write.mtd);
    writes.iter().enumerate().find_map(|(index, write)| {
        let one = find(write)?;
        let other = writes[..index].iter().filter_map(find).find(|other| {
            let known =
                other.chip_offset.is_some() && one.chip_offset.is_some() || one.is_on(other) || other.is_on(one);
            other.mtd == one.mtd || known && one.overlaps(other)
        })?;
        Some(Check::fail(
            "overlap",
            format!("{} and {} share bytes of the chip", other.label(), one.label()),
            "name only one of them",
        ))
    })
}
