//! How the caller's last words reach their reader: init ends the processes that carry them, so stage one waits until they have
//! arrived before it tells init to hand over.
#![forbid(unsafe_code)]

use crate::process::{process, sockets};
use nix::sys::stat::major;
use std::fs;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PROC: &str = "/proc";
/// How often is looked.
const POLL: Duration = Duration::from_millis(25);
/// Who has slept through so many looks in a row, 200 ms, has nothing left to pass on.
const QUIET: u32 = 8;

/// Who passes on what the caller prints, and its exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// Nobody: the caller was started at a terminal of the machine itself. What was printed there is in the driver's hands.
    Local,
    /// This process, such as sshd: the nearest above the caller that holds a socket.
    Relayed(u32),
    /// It cannot be told.
    Unknown,
}

impl Session {
    /// Of this process.
    pub(crate) fn ours() -> Self {
        let proc = Path::new(PROC);
        let Some(above) = above(proc, std::process::id()) else {
            return Self::Unknown;
        };
        // Its first three descriptors may be the session's: sshd gives sockets to a command without a terminal.
        match above.iter().find(|&&pid| !sockets(proc, pid, 3).is_empty()) {
            Some(&relay) => Self::Relayed(relay),
            None if at_own_terminal() => Self::Local,
            None => Self::Unknown,
        }
    }

    /// Waits until what the caller, which has gone, left is passed on: the relay has ended with its session, or it sleeps,
    /// and the far end has confirmed all that it sent. Not longer than `limit`, which is also what is waited when nothing is
    /// known.
    pub(crate) fn wait(&self, limit: Duration) {
        let relay = match self {
            Self::Local => return,
            Self::Relayed(relay) => *relay,
            Self::Unknown => return sleep(limit),
        };
        let proc = Path::new(PROC);
        let start = Instant::now();
        let (mut quiet, mut before) = (0, None);
        while quiet < QUIET && start.elapsed() < limit {
            sleep(POLL);
            let Some(state) = process(proc, relay)
                .filter(|relay| relay.is_alive())
                .map(|relay| relay.state)
            else {
                return;
            };
            let now = wakeups(proc, relay);
            let rests = state == 'S' && now.is_some() && now == before && !is_sending(proc, relay);
            quiet = if rests { quiet + 1 } else { 0 };
            before = now;
        }
    }
}

/// The processes above this one, nearest first, without PID 1. `None` when the chain cannot be followed to there.
fn above(proc: &Path, pid: u32) -> Option<Vec<u32>> {
    let mut chain = Vec::new();
    let mut pid = process(proc, pid)?.ppid;
    while pid != 1 {
        // 0 is outside of our pid namespace. Nothing keeps processes from ending and changing parents meanwhile.
        if pid == 0 || chain.len() > 64 {
            return None;
        }
        chain.push(pid);
        pid = process(proc, pid)?.ppid;
    }
    Some(chain)
}

/// Whether standard output is a terminal with a driver behind it, and not one that a program reads: majors 136 to 143 are Unix98
/// pseudo terminals, 3 the older ones (`Documentation/admin-guide/devices.txt`).
fn at_own_terminal() -> bool {
    std::io::stdout().is_terminal()
        && fs::metadata("/proc/self/fd/1").is_ok_and(|about| !matches!(major(about.rdev()), 3 | 136..=143))
}

/// How often the process has gone to sleep or was made to wait so far: whoever is woken is counted. Kernel 2.6.23 and later.
fn wakeups(proc: &Path, pid: u32) -> Option<String> {
    let status = fs::read(proc.join(pid.to_string()).join("status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let counts: Vec<_> = status.lines().filter(|line| line.contains("ctxt_switches")).collect();
    (!counts.is_empty()).then(|| counts.concat())
}

/// Whether something that this process has sent over TCP is not confirmed yet, or that cannot be told.
fn is_sending(proc: &Path, pid: u32) -> bool {
    let sockets = sockets(proc, pid, 0);
    let of_process = proc.join(pid.to_string()).join("net");
    let table = |name: &str| fs::read_to_string(of_process.join(name));
    match table("tcp") {
        // Without IPv6 there is no second table.
        Ok(four) => has_queued(&four, &sockets) || has_queued(&table("tcp6").unwrap_or_default(), &sockets),
        Err(_) => true,
    }
}

/// Whether a line of `/proc/net/tcp` (proc(5)) for one of these sockets has bytes in its queue to send: the fifth field is
/// `tx_queue:rx_queue`, the tenth the inode. A listening socket's numbers are others, and its first is 0.
fn has_queued(table: &str, sockets: &[String]) -> bool {
    table.lines().any(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (Some(queues), Some(inode)) = (fields.get(4), fields.get(9)) else {
            return false;
        };
        sockets.iter().any(|socket| socket == inode) && !queues.starts_with("00000000:")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::process::{Command, Stdio};

    #[test]
    fn bytes_that_were_not_confirmed_are_seen() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:0016 0100007F:D431 01 00000010:00000000 01:00000014 00000000     0        0 4711 4 0\n   \
             1: 0100007F:0016 0100007F:D432 01 00000000:00000007 00:00000000 00000000     0        0 4712 1 0\n";
        let of = |inode: &str| has_queued(table, &[inode.to_owned()]);
        assert!(of("4711"));
        assert!(!of("4712"));
        assert!(!of("4713"));
        assert!(!has_queued("", &["4711".to_owned()]));
    }

    #[test]
    fn a_relay_is_waited_for_until_it_sleeps_or_ends_and_never_longer() {
        let limit = Duration::from_secs(20);
        let took = |session: &Session, limit| {
            let start = Instant::now();
            session.wait(limit);
            start.elapsed()
        };
        assert!(took(&Session::Local, limit) < limit / 4);
        let short = Duration::from_millis(300);
        assert!(took(&Session::Unknown, short) >= short);

        let mut asleep = Command::new("sleep").arg("60").spawn().expect("sleep");
        let waited = took(&Session::Relayed(asleep.id()), limit);
        assert!(waited >= POLL * QUIET && waited < limit / 2, "{waited:?}");
        asleep.kill().expect("ours");
        asleep.wait().expect("ours");
        assert!(took(&Session::Relayed(asleep.id()), limit) < limit / 2);

        let mut busy = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .expect("sh");
        let waited = took(&Session::Relayed(busy.id()), short);
        busy.kill().expect("ours");
        busy.wait().expect("ours");
        assert!(waited >= short, "{waited:?}");
    }

    /// A reader that does not read leaves bytes in the sender's queue, asleep or not.
    #[test]
    fn who_sleeps_on_what_was_not_taken_is_sending() {
        use std::io::Write;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut sender = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (_reader, _) = listener.accept().expect("accepts");
        let me = std::process::id();
        sender.set_nonblocking(true).expect("a socket");
        // Other tests of this process may hold sockets, but none of them sends.
        while sender.write(&[0; 65536]).is_ok() {}
        assert!(is_sending(Path::new(PROC), me));
    }

    #[test]
    fn the_one_with_a_socket_is_found_above() {
        let proc = Path::new(PROC);
        let _listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .expect("sleep");
        let chain = above(proc, child.id());
        let (ours, its) = (sockets(proc, std::process::id(), 3), sockets(proc, child.id(), 3));
        child.kill().expect("ours");
        child.wait().expect("ours");
        if let Some(chain) = chain {
            assert_eq!(chain.first(), Some(&std::process::id()));
        }
        assert!(!ours.is_empty());
        assert!(its.is_empty(), "{its:?}");
    }
}
