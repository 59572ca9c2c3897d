//! What makes the command line comfortable: help that fits, a guess at what was meant, a result even when little is wanted,
//! names of whatever bytes, and an answer that does not get lost unnoticed.

use crate::simbox::{Run, SimBox, bytes, flasher};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Command, Stdio};

const MIB: usize = 1 << 20;

/// The verbs of the overview: `apply`, `recovery create` and so on.
fn verbs() -> Vec<Vec<String>> {
    let overview = flasher(&["help"]).exits(0).out;
    let begin = overview.find("VERB\n\n").unwrap() + "VERB\n\n".len();
    let rows = overview[begin..].split("\n\n").next().unwrap().lines();
    let small = |word: &&str| word.chars().all(|letter| letter.is_ascii_lowercase());
    let verbs: Vec<Vec<String>> = rows
        .filter(|row| row.starts_with("  ") && !row.starts_with("   "))
        .map(|row| row.split("  ").nth(1).unwrap())
        .map(|call| call.split(' ').take_while(small).map(str::to_owned).collect())
        // `pat create` is one of several operations of `pat`.
        .map(|words: Vec<String>| match words[0].as_str() {
            "pat" | "qpkg" => words[..1].to_vec(),
            _ => words,
        })
        .collect();
    assert!(verbs.len() > 15, "{verbs:?}");
    verbs
}

#[test]
fn every_page_of_help_fits_into_80_columns() {
    let mut pages = vec![vec!["help".to_owned()], vec!["help".into(), "recovery".into()]];
    for verb in verbs() {
        let with_flag = [verb.clone(), vec!["--help".into()]].concat();
        let help = [vec!["help".to_owned()], verb].concat();
        assert_eq!(
            flasher(&help).exits(0).out,
            flasher(&with_flag).exits(0).out,
            "{help:?}"
        );
        pages.push(help);
    }
    assert_eq!(
        flasher(&["help", "env", "set"]).exits(0).out,
        flasher(&["help", "env"]).out
    );
    for page in pages {
        for line in flasher(&page).exits(0).out.lines() {
            assert!(line.chars().count() <= 80, "{page:?}: {line}");
        }
    }
}

#[test]
fn a_word_that_is_misspelt_is_answered_with_the_one_that_was_meant() {
    let sim = SimBox::new("qnap-ts219");
    let image = sim.file("image", &bytes(MIB, 1));
    let on_sim = |args: &[&str]| {
        let run = sim.run(args[0], &args[1..]);
        [run.out, run.err].concat()
    };
    let words = |line: &str| flasher(&line.split(' ').collect::<Vec<_>>()).exits(64).err;
    for (said, meant) in [
        (words("aply x"), "apply"),
        (words("help aply"), "apply"),
        (words("recovery creat x"), "create"),
        (words("recvoery create x"), "recovery"),
        (words("apply --no-rebot x"), "--no-reboot"),
        (words("--quite apply x"), "--quiet"),
        (words("inspect --formt json x"), "--format"),
        (words("apply --force contnet x"), "content"),
        (flasher(&["sim", "create", "qnap-ts129", "x"]).exits(69).err, "qnap-ts1"),
        (
            flasher(&["sim", "create", "wdr3600", "x"]).exits(69).err,
            "tplink-wdr3600",
        ),
        (on_sim(&["plan", "--part", "Kernal", &image]), "Kernel"),
        (on_sim(&["plan", &format!("rootfs={image}")]), "RootFS1"),
        (on_sim(&["backup", "--part", "nas config", "x"]), "\"NAS Config\""),
    ] {
        let meant = match meant.starts_with('"') {
            true => meant.trim_matches('"'),
            false => meant,
        };
        assert!(said.contains(&format!("did you mean {meant}")), "{meant}: {said}");
    }
    // Nothing is near, or the option is one of another verb: no guess.
    for line in ["xyzzy", "apply --xyzzy x", "status --part x", "apply --force xyzzy x"] {
        let said = words(line);
        assert!(!said.contains("did you mean"), "{said}");
    }
    // What the terminal would obey is told quoted.
    let said = words("ap\x1b[2Jply x");
    assert!(!said.contains('\x1b'), "{said:?}");
}

#[test]
fn a_new_file_that_has_no_directory_is_told_with_what_it_takes() {
    let sim = SimBox::new("qnap-ts219");
    let path = sim.path();
    let all = ["recovery", "create", "--sim", path.to_str().unwrap(), "/nonexistent/x"];
    assert!(flasher(&all).exits(71).err.contains("a directory that is there"));
}

#[test]
fn a_wrong_use_points_to_the_help_of_its_verb() {
    for (line, help) in [
        ("apply --nope x", "flasher apply --help"),
        ("plan", "flasher plan --help"),
        ("recovery create", "flasher recovery create --help"),
        ("recovery bake", "flasher recovery --help"),
        ("backup a b", "flasher backup --help"),
        ("verify --size big x", "flasher verify --help"),
        ("nope", "flasher --help"),
        ("help nope", "flasher --help"),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let run = flasher(&words).exits(64);
        assert!(run.err.contains(&format!("next:  {help}\n")), "{run:?}");
        let words: Vec<_> = help.split(' ').skip(1).collect();
        flasher(&words).exits(0);
    }
}

#[test]
fn one_is_one_erase_block_and_no_record_is_all_that_is_said_of_none() {
    let sim = SimBox::new("generic");
    assert_eq!(sim.run("status", &[]).exits(0).out, "no update is on record\n");
    let image = sim.file("image", &bytes(1000, 1));
    let run = sim.run("plan", &["--part", "kernel", &image]).exits(0);
    assert!(
        run.out.contains(", 1 erase block, 0 of them already correct\n"),
        "{run:?}"
    );
    let copies = sim.path().join("copies");
    let run = sim
        .run("backup", &["--part", "kernel", copies.to_str().unwrap()])
        .exits(0);
    assert!(run.out.starts_with("1 partition, "), "{run:?}");
}

/// What is typed next is typed as it stands, also where somebody keeps boxes in a directory with a blank in its name.
#[test]
fn the_command_that_is_said_to_be_next_does_it() {
    let dir = tempfile::tempdir().unwrap();
    let type_next = |run: &Run| {
        let text = format!("{}{}", run.out, run.err);
        let next = text.lines().find_map(|line| line.trim().strip_prefix("next:")).unwrap();
        let words = next.trim().strip_prefix("flasher ").unwrap();
        let line = format!("\"$1\" {words}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &line, "sh", env!("CARGO_BIN_EXE_flasher")]);
        Run::from(shell.current_dir(dir.path()).output().unwrap())
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_flasher"));
    command.args(["devices", "--sim", "my $box"]).current_dir(dir.path());
    let missing = Run::from(command.output().unwrap()).exits(69);
    let made = type_next(&missing).exits(0);
    let found = type_next(&made).exits(0);
    assert!(found.out.contains("board: qnap-ts219"), "{found:?}");
    // A second one is not made there, and what somebody else has in that directory is not to be taken away.
    let again = type_next(&missing).exits(64);
    assert!(!again.err.contains("rm "), "{again:?}");
    for operands in [&["backup", ""][..], &["sim", "create", "generic", ""]] {
        let run = Run::from(
            Command::new(env!("CARGO_BIN_EXE_flasher"))
                .args(operands)
                .current_dir(dir.path())
                .output()
                .unwrap(),
        );
        assert!(run.exits(64).err.contains("an operand is empty"));
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn little_is_said_on_request_but_the_result_is() {
    let sim = SimBox::of_anything("generic");
    let image = sim.file("image", &bytes(MIB, 2));
    let said = |verb: &str, args: &[&str], code| sim.run(verb, &[&["-q"], args].concat()).exits(code);
    let part = ["--part", "kernel", &image];
    assert_eq!(said("plan", &part, 0).out, "verdict: ready\n");
    let apply = said("apply", &[&["-y"], &part[..]].concat(), 0);
    assert!(apply.out.starts_with("written and verified: "), "{apply:?}");
    assert_eq!(apply.out.lines().count(), 1, "{apply:?}");
    assert!(said("verify", &part, 0).out.ends_with("same\n"));
    let refused = said("plan", &["--part", "nowhere", &image], 78);
    assert_eq!(refused.out, "");
    assert!(refused.err.contains("flash: untouched"), "{refused:?}");
}

#[test]
fn a_file_may_have_a_name_that_is_not_utf_8() {
    let sim = SimBox::of_anything("generic");
    let content = bytes(MIB, 3);
    let named = |begin: &str, end: &[u8]| {
        let mut name = OsString::from(begin).into_vec();
        name.extend_from_slice(end);
        OsString::from_vec(name)
    };
    let dir = sim.dir.path().join(OsStr::from_bytes(b"M\xfcller"));
    fs::create_dir(&dir).unwrap();
    let image = dir.join(OsStr::from_bytes(b"\xe9.bin")).into_os_string();
    fs::write(&image, &content).unwrap();
    let text = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let sim_path = sim.path().into_os_string();
    let on = |verb: &str, words: &[&str], operand: &OsStr| {
        let begin = [OsString::from(verb), "--sim".into(), sim_path.clone()];
        flasher(&[&begin[..], &text(words), &[operand.to_owned()]].concat())
    };
    let inspect = flasher(&[OsString::from("inspect"), image.clone()]).exits(0);
    assert!(inspect.out.contains("M\\xfcller/\\xe9.bin"), "{inspect:?}");
    on("apply", &["-y", "--part", "kernel"], &image).exits(0);
    on("verify", &["--part", "kernel"], &image).exits(0);
    on("verify", &[], &named("kernel=", image.as_bytes())).exits(0);
    let copies = dir.join("copies").into_os_string();
    on("backup", &[], &copies).exits(0);
    on("restore", &["-y"], &copies).exits(0);
    // A program gets its answer, too.
    let again = on("backup", &["--format", "json"], &copies).exits(0);
    assert!(again.json()["dir"].as_str().unwrap().ends_with("ller/copies"));
    // The list of a sha256sum, whose names are bytes too.
    let sums = Command::new("sha256sum").arg(&image).output().unwrap().stdout;
    let list = dir.join("sums");
    fs::write(&list, sums).unwrap();
    let sha256 = named("--sha256=", list.as_os_str().as_bytes());
    let words = [
        OsString::from("plan"),
        "--sim".into(),
        sim_path.clone(),
        "--part=kernel".into(),
        sha256,
        image,
    ];
    flasher(&words).exits(0);
    // A directory of copies that is not there is named as it was typed.
    let missing = on("restore", &["-y"], dir.join("none").as_os_str());
    assert_ne!(missing.exit, 0);
    assert!(missing.err.contains("ller"), "{missing:?}");
}

#[test]
fn an_answer_that_does_not_arrive_is_a_failure_and_an_update_goes_on() {
    let sim = SimBox::of_anything("generic");
    let image = sim.file("image", &bytes(MIB, 4));
    let sim_path = sim.path();
    let full = |args: &[&str]| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let run = Command::new(env!("CARGO_BIN_EXE_flasher"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(full)
            .output()
            .unwrap();
        Run::from(run)
    };
    let at = ["--sim", sim_path.to_str().unwrap()];
    for args in [
        &["inspect", &image][..],
        &["inspect", "--format", "json", &image],
        &["--help"],
        &["--version"],
        &[&["devices"], &at[..]].concat(),
        &[&["plan", "--part", "kernel"], &at[..], &[&image]].concat(),
    ] {
        let run = full(args).exits(71);
        assert!(run.err.contains("standard output: No space left on device"), "{run:?}");
    }
    full(&["demo"]).exits(71);
    // One that is refused is told where somebody may see it.
    let refused = full(&[&["plan", "--format", "json", "--part", "none"], &at[..], &[&image]].concat()).exits(78);
    assert!(refused.err.contains("there is no partition"), "{refused:?}");
    full(&[&["apply", "-y", "--part", "kernel"], &at[..], &[&image]].concat()).exits(0);
    sim.run("verify", &["--part", "kernel", &image]).exits(0);
    // A reader who has seen enough is no failure.
    let command = format!(
        "{} --help | true; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_flasher")
    );
    let output = Command::new("bash").args(["-c", &command]).output().unwrap();
    Run::from(output).exits(0);
}

/// `script` makes a terminal of `columns`, and says what came out of it.
fn on_a_terminal(term: &str, columns: usize, sim: &SimBox, image: &str) -> String {
    let command = format!(
        "stty cols {columns}; exec {} apply -y --sim '{}' --part rootfs '{image}'",
        env!("CARGO_BIN_EXE_flasher"),
        sim.path().display()
    );
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", term)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_bar_is_drawn_on_one_line_of_a_terminal_and_not_at_all_on_a_dumb_one() {
    let sim = SimBox::of_anything("generic");
    let fresh = |seed| sim.file("image", &bytes(4 * MIB, seed));
    let wide = on_a_terminal("xterm", 100, &sim, &fresh(5));
    assert!(wide.contains("\r\x1b[Kwriting [####################] 100 %"), "{wide}");
    let narrow = on_a_terminal("xterm", 24, &sim, &fresh(6));
    let drawn: Vec<_> = narrow.split("\r\x1b[K").skip(1).collect();
    assert!(!drawn.is_empty(), "{narrow}");
    for line in &drawn {
        let line = line.split(['\r', '\n']).next().unwrap();
        assert!(line.chars().count() < 24 && !line.contains('['), "{line}");
    }
    let dumb = on_a_terminal("dumb", 100, &sim, &fresh(7));
    assert!(!dumb.contains('\x1b'), "{dumb}");
    assert!(dumb.contains("writing 100 %"), "{dumb}");
}
