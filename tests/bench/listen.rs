//! Whether an update that can be followed over the network takes longer: the same write to NAND, in place, without `--listen`, with
//! it, with somebody who follows, and with 200 connections of others besides.
//!
//! The clock is the box's own, by its instructions, and counts from the beginning to the end of the verification. The chip
//! is waited for busily, so that whatever else is done takes time from the write.

use super::{box_of_nand, noise};
use crate::lab::{Machine, nand, tools};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::Duration;

/// Those who have no token and ask for the page, and those who say nothing.
const STRANGERS: usize = 200;

/// Who is at the port.
const CASES: [(&str, bool, usize); 4] = [
    ("without `--listen`", false, 0),
    ("`--listen`, followed by nobody", true, 0),
    ("`--listen`, followed by one", true, 1),
    (
        "`--listen`, followed by one, 200 connections of others",
        true,
        1 + STRANGERS,
    ),
];

/// What it takes with each of them until all is verified, in seconds.
pub fn measure() -> Vec<(&'static str, f64)> {
    // Of two that follow each other nothing is the same.
    let images = [(0, 0), (1, !0)].map(|(turn, salt)| (format!("{turn}.bin"), noise(6 << 20, salt)));
    let mut machine = box_of_nand("bench-listen", images.into());
    // The first one finds another chip than the others.
    once(&mut machine, 1, CASES[0]);
    let took: Vec<_> = CASES
        .iter()
        .enumerate()
        .map(|(turn, case)| (case.0, once(&mut machine, turn % 2, *case)))
        .collect();
    println!("{took:.2?}");
    took
}

fn once(machine: &mut Machine, image: usize, (_, listens, connections): (&str, bool, usize)) -> f64 {
    let listen = if listens { "--listen" } else { "" };
    let part = nand::first_mtd(machine.kind);
    machine.send_line(&format!(
        "/tmp/flasher apply -y --no-reboot --in-place {listen} --part mtd{part} /tmp/{image}.bin 2>&1 | \
         grep -e progress: -e written; echo ended''-."
    ));
    let mut callers: Vec<JoinHandle<()>> = Vec::new();
    if listens {
        machine.expect("progress: http://", tools::patience(300));
        let address = machine.expect("\r\n", tools::patience(10));
        let token = address.split('/').nth(1).unwrap_or_default().to_owned();
        let port = machine.listen_port();
        let paths = std::iter::once(format!("/{token}/events")).chain((0..STRANGERS).map(|_| "/".to_owned()));
        callers.extend(paths.take(connections).map(|path| {
            std::thread::spawn(move || {
                // One that is refused has cost the box as much.
                let _ = calls(port, &path);
            })
        }));
    }
    machine.expect("ended-.", tools::patience(300));
    for caller in callers {
        caller.join().expect("a caller");
    }
    let status = machine.must("/tmp/flasher --format json status");
    reached(&status, "verified") - reached(&status, "begun")
}

/// When something was reached, in seconds, by a record: `31.20 s begun; 75.01 s verified`.
fn reached(record: &str, what: &str) -> f64 {
    let stages = record.rsplit("\"stages\":\"").next().unwrap_or_default();
    let stages = stages.split('"').next().unwrap_or_default();
    let stage = stages.split("; ").find(|stage| stage.ends_with(what));
    let seconds = stage.and_then(|stage| stage.split(' ').next()?.parse().ok());
    seconds.unwrap_or_else(|| panic!("no {what} in {record}"))
}

fn calls(port: u16, path: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    std::io::copy(&mut stream.take(1 << 20), &mut std::io::sink())?;
    Ok(())
}

/// As Markdown.
pub fn markdown(took: &[(&str, f64)]) -> String {
    let mut text = "\n| NAND, 6 MiB, in place | time | ratio |\n|---|---|---|\n".to_owned();
    for (who, seconds) in took {
        // Writing to a String does not fail.
        let _ = writeln!(text, "| {who} | {seconds:.2} s | {:.3} |", seconds / took[0].1);
    }
    text
}
