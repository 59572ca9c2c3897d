//! The page of `--listen` in a real browser, as a phone shows it.

use crate::listen::Slow;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Chromium, spoken to by its DevTools protocol over a pipe.
struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    number: u64,
}

impl Browser {
    /// Opens a page in a window of a phone's size.
    fn open(url: &str) -> Browser {
        let mut child = Command::new("sh")
            // The pipe is expected at descriptors 3 and 4.
            .args(["-c", "exec \"$@\" 3<&0 4>&1", "sh", "chromium-headless-shell"])
            .args([
                "--no-sandbox",
                "--disable-gpu",
                "--window-size=390,844",
                "--remote-debugging-pipe",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut browser = Browser {
            to: child.stdin.take().unwrap(),
            from: BufReader::new(child.stdout.take().expect("its output")),
            child,
            session: None,
            number: 0,
        };
        let target = browser.call("Target.createTarget", json!({"url": url}));
        let attached = browser.call(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            bytes.pop();
            let answer: Value =
                serde_json::from_slice(&bytes).expect("tests/install base installs chromium-headless-shell");
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn value(&mut self, expression: &str) -> Value {
        let answer = self.call(
            "Runtime.evaluate",
            json!({"expression": expression, "returnByValue": true}),
        );
        answer["result"]["value"].clone()
    }

    /// What a person reads, once this is so.
    fn reads(&mut self, right: fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let text = self.value("document.body.innerText");
            let text = text.as_str().unwrap_or_default();
            if right(text) {
                return text.to_owned();
            }
            assert!(Instant::now() < deadline, "{text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A picture of it, kept for whoever wants to look.
    fn picture(&mut self, name: &str) {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let text = answer["data"].as_str().unwrap();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let decode = Command::new("base64")
            .arg("-d")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut decode = decode.unwrap();
        let mut stdin = decode.stdin.take().unwrap();
        let owned = text.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(owned.as_bytes()).unwrap());
        let png = decode.wait_with_output().unwrap().stdout;
        writer.join().unwrap();
        std::fs::write(&path, &png).unwrap();
        // IHDR: 390 pixels across.
        assert!(
            png.starts_with(b"\x89PNG") && png[16..20] == [0, 0, 1, 0x86],
            "{}",
            path.display()
        );
        assert!(png.len() > 4000, "{} bytes: an empty page", png.len());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_phone_shows_how_far_it_is_and_how_it_ended() {
    let slow = Slow::begin(250);
    let mut browser = Browser::open(&slow.url());
    let text = browser.reads(|text| text.contains("writing ") && text.contains(" left"));
    assert!(text.contains("The box is at work"), "{text}");
    let before = browser.value("document.getElementById('bar').value").as_f64().unwrap();
    assert!(before > 0.0 && before < 100.0, "{before}");
    browser.picture("listen-at-work.png");
    // It fits, and nothing comes from anywhere else.
    assert_eq!(
        browser.value("document.documentElement.scrollWidth <= innerWidth"),
        true
    );
    let foreign =
        "performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith(location.origin)).join()";
    assert_eq!(browser.value(foreign), "");
    let (_, run, _) = slow.ends();
    run.exits(0);
    let text =
        browser.reads(|text| text.contains("Written and verified") && text.contains("has ended this connection"));
    assert!(text.contains("written and verified: "), "{text}");
    assert_eq!(browser.value("document.title"), "Written and verified");
    assert_eq!(browser.value("document.getElementById('verdict').className"), "good");
    browser.picture("listen-ended.png");
    // Another update has another token.
    let other = Slow::begin(100);
    let wrong = format!("http://127.0.0.1:{}/{}", other.port, "0".repeat(32));
    let mut browser = Browser::open(&wrong);
    assert_eq!(browser.value("document.body.innerText"), "");
    other.ends().1.exits(0);
}
