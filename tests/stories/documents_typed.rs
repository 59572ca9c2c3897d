//! The commands of README and docs are typed, each where its page says: on a simulated box, on a workstation, or by a story
//! of its own. Those of `docs/fleets.md`, which need boxes behind ssh, are in `documents_commands`.

use crate::documents_commands::{Fence, fences, root};
use crate::env;
use crate::pat::arm_program;
use crate::recovery::{kernel, ramdisk};
use crate::simbox::{SimBox, bytes, is_root, read, tool};
use crate::sshfleet::program;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Every page that people read, but that on fleets.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "fleet/README.md"]
        .map(|name| root().join(name))
        .into();
    let docs = fs::read_dir(root().join("docs")).unwrap();
    pages
        .extend(docs.map(|entry| entry.unwrap().path()).filter(|path| {
            path.extension().is_some_and(|extension| extension == "md") && !path.ends_with("fleets.md")
        }));
    pages
}

/// The tests of this program, as cargo names them.
fn tests() -> Vec<String> {
    let list = tool(std::env::current_exe().unwrap().to_str().unwrap(), &["--list"]);
    let list = String::from_utf8(list.stdout).unwrap();
    list.lines()
        .filter_map(|line| Some(line.strip_suffix(": test")?.to_owned()))
        .collect()
}

/// A directory with what the pages speak of, and a flasher whose box is `box`.
struct Desk(TempDir);

impl Desk {
    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn new() -> Desk {
        let desk = Desk(TempDir::new().unwrap());
        for name in ["bin", "dist", "tmp", "parts"] {
            fs::create_dir(desk.file(name)).unwrap();
        }
        // The verbs that need a box get the one that lies there; what the page says of another one stands.
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in\n*' --sim '* | *' sim '* | *' pat '* | *' qpkg '*) exec {0} \"$@\" ;;\nesac\nexec {0} \"$@\" --sim {1}\n",
            env!("CARGO_BIN_EXE_flasher"),
            desk.file("box").display()
        );
        program(&desk.file("bin/flasher"), &script);
        // Of another machine there is nothing to be seen here.
        program(&desk.file("bin/ssh"), "#!/bin/sh\nexec cat >/dev/null\n");
        let parts = desk.file("parts");
        let uimage = kernel(&parts, 1_500_000);
        fs::write(desk.file("uImage"), &uimage).unwrap();
        fs::write(desk.file("zImage"), uimage).unwrap();
        fs::write(desk.file("rd.gz"), ramdisk(&parts)).unwrap();
        fs::write(desk.file("u-boot.bin"), bytes(200_000, 9)).unwrap();
        fs::write(desk.file("dist/flasher-armel"), arm_program()).unwrap();
        desk
    }

    /// Puts the box there: a built-in one, or the one with an environment.
    fn stands(&self, board: &str) {
        let sim = match board {
            "two-copies" => {
                let sim = env::sim(&env::profile(false));
                env::put(&sim, env::ENV, &env::made("bootdelay=1\nnote=old\n", &["-r"]));
                sim
            }
            // Under the kernel that leaves its boot loader writable.
            "qnap-ts109-open" => SimBox::changed("qnap-ts109", |profile| {
                profile["partitions"][0]["read_only"] = false.into()
            }),
            board => SimBox::new(board),
        };
        tool(
            "cp",
            &["-a", sim.path().to_str().unwrap(), self.file("box").to_str().unwrap()],
        );
    }

    /// Copies of a whole box, as `backup` makes them.
    fn copies(&self, board: &str) {
        let sim = SimBox::of_anything(board);
        sim.fill(&bytes(sim.flash().len(), 77));
        sim.run("backup", &[self.file("BACKUP").to_str().unwrap()]).exits(0);
    }

    /// Types a fence, and stops where a command fails.
    fn types(&self, page: &Path, fence: &Fence) {
        let text = fence.text.replace("/tmp", self.file("tmp").to_str().unwrap());
        let path = format!("{}:{}", self.file("bin").display(), std::env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &text])
            .env("PATH", path)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let [said, failed] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        assert!(output.status.success(), "{}:\n{text}{said}{failed}", page.display());
    }
}

/// What a page has to be true of, when its commands were typed.
fn judged(page: &Path, fence: &Fence, desk: &Desk) {
    if fence.text.contains("--mark-bad") || !page.ends_with("recovery.md") {
        return;
    }
    if fence.text.contains("chip/flash.bin") {
        // The chip is that of the copies, with the newer kernel in it.
        let chip = read(&desk.file("chip/flash.bin"));
        for (at, name) in [
            (0, "mtd0.RedBoot.bin"),
            (125 << 16, "mtd3.vendor.bin"),
            (57 << 16, "mtd2.rd.gz.bin"),
        ] {
            let copy = read(&desk.file("BACKUP").join(name));
            assert!(chip[at..at + copy.len()] == copy, "{name}");
        }
        let kernel = read(&desk.file("uImage"));
        assert!(chip[12 << 16..(12 << 16) + kernel.len()] == kernel);
    }
    if fence.text.contains("u-boot.sum") {
        let boot = read(&desk.file("u-boot.bin"));
        let chip = read(&desk.file("box/flash.bin"));
        assert!(chip.windows(boot.len()).step_by(1 << 16).any(|place| place == boot));
        assert!(desk.file("DIR/SHA256SUMS").exists());
    }
    if fence.text.contains("flasher backup") {
        assert!(desk.file("tmp/backup/SHA256SUMS").exists());
    }
}

#[test]
fn what_the_pages_say_is_typed_and_succeeds() {
    if !is_root() {
        return;
    }
    let mut typed = 0;
    for page in pages() {
        for fence in fences(&fs::read_to_string(&page).unwrap()) {
            let desk = match fence.info.split_once(' ').unwrap_or_default() {
                ("sh", "desk") => {
                    let desk = Desk::new();
                    desk.copies("synology-ds213j");
                    desk
                }
                ("sh", note) if note.starts_with("on=") => {
                    let desk = Desk::new();
                    desk.stands(note.trim_start_matches("on="));
                    desk
                }
                _ => continue,
            };
            desk.types(&page, &fence);
            judged(&page, &fence, &desk);
            typed += fence.text.lines().filter(|line| !line.is_empty()).count();
        }
    }
    assert!(typed >= 20, "{typed}");
}

#[test]
fn every_command_of_a_page_says_who_types_it() {
    let tests = tests();
    let programs = [
        "flasher ",
        "scp ",
        "ssh ",
        "cargo ",
        "tests/",
        "cross/",
        "ansible-playbook ",
        "dnsmasq ",
        "pip ",
    ];
    let mut wrong = Vec::new();
    for page in pages() {
        for fence in fences(&fs::read_to_string(&page).unwrap()) {
            let (kind, note) = fence.info.split_once(' ').unwrap_or((&fence.info, ""));
            let is_command = |line: &str| programs.iter().any(|program| line.starts_with(program));
            let pattern = fence.text.contains("VERB");
            let by_whom = match (kind, note.split_once('=')) {
                ("sh", Some(("on", _))) => true,
                ("sh", Some(("not-run", test))) => tests
                    .iter()
                    .any(|name| name == test || name.starts_with(&format!("{test}::"))),
                ("sh", None) if note == "desk" => true,
                // Section 3 of the page on porting, which a story types.
                ("sh", None) => note.is_empty() && page.ends_with("porting.md"),
                _ => pattern || page.ends_with("CONTRIBUTING.md") || !fence.text.lines().any(is_command),
            };
            if !by_whom {
                wrong.push(format!("{}: ```{}\n{}", page.display(), fence.info, fence.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_contributors_type_is_there() {
    let tests = tests();
    let mut seen = 0;
    for fence in fences(&fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap()) {
        for line in fence.text.lines().filter_map(|line| line.split(" #").next()) {
            for word in line.split_whitespace() {
                if word.starts_with("tests/") || word.starts_with("cross/") {
                    assert!(root().join(word).exists(), "{line}");
                    seen += 1;
                }
                if word.contains("::") && line.contains("--test stories") {
                    assert!(tests.iter().any(|name| name.starts_with(word)), "{line}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 8, "{seen}");
}
