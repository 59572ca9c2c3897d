//! `poll`: what an update server wants is done, told at each stage, and called done only by the boot after it.

use crate::ddi::{Ddi, boots, poll, polled_box, status};
use crate::recovery::kernel;
use crate::simbox::{SimBox, bytes, tool};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
const SECOND: &str = "22222222-0000-0000-0000-000000000000";

fn holds(sim: &SimBox, image: &[u8]) -> bool {
    sim.flash()[0x50000..0x50000 + image.len()] == *image
}

fn record(sim: &SimBox) -> Value {
    sim.run("status", &["--format", "json"]).exits(0).json()
}

/// A box that has been updated as the server wants it, and has not booted yet.
fn updated(ddi: &Ddi) -> (SimBox, Vec<u8>) {
    let sim = polled_box();
    let image = bytes(MIB, 50);
    ddi.deploys("7", &[ddi.artifact("image.bin", &image)]);
    let run = poll(&sim, &ddi.url(), &[]).exits(0);
    assert_eq!(run.json()["code"], "written", "{run:?}");
    assert!(holds(&sim, &image));
    (sim, image)
}

#[test]
fn each_stage_is_told_and_success_only_after_the_reboot() {
    let ddi = Ddi::new();
    let (sim, _) = updated(&ddi);
    let told = ddi.told("deploymentBase/7");
    let stages = [
        "try 1 of 3: \"image.bin\"",
        "checked; now kernel is written",
        "written and verified",
    ];
    assert_eq!(told.len(), stages.len(), "{told:?}");
    let in_order = stages
        .iter()
        .zip(&told)
        .all(|(stage, (text, ..))| text.starts_with(stage));
    assert!(in_order, "{told:?}");
    assert!(
        told.iter()
            .all(|(_, execution, finished)| (execution.as_str(), finished.as_str()) == ("proceeding", "none"))
    );
    let kept = record(&sim);
    assert_eq!(
        (&kept["action"]["id"], &kept["action"]["attempt"]),
        (&json!("7"), &json!(1))
    );

    // It has not booted: that is no success yet, and nothing is written again.
    let run = poll(&sim, &ddi.url(), &[]).exits(0);
    assert_eq!(run.json()["code"], "waiting", "{run:?}");
    assert_eq!(ddi.count("GET", "/files/"), 1);
    assert!(
        ddi.told("deploymentBase/7")
            .iter()
            .all(|(_, execution, _)| execution == "proceeding")
    );

    boots(&sim, SECOND);
    let run = poll(&sim, &ddi.url(), &[]).exits(0);
    assert_eq!(run.json()["code"], "settled", "{run:?}");
    let (text, execution, finished) = ddi.last();
    assert_eq!((execution.as_str(), finished.as_str()), ("closed", "success"), "{text}");
    // A server that did not hear it is told again.
    poll(&sim, &ddi.url(), &[]).exits(0);
    assert_eq!(ddi.last().2, "success");
    assert_eq!(ddi.count("GET", "/files/"), 1);
    ddi.wants(json!({}));
    assert_eq!(poll(&sim, &ddi.url(), &[]).exits(0).json()["code"], "idle");
}

#[test]
fn who_we_are_stands_in_a_header_and_the_server_is_told_what_the_box_is() {
    let ddi = Ddi::new();
    let sim = polled_box();
    fs::create_dir_all(sim.path().join("etc")).unwrap();
    fs::write(sim.path().join("etc/os-release"), "VERSION_ID=1.2\n").unwrap();
    ddi.wants(json!({"configData": ddi.link("configData")}));
    poll(&sim, &ddi.url(), &[]).exits(0);
    let asked = ddi.asked();
    assert!(
        asked.iter().all(|asked| asked.authorization == "TargetToken a1b2c3"),
        "{asked:?}"
    );
    let put = asked.iter().find(|asked| asked.method == "PUT").unwrap();
    let data = &put.body["data"];
    assert_eq!(
        (&data["hw_boardname"], &data["place"], &data["sw_version"]),
        (&json!("generic"), &json!("roof"), &json!("1.2"))
    );
}

#[test]
fn an_image_that_is_on_the_flash_already_is_a_success() {
    let ddi = Ddi::new();
    let (sim, _) = updated(&ddi);
    boots(&sim, SECOND);
    poll(&sim, &ddi.url(), &[]).exits(0);
    // The same again under another name.
    ddi.deploys("8", &[ddi.artifact("image.bin", &bytes(MIB, 50))]);
    let run = poll(&sim, &ddi.url(), &[]).exits(0);
    assert_eq!(run.json()["code"], "nothing-to-do", "{run:?}");
    assert_eq!(ddi.last().2, "success");
    assert_eq!(poll(&sim, &ddi.url(), &[]).exits(0).json()["code"], "settled");
}

#[test]
fn after_an_update_by_hand_the_box_boots_first() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let path = sim.file("by-hand", &bytes(MIB, 51));
    sim.apply(&["--part", "kernel", &path]).exits(0);
    ddi.deploys("7", &[ddi.artifact("image.bin", &bytes(MIB, 51))]);
    let run = poll(&sim, &ddi.url(), &[]).exits(0);
    assert_eq!(
        (run.json()["code"].as_str(), ddi.count("GET", "/files/")),
        (Some("waiting"), 0),
        "{run:?}"
    );
    boots(&sim, SECOND);
    poll(&sim, &ddi.url(), &[]).exits(0);
    assert_eq!(ddi.last().2, "success");
}

#[test]
fn a_wish_to_cancel_is_agreed_to_until_the_flash_is_touched() {
    // Before it was begun.
    let ddi = Ddi::new();
    let sim = polled_box();
    let before = sim.flash();
    ddi.cancels("7");
    let run = poll(&sim, &ddi.url(), &[]).exits(0);
    assert_eq!(run.json()["code"], "canceled");
    let told = ddi.told("cancelAction/7");
    assert_eq!((told[0].1.as_str(), told[0].2.as_str()), ("closed", "success"));

    // While the image comes: the last question is asked when everything is checked.
    let ddi = Ddi::new();
    ddi.deploys("8", &[ddi.artifact("image.bin", &bytes(MIB, 52))]);
    let cancel = json!({"id": "8", "cancelAction": {"stopId": "8"}});
    ddi.says("cancelAction/8", cancel.to_string());
    ddi.then(
        "deploymentBase/8",
        "",
        json!({"_links": {"cancelAction": ddi.link("cancelAction/8")}}),
    );
    let run = poll(&sim, &ddi.url(), &[]).exits(78);
    assert_eq!(
        (&run.json()["code"], &run.json()["harm"]),
        (&json!("canceled"), &json!("untouched"))
    );
    assert_eq!(ddi.told("cancelAction/8").len(), 1);
    assert!(sim.flash() == before);

    // Once it is written there is no way back.
    let ddi = Ddi::new();
    let (sim, image) = updated(&ddi);
    for boot in ["11111111-0000-0000-0000-000000000000", SECOND] {
        boots(&sim, boot);
        ddi.cancels("7");
        poll(&sim, &ddi.url(), &[]).exits(0);
        assert_eq!(ddi.told("cancelAction/7").pop().unwrap().1, "rejected");
    }
    assert!(holds(&sim, &image));
    // Of another update it says nothing.
    let ddi = Ddi::new();
    ddi.deploys("9", &[ddi.artifact("image.bin", &bytes(MIB, 53))]);
    ddi.says("cancelAction/8", cancel.to_string());
    ddi.then(
        "deploymentBase/9",
        "",
        json!({"_links": {"cancelAction": ddi.link("cancelAction/8")}}),
    );
    assert_eq!(poll(&sim, &ddi.url(), &[]).exits(0).json()["code"], "written");
}

#[test]
fn outside_of_its_window_nothing_is_done_and_nothing_is_fetched() {
    for (update, window, done) in [
        ("skip", None, Some("waiting")),
        ("skip", Some("unavailable"), Some("waiting")),
        ("forced", Some("unavailable"), Some("waiting")),
        ("attempt", Some("available"), Some("written")),
        ("forced", Some("sometimes"), Some("settled")),
        ("perhaps", None, Some("settled")),
    ] {
        let ddi = Ddi::new();
        let sim = polled_box();
        let mut wanted = ddi.deploys("7", &[ddi.artifact("image.bin", &bytes(MIB, 54))]);
        wanted["deployment"]["update"] = update.into();
        if let Some(window) = window {
            wanted["deployment"]["maintenanceWindow"] = window.into();
        }
        ddi.says("deploymentBase/7", wanted.to_string());
        let run = poll(&sim, &ddi.url(), &[]).exits(0);
        assert_eq!(run.json()["code"].as_str(), done, "{update} {window:?} {run:?}");
        assert_eq!(ddi.count("GET", "/files/") > 0, done == Some("written"));
        let failed = done == Some("settled");
        assert_eq!(ddi.last().2 == "failure", failed, "{update} {window:?}");
    }
    // Somebody has to agree at the server.
    let ddi = Ddi::new();
    ddi.wants(json!({"confirmationBase": ddi.link("confirmationBase/7")}));
    assert_eq!(poll(&polled_box(), &ddi.url(), &[]).exits(0).json()["code"], "waiting");
}

#[test]
fn what_may_pass_is_tried_three_times_and_what_may_not_once() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let image = bytes(MIB, 55);
    ddi.deploys("7", &[ddi.artifact("image.bin", &image)]);
    ddi.does("/files/image.bin", status("503 Service Unavailable"));
    for attempt in 1..=3 {
        let run = poll(&sim, &ddi.url(), &[]).exits(66);
        assert_eq!(
            (&run.json()["code"], &run.json()["harm"]),
            (&json!("image-unreadable"), &json!("untouched"))
        );
        let kept = record(&sim);
        assert_eq!(
            (&kept["action"]["attempt"], &kept["result"]),
            (&json!(attempt), &json!("failed"))
        );
        assert_eq!(ddi.last().1, if attempt < 3 { "proceeding" } else { "closed" });
    }
    assert_eq!(ddi.last().2, "failure");
    // The count outlives the boot, and a server that goes on wanting it is told so.
    boots(&sim, SECOND);
    assert_eq!(poll(&sim, &ddi.url(), &[]).exits(0).json()["code"], "settled");
    assert_eq!((ddi.last().2.as_str(), ddi.count("GET", "/files/")), ("failure", 3));
    // Another update is another matter.
    ddi.deploys("8", &[ddi.artifact("image.bin", &image)]);
    assert_eq!(poll(&sim, &ddi.url(), &[]).exits(0).json()["code"], "written");

    let ddi = Ddi::new();
    let sim = polled_box();
    let before = sim.flash();
    let mut artifact = ddi.artifact("image.bin", &image);
    artifact["hashes"]["sha256"] = "0".repeat(64).into();
    ddi.deploys("7", &[artifact]);
    let run = poll(&sim, &ddi.url(), &[]).exits(65);
    assert_eq!(run.json()["code"], "sha256", "{run:?}");
    assert_eq!((ddi.last().1.as_str(), ddi.last().2.as_str()), ("closed", "failure"));
    poll(&sim, &ddi.url(), &[]).exits(0);
    assert_eq!(ddi.count("GET", "/files/"), 1);
    assert!(sim.flash() == before);
}

/// As after a power cut: the record says that it was begun, and nothing of how it ended.
#[test]
fn what_was_interrupted_counts_as_tried() {
    let ddi = Ddi::new();
    let sim = polled_box();
    ddi.deploys("7", &[ddi.artifact("image.bin", &bytes(MIB, 56))]);
    for boot in 1..=3 {
        boots(&sim, &format!("{boot}"));
        // A server that hangs until the box dies.
        ddi.does("/files/image.bin", |_| std::thread::sleep(Duration::from_secs(20)));
        let path = sim.path();
        let mut child = Command::new(env!("CARGO_BIN_EXE_flasher"))
            .args([
                "poll",
                "--sim",
                path.to_str().unwrap(),
                "--url",
                &ddi.url(),
                "--id",
                "box-1",
                "--part",
                "kernel",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(15);
        while ddi.count("GET", "/files/") < boot && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let kept = record(&sim);
        assert_eq!(
            (&kept["code"], &kept["action"]["attempt"]),
            (&json!("interrupted"), &json!(boot))
        );
    }
    assert_eq!(poll(&sim, &ddi.url(), &[]).exits(0).json()["code"], "settled");
    assert_eq!((ddi.last().2.as_str(), ddi.count("GET", "/files/")), ("failure", 3));
}

#[test]
fn a_weak_hash_is_none_unless_a_signature_says_what_it_is() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let before = sim.flash();
    let image = bytes(MIB, 57);
    let mut artifact = ddi.artifact("image.bin", &image);
    artifact["hashes"].as_object_mut().unwrap().remove("sha256");
    ddi.deploys("7", std::slice::from_ref(&artifact));
    let run = poll(&sim, &ddi.url(), &[]).exits(78);
    assert_eq!(run.json()["code"], "signature", "{run:?}");
    assert_eq!((ddi.last().2.as_str(), ddi.count("GET", "/files/")), ("failure", 0));

    // Signed beside it, where the server has it, with the same credentials.
    let (public, secret) = (sim.file("key.pub", b""), sim.file("key.sec", b""));
    tool("minisign", &["-G", "-f", "-W", "-p", &public, "-s", &secret]);
    let message = sim.file("message", &image);
    let signature = format!("{message}.minisig");
    tool(
        "minisign",
        &["-S", "-W", "-s", &secret, "-m", &message, "-x", &signature],
    );
    ddi.deploys("8", std::slice::from_ref(&artifact));
    let unsigned = poll(&sim, &ddi.url(), &["--key", &public]).exits(65);
    assert_eq!(unsigned.json()["code"], "signature");
    assert!(sim.flash() == before);
    let beside = ddi.artifact("image.bin.minisig", &fs::read(&signature).unwrap());
    ddi.deploys("9", &[artifact, beside]);
    let run = poll(&sim, &ddi.url(), &["--key", &public]).exits(0);
    assert_eq!(run.json()["code"], "written", "{run:?}");
    let asked = ddi.asked();
    let fetched = asked.iter().find(|asked| asked.path.ends_with(".minisig")).unwrap();
    assert_eq!(fetched.authorization, "TargetToken a1b2c3");
}

/// That it cannot be had now does not say that there is none.
#[test]
fn a_signature_that_the_server_does_not_hand_out_now_is_asked_for_again() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let (public, secret) = (sim.file("key.pub", b""), sim.file("key.sec", b""));
    tool("minisign", &["-G", "-f", "-W", "-p", &public, "-s", &secret]);
    let image = bytes(MIB, 60);
    let message = sim.file("message", &image);
    tool("minisign", &["-S", "-W", "-s", &secret, "-m", &message]);
    ddi.deploys("7", &[ddi.artifact("image.bin", &image)]);
    let before = sim.flash();
    ddi.does("/files/image.bin.minisig", status("503 Service Unavailable"));
    let run = poll(&sim, &ddi.url(), &["--key", &public]).exits(66);
    assert_eq!(run.json()["code"], "image-unreadable", "{run:?}");
    assert_eq!(ddi.last().1, "proceeding");
    assert!(sim.flash() == before);
    ddi.artifact("image.bin.minisig", &fs::read(format!("{message}.minisig")).unwrap());
    poll(&sim, &ddi.url(), &["--key", &public]).exits(0);
    assert!(holds(&sim, &image));
}

#[test]
fn which_file_is_the_image_is_known_or_nothing_is_fetched() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let image = bytes(MIB, 58);
    let both = [ddi.artifact("image.bin", &image), ddi.artifact("notes.txt", b"new")];
    ddi.deploys("7", &both);
    assert_eq!(poll(&sim, &ddi.url(), &[]).exits(0).json()["code"], "settled");
    let (text, _, finished) = ddi.last();
    assert!(
        finished == "failure" && text.contains("\"image.bin\", \"notes.txt\""),
        "{text}"
    );
    assert_eq!(ddi.count("GET", "/files/"), 0);
    ddi.deploys("8", &both);
    assert_eq!(
        poll(&sim, &ddi.url(), &["--artifact", "*.bin"]).exits(0).json()["code"],
        "written"
    );
    assert!(holds(&sim, &image));
}

#[test]
fn a_boot_loader_that_went_back_to_the_other_slot_is_told_as_a_failure() {
    for (slot, finished) in [("b", "success"), ("a", "failure")] {
        let sim = crate::slots::booting("a");
        boots(&sim, "1");
        let ddi = Ddi::new();
        ddi.deploys("7", &[ddi.artifact("image.bin", &bytes(8 << 14, 5))]);
        let words = ["--part", "kernel-b,rootfs-b"];
        let path = sim.path();
        let polled = || {
            let url = ddi.url();
            let ours = ["--format", "json", "--url", &url, "--id", "box-1"];
            sim.run("poll", &[&ours[..], &words].concat())
        };
        assert_eq!(polled().exits(0).json()["code"], "written", "{}", path.display());
        assert_eq!(record(&sim)["written_slot"], "B");
        boots(&sim, "2");
        crate::slots::boot(&sim, slot);
        assert_eq!(polled().exits(0).json()["code"], "settled");
        assert_eq!(ddi.last().2, finished);
    }
}

#[test]
fn it_goes_on_at_the_servers_pace_until_the_box_boots() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let started = Instant::now();
    let asking = ddi.clone();
    let image = bytes(MIB, 59);
    let artifact = ddi.artifact("image.bin", &image);
    std::thread::spawn(move || {
        while asking.asked().len() < 3 {
            std::thread::sleep(Duration::from_millis(50));
        }
        asking.deploys("7", &[artifact]);
    });
    let run = poll(&sim, &ddi.url(), &["--every", "1", "--jitter", "1"]).exits(0);
    assert_eq!(run.json()["code"], "written", "{run:?}");
    assert!(started.elapsed() >= Duration::from_secs(3));
    let results: Vec<_> = run
        .events()
        .into_iter()
        .filter(|event| event["event"] == "result")
        .collect();
    assert!(results.len() >= 4 && results[0]["code"] == "idle", "{results:?}");
}

/// The server hears it, and the next one may be right.
#[test]
fn an_image_for_another_board_does_not_end_the_asking() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let mut qnap = kernel(sim.dir.path(), MIB);
    qnap.resize(7 * MIB, 0);
    ddi.deploys("7", &[ddi.artifact("image", &qnap)]);
    let path = sim.path();
    let (path, url) = (path.to_str().unwrap(), ddi.url());
    let one = [
        "poll", "--format", "json", "--sim", path, "--url", &url, "--id", "box-1",
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_flasher"))
        .args([&one[..], &["--every", "1"]].concat())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while ddi.told("deploymentBase").len() < 3 && Instant::now() < until {
        assert_eq!(child.try_wait().unwrap(), None, "{:?}", ddi.last());
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let told = ddi.told("deploymentBase");
    assert!(told[2].0.contains("for another board than generic"), "{told:?}");
    assert_eq!(record(&sim)["code"], "board");
}

#[test]
fn two_do_not_ask_for_one_box_at_a_time() {
    let ddi = Ddi::new();
    let sim = polled_box();
    ddi.does("", |stream| {
        std::thread::sleep(Duration::from_secs(2));
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{}");
    });
    std::thread::scope(|scope| {
        let first = scope.spawn(|| poll(&sim, &ddi.url(), &[]).exits(0));
        while ddi.asked().is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let second = poll(&sim, &ddi.url(), &[]).exits(75);
        assert_eq!(second.json()["code"], "busy");
        first.join().unwrap();
    });
}

/// The token reaches the server, and stands in no command line meanwhile.
#[test]
fn over_https_by_curl_and_by_wget() {
    const PROXY: &str = "\
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain('cert', 'key')
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
def copy(a, b):
    try:
        while data := a.recv(65536): b.sendall(data)
    except OSError: pass
    try: b.shutdown(socket.SHUT_WR)
    except OSError: pass
def serve(stream):
    try: inside = context.wrap_socket(stream, server_side=True)
    except OSError: return
    host, port = sys.argv[1].split(':')
    outside = socket.create_connection((host, int(port)))
    threading.Thread(target=copy, args=(inside, outside), daemon=True).start()
    copy(outside, inside); inside.close()
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
";
    for (curl, config) in [(true, "cacert = \"@/cert\"\n"), (false, "ca_certificate = @/cert\n")] {
        let ddi = Ddi::new();
        let sim = polled_box();
        let dir = sim.dir.path();
        let shown = dir.to_str().unwrap();
        let make = "cd \"$1\" && openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=127.0.0.1 \
                    -addext subjectAltName=IP:127.0.0.1 2>/dev/null";
        tool("sh", &["-ec", make, "sh", shown]);
        let server = crate::fetched::Server::start_with(dir, PROXY, &[&ddi.host]);
        sim.file("fetchrc", config.replace('@', shown).as_bytes());
        let poll_conf = format!("gateway-token=very secret\nid=box-1\nfetch-config={shown}/fetchrc\n");
        sim.file("poll.conf", poll_conf.as_bytes());
        tool(
            "chmod",
            &["0600", &format!("{shown}/fetchrc"), &format!("{shown}/poll.conf")],
        );
        let image = bytes(MIB, 60);
        ddi.deploys("7", &[ddi.artifact("image.bin", &image)]);
        // Behind the proxy it says another port of itself, and no TLS.
        let ours = format!("127.0.0.1:{}", server.port);
        let path = "/files/image.bin";
        let mut artifact = ddi.artifact("image.bin", &image);
        artifact["_links"]["download"]["href"] = format!("https://{ours}{path}").into();
        artifact["_links"]["download-http"]["href"] = format!("http://{ours}{path}").into();
        ddi.deploys("7", &[artifact]);
        let link = |path: &str| json!({"href": format!("http://{ours}/DEFAULT/controller/v1/box-1/{path}")});
        ddi.wants(json!({"deploymentBase": link("deploymentBase/7"), "configData": link("configData")}));
        // Every command line is looked at while it runs.
        let lines = dir.join("lines");
        let script = format!(
            "{}; (while :; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; echo; done) >{} & spy=$!; \"$@\"; code=$?; \
             kill $spy; exit $code",
            if curl {
                "true"
            } else {
                "mount --bind /dev/null /usr/bin/curl"
            },
            lines.display()
        );
        let output = Command::new("unshare")
            .args([
                "-m",
                "sh",
                "-c",
                &script,
                "sh",
                env!("CARGO_BIN_EXE_flasher"),
                "--format",
                "json",
                "poll",
            ])
            .args([
                "--sim",
                sim.path().to_str().unwrap(),
                "--config",
                &format!("{shown}/poll.conf"),
            ])
            .args(["--url", &format!("https://{ours}/DEFAULT"), "--part", "kernel"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let run = crate::simbox::Run::from(output).exits(0);
        assert_eq!(run.json()["code"], "written", "{run:?}");
        assert!(holds(&sim, &image));
        let asked = ddi.asked();
        assert!(
            asked
                .iter()
                .all(|asked| asked.authorization == "GatewayToken very secret"),
            "{asked:?}"
        );
        assert_eq!(ddi.count("PUT", "configData"), 1);
        assert!(ddi.told("deploymentBase/7").len() >= 3);
        let lines = fs::read(Path::new(&lines)).unwrap();
        let seen = String::from_utf8_lossy(&lines);
        assert!(seen.contains("https://") && !seen.contains("very secret"));
        let left = fs::read_dir("/run").unwrap().flatten();
        let left: Vec<_> = left
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(".flasher.fetch"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The line of the example, by busybox's init as process 1: a poll that has ended is started again, and the first one after the
/// reboot tells the end.
#[test]
fn busybox_init_starts_it_again_and_again() {
    if !crate::simbox::is_root() {
        return;
    }
    let ddi = Ddi::new();
    let sim = polled_box();
    let image = bytes(MIB, 61);
    let place = sim.path().join("sbin");
    fs::create_dir(&place).unwrap();
    let config = sim.file("poll.conf", b"target-token=a1b2c3\n");
    fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let script = format!(
        "#!/bin/sh\nexec {} \"$@\" --sim {} --url {} --id box-1 --config {config} --part kernel --jitter 1\n",
        env!("CARGO_BIN_EXE_flasher"),
        sim.path().display(),
        ddi.url()
    );
    crate::sshfleet::program(&place.join("flasher"), &script);
    ddi.deploys("7", &[ddi.artifact("image.bin", &image)]);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/poll.inittab");
    let begin =
        "mount -t tmpfs etc /etc && cp \"$2\" /etc/inittab && mount --bind \"$1\" /usr/sbin && exec busybox init";
    struct Init(std::process::Child);
    impl Drop for Init {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let init = Command::new("unshare")
        .args([
            "-m",
            "-p",
            "-f",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-ec",
            begin,
            "sh",
        ])
        .arg(&place)
        .arg(&example)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _init = Init(init.unwrap());
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(180);
        while !done() {
            assert!(Instant::now() < deadline, "{what}: {:?}", ddi.told("deploymentBase/7"));
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let told = |text: &str| {
        ddi.told("deploymentBase/7")
            .iter()
            .any(|(said, ..)| said.starts_with(text))
    };
    let kept = || fs::read_to_string(sim.path().join("status.json")).is_ok_and(|text| text.contains("written"));
    until("written", &|| told("written and verified") && kept());
    let closed = || {
        ddi.told("deploymentBase/7")
            .iter()
            .any(|(_, execution, _)| execution == "closed")
    };
    assert!(!closed() && holds(&sim, &image));
    boots(&sim, SECOND);
    until("started again", &closed);
    let (text, execution, finished) = ddi.last();
    assert_eq!((execution.as_str(), finished.as_str()), ("closed", "success"), "{text}");
}
