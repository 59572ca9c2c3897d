//! The files of a simulated chip: `<path>`, and for NAND `<path>.oob` and `<path>.bad`.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::bad_list::{TORN_MARK, oob_bytes};
use super::chip::Chip;
use super::store::Store;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::geometry::Geometry;
use crate::id::number;

/// A blank chip in new files.
pub(super) fn create(path: &Path, geometry: &Geometry) -> Result<Chip> {
    let fail = |error| Error::io(Operation::Create, &path.to_string_lossy(), None, error);
    let data = blank_file(path, geometry.size).map_err(fail)?;
    let mut chip = Chip::new(geometry, data);
    if geometry.kind.is_nand() {
        chip.oob = Some(blank_file(&beside(path, "oob"), oob_bytes(geometry)).map_err(fail)?);
        let bad_list = beside(path, "bad");
        File::create(&bad_list).map_err(fail)?;
        chip.bad_list = Some(bad_list);
    }
    Ok(chip)
}

/// The chip that is in the files, with the state of its pages and blocks.
pub(super) fn open(path: &Path, geometry: &Geometry) -> Result<Chip> {
    let data = existing_file(path, geometry.size)?;
    let mut chip = Chip::new(geometry, data);
    if !geometry.kind.is_nand() {
        return Ok(chip);
    }
    let oob_path = beside(path, "oob");
    chip.oob = Some(if oob_path.exists() {
        existing_file(&oob_path, oob_bytes(geometry))?
    } else {
        let fail = |error| Error::io(Operation::Create, &oob_path.to_string_lossy(), None, error);
        blank_file(&oob_path, oob_bytes(geometry)).map_err(fail)?
    });
    let bad_list = beside(path, "bad");
    read_bad_list(&bad_list, &mut chip)?;
    chip.bad_list = Some(bad_list);
    chip.scan_pages()
        .map_err(|error| Error::io(Operation::Open, &path.to_string_lossy(), None, error))?;
    Ok(chip)
}

fn read_bad_list(path: &Path, chip: &mut Chip) -> Result<()> {
    let label = path.to_string_lossy();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(Operation::Open, &label, None, error)),
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let digits = line.strip_prefix("0x").unwrap_or(line);
        let block = number(digits, 16);
        match block.and_then(|block| chip.geometry.block_index(block)) {
            Some(index) => chip.bad.set(index, true),
            None => {
                return Err(Error::new(Operation::Open, &label, block, ErrorKind::Malformed));
            }
        }
    }
    Ok(())
}

/// `flash.bin` → `flash.bin.oob`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn blank_file(path: &Path, size: u64) -> io::Result<Store> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let mut store = Store::File(file);
    store.fill(0..size, 0xff)?;
    Ok(store)
}

fn existing_file(path: &Path, expected: u64) -> Result<Store> {
    let label = path.to_string_lossy();
    let fail = |error| Error::io(Operation::Open, &label, None, error);
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(fail)?;
    let found = file.metadata().map_err(fail)?.len();
    if found != expected {
        let kind = ErrorKind::WrongSize { expected, found };
        return Err(Error::new(Operation::Open, &label, None, kind));
    }
    Ok(Store::File(file))
}

impl Chip {
    /// Finds out which pages are programmed and which lack valid ECC.
    fn scan_pages(&mut self) -> io::Result<()> {
        for page in 0..self.page_count() {
            let torn = self.read_mark(page, TORN_MARK)?;
            self.torn.set(page, torn);
            // A torn page has had its one chance, even when nothing of it can be seen.
            let programmed = torn || !self.is_blank(self.page_range(page))?;
            self.programmed.set(page, programmed);
        }
        Ok(())
    }
}
