//! What a command line says, an options struct for each verb that has more than an operand.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::board::selector::Where;
use crate::bytes::access::Access;
use crate::checks::request::Trust;
use crate::flash::OnFault;
use crate::image::Unpacking;
use crate::layout::Choice;
use crate::record::Action;
use crate::report::listen::Listen;
use std::path::PathBuf;

/// `apply` and `plan`, and `restore` through them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Apply {
    /// The path, URL or `-`; for `restore` the directory.
    pub image: String,
    /// Several files instead, each with the partition that it goes to.
    pub files: Vec<File>,
    /// The box.
    pub at: Where,
    /// Partitions that a raw image goes to, in this order, or that members of an archive go to.
    pub parts: Vec<Choice>,
    /// `--as-is` and `--unpack`.
    pub unpacking: Unpacking,
    /// Checks that are overridden.
    pub force: Vec<CheckId>,
    /// What must be true of the image.
    pub trust: Trust,
    /// Only print the plan.
    pub dry_run: bool,
    /// Do not ask.
    pub yes: bool,
    /// Copy every partition here first.
    pub backup: Option<PathBuf>,
    /// Leave the box running afterwards.
    pub no_reboot: bool,
    /// Refuse rather than take the box over.
    pub in_place: bool,
    /// Make the hand-off ready and leave the start to init's restart line.
    pub prepare: bool,
    /// A busybox to keep for a console shell if the flash cannot be made good.
    pub rescue_shell: bool,
    /// Take another signed image over the network then.
    pub rescue_network: bool,
    /// Where whoever has the token can follow it.
    pub listen: Option<Listen>,
    /// How faults are met.
    pub on_fault: OnFault,
    /// Files that outlive the update.
    pub keep: crate::keep::Request,
    /// Where the boot loader's environment lies, as in `/etc/fw_env.config`.
    pub env_config: Option<PathBuf>,
    /// The files come over standard input as `push` sends them.
    pub pushed: bool,
    /// What an update server calls it.
    pub action: Option<Action>,
    /// The words of the command line, to be repeated in what is said to type next.
    pub typed: Vec<String>,
}

impl Apply {
    /// Whether the image, or one of the files, comes by standard input.
    pub fn reads_stdin(&self) -> bool {
        self.image == "-" || self.files.iter().any(|file| file.image == "-")
    }
}

/// One of several files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The partition, as it was typed.
    pub partition: String,
    /// The path, URL or `-`.
    pub image: String,
}

/// `env`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Env {
    /// The box.
    pub at: Where,
    /// Where the environment lies, as in `/etc/fw_env.config`.
    pub config: Option<PathBuf>,
    /// The variable that is asked for.
    pub name: Option<String>,
    /// `NAME=VALUE` of what is to be changed.
    pub set: Vec<String>,
    /// Checks that are overridden.
    pub force: Vec<CheckId>,
    /// Only print the plan.
    pub dry_run: bool,
}

/// `backup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Where the copies go.
    pub dir: PathBuf,
    /// The box.
    pub at: Where,
    /// Only these partitions.
    pub parts: Vec<String>,
}

/// A verb with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Replace the firmware.
    Apply(Apply),
    /// Write a backup back.
    Restore(Apply),
    /// Say what a file is.
    Inspect {
        /// The path, URL or `-`.
        image: String,
        /// How it is reached where it is a URL.
        access: Access,
        /// The words of the command line.
        typed: Vec<String>,
    },
    /// Compare flash with an image.
    Verify(Apply),
    /// Describe the box.
    Devices {
        /// Which one.
        at: Where,
        /// As a profile, to be completed.
        profile: bool,
    },
    /// Copy every partition.
    Backup(Backup),
    /// Show or change the boot loader's environment.
    Env(Env),
    /// What happened last time.
    Status(Where),
    /// Do what an update server wants.
    Poll(Box<crate::cli::poll::Poll>),
    /// Make a simulated box.
    SimCreate {
        /// A board id or the file of a profile.
        board: String,
        /// The directory to make.
        dir: PathBuf,
    },
    /// What has to do with a box's recovery mode.
    Recovery(crate::cli::recovery::Recovery),
    /// The network side of a box's recovery mode.
    #[cfg(feature = "host")]
    Network(crate::cli::network::NetworkVerb),
    /// Replace the firmware of a box over ssh.
    #[cfg(feature = "host")]
    Push(Box<crate::cli::push::Push>),
    /// Work on Synology's `.pat` files.
    #[cfg(feature = "host")]
    Pat(crate::cli::host::Pat),
    /// Unpack a QPKG.
    #[cfg(feature = "host")]
    QpkgExtract {
        /// The QPKG.
        file: String,
        /// A new directory.
        dir: PathBuf,
    },
    /// Show an update on a simulated box.
    #[cfg(feature = "host")]
    Demo,
    /// Print the manual page, or completions.
    #[cfg(feature = "host")]
    Manual(crate::cli::host::Manual),
    /// Print a text (`--help`).
    Print(String),
    /// `--version`.
    Version,
}
