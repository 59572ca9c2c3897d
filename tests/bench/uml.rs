//! A box whose processor is the workstation's own: User Mode Linux, a kernel that is a program.
//!
//! Its clock stands still while its processor works (`time-travel=inf-cpu`): it moves by what the NAND simulator waits for,
//! and so has exactly the chip's part of the time, however busy the workstation is. The processor's part is what the box's own
//! code took: its programs and its kernel, which are user code of the workstation. As nothing in the box waits while the
//! chip works, the two add up.

use crate::lab::{Console, tools};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What the workstation's processor did for the box, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Processor {
    /// In the box's own code.
    pub code: f64,
    /// In the workstation's kernel, which plays what is the processor's own part elsewhere: entering and leaving the box's
    /// kernel, and changing page tables. Each costs it microseconds.
    pub traps: f64,
}

/// The box. All of its files are in its `/tmp`, which is RAM.
pub struct Uml {
    linux: Child,
    console: Console,
    _dir: tempfile::TempDir,
}

impl Uml {
    /// `linux` is the kernel, and the files a directory's.
    pub fn new(linux: &Path, files: &[(&str, &[u8])]) -> Self {
        let dir = tools::scratch();
        for name in ["dev", "proc", "sys", "tmp", "run"] {
            std::fs::create_dir(dir.path().join(name)).expect("a directory of ours");
        }
        for (name, content) in files {
            tools::write(&dir.path().join("files").join(name), content);
        }
        tools::run(Command::new("chmod").args(["-R", "a+x", tools::text(&dir.path().join("files"))]));
        // It dies with its parent also when that is killed; it would wait for its console busily.
        let mut linux = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", tools::text(linux)])
            .args(["mem=2G", "con=null", "con0=fd:0,fd:1", "quiet", "time-travel=inf-cpu"])
            // Its delay loop is not used, and calibrated by a clock that stands still.
            .arg("lpj=1000000")
            .args(["root=/dev/root", "rootfstype=hostfs", "rw", "init=/files/uml-init"])
            .arg(format!("rootflags={}", tools::text(dir.path())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // With it go the processes that have the memory of the box's processes.
            .process_group(0)
            .spawn()
            .expect("setpriv");
        let (Some(input), Some(output)) = (linux.stdin.take(), linux.stdout.take()) else {
            panic!("started with pipes");
        };
        let mut console = Console::default();
        console.connect(input, output);
        let mut uml = Uml {
            linux,
            console,
            _dir: dir,
        };
        uml.expect("uml:ready.");
        uml
    }

    /// Runs a command in the box's shell, and insists on its success.
    pub fn must(&mut self, command: &str) -> String {
        self.send(command);
        self.ended(command)
    }

    /// The same for one that is `held:` twice; with what the processor did between.
    pub fn measured(&mut self, command: &str) -> (String, Processor) {
        self.send(command);
        self.expect("held:");
        let before = self.processor();
        self.send("");
        self.expect("held:");
        let after = self.processor();
        self.send("");
        let between = Processor {
            code: after.code - before.code,
            traps: after.traps - before.traps,
        };
        (self.ended(command), between)
    }

    fn ended(&mut self, command: &str) -> String {
        let output = self.expect("uml:");
        let status = self.expect(".");
        assert_eq!(status, "0", "{command}:\n{output}");
        output
    }

    fn send(&mut self, line: &str) {
        self.console.send_line(line).expect("a box that runs");
    }

    fn expect(&mut self, pattern: &str) -> String {
        match self.console.expect(pattern, tools::patience(300)) {
            Ok(before) => before,
            Err(why) => panic!("User Mode Linux: {why}"),
        }
    }

    /// So far, by proc(5): the kernel is a process, each address space in the box is one, and those that ended are counted
    /// with the kernel, which was their parent.
    fn processor(&self) -> Processor {
        let group = self.linux.id().to_string();
        let mut ticks = [0.0; 2];
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            // One that ends meanwhile is counted with the kernel later; nothing runs now.
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            // Behind the name, which may hold anything: state, parent, process group.
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            if fields.get(2) != Some(&group.as_str()) {
                continue;
            }
            let number = |index: usize| fields[index].parse::<f64>().expect("ticks");
            ticks = [ticks[0] + number(11), ticks[1] + number(12)];
            if entry.file_name() == *group {
                ticks = [ticks[0] + number(13), ticks[1] + number(14)];
            }
        }
        // USER_HZ is 100 on all that Linux runs on but alpha.
        let [code, traps] = ticks.map(|ticks| ticks / 100.0);
        Processor { code, traps }
    }
}

impl Drop for Uml {
    fn drop(&mut self) {
        // An error means that it had ended by itself.
        let _ = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", self.linux.id())])
            .status();
        let _ = self.linux.wait();
    }
}
