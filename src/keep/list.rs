//! Finds what a keep list names: one path or glob a line, `#` begins a comment. Touches nothing.

#![forbid(unsafe_code)]

use crate::base::files;
use crate::base::glob::glob_with_classes;
use crate::base::lossless;
use crate::plan::KeptFile;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// More files than any configuration has; bounds memory.
const ITEMS: usize = 4096;
/// Bounds the walk.
const DEPTH: u32 = 32;

/// The paths and globs of a list, which is bytes as the names in it are.
pub fn patterns(list: &[u8]) -> impl Iterator<Item = String> + '_ {
    list.split(|byte| *byte == b'\n')
        .map(|line| line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii())
        .filter(|line| !line.is_empty())
        .map(lossless::text)
}

/// What is found.
#[derive(Default)]
pub struct Found {
    /// In the order of their new names, so that a directory comes before what is in it.
    pub items: Vec<KeptFile>,
    /// How many sockets, devices and pipes were passed over.
    pub(super) odd: u32,
    /// How many files and directories have attributes that a tar does not carry.
    pub(super) attributed: u32,
    /// Whether a walk goes on into file systems that are mounted below.
    pub across: bool,
}

/// Where a walk is.
#[derive(Clone, Copy)]
struct Level {
    /// The file system that it began on.
    device: u64,
    /// Directories above.
    depth: u32,
}

/// The new name of a path.
pub type Rename<'a> = &'a dyn Fn(&str) -> String;

impl Found {
    /// Adds what a pattern names; answers whether there is anything.
    ///
    /// # Errors
    /// A pattern that is not an absolute path, a directory that cannot be read, too many files.
    pub fn add(&mut self, pattern: &str, rename: Rename<'_>) -> io::Result<bool> {
        if !pattern.starts_with('/') {
            return Err(io::Error::other("it is not an absolute path"));
        }
        let mut paths = vec![String::new()];
        for word in pattern.split('/').filter(|word| !word.is_empty()) {
            if word == ".." {
                return Err(io::Error::other("it has .. in it"));
            }
            let mut next = Vec::new();
            for path in &paths {
                let before = next.len();
                if word.contains(['*', '?', '[']) {
                    next.extend(
                        if_there(names(&format!("{path}/")))?
                            .unwrap_or_default()
                            .into_iter()
                            // As a shell does it.
                            .filter(|name| !name.starts_with('.') || word.starts_with('.'))
                            .filter(|name| glob_with_classes(&lossless::bytes(word), &lossless::bytes(name)))
                            .map(|name| format!("{path}/{name}")),
                    );
                }
                // As a shell, too: what fits nothing is a name.
                if next.len() == before && !word.contains(['*', '?']) {
                    next.push(format!("{path}/{word}"));
                }
            }
            paths = next;
        }
        let mut any = false;
        for mut path in paths {
            let Some(mut about) = if_there(fs::symlink_metadata(lossless::path(&path)))? else {
                continue;
            };
            // As find(1): with a slash at its end, what a link leads to.
            if self.across && about.is_symlink() && pattern.ends_with('/') {
                path.push_str("/.");
                let Some(target) = if_there(fs::metadata(lossless::path(&path)))? else {
                    continue;
                };
                about = target;
            }
            any = true;
            // The directories above it, in case the new firmware has none of that name.
            let name = rename(&path);
            for (at, _) in path.match_indices('/').skip(1) {
                let above = &path[..at];
                if name.starts_with(&format!("{}/", rename(above))) {
                    self.put(above, &fs::metadata(lossless::path(above))?, rename)?;
                }
            }
            let from = Level {
                device: about.dev(),
                depth: 0,
            };
            self.walk(&path, &about, from, rename)?;
        }
        Ok(any)
    }

    /// What is lost, for the end of a sentence; nothing where nothing is.
    pub fn losses(&self) -> String {
        let mut text = String::new();
        if self.odd > 0 {
            text = format!("; {} sockets, pipes or devices are passed over", self.odd);
        }
        if self.attributed > 0 {
            let more = format!(
                "; {} have ACLs or other extended attributes, which are not kept",
                self.attributed
            );
            text.push_str(&more);
        }
        text
    }

    /// Adds a file that is made, if nothing that was found has its name.
    pub fn add_made(&mut self, item: KeptFile) {
        if let Err(at) = self.items.binary_search_by(|other| other.name.cmp(&item.name)) {
            self.items.insert(at, item);
        }
    }

    /// Stays on the file system it began on.
    fn walk(&mut self, path: &str, about: &Metadata, level: Level, rename: Rename<'_>) -> io::Result<()> {
        self.put(path, about, rename)?;
        if !about.is_dir() || about.dev() != level.device && !self.across {
            return Ok(());
        }
        if level.depth == DEPTH {
            return Err(io::Error::other("too deep"));
        }
        let below = Level {
            depth: level.depth + 1,
            ..level
        };
        let opened = open_directory(path, about)?;
        for name in names(&opened.1)? {
            let about = fs::symlink_metadata(Path::new(&opened.1).join(lossless::path(&name)))?;
            self.walk(&format!("{path}/{name}"), &about, below, rename)?;
        }
        Ok(())
    }

    fn put(&mut self, path: &str, about: &Metadata, rename: Rename<'_>) -> io::Result<()> {
        let mut link = String::new();
        // `S_IFMT` of stat(2).
        let kind = match about.mode() & 0o170_000 {
            0o040_000 => b'5',
            0o100_000 => b'0',
            0o120_000 => {
                link = lossless::of(&fs::read_link(lossless::path(path))?);
                b'2'
            }
            _ => {
                self.odd += 1;
                return Ok(());
            }
        };
        let name = rename(path);
        let at = self.items.binary_search_by(|item| item.name.as_str().cmp(&name));
        let (Err(at), false) = (at, name.is_empty()) else {
            return Ok(());
        };
        if self.items.len() == ITEMS {
            return Err(io::Error::other("too many files"));
        }
        if kind != b'2' && has_attributes(&lossless::path(path)) {
            self.attributed += 1;
        }
        let item = KeptFile {
            path: path.to_owned(),
            identity: files::identity(about),
            name,
            kind,
            mode: about.mode() & 0o7777,
            uid: about.uid(),
            gid: about.gid(),
            size: if kind == b'0' { about.size() } else { 0 },
            mtime: about.mtime().try_into().unwrap_or_default(),
            link,
            made: None,
        };
        self.items.insert(at, item);
        Ok(())
    }
}

/// What is there; `None` where nothing is. What cannot be looked at might be a file that is to be kept.
pub(super) fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file has attributes that mean something elsewhere too, or that cannot be told. The labels of SELinux and the checksums
/// of IMA are made anew there.
fn has_attributes(path: &Path) -> bool {
    let of_the_system =
        |name: &[u8]| name.is_empty() || name.starts_with(b"security.") && name != b"security.capability";
    stages::attributes(path).map_or(true, |names| !names.split(|byte| *byte == 0).all(of_the_system))
}

/// Opens the directory that was found, if the path still leads to it, and answers a path to what is open: whoever owns a directory
/// above may put a link in its place.
fn open_directory(path: &str, about: &Metadata) -> io::Result<(File, String)> {
    let directory = File::options()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(lossless::path(path))?;
    match files::identity(&directory.metadata()?) == files::identity(about) {
        true => {
            let opened = format!("/proc/self/fd/{}", directory.as_raw_fd());
            Ok((directory, opened))
        }
        false => Err(io::Error::other("it was replaced while it was listed")),
    }
}

/// What is in a directory.
fn names(directory: &str) -> io::Result<Vec<String>> {
    fs::read_dir(lossless::path(directory))?
        .map(|entry| Ok(lossless::of(entry?.file_name().as_ref())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that is too long is an error of its own, for root too.
    #[test]
    fn what_cannot_be_looked_at_is_not_passed_over() {
        let rename = |path: &str| path.to_owned();
        let add = |pattern: &str| Found::default().add(pattern, &rename);
        assert!(matches!(add("/nowhere/file"), Ok(false)));
        assert!(matches!(add("/nowhere/*"), Ok(false)));
        assert!(matches!(add("/dev/null/*"), Ok(false)));
        let long = "x".repeat(300);
        assert!(add(&format!("/{long}")).is_err());
        assert!(add(&format!("/{long}/*")).is_err());
    }

    #[test]
    fn comments_and_blank_lines_name_nothing() {
        let found: Vec<_> = patterns(b"# f\xfcr mich\n\n /etc/passwd # users\r\n/etc/*.conf\n/etc/m\xfcller").collect();
        let latin1 = lossless::text(b"/etc/m\xfcller");
        assert_eq!(found, ["/etc/passwd", "/etc/*.conf", &latin1]);
    }

    #[test]
    fn attributes_that_a_tar_does_not_carry_are_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        fs::write(&file, "x").expect("written");
        let losses = || {
            let mut found = Found::default();
            let rename = |path: &str| path.trim_start_matches('/').to_owned();
            found.add(&file.display().to_string(), &rename).expect("readable");
            found.losses()
        };
        assert_eq!(losses(), "");
        let set = |name: &str| {
            let script = "import os, sys; os.setxattr(sys.argv[1], sys.argv[2], b'x')";
            let mut python = std::process::Command::new("python3");
            python.args(["-c", script]).arg(&file).arg(name).output()
        };
        // Not every file system has them.
        if set("user.mine").is_ok_and(|run| run.status.success()) {
            assert!(losses().contains("1 have ACLs"), "{}", losses());
        }
    }
}
