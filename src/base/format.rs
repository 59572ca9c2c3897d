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
        /// Several files, each for a partition.
        Files = "files",
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
        /// A kernel for ARM that unpacks itself, without a boot loader's header.
        Zimage = "zimage",
        /// A kernel for 64-bit ARM, without a boot loader's header.
        Arm64Image = "arm64-image",
        /// A kernel for RISC-V, without a boot loader's header.
        RiscvImage = "riscv-image",
        /// A kernel for x86.
        BzImage = "bzimage",
        /// A device tree.
        DeviceTree = "device-tree",
        /// ext2, ext3 or ext4.
        Ext = "ext",
        /// EROFS.
        Erofs = "erofs",
        /// romfs.
        Romfs = "romfs",
        /// F2FS.
        F2fs = "f2fs",
        /// D-Link's and Alpha's SEAMA.
        Seama = "seama",
        /// TP-Link's header, first version.
        TplinkV1 = "tplink-v1",
        /// TP-Link's header, second version and later.
        TplinkV2 = "tplink-v2",
        /// What TP-Link's SafeLoader installs.
        TplinkSafeloader = "tplink-safeloader",
        /// Netgear's CHK.
        NetgearChk = "netgear-chk",
        /// Netgear's DNI.
        NetgearDni = "netgear-dni",
        /// Linksys, by its header or footer.
        Linksys = "linksys",
        /// CyberTAN's header, of many Linksys routers.
        Cybertan = "cybertan",
        /// Ubiquiti.
        Ubnt = "ubnt",
        /// Buffalo.
        Buffalo = "buffalo",
        /// D-Link, encrypted or with a header of its own.
        Dlink = "dlink",
        /// Kernel and root behind one header, which OpenWrt's older `sysupgrade` took apart.
        OpenwrtCombined = "openwrt-combined",
        /// A package of the parts of a boot loader, of Arm's Trusted Firmware.
        Fip = "fip",
        /// A boot loader for Marvell's processors.
        Kwbimage = "kwbimage",
        /// A boot loader for Allwinner's processors.
        Egon = "egon",
        /// What Android's boot loaders check partitions against.
        Vbmeta = "vbmeta",
        /// Overlays of the device tree, for Android's boot loaders.
        Dtbo = "dtbo",
        /// Alpha's WRG and WRGG, of D-Link and others.
        Wrgg = "wrgg",
        /// Senao, of EnGenius and others.
        Senao = "senao",
        /// ZyXEL.
        Zyxel = "zyxel",
        /// Belkin.
        Belkin = "belkin",
        /// A header of another vendor's, or one that is not known, in front of something that is.
        Factory = "factory",
        /// One of these with its bytes in another order, as flash on a bus of 16 or 32 bits shows them.
        Swapped = "swapped",
        /// Edimax.
        Edimax = "edimax",
        /// Realtek's boot loaders.
        Csys = "csys",
        /// SerComm, of Netgear and others.
        Sercomm = "sercomm",
        /// Moxa.
        Moxa = "moxa",
        /// Xiaomi.
        Xiaomi = "xiaomi",
        /// Cisco Meraki.
        Meraki = "meraki",
        /// MikroTik's NPK.
        MikrotikNpk = "mikrotik-npk",
        /// AVM's boot loader EVA.
        Avm = "avm",
        /// Broadcom's tag, of DSL routers.
        BroadcomTag = "broadcom-tag",
        /// U.S. Robotics.
        UsRobotics = "us-robotics",
        /// JCG.
        Jcg = "jcg",
        /// Gemtek.
        Gemtek = "gemtek",
        /// Planex.
        Planex = "planex",
        /// Poray, and Nexx and Hame, who build the same.
        Poray = "poray",
        /// MSTC.
        Mstc = "mstc",
        /// EFM, of ipTIME.
        Iptime = "iptime",
        /// Ruckus.
        Ruckus = "ruckus",
        /// Huawei.
        Huawei = "huawei",
        /// Dahua.
        Dahua = "dahua",
        /// Hikvision.
        Hikvision = "hikvision",
        /// QNAP's update, which its web page installs.
        QnapFirmware = "qnap-firmware",
        /// RAUC's bundle.
        Rauc = "rauc",
        /// SWUpdate's package.
        Swu = "swu",
        /// Android's sparse image.
        AndroidSparse = "android-sparse",
        /// Android's boot image.
        AndroidBoot = "android-boot",
        /// zip.
        Zip = "zip",
        /// 7z.
        SevenZip = "7z",
        /// rar.
        Rar = "rar",
        /// ar, such as static libraries.
        Ar = "ar",
        /// A package of Debian's or opkg's.
        Deb = "deb",
        /// A package of Alpine Linux and OpenWrt.
        Apk = "apk",
        /// A package of RPM's.
        Rpm = "rpm",
        /// cpio as it is, which a kernel takes for its first root.
        Cpio = "cpio",
        /// Microsoft's cabinet.
        Cab = "cab",
        /// lha.
        Lha = "lha",
        /// xar.
        Xar = "xar",
        /// Windows' image of an installation.
        Wim = "wim",
        /// What Android and Chrome OS update themselves with.
        UpdatePayload = "update-payload",
        /// lzip.
        Lzip = "lzip",
        /// lz4.
        Lz4 = "lz4",
        /// lzop.
        Lzo = "lzo",
        /// compress.
        Compress = "compress",
        /// lrzip.
        Lrzip = "lrzip",
        /// zchunk.
        Zchunk = "zchunk",
        /// A table of partitions of a disk, of MBR's kind.
        Mbr = "mbr",
        /// A table of partitions of a disk, of GPT's kind.
        Gpt = "gpt",
        /// An image of a CD.
        Iso = "iso9660",
        /// FAT.
        Fat = "fat",
        /// XFS.
        Xfs = "xfs",
        /// Btrfs.
        Btrfs = "btrfs",
        /// Swap space of Linux.
        Swap = "swap",
        /// A physical volume of LVM.
        Lvm = "lvm",
        /// An encrypted disk of LUKS's kind.
        Luks = "luks",
        /// A disk of a virtual machine.
        VirtualDisk = "virtual-disk",
        /// Another file system of disks, a member of a RAID, or a copy as programs for disks make it.
        Disk = "disk",
        /// YAFFS2, with the spare areas of its pages.
        Yaffs2 = "yaffs2",
        /// A program, or a piece of one.
        Elf = "elf",
        /// A program of Windows.
        Exe = "exe",
        /// A program of another system, or of a virtual machine.
        Program = "program",
        /// Firmware of a microcontroller, in USB's flashing format.
        Uf2 = "uf2",
        /// A script.
        Script = "script",
        /// What has been encrypted or signed as a whole, and must be opened first.
        Encrypted = "encrypted",
        /// What macOS puts beside a file.
        AppleDouble = "apple-double",
        /// A database.
        Database = "database",
        /// Recorded traffic of a network.
        Capture = "capture",
        /// Text.
        Text = "text",
        /// HTML or XML, such as the error page of a server.
        Html = "html",
        /// PDF.
        Pdf = "pdf",
        /// A picture.
        Picture = "picture",
        /// A signature or a key.
        Signature = "signature",
        /// What makes one file of another.
        Delta = "delta",
    }
}

/// Which kind of thing a format is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// What lies on flash: a kernel, a file system, or what some boot loader reads.
    Flash,
    /// A header of a vendor's, for the program or page that installs the rest of the file.
    Factory,
    /// What only boot loaders and their partitions have.
    BootLoader,
    /// An archive or a package, which has members.
    Archive,
    /// Packed bytes.
    Packed,
    /// The copy of a disk.
    Disk,
    /// A program or a document: no firmware.
    File,
}

impl Format {
    /// Which kind of thing it is.
    pub fn nature(self) -> Nature {
        use Format::*;
        match self {
            Tar | SynologyPat | SysupgradeTar | Qpkg | Rauc | Swu | Zip | SevenZip | Rar | Ar | Deb | Apk | Rpm
            | Cpio | Cab | Lha | Xar | Wim | UpdatePayload => Nature::Archive,
            Gzip | Bzip2 | Xz | Lzma | Zstd | Lzip | Lz4 | Lzo | Compress | Lrzip | Zchunk | AndroidSparse => {
                Nature::Packed
            }
            Mbr | Gpt | Iso | Fat | Xfs | Btrfs | Swap | Lvm | Luks | VirtualDisk | Disk | Yaffs2 => Nature::Disk,
            Elf | Exe | Program | Uf2 | Script | Text | Html | Pdf | Picture | Signature | Encrypted | AppleDouble
            | Database | Capture | Delta => Nature::File,
            Seama | TplinkV1 | TplinkV2 | TplinkSafeloader | NetgearChk | NetgearDni | Linksys | Cybertan | Ubnt
            | Buffalo | Dlink | Wrgg | Senao | Zyxel | Edimax | Csys | Sercomm | Moxa | Xiaomi | Meraki
            | MikrotikNpk | Avm | BroadcomTag | UsRobotics | Jcg | Gemtek | Planex | Poray | Mstc | Iptime | Ruckus
            | Huawei | Dahua | Hikvision | QnapFirmware | AndroidBoot | Belkin | Swapped | OpenwrtCombined
            | Factory => Nature::Factory,
            Fip | Kwbimage | Egon | Vbmeta | Dtbo => Nature::BootLoader,
            _ => Nature::Flash,
        }
    }

    /// Whether it is the copy of a box's flash as a whole, in which anything may stand that lay there.
    pub fn is_flash_copy(self) -> bool {
        matches!(self, Format::Backup | Format::ChipDump)
    }

    /// What it is, for people: `a zip archive`.
    pub fn described(self) -> &'static str {
        use Format::*;
        match self {
            Raw => "nothing that is known",
            Zimage => "an ARM zImage without a header of U-Boot's",
            Arm64Image => "a kernel for 64-bit ARM without a header of U-Boot's",
            RiscvImage => "a kernel for RISC-V without a header of U-Boot's",
            BzImage => "a kernel for x86",
            DeviceTree => "a device tree",
            Ramdisk => "a packed ramdisk",
            Ext => "an ext2, ext3 or ext4 file system",
            Seama => "a SEAMA image (D-Link)",
            TplinkV1 => "a TP-Link image, version 1",
            TplinkV2 => "a TP-Link image, version 2 or later",
            TplinkSafeloader => "a factory image for TP-Link's SafeLoader",
            NetgearChk => "a Netgear factory image (chk)",
            NetgearDni => "a Netgear factory image (DNI)",
            Linksys => "a Linksys factory image",
            Cybertan => "a factory image with CyberTAN's header (Linksys)",
            Ubnt => "a Ubiquiti factory image",
            Buffalo => "a Buffalo factory image",
            Dlink => "a D-Link factory image",
            Wrgg => "a WRGG image (D-Link)",
            Senao => "a Senao factory image (EnGenius)",
            Zyxel => "a ZyXEL factory image",
            Belkin => "a Belkin factory image",
            Factory => "a factory image with a header of its own",
            OpenwrtCombined => "a combined image of OpenWrt's older sysupgrade",
            Fip => "a package of the parts of a boot loader (FIP)",
            Kwbimage => "a boot loader for Marvell's processors (kwbimage)",
            Egon => "a boot loader for Allwinner's processors (eGON)",
            Vbmeta => "what Android's boot loaders check partitions against (vbmeta)",
            Dtbo => "overlays of the device tree for Android's boot loaders (dtbo)",
            Swapped => "an image whose bytes are swapped in twos or fours",
            Edimax => "an Edimax factory image",
            Csys => "an image with a header for Realtek's boot loaders (Edimax)",
            Sercomm => "a SerComm factory image (Netgear)",
            Moxa => "a Moxa factory image",
            Xiaomi => "a Xiaomi factory image",
            Meraki => "a Cisco Meraki image",
            MikrotikNpk => "a MikroTik package (npk)",
            Avm => "a kernel for AVM's boot loader EVA",
            BroadcomTag => "a factory image with Broadcom's tag",
            UsRobotics => "a U.S. Robotics factory image",
            Jcg => "a JCG factory image",
            Gemtek => "a Gemtek factory image",
            Planex => "a Planex factory image",
            Poray => "a factory image of Poray, Nexx or Hame",
            Mstc => "an MSTC factory image",
            Iptime => "an ipTIME factory image",
            Ruckus => "a Ruckus factory image",
            Huawei => "a Huawei factory image",
            Dahua => "a Dahua factory image",
            Hikvision => "a Hikvision factory image",
            QnapFirmware => "an update for QNAP's own web page",
            Rauc => "a RAUC bundle",
            Swu => "a package for SWUpdate (swu)",
            AndroidSparse => "an Android sparse image",
            AndroidBoot => "an Android boot image",
            Tar => "a tar archive",
            SynologyPat => "a Synology .pat",
            SysupgradeTar => "a sysupgrade archive of OpenWrt's",
            Qpkg => "a QNAP package",
            Zip => "a zip archive",
            SevenZip => "a 7z archive",
            Rar => "a rar archive",
            Ar => "an ar archive",
            Deb => "a Debian package",
            Apk => "a package of apk (Alpine Linux, OpenWrt)",
            Rpm => "an RPM package",
            Cpio => "a cpio archive",
            Cab => "a cabinet archive",
            Lha => "an lha archive",
            Xar => "a xar archive",
            Wim => "an image of Windows (wim)",
            UpdatePayload => "an update of Android or Chrome OS",
            Gzip => "packed with gzip",
            Bzip2 => "packed with bzip2",
            Xz => "packed with xz",
            Lzma => "packed with lzma",
            Zstd => "packed with zstd",
            Lzip => "packed with lzip",
            Lz4 => "packed with lz4",
            Lzo => "packed with lzop",
            Compress => "packed with compress",
            Lrzip => "packed with lrzip",
            Zchunk => "packed with zchunk",
            Mbr => "the copy of a disk with partitions (MBR)",
            Gpt => "the copy of a disk with partitions (GPT)",
            Iso => "the image of a CD (ISO 9660)",
            Fat => "a FAT file system",
            Xfs => "an XFS",
            Btrfs => "a Btrfs",
            Swap => "swap space",
            Lvm => "a physical volume of LVM",
            Luks => "an encrypted disk (LUKS)",
            VirtualDisk => "the disk of a virtual machine",
            Disk => "the copy of a disk or of a file system for disks",
            Yaffs2 => "a YAFFS2 with the spare areas of its pages",
            Elf => "an ELF program",
            Exe => "a program of Windows",
            Program => "a program of another system",
            Uf2 => "firmware of a microcontroller (UF2)",
            Script => "a script",
            Text => "text",
            Html => "HTML or XML text, such as the error page of a server",
            Pdf => "a PDF document",
            Picture => "a picture",
            Signature => "a signature or a key",
            Delta => "the difference between two files (delta)",
            Encrypted => "encrypted or wrapped in a signature",
            AppleDouble => "what macOS puts beside a file: the file is the one without ._ in front of its name",
            Database => "a database",
            Capture => "recorded network traffic",
            Uimage => "a uImage",
            Squashfs => "a squashfs",
            Cramfs => "a cramfs",
            Jffs2 => "a JFFS2",
            Fit => "a FIT image",
            Trx => "a TRX image",
            Ubi => "a UBI image",
            Ubifs => "a UBIFS",
            Erofs => "an EROFS",
            Romfs => "a romfs",
            F2fs => "an F2FS",
            OpenwrtSysupgrade => "a sysupgrade image of OpenWrt's",
            QnapRecovery => "a recovery image of QNAP's boot loaders",
            Backup => "a backup",
            Files => "several files",
            ChipDump => "the copy of a chip",
            UBootEnv => "an environment of U-Boot's",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_in_the_document_by_its_word() {
        crate::base::documented("images.md", Format::ALL);
    }
}
