//! Texts and documents from outside, and those of ours that could have been changed.

use crate::base::json;
use crate::base::quoted::{Quoted, one_line, printable};
use crate::base::{lossless, sizes};
use crate::board::profile::Profile;
use crate::checks::request::Checksum;
use crate::env;
use crate::image::backup;
use crate::record::Record;
use crate::report::listen::request::{Asked, asked};
use crate::update::handoff::Job;

/// A board profile.
pub fn profile(bytes: &[u8]) {
    if let Ok(profile) = json::parse::<Profile>(bytes) {
        let text = json::write(&profile).unwrap();
        assert!(json::parse::<Profile>(text.as_bytes()).is_ok(), "{text}");
    }
}

/// The record of an update.
pub fn record(bytes: &[u8]) {
    let _ = json::parse::<Record>(bytes);
}

/// The plan that crosses the exec.
pub fn handoff(bytes: &[u8]) {
    let handoff = stages::HandOff::new(String::from_utf8_lossy(bytes).into_owned());
    let _ = Job::unpack(&handoff);
}

/// The inittab of the box.
pub fn inittab(bytes: &[u8]) {
    for console in [true, false] {
        let new = stages::inittab::rewrite(Some(bytes), console);
        let again = stages::inittab::rewrite(Some(&new), console);
        assert!(again.len() <= new.len() + 64, "it grows each time");
        let restarts = new.split(|byte| *byte == b'\n').filter(|line| {
            line.splitn(4, |byte| *byte == b':')
                .nth(2)
                .is_some_and(|action| action.trim_ascii() == b"restart")
                && !line.trim_ascii_start().starts_with(b"#")
        });
        assert_eq!(restarts.count(), 1, "{:?}", String::from_utf8_lossy(&new));
    }
}

/// The boot loader's environment.
pub fn environment(bytes: &[u8]) {
    if let Ok(variables) = env::Variables::parse(bytes) {
        let length = bytes.len() + 64;
        if let Ok(data) = variables.data(length) {
            assert_eq!(data.len(), length);
            let again = env::Variables::parse(&data).unwrap();
            assert!(again.lines().eq(variables.lines()), "what is read is what is written");
        }
    }
}

/// The file that says where it lies.
pub fn environment_config(bytes: &[u8]) {
    let _ = env::line::lines(bytes).count();
}

/// Checksums as `sha256sum` writes them, and the list of a backup.
pub fn checksums(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let _ = backup::listing(bytes).count();
    let _ = Checksum::of(text);
}

/// Answers of an update server, and the file that names it.
pub fn server(bytes: &[u8]) {
    crate::poll::fuzz::look(bytes);
}

/// The header of a web server's answer.
pub fn answer(bytes: &[u8]) {
    crate::bytes::http::fuzz(bytes);
}

/// A request to the box that tells its update: only the token opens anything.
pub fn request(bytes: &[u8]) {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let there = bytes.windows(TOKEN.len()).any(|bytes| bytes == TOKEN.as_bytes());
    assert!(there || asked(bytes, TOKEN) == Asked::Nothing);
    assert_eq!(asked(bytes, ""), Asked::Nothing);
}

/// What `push` sends to the box.
pub fn pushed(bytes: &[u8]) {
    crate::bytes::pushed::fuzz(bytes);
}

/// What the box says to `push`.
pub fn told(bytes: &[u8]) {
    crate::host::push::told::fuzz(bytes);
}

/// Keys, signatures, chains, and the list of those that are revoked.
pub fn signatures(bytes: &[u8]) {
    crate::image::signature::fuzz(bytes);
}

/// Names from outside, as they are printed.
pub fn names(bytes: &[u8]) {
    let text = lossless::text(bytes);
    assert_eq!(lossless::bytes(&text), bytes);
    let text = String::from_utf8_lossy(bytes);
    for shown in [Quoted(&text).to_string(), one_line(&text)] {
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
    assert!(!printable(&text).contains(|c: char| c.is_control() && c != '\n' && c != '\t' && c != '\r'));
    if let Some(bytes) = sizes::parse(&text) {
        assert_eq!(sizes::parse(&sizes::written(bytes)), Some(bytes));
    }
}

/// A packet for the DHCP server of a recovery.
pub fn dhcp(bytes: &[u8]) {
    let _ = crate::host::recovery::net::hostile::dhcp(bytes);
}

/// A packet for its TFTP server.
pub fn tftp(bytes: &[u8]) {
    let _ = crate::host::recovery::net::hostile::tftp(bytes);
}
