//! The owner wants to see what the box does when his ssh session has ended: process 1 answers at the port that was asked for,
//! while others who have no token try the same.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::tools::{patience, scratch, write};
use super::*;

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let image = Parts::plain(kind, 'B').image();
    // Time enough for somebody who comes late.
    let mut machine = Machine::new("listen", Parts::plain(kind, 'A')).flash_speed(400_000);
    let before = machine.flash();
    machine.boot('A');
    machine.ssh().wait();
    let dir = scratch();
    let (program, file) = (dir.path().join("flasher"), dir.path().join("image.bin"));
    write(&program, &tools::read(&tools::flasher(kind)));
    write(&file, &image);
    machine.ssh().copy(&[&program, &file], "/tmp/");
    machine.must("chmod 755 /tmp/flasher");
    let output = machine.ssh().output(&APPLY.replace(" -y ", " -y --listen "));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let line = said.lines().find_map(|line| line.strip_prefix("progress: http://"));
    let (address, token) = line.and_then(|line| line.split_once('/')).expect("where to look");
    assert_eq!(address, "10.0.2.15:3553", "{said}");
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    assert!(last.contains(words::HANDED_OVER), "last line: {last:?}");

    let heard = followed(machine.listen_port(), token);
    for word in [
        "\"phase\":\"writing\"",
        "\"phase\":\"verifying\"",
        words::WRITING,
        "rebooting into the new firmware",
    ] {
        assert!(heard.contains(word), "{word} is missing: {heard}");
    }
    let result = heard.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
    assert_eq!(words::field(result, "harm").as_deref(), Some("written"), "{heard}");
    assert!(result.starts_with("{\"event\":\"result\",\"ok\":true"), "{heard}");
    becomes_b(&mut machine, &before, &image);
}

fn get(port: u16, path: &str) -> std::io::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: box\r\n\r\n").as_bytes())?;
    Ok(BufReader::new(stream))
}

/// What whoever has the token hears, from the moment at which the box answers until it hangs up.
fn followed(port: u16, token: &str) -> String {
    let deadline = Instant::now() + patience(120);
    loop {
        assert!(Instant::now() < deadline, "nobody answers");
        // The emulator takes each connection, and hangs up where the box does not.
        let mut first = String::new();
        let stream = get(port, &format!("/{token}/events"));
        match stream.and_then(|mut stream| stream.read_line(&mut first).map(|_| stream)) {
            Ok(mut stream) if first.starts_with("HTTP/1.0 200 ") => {
                strangers(port, token);
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest);
                return String::from_utf8_lossy(&rest).into_owned();
            }
            _ => sleep(Duration::from_millis(200)),
        }
    }
}

/// Those without the token, and one who has it and looks at the page.
fn strangers(port: u16, token: &str) {
    let answer = |path: &str| {
        let mut answer = String::new();
        let _ = get(port, path).and_then(|mut stream| stream.read_to_string(&mut answer));
        answer
    };
    assert!(answer(&format!("/{token}")).ends_with("</script>\n"));
    for path in ["/", "/events", "/0123456789abcdef0123456789abcdef/events"] {
        let answer = answer(path);
        assert!(answer.starts_with("HTTP/1.0 403 "), "{path}: {answer}");
    }
    let silent: Vec<_> = (0..40)
        .filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok())
        .collect();
    drop(silent);
}
