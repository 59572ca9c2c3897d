//! What OpenWrt's `sysupgrade` keeps: the files that its lists name, and those of packages that were changed since they were
//! installed (`list_static_conffiles` and `list_changed_conffiles` of `package/base-files/files/sbin/sysupgrade`, openwrt/openwrt).
//! Touches nothing. Which services are switched off is found by [`services`].
//!
//! As there, only files and links are packed; directories come into being with what is in them. One that not everybody may
//! enter, or that is not root's, is packed too, so that it is so again.

#![forbid(unsafe_code)]

use crate::base::files;
use crate::base::lossless;
use crate::base::quoted::Shown;
use crate::base::units::hex;
use crate::image::digest::Digest;
use crate::keep::list::{Found, if_there, patterns};
use crate::keep::{OURS, Request, services};
use crate::plan::KeptFile;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What opkg knows of the packages that are installed.
const OPKG: &str = "usr/lib/opkg/status";
/// The same of apk, in a file for each package whose name ends so.
const APK: &str = "lib/apk/packages";
const APK_CONFFILES: &str = ".conffiles_static";
const UPGRADE: &str = "lib/upgrade";
/// The list of functions that `sysupgrade` calls for more names.
const HOOKS: &[u8] = b"sysupgrade_init_conffiles";
/// More than any of these files has.
const LIMIT: u64 = 8 << 20;

/// Whether a root is OpenWrt's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    /// It says so, and has what `sysupgrade` needs.
    OpenWrt,
    /// It is something else.
    Other,
    /// It is called so, but has no lists of what is kept.
    NameOnly,
}

/// Whether the root is OpenWrt's.
///
/// # Errors
/// A root that does not answer.
pub fn recognise(root: &Path) -> io::Result<Is> {
    let named = there(&root.join("etc/openwrt_release"))?.is_some();
    let upgrade = there(&root.join(UPGRADE))?.is_some_and(|about| about.is_dir());
    Ok(match (named, upgrade) {
        (true, true) => Is::OpenWrt,
        (true, false) => Is::NameOnly,
        (false, _) => Is::Other,
    })
}

/// What is kept.
pub struct Settings {
    /// Files and links, and a few directories.
    pub files: Vec<KeptFile>,
    /// What is lost, for the end of a sentence.
    pub losses: String,
    /// Programs of the firmware that name more when `sysupgrade` runs them.
    pub hooks: Vec<String>,
}

/// Finds it, with what the user asks for besides.
///
/// # Errors
/// A list, a directory or a file that cannot be read, by its name.
pub fn settings(root: &Path, request: &Request) -> io::Result<Settings> {
    // That of a simulated box may be relative, and what is kept goes by absolute paths.
    let root = &std::path::absolute(root)?;
    let base = lossless::of(root);
    let base = base.trim_end_matches('/');
    let rename = |path: &str| {
        let below = path.strip_prefix(base).filter(|rest| rest.starts_with('/'));
        let name = below.unwrap_or(path).trim_start_matches('/');
        name.replace("/./", "/").trim_end_matches("/.").to_owned()
    };
    let mut found = Found {
        across: true,
        ..Found::default()
    };
    let mut add = |path: &str, must: bool| match found.add(path, &rename) {
        Ok(false) if must => Err(io::Error::other(format!("there is no {}", Shown(path)))),
        Ok(_) => Ok(()),
        Err(error) => Err(of(path, &error)),
    };
    for path in &request.paths {
        add(path, true)?;
    }
    if let Some(list) = read(&root.join(OURS.trim_start_matches('/')))? {
        for path in patterns(&list) {
            add(&in_root(base, &path)?, false)?;
        }
    }
    let mut lists = vec![root.join("etc/sysupgrade.conf")];
    lists.extend(names(&root.join(UPGRADE).join("keep.d"))?);
    for list in lists {
        for path in words(&read(&list)?.unwrap_or_default()) {
            let path = in_root(base, &path)?;
            // A class by name, which is not understood here.
            if ["[:", "[.", "[="].iter().any(|class| path.contains(class)) {
                let why = "patterns with [: :] are not understood";
                return Err(of(&path, &io::Error::other(why)));
            }
            add(&path, false)?;
        }
    }
    for (path, sum) in conffiles(root)? {
        let path = in_root(base, &path)?;
        if changed(&lossless::path(&path), &sum).map_err(|error| of(&path, &error))? {
            add(&path, false)?;
        }
    }
    if let Some(list) = services::switched_off(root).map_err(|error| of("/etc/init.d", &error))? {
        found.add_made(list);
    }
    let ordinary = |item: &KeptFile| item.kind == b'5' && (item.mode, item.uid, item.gid) == (0o755, 0, 0);
    found.items.retain(|item| !ordinary(item));
    Ok(Settings {
        losses: found.losses(),
        files: found.items,
        hooks: hooks(root)?,
    })
}

/// The words of a list, as the shell of `sysupgrade` sees them: for it a `#` begins a comment at the beginning of a line only. Behind
/// another one stands what is meant for people mostly, but a path that is there is kept.
fn words(list: &[u8]) -> Vec<String> {
    let lines = list.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
    let mut words = Vec::new();
    for line in lines {
        let mut comment = false;
        for word in line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            comment |= word.starts_with(b"#");
            if !comment || word.starts_with(b"/") {
                words.push(lossless::text(word));
            }
        }
    }
    words
}

fn in_root(base: &str, path: &str) -> io::Result<String> {
    match path.starts_with('/') {
        true => Ok(format!("{base}{path}")),
        false => Err(of(path, &io::Error::other("it is not an absolute path"))),
    }
}

/// The files that packages say are settings, and the checksums that they were installed with.
fn conffiles(root: &Path) -> io::Result<Vec<(String, String)>> {
    let status = read(&root.join(OPKG))?;
    let mut lines = Vec::new();
    match &status {
        Some(status) => {
            let mut inside = false;
            for line in status.split(|byte| *byte == b'\n') {
                match line.starts_with(b" ") {
                    true if inside => lines.push(line.to_vec()),
                    true => (),
                    false => inside = line.starts_with(b"Conffiles:"),
                }
            }
        }
        None => {
            for file in names(&root.join(APK))? {
                if file.as_os_str().as_bytes().ends_with(APK_CONFFILES.as_bytes()) {
                    let text = read(&file)?.unwrap_or_default();
                    lines.extend(text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
                }
            }
        }
    }
    let pair = |line: Vec<u8>| {
        let line = lossless::text(line.trim_ascii());
        let (path, sum) = line.split_once(' ').unwrap_or((&line, ""));
        (!path.is_empty()).then(|| (path.to_owned(), sum.trim().to_ascii_lowercase()))
    };
    Ok(lines.into_iter().filter_map(pair).collect())
}

/// Whether a file is there and is not what was installed. It has not changed only where its checksum says so.
fn changed(path: &Path, sum: &str) -> io::Result<bool> {
    let Some(about) = if_there(fs::metadata(path))? else {
        return Ok(false);
    };
    if !about.is_file() {
        return Ok(true);
    }
    let name = match sum.len() {
        // opkg before 2018.
        32 => "md5",
        64 => "sha256",
        _ => return Ok(true),
    };
    let mut file = files::open_plain(path)?;
    let mut chunk = [0; 4096];
    let Some(mut digest) = Digest::named(name) else {
        return Ok(true);
    };
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&digest.finish()) != sum),
            read => digest.update(&chunk[..read]),
        }
    }
}

/// The programs that have functions for more names.
fn hooks(root: &Path) -> io::Result<Vec<String>> {
    let mut hooks = Vec::new();
    for path in names(&root.join(UPGRADE))? {
        if path.extension().is_some_and(|end| end == "sh")
            && let Some(text) = read(&path)?
            && text.windows(HOOKS.len()).any(|part| part == HOOKS)
        {
            let name = Path::new(path.file_name().unwrap_or_default());
            hooks.push(format!("/{UPGRADE}/{}", lossless::of(name)));
        }
    }
    Ok(hooks)
}

/// The files of a directory that a shell's `*` names; none where it is not there.
pub(super) fn names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in at(directory, if_there(fs::read_dir(directory)))?.into_iter().flatten() {
        let entry = at(directory, entry)?;
        if !entry.file_name().as_bytes().starts_with(b".") {
            names.push(entry.path());
        }
    }
    Ok(names)
}

pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    at(path, if_there(files::read(path, LIMIT)))
}

pub(super) fn there(path: &Path) -> io::Result<Option<Metadata>> {
    at(path, if_there(fs::metadata(path)))
}

/// An error with the path it is about.
fn at<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| of(&lossless::of(path), &error))
}

fn of(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", Shown(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `find $(sed -ne '/^[[:space:]]*$/d; /^#/d; p' …)`, whose complaints about what is not there go to `/dev/null`.
    #[test]
    fn a_comment_is_one_at_the_beginning_of_a_line_only() {
        let list = b"# /etc/no\n/etc/a /etc/b\n\n /etc/c # see also /etc/d, or so #/etc/e\n  # /etc/f\n/etc/g#h\n";
        assert_eq!(
            words(list),
            ["/etc/a", "/etc/b", "/etc/c", "/etc/d,", "/etc/f", "/etc/g#h"]
        );
    }
}
