//! A simulated box: `board.json` says what it is, `flash.bin` is its chip in physical order.
//!
//! Every verb works on it, so flasher can be tried without hardware, and chip images for a programmer can
//! be built. The chip keeps the rules of real flash (`mtd_rs::SimChip`).

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::json;
use crate::base::label::label;
use crate::base::shell;
use crate::board::profile::{ChipKind, PartitionProfile, Profile};
use crate::board::{Backend, Board, Hardware, Health, Partition};
use mtd_rs::map::OnChip;
use mtd_rs::{Flash, Geometry, Map, MtdInfo, PartitionId, Place, SimChip};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the chip is kept.
pub struct SimBox {
    /// The directory.
    pub dir: PathBuf,
    chip: SimChip,
}

impl SimBox {
    /// Its chip, for whoever wants faults on it.
    pub fn chip(&self) -> &SimChip {
        &self.chip
    }

    /// Opens a partition of the chip.
    pub(super) fn open(&self, partition: &Partition, map: &Map) -> Result<Box<dyn Flash>> {
        let Place::Known(extents) = map.place(partition.id) else {
            return Err(Failure::system(format_args!(
                "{} has no place on the chip",
                partition.label()
            )));
        };
        let [extent] = extents.as_slice() else {
            return Err(Failure::system(format_args!(
                "{} is in several pieces",
                partition.label()
            )));
        };
        Ok(Box::new(self.chip.partition(
            &partition.label(),
            extent.range.clone(),
            partition.writable,
        )))
    }
}

fn flash_path(dir: &Path) -> PathBuf {
    dir.join("flash.bin")
}

fn profile_path(dir: &Path) -> PathBuf {
    dir.join("board.json")
}

/// What to do where a box cannot be made.
const ANOTHER: &str = "name another directory, where there is room for the chip; one that is not there is made";

/// Makes a blank box.
///
/// # Errors
/// An unknown board, or a directory that has a box in it already.
pub fn create(board: &str, dir: &Path) -> Result<Profile> {
    let mut profile = Profile::find(board)?;
    // The LEDs and ports of the machine that simulates are not those of the box.
    profile.signals = None;
    fs::create_dir_all(dir)
        .map_err(|error| Failure::system(format_args!("{}: {error}", dir.display())).hint(ANOTHER))?;
    if profile_path(dir).exists() || flash_path(dir).exists() {
        return Err(Failure::usage(format_args!("{} has a simulated box in it already", dir.display())).hint(ANOTHER));
    }
    SimChip::create_file(&flash_path(dir), &profile.chip.geometry()).map_err(|error| {
        // Half a chip is no box, and would be taken for one that is there.
        let _ = fs::remove_file(flash_path(dir));
        Failure::system(error).hint(ANOTHER)
    })?;
    let mut text = json::write(&profile).map_err(Failure::system)?;
    text.push('\n');
    // Written last: a directory without it is not a box.
    fs::write(profile_path(dir), text).context(dir.display())?;
    Ok(profile)
}

/// Opens a box that [`create`] made.
pub(super) fn discover(dir: &Path, board: Option<&str>) -> Result<Board> {
    let path = profile_path(dir);
    if !path.is_file() {
        return Err(Failure::new(
            Exit::Unsupported,
            Code::Board,
            format_args!("{} is not a simulated box: there is no board.json in it", dir.display()),
        )
        .hint(format!("flasher sim create qnap-ts219 {}", shell::typed(dir))));
    }
    let profile = Profile::read(&path)?;
    if let Some(board) = board {
        let said = Profile::find(board)?;
        if said.id != profile.id {
            return Err(Failure::new(
                Exit::Unsupported,
                Code::Board,
                format_args!("{} is a {}, not a {}", dir.display(), profile.id, said.id),
            )
            .hint("leave out --board"));
        }
    }
    let chip = SimChip::open_file(&flash_path(dir), &profile.chip.geometry())
        .map_err(|error| Failure::system(error).hint("make the box anew with sim create"))?;
    let partitions = profile
        .partitions
        .iter()
        .map(|known| partition(known, &profile, &chip))
        .collect::<Result<Vec<_>>>()?;
    let map = map(&profile);
    Ok(Board {
        names: profile.openwrt.clone(),
        compat: profile.compat.clone().unwrap_or_else(|| "1.0".into()),
        hardware: Hardware {
            compatible: Vec::new(),
            soc: profile.soc.clone(),
        },
        profile,
        remark: None,
        suspects: Vec::new(),
        partitions,
        map,
        backend: Backend::Sim(SimBox {
            dir: dir.to_owned(),
            chip,
        }),
    })
}

fn partition(known: &PartitionProfile, profile: &Profile, chip: &SimChip) -> Result<Partition> {
    let geometry = Geometry {
        size: known.size,
        ..profile.chip.geometry()
    };
    let id = PartitionId::Mtd(known.mtd);
    let mut flash = chip.partition(&label(id, &known.name), known.range(), !known.read_only);
    let mut bad = Vec::new();
    if profile.chip.kind == ChipKind::Nand {
        for block in geometry.blocks() {
            if flash.is_bad(block.start).map_err(Failure::system)? {
                bad.push(block.start);
            }
        }
    }
    Ok(Partition {
        id,
        name: known.name.clone(),
        geometry,
        bad,
        writable: !known.read_only,
        keep: known.keep,
        holds: known.holds.clone(),
        recovery: known.recovery,
        fixed_offset: known.fixed_offset,
        fixed_length: known.fixed_length,
        loads: known.loads,
        health: Health::default(),
        volume: None,
    })
}

/// Where the partitions lie: all on one chip, as the profile says.
fn map(profile: &Profile) -> Map {
    let device = |known: &PartitionProfile| {
        let geometry = Geometry {
            size: known.size,
            ..profile.chip.geometry()
        };
        OnChip {
            info: MtdInfo {
                writable: !known.read_only,
                ..MtdInfo::new(known.mtd, &known.name, geometry)
            },
            chip: "flash".into(),
            offset: Some(known.offset),
        }
    };
    Map::new(profile.partitions.iter().map(device), Vec::new())
}
