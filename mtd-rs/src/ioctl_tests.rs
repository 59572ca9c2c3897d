//! Holds request numbers and structure sizes against the header of the kernel.
//!
//! Run on another architecture (`qemu-arm`, `qemu-mips`) all tests but the one with the C compiler run as
//! they are. For that one `MTD_RS_CC` names a compiler of the same architecture (`mips-linux-gnu-gcc`,
//! `zig cc -target mips-linux-musleabi`); it only has to check the text, nothing it makes is executed.
#![allow(clippy::unwrap_used)]

use super::*;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    None,
    Read,
    Write,
    Both,
}

const POINTER: usize = size_of::<*const u8>();

/// Name, our number, our size, and direction, sequence number and size as mtd-abi.h defines them.
fn table() -> Vec<(&'static str, u32, Direction, u32, usize)> {
    use Direction::*;
    vec![
        ("MEMGETINFO", request::MEMGETINFO, Read, 1, 32),
        ("MEMERASE", request::MEMERASE, Write, 2, 8),
        ("MEMWRITEOOB", request::MEMWRITEOOB, Both, 3, 8 + POINTER),
        ("MEMREADOOB", request::MEMREADOOB, Both, 4, 8 + POINTER),
        ("MEMLOCK", request::MEMLOCK, Write, 5, 8),
        ("MEMUNLOCK", request::MEMUNLOCK, Write, 6, 8),
        ("MEMGETREGIONCOUNT", request::MEMGETREGIONCOUNT, Read, 7, 4),
        ("MEMGETREGIONINFO", request::MEMGETREGIONINFO, Both, 8, 16),
        ("MEMGETBADBLOCK", request::MEMGETBADBLOCK, Write, 11, 8),
        ("MEMSETBADBLOCK", request::MEMSETBADBLOCK, Write, 12, 8),
        ("ECCGETSTATS", request::ECCGETSTATS, Read, 18, 16),
        ("MTDFILEMODE", request::MTDFILEMODE, None, 19, 0),
        ("MEMERASE64", request::MEMERASE64, Write, 20, 16),
        ("MEMWRITEOOB64", request::MEMWRITEOOB64, Both, 21, 24),
        ("MEMREADOOB64", request::MEMREADOOB64, Both, 22, 24),
        ("MEMISLOCKED", request::MEMISLOCKED, Read, 23, 8),
    ]
}

/// `include/uapi/asm-generic/ioctl.h`: direction in 2 bits, write 1, read 2, size in 14 bits.
pub(crate) fn generic(direction: Direction, nr: u32, size: usize) -> u32 {
    let direction = match direction {
        Direction::None => 0,
        Direction::Write => 1,
        Direction::Read => 2,
        Direction::Both => 3,
    };
    direction << 30 | (size as u32) << 16 | 0x4d << 8 | nr
}

/// `arch/mips/include/uapi/asm/ioctl.h`: direction in 3 bits, none 1, read 2, write 4, size in 13 bits.
pub(crate) fn mips(direction: Direction, nr: u32, size: usize) -> u32 {
    let direction = match direction {
        Direction::None => 1,
        Direction::Read => 2,
        Direction::Write => 4,
        Direction::Both => 6,
    };
    direction << 29 | (size as u32) << 16 | 0x4d << 8 | nr
}

#[test]
fn request_numbers_are_those_of_this_architecture() {
    let other_bits = cfg!(any(
        target_arch = "mips",
        target_arch = "mips64",
        target_arch = "powerpc"
    ));
    for (name, ours, direction, nr, size) in table() {
        let expected = if other_bits {
            mips(direction, nr, size)
        } else {
            generic(direction, nr, size)
        };
        assert_eq!(ours, expected, "{name}: {ours:#x} is not {expected:#x}");
    }
}

#[test]
fn both_encodings_give_the_numbers_that_strace_knows() {
    use Direction::*;
    // strace's ioctlent tables for arm and mips.
    assert_eq!(generic(Read, 1, 32), 0x8020_4d01);
    assert_eq!(generic(Write, 2, 8), 0x4008_4d02);
    assert_eq!(generic(Write, 20, 16), 0x4010_4d14);
    assert_eq!(generic(Both, 8, 16), 0xc010_4d08);
    assert_eq!(generic(None, 19, 0), 0x0000_4d13);
    assert_eq!(mips(Read, 1, 32), 0x4020_4d01);
    assert_eq!(mips(Write, 2, 8), 0x8008_4d02);
    assert_eq!(mips(Write, 20, 16), 0x8010_4d14);
    assert_eq!(mips(Both, 8, 16), 0xc010_4d08);
    assert_eq!(mips(None, 19, 0), 0x2000_4d13);
}

/// The C text that only compiles where header and crate agree.
fn assertions() -> String {
    let mut text = String::from("#include <stddef.h>\n#include <linux/ioctl.h>\n#include <mtd/mtd-abi.h>\n");
    let mut claim = |what: &str, value: usize| {
        writeln!(text, "_Static_assert(({what}) == {value}u, \"{what}\");").unwrap();
    };
    for (name, ours, ..) in table() {
        claim(name, ours as usize);
    }
    claim("sizeof(struct mtd_info_user)", size_of::<MtdInfoUser>());
    claim(
        "offsetof(struct mtd_info_user, flags)",
        std::mem::offset_of!(MtdInfoUser, flags),
    );
    claim(
        "offsetof(struct mtd_info_user, size)",
        std::mem::offset_of!(MtdInfoUser, size),
    );
    claim(
        "offsetof(struct mtd_info_user, erasesize)",
        std::mem::offset_of!(MtdInfoUser, erasesize),
    );
    claim(
        "offsetof(struct mtd_info_user, writesize)",
        std::mem::offset_of!(MtdInfoUser, writesize),
    );
    claim(
        "offsetof(struct mtd_info_user, oobsize)",
        std::mem::offset_of!(MtdInfoUser, oobsize),
    );
    claim("sizeof(struct erase_info_user)", size_of::<EraseInfoUser>());
    claim("sizeof(struct erase_info_user64)", size_of::<EraseInfoUser64>());
    claim("sizeof(struct region_info_user)", size_of::<RegionInfoUser>());
    claim(
        "offsetof(struct region_info_user, regionindex)",
        std::mem::offset_of!(RegionInfoUser, regionindex),
    );
    claim("sizeof(struct mtd_ecc_stats)", size_of::<MtdEccStats>());
    claim("sizeof(struct mtd_oob_buf)", size_of::<MtdOobBuf>());
    claim(
        "offsetof(struct mtd_oob_buf, ptr)",
        std::mem::offset_of!(MtdOobBuf, ptr),
    );
    claim("sizeof(struct mtd_oob_buf64)", size_of::<MtdOobBuf64>());
    claim(
        "offsetof(struct mtd_oob_buf64, usr_ptr)",
        std::mem::offset_of!(MtdOobBuf64, usr_ptr),
    );
    claim("MTD_FILE_MODE_RAW", FileMode::Raw as usize);
    claim("MTD_WRITEABLE", crate::MTD_WRITEABLE as usize);
    claim("MTD_BIT_WRITEABLE", crate::MTD_BIT_WRITEABLE as usize);
    claim("MTD_NO_ERASE", crate::MTD_NO_ERASE as usize);
    claim("MTD_POWERUP_LOCK", crate::MTD_POWERUP_LOCK as usize);
    text
}

/// Whether the compiler takes the text, and what it says.
pub(crate) fn compiles(compiler: &str, text: &str) -> (bool, String) {
    let mut words = compiler.split_whitespace();
    let mut child = Command::new(words.next().unwrap())
        .args(words)
        .args(["-std=gnu11", "-x", "c", "-fsyntax-only", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; MTD_RS_CC can name another compiler"));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
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
    let (fits, _) = compiles(&compiler, &assertions().replace("== 32u", "== 33u"));
    assert!(!fits, "{compiler} accepts a wrong size");
}

/// The encodings of the devices, held against their own headers from whatever host the tests run on. Debian has
/// the compilers as `gcc-arm-linux-gnueabi`, `gcc-mips-linux-gnu` and `gcc-mipsel-linux-gnu`.
#[test]
fn the_headers_of_the_devices_agree_where_their_compilers_are_installed() {
    type Encode = fn(Direction, u32, usize) -> u32;
    let targets: [(&str, Encode); 3] = [
        ("arm-linux-gnueabi-gcc", generic),
        ("mips-linux-gnu-gcc", mips),
        ("mipsel-linux-gnu-gcc", mips),
    ];
    for (compiler, encode) in targets {
        // Under qemu-user a program that is not there can start and then end with 127.
        let version = Command::new(compiler).arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            eprintln!("not compared: {compiler} is not installed");
            continue;
        }
        let mut text = String::from("#include <linux/ioctl.h>\n#include <mtd/mtd-abi.h>\n");
        for (name, _, direction, nr, size) in table() {
            // All of them have pointers of 4 bytes, this host may not.
            let size = if name.ends_with("OOB") { 12 } else { size };
            let number = encode(direction, nr, size);
            writeln!(text, "_Static_assert({name} == {number}u, \"{name}\");").unwrap();
        }
        let (fits, said) = compiles(compiler, &text);
        assert!(fits, "{compiler}: {said}");
        let (fits, _) = compiles(compiler, &text.replacen("== ", "== 1 + ", 1));
        assert!(!fits, "{compiler} accepts a wrong number");
    }
}

#[test]
fn a_file_that_is_no_mtd_is_told_by_enotty() {
    let null = std::fs::File::open("/dev/null").unwrap();
    let errors = [
        memgetinfo(null.as_fd()).unwrap_err(),
        memgetregioncount(null.as_fd()).unwrap_err(),
    ];
    for error in errors {
        // The second number is what qemu-user answers for ioctls that it does not translate.
        assert!(
            matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::ENOSYS)),
            "{error}"
        );
    }
}

#[test]
fn offsets_that_no_loff_t_can_hold_are_refused_without_a_call() {
    let null = std::fs::File::open("/dev/null").unwrap();
    let error = memgetbadblock(null.as_fd(), u64::MAX).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn interrupted_ioctls_are_repeated() {
    let mut answers = [Ok(7), Err(Errno::EINTR), Err(Errno::EINTR)].into_iter().rev();
    assert_eq!(retry(|| answers.next().unwrap()).unwrap(), 7);
}
