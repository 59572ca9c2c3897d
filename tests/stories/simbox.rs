//! A simulated box in a temporary directory, and the program run on it as a user would.

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What a run of the program said and how it ended.
pub struct Run {
    pub exit: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    /// The one object of a verb, or the last event of `apply`.
    pub fn json(&self) -> Value {
        let last = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    /// Every event.
    pub fn events(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Asserts the exit code and hands itself on.
    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(self.exit, code, "{self:?}");
        self
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit {}\n--- stdout\n{}\n--- stderr\n{}",
            self.exit, self.out, self.err
        )
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Run {
            exit: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// The program with these arguments, without a terminal.
pub fn flasher<S: AsRef<OsStr>>(args: &[S]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flasher"));
    command.args(args).stdin(Stdio::null());
    command.output().expect("flasher starts").into()
}

/// A simulated box.
pub struct SimBox {
    pub dir: TempDir,
}

impl SimBox {
    pub fn new(board: &str) -> SimBox {
        let dir = TempDir::new().unwrap();
        flasher(&["sim", "create", board, dir.path().join("box").to_str().unwrap()]).exits(0);
        SimBox { dir }
    }

    /// A box whose profile was changed by hand.
    pub fn changed(board: &str, change: impl FnOnce(&mut Value)) -> SimBox {
        let sim = SimBox::new(board);
        let path = sim.path().join("board.json");
        let mut profile: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut profile);
        fs::write(path, profile.to_string()).unwrap();
        sim
    }

    /// A box of this kind whose partitions may hold anything, for stories that are not about what is in them.
    pub fn of_anything(board: &str) -> SimBox {
        SimBox::changed(board, anything)
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("box")
    }

    /// A file beside the box.
    pub fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs `flasher VERB --sim DIR ARGS…`.
    pub fn run(&self, verb: &str, args: &[&str]) -> Run {
        let path = self.path();
        let mut all = vec![verb, "--sim", path.to_str().unwrap()];
        all.extend(args);
        flasher(&all)
    }

    /// `apply -y --format json`.
    pub fn apply(&self, args: &[&str]) -> Run {
        let mut all = vec!["-y", "--format", "json"];
        all.extend(args);
        self.run("apply", &all)
    }

    /// The whole chip.
    pub fn flash(&self) -> Vec<u8> {
        fs::read(self.path().join("flash.bin")).unwrap()
    }

    /// Puts content into the chip, as `dd` would.
    pub fn fill(&self, content: &[u8]) {
        fs::write(self.path().join("flash.bin"), content).unwrap();
    }
}

/// The profile of a box whose partitions may hold anything.
pub fn anything(profile: &mut Value) {
    for partition in profile["partitions"].as_array_mut().unwrap() {
        partition.as_object_mut().unwrap().remove("holds");
    }
}

/// Bytes that look like firmware: the same for the same seed, never all 0xFF.
pub fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// A program that the tests need beside cargo.
#[track_caller]
pub fn tool(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}: tests/install base installs it"));
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    output
}

/// Reads a file that a tool made.
pub fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Whether this is root; where not, says that the test is skipped. Not through `eprintln`, which a test that passes keeps to
/// itself.
pub fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED {name}: it needs root, for namespaces of its own\n"),
        );
    }
    root
}
