//! `push [USER@]HOST IMAGE…`: an update of a box from a workstation, from the question what box it is to the proof that it
//! runs the new firmware.
//!
//! The box does what it would do for `apply` and proves the same; here is only what the way there adds: ssh, the right
//! program, an image that cannot be cut on its way, and a verdict that rests on what the box says after it has booted.

#![forbid(unsafe_code)]

pub(crate) mod binary;
mod difference;
mod facts;
mod follow;
mod heard;
mod images;
mod interrupt;
mod live;
mod place;
mod scratch;
mod session;
mod shell;
mod ssh;
mod target;
pub(crate) mod told;
mod verdict;

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Harm, Result};
use crate::base::outcome::{KeptState, Outcome, Tally};
use crate::base::units::Grouped;
use crate::cli::push::Push;
use crate::report::Reporter;
use crate::update::end;
use binary::{Also, Installed};
use follow::{Before, Follow, Reboot, Remote};
use images::Images;
use interrupt::Interrupt;
use session::{Run, Session};
use ssh::{Connection, HostKey, Ssh, Try};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;
use target::{Processor, Target};
use verdict::Verdict;

/// Stands before what the box says of its record.
const RECORD: &str = "flasher-record";
/// How long a box may take to answer at first.
const FIRST: Duration = Duration::from_secs(30);

/// Replaces the firmware of a box, and reports how that ended as the last event.
///
/// `version` is ours, which a flasher on the box has to have to be used.
///
/// # Errors
/// What was reported.
pub fn run(options: &Push, version: &str, reporter: &mut Reporter) -> Result<Exit> {
    reporter.events = true;
    end::report(attempt(options, version, reporter).map_err(Into::into), reporter)
}

fn attempt(options: &Push, version: &str, reporter: &mut Reporter) -> Result<Outcome> {
    let decided = options.apply.yes || options.apply.dry_run;
    if !decided && !io::stdin().is_terminal() {
        let failure = Failure::usage("standard input is not a terminal, so nobody can be asked");
        return Err(failure.hint("add --yes"));
    }
    let interrupt = Interrupt::listen()?;
    let images = Arc::new(Images::read(&options.apply)?);
    let ssh = Ssh::new(options, &interrupt)?;
    let connection = connect(&ssh, options, &interrupt)?;
    // An interrupt ends what runs, which looks like a connection that broke.
    let told = |failure: Failure| match interrupt.asked() {
        true => session::stopped(),
        false => failure,
    };
    let (target, visit) = target::ask(&connection, version).map_err(told)?;
    // A simulated box is anybody's.
    if !target.root && options.apply.at.sim.is_none() {
        let what = format_args!("ssh logs in to {} as another user than root", options.host);
        return Err(Failure::new(Exit::NotRoot, Code::NotRoot, what).hint("flasher push root@HOST IMAGE"));
    }
    let facts = reporter.json();
    let ask = |program: &str, directory: &str| {
        let mut script = OsString::new();
        if facts {
            script.push(facts::line(program, directory, &images, options));
            script.push("\n");
        }
        script.push(format!("echo {RECORD}\n"));
        script.push(verdict::line(program, options));
        script
    };
    let also = Also {
        beside: &images.beside,
        ask: &ask,
    };
    let (installed, said) =
        binary::install(&connection, &target, visit, options.binary.as_deref(), &also).map_err(told)?;
    if !connection.is_shared() {
        reporter.warning(format_args!(
            "the ssh server of {} allows few commands over one connection, so each step has a connection of its own: a password is asked \
             for at each",
            options.host
        ));
    }
    if installed.version != target::line(version) {
        reporter.warning(format_args!(
            "the flasher for the box is {}, this is {version}",
            installed.version
        ));
    }
    reporter.stage(format_args!("{}: {}", options.host, with(&installed, &target)));
    let mark = said.windows(RECORD.len()).position(|bytes| bytes == RECORD.as_bytes());
    let (looks, record) = said.split_at(mark.unwrap_or(said.len()));
    facts::tell(looks, reporter);
    let remote = Remote {
        installed,
        connection,
        record: verdict::read(record),
        booted: false,
    };
    let push = Pushing {
        options,
        version,
        images,
        ssh: &ssh,
        interrupt: &interrupt,
    };
    push.update(remote, target.boot, reporter)
}

/// With which flasher it is done.
fn with(installed: &Installed, target: &Target) -> String {
    let processor = match &target.processor {
        Processor::Known(name) => name,
        Processor::Other(what) => what.as_str(),
    };
    match target.flasher.as_ref() == Some(&installed.program) {
        true => format!("{processor}, with its own {}", installed.program),
        false => format!("{processor}, flasher is in {}", installed.place.path),
    }
}

fn connect<'a>(ssh: &'a Ssh<'a>, options: &Push, interrupt: &Interrupt) -> Result<Connection<'a>> {
    let try_of = Try {
        key: HostKey::Known,
        timeout: FIRST,
        aloud: true,
    };
    ssh.connect(try_of)?.map_err(|refused| match interrupt.asked() {
        true => session::stopped(),
        false => Failure::new(
            Exit::Unreachable,
            match refused.is_host_key() {
                true => Code::HostKey,
                false => Code::Connection,
            },
            format_args!("no connection to {}: {}", options.host, refused.why()),
        )
        .hint(options.on_the_box("true")),
    })
}

/// What holds from the first to the last step.
struct Pushing<'a> {
    options: &'a Push,
    version: &'a str,
    images: Arc<Images>,
    ssh: &'a Ssh<'a>,
    interrupt: &'a Interrupt,
}

impl<'a> Pushing<'a> {
    fn session<'s>(&'s self, connection: &'s Connection<'s>, installed: &'s Installed) -> Session<'s> {
        Session {
            connection,
            installed,
            images: &self.images,
            options: self.options,
            interrupt: self.interrupt,
            whole: false,
            // Another version may not know what that is.
            listens: installed.version == target::line(self.version),
        }
    }

    /// Runs `apply` there; once more with all of the image, where what the box has was another thing a moment later.
    fn apply(&self, connection: &Connection<'_>, installed: &Installed, reporter: &mut Reporter) -> Result<Run> {
        let session = self.session(connection, installed);
        let run = session.apply(reporter)?;
        let changed = |ended: &Outcome| ended.code == Code::ImageChanged && ended.harm == Harm::Untouched;
        let run = match run.ended.as_ref().is_some_and(changed) {
            false => run,
            true => {
                reporter.stage("what the box has changed meanwhile: all of the image is sent");
                Session { whole: true, ..session }.apply(reporter)?
            }
        };
        reporter.stage(format_args!(
            "{} bytes sent for {} bytes of images",
            Grouped(run.sent),
            Grouped(self.images.size())
        ));
        Ok(run)
    }

    /// Updates a box, and follows it to its end; `boot` is the id of the boot that it is in.
    fn update(&self, remote: Remote<'a>, boot: Option<String>, reporter: &mut Reporter) -> Result<Outcome> {
        let run = self.apply(&remote.connection, &remote.installed, reporter)?;
        let Some(reboot) = self.ended(&run, &remote.connection)? else {
            return Ok(outcome(&run));
        };
        let Some(agreed) = run.agreed else {
            return Err(Failure::new(
                Exit::Bug,
                Code::Bug,
                "the box wrote what nobody had agreed to",
            ));
        };
        // One that has written while we listened tells nothing more before its reboot.
        let silent = run.ended.as_ref().is_some_and(|ended| ended.code == Code::Written);
        let follow = Follow {
            ssh: self.ssh,
            options: self.options,
            version: self.version,
            before: Before {
                boot,
                record: remote.record,
                agreed,
                reboot,
                directory: remote.installed.place.path.clone(),
                live: run.listening.filter(|_| !silent),
            },
            interrupt: self.interrupt,
        };
        let told = match reboot {
            Reboot::No => verdict::ask(&remote.connection, &remote.installed, self.options).ok(),
            _ => None,
        };
        let back = match told {
            Some(record) => Remote { record, ..remote },
            None => {
                reporter.stage(format_args!("waiting for {} to come back", self.options.host));
                drop(remote.installed);
                follow
                    .wait(Some(remote.connection), reporter)
                    .map_err(follow::not_untouched)?
            }
        };
        self.judge(&back, &follow.before, reporter)
    }

    /// What became of the run on the box; `None` where that was all.
    fn ended(&self, run: &Run, connection: &Connection<'_>) -> Result<Option<Reboot>> {
        match (&run.ended, run.interrupted, run.agreed.is_some()) {
            (_, true, false) => Err(session::stopped()),
            (_, true, true) => Err(follow::detached(self.options)),
            (None, false, true) => Ok(Some(Reboot::Maybe)),
            (None, false, false) => Err(self.without_a_word(run, connection)),
            (Some(_), false, _) if run.planned => Ok(None),
            (Some(ended), false, _) if ended.exit != Exit::Done => Err(told::failure(ended, run.error.as_ref())),
            (Some(ended), false, _) => Ok(match ended.code {
                Code::HandedOver => Some(Reboot::Due),
                Code::Written if self.options.apply.no_reboot || self.options.apply.at.sim.is_some() => {
                    Some(Reboot::No)
                }
                Code::Written => Some(Reboot::Due),
                Code::NothingToDo | Code::Prepared => None,
                // Of another version; what it did shows.
                _ => Some(Reboot::Maybe),
            }),
        }
    }

    /// The program on the box ended before anything was agreed to, and did not say why.
    fn without_a_word(&self, run: &Run, connection: &Connection<'_>) -> Failure {
        match run.status {
            Some(code) if code != 255 => Failure::system(format_args!(
                "flasher on the box ended with exit code {code}: {}",
                run.said.lines().last().unwrap_or("it said nothing")
            )),
            _ => connection.broken(&run.said),
        }
    }

    /// How the update ended, by the record of the box, or by its flash where there is none.
    fn judge(&self, back: &Remote<'_>, before: &Before, reporter: &mut Reporter) -> Result<Outcome> {
        let (host, sha256) = (&self.options.host, &before.agreed.sha256);
        let mut kept = None;
        let tally = match verdict::judge(back.record.as_ref(), before.record.as_ref(), sha256) {
            Verdict::Failed(failure) => return Err(failure),
            Verdict::Written(tally) => {
                kept = back.record.as_ref().and_then(|record| record.kept.clone());
                if self.options.verify {
                    self.compare(back, reporter)?;
                }
                tally
            }
            Verdict::Nothing => {
                reporter.stage(format_args!(
                    "{host} has no record of this update: its flash is compared with the image"
                ));
                self.compare(back, reporter)?;
                Tally::default()
            }
        };
        let what = match (back.booted, before.reboot) {
            (true, _) => "has booted from what was written",
            (false, _) => "has the new firmware, and has not booted since",
        };
        reporter.stage(format_args!("{host} {what}: written and verified, sha256 {sha256}"));
        if let Some(lost) = kept.as_ref().filter(|kept| kept.state != KeptState::Restored) {
            reporter.warning(format_args!("the kept files of {host}: {lost}"));
        }
        Ok(Outcome {
            kept,
            ..Outcome::written(tally)
        })
    }

    /// Compares the flash with the image.
    fn compare(&self, back: &Remote<'_>, reporter: &mut Reporter) -> Result<()> {
        let put = |file: &images::Beside| back.installed.place.put(&back.connection, &file.name, &file.bytes);
        let same = self
            .images
            .beside
            .iter()
            .try_for_each(put)
            .and_then(|()| self.session(&back.connection, &back.installed).verify(reporter));
        if let Some(doubt) = same.as_ref().ok().and_then(|compared| compared.doubt(back.booted)) {
            let what = format_args!("the box answers, but {doubt}");
            let failure = Failure::new(Exit::Flash, Code::Inactive, what).harm(Harm::Partly);
            return Err(failure.hint(self.options.on_the_box("flasher devices")));
        }
        match same {
            Ok(compared) if compared.same => {
                reporter.stage("the flash is as the image wants it");
                Ok(())
            }
            Ok(compared) => Err(Failure::new(
                Exit::Flash,
                Code::Different,
                match compared.slot {
                    Some(slot) => format!("the box boots slot {slot}, which is not as the image wants it"),
                    None => "the box answers, and its flash is not as the image wants it".to_owned(),
                },
            )
            .harm(Harm::Partly)
            .hint("the same command again; a file system that the new firmware writes to differs by that")),
            Err(failure) => Err(follow::unknown(
                Code::NotBack,
                format_args!("the box answers, and its flash could not be compared: {failure}"),
            )),
        }
    }
}

/// The outcome of a run after which there is nothing to follow.
fn outcome(run: &Run) -> Outcome {
    match &run.ended {
        Some(ended) if !run.planned => ended.clone(),
        _ => Outcome::untouched(Code::Planned),
    }
}
