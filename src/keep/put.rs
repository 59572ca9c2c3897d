//! Puts the files of the tar below a directory, and compares them. No link of the new firmware is followed: it could lead
//! out of its file system.

#![forbid(unsafe_code)]

use crate::base::lossless;
use crate::base::quoted::Shown;
use crate::bytes::store::Store;
use crate::bytes::tar_entries::FILE;
use crate::keep::settings::ARCHIVE;
use crate::keep::tar;
use crate::plan::KeptFile;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Bytes read at a time.
const CHUNK: usize = 16 << 10;
/// Behind the name, of what becomes the file when all of it is there.
const UNFINISHED: &str = ".flasher";

/// The path below `root`, every directory above it being one; one that is not there is made.
fn below(root: &Path, name: &str) -> io::Result<PathBuf> {
    for (at, _) in name.match_indices('/') {
        let above = root.join(lossless::path(&name[..at]));
        let there = fs::symlink_metadata(&above);
        if there.is_err() {
            fs::create_dir(&above)?;
        } else if !there.is_ok_and(|there| there.is_dir()) {
            let above = Shown(&name[..at]);
            return Err(io::Error::other(format!(
                "{above} is not a directory in the new firmware"
            )));
        }
    }
    Ok(root.join(lossless::path(name)))
}

/// Everything in the tar. A directory that is there already keeps its owner and mode.
pub fn put(tar: &Store, root: &Path) -> io::Result<()> {
    tar::walk(tar, &mut |item, data| {
        let path = below(root, &item.name)?;
        let there = fs::symlink_metadata(&path);
        if item.kind == b'5' && there.as_ref().is_ok_and(|there| there.is_dir()) {
            return Ok(());
        }
        match item.kind {
            b'5' => {
                fs::DirBuilder::new().mode(0o700).create(&path)?;
                chown(&path, Some(item.uid), Some(item.gid))?;
                fs::set_permissions(&path, Permissions::from_mode(item.mode))
            }
            b'2' => {
                if there.is_ok() {
                    fs::remove_file(&path)?;
                }
                symlink(lossless::path(&item.link), &path)?;
                lchown(&path, Some(item.uid), Some(item.gid))
            }
            _ => put_file(item, tar, data, &path),
        }
    })
}

fn put_file(item: &KeptFile, tar: &Store, data: Range<u64>, path: &Path) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let _ = fs::remove_file(&unfinished);
    // Nobody else reads a secret meanwhile.
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&unfinished)?;
    chunks(tar, data, &mut |chunk| file.write_all(chunk))?;
    // The owner first: changing it takes the set-uid bit away.
    chown(&unfinished, Some(item.uid), Some(item.gid))?;
    file.set_permissions(Permissions::from_mode(item.mode))?;
    file.set_times(FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(item.mtime)))?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// Compares everything in the tar with what is there: bytes, mode, owner and time of files, the aim of links.
pub fn compare(tar: &Store, root: &Path) -> io::Result<()> {
    tar::walk(tar, &mut |item, data| compare_item(item, tar, data, root))
}

fn compare_item(item: &KeptFile, tar: &Store, data: Range<u64>, root: &Path) -> io::Result<()> {
    let path = below(root, &item.name)?;
    let about = fs::symlink_metadata(&path)?;
    let same = match item.kind {
        b'5' => about.is_dir(),
        b'2' => fs::read_link(&path)? == lossless::path(&item.link),
        _ => {
            let mut file = File::options()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(&path)?;
            let mut found = vec![0; CHUNK];
            let mut same = about.is_file() && about.len() == item.size;
            if same {
                chunks(tar, data, &mut |chunk| {
                    let found = &mut found[..chunk.len()];
                    file.read_exact(found)?;
                    same &= found == chunk;
                    Ok(())
                })?;
            }
            same && about.mode() & 0o7777 == item.mode && about.mtime().unsigned_abs() == item.mtime
        }
    };
    let owned = item.kind == b'5' || (about.uid(), about.gid()) == (item.uid, item.gid);
    match same && owned {
        true => Ok(()),
        false => Err(io::Error::other("it does not read back as it was written")),
    }
}

/// The archive itself, in the top directory.
pub fn put_archive(archive: &Store, root: &Path) -> io::Result<()> {
    put_file(&archive_item(archive), archive, 0..archive.len(), &root.join(ARCHIVE))
}

/// Compares it with what is there.
pub fn compare_archive(archive: &Store, root: &Path) -> io::Result<()> {
    compare_item(&archive_item(archive), archive, 0..archive.len(), root)
}

/// For root alone: there may be keys and passwords in it.
fn archive_item(archive: &Store) -> KeptFile {
    KeptFile {
        size: archive.len(),
        name: ARCHIVE.to_owned(),
        kind: FILE,
        mode: 0o600,
        ..KeptFile::default()
    }
}

fn chunks(tar: &Store, data: Range<u64>, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = data.start;
    while at < data.end {
        let chunk = &mut buffer[..CHUNK.min((data.end - at) as usize)];
        tar.read_exact_at(at, chunk)?;
        each(chunk)?;
        at += chunk.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keep::list::Found;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    /// The tar of a directory with a file, a link and a directory in it.
    fn tar_of(dir: &TempDir) -> Store<'_> {
        let etc = dir.path().join("etc");
        fs::create_dir_all(etc.join("ssh")).unwrap();
        fs::write(etc.join("ssh/key"), vec![7; 40_000]).unwrap();
        fs::set_permissions(etc.join("ssh/key"), Permissions::from_mode(0o4640)).unwrap();
        symlink("ssh/key", etc.join("link")).unwrap();
        let latin1 = OsStr::from_bytes(b"M\xfcller");
        fs::write(etc.join(latin1), "his").unwrap();
        symlink(latin1, etc.join(OsStr::from_bytes(b"\xff"))).unwrap();
        let mut found = Found::default();
        let prefix = format!("{}/", dir.path().display());
        let rename = |path: &str| path.strip_prefix(&prefix).unwrap_or_default().to_owned();
        assert!(found.add(etc.to_str().unwrap(), &rename).unwrap());
        let mut bytes = Vec::new();
        for item in &found.items {
            tar::append(item, &mut bytes).unwrap();
        }
        tar::end(&mut bytes).unwrap();
        Store::Memory(bytes)
    }

    #[test]
    fn what_was_put_compares_and_what_was_changed_does_not() {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let tar = tar_of(&from);
        put(&tar, to.path()).unwrap();
        compare(&tar, to.path()).unwrap();
        let latin1 = OsStr::from_bytes(b"M\xfcller");
        assert_eq!(fs::read(to.path().join("etc").join(latin1)).unwrap(), b"his");
        assert_eq!(
            fs::read_link(to.path().join("etc").join(OsStr::from_bytes(b"\xff"))).unwrap(),
            latin1
        );
        // Over what it put before, too.
        put(&tar, to.path()).unwrap();
        compare(&tar, to.path()).unwrap();
        let key = to.path().join("etc/ssh/key");
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o7777, 0o4640);
        let time = fs::metadata(&key).unwrap().modified().unwrap();
        let hour = Duration::from_secs(3600);
        for (content, time) in [
            (vec![8; 40_000], time),
            (vec![7; 39_999], time),
            (vec![7; 40_000], time - hour),
        ] {
            fs::write(&key, content).unwrap();
            let file = File::options().write(true).open(&key).unwrap();
            file.set_modified(time).unwrap();
            assert!(compare(&tar, to.path()).is_err());
        }
        fs::remove_file(&key).unwrap();
        assert!(compare(&tar, to.path()).is_err());
    }

    #[test]
    fn a_link_of_the_new_firmware_leads_nowhere_else() {
        let (from, to, elsewhere) = (
            TempDir::new().unwrap(),
            TempDir::new().unwrap(),
            TempDir::new().unwrap(),
        );
        let tar = tar_of(&from);
        symlink(elsewhere.path(), to.path().join("etc")).unwrap();
        assert!(put(&tar, to.path()).is_err());
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_tar_is_an_error_and_never_a_panic() {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let Store::Memory(bytes) = tar_of(&from) else {
            unreachable!()
        };
        for cut in [1, 511, 512, 1000, bytes.len() - 1024] {
            assert!(put(&Store::Memory(bytes[..cut].to_vec()), to.path()).is_err(), "{cut}");
        }
        for at in 0..512 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x55;
            let _ = put(&Store::Memory(bytes), to.path());
        }
    }
}
