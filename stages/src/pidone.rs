//! Stage two: PID 1 settles in the RAM root.
#![forbid(unsafe_code)]

use crate::event::StageEvent;
use crate::feeding;
use crate::guard;
use crate::handoff::HandOff;
use crate::memory;
use crate::mounts::{make_writable, mount_virtual};
use crate::paths::HANDOFF;
use crate::power;
use crate::process::confined;
use crate::program::Program;
use crate::say::say;
use crate::signals;
use crate::sys;
use crate::watchdog::{self, Node};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

/// Says to the re-executed program that the console is the RAM root's.
const STAGE: &str = "FLASHER_STAGE";

/// We are PID 1 in the RAM root; the old root is still mounted on `/oldroot`.
#[derive(Debug)]
pub struct PidOne {
    handoff: HandOff,
    notes: Vec<StageEvent>,
    /// Watchdogs that run and are not fed.
    hungry: Vec<Node>,
    pub(crate) since: Instant,
}

impl PidOne {
    /// Stage two. The first time it ends in an exec of `/flasher`; the second time it returns.
    pub(crate) fn enter() -> Self {
        signals::ignore_as_pid_one();
        // Upstart leaves 0.
        let _ = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        settle();
        power::reboot_on_panic();
        let mut notes = vec![StageEvent::TakenOver];
        if std::env::var_os(STAGE).is_none() {
            open_console();
            sys::close_the_rest_on_exec();
            // The text of this process lies in RAM already. The exec is for what init left open: its own console of
            // the old root in descriptors 0 to 2, which keeps the old root busy.
            let error = exec_flasher(Some(STAGE));
            notes.push(StageEvent::note(format!(
                "stage two: re-execution failed, going on without: {error}"
            )));
        }
        if let Err(e) = memory::protect() {
            notes.push(StageEvent::note(format!(
                "stage two: memory is not fully protected, {e}"
            )));
        }
        let handoff = match HandOff::load(Path::new(HANDOFF)) {
            Ok(handoff) => handoff,
            Err(e) => {
                // Nothing is known of what to do, and there is no way back: the old firmware is whole.
                say(&format!(
                    "{e}; the flash is untouched, rebooting; then the same command again"
                ));
                guard::end(&e.to_string())
            }
        };
        let mut this = Self {
            hungry: dogs(&handoff),
            handoff,
            notes,
            since: Instant::now(),
        };
        let lost = this.feed_dogs();
        this.notes.extend(lost);
        this
    }

    /// Takes the watchdogs that are not fed yet. What is left of them keeps the box from being written: it would be reset
    /// meanwhile.
    pub(crate) fn feed_dogs(&mut self) -> Vec<StageEvent> {
        let mut lost = Vec::new();
        for node in std::mem::take(&mut self.hungry) {
            match feeding::take(&node) {
                Ok(timeout_s) => self.notes.push(StageEvent::WatchdogTaken {
                    device: node.device,
                    timeout_s,
                }),
                Err(e) => {
                    lost.push(StageEvent::WatchdogLost {
                        device: node.device.clone(),
                        why: e.to_string(),
                    });
                    self.hungry.push(node);
                }
            }
        }
        lost
    }

    /// Those of which the last attempt failed.
    pub(crate) fn hungry(&self) -> impl Iterator<Item = &str> {
        self.hungry.iter().map(|node| node.device.as_str())
    }

    /// The record of stage one.
    #[must_use]
    pub fn handoff(&self) -> &HandOff {
        &self.handoff
    }

    /// What stage two did; [`PidOne::detach`] reports it first.
    pub(crate) fn take_notes(&mut self) -> Vec<StageEvent> {
        std::mem::take(&mut self.notes)
    }
}

/// Those that ran when stage one began, and those that were started since, such as between a preparation and its use.
fn dogs(handoff: &HandOff) -> Vec<Node> {
    // In a container they are the host's, whose processes go on.
    if confined() {
        return Vec::new();
    }
    let mut dogs = handoff.watchdogs.clone();
    for dog in watchdog::all().into_iter().filter(|dog| dog.running) {
        if !dogs.iter().any(|known| known.numbers == dog.node.numbers) {
            dogs.push(dog.node);
        }
    }
    dogs
}

/// Puts back what the shutdown lines of an old inittab may have taken away. Each step is needed only sometimes, and what
/// really misses shows later by name, so failures are passed over.
fn settle() {
    let _ = std::env::set_current_dir("/");
    let _ = make_writable(Path::new("/"));
    if !Path::new("/proc/self/mountinfo").exists() {
        let _ = mount_virtual("proc", Path::new("/proc"), "");
    }
    if !Path::new("/sys/class").exists() {
        let _ = mount_virtual("sysfs", Path::new("/sys"), "");
    }
    // Without a mount on it, `/dev` has the nodes that `populate` made.
    if !is_char_device(Path::new("/dev/null")) {
        let _ = mount_virtual("devtmpfs", Path::new("/dev"), "");
    }
}

fn is_char_device(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.file_type().is_char_device())
}

/// Opens the RAM root's console for descriptors 0 to 2, or `/dev/null` where there is none.
///
/// Non-blocking, and so it stays: a console stopped by flow control must never stop the flasher. A line that
/// finds no room is lost. No controlling terminal, so that Ctrl-C sends nothing.
fn open_console() {
    let open = |path| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK)
            .open(path)
    };
    let _ = nix::unistd::setsid();
    let file: io::Result<File> = open("/dev/console").or_else(|_| open("/dev/null"));
    if let Ok(file) = file {
        let _ = sys::become_stdio(&file);
    }
}

/// Executes the RAM root's own copy of this program; returns only the error.
pub(crate) fn exec_flasher(stage: Option<&str>) -> io::Error {
    let stage = stage.map(|stage| format!("{stage}=3"));
    match Program::new("/flasher", "/flasher", stage.as_slice()) {
        Ok(program) => program.exec(),
        Err(error) => error,
    }
}
