//! `flasher push` after the hand-over: never is success said of a box that has not booted, or of which nobody knows what it
//! runs.

use crate::simbox::{Run, bytes, is_root};
use crate::sshbox::SshBox;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const AT: usize = 13 << 20;

/// Says that it hands over where it has written.
const HANDING_OVER: &str = r#"case $command in
*apply*--pushed*--listen*) command="$command | sed -u 's/\"code\":\"written\"/\"code\":\"handed-over\"/'" ;;
esac
"#;

/// A box that hands over instead of saying that it wrote, with an image and the words to push it.
fn handing_over(server: SshBox) -> (SshBox, Vec<u8>, String) {
    server.has_its_own();
    server.hook(HANDING_OVER);
    let image = bytes(900_000, 1);
    let path = server.sim.file("image.bin", &image);
    (server, image, path)
}

fn said(run: &Run) -> String {
    let text = |event: &serde_json::Value| Some(event.get("text")?.as_str()?.to_owned());
    run.events().iter().filter_map(text).collect::<Vec<_>>().join("\n")
}

/// Off and on again.
fn reboot(server: &mut SshBox) {
    server.stop();
    server.boots();
    server.start();
}

#[test]
fn a_box_that_comes_back_from_its_reboot_has_the_new_firmware() {
    let servers = [Some(SshBox::new()), is_root().then(SshBox::dropbear)];
    for server in servers.into_iter().flatten() {
        let (mut server, image, path) = handing_over(server);
        let args = ["--wait", "60", "--verify", "--part", "RootFS2", "box", &path];
        let run = server.followed(&args, |server, _| reboot(server)).exits(0);
        assert_eq!(
            (&run.json()["code"], &run.json()["harm"]),
            (&"written".into(), &"written".into())
        );
        assert!(said(&run).contains("has booted from what was written"), "{run:?}");
        assert!(said(&run).contains("the flash is as the image wants it"), "{run:?}");
        assert!(server.sim.flash()[AT..][..image.len()] == image);
        assert_eq!(server.left(), [] as [std::path::PathBuf; 0]);
    }
}

/// With a record and without one, what counts is the slot that boots after the reboot.
#[test]
fn of_two_slots_the_one_that_was_written_has_to_boot() {
    for (record, goes_back) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut server = SshBox::with(crate::slots::of_roots());
        server.has_its_own();
        server.hook(HANDING_OVER);
        let path = server.sim.file("image", &crate::slots::squashfs());
        let run = server.followed(&["--wait", "60", "box", &path], |server, _| {
            if !record {
                fs::remove_file(server.sim.path().join("status.json")).unwrap();
            }
            if goes_back {
                crate::slots::boot(&server.sim, "a");
            }
            reboot(server);
        });
        let (exit, code) = match (goes_back, record) {
            (false, _) => (0, "written"),
            (true, true) => (74, "inactive"),
            // What boots is not what was pushed, and more is not known.
            (true, false) => (74, "different"),
        };
        assert_eq!(
            (run.exit, &run.json()["code"]),
            (exit, &code.into()),
            "{record}: {run:?}"
        );
        assert_eq!(said(&run).contains("has no record of this update"), !record, "{run:?}");
    }
}

#[test]
fn a_box_that_does_not_come_back_is_no_success() {
    let (mut server, _, path) = handing_over(SshBox::new());
    let args = ["--wait", "4", "--part", "RootFS2", "box", &path];
    let run = server.followed(&args, |server, _| server.stop()).exits(68);
    assert_eq!(
        (&run.json()["code"], &run.json()["harm"]),
        (&"not-back".into(), &"partly".into())
    );
    assert!(said(&run).contains("did not come back within 4 s"), "{run:?}");
    assert!(run.out.contains("when it answers, the same command again"), "{run:?}");
}

/// As where the kernel is up and nothing else comes: a port that takes connections.
#[test]
fn a_box_that_takes_connections_and_says_nothing_is_no_success() {
    let (mut server, _, path) = handing_over(SshBox::new());
    let args = ["--wait", "4", "--part", "RootFS2", "box", &path];
    let begun = Instant::now();
    let mut silent = None;
    let run = server.followed(&args, |server, _| {
        server.stop();
        silent = Some(TcpListener::bind(("127.0.0.1", server.port)).unwrap());
    });
    let run = run.exits(68);
    assert_eq!(
        (&run.json()["code"], &run.json()["harm"]),
        (&"not-back".into(), &"partly".into())
    );
    assert!(said(&run).contains("did not come back within 4 s"), "{run:?}");
    assert!(run.out.contains("when it answers, the same command again"), "{run:?}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn a_box_that_answers_without_having_booted_is_no_success() {
    let (mut server, _, path) = handing_over(SshBox::new());
    let args = ["--wait", "6", "--part", "RootFS2", "box", &path];
    // The connection stays, or another one can be made: it is the same boot.
    for cut in [false, true] {
        server.sim.fill(&vec![0xff; 16 << 20]);
        let meanwhile = |server: &mut SshBox, _: &std::process::Child| {
            if cut {
                server.cut();
            }
        };
        let run = server.followed(&args, meanwhile).exits(68);
        assert_eq!(run.json()["code"], "not-back", "{run:?}");
    }
}

#[test]
fn a_new_host_key_is_told_and_taken_only_if_that_was_asked_for() {
    let (mut server, _, path) = handing_over(SshBox::new());
    let anew = |server: &mut SshBox, _: &std::process::Child| {
        server.stop();
        server.new_host_key();
        server.boots();
        server.start();
    };
    let args = ["--wait", "60", "--part", "RootFS2", "box", &path];
    let run = server.followed(&args, anew).exits(68);
    assert_eq!(
        (&run.json()["code"], &run.json()["harm"]),
        (&"host-key".into(), &"partly".into())
    );
    assert!(run.out.contains("--new-host-key"), "{run:?}");
    server.sim.fill(&vec![0xff; 16 << 20]);
    server.trusts(server.address().port());
    let known = fs::read(server.file("known_hosts")).unwrap();
    let args = ["--new-host-key", "--wait", "60", "--part", "RootFS2", "box", &path];
    let run = server.followed(&args, anew).exits(0);
    assert!(said(&run).contains("another host key"), "{run:?}");
    assert_eq!(
        fs::read(server.file("known_hosts")).unwrap(),
        known,
        "the user's own file stays as it is"
    );
}

#[test]
fn without_a_record_the_flash_itself_is_asked() {
    let (mut server, _, path) = handing_over(SshBox::new());
    let args = ["--wait", "60", "--part", "RootFS2", "box", &path];
    let status = server.sim.path().join("status.json");
    let lost = |server: &mut SshBox, _: &std::process::Child| {
        fs::remove_file(&status).unwrap();
        reboot(server);
    };
    let run = server.followed(&args, lost).exits(0);
    assert!(said(&run).contains("no record of this update"), "{run:?}");
    // A record of the time before is as good as none.
    server.sim.fill(&vec![0xff; 16 << 20]);
    server
        .own_push(&["--wait", "1", "--part", "RootFS2", "box", &path])
        .exits(68);
    let old = fs::read(&status).unwrap();
    server.sim.fill(&vec![0xff; 16 << 20]);
    let stale = |server: &mut SshBox, _: &std::process::Child| {
        fs::write(&status, &old).unwrap();
        let mut flash = server.sim.flash();
        flash[AT + 1000] ^= 1;
        server.sim.fill(&flash);
        reboot(server);
    };
    let run = server.followed(&args, stale).exits(74);
    assert_eq!(
        (&run.json()["code"], &run.json()["harm"]),
        (&"different".into(), &"partly".into())
    );
}

#[test]
fn a_failure_on_the_box_is_told_with_its_exit_code() {
    let (mut server, _, path) = handing_over(SshBox::new());
    let args = ["--wait", "60", "--part", "RootFS2", "box", &path];
    let status = server.sim.path().join("status.json");
    let failed = |server: &mut SshBox, _: &std::process::Child| {
        let text = fs::read_to_string(&status).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
        record["result"] = "failed".into();
        record["harm"] = "partly".into();
        record["code"] = "flash".into();
        record["text"] = "mtd3: block 0x20000 cannot be erased".into();
        fs::write(&status, record.to_string()).unwrap();
        reboot(server);
    };
    let run = server.followed(&args, failed).exits(74);
    assert_eq!(
        (&run.json()["code"], &run.json()["harm"]),
        (&"flash".into(), &"partly".into())
    );
    assert!(said(&run).contains("cannot be erased"), "{run:?}");
}

#[test]
fn the_interrupt_while_the_box_is_away_only_stops_the_waiting() {
    let (mut server, image, path) = handing_over(SshBox::new());
    let args = ["--wait", "60", "--part", "RootFS2", "box", &path];
    let run = server.followed(&args, |server, child| {
        server.stop();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGINT).unwrap();
    });
    let run = run.exits(68);
    assert_eq!(run.json()["code"], "detached");
    assert!(run.out.contains("flasher status"), "{run:?}");
    assert!(server.sim.flash()[AT..][..image.len()] == image);
}

/// A box that has handed over, as process 1 tells of itself at the port that was told before: these events, for who has the
/// token; the first who connects is turned away. Answers what was asked.
fn process_one(events: &'static str) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        drop(listener.accept().unwrap());
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let request: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        stream
            .write_all(b"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n\n")
            .unwrap();
        for line in events.lines() {
            stream.write_all(format!("{line}\n\n").as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(200));
        }
        request
    });
    (port, thread)
}

/// What the box is said to listen at is there.
fn telling(server: &SshBox, port: u16) {
    server.hook(&format!(
        r#"case $command in
*apply*RootFS2*) command="$command | sed -u -e 's/\"code\":\"written\"/\"code\":\"handed-over\"/' \\
    -e 's/\"port\":[0-9]*,\"token\":\"[0-9a-f]*/\"port\":{port},\"token\":\"0123456789abcdef/'" ;;
esac
"#
    ));
}

#[test]
fn what_process_one_tells_is_shown_and_only_the_box_itself_says_success() {
    let (mut server, image, path) = handing_over(SshBox::new());
    let (port, box_end) = process_one(
        "{\"event\":\"stage\",\"text\":\"the old root is gone\"}\n\
         {\"event\":\"progress\",\"phase\":\"writing\",\"done\":1,\"total\":2,\"percent\":50,\"left\":3}\n\
         half a li\n\
         {\"event\":\"devices\",\"board\":\"another\"}\n\
         {\"event\":\"question\",\"text\":\"?\",\"sha256\":\"another\",\"seconds\":1}\n\
         {\"event\":\"result\",\"ok\":true,\"exit\":0,\"harm\":\"written\",\"code\":\"written\",\"erased\":1,\
         \"unchanged\":0,\"retried\":0,\"corrected\":0,\"uncorrectable\":0}",
    );
    telling(&server, port);
    let args = ["--wait", "60", "--part", "RootFS2", "box", &path];
    let run = server.followed(&args, |server, _| {
        server.stop();
        let request = box_end.join().unwrap();
        assert_eq!(request, ["GET /0123456789abcdef/events HTTP/1.0"]);
        server.boots();
        server.start();
    });
    let run = run.exits(0);
    let told = run.out.find("the old root is gone").expect("shown");
    assert!(told < run.out.find("has booted and answers").unwrap(), "{run:?}");
    // What the box is, and what was agreed to, it has said over ssh.
    assert!(!run.out.contains("another\""), "{run:?}");
    let events = run.events();
    let mut shown = events.iter().filter(|event| event["event"] == "progress");
    assert!(
        shown.any(|event| event["percent"] == 50 && event["left"] == 3),
        "{run:?}"
    );
    assert!(!said(&run).contains("cannot be seen"), "{run:?}");
    assert_eq!(events.iter().filter(|event| event["event"] == "result").count(), 1);
    assert!(server.sim.flash()[AT..][..image.len()] == image);
}

/// Who has taken the box's port may say whatever he likes, for as long as he likes.
#[test]
fn whoever_talks_without_end_in_the_place_of_process_one_is_heard_no_longer_than_was_wanted() {
    let (mut server, _, path) = handing_over(SshBox::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    telling(&server, listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
            while stream.write_all(&b"half a li\n".repeat(1000)).is_ok() {}
        }
    });
    let args = ["--wait", "5", "--part", "RootFS2", "box", &path];
    let run = server.followed(&args, |server, push| {
        server.stop();
        stopped_after(push, 60);
    });
    let run = run.exits(68);
    assert_eq!(run.json()["code"], "not-back", "{run:?}");
}

/// Ends a program that has not ended by itself after so many seconds.
fn stopped_after(child: &std::process::Child, seconds: u64) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL);
    });
}

#[test]
fn a_box_that_tells_that_its_flash_is_not_good_is_not_waited_for() {
    let (mut server, _, path) = handing_over(SshBox::new());
    let (port, box_end) = process_one(
        "{\"event\":\"error\",\"text\":\"erase block 7 cannot be erased\",\"code\":\"flash\",\"flash\":\"partly\"}\n\
         {\"event\":\"result\",\"ok\":false,\"exit\":74,\"harm\":\"partly\",\"code\":\"flash\",\"erased\":1,\
         \"unchanged\":0,\"retried\":0,\"corrected\":0,\"uncorrectable\":0}",
    );
    telling(&server, port);
    let args = ["--wait", "60", "--part", "RootFS2", "box", &path];
    let begun = std::time::Instant::now();
    let run = server.followed(&args, |server, _| server.stop()).exits(74);
    box_end.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(40), "{run:?}");
    assert_eq!(
        (&run.json()["code"], &run.json()["harm"]),
        (&"flash".into(), &"partly".into())
    );
    assert!(said(&run).contains("erase block 7"), "{run:?}");
    assert!(run.out.contains("rescue"), "{run:?}");
}

#[test]
fn what_cannot_be_seen_is_said_and_the_box_is_waited_for_all_the_same() {
    let (mut server, _, path) = handing_over(SshBox::new());
    // Nobody is there; it is the port of somebody who was.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    telling(&server, port);
    let args = ["--wait", "120", "--part", "RootFS2", "box", &path];
    let run = server.followed(&args, |server, _| {
        server.stop();
        std::thread::sleep(Duration::from_secs(24));
        server.boots();
        server.start();
    });
    let run = run.exits(0);
    let unseen = format!("cannot be seen from here: 127.0.0.1 port {port}: ");
    assert!(said(&run).contains(&unseen), "{run:?}");
}

#[test]
fn push_asks_to_be_told_only_when_something_is_to_be_written_and_never_twice() {
    let (server, _, path) = handing_over(SshBox::new());
    let asked = |args: &[&str]| {
        server.sim.fill(&vec![0xff; 16 << 20]);
        let log = server.file("asked");
        server.hook(&format!(
            "case $command in *apply*RootFS2*) echo \"$command\" >{} ;; esac\n",
            log.display()
        ));
        let all = [args, &["--part", "RootFS2", "box", &path]].concat();
        let run = server.own_push(&all).exits(0);
        let listening = run.out.contains(r#""event":"listening""#);
        (fs::read_to_string(log).unwrap().replace(['\'', '\\'], ""), listening)
    };
    let (words, listening) = asked(&["--no-reboot"]);
    assert!(words.contains(" --listen=0 ") && listening, "{words}");
    let (words, listening) = asked(&["-n"]);
    assert!(!words.contains("--listen") && !listening, "{words}");
    let (words, listening) = asked(&["--no-reboot", "--listen=127.0.0.1:0"]);
    assert!(words.contains(" --listen=127.0.0.1:0 ") && listening, "{words}");
    assert_eq!(words.matches("--listen").count(), 1, "{words}");
}
