//! `demo`: an update from the first look to the record, as a user would type it, on a simulated box; then the takeover of an
//! emulated one, where this machine has what that needs.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::shell;
use crate::cli;
use crate::host::emulated::{self, Ended, Parts, member};
use crate::host::push::binary;
use crate::report::Reporter;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Bytes of the chip of a QNAP TS-219, and where its kernel, its two root file systems and what is none of an update's business lie.
const CHIP: usize = 16 << 20;
const LOADER: usize = 0;
const KERNEL: usize = 0x20_0000;
const ROOT: usize = 0x40_0000;
const ROOT2: usize = 0xd0_0000;
/// ARM, as U-Boot numbers it.
const ARM: u8 = 2;

/// Types the commands of an update.
///
/// # Errors
/// A directory for temporary files that takes none, and what must not happen.
pub fn run(version: &str, reporter: &mut Reporter) -> Result<Exit> {
    let dir = std::env::temp_dir().join(format!("flasher-demo-{}", std::process::id()));
    fs::create_dir(&dir).context(dir.display())?;
    goes_on_interrupt(dir.clone())?;
    let done = update(&dir, version, reporter).and_then(|done| match done {
        true => {
            reporter.line("\nThe planned bytes are the image's, every other byte of the chip is as it was.");
            taken_over(&dir, reporter)
        }
        false => Ok(false),
    });
    let _ = fs::remove_dir_all(&dir);
    match done? {
        true => Ok(Exit::Done),
        // That is told by whoever has called us.
        false if reporter.lost().is_some() => Ok(Exit::Done),
        false => Err(Failure::new(Exit::Bug, Code::Bug, "the demo failed")),
    }
}

/// Takes the directory away where somebody ends the demo, which dies of that signal then.
fn goes_on_interrupt(dir: PathBuf) -> Result<()> {
    let asked = Arc::new(AtomicUsize::new(0));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let number = usize::try_from(signal).map_err(Failure::system)?;
        flag::register_usize(signal, Arc::clone(&asked), number).map_err(Failure::system)?;
    }
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(20));
            let number = asked.load(Ordering::Relaxed);
            if let Ok(signal @ 1..) = i32::try_from(number) {
                // Something may still be put there meanwhile.
                for _ in 0..100 {
                    if fs::remove_dir_all(&dir).is_ok() || !dir.exists() {
                        break;
                    }
                }
                let _ = low_level::emulate_default_handler(signal);
            }
        }
    });
    Ok(())
}

/// Whether an emulated box, if there can be one here, takes new firmware while its flash is in use.
fn taken_over(dir: &Path, reporter: &mut Reporter) -> Result<bool> {
    let mut flashers: Vec<_> = std::env::current_exe().into_iter().collect();
    flashers.extend(binary::places("x86_64"));
    // The tests have a kernel elsewhere.
    let root = std::env::var_os("FLASHER_DEMO_ROOT").unwrap_or_else(|| "/".into());
    let parts = match Parts::find(Path::new(&root), &flashers) {
        Ok(parts) => parts,
        Err(missing) => {
            reporter.line(&format!("The takeover of a box is shown too where there is {missing}."));
            return Ok(true);
        }
    };
    let kernel = parts.kernel.display();
    reporter.line(&format!(
        "\nNow a box whose flash is in use: {kernel} under QEMU, which takes some seconds to start."
    ));
    // As U-Boot numbers x86_64.
    let mut image = uimage(1 << 20, 24, 7);
    image.resize(emulated::FLASH, 0xff);
    match parts.show(dir, &image, reporter)? {
        Ended::Updated => reporter.line("\nThe box has ended to start anew, and its flash holds the new firmware."),
        Ended::Otherwise => return Ok(false),
        Ended::Silent(waited) => {
            let what = format!(
                "the emulated box has said nothing for {} s, and was switched off",
                waited.as_secs()
            );
            return Err(Failure::new(Exit::Bug, Code::Bug, what).hint(
                "the same command again on a machine that is less busy; if it is silent once more, please report it",
            ));
        }
        Ended::NeverBegan { last, next } => reporter.line(&format!(
            "This box did not start, so its takeover is not shown; its last words: {last}\n\
             To see it: {next}.\n\
             The update above, of a simulated box, is complete."
        )),
    }
    Ok(true)
}

/// Whether the chip holds what it should afterwards.
fn update(dir: &Path, version: &str, reporter: &mut Reporter) -> Result<bool> {
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).context(name);
    let (chip, name) = (dir.join("box/flash.bin"), dir.display().to_string());
    let typed = shell::typed(dir);
    // `DIR` stands for the directory, in whose name there may be blanks.
    let mut type_in = |line: &str| {
        reporter.line(&format!("\n$ flasher {}", line.replace("DIR", &typed)));
        // Each with a reporter of its own, as each would be a program of its own.
        let words = line.split(' ').map(|word| OsString::from(word.replace("DIR", &name)));
        cli::parse(words).is_ok_and(|(global, verb)| super::run(verb, version, &mut Reporter::new(&global)).is_ok())
    };
    if !type_in("sim create qnap-ts219 DIR/box") {
        return Ok(false);
    }
    // A boot loader that is known by its date, and firmware A.
    let mut old = vec![0xff; CHIP];
    let parts = [
        (KERNEL, uimage(1 << 20, ARM, 1)),
        (ROOT, ramdisk(2 << 20, 2)),
        (ROOT2, ramdisk(1 << 19, 3)),
        (
            LOADER,
            [noise(1 << 18, 4), b"U-Boot 1.1.4 (Feb  2 2009 - 12:00:00)".to_vec()].concat(),
        ),
    ];
    for (place, bytes) in parts {
        old[place..place + bytes.len()].copy_from_slice(&bytes);
    }
    fs::write(&chip, &old).context("flash.bin")?;
    let (kernel, root) = (uimage((1 << 20) + 4321, ARM, 5), ramdisk((2 << 20) + 1234, 6));
    write("uImage", &kernel)?;
    write("initrd", &root)?;
    let done = type_in("devices --sim DIR/box")
        && type_in("backup --sim DIR/box DIR/copies")
        && type_in("recovery create --from DIR/copies --kernel DIR/uImage --initrd DIR/initrd DIR/image.bin")
        && type_in("plan --sim DIR/box DIR/image.bin")
        && type_in("apply -y --sim DIR/box DIR/image.bin")
        && type_in("verify --sim DIR/box DIR/image.bin")
        && type_in("status --sim DIR/box");
    let after = fs::read(&chip).context("flash.bin")?;
    let is = |place: usize, bytes: &[u8]| after.get(place..place + bytes.len()) == Some(bytes);
    let as_before = |range: Range<usize>| after.get(range.clone()) == old.get(range);
    Ok(done && is(KERNEL, &kernel) && is(ROOT, &root) && as_before(0..KERNEL) && as_before(ROOT2..CHIP))
}

/// Bytes that are nothing that is known.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A kernel as U-Boot starts it, for the processor with this number (`include/image.h` of U-Boot).
fn uimage(length: usize, processor: u8, seed: u32) -> Vec<u8> {
    let data = noise(length, seed);
    let mut image = Vec::new();
    for word in [
        0x2705_1956,
        0,
        1_700_000_000,
        length as u32,
        0x8000,
        0x8000,
        CRC32.checksum(&data),
    ] {
        image.extend(u32::to_be_bytes(word));
    }
    // Linux, processor, kernel, not packed.
    image.extend([5, processor, 2, 0]);
    image.extend([0; 32]);
    let sum = CRC32.checksum(&image);
    image[4..8].copy_from_slice(&sum.to_be_bytes());
    image.extend(data);
    image
}

/// A ramdisk: an archive in cpio's new format, in gzip that packs nothing (RFC 1951, 3.2.4).
fn ramdisk(length: usize, seed: u32) -> Vec<u8> {
    let archive = [
        member("init", 0o100_755, &noise(length, seed)),
        member("TRAILER!!!", 0, b""),
    ]
    .concat();
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let mut blocks = archive.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        packed.push(u8::from(blocks.peek().is_none()));
        packed.extend(length.to_le_bytes());
        packed.extend((!length).to_le_bytes());
        packed.extend(block);
    }
    packed.extend(CRC32.checksum(&archive).to_le_bytes());
    packed.extend((archive.len() as u32).to_le_bytes());
    packed
}
