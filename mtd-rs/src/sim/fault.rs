//! What can go wrong with a simulated chip.
#![forbid(unsafe_code)]

use std::ops::Range;

/// A fault of a chip. Offsets are bytes from the start of the chip; `times` counts how often the fault shows,
/// `u32::MAX` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Erasing the erase block that begins at `block` fails with `EIO` and leaves garbage.
    EraseFails {
        /// Start of the erase block.
        block: u64,
        /// How often.
        times: u32,
    },
    /// Erasing the erase block that begins at `block`, or programming its first byte, is refused with `EBUSY`, and changes nothing.
    Busy {
        /// Start of the erase block.
        block: u64,
        /// How often.
        times: u32,
    },
    /// Programming the byte at `offset` fails with `EIO`. What lies before it in the same call has been
    /// programmed, the byte itself (on NAND: its page) in part, the rest not.
    ProgramFails {
        /// The byte.
        offset: u64,
        /// How often.
        times: u32,
    },
    /// A bit is read wrong. On NAND the ECC corrects one such bit a page and counts it; with two or more the
    /// page is read as it is and counted as failed.
    FlipOnRead {
        /// The byte.
        offset: u64,
        /// The bit, 0 the lowest.
        bit: u8,
        /// How often.
        times: u32,
    },
    /// The data around the byte at `offset` is destroyed beyond what ECC can mend: on NAND the page is read as
    /// garbage and counted as failed, without an error, as Linux does it; elsewhere the byte is read inverted.
    Uncorrectable {
        /// The byte.
        offset: u64,
        /// How often.
        times: u32,
    },
    /// Reading the byte at `offset` fails with `EIO`.
    ReadFails {
        /// The byte.
        offset: u64,
        /// How often.
        times: u32,
    },
    /// The power fails during an erase or program operation: after `operations` more of them, counted by calls
    /// that keep the rules, the next one is left half done and reports
    /// [`PowerLost`](crate::ErrorKind::PowerLost), as does everything after it until
    /// [`restore_power`](crate::SimChip::restore_power). A half erased block holds garbage; a half programmed
    /// call leaves its first half, then a byte (on NAND: a page) in between, then nothing.
    PowerCutAfter {
        /// Erase and program operations that still succeed.
        operations: u64,
    },
    /// A worn-out bit that is read as 0 whatever is done. On NAND the ECC treats it like [`Fault::FlipOnRead`]
    /// wherever a 1 is stored.
    StuckBit {
        /// The byte.
        offset: u64,
        /// The bit, 0 the lowest.
        bit: u8,
    },
}

/// The faults that wait to show.
#[derive(Default)]
pub(super) struct Faults {
    waiting: Vec<Fault>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.waiting.push(fault);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether an erase of the block fails.
    pub(super) fn erase_fails(&mut self, start: u64) -> bool {
        self.take(|fault| match fault {
            Fault::EraseFails { block, times } if *block == start => Some(times),
            _ => None,
        })
        .is_some()
    }

    pub(super) fn is_busy(&mut self, at: u64) -> bool {
        self.take(|fault| match fault {
            Fault::Busy { block, times } if *block == at => Some(times),
            _ => None,
        })
        .is_some()
    }

    /// The first byte in the range that cannot be programmed.
    pub(super) fn program_fails(&mut self, range: &Range<u64>) -> Option<u64> {
        self.take(|fault| match fault {
            Fault::ProgramFails { offset, times } if range.contains(offset) => Some(times),
            _ => None,
        })
        .and_then(|fault| match fault {
            Fault::ProgramFails { offset, .. } => Some(offset),
            _ => None,
        })
    }

    /// The first byte in the range that cannot be read.
    pub(super) fn read_fails(&mut self, range: &Range<u64>) -> Option<u64> {
        self.take(|fault| match fault {
            Fault::ReadFails { offset, times } if range.contains(offset) => Some(times),
            _ => None,
        })
        .and_then(|fault| match fault {
            Fault::ReadFails { offset, .. } => Some(offset),
            _ => None,
        })
    }

    /// What is read as garbage in the range: the first such byte.
    pub(super) fn uncorrectable(&mut self, range: &Range<u64>) -> Option<u64> {
        self.take(|fault| match fault {
            Fault::Uncorrectable { offset, times } if range.contains(offset) => Some(times),
            _ => None,
        })
        .and_then(|fault| match fault {
            Fault::Uncorrectable { offset, .. } => Some(offset),
            _ => None,
        })
    }

    /// Every bit in the range that is read wrong now: offset, mask, and whether it is stuck at 0 (else it is
    /// flipped).
    pub(super) fn wrong_bits(&mut self, range: &Range<u64>) -> Vec<(u64, u8, bool)> {
        let mut found = Vec::new();
        self.waiting.retain_mut(|fault| match fault {
            Fault::StuckBit { offset, bit } => {
                if range.contains(offset) {
                    found.push((*offset, 1 << (*bit & 7), true));
                }
                true
            }
            Fault::FlipOnRead { offset, bit, times } if range.contains(offset) => {
                if *times == 0 {
                    return false;
                }
                found.push((*offset, 1 << (*bit & 7), false));
                use_up(times)
            }
            _ => true,
        });
        found
    }

    /// Counts one erase or program operation; whether the power fails during it.
    pub(super) fn power_fails(&mut self) -> bool {
        let mut fails = false;
        self.waiting.retain_mut(|fault| match fault {
            Fault::PowerCutAfter { operations: 0 } => {
                fails = true;
                false
            }
            Fault::PowerCutAfter { operations } => {
                *operations -= 1;
                true
            }
            _ => true,
        });
        fails
    }

    /// The first fault of which `times` finds the counter, used up by one.
    fn take(&mut self, times: impl Fn(&mut Fault) -> Option<&mut u32>) -> Option<Fault> {
        for index in 0..self.waiting.len() {
            let Some(left) = times(&mut self.waiting[index]) else {
                continue;
            };
            let shows = *left > 0;
            let stays = use_up(left);
            let fault = self.waiting[index];
            if !stays {
                self.waiting.remove(index);
            }
            return shows.then_some(fault);
        }
        None
    }
}

/// Takes one off the counter; whether anything is left.
fn use_up(times: &mut u32) -> bool {
    if *times != u32::MAX {
        *times = times.saturating_sub(1);
    }
    *times > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_ever_is_never_used_up() {
        let mut times = u32::MAX;
        assert!(use_up(&mut times));
        assert_eq!(times, u32::MAX);
        let mut times = 2;
        assert!(use_up(&mut times));
        assert!(!use_up(&mut times));
    }

    #[test]
    fn a_fault_that_shows_no_times_never_shows() {
        let mut faults = Faults::default();
        faults.add(Fault::EraseFails { block: 0, times: 0 });
        assert!(!faults.erase_fails(0));
        assert!(faults.is_empty());
    }
}
