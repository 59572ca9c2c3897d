//! One try at an update: counted before it begins, through the pipeline that every update goes through, and told to the server at
//! each stage. The last question is asked when everything is checked and nothing is touched: from then on there is no way back.

#![forbid(unsafe_code)]

use super::document::{Artifact, Cancel};
use super::feedback::{self, Stands};
use super::judge::{TRIES, has_touched, is_passing};
use super::server::Server;
use super::{Stopped, cli};
use crate::base::check_id::CheckId;
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Harm, Result};
use crate::base::outcome::{Outcome, Tally};
use crate::base::phase::Phase;
use crate::base::quoted::{Quoted, Shown};
use crate::base::units::{Seconds, Size};
use crate::board::Board;
use crate::bytes::access::Access;
use crate::checks::request::Checksum;
use crate::cli::Apply;
use crate::plan::{Plan, Route, Status};
use crate::record::{Action, Record, Versions};
use crate::report::{Reporter, Sink};
use crate::update::{self, Ended, note, stage::ImageSource};
use std::time::Duration;

/// An update that is to be tried.
pub struct Attempt<'a> {
    /// The server.
    pub server: &'a Server,
    /// The box.
    pub board: &'a Board,
    /// What the server calls the update, and which try it is.
    pub action: Action,
    /// The record of the update before.
    pub last: &'a Record,
}

/// An image, and where it is.
pub struct Offer<'a> {
    /// The file.
    pub artifact: &'a Artifact,
    /// Its checksum; without one it has to be signed.
    pub sum: Option<Checksum>,
    /// Where it is, and how that is reached.
    pub place: (String, Access),
}

impl<'a> Offer<'a> {
    /// The offer of this file.
    ///
    /// # Errors
    /// Why it cannot be taken, as a phrase.
    pub fn of(artifact: &'a Artifact, server: &Server, deadline: Duration) -> std::result::Result<Offer<'a>, String> {
        let sum = match &artifact.hashes.sha256 {
            None => None,
            Some(sum) => match Checksum::of(sum.clone()) {
                Some(Checksum::Hex(sum)) => Some(Checksum::Hex(sum)),
                _ => return Err(format!("{} is not a SHA-256", Quoted(sum))),
            },
        };
        Ok(Offer {
            artifact,
            sum,
            place: server.download(&artifact.links, deadline)?,
        })
    }
}

impl Attempt<'_> {
    /// Tries it. What the server is told besides is not worth an update: it asks again.
    ///
    /// # Errors
    /// Why the flash is not as it was wanted.
    pub fn run(
        &self,
        options: &cli::Poll,
        offer: Offer<'_>,
        reporter: &mut Reporter,
    ) -> std::result::Result<Ended, Stopped> {
        let options = self.options(options, &offer);
        let begun = format!(
            "try {} of {TRIES}: {}, {}",
            self.action.attempt,
            Quoted(&offer.artifact.filename),
            Size(offer.artifact.size)
        );
        reporter.stage(format_args!("update {}, {begun}", self.action.id));
        self.tell(Stands::Proceeding, &begun)?;
        let interrupted = Failure::new(
            Exit::System,
            Code::Interrupted,
            "it was begun, and how it ended is not known",
        );
        self.keep(&Outcome::failed(&interrupted, Tally::default()), reporter)?;
        reporter.reach("begun");
        reporter.attach(Box::new(Told {
            server: self.server.clone(),
            id: self.action.id.clone(),
            quarter: 0,
            touched: has_touched(&self.action.id, self.last),
        }));
        let result = update::attempt(&options, ImageSource::Image, reporter);
        reporter.detach();
        let told = match &result {
            Ok(ended) => self.ended(&ended.outcome, reporter),
            Err(stopped) => self.stopped(stopped, reporter),
        };
        if let Err(failure) = told {
            reporter.warning(format_args!("the server does not know how it ended: {failure}"));
        }
        result
    }

    fn options(&self, options: &cli::Poll, offer: &Offer<'_>) -> Apply {
        let mut apply = options.apply.clone();
        apply.yes = true;
        (apply.image, apply.trust.access) = offer.place.clone();
        apply.trust.size = Some(offer.artifact.size);
        apply.trust.sha256.clone_from(&offer.sum);
        apply.trust.signed = offer.sum.is_none();
        apply.action = Some(self.action.clone());
        apply
    }

    fn tell(&self, stands: Stands, text: &str) -> Result<()> {
        feedback::deployment(self.server, &self.action.id, stands, text)
    }

    fn ended(&self, outcome: &Outcome, reporter: &mut Reporter) -> Result<()> {
        match outcome.code {
            Code::NothingToDo => {
                self.keep(outcome, reporter)?;
                self.tell(Stands::Success, "the flash was as the image wants it")
            }
            // The network is about to go, and the server has been told so.
            Code::HandedOver => Ok(()),
            _ => {
                let text = format!("written and verified: {}; the box reboots", outcome.tally);
                self.tell(Stands::Proceeding, &text)
            }
        }
    }

    fn stopped(&self, stopped: &Stopped, reporter: &mut Reporter) -> Result<()> {
        let failure = &stopped.failure;
        if failure.harm == Harm::Untouched {
            self.keep(&Outcome::failed(failure, stopped.tally), reporter)?;
        }
        // Of one that was canceled the server knows already.
        if failure.code == Code::Canceled {
            return Ok(());
        }
        let again = is_passing(failure.code) && self.action.attempt < TRIES;
        let text = format!(
            "try {} of {TRIES} failed: {failure} ({}); flash {}",
            self.action.attempt,
            failure.code,
            failure.harm.explain()
        );
        self.tell(if again { Stands::Proceeding } else { Stands::Failure }, &text)
    }

    /// Keeps what this try came to beside the flash. What an interrupted update has left there stays known.
    fn keep(&self, outcome: &Outcome, reporter: &mut Reporter) -> Result<()> {
        let versions = Versions {
            offered: None,
            before: self.last.version.clone(),
            action: Some(self.action.clone()),
        };
        let mut record = Record::now(outcome, "", &versions, &reporter.reached);
        record.image_sha256.clone_from(&self.last.image_sha256);
        if self.last.harm == Harm::Partly && !outcome.is_ok() {
            record.harm = Harm::Partly;
        }
        match note::keep(self.board, &record) {
            Err(failure) if failure.code == Code::Busy => Err(failure),
            Err(failure) => {
                reporter.warning(format_args!("what this try came to could not be kept: {failure}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Tells the server how far it is, and asks it once more before the flash is touched.
struct Told {
    server: Server,
    id: String,
    /// Of the download, as it was told last.
    quarter: u64,
    /// Whether a try before this one has changed the flash.
    touched: bool,
}

impl Sink for Told {
    fn progress(&mut self, phase: Phase, done: u64, total: u64) {
        let quarter = done.saturating_mul(4) / total.max(1);
        if phase != Phase::Reading || quarter <= self.quarter || quarter > 3 {
            return;
        }
        self.quarter = quarter;
        // Nobody who does not hear that is worth an update.
        let _ = feedback::deployment(
            &self.server,
            &self.id,
            Stands::Proceeding,
            &format!("Downloaded {}%", quarter * 25),
        );
    }

    fn may_begin(&mut self, plan: &Plan) -> Result<()> {
        let unknown = |check: &crate::plan::Check| check.name == CheckId::Record && check.status == Status::Warn;
        if plan.route == Route::Staged && plan.checks.iter().any(unknown) {
            let what = "refused by check record: nothing on this box keeps how the update ended over a reboot, so that \
                        it might be tried for ever";
            return Err(Failure::new(Exit::Refused, Code::Record, what).hint(
                "have a partition named flasher, ramoops, or an empty file flasher.record on a disk of its own",
            ));
        }
        if let Some(link) = self.server.base()?.links().cancel_action {
            let cancel: Cancel = self.server.get(&link.href)?;
            if cancel.cancel_action.stop_id == self.id {
                super::answer(&self.server, &cancel, self.touched)?;
                if !self.touched {
                    return Err(Failure::new(
                        Exit::Refused,
                        Code::Canceled,
                        "the server has canceled the update",
                    ));
                }
            }
        }
        let names: Vec<_> = plan.writes().map(|write| Shown(&write.to.name).to_string()).collect();
        let text = format!(
            "checked; now {} is written, which takes about {}, and then the box boots",
            names.join(", "),
            Seconds(plan.seconds)
        );
        feedback::deployment(&self.server, &self.id, Stands::Proceeding, &text)
    }

    fn failure(&mut self, _: &Failure) {}

    fn outcome(&mut self, _: &Outcome) {}
}
