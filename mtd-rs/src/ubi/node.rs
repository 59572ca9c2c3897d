//! The character device of a volume, which is opened anew after a change that failed.
#![forbid(unsafe_code)]

use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::ioctl;
use crate::node::{Access, open_node};

/// What the kernel does to a volume. The tests have a model in its place.
pub(super) trait Volume: AsFd + Send {
    /// Some of the bytes from `offset` on; `EBADMSG` where ECC could not correct them.
    fn read(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Replaces the content of a LEB atomically.
    fn change(&mut self, lnum: u32, data: &[u8]) -> io::Result<()>;
    /// Makes a LEB blank, for good.
    fn erase(&mut self, lnum: u32) -> io::Result<()>;
    /// Begins an update of so many bytes; the volume is empty then.
    fn begin(&mut self, bytes: u64) -> io::Result<()>;
    /// The next bytes of the update.
    fn append(&mut self, data: &[u8]) -> io::Result<()>;
}

/// The character device of a volume.
pub(super) struct Node {
    path: PathBuf,
    /// Major and minor number.
    device: (u32, u32),
    access: Access,
    file: File,
    /// A change failed, and the volume is to be opened anew.
    stale: bool,
}

impl Node {
    /// `InvalidInput` for a node that is another device's.
    pub(super) fn open(path: PathBuf, device: (u32, u32), access: Access) -> io::Result<Node> {
        Ok(Node {
            file: open_device(&path, device, access)?,
            path,
            device,
            access,
            stale: false,
        })
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.stale {
            // UBI lets nobody write a volume twice: the first one must be closed.
            self.close()?;
            self.file = open_device(&self.path, self.device, self.access)?;
            self.stale = false;
        }
        Ok(&mut self.file)
    }

    /// Closes the volume, which is what takes it out of the middle of a change (`vol_cdev_release` in
    /// drivers/mtd/ubi/cdev.c). The end of a pipe stands in for it, because there is a descriptor at all times; a file
    /// would keep a file system busy.
    fn close(&mut self) -> io::Result<()> {
        let (stand_in, _) = io::pipe()?;
        self.file = File::from(OwnedFd::from(stand_in));
        Ok(())
    }

    /// Passes the result of a change on, and leaves the change behind if it failed.
    fn ended(&mut self, result: io::Result<()>) -> io::Result<()> {
        if result.is_err() {
            self.stale = true;
            // Without a free descriptor it is tried again before the next operation.
            let _ = self.close();
        }
        result
    }
}

/// Opens a node that is this device's: before it is opened, because that alone starts a watchdog and waits at a pipe, and
/// afterwards.
fn open_device(path: &Path, device: (u32, u32), access: Access) -> io::Result<File> {
    let is_it = |about: Metadata| {
        let number = (libc::major(about.rdev()), libc::minor(about.rdev()));
        match about.file_type().is_char_device() && number == device {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
    };
    is_it(path.metadata()?)?;
    let file = open_node(path, access)?;
    is_it(file.metadata()?)?;
    Ok(file)
}

impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Volume for Node {
    fn read(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file()?.read_at(buf, offset)
    }

    fn change(&mut self, lnum: u32, data: &[u8]) -> io::Result<()> {
        let bytes = u32::try_from(data.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        let file = self.file()?;
        let changed = ioctl::ubi_iocebch(&*file, lnum, bytes).and_then(|()| file.write_all(data));
        self.ended(changed)
    }

    fn erase(&mut self, lnum: u32) -> io::Result<()> {
        ioctl::ubi_ioceber(&*self.file()?, lnum)
    }

    fn begin(&mut self, bytes: u64) -> io::Result<()> {
        ioctl::ubi_iocvolup(&*self.file()?, bytes)
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        let written = self.file()?.write_all(data);
        self.ended(written)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::FileTypeExt;

    /// Neither at first nor when it is opened anew.
    #[test]
    fn a_node_of_another_device_is_not_opened() {
        let open = |path: &str, device| Node::open(path.into(), device, Access::ReadOnly);
        for path in ["/dev/null", "/proc/self/stat", "/"] {
            let error = open(path, (1, 5)).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
        let mut node = open("/dev/null", (1, 3)).unwrap();
        node.path = "/dev/zero".into();
        assert!(node.append(&[0]).is_err());
        assert_eq!(node.read(0, &mut [0]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_change_that_failed_closes_the_volume_and_the_next_operation_opens_it_anew() {
        let is_pipe = |node: &Node| {
            let file = File::from(node.as_fd().try_clone_to_owned().unwrap());
            file.metadata().unwrap().file_type().is_fifo()
        };
        let mut node = Node::open("/dev/null".into(), (1, 3), Access::ReadWrite).unwrap();
        assert!(!is_pipe(&node));
        // This is not a volume, so UBI refuses the change.
        assert!(node.change(0, &[0]).is_err());
        assert!(is_pipe(&node), "the device is closed, and there still is a descriptor");
        assert_eq!(node.read(0, &mut [0]).unwrap(), 0);
        assert!(!is_pipe(&node));
    }
}
