//! The formats that are recognised, by the words of `inspect` and of the profiles.

#![forbid(unsafe_code)]

use crate::base::words::words;

words! {
    /// What bytes are.
    pub enum Format {
        /// Nothing that is known.
        Raw = "raw",
        /// U-Boot's legacy image.
        Uimage = "uimage",
        /// SquashFS.
        Squashfs = "squashfs",
        /// CramFS.
        Cramfs = "cramfs",
        /// JFFS2.
        Jffs2 = "jffs2",
        /// U-Boot's FIT.
        Fit = "fit",
        /// Broadcom's TRX.
        Trx = "trx",
        /// UBI.
        Ubi = "ubi",
        /// UBIFS, which lies in a volume of UBI.
        Ubifs = "ubifs",
        /// An initial ramdisk as it is packed.
        Ramdisk = "ramdisk",
        /// A tar of which nothing more is known.
        Tar = "tar",
        /// Synology's `.pat`.
        SynologyPat = "synology-pat",
        /// OpenWrt's tar kind of `sysupgrade`.
        SysupgradeTar = "sysupgrade-tar",
        /// An image with OpenWrt's metadata behind it.
        OpenwrtSysupgrade = "openwrt-sysupgrade",
        /// A recovery image of QNAP's boot loaders.
        QnapRecovery = "qnap-recovery",
        /// A package of QNAP's.
        Qpkg = "qpkg",
        /// The directory of a backup.
        Backup = "backup",
        /// A copy of the whole chip.
        ChipDump = "chip-dump",
        /// An environment of U-Boot's.
        UBootEnv = "u-boot-env",
        /// gzip, damaged or around nothing known.
        Gzip = "gzip",
        /// bzip2, likewise.
        Bzip2 = "bzip2",
        /// xz, likewise.
        Xz = "xz",
        /// lzma, likewise.
        Lzma = "lzma",
        /// zstd, likewise.
        Zstd = "zstd",
    }
}
