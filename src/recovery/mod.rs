//! QNAP's recovery mode: what the boot loader fetches over the network and writes when nothing else starts any more.
//!
//! Sources: Martin Michlmayr's pages "Recovery mode of the QNAP TS-109"
//! (<https://www.cyrius.com/debian/orion/qnap/ts-109/recovery/>) and "Recovery mode of QNAP TS-21x/TS-22x"
//! (<https://www.cyrius.com/debian/kirkwood/qnap/ts-219/recovery/>). Partitions, their order and their sizes come from
//! the boards' profiles; nothing here touches flash or network.

#![forbid(unsafe_code)]

pub(crate) mod boards;
pub mod check;
pub(crate) mod name;
pub(crate) mod refusal;

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::format::Format;
use crate::base::quoted::Quoted;
use crate::board::profile::{PartitionProfile, Profile};
use std::ops::Range;

/// The kinds of recovery mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// TS-109, TS-209, TS-409: fixed addresses and a fixed name.
    Fixed,
    /// TS-21x and later: DHCP says where and what.
    Dhcp,
}

impl Mode {
    /// What a person hears, and when it is over.
    pub fn beeps(self) -> &'static str {
        match self {
            Mode::Fixed => "the box is writing now: leave it alone until it makes one long beep and restarts by itself",
            Mode::Dhcp => {
                "the box is writing now, for about 3.5 minutes: leave it alone until it beeps twice, short, and \
                 restarts by itself"
            }
        }
    }
}

/// How to bring a box into its recovery mode.
pub const ENTER: &str = "hold the reset button, switch the box on, and let go when it beeps twice, short, \
                         after about 10 seconds";

/// What the boot loader does with a part of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is written.
    Written,
    /// It is passed over.
    Ignored,
    /// Some boot loaders write it and some do not.
    Depends,
}

impl Fate {
    /// The word of `recovery check`.
    pub fn as_str(self) -> &'static str {
        match self {
            Fate::Written => "written",
            Fate::Ignored => "ignored",
            Fate::Depends => "depends",
        }
    }
}

/// A partition's place in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The partition.
    pub partition: PartitionProfile,
    /// Where it is in the image, in bytes.
    pub range: Range<u64>,
    /// What becomes of it.
    pub fate: Fate,
}

impl Slot {
    /// `mtd1 "Kernel"`.
    pub fn label(&self) -> String {
        format!("mtd{} {}", self.partition.mtd, Quoted(&self.partition.name))
    }
}

/// The recovery image of one kind of box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The id of the profile.
    pub board: String,
    /// Its partitions in the order of the image.
    pub slots: Vec<Slot>,
    /// Every size that is taken, in bytes; what lies behind the last slot is ignored.
    pub sizes: Vec<u64>,
}

impl Layout {
    /// The layout of a board, if its boot loader has a recovery mode that flasher knows.
    pub fn of(profile: &Profile) -> Option<Layout> {
        let mut accepts = profile
            .accepts
            .iter()
            .filter(|accepts| accepts.format == Format::QnapRecovery);
        let first = accepts.next()?;
        let sizes = first.size.into_iter().chain(accepts.filter_map(|other| other.size));
        let mut at = 0;
        let slots = first
            .parts
            .iter()
            .map(|name| {
                let partition = profile.partition(name)?.clone();
                let range = at..at + partition.size;
                at = range.end;
                // The page says that mtd0 and mtd4 are ignored, and "on some devices" mtd5.
                let fate = match partition.mtd {
                    0 | 4 => Fate::Ignored,
                    5 => Fate::Depends,
                    _ => Fate::Written,
                };
                Some(Slot { partition, range, fate })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Layout {
            board: profile.id.clone(),
            slots,
            sizes: sizes.collect(),
        })
    }

    /// The layout of a board that the user or its signs named.
    ///
    /// # Errors
    /// [`Exit::Unsupported`], with what is in the way.
    pub fn wanted(profile: &Profile) -> Result<Layout> {
        Layout::of(profile).ok_or_else(|| {
            let what = match profile.id.as_str() {
                "qnap-ts219-resized" => {
                    "the partitions of this box were resized: a part of its kernel lies where the recovery mode of \
                     the boot loader writes nothing, so no recovery image can bring it back"
                        .to_owned()
                }
                id => format!("nothing is known of a recovery mode of {id}"),
            };
            Failure::new(Exit::Unsupported, Code::Board, what)
                .hint("flasher recovery boards lists the boxes that have one")
        })
    }

    /// Every layout there is.
    ///
    /// # Errors
    /// Those of a broken built-in profile.
    pub fn all() -> Result<Vec<Layout>> {
        let mut all = Vec::new();
        for profile in Profile::built_in()? {
            all.extend(Layout::of(&profile));
        }
        Ok(all)
    }

    /// Bytes of the slots together.
    pub fn size(&self) -> u64 {
        self.slots.last().map_or(0, |slot| slot.range.end)
    }

    /// How its boxes ask for it.
    pub fn mode(&self) -> Mode {
        match self.board.as_str() {
            "qnap-ts109" => Mode::Fixed,
            _ => Mode::Dhcp,
        }
    }

    /// The slot of that mtd number.
    pub fn slot(&self, mtd: u32) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.partition.mtd == mtd)
    }
}
