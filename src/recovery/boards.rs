//! The file names that boxes ask for: the table of "Recovery mode of QNAP TS-21x/TS-22x", and that of the TS-419P from
//! "Recovery mode of the QNAP TS-41x/TS-42x" (<https://www.cyrius.com/debian/kirkwood/qnap/ts-41x/recovery/>). That of no
//! TS-119, nor of another box with four disks, was found in public.

#![forbid(unsafe_code)]

#[cfg(feature = "host")]
use crate::recovery::Mode;
use serde::Serialize;

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The box.
    pub device: &'static str,
    /// The id of its profile.
    pub board: &'static str,
    /// What the file name is, or begins with; older revisions last.
    pub names: &'static [&'static str],
    /// What else to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<&'static str>,
}

/// The name that every box of the TS-109 kind asks for.
pub const FIXED: &str = "qnapimg.bin";

const OLD: &str = "qnap-ts109";
const NEW: &str = "qnap-ts219";
const ONLY_SINCE: Option<&str> =
    Some("only with the boot loader of November 2008 or later; asks 192.168.0.11 for it, has 192.168.0.10 itself");

const fn row(device: &'static str, names: &'static [&'static str]) -> Device {
    Device {
        device,
        board: NEW,
        names,
        remark: None,
    }
}

const fn old(device: &'static str) -> Device {
    Device {
        device,
        board: OLD,
        names: &[FIXED],
        remark: ONLY_SINCE,
    }
}

/// Every box whose name is known.
pub const DEVICES: &[Device] = &[
    old("TS-109"),
    old("TS-209"),
    old("TS-409"),
    row("HS-210", &["F_HS-210"]),
    row("TS-210", &["F_TS-210"]),
    row("TS-212", &["F_TS-212"]),
    row("TS-219", &["F_TS-219"]),
    Device {
        remark: Some("F_TS-219PE for older revisions"),
        ..row("TS-219P", &["F_TS-219", "F_TS-219PE"])
    },
    Device {
        remark: Some("its boot loader configuration does not tell"),
        ..row("TS-219P+", &["F_TS-219P+"])
    },
    row("TS-219P II", &["F_TS-219P2+"]),
    row("TS-220", &["F_TS-220"]),
    row("TS-221", &["F_TS-221"]),
    row("TS-419P", &["F_TS-419P"]),
    row("Fujitsu Q700", &["F_Q700"]),
    row("Fujitsu Q703", &["F_Q703"]),
];

/// The boxes that ask for exactly this name.
pub fn asking_for(name: &str) -> impl Iterator<Item = &'static Device> {
    DEVICES.iter().filter(move |device| device.names.contains(&name))
}

/// The longest known name of this mode that the file name begins with: `F_TS-219P+_debian` is for `F_TS-219P+`.
#[cfg(feature = "host")]
pub fn beginning(file: &str, mode: Mode) -> Option<&'static str> {
    DEVICES
        .iter()
        .flat_map(|device| device.names)
        .copied()
        .filter(|name| match mode {
            Mode::Fixed => *name == FIXED && file == FIXED,
            Mode::Dhcp => *name != FIXED && file.starts_with(name),
        })
        .max_by_key(|name| name.len())
}
