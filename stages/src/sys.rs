//! The kernel calls for which neither std nor nix has a safe face. Each is wrapped under its own name.

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, socket};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

nix::ioctl_read!(wdioc_keepalive, b'W', 5, libc::c_int);
nix::ioctl_readwrite!(wdioc_settimeout, b'W', 6, libc::c_int);
nix::ioctl_read!(wdioc_gettimeout, b'W', 7, libc::c_int);
nix::ioctl_readwrite!(wdioc_setpretimeout, b'W', 8, libc::c_int);
/// `LOOP_CLR_FD` of `include/uapi/linux/loop.h`; it has no encoded size, so it is the same on every CPU.
const LOOP_CLR_FD: libc::c_ulong = 0x4c01;

nix::ioctl_read_bad!(tiocgwinsz, libc::TIOCGWINSZ, libc::winsize);

/// The columns of a terminal; `None` where there is none, or it does not know: a serial console has 0 of them
/// (`TIOCGWINSZ(2const)`).
pub fn terminal_columns(terminal: &impl AsRawFd) -> Option<u16> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel fills the structure, which is ours, and the descriptor lives through the call.
    unsafe { tiocgwinsz(terminal.as_raw_fd(), &raw mut size) }.ok()?;
    Some(size.ws_col).filter(|columns| *columns > 0)
}

/// setpriority(2) of this thread alone: everything else that wants the processor comes first. On Linux each thread has a nice value
/// of its own (setpriority(2), C library/kernel differences).
pub fn stand_back() {
    // SAFETY: numbers only. A refusal changes nothing.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
    }
}

/// Which side of a fork we are on.
pub(crate) enum Forked {
    /// The parent, with the child's pid.
    Parent(u32),
    /// The child, which must end with [`exit_now`].
    Child,
}

/// fork(2) without exec.
///
/// The caller has made sure that no other thread runs: only then are all locks (the allocator's first of all)
/// free in the child, and any Rust code may run there.
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: the process has one thread, which callers prove with `process::single_threaded`.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Forked::Parent(child.as_raw().unsigned_abs())),
        nix::unistd::ForkResult::Child => Ok(Forked::Child),
    }
}

/// `_exit(2)`: no destructor and no buffer of the parent's runs in a forked child.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no precondition.
    unsafe { libc::_exit(code) }
}

/// What becomes of a signal.
#[derive(Clone, Copy)]
pub(crate) enum Disposition {
    /// It does nothing, also after an exec.
    Ignore,
    /// The kernel's default.
    Default,
}

/// signal(2) for dispositions that run no code.
pub(crate) fn signal(number: i32, disposition: Disposition) {
    let handler = match disposition {
        Disposition::Ignore => libc::SIG_IGN,
        Disposition::Default => libc::SIG_DFL,
    };
    // SAFETY: neither SIG_IGN nor SIG_DFL runs code of ours. A refusal (SIGKILL) changes nothing.
    unsafe {
        libc::signal(number, handler);
    }
}

/// setrlimit(2): takes the limits away that whoever started us has set, as far as that is allowed. That on processor time ends a
/// process for good, in the middle of whatever it does, and that on the size of files ends it where it writes to one.
pub(crate) fn lift_limits() {
    let none = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    for which in [libc::RLIMIT_CPU, libc::RLIMIT_FSIZE] {
        // SAFETY: the kernel reads a structure that lives through the call.
        unsafe {
            libc::setrlimit(which, &none);
        }
    }
}

/// dup2(2) of `file` onto descriptors 0, 1 and 2.
pub(crate) fn become_stdio(file: &File) -> io::Result<()> {
    for target in 0..3 {
        // SAFETY: std keeps no owned object for 0, 1 and 2; replacing what they point to is what dup2 is for.
        Errno::result(unsafe { libc::dup2(file.as_raw_fd(), target) })?;
    }
    Ok(())
}

/// Marks every descriptor from 3 on as close-on-exec.
pub(crate) fn close_the_rest_on_exec() {
    for fd in 3..1024 {
        // SAFETY: FD_CLOEXEC on a descriptor that is not open is EBADF and changes nothing.
        unsafe {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

/// prctl(PR_SET_NAME): the name of this process in `/proc/PID/comm` (15 bytes count).
pub(crate) fn set_name(name: &std::ffi::CStr) {
    // SAFETY: the kernel reads at most 16 bytes from a string that ends with a NUL.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr() as libc::c_ulong, 0, 0, 0);
    }
}

/// What statx(2) tells of a file without asking whoever serves its file system.
pub(crate) struct Cached {
    /// Major and minor number of the device that the file system is on.
    pub(crate) on: (u32, u32),
    /// Type and permissions; 0 where only a server could tell.
    pub(crate) mode: u32,
    /// Of a device node: its numbers.
    pub(crate) node: (u32, u32),
}

/// statx(2) with `AT_STATX_DONT_SYNC`, through links. No field is asked for, so that a FUSE of another user's answers, too
/// (`fuse_update_attributes`, fs/fuse/dir.c, since 4.20). By the call's number, as musl has it with a version only.
///
/// # Errors
/// `ENOSYS` before Linux 4.11.
pub(crate) fn statx_cached(path: &Path) -> io::Result<Cached> {
    const AT_STATX_DONT_SYNC: libc::c_int = 0x4000;
    // `struct statx` of `include/uapi/linux/stat.h`, 256 bytes on every processor; the fields here are the `u32`s from 128 on, and
    // the `u16` at 28.
    let mut about = [0_u64; 32];
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a string that ends with a NUL, and the kernel writes at most the 256 bytes of `about`.
    let done = unsafe {
        libc::syscall(
            libc::SYS_statx,
            libc::AT_FDCWD,
            path.as_ptr(),
            AT_STATX_DONT_SYNC,
            0 as libc::c_uint,
            about.as_mut_ptr(),
        )
    };
    Errno::result(done)?;
    let bytes = about.map(u64::to_ne_bytes);
    let bytes = bytes.as_flattened();
    let u32_at = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Ok(Cached {
        on: (u32_at(136), u32_at(140)),
        mode: u16::from_ne_bytes([bytes[28], bytes[29]]).into(),
        node: (u32_at(128), u32_at(132)),
    })
}

/// connect(2) of a stream socket of unix(7), which waits no longer than `limit` for a server that takes no client up; nor does what is
/// sent then (`SO_SNDTIMEO` in socket(7)).
pub(crate) fn connect(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let stream = UnixStream::from(socket);
    stream.set_write_timeout(Some(limit))?;
    socket::connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(stream)
}

/// llistxattr(2): the names of the extended attributes of a file, each ended by a NUL; none where its file system has none.
///
/// # Errors
/// Those of the system, and names that together are longer than 4 KiB.
pub fn attributes(path: &Path) -> io::Result<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut names = vec![0_u8; 4096];
    // SAFETY: `path` is a string that ends with a NUL, and the kernel writes at most as many bytes as `names` has.
    let length = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    match usize::try_from(length) {
        Ok(length) => {
            names.truncate(length);
            Ok(names)
        }
        Err(_) => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => Ok(Vec::new()),
            error => Err(error),
        },
    }
}

/// swapoff(2).
pub(crate) fn swapoff(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a string that ends with a NUL and lives through the call.
    Errno::result(unsafe { libc::swapoff(path.as_ptr()) })?;
    Ok(())
}

/// `LOOP_CLR_FD` on an open loop device.
pub(crate) fn loop_clr_fd(device: &File) -> io::Result<()> {
    // SAFETY: the request takes no argument and `device` is open.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD as _, 0) })?;
    Ok(())
}

/// `WDIOC_KEEPALIVE`.
pub(crate) fn watchdog_keepalive(dog: &File) -> io::Result<()> {
    let mut unused = 0;
    // SAFETY: the request writes at most one c_int to a valid place.
    unsafe { wdioc_keepalive(dog.as_raw_fd(), &mut unused) }?;
    Ok(())
}

/// `WDIOC_GETTIMEOUT`, in seconds.
pub(crate) fn watchdog_timeout(dog: &File) -> io::Result<u32> {
    let mut seconds = 0;
    // SAFETY: the request writes one c_int to a valid place.
    unsafe { wdioc_gettimeout(dog.as_raw_fd(), &mut seconds) }?;
    Ok(u32::try_from(seconds).unwrap_or(0))
}

/// `WDIOC_SETTIMEOUT`; answers what the driver made of the wish, in seconds.
pub(crate) fn watchdog_set_timeout(dog: &File, seconds: u32) -> io::Result<u32> {
    let mut value = libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX);
    // SAFETY: the request reads and writes one c_int at a valid place.
    unsafe { wdioc_settimeout(dog.as_raw_fd(), &mut value) }?;
    Ok(u32::try_from(value).unwrap_or(0))
}

/// `WDIOC_SETPRETIMEOUT`, in seconds before the timeout; 0 for none.
pub(crate) fn watchdog_set_pretimeout(dog: &File, seconds: u32) -> io::Result<()> {
    let mut value = libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX);
    // SAFETY: the request reads and writes one c_int at a valid place.
    unsafe { wdioc_setpretimeout(dog.as_raw_fd(), &mut value) }?;
    Ok(())
}

/// waitpid(2) of a traced process: its status, or `None` where nothing new is known. It may be another parent's child (`__WALL`).
/// Not by nix, which takes a stop by a real-time signal for an error.
pub(crate) fn wait_for(pid: nix::unistd::Pid) -> io::Result<Option<i32>> {
    let mut status = 0;
    // SAFETY: the kernel writes one c_int to a valid place.
    let changed = Errno::result(unsafe { libc::waitpid(pid.as_raw(), &mut status, libc::WNOHANG | libc::__WALL) })?;
    Ok((changed != 0).then_some(status))
}

/// `PTRACE_SYSCALL`: a traced process that has stopped goes on, with this signal where it is not 0, to its next call.
pub(crate) fn trace_to_call(pid: nix::unistd::Pid, signal: i32) -> io::Result<()> {
    // SAFETY: nothing is written to, and the signal is a number.
    let done = unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid.as_raw(), 0_usize, signal as usize) };
    Errno::result(done)?;
    Ok(())
}

/// kill(2) with any signal that there is.
pub(crate) fn kill_number(pid: nix::unistd::Pid, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    Errno::result(unsafe { libc::kill(pid.as_raw(), signal) })?;
    Ok(())
}

/// `PTRACE_GETREGS` of a traced process that has stopped (ptrace(2)); how many bytes depends on its kind.
pub(crate) fn get_registers(pid: nix::unistd::Pid, bytes: &mut [u8]) -> io::Result<()> {
    const GETREGS: i32 = 12;
    // SAFETY: the kernel writes the registers of this processor's kind, and `bytes` has room for all of them: its length comes
    // from the table of `cpu.rs`.
    let done = unsafe { libc::ptrace(GETREGS as _, pid.as_raw(), 0_usize, bytes.as_mut_ptr()) };
    Errno::result(done)?;
    Ok(())
}

/// `PTRACE_SETREGS`, of bytes as [`get_registers`] gave them.
pub(crate) fn set_registers(pid: nix::unistd::Pid, bytes: &[u8]) -> io::Result<()> {
    const SETREGS: i32 = 13;
    // SAFETY: the kernel reads as many bytes as it wrote in `get_registers`, and `bytes` has as many.
    let done = unsafe { libc::ptrace(SETREGS as _, pid.as_raw(), 0_usize, bytes.as_ptr()) };
    Errno::result(done)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    /// One that has stopped takes up no more clients than its queue has room for, and the next one would wait for ever.
    #[test]
    fn a_server_that_takes_nobody_up_is_not_waited_for() {
        let path = std::env::temp_dir().join(format!("stages-full-{}", std::process::id()));
        let listener = UnixListener::bind(&path).expect("bound");
        // SAFETY: numbers only. This makes the queue as short as can be.
        assert_eq!(unsafe { nix::libc::listen(listener.as_raw_fd(), 0) }, 0);
        let limit = Duration::from_millis(200);
        let mut clients: Vec<_> = (0..3).map(|_| super::connect(&path, limit)).collect();
        std::fs::remove_file(&path).expect("removed");
        assert!(clients[0].is_ok(), "{clients:?}");
        let last = clients.pop().expect("three");
        assert!(last.is_err_and(|e| e.kind() == ErrorKind::WouldBlock));
    }

    #[test]
    fn what_is_cached_of_a_file_is_what_stat_tells() {
        for path in ["/dev/null", "/proc/self/exe", "/proc/self/cwd"] {
            let cached = super::statx_cached(Path::new(path)).expect("a kernel of today");
            let about = std::fs::metadata(path).expect("is there");
            assert_eq!(cached.on, crate::device::numbers(about.dev()), "{path}");
            assert_eq!(cached.mode, about.mode(), "{path}");
            assert_eq!(cached.node, crate::device::numbers(about.rdev()), "{path}");
        }
        assert!(super::statx_cached(Path::new("/dev/no-such-file")).is_err());
    }

    /// A hard limit of processor time ends whoever has it by SIGKILL (setrlimit(2)), and whoever may run a program as root hands
    /// his limits on.
    #[test]
    fn limits_that_others_have_set_are_lifted() {
        let pid = std::process::id().to_string();
        let mut set = Command::new("prlimit");
        set.args(["--pid", &pid, "--cpu=100000:100000", "--fsize=99999999999:99999999999"]);
        let limits = || std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let limited = |text: &str| {
            text.contains("100000               100000") && text.contains("99999999999          99999999999")
        };
        assert!(
            set.status().is_ok_and(|status| status.success()) && limited(&limits()),
            "{}",
            limits()
        );
        super::lift_limits();
        // A hard limit is raised by whoever has CAP_SYS_RESOURCE, which is root, but not in every container.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let capabilities = capabilities.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
        if capabilities.unwrap_or_default() & 1 << 24 != 0 {
            assert!(!limited(&limits()), "{}", limits());
        }
    }
}
