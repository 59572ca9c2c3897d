//! Which init runs as PID 1.
#![forbid(unsafe_code)]

use crate::files::identity_at;
use crate::process::command_line;
use crate::program_text::{Text, search};
use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::sync::OnceLock;

/// An init, as far as the way to take it over depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Init {
    /// busybox init.
    BusyBox {
        /// Such as `1.35.0`, where the program text tells.
        version: Option<String>,
        /// Whether it reads `/etc/inittab` (FEATURE_USE_INITTAB). Taken for granted where the text does not tell the
        /// version either: then it is packed.
        inittab: bool,
    },
    /// System V init.
    Sysvinit,
    /// systemd.
    Systemd {
        /// Such as `252.38`, where the program text tells.
        version: Option<String>,
    },
    /// OpenWrt's procd.
    Procd,
    /// upstart, of Synology's DSM 5 and 6 and of old Ubuntus.
    Upstart,
    /// runit.
    Runit,
    /// s6-svscan.
    S6,
    /// OpenRC's own init.
    OpenrcInit,
    /// This program.
    Flasher,
    /// Anything else, such as a shell; its path or name.
    Unknown(String),
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BusyBox { version, .. } => named(f, "busybox", version),
            Self::Sysvinit => f.write_str("sysvinit"),
            Self::Systemd { version } => named(f, "systemd", version),
            Self::Procd => f.write_str("procd"),
            Self::Upstart => f.write_str("upstart"),
            Self::Runit => f.write_str("runit"),
            Self::S6 => f.write_str("s6"),
            Self::OpenrcInit => f.write_str("openrc-init"),
            Self::Flasher => f.write_str("flasher"),
            Self::Unknown(name) => f.write_str(name),
        }
    }
}

fn named(f: &mut fmt::Formatter<'_>, name: &str, version: &Option<String>) -> fmt::Result {
    f.write_str(name)?;
    version.as_ref().map_or(Ok(()), |version| write!(f, " {version}"))
}

/// What is known of PID 1 from outside.
struct Signs<'a> {
    /// The target of `/proc/1/exe`.
    exe: &'a str,
    comm: &'a str,
    command_line: &'a str,
    /// What the program text holds.
    text: Text,
}

/// Looks at PID 1. Its program is read once in the life of this process.
#[must_use]
pub fn detect() -> Init {
    static SEEN: OnceLock<Init> = OnceLock::new();
    SEEN.get_or_init(look).clone()
}

/// Whether PID 1 runs the program of the RAM root, which is `/`. By its name alone: the program of another init may lie on a server
/// that does not answer any more.
pub(crate) fn is_our_copy() -> bool {
    fs::read_link("/proc/1/exe").is_ok_and(|program| program == Path::new("/flasher"))
}

fn look() -> Init {
    let own = identity_at("/proc/self/exe");
    if own.is_some() && own == identity_at("/proc/1/exe") {
        return Init::Flasher;
    }
    let exe = fs::read_link("/proc/1/exe")
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    let comm = fs::read_to_string("/proc/1/comm").unwrap_or_default();
    let exe = exe.trim_end_matches(" (deleted)");
    let text = File::open("/proc/1/exe")
        .map(|program| search(program, file_name(exe)))
        .unwrap_or_default();
    recognise(&Signs {
        exe,
        comm: comm.trim(),
        command_line: &command_line(1),
        text,
    })
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn recognise(signs: &Signs<'_>) -> Init {
    let file = file_name(signs.exe);
    match file {
        "systemd" => {
            return Init::Systemd {
                version: signs.text.systemd.clone(),
            };
        }
        "procd" => return Init::Procd,
        "runit" | "runit-init" => return Init::Runit,
        "s6-svscan" => return Init::S6,
        "openrc-init" => return Init::OpenrcInit,
        _ => {}
    }
    if file == "busybox" || signs.text.busybox.is_some() {
        // busybox as PID 1 may also be a shell, of an initramfs for instance, which knows no restart line.
        let called = file_name(signs.command_line.split(' ').next().unwrap_or_default());
        let is_init = |name: &str| matches!(name, "init" | "linuxrc");
        let applet = signs.command_line.split(' ').nth(1).unwrap_or_default();
        // A script called `init` has that name too, but its command line begins with the shell.
        let nameless = called.is_empty() && is_init(signs.comm);
        if is_init(called) || nameless || called == "busybox" && is_init(applet) {
            return Init::BusyBox {
                version: signs.text.busybox.clone(),
                inittab: signs.text.inittab || signs.text.busybox.is_none(),
            };
        }
        return Init::Unknown(format!(
            "busybox {}",
            if called.is_empty() { signs.comm } else { called }
        ));
    }
    if signs.text.upstart {
        return Init::Upstart;
    }
    if signs.text.sysvinit && signs.text.initctl {
        return Init::Sysvinit;
    }
    Init::Unknown(if signs.exe.is_empty() { signs.comm } else { signs.exe }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(exe: &str, comm: &str, command_line: &str, busybox: Option<&str>) -> Init {
        recognise(&Signs {
            exe,
            comm,
            command_line,
            text: Text {
                busybox: busybox.map(str::to_owned),
                inittab: true,
                ..Text::default()
            },
        })
    }

    #[test]
    fn busybox_is_init_under_every_name_and_only_then() {
        let init = Init::BusyBox {
            version: Some("1.24.2".into()),
            inittab: true,
        };
        assert_eq!(see("/bin/busybox", "init", "init", Some("1.24.2")), init);
        assert_eq!(see("/sbin/init", "init", "/sbin/init", Some("1.24.2")), init);
        assert_eq!(see("/bin/busybox", "linuxrc", "/linuxrc rw", Some("1.24.2")), init);
        assert_eq!(
            see("/bin/busybox", "busybox", "/bin/busybox init", Some("1.24.2")),
            init
        );
        assert_eq!(
            see("/bin/busybox", "sh", "sh /init", Some("1.24.2")),
            Init::Unknown("busybox sh".into())
        );
        assert_eq!(
            see("/bin/busybox", "init", "/bin/sh /init", Some("1.24.2")),
            Init::Unknown("busybox sh".into())
        );
        assert_eq!(see("/bin/busybox", "init", "", Some("1.24.2")), init);
    }

    #[test]
    fn busybox_without_inittab_is_told_apart_and_a_packed_one_is_given_the_benefit() {
        let see = |text| {
            recognise(&Signs {
                exe: "/bin/busybox",
                comm: "init",
                command_line: "init",
                text,
            })
        };
        let version = || Some("1.20.2".to_owned());
        let text = |busybox| Text {
            busybox,
            ..Text::default()
        };
        let init = |version, inittab| Init::BusyBox { version, inittab };
        assert_eq!(see(text(version())), init(version(), false));
        assert_eq!(see(text(None)), init(None, true));
        assert_eq!(init(version(), true).to_string(), "busybox 1.20.2");
    }

    #[test]
    fn others_are_known_by_their_file() {
        assert_eq!(
            see("/usr/lib/systemd/systemd", "systemd", "/sbin/init", None),
            Init::Systemd { version: None }
        );
        assert_eq!(see("/sbin/procd", "procd", "/sbin/procd", None), Init::Procd);
        assert_eq!(see("/bin/s6-svscan", "s6-svscan", "s6-svscan", None), Init::S6);
        assert_eq!(
            see("/bin/bash", "bash", "bash", None),
            Init::Unknown("/bin/bash".into())
        );
        assert_eq!(see("", "init", "", None), Init::Unknown("init".into()));
    }
}
