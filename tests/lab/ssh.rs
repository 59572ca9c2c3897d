//! The workstation's own `ssh` and `scp`, as a user has them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use super::tools::{command, patience, read, run, text, write};

/// A key pair of the workstation, made for one box.
pub struct Keys {
    secret: PathBuf,
}

impl Keys {
    /// Makes a key pair in `dir`.
    pub fn generate(dir: &Path) -> Self {
        let secret = dir.join("key");
        run(command("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", text(&secret)]));
        Keys { secret }
    }

    /// Puts the public key where the box looks for it, in a directory that becomes its `config` partition.
    pub fn authorize(&self, config: &Path) {
        let file = config.join("ssh/authorized_keys");
        write(&file, &read(&self.secret.with_extension("pub")));
        // dropbear ignores keys that others could have written.
        for (path, mode) in [
            (config.to_path_buf(), 0o755),
            (config.join("ssh"), 0o700),
            (file, 0o600),
        ] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode on a file of ours");
        }
    }

    /// The way to the box behind this port of the loopback interface.
    pub fn to_port(&self, port: u16) -> Ssh<'_> {
        Ssh { keys: self, port }
    }
}

/// The way to one box.
pub struct Ssh<'a> {
    keys: &'a Keys,
    port: u16,
}

impl Ssh<'_> {
    /// Waits until the box lets us in.
    pub fn wait(&self) {
        let deadline = Instant::now() + patience(90);
        loop {
            let output = self.output("true");
            if output.status.success() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "no ssh: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    }

    /// `ssh root@box REMOTE`, not started yet.
    pub fn command(&self, remote: &str) -> Command {
        let mut ssh = command("ssh");
        self.options(&mut ssh, "-p");
        ssh.args(["-n", "-l", "root", "127.0.0.1", remote])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        ssh
    }

    /// `ssh root@box REMOTE`, run to its end.
    pub fn output(&self, remote: &str) -> Output {
        self.command(remote)
            .output()
            .expect("ssh, of the package openssh-client")
    }

    /// The same `ssh` as a command line, for a program that is told one. The box's host key is learnt at first.
    pub fn words(&self, known_hosts: &Path) -> String {
        format!(
            "ssh -F /dev/null -i {} -p {} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=accept-new \
             -o UserKnownHostsFile={}",
            text(&self.keys.secret),
            self.port,
            text(known_hosts)
        )
    }

    /// `scp FILE… root@box:DIRECTORY`
    pub fn copy(&self, files: &[&Path], directory: &str) {
        let mut scp = command("scp");
        // dropbear knows the old protocol only.
        scp.arg("-O");
        self.options(&mut scp, "-P");
        run(scp.args(files).arg(format!("root@127.0.0.1:{directory}")));
    }

    fn options(&self, command: &mut Command, port: &str) {
        command.args([
            "-F",
            "/dev/null",
            "-i",
            text(&self.keys.secret),
            port,
            &self.port.to_string(),
        ]);
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=30",
        ] {
            command.args(["-o", option]);
        }
    }
}
