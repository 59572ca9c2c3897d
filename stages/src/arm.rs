//! Init is proved to listen before it is told to hand over: each in its own way, see [`crate::ways`].
#![forbid(unsafe_code)]

use crate::error::Result;
use crate::event::StageEvent;
use crate::init;
use crate::marker::MARKER;
use crate::mounts::root_is_ram_root;
use crate::pivot::Pivoted;
use crate::power;
use crate::process::process;
use crate::ways::{self, HandOver, Way};
use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// Who does the work: the pids of stage one and of its caller, in decimal.
const WORKERS: &str = "stage-one";

/// Init will start us as PID 1 at the next word. Dropping it puts everything back.
#[derive(Debug)]
pub struct Armed {
    pivoted: Pivoted,
    words: Box<dyn HandOver>,
}

impl Pivoted {
    /// Makes sure that init will do as it is told, as far as that can be known of this [`Way`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::InitSilent`] when `limit` passes; everything has been undone then, and init was made to forget what it
    /// was told.
    pub(crate) fn arm(
        mut self,
        way: Way,
        mut words: Box<dyn HandOver>,
        limit: Duration,
        on_event: &mut dyn FnMut(StageEvent),
    ) -> Result<Armed> {
        self.told = Some(way);
        match words.prove(limit, on_event) {
            Ok(()) => Ok(Armed { pivoted: self, words }),
            Err(error) => {
                on_event(StageEvent::Undoing { why: error.to_string() });
                Err(error.leaving(self.undo()))
            }
        }
    }
}

impl Armed {
    /// Makes init start us as PID 1. busybox init ends every process before that, this one too; others leave that to us.
    ///
    /// Does not return. Where init does not act on it for a minute, although it answered just before, the word is
    /// repeated as long as init is another program, and then the box is rebooted: the flash is untouched, the old firmware
    /// is whole, and a late QUIT would meet whatever an undo had put in its place (`/flasher` missing means that init halts
    /// the box).
    pub(crate) fn fire(mut self) -> ! {
        self.pivoted.commit();
        // Also if our copy cannot start, which is a process 1 that ends.
        power::reboot_on_panic();
        for _ in 0..12 {
            // Process 1 that is at work already would begin anew.
            if !init::is_our_copy()
                && let Err(e) = self.words.fire()
            {
                log::error!("tell init to hand over: {e}");
            }
            sleep(Duration::from_secs(5));
        }
        power::reboot()
    }
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
                tell_init();
            }
        }
    }
    // Init starts us again at once; a pause keeps that from being a loop without rest.
    sleep(Duration::from_secs(1));
    std::process::exit(0)
}

/// Tells init in the way that it understands: to another one the same signal may mean to crash. Only these start the marker from
/// their inittab.
fn tell_init() {
    if let Some(way @ (Way::Inittab | Way::Initctl)) = ways::known(&init::detect()) {
        // The next time round it may be heard.
        let _ = ways::hand_over(way).fire();
    }
}
