//! A small box in namespaces: real busybox init as PID 1 on a root file system of its own, which stands for the flash.
//!
//! Needs root, util-linux and Debian's `busybox-static`; it says so where one is missing, because a story that is
//! skipped in silence proves nothing. In a pid namespace reboot(2) ends the namespace's init by SIGHUP (pid_namespaces(7)), so a reboot can be seen.

pub mod boxes;

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The inittab of a box with a service, a login shell, and shutdown lines that would hurt us.
pub const INITTAB: &str = "::sysinit:/bin/true\n\
    ::respawn:/bin/sh /etc/service\n\
    # a comment\n\
    ::restart:/sbin/init\n\
    ::ctrlaltdel:/bin/reboot\n\
    ::shutdown:/bin/umount -a -r\n\
    ::shutdown:/bin/swapoff -a\n";

/// What a box is made of.
pub struct Kind<'a> {
    /// Its inittab; `None` for none.
    pub inittab: Option<&'a str>,
    /// Whether `/dev` is a mount of its own.
    pub dev_is_mounted: bool,
    /// The program that is `/sbin/init`, in place of busybox.
    pub init: Option<&'a Path>,
    /// The program that takes the box over, in place of the example.
    pub program: Option<&'a Path>,
    /// The busybox to use; `None` for Debian's.
    pub busybox: Option<&'a Path>,
    /// The command that becomes PID 1.
    pub exec: &'a str,
    /// Its name in `/proc/1/comm`, by which it is seen to be up.
    pub comm: &'a str,
    /// Whether the service of [`INITTAB`] runs, which is waited for.
    pub serves: bool,
    /// Shell commands in the finished root directory, before it becomes the root.
    pub setup: &'a str,
    /// Shell commands in the new root, the last before init.
    pub last: &'a str,
    /// More for unshare, such as `--cgroup`.
    pub unshare: &'a [&'a str],
}

impl Default for Kind<'_> {
    fn default() -> Self {
        Self {
            inittab: Some(INITTAB),
            dev_is_mounted: true,
            init: None,
            program: None,
            busybox: None,
            exec: "/sbin/init",
            comm: "init",
            serves: true,
            setup: "true",
            last: "true",
            unshare: &[],
        }
    }
}

pub struct LittleBox {
    pub name: String,
    dir: PathBuf,
    unshare: Child,
    pub init: u32,
    events: UnixDatagram,
}

/// Where these stories put what they build.
fn target() -> PathBuf {
    let target = std::env::current_exe()
        .expect("known")
        .ancestors()
        .nth(3)
        .expect("target/debug/deps/x")
        .join("stages-static");
    fs::create_dir_all(&target).expect("made");
    target
}

/// The example, linked statically as the product is: the RAM root has no libraries.
fn example() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = target();
        let status = Command::new(env!("CARGO"))
            .args([
                "rustc",
                "--quiet",
                "--package",
                "stages",
                "--example",
                "box",
                "--target-dir",
            ])
            .arg(&target)
            .args(["--", "-Ctarget-feature=+crt-static"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the example cannot be built");
        target.join("debug/examples/box")
    })
}

/// The same for a PC of 32 bits.
#[allow(dead_code, reason = "not every story file needs it")]
pub fn example_of_32_bits() -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist/box-i586");
    assert!(program.exists(), "this story needs dist/box-i586: cross/build box-i586");
    program
}

/// Debian's static busybox, installed when it is missing.
fn busybox() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found = || {
            ["/bin/busybox", "/usr/bin/busybox"]
                .into_iter()
                .map(PathBuf::from)
                .find(|path| path.exists())
        };
        found().unwrap_or_else(|| {
            let _ = Command::new("apt-get")
                .args(["install", "-y", "--no-install-recommends", "busybox-static"])
                .output();
            found().expect("these stories need busybox: apt-get install busybox-static")
        })
    })
}

#[allow(dead_code, reason = "not every story file needs everything")]
impl LittleBox {
    pub fn start() -> Self {
        Self::with_inittab(Some(INITTAB))
    }

    /// `None` starts it without the file.
    pub fn with_inittab(inittab: Option<&str>) -> Self {
        Self::build(inittab, true)
    }

    /// `dev_is_mounted` false puts the device nodes on the root file system itself, as old boxes have them.
    pub fn build(inittab: Option<&str>, dev_is_mounted: bool) -> Self {
        Self::of(&Kind {
            inittab,
            dev_is_mounted,
            ..Kind::default()
        })
    }

    /// A box of any kind.
    pub fn of(kind: &Kind<'_>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "stages-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let events = SocketAddr::from_abstract_name(&name)
            .and_then(|address| UnixDatagram::bind_addr(&address))
            .expect("bound");
        events.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir_all(&dir).expect("made");
        let inittab = kind.inittab.map_or("true".to_owned(), |text| {
            format!("printf '%s' '{}' >etc/inittab", text.replace('\'', "'\\''"))
        });
        let dev = if kind.dev_is_mounted {
            "mount -t tmpfs -o mode=755 dev dev"
        } else {
            "true"
        };
        let init = kind.init.map_or_else(
            || "ln -s ../bin/busybox sbin/init".to_owned(),
            |path| format!("cp {} sbin/init", path.display()),
        );
        // Init's descriptors lie on the old root on purpose: that is what stage two is for.
        let script = format!(
            "set -e; mount -t tmpfs -o mode=755 thebox {dir}; cd {dir}; cp {example} box; \
             mkdir bin sbin etc dev proc sys tmp run mnt mnt/data old; cp {busybox} bin/busybox; \
             for a in sh init true reboot umount swapoff sleep cat mount; do ln -s busybox bin/$a; done; {init}; \
             {inittab}; echo 'while :; do echo $$ >/tmp/service; sleep 1; done' >etc/service; \
             {dev}; mknod dev/null c 1 3; mknod dev/zero c 1 5; mknod dev/urandom c 1 9; mkfifo dev/console; mkfifo etc/console; \
             mount -t proc proc proc; mount -t sysfs sysfs sys; mount -t tmpfs run run; mount -t tmpfs data mnt/data; mkdir mnt/data/deep; \
             mount -t tmpfs deep mnt/data/deep; {setup}; pivot_root . old; cd /; /bin/busybox umount -l /old; {last}; \
             exec {exec} <>/etc/console >/etc/console 2>&1",
            dir = dir.display(),
            example = kind.program.unwrap_or_else(|| example()).display(),
            busybox = kind.busybox.unwrap_or_else(|| busybox()).display(),
            setup = kind.setup,
            last = kind.last,
            exec = kind.exec,
        );
        let unshare = Command::new("unshare")
            .args(kind.unshare)
            .args(["--mount", "--pid", "--fork", "sh", "-c", &script])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .spawn()
            .expect("these stories need root and unshare of util-linux");
        let mut this = Self {
            name,
            dir,
            unshare,
            init: 0,
            events,
        };
        this.wait_until("init is up", |this| {
            let children = format!("/proc/{0}/task/{0}/children", this.unshare.id());
            this.init = fs::read_to_string(children)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0);
            assert!(this.is_up(), "the box did not start");
            this.comm() == kind.comm && (!kind.serves || this.service().is_some())
        });
        this
    }

    pub fn comm(&self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.init))
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// The pid that the service wrote, as seen in the box. A box without inittab has none.
    pub fn service(&self) -> Option<String> {
        if !self.root().join("etc/inittab").exists() {
            return Some(String::new());
        }
        fs::read_to_string(self.root().join("tmp/service"))
            .ok()
            .filter(|text| text.ends_with('\n'))
    }

    /// The box's root as it is now, from outside.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.init))
    }

    /// What is mounted where, without the numbers that change.
    pub fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", self.init)).unwrap_or_default();
        let mut mounts: Vec<String> = table
            .lines()
            .filter_map(|line| {
                let (left, right) = line.split_once(" - ")?;
                Some(format!("{} {}", left.split(' ').nth(4)?, right))
            })
            .collect();
        mounts.sort();
        mounts
    }

    /// A command in the box's namespaces. `before` goes in front of nsenter, for strace.
    pub fn command(&self, before: &[&str], words: &[&str]) -> Command {
        let pid = self.init.to_string();
        let all: Vec<&str> = before
            .iter()
            .copied()
            .chain(["nsenter", "-t", &pid, "-m", "-p", "-r", "-w"])
            .chain(words.iter().copied())
            .collect();
        let mut command = Command::new(all[0]);
        command
            .args(&all[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, before: &[&str], words: &[&str]) -> Output {
        self.command(before, words).output().expect("runs")
    }

    pub fn apply(&self, options: &[&str]) -> Output {
        self.run(&[], &[&["/box", "apply", &self.name], options].concat())
    }

    /// The next reports up to the one that contains `text`, which is the last of them.
    pub fn until(&self, text: &str) -> Vec<String> {
        let start = Instant::now();
        let mut seen = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        // A real init waits for the disks of this machine (sync(2)), which other tests write to.
        while start.elapsed() < Duration::from_secs(180) {
            if let Ok(n) = self.events.recv(&mut buffer) {
                seen.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
                if seen.last().is_some_and(|last| last.contains(text)) {
                    return seen;
                }
            }
        }
        // Whether process 1 waits, and for what, or has ended.
        let now = ["status", "stack", "syscall"].map(|file| {
            let text = fs::read_to_string(format!("/proc/{}/{file}", self.init));
            text.unwrap_or_else(|error| format!("{file}: {error}"))
        });
        panic!(
            "no report of {text:?}; there were:\n{}\nprocess 1 now:\n{}",
            seen.join("\n"),
            now.join("\n")
        );
    }

    /// Forgets the reports so far; the queue of the socket is short, and a full one holds the box up.
    pub fn forget_reports(&self) {
        self.events.set_nonblocking(true).expect("set");
        while self.events.recv(&mut [0; 16]).is_ok() {}
        self.events.set_nonblocking(false).expect("set");
    }

    /// Waits for the box to reboot.
    pub fn reboots(&mut self) {
        self.wait_until("the box reboots", |this| match this.unshare.try_wait() {
            Ok(Some(status)) => {
                assert_eq!(status.signal(), Some(1), "the box ended otherwise: {status}");
                true
            }
            _ => false,
        });
    }

    pub fn is_up(&mut self) -> bool {
        matches!(self.unshare.try_wait(), Ok(None))
    }

    /// The pid that the service wrote. It writes it again and again, so the file is empty for a moment.
    pub fn serving(&mut self) -> String {
        let mut pid = None;
        self.wait_until("the service has written its pid", |this| {
            pid = this.service();
            pid.is_some()
        });
        pid.unwrap_or_default()
    }

    /// PID 1 goes on that was told to pause ([`PAUSE`]).
    pub fn go(&self) {
        fs::write(self.root().join("go"), "").expect("written");
    }

    /// Services go on: the one that is killed comes back from the old root.
    pub fn service_is_respawned(&mut self) {
        let before = self.serving();
        fs::remove_file(self.root().join("tmp/service")).expect("removed");
        self.run(&[], &["/bin/busybox", "kill", before.trim()]);
        self.wait_until("the service comes back", |this| {
            this.service().is_some_and(|now| now != before)
        });
    }

    /// The pids, as seen from outside, of the processes of the box with this command line.
    pub fn pids(&self, command_line: &str) -> Vec<u32> {
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let ours = namespace(self.init);
        fs::read_dir("/proc")
            .expect("readable")
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|&pid| {
                let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let words = String::from_utf8_lossy(&words).replace('\0', " ");
                words.trim_end() == command_line && namespace(pid) == ours
            })
            .collect()
    }

    /// Waits until a process with this command line runs.
    pub fn runs(&mut self, command_line: &str) {
        self.wait_until(command_line, |this| !this.pids(command_line).is_empty());
    }

    /// Kills the caller that [`STAYS`]. Stage one, which has the same command line, has a session of its own.
    pub fn ends_caller(&self) {
        let line = ["/box apply ", &self.name, " ", &STAYS.join(" ")].concat();
        for pid in self.pids(&line) {
            let session = |pid| nix::unistd::getsid(pid).ok();
            if session(Some(nix::unistd::Pid::from_raw(pid.cast_signed()))) == session(None) {
                let _ = signals("-KILL", pid);
            }
        }
    }

    /// Kills the processes with this command line.
    pub fn ends(&self, command_line: &str) {
        for pid in self.pids(command_line) {
            let _ = signals("-KILL", pid);
        }
    }

    /// Replaces the restart line, sends HUP and QUIT at once, and answers which of the lines init acted on within ten seconds: `old`,
    /// `new` or `neither`.
    pub fn restarts_after_bare_signals(&self) -> String {
        let root = self.root();
        for which in ["old", "new"] {
            let path = root.join("etc").join(which);
            fs::write(
                &path,
                format!("#!/bin/sh\necho {which} >/mnt/data/restarted\nsleep 600\n"),
            )
            .expect("written");
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
        }
        // No shutdown line: `umount -a` would take the answer away.
        let inittab = |which| {
            let text = format!("::respawn:/bin/sh /etc/service\n::restart:/etc/{which}\n");
            fs::write(root.join("etc/inittab"), text).expect("written");
        };
        inittab("old");
        // To read it changes this, as it was written since it was last read (mount(8), relatime).
        let read = || {
            fs::metadata(root.join("etc/inittab"))
                .and_then(|about| about.accessed())
                .expect("known")
        };
        let before = read();
        self.run(&[], &["/bin/busybox", "kill", "-HUP", "1"]);
        // Time to act on it, and for versions that miss it now and then the next child that ends.
        let start = Instant::now();
        while read() == before && start.elapsed() < Duration::from_secs(10) {
            sleep(Duration::from_millis(50));
        }
        sleep(Duration::from_millis(500));
        inittab("new");
        signal("-STOP", self.init);
        self.run(&[], &["/bin/busybox", "kill", "-HUP", "1"]);
        self.run(&[], &["/bin/busybox", "kill", "-QUIT", "1"]);
        signal("-CONT", self.init);
        let answer = root.join("mnt/data/restarted");
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            match fs::read_to_string(&answer) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => sleep(Duration::from_millis(50)),
            }
        }
        "neither".to_owned()
    }

    pub fn wait_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(40), "{what}: it did not happen");
            sleep(Duration::from_millis(20));
        }
    }
}

/// PID 1 of these stories begins its work when it is told to ([`LittleBox::go`]), or after a minute.
#[allow(dead_code, reason = "not every story file needs it")]
pub const PAUSE: &str = "pause_ms=60000";

/// The caller of these stories stays until it is ended, and init is told nothing before that.
#[allow(dead_code, reason = "not every story file needs it")]
pub const STAYS: [&str; 3] = ["last_ms=60000", "exit_ms=60000", "grace_ms=50"];

/// The caller of these stories has no sshd that needs a second.
#[allow(dead_code, reason = "not every story file needs it")]
pub const QUICK: [&str; 2] = ["grace_ms=50", "exit_ms=1000"];

/// Takes the box over, to its reboot.
#[allow(dead_code, reason = "not every story file needs it")]
pub fn is_taken_over(mut the_box: LittleBox, story: &str) {
    let output = the_box.apply(&QUICK);
    assert!(output.status.success(), "{story}: {output:?}");
    the_box.until("work done, proof given: true");
    the_box.reboots();
}

/// What the box program makes of PID 1.
#[allow(dead_code, reason = "not every story file needs it")]
pub fn looks(the_box: &LittleBox) -> String {
    let output = the_box.run(&[], &["/box", "look"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Sends a signal to a process by its pid outside of the box.
pub fn signal(name: &str, pid: u32) {
    assert!(signals(name, pid), "kill {name} {pid}");
}

/// Sends a signal to a process that may have ended just now, and tells whether it was still there.
pub fn signals(name: &str, pid: u32) -> bool {
    Command::new("kill")
        .args([name, &pid.to_string()])
        .status()
        .expect("runs")
        .success()
}

impl Drop for LittleBox {
    fn drop(&mut self) {
        if matches!(self.unshare.try_wait(), Ok(None)) {
            let _ = Command::new("kill")
                .args(["-KILL", &self.init.to_string(), &self.unshare.id().to_string()])
                .status();
            let _ = self.unshare.wait();
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

/// A box with a stand-in for an old busybox init, see `inits/old_init.c`.
#[allow(dead_code, reason = "not every story file needs it")]
pub struct OldInit<'a> {
    /// Such as `1.13`.
    pub version: &'a str,
    /// How long one of its seconds takes.
    pub unit_ms: u32,
    /// More words for it.
    pub words: &'a str,
    /// The rest of the box; `init` and `exec` are not looked at.
    pub kind: Kind<'a>,
}

#[allow(dead_code, reason = "not every story file needs it")]
impl<'a> OldInit<'a> {
    pub fn of(version: &'a str) -> Self {
        Self {
            version,
            unit_ms: 50,
            words: "",
            kind: Kind::default(),
        }
    }

    pub fn start(&self) -> LittleBox {
        LittleBox::of(&Kind {
            init: Some(old_init(self.words == "noinittab")),
            exec: &format!("/sbin/init {} {} {}", self.version, self.unit_ms, self.words),
            ..self.kind
        })
    }
}

/// Without inittab it is a program of its own, because that is what tells them apart.
fn old_init(without_inittab: bool) -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    static WITHOUT: OnceLock<PathBuf> = OnceLock::new();
    let (built, name, define) = if without_inittab {
        (&WITHOUT, "old_init_without_inittab", "-DNO_INITTAB")
    } else {
        (&BUILT, "old_init", "-DINITTAB")
    };
    built.get_or_init(|| compile("old_init", name, &[define]))
}

/// A stand-in of `inits/`, compiled statically.
#[allow(dead_code, reason = "not every story file needs it")]
pub fn stand_in(source: &str) -> PathBuf {
    compile(source, source, &[])
}

/// `inits/stubborn.c`, for processes of 64 bits or of 32.
#[allow(dead_code, reason = "not every story file needs it")]
pub fn stubborn(bits: u32) -> PathBuf {
    let words = [
        "-nostdlib",
        "-ffreestanding",
        "-fno-stack-protector",
        "-fno-pie",
        "-no-pie",
    ];
    compile(
        "stubborn",
        &format!("stubborn{bits}"),
        &[&words[..], &[&format!("-m{bits}")]].concat(),
    )
}

fn compile(source: &str, name: &str, words: &[&str]) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let program = target().join(format!("{name}.{}.{count}", std::process::id()));
    let source = format!("tests/inits/{source}.c");
    let status = Command::new("cc")
        .args(["-static", "-O1", "-Wall", "-Wextra", "-Werror"])
        .args(words)
        .arg("-o")
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source))
        .status()
        .expect("these stories need a C compiler: apt-get install gcc libc6-dev");
    assert!(status.success(), "the stand-in cannot be compiled");
    // Under one name for all: stories run beside each other, and a program that runs cannot be written to.
    let last = target().join(name);
    fs::rename(&program, &last).expect("renamed");
    last
}

/// Programs of Debian packages, unpacked in one directory of the cache.
#[allow(dead_code, reason = "not every story file needs it")]
pub fn unpacked(suite: &str, packages: &[&str]) -> PathBuf {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inits/fetch"))
        .arg(suite)
        .args(packages)
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
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
