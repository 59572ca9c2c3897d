//! Checksums and signatures, made by the real minisign and signify.

use crate::ddi::{Ddi, status};
use crate::simbox::{SimBox, bytes, tool};
use std::io::Write as _;
use std::process::{Command, Stdio};

const MIB: usize = 1 << 20;

#[test]
fn a_wrong_checksum() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(MIB, 1));
    let sum = String::from_utf8(tool("sha256sum", &[&path]).stdout).unwrap();
    let sum = &sum[..64];
    let wrong = sum.replace(&sum[..1], if &sum[..1] == "0" { "1" } else { "0" });
    let before = sim.flash();
    let run = sim.apply(&["--part", "kernel", "--sha256", &wrong, &path]).exits(65);
    assert_eq!(run.json()["code"], "sha256");
    assert!(sim.flash() == before);
    sim.apply(&["--part", "kernel", "--sha256", &sum.to_uppercase(), &path])
        .exits(0);
}

/// Makes a key pair and signs `image`; answers the public key's path.
type Sign = fn(&SimBox, &str) -> String;

pub fn minisign(sim: &SimBox, image: &str) -> String {
    let key = sim.dir.path().join("mini");
    let (public, secret) = (format!("{}.pub", key.display()), format!("{}.key", key.display()));
    tool("minisign", &["-G", "-f", "-W", "-p", &public, "-s", &secret]);
    // -t: a trusted comment, which is signed too.
    tool(
        "minisign",
        &[
            "-S",
            "-s",
            &secret,
            "-m",
            image,
            "-x",
            &format!("{image}.minisig"),
            "-t",
            "for the box",
        ],
    );
    public
}

fn signify(sim: &SimBox, image: &str) -> String {
    let key = sim.dir.path().join("signify");
    let (public, secret) = (format!("{}.pub", key.display()), format!("{}.sec", key.display()));
    for old in [&public, &secret] {
        let _ = std::fs::remove_file(old);
    }
    tool("signify-openbsd", &["-G", "-n", "-p", &public, "-s", &secret]);
    tool(
        "signify-openbsd",
        &["-S", "-s", &secret, "-m", image, "-x", &format!("{image}.sig")],
    );
    public
}

#[test]
fn signatures_of_the_real_tools() {
    let tools: [(Sign, &str); 2] = [(minisign, "minisig"), (signify, "sig")];
    for (sign, suffix) in tools {
        let sim = SimBox::new("generic");
        let path = sim.file("image", &bytes(MIB, 2));
        let key = sign(&sim, &path);
        let before = sim.flash();
        let refused = |path: &str| {
            let run = sim.apply(&["--part", "kernel", "--key", &key, path]).exits(65);
            assert_eq!(run.json()["code"], "signature", "{run:?}");
            assert!(sim.flash() == before);
        };
        // No signature, another image's signature, a signature by another key.
        let unsigned = sim.file("unsigned", &bytes(MIB, 3));
        refused(&unsigned);
        std::fs::copy(format!("{path}.{suffix}"), format!("{unsigned}.{suffix}")).unwrap();
        refused(&unsigned);
        sign(&sim, &unsigned);
        let other = sim.file("other.pub", &std::fs::read(&key).unwrap());
        sign(&sim, &path);
        std::fs::copy(&key, &other).unwrap();
        sign(&sim, &unsigned);
        let run = sim.apply(&["--part", "kernel", "--key", &other, &unsigned]).exits(65);
        assert!(run.out.contains("another key"), "{run:?}");

        sim.apply(&["--part", "kernel", "--key", &other, &path]).exits(0);
    }
}

#[test]
fn a_signature_that_a_server_does_not_hand_out_is_told_with_the_reason() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(MIB, 1));
    let key = minisign(&sim, &path);
    let ddi = Ddi::new();
    ddi.says("/image", bytes(MIB, 1));
    ddi.does("/image.minisig", |stream| {
        let _ = stream.write_all(b"HTTP/1.0 503 Come\x1b again\r\n\r\n");
    });
    let url = format!("http://{}/image", ddi.host);
    let before = sim.flash();
    let run = sim.apply(&["--part", "kernel", "--key", &key, &url]).exits(66);
    assert_eq!(run.json()["code"], "image-unreadable", "{run:?}");
    assert!(
        run.out
            .contains(r#"image.minisig\": the server answered 503 Come\\u{1b} again"#),
        "{run:?}"
    );
    ddi.does("/image.minisig", status("404 Not Found"));
    let run = sim.apply(&["--part", "kernel", "--key", &key, &url]).exits(65);
    assert_eq!(run.json()["code"], "signature", "{run:?}");
    assert!(
        run.out.contains(r#"image.minisig\": the server answered 404"#),
        "{run:?}"
    );
    assert!(run.out.contains(r#"image.sig\": the server answered 404"#), "{run:?}");
    assert!(sim.flash() == before);
    let run = sim.apply(&["--part", "kernel", "--key", &key, &sim.file("other", &bytes(MIB, 1))]);
    assert!(run.out.contains(r#"other.sig\" does not exist"#), "{run:?}");
}

#[test]
fn a_key_that_is_none() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(MIB, 4));
    let key = sim.file("key", b"untrusted comment: none\nAAAA\n");
    for key in [key.as_str(), "/nonexistent"] {
        sim.apply(&["--part", "kernel", "--key", key, &path]).exits(64);
    }
}

/// An image on standard input has no signature file beside it, but may have it behind.
#[test]
fn the_signature_of_standard_input_stands_behind_it() {
    let tools: [(Sign, &str); 2] = [(minisign, "minisig"), (signify, "sig")];
    for (sign, suffix) in tools {
        let sim = SimBox::new("generic");
        let image = bytes(MIB, 5);
        let path = sim.file("image", &image);
        let key = sign(&sim, &path);
        let signature = std::fs::read(format!("{path}.{suffix}")).unwrap();
        let before = sim.flash();
        let mut flipped = image.clone();
        flipped[MIB / 2] ^= 1;
        for pieces in [
            vec![&image[..]],
            vec![&flipped, &signature],
            vec![&signature],
            vec![&signature, &image],
        ] {
            let path = sim.file("piped", &pieces.concat());
            assert_eq!(piped(&sim, &key, &path), Some(65));
            assert!(sim.flash() == before);
        }
        let path = sim.file("piped", &[&image[..], &signature].concat());
        assert_eq!(piped(&sim, &key, &path), Some(0));
        let path = sim.file("image", &image);
        sim.run("verify", &["--part", "kernel", &path]).exits(0);
        let status = sim.run("status", &["--format", "json"]).exits(0).json();
        let sum = String::from_utf8(tool("sha256sum", &[&path]).stdout).unwrap();
        assert_eq!(status["image_sha256"], sum[..64]);
    }
}

/// Applies this file by way of standard input.
fn piped(sim: &SimBox, key: &str, path: &str) -> Option<i32> {
    let status = Command::new(env!("CARGO_BIN_EXE_flasher"))
        .args([
            "apply",
            "-y",
            "--sim",
            sim.path().to_str().unwrap(),
            "--part",
            "kernel",
            "--key",
            key,
            "-",
        ])
        .stdin(std::fs::File::open(path).unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    status.code()
}
