//! Where the environment lies: lines as in `/etc/fw_env.config`, which a profile has too.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::quoted::Quoted;
use crate::board::{Backend, Board, Partition};
use mtd_rs::{Area, Overlap, PartitionId};
use std::ops::Range;
use std::path::Path;

/// The file of `fw_printenv`.
const FW_ENV_CONFIG: &str = "/etc/fw_env.config";
/// The largest copy: what lies about its size must not fill the memory.
const LARGEST: u64 = 1 << 20;

/// Where one copy lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Its partition.
    pub partition: PartitionId,
    /// Where in the partition it begins, in bytes.
    pub offset: u64,
    /// Bytes, header included.
    pub size: u64,
    /// The erase blocks that it may use, in bytes of the partition.
    pub blocks: Range<u64>,
}

/// Where the copies lie: one, or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The copies.
    pub spots: Vec<Spot>,
}

fn refused(what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Refused, Code::Environment, what)
}

impl Place {
    /// Finds it: the file that was named, the board's profile, or `/etc/fw_env.config` of the box that we run on.
    ///
    /// # Errors
    /// [`Exit::Unsupported`] where nothing says it, [`Exit::Refused`] for lines that cannot be true of this box.
    pub fn find(board: &Board, file: Option<&Path>) -> Result<Place> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|error| {
                Failure::new(
                    Exit::Unsupported,
                    Code::Environment,
                    format_args!("{}: {error}", path.display()),
                )
            })
        };
        let text = match (file, &board.backend) {
            (Some(file), _) => read(file)?,
            (None, _) if !board.profile.environment.is_empty() => board.profile.environment.join("\n"),
            (None, Backend::Linux) if Path::new(FW_ENV_CONFIG).exists() => read(Path::new(FW_ENV_CONFIG))?,
            _ => {
                return Err(Failure::new(
                    Exit::Unsupported,
                    Code::Environment,
                    "nothing says where the boot loader's environment lies",
                )
                .hint("--env-config FILE, with lines as in /etc/fw_env.config: DEVICE OFFSET SIZE"));
            }
        };
        Place::parse(board, &text)
    }

    fn parse(board: &Board, text: &str) -> Result<Place> {
        let lines = text.lines().map(str::trim);
        let spots = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| spot(board, line).map_err(|what| refused(format_args!("{}: {what}", Quoted(line)))))
            .collect::<Result<Vec<_>>>()?;
        match spots.as_slice() {
            [_] => (),
            [one, two] if one.size != two.size => return Err(refused("the two copies differ in size")),
            // Erasing the old copy would take the one that is valid with it.
            [one, two] if shared(board, one, two) => return Err(refused("the two copies share erase blocks")),
            [_, _] => (),
            _ => {
                return Err(refused(format_args!(
                    "an environment has one or two copies, not {}",
                    spots.len()
                )));
            }
        }
        Ok(Place { spots })
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
    let area = |spot: &Spot| Area {
        id: spot.partition,
        range: spot.blocks.clone(),
    };
    board.map.overlap(&area(one), &area(two)) != Overlap::No
}

impl Spot {
    /// Its partition.
    ///
    /// # Errors
    /// A box that changed meanwhile.
    pub fn of<'b>(&self, board: &'b Board) -> Result<&'b Partition> {
        board
            .get(self.partition)
            .ok_or_else(|| Failure::system(format_args!("{} is not there any more", self.partition)))
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
        self.offset - self.blocks.start
    }
}

/// `DEVICE OFFSET SIZE [SECTOR [COUNT]]`. The device may be a name with blanks; the numbers are the last words.
fn spot(board: &Board, line: &str) -> std::result::Result<Spot, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let first = 1 + words
        .iter()
        .skip(1)
        .rposition(|word| number(word).is_none())
        .map_or(0, |at| at + 1);
    let numbers: Vec<u64> = words[first.min(words.len())..]
        .iter()
        .copied()
        .filter_map(number)
        .collect();
    let (&[offset, size], more) = numbers.split_first_chunk().ok_or("not DEVICE OFFSET SIZE")?;
    let device = words[..first].join(" ");
    // `/dev/mtdblock1` and `/dev/mtd/1` are other nodes of the same device.
    let number = ["/dev/mtdblock", "/dev/mtd/"]
        .iter()
        .find_map(|prefix| device.strip_prefix(prefix)?.parse::<u32>().ok());
    let partition = match number {
        Some(number) => board.partition(&format!("/dev/mtd{number}"))?,
        None => board.partition(&device)?,
    };
    let geometry = &partition.geometry;
    if !(16..=LARGEST).contains(&size) {
        return Err(format!("an environment of {size} bytes"));
    }
    // The sector size of the file may be wrong (openwrt/openwrt #10767): erase blocks are what the kernel says.
    let room = match *more {
        [sector, count] => sector.checked_mul(count).ok_or("a size beyond all chips")?.max(size),
        _ => size,
    };
    let end = offset
        .checked_add(room)
        .filter(|end| *end <= geometry.size)
        .ok_or_else(|| format!("{} ends before", partition.label()))?;
    let touched: Vec<_> = geometry
        .blocks()
        .filter(|block| block.end > offset && block.start < end)
        .collect();
    let blocks = match (touched.first(), touched.last()) {
        (Some(first), Some(last)) => first.start..last.end,
        _ => return Err(format!("{} has no such blocks", partition.label())),
    };
    if geometry.kind.is_nand() && blocks.start != offset {
        return Err("on NAND it begins with an erase block".into());
    }
    // `env_ubi_load` in U-Boot's `env/ubi.c` knows no other place.
    if partition.volume.is_some() && offset != 0 {
        return Err("a UBI volume begins with it".into());
    }
    Ok(Spot {
        partition: partition.id,
        offset,
        size,
        blocks,
    })
}

/// As `strtoull` with base 0 reads it.
fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if word.len() > 1 && word.starts_with('0') => u64::from_str_radix(word, 8).ok(),
        None => word.parse().ok(),
    }
}
