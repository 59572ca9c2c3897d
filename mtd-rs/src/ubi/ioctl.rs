//! The UBI ioctls, one function per kernel name.
//!
//! Read `include/uapi/mtd/ubi-user.h` for the structures and `drivers/mtd/ubi/cdev.c` for what they do. Three kinds of
//! character device take them: `/dev/ubi_ctrl` attaches and detaches, `/dev/ubiN` is a UBI device, `/dev/ubiN_M` a
//! volume of it. LEB is a logical erase block, counted from 0.
//!
//! Errors are as in [`crate::ioctl`]: those of the system, with `EINTR` repeated and `ENOTTY` for a file or a kernel
//! that does not know the call. Calls on `/dev/ubi_ctrl` and on a device, and [`ubi_iocvolup`], need
//! `CAP_SYS_RESOURCE`, else `EPERM`.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::ioctl::retry;

/// `ubi_attach_req.ubi_num` for "the next free number" (`UBI_DEV_NUM_AUTO`).
pub const UBI_DEV_NUM_AUTO: i32 = -1;
/// `UBI_VOL_PROP_DIRECT_WRITE`: whether write(2) may write a dynamic volume without an update.
pub const UBI_VOL_PROP_DIRECT_WRITE: u8 = 1;

/// The `dtype` that means "unknown" (`UBI_UNKNOWN`). Kernels before 3.7 refuse anything that is none of theirs, later
/// ones do not look.
const UBI_UNKNOWN: i8 = 3;

/// `struct ubi_attach_req`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct UbiAttachReq {
    /// The number to give the device, or [`UBI_DEV_NUM_AUTO`].
    pub ubi_num: i32,
    pub mtd_num: i32,
    /// Bytes from the start of an erase block to the volume header; 0 for the default.
    pub vid_hdr_offset: i32,
    /// Erase blocks kept for bad ones, of 1024; 0 for the default. Older kernels take it for padding.
    pub max_beb_per1024: i16,
    /// Whether the fastmap is left unused. Older kernels take it for padding.
    pub disable_fm: i8,
    padding: [i8; 9],
}

/// Bytes of a volume's name at most (`UBI_MAX_VOLUME_NAME`).
pub const UBI_MAX_VOLUME_NAME: usize = 127;
/// The `vol_type` of a dynamic volume (`UBI_DYNAMIC_VOLUME`).
const UBI_DYNAMIC_VOLUME: i8 = 3;

/// `struct ubi_mkvol_req`: packed, 152 bytes.
#[repr(C, packed)]
struct UbiMkvolReq {
    vol_id: i32,
    alignment: i32,
    bytes: i64,
    vol_type: i8,
    flags: u8,
    name_len: i16,
    padding: [i8; 4],
    name: [u8; UBI_MAX_VOLUME_NAME + 1],
}

/// `struct ubi_rsvol_req`: packed, 12 bytes.
#[repr(C, packed)]
struct UbiRsvolReq {
    bytes: i64,
    vol_id: i32,
}

/// `struct ubi_leb_change_req`.
#[repr(C)]
struct UbiLebChangeReq {
    lnum: i32,
    bytes: i32,
    dtype: i8,
    padding: [i8; 7],
}

/// `struct ubi_map_req`.
#[repr(C)]
struct UbiMapReq {
    lnum: i32,
    dtype: i8,
    padding: [i8; 3],
}

/// `struct ubi_set_vol_prop_req`.
#[repr(C)]
struct UbiSetVolPropReq {
    property: u8,
    padding: [u8; 7],
    value: u64,
}

/// The request numbers of this architecture.
#[allow(missing_docs)]
pub mod request {
    use super::*;
    use nix::{request_code_none, request_code_read, request_code_write};

    pub const UBI_IOCMKVOL: u32 = request_code_write!(b'o', 0, size_of::<UbiMkvolReq>()) as u32;
    pub const UBI_IOCRMVOL: u32 = request_code_write!(b'o', 1, size_of::<i32>()) as u32;
    pub const UBI_IOCRSVOL: u32 = request_code_write!(b'o', 2, size_of::<UbiRsvolReq>()) as u32;
    pub const UBI_IOCATT: u32 = request_code_write!(b'o', 64, size_of::<UbiAttachReq>()) as u32;
    pub const UBI_IOCDET: u32 = request_code_write!(b'o', 65, size_of::<i32>()) as u32;
    pub const UBI_IOCVOLUP: u32 = request_code_write!(b'O', 0, size_of::<i64>()) as u32;
    pub const UBI_IOCEBER: u32 = request_code_write!(b'O', 1, size_of::<i32>()) as u32;
    // The size in the number is that of an __s32, although a whole ubi_leb_change_req is read.
    pub const UBI_IOCEBCH: u32 = request_code_write!(b'O', 2, size_of::<i32>()) as u32;
    pub const UBI_IOCEBMAP: u32 = request_code_write!(b'O', 3, size_of::<UbiMapReq>()) as u32;
    pub const UBI_IOCEBUNMAP: u32 = request_code_write!(b'O', 4, size_of::<i32>()) as u32;
    pub const UBI_IOCEBISMAP: u32 = request_code_read!(b'O', 5, size_of::<i32>()) as u32;
    pub const UBI_IOCSETVOLPROP: u32 = request_code_write!(b'O', 6, size_of::<UbiSetVolPropReq>()) as u32;
    pub const UBI_IOCVOLRMBLK: u32 = request_code_none!(b'O', 8) as u32;
}

/// The calls as nix makes them, each bound to the request number that the tests check.
mod raw {
    use super::*;

    nix::ioctl_readwrite_bad!(mkvol, request::UBI_IOCMKVOL, UbiMkvolReq);
    nix::ioctl_write_ptr_bad!(rmvol, request::UBI_IOCRMVOL, i32);
    nix::ioctl_write_ptr_bad!(rsvol, request::UBI_IOCRSVOL, UbiRsvolReq);
    nix::ioctl_readwrite_bad!(att, request::UBI_IOCATT, UbiAttachReq);
    nix::ioctl_write_ptr_bad!(det, request::UBI_IOCDET, i32);
    nix::ioctl_write_ptr_bad!(volup, request::UBI_IOCVOLUP, i64);
    nix::ioctl_write_ptr_bad!(eber, request::UBI_IOCEBER, i32);
    nix::ioctl_write_ptr_bad!(ebch, request::UBI_IOCEBCH, UbiLebChangeReq);
    nix::ioctl_write_ptr_bad!(ebmap, request::UBI_IOCEBMAP, UbiMapReq);
    nix::ioctl_write_ptr_bad!(ebunmap, request::UBI_IOCEBUNMAP, i32);
    nix::ioctl_write_ptr_bad!(ebismap, request::UBI_IOCEBISMAP, i32);
    nix::ioctl_write_ptr_bad!(setvolprop, request::UBI_IOCSETVOLPROP, UbiSetVolPropReq);
    nix::ioctl_none_bad!(volrmblk, request::UBI_IOCVOLRMBLK);
}

/// A number as the `__s32` of the kernel.
fn s32(number: u32) -> io::Result<i32> {
    i32::try_from(number).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// On `/dev/ubi_ctrl`: attaches an MTD device and answers the number of the new UBI device.
///
/// Attaching is not harmless: an MTD that is blank is formatted, one half attached before is repaired.
///
/// # Errors
/// `EEXIST` when it is attached already, `EINVAL` when what is on the MTD is not a UBI.
///
/// # References
/// [`UBI_IOCATT` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocatt(fd: impl AsFd, mut request: UbiAttachReq) -> io::Result<u32> {
    // SAFETY: the kernel reads one `ubi_attach_req` and writes the number of the device back into its first field
    // (`ctrl_cdev_ioctl`); it lives through the call.
    retry(|| unsafe { raw::att(fd.as_fd().as_raw_fd(), &mut request) })?;
    u32::try_from(request.ubi_num).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// On `/dev/ubi_ctrl`: detaches the UBI device with this number.
///
/// # Errors
/// `EBUSY` while one of its volumes is in use, `EINVAL` when there is no such device.
///
/// # References
/// [`UBI_IOCDET` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocdet(fd: impl AsFd, ubi_num: u32) -> io::Result<()> {
    let number = s32(ubi_num)?;
    // SAFETY: the kernel only reads one `__s32`, which lives through the call.
    retry(|| unsafe { raw::det(fd.as_fd().as_raw_fd(), &number) }).map(drop)
}

/// On `/dev/ubiN`: makes a dynamic volume with this number and name, of as many logical erase blocks as `bytes` take.
///
/// # Errors
/// `EINVAL` for a name that is empty or too long, `EEXIST` for a number or a name that is there, `ENOSPC` when the device has
/// too few free erase blocks.
///
/// # References
/// [`UBI_IOCMKVOL` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocmkvol(fd: impl AsFd, volume: u32, name: &str, bytes: u64) -> io::Result<()> {
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    let mut request = UbiMkvolReq {
        vol_id: s32(volume)?,
        alignment: 1,
        bytes: i64::try_from(bytes).map_err(|_| invalid())?,
        vol_type: UBI_DYNAMIC_VOLUME,
        flags: 0,
        name_len: i16::try_from(name.len()).map_err(|_| invalid())?,
        padding: [0; 4],
        name: [0; UBI_MAX_VOLUME_NAME + 1],
    };
    // The last byte stays zero: the name ends within its field.
    match name.is_empty() || name.len() > UBI_MAX_VOLUME_NAME || name.contains('\0') {
        true => return Err(invalid()),
        false => request.name[..name.len()].copy_from_slice(name.as_bytes()),
    }
    // SAFETY: the kernel reads one `ubi_mkvol_req` and writes the number of the volume back into its first field
    // (`ubi_cdev_ioctl`); it lives through the call.
    retry(|| unsafe { raw::mkvol(fd.as_fd().as_raw_fd(), &mut request) }).map(drop)
}

/// On `/dev/ubiN`: takes a volume away with all that is in it.
///
/// # Errors
/// `EBUSY` while the volume is in use, `ENODEV` when there is none with this number.
///
/// # References
/// [`UBI_IOCRMVOL` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocrmvol(fd: impl AsFd, volume: u32) -> io::Result<()> {
    let number = s32(volume)?;
    // SAFETY: the kernel only reads one `__s32`, which lives through the call.
    retry(|| unsafe { raw::rmvol(fd.as_fd().as_raw_fd(), &number) }).map(drop)
}

/// On `/dev/ubiN`: gives a volume another size, in bytes.
///
/// # Errors
/// `ENOSPC` when the device has too few free erase blocks, `EBUSY` while the volume is in use.
///
/// # References
/// [`UBI_IOCRSVOL` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocrsvol(fd: impl AsFd, volume: u32, bytes: u64) -> io::Result<()> {
    let request = UbiRsvolReq {
        bytes: i64::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?,
        vol_id: s32(volume)?,
    };
    // SAFETY: the kernel only reads one `ubi_rsvol_req`, which lives through the call.
    retry(|| unsafe { raw::rsvol(fd.as_fd().as_raw_fd(), &request) }).map(drop)
}

/// On a volume: begins an update. The volume is emptied and marked as being updated; after exactly `bytes` bytes of
/// write(2) the mark goes. Until then, over a power cut too, the volume cannot be read.
///
/// # Errors
/// `EPERM` without `CAP_SYS_RESOURCE`, `EROFS` on a volume that is opened for reading, `EBUSY` while anybody else has
/// it open, `EINVAL` for more bytes than it can hold.
///
/// # References
/// [UBI's manual](http://www.linux-mtd.infradead.org/doc/ubi.html#L_volupdate),
/// [`UBI_IOCVOLUP` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocvolup(fd: impl AsFd, bytes: u64) -> io::Result<()> {
    let bytes = i64::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: the kernel only reads one `__s64`, which lives through the call.
    retry(|| unsafe { raw::volup(fd.as_fd().as_raw_fd(), &bytes) }).map(drop)
}

/// On a dynamic volume: unmaps a LEB and waits until the erase block behind it is really erased, so that its old
/// content cannot come back after a power cut.
///
/// # Errors
/// `EROFS` on a volume that is static or opened for reading.
///
/// # References
/// [`UBI_IOCEBER` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_ioceber(fd: impl AsFd, lnum: u32) -> io::Result<()> {
    let lnum = s32(lnum)?;
    // SAFETY: the kernel only reads one `__s32`, which lives through the call.
    retry(|| unsafe { raw::eber(fd.as_fd().as_raw_fd(), &lnum) }).map(drop)
}

/// On a dynamic volume: begins an atomic change of a LEB. After exactly `bytes` bytes of write(2) the LEB has the new
/// content; until then, over a power cut too, it has the old one. What lies behind `bytes` is blank.
///
/// # Errors
/// `EBUSY` while anybody else has the volume open, `EINVAL` for more bytes than a LEB has, `EROFS`.
///
/// # References
/// [`UBI_IOCEBCH` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocebch(fd: impl AsFd, lnum: u32, bytes: u32) -> io::Result<()> {
    let request = UbiLebChangeReq {
        lnum: s32(lnum)?,
        bytes: s32(bytes)?,
        dtype: UBI_UNKNOWN,
        padding: [0; 7],
    };
    // SAFETY: the kernel only reads one `ubi_leb_change_req`, which lives through the call.
    retry(|| unsafe { raw::ebch(fd.as_fd().as_raw_fd(), &request) }).map(drop)
}

/// On a dynamic volume: puts a blank erase block behind a LEB that has none.
///
/// # Errors
/// `EBADMSG` when the LEB is mapped already, `EROFS` on a volume that is static or opened for reading.
///
/// # References
/// [`UBI_IOCEBMAP` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocebmap(fd: impl AsFd, lnum: u32) -> io::Result<()> {
    let request = UbiMapReq {
        lnum: s32(lnum)?,
        dtype: UBI_UNKNOWN,
        padding: [0; 3],
    };
    // SAFETY: the kernel only reads one `ubi_map_req`, which lives through the call.
    retry(|| unsafe { raw::ebmap(fd.as_fd().as_raw_fd(), &request) }).map(drop)
}

/// On a dynamic volume: takes the erase block of a LEB away, which reads as blank from then on. It is erased some time
/// later; after a power cut before that, the old content is back.
///
/// # Errors
/// `EROFS` on a volume that is static or opened for reading.
///
/// # References
/// [`UBI_IOCEBUNMAP` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocebunmap(fd: impl AsFd, lnum: u32) -> io::Result<()> {
    let lnum = s32(lnum)?;
    // SAFETY: the kernel only reads one `__s32`, which lives through the call.
    retry(|| unsafe { raw::ebunmap(fd.as_fd().as_raw_fd(), &lnum) }).map(drop)
}

/// On a volume: whether a LEB has an erase block behind it.
///
/// # Errors
/// `EINVAL` for a LEB that the volume does not have.
///
/// # References
/// [`UBI_IOCEBISMAP` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocebismap(fd: impl AsFd, lnum: u32) -> io::Result<bool> {
    let lnum = s32(lnum)?;
    // SAFETY: despite its direction bits the kernel only reads one `__s32` (`vol_cdev_ioctl`), which lives through
    // the call.
    retry(|| unsafe { raw::ebismap(fd.as_fd().as_raw_fd(), &lnum) }).map(|mapped| mapped != 0)
}

/// On a volume: sets a property, such as [`UBI_VOL_PROP_DIRECT_WRITE`]. Kernels from 2.6.37 on.
///
/// # Errors
/// `EINVAL` for a property that the kernel does not have.
///
/// # References
/// [`UBI_IOCSETVOLPROP` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocsetvolprop(fd: impl AsFd, property: u8, value: u64) -> io::Result<()> {
    let request = UbiSetVolPropReq {
        property,
        padding: [0; 7],
        value,
    };
    // SAFETY: the kernel only reads one `ubi_set_vol_prop_req`, which lives through the call.
    retry(|| unsafe { raw::setvolprop(fd.as_fd().as_raw_fd(), &request) }).map(drop)
}

/// On a volume: takes away the read-only block device `/dev/ubiblockN_M` that was made of it. Kernels from 3.15 on,
/// where `CONFIG_MTD_UBI_BLOCK` is set.
///
/// # Errors
/// `ENODEV` when there is none, `EBUSY` while it is in use.
///
/// # References
/// [UBI's manual](http://www.linux-mtd.infradead.org/doc/ubi.html#L_ubiblock),
/// [`UBI_IOCVOLRMBLK` in cdev.c](https://github.com/torvalds/linux/blob/v6.12/drivers/mtd/ubi/cdev.c)
pub fn ubi_iocvolrmblk(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the request takes no argument.
    retry(|| unsafe { raw::volrmblk(fd.as_fd().as_raw_fd()) }).map(drop)
}

#[cfg(test)]
#[path = "ioctl_tests.rs"]
mod tests;
