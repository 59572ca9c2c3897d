//! Where the environment lies: lines as in `/etc/fw_env.config`, which a profile has too.
//!
//! Whatever `fw_printenv` reads is read. What the boot loader would not find again, or a power cut would lose, is only read: the
//! place says why.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::files;
use crate::base::quoted::Shown;
use crate::board::{Backend, Board, Partition};
use crate::env::line::{self, Line};
use mtd_rs::{Area, Overlap, PartitionId};
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The file of `fw_printenv`.
const FW_ENV_CONFIG: &str = "/etc/fw_env.config";
/// The largest copy: what lies about its size must not fill the memory.
pub const LARGEST: u64 = 1 << 20;
/// Where udev and OpenWrt make links to partitions by their names.
const BY_NAME: &str = "/by-name/";

/// What a copy lies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A partition or volume of the box.
    Flash(PartitionId),
    /// A file, or a block device that is not flash of ours; only read.
    File(PathBuf),
}

/// Where one copy lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// What it lies on.
    pub medium: Medium,
    /// Where it begins, in bytes; from the end where negative, which only a file can be.
    pub offset: i64,
    /// Bytes, header included.
    pub size: u64,
    /// The erase blocks that it may use, in bytes of the partition; none of a file.
    pub blocks: Range<u64>,
    /// How many erase blocks the file says there are for it, which on NAND is how many bad ones may be passed over, and one more.
    pub sectors: u64,
}

/// Where the copies lie: one, or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The copies.
    pub spots: Vec<Spot>,
    /// Why it is only read, if that is so.
    pub only_read: Option<String>,
}

/// What the file says.
const LINES: &str = "its lines say DEVICE OFFSET SIZE, for each copy as the boot loader has it: flasher env --help";

fn refused(what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Refused, Code::Environment, what).hint(LINES)
}

impl Place {
    /// Finds it: the file that was named, the board's profile, or `/etc/fw_env.config` of the box that we run on.
    ///
    /// # Errors
    /// [`Exit::Unsupported`] where nothing says it, and as [`Place::known`].
    pub fn find(board: &Board, file: Option<&Path>) -> Result<Place> {
        Place::known(board, file)?.ok_or_else(|| {
            Failure::new(
                Exit::Unsupported,
                Code::Environment,
                "nothing says where the boot loader's environment lies",
            )
            .hint("--env-config FILE, with lines as in /etc/fw_env.config: DEVICE OFFSET SIZE")
        })
    }

    /// The same, `None` where nothing says it.
    ///
    /// # Errors
    /// [`Exit::Usage`] for a file that was named and cannot be read, [`Exit::Unsupported`] for the box's own; [`Exit::Refused`] for
    /// lines that cannot be true of this box.
    pub fn known(board: &Board, file: Option<&Path>) -> Result<Option<Place>> {
        let read = |path: &Path| {
            files::read(path, files::TEXT).map_err(|error| {
                let what = format!("where the boot loader's environment lies cannot be read: {error}");
                let failure = match file {
                    Some(_) => files::unread(&error, what),
                    None => Failure::new(Exit::Unsupported, Code::Environment, what),
                };
                failure.hint(files::remedy(&error, LINES))
            })
        };
        let text = match (file, &board.backend) {
            (Some(file), _) => read(file)?,
            (None, _) if !board.profile.environment.is_empty() => board.profile.environment.join("\n").into_bytes(),
            (None, Backend::Linux) if !files::is_absent(Path::new(FW_ENV_CONFIG)) => read(Path::new(FW_ENV_CONFIG))?,
            _ => return Ok(None),
        };
        Place::parse(board, &text).map(Some)
    }

    fn parse(board: &Board, text: &[u8]) -> Result<Place> {
        let mut only_read = None;
        let mut spots = line::lines(text)
            .map(|line| {
                spot(board, &line, &mut only_read).map_err(|what| {
                    let device = String::from_utf8_lossy(line.device);
                    refused(format_args!("{}: {what}", Shown(&device)))
                })
            })
            .collect::<Result<Vec<_>>>()?;
        if spots.len() > 2 {
            // As `fw_printenv` does.
            only_read = Some(format!(
                "there are lines for {} copies, of which the first two count",
                spots.len()
            ));
            spots.truncate(2);
        }
        match spots.as_slice() {
            // Newer versions of libubootenv take it as well.
            [] if text
                .split(|byte| *byte == b'\n')
                .any(|line| line.trim_ascii().starts_with(b"devices")) =>
            {
                return Err(refused("this is YAML, which is not read"));
            }
            [] => return Err(refused("no line says DEVICE OFFSET SIZE")),
            [one, two] if one.size != two.size => return Err(refused("the two copies differ in size")),
            // Erasing the old copy would take the one that is valid with it.
            [one, two] if shared(board, one, two) => {
                only_read
                    .get_or_insert("the two copies share erase blocks, so that a power cut would lose both".into());
            }
            _ => (),
        }
        Ok(Place { spots, only_read })
    }

    /// Whether there are two copies.
    pub fn redundant(&self) -> bool {
        self.spots.len() > 1
    }

    /// Bytes of a copy's header.
    pub fn header(&self) -> usize {
        if self.redundant() { 5 } else { 4 }
    }
}

fn shared(board: &Board, one: &Spot, two: &Spot) -> bool {
    match (one.area(), two.area()) {
        (Some(one), Some(two)) => board.map.overlap(&one, &two) != Overlap::No,
        _ => false,
    }
}

impl Spot {
    /// The flash that it may use; `None` of a copy that is in a file.
    pub fn area(&self) -> Option<Area> {
        match self.medium {
            Medium::Flash(id) => Some(Area {
                id,
                range: self.blocks.clone(),
            }),
            Medium::File(_) => None,
        }
    }

    /// Its partition.
    ///
    /// # Errors
    /// A box that changed meanwhile, and a copy that is in a file.
    pub fn of<'b>(&self, board: &'b Board) -> Result<&'b Partition> {
        match &self.medium {
            Medium::Flash(id) => board
                .get(*id)
                .ok_or_else(|| Failure::system(format_args!("{id} is not there any more"))),
            Medium::File(path) => Err(refused(format_args!("{} is not flash", path.display()))),
        }
    }

    /// The good blocks that it can use, ascending. A copy begins with the first of them (`readenv` in U-Boot's
    /// `env/nand.c` passes over bad ones).
    pub fn good_blocks<'p>(&self, partition: &'p Partition) -> impl Iterator<Item = Range<u64>> + use<'p> {
        let all = self.blocks.clone();
        partition
            .good_blocks()
            .filter(move |block| all.start <= block.start && block.end <= all.end)
    }

    /// Bytes before the copy in its first block.
    pub fn lead(&self) -> u64 {
        match self.medium {
            Medium::Flash(_) => self.offset.unsigned_abs().saturating_sub(self.blocks.start),
            Medium::File(_) => 0,
        }
    }
}

/// What `DEVICE` means: a partition, by its name, its node or a link to that; else a file or a device that is not flash.
fn medium(board: &Board, device: &[u8]) -> std::result::Result<Medium, String> {
    let text = String::from_utf8_lossy(device);
    let path = Path::new(OsStr::from_bytes(device));
    let error = match board.device(path) {
        Ok(partition) => return Ok(Medium::Flash(partition.id)),
        Err(error) => error,
    };
    // `/dev/mtd3:env` is the volume of the UBI that is attached to it.
    if let Some((mtd, volume)) = text.split_once(':')
        && let Ok(below) = board.partition(mtd)
    {
        let is_it = |partition: &&Partition| {
            partition.volume.as_ref().is_some_and(|info| info.name == volume) && board.is_on(partition, below)
        };
        let volume = board.partitions.iter().find(is_it);
        return volume
            .map(|volume| Medium::Flash(volume.id))
            .ok_or_else(|| format!("there is no such volume: ubiattach -p {mtd} attaches its UBI"));
    }
    match path.exists() {
        // A link that this system does not make.
        false if path.is_absolute() && text.contains(BY_NAME) => {
            let name = text.rsplit('/').next().unwrap_or_default();
            board.partition(name).map(|partition| Medium::Flash(partition.id))
        }
        // Devices of the machine are none of a simulated box.
        true if path.is_absolute() && !(board.is_sim() && path.starts_with("/dev")) => {
            Ok(Medium::File(path.to_owned()))
        }
        _ => Err(error),
    }
}

fn spot(board: &Board, line: &Line<'_>, only_read: &mut Option<String>) -> std::result::Result<Spot, String> {
    let size = line.size;
    if !(16..=LARGEST).contains(&size) {
        return Err(format!("an environment of {size} bytes"));
    }
    let medium = medium(board, line.device)?;
    let mut spot = Spot {
        medium,
        offset: line.offset,
        size,
        blocks: 0..0,
        sectors: line.count.unwrap_or(1).max(1),
    };
    let mut reason = |why: String| {
        only_read.get_or_insert(why);
    };
    let Medium::Flash(id) = spot.medium else {
        let device = String::from_utf8_lossy(line.device);
        reason(format!(
            "{} is not flash, and flasher writes flash only: fw_setenv writes it",
            Shown(&device)
        ));
        return Ok(spot);
    };
    let partition = board.get(id).ok_or("it is not there any more")?;
    let geometry = &partition.geometry;
    // A volume begins with it (`env_ubi_load` in U-Boot's `env/ubi.c`); `fw_printenv` does not look at the offset.
    if partition.volume.is_some() && spot.offset != 0 {
        reason("a UBI volume begins with it, so its offset is 0".into());
        spot.offset = 0;
    }
    let offset = match u64::try_from(spot.offset) {
        Ok(offset) => offset,
        // As `fw_printenv` reads it on an mtdblock; of the character device it knows none (`check_device_config` in U-Boot's
        // `tools/env/fw_env.c`).
        Err(_) => {
            reason("its offset counts from the end".into());
            let from_end = geometry.size.checked_sub(spot.offset.unsigned_abs());
            from_end.ok_or_else(|| "an offset before its start".to_owned())?
        }
    };
    spot.offset = i64::try_from(offset).map_err(|_| "an offset behind its end".to_owned())?;
    // The sector size of the file may be wrong (openwrt/openwrt #10767): erase blocks are what the kernel says.
    let room = line
        .sector
        .unwrap_or(0)
        .saturating_mul(line.count.unwrap_or(0))
        .max(size);
    if offset.checked_add(size).is_none_or(|end| end > geometry.size) {
        return Err(format!("{} ends before the environment does", partition.label()));
    }
    let end = offset.saturating_add(room).min(geometry.size);
    let touched: Vec<_> = geometry
        .blocks()
        .filter(|block| block.end > offset && block.start < end)
        .collect();
    spot.blocks = match (touched.first(), touched.last()) {
        (Some(first), Some(last)) => first.start..last.end,
        _ => return Err(format!("{} has no such blocks", partition.label())),
    };
    if geometry.kind.is_nand() {
        let good: u64 = spot.good_blocks(partition).map(|block| block.end - block.start).sum();
        if spot.blocks.start != offset {
            reason("on NAND it begins with an erase block".into());
            // Nothing of it is written, so nothing stands before it.
            spot.blocks.start = offset;
        } else if good < size {
            reason(format!("{} has too many bad blocks for it", partition.label()));
        }
    }
    Ok(spot)
}
