//! What a person in front of the box sees and hears: LEDs and buzzer, as the board profile names them.
//!
//! On QNAP and Synology boxes a microcontroller at a serial port has them and blinks by itself (its codes are those of
//! Debian's qcontrol, `ts219.c` and `synology.c`); elsewhere they are LEDs of the kernel
//! (`Documentation/leds/leds-class.rst`). Nothing of this ever stops an update: a port or
//! LED that does not answer is passed over.

#![forbid(unsafe_code)]

use crate::base::digits;
use crate::board::profile;
use nix::sys::termios::{self, BaudRate, ControlFlags, SetArg};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LEDS: &str = "/sys/class/leds";
/// Between two codes: a beep shall have ended before the next one.
const GAP: Duration = Duration::from_millis(250);

/// The indicators of a box, from the first erase to the end.
pub struct Indicators<'a> {
    profile: Option<&'a profile::IndicatorCodes>,
    /// LEDs that the kernel cannot blink, so that we do.
    by_hand: Vec<PathBuf>,
    lit: bool,
}

impl<'a> Indicators<'a> {
    /// Writing begins: beep, and blink from now on.
    pub fn begin(profile: Option<&'a profile::IndicatorCodes>) -> Indicators<'a> {
        let mut indicators = Indicators {
            profile,
            by_hand: Vec::new(),
            lit: false,
        };
        let Some(profile) = profile else {
            return indicators;
        };
        for led in leds(profile) {
            if blink(&led, "250", "250").is_err() {
                indicators.by_hand.push(led);
            }
        }
        send(profile, &profile.writing);
        indicators
    }

    /// Something was done: LEDs without a timer of their own change.
    pub fn tick(&mut self) {
        self.lit = !self.lit;
        for led in &self.by_hand {
            let _ = put(led, "brightness", if self.lit { "255" } else { "0" });
        }
    }

    /// The box waits with its error pattern; the microcontroller was told already and goes on by itself.
    pub fn waiting(profile: Option<&'a profile::IndicatorCodes>) -> Indicators<'a> {
        let by_hand = profile.map(|profile| leds(profile).filter(|led| blink(led, "50", "450").is_err()));
        Indicators {
            profile,
            by_hand: by_hand.into_iter().flatten().collect(),
            lit: false,
        }
    }

    /// The end: lit and a long beep, or the error pattern.
    pub fn end(self, well: bool) {
        let Some(profile) = self.profile else {
            return;
        };
        for led in leds(profile) {
            let _ = match well {
                true => {
                    // A kernel without triggers has no such file, and the LED is lit all the same.
                    let _ = put(&led, "trigger", "none");
                    put(&led, "brightness", "255")
                }
                // What cannot blink is dark until somebody ticks: lit would mean that all is well.
                false => blink(&led, "50", "450").or_else(|_| put(&led, "brightness", "0")),
            };
        }
        send(profile, if well { &profile.done } else { &profile.failed });
    }
}

/// The LEDs that this box has of those the profile names: names differ between kernels.
fn leds(profile: &profile::IndicatorCodes) -> impl Iterator<Item = PathBuf> {
    profile
        .leds
        .iter()
        .map(|name| Path::new(LEDS).join(name))
        .filter(|path| path.join("brightness").exists())
}

fn blink(led: &Path, on: &str, off: &str) -> io::Result<()> {
    put(led, "trigger", "timer")?;
    put(led, "delay_on", on)?;
    put(led, "delay_off", off)
}

fn put(led: &Path, name: &str, value: &str) -> io::Result<()> {
    File::options()
        .write(true)
        .truncate(true)
        .open(led.join(name))?
        .write_all(value.as_bytes())
}

/// Sends the codes, if there is a port.
fn send(profile: &profile::IndicatorCodes, codes: &str) {
    let Some(port) = &profile.port else {
        return;
    };
    let sent = open(port, profile.speed).and_then(|mut port| {
        for code in bytes(codes) {
            port.write_all(&[code])?;
            std::thread::sleep(GAP);
        }
        Ok(())
    });
    if let Err(error) = sent {
        log::debug!("{port}: {error}");
    }
}

/// Codes as a profile has them: hexadecimal, with blanks between them.
fn bytes(codes: &str) -> impl Iterator<Item = u8> {
    codes
        .split_whitespace()
        .filter_map(|code| u8::try_from(digits::hexadecimal(code)?).ok())
}

/// 8N1 without flow control. It neither waits for a carrier nor for a reader that is not there.
fn open(port: &str, speed: u32) -> io::Result<File> {
    let speed = match speed {
        9600 => BaudRate::B9600,
        19200 => BaudRate::B19200,
        115_200 => BaudRate::B115200,
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(port)?;
    let mut raw = termios::tcgetattr(&file)?;
    termios::cfmakeraw(&mut raw);
    raw.control_flags |= ControlFlags::CLOCAL | ControlFlags::CREAD;
    raw.control_flags -= ControlFlags::CRTSCTS | ControlFlags::CSTOPB;
    termios::cfsetspeed(&mut raw, speed)?;
    termios::tcsetattr(&file, SetArg::TCSANOW, &raw)?;
    Ok(file)
}
