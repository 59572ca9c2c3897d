//! Holds request numbers and structure sizes against the header of the kernel, as the tests of the MTD ioctls do.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::ioctl::tests::{Direction, compiles, generic, mips};
use std::fmt::Write as _;
use std::os::fd::AsFd;
use std::process::Command;

/// Name, our number, and direction, magic, sequence number and size as ubi-user.h defines them.
fn table() -> Vec<(&'static str, u32, Direction, u8, u32, usize)> {
    use Direction::*;
    vec![
        ("UBI_IOCMKVOL", request::UBI_IOCMKVOL, Write, b'o', 0, 152),
        ("UBI_IOCRMVOL", request::UBI_IOCRMVOL, Write, b'o', 1, 4),
        ("UBI_IOCRSVOL", request::UBI_IOCRSVOL, Write, b'o', 2, 12),
        ("UBI_IOCATT", request::UBI_IOCATT, Write, b'o', 64, 24),
        ("UBI_IOCDET", request::UBI_IOCDET, Write, b'o', 65, 4),
        ("UBI_IOCVOLUP", request::UBI_IOCVOLUP, Write, b'O', 0, 8),
        ("UBI_IOCEBER", request::UBI_IOCEBER, Write, b'O', 1, 4),
        ("UBI_IOCEBCH", request::UBI_IOCEBCH, Write, b'O', 2, 4),
        ("UBI_IOCEBMAP", request::UBI_IOCEBMAP, Write, b'O', 3, 8),
        ("UBI_IOCEBUNMAP", request::UBI_IOCEBUNMAP, Write, b'O', 4, 4),
        ("UBI_IOCEBISMAP", request::UBI_IOCEBISMAP, Read, b'O', 5, 4),
        ("UBI_IOCSETVOLPROP", request::UBI_IOCSETVOLPROP, Write, b'O', 6, 16),
        ("UBI_IOCVOLRMBLK", request::UBI_IOCVOLRMBLK, None, b'O', 8, 0),
    ]
}

/// The number of the MTD ioctl with the same parts, with UBI's magic in the place of MTD's.
fn with_magic(number: u32, magic: u8) -> u32 {
    number & !0xff00 | u32::from(magic) << 8
}

#[test]
fn request_numbers_are_those_of_this_architecture() {
    let other_bits = cfg!(any(
        target_arch = "mips",
        target_arch = "mips64",
        target_arch = "powerpc"
    ));
    for (name, ours, direction, magic, nr, size) in table() {
        let encode = if other_bits { mips } else { generic };
        let expected = with_magic(encode(direction, nr, size), magic);
        assert_eq!(ours, expected, "{name}: {ours:#x} is not {expected:#x}");
    }
}

const HEADERS: &str = "#include <stddef.h>\n#include <linux/ioctl.h>\n#include <mtd/ubi-user.h>\n";

/// The C text that only compiles where header and crate agree.
fn assertions() -> String {
    let mut text = String::from(HEADERS);
    let mut claim = |what: &str, value: usize| {
        writeln!(text, "_Static_assert(({what}) == {value}u, \"{what}\");").unwrap();
    };
    for (name, ours, ..) in table() {
        claim(name, ours as usize);
    }
    claim("sizeof(struct ubi_attach_req)", size_of::<UbiAttachReq>());
    claim(
        "offsetof(struct ubi_attach_req, max_beb_per1024)",
        std::mem::offset_of!(UbiAttachReq, max_beb_per1024),
    );
    claim("sizeof(struct ubi_mkvol_req)", size_of::<UbiMkvolReq>());
    claim(
        "offsetof(struct ubi_mkvol_req, name_len)",
        std::mem::offset_of!(UbiMkvolReq, name_len),
    );
    claim(
        "offsetof(struct ubi_mkvol_req, name)",
        std::mem::offset_of!(UbiMkvolReq, name),
    );
    claim("UBI_DYNAMIC_VOLUME", UBI_DYNAMIC_VOLUME as usize);
    claim("UBI_MAX_VOLUME_NAME", UBI_MAX_VOLUME_NAME);
    claim("sizeof(struct ubi_rsvol_req)", size_of::<UbiRsvolReq>());
    claim(
        "offsetof(struct ubi_rsvol_req, vol_id)",
        std::mem::offset_of!(UbiRsvolReq, vol_id),
    );
    claim("sizeof(struct ubi_leb_change_req)", size_of::<UbiLebChangeReq>());
    claim(
        "offsetof(struct ubi_leb_change_req, dtype)",
        std::mem::offset_of!(UbiLebChangeReq, dtype),
    );
    claim("sizeof(struct ubi_map_req)", size_of::<UbiMapReq>());
    claim("sizeof(struct ubi_set_vol_prop_req)", size_of::<UbiSetVolPropReq>());
    claim(
        "offsetof(struct ubi_set_vol_prop_req, value)",
        std::mem::offset_of!(UbiSetVolPropReq, value),
    );
    claim("UBI_VOL_PROP_DIRECT_WRITE", UBI_VOL_PROP_DIRECT_WRITE.into());
    text.push_str("_Static_assert(UBI_DEV_NUM_AUTO == -1, \"automatic number\");\n");
    text
}

#[test]
fn the_c_header_agrees() {
    let compiler = match std::env::var("MTD_RS_CC") {
        Ok(compiler) => compiler,
        Err(_) if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) => "cc".into(),
        Err(_) => {
            eprintln!("not compared with the C header: MTD_RS_CC names no compiler of this architecture");
            return;
        }
    };
    let (fits, said) = compiles(&compiler, &assertions());
    assert!(fits, "{said}");
    // A compiler that takes everything proves nothing.
    let (fits, _) = compiles(&compiler, &assertions().replace("== 24u", "== 25u"));
    assert!(!fits, "{compiler} accepts a wrong size");
}

#[test]
fn the_headers_of_the_devices_agree_where_their_compilers_are_installed() {
    type Encode = fn(Direction, u32, usize) -> u32;
    let targets: [(&str, Encode); 3] = [
        ("arm-linux-gnueabi-gcc", generic),
        ("mips-linux-gnu-gcc", mips),
        ("mipsel-linux-gnu-gcc", mips),
    ];
    for (compiler, encode) in targets {
        let version = Command::new(compiler).arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            eprintln!("not compared: {compiler} is not installed");
            continue;
        }
        let mut text = String::from(HEADERS);
        for (name, _, direction, magic, nr, size) in table() {
            let number = with_magic(encode(direction, nr, size), magic);
            writeln!(text, "_Static_assert({name} == {number}u, \"{name}\");").unwrap();
        }
        let (fits, said) = compiles(compiler, &text);
        assert!(fits, "{compiler}: {said}");
        let (fits, _) = compiles(compiler, &text.replacen("== ", "== 1 + ", 1));
        assert!(!fits, "{compiler} accepts a wrong number");
    }
}

#[test]
fn a_file_that_is_no_volume_is_told_by_an_error() {
    let null = std::fs::File::open("/dev/null").unwrap();
    let errors = [
        ubi_ioceber(null.as_fd(), 0).unwrap_err(),
        ubi_iocebismap(null.as_fd(), 0).unwrap_err(),
        ubi_iocvolrmblk(null.as_fd()).unwrap_err(),
        ubi_iocmkvol(null.as_fd(), 0, "name", 1).unwrap_err(),
        ubi_iocrmvol(null.as_fd(), 0).unwrap_err(),
    ];
    for error in errors {
        assert!(
            matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::ENOSYS)),
            "{error}"
        );
    }
    for name in ["", "\0", &"x".repeat(128)] {
        let error = ubi_iocmkvol(null.as_fd(), 0, name, 1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{name}");
    }
    let error = ubi_iocebch(null.as_fd(), u32::MAX, 1).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "no __s32 can hold it");
}
