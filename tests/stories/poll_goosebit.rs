//! `poll` and goosebit, an update server of hawkBit's interface that others wrote: a registration, a failure, an update, the boot
//! after it.

use crate::ddi::{boots, poll, polled_box};
use crate::fetched::Server;
use crate::simbox::{bytes, tool};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

const MIB: usize = 1 << 20;

/// Where its packages are; says that the story is skipped if the installer could not have them.
fn packages() -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goosebit");
    let output = Command::new(script).output().unwrap();
    if !output.status.success() {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = format_args!("SKIPPED {name}: tests/goosebit could not have it: {why}\n").to_string();
        let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
        return None;
    }
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn it_registers_fails_succeeds_and_is_believed() {
    let Some(packages) = packages() else { return };
    let sim = polled_box();
    let dir = sim.dir.path().to_owned();
    let (public, secret) = (sim.file("key.pub", b""), sim.file("key.sec", b""));
    tool("minisign", &["-G", "-f", "-W", "-p", &public, "-s", &secret]);
    // It says no SHA-256, and has one file: the signature stands behind the image.
    let image = bytes(MIB, 80);
    let message = sim.file("message", &image);
    tool("minisign", &["-S", "-W", "-s", &secret, "-m", &message]);
    let signed = [&image[..], &fs::read(format!("{message}.minisig")).unwrap()].concat();
    let file = sim.file("image.bin", &signed);
    let program = include_str!("update_server.py");
    let start = format!("import sys; sys.path.insert(0, {packages:?})\n{program}");
    let server = Server::start_with(&dir, &start, &[dir.to_str().unwrap(), &file]);
    let url = format!("http://127.0.0.1:{}/DEFAULT", server.port);
    let get = |path: &str| {
        let output = tool("curl", &["-fsS", &format!("http://127.0.0.1:{}{path}", server.port)]);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let state = |name: &str| get("/state")[name].clone();
    let polled = |words: &[&str]| poll(&sim, &url, words);

    // Another token than that which it knows.
    let config = sim.file("other", format!("url={url}\nid=box-1\ntarget-token=wrong\n").as_bytes());
    tool("chmod", &["0600", &config]);
    let run = sim.run("poll", &["--format", "json", "--config", &config]).exits(68);
    assert!(run.out.contains("401"), "{run:?}");

    assert_eq!(state("state"), "Unknown");
    assert_eq!(polled(&[]).exits(0).json()["code"], "idle");
    assert_eq!(
        (state("state"), state("hardware")),
        (json!("Registered"), json!("generic"))
    );

    // Without a key nothing says what the image is.
    let run = polled(&[]).exits(78);
    assert_eq!(run.json()["code"], "signature");
    assert_eq!(state("state"), "Error");
    assert!(state("log").as_str().unwrap().contains("refused by check signature"));
    assert_eq!(polled(&[]).exits(0).json()["code"], "idle", "it waits for a person");

    // It calls an update by its image, so that one that is forced again has the name of the one that failed.
    get("/again");
    let run = polled(&["--key", &public]).exits(0);
    assert_eq!(run.json()["code"], "written", "{run:?}");
    assert!(sim.flash()[0x50000..][..MIB] == image);
    assert_eq!(state("state"), "Running");
    assert!(state("log").as_str().unwrap().contains("written and verified"));
    assert_eq!(polled(&["--key", &public]).exits(0).json()["code"], "waiting");
    assert_eq!(state("state"), "Running");

    boots(&sim, "22222222-0000-0000-0000-000000000000");
    assert_eq!(polled(&["--key", &public]).exits(0).json()["code"], "settled");
    assert_eq!(
        (state("state"), state("version"), state("progress")),
        (json!("Finished"), json!("2.0"), json!(100))
    );
    assert_eq!(polled(&["--key", &public]).exits(0).json()["code"], "idle");
}
