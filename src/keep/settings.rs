//! The settings of an OpenWrt box, handed to the new firmware as its `sysupgrade` hands them over: packed as `sysupgrade.tgz`,
//! where the new firmware looks for it at its first boot. Decides and measures; touches nothing.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::machine::Order;
use crate::base::quoted::Shown;
use crate::base::units::Grouped;
use crate::bytes::gzip_write::GzipWriter;
use crate::keep::behind::{self, Fate, Spot};
use crate::keep::check::{Answer, Asked, Checked, NOTHING, kernel_has, refuse, refused, warn};
use crate::keep::jffs2::{Shape, with_file};
use crate::keep::openwrt::{self, Is, Settings};
use crate::keep::room::in_ram;
use crate::keep::{Filesystem, tar};
use crate::plan::{Check, Form, KeptFile, KeptFiles, Method, Rest, Write};
use std::io::{self, ErrorKind};

/// What the new firmware takes them from.
pub const ARCHIVE: &str = "sysupgrade.tgz";
/// What to do where they cannot be kept.
const REMEDY: &str = "add --no-keep to go on without the settings, or --keep-to FS:WHERE for a place of your own";

/// Bytes that deflate makes of one at the most.
const DENSEST: u64 = 1032;

/// What to do where there is no room for them.
const LESS: &str = "keep less: /etc/sysupgrade.conf and /lib/upgrade/keep.d name what is kept";

/// Packs the files into this many bytes at the most. They are packed in memory, which has to hold what else runs.
///
/// # Errors
/// A file that cannot be read or is not what was found, by its name; [`io::ErrorKind::FileTooLarge`] for more bytes.
pub fn pack(files: &[KeptFile], most: u64) -> io::Result<Vec<u8>> {
    let bytes = files.iter().map(|file| file.size).fold(0, u64::saturating_add);
    if bytes / DENSEST > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut packed = Bounded(Vec::new(), most);
    let mut gzip = GzipWriter::new(&mut packed)?;
    for file in files {
        tar::append(file, &mut gzip)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", Shown(&file.path))))?;
    }
    tar::end(&mut gzip)?;
    gzip.finish()?;
    Ok(packed.0)
}

/// Bytes, and how many there may be.
struct Bounded(Vec<u8>, u64);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (self.0.len() + bytes.len()) as u64 > self.1 {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => self.0.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The packed files as they are put into the new firmware.
pub fn shaped(form: Form, packed: Vec<u8>) -> Vec<u8> {
    match form {
        Form::Jffs2 { big_endian, erase_size } => {
            let order = if big_endian { Order::Big } else { Order::Little };
            let erase_size = erase_size as usize;
            with_file(Shape { order, erase_size }, ARCHIVE, &packed)
        }
        Form::Files | Form::Archive => packed,
    }
}

/// Looks whether the box is OpenWrt's and what becomes of its settings.
pub fn settings(asked: &Asked<'_>) -> Answer {
    decide(asked).unwrap_or_else(|check| Answer::Settled(None, Some(check.forced(asked.force, NOTHING))))
}

fn decide(asked: &Asked<'_>) -> Checked<Answer> {
    let unread = |error: io::Error| refuse(error.to_string(), REMEDY);
    let is = openwrt::recognise(asked.root).map_err(unread)?;
    if is == Is::Other {
        return Ok(Answer::Other(None));
    }
    let fate = behind::fate(asked).map_err(unread)?;
    let remark = |text: &str| Ok(Answer::Other(Some(Check::warn(CheckId::Keep, text))));
    match (is, fate) {
        (_, Fate::Stay) => Ok(Answer::Other(None)),
        (_, Fate::Lost(_) | Fate::Handed(_)) if asked.request.nothing => {
            remark("the settings of this OpenWrt are not kept, as asked for")
        }
        (_, Fate::Replaced) => remark("the settings of this OpenWrt are not kept: what is written has its own"),
        (Is::NameOnly, _) => remark(
            "the settings are not kept: /etc/openwrt_release says that this is OpenWrt, but there is no /lib/upgrade",
        ),
        (_, Fate::Lost(why)) => refused(format!("the settings of this OpenWrt cannot be kept: {why}"), REMEDY),
        (_, Fate::Handed(spot)) => {
            let found = openwrt::settings(asked.root, asked.request).map_err(unread)?;
            if found.files.is_empty() {
                return remark("this OpenWrt has no settings that its lists name");
            }
            let (kept, check) = handed(asked, &spot, found)?;
            Ok(Answer::Settled(Some(Box::new(kept)), Some(check)))
        }
    }
}

/// What is kept where, and that there is room.
fn handed(asked: &Asked<'_>, spot: &Spot, found: Settings) -> Checked<(KeptFiles, Check)> {
    let (Spot::Flash { room, .. } | Spot::Volume { room, .. }) = spot;
    let most = asked.ram.available.saturating_sub(asked.ram.needed).min(*room);
    let packed = pack(&found.files, most).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => refuse(
            format!(
                "the settings are packed, and longer than where there is room for: {} bytes",
                Grouped(most)
            ),
            LESS,
        ),
        _ => refuse(
            format!("the settings cannot be read: {error}"),
            "mend it, or leave it out of the lists",
        ),
    })?;
    let length = packed.len() as u64;
    let mut kept = match spot {
        Spot::Flash { .. } => flash(asked, spot, packed)?,
        Spot::Volume { name, .. } => {
            if !kernel_has(Filesystem::Ubifs.as_str()) {
                return refused(
                    format!("the settings go to ubifs:{name}, and the kernel knows no ubifs"),
                    REMEDY,
                );
            }
            volume(name, length)
        }
    };
    if kept.bytes > *room {
        return refused(
            format!(
                "the settings need {} bytes in {}, where there is room for {}",
                Grouped(kept.bytes),
                kept.to,
                Grouped(*room)
            ),
            LESS,
        );
    }
    // Packed in memory first, and then as they are written.
    in_ram(asked, kept.bytes + length)?;
    kept.files = found.files;
    let mut check = Check::pass(
        CheckId::Keep,
        format!(
            "the settings of this OpenWrt, {}, go to {}, where {} are free",
            kept.summary(),
            kept.to,
            Grouped(*room)
        ),
    );
    warn(&mut check, &found.losses);
    if !found.hooks.is_empty() {
        let more = format!(
            "; {} may name more when sysupgrade runs it, which is not known here: name that with --keep",
            found.hooks.join(", ")
        );
        warn(&mut check, &more);
    }
    Ok((kept, check))
}

fn volume(name: &str, bytes: u64) -> KeptFiles {
    KeptFiles {
        to: format!("{}:{name}", Filesystem::Ubifs),
        source: name.to_owned(),
        bytes,
        form: Form::Archive,
        files: Vec::new(),
        write: None,
    }
}

/// As a write of its own behind the root.
fn flash(asked: &Asked<'_>, spot: &Spot, packed: Vec<u8>) -> Checked<KeptFiles> {
    let board = asked.board;
    let (partition, at) = match spot {
        Spot::Flash { on, at, .. } => (board.get(*on), *at),
        Spot::Volume { .. } => (None, 0),
    };
    let (Some(partition), Some(cpu)) = (partition, board.cpu()) else {
        return refused(
            "the settings go into a jffs2, and nothing says in which byte order this box has its own",
            "--board FILE with a cpu says it; add --no-keep to go on without the settings",
        );
    };
    let form = Form::Jffs2 {
        big_endian: cpu.order == Order::Big,
        erase_size: partition.geometry.erase_size,
    };
    let bytes = shaped(form, packed).len() as u64;
    if bytes == 0 {
        return refused("the erase blocks are too short for a jffs2", REMEDY);
    }
    let write = Write::new(partition.into(), &partition.geometry, at, 0..bytes).by(
        // JFFS2 programs the rest of its blocks later.
        Method::Blocks {
            leave_blank: true,
            rest: Rest::Keep,
        },
        &partition.geometry,
    );
    Ok(KeptFiles {
        to: format!("{} at 0x{at:x}, behind the new root", partition.label()),
        source: partition.id.to_string(),
        bytes,
        form,
        files: Vec::new(),
        write: Some(write),
    })
}
