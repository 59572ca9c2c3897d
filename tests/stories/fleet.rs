//! Many boxes by Ansible, with the collection in `fleet` and a real ansible-core: waves, a box that fails, and what is said
//! of each box.

use crate::simbox::{Run, bytes};
use crate::sshfleet::{SIZE, SshFleet, ansible, program};
use serde_json::Value;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const UPDATE: &str = "flasher.fleet.update";

/// The boxes that the report has in this state, by their numbers.
fn reported(report: &Value, state: &str) -> Vec<usize> {
    let boxes = report["boxes"].as_object().unwrap();
    let mut numbers: Vec<usize> = boxes
        .iter()
        .filter(|(_, found)| found["state"] == state)
        .map(|(name, _)| name.trim_start_matches("box").parse().unwrap())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// How many tasks Ansible counts as changed, over all of these boxes.
fn changed(run: &Run) -> usize {
    let recap = run.out.split("PLAY RECAP").nth(1).unwrap();
    let counts = recap.split("changed=").skip(1);
    counts
        .map(|rest| rest.split(' ').next().unwrap().parse::<usize>().unwrap())
        .sum()
}

#[test]
fn check_mode_is_a_plan_and_a_second_run_has_nothing_to_do() {
    let fleet = SshFleet::new(4);
    let (image, other) = (bytes(200_000, 1), bytes(SIZE, 2));
    fs::write(fleet.file("image.bin"), &image).unwrap();
    fs::write(fleet.file("other.bin"), &other).unwrap();
    fleet.inventory("");
    // One of them has another image.
    fs::create_dir(fleet.file("host_vars")).unwrap();
    fs::write(fleet.file("host_vars/box004.yml"), "flasher_image: other.bin\n").unwrap();
    // And one has it in two files.
    fs::write(fleet.file("kernel.bin"), &image[..192 << 10]).unwrap();
    fs::write(fleet.file("root.bin"), &image[192 << 10..]).unwrap();
    fs::write(
        fleet.file("host_vars/box003.yml"),
        "flasher_image: [Kernel=kernel.bin, RootFS1=root.bin]\nflasher_part: []\nflasher_options: [--verify]\n",
    )
    .unwrap();
    let before: Vec<_> = (1..=4).map(|number| fleet.flash(number)).collect();
    let run = fleet.playbook(&[UPDATE, "--check", "--diff"]).exits(0);
    assert_eq!(reported(&fleet.report(), "planned"), [1, 2, 3, 4], "{run:?}");
    assert!(run.out.contains("box001  would be written"), "{run:?}");
    assert!(
        run.out.contains("verdict: ready"),
        "the plan is the difference: {run:?}"
    );
    assert_eq!(changed(&run), 4, "{run:?}");
    let after: Vec<_> = (1..=4).map(|number| fleet.flash(number)).collect();
    assert!(before == after);
    let run = fleet.playbook(&[UPDATE]).exits(0);
    let report = fleet.report();
    assert_eq!(reported(&report, "written"), [1, 2, 3, 4], "{run:?}");
    assert_eq!(
        (&report["totals"]["written"], &report["boxes"]["box001"]["harm"]),
        (&4.into(), &"written".into())
    );
    assert!((1..=3).all(|number| fleet.has(number, &image)) && fleet.has(4, &other));
    assert_eq!(changed(&run), 4, "{run:?}");
    // A play of one's own, with what the box says of itself.
    fs::write(
        fleet.file("site.yml"),
        "- hosts: boxes\n  gather_facts: false\n  roles:\n    - flasher.fleet.update\n  post_tasks:\n    \
         - ansible.builtin.debug:\n        msg: \"{{ flasher_box.partitions | map(attribute='name') | join('+') }}\"\n",
    )
    .unwrap();
    let run = fleet.playbook(&["site.yml"]).exits(0);
    assert_eq!(reported(&fleet.report(), "right"), [1, 2, 3, 4], "{run:?}");
    assert!(run.out.contains("box001  already right"), "{run:?}");
    assert!(run.out.contains("u-boot+Kernel+RootFS1"), "{run:?}");
    assert_eq!(changed(&run), 0, "{run:?}");
}

/// Waves of these sizes, of which one has a box that fails: those that come later are not begun, and the same command
/// finishes when that box is mended.
fn tell_waves(count: usize, waves: &[usize], bad: usize) {
    let fleet = SshFleet::new(count);
    let image = bytes(200_000, 1);
    fs::write(fleet.file("image.bin"), &image).unwrap();
    fleet.inventory("");
    fleet.root(bad, false);
    let serial = serde_json::json!({ "flasher_serial": waves }).to_string();
    let begun = Instant::now();
    let run = fleet.playbook(&[UPDATE, "--forks", "16", "-e", &serial]).exits(2);
    println!("{count} boxes up to {bad}: {:.0?}", begun.elapsed());
    let mut wave = 0;
    let reached = waves
        .iter()
        .map(|size| {
            wave += size;
            wave
        })
        .find(|end| *end >= bad)
        .unwrap();
    let report = fleet.report();
    assert_eq!(reported(&report, "failed"), [bad], "{run:?}");
    let failed = &report["boxes"][format!("box{bad:03}")];
    assert_eq!(
        (&failed["harm"], &failed["code"]),
        (&"untouched".into(), &"not-root".into())
    );
    let right: Vec<_> = (1..=reached).filter(|number| *number != bad).collect();
    assert_eq!(reported(&report, "written"), right, "{run:?}");
    let rest: Vec<_> = (reached + 1..=count).collect();
    assert_eq!(reported(&report, "untouched"), rest, "{run:?}");
    for number in 1..=count {
        assert_eq!(fleet.has(number, &image), right.contains(&number), "{number}");
    }
    for number in rest.iter().chain([&bad]) {
        assert!(fleet.flash(*number).iter().all(|byte| *byte == 0xff), "{number}");
    }
    let line = format!("box{bad:03}  failed, flash untouched: ssh logs in");
    assert!(run.out.contains(&line), "{run:?}");
    fleet.root(bad, true);
    let begun = Instant::now();
    let run = fleet
        .playbook(&[UPDATE, "--forks", "16", "-e", r#"{"flasher_serial": "100%"}"#])
        .exits(0);
    println!("all {count} boxes: {:.0?}", begun.elapsed());
    let report = fleet.report();
    assert_eq!(reported(&report, "right"), right, "{run:?}");
    assert_eq!(reported(&report, "written").len(), count - right.len(), "{run:?}");
    assert_eq!(changed(&run), count - right.len(), "{run:?}");
    assert!((1..=count).all(|number| fleet.has(number, &image)));
}

#[test]
fn a_box_that_fails_ends_its_wave_and_the_rest_is_untouched() {
    tell_waves(5, &[1, 2, 2], 3);
}

#[test]
#[ignore = "takes two minutes: tests/run"]
fn a_hundred_boxes_in_waves() {
    tell_waves(100, &[10, 30, 60], 25);
}

#[test]
fn of_a_box_that_push_did_not_vouch_for_it_is_never_said_that_it_was_written() {
    let result = |ok: bool, exit: u8, harm: &str, code: &str| {
        format!(r#"{{"event":"result","ok":{ok},"exit":{exit},"harm":"{harm}","code":"{code}","erased":1}}"#)
    };
    let error = r#"{"event":"error","text":"a b\u001b[2J","code":"flash","flash":"partly","next":"again"}"#;
    // What push says, how it ends, and what is to be said of the box.
    let cases = [
        (result(true, 0, "written", "written"), "exit 0", "written", "written"),
        (
            result(true, 0, "untouched", "nothing-to-do"),
            "exit 0",
            "right",
            "untouched",
        ),
        (
            result(true, 0, "untouched", "prepared"),
            "exit 0",
            "prepared",
            "untouched",
        ),
        (result(true, 0, "written", "written"), "exit 1", "failed", "written"),
        (
            result(true, 0, "written", "written"),
            "kill -KILL $$",
            "failed",
            "written",
        ),
        (result(false, 74, "partly", "flash"), "exit 74", "failed", "partly"),
        (result(false, 68, "partly", "not-back"), "exit 0", "failed", "partly"),
        (result(true, 0, "fine", "news"), "exit 0", "failed", "unknown"),
        (result(true, 0, "partly", "handed-over"), "exit 0", "failed", "partly"),
        (error.to_owned(), "exit 74", "failed", "unknown"),
        ("written".to_owned(), "exit 0", "failed", "unknown"),
        (String::new(), "exit 0", "failed", "unknown"),
        (
            "[1]\n{\"event\":7}\n\"result\"".to_owned(),
            "exit 0",
            "failed",
            "unknown",
        ),
        (r#"{"event":"result"}"#.to_owned(), "exit 0", "failed", "unknown"),
        (String::new(), "kill -KILL $$", "failed", "unknown"),
    ];
    let fleet = SshFleet::new(cases.len() + 2);
    fleet.inventory("flasher_image=/nonexistent");
    fs::create_dir(fleet.file("host_vars")).unwrap();
    let of = |number: usize, variables: &str| {
        fs::write(fleet.file(&format!("host_vars/box{number:03}.yml")), variables).unwrap();
    };
    for ((said, end, ..), number) in cases.iter().zip(1..) {
        let path = fleet.file(&format!("push{number}"));
        program(&path, &format!("#!/bin/sh\ncat <<'END'\n{said}\nEND\n{end}\n"));
        of(number, &format!("flasher_program: {}\n", path.display()));
    }
    // What did not even start.
    of(cases.len() + 1, "flasher_program: /nonexistent/flasher\n");
    of(cases.len() + 2, "flasher_image: []\n");
    let everything = [
        "-e",
        r#"{"flasher_serial": "100%", "flasher_max_fail_percentage": 100}"#,
    ];
    let run = fleet
        .playbook(&[UPDATE, "--forks", "16", everything[0], everything[1]])
        .exits(2);
    let report = fleet.report();
    let of = |number: usize| &report["boxes"][format!("box{number:03}")];
    for ((said, end, state, harm), number) in cases.iter().zip(1..) {
        let found = of(number);
        let expected: (Value, Value) = ((*state).into(), (*harm).into());
        assert_eq!(
            (&found["state"], &found["harm"]),
            (&expected.0, &expected.1),
            "{said} {end}: {run:?}"
        );
    }
    for number in [cases.len() + 1, cases.len() + 2] {
        let expected: Value = "untouched".into();
        assert_eq!(
            (&of(number)["state"], &of(number)["harm"]),
            (&"failed".into(), &expected),
            "{run:?}"
        );
    }
    // A name from a box moves no cursor.
    assert!(!run.out.split("FIRMWARE").nth(1).unwrap().contains('\u{1b}'), "{run:?}");
}

#[test]
fn of_boxes_that_were_under_way_when_ansible_was_stopped_nothing_is_claimed() {
    let fleet = SshFleet::new(3);
    fleet.inventory("");
    // It ends as push does that is interrupted, and says that it was.
    let path = fleet.file("push");
    program(
        &path,
        &format!(
            "#!/bin/sh\ntrap ': >{0}/stopped; exit 68' INT TERM\n: >{0}/begun\nwhile :; do sleep 0.1; done\n",
            fleet.path().display()
        ),
    );
    let words = [
        "-e",
        "flasher_serial=1",
        "-e",
        &format!("flasher_program={}", path.display()),
    ];
    let playbook = fleet.playbook_command(&[&[UPDATE], &words[..]].concat());
    // Tests that run in the background of a shell ignore ^C, and so would all that they start.
    let mut attentive = Command::new("env");
    attentive
        .arg("--default-signal=INT")
        .arg(playbook.get_program())
        .args(playbook.get_args());
    attentive.envs(playbook.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = playbook.get_current_dir() {
        attentive.current_dir(directory);
    }
    // ^C reaches all of them, as at a terminal.
    let mut playbook = attentive.process_group(0).stdout(Stdio::null()).spawn().unwrap();
    let until = |name: &str| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !fleet.file(name).exists() {
            assert!(Instant::now() < deadline, "no {name}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until("begun");
    let group = nix::unistd::Pid::from_raw(i32::try_from(playbook.id()).unwrap());
    nix::sys::signal::killpg(group, nix::sys::signal::SIGINT).unwrap();
    until("stopped");
    assert_ne!(playbook.wait().unwrap().code(), Some(0));
    let report = fleet.report();
    assert!(
        [&reported(&report, "unknown")[..], &reported(&report, "failed")].concat() == [1],
        "{report}"
    );
    assert_eq!(report["boxes"]["box001"]["harm"], "unknown", "{report}");
    assert_eq!(reported(&report, "untouched"), [2, 3], "{report}");
}

#[test]
fn an_option_of_the_module_is_one_of_the_role_and_of_the_page() {
    let fleet = SshFleet::new(1);
    let mut doc = ansible("ansible-doc", fleet.path());
    let output = doc
        .args(["-t", "module", "--json", "flasher.fleet.push"])
        .output()
        .unwrap();
    let documented: Value = serde_json::from_slice(&output.stdout).unwrap();
    let options = documented["flasher.fleet.push"]["doc"]["options"].as_object().unwrap();
    let source = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let action = source("fleet/plugins/action/push.py");
    let known = action
        .split("ARGUMENTS = {")
        .nth(1)
        .unwrap()
        .split("\n}")
        .next()
        .unwrap();
    assert_eq!(known.matches("\"type\"").count(), options.len(), "{known}");
    let (role, tasks) = (
        source("fleet/roles/update/meta/argument_specs.yml"),
        source("fleet/roles/update/tasks/main.yml"),
    );
    let page = source("docs/fleets.md");
    for (name, option) in options {
        let kind = option["type"].as_str().unwrap();
        assert!(known.contains(&format!("\"{name}\": {{\"type\": \"{kind}\"")), "{name}");
        assert!(role.contains(&format!("      flasher_{name}:\n")), "{name}");
        assert!(tasks.contains(&format!("    {name}: \"{{{{ flasher_{name} ")), "{name}");
        assert!(page.contains(&format!("`flasher_{name}`")), "{name}");
    }
}

#[test]
fn a_box_that_is_busy_is_tried_again_and_one_that_is_partly_written_is_left_to_people() {
    let fleet = SshFleet::new(3);
    fleet.inventory("flasher_retries=2\nflasher_delay=0");
    fs::create_dir(fleet.file("host_vars")).unwrap();
    for (number, exit, harm) in [(1, 75, "untouched"), (2, 68, "partly"), (3, 68, "untouched")] {
        let path = fleet.file(&format!("push{number}"));
        let tried = fleet.file(&format!("tried{number}"));
        let failed = format!(r#"{{"event":"result","ok":false,"exit":{exit},"harm":"{harm}","code":"x"}}"#);
        let right = r#"{"event":"result","ok":true,"exit":0,"harm":"written","code":"written"}"#;
        program(
            &path,
            &format!(
                "#!/bin/sh\necho >>{0}\n[ $(wc -l <{0}) -gt 2 ] && echo '{right}' && exit 0\necho '{failed}'\nexit {exit}\n",
                tried.display()
            ),
        );
        fs::write(
            fleet.file(&format!("host_vars/box{number:03}.yml")),
            format!("flasher_program: {}\n", path.display()),
        )
        .unwrap();
    }
    let everything = r#"{"flasher_serial": "100%", "flasher_max_fail_percentage": 100}"#;
    let run = fleet.playbook(&[UPDATE, "-e", everything]).exits(2);
    let tried = |number: usize| fs::read(fleet.file(&format!("tried{number}"))).unwrap().len();
    assert_eq!([tried(1), tried(2), tried(3)], [3, 1, 3], "{run:?}");
    assert_eq!(reported(&fleet.report(), "written"), [1, 3], "{run:?}");
    assert_eq!(reported(&fleet.report(), "failed"), [2], "{run:?}");
    // A report that cannot be put in its place leaves nothing beside it.
    let mut command = fleet.playbook_command(&[UPDATE, "-e", everything]);
    let run = Run::from(command.env("FLASHER_REPORT", fleet.file("host_vars")).output().unwrap());
    assert!(run.err.contains("the report is not written"), "{run:?}");
    let names = fs::read_dir(fleet.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names
        .filter(|name| name.to_string_lossy().starts_with(".report"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // A task of which nothing is to be logged.
    let play = "- hosts: box001\n  gather_facts: false\n  tasks:\n    - flasher.fleet.push:\n        image: image.bin\n        \
                program: ./push1\n        options: [--backup, /hidden]\n      no_log: SECRET\n";
    for secret in [true, false] {
        fs::write(fleet.file("secret.yml"), play.replace("SECRET", &secret.to_string())).unwrap();
        let run = fleet.playbook(&["-vv", "secret.yml"]).exits(0);
        assert_eq!(run.out.contains("/hidden"), !secret, "{run:?}");
    }
    // A box may say anything.
    let odd: String = ["stage", "plan", "warning", "error"]
        .map(|event| format!("echo '{{\"event\":\"{event}\",\"text\":\"a\\u001b[2J\\u009bb\"}}'\n"))
        .concat();
    program(&fleet.file("odd"), &format!("#!/bin/sh\n{odd}exit 1\n"));
    let says = play.replace("SECRET", "false").replace("push1", "odd");
    fs::write(fleet.file("odd.yml"), says).unwrap();
    let run = fleet.playbook(&["-v", "--diff", "odd.yml"]).exits(2);
    assert!(
        !run.out.contains(['\u{1b}', '\u{9b}']) && run.out.contains("[2J"),
        "{run:?}"
    );
    assert!(!run.err.contains(['\u{1b}', '\u{9b}']), "{run:?}");
    // A task that is left out takes nothing back.
    let play = play.replace("SECRET", "false") + "    - flasher.fleet.push: {image: x}\n      when: false\n";
    fs::write(fleet.file("left.yml"), play).unwrap();
    let run = fleet.playbook(&["left.yml"]).exits(0);
    assert_eq!(reported(&fleet.report(), "written"), [1], "{run:?}");
}

/// `ansible-galaxy` leaves a collection alone whose version it has.
#[test]
fn the_collection_has_the_version_of_the_program() {
    let galaxy = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fleet/galaxy.yml")).unwrap();
    let version = concat!("\nversion: ", env!("CARGO_PKG_VERSION"), "\n");
    assert!(galaxy.contains(version), "{galaxy}");
}

/// By `ansible_password`, which nobody sees in a command line.
#[test]
fn boxes_that_want_a_password_get_that_of_the_inventory() {
    if !crate::simbox::is_root() {
        return;
    }
    let fleet = SshFleet::with_password(2);
    let image = bytes(200_000, 1);
    fs::write(fleet.file("image.bin"), &image).unwrap();
    // On the way is somebody who asks for a password, too.
    program(
        &fleet.file("jump"),
        "#!/bin/sh\n\"$SSH_ASKPASS\" \"root@jump's password: \" >>asked\n\"$SSH_ASKPASS\" Password: >>asked\n\
         exec busybox nc \"$1\" \"$2\"\n",
    );
    fleet.inventory("ansible_ssh_extra_args='-o \"ProxyCommand=./jump %h %p\"'");
    fs::create_dir(fleet.file("host_vars")).unwrap();
    let says = |number: usize, word: &str| {
        let text = serde_json::json!({ "ansible_password": word }).to_string();
        fs::write(fleet.file(&format!("host_vars/box{number:03}.yml")), text).unwrap();
    };
    // Whatever runs for a box has written down what everybody sees of it.
    fleet.hook("for file in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$file; echo; done >>$box/seen 2>/dev/null\n");
    says(1, crate::sshbox::PASSWORD);
    says(2, "another");
    let everything = r#"{"flasher_serial": "100%", "flasher_max_fail_percentage": 100}"#;
    let run = fleet.playbook(&[UPDATE, "-e", everything]).exits(2);
    let report = fleet.report();
    assert_eq!(
        (reported(&report, "written"), reported(&report, "failed")),
        (vec![1], vec![2]),
        "{run:?}"
    );
    assert_eq!(report["boxes"]["box002"]["harm"], "untouched", "{run:?}");
    assert!(fleet.has(1, &image) && !fleet.has(2, &image));
    assert_eq!(fs::read_to_string(fleet.file("asked")).unwrap(), "", "the box's alone");
    let seen = fs::read_to_string(fleet.of(1, "seen")).unwrap();
    assert!(
        seen.contains("--format json push") && !seen.contains("'pass' word"),
        "{seen}"
    );
    assert!(
        !run.out.contains("'pass' word") && !run.err.contains("'pass' word"),
        "{run:?}"
    );
}
