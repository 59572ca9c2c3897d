//! Many boxes behind real ssh servers on this machine, each at an address of its own, and Ansible that drives them. What runs
//! there is real; flash, boot, RAM and processor of each are files, and an update makes it boot.

use crate::simbox::{Run, SimBox, read, tool};
use crate::sshbox::{binary, logins, sshd};
use serde_json::Value;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What the login of every box does instead of running what it is told: the same, with the files of the box that has this
/// address for the machine's.
const LOGIN: &str = r#"#!/bin/sh
set -- $SSH_CONNECTION
box=@DIR@/boxes/${3##*.}
set --
echo $PPID $(cut -d ' ' -f 22 /proc/$PPID/stat) >>$box/sessions
command=$(printf '%s\n' "$SSH_ORIGINAL_COMMAND" | sed \
    -e "s,/proc/sys/kernel/random/boot_id,$box/boot," \
    -e "s,/proc/self/status,$box/user," \
    -e "s,/proc/self/exe,$box/head," \
    -e "s,for place in .*; do,for place in $box/ram; do," \
    -e "s,for file in .*; do,for file in $box/flasher; do,")
[ -e $box/hook ] && . $box/hook
PATH=$box:$PATH
exec sh -c "$command"
"#;

/// The flasher that a box has in its firmware. Its flash is the simulated one, and when that was written the box boots.
const FLASHER: &str = r#"#!/bin/sh
# replaces the firmware of a small Linux box
box=@BOX@
verb=
for word; do
    shift
    set -- "$@" "$word"
    case $verb$word in
        apply | backup | devices | plan | restore | status | verify) verb=$word; set -- "$@" --sim $box/box ;;
    esac
done
case " $* " in *" --help "*) verb=help ;; esac
[ "$verb" = apply ] || exec @FLASHER@ "$@"
{ @FLASHER@ "$@"; echo $? >$box/exit; } | tee $box/said
if grep -q -e '"code":"written"' -e '^written' $box/said; then
    (
        sleep 0.5
        cat /proc/sys/kernel/random/uuid >$box/boot
        # Somebody else may have the number of one that has ended, who has begun later.
        while read -r pid begun; do
            [ "$(cut -d ' ' -f 22 /proc/$pid/stat)" != "$begun" ] || kill $pid
        done <$box/sessions
        : >$box/sessions
    ) >/dev/null 2>&1 </dev/null &
fi
exit $(cat $box/exit)
"#;

/// Sockets that OpenSSH's server listens on at most (`MAX_LISTEN_SOCKS` in its `sshd.c`).
const ADDRESSES: usize = 16;
/// Where the partition `Kernel` begins, behind which `RootFS1` lies.
pub const FIRMWARE: usize = 64 << 10;
/// Bytes of both.
pub const SIZE: usize = 448 << 10;
/// Bytes of `Kernel`.
const KERNEL: usize = 192 << 10;

/// The boxes and their servers; they go away with it.
pub struct SshFleet {
    dir: TempDir,
    servers: Vec<Child>,
    count: usize,
    port: u16,
    password: bool,
}

impl SshFleet {
    /// So many boxes, numbered from 1.
    pub fn new(count: usize) -> SshFleet {
        SshFleet::begin(count, false)
    }

    /// The same, whose servers let nobody in without the password.
    pub fn with_password(count: usize) -> SshFleet {
        SshFleet::begin(count, true)
    }

    fn begin(count: usize, password: bool) -> SshFleet {
        assert!((1..255).contains(&count));
        let dir = TempDir::new().unwrap();
        let port = TcpListener::bind("127.1.0.1:0").unwrap().local_addr().unwrap().port();
        let mut fleet = SshFleet {
            dir,
            servers: Vec::new(),
            count,
            port,
            password,
        };
        let like = SimBox::changed("generic", |profile| {
            profile["chip"]["size"] = (FIRMWARE + SIZE).into();
            profile["chip"]["erase_size"] = (16 << 10).into();
            profile["partitions"] = serde_json::json!([
                { "mtd": 0, "name": "u-boot", "offset": 0, "size": FIRMWARE, "read_only": true, "keep": "bootloader" },
                { "mtd": 1, "name": "Kernel", "offset": FIRMWARE, "size": KERNEL },
                { "mtd": 2, "name": "RootFS1", "offset": FIRMWARE + KERNEL, "size": SIZE - KERNEL },
            ]);
        });
        like.fill(&vec![0xff; FIRMWARE + SIZE]);
        for number in 1..=count {
            fleet.equip(number, &like);
        }
        for name in ["host", "id"] {
            let path = fleet.file(name);
            tool(
                "ssh-keygen",
                &["-q", "-t", "ed25519", "-N", "", "-f", path.to_str().unwrap()],
            );
        }
        let key = fs::read_to_string(fleet.file("host.pub")).unwrap();
        let known = (1..=count).map(|number| format!("[127.1.0.{number}]:{port} {key}"));
        fs::write(fleet.file("known hosts"), known.collect::<String>()).unwrap();
        program(
            &fleet.file("login"),
            &LOGIN.replace("@DIR@", fleet.path().to_str().unwrap()),
        );
        fleet.serve();
        fleet.wait();
        fleet
    }

    fn equip(&self, number: usize, like: &SimBox) {
        let of = |name: &str| self.of(number, name);
        fs::create_dir_all(of("ram")).unwrap();
        fs::create_dir_all(of("box")).unwrap();
        for file in ["board.json", "flash.bin"] {
            fs::copy(like.path().join(file), of("box").join(file)).unwrap();
        }
        self.root(number, true);
        fs::write(of("head"), &read(binary())[..64]).unwrap();
        fs::write(of("boot"), read(Path::new("/proc/sys/kernel/random/uuid"))).unwrap();
        let script = FLASHER.replace("@BOX@", of("").to_str().unwrap().trim_end_matches('/'));
        program(&of("flasher"), &script.replace("@FLASHER@", binary().to_str().unwrap()));
    }

    fn serve(&mut self) {
        for first in (1..=self.count).step_by(ADDRESSES) {
            let last = self.count.min(first + ADDRESSES - 1);
            let listen = (first..=last).map(|number| format!("ListenAddress 127.1.0.{number}\n"));
            let config = format!(
                "Port {}\n{}HostKey {}\nAuthorizedKeysFile {}\nForceCommand {}\nPidFile none\nStrictModes no\nUsePAM no\n\
                 MaxStartups 100\n{}",
                self.port,
                listen.collect::<String>(),
                self.file("host").display(),
                self.file("id.pub").display(),
                self.file("login").display(),
                logins(self.password),
            );
            let path = self.file(&format!("sshd_config.{first}"));
            fs::write(&path, config).unwrap();
            let log = fs::File::create(self.file(&format!("sshd.{first}.log"))).unwrap();
            let mut server = sshd(&path, self.password, self.path());
            server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            self.servers
                .push(server.spawn().expect("tests/install base installs openssh-server"));
        }
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        for number in 1..=self.count {
            while TcpStream::connect(self.address(number)).is_err() {
                assert!(Instant::now() < deadline, "no server at {}", self.address(number));
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn address(&self, number: usize) -> String {
        format!("127.1.0.{number}:{}", self.port)
    }

    /// The directory that Ansible is started in.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file there.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A file of a box.
    pub fn of(&self, number: usize, name: &str) -> PathBuf {
        self.path().join(format!("boxes/{number}/{name}"))
    }

    /// Whether ssh logs in to this box as root.
    pub fn root(&self, number: usize, root: bool) {
        let user = if root { 0 } else { 1000 };
        fs::write(self.of(number, "user"), format!("Name:\tsh\nUid:\t{user}\t0\t0\t0\n")).unwrap();
    }

    /// The chip of a box.
    pub fn flash(&self, number: usize) -> Vec<u8> {
        read(&self.of(number, "box/flash.bin"))
    }

    /// Whether the firmware of a box is this one.
    pub fn has(&self, number: usize, image: &[u8]) -> bool {
        self.flash(number)[FIRMWARE..].starts_with(image)
    }

    /// What the login of every box does before it runs what it was told: lines for a shell, with `$command` and `$box`.
    pub fn hook(&self, lines: &str) {
        for number in 1..=self.count {
            fs::write(self.of(number, "hook"), lines).unwrap();
        }
    }

    /// Makes the flash of every box blank.
    pub fn blank(&self) {
        for number in 1..=self.count {
            fs::write(self.of(number, "box/flash.bin"), vec![0xff; FIRMWARE + SIZE]).unwrap();
        }
    }

    /// A configuration of ssh in which the boxes have these names.
    pub fn ssh_config(&self, names: &[&str]) -> PathBuf {
        let mut config = String::new();
        for (name, number) in names.iter().zip(1..) {
            config.push_str(&format!("Host {name}\n HostName 127.1.0.{number}\n"));
        }
        config.push_str(&format!(
            "Host *\n Port {}\n IdentityFile {}\n IdentitiesOnly yes\n UserKnownHostsFile \"{}\"\n GlobalKnownHostsFile /dev/null\n \
             StrictHostKeyChecking yes\n BatchMode yes\n",
            self.port,
            self.file("id").display(),
            self.file("known hosts").display(),
        ));
        let path = self.file("ssh_config");
        fs::write(&path, config).unwrap();
        path
    }

    /// Writes the inventory `hosts` of the group `boxes`, with these variables of all of them. The boxes are `box001` and so
    /// on.
    pub fn inventory(&self, variables: &str) {
        let mut text = "[boxes]\n".to_owned();
        for number in 1..=self.count {
            text.push_str(&format!("box{number:03} ansible_host=127.1.0.{number}\n"));
        }
        text.push_str(&format!(
            "[boxes:vars]\nansible_user={}\nansible_port={}\nansible_ssh_private_key_file={}\nflasher_program={}\n\
             flasher_part=Kernel,RootFS1\nflasher_image=image.bin\nflasher_retries=0\n{variables}\n",
            nix::unistd::User::from_uid(nix::unistd::geteuid())
                .unwrap()
                .unwrap()
                .name,
            self.port,
            self.file("id").display(),
            env!("CARGO_BIN_EXE_flasher"),
        ));
        fs::write(self.file("hosts"), text).unwrap();
        let config = format!(
            "[ssh_connection]\nssh_common_args = -F /dev/null -o IdentitiesOnly=yes -o 'UserKnownHostsFile=\"{}\"' \
             -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes\n",
            self.file("known hosts").display(),
        );
        fs::write(self.file("ansible.cfg"), config).unwrap();
    }

    /// `ansible-playbook -i hosts ARGS…`
    pub fn playbook(&self, args: &[&str]) -> Run {
        let output = self.playbook_command(args).output();
        output.expect("tests/install base installs ansible-core").into()
    }

    /// The same, not started yet.
    pub fn playbook_command(&self, args: &[&str]) -> Command {
        let mut command = ansible("ansible-playbook", self.path());
        command.args(["-i", "hosts"]).args(args);
        command
    }

    /// What the last run reported.
    pub fn report(&self) -> Value {
        serde_json::from_slice(&read(&self.file("flasher-report.json"))).unwrap()
    }
}

impl Drop for SshFleet {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A command of Ansible, in this directory and with the collection of this repository.
pub fn ansible(program: &str, dir: &Path) -> Command {
    let collections = dir.join("collections/ansible_collections/flasher");
    fs::create_dir_all(&collections).unwrap();
    let _ = std::os::unix::fs::symlink(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fleet"),
        collections.join("fleet"),
    );
    let mut command = Command::new(program);
    command.current_dir(dir).stdin(Stdio::null());
    for (name, value) in [
        ("ANSIBLE_COLLECTIONS_PATH", dir.join("collections")),
        ("ANSIBLE_HOME", dir.join("ansible")),
        ("ANSIBLE_LOCAL_TEMP", dir.join("ansible/tmp")),
        ("ANSIBLE_CALLBACKS_ENABLED", "flasher.fleet.report".into()),
        ("ANSIBLE_NOCOLOR", "1".into()),
        ("LC_ALL", "C.UTF-8".into()),
    ] {
        command.env(name, value);
    }
    command.env_remove("ANSIBLE_CONFIG");
    command
}

/// Writes a script that can be run.
pub fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}
