//! What a file from outside may cost, and what it may say: work, memory and the terminal.

use crate::formats::{metadata, trailer};
use crate::simbox::{Run, SimBox, bytes, flasher, tool};
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// More than any of these takes, on a machine that is busy and with a program that is not optimised.
const LIMIT: Duration = Duration::from_secs(60);

fn within(what: &str, work: impl FnOnce() -> Run) -> Run {
    let begun = Instant::now();
    let run = work();
    assert!(begun.elapsed() < LIMIT, "{what} took {:?}: {run:?}", begun.elapsed());
    run
}

/// zlib's CRC-32.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[test]
fn looking_at_an_image_takes_no_longer_than_its_length_allows() {
    let sim = SimBox::new("generic");
    // Each trailer has a checksum over everything in front of it.
    let mut image = bytes(256 << 10, 1);
    for _ in 0..400 {
        trailer(&mut image, 0, b"x");
    }
    let path = sim.file("trailers", &image);
    let run = within("trailers", || sim.apply(&["--part", "kernel", &path]).exits(65));
    assert!(run.out.contains("more than 8 trailers"), "{run:?}");

    // A hash for each word of it.
    let data = bytes(1 << 20, 2);
    sim.file("data", &data);
    let sum = crc32(&data);
    let hashes: String = (0..1000)
        .map(|index| format!("hash-{index} {{ algo = \"crc32\"; value = <0x{sum:08x}>; }};\n"))
        .collect();
    let source = format!(
        "/dts-v1/;\n/ {{ images {{ kernel {{ type = \"kernel\"; arch = \"arm\"; data = /incbin/(\"data\");\n{hashes} }}; }}; }};\n"
    );
    let (source, fit) = (sim.file("fit.dts", source.as_bytes()), sim.dir.path().join("fit"));
    tool(
        "dtc",
        &[
            "-q",
            "-i",
            sim.dir.path().to_str().unwrap(),
            "-O",
            "dtb",
            "-o",
            fit.to_str().unwrap(),
            &source,
        ],
    );
    let run = within("hashes", || sim.apply(&["--part", "kernel", fit.to_str().unwrap()]));
    assert!(run.exit != 0 && run.out.contains("more hashes than any has"), "{run:?}");

    // Members, each of which is looked at from its end to its beginning.
    let members = sim.dir.path().join("members");
    fs::create_dir(&members).unwrap();
    for index in 0..3000 {
        fs::write(members.join(format!("m{index}")), bytes(600, index)).unwrap();
    }
    let tar = sim.dir.path().join("members.tar.gz");
    tool(
        "tar",
        &["-czf", tar.to_str().unwrap(), "-C", members.to_str().unwrap(), "."],
    );
    within("members", || sim.apply(&["--part", "kernel", tar.to_str().unwrap()]));
    within("members", || flasher(&["inspect", tar.to_str().unwrap()]));
}

/// With a key nothing is looked at but the signature.
#[test]
fn a_file_that_is_not_signed_is_not_looked_into() {
    let sim = SimBox::new("generic");
    let keys = sim.path().join("etc/flasher/keys");
    fs::create_dir_all(&keys).unwrap();
    let (public, secret) = (keys.join("key.pub"), sim.dir.path().join("key.sec"));
    tool(
        "minisign",
        &[
            "-G",
            "-W",
            "-p",
            public.to_str().unwrap(),
            "-s",
            secret.to_str().unwrap(),
        ],
    );
    let mut image = bytes(256 << 10, 1);
    for _ in 0..50 {
        trailer(&mut image, 0, b"x");
    }
    let path = sim.file("image", &image);
    let run = sim.apply(&["--part", "kernel", &path]).exits(65);
    assert!(!run.out.contains("trailers"), "{run:?}");
    assert_eq!(run.json()["code"], "signature");
}

/// Answers every request with this length and a few bytes.
fn liar(length: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\nfirmware");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = String::new();
            let _ = std::io::BufRead::read_line(&mut std::io::BufReader::new(&stream), &mut request);
            let _ = stream.write_all(head.as_bytes());
        }
    });
    format!("http://{host}/image")
}

#[test]
fn lengths_that_lie_are_refused_before_anything_is_made_of_them() {
    let sim = SimBox::new("generic");
    for length in [
        "18446744073709551615",
        "18446744073709551616",
        "18446744073707454463",
        "9223372036854775807",
        "9223372036854775808",
        "1099511627776",
        "4294967295",
        "4294967296",
        "-1",
    ] {
        let url = liar(length);
        for verb in ["apply", "plan", "inspect"] {
            let run = within(length, || match verb {
                "inspect" => flasher(&["inspect", &url]),
                verb => sim.run(verb, &["-y", "--part", "kernel", &url]),
            });
            // Neither an abort, which has no code, nor a bug.
            assert!(
                run.exit > 0 && run.exit != 70 && run.exit != 101,
                "{length} {verb}: {run:?}"
            );
        }
    }
    let sparse = sim.file("sparse", b"");
    for length in [1 << 40, 1 << 36, i64::MAX as u64 >> 1] {
        if fs::File::options()
            .write(true)
            .open(&sparse)
            .unwrap()
            .set_len(length)
            .is_err()
        {
            continue;
        }
        for args in [
            vec!["inspect", &sparse],
            vec![
                "plan",
                "--sim",
                sim.path().to_str().unwrap(),
                "--part",
                "kernel",
                &sparse,
            ],
        ] {
            if length < 1 << 37 && args[0] == "inspect" {
                continue;
            }
            let run = within("sparse", || flasher(&args));
            assert!(
                run.exit > 0 && run.exit != 70 && run.exit != 101,
                "{length} {args:?}: {run:?}"
            );
        }
    }
}

#[track_caller]
fn is_quiet(what: &str, run: &Run) {
    let odd = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(
        !run.out.contains(odd) && !run.err.contains(odd),
        "{what}: {:?} {:?}",
        run.out,
        run.err
    );
    // Nor is there a line of the image's own.
    let lines = run.out.lines().chain(run.err.lines());
    assert!(!lines.clone().any(|line| line.starts_with("FAKE")), "{what}: {run:?}");
}

const EVIL: &str = "\u{1b}[2J\u{9b}31m\nFAKE\u{202e}";

#[test]
fn no_name_of_an_image_reaches_the_terminal_as_it_is() {
    let sim = SimBox::changed("generic", |profile| profile["partitions"][2]["name"] = EVIL.into());
    let named = |what: &str, path: &str| {
        for format in ["text", "json"] {
            is_quiet(what, &flasher(&["inspect", "--format", format, path]));
            is_quiet(
                what,
                &sim.run("plan", &["-v", "--format", format, "--part", "mtd2", path]),
            );
            is_quiet(what, &sim.run("plan", &["-v", "--format", format, path]));
        }
    };
    let data = sim.file("data", &bytes(5000, 1));
    let uimage = sim.dir.path().join("uimage");
    let uimage = uimage.to_str().unwrap();
    let name = "\u{1b}[2J\nFAKE";
    tool(
        "mkimage",
        &[
            "-A", "arm", "-T", "kernel", "-C", "none", "-n", name, "-d", &data, uimage,
        ],
    );
    named("uImage", uimage);
    let mut image = bytes(5000, 2);
    metadata(&mut image, &serde_json::json!(EVIL).to_string(), "1\\u001b[2J");
    named("metadata", &sim.file("metadata", &image));
    let tree = sim.dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for file in [EVIL, "VERSION", "checksum.syno", "zImage"] {
        fs::write(tree.join(file), format!("unique=\"synology_{EVIL}\"\n")).unwrap();
    }
    let tar = sim.dir.path().join("tar");
    let tar = tar.to_str().unwrap();
    tool("tar", &["-cf", tar, "-C", tree.to_str().unwrap(), "."]);
    named("tar", tar);
    let path = sim.file(EVIL, &bytes(5000, 3));
    is_quiet("the name of the image", &sim.run("plan", &["--part", "mtd2", &path]));
    is_quiet("a partition", &sim.run("devices", &[]));
    is_quiet(
        "a partition",
        &sim.run("backup", &[sim.dir.path().join("backup").to_str().unwrap()]),
    );
    for verb in ["apply", "verify"] {
        is_quiet(verb, &sim.run(verb, &["-y", "-v", "--part", "mtd2", &data]));
    }
    is_quiet(
        "a word",
        &flasher(&["plan", "--part", EVIL, "--sim", sim.path().to_str().unwrap(), &data]),
    );
    is_quiet("a verb", &flasher(&[EVIL]));
    is_quiet("an option", &flasher(&["plan", &format!("--{EVIL}")]));
}
