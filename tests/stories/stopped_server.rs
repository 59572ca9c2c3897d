//! A program that served a file system has stopped: whoever asks for anything there waits for ever, and so must nobody here. Needs
//! root and a kernel with FUSE.

use crate::fakebox::{FakeBox, mtd};
use crate::shapes::{K, M, NEW};
use crate::simbox::is_root;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// Serves a directory with nothing in it.
struct Server {
    dir: TempDir,
    stopped: Arc<AtomicBool>,
    user: Option<Child>,
}

impl Server {
    fn start() -> Server {
        let dir = TempDir::new().unwrap();
        let fuse = File::options()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open("/dev/fuse")
            .unwrap();
        // mount(8) is to have it too.
        nix::fcntl::fcntl(&fuse, nix::fcntl::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", fuse.as_raw_fd());
        let mut mount = Command::new("mount");
        mount
            .args(["-i", "-t", "fuse", "-o", &options, "served"])
            .arg(dir.path());
        assert!(mount.status().unwrap().success());
        let stopped = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopped);
        std::thread::spawn(move || serve(fuse, &told));
        let user = Command::new("sleep")
            .arg("1000")
            .current_dir(dir.path())
            .spawn()
            .unwrap();
        let mut server = Server {
            dir,
            stopped,
            user: None,
        };
        server.user = Some(user);
        server
    }

    /// Answers nothing any more, which a process in it does not notice.
    fn stops(&self) -> String {
        self.stopped.store(true, Ordering::SeqCst);
        sleep(Duration::from_millis(100));
        let pid = self.user.as_ref().unwrap().id().to_string();
        let cwd = format!("/proc/{pid}/cwd");
        let asked = Command::new("timeout")
            .args(["-s", "KILL", "1", "stat", "-L", &cwd])
            .status()
            .unwrap();
        assert!(!asked.success(), "whoever asks waits");
        pid
    }

    fn unmount(&self) {
        let mut umount = Command::new("umount");
        assert!(
            umount
                .args(["-i", "-l"])
                .arg(self.dir.path())
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.user.as_mut().map(|user| user.kill().and_then(|()| user.wait()));
        let _ = Command::new("umount").args(["-i", "-l"]).arg(self.dir.path()).output();
    }
}

/// Requests and answers of `include/uapi/linux/fuse.h`.
fn serve(mut fuse: File, stopped: &AtomicBool) {
    const GETATTR: u32 = 3;
    const INIT: u32 = 26;
    const ACCESS: u32 = 34;
    const ENOSYS: i32 = 38;
    let mut request = vec![0; 64 << 10];
    loop {
        let length = match fuse.read(&mut request) {
            _ if stopped.load(Ordering::SeqCst) => break,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                sleep(Duration::from_millis(5));
                continue;
            }
            Err(_) => return,
        };
        assert!(length >= 40);
        let opcode = u32::from_ne_bytes(request[4..8].try_into().unwrap());
        let (error, body) = match opcode {
            // Version 7.31; what follows is limits and flags.
            INIT => (0, words(&[7, 31, 0, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            // Valid for no time; a directory.
            GETATTR => {
                let mut about = [0; 26];
                (about[4], about[19], about[20]) = (1, 0o4_0755, 2);
                (0, words(&about))
            }
            ACCESS => (0, Vec::new()),
            _ => (-ENOSYS, Vec::new()),
        };
        let mut answer = words(&[16 + body.len() as u32, error as u32]);
        answer.extend(&request[8..16]);
        answer.extend(body);
        let _ = fuse.write_all(&answer);
    }
    // Closed, it would be an error and no silence.
    std::mem::forget(fuse);
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Mounted as it was, and unmounted lazily, which hides that it is a server's.
#[test]
fn a_server_that_has_stopped_keeps_nobody_waiting() {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        return;
    }
    let server = Server::start();
    server.stops();
    // What fails is killed, and not waited for.
    let fake = FakeBox::new(NEW, &[mtd(0, "u-boot", 256 * K, 0), mtd(1, "kernel", 2 * M, 256 * K)])
        .before("set -- timeout -s KILL 60 \"$@\"\n");
    fake.run(&["devices"]).exits(0);
    server.unmount();
    fake.run(&["devices"]).exits(0);
}
