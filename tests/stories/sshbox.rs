//! A box behind a real ssh server on this machine: what runs there is real, its flash is simulated, and its boot, its RAM
//! and its processor are files.

use crate::simbox::{Run, SimBox, read, tool};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What the login of the box does instead of running what it is told: the same, with the box's own files for the machine's.
const LOGIN: &str = r#"#!/bin/sh
box=@DIR@
echo $PPID $(cut -d ' ' -f 22 /proc/$PPID/stat) >>$box/sessions
echo "Welcome to the box"
command=$(printf '%s\n' "$SSH_ORIGINAL_COMMAND" | sed \
    -e "s,/proc/sys/kernel/random/boot_id,$box/boot," \
    -e "s,/proc/self/status,$box/user," \
    -e "s,/proc/self/exe,$box/head," \
    -e "s,for place in .*; do,for place in $box/ram; do," \
    -e "s,for file in .*; do,for file in $box/own/flasher; do,")
[ -e $box/hook ] && . $box/hook
exec sh -c "$command"
"#;

/// The ssh server's child processes and files; they go away with it.
pub struct SshBox {
    pub sim: SimBox,
    server: Option<Child>,
    pub port: u16,
    /// Where the workstation connects to, if not to the server itself.
    through: Option<u16>,
    dropbear: bool,
    /// More of the server's configuration.
    more: String,
    /// Nobody gets in without the password.
    password: bool,
}

/// The password of servers that want one.
pub const PASSWORD: &str = "a 'pass' word";

/// OpenSSH's server with this configuration, whose root has [`PASSWORD`] if only that lets him in. What it needs lies in this
/// directory.
pub fn sshd(config: &Path, password: bool, dir: &Path) -> Command {
    // It insists on this directory.
    let _ = fs::create_dir_all("/run/sshd");
    let mut server = Command::new("/usr/sbin/sshd");
    if password {
        let hash = tool("openssl", &["passwd", "-6", PASSWORD]).stdout;
        let hash = String::from_utf8(hash).unwrap();
        let shadow = dir.join("shadow");
        fs::write(&shadow, format!("root:{}:20000:0:99999:7:::\n", hash.trim())).unwrap();
        server = Command::new("unshare");
        server.args([
            "-m",
            "sh",
            "-c",
            "mount --bind \"$0\" /etc/shadow && exec /usr/sbin/sshd \"$@\"",
        ]);
        server.arg(shadow);
    }
    server.args(["-D", "-e", "-f"]).arg(config);
    server
}

/// How such a server lets people in.
pub fn logins(password: bool) -> &'static str {
    match password {
        true => "PasswordAuthentication yes\nPubkeyAuthentication no\nPermitRootLogin yes\n",
        false => "PasswordAuthentication no\n",
    }
}

/// The program, without what a debugger needs.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("flasher-{}", std::process::id()));
        tool("strip", &["-o", path.to_str().unwrap(), env!("CARGO_BIN_EXE_flasher")]);
        path
    })
}

/// A port that nobody else gets while the box's server is away: each is given once, and below those that the kernel gives.
fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const PORTS: u32 = 20_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(100);
    let free = || {
        let port = FIRST + begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = u16::try_from(port).expect("below 32,768");
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    };
    (0..PORTS).find_map(|_| free()).expect("a free port")
}

impl SshBox {
    /// Behind OpenSSH's server.
    pub fn new() -> SshBox {
        SshBox::of(SimBox::of_anything("qnap-ts219"), false)
    }

    /// Behind dropbear, which has neither scp nor sftp here.
    pub fn dropbear() -> SshBox {
        SshBox::of(SimBox::of_anything("qnap-ts219"), true)
    }

    /// Another box behind OpenSSH's server.
    pub fn with(sim: SimBox) -> SshBox {
        SshBox::of(sim, false)
    }

    fn of(sim: SimBox, dropbear: bool) -> SshBox {
        let mut new = SshBox {
            sim,
            server: None,
            port: free_port(),
            through: None,
            dropbear,
            more: String::new(),
            password: false,
        };
        new.key("id");
        fs::copy(new.file("id.pub"), new.file("authorized_keys")).unwrap();
        let keys = new.file("home/.ssh");
        fs::create_dir_all(&keys).unwrap();
        fs::copy(new.file("id.pub"), keys.join("authorized_keys")).unwrap();
        // dropbear ignores keys that others could have written.
        for (path, mode) in [
            (new.file("home"), 0o700),
            (keys.clone(), 0o700),
            (keys.join("authorized_keys"), 0o600),
        ] {
            fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        }
        fs::create_dir(new.file("ram")).unwrap();
        fs::create_dir(new.file("own")).unwrap();
        fs::write(new.file("user"), "Name:\tsh\nUid:\t0\t0\t0\t0\n").unwrap();
        fs::write(new.file("head"), &read(binary())[..64]).unwrap();
        let login = new.file("login");
        fs::write(&login, LOGIN.replace("@DIR@", new.sim.dir.path().to_str().unwrap())).unwrap();
        fs::set_permissions(&login, PermissionsExt::from_mode(0o755)).unwrap();
        new.boots();
        new.new_host_key();
        let port = new.port;
        new.trusts(port);
        new.start();
        new
    }

    /// A file beside the box.
    pub fn file(&self, name: &str) -> PathBuf {
        self.sim.dir.path().join(name)
    }

    fn key(&self, name: &str) {
        let path = self.file(name);
        let _ = fs::remove_file(&path);
        let path = path.to_str().unwrap();
        tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", path]);
    }

    /// Makes the box's host key anew.
    pub fn new_host_key(&self) {
        self.key("host");
        if self.dropbear {
            let (from, to) = (self.file("host"), self.file("host.dropbear"));
            let _ = fs::remove_file(&to);
            let paths = [from.to_str().unwrap(), to.to_str().unwrap()];
            // dropbear reads OpenSSH's old form of keys only.
            tool("dropbearkey", &["-t", "ed25519", "-f", paths[1]]);
            let public = tool("dropbearkey", &["-y", "-f", paths[1]]).stdout;
            let public = String::from_utf8(public).unwrap();
            let line = public.lines().find(|line| line.starts_with("ssh-")).unwrap();
            fs::write(self.file("host.pub"), line).unwrap();
        }
    }

    /// The workstation knows the host key that the box has now.
    pub fn trusts(&self, port: u16) {
        let key = fs::read_to_string(self.file("host.pub")).unwrap();
        fs::write(self.file("known_hosts"), format!("[127.0.0.1]:{port} {key}")).unwrap();
    }

    /// The box has another boot id now.
    pub fn boots(&self) {
        let uuid = read(Path::new("/proc/sys/kernel/random/uuid"));
        fs::write(self.file("boot"), uuid).unwrap();
    }

    /// What the box's login does before it runs what it was told: lines for a shell, with `$command` and `$box`.
    pub fn hook(&self, lines: &str) {
        fs::write(self.file("hook"), lines).unwrap();
    }

    /// Starts the server.
    pub fn start(&mut self) {
        let login = self.file("login");
        let mut server = if self.dropbear {
            // It looks for keys nowhere but in the user's home.
            let mut server = Command::new("unshare");
            server.args(["-m", "sh", "-c", "mount --bind \"$0\" ~root && exec \"$@\""]);
            server.arg(self.file("home")).arg("dropbear");
            server.args(["-F", "-E", "-s", "-P"]).arg(self.file("pid"));
            server.arg("-r").arg(self.file("host.dropbear"));
            server.args(["-p", &format!("127.0.0.1:{}", self.port)]);
            server.arg("-c").arg(&login);
            server
        } else {
            let config = format!(
                "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nForceCommand {}\n\
                 PidFile none\nStrictModes no\nUsePAM no\n{}{}",
                self.port,
                self.file("host").display(),
                self.file("authorized_keys").display(),
                login.display(),
                logins(self.password),
                self.more
            );
            fs::write(self.file("sshd_config"), config).unwrap();
            sshd(&self.file("sshd_config"), self.password, self.sim.dir.path())
        };
        let log = fs::File::create(self.file("server.log")).unwrap();
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.server = Some(
            server
                .spawn()
                .expect("tests/install base installs openssh-server and dropbear-bin"),
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                Instant::now() < deadline,
                "no server: {:?}",
                fs::read_to_string(self.file("server.log"))
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it anew with these lines in its configuration, and perhaps for nobody without the password.
    pub fn configured(&mut self, more: &str, password: bool) {
        self.stop();
        more.clone_into(&mut self.more);
        self.password = password;
        self.start();
    }

    /// Ends the server and every connection to it.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        self.cut();
    }

    /// Ends every connection, as a power cut would.
    pub fn cut(&self) {
        let sessions = fs::read_to_string(self.file("sessions")).unwrap_or_default();
        let _ = fs::remove_file(self.file("sessions"));
        for (pid, begun) in sessions.lines().filter_map(|line| line.split_once(' ')) {
            // Somebody else may have its number by now, who has begun later.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.split(' ').nth(21) == Some(begun) {
                let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL);
            }
        }
    }

    /// Puts something between workstation and box.
    pub fn through(&mut self, port: u16) {
        self.through = Some(port);
        self.trusts(port);
    }

    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The workstation's ssh with its configuration.
    fn ssh(&self) -> String {
        let config = format!(
            "Host *\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile {}\n IdentitiesOnly yes\n UserKnownHostsFile {}\n \
             GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n {}\n",
            self.through.unwrap_or(self.port),
            nix::unistd::User::from_uid(nix::unistd::geteuid())
                .unwrap()
                .unwrap()
                .name,
            self.file("id").display(),
            self.file("known_hosts").display(),
            if self.password {
                "PreferredAuthentications password"
            } else {
                "BatchMode yes"
            }
        );
        fs::write(self.file("ssh_config"), config).unwrap();
        format!("ssh -F {}", self.file("ssh_config").display())
    }

    /// `flasher push` to this box, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flasher"));
        command.arg("push").args(["--ssh", &self.ssh()]);
        command.arg("--sim").arg(self.sim.path());
        command.args(args).stdin(Stdio::null());
        command
    }

    /// `flasher --format json push -y` with the program of the tests for the box.
    pub fn push(&self, args: &[&str]) -> Run {
        let mut all = vec!["--format", "json", "-y", "--binary", binary().to_str().unwrap()];
        all.extend(args);
        self.command(&all).output().unwrap().into()
    }

    /// Ships flasher in the firmware of the box.
    pub fn has_its_own(&self) {
        fs::copy(binary(), self.file("own/flasher")).unwrap();
    }

    /// The same as [`SshBox::push`] without a program for the box.
    pub fn own_push(&self, args: &[&str]) -> Run {
        let mut all = vec!["--format", "json", "-y"];
        all.extend(args);
        self.command(&all).output().unwrap().into()
    }

    /// The same, with something that happens when the box was told to write and is waited for.
    pub fn followed(&mut self, args: &[&str], meanwhile: impl FnOnce(&mut SshBox, &Child)) -> Run {
        let mut all = vec!["--format", "json", "-y"];
        all.extend(args);
        let mut child = self
            .command(&all)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut out = String::new();
        while !out.contains("waiting for") && output.read_line(&mut out).unwrap() > 0 {}
        meanwhile(self, &child);
        output.read_to_string(&mut out).unwrap();
        let mut run = Run::from(child.wait_with_output().unwrap());
        run.out = out;
        run
    }

    /// What is left in the box's RAM.
    pub fn left(&self) -> Vec<PathBuf> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let entries = fs::read_dir(self.file("ram")).unwrap();
            let left: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            if left.is_empty() || Instant::now() > deadline {
                return left;
            }
            // Whoever takes it away may still be about it.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for SshBox {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A way to the box that breaks when so many bytes have gone there, once; afterwards it is a good one.
pub struct Wire {
    pub port: u16,
    limit: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
}

impl Wire {
    pub fn to(address: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Wire {
            port: listener.local_addr().unwrap().port(),
            limit: Arc::new(AtomicU64::new(u64::MAX)),
            sent: Arc::default(),
        };
        let (limit, sent) = (Arc::clone(&wire.limit), Arc::clone(&wire.sent));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(io::Result::ok) {
                let Ok(server) = TcpStream::connect(address) else {
                    continue;
                };
                let (client_in, server_out) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (limit, sent) = (Arc::clone(&limit), Arc::clone(&sent));
                std::thread::spawn(move || {
                    carry(client_in, server_out, &mut |bytes| {
                        let before = sent.fetch_add(bytes, Ordering::SeqCst);
                        let good = before + bytes <= limit.load(Ordering::SeqCst);
                        if !good {
                            limit.store(u64::MAX, Ordering::SeqCst);
                        }
                        good
                    })
                });
                std::thread::spawn(move || carry(server, client, &mut |_| true));
            }
        });
        wire
    }

    /// Breaks when so many bytes more have been sent to the box.
    pub fn breaks_after(&self, bytes: u64) {
        self.limit.store(self.sent() + bytes, Ordering::SeqCst);
    }

    /// Bytes that went to the box so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, good: &mut dyn FnMut(u64) -> bool) {
    let mut buffer = [0; 4096];
    while let Ok(got @ 1..) = from.read(&mut buffer) {
        if !good(got as u64) || to.write_all(&buffer[..got]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
