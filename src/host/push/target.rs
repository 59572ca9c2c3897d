//! What box it is, as the box itself says: processor, boot, user, and whether it has a flasher of its own.

#![forbid(unsafe_code)]

use super::place::Visit;
use super::ssh::Connection;
use crate::base::code::Code;
use crate::base::elf::{Class, Elf};
use crate::base::error::{Exit, Failure, Result};
use crate::base::machine::{Arch, Order};
use crate::base::quoted::Quoted;

/// What stands in every flasher. A program of another maker that has the same name must not be started to be asked.
const MARK: &str = "replaces the firmware of a small Linux box";

/// Prints what is asked for in lines, and last the head of a program that runs on the box: its instruction set is that of
/// the programs there, which the kernel's own (`uname -m`) need not be.
const SCRIPT: &str = r#"
echo flasher-push
while read -r name id rest; do
    [ "$name" = Uid: ] && echo "user=$id"
done </proc/self/status
echo "machine=$(uname -m)"
read -r boot </proc/sys/kernel/random/boot_id && echo "boot=$boot"
for file in /usr/sbin/flasher /sbin/flasher /usr/local/sbin/flasher /usr/bin/flasher /bin/flasher /usr/local/bin/flasher; do
    [ -x "$file" ] && grep -q "@MARK@" "$file" && [ "$("$file" --version 2>/dev/null)" = "@VERSION@" ] &&
        "$file" apply --pushed --help >/dev/null 2>&1 && echo "flasher=$file" && break
done
echo elf
dd if=/proc/self/exe bs=52 count=1 2>/dev/null || head -c 52 /proc/self/exe
"#;

/// A box.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// The processor, by the name that device binaries have.
    pub processor: Processor,
    /// The kernel's id of this boot.
    pub boot: Option<String>,
    /// Whether we are root there.
    pub root: bool,
    /// The path of a flasher of our version.
    pub flasher: Option<String>,
    /// What that says that it is.
    pub own_version: String,
}

/// A processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Processor {
    /// One that there are device binaries for, by their name.
    Known(&'static str),
    /// Another, in words.
    Other(String),
}

/// What a flasher of this version answers.
pub fn line(version: &str) -> String {
    format!("flasher {version}")
}

/// The script that asks.
pub fn script(version: &str) -> String {
    SCRIPT.replace("@MARK@", MARK).replace("@VERSION@", &line(version))
}

/// Asks the box. A flasher of its own counts if it is of this version. The session that asked stays.
///
/// # Errors
/// A connection that breaks, and a box whose answer cannot be understood.
pub fn ask(connection: &Connection<'_>, version: &str) -> Result<(Target, Visit)> {
    let (answer, visit) = Visit::begin(connection, &script(version))?;
    match (read(&answer), visit) {
        (Some(target), Ok(visit)) => {
            let own_version = line(version);
            Ok((Target { own_version, ..target }, visit))
        }
        (_, visit) => {
            let said = visit.err().unwrap_or_default();
            let said = said
                .lines()
                .next()
                .unwrap_or("it answers nothing that can be understood");
            Err(Failure::new(
                Exit::Unsupported,
                Code::System,
                format_args!("the box did not say what it is: {}", Quoted(said)),
            )
            .hint("the user's shell there has to be one as sh is; try: ssh HOST 'uname -m'"))
        }
    }
}

/// Reads the answer. What a login prints before it does not count.
fn read(answer: &[u8]) -> Option<Target> {
    let find = |what: &[u8]| answer.windows(what.len()).position(|bytes| bytes == what);
    let begin = find(b"flasher-push\n")?;
    let end = find(b"\nelf\n")?;
    let text = String::from_utf8_lossy(answer.get(begin..end)?);
    let value = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    };
    let machine = value("machine").unwrap_or_default();
    Some(Target {
        processor: processor(answer.get(end + 5..)?, &machine),
        boot: value("boot").filter(|boot| boot.len() == 36),
        root: value("user").as_deref() == Some("0"),
        flasher: value("flasher").filter(|path| path.starts_with('/')),
        own_version: String::new(),
    })
}

/// The processor of a program with this head.
pub fn processor(head: &[u8], machine: &str) -> Processor {
    /// `e_flags`: the n32 calling convention of 64-bit MIPS (`elf.h`).
    const ABI2: u32 = 0x20;
    let other = |what: &str| Processor::Other(format!("{what} ({})", Quoted(machine)));
    let Some(elf) = Elf::of(head) else {
        return other("its programs are not in ELF");
    };
    let Some(cpu) = elf.cpu() else {
        return other("a processor that is not known");
    };
    let flags = head.get(36..40).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let flags = flags.map(match cpu.order {
        Order::Little => u32::from_le_bytes,
        Order::Big => u32::from_be_bytes,
    });
    match (cpu.arch, cpu.order, elf.class) {
        (Arch::Arm, Order::Little, Class::Narrow) => Processor::Known("armel"),
        (Arch::Mips, order, Class::Narrow) => match (flags, order) {
            (None, _) => other("MIPS, and its program is cut off"),
            (Some(flags), _) if flags & ABI2 != 0 => other("64-bit MIPS"),
            (_, Order::Big) => Processor::Known("mips"),
            (_, Order::Little) => Processor::Known("mipsel"),
        },
        (Arch::X86, Order::Little, Class::Wide) if head.get(18) == Some(&62) => Processor::Known("x86_64"),
        (Arch::X86, Order::Little, Class::Narrow) if head.get(18) == Some(&3) => Processor::Known("i586"),
        (arch, order, _) => other(&format!("{} {}", order.as_str(), arch.as_str())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    /// A head of 52 bytes of a program for this machine.
    fn head(class: u8, order: u8, machine: u16, flags: u32) -> Vec<u8> {
        let mut head = vec![0; 52];
        head[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order]);
        let (machine, flags) = match order {
            1 => (machine.to_le_bytes(), flags.to_le_bytes()),
            _ => (machine.to_be_bytes(), flags.to_be_bytes()),
        };
        head[18..20].copy_from_slice(&machine);
        head[36..40].copy_from_slice(&flags);
        head
    }

    #[test]
    fn the_head_of_a_program_says_the_processor_and_none_is_guessed() {
        for (class, order, machine, flags, known) in [
            (1, 1, 40, 0x0500_0200, Some("armel")),
            (1, 2, 40, 0, None),
            (2, 1, 183, 0, None),
            (1, 2, 8, 0x7000_1007, Some("mips")),
            (1, 1, 8, 0x7000_1007, Some("mipsel")),
            (1, 2, 8, 0x2000_0020, None),
            (2, 2, 8, 0, None),
            (2, 1, 62, 0, Some("x86_64")),
            // x32.
            (1, 1, 62, 0, None),
            (1, 1, 3, 0, Some("i586")),
            (1, 2, 20, 0, None),
            (2, 1, 243, 0, None),
        ] {
            let found = processor(&head(class, order, machine, flags), "x");
            match known {
                Some(known) => assert_eq!(found, Processor::Known(known)),
                None => assert!(matches!(found, Processor::Other(_)), "{machine}: {found:?}"),
            }
        }
        assert!(matches!(processor(b"#!/bin/sh", "x"), Processor::Other(_)));
        assert!(matches!(processor(&head(1, 2, 8, 0)[..20], "x"), Processor::Other(_)));
    }

    #[test]
    fn this_machine_says_what_it_is_in_every_shell_that_is_here() {
        for shell in [&["sh"][..], &["busybox", "sh"], &["bash"]] {
            let output = Command::new(shell[0])
                .args(&shell[1..])
                .arg("-c")
                .arg(script("0.0.0"))
                .output();
            let Ok(output) = output else { continue };
            let mut answer = b"Welcome to the box\n".to_vec();
            answer.extend(&output.stdout);
            let target = read(&answer).unwrap();
            let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
            assert_eq!(target.boot.as_deref(), Some(boot.trim()));
            assert_eq!(target.root, nix::unistd::getuid().is_root());
            assert!(matches!(target.processor, Processor::Known(_)), "{target:?}");
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_is_none() {
        let whole = [&b"flasher-push\nuser=0\nmachine=x\nelf\n"[..], &head(2, 1, 62, 0)].concat();
        assert!(matches!(read(&whole).unwrap().processor, Processor::Known("x86_64")));
        assert_eq!(read(&whole[..whole.len() - 53]), None);
        assert_eq!(read(b""), None);
        let target = read(&whole[..whole.len() - 40]).unwrap();
        assert!(matches!(target.processor, Processor::Other(_)));
        assert!(target.boot.is_none());
    }
}
