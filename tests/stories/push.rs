//! `flasher push`: a box is given new firmware from a workstation, over ssh as it is.

use crate::simbox::{Run, SimBox, bytes, flasher, is_root, read};
use crate::sshbox::{SshBox, Wire, binary};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
/// Where RootFS2 lies on the chip of this box.
const AT: usize = 13 * MIB;
const PART: [&str; 2] = ["--part", "RootFS2"];

/// What `sha256sum` says of these bytes.
fn sum(server: &SshBox, content: &[u8]) -> String {
    let path = server.sim.file("summed", content);
    let said = crate::simbox::tool("sha256sum", &[&path]).stdout;
    String::from_utf8(said).unwrap()[..64].to_owned()
}

fn stages(run: &Run) -> String {
    let text = |event: &serde_json::Value| Some(event.get("text")?.as_str()?.to_owned());
    let lines: Vec<_> = run.events().iter().filter_map(text).collect();
    lines.join("\n")
}

/// Bytes that went over the wire for the images.
fn sent(run: &Run) -> usize {
    let said = stages(run);
    let line = said.lines().find(|line| line.contains(" bytes sent for ")).unwrap();
    line.split(' ').next().unwrap().replace(',', "").parse().unwrap()
}

#[test]
fn a_box_gets_its_firmware_and_says_so_itself() {
    let servers = [Some(SshBox::new()), is_root().then(SshBox::dropbear)];
    for server in servers.into_iter().flatten() {
        let image = bytes(900_000, 1);
        let path = server.sim.file("image.bin", &image);
        let run = server.push(&[PART[0], PART[1], "box", &path]).exits(0);
        assert!(server.sim.flash()[AT..][..image.len()] == image);
        let result = run.json();
        assert_eq!(result["event"], "result");
        assert_eq!(
            (&result["code"], &result["harm"]),
            (&"written".into(), &"written".into())
        );
        let said = stages(&run);
        assert!(said.contains(&sum(&server, &image)), "{said}");
        assert!(said.contains("verdict: ready"), "the plan is shown: {said}");
        let phases = ["sending", "writing", "verifying"];
        for phase in phases {
            assert!(
                run.events().iter().any(|event| event["phase"] == phase),
                "{phase}: {run:?}"
            );
        }
        assert!(run.events().iter().filter(|event| event["event"] == "result").count() == 1);
        let box_is = run
            .events()
            .into_iter()
            .find(|event| event["event"] == "devices")
            .unwrap();
        assert_eq!(box_is["board"], "qnap-ts219", "{box_is}");
        assert!(box_is["partitions"].as_array().unwrap().len() > 3, "{box_is}");
        crate::protocol::holds(&run, "event");
        assert_eq!(server.left(), [] as [std::path::PathBuf; 0]);
        // Once more: there is nothing to be done.
        let run = server.push(&[PART[0], PART[1], "box", &path]).exits(0);
        assert_eq!(
            (&run.json()["code"], &run.json()["harm"]),
            (&"nothing-to-do".into(), &"untouched".into())
        );
    }
}

#[test]
fn several_files_are_one_update_and_go_one_behind_the_other() {
    let server = SshBox::new();
    let (one, two) = (bytes(300_000, 1), bytes(500_000, 2));
    let files = [("Kernel", &one, "it's one.bin"), ("RootFS2", &two, "two.bin")];
    let mut args = vec!["--verify".to_owned(), "box".to_owned()];
    for (partition, content, name) in files {
        args.push(format!("{partition}={}", server.sim.file(name, content)));
    }
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let run = server.push(&args);
    let run = match run.exit {
        0 => run,
        _ => panic!("{run:?}"),
    };
    assert!(server.sim.flash()[2 * MIB..][..one.len()] == one);
    assert!(server.sim.flash()[AT..][..two.len()] == two);
    assert!(stages(&run).contains("the flash is as the image wants it"), "{run:?}");
}

#[test]
fn the_plan_is_shown_and_nothing_is_done_before_somebody_agrees() {
    let server = SshBox::new();
    let path = server.sim.file("image.bin", &bytes(900_000, 1));
    let before = server.sim.flash();
    // Nobody to be asked.
    let mut args = vec!["--binary", binary().to_str().unwrap()];
    args.extend([PART[0], PART[1], "box", path.as_str()]);
    let run = Run::from(server.command(&args).output().unwrap()).exits(64);
    assert!(run.err.contains("--yes"), "{run:?}");
    // Only the plan.
    let run = server.push(&["--dry-run", PART[0], PART[1], "box", &path]).exits(0);
    assert_eq!(
        (&run.json()["code"], &run.json()["harm"]),
        (&"planned".into(), &"untouched".into())
    );
    assert!(stages(&run).contains("write: "), "{run:?}");
    // A plan that is refused.
    let run = server.push(&[
        "--part",
        "Kernel,RootFS2",
        "--in-place",
        "box",
        &server.sim.file("long", &bytes(9 * MIB, 3)),
    ]);
    assert_eq!(run.exit, 78, "{run:?}");
    assert!(stages(&run).contains("verdict: refused"), "{run:?}");
    // At a terminal.
    for (answer, exit) in [("n\n", 78), ("\n", 78), ("y\n", 0)] {
        let command = server.command(&args);
        let words: Vec<_> = command
            .get_args()
            .map(|word| word.to_str().unwrap().to_owned())
            .collect();
        let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
        let line = format!("{} {}", env!("CARGO_BIN_EXE_flasher"), quoted.join(" "));
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &line, "/dev/null"]);
        let mut terminal = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = terminal.stdin.take().unwrap();
        let mut output = terminal.stdout.take().unwrap();
        let mut said = Vec::new();
        let mut byte = [0];
        while !said.ends_with(b"[y/N] ") && matches!(output.read(&mut byte), Ok(1)) {
            said.push(byte[0]);
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(
            said.contains("verdict: ready") && said.contains("Write RootFS2?"),
            "{said}"
        );
        assert!(server.sim.flash() == before, "asked first");
        input.write_all(answer.as_bytes()).unwrap();
        let mut rest = String::new();
        let _ = output.read_to_string(&mut rest);
        assert_eq!(terminal.wait().unwrap().code(), Some(exit), "{said}{rest}");
        assert_eq!(server.sim.flash() == before, exit != 0);
    }
    assert_eq!(server.left(), [] as [std::path::PathBuf; 0]);
}

#[test]
fn a_connection_that_breaks_never_writes_half_and_the_same_command_finishes() {
    let mut server = SshBox::new();
    let wire = Wire::to(server.address());
    server.through(wire.port);
    let image = bytes(900_000, 1);
    let path = server.sim.file("image.bin", &image);
    let before = server.sim.flash();
    let args = ["--wait", "60", PART[0], PART[1], "box", path.as_str()];
    server.push(&args).exits(0);
    let with_program = wire.sent();
    // While the program goes there, and from the greeting on when it is there already.
    let mut moments: Vec<(bool, u64)> = [with_program / 20, with_program / 2]
        .map(|moment| (false, moment))
        .into();
    server.has_its_own();
    let begun = wire.sent();
    server.sim.fill(&before);
    server.own_push(&args).exits(0);
    let whole = wire.sent() - begun;
    // The same ones in every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let spread = (0..23).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        100 + state % whole
    });
    let late = [20_000, 8_000, 4_000, 2_000, 500];
    moments.extend(spread.chain(late.map(|back| whole - back)).map(|moment| (true, moment)));
    let mut untouched = 0;
    for (own, moment) in moments {
        server.sim.fill(&before);
        let _ = fs::remove_file(server.sim.path().join("status.json"));
        wire.breaks_after(moment);
        let run = match own {
            true => server.own_push(&args),
            false => server.push(&args),
        };
        let written = server.sim.flash()[AT..][..image.len()] == image;
        match run.exit {
            0 => assert!(written, "{moment}: {run:?}"),
            68 if run.json()["code"] == "connection" => {
                untouched += 1;
                assert_eq!(run.json()["harm"], "untouched", "{moment}: {run:?}");
                assert!(server.sim.flash() == before, "{moment}: {run:?}");
            }
            // It broke while the answer was under way.
            68 => assert_eq!(run.json()["harm"], "partly", "{moment}: {run:?}"),
            _ => panic!("{moment}: {run:?}"),
        }
        wire.breaks_after(u64::MAX / 2);
        assert_eq!(server.left(), [] as [std::path::PathBuf; 0], "{moment}");
        server.own_push(&args).exits(0);
        assert!(server.sim.flash()[AT..][..image.len()] == image, "{moment}");
    }
    assert!(untouched > 15, "most of the moments are before the answer: {untouched}");
}

#[test]
fn a_box_that_flasher_is_not_for_is_refused_by_name() {
    let server = SshBox::new();
    let path = server.sim.file("image.bin", &bytes(1000, 1));
    let before = server.sim.flash();
    let own = read(&server.file("head"));
    let mut other = own.clone();
    // EM_PPC64.
    other[18] = 21;
    for head in [&other[..], b"", &own[..10], b"#!/bin/sh\n"] {
        fs::write(server.file("head"), head).unwrap();
        let run = server.push(&[PART[0], PART[1], "box", &path]).exits(69);
        assert_eq!(run.json()["code"], "cpu", "{run:?}");
        assert!(run.out.contains("armel, i586, mips, mipsel and x86_64"), "{run:?}");
    }
    // A program for another one than the box's.
    let mut arm = own.clone();
    arm[4] = 1;
    arm[18] = 40;
    fs::write(server.file("head"), &arm).unwrap();
    let run = server.push(&[PART[0], PART[1], "box", &path]).exits(69);
    assert!(stages(&run).contains("and the box is armel"), "{run:?}");
    // None was named, and there is none beside this program.
    let alone = server.file("alone");
    fs::copy(env!("CARGO_BIN_EXE_flasher"), &alone).unwrap();
    let words = server.command(&["-y", PART[0], PART[1], "box", &path]);
    let run: Run = Command::new(alone).args(words.get_args()).output().unwrap().into();
    let run = run.exits(69);
    assert!(
        run.err.contains("flasher-armel") && run.err.contains("--binary"),
        "{run:?}"
    );
    // What is not a program for it, whatever its head says.
    fs::write(server.file("head"), &own).unwrap();
    let mut broken = own.clone();
    broken.resize(5000, 0);
    let broken = server.sim.file("broken", &broken);
    let run = server
        .push(&["--binary", &broken, PART[0], PART[1], "box", &path])
        .exits(69);
    assert!(stages(&run).contains("does not run on this box"), "{run:?}");
    assert!(server.sim.flash() == before);
    assert_eq!(server.left(), [] as [std::path::PathBuf; 0]);
}

#[test]
fn only_root_may() {
    let server = SshBox::new();
    fs::write(server.file("user"), "Name:\tsh\nUid:\t1000\t1000\t1000\t1000\n").unwrap();
    let path = server.sim.file("image.bin", &bytes(1000, 1));
    let sim = server.sim.path();
    let words = server.command(&[
        "--format",
        "json",
        "-y",
        "--binary",
        binary().to_str().unwrap(),
        "box",
        &path,
    ]);
    // Without a simulated box.
    let words = words
        .get_args()
        .filter(|word| *word != "--sim" && *word != sim.as_os_str());
    let run = crate::simbox::flasher(&words.collect::<Vec<_>>()).exits(77);
    assert_eq!(run.json()["code"], "not-root");
}

#[test]
fn a_box_that_does_not_answer_or_that_nobody_knows_is_not_touched() {
    let mut server = SshBox::new();
    let path = server.sim.file("image.bin", &bytes(1000, 1));
    server.new_host_key();
    server.stop();
    let run = server.push(&[PART[0], PART[1], "box", &path]).exits(68);
    let events = run.events();
    assert!(events.iter().all(crate::protocol::is_event), "{run:?}");
    assert_eq!(
        (&run.json()["code"], &run.json()["harm"]),
        (&"connection".into(), &"untouched".into())
    );
    server.start();
    let run = server
        .push(&["--new-host-key", PART[0], PART[1], "box", &path])
        .exits(68);
    assert_eq!(
        run.json()["code"],
        "host-key",
        "before the update no new key is taken: {run:?}"
    );
}

/// Whoever named another port or another ssh reaches nobody with a bare `ssh`.
#[test]
fn what_is_to_be_typed_next_names_the_ssh_that_was_used_and_is_one_command() {
    let sim = SimBox::new("generic");
    let image = sim.file("image.bin", &bytes(1000, 1));
    let ssh = "ssh -o BatchMode=yes -p 1";
    let next = |host: &str| {
        let run = flasher(&[
            "--format", "json", "push", "-y", "--ssh", ssh, "--part", "kernel", host, &image,
        ])
        .exits(68);
        let events = run.events();
        let error = events.iter().find(|event| event["event"] == "error").unwrap();
        error["next"].as_str().unwrap().to_owned()
    };
    assert_eq!(next("root@127.0.0.1"), format!("{ssh} root@127.0.0.1 true"));
    assert_eq!(next("box;reboot"), format!("{ssh} 'box;reboot' true"));
}

#[test]
fn two_at_once_exclude_each_other() {
    let server = SshBox::new();
    let path = server.sim.file("image.bin", &bytes(900_000, 1));
    // The first one stops when its box has the lock.
    server.hook("case $command in *--pushed*--) [ -e $box/first ] || { : >$box/first; } ;; esac\n");
    let mut first = server.command(&[
        "-v",
        "--binary",
        binary().to_str().unwrap(),
        PART[0],
        PART[1],
        "box",
        &path,
    ]);
    let words: Vec<_> = first
        .get_args()
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    first = Command::new("script");
    first.args([
        "-q",
        "-e",
        "-c",
        &format!("{} {}", env!("CARGO_BIN_EXE_flasher"), words.join(" ")),
        "/dev/null",
    ]);
    let mut first = first.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = first.stdin.take().unwrap();
    let mut output = BufReader::new(first.stdout.take().unwrap());
    let mut said = Vec::new();
    while !said.ends_with(b"?") && output.read_until(b'?', &mut said).unwrap() > 0 {}
    let run = server.push(&[PART[0], PART[1], "box", &path]).exits(75);
    assert_eq!(
        (&run.json()["code"], &run.json()["harm"]),
        (&"busy".into(), &"untouched".into())
    );
    input.write_all(b"y\n").unwrap();
    let mut rest = Vec::new();
    let _ = output.read_to_end(&mut rest);
    assert_eq!(
        first.wait().unwrap().code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&rest)
    );
}

#[test]
fn what_was_asked_of_the_image_holds_here_and_there() {
    let server = SshBox::new();
    let image = bytes(900_000, 1);
    let path = server.sim.file("image.bin", &image);
    let sum = sum(&server, &image);
    let before = server.sim.flash();
    let wrong = "0".repeat(64);
    for args in [["--sha256", &wrong], ["--size", "900001"]] {
        let run = server
            .push(&[args[0], args[1], PART[0], PART[1], "box", &path])
            .exits(65);
        assert_eq!(run.json()["harm"], "untouched");
    }
    let list = server.sim.file("SHA256SUMS", format!("{sum}  image.bin\n").as_bytes());
    // The box wants a signature, and has none to hold it against.
    let key = server.sim.file(
        "other.pub",
        b"untrusted comment: minisign public key 7556\nRWR0VQbhMBgSNkzAMnsILfcIcyQ5NVZ3cDEy5QhDmTDEZ5RxOtNjMvNt\n",
    );
    let run = server.push(&["--key", &key, PART[0], PART[1], "box", &path]);
    assert!([64, 65, 78].contains(&run.exit), "{run:?}");
    assert!(server.sim.flash() == before, "{run:?}");
    server
        .push(&["--sha256", &list, PART[0], PART[1], "box", &path])
        .exits(0);
}

#[test]
fn a_signature_beside_the_image_goes_along() {
    let server = SshBox::new();
    let image = bytes(900_000, 1);
    let path = server.sim.file("image.bin", &image);
    let keys = [server.file("min.pub"), server.file("min.key")];
    let keys = keys.each_ref().map(|key| key.to_str().unwrap());
    crate::simbox::tool("minisign", &["-G", "-W", "-p", keys[0], "-s", keys[1]]);
    let before = server.sim.flash();
    let run = server.push(&["--key", keys[0], PART[0], PART[1], "box", &path]);
    assert_eq!(run.json()["code"], "signature", "{run:?}");
    assert!(server.sim.flash() == before);
    crate::simbox::tool("minisign", &["-S", "-s", keys[1], "-m", &path]);
    server
        .push(&["--verify", "--key", keys[0], PART[0], PART[1], "box", &path])
        .exits(0);
    assert!(server.sim.flash()[AT..][..image.len()] == image);
}

#[test]
fn a_box_that_has_flasher_uses_its_own_if_it_is_of_this_version() {
    let server = SshBox::new();
    let path = server.sim.file("image.bin", &bytes(900_000, 1));
    server.has_its_own();
    let run = server.own_push(&[PART[0], PART[1], "box", &path]).exits(0);
    assert!(stages(&run).contains("own/flasher"), "{run:?}");
    // Another program of that name is not even started.
    let server = SshBox::new();
    let other = server.sim.file(
        "own/flasher",
        format!("#!/bin/sh\n: >{}\n", server.file("ran").display()).as_bytes(),
    );
    crate::simbox::tool("chmod", &["755", &other]);
    server.push(&[PART[0], PART[1], "box", &path]).exits(0);
    assert!(!server.file("ran").exists());
}

#[test]
fn the_interrupt_stops_it_before_the_answer_and_nothing_is_touched() {
    let server = SshBox::new();
    let path = server.sim.file("image.bin", &bytes(900_000, 1));
    let before = server.sim.flash();
    // The box takes its time.
    server.hook("case $command in *--pushed*--*) command=\"sleep 3; $command\" ;; esac\n");
    let interrupted = |signal| {
        let mut command = server.command(&["--format", "json", "-y", "--binary", binary().to_str().unwrap()]);
        command.args([PART[0], PART[1], "box", &path]);
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(2));
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(server.left(), [] as [std::path::PathBuf; 0]);
        assert!(server.sim.flash() == before);
        run
    };
    let run = interrupted(nix::sys::signal::SIGINT).exits(78);
    assert_eq!(
        (&run.json()["code"], &run.json()["harm"]),
        (&"declined".into(), &"untouched".into())
    );
    // Not even then does ssh hold on to the box.
    interrupted(nix::sys::signal::SIGKILL);
    let ssh = server.file("ssh_config").display().to_string();
    let holds = || crate::simbox::tool("ps", &["-eo", "args"]).stdout;
    let begun = std::time::Instant::now();
    while String::from_utf8_lossy(&holds()).contains(&ssh) {
        assert!(begun.elapsed() < Duration::from_secs(20), "ssh goes on");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn only_what_differs_goes_over_the_wire() {
    let mut server = SshBox::new();
    let wire = Wire::to(server.address());
    server.through(wire.port);
    server.has_its_own();
    // Where RootFS1 lies.
    const FIRST: usize = 4 * MIB;
    const LENGTH: usize = 8 * MIB;
    const BLOCK: usize = 64 << 10;
    let old = bytes(LENGTH, 1);
    let mut told = Vec::new();
    for (percent, changed) in [(0, 0), (1, 1), (30, 38), (100, 128)] {
        let mut before = server.sim.flash();
        before[FIRST..][..LENGTH].copy_from_slice(&old);
        server.sim.fill(&before);
        let mut image = old.clone();
        for block in 0..changed {
            let at = block * (LENGTH / BLOCK) / changed * BLOCK;
            image[at..][..BLOCK].copy_from_slice(&bytes(BLOCK, 50 + block as u64));
        }
        let path = server.sim.file("image.bin", &image);
        let begun = wire.sent();
        let run = server.own_push(&["--part", "RootFS1", "box", &path]).exits(0);
        assert!(server.sim.flash()[FIRST..][..LENGTH] == image);
        let (said, all) = (sent(&run), (wire.sent() - begun) as usize);
        // The pieces that are there are named in some bytes each.
        let most = changed * BLOCK * 101 / 100 + (4 << 10);
        assert!(said <= most, "{percent} %: {said} of {LENGTH}");
        // The rest is ssh, the questions and what is shown.
        assert!(all < said + (96 << 10), "{percent} %: {all} beside {said}");
        assert!(stages(&run).contains("sent for 8,388,608 bytes of images"), "{run:?}");
        told.push(format!("{percent} % changed: {said} of {LENGTH} bytes sent"));
    }
    println!("{}", told.join("; "));
    // At another offset, and with more that packs well.
    let now = &server.sim.flash()[FIRST..][..LENGTH];
    let image = [&[7; 3 * BLOCK + 5][..], &now[2 * BLOCK..20 * BLOCK], &[b'a'; 1000]].concat();
    let path = server.sim.file("moved.bin", &image);
    let run = server.own_push(&["--part", "RootFS1", "--verify", "box", &path]);
    let run = run.exits(0);
    assert!(server.sim.flash()[FIRST..][..image.len()] == image);
    assert!(sent(&run) < 64 << 10, "{run:?}");
}

#[test]
fn what_changes_between_question_and_answer_is_sent_whole() {
    let server = SshBox::new();
    server.has_its_own();
    let image = bytes(900_000, 1);
    let path = server.sim.file("image.bin", &image);
    let mut before = server.sim.flash();
    before[AT..][..image.len()].copy_from_slice(&image);
    before[AT + 300_000] ^= 1;
    server.sim.fill(&before);
    // Somebody else writes to the flash as soon as the blocks have been told.
    let chip = server.sim.path().join("flash.bin");
    let meddle = format!(
        "while read -r line; do\n\
         case $line in *'\"blocks\"'*) printf x | dd of={} bs=1 seek={} conv=notrunc 2>/dev/null ;; esac\n\
         printf '%s\\n' \"$line\"\ndone\n",
        chip.display(),
        AT + 100
    );
    server.sim.file("meddle", meddle.as_bytes());
    server.hook(
        "case $command in *--pushed*image.bin*)\n\
         [ -e $box/once ] || { : >$box/once; command=\"$command | sh $box/meddle\"; } ;; esac\n",
    );
    let run = server.own_push(&[PART[0], PART[1], "box", &path]).exits(0);
    assert!(server.sim.flash()[AT..][..image.len()] == image);
    let said = stages(&run);
    assert!(said.contains("changed meanwhile: all of the image is sent"), "{said}");
    assert!(server.file("once").exists());
}

/// What the box keeps of what had arrived, more than so many bytes: it does so when it has seen that the connection is gone, which
/// may be later than here.
fn kept(partial: &Path, least: usize) -> Vec<u8> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match fs::read(partial) {
            Ok(arrived) if arrived.len() > least => return arrived,
            other => assert!(
                Instant::now() < deadline,
                "no more than {least} bytes are kept: {:?}",
                other.map(|arrived| arrived.len())
            ),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_had_arrived_before_the_connection_broke_is_not_sent_again() {
    let mut server = SshBox::new();
    let wire = Wire::to(server.address());
    server.through(wire.port);
    server.has_its_own();
    let image = bytes(3 * MIB - 7, 1);
    let path = server.sim.file("image.bin", &image);
    let args = [PART[0], PART[1], "box", path.as_str()];
    let partial = server.sim.path().join("flasher.partial");
    let mut left = image.len() as u64;
    for _ in 0..2 {
        wire.breaks_after(1200 << 10);
        let run = server.own_push(&args).exits(68);
        assert_eq!(run.json()["harm"], "untouched", "{run:?}");
        assert_eq!(server.left(), [] as [std::path::PathBuf; 0]);
        // Each try gets further.
        let arrived = kept(&partial, image.len() - left as usize);
        let about = fs::metadata(&partial).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
        assert!(image.starts_with(&arrived));
        let now = (image.len() - arrived.len()) as u64;
        left = now;
    }
    wire.breaks_after(u64::MAX / 2);
    let run = server.own_push(&args).exits(0);
    assert!(server.sim.flash()[AT..][..image.len()] == image);
    let total = sent(&run) as u64;
    assert!(total < left + (80 << 10), "{total} for the last {left}");
    assert!(!partial.exists());
}

/// Of several files those that were all there are not sent again either, wherever the connection broke.
#[test]
fn of_several_files_all_that_had_arrived_is_kept() {
    let mut server = SshBox::new();
    let wire = Wire::to(server.address());
    server.through(wire.port);
    server.has_its_own();
    let (one, two) = (bytes(2 * MIB - 9, 1), bytes(2 * MIB - 5, 2));
    let files = [("Kernel", &one, "one.bin"), ("RootFS2", &two, "two.bin")];
    let files = files.map(|(partition, content, name)| format!("{partition}={}", server.sim.file(name, content)));
    let args = ["box", files[0].as_str(), files[1].as_str()];
    let partial = server.sim.path().join("flasher.partial");
    wire.breaks_after(3 << 20);
    let run = server.own_push(&args).exits(68);
    assert_eq!(run.json()["harm"], "untouched", "{run:?}");
    let arrived = kept(&partial, one.len());
    assert!([&one[..], &two].concat().starts_with(&arrived));
    wire.breaks_after(u64::MAX / 2);
    let run = server.own_push(&args).exits(0);
    assert!(server.sim.flash()[2 * MIB..][..one.len()] == one && server.sim.flash()[AT..][..two.len()] == two);
    let left = one.len() + two.len() - arrived.len();
    assert!(sent(&run) < left + (160 << 10), "{} for the last {left}", sent(&run));
}

/// Runs `push` to a box whose login does this, in so many bytes of memory and for a minute at the most; it hears SIGTERM after these
/// seconds.
fn bounded(server: &SshBox, hook: &str, seconds: u64) -> Run {
    let image = bytes(100_000, 77);
    let path = server.sim.file("image.bin", &image);
    server.hook(hook);
    let push = server.command(&["--format", "json", "-y", PART[0], PART[1], "box", &path]);
    let mut command = Command::new("prlimit");
    // With what threads set aside and do not use.
    command
        .arg("--as=1500000000")
        .args(["timeout", "-s", "KILL", "60", "timeout", "--preserve-status"]);
    command
        .arg(seconds.to_string())
        .arg(push.get_program())
        .args(push.get_args());
    command.stdin(Stdio::null()).output().unwrap().into()
}

#[test]
fn a_box_whose_answers_do_not_end_fills_nobodys_memory() {
    let server = SshBox::new();
    server.has_its_own();
    for (command, answer) in [
        ("echo flasher-push", "yes"),
        ("flasher-record", "yes"),
        ("flasher-record", "yes >&2"),
    ] {
        let hook = format!("case $command in *'{command}'*) exec {answer} ;; esac\n");
        // On standard error there is no end, but only the last of it is kept.
        let seconds = if answer == "yes" { 60 } else { 4 };
        let run = bounded(&server, &hook, seconds);
        assert!(
            run.exit == if answer == "yes" { 68 } else { 78 },
            "{command} {answer}: {run:?}"
        );
        assert_eq!(run.json()["harm"], "untouched");
        assert!(answer != "yes" || run.out.contains("does not end"), "{run:?}");
    }
}

#[test]
fn whoever_wants_to_go_may_go_also_while_the_box_hangs() {
    let server = SshBox::new();
    server.has_its_own();
    for command in ["echo flasher-push", "flasher-record", "mkdir"] {
        let hook = format!("case $command in *'{command}'*) sleep 100; exit ;; esac\n");
        let run = bounded(&server, &hook, 3).exits(78);
        assert_eq!(
            (&run.json()["code"], &run.json()["harm"]),
            (&"declined".into(), &"untouched".into())
        );
    }
}
