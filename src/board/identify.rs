//! Recognising a box by its signs: device tree, `/proc/cpuinfo`, DMI; and its partitions by name *and* size.

#![forbid(unsafe_code)]

use crate::base::error::{Failure, Result};
use crate::base::quoted::Quoted;
use crate::board::known;
use crate::board::profile::Profile;
use mtd_rs::MtdInfo;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// What a box shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    compatible: Vec<String>,
    machine: Option<String>,
    dmi: Vec<String>,
}

/// A text below the root; empty where there is none.
///
/// # Errors
/// One that is there and cannot be read: what it says might decide.
fn text(root: &Path, path: &str) -> Result<String> {
    let path = root.join(path);
    match fs::read(&path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(String::new()),
        Err(error) => Err(Failure::system(format_args!(
            "what box this is cannot be read: {}: {error}",
            path.display()
        ))
        .hint("--board ID says which one it is, --board generic that it is none that flasher knows")),
    }
}

/// What a box is taken for.
pub struct Recognised {
    /// What is known of it.
    pub profile: Profile,
    /// What a person should know about that.
    pub remark: Option<String>,
    /// Profiles whose signs it shows although its partitions are others. What these protect may be here too.
    pub suspects: Vec<Profile>,
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
        let machine = text(root, "proc/cpuinfo")?.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            ["Hardware", "machine"]
                .contains(&key.trim())
                .then(|| value.trim().to_owned())
        });
        let mut dmi = text(root, "sys/class/dmi/id/product_name")?;
        dmi.push('\n');
        dmi.push_str(&text(root, "sys/class/dmi/id/board_name")?);
        Ok(Seen {
            compatible: words(text(root, "proc/device-tree/compatible")?),
            machine,
            dmi: words(dmi),
        })
    }

    /// Whether one of the profile's signs is seen.
    fn shows(&self, profile: &Profile) -> bool {
        let signs = &profile.signs;
        let machine = self.machine.as_deref().unwrap_or_default();
        signs.compatible.iter().any(|sign| self.compatible.contains(sign))
            || signs.machine.iter().any(|sign| machine.starts_with(sign.as_str()))
            || signs
                .dmi
                .iter()
                .any(|sign| self.dmi.iter().any(|word| word.contains(sign.as_str())))
    }
}

/// What OpenWrt calls the box: the device tree's `compatible`, and what its own start-up scripts found. What cannot be read
/// names nothing, and an image that is for a named box is refused then.
pub fn names(root: &Path) -> Vec<String> {
    let mut names = Seen::read(root).unwrap_or_default().compatible;
    let named = fs::read_to_string(root.join("tmp/sysinfo/board_name")).unwrap_or_default();
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

/// The first partition of the profile that this box does not have with that name and size. Kernels differ in the case
/// of names: `RedBoot Config` of Synology's is `RedBoot config` in Linux (`armada-370-synology-ds213j.dts`).
pub fn missing<'a>(profile: &'a Profile, found: &[MtdInfo]) -> Option<&'a str> {
    profile
        .partitions
        .iter()
        .filter(|wanted| !wanted.moves)
        .find(|wanted| {
            !found
                .iter()
                .any(|info| info.name.eq_ignore_ascii_case(&wanted.name) && info.geometry.size == wanted.size)
        })
        .map(|wanted| wanted.name.as_str())
}

/// The profile of a box with these signs and partitions; `generic` with a remark where the signs are
/// known and the partitions are not.
///
/// # Errors
/// None of the box's; only those of a broken built-in profile.
pub fn recognise(seen: &Seen, found: &[MtdInfo]) -> Result<Recognised> {
    let (mut remark, mut suspects) = (None, Vec::new());
    for id in known::ids() {
        let profile = Profile::find(id)?;
        if !seen.shows(&profile) {
            continue;
        }
        match missing(&profile, found) {
            None => {
                return Ok(Recognised {
                    profile,
                    remark: None,
                    suspects: Vec::new(),
                });
            }
            Some(name) => {
                remark = Some(format!(
                    "this looks like a {}, but partition {} is not as there: treated as generic",
                    profile.name,
                    Quoted(name)
                ));
                suspects.push(profile);
            }
        }
    }
    Ok(Recognised {
        profile: Profile::find("generic")?,
        remark,
        suspects,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn partitions(id: &str) -> Vec<MtdInfo> {
        let profile = Profile::find(id).unwrap();
        profile
            .partitions
            .iter()
            .map(|partition| MtdInfo {
                index: partition.mtd,
                name: partition.name.clone(),
                geometry: mtd_rs::Geometry {
                    size: partition.size,
                    ..profile.chip.geometry()
                },
                writable: true,
                offset: None,
                parent: None,
                ecc_strength: None,
                bad_blocks: None,
                corrected_bits: None,
                ecc_failures: None,
            })
            .collect()
    }

    fn seen(path: &str, text: &str) -> Seen {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        Seen::read(dir.path()).unwrap()
    }

    #[test]
    fn each_box_is_recognised_by_sign_and_partitions_together() {
        let ts219 = seen("proc/device-tree/compatible", "qnap,ts219\0marvell,kirkwood\0");
        let of = |seen: &Seen, id| recognise(seen, &partitions(id)).unwrap();
        for id in ["qnap-ts219", "qnap-ts219-resized"] {
            assert_eq!(of(&ts219, id).profile.id, id);
        }
        let ts109 = seen("proc/cpuinfo", "BogoMIPS : 332\nHardware\t: QNAP TS-109/TS-209\n");
        assert_eq!(of(&ts109, "qnap-ts109").profile.id, "qnap-ts109");
        let thincan = seen("sys/class/dmi/id/product_name", "ThinCan DBE61C\n");
        assert_eq!(of(&thincan, "thincan").profile.id, "thincan");

        // As Linux names them.
        let ds213j = seen("proc/device-tree/compatible", "synology,ds213j\0marvell,armada370\0");
        let mut found = partitions("synology-ds213j");
        found[4].name = "RedBoot config".into();
        found[5].name = "FIS directory".into();
        let profile = recognise(&ds213j, &found).unwrap().profile;
        assert_eq!(profile.id, "synology-ds213j");
        assert!(profile.partition("FIS directory").unwrap().keep.is_some());

        let other = of(&ts109, "qnap-ts219");
        assert!(
            other.profile.is_generic() && other.remark.is_some(),
            "{:?}",
            other.remark
        );
        assert_eq!(other.suspects[0].id, "qnap-ts109");
        assert!(
            of(&Seen::default(), "qnap-ts109").profile.is_generic(),
            "partitions alone are no sign"
        );
    }

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
