//! Describes a simulated chip before it is made.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use super::timing::Timing;
use super::{SimChip, files};
use crate::error::Result;
use crate::geometry::{EraseRegion, Geometry};
use crate::kind::MTD_POWERUP_LOCK;

/// The description of a simulated chip; [`build`](Self::build) makes it.
#[derive(Clone, Debug)]
#[must_use]
pub struct SimBuilder {
    geometry: Geometry,
    path: Option<PathBuf>,
    timing: Timing,
}

impl SimBuilder {
    pub(super) fn new(geometry: Geometry) -> Self {
        SimBuilder {
            timing: Timing::of(&geometry),
            geometry,
            path: None,
        }
    }

    /// Gives the chip erase regions, in ascending order and without gaps. Its erase size becomes the largest
    /// of theirs.
    pub fn regions(mut self, regions: Vec<EraseRegion>) -> Self {
        if let Some(largest) = regions.iter().map(|region| region.erase_size).max() {
            self.geometry.erase_size = largest;
        }
        self.geometry.regions = regions;
        self
    }

    /// Gives the chip locks, all of them closed whenever the power comes (`MTD_POWERUP_LOCK`).
    pub fn locked_at_power_up(mut self) -> Self {
        self.geometry.flags |= MTD_POWERUP_LOCK;
        self
    }

    /// Keeps the chip in a file. One that is there is opened and must have the right size; otherwise a blank
    /// one is created.
    pub fn backed_by(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Gives the chip another timing than the one for its kind.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// The geometry as described so far.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Makes the chip.
    ///
    /// # Errors
    /// When the file cannot be created or opened, or has the wrong size. Chips in memory never fail.
    pub fn build(self) -> Result<SimChip> {
        let chip = match &self.path {
            None => SimChip::in_memory(&self.geometry),
            Some(path) if path.exists() => SimChip::from_chip(files::open(path, &self.geometry)?),
            Some(path) => SimChip::create_file(path, &self.geometry)?,
        };
        chip.set_timing(self.timing);
        Ok(chip)
    }
}
