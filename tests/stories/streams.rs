//! Bytes that come in a stream: how long they are has to be said by somebody, and RAM is never filled with them.

use crate::containers::{MIB, pack, uimage};
use crate::simbox::{Run, SimBox, bytes, read};
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a verb on the box with these bytes coming through a pipe.
fn piped(sim: &SimBox, verb: &str, args: &[&str], content: &[u8]) -> Run {
    let path = sim.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flasher"));
    command.args([verb, "--sim", path.to_str().unwrap()]).args(args);
    if verb == "apply" {
        command.arg("-y");
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Who refuses does not read to the end.
    let _ = input.write_all(content);
    drop(input);
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_stream_without_a_length_needs_one_unless_its_bytes_say_where_they_end() {
    let sim = SimBox::new("qnap-ts219");
    let raw = bytes(300_000, 1);
    let path = sim.file("raw", &raw);
    let sum = String::from_utf8(crate::simbox::tool("sha256sum", &[&path]).stdout).unwrap();
    let list = sim.file("raw.sha256", sum.as_bytes());
    let before = sim.flash();
    for verb in ["apply", "plan"] {
        let run = piped(&sim, verb, &["--part", "RootFS2", "-"], &raw).exits(78);
        assert!(run.err.contains("--size") && run.err.contains("--sha256"), "{run:?}");
    }
    assert!(sim.flash() == before);
    for ok in [
        ["--size", "300000"],
        ["--size", "0x493e0"],
        ["--sha256", &sum[..64]],
        ["--sha256", &list],
    ] {
        sim.fill(&before);
        let args = [&["--part", "RootFS2"], &ok[..], &["-"]].concat();
        piped(&sim, "apply", &args, &raw).exits(0);
        assert!(sim.flash()[13 * MIB..][..raw.len()] == raw);
    }
    sim.fill(&before);
    for (size, content) in [("300001", &raw[..]), ("299999", &raw), ("300000", &raw[..1000])] {
        let run = piped(&sim, "apply", &["--part", "RootFS2", "--size", size, "-"], content);
        assert!([65, 66].contains(&run.exit), "{run:?}");
    }
    for nonsense in ["", "x", "-1", "1.5M", "0x", "99999999999999999999"] {
        piped(&sim, "apply", &["--part", "RootFS2", "--size", nonsense, "-"], &raw).exits(64);
    }
    assert!(sim.flash() == before);

    // A kernel has its length in its header; packed, there is the end of the packing too.
    let kernel = uimage(&sim, &bytes(300_000, 2));
    let packed = read(Path::new(&pack(&kernel, "xz", &["-k"])));
    let kernel = read(Path::new(&kernel));
    let mut padded = kernel.clone();
    padded.resize(400_000, 0xff);
    for whole in [&kernel, &packed, &padded] {
        sim.fill(&before);
        piped(&sim, "apply", &["-"], whole).exits(0);
        assert!(sim.flash()[2 * MIB..][..kernel.len()] == kernel);
    }
    sim.fill(&before);
    for cut in [&kernel[..200_000], &packed[..packed.len() - 20]] {
        piped(&sim, "apply", &["-"], cut).exits(65);
    }
    // Something behind it that nobody knows may be cut off.
    let mut more = kernel;
    more.extend(bytes(5000, 3));
    piped(&sim, "apply", &["--part", "Kernel", "-"], &more).exits(78);
    // So does what is not unpacked, because of its window or its packing.
    let pack = |packer: &str| {
        let archive = "cd \"$0\" && mkdir -p root && head -c 99999 /dev/urandom >root/file && cd root && find . | cpio -oH newc --quiet";
        let script = format!("{archive} | {packer}");
        crate::simbox::tool("sh", &["-c", &script, sim.dir.path().to_str().unwrap()]).stdout
    };
    for (packer, exit) in [
        ("xz -6 --check=crc32", 0),
        ("xz -9 --check=crc32", 78),
        ("lz4 -l -q", 78),
    ] {
        sim.fill(&before);
        piped(&sim, "apply", &["--part", "RootFS1", "-"], &pack(packer)).exits(exit);
    }
    sim.fill(&before);
    // A file has its length.
    sim.apply(&["--part", "RootFS2", &path]).exits(0);
    sim.apply(&["--part", "RootFS2", "--size", "300001", &path]).exits(65);
}

/// Serves this once, without saying how long it is.
fn serve(body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = std::io::Read::read(&mut stream, &mut request);
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
        let _ = stream.write_all(&body);
    });
    format!("http://{address}/image.bin")
}

#[test]
fn a_server_that_does_not_say_the_length_is_a_stream() {
    let sim = SimBox::new("generic");
    let image = bytes(200_000, 1);
    let run = sim.apply(&["--part", "kernel", &serve(image.clone())]).exits(78);
    assert_eq!(run.json()["code"], "size");
    sim.apply(&["--part", "kernel", "--size", "200000", &serve(image.clone())])
        .exits(0);
    assert!(sim.flash()[0x5_0000..][..image.len()] == image);
}

#[test]
fn a_stream_never_fills_ram_and_that_is_said_at_once() {
    let sim = SimBox::changed("generic", |profile| profile["ram"] = (4 * MIB).into());
    let endless = bytes(8 * MIB, 1);
    for verb in ["plan", "apply"] {
        let run = piped(&sim, verb, &["--part", "rootfs", "-"], &endless).exits(78);
        assert!(run.err.contains("refused by check ram"), "{run:?}");
        // Nothing was read for that.
        let run = piped(&sim, verb, &["--part", "rootfs", "--size", "8M", "-"], b"").exits(78);
        assert!(run.err.contains("too few"), "{run:?}");
    }
    let fits = bytes(2 * MIB, 1);
    piped(&sim, "apply", &["--part", "rootfs", "--size", "2M", "-"], &fits).exits(0);
}

#[test]
fn another_protocol_is_answered_with_the_command_that_was_typed() {
    let sim = SimBox::new("generic");
    let url = "https://example.org/a b.bin";
    let dir = sim.path();
    let dir = dir.to_str().unwrap();
    for verb in ["plan", "apply", "verify"] {
        let args: &[&str] = match verb {
            "apply" => &["-y", "--part", "kernel", "--size", "5", url],
            _ => &["--part", "kernel", "--size", "5", url],
        };
        let words = args[..args.len() - 1].join(" ");
        let hint = format!("wget -O - 'https://example.org/a b.bin' | flasher {verb} --sim {dir} {words} -");
        let run = sim.run(verb, args).exits(66);
        assert!(run.err.contains(&hint), "{hint}: {run:?}");
    }
    let run = sim.run("plan", &["kernel=nfs://host/k", "rootfs=x"]).exits(66);
    assert!(
        run.err.contains("plan --sim") && run.err.contains("kernel=- rootfs=x"),
        "{run:?}"
    );
    let run = crate::simbox::flasher(&["inspect", "nfs://host/k"]).exits(66);
    assert!(
        run.err.contains("wget -O - nfs://host/k | flasher inspect -"),
        "{run:?}"
    );
}

/// The verbs that look read a stream into memory, of which a `Vec` by itself takes all there is, and then ends the program.
#[test]
fn looking_at_what_does_not_end_ends_before_memory_does() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let out = out.to_str().unwrap();
    for args in [
        &["inspect", "/dev/zero"][..],
        &["recovery", "check", "/dev/zero"],
        &["recovery", "config", "/dev/zero"],
        &["pat", "list", "/dev/zero"],
        &["qpkg", "extract", "/dev/zero", out],
    ] {
        let mut command = Command::new("prlimit");
        command
            .args(["--as=200000000", env!("CARGO_BIN_EXE_flasher")])
            .args(args);
        let run = Run::from(command.output().unwrap()).exits(78);
        assert!(run.err.contains("does not fit into RAM"), "{run:?}");
    }
    let run = crate::simbox::flasher(&["recovery", "name", "/dev/zero"]).exits(66);
    assert!(run.err.contains("not a plain file"), "{run:?}");
}

#[test]
fn the_scheme_of_a_url_is_one_in_capitals_too() {
    let url = serve(bytes(5000, 1));
    let shouted = url.replace("http://", "HTTP://");
    assert_ne!(url, shouted);
    crate::simbox::flasher(&["inspect", &shouted]).exits(0);
}
