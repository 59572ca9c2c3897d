//! What the stages report while they work. The engine emits events, the caller draws them.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

/// One thing that happened. `Display` gives one line in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageEvent {
    /// Stage one runs in a process of its own from here on.
    Detaching {
        /// The process.
        pid: u32,
    },
    /// The RAM root is `/` now.
    Pivoted {
        /// Which mounts were carried over, such as `/proc`.
        moved: Vec<String>,
    },
    /// Init was asked to re-read its inittab.
    HupSent {
        /// 1 for the first time.
        attempt: u32,
    },
    /// Init has re-read its inittab: the marker runs.
    Armed {
        /// Since the first SIGHUP.
        after: Duration,
    },
    /// Init has started a program of the new root.
    Started {
        /// Since it was asked to.
        after: Duration,
    },
    /// Something failed and the running system is being put back.
    Undoing {
        /// The error.
        why: String,
    },
    /// The running system is as it was.
    Undone,
    /// From here nothing can be undone: init is told to hand over.
    HandingOver,
    /// We are PID 1.
    TakenOver,
    /// The watchdog is ours and is being fed.
    WatchdogTaken {
        /// The device.
        device: String,
        /// Its timeout in seconds; 0 when the driver does not tell.
        timeout_s: u32,
    },
    /// The watchdog could not be taken over.
    WatchdogLost {
        /// The device.
        device: String,
        /// Why.
        why: String,
    },
    /// Processes are asked or forced to end.
    Ending {
        /// Whether SIGKILL is used.
        forced: bool,
        /// Each as `pid (name)`.
        processes: Vec<String>,
    },
    /// Processes that outlived SIGKILL.
    Unkillable {
        /// Each as `pid (name)`, with the state when it is uninterruptible sleep.
        processes: Vec<String>,
    },
    /// A swap area was switched off.
    SwapOff {
        /// The device or file.
        device: String,
    },
    /// A loop device was freed.
    LoopFreed {
        /// The device.
        device: String,
    },
    /// UBI let go of an MTD that is to be written.
    UbiDetached {
        /// N of `ubiN`.
        ubi: u32,
        /// N of `mtdN`.
        mtd: u32,
    },
    /// A file system under the old root was unmounted.
    Unmounted {
        /// Where it was.
        mountpoint: String,
    },
    /// A file system under the old root is in use.
    Busy {
        /// Where it is.
        mountpoint: String,
        /// Who uses it, in words.
        holders: Vec<String>,
    },
    /// The old root is unmounted and proved gone.
    OldRootGone {
        /// Since PID 1 began to detach.
        after: Duration,
    },
    /// Something worth knowing that changes nothing.
    Note {
        /// The sentence.
        text: String,
    },
}

impl StageEvent {
    /// A [`StageEvent::Note`].
    pub(crate) fn note(text: impl Into<String>) -> Self {
        Self::Note { text: text.into() }
    }
}

impl fmt::Display for StageEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detaching { pid } => write!(
                f,
                "stage one: goes on as process {pid}, whatever happens to this session"
            ),
            Self::Pivoted { moved } if moved.is_empty() => f.write_str("stage one: the RAM root is / now"),
            Self::Pivoted { moved } => write!(f, "stage one: the RAM root is / now, {} carried over", moved.join(" ")),
            Self::HupSent { attempt: 1 } => f.write_str("stage one: init was asked to re-read its inittab"),
            Self::HupSent { attempt } => write!(
                f,
                "stage one: init was asked again to re-read its inittab (attempt {attempt})"
            ),
            Self::Armed { after } => write!(f, "stage one: init re-read its inittab after {}", Seconds(*after)),
            Self::Undoing { why } => write!(f, "stage one: {why}; putting everything back"),
            Self::Undone => f.write_str("stage one: everything is as it was"),
            Self::Started { after } => write!(
                f,
                "stage one: init started a program of the RAM root after {}",
                Seconds(*after)
            ),
            Self::HandingOver => f.write_str("stage one: init hands over now and ends every process"),
            Self::TakenOver => f.write_str("stage two: flasher is PID 1"),
            Self::WatchdogTaken { device, timeout_s } => {
                write!(f, "stage two: feeding the watchdog {device} (timeout {timeout_s} s)")
            }
            Self::WatchdogLost { device, why } => {
                write!(
                    f,
                    "stage two: the watchdog {device} could not be taken over: {why}; nothing is written while it runs"
                )
            }
            Self::Ending { forced, processes } => {
                write!(
                    f,
                    "stage three: {} {}",
                    if *forced { "killing" } else { "ending" },
                    processes.join(", ")
                )
            }
            Self::Unkillable { processes } => write!(
                f,
                "stage three: cannot be killed: {}; while one of them holds the old root, nothing is written",
                processes.join(", ")
            ),
            Self::SwapOff { device } => write!(f, "stage three: swap {device} is off"),
            Self::LoopFreed { device } => write!(f, "stage three: loop device {device} is free"),
            Self::UbiDetached { ubi, mtd } => write!(f, "stage three: ubi{ubi} detached from mtd{mtd}"),
            Self::Unmounted { mountpoint } => write!(f, "stage three: {mountpoint} unmounted"),
            Self::Busy { mountpoint, holders } => {
                write!(f, "stage three: {mountpoint} is in use by {}", holders.join(", "))
            }
            Self::OldRootGone { after } => write!(
                f,
                "stage three: the old root is unmounted and proved gone ({})",
                Seconds(*after)
            ),
            Self::Note { text } => f.write_str(text),
        }
    }
}

/// `1.2 s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} s", self.0.as_secs(), self.0.subsec_millis() / 100)
    }
}
