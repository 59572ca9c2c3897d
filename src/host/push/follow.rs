//! After the box was told to write: it goes away, it comes back, and it is asked how the update ended.

#![forbid(unsafe_code)]

use super::binary::{self, Also, Installed};
use super::interrupt::Interrupt;
use super::live::{self, Live};
use super::ssh::{Connection, HostKey, Refused, Ssh, Try};
use super::target;
use super::told::Question;
use super::verdict;
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Harm, Result};
use crate::base::shell;
use crate::base::units::Seconds;
use crate::cli::push::Push;
use crate::record::Record;
use crate::report::Reporter;
use std::ffi::OsStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a box that boots may take to answer one try: not long at first, because a try that meets the box before its network
/// is up hangs until then, and another second for so much time that has gone by, because a long way may need it.
const ANSWER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
const ANSWER_GROWS: Duration = Duration::from_secs(15);
/// How long a box may take, where nobody says it.
const SHORTEST: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);
/// Between two questions to a box that may still be writing.
const POLL: Duration = Duration::from_secs(3);

/// Whether the box boots anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reboot {
    /// It said so.
    Due,
    /// The connection broke before it said anything.
    Maybe,
    /// It stays up.
    No,
}

/// What is known before the box goes away.
pub struct Before {
    /// Its boot.
    pub boot: Option<String>,
    /// Its record.
    pub record: Option<Record>,
    /// What was agreed to.
    pub agreed: Question,
    /// Whether it boots anew.
    pub reboot: Reboot,
    /// The directory that the run had there.
    pub directory: String,
    /// Where it can be followed meanwhile.
    pub live: Option<live::Place>,
}

/// A box that answers. What is on it goes before the connection does.
pub struct Remote<'a> {
    /// The flasher there.
    pub installed: Installed,
    /// The connection.
    pub connection: Connection<'a>,
    /// Its record.
    pub record: Option<Record>,
    /// Whether it has booted since the update.
    pub booted: bool,
}

/// Waits for a box.
pub struct Follow<'a> {
    /// The way to it.
    pub ssh: &'a Ssh<'a>,
    /// What was asked for.
    pub options: &'a Push,
    /// Our version.
    pub version: &'a str,
    /// What is known.
    pub before: Before,
    /// ^C.
    pub interrupt: &'a Interrupt,
}

/// A failure after which nobody here knows what is on the flash.
pub fn unknown(code: Code, what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Unreachable, code, what).harm(Harm::Partly)
}

/// A failure of ours after the box was told to write says nothing of its flash.
pub fn not_untouched(failure: Failure) -> Failure {
    match failure.harm {
        Harm::Untouched => unknown(Code::NotBack, failure),
        _ => failure,
    }
}

/// Asks the box how the update ended.
const STATUS: &str = "flasher status";

/// The end for somebody who does not want to wait.
pub fn detached(options: &Push) -> Failure {
    unknown(
        Code::Detached,
        "stopped waiting: the box goes on by itself, verifies what it writes, and reboots where that is due",
    )
    .hint(format!(
        "afterwards the same command again, or: {}",
        options.on_the_box(STATUS)
    ))
}

impl<'a> Follow<'a> {
    /// Waits until the box has booted anew, or until its record is a new one where it may not do that.
    ///
    /// # Errors
    /// A box that does not come back in time or has another host key; ^C.
    pub fn wait(&self, old: Option<Connection<'a>>, reporter: &mut Reporter) -> Result<Remote<'a>> {
        let begun = Instant::now();
        let deadline = begun + self.patience();
        let mut old = old;
        let mut live = self.before.live.as_ref().map(|place| Live::begin(self.ssh, place));
        let mut key = match self.options.new_host_key {
            true => HostKey::Any,
            false => HostKey::Known,
        };
        let mut why = "it has not gone away".to_owned();
        loop {
            if let Some(connection) = old.take().filter(|_| self.before.reboot != Reboot::No) {
                self.until_gone(connection, &mut live, deadline, reporter)?;
            }
            self.may_go_on(deadline, &why)?;
            if self.hears(&mut live, reporter)? {
                sleep(PAUSE / 5);
                continue;
            }
            let try_of = Try {
                key,
                timeout: answers_within(begun.elapsed()),
                aloud: false,
            };
            match self.ssh.connect(try_of)? {
                Ok(connection) => match self.look(connection, &mut key, deadline, reporter) {
                    Ok(Look::Back(back)) => return Ok(*back),
                    Ok(Look::NotYet(connection)) => {
                        why = "it answers, and has not booted anew".to_owned();
                        old = Some(connection);
                    }
                    // It may be on its way down.
                    Err(failure) if failure.code == Code::Connection => {
                        why = failure.to_string();
                        sleep(PAUSE);
                    }
                    Err(failure) if failure.code == Code::Detached || failure.code == Code::NotBack => {
                        return Err(failure);
                    }
                    Err(failure) => {
                        return Err(unknown(
                            Code::NotBack,
                            format_args!("the box answers, and how the update ended cannot be asked: {failure}"),
                        )
                        .hint(self.options.on_the_box(STATUS)));
                    }
                },
                Err(refused) if refused.is_host_key() => key = self.new_key(key, &refused, reporter)?,
                Err(refused) => {
                    why = refused.why().to_owned();
                    sleep(PAUSE);
                }
            }
        }
    }

    /// How long the box may take.
    fn patience(&self) -> Duration {
        patience(self.options.wait, self.before.agreed.seconds)
    }

    fn may_go_on(&self, deadline: Instant, why: &str) -> Result<()> {
        if self.interrupt.asked() {
            return Err(detached(self.options));
        }
        match Instant::now() < deadline {
            true => Ok(()),
            false => Err(unknown(
                Code::NotBack,
                format_args!(
                    "{} did not come back within {}: {why}",
                    self.ssh.host(),
                    Seconds(self.patience().as_secs())
                ),
            )
            .hint("it may need longer, have another address, or wait in its rescue; when it answers, the same command again")),
        }
    }

    /// Shows what the box tells by itself. Answers whether it is at work, and is not to be asked anything yet.
    fn hears(&self, live: &mut Option<Live>, reporter: &mut Reporter) -> Result<bool> {
        let Some(live) = live else { return Ok(false) };
        let connected = live.show(reporter);
        live.failed().map_or(Ok(connected), Err)
    }

    /// Waits until a connection has ended by itself, or process 1 tells that it must have.
    fn until_gone(
        &self,
        mut connection: Connection<'_>,
        live: &mut Option<Live>,
        deadline: Instant,
        reporter: &mut Reporter,
    ) -> Result<()> {
        while connection.is_alive() && !self.hears(live, reporter)? {
            self.may_go_on(deadline, "it has not gone away")?;
            sleep(PAUSE / 5);
        }
        Ok(())
    }

    /// Says it once where the host key is another one than before.
    fn tell_key(&self, connection: &Connection<'_>, key: &mut HostKey, reporter: &mut Reporter) {
        if *key == HostKey::Any && connection.has_other_key() {
            self.takes_new_key(reporter);
            *key = HostKey::New;
        }
    }

    fn takes_new_key(&self, reporter: &mut Reporter) {
        reporter.stage(format_args!(
            "{} has another host key now, which is taken for this run; your known_hosts stays as it is: ssh-keygen -R {}",
            self.ssh.host(),
            self.ssh.box_name()
        ));
    }

    /// The new firmware may have made itself a new host key.
    fn new_key(&self, key: HostKey, refused: &Refused, reporter: &mut Reporter) -> Result<HostKey> {
        let host = self.ssh.host();
        // ssh gives no password to a box whose key it does not know.
        if key == HostKey::Any {
            self.takes_new_key(reporter);
            return Ok(HostKey::New);
        }
        Err(unknown(
            Code::HostKey,
            format_args!(
                "{host} answers with a host key that ssh does not accept, so it was not asked how the update ended: {}",
                refused.why()
            ),
        )
        .hint(format!(
            "if the new firmware makes itself new keys: ssh-keygen -R {}, {}, and next time --new-host-key",
            shell::typed(self.ssh.box_name()),
            self.options.on_the_box(STATUS)
        )))
    }

    /// Whether the box is as it will stay.
    fn look(
        &self,
        connection: Connection<'a>,
        key: &mut HostKey,
        deadline: Instant,
        reporter: &mut Reporter,
    ) -> Result<Look<'a>> {
        // Half an answer is that of a box on its way down, or not all the way up.
        let asked = target::ask(&connection, self.version);
        let (target, visit) = asked.map_err(|failure| failure.code(Code::Connection))?;
        self.tell_key(&connection, key, reporter);
        let booted = match (&self.before.boot, &target.boot) {
            (Some(before), Some(now)) => before != now,
            // Not known is not proved.
            _ => false,
        };
        match (booted, self.before.reboot) {
            (false, Reboot::Due) => {
                drop(visit);
                return Ok(Look::NotYet(connection));
            }
            (true, _) => reporter.stage(format_args!("{} has booted and answers", self.ssh.host())),
            _ => (),
        }
        let ask = |program: &str, _: &str| verdict::line(program, self.options);
        let also = Also { beside: &[], ask: &ask };
        let (installed, said) = binary::install(&connection, &target, visit, self.options.binary.as_deref(), &also)?;
        let back = Remote {
            record: verdict::read(&said),
            connection,
            installed,
            booted,
        };
        match (booted, self.before.reboot) {
            (false, Reboot::Maybe) => self.still_writing(back, deadline),
            _ => Ok(Look::Back(Box::new(back))),
        }
    }

    /// Asks again until there is a new record, or the box goes away for its reboot.
    fn still_writing(&self, mut back: Remote<'a>, deadline: Instant) -> Result<Look<'a>> {
        loop {
            // Asked first: one that ends in between has left its record when that is asked for.
            let at_work = self.is_at_work(&back.connection)?;
            back.record = verdict::ask(&back.connection, &back.installed, self.options)?;
            let before = self.before.record.as_ref();
            let is_new = |now: &Record| before.is_none_or(|before| !verdict::is_stale(now, before));
            if back.record.as_ref().is_some_and(is_new) {
                return Ok(Look::Back(Box::new(back)));
            }
            if !at_work {
                let what = "the connection broke when the box was told to write; no flasher is at work there, and it has \
                            no record of an update";
                return Err(unknown(Code::NotBack, what).hint("the same command again"));
            }
            self.may_go_on(deadline, "it answers, and is still at work")?;
            sleep(POLL);
            if !back.connection.is_alive() {
                return Ok(Look::NotYet(back.connection));
            }
        }
    }

    /// Whether the run that we lost is still going on. Its files are in its command line, and nobody else has that directory.
    fn is_at_work(&self, connection: &Connection<'_>) -> Result<bool> {
        let (rest, last) = self
            .before
            .directory
            .split_at(self.before.directory.len().saturating_sub(1));
        // The brackets keep it from finding itself.
        let script = format!("grep -q -e '{rest}[{last}]/' /proc/[0-9]*/cmdline 2>/dev/null");
        let output = connection.run(OsStr::new(&script), b"")?;
        Ok(output.status.success())
    }
}

/// How long a box may take, as somebody wants it or by the seconds of its plan. A box may say anything, and so may a script.
fn patience(wanted: Option<Duration>, planned: u64) -> Duration {
    let planned = Duration::from_secs(planned.saturating_mul(2).saturating_add(120));
    wanted.unwrap_or(planned.max(SHORTEST)).min(LONGEST)
}

/// How long one try may take after so much time.
fn answers_within(waited: Duration) -> Duration {
    let steps = waited.as_secs() / ANSWER_GROWS.as_secs();
    (ANSWER[0] + Duration::from_secs(steps)).min(ANSWER[1])
}

/// What a look at the box has shown.
enum Look<'a> {
    /// It can be judged.
    Back(Box<Remote<'a>>),
    /// It is still to go away.
    NotYet(Connection<'a>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_ever() {
        for (wanted, planned, seconds) in [
            (None, 10, 600),
            (None, 1000, 2120),
            (None, u64::MAX, 7 * 86_400),
            (Some(5), 1000, 5),
            (Some(u64::MAX), 10, 7 * 86_400),
        ] {
            let patience = patience(wanted.map(Duration::from_secs), planned);
            assert_eq!(patience.as_secs(), seconds, "{wanted:?} {planned}");
        }
    }

    #[test]
    fn a_try_is_short_at_first_and_longer_when_the_box_takes_long() {
        let seconds = |waited| answers_within(Duration::from_secs(waited)).as_secs();
        assert_eq!([0, 14, 15, 60, 3600].map(seconds), [1, 1, 2, 5, 5]);
    }
}
