//! `poll` and servers that lie, break off or do not end: the flash stays as it is, and no other host is asked.

use crate::ddi::{Ddi, poll, polled_box, status};
use crate::simbox::{bytes, flasher};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

/// Sends this until nobody takes it any more.
fn endless(head: &'static str, text: &'static [u8]) -> impl FnMut(&mut TcpStream) + Send + 'static {
    move |stream| {
        let _ = stream.write_all(head.as_bytes());
        while stream.write_all(text).is_ok() {}
    }
}

fn text(head: &'static str) -> impl FnMut(&mut TcpStream) + Send + 'static {
    move |stream| {
        let _ = stream.write_all(head.as_bytes());
    }
}

#[test]
fn a_server_that_makes_no_sense_is_an_error_of_its_own() {
    let sim = polled_box();
    let before = sim.flash();
    let ddi = Ddi::new();
    let refused = |what: &str| {
        let begun = Instant::now();
        let run = poll(&sim, &ddi.url(), &[]).exits(68);
        assert_eq!(
            (&run.json()["code"], &run.json()["harm"]),
            (&json!("server"), &json!("untouched")),
            "{what}"
        );
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
    };
    for path in ["", "deploymentBase/7"] {
        ddi.wants(json!({"deploymentBase": ddi.link("deploymentBase/7")}));
        for code in [
            "500 Internal Server Error",
            "429 Too Many Requests",
            "401 Unauthorized",
            "404 Not Found",
            "204 No Content",
        ] {
            ddi.does(path, status(code));
            refused(code);
        }
        ddi.does(path, endless("HTTP/1.1 200 OK\r\n\r\n", b"{\"_links\":{\"x\":[1,2,3"));
        refused("JSON without an end");
        ddi.does(path, endless("HTTP/1.1 200 OK\r\n\r\n", b" "));
        refused("blanks without an end");
        ddi.does(path, endless("HTTP/1.1 200 OK\r\nX: ", b"xxxxxxxxxxxxxxxx"));
        refused("a header without an end");
        ddi.does(
            path,
            text("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"_links\":{"),
        );
        refused("cut off");
        ddi.does(
            path,
            text("HTTP/1.1 302 Found\r\nLocation: /DEFAULT/controller/v1/box-1\r\n\r\n"),
        );
        ddi.does(
            "",
            text("HTTP/1.1 302 Found\r\nLocation: /DEFAULT/controller/v1/box-1\r\n\r\n"),
        );
        refused("a circle");
        ddi.wants(json!({"deploymentBase": ddi.link("deploymentBase/7")}));
        for document in [
            "[".repeat(30_000),
            "{\"a\":".repeat(10_000),
            "null".to_owned(),
            "{\"_links\":7,\"id\":7,\"deployment\":7}".to_owned(),
            "\u{0}".to_owned(),
        ] {
            ddi.says(path, document.as_str());
            refused(&document[..4.min(document.len())]);
        }
    }
    assert!(sim.flash() == before);
    assert!(ddi.told("").is_empty());
}

#[test]
fn an_update_that_is_not_described_as_it_should_be_is_not_done() {
    let image = bytes(MIB, 70);
    let change = |name: &str, value: Value| {
        let ddi = Ddi::new();
        let mut wanted = ddi.deploys("7", &[ddi.artifact("image.bin", &image)]);
        *wanted.pointer_mut(name).unwrap_or_else(|| panic!("{name}")) = value;
        ddi.says("deploymentBase/7", wanted.to_string());
        ddi
    };
    // A new box each time: of one update the second try would know of the first.
    let polled = |url: &str| {
        let sim = polled_box();
        let before = sim.flash();
        let run = poll(&sim, url, &[]);
        assert!(sim.flash() == before);
        run
    };
    for id in ["", "..", "a/b", "7?x", "7\r\nX: y", "\u{1b}[2J", &"7".repeat(65)] {
        let ddi = change("/id", id.into());
        let run = polled(&ddi.url()).exits(68);
        assert_eq!(run.json()["code"], "server");
        assert!(
            !run.out.contains('\u{1b}') && ddi.told("").is_empty() && ddi.count("POST", "") == 0,
            "{id:?}"
        );
    }
    for id in [json!(7), json!(null), json!(["7"])] {
        polled(&change("/id", id).url()).exits(68);
    }
    // Lengths that are not those of the file.
    for (size, exit) in [
        (json!(0), 65),
        (json!(MIB - 1), 65),
        (json!(MIB + 1), 65),
        (json!(u64::MAX), 66),
        (json!(-1), 68),
        (json!(1.5), 68),
        (json!(null), 68),
    ] {
        let ddi = change("/deployment/chunks/0/artifacts/0/size", size.clone());
        let run = polled(&ddi.url());
        assert!(
            run.exit == exit || exit != 68 && [65, 66].contains(&run.exit),
            "{size} {run:?}"
        );
        assert_eq!(run.json()["harm"], "untouched");
    }
    for sum in ["", "abc", "/etc/shadow", &"g".repeat(64)] {
        let ddi = change("/deployment/chunks/0/artifacts/0/hashes/sha256", sum.into());
        assert_eq!(polled(&ddi.url()).exits(0).json()["code"], "settled");
        assert_eq!((ddi.last().2.as_str(), ddi.count("GET", "/files/")), ("failure", 0));
    }
    // Files that only somebody else without TLS has, or nobody.
    for links in [
        json!({}),
        json!({"download": {"href": "http://127.0.0.1:1/x"}}),
        json!({"download-http": {"href": "ftp://127.0.0.1/x"}}),
        json!({"download": {"href": "file:///etc/shadow"}}),
        json!({"download": {"href": "-"}}),
    ] {
        let ddi = change("/deployment/chunks/0/artifacts/0/_links", links.clone());
        assert_eq!(polled(&ddi.url()).exits(0).json()["code"], "settled", "{links}");
        assert_eq!(ddi.last().2, "failure");
    }
}

#[test]
fn no_link_leads_to_another_host() {
    let sim = polled_box();
    let strange = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = format!("http://{}/x", strange.local_addr().unwrap());
    for name in ["deploymentBase", "cancelAction"] {
        for href in [elsewhere.clone(), format!("//{}/x", strange.local_addr().unwrap())] {
            let ddi = Ddi::new();
            ddi.wants(json!({name: {"href": href}}));
            let run = poll(&sim, &ddi.url(), &[]).exits(68);
            assert!(run.out.contains("somebody else"), "{run:?}");
        }
    }
    strange.set_nonblocking(true).unwrap();
    assert!(strange.accept().is_err(), "nobody came");
}

/// The last question: whoever cannot be told that the flash is written now may have changed his mind.
#[test]
fn nothing_is_written_that_the_server_cannot_be_told_of() {
    for (path, answer) in [
        ("deploymentBase/7/feedback", "410 Gone"),
        ("deploymentBase/7/feedback", "429 Too Many Requests"),
        ("", "500 Internal Server Error"),
    ] {
        let sim = polled_box();
        let before = sim.flash();
        let ddi = Ddi::new();
        ddi.deploys("7", &[ddi.artifact("image.bin", &bytes(MIB, 71))]);
        let breaking = ddi.clone();
        let body = bytes(MIB, 71);
        ddi.does("/files/image.bin", move |stream| {
            breaking.does(path, status(answer));
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&body);
        });
        let run = poll(&sim, &ddi.url(), &[]).exits(68);
        assert_eq!(
            (&run.json()["code"], &run.json()["harm"]),
            (&json!("server"), &json!("untouched")),
            "{path}"
        );
        assert!(sim.flash() == before);
    }
}

/// A download that comes so slowly that no stall is ever seen ends all the same.
#[test]
fn a_download_has_a_deadline() {
    let sim = polled_box();
    let ddi = Ddi::new();
    ddi.deploys("7", &[ddi.artifact("image.bin", &bytes(MIB, 72))]);
    ddi.does("/files/image.bin", |stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {MIB}\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let begun = Instant::now();
    let run = poll(&sim, &ddi.url(), &["--deadline", "2"]).exits(66);
    assert!(
        run.out.contains("takes too long") && begun.elapsed() < Duration::from_secs(15),
        "{run:?}"
    );
    assert_eq!(ddi.last().1, "proceeding");
}

#[test]
fn a_configuration_that_others_can_read_or_that_makes_no_sense_is_not_used() {
    let sim = polled_box();
    let ddi = Ddi::new();
    let path = sim.path();
    let (url, box_path) = (ddi.url(), path.to_str().unwrap());
    let run = |content: &str, mode| {
        let config = sim.file("config", content.as_bytes());
        fs::set_permissions(&config, PermissionsExt::from_mode(mode)).unwrap();
        flasher(&["--format", "json", "poll", "--sim", box_path, "--config", &config])
    };
    let whole = format!("url={url}\nid=box-1\ntarget-token=hidden\n");
    run(&whole, 0o600).exits(0);
    for (content, mode) in [
        (whole.clone(), 0o640),
        (whole.clone(), 0o604),
        (format!("{whole}nonsense\n"), 0o600),
        (format!("{whole}token=hidden\n"), 0o600),
        (format!("{whole}gateway-token=hidden\n"), 0o600),
        (format!("url={url}\n"), 0o600),
        ("id=box-1\n".to_owned(), 0o600),
        (whole.replace("box-1", "../box-2"), 0o600),
        (whole.replace("http://", "gopher://"), 0o600),
        (whole.replace("http://", "http://user:hidden@"), 0o600),
    ] {
        let refused = run(&content, mode).exits(64);
        let token = refused.out.contains("hidden") && !content.contains("user:");
        assert!(!token && refused.json()["code"] == "usage", "{refused:?}");
    }
    assert_eq!(ddi.asked().len(), 1);
}
