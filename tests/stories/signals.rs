//! What a person in front of the box sees and hears, on a pseudo-terminal and a made-up sysfs.

use crate::simbox::{SimBox, anything, bytes};
use flasher::board::indicators::Indicators;
use flasher::board::profile::IndicatorCodes as Section;
use nix::sys::termios::{BaudRate, ControlFlags, cfgetospeed, tcgetattr};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// The port of a microcontroller that listens.
struct Port {
    master: File,
    slave: OwnedFd,
    path: String,
}

impl Port {
    fn new() -> Port {
        let pty = nix::pty::openpty(None, None).unwrap();
        let path = fs::read_link(format!("/proc/self/fd/{}", pty.slave.as_raw_fd())).unwrap();
        Port {
            master: pty.master.into(),
            slave: pty.slave,
            path: path.to_str().unwrap().to_owned(),
        }
    }

    /// The bytes that came, in their order.
    fn heard(&mut self, expected: usize) -> Vec<u8> {
        nix::fcntl::fcntl(
            &self.master,
            nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
        )
        .unwrap();
        let mut buffer = vec![0; expected + 16];
        let got = self.master.read(&mut buffer).unwrap_or(0);
        buffer[..got].to_vec()
    }
}

/// The section that this board's profile has.
fn section(board: &str) -> Value {
    let path = format!("{}/src/board/profiles/{board}.json", env!("CARGO_MANIFEST_DIR"));
    let profile: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    profile["signals"].clone()
}

const QNAP: [&str; 3] = ["qnap-ts109", "qnap-ts219", "qnap-ts219-resized"];

/// A short beep and red/green blinking; then green and a long beep. Synology: short beep, green blinking; green, long.
#[test]
fn the_microcontroller_is_told_what_happens() {
    let boards = QNAP
        .map(|board| (board, BaudRate::B19200, vec![0x50, 0x58, 0x56, 0x51]))
        .into_iter()
        .chain([("synology-ds213j", BaudRate::B9600, vec![0x32, 0x39, 0x38, 0x33])]);
    for (board, speed, codes) in boards {
        let mut port = Port::new();
        let sim = SimBox::changed(board, |profile| {
            anything(profile);
            profile["signals"] = section(board);
            assert_eq!(profile["signals"]["port"], "/dev/ttyS1");
            profile["signals"]["port"] = port.path.as_str().into();
        });
        let name = if board == "synology-ds213j" {
            "zImage"
        } else {
            "RootFS1"
        };
        let path = sim.file("image", &bytes(300_000, 1));
        sim.apply(&["--part", name, &path]).exits(0);
        assert_eq!(port.heard(codes.len()), codes, "{board}");
        let line = tcgetattr(&port.slave).unwrap();
        assert_eq!(cfgetospeed(&line), speed);
        let flags = ControlFlags::CSIZE | ControlFlags::PARENB | ControlFlags::CSTOPB | ControlFlags::CRTSCTS;
        assert_eq!(line.control_flags & flags, ControlFlags::CS8, "8N1, no flow control");
        // Nothing is written, nothing is to be heard.
        sim.apply(&["--part", name, &path]).exits(0);
        assert_eq!(port.heard(0), b"");
    }
}

#[test]
fn a_failure_has_a_pattern_of_its_own() {
    for (board, codes) in [
        ("qnap-ts109", [0x50, 0x58, 0x54, 0x51, 0x51, 0x51]),
        ("synology-ds213j", [0x32, 0x39, 0x3b, 0x33, 0x33, 0x33]),
    ] {
        let mut port = Port::new();
        let mut section: Section = serde_json::from_value(section(board)).unwrap();
        section.port = Some(port.path.clone());
        Indicators::begin(Some(&section)).end(false);
        assert_eq!(port.heard(codes.len()), codes, "{board}");
    }
}

/// A made-up LED; files without a timer's delays are an LED that the kernel cannot blink.
fn led(dir: &Path, files: &[&str]) -> Section {
    fs::create_dir(dir).unwrap();
    for name in files {
        fs::write(dir.join(name), "0").unwrap();
    }
    Section {
        leds: vec!["no-such-led".into(), dir.to_str().unwrap().into()],
        ..Section::default()
    }
}

#[test]
fn an_led_of_the_kernel_blinks_while_writing_and_shows_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("green:system");
    let section = led(&path, &["trigger", "brightness", "delay_on", "delay_off"]);
    let value = |name: &str| fs::read_to_string(path.join(name)).unwrap();

    let signals = Indicators::begin(Some(&section));
    assert_eq!(
        (value("trigger"), value("delay_on"), value("delay_off")),
        ("timer".into(), "250".into(), "250".into())
    );
    signals.end(true);
    assert_eq!((value("trigger"), value("brightness")), ("none".into(), "255".into()));

    Indicators::begin(Some(&section)).end(false);
    assert_eq!(
        (value("trigger"), value("delay_on"), value("delay_off")),
        ("timer".into(), "50".into(), "450".into())
    );
}

#[test]
fn an_led_without_a_timer_is_blinked_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plain");
    let section = led(&path, &["brightness"]);
    let value = || fs::read_to_string(path.join("brightness")).unwrap();
    let mut signals = Indicators::begin(Some(&section));
    for expected in ["255", "0", "255"] {
        signals.tick();
        assert_eq!(value(), expected);
    }
    signals.end(false);
    assert_eq!(value(), "0");
    // After a success it is lit, whether the kernel has triggers or not.
    Indicators::begin(Some(&section)).end(true);
    assert_eq!(value(), "255");
}

#[test]
fn signals_that_fail_stop_nothing() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("brightness")).unwrap();
    for port in ["/nonexistent/ttyS1", "/dev/null", "/"] {
        let sim = SimBox::changed("qnap-ts219", |profile| {
            anything(profile);
            profile["signals"] = section("qnap-ts219");
            profile["signals"]["port"] = port.into();
            profile["signals"]["leds"] = serde_json::json!([directory.path(), "../../../etc"]);
        });
        let path = sim.file("image", &bytes(1000, 2));
        sim.apply(&["--part", "RootFS1", &path]).exits(0);
    }
}

/// The LEDs and ports of the machine that simulates are not those of the box.
#[test]
fn a_simulated_box_has_no_signals_unless_it_is_given_some() {
    for board in QNAP {
        let text = fs::read_to_string(SimBox::new(board).path().join("board.json")).unwrap();
        assert!(!text.contains("signals"), "{text}");
    }
}
