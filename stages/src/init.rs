//! Which init runs as PID 1.
#![forbid(unsafe_code)]

use crate::process::command_line;
use memchr::memmem::Finder;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
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

#[derive(Default, PartialEq, Eq, Debug)]
struct Text {
    busybox: Option<String>,
    systemd: Option<String>,
    inittab: bool,
    initctl: bool,
    sysvinit: bool,
}

/// Looks at PID 1. Its program is read once in the life of this process.
#[must_use]
pub fn detect() -> Init {
    static SEEN: OnceLock<Init> = OnceLock::new();
    SEEN.get_or_init(look).clone()
}

fn look() -> Init {
    let identity = |path: &str| fs::metadata(path).map(|about| (about.dev(), about.ino())).ok();
    let own = identity("/proc/self/exe");
    if own.is_some() && own == identity("/proc/1/exe") {
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
        if is_init(called) || is_init(signs.comm) || called == "busybox" && is_init(applet) {
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
    if signs.text.sysvinit && signs.text.initctl {
        return Init::Sysvinit;
    }
    Init::Unknown(if signs.exe.is_empty() { signs.comm } else { signs.exe }.to_owned())
}

/// Searches a program for the version text of busybox (`BusyBox v1.35.0 (…)`) or systemd (`systemd 252.38-1 running in …`),
/// for the file that busybox init has only with FEATURE_USE_INITTAB, and for what sysvinit prints (`INIT: version`, since
/// 3.0 `SysV init version`) beside its FIFO; in pieces that overlap, because a box has no RAM to spare.
///
/// `file` is the program's name. It stops as soon as the rest cannot change what [`recognise`] makes of it.
fn search(mut program: impl Read, file: &str) -> Text {
    const KEEP: usize = 64;
    // Those whose name says all are not read.
    if matches!(file, "procd" | "runit" | "runit-init" | "s6-svscan" | "openrc-init") {
        return Text::default();
    }
    let words = Words::new();
    let mut window = Vec::with_capacity(KEEP + (16 << 10));
    let mut piece = vec![0; 16 << 10];
    let mut found = Text::default();
    while !found.tells_all(file)
        && let Ok(n @ 1..) = program.read(&mut piece)
    {
        window.extend_from_slice(&piece[..n]);
        words.look(&window, file, &mut found);
        window.drain(..window.len().saturating_sub(KEEP));
    }
    found
}

impl Text {
    /// Whether more of the program would change nothing.
    fn tells_all(&self, file: &str) -> bool {
        match file {
            "systemd" => self.systemd.is_some(),
            _ => self.busybox.is_some() && self.inittab,
        }
    }
}

/// What is searched for. Byte by byte this took an ARM of 200 MHz a second and more; a search that skips takes milliseconds.
struct Words {
    busybox: Finder<'static>,
    systemd: Finder<'static>,
    inittab: Finder<'static>,
    initctl: Finder<'static>,
    sysvinit: [Finder<'static>; 2],
}

impl Words {
    fn new() -> Words {
        Words {
            busybox: Finder::new("BusyBox v"),
            systemd: Finder::new("systemd "),
            inittab: Finder::new("/etc/inittab"),
            initctl: Finder::new("/initctl"),
            sysvinit: [Finder::new("INIT: version"), Finder::new("SysV init")],
        }
    }

    /// Each word is looked for until it is found, and only if `file` may be the program that has it.
    fn look(&self, window: &[u8], file: &str, found: &mut Text) {
        let has = |word: &Finder<'_>| word.find(window).is_some();
        let version = |word: &Finder<'_>| {
            word.find_iter(window)
                .find_map(|at| version_at(&window[at + word.needle().len()..]))
        };
        if file == "systemd" {
            found.systemd = found.systemd.take().or_else(|| version(&self.systemd));
            return;
        }
        found.busybox = found.busybox.take().or_else(|| version(&self.busybox));
        found.inittab = found.inittab || has(&self.inittab);
        if found.busybox.is_none() && file != "busybox" {
            found.initctl = found.initctl || has(&self.initctl);
            found.sysvinit = found.sysvinit || self.sysvinit.iter().any(has);
        }
    }
}

/// The digits and dots that `text` begins with, when something else follows them: otherwise the window may have cut them.
fn version_at(text: &[u8]) -> Option<String> {
    let end = text.iter().position(|&byte| !(byte.is_ascii_digit() || byte == b'.'))?;
    (end > 0).then(|| String::from_utf8_lossy(&text[..end]).into_owned())
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

    #[test]
    fn the_version_is_found_across_pieces() {
        struct Dribble(Vec<u8>);
        impl Read for Dribble {
            fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
                let n = self.0.len().min(3).min(into.len());
                into[..n].copy_from_slice(&self.0[..n]);
                self.0.drain(..n);
                Ok(n)
            }
        }
        let mut program = vec![0u8; 500];
        program.extend_from_slice(b"BusyBox v1.35.0 (Debian 1:1.35.0-4)\0more");
        assert_eq!(search(Dribble(program), "init").busybox.as_deref(), Some("1.35.0"));
        assert_eq!(
            search(Dribble(b"x INIT: version %s booting\0/dev/initctl\0".to_vec()), "init"),
            Text {
                initctl: true,
                sysvinit: true,
                ..Text::default()
            }
        );
        let text = b"systemd units\0systemd 252.38-1~deb12u1 running in %ssystem mode".to_vec();
        assert_eq!(search(Dribble(text), "systemd").systemd.as_deref(), Some("252.38"));
        assert_eq!(search(Dribble(b"BusyBox v".to_vec()), "init"), Text::default());
    }

    #[test]
    fn no_more_of_a_program_is_read_than_it_takes() {
        let read_of = |text: &[u8], file: &str| {
            let mut program = text.to_vec();
            program.resize(1 << 20, 0);
            let mut left = &program[..];
            let found = search(&mut left, file);
            (found, program.len() - left.len())
        };
        let all = 1 << 20;
        let piece = 16 << 10;
        // The words stand at the beginning here, and the rest cannot change what they say.
        assert_eq!(read_of(b"BusyBox v1.35.0 (x)\0/etc/inittab\0", "init").1, piece);
        assert_eq!(read_of(b"systemd 252.38-1 running\0", "systemd").1, piece);
        assert_eq!(read_of(b"", "procd").1, 0);
        // That a word is missing is known at the end only.
        let (found, read) = read_of(b"BusyBox v1.35.0 (x)\0", "busybox");
        assert_eq!((found.inittab, read), (false, all));
        assert_eq!(read_of(b"INIT: version %s booting\0/initctl\0", "init").1, all);
    }
}
