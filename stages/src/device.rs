//! Devices by their numbers, and the nodes by which they are opened.
#![forbid(unsafe_code)]

use crate::digits::decimal;
use crate::files::Directory;
use nix::sys::stat::{Mode, SFlag, major, makedev, minor, mknod};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Major and minor number.
pub(crate) type Numbers = (u32, u32);

/// The major and the minor number of a device, which stat(2) has in one.
pub fn numbers(device: u64) -> (u32, u32) {
    (major(device) as u32, minor(device) as u32)
}

/// Those that the kernel writes as `MAJOR:MINOR`.
pub(crate) fn parse(text: &str) -> Option<Numbers> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((decimal(major)?, decimal(minor)?))
}

/// Those of a device that has this directory in sysfs.
///
/// # Errors
/// It is not there, or does not tell.
pub(crate) fn of_sysfs(directory: &Path) -> io::Result<Numbers> {
    let text = fs::read_to_string(directory.join("dev"))?;
    parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Makes a node of this kind that only root can open.
pub(crate) fn make_node(path: &Path, kind: SFlag, number: Numbers) -> io::Result<()> {
    let (major, minor) = number;
    let device = makedev(major.into(), minor.into());
    Ok(mknod(path, kind, Mode::S_IRUSR | Mode::S_IWUSR, device as _)?)
}

/// Opens a device of this kind and with these numbers. UBI's are given out anew at each start, so that a `/dev` of plain files has
/// nodes of others under these names.
pub(crate) fn open_node(
    dev: &Path,
    path: &Path,
    kind: SFlag,
    number: Numbers,
    options: &OpenOptions,
) -> io::Result<File> {
    let is_it = |about: fs::Metadata| {
        SFlag::from_bits_truncate(about.mode()) & SFlag::S_IFMT == kind && numbers(about.rdev()) == number
    };
    match fs::metadata(path).is_ok_and(is_it) {
        true => options.open(path),
        false => at_own_node(dev, kind, number, options),
    }
}

/// Opens a device by a node that is there only meanwhile, in `dev` or where else one can be made: `/dev` may be a directory of a
/// read-only root. That none can be made says nothing of the device, so the error is none of the system's.
pub(crate) fn at_own_node(dev: &Path, kind: SFlag, number: Numbers, options: &OpenOptions) -> io::Result<File> {
    at_own_node_in(&[dev, Path::new("/run"), Path::new("/tmp")], kind, number, options)
}

pub(crate) fn at_own_node_in(
    places: &[&Path],
    kind: SFlag,
    number: Numbers,
    options: &OpenOptions,
) -> io::Result<File> {
    let (major, minor) = number;
    let mut failed = None;
    for place in places {
        let own = place.join(format!(".flasher-{major}-{minor}"));
        // Where others could put another node in its place, none is made.
        let made = Directory::open(place).and_then(|_| {
            let _ = fs::remove_file(&own);
            make_node(&own, kind, number)
        });
        if let Err(error) = made {
            failed.get_or_insert(error);
            continue;
        }
        let opened = options.open(&own);
        let _ = fs::remove_file(&own);
        match opened {
            // Mounted `nodev`.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => failed.get_or_insert(error),
            opened => return opened,
        };
    }
    let failed = failed.map_or_else(String::new, |error| error.to_string());
    Err(io::Error::other(format!("no node can be made for it: {failed}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_kernel_has_them() {
        assert_eq!(numbers(makedev(31, 2)), (31, 2));
        assert_eq!(numbers(makedev(259, 70000)), (259, 70000));
        assert_eq!(parse("259:70000\n"), Some((259, 70000)));
        for text in ["", "31", "31:", ":2", "31:2:3", "-1:2", "+31:2", "31:+2", "31:2 x"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
