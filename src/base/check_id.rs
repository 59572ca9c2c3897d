//! The checks of a plan, by the names that `--force` and programs know.

#![forbid(unsafe_code)]

use crate::base::words::words;

words! {
    /// A check of a plan. Which of them `--force` can override says the check itself when it refuses.
    pub enum CheckId {
        /// A partition begins and ends with erase blocks.
        Aligned = "aligned",
        /// Good blocks of NAND are enough.
        BadBlocks = "bad-blocks",
        /// What the box is, and whether the image is for it.
        Board = "board",
        /// The boot loader is not overwritten.
        Bootloader = "bootloader",
        /// A copy of the old boot loader is made.
        BootloaderBackup = "bootloader-backup",
        /// The new boot loader's checksum is known.
        BootloaderChecksum = "bootloader-checksum",
        /// What a partition gets is whole, and what it is for.
        Content = "content",
        /// It is for the processor of this box.
        Cpu = "cpu",
        /// It is no older firmware than the one that runs, or was installed last.
        Downgrade = "downgrade",
        /// ECC corrects what is read.
        Ecc = "ecc",
        /// The boot loader's environment is whole and known.
        Environment = "environment",
        /// Nothing moves that is read at fixed offsets.
        FixedOffset = "fixed-offset",
        /// Nothing uses the flash, or what does can be ended.
        Holders = "holders",
        /// The image is whole.
        Image = "image",
        /// Init can hand the box over.
        Init = "init",
        /// The files that are to outlive the update can be kept.
        Keep = "keep",
        /// The box is one that the image says it is for.
        Metadata = "metadata",
        /// There are two copies of the environment.
        OneCopy = "one-copy",
        /// No byte of the flash is written twice.
        Overlap = "overlap",
        /// There is a place for each part of the image.
        Partition = "partition",
        /// There is enough RAM.
        Ram = "ram",
        /// The outcome is kept somewhere.
        Record = "record",
        /// The settings of this one box are not overwritten.
        Settings = "settings",
        /// The image has the checksum that was asked for.
        Sha256 = "sha256",
        /// The image is signed by the key that was asked for.
        Signature = "signature",
        /// Each part fits its partition.
        Size = "size",
        /// The slot that runs is left alone.
        Slot = "slot",
        /// What of an archive or a backup is not written.
        Unused = "unused",
        /// Every watchdog that runs will be fed.
        Watchdog = "watchdog",
        /// The kernel lets the partition be written.
        Writable = "writable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_in_the_document_by_its_word() {
        crate::base::documented("takeover.md", CheckId::ALL);
    }
}
