//! `flasher push` to servers that let people in only so far: one command a connection, or by a password.

use crate::simbox::{Run, bytes, is_root};
use crate::sshbox::{PASSWORD, SshBox, binary};
use crate::sshfleet::program;
use std::fs;
use std::process::Command;

const AT: usize = 13 << 20;

/// The same push whose ssh asks this program for passwords, which writes down each question.
fn asking(server: &SshBox, mut push: Command) -> Run {
    let askpass = server.file("askpass");
    let questions = server.file("questions");
    let secret = server.sim.file("secret", PASSWORD.as_bytes());
    program(
        &askpass,
        &format!(
            "#!/bin/sh\nprintf '%s\\n' \"$1\" >>{}\ncat {secret}\n",
            questions.display()
        ),
    );
    push.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force");
    push.output().unwrap().into()
}

fn warned(run: &Run) -> bool {
    let few = |event: &serde_json::Value| event["text"].as_str().is_some_and(|text| text.contains("few commands"));
    run.events().iter().any(few)
}

/// `MaxSessions 1` refuses all that is to share a connection, 2 the third of three commands that are under way at a time.
#[test]
fn a_server_that_allows_few_commands_over_a_connection_gets_more_connections() {
    let mut server = SshBox::new();
    let before = server.sim.flash();
    for (sessions, own) in [(1, false), (2, true), (10, false)] {
        server.sim.fill(&before);
        server.configured(&format!("MaxSessions {sessions}\n"), false);
        if own {
            server.has_its_own();
        }
        let image = bytes(300_000, sessions);
        let path = server.sim.file("image.bin", &image);
        let run = match own {
            true => server.own_push(&["--verify", "--part", "RootFS2", "box", &path]),
            false => server.push(&["--verify", "--part", "RootFS2", "box", &path]),
        };
        let run = run.exits(0);
        assert_eq!(run.json()["code"], "written", "{run:?}");
        assert!(server.sim.flash()[AT..][..image.len()] == image);
        // With 2 it depends on how soon the server takes note that a command has ended.
        assert!(sessions == 2 || warned(&run) == (sessions == 1), "{run:?}");
        assert_eq!(server.left(), [] as [std::path::PathBuf; 0], "{sessions}");
        let _ = fs::remove_file(server.file("own/flasher"));
    }
}

#[test]
fn a_password_is_asked_for_once() {
    if !is_root() {
        return;
    }
    let mut server = SshBox::new();
    let path = server.sim.file("image.bin", &bytes(300_000, 1));
    for sessions in [10, 1] {
        server.configured(&format!("MaxSessions {sessions}\n"), true);
        let _ = fs::remove_file(server.file("questions"));
        let args = ["--format", "json", "-y", "--binary", binary().to_str().unwrap()];
        let push = server.command(&[&args[..], &["--verify", "--part", "RootFS2", "box", &path]].concat());
        let run = asking(&server, push).exits(0);
        let questions = fs::read_to_string(server.file("questions")).unwrap();
        let asked = questions.lines().filter(|line| line.contains("password")).count();
        match sessions {
            1 => assert!(asked > 3 && warned(&run), "{questions}{run:?}"),
            _ => assert!(asked == 1 && !warned(&run), "{questions}{run:?}"),
        }
    }
    // Where nobody can be asked, and where what is said is wrong, nothing is touched.
    let before = server.sim.flash();
    let mut push = server.command(&["--format", "json", "-y", "--part", "RootFS2", "box", &path]);
    let run = Run::from(
        push.env("SSH_ASKPASS", "/bin/false")
            .env("SSH_ASKPASS_REQUIRE", "force")
            .output()
            .unwrap(),
    );
    assert_eq!(
        (run.exits(68).json()["harm"].as_str(), server.sim.flash() == before),
        (Some("untouched"), true)
    );
}
