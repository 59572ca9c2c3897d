//! What an update is doing, for whoever draws it.

#![forbid(unsafe_code)]

use crate::base::words::words;

words! {
    /// What is being done with the bytes of which progress tells.
    pub enum Phase or Unknown {
        /// The image is read into RAM.
        Reading = "reading",
        /// Its checksum is made.
        Hashing = "hashing",
        /// The flash is compared with it.
        Comparing = "comparing",
        /// Old content is copied.
        Copying = "copying",
        /// Blocks are compared, erased, programmed and read back.
        Writing = "writing",
        /// Everything is read once more.
        Verifying = "verifying",
        /// The old content is put back.
        PuttingBack = "putting back",
        /// The image goes to the box.
        Sending = "sending",
        /// A word of another version of flasher.
        Unknown = "unknown",
    }
}

impl Phase {
    /// Whether it changes the flash or leads to that, as far as is known.
    pub fn changes(self) -> bool {
        use Phase::*;
        !matches!(self, Reading | Hashing | Comparing | Copying)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_in_the_document_by_its_word() {
        let told = Phase::ALL.iter().filter(|phase| **phase != Phase::Unknown);
        crate::base::documented("fleets.md", told);
    }
}
