//! Makes init re-read its inittab, and proves that it has, before it is told to hand over.
//!
//! A bare `kill -HUP 1; kill -QUIT 1` is a race on every busybox before 1.32 (commit 356f23de2, "requests could be overwritten
//! by SIGHUP"): QUIT can overtake HUP, and then init runs the *old* restart action. Therefore the new inittab has a marker line, and only
//! when init has started the marker is QUIT sent.
//!
//! Other inits start `/sbin/init` anew when they are asked to, and that is our binary by then: see [`Way`]. They leave it to
//! us to end the processes.
#![forbid(unsafe_code)]

use crate::error::{Context, Error, ErrorKind, Result};
use crate::event::StageEvent;
use crate::init;
use crate::marker::{MARKER, marker};
use crate::mounts::root_is_ram_root;
use crate::pivot::Pivoted;
use crate::power;
use crate::process::process;
use crate::route::{Way, way};
use nix::libc::O_NONBLOCK;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::statvfs::statvfs;
use nix::unistd::{Pid, mkfifo};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Who does the work: the pids of stage one and of its caller, in decimal.
const WORKERS: &str = "stage-one";
const POLL: Duration = Duration::from_millis(10);
/// Early versions lose a HUP that meets another signal, so it is repeated.
const REPEAT: Duration = Duration::from_secs(3);

/// sysvinit's FIFO, where it is since 2.89 (Debian: 2.88), and before.
const INITCTL: [&str; 2] = ["/run/initctl", "/dev/initctl"];

/// What makes init start us.
#[derive(Debug)]
enum Request {
    Signal(Signal),
    /// The FIFO with init at its other end.
    Initctl(File),
}

/// Init will start us as PID 1 at the next word. Dropping it puts everything back.
#[derive(Debug)]
pub struct Armed {
    pivoted: Pivoted,
    request: Request,
}

impl Pivoted {
    /// Makes sure that init will do as it is told, as far as that can be known of this [`Way`]: busybox init has started the
    /// marker, sysvinit has opened the FIFO of the new root.
    ///
    /// # Errors
    /// [`ErrorKind::InitSilent`] when `limit` passes; everything has been undone then, and init was told to re-read its
    /// old inittab.
    pub fn arm(mut self, way: Way, limit: Duration, on_event: &mut dyn FnMut(StageEvent)) -> Result<Armed> {
        let ready = match way {
            Way::Inittab => self
                .until_reread(limit, on_event)
                .map(|()| Request::Signal(Signal::SIGQUIT)),
            Way::BuiltIn => Ok(Request::Signal(Signal::SIGQUIT)),
            Way::Initctl => self.until_listening(limit).map(Request::Initctl),
            // systemd(1), SIGTERM: "serializes its state, reexecutes itself".
            Way::Reexec => enough_for_systemd().map(|()| Request::Signal(Signal::SIGTERM)),
        };
        match ready {
            Ok(request) => Ok(Armed { pivoted: self, request }),
            Err(error) => {
                on_event(StageEvent::Undoing { why: error.to_string() });
                Err(error.leaving(self.undo()))
            }
        }
    }

    /// Sends SIGHUP to init until the marker of the new inittab runs as its child.
    fn until_reread(&mut self, limit: Duration, on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
        let start = Instant::now();
        let mut attempt = 0;
        self.told = Some(Way::Inittab);
        loop {
            if start.elapsed() >= REPEAT * attempt {
                attempt += 1;
                kill(Pid::from_raw(1), Signal::SIGHUP).context(|| "send SIGHUP to init".to_owned())?;
                on_event(StageEvent::HupSent { attempt });
            }
            if marker().is_some() {
                on_event(StageEvent::Armed {
                    after_ms: start.elapsed().as_millis().try_into().unwrap_or(u32::MAX),
                });
                return Ok(());
            }
            if start.elapsed() >= limit {
                return Err(silent("re-read its inittab", limit));
            }
            sleep(POLL);
        }
    }

    /// SIGHUP makes sysvinit re-read its inittab too (init(8)), whose marker line it understands, and starts anew whoever kills the
    /// marker. That is for the case that all of us are killed; where it does not come it is done without.
    fn with_marker(&mut self, start: Instant) -> Result<()> {
        kill(Pid::from_raw(1), Signal::SIGHUP).context(|| "send SIGHUP to init".to_owned())?;
        while marker().is_none() && start.elapsed() < REPEAT {
            sleep(POLL);
        }
        Ok(())
    }

    /// Sends SIGUSR1 to sysvinit, which opens its FIFO anew then (init(8)), in the new root. That somebody reads it proves that
    /// init is awake and sees this root: nobody else opens it to read.
    fn until_listening(&mut self, limit: Duration) -> Result<File> {
        let start = Instant::now();
        self.told = Some(Way::Initctl);
        // Init makes it itself, if this fails.
        let _ = mkfifo(INITCTL[0], Mode::S_IRUSR | Mode::S_IWUSR);
        kill(Pid::from_raw(1), Signal::SIGUSR1).context(|| "send SIGUSR1 to init".to_owned())?;
        loop {
            if let Some(fifo) = initctl() {
                return self.with_marker(start).map(|()| fifo);
            }
            if start.elapsed() >= limit {
                return Err(silent("open its FIFO /run/initctl", limit));
            }
            sleep(POLL);
        }
    }
}

/// Opens sysvinit's FIFO; ENXIO while init does not read it.
fn initctl() -> Option<File> {
    let open = |path| OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path);
    INITCTL.into_iter().find_map(|path| open(path).ok())
}

/// systemd refuses to re-execute where less than 16 MiB are free in `/run/systemd` (`RELOAD_DISK_SPACE_MIN` in its
/// `src/core`); measured with 252: without that directory, too.
fn enough_for_systemd() -> Result<()> {
    const LEAST: u64 = 16 << 20;
    let fs = statvfs("/run/systemd").context(|| "look at /run/systemd".to_owned())?;
    #[allow(
        clippy::useless_conversion,
        reason = "the width of the fields differs between targets"
    )]
    let free = u64::from(fs.blocks_available()) * u64::from(fs.fragment_size());
    if free >= LEAST {
        return Ok(());
    }
    let text = format!("systemd needs {LEAST} free bytes in /run to hand over, and there are {free}");
    Err(Error::new(ErrorKind::NoRoute, text))
}

fn silent(what: &str, limit: Duration) -> Error {
    Error::new(
        ErrorKind::InitSilent,
        format!("init did not {what} within {} s of being told", limit.as_secs()),
    )
}

impl Armed {
    /// Makes init start us as PID 1. busybox init ends every process before that, this one too.
    ///
    /// Does not return. Where init does not act on it for a minute, although it answered just before, the word is
    /// repeated, and then the box is rebooted: the flash is untouched, the old firmware is whole, and a late QUIT would
    /// meet whatever an undo had put in its place (`/flasher` missing means that init halts the box).
    pub(crate) fn fire(mut self) -> ! {
        self.pivoted.commit();
        for _ in 0..12 {
            let asked = match &mut self.request {
                Request::Signal(signal) => kill(Pid::from_raw(1), *signal).map_err(io::Error::from),
                Request::Initctl(fifo) => fifo.write_all(&telinit_u()),
            };
            if let Err(e) = asked {
                log::error!("tell init to hand over: {e}");
            }
            sleep(Duration::from_secs(5));
        }
        power::reboot()
    }
}

/// What `telinit u` writes, `struct init_request` of sysvinit's `initreq.h`: magic, command (1, change the runlevel), runlevel
/// (`U`, start init anew), and the rest of 384 bytes.
fn telinit_u() -> [u8; 384] {
    let mut request = [0; 384];
    for (place, word) in request.chunks_exact_mut(4).zip([0x0309_1969, 1, i32::from(b'U')]) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    request
}

/// Says in the RAM root who does the work, for the marker to look after.
pub(crate) fn name_workers(root: &Path) -> io::Result<()> {
    let parent = nix::unistd::getppid();
    fs::write(root.join(WORKERS), format!("{} {parent}", std::process::id()))
}

/// Whether stage one and its caller were both killed, so that nobody is left to go on or to put things back.
fn workers_are_gone() -> bool {
    let alive = |pid: &str| {
        let pid = pid.parse().ok();
        pid.and_then(|pid| process(Path::new("/proc"), pid))
            .is_some_and(|process| process.is_alive())
    };
    fs::read_to_string(Path::new("/").join(WORKERS)).is_ok_and(|pids| !pids.split(' ').any(alive))
}

/// The body of `/flasher init-marker`: shows stage one that the new inittab is in force. Ends when the RAM root is no
/// longer `/`.
///
/// Where stage one and its caller are both killed it tells init to hand over in their place: all is ready once it runs, and
/// init starts it again when it is killed too.
pub fn init_marker() -> ! {
    // Run by hand on a box that is not being taken over, it must not leave a file behind.
    if root_is_ram_root() {
        // Written beside and renamed, so that nobody reads half a number. A failure shows as a marker that never comes.
        let staged = format!("{MARKER}.new");
        let written = fs::write(&staged, std::process::id().to_string()).and_then(|()| fs::rename(&staged, MARKER));
        while written.is_ok() && root_is_ram_root() {
            sleep(Duration::from_secs(1));
            if workers_are_gone() {
                hand_over();
            }
        }
    }
    // Init starts us again at once; a pause keeps that from being a loop without rest.
    sleep(Duration::from_secs(1));
    std::process::exit(0)
}

/// Tells init in the way that it understands: to another one the same signal may mean to crash.
fn hand_over() {
    let signal = match way(&init::detect()) {
        Ok(Way::Inittab | Way::BuiltIn) => Signal::SIGQUIT,
        Ok(Way::Reexec) => Signal::SIGTERM,
        Ok(Way::Initctl) => {
            // The next time round it may be open.
            let _ = initctl().map(|mut fifo| fifo.write_all(&telinit_u()));
            return;
        }
        Err(_) => return,
    };
    let _ = kill(Pid::from_raw(1), signal);
}
