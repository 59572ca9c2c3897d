//! The volume over a model that keeps UBI's rules: a LEB is changed atomically or not at all, is blank without an erase
//! block, and takes no second program.
#![allow(clippy::unwrap_used)]

use super::*;
use std::fs::File;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

const LEB: usize = 8192;
const PAGE: u32 = 2048;

/// What the kernel was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Change(u32, usize),
    Erase(u32),
    Begin(u64),
    Append(usize),
}

#[derive(Default)]
struct Model {
    /// `None` is a LEB without an erase block.
    blocks: Vec<Option<Vec<u8>>>,
    calls: Vec<Call>,
    unreadable: Option<u32>,
    /// Every read fails with this error, as where an update was broken off.
    closed: Option<i32>,
    /// Where the content of a static volume ends.
    end: Option<u64>,
    /// The next change fails with this error.
    broken: Option<i32>,
    /// Bytes of an update so far.
    written: usize,
}

/// The model, shared between a volume and its test.
#[derive(Clone)]
struct Kernel(Arc<Mutex<Model>>);

impl Kernel {
    fn lock(&self) -> MutexGuard<'_, Model> {
        self.0.lock().unwrap()
    }
}

impl AsFd for Kernel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        static NULL: LazyLock<File> = LazyLock::new(|| File::open("/dev/null").unwrap());
        NULL.as_fd()
    }
}

impl Volume for Kernel {
    fn read(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let model = self.lock();
        if let Some(number) = model.closed {
            return Err(io::Error::from_raw_os_error(number));
        }
        if model.end == Some(offset) || buf.is_empty() {
            return Ok(0);
        }
        assert!(model.end.is_none_or(|end| offset < end), "the kernel ends the process");
        let (lnum, at) = (offset as usize / LEB, offset as usize % LEB);
        if model.unreadable == Some(lnum as u32) {
            return Err(io::Error::from_raw_os_error(libc::EBADMSG));
        }
        let count = buf.len().min(LEB - at);
        match &model.blocks[lnum] {
            Some(content) => buf[..count].copy_from_slice(&content[at..at + count]),
            None => buf[..count].fill(0xff),
        }
        Ok(count)
    }

    fn change(&mut self, lnum: u32, data: &[u8]) -> io::Result<()> {
        let mut model = self.lock();
        if let Some(number) = model.broken.take() {
            return Err(io::Error::from_raw_os_error(number));
        }
        let mut content = data.to_vec();
        content.resize(LEB, 0xff);
        model.blocks[lnum as usize] = Some(content);
        model.calls.push(Call::Change(lnum, data.len()));
        Ok(())
    }

    fn erase(&mut self, lnum: u32) -> io::Result<()> {
        let mut model = self.lock();
        model.blocks[lnum as usize] = None;
        model.calls.push(Call::Erase(lnum));
        Ok(())
    }

    fn begin(&mut self, bytes: u64) -> io::Result<()> {
        let mut model = self.lock();
        model.blocks.fill(None);
        model.written = 0;
        model.calls.push(Call::Begin(bytes));
        Ok(())
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        let mut model = self.lock();
        if let Some(number) = model.broken.take() {
            return Err(io::Error::from_raw_os_error(number));
        }
        for byte in data {
            let at = model.written;
            model.blocks[at / LEB].get_or_insert_with(|| vec![0xff; LEB])[at % LEB] = *byte;
            model.written += 1;
        }
        model.calls.push(Call::Append(data.len()));
        Ok(())
    }
}

fn info() -> VolumeInfo {
    VolumeInfo {
        ubi: 0,
        id: 1,
        name: "rootfs".into(),
        kind: VolumeKind::Dynamic,
        data_bytes: 4 * LEB as u64,
        reserved_ebs: 4,
        usable_eb_size: LEB as u32,
        upd_marker: false,
        corrupted: false,
        min_io_size: PAGE,
        device: (252, 2),
    }
}

/// A volume of four LEBs, all of them filled with `old`.
fn volume(access: Access) -> (UbiVolume, Kernel) {
    let model = Kernel(Arc::new(Mutex::new(Model {
        blocks: vec![Some(b"old ".repeat(LEB / 4)); 4],
        ..Model::default()
    })));
    (UbiVolume::over(Box::new(model.clone()), &info(), access), model)
}

const SECOND: u64 = LEB as u64;

#[test]
fn an_erase_and_the_program_after_it_are_one_atomic_change() {
    let (mut volume, model) = volume(Access::ReadWrite);
    volume.erase(SECOND).unwrap();
    assert!(model.lock().calls.is_empty(), "the old content is still there");
    volume.program(SECOND, &b"new ".repeat(LEB / 4)).unwrap();
    assert_eq!(model.lock().calls, [Call::Change(1, LEB)]);
    let mut back = [0; 4];
    volume.read(SECOND, &mut back).unwrap();
    assert_eq!(&back, b"new ");
}

#[test]
fn an_erase_that_nothing_follows_is_carried_out() {
    let (mut volume, model) = volume(Access::ReadWrite);
    volume.erase(SECOND).unwrap();
    let mut back = [0; 4];
    volume.read(SECOND, &mut back).unwrap();
    assert_eq!(back, [0xff; 4]);
    // The first block of a kernel, erased first and programmed last.
    volume.erase(0).unwrap();
    volume.erase(SECOND).unwrap();
    volume.program(SECOND, &b"new ".repeat(LEB / 4)).unwrap();
    let calls = [Call::Erase(1), Call::Erase(0), Call::Change(1, LEB)];
    assert_eq!(model.lock().calls, calls);
    volume.erase(2 * SECOND).unwrap();
    drop(volume);
    assert_eq!(model.lock().calls.last(), Some(&Call::Erase(2)));
}

#[test]
fn blank_pages_at_the_end_are_left_for_ubifs() {
    let (mut volume, model) = volume(Access::ReadWrite);
    let mut content = vec![0xff; LEB];
    content[PAGE as usize] = 0;
    volume.program(0, &content).unwrap();
    volume.program(SECOND, &[0xff; LEB]).unwrap();
    let calls = [Call::Change(0, 2 * PAGE as usize), Call::Erase(1)];
    assert_eq!(model.lock().calls, calls);
    let mut back = vec![0; LEB];
    volume.read(0, &mut back).unwrap();
    assert_eq!(back, content);
}

#[test]
fn a_change_that_fails_leaves_the_old_content() {
    let (mut volume, model) = volume(Access::ReadWrite);
    model.lock().broken = Some(libc::EBUSY);
    volume.erase(0).unwrap();
    let error = volume.program(0, &[0; LEB]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
    assert!(
        error.to_string().starts_with("program ubi0_1 \"rootfs\" at 0x0: "),
        "{error}"
    );
    let mut back = [0; 4];
    volume.read(0, &mut back).unwrap();
    assert_eq!(&back, b"old ");
}

#[test]
fn what_ecc_cannot_correct_is_counted_and_not_an_error() {
    let (mut volume, model) = volume(Access::ReadOnly);
    model.lock().unreadable = Some(1);
    let mut back = [1; 16];
    volume.read(0, &mut back).unwrap();
    assert_eq!(volume.ecc_stats().unwrap().unwrap().failed, 0);
    volume.read(SECOND, &mut back).unwrap();
    assert_eq!(volume.ecc_stats().unwrap().unwrap().failed, 1);
    assert_eq!(back, [0; 16]);
}

#[test]
fn only_whole_blocks_of_an_open_volume_are_written() {
    let (mut volume, _) = volume(Access::ReadWrite);
    for (offset, length, kind) in [
        (0, LEB / 2, ErrorKind::Unaligned),
        (2048, LEB, ErrorKind::Unaligned),
        (4 * SECOND, LEB, ErrorKind::OutOfRange),
    ] {
        assert_eq!(volume.program(offset, &vec![0; length]).unwrap_err().kind(), kind);
    }
    assert_eq!(volume.erase(1).unwrap_err().kind(), ErrorKind::Unaligned);
    assert_eq!(
        volume.read(4 * SECOND, &mut [0]).unwrap_err().kind(),
        ErrorKind::OutOfRange
    );
    let (mut volume, model) = self::volume(Access::ReadOnly);
    assert_eq!(volume.erase(0).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(volume.program(0, &[0; LEB]).unwrap_err().kind(), ErrorKind::ReadOnly);
    drop(volume);
    assert!(model.lock().calls.is_empty());
}

#[test]
fn bad_blocks_and_locks_are_ubis_own_affair() {
    let (mut volume, _) = volume(Access::ReadWrite);
    assert!(!volume.is_bad(0).unwrap());
    assert_eq!(volume.mark_bad(0).unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
    assert_eq!(
        volume.lock(0..SECOND).unwrap_err().raw_os_error(),
        Some(libc::EOPNOTSUPP)
    );
    assert_eq!(volume.is_locked(0..SECOND).unwrap(), None);
    volume.unlock(0..SECOND).unwrap();
}

/// As [`volume`], with another info.
fn volume_with(change: impl FnOnce(&mut VolumeInfo)) -> (UbiVolume, Kernel) {
    let (_, model) = volume(Access::ReadOnly);
    let mut info = info();
    change(&mut info);
    let volume = UbiVolume::over(Box::new(model.clone()), &info, Access::ReadWrite);
    (volume, model)
}

#[test]
fn a_static_volume_is_replaced_as_a_whole_and_in_no_other_way() {
    let (mut volume, model) = volume_with(|info| {
        info.kind = VolumeKind::Static;
        info.data_bytes = 100;
    });
    assert_eq!(volume.holds(), Some(100));
    assert!(volume.geometry().is_writable());
    assert_eq!(volume.erase(0).unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
    let unasked = volume.program(0, &[1; LEB]).unwrap_err();
    assert_eq!(unasked.raw_os_error(), Some(libc::EOPNOTSUPP));
    let much = volume.replace(4 * SECOND + 1).unwrap_err();
    assert_eq!(much.kind(), ErrorKind::OutOfRange);
    assert!(model.lock().calls.is_empty());
    // A block and a bit: the end need not be one of a page.
    volume.replace(SECOND + 7).unwrap();
    assert_eq!(volume.holds(), Some(0), "emptied");
    volume.program(0, &[1; LEB]).unwrap();
    for (offset, length) in [(0, 7), (SECOND, 8)] {
        let wrong = volume.program(offset, &vec![2; length]).unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::OutOfRange, "{offset} {length}");
    }
    assert_eq!(volume.holds(), Some(0));
    volume.program(SECOND, &[2; 7]).unwrap();
    assert_eq!(volume.holds(), Some(SECOND + 7));
    let calls = [Call::Begin(SECOND + 7), Call::Append(LEB), Call::Append(7)];
    assert_eq!(model.lock().calls, calls);
    let mut back = [0; 9];
    volume.read(SECOND - 2, &mut back).unwrap();
    assert_eq!(back, [1, 1, 2, 2, 2, 2, 2, 2, 2]);
    let more = volume.program(SECOND + 7, &[3]).unwrap_err();
    assert_eq!(more.raw_os_error(), Some(libc::EOPNOTSUPP));
}

#[test]
fn an_update_that_fails_is_over_and_the_next_one_begins_anew() {
    let changes: [fn(&mut VolumeInfo); 3] = [
        |info| info.kind = VolumeKind::Static,
        |info| info.upd_marker = true,
        |info| info.corrupted = true,
    ];
    for change in changes {
        let (mut volume, model) = volume_with(change);
        volume.replace(SECOND).unwrap();
        model.lock().broken = Some(libc::EIO);
        assert_eq!(
            volume.program(0, &[1; LEB]).unwrap_err().raw_os_error(),
            Some(libc::EIO)
        );
        assert!(volume.program(0, &[1; LEB]).is_err());
        assert_eq!(volume.holds(), Some(0));
        volume.replace(SECOND).unwrap();
        volume.program(0, &[1; LEB]).unwrap();
        assert_eq!(volume.holds(), Some(SECOND));
    }
    // What is changed block by block is not emptied.
    let (mut volume, model) = volume(Access::ReadWrite);
    assert_eq!(volume.holds(), None);
    assert_eq!(volume.replace(7).unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
    assert!(model.lock().calls.is_empty());
}

#[test]
fn the_kernel_is_never_asked_beyond_the_content_of_a_static_volume() {
    let (mut volume, model) = volume_with(|info| {
        info.kind = VolumeKind::Static;
        info.data_bytes = 100;
    });
    model.lock().end = Some(100);
    let mut all = [0; 100];
    volume.read(0, &mut all).unwrap();
    assert!(all.starts_with(b"old old "));
    for (offset, length) in [(90, 11), (100, 1), (101, 1), (SECOND, 64)] {
        let error = volume.read(offset, &mut vec![0; length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ShortRead, "{offset}");
    }
    // What an update puts there is read, and no more.
    volume.replace(7).unwrap();
    volume.program(0, &[1; 7]).unwrap();
    model.lock().end = Some(7);
    volume.read(0, &mut all[..7]).unwrap();
    assert_eq!(all[..7], [1; 7]);
    assert_eq!(volume.read(8, &mut [0]).unwrap_err().kind(), ErrorKind::ShortRead);
}

#[test]
fn a_volume_without_content_is_not_taken_for_a_blank_one() {
    let changes: [fn(&mut VolumeInfo); 3] = [
        |info| info.upd_marker = true,
        |info| info.corrupted = true,
        |info| (info.kind, info.upd_marker) = (VolumeKind::Static, true),
    ];
    for change in changes {
        let (mut volume, model) = volume_with(change);
        assert_eq!(volume.holds(), Some(0));
        model.lock().closed = Some(libc::EBADF);
        let error = volume.read(0, &mut [0; 4]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    }
}

#[test]
fn content_that_changed_meanwhile_is_read_but_not_written() {
    let same = |change: fn(&mut VolumeInfo)| {
        let mut now = info();
        change(&mut now);
        [Access::ReadOnly, Access::ReadWrite].map(|access| is_same(&now, &info(), access))
    };
    assert_eq!(same(|_| ()), [true, true]);
    assert_eq!(same(|now| now.upd_marker = true), [true, false]);
    assert_eq!(same(|now| now.data_bytes = 1), [true, false]);
    // UBI finds that when the volume is opened.
    assert_eq!(same(|now| now.corrupted = true), [true, true]);
    for other in [
        (|now| now.name = "other".into()) as fn(&mut VolumeInfo),
        |now| now.kind = VolumeKind::Static,
        |now| now.reserved_ebs = 5,
        |now| now.usable_eb_size = 4096,
        |now| now.min_io_size = 512,
        |now| now.device = (252, 3),
    ] {
        assert_eq!(same(other), [false, false]);
    }
}
