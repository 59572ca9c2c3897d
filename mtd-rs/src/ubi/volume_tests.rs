//! The volume over a model that keeps UBI's rules: a LEB is changed atomically or not at all, is blank without an erase
//! block, and takes no second program.
#![allow(clippy::unwrap_used)]

use super::*;
use std::cell::RefCell;
use std::rc::Rc;

const LEB: usize = 8192;
const PAGE: u32 = 2048;

/// What the kernel was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Change(u32, usize),
    Erase(u32),
}

#[derive(Default)]
struct Model {
    /// `None` is a LEB without an erase block.
    blocks: Vec<Option<Vec<u8>>>,
    calls: Vec<Call>,
    unreadable: Option<u32>,
    /// The next change fails with this error.
    broken: Option<i32>,
}

impl Volume for Rc<RefCell<Model>> {
    fn read(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let model = self.borrow();
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
        let mut model = self.borrow_mut();
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
        let mut model = self.borrow_mut();
        model.blocks[lnum as usize] = None;
        model.calls.push(Call::Erase(lnum));
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
fn volume(access: Access) -> (UbiVolume, Rc<RefCell<Model>>) {
    let model = Rc::new(RefCell::new(Model {
        blocks: vec![Some(b"old ".repeat(LEB / 4)); 4],
        ..Model::default()
    }));
    (UbiVolume::over(Box::new(Rc::clone(&model)), &info(), access), model)
}

const SECOND: u64 = LEB as u64;

#[test]
fn an_erase_and_the_program_after_it_are_one_atomic_change() {
    let (mut volume, model) = volume(Access::ReadWrite);
    volume.erase(SECOND).unwrap();
    assert!(model.borrow().calls.is_empty(), "the old content is still there");
    volume.program(SECOND, &b"new ".repeat(LEB / 4)).unwrap();
    assert_eq!(model.borrow().calls, [Call::Change(1, LEB)]);
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
    assert_eq!(model.borrow().calls, calls);
    volume.erase(2 * SECOND).unwrap();
    drop(volume);
    assert_eq!(model.borrow().calls.last(), Some(&Call::Erase(2)));
}

#[test]
fn blank_pages_at_the_end_are_left_for_ubifs() {
    let (mut volume, model) = volume(Access::ReadWrite);
    let mut content = vec![0xff; LEB];
    content[PAGE as usize] = 0;
    volume.program(0, &content).unwrap();
    volume.program(SECOND, &[0xff; LEB]).unwrap();
    let calls = [Call::Change(0, 2 * PAGE as usize), Call::Erase(1)];
    assert_eq!(model.borrow().calls, calls);
    let mut back = vec![0; LEB];
    volume.read(0, &mut back).unwrap();
    assert_eq!(back, content);
}

#[test]
fn a_change_that_fails_leaves_the_old_content() {
    let (mut volume, model) = volume(Access::ReadWrite);
    model.borrow_mut().broken = Some(libc::EBUSY);
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
    model.borrow_mut().unreadable = Some(1);
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
    assert!(model.borrow().calls.is_empty());
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

#[test]
fn what_cannot_be_written_block_by_block_says_so_in_its_geometry() {
    assert!(UbiVolume::geometry_of(&info()).is_writable());
    let of = |change: fn(&mut VolumeInfo)| {
        let mut info = info();
        change(&mut info);
        UbiVolume::geometry_of(&info).is_writable()
    };
    assert!(!of(|info| info.kind = VolumeKind::Static));
    assert!(!of(|info| info.upd_marker = true));
    assert!(!of(|info| info.corrupted = true));
}
