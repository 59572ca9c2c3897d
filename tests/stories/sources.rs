//! IMAGE is a path, standard input, or a URL.

use crate::simbox::{Run, SimBox, bytes};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

const MIB: usize = 1 << 20;

/// Answers one request with these bytes, promising `length` of them.
pub fn serve(status: &'static str, body: Vec<u8>, length: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    });
    format!("http://{address}/image.bin")
}

#[test]
fn standard_input() {
    let sim = SimBox::new("generic");
    let image = bytes(MIB, 1);
    let path = sim.file("image", &image);
    let output = Command::new(env!("CARGO_BIN_EXE_flasher"))
        .args([
            "apply",
            "-y",
            "--sim",
            sim.path().to_str().unwrap(),
            "--part",
            "kernel",
            "-",
        ])
        .stdin(std::fs::File::open(path).unwrap())
        .output()
        .unwrap();
    Run::from(output).exits(0);
    assert_eq!(sim.flash()[0x50000..0x50000 + MIB], image[..]);
}

#[test]
fn a_url() {
    let sim = SimBox::new("generic");
    let image = bytes(MIB, 2);
    let url = serve("200 OK", image.clone(), MIB);
    sim.apply(&["--part", "kernel", &url]).exits(0);
    assert_eq!(sim.flash()[0x50000..0x50000 + MIB], image[..]);
}

#[test]
fn a_url_that_does_not_give_the_whole_image() {
    let sim = SimBox::new("generic");
    let before = sim.flash();
    let urls = [
        serve("404 Not Found", b"no".to_vec(), 2),
        serve("200 OK", bytes(MIB, 3), MIB + 1),
        "http://127.0.0.1:1/image.bin".to_owned(),
        "ftp://127.0.0.1/image.bin".to_owned(),
    ];
    for url in urls {
        let run = sim.apply(&["--part", "kernel", &url]).exits(66);
        assert_eq!(run.json()["harm"], "untouched");
    }
    assert!(sim.flash() == before);
}
