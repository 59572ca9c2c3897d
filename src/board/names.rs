//! What a partition's name alone says of what it holds, for boxes and partitions that no profile describes.
//!
//! The names are those of Linux's and OpenWrt's device trees and parsers (`drivers/mtd/parsers/`), of the vendors' kernels
//! (`0:APPSBL` and its kind in Qualcomm's SMEM table, `urlader` and `tffs` of AVM, `adam2` of TI's AR7, `routerboot` and
//! `hard_config` of MikroTik), of coreboot's and Intel's flash maps (`SI_DESC`, `GBB`, and `gbe` with its MAC address), of what
//! boot loaders load (`fman_ucode` of NXP's QorIQ, `boot.bin` of Xilinx' Zynq), and of boot loaders. A name that is taken for more
//! than it is costs a `--force`; one that is taken for less may cost the box.

#![forbid(unsafe_code)]

use super::profile::Protection;

/// Words that make a name that of a boot loader, or of what a boot loader needs to start. More are known by their ends.
const LOADERS: &str = "cfe cferom cferam spl tpl sbl bl fip fsbl ssbl mlo bootrom bootbase bios uefi yamon pmon urlader \
    adam mibib qsee tz rpm cdt devcfg apdp atf optee tee ubl ipl apex lk abl xbl pbl rbl tfa trust xload \
    fcb bcb dbbt bbt efi opensbi booter rcw pbi bct bootbak bootpri boota bootb bootup bootware at91bs secondboot stage \
    fbl shmoo startcode lowlevelinit qcadata opaque mikrotik qualcomm \
    bst bld sysfw phypattern idblock cis sidesc sime gbb fmanucode bootbin";

/// Parts of words that do the same.
const IN_LOADERS: &str = "uboot redboot bootload barebox appsbl preloader bootstrap xloader routerboot trustedfirmware \
    imageselector imgsel meminit bootmonitor";

/// Words that make a name that of something that this one box has and no other. More are known by their ends.
const SETTINGS: &str = "bootargs bootcount art cal board nvmem mac ethaddr fis tffs training ddrparams license ssd pot \
    persist vendor oem oempart serial sn radio rf cert certs key keys params param parameter profile \
    pdata idb uid settings manufacture manufacturing envs macs wifi wlan wifidata wlandata rfdata mfg \
    mfgdata mfd manuf manufacturer prod proddata permanent persistent protect protected romfile rgdb nv \
    nvs nvdata vpd bootparam bootparams bootdata bootselect bootsel bootcounter flags keystore secret \
    secrets ptable profiles country countrycode region regdomain imei simlock uuid pin metadata \
    bdata cdata odm odmdata oemdata orgdata productdata manudata mfcdata pridata privdata private privatedata \
    pdtdata tpdata wifimngdata product property provisioning prst setting defaults custom misc rom romd romdir \
    pid bid id mrd mp hw ri bosa addr apcd pds osss oldart artmtd bs crt idmkey ntgrcrypt efs modemst fsg nvm vnvm \
    eripv para bootarg bootseq bootopt result ustate vctl rgbd pcbasn securestore securedstore \
    securestorage reservearea keyfile ptb mxpt nonvol gbe sipdr";

/// Parts of words that do the same.
const IN_SETTINGS: &str = "factory caldata calib eeprom boarddata boardinfo boardconfig devinfo bdinfo hwinfo prodinfo \
    productinfo deviceinfo macaddr defaultmac nvram fisdir partitiontable supportlist devdata ubootenv \
    wifical serialn config tplink devid deviceid devicedata hwdata dnidata idprom certificat certyficat \
    wpspin partitionmap partmap";

/// How the word of a copy ends: `artbak` is one of `art`.
const COPIES: [&str; 4] = ["backup", "back", "bak", "bk"];

/// What a partition of this name must be taken for, as nobody says what it is.
pub fn protection(name: &str) -> Option<Protection> {
    let mut words = words(name);
    let whole: String = words.concat();
    let copied = |word: &String| COPIES.iter().find_map(|end| word.strip_suffix(end)).map(str::to_owned);
    let originals: Vec<String> = words.iter().filter_map(copied).collect();
    words.extend(originals);
    let settings = |word: &String| {
        is_one_of(word, SETTINGS)
            || ["env", "cfg", "nv"].iter().any(|start| word.starts_with(start))
            || ["nv", "environment", "info", "cfg", "conf", "flag", "key", "keys"]
                .iter()
                .any(|end| word.ends_with(end))
    };
    let has = |parts: &str| parts.split(' ').any(|part| whole.contains(part));
    // `u-boot-env` is no boot loader, and `FIS directory` has no word of its own.
    if words.iter().any(settings) || settings(&whole) || has(IN_SETTINGS) {
        return Some(Protection::Settings);
    }
    let loader =
        |word: &String| is_one_of(word, LOADERS) || ["loader", "spl", "fip"].iter().any(|end| word.ends_with(end));
    // `boot` alone is mostly a kernel, `mboot` and its like are not.
    let boots = |word: &String| word.len() > 4 && word.ends_with("boot");
    (words.iter().any(|word| loader(word) || boots(word)) || loader(&whole) || has(IN_LOADERS))
        .then_some(Protection::Bootloader)
}

fn is_one_of(word: &str, words: &str) -> bool {
    words.split(' ').any(|known| known == word)
}

/// The same for the names of all partitions of a box. Broadcom's parser (`drivers/mtd/parsers/parser_trx.c` and
/// `drivers/mtd/parsers/bcm47xxpart.c`) calls CFE `boot`, which is a kernel elsewhere; it is CFE beside an `nvram`.
pub fn protections<'n>(names: &[&'n str]) -> Vec<Option<Protection>> {
    let same = |name: &str, word: &str| words(name).concat() == word;
    let broadcom = names.iter().any(|name| same(name, "nvram"));
    let one = |name: &&'n str| match broadcom && same(name, "boot") {
        true => Some(Protection::Bootloader),
        false => protection(name),
    };
    names.iter().map(one).collect()
}

/// Whether it is called `boot`, with or without a number, which is a kernel or a boot loader.
pub fn is_boot(name: &str) -> bool {
    words(name).concat() == "boot"
}

/// Whether the name says no more than that it is a configuration, such as the file system that a firmware mounts for it.
pub fn is_only_config(name: &str) -> bool {
    ["config", "conf", "cfg"].contains(&words(name).concat().as_str())
}

/// The words of a name in small letters, without the numbers that count them: `0:APPSBL_1` is `appsbl`, `BoardData` is `board`
/// and `data`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = None;
    for c in name.chars() {
        let hump = c.is_ascii_uppercase() && before.is_some_and(|c: char| c.is_ascii_lowercase());
        before = Some(c);
        if hump || !c.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
    }
    let counted = |word: String| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    words.into_iter().map(counted).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_loaders_are_known_by_their_names() {
        for name in [
            "u-boot",
            "U-Boot",
            "uboot",
            "UBOOT",
            "u-boot-spl",
            "u-boot.bak",
            "u-boot1",
            "uboot_b",
            "Bootloader",
            "BootLoader",
            "boot loader",
            "boot_loader",
            "bootloader2",
            "RedBoot",
            "cfe",
            "CFE",
            "CFEROM",
            "spl",
            "SPL1",
            "0:SBL1",
            "0:MIBIB",
            "0:APPSBL",
            "0:APPSBL_1",
            "0:QSEE",
            "bl2",
            "BL31",
            "fip",
            "FIP_A",
            "xloader",
            "x-loader",
            "barebox",
            "preloader",
            "at91bootstrap",
            "routerboot",
            "RouterBoot2",
            "urlader",
            "adam2",
            "mlo",
            "second-stage-loader",
            "nand.u-boot",
            "backup-u-boot",
            "fs-uboot",
            "zyloader",
            "SafeLoader",
            "mboot",
            "aboot",
            "fastboot",
            "x-load",
            "arm-trusted-firmware",
            "lk",
            "trust",
            "nandboot",
            "0:XBL",
            "booter",
            "BootPRI",
            "boot-bak",
            "BootupA",
            "bootA",
            "bootware_basic_backup",
            "qoriq-rcw",
            "RCW",
            "BCT",
            "stage1",
            "SecondBoot",
            "at91bs",
            "lowlevel_init",
            "startcode",
            "qcadata",
            "Qualcomm",
            "u-bootbak",
            "bst",
            "bld",
            "ospi.tiboot3",
            "ospi.tispl",
            "ospi.sysfw",
            "ospi.phypattern",
            "MemInit(NAND)",
            "X-Loader(NAND)",
            "Boot Monitor",
            "Image Selector Golden",
            "ImgSel Image A Catch",
            "Image A (FSBL, PMU, ATF, U-Boot)",
            "idblock",
            "ddrfip",
            "CIS",
            "bbt",
            "SI_DESC",
            "SI_ME",
            "SI_BIOS",
            "si-desc",
            "GBB",
            "fman_ucode",
            "BOOT.BIN",
        ] {
            assert_eq!(protection(name), Some(Protection::Bootloader), "{name}");
        }
    }

    #[test]
    fn what_one_box_has_alone_is_known_by_its_name() {
        for name in [
            "env",
            "ENV",
            "env2",
            "u-boot-env",
            "u-boot-env2",
            "u-boot_env",
            "uboot-env",
            "ubootenv",
            "U-Boot Config",
            "u-boot environment",
            "uboot_env_r",
            "bareboxenv",
            "0:APPSBLENV",
            "0:ART",
            "art",
            "ART2",
            "0:BOOTCONFIG1",
            "caldata",
            "cal_data",
            "calibration",
            "eeprom",
            "EEPROM",
            "factory",
            "Factory",
            "factory1",
            "factory-data",
            "factorydata",
            "board_data",
            "board-data",
            "BoardData",
            "boarddata",
            "board_config",
            "bdcfg",
            "config",
            "Config",
            "config2",
            "NAS Config",
            "nvram",
            "NVRAM",
            "nvram_backup",
            "mac",
            "MAC",
            "mac-address",
            "default-mac",
            "devinfo",
            "dev_info",
            "device-info",
            "bdinfo",
            "bd_info",
            "product-info",
            "productinfo",
            "prodinfo",
            "hwinfo",
            "FIS directory",
            "FIS Directory",
            "fis-directory",
            "RedBoot config",
            "RedBoot Config",
            "vendor",
            "tffs (1)",
            "hard_config",
            "soft_config",
            "partition-table",
            "support-list",
            "radio",
            "pot",
            "devdata",
            "SysConf",
            "tp-link",
            "tplink",
            "wifi",
            "wlan",
            "device-id",
            "certyficate",
            "mfgdata",
            "manufacturer-data",
            "boot_select",
            "sysflag",
            "RO_VPD",
            "nvs",
            "dnidata",
            "country",
            "id-prom",
            "keystore",
            "Bdata",
            "artbak",
            "flagback",
            "riback",
            "ENVBK",
            "u-state",
            "bs1",
            "SC PID",
            "SC PART_MAP",
            "dynamic partition map",
            "SC Private Data",
            "PRODUCTDATA",
            "MRD",
            "rom",
            "rom-d",
            "tp_data",
            "apcd",
            "EFS2",
            "user_property",
            "priv_data1",
            "pcbasn",
            "Primary_Setting",
            "extra-para",
            "cfgxxx",
            "misc",
            "nvrofs",
            "nvbacklte",
            "nvimg",
            "permnv",
            "dynnv",
            "nonvol",
            "reservearea",
            "keyfile",
            "unifykey",
            "MXPT",
            "ptb",
            "secure_storage",
            "gbe",
            "SI_GBE",
            "SI_PDR",
        ] {
            assert_eq!(protection(name), Some(Protection::Settings), "{name}");
        }
    }

    #[test]
    fn what_an_update_is_for_is_not_protected() {
        for name in [
            "kernel",
            "Kernel",
            "kernel1",
            "rootfs",
            "RootFS1",
            "rootfs_data",
            "firmware",
            "firmware2",
            "fw-kernel",
            "ubi",
            "zImage",
            "rd.gz",
            "recovery",
            "linux",
            "root",
            "data",
            "boot",
            "boot2",
            "spare",
            "initramfs",
            "rofs",
            "rwfs",
            "bmc",
            "jffs2",
            "system",
            "overlay",
            "user",
            "storage",
            "spi0.0",
            "all",
            "ubi_kernel",
            "Kernel_legacy",
            "dtb",
            "package",
            "mtd0",
            "odd",
            "out of reach",
            "no erase size",
            "fw-a+fw-b",
            "store",
            "inactive",
            "HLOS",
            "0:HLOS",
            "extra",
            "0:WIFIFW",
            "boot1",
            "linux-boot",
            "kernel_boot",
            "download",
            "userdata",
            "log",
            "rootfs_data_back",
            "kernel_backup",
            "backup",
            "runtime2",
            "romfs",
            "app_data",
            "ubi_backup",
            "fwconcat0",
            "rescue fw",
        ] {
            assert_eq!(protection(name), None, "{name}");
        }
    }

    #[test]
    fn broadcom_calls_its_boot_loader_boot() {
        let found = protections(&["boot", "linux", "nvram"]);
        assert_eq!(found, [Some(Protection::Bootloader), None, Some(Protection::Settings)]);
        assert_eq!(protections(&["boot", "linux"]), [None, None]);
    }
}
