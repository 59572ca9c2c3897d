//! A box in recovery mode and the machine beside it: two network namespaces with a cable between them.

use crate::recovery::{Kind, cat, partitions};
use crate::simbox::Run;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// The address in the page's entry for ISC dhcpd.
pub const MAC: &str = "00:50:43:3c:3b:5d";

#[track_caller]
pub fn ip(args: &str) {
    let output = Command::new("ip")
        .args(args.split_whitespace())
        .output()
        .unwrap_or_else(|e| panic!("ip: {e}: tests/install base installs it"));
    assert!(
        output.status.success(),
        "ip {args}: {output:?}\nThese stories need network namespaces: run them as root, where `ip netns add` may be done."
    );
}

/// Two machines with a cable.
pub struct Cable {
    pub machine: String,
    pub boxed: String,
    pub dir: TempDir,
}

impl Cable {
    /// The addresses are `ADDRESS/LENGTH`; a box that has none yet asks by DHCP.
    pub fn new(machine: &str, boxed: Option<&str>) -> Cable {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let cable = Cable {
            machine: format!("flasher-m{id}"),
            boxed: format!("flasher-b{id}"),
            dir: TempDir::new().unwrap(),
        };
        let (m, b) = (&cable.machine, &cable.boxed);
        ip(&format!("netns add {m}"));
        ip(&format!("netns add {b}"));
        ip(&format!(
            "link add name eth7 netns {m} type veth peer name egiga0 address {MAC} netns {b}"
        ));
        ip(&format!("-n {m} addr add {machine} dev eth7"));
        if let Some(boxed) = boxed {
            ip(&format!("-n {b} addr add {boxed} dev egiga0"));
        }
        for (namespace, link) in [(m, "lo"), (m, "eth7"), (b, "lo"), (b, "egiga0")] {
            ip(&format!("-n {namespace} link set {link} up"));
        }
        cable
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A proper image under this name.
    pub fn image(&self, kind: &Kind, name: &str) -> Vec<u8> {
        let image = cat(kind, &partitions(kind, self.dir.path(), "F_TS-219"));
        fs::write(self.path(name), &image).unwrap();
        image
    }

    pub fn command(&self, namespace: &str, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, program]).args(args);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// What the box does.
    pub fn client(&self, program: &str, args: &[&str]) -> Output {
        self.command(&self.boxed, program, args).output().unwrap()
    }

    /// `recovery serve --once` on the machine, once it says that it listens.
    pub fn serve(&self, args: &[&str]) -> Server {
        self.serve_on(&[&["--once"][..], args].concat())
    }

    /// `recovery serve` on the machine, for any number of boxes.
    pub fn serve_on(&self, args: &[&str]) -> Server {
        let all = [&["recovery", "serve"][..], args].concat();
        Server::start(self.command(&self.machine, env!("CARGO_BIN_EXE_flasher"), &all))
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.machine, &self.boxed] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
    }
}

/// A server that runs.
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    heard: String,
}

impl Server {
    pub fn start(mut command: Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out: Box<dyn Read + Send> = Box::new(child.stdout.take().unwrap());
        let err: Box<dyn Read + Send> = Box::new(child.stderr.take().unwrap());
        for pipe in [out, err] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let mut server = Server {
            child,
            lines,
            heard: String::new(),
        };
        // The last line before it waits.
        server.hears("hold the reset button");
        server
    }

    /// Waits until it says this.
    #[track_caller]
    pub fn hears(&mut self, text: &str) {
        while !self.heard.contains(text) {
            match self.lines.recv_timeout(Duration::from_secs(30)) {
                Ok(line) => self.heard.push_str(&(line + "\n")),
                Err(_) => panic!("it never said {text:?}:\n{}", self.heard),
            }
        }
    }

    /// Waits for its end.
    pub fn end(mut self) -> Run {
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(60)) {
            self.heard.push_str(&(line + "\n"));
        }
        Run {
            exit: self.child.wait().unwrap().code().unwrap_or(-1),
            out: std::mem::take(&mut self.heard),
            err: String::new(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
