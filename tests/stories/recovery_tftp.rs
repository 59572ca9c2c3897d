//! The image over TFTP: real clients stand in for the boot loader, and one of our own for what those cannot be made to do.

use crate::cable::{Cable, Server};
use crate::recovery::{TS109, cat, partitions};
use crate::simbox::{Run, is_root, read};
use std::fs;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

#[test]
fn every_real_client_fetches_the_image_byte_for_byte() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("192.168.0.11/24", Some("192.168.0.10/24"));
    let image = cable.image(&TS109, "of-my-box");
    let clients: [(&str, &[&str]); 6] = [
        (
            "tftp",
            &["-m", "binary", "192.168.0.11", "-c", "get", "qnapimg.bin", "got"],
        ),
        ("curl", &["-sS", "-o", "got", "tftp://192.168.0.11/qnapimg.bin"]),
        (
            "curl",
            &[
                "-sS",
                "--tftp-blksize",
                "1468",
                "-o",
                "got",
                "tftp://192.168.0.11/qnapimg.bin",
            ],
        ),
        (
            "curl",
            &[
                "-sS",
                "--tftp-no-options",
                "-o",
                "got",
                "tftp://192.168.0.11/qnapimg.bin",
            ],
        ),
        (
            "busybox",
            &["tftp", "-g", "-r", "qnapimg.bin", "-l", "got", "192.168.0.11"],
        ),
        (
            "busybox",
            &[
                "tftp",
                "-g",
                "-b",
                "65464",
                "-r",
                "qnapimg.bin",
                "-l",
                "got",
                "192.168.0.11",
            ],
        ),
    ];
    for (program, args) in clients {
        let server = cable.serve(&["of-my-box"]);
        let output = cable.client(program, args);
        assert!(output.status.success(), "{program} {args:?}: {output:?}");
        assert!(read(&cable.path("got")) == image, "{program} {args:?}");
        let run = server.end().exits(0);
        for said in [
            "asks for \"qnapimg.bin\"",
            "sending",
            "192.168.0.10 has all 7,340,032 bytes",
            "one long beep",
        ] {
            assert!(run.out.contains(said), "{said}: {run:?}");
        }
        fs::remove_file(cable.path("got")).unwrap();
    }
}

/// Without `--once`, a row of boxes can be switched on one after the other.
#[test]
fn the_next_box_is_served_too_until_somebody_ends_it() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("192.168.0.11/24", Some("192.168.0.10/24"));
    let image = cable.image(&TS109, "image");
    let mut server = cable.serve_on(&["image"]);
    for boxes in 1..=3 {
        let output = cable.client("curl", &["-sS", "-o", "got", "tftp://192.168.0.11/qnapimg.bin"]);
        assert!(output.status.success(), "{output:?}");
        assert!(read(&cable.path("got")) == image);
        server.hears(&format!("{boxes} served; waiting for the next box, ^C ends this"));
        fs::remove_file(cable.path("got")).unwrap();
    }
    // What it tells a program: an event for each box, none of which is the last.
    let mut server = {
        drop(server);
        cable.serve_on(&["--format", "json", "image"])
    };
    let output = cable.client("curl", &["-sS", "-o", "got", "tftp://192.168.0.11/qnapimg.bin"]);
    assert!(output.status.success(), "{output:?}");
    server.hears(r#"{"event":"sent","ok":true,"exit":0,"bytes":7340032,"to":"192.168.0.10"}"#);
}

#[test]
fn another_name_and_writing_are_refused_and_the_image_is_still_served() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("192.168.0.11/24", Some("192.168.0.10/24"));
    let image = cable.image(&TS109, "image");
    fs::write(cable.path("secret"), "secret").unwrap();
    let mut server = cable.serve(&["image"]);
    for name in [
        "secret",
        "../secret",
        "/etc/passwd",
        "image",
        "F_TS-219",
        "qnapimg.bin/../secret",
    ] {
        let output = cable.client("busybox", &["tftp", "-g", "-r", name, "-l", "got", "192.168.0.11"]);
        assert!(!output.status.success(), "{name}: {output:?}");
        server.hears(&format!("{name:?} is not here, but qnapimg.bin"));
    }
    let output = cable.client(
        "busybox",
        &["tftp", "-p", "-l", "secret", "-r", "qnapimg.bin", "192.168.0.11"],
    );
    assert!(!output.status.success(), "{output:?}");
    server.hears("nothing can be written here");
    let output = cable.client("curl", &["-sS", "-o", "got", "tftp://192.168.0.11/qnapimg.bin"]);
    assert!(
        output.status.success() && read(&cable.path("got")) == image,
        "{output:?}"
    );
    server.end().exits(0);
}

#[test]
fn the_address_that_is_missing_is_said_with_the_command_that_adds_it() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("192.168.7.1/24", None);
    cable.image(&TS109, "image");
    let program = env!("CARGO_BIN_EXE_flasher");
    let run: Run = cable
        .command(&cable.machine, program, &["recovery", "serve", "image"])
        .output()
        .unwrap()
        .into();
    let run = run.exits(71);
    assert!(run.err.contains("ip addr add 192.168.0.11/24 dev eth7"), "{run:?}");
}

/// Anybody may fetch the image; `--once` waits for the box.
#[test]
fn a_stranger_who_fetches_the_image_is_not_the_box() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("192.168.0.11/24", Some("192.168.0.10/24"));
    let image = cable.image(&TS109, "image");
    let mut server = cable.serve(&["image"]);
    let fetch = ["-sS", "-o", "got", "tftp://192.168.0.11/qnapimg.bin"];
    let stranger = cable.command(&cable.machine, "curl", &fetch).output().unwrap();
    assert!(stranger.status.success(), "{stranger:?}");
    server.hears("192.168.0.11 is not the address of a box in recovery mode, 192.168.0.10");
    server.hears("this was not the box; still waiting for it");
    let output = cable.client("curl", &fetch);
    assert!(
        output.status.success() && read(&cable.path("got")) == image,
        "{output:?}"
    );
    let run = server.end().exits(0);
    assert_eq!(run.out.matches("one long beep").count(), 1, "{run:?}");
}

/// A client of our own, for what real ones cannot be made to do.
struct Client(UdpSocket);

impl Client {
    fn send(&self, to: impl std::net::ToSocketAddrs, packet: &[u8]) {
        self.0.send_to(packet, to).unwrap();
    }

    fn next(&self) -> (Vec<u8>, std::net::SocketAddr) {
        let mut buffer = [0; 70_000];
        let (got, from) = self.0.recv_from(&mut buffer).expect("an answer");
        (buffer[..got].to_vec(), from)
    }
}

fn on_loopback(port: u16, image: &std::path::Path) -> (Server, Client) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flasher"));
    command.args([
        "recovery",
        "serve",
        "--once",
        "--address",
        "127.0.0.1",
        "--tftp-port",
        &port.to_string(),
    ]);
    command.arg(image).stdin(Stdio::null());
    let server = Server::start(command);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (server, Client(socket))
}

/// A read request: the name, the mode, and options with their values.
fn request(words: &str) -> Vec<u8> {
    let words: Vec<u8> = words.bytes().map(|byte| if byte == b' ' { 0 } else { byte }).collect();
    [b"\0\x01", &words[..], b"\0"].concat()
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Requests and acknowledgements come twice, and some data never arrives: no block is sent twice for that, except
/// those that were lost.
#[test]
fn a_client_that_repeats_itself_and_loses_packets_gets_each_byte_once() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("qnapimg.bin");
    let image = cat(&TS109, &partitions(&TS109, dir.path(), ""));
    fs::write(&path, &image).unwrap();
    let port = free_port();
    let (server, client) = on_loopback(port, &path);
    let request = &request("qnapimg.bin octet blksize 65464 timeout 1 tsize 0");
    client.send(("127.0.0.1", port), request);
    client.send(("127.0.0.1", port), request);
    let (oack, transfer) = client.next();
    assert_eq!(oack[..2], [0, 6]);
    let agreed = String::from_utf8_lossy(&oack[2..]).replace('\0', " ");
    assert_eq!(agreed.trim(), "blksize 65464 timeout 1 tsize 7340032");
    let (mut got, mut packets, mut lost) = (Vec::<u8>::new(), 0, 0);
    client.send(transfer, &[0, 4, 0, 0]);
    loop {
        let (data, from) = client.next();
        assert_eq!(from, transfer, "one transfer only");
        packets += 1;
        assert_eq!(data[..2], [0, 3]);
        let number = u16::from_be_bytes([data[2], data[3]]);
        if number == 3 && lost < 2 {
            lost += 1;
            continue;
        }
        got.extend(&data[4..]);
        assert_eq!(usize::from(number), got.len().div_ceil(65464).max(1));
        let ack = [0, 4, data[2], data[3]];
        client.send(transfer, &ack);
        client.send(transfer, &ack);
        if data.len() < 4 + 65464 {
            break;
        }
    }
    assert!(got == image);
    assert_eq!(packets, image.len() / 65464 + 1 + lost);
    server.end().exits(0);
}

#[test]
fn a_window_of_blocks_goes_out_at_once_and_rubbish_is_answered_by_an_error() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("image");
    let image = cat(&TS109, &partitions(&TS109, dir.path(), ""));
    fs::write(&path, &image).unwrap();
    let port = free_port();
    let (server, client) = on_loopback(port, &path);
    for rubbish in [
        &b""[..],
        b"\0",
        b"\0\x01",
        b"\0\x01\0\0",
        b"\0\x01x",
        b"\0\x03\0\x01",
        b"\xff\xff\xff\xff",
    ] {
        client.send(("127.0.0.1", port), rubbish);
        assert_eq!(client.next().0[..2], [0, 5], "{rubbish:?}");
    }
    client.send(("127.0.0.1", port), b"\0\x01qnapimg.bin\0netascii\0");
    assert!(String::from_utf8_lossy(&client.next().0).contains("octet"));
    client.send(
        ("127.0.0.1", port),
        &request("/qnapimg.bin OCTET blksize 1024 windowsize 8"),
    );
    let (oack, transfer) = client.next();
    assert_eq!(oack[..2], [0, 6]);
    client.send(transfer, &[0, 4, 0, 0]);
    let mut got = Vec::<u8>::new();
    let last = (image.len() / 1024 + 1) as u64;
    for number in 1..=last {
        let (data, _) = client.next();
        assert_eq!(data[2..4], (number as u16).to_be_bytes());
        got.extend(&data[4..]);
        if number % 8 == 0 || number == last {
            client.send(transfer, &[0, 4, data[2], data[3]]);
        }
    }
    assert!(got == image);
    server.end().exits(0);
}

/// A client that acknowledges the last block first, and one that gives up at the last: neither has the image.
#[test]
fn only_a_last_block_that_is_acknowledged_in_its_turn_counts() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("image");
    let image = cat(&TS109, &partitions(&TS109, dir.path(), ""));
    fs::write(&path, &image).unwrap();
    let port = free_port();
    let (mut server, client) = on_loopback(port, &path);
    let last = (image.len() / 65464 + 1) as u16;
    for gives_up in [1, last] {
        client.send(("127.0.0.1", port), &request("qnapimg.bin octet blksize 65464"));
        let (_, transfer) = client.next();
        client.send(transfer, &[0, 4, 0, 0]);
        for number in 1..=gives_up {
            assert_eq!(client.next().0[2..4], number.to_be_bytes());
            let ack = if number == gives_up { last } else { number };
            if ack != last || gives_up == 1 {
                client.send(transfer, &[&[0, 4][..], &ack.to_be_bytes()].concat());
            }
        }
        client.send(transfer, format!("\0\x05\0\0given up at {gives_up}\x1b\0").as_bytes());
        server.hears(&format!(
            r#"broke off: the client says "given up at {gives_up}\u{{1b}}""#
        ));
    }
    client.send(("127.0.0.1", port), &request("qnapimg.bin octet blksize 65464"));
    let (_, transfer) = client.next();
    client.send(transfer, &[0, 4, 0, 0]);
    for number in 1..=last {
        assert_eq!(client.next().0[2..4], number.to_be_bytes());
        client.send(transfer, &[&[0, 4][..], &number.to_be_bytes()].concat());
    }
    let run = server.end().exits(0);
    assert_eq!(run.out.matches("has all").count(), 1, "{run:?}");
}
