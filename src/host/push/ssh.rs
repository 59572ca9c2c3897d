//! The user's own `ssh`, as child processes: one that holds the connection, so that a password is asked for once, and one for
//! each command on the box. Where the server takes no more than one command over a connection (`MaxSessions` of sshd_config(5),
//! and servers that cannot do more), each command has a connection of its own. Nothing but commands with standard input and output is used: boxes with dropbear often have
//! neither scp nor sftp.

#![forbid(unsafe_code)]

use super::heard::{ANSWER, Heard, Said, Until};
use super::interrupt::Interrupt;
use super::scratch::Scratch;
use super::shell;
use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::quoted::{Quoted, printable};
use crate::cli::push::Push;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cell::{Cell, OnceCell};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// ssh's own exit code where it, and not the command, failed (ssh(1)).
const FAILED: i32 = 255;
/// What ssh says whose connection to share has all the sessions that the server allows (`mux_session_confirm` in OpenSSH's
/// `mux.c`). The command was not started.
const NO_SESSION: &str = "Session open refused by peer";
/// What ssh says where the box has another host key than before (`warn_changed_key` in OpenSSH's `sshconnect.c`).
const CHANGED: &str = "HOST IDENTIFICATION HAS CHANGED";

/// The way to a box.
pub struct Ssh<'a> {
    options: &'a Push,
    scratch: Scratch,
    interrupt: Interrupt,
    /// What it says that it would do, by the user's own configuration; nothing of an old one, which does not say.
    configured: OnceCell<String>,
}

/// How a host key that is not known is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKey {
    /// As the user's own configuration says.
    Known,
    /// One that the user's own files know, or else another one, which is kept for this run only. To a box with another key than the
    /// known one ssh gives no password.
    Any,
    /// The key of a firmware that has just been installed is taken, and kept for this run only.
    New,
}

/// One try to connect.
#[derive(Clone, Copy)]
pub struct Try {
    /// How a host key that is not known is met.
    pub key: HostKey,
    /// How long the box may take to answer.
    pub timeout: Duration,
    /// Whether what ssh says is shown.
    pub aloud: bool,
}

/// A connection that was not made.
pub struct Refused {
    /// What ssh said.
    pub said: String,
}

impl Refused {
    /// Whether the box has shown another host key than the one that is known, or one that nobody knows.
    pub fn is_host_key(&self) -> bool {
        self.said.contains("Host key verification failed") || self.said.contains(CHANGED)
    }

    /// Why, in one line.
    pub fn why(&self) -> &str {
        let mut lines = self.said.lines().rev();
        lines.find(|line| !line.trim().is_empty()).unwrap_or("ssh ended")
    }
}

/// A connection. It ends when this is dropped.
pub struct Connection<'a> {
    ssh: &'a Ssh<'a>,
    master: Child,
    socket: PathBuf,
    key: HostKey,
    timeout: Duration,
    said: Said,
    /// Whether commands go through the one connection.
    shared: Cell<bool>,
}

/// What came of a command on the box.
pub struct Answer {
    /// Its exit code.
    pub status: ExitStatus,
    /// What it said.
    pub stdout: Vec<u8>,
    /// The end of what it said on standard error.
    pub said: String,
}

impl<'a> Ssh<'a> {
    /// Nothing is done yet.
    ///
    /// # Errors
    /// No directory for a socket.
    pub fn new(options: &'a Push, interrupt: &Interrupt) -> Result<Ssh<'a>> {
        Ok(Ssh {
            options,
            scratch: Scratch::create()?,
            interrupt: interrupt.clone(),
            configured: OnceCell::new(),
        })
    }

    /// The name of the box as the user typed it.
    pub fn host(&self) -> &'a str {
        &self.options.host
    }

    /// The name of the box without that of the user.
    pub fn box_name(&self) -> &'a str {
        self.host().rsplit('@').next().unwrap_or_default()
    }

    /// The value of a keyword of ssh_config(5) for this box.
    fn configured(&self, keyword: &str) -> Option<&str> {
        let said = self.configured.get_or_init(|| {
            let mut command = self.program();
            command.args(self.users()).args(["-G", "--", self.host()]);
            let said = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
            said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
                .unwrap_or_default()
        });
        said.lines()
            .find_map(|line| line.strip_prefix(keyword)?.strip_prefix(' '))
    }

    /// The name or address that ssh connects to, by the user's own configuration; of an old ssh that does not say, what was typed.
    pub fn resolved(&self) -> String {
        self.configured("hostname").unwrap_or(self.box_name()).to_owned()
    }

    /// Where keys are kept that this run takes.
    fn taken(&self) -> PathBuf {
        self.scratch.path().join("known_hosts")
    }

    /// The program without its options.
    fn program(&self) -> Command {
        Command::new(&self.options.ssh[0])
    }

    /// The user's options, behind ours: of several the first counts (ssh_config(5)).
    fn users(&self) -> &[String] {
        &self.options.ssh[1..]
    }

    /// The program with what every connection of its own has.
    fn connecting(&self, key: HostKey, timeout: Duration) -> Command {
        let mut command = self.program();
        command.args(["-T", "-x", "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none"]);
        // A box that does not answer for a minute has gone.
        command.args(["-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=6"]);
        command.arg("-o").arg(format!("ConnectTimeout={}", timeout.as_secs()));
        let taken = self.taken();
        let (files, checking) = match (key, self.configured("userknownhostsfile")) {
            (HostKey::New, _) => (taken.display().to_string(), "accept-new"),
            // A new one goes into the first file.
            (HostKey::Any, Some(known)) => (format!("{} {known}", taken.display()), "no"),
            (HostKey::Any, None) | (HostKey::Known, _) => return command,
        };
        command.arg("-o").arg(format!("UserKnownHostsFile={files}"));
        command.arg("-o").arg(format!("StrictHostKeyChecking={checking}"));
        command.args(["-o", "CheckHostIP=no"]);
        if key == HostKey::New {
            command.args(["-o", "GlobalKnownHostsFile=/dev/null"]);
        }
        command
    }

    /// Connects. Whatever has to be asked, ssh asks at the terminal.
    ///
    /// # Errors
    /// An ssh that cannot be started; [`Refused`] where it made no connection.
    pub fn connect(&'a self, try_of: Try) -> Result<std::result::Result<Connection<'a>, Refused>> {
        let Try { key, timeout, aloud } = try_of;
        let socket = self.scratch.path().join("s");
        let _ = std::fs::remove_file(&socket);
        let mut command = self.connecting(key, timeout);
        command.args(["-o", "ControlMaster=yes", "-o", "ControlPersist=no"]);
        command.arg("-S").arg(&socket);
        // It lasts as long as its standard input, which ends with us, whatever ends us.
        let hold = shell::command(OsStr::new("cat >/dev/null"));
        command.args(self.users()).arg("--").arg(self.host()).arg(hold);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut master = command.spawn().map_err(|error| {
            let words = Quoted(&self.options.ssh[0]);
            Failure::system(format_args!("{words}: {error}")).hint("install OpenSSH's client, or name it with --ssh")
        })?;
        let mut said = Said::of(master.stderr.take(), aloud);
        loop {
            if let Some(_ended) = master.try_wait().map_err(Failure::system)? {
                return Ok(Err(Refused { said: said.text() }));
            }
            if socket.exists() {
                return Ok(Ok(Connection {
                    ssh: self,
                    master,
                    socket,
                    key,
                    timeout,
                    said,
                    shared: Cell::new(true),
                }));
            }
            if self.interrupt.asked() {
                end(&mut master);
                return Ok(Err(Refused {
                    said: "stopped by ^C".to_owned(),
                }));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Connection<'_> {
    /// A command on the box, not started yet.
    pub fn command(&self, script: &OsStr) -> Command {
        let mut command = match self.shared.get() {
            true => {
                let mut command = self.ssh.program();
                command.args(["-T", "-x", "-o", "RemoteCommand=none"]);
                command.arg("-S").arg(&self.socket);
                // Through this connection or not at all: a second one might ask for a password in the midst of something.
                command.args(["-o", "ProxyCommand=false", "-o", "LogLevel=ERROR"]);
                command
            }
            false => {
                let mut command = self.ssh.connecting(self.key, self.timeout);
                command.args(["-S", "none"]);
                command
            }
        };
        command.args(["-o", "ControlMaster=no"]);
        command
            .args(self.ssh.users())
            .arg("--")
            .arg(self.ssh.host())
            .arg(shell::command(script));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Whether a command was not started because the server allows no more over this connection. From then on each has a
    /// connection of its own.
    pub fn is_full(&self, status: Option<i32>, said: &str) -> bool {
        let full = self.shared.get() && status == Some(FAILED) && said.contains(NO_SESSION);
        self.shared.set(self.shared.get() && !full);
        full
    }

    /// Whether the box has another host key than the user's files know.
    pub fn has_other_key(&self) -> bool {
        self.said.so_far().contains(CHANGED) || self.ssh.taken().metadata().is_ok_and(|about| about.len() > 0)
    }

    /// Whether all commands go through one connection.
    pub fn is_shared(&self) -> bool {
        self.shared.get()
    }

    /// Runs a script on the box with this for its standard input.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] where the connection broke, or nobody waits any longer.
    pub fn run(&self, script: &OsStr, input: &[u8]) -> Result<Answer> {
        let until = self.until();
        let mut child = self.command(script).spawn().context("ssh")?;
        let mut said = Said::of(child.stderr.take(), false);
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut answer = Vec::new();
        let status = thread::scope(|scope| {
            scope.spawn(|| {
                // Whoever has heard enough does not read to the end; the exit code says what became of it.
                let _ = stdin.map(|mut stdin| stdin.write_all(input));
            });
            let read = stdout.map(|stdout| {
                let mut heard = Heard::new(stdout, until.clone()).take(ANSWER + 1);
                heard.read_to_end(&mut answer)
            });
            let whole = match read {
                Some(Ok(length)) if length as u64 > ANSWER => Err(std::io::Error::other("its answer does not end")),
                Some(Err(error)) => Err(error),
                _ => Ok(()),
            };
            if whole.is_err() {
                let _ = child.kill();
            }
            let status = until.ended(&mut child);
            whole.and(status)
        });
        let status = status.map_err(|error| self.broken(&error.to_string()))?;
        let said = said.text();
        match status.code() {
            code if !Connection::breaks(code) => Ok(Answer {
                status,
                stdout: answer,
                said,
            }),
            code if self.is_full(code, &said) => self.run(script, input),
            _ => Err(self.broken(&said)),
        }
    }

    /// How long a command is waited for.
    pub fn until(&self) -> Until {
        Until::from_now(&self.ssh.interrupt)
    }

    /// Whether an ssh that ended with this code has lost the box, or was ended itself: what the box did with the script is not known.
    pub fn breaks(code: Option<i32>) -> bool {
        code.is_none_or(|code| code == FAILED)
    }

    /// Whether the connection is still there.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.master.try_wait(), Ok(None))
    }

    /// The failure of a connection that broke before anything was written.
    pub fn broken(&self, said: &str) -> Failure {
        // What ssh says where it finds no connection to share tells nothing.
        let mut lines = said.lines().rev().map(str::trim);
        let why = lines.find(|line| !line.is_empty() && !line.starts_with("kex_exchange_identification"));
        let host = self.ssh.host();
        let what = match why {
            Some(why) => format!("the connection to {host} broke: {}", printable(why)),
            None => format!("the connection to {host} broke"),
        };
        Failure::new(Exit::Unreachable, Code::Connection, what).hint("the same command again")
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        end(&mut self.master);
    }
}

/// Asks an ssh to end, which then takes its socket away.
fn end(child: &mut Child) {
    if let Ok(None) = child.try_wait()
        && let Ok(pid) = i32::try_from(child.id())
    {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        let _ = child.wait();
    }
}
