//! Four boxes of two processors get their firmware by Ansible, two at a time. For one of the first two the image of the other
//! processor was named: the other one gets its own, the next two are not begun, and the same command finishes when that is
//! put right. The boxes have dropbear with neither scp nor sftp, and no Python.

use std::path::Path;
use std::process::Child;
use std::thread;

use super::tools::{flasher, scratch, text, write};
use super::*;
use crate::sshfleet::ansible;

const KINDS: [Kind; 4] = [Kind::Armel, Kind::Mips, Kind::Armel, Kind::Mips];

/// The inventory: what the boxes have in common stands with their processor. `of` is whose image each of them is to get.
fn inventory(machines: &[Machine], dir: &Path, known_hosts: &str, of: [Kind; 4]) {
    let mut hosts = "[boxes]\n".to_owned();
    for ((machine, number), image) in machines.iter().zip(1..).zip(of) {
        let words = machine.ssh().words(&dir.join(known_hosts));
        hosts.push_str(&format!(
            "box{number} ansible_host=127.0.0.1 ansible_ssh_common_args={:?} flasher_image=image-{image}.bin \
             flasher_binary={:?}\n",
            words.trim_start_matches("ssh "),
            text(&flasher(machine.kind)),
        ));
    }
    hosts.push_str(&format!(
        "[boxes:vars]\nansible_user=root\nflasher_part=kernel,rootfs\nflasher_new_host_key=true\nflasher_program={:?}\n",
        env!("CARGO_BIN_EXE_flasher")
    ));
    write(&dir.join("hosts"), hosts.as_bytes());
}

/// `ansible-playbook`, started.
fn update(dir: &Path, serial: &str) -> Child {
    let mut playbook = ansible("ansible-playbook", dir);
    playbook.args(["-i", "hosts", "flasher.fleet.update", "-e", serial]);
    playbook
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    playbook
        .spawn()
        .expect("ansible-core, which tests/install base installs")
}

/// How it ended: its exit code, and the state of each box in its report.
fn ended(playbook: Child, dir: &Path) -> (Option<i32>, [String; 4]) {
    let output = playbook.wait_with_output().expect("ansible-playbook");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    let report = tools::read(&dir.join("flasher-report.json"));
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    let state = |number: usize| {
        let found = &report["boxes"][format!("box{}", number + 1)]["state"];
        found.as_str().unwrap_or_default().to_owned()
    };
    (output.status.code(), std::array::from_fn(state))
}

/// Each of these boxes becomes B while the others do.
fn all_become_b(machines: &mut [Machine], before: &[Vec<u8>], which: &[usize]) {
    thread::scope(|scope| {
        for ((machine, before), number) in machines.iter_mut().zip(before).zip(0..) {
            if which.contains(&number) {
                scope.spawn(move || {
                    let image = Parts::plain(machine.kind, 'B').image();
                    becomes_b(machine, before, &image);
                });
            }
        }
    });
}

#[test]
#[ignore = "needs the lab: tests/run"]
fn four_boxes_of_two_processors() {
    let begun = std::time::Instant::now();
    let mut machines: Vec<_> = (1..)
        .zip(KINDS)
        .map(|(number, kind)| Machine::new(&format!("fleet-{number}"), Parts::plain(kind, 'A')))
        .collect();
    let before: Vec<_> = machines.iter().map(Machine::flash).collect();
    thread::scope(|scope| {
        for machine in &mut machines {
            scope.spawn(|| {
                machine.boot('A');
                machine.ssh().wait();
            });
        }
    });
    println!("four boxes are up: {:.0?}", begun.elapsed());
    let dir = scratch();
    for kind in [Kind::Armel, Kind::Mips] {
        let image = Parts::plain(kind, 'B').image();
        write(&dir.path().join(format!("image-{kind}.bin")), &image);
    }
    let waves = r#"{"flasher_serial": [2, 2]}"#;
    // Box 2 is a MIPS.
    let mistaken = [Kind::Armel, Kind::Armel, Kind::Armel, Kind::Mips];
    inventory(&machines, dir.path(), "known_hosts", mistaken);
    let playbook = update(dir.path(), waves);
    all_become_b(&mut machines, &before, &[0]);
    let (exit, states) = ended(playbook, dir.path());
    assert_eq!(
        (exit, states),
        (
            Some(2),
            ["written", "failed", "untouched", "untouched"].map(String::from)
        )
    );
    for (machine, before) in machines.iter().zip(&before).skip(1) {
        Expected::unchanged(machine.kind, before).compare(&machine.flash());
    }
    println!("the first wave has failed: {:.0?}", begun.elapsed());
    // Box 1 has made itself a new host key, which somebody has looked at.
    inventory(&machines, dir.path(), "known_hosts.new", KINDS);
    let playbook = update(dir.path(), waves);
    all_become_b(&mut machines, &before, &[1, 2, 3]);
    let (exit, states) = ended(playbook, dir.path());
    assert_eq!(
        (exit, states),
        (Some(0), ["right", "written", "written", "written"].map(String::from))
    );
    println!("all of them are written: {:.0?}", begun.elapsed());
}
