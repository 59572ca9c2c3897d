//! What programs rely on: names of fields, exit codes, one object or one event a line. `docs/fleets.md` lists them.

use crate::simbox::{Run, SimBox, bytes, flasher};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

const MIB: usize = 1 << 20;

#[track_caller]
fn has(value: &Value, fields: &[&str]) {
    for field in fields {
        assert!(value.get(field).is_some(), "{field} is missing in {value}");
    }
}

/// One object and nothing else on standard output.
#[track_caller]
fn object(run: Run) -> Value {
    assert_eq!(run.out.lines().count(), 1, "{run:?}");
    run.json()
}

#[test]
fn plan() {
    let sim = SimBox::of_anything("qnap-ts219");
    let path = sim.file("image", &bytes(1000, 1));
    for part in ["Kernel", "U-Boot"] {
        let plan = object(sim.run("plan", &["--format", "json", "--part", part, &path]));
        has(&plan, &["valid", "route", "board", "image", "checks", "writes", "ram"]);
        has(&plan["image"], &["format", "size", "sha256"]);
        has(&plan["ram"], &["needed", "available"]);
        has(
            &plan["writes"][0],
            &["partition", "mtd", "offset", "length", "erase_blocks", "unchanged"],
        );
        for check in plan["checks"].as_array().unwrap() {
            has(check, &["name", "status", "forceable", "text"]);
            assert!(["pass", "warn", "fail"].contains(&check["status"].as_str().unwrap()));
        }
        assert_eq!(plan["valid"], part == "Kernel");
        assert_eq!(plan["route"], "in-place");
        assert_eq!(plan["board"], "qnap-ts219");
    }
}

#[test]
fn inspect_devices_verify_status() {
    let sim = SimBox::of_anything("qnap-ts219");
    let path = sim.file("image", &bytes(MIB, 2));
    let inspect = object(flasher(&["inspect", "--format", "json", &path]));
    has(&inspect, &["format", "size", "parts", "boards"]);
    has(&inspect["parts"][0], &["name", "offset", "size", "ok"]);

    let devices = object(sim.run("devices", &["--format", "json"]));
    has(&devices, &["board", "route", "init", "partitions"]);
    let partitions = devices["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 6);
    for partition in partitions {
        has(
            partition,
            &[
                "mtd",
                "name",
                "type",
                "size",
                "erase_size",
                "write_size",
                "bad_blocks",
                "writable",
                "used_by",
            ],
        );
    }
    let verify = |code| {
        object(
            sim.run("verify", &["--format", "json", "--part", "Kernel", &path])
                .exits(code),
        )
    };
    verify(1);
    sim.apply(&["--part", "Kernel", &path]).exits(0);
    verify(0);
    let status = object(sim.run("status", &["--format", "json"]));
    has(&status, &["result", "harm", "code", "image_sha256", "finished"]);
}

#[test]
fn apply_ends_with_its_result_whatever_happens() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(MIB, 3));
    let runs: [&[&str]; 4] = [
        &["--part", "kernel", &path],
        &["--part", "Colonel", &path],
        &["--part", "kernel", "/nonexistent"],
        &["--part", "kernel", "--force", "nonsense", &path],
    ];
    for args in runs {
        let run = sim.apply(args);
        let result = run.json();
        has(
            &result,
            &["event", "ok", "exit", "harm", "code", "erased", "unchanged", "retried"],
        );
        assert_eq!(result["exit"], run.exit);
        assert_eq!(result["ok"], run.exit == 0);
        for event in run.events() {
            has(&event, &["event"]);
        }
    }
}

#[test]
fn errors_say_what_failed_the_state_of_the_flash_and_what_to_do() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(4 * MIB, 4));
    let run = sim.run("apply", &["-y", "--part", "kernel", &path]).exits(78);
    for part in ["flasher: ", "flash: untouched", "next: "] {
        assert!(run.err.contains(part), "{run:?}");
    }
}

#[test]
fn help_and_version() {
    for args in [&["--help"][..], &["-h"], &["apply", "--help"]] {
        let run = flasher(args).exits(0);
        assert!(
            run.out.contains("Usage: flasher") && run.out.contains("Exit codes"),
            "{run:?}"
        );
    }
    for verb in [
        "apply", "plan", "inspect", "verify", "devices", "backup", "restore", "status", "sim",
    ] {
        assert!(flasher(&["--help"]).out.contains(&format!("\n  {verb}")), "{verb}");
        flasher(&[verb, "--help"]).exits(0);
    }
    let version = flasher(&["--version"]).exits(0).out;
    assert!(
        version.starts_with("flasher 0.1.0") && version.lines().count() == 1,
        "{version}"
    );
}

#[test]
fn a_wrong_command() {
    for args in [
        &[][..],
        &["aply", "x"],
        &["apply"],
        &["apply", "--nope", "x"],
        &["sim", "make", "a", "b"],
    ] {
        let run = flasher(args).exits(64);
        let own = match args.first() {
            None | Some(&"aply") => "flasher --help".to_owned(),
            Some(verb) => format!("flasher {verb} --help"),
        };
        assert!(run.err.contains(&own), "{run:?}");
    }
}

#[test]
fn a_program_is_told_in_its_own_words_that_its_command_is_wrong() {
    let json = ["--format", "json"];
    for args in [&["apply", "--nope", "x"][..], &["apply"], &["restore", "a", "b"]] {
        for args in [[args, &json].concat(), [&["--format=json"], args].concat()] {
            let run = flasher(&args).exits(64);
            assert_eq!(run.err, "", "{run:?}");
            assert_eq!(run.events()[0]["code"], "usage");
            let result = run.json();
            assert_eq!(result["event"], "result");
            assert_eq!((&result["exit"], &result["harm"]), (&64.into(), &"untouched".into()));
        }
    }
    let run = flasher(&[&["plan"], &json[..]].concat()).exits(64);
    assert_eq!(object(run)["code"], "usage");
}

#[test]
fn what_is_to_start_later_is_neither_written_at_once_nor_a_simulation() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(MIB, 3));
    let before = sim.flash();
    let run = sim.apply(&["--prepare", "--part", "kernel", &path]).exits(64);
    assert!(run.out.contains("--prepare excludes"), "{run:?}");
    let copies = sim.path().join("copies");
    let copies = copies.to_str().unwrap();
    sim.run("backup", &[copies]).exits(0);
    let run = sim.run("restore", &["-y", "--prepare", copies]).exits(64);
    assert!(run.err.contains("--prepare excludes"), "{run:?}");
    assert!(sim.flash() == before);
}

/// Whoever reads may go away at any time.
#[test]
fn a_closed_pipe_changes_nothing() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(MIB, 5));
    let command = format!(
        "{} apply -y --sim '{}' --part kernel '{path}' | true; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_flasher"),
        sim.path().display()
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &command])
        .output()
        .unwrap();
    Run::from(output).exits(0);
    sim.run("verify", &["--part", "kernel", &path]).exits(0);
}

#[test]
fn progress_without_a_terminal_is_a_line_for_each_five_percent() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(10 * MIB, 6));
    let run = sim.run("apply", &["-y", "--part", "rootfs", &path]).exits(0);
    for phase in ["writing", "verifying"] {
        let lines: Vec<_> = run.out.lines().filter(|line| line.starts_with(phase)).collect();
        assert!((20..=21).contains(&lines.len()), "{lines:?}");
        assert!(lines.last().unwrap().contains("100 %"));
    }
    let quiet = sim.run("apply", &["-q", "-y", "--part", "rootfs", &path]).exits(0);
    let result = quiet.out.strip_prefix("the flash is as the image wants it");
    assert!(result.is_some_and(|rest| rest.lines().count() == 1), "{quiet:?}");
}

/// ^C and a hang-up while the flash is being changed.
#[test]
fn signals_do_not_stop_it_half_way() {
    let sim = SimBox::new("generic");
    let image = bytes(11 * MIB, 7);
    let path = sim.file("image", &image);
    for signal in ["HUP", "INT", "TERM", "QUIT"] {
        sim.fill(&bytes(16 * MIB, 8));
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_flasher"))
            .args([
                "apply",
                "-y",
                "--sim",
                sim.path().to_str().unwrap(),
                "--part",
                "rootfs",
                &path,
            ])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let begun = lines.by_ref().any(|line| line.unwrap().starts_with("writing"));
        assert!(begun, "it never wrote");
        crate::simbox::tool("kill", &[&format!("-{signal}"), &child.id().to_string()]);
        lines.for_each(drop);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        assert!(sim.flash()[0x350000..0x350000 + image.len()] == image[..], "{signal}");
    }
}

#[test]
fn what_to_do_about_a_file_fits_why_it_cannot_be_used() {
    let sim = SimBox::new("generic");
    let next = |args: &[&str]| {
        let run = sim.run(args[0], &args[1..]);
        assert_ne!(run.exit, 0, "{run:?}");
        run.err
    };
    let file = sim.file("file", b"{}");
    let in_it = format!("{file}/none");
    for path in ["/nonexistent", "/dev/null", "/tmp", &in_it] {
        for verb in [["devices", "--board"], ["env", "--env-config"], ["poll", "--config"]] {
            let said = next(&[verb[0], verb[1], path]);
            assert!(!said.contains("chmod") && !said.contains("chown"), "{verb:?}: {said}");
        }
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    for verb in [["devices", "--board"], ["env", "--env-config"], ["poll", "--config"]] {
        assert!(next(&[verb[0], verb[1], &file]).contains("chmod"), "{verb:?}");
    }
}

/// What the user typed is right then.
#[test]
fn a_profile_that_the_system_cannot_open_is_no_wrong_command() {
    let sim = SimBox::of_anything("generic");
    let profile = sim.file("profile", b"{}");
    // Whoever started the tests may have left files open to them.
    let script = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -n 4; exec \"$@\"";
    let out = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_flasher")])
        .args(["devices", "--board", &profile])
        .output();
    let run = Run::from(out.unwrap()).exits(71);
    assert!(run.err.contains("Too many open files"), "{run:?}");
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_like_any_other() {
    let sim = SimBox::of_anything("generic");
    let image = sim.file("image", &bytes(1 << 20, 1));
    let backup = sim.dir.path().join("backup");
    let (path, backup) = (sim.path(), backup.to_str().unwrap());
    let sim_dir = path.to_str().unwrap();
    let apply = ["apply", "-y", "--part", "kernel", &image];
    for (verb, blocks) in [(&["backup", backup][..], 0), (&apply, 0), (&apply, 4)] {
        let run: Run = Command::new("sh")
            .args(["-c", &format!("ulimit -f {blocks}; exec \"$@\""), "sh"])
            .arg(env!("CARGO_BIN_EXE_flasher"))
            .args(verb)
            .args(["--format", "json", "--sim", sim_dir])
            .stdin(Stdio::null())
            .output()
            .unwrap()
            .into();
        assert!(run.out.contains("File too large"), "{verb:?}: {run:?}");
        assert!(run.exit == 71 || run.exit == 74, "{verb:?}: {run:?}");
        if verb[0] == "apply" {
            let result = run.json();
            assert_eq!(
                (&result["event"], &result["exit"]),
                (&json!("result"), &json!(run.exit))
            );
        }
    }
}
