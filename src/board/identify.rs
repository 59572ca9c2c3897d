//! Recognising a box by its signs and its partitions together.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::quoted::Quoted;
use crate::board::profile::{GENERIC, PartitionProfile, Profile};
use crate::board::signs::{SAY_WHICH, Seen, Sign};
use mtd_rs::{Map, MtdInfo, PartitionId, Place};
use std::ops::Range;

/// What a box is taken for.
pub struct Recognised {
    /// What is known of it.
    pub profile: Profile,
    /// What a person should know about that.
    pub remark: Option<String>,
    /// Profiles whose signs it shows although its partitions are others, or whose partitions it has without a sign. What these
    /// protect may be here too.
    pub suspects: Vec<Profile>,
    /// Whether the partitions are those of the suspects, all of which have them at the same places.
    pub placed: bool,
}

/// The first partition of the profile that this box does not have with that name and size, and, where that is known, at that
/// place. Kernels differ in the case of names: `RedBoot Config` of Synology's is `RedBoot config` in Linux
/// (`armada-370-synology-ds213j.dts`).
pub fn missing<'a>(profile: &'a Profile, map: &Map) -> Option<&'a str> {
    let is = |info: &MtdInfo, wanted: &PartitionProfile| {
        let elsewhere = match map.place(PartitionId::Mtd(info.index)) {
            Place::Known(extents) => !matches!(&extents[..], [one] if one.range.start == wanted.offset),
            _ => false,
        };
        info.name.eq_ignore_ascii_case(&wanted.name) && info.geometry.size == wanted.size && !elsewhere
    };
    fixed(profile)
        .find(|wanted| !map.devices().any(|info| is(info, wanted)))
        .map(|wanted| wanted.name.as_str())
}

/// The partitions that are the same on every such box.
fn fixed(profile: &Profile) -> impl Iterator<Item = &PartitionProfile> {
    profile.partitions.iter().filter(|known| !known.moves)
}

/// So many partitions by which a box is told from others whose boot loader, firmware and calibration happen to have the same
/// names and sizes.
const DISTINCT: usize = 5;

/// The profile of a box with these signs and partitions. Without a sign it is `generic`, and protected as the profiles whose
/// partitions it has; so it is where a sign is known and the partitions are not.
///
/// # Errors
/// Signs that contradict each other; and those of a broken built-in profile.
pub fn recognise(seen: &Seen, map: &Map) -> Result<Recognised> {
    let mut all = Profile::built_in()?;
    all.retain(|profile| profile.id != GENERIC);
    let signs = seen.signs(&all);
    let candidates = agreed(&signs)?;
    let fits = |profile: &Profile| missing(profile, map).is_none();
    let fitting: Vec<usize> = (0..all.len())
        .filter(|index| fixed(&all[*index]).count() > 0 && fits(&all[*index]))
        .collect();
    if let Some(known) = candidates.iter().find(|index| fits(&all[**index])) {
        return Ok(sure(all[*known].clone()));
    }
    let distinct = fitting.iter().find(|index| fixed(&all[**index]).count() >= DISTINCT);
    if let (Some(sign), Some(other)) = (signs.iter().find(|sign| !sign.names.is_empty()), distinct) {
        let table = format!("its partitions are those of {}", all[*other].id);
        return Err(contradiction(&sign.says, &table));
    }
    if let Some(first) = candidates.first() {
        let suspects: Vec<Profile> = candidates.iter().map(|index| all[*index].clone()).collect();
        let remark = format!(
            "this looks like a {}, but partition {} is not as there: treated as generic",
            all[*first].name,
            Quoted(missing(&all[*first], map).unwrap_or_default())
        );
        return generic(Some(remark), suspects, false);
    }
    // Synology's firmware says that it is another box.
    let foreign = !signs.is_empty();
    if let ([one], false) = (&fitting[..], foreign)
        && seen.of_family(&all[*one])
    {
        return Ok(sure(all[*one].clone()));
    }
    let suspects: Vec<Profile> = fitting.iter().map(|index| all[*index].clone()).collect();
    let remark = suspects.first().map(|first| {
        let says = signs
            .first()
            .map(|sign| format!(", but {}", sign.says))
            .unwrap_or_default();
        let hint = match foreign {
            true => String::new(),
            false => format!("; --board {} if it is one", first.id),
        };
        format!(
            "the partitions are those of a {}{says}: what is protected there is protected here{hint}",
            first.name
        )
    });
    let places = |profile: &Profile| -> Vec<(String, Range<u64>)> {
        let mut places: Vec<_> = fixed(profile)
            .map(|known| (known.name.to_ascii_lowercase(), known.range()))
            .collect();
        places.sort_unstable_by(|(name, range), (other, there)| (range.start, name).cmp(&(there.start, other)));
        places
    };
    let placed = suspects.windows(2).all(|pair| places(&pair[0]) == places(&pair[1]));
    generic(remark, suspects, placed)
}

/// The profiles that every sign names.
fn agreed(signs: &[Sign]) -> Result<Vec<usize>> {
    let Some((first, rest)) = signs.split_first() else {
        return Ok(Vec::new());
    };
    let mut agreed = first.names.clone();
    let mut before = first;
    for sign in rest {
        agreed.retain(|index| sign.names.contains(index));
        if agreed.is_empty() && !(before.names.is_empty() && sign.names.is_empty()) {
            return Err(contradiction(&before.says, &sign.says));
        }
        before = sign;
    }
    Ok(agreed)
}

fn contradiction(one: &str, other: &str) -> Failure {
    let what = format_args!("what box this is contradicts itself: {one}, but {other}");
    Failure::new(Exit::Unsupported, Code::Board, what).hint(SAY_WHICH)
}

/// A box of which it is known what it is.
pub fn sure(profile: Profile) -> Recognised {
    Recognised {
        profile,
        remark: None,
        suspects: Vec::new(),
        placed: false,
    }
}

fn generic(remark: Option<String>, suspects: Vec<Profile>, placed: bool) -> Result<Recognised> {
    Ok(Recognised {
        profile: Profile::find(GENERIC)?,
        remark,
        placed: placed && !suspects.is_empty(),
        suspects,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    fn map(id: &str) -> Map {
        of(partitions(id), "spi")
    }

    fn of(found: Vec<MtdInfo>, chip: &str) -> Map {
        let on_chip = |info| mtd_rs::map::OnChip {
            info,
            chip: chip.into(),
            offset: None,
        };
        Map::new(found.into_iter().map(on_chip), Vec::new())
    }

    fn partitions(id: &str) -> Vec<MtdInfo> {
        let profile = Profile::find(id).unwrap();
        profile
            .partitions
            .iter()
            .map(|partition| {
                let geometry = mtd_rs::Geometry {
                    size: partition.size,
                    ..profile.chip.geometry()
                };
                MtdInfo::new(partition.mtd, &partition.name, geometry)
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
        let id = |seen: &Seen, id| recognise(seen, &map(id)).unwrap().profile.id;
        for known in ["qnap-ts219", "qnap-ts219-resized"] {
            assert_eq!(id(&ts219, known), known);
        }
        let ts109 = seen("proc/cpuinfo", "BogoMIPS : 332\nHardware\t: QNAP TS-109/TS-209\n");
        assert_eq!(id(&ts109, "qnap-ts109"), "qnap-ts109");
        let thincan = seen("sys/class/dmi/id/product_name", "ThinCan DBE61C\n");
        assert_eq!(id(&thincan, "thincan"), "thincan");

        // As Linux names them.
        let ds213j = seen("proc/device-tree/compatible", "synology,ds213j\0marvell,armada370\0");
        let mut found = partitions("synology-ds213j");
        found[4].name = "RedBoot config".into();
        found[5].name = "FIS directory".into();
        let profile = recognise(&ds213j, &of(found, "spi")).unwrap().profile;
        assert_eq!(profile.id, "synology-ds213j");
        assert!(profile.partition("FIS directory").unwrap().keep.is_some());

        // The sign alone.
        let mut found = partitions("qnap-ts219");
        found[1].geometry.size *= 2;
        let other = recognise(&ts219, &of(found, "spi")).unwrap();
        assert!(
            other.profile.is_generic() && other.remark.is_some(),
            "{:?}",
            other.remark
        );
        assert_eq!(other.suspects[0].id, "qnap-ts219");
    }

    /// What the vendors' own kernels show: a name that many boxes have, which is a sign beside the right partitions alone.
    #[test]
    fn the_firmware_of_the_vendor_is_recognised() {
        let id = |seen: &Seen, id| recognise(seen, &map(id)).unwrap().profile.id;
        let qts = seen("proc/cpuinfo", "Hardware\t: Feroceon-KW ARM\n");
        assert_eq!(id(&qts, "qnap-ts219"), "qnap-ts219");
        assert_eq!(id(&qts, "synology-ds213j"), "generic", "of another family");
        let dsm = seen("proc/cpuinfo", "Hardware\t: Marvell Armada-370\n");
        assert_eq!(id(&dsm, "synology-ds213j"), "synology-ds213j");
        for version in ["DS213j\n", "DS213jv10\n", "DS213jv10-j\n"] {
            let dsm = seen("proc/sys/kernel/syno_hw_version", version);
            assert_eq!(id(&dsm, "synology-ds213j"), "synology-ds213j", "{version}");
        }
        let unique = |name: &str| {
            let mut seen = dsm.clone();
            seen.unique = Some(name.into());
            seen
        };
        assert_eq!(
            id(&unique("synology_armada370_213j"), "synology-ds213j"),
            "synology-ds213j"
        );
        // It says which other box it is, and that its flash is divided in the same way.
        let found = recognise(&unique("synology_armada370_214se"), &map("synology-ds213j")).unwrap();
        assert!(found.profile.is_generic());
        assert_eq!((found.suspects.len(), found.placed), (1, true));
        let remark = found.remark.unwrap();
        assert!(remark.contains("214se") && !remark.contains("--board"), "{remark}");
        let sister = seen("proc/sys/kernel/syno_hw_version", "DS213air\n");
        assert!(recognise(&sister, &map("qnap-ts219")).unwrap().profile.is_generic());
    }

    #[test]
    fn partitions_alone_protect_as_their_profile_does() {
        for id in ["qnap-ts109", "qnap-ts219", "qnap-ts219-resized", "synology-ds213j"] {
            let found = recognise(&Seen::default(), &map(id)).unwrap();
            assert!(found.profile.is_generic() && found.placed, "{id}");
            assert_eq!(found.suspects[0].id, id);
            assert!(found.remark.unwrap().contains(&format!("--board {id}")));
        }
        // One of them at another place is another box.
        let elsewhere = |info: MtdInfo| mtd_rs::map::OnChip {
            offset: (info.name == "U-Boot").then_some(0x10_0000),
            chip: "spi".into(),
            info,
        };
        let other = Map::new(partitions("qnap-ts219").into_iter().map(elsewhere), Vec::new());
        assert!(recognise(&Seen::default(), &other).unwrap().suspects.is_empty());
    }

    #[test]
    fn signs_that_contradict_each_other_are_a_refusal_that_names_both() {
        let refused = |seen: &Seen, id: &str| recognise(seen, &map(id)).err().map(|failure| failure.to_string());
        let mut both = seen("proc/device-tree/compatible", "qnap,ts219\0marvell,kirkwood\0");
        both.machine = vec!["Synology DS213j".into()];
        for id in ["qnap-ts219", "synology-ds213j", "generic"] {
            let text = refused(&both, id).unwrap();
            assert!(
                text.contains("qnap,ts219") && text.contains("Synology DS213j"),
                "{text}"
            );
        }
        let mut synology = seen("proc/device-tree/compatible", "synology,ds213j\0marvell,armada370\0");
        synology.unique = Some("synology_88f6281_212j".into());
        let text = refused(&synology, "synology-ds213j").unwrap();
        assert!(
            text.contains("synology,ds213j") && text.contains("synology_88f6281_212j"),
            "{text}"
        );
        // Two lines of one file.
        let lines = seen(
            "proc/cpuinfo",
            "machine\t: some\nHardware\t: QNAP TS-119/TS-219\nHardware\t: Synology DS213j\n",
        );
        let text = refused(&lines, "qnap-ts219").unwrap();
        assert!(
            text.contains("QNAP TS-119/TS-219") && text.contains("Synology DS213j"),
            "{text}"
        );
        // A sign, and the partitions of another box.
        let ts109 = seen("proc/cpuinfo", "Hardware\t: QNAP TS-109/TS-209\n");
        let text = refused(&ts109, "qnap-ts219").unwrap();
        assert!(
            text.contains("QNAP TS-109/TS-209") && text.contains("those of qnap-ts219"),
            "{text}"
        );
    }
}
