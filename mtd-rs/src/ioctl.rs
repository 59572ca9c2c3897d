//! The MTD ioctls, one function per kernel name.
//!
//! Read `include/uapi/mtd/mtd-abi.h` for the structures and `mtdchar_ioctl` in `drivers/mtd/mtdchar.c` for
//! what they do. The request numbers come from nix's `request_code_*!`, because MIPS, PowerPC and SPARC keep
//! direction and size in other bits than the rest; the tests hold the numbers and sizes against the C header.
//!
//! Every function takes whatever has a descriptor, a [`File`](std::fs::File) or an [`MtdDevice`](crate::MtdDevice), and
//! borrows it for the call; each names the kernel's source as its manual, for there are no manual pages.
//!
//! Every function returns the error of the system as it is, except `EINTR`, after which the call is repeated.
//! `ENOTTY` means that the kernel does not know the ioctl or that the file is not an MTD character device,
//! `EOPNOTSUPP` that the driver of the chip cannot do it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

use crate::flash::EccStats;

/// `struct mtd_info_user`: what [`memgetinfo`] returns. Sizes are bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct MtdInfoUser {
    pub kind: u8,
    pub flags: u32,
    /// The size of the device modulo 2^32: larger ones do not fit in here.
    pub size: u32,
    pub erasesize: u32,
    pub writesize: u32,
    pub oobsize: u32,
    padding: u64,
}

/// `struct erase_info_user`: a range of bytes below 4 GiB.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct EraseInfoUser {
    pub start: u32,
    pub length: u32,
}

/// `struct erase_info_user64`: a range of bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct EraseInfoUser64 {
    pub start: u64,
    pub length: u64,
}

/// `struct region_info_user`: one erase region; `offset` and `erasesize` in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct RegionInfoUser {
    pub offset: u32,
    pub erasesize: u32,
    pub numblocks: u32,
    pub regionindex: u32,
}

#[repr(C)]
#[derive(Default)]
struct MtdEccStats {
    corrected: u32,
    failed: u32,
    badblocks: u32,
    bbtblocks: u32,
}

#[repr(C)]
struct MtdOobBuf {
    start: u32,
    length: u32,
    ptr: *mut u8,
}

#[repr(C)]
struct MtdOobBuf64 {
    start: u64,
    pad: u32,
    length: u32,
    usr_ptr: u64,
}

/// How an open MTD file treats ECC and OTP (`enum mtd_file_modes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(i32)]
pub enum FileMode {
    /// Main flash with ECC.
    Normal = 0,
    /// The one-time programmable area of the factory.
    OtpFactory = 1,
    /// The one-time programmable area of the user.
    OtpUser = 2,
    /// Main flash without ECC.
    Raw = 3,
}

/// The request numbers of this architecture.
#[allow(missing_docs)]
pub mod request {
    use super::*;
    use nix::{request_code_none, request_code_read, request_code_readwrite, request_code_write};

    pub const MEMGETINFO: u32 = request_code_read!(b'M', 1, size_of::<MtdInfoUser>()) as u32;
    pub const MEMERASE: u32 = request_code_write!(b'M', 2, size_of::<EraseInfoUser>()) as u32;
    pub const MEMWRITEOOB: u32 = request_code_readwrite!(b'M', 3, size_of::<MtdOobBuf>()) as u32;
    pub const MEMREADOOB: u32 = request_code_readwrite!(b'M', 4, size_of::<MtdOobBuf>()) as u32;
    pub const MEMLOCK: u32 = request_code_write!(b'M', 5, size_of::<EraseInfoUser>()) as u32;
    pub const MEMUNLOCK: u32 = request_code_write!(b'M', 6, size_of::<EraseInfoUser>()) as u32;
    pub const MEMGETREGIONCOUNT: u32 = request_code_read!(b'M', 7, size_of::<libc::c_int>()) as u32;
    pub const MEMGETREGIONINFO: u32 = request_code_readwrite!(b'M', 8, size_of::<RegionInfoUser>()) as u32;
    pub const MEMGETBADBLOCK: u32 = request_code_write!(b'M', 11, size_of::<i64>()) as u32;
    pub const MEMSETBADBLOCK: u32 = request_code_write!(b'M', 12, size_of::<i64>()) as u32;
    pub const ECCGETSTATS: u32 = request_code_read!(b'M', 18, size_of::<MtdEccStats>()) as u32;
    pub const MTDFILEMODE: u32 = request_code_none!(b'M', 19) as u32;
    pub const MEMERASE64: u32 = request_code_write!(b'M', 20, size_of::<EraseInfoUser64>()) as u32;
    pub const MEMWRITEOOB64: u32 = request_code_readwrite!(b'M', 21, size_of::<MtdOobBuf64>()) as u32;
    pub const MEMREADOOB64: u32 = request_code_readwrite!(b'M', 22, size_of::<MtdOobBuf64>()) as u32;
    pub const MEMISLOCKED: u32 = request_code_read!(b'M', 23, size_of::<EraseInfoUser>()) as u32;
}

/// The calls as nix makes them, each bound to the request number that the tests check.
mod raw {
    use super::*;

    nix::ioctl_read_bad!(memgetinfo, request::MEMGETINFO, MtdInfoUser);
    nix::ioctl_write_ptr_bad!(memerase, request::MEMERASE, EraseInfoUser);
    nix::ioctl_readwrite_bad!(memwriteoob, request::MEMWRITEOOB, MtdOobBuf);
    nix::ioctl_readwrite_bad!(memreadoob, request::MEMREADOOB, MtdOobBuf);
    nix::ioctl_write_ptr_bad!(memlock, request::MEMLOCK, EraseInfoUser);
    nix::ioctl_write_ptr_bad!(memunlock, request::MEMUNLOCK, EraseInfoUser);
    nix::ioctl_read_bad!(memgetregioncount, request::MEMGETREGIONCOUNT, libc::c_int);
    nix::ioctl_readwrite_bad!(memgetregioninfo, request::MEMGETREGIONINFO, RegionInfoUser);
    nix::ioctl_write_ptr_bad!(memgetbadblock, request::MEMGETBADBLOCK, i64);
    nix::ioctl_write_ptr_bad!(memsetbadblock, request::MEMSETBADBLOCK, i64);
    nix::ioctl_read_bad!(eccgetstats, request::ECCGETSTATS, MtdEccStats);
    nix::ioctl_write_int_bad!(mtdfilemode, request::MTDFILEMODE);
    nix::ioctl_write_ptr_bad!(memerase64, request::MEMERASE64, EraseInfoUser64);
    nix::ioctl_readwrite_bad!(memwriteoob64, request::MEMWRITEOOB64, MtdOobBuf64);
    nix::ioctl_readwrite_bad!(memreadoob64, request::MEMREADOOB64, MtdOobBuf64);
    nix::ioctl_write_ptr_bad!(memislocked, request::MEMISLOCKED, EraseInfoUser);
}

/// Calls until something other than `EINTR` comes back.
pub(crate) fn retry(mut call: impl FnMut() -> nix::Result<libc::c_int>) -> io::Result<libc::c_int> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            Ok(value) => return Ok(value),
            // nix makes 0 of numbers that user space has no name for, such as the kernel's own ENOTSUPP.
            Err(Errno::UnknownErrno) => return Err(io::Error::last_os_error()),
            Err(errno) => return Err(io::Error::from_raw_os_error(errno as i32)),
        }
    }
}

/// The offset as the `loff_t` of the kernel.
fn loff(offset: u64) -> io::Result<i64> {
    i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// The length of a buffer as the `u32` of the kernel.
fn length(buf: &[u8]) -> io::Result<u32> {
    u32::try_from(buf.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Type, flags and sizes of the device.
///
/// # Errors
/// `ENOTTY` on what is not an MTD character device.
///
/// # References
/// [`MEMGETINFO` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memgetinfo(fd: impl AsFd) -> io::Result<MtdInfoUser> {
    let mut info = MtdInfoUser::default();
    // SAFETY: the kernel writes one `mtd_info_user` to `info`, which lives through the call.
    retry(|| unsafe { raw::memgetinfo(fd.as_fd().as_raw_fd(), &mut info) })?;
    Ok(info)
}

/// Erases whole erase blocks below 4 GiB and waits until it is done.
///
/// # Errors
/// `EPERM` on a file that is not open for writing, `EINVAL` for a range that does not consist of erase blocks, `EIO`
/// when the chip fails, `EROFS` for a device that may not be written.
///
/// # References
/// [`MEMERASE` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memerase(fd: impl AsFd, range: EraseInfoUser) -> io::Result<()> {
    // SAFETY: the kernel only reads one `erase_info_user`, which lives through the call.
    retry(|| unsafe { raw::memerase(fd.as_fd().as_raw_fd(), &range) }).map(drop)
}

/// Erases whole erase blocks and waits until it is done. Kernels from 2.6.31 on.
///
/// # Errors
/// As [`memerase`], and `ENOTTY` on older kernels.
///
/// # References
/// [`MEMERASE64` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memerase64(fd: impl AsFd, range: EraseInfoUser64) -> io::Result<()> {
    // SAFETY: the kernel only reads one `erase_info_user64`, which lives through the call.
    retry(|| unsafe { raw::memerase64(fd.as_fd().as_raw_fd(), &range) }).map(drop)
}

/// Locks whole erase blocks.
///
/// # Errors
/// `EOPNOTSUPP` where the chip has no locks, `EINVAL` behind the end; on newer kernels `EPERM` on a file that is not
/// open for writing.
///
/// # References
/// [`MEMLOCK` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memlock(fd: impl AsFd, range: EraseInfoUser) -> io::Result<()> {
    // SAFETY: the kernel only reads one `erase_info_user`, which lives through the call.
    retry(|| unsafe { raw::memlock(fd.as_fd().as_raw_fd(), &range) }).map(drop)
}

/// Unlocks whole erase blocks.
///
/// # Errors
/// As [`memlock`]; some drivers answer 524 (`ENOTSUPP` of the kernel) for `EOPNOTSUPP`.
///
/// # References
/// [`MEMUNLOCK` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memunlock(fd: impl AsFd, range: EraseInfoUser) -> io::Result<()> {
    // SAFETY: the kernel only reads one `erase_info_user`, which lives through the call.
    retry(|| unsafe { raw::memunlock(fd.as_fd().as_raw_fd(), &range) }).map(drop)
}

/// Whether the range is locked.
///
/// # Errors
/// `EOPNOTSUPP` where the driver cannot tell, `ENOTTY` on kernels before 2.6.36.
///
/// # References
/// [`MEMISLOCKED` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memislocked(fd: impl AsFd, range: EraseInfoUser) -> io::Result<bool> {
    // SAFETY: despite its direction bits the kernel only reads one `erase_info_user` (`MEMISLOCKED` in
    // mtdchar.c), which lives through the call.
    retry(|| unsafe { raw::memislocked(fd.as_fd().as_raw_fd(), &range) }).map(|locked| locked != 0)
}

/// How many erase regions the device has; 0 where all erase blocks have one size.
///
/// # Errors
/// `ENOTTY` on what is not an MTD character device.
///
/// # References
/// [`MEMGETREGIONCOUNT` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memgetregioncount(fd: impl AsFd) -> io::Result<u32> {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one int to `count`, which lives through the call.
    retry(|| unsafe { raw::memgetregioncount(fd.as_fd().as_raw_fd(), &mut count) })?;
    Ok(u32::try_from(count).unwrap_or(0))
}

/// The erase region with the number `index`, counted from 0.
///
/// # Errors
/// `EINVAL` when there is no such region.
///
/// # References
/// [`MEMGETREGIONINFO` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memgetregioninfo(fd: impl AsFd, index: u32) -> io::Result<RegionInfoUser> {
    let mut region = RegionInfoUser {
        regionindex: index,
        ..RegionInfoUser::default()
    };
    // SAFETY: the kernel reads and writes one `region_info_user`, which lives through the call.
    retry(|| unsafe { raw::memgetregioninfo(fd.as_fd().as_raw_fd(), &mut region) })?;
    Ok(region)
}

/// Whether the erase block at `offset` bytes is bad.
///
/// # Errors
/// `EINVAL` behind the end; `EOPNOTSUPP` on old kernels where there are no bad blocks.
///
/// # References
/// [`MEMGETBADBLOCK` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memgetbadblock(fd: impl AsFd, offset: u64) -> io::Result<bool> {
    let offset = loff(offset)?;
    // SAFETY: the kernel only reads one `loff_t`, which lives through the call.
    retry(|| unsafe { raw::memgetbadblock(fd.as_fd().as_raw_fd(), &offset) }).map(|bad| bad != 0)
}

/// Marks the erase block at `offset` bytes as bad.
///
/// # Errors
/// `EOPNOTSUPP` where blocks cannot be marked, `EINVAL` behind the end; on newer kernels `EPERM` on a file that is not
/// open for writing.
///
/// # References
/// [`MEMSETBADBLOCK` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memsetbadblock(fd: impl AsFd, offset: u64) -> io::Result<()> {
    let offset = loff(offset)?;
    // SAFETY: the kernel only reads one `loff_t`, which lives through the call.
    retry(|| unsafe { raw::memsetbadblock(fd.as_fd().as_raw_fd(), &offset) }).map(drop)
}

/// The ECC counters. Devices without ECC return zeros.
///
/// # Errors
/// `ENOTTY` on what is not an MTD character device.
///
/// # References
/// [`ECCGETSTATS` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn eccgetstats(fd: impl AsFd) -> io::Result<EccStats> {
    let mut stats = MtdEccStats::default();
    // SAFETY: the kernel writes one `mtd_ecc_stats` to `stats`, which lives through the call.
    retry(|| unsafe { raw::eccgetstats(fd.as_fd().as_raw_fd(), &mut stats) })?;
    Ok(EccStats {
        corrected: stats.corrected,
        failed: stats.failed,
        bad_blocks: stats.badblocks,
        bbt_blocks: stats.bbtblocks,
    })
}

/// Chooses how the open file treats ECC and OTP. Also moves its file position to 0.
///
/// # Errors
/// `EOPNOTSUPP` where the chip has no such area.
///
/// # References
/// [`MTDFILEMODE` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn mtdfilemode(fd: impl AsFd, mode: FileMode) -> io::Result<()> {
    // SAFETY: the argument is a number, no memory is touched.
    retry(|| unsafe { raw::mtdfilemode(fd.as_fd().as_raw_fd(), mode as libc::c_int) }).map(drop)
}

/// Reads OOB bytes of the page that holds `start` (bytes, below 4 GiB) and returns how many there were.
///
/// # Errors
/// `EOPNOTSUPP` where there is no OOB, `EINVAL` for more than 4096 bytes.
///
/// # References
/// [`MEMREADOOB` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memreadoob(fd: impl AsFd, start: u32, oob: &mut [u8]) -> io::Result<u32> {
    let mut request = MtdOobBuf {
        start,
        length: length(oob)?,
        ptr: oob.as_mut_ptr(),
    };
    // SAFETY: the kernel writes at most `length` bytes to `ptr`, which is the caller's buffer of that length.
    retry(|| unsafe { raw::memreadoob(fd.as_fd().as_raw_fd(), &mut request) })?;
    // The count comes back in `start`, not in `length` ("writes return length to buf_user->start", MEMREADOOB
    // in mtdchar.c).
    Ok(request.start)
}

/// Programs OOB bytes of the page that holds `start` (bytes, below 4 GiB).
///
/// # Errors
/// `EPERM` on a file that is not open for writing, `EOPNOTSUPP` where there is no OOB, `EINVAL` for more than 4096
/// bytes.
///
/// # References
/// [`MEMWRITEOOB` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memwriteoob(fd: impl AsFd, start: u32, oob: &[u8]) -> io::Result<()> {
    let mut request = MtdOobBuf {
        start,
        length: length(oob)?,
        ptr: oob.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel only reads `length` bytes from `ptr` (`mtdchar_writeoob` copies from user space).
    retry(|| unsafe { raw::memwriteoob(fd.as_fd().as_raw_fd(), &mut request) }).map(drop)
}

/// Reads OOB bytes of the page that holds `start` (bytes) and returns how many there were. Kernels from 2.6.31
/// on.
///
/// # Errors
/// As [`memreadoob`], and `ENOTTY` on older kernels.
///
/// # References
/// [`MEMREADOOB64` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memreadoob64(fd: impl AsFd, start: u64, oob: &mut [u8]) -> io::Result<u32> {
    let length = length(oob)?;
    let usr_ptr = oob.as_mut_ptr() as usize as u64;
    let mut request = MtdOobBuf64 {
        start,
        pad: 0,
        length,
        usr_ptr,
    };
    // SAFETY: the kernel writes at most `length` bytes to `usr_ptr`, which is the caller's buffer.
    retry(|| unsafe { raw::memreadoob64(fd.as_fd().as_raw_fd(), &mut request) })?;
    Ok(request.length)
}

/// Programs OOB bytes of the page that holds `start` (bytes). Kernels from 2.6.31 on.
///
/// # Errors
/// As [`memwriteoob`], and `ENOTTY` on older kernels.
///
/// # References
/// [`MEMWRITEOOB64` in mtdchar.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/mtdchar.c)
pub fn memwriteoob64(fd: impl AsFd, start: u64, oob: &[u8]) -> io::Result<()> {
    let length = length(oob)?;
    let usr_ptr = oob.as_ptr() as usize as u64;
    let mut request = MtdOobBuf64 {
        start,
        pad: 0,
        length,
        usr_ptr,
    };
    // SAFETY: the kernel only reads `length` bytes from `usr_ptr`.
    retry(|| unsafe { raw::memwriteoob64(fd.as_fd().as_raw_fd(), &mut request) }).map(drop)
}

#[cfg(test)]
#[path = "ioctl_tests.rs"]
pub(crate) mod tests;
