//! The loops around `pread`, `pwrite` and the erase ioctls. The calls are handed in, so that the tests can
//! play a kernel that answers short or with errors.
#![forbid(unsafe_code)]

use std::io;

use crate::error::ErrorKind;

/// Most bytes that are moved by one system call.
///
/// `mtdchar.c` copies through a buffer that it allocates as large as the call, up to 128 KiB on old kernels.
/// On a box of 32 MiB such an allocation can fail for want of contiguous pages, while those of up to 32 KiB
/// (`PAGE_ALLOC_COSTLY_ORDER`) do not.
pub(crate) const PIECE: usize = 32 << 10;

/// A transfer that stopped: at which byte, and why.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) offset: u64,
    pub(crate) kind: ErrorKind,
    pub(crate) source: Option<io::Error>,
}

impl Stopped {
    fn io(offset: u64, source: io::Error) -> Self {
        Stopped {
            offset,
            kind: ErrorKind::Io,
            source: Some(source),
        }
    }

    fn kind(offset: u64, kind: ErrorKind) -> Self {
        Stopped {
            offset,
            kind,
            source: None,
        }
    }
}

/// Fills `buf` from `offset` on with as many calls of `pread` as it takes.
pub(crate) fn read_full(
    offset: u64,
    buf: &mut [u8],
    mut pread: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> Result<(), Stopped> {
    let mut done = 0;
    while done < buf.len() {
        let at = offset + done as u64;
        let piece = (buf.len() - done).min(PIECE);
        match pread(&mut buf[done..done + piece], at) {
            // `mtdchar_read` returns 0 behind the end of the device and when the driver delivers nothing.
            Ok(0) => return Err(Stopped::kind(at, ErrorKind::ShortRead)),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stopped::io(at, error)),
        }
    }
    Ok(())
}

/// Writes `data` from `offset` on. Each call takes whole units of `write_size` bytes, because NAND refuses
/// anything else; a call that ends within a unit cannot be carried on and is an error.
pub(crate) fn write_full(
    offset: u64,
    data: &[u8],
    write_size: usize,
    mut pwrite: impl FnMut(&[u8], u64) -> io::Result<usize>,
) -> Result<(), Stopped> {
    let unit = write_size.max(1);
    // Pages of more than 32 KiB do not exist, but a unit must never be cut.
    let most = (PIECE / unit * unit).max(unit);
    let mut done = 0;
    while done < data.len() {
        let at = offset + done as u64;
        let piece = (data.len() - done).min(most);
        match pwrite(&data[done..done + piece], at) {
            Ok(0) => return Err(Stopped::kind(at, ErrorKind::ShortWrite)),
            Ok(count) if count < piece && count % unit != 0 => {
                return Err(Stopped::kind(at + count as u64, ErrorKind::ShortWrite));
            }
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stopped::io(at, error)),
        }
    }
    Ok(())
}

/// Whether blank pages alone explain that ECC could not vouch for what was read to `buf` from `offset` on: each page that is not
/// all of it there, or not blank, reads the same by itself, and `vouched` for.
///
/// Some drivers count a failure for each page that was never programmed. UBI, too, takes what reads as 0xFF for blank whatever ECC
/// says (`UBI_IO_FF_BITFLIPS` in drivers/mtd/ubi/io.c).
pub(crate) fn only_blank(
    offset: u64,
    buf: &[u8],
    page: usize,
    mut vouched: impl FnMut(&mut [u8], u64) -> io::Result<bool>,
) -> bool {
    let page = page.max(1);
    let mut again = vec![0; page];
    let (mut done, mut blank) = (0, false);
    while done < buf.len() {
        let at = offset + done as u64;
        let into = (at % page as u64) as usize;
        let part = &buf[done..buf.len().min(done + page - into)];
        if part.len() == page && part.iter().all(|byte| *byte == 0xff) {
            blank = true;
        } else {
            let again = &mut again[..part.len()];
            if !matches!(vouched(again, at), Ok(true)) || again != part {
                return false;
            }
        }
        done += part.len();
    }
    blank
}

/// Erases with the 64-bit call, and with the 32-bit one where the kernel does not know the other or where
/// `EINVAL` is all it says. The latter may also mean a misplaced block; then the second call repeats it.
pub(crate) fn erase_either(
    erase64: impl FnOnce() -> io::Result<()>,
    erase32: Option<impl FnOnce() -> io::Result<()>>,
) -> io::Result<()> {
    match (erase64(), erase32) {
        (Err(error), Some(erase32)) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => erase32(),
        (result, _) => result,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::cell::Cell;

    fn errno(number: i32) -> io::Error {
        io::Error::from_raw_os_error(number)
    }

    #[test]
    fn short_reads_are_carried_on() {
        let mut buf = [0; 100];
        read_full(1000, &mut buf, |part, at| {
            let count = part.len().min(33);
            part[..count]
                .iter_mut()
                .zip(at..)
                .for_each(|(byte, at)| *byte = at as u8);
            Ok(count)
        })
        .unwrap();
        assert!(buf.iter().zip(1000u64..).all(|(byte, at)| *byte == at as u8));
    }

    #[test]
    fn a_read_that_delivers_nothing_is_an_error_at_its_offset() {
        let mut buf = [0; 100];
        let stopped = read_full(1000, &mut buf, |_, at| Ok(if at < 1050 { 50 } else { 0 })).unwrap_err();
        assert_eq!((stopped.offset, stopped.kind), (1050, ErrorKind::ShortRead));
    }

    #[test]
    fn interrupted_calls_are_repeated() {
        let interrupted = Cell::new(3);
        let mut buf = [0; 10];
        let answer = |length: usize| {
            if interrupted.get() > 0 {
                interrupted.set(interrupted.get() - 1);
                return Err(errno(libc::EINTR));
            }
            Ok(length)
        };
        read_full(0, &mut buf, |part, _| answer(part.len())).unwrap();
        interrupted.set(3);
        write_full(0, &buf, 1, |part, _| answer(part.len())).unwrap();
        assert_eq!(interrupted.get(), 0);
    }

    #[test]
    fn writes_are_cut_between_units_never_within() {
        let data = vec![0; 1056 * 100];
        let mut sizes = Vec::new();
        write_full(0, &data, 1056, |part, at| {
            assert_eq!(at % 1056, 0);
            sizes.push(part.len());
            Ok(part.len())
        })
        .unwrap();
        assert!(sizes.iter().all(|size| size % 1056 == 0 && *size <= PIECE));
        assert_eq!(sizes.iter().sum::<usize>(), data.len());
    }

    #[test]
    fn a_write_that_ends_within_a_page_is_an_error_at_the_first_byte_not_taken() {
        let stopped = write_full(0x800, &[0; 4096], 2048, |_, _| Ok(2050)).unwrap_err();
        assert_eq!((stopped.offset, stopped.kind), (0x800 + 2050, ErrorKind::ShortWrite));
        let stopped = write_full(0x800, &[0; 4096], 2048, |_, at| Ok(if at == 0x800 { 2048 } else { 0 })).unwrap_err();
        assert_eq!((stopped.offset, stopped.kind), (0x1000, ErrorKind::ShortWrite));
    }

    #[test]
    fn an_error_of_the_system_keeps_its_number_and_place() {
        let stopped = write_full(0, &[0; 3 * PIECE], 1, |part, at| {
            if at == 0 { Ok(part.len()) } else { Err(errno(libc::EIO)) }
        })
        .unwrap_err();
        assert_eq!(stopped.offset, PIECE as u64);
        assert_eq!(stopped.source.unwrap().raw_os_error(), Some(libc::EIO));
    }

    /// Pages of four bytes, of which those from `bad` on cannot be corrected.
    fn explained(offset: u64, flash: &[u8], bad: &[u64]) -> bool {
        let buf = flash[offset as usize..].to_vec();
        only_blank(offset, &buf, 4, |part, at| {
            part.copy_from_slice(&flash[at as usize..][..part.len()]);
            let pages = at / 4 * 4..at + part.len() as u64;
            Ok(!bad.iter().any(|page| pages.contains(page)))
        })
    }

    #[test]
    fn failures_of_blank_pages_alone_are_none() {
        let blank = [0xff; 4];
        let flash = [*b"data", blank, *b"more", blank].concat();
        assert!(explained(0, &flash, &[4, 12]));
        assert!(!explained(0, &flash, &[4, 8]));
        // Which pages failed is not known, and without a blank one it was one of the others.
        assert!(!explained(8, &flash[..12], &[]));
        // Half a page may hold anything in its other half.
        assert!(!explained(6, &flash, &[4]));
        assert!(explained(2, &flash, &[12]));
    }

    #[test]
    fn what_reads_differently_is_not_explained() {
        let buf = [*b"data", [0xff; 4]].concat();
        assert!(!only_blank(0, &buf, 4, |part, _| {
            part.fill(0);
            Ok(true)
        }));
        assert!(!only_blank(0, &buf, 4, |_, _| Err(errno(libc::EIO))));
    }

    #[test]
    fn an_old_kernel_gets_the_32_bit_erase() {
        for number in [libc::ENOTTY, libc::EINVAL] {
            let called = Cell::new(false);
            erase_either(
                || Err(errno(number)),
                Some(|| {
                    called.set(true);
                    Ok(())
                }),
            )
            .unwrap();
            assert!(called.get());
        }
    }

    #[test]
    fn a_failed_erase_is_not_tried_again_the_other_way() {
        let result = erase_either(|| Err(errno(libc::EIO)), Some(|| panic!("second erase")));
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EIO));
        let never: Option<fn() -> io::Result<()>> = None;
        assert!(erase_either(|| Err(errno(libc::ENOTTY)), never).is_err());
    }
}
