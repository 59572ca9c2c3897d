//! How a run ended, in one word for programs.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::words::words;

words! {
    /// The word for how a run ended; a refusal has the name of its check.
    pub enum Code or Unknown {
        /// No update is recorded.
        None = "none",
        /// Everything is written and verified.
        Written = "written",
        /// The flash was as the image wants it.
        NothingToDo = "nothing-to-do",
        /// The update server wants nothing.
        Idle = "idle",
        /// The update server wants something that is not to be done yet.
        Waiting = "waiting",
        /// The update server was told how its update ended.
        Settled = "settled",
        /// The update server has canceled its update.
        Canceled = "canceled",
        /// The update server cannot be reached, or makes no sense.
        Server = "server",
        /// Init hands over; the rest happens as PID 1.
        HandedOver = "handed-over",
        /// The plan was shown, and that was all.
        Planned = "planned",
        /// Everything is ready for init's restart line.
        Prepared = "prepared",
        /// The command line is wrong.
        Usage = "usage",
        /// The system failed.
        System = "system",
        /// A bug of flasher's.
        Bug = "bug",
        /// Another flasher is at work.
        Busy = "busy",
        /// Not confirmed.
        Declined = "declined",
        /// The connection to the box cannot be made, or broke before it was told to write.
        Connection = "connection",
        /// The box has another ssh host key now.
        HostKey = "host-key",
        /// There is no flasher here for the processor of the box.
        NoBinary = "no-binary",
        /// Nobody waits here for the box any more.
        Detached = "detached",
        /// The box did not come back in time.
        NotBack = "not-back",
        /// The flash is not as the image wants it.
        Different = "different",
        /// The flash is in use.
        Held = "held",
        /// Only root may do that.
        NotRoot = "not-root",
        /// There is no flash here.
        NoMtd = "no-mtd",
        /// A flash device is missing or another one now.
        Mtd = "mtd",
        /// The flash failed.
        Flash = "flash",
        /// The update was interrupted, by a power cut for instance.
        Interrupted = "interrupted",
        /// What was being changed does not boot; what boots is whole.
        Inactive = "inactive",
        /// It failed, and the old content was put back.
        RolledBack = "rolled-back",
        /// The image cannot be read.
        ImageUnreadable = "image-unreadable",
        /// The image is empty.
        ImageEmpty = "image-empty",
        /// The image is not the one that was checked.
        ImageChanged = "image-changed",
        /// The image ended early.
        ImageCutOff = "image-cut-off",
        /// A backup is damaged or not one.
        Backup = "backup",
        /// An archive is damaged or hostile.
        Archive = "archive",
        /// It is packed with something that is not supported.
        Packed = "packed",
        /// A `.pat` cannot be made of this.
        Pat = "pat",
        /// It is encrypted.
        Encrypted = "encrypted",
        /// A recovery image is not a proper one.
        RecoveryImage = "recovery-image",
        /// The file name that a box asks for is not known.
        NoName = "no-name",
        /// The environment has no such variable.
        NotSet = "not-set",
        /// There is no busybox for a rescue shell.
        RescueShell = "rescue-shell",
        /// Refused by a check.
        Refused = "refused",
        /// A word of another version of flasher.
        Unknown = "unknown",
        /// Refused by the check of that name.
        Aligned = "aligned",
        /// Refused by the check of that name.
        BadBlocks = "bad-blocks",
        /// Refused by the check of that name.
        Board = "board",
        /// Refused by the check of that name.
        Bootloader = "bootloader",
        /// Refused by the check of that name.
        BootloaderBackup = "bootloader-backup",
        /// Refused by the check of that name.
        BootloaderChecksum = "bootloader-checksum",
        /// Refused by the check of that name.
        Content = "content",
        /// Refused by the check of that name.
        Cpu = "cpu",
        /// Refused by the check of that name.
        Downgrade = "downgrade",
        /// Refused by the check of that name.
        Ecc = "ecc",
        /// Refused by the check of that name.
        Environment = "environment",
        /// Refused by the check of that name.
        FixedOffset = "fixed-offset",
        /// Refused by the check of that name.
        Holders = "holders",
        /// Refused by the check of that name.
        Image = "image",
        /// Refused by the check of that name.
        Init = "init",
        /// Refused by the check of that name.
        Keep = "keep",
        /// Refused by the check of that name.
        Metadata = "metadata",
        /// Refused by the check of that name.
        OneCopy = "one-copy",
        /// Refused by the check of that name.
        Overlap = "overlap",
        /// Refused by the check of that name.
        Partition = "partition",
        /// Refused by the check of that name.
        Ram = "ram",
        /// Refused by the check of that name.
        Record = "record",
        /// Refused by the check of that name.
        Settings = "settings",
        /// Refused by the check of that name.
        Sha256 = "sha256",
        /// Refused by the check of that name.
        Signature = "signature",
        /// Refused by the check of that name.
        Size = "size",
        /// Refused by the check of that name.
        Slot = "slot",
        /// Refused by the check of that name.
        Unused = "unused",
        /// Refused by the check of that name.
        Watchdog = "watchdog",
        /// Refused by the check of that name.
        Writable = "writable",
    }
}

impl From<CheckId> for Code {
    fn from(check: CheckId) -> Code {
        Code::from_word(check.as_str()).unwrap_or(Code::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_a_code() {
        for check in CheckId::ALL {
            assert_eq!(Code::from(*check).as_str(), check.as_str());
        }
    }

    #[test]
    fn every_code_is_in_the_document_by_its_word() {
        let mut codes = Code::ALL.to_vec();
        codes.retain(|code| CheckId::ALL.iter().all(|check| Code::from(*check) != *code));
        crate::base::documented("fleets.md", &codes);
    }
}
