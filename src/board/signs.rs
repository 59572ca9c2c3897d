//! The signs by which a box shows what it is: device tree, `/proc/cpuinfo`, DMI, what vendors' firmware says.

#![forbid(unsafe_code)]

use crate::base::error::{Failure, Result};
use crate::base::files;
use crate::base::quoted::Quoted;
use crate::board::profile::Profile;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a box shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    compatible: Vec<String>,
    /// Every `Hardware` and `machine` line of `/proc/cpuinfo`.
    pub(super) machine: Vec<String>,
    dmi: Vec<String>,
    /// What Synology's kernel calls the hardware, revision and all.
    syno_hw_version: Option<String>,
    /// `unique=` of Synology's firmware.
    pub(super) unique: Option<String>,
}

/// A sign that was seen, and the profiles whose sign it is, by their places among the built-in ones.
pub(super) struct Sign {
    pub says: String,
    pub names: Vec<usize>,
}

/// A text below the root; empty where there is none. It comes from the kernel or from root: what the box is decides what is
/// written to it.
///
/// # Errors
/// One that is there and cannot be read, or that others can write: what it says might decide.
fn text(root: &Path, path: &str) -> Result<String> {
    let path = root.join(path);
    match files::read(&path, files::TEXT) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(String::new()),
        Err(error) => Err(Failure::system(format_args!("what box this is cannot be read: {error}")).hint(SAY_WHICH)),
    }
}

/// Bytes of the longest name of a board that is believed.
const NAME: u64 = 4096;

pub(super) const SAY_WHICH: &str =
    "--board ID says which one it is, --board generic that it is none that flasher knows";

/// `unique=` of `/etc.defaults/synoinfo.conf`, if only root can have written it.
fn unique(root: &Path) -> Result<Option<String>> {
    let path = "etc.defaults/synoinfo.conf";
    if fs::metadata(root.join(path)).is_ok_and(|about| about.uid() != 0 || about.mode() & 0o022 != 0) {
        return Ok(None);
    }
    let text = text(root, path)?;
    let value = text.lines().find_map(|line| line.trim().strip_prefix("unique="));
    let value = value.map(|value| value.trim_matches(['"', '\'', ' ']));
    Ok(value.filter(|value| !value.is_empty()).map(str::to_owned))
}

impl Seen {
    /// Reads the signs below this root; what is not there is not seen.
    ///
    /// # Errors
    /// A sign that is there and cannot be read.
    pub fn read(root: &Path) -> Result<Seen> {
        let words = |text: String| -> Vec<String> {
            text.split(['\0', '\n'])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let machine = text(root, "proc/cpuinfo")?;
        let machine = machine.lines().filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            ["Hardware", "machine"]
                .contains(&key.trim())
                .then(|| value.trim().to_owned())
        });
        let mut dmi = text(root, "sys/class/dmi/id/product_name")?;
        dmi.push('\n');
        dmi.push_str(&text(root, "sys/class/dmi/id/board_name")?);
        let version = text(root, "proc/sys/kernel/syno_hw_version")?;
        let version = version.trim_matches(['\0', '\n', ' ']);
        Ok(Seen {
            compatible: words(text(root, "proc/device-tree/compatible")?),
            machine: machine.collect(),
            dmi: words(dmi),
            syno_hw_version: (!version.is_empty()).then(|| version.to_owned()),
            unique: unique(root)?,
        })
    }

    /// The strings of the device tree's root `compatible`.
    pub fn compatible(&self) -> &[String] {
        &self.compatible
    }

    /// The first `Hardware` or `machine` line of `/proc/cpuinfo`.
    pub fn machine(&self) -> Option<&str> {
        self.machine.first().map(String::as_str)
    }

    /// DMI's names of product and board.
    pub fn dmi(&self) -> &[String] {
        &self.dmi
    }

    /// Every sign that names a profile; those of Synology's firmware also where they name none, for they name one box.
    pub(super) fn signs(&self, all: &[Profile]) -> Vec<Sign> {
        let named = |fits: &dyn Fn(&Profile) -> bool| -> Vec<usize> {
            (0..all.len()).filter(|index| fits(&all[*index])).collect()
        };
        let sign = |path: &str, word: &str, fits: &dyn Fn(&Profile) -> bool| Sign {
            says: format!("{path} says {}", Quoted(word)),
            names: named(fits),
        };
        let mut signs = Vec::new();
        // The most specific word stands first; a more general one of the same list may name more boards, but no others.
        signs.extend(self.compatible.iter().map(|word| {
            sign("/proc/device-tree/compatible", word, &|profile| {
                profile.signs.compatible.contains(word)
            })
        }));
        signs.extend(self.machine.iter().map(|machine| {
            sign("/proc/cpuinfo", machine, &|profile| {
                let mut signs = profile.signs.machine.iter();
                signs.any(|sign| machine.starts_with(sign.as_str()))
            })
        }));
        signs.extend(self.dmi.iter().map(|word| {
            sign("DMI", word, &|profile| {
                profile.signs.dmi.iter().any(|sign| word.contains(sign.as_str()))
            })
        }));
        signs.retain(|sign| !sign.names.is_empty());
        signs.extend(self.syno_hw_version.iter().map(|version| {
            sign("/proc/sys/kernel/syno_hw_version", version, &|profile| {
                profile
                    .signs
                    .syno_hw_version
                    .iter()
                    .any(|sign| is_revision(version, sign))
            })
        }));
        signs.extend(self.unique.iter().map(|unique| {
            sign("/etc.defaults/synoinfo.conf", unique, &|profile| {
                profile.synology.contains(unique)
            })
        }));
        signs
    }

    pub(super) fn of_family(&self, profile: &Profile) -> bool {
        let mut family = profile.signs.family.iter();
        family.any(|sign| self.machine.iter().any(|machine| machine.starts_with(sign.as_str())))
    }
}

/// `DS213jv10` is a revision of the DS213j, and `DS213jv10-j` too; a DS213j is none of the DS213
/// (`include/linux/synobios.h` of Synology's kernels).
fn is_revision(version: &str, model: &str) -> bool {
    version.strip_prefix(model).is_some_and(|rest| {
        let digits = rest.strip_prefix('v').unwrap_or_default();
        rest.is_empty() || rest.starts_with('-') || digits.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// What OpenWrt calls the box: the device tree's `compatible`, and what its own start-up scripts found. What cannot be read
/// names nothing, and an image that is for a named box is refused then.
pub fn names(root: &Path) -> Vec<String> {
    let mut names = Seen::read(root).unwrap_or_default().compatible;
    // Its directory lies in one where everybody may make files.
    let named = files::read_text(&root.join("tmp/sysinfo/board_name"), NAME).unwrap_or_default();
    let named = named.trim();
    if !named.is_empty() && !names.iter().any(|name| name == named) {
        names.push(named.to_owned());
    }
    names
}

/// `option compat_version '1.1'` of OpenWrt's `/etc/config/system`; 1.0 where nothing says otherwise, and `unknown` where that
/// cannot be read.
pub fn compat(root: &Path) -> String {
    let Ok(text) = text(root, "etc/config/system") else {
        return "unknown".into();
    };
    text.lines()
        .find_map(|line| line.trim().strip_prefix("option compat_version "))
        .map_or_else(|| "1.0".into(), |version| version.trim_matches(['\'', '"', ' ']).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What is missing says nothing; what cannot be read might have said anything.
    #[test]
    fn a_sign_that_cannot_be_read_is_not_one_that_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Seen::read(dir.path()).unwrap(), Seen::default());
        assert_eq!(compat(dir.path()), "1.0");
        // A directory in its place is what not even root can read.
        fs::create_dir_all(dir.path().join("proc/cpuinfo")).unwrap();
        let failure = Seen::read(dir.path()).unwrap_err();
        assert!(failure.to_string().contains("proc/cpuinfo"), "{failure}");
        fs::create_dir_all(dir.path().join("etc/config/system")).unwrap();
        assert_eq!(compat(dir.path()), "unknown");
    }
}
