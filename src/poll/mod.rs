//! `poll`: asks an update server of hawkBit's DDI what it wants, does it, and tells how it ended.
//!
//! Nothing is kept beside the record of the last update, which says which of the server's updates it was. Whoever polls after the
//! reboot judges by it: an update counts as done only when the box has booted since it was written.

#![forbid(unsafe_code)]

mod attempt;
mod choose;
mod config;
mod document;
mod feedback;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod judge;
mod server;
mod wait;

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::outcome::{Outcome, Stopped};
use crate::base::quoted::Quoted;
use crate::board::lock::Lock;
use crate::board::{Board, usable};
use crate::bytes::access::Access;
use crate::cli::poll as cli;
use crate::record::{self, Action, Record, RunResult, Versions};
use crate::report::Reporter;
use crate::slots::{self, State};
use crate::update::{self, Ended, note, version};
use attempt::{Attempt, Offer};
use config::Config;
use document::{Artifact, Cancel, Deployment, Work};
use feedback::Stands;
use judge::{Verdict, has_touched, judge};
use server::{Server, failed, is_plain};
use std::time::Duration;
use wait::Waits;

/// Asks the server once, or again and again, and reports what came of it each time.
///
/// # Errors
/// What was reported last.
pub fn run(options: &cli::Poll, version: &str, reporter: &mut Reporter) -> Result<Exit> {
    reporter.events = true;
    let mut waits = Waits::new(options);
    waits.before_the_first();
    loop {
        reporter.reached.clear();
        let mut sleep = None;
        let result = once(options, version, &mut sleep, reporter);
        // What boots anew, or is configured wrongly, does not poll on. What is wrong with an image the server hears, and the next
        // one may be right.
        let tried = !reporter.reached.is_empty();
        let ends = match &result {
            Ok(ended) => matches!(ended.outcome.code, Code::Written | Code::HandedOver),
            Err(stopped) => !tried && [Exit::Usage, Exit::NotRoot, Exit::Unsupported].contains(&stopped.failure.exit),
        };
        let fine = result.is_ok();
        let exit = update::report(result, reporter);
        if ends || !waits.until_the_next(sleep, fine) {
            return exit;
        }
    }
}

/// What a poll knows.
struct Poll<'a> {
    options: &'a cli::Poll,
    config: Config,
    board: Board,
    server: Server,
    last: Record,
    /// The boot that this is, where the kernel says it.
    boot: Option<String>,
    slots: Option<State>,
}

fn once(
    options: &cli::Poll,
    version: &str,
    sleep: &mut Option<Duration>,
    reporter: &mut Reporter,
) -> std::result::Result<Ended, Stopped> {
    usable::root(options.apply.at.sim.is_some())?;
    let board = Board::discover(&options.apply.at)?;
    usable::usable(&board)?;
    let _lock = Lock::of_polling(&board)?;
    let mut config = Config::read(options.config.as_deref(), &version::root(&board))?;
    let server = server(options, &mut config)?;
    if server.is_open() {
        reporter.detail("http:// without TLS: whoever is on the way hears the token, and can send an image of his own");
    }
    let poll = Poll {
        last: record::load(&board)?,
        boot: record::boot(&board),
        slots: slots::state(&board),
        options,
        config,
        board,
        server,
    };
    let mut base = poll.server.base()?;
    *sleep = base.sleep();
    let links = base.links();
    if links.config_data.is_some() {
        feedback::attributes(&poll.server, &poll.attributes(version))?;
    }
    let mut canceled = None;
    let asks_to_cancel = links.cancel_action.is_some();
    if let Some(link) = links.cancel_action {
        let cancel: Cancel = poll.server.get(&link.href)?;
        canceled = poll.cancel(&cancel, reporter)?.then_some(cancel.cancel_action.stop_id);
    }
    if links.deployment_base.is_none() && !asks_to_cancel {
        poll.close_the_last(reporter);
    }
    match (links.deployment_base, links.confirmation_base) {
        (Some(link), _) => {
            let wanted: Deployment = poll.server.get(&link.href)?;
            match canceled.as_ref() == Some(&wanted.id) {
                true => Ok(Outcome::untouched(Code::Canceled).into()),
                false => poll.deploy(&wanted, reporter),
            }
        }
        (None, Some(_)) => Ok(waiting(
            Code::Waiting,
            "an update waits until somebody agrees to it at the server",
            reporter,
        )),
        (None, None) if canceled.is_some() => Ok(Outcome::untouched(Code::Canceled).into()),
        (None, None) => Ok(waiting(Code::Idle, "the server wants nothing", reporter)),
    }
}

/// The server that is meant, by the command line or the file.
fn server(options: &cli::Poll, config: &mut Config) -> Result<Server> {
    let lacking = |what: &str| {
        Failure::usage(format_args!("{what} is not known")).hint(format!(
            "give --url and --id, or put url= and id= into /{}",
            config::PLACE
        ))
    };
    let url = options.url.clone().or(config.url.take());
    let id = options.id.clone().or(config.id.take());
    let access = Access {
        config: options.apply.trust.access.config.clone().or(config.fetch_config.take()),
        authorization: config.authorization.take(),
        until: None,
    };
    let url = url.ok_or_else(|| lacking("the URL of the server"))?;
    let id = id.ok_or_else(|| lacking("what the server calls this box"))?;
    Server::new(&url, &id, access)
}

/// An end at which nothing was to be done now.
fn waiting(code: Code, text: &str, reporter: &mut Reporter) -> Ended {
    reporter.result(text);
    Outcome::untouched(code).into()
}

/// Agrees to a wish to cancel, or does not because the flash has changed.
fn answer(server: &Server, cancel: &Cancel, touched: bool) -> Result<()> {
    let (stands, text) = match touched {
        false => (Stands::Success, "nothing was touched"),
        true => (Stands::Rejected, "the flash was changed by it already"),
    };
    feedback::cancel(server, named(&cancel.id)?, stands, text)
}

/// What the server calls something, if that can stand in a path.
fn named(id: &str) -> Result<&str> {
    match is_plain(id) {
        true => Ok(id),
        false => Err(failed(format_args!(
            "what it calls an update makes no sense: {}",
            Quoted(id)
        ))),
    }
}

impl Poll<'_> {
    fn judge(&self, id: &str) -> Verdict {
        judge(id, &self.last, self.boot.as_deref(), self.slots.as_ref())
    }

    /// What the server is told of the box: what the file says has the last word.
    fn attributes(&self, version: &str) -> Vec<(String, String)> {
        let versions = Versions {
            before: self.last.version.clone(),
            ..Versions::default()
        };
        let has = version::installed(&self.board, &versions).into_iter().next();
        let mut all = self.config.attributes.clone();
        let mut put = |name: &str, value: &str| {
            if all.iter().all(|(known, _)| known != name) {
                all.push((name.to_owned(), value.to_owned()));
            }
        };
        put("flasher", version);
        // As SWUpdate calls it, which servers look at.
        put("hw_boardname", &self.board.profile.id);
        if let Some(has) = has {
            put("sw_version", &has.version);
        }
        if let Some(sum) = self
            .last
            .image_sha256
            .as_ref()
            .filter(|_| self.last.result == RunResult::Ok)
        {
            put("image_sha256", sum);
        }
        all
    }

    /// Whether it could be canceled: not what has changed the flash, or runs.
    fn cancel(&self, cancel: &Cancel, reporter: &mut Reporter) -> Result<bool> {
        let stop = named(&cancel.cancel_action.stop_id)?;
        let touched = has_touched(stop, &self.last) || matches!(self.judge(stop), Verdict::Runs(_));
        answer(&self.server, cancel, touched)?;
        match touched {
            true => reporter.stage(format_args!(
                "update {stop} has changed the flash and cannot be canceled"
            )),
            false => reporter.result(format_args!("update {stop} is canceled")),
        }
        Ok(!touched)
    }

    /// Keeps that the server does not want the last update any more, whose end it has heard: should it want that again, then
    /// somebody has forced it.
    fn close_the_last(&self, reporter: &mut Reporter) {
        let Some(action) = self.last.action.as_ref().filter(|action| !action.closed) else {
            return;
        };
        let ended = matches!(self.judge(&action.id), Verdict::Runs(_) | Verdict::Failed(_));
        if !ended && self.last.code != Code::Canceled {
            return;
        }
        let closed = Record {
            action: Some(Action {
                closed: true,
                ..action.clone()
            }),
            ..self.last.clone()
        };
        if let Err(failure) = note::keep(&self.board, &closed) {
            reporter.detail(format_args!(
                "that update {} is done with was not kept: {failure}",
                action.id
            ));
        }
    }

    fn deploy(&self, wanted: &Deployment, reporter: &mut Reporter) -> std::result::Result<Ended, Stopped> {
        let id = named(&wanted.id)?;
        let work = &wanted.deployment;
        let glob = self.options.artifact.as_deref().or(self.config.artifact.as_deref());
        let chosen = choose::choose(&work.chunks, glob, &self.board.profile);
        let verdict = match self.is_another(work, chosen.as_deref().ok()) {
            true => Verdict::Due(1),
            false => self.judge(id),
        };
        let attempt = match verdict {
            Verdict::Runs(text) => return self.close(id, Stands::Success, &text, reporter),
            Verdict::Failed(text) => return self.close(id, Stands::Failure, &text, reporter),
            Verdict::Written => {
                let text = format!("update {id} is written, and the box has to boot");
                return Ok(waiting(Code::Waiting, &text, reporter));
            }
            Verdict::Due(attempt) => attempt,
        };
        if judge::is_to_boot(&self.last, self.boot.as_deref()) {
            let text = "the box was updated by somebody else, and has to boot first";
            return Ok(waiting(Code::Waiting, text, reporter));
        }
        let window = work.maintenance_window.as_deref();
        match (work.update.as_str(), window) {
            ("forced" | "attempt", None | Some("available")) => (),
            ("skip", _) | (_, Some("unavailable")) => {
                let text = format!("update {id} is not to be done now");
                return Ok(waiting(Code::Waiting, &text, reporter));
            }
            (update, window) => {
                let window = Quoted(window.unwrap_or_default());
                let text = format!(
                    "when it is to be done is not known: {}, window {window}",
                    Quoted(update)
                );
                return self.close(id, Stands::Failure, &text, reporter);
            }
        }
        let offer = chosen.and_then(|artifact| Offer::of(artifact, &self.server, self.options.deadline));
        let offer = match offer {
            Ok(offer) => offer,
            Err(why) => return self.close(id, Stands::Failure, &why, reporter),
        };
        let attempt = Attempt {
            server: &self.server,
            board: &self.board,
            action: Action {
                id: id.to_owned(),
                attempt,
                file: offer.artifact.mark(),
                closed: false,
            },
            last: &self.last,
        };
        attempt.run(self.options, offer, reporter)
    }

    /// Whether the file is another than that which the last record is about. A name of an update that comes with another file, as
    /// after a server was set up anew, is no update that this box knows.
    fn is_another(&self, work: &Work, chosen: Option<&Artifact>) -> bool {
        let Some(action) = &self.last.action else { return true };
        let is = |artifact: &Artifact| artifact.mark() == action.file;
        match chosen {
            Some(artifact) => !is(artifact),
            None => !work.chunks.iter().flat_map(|chunk| &chunk.artifacts).any(is),
        }
    }

    /// Tells how an update ended.
    fn close(
        &self,
        id: &str,
        stands: Stands,
        text: &str,
        reporter: &mut Reporter,
    ) -> std::result::Result<Ended, Stopped> {
        feedback::deployment(&self.server, id, stands, text)?;
        let how = if stands == Stands::Success {
            "succeeded"
        } else {
            "failed"
        };
        reporter.result(format_args!("update {id} {how}, and the server knows it: {text}"));
        Ok(Outcome::untouched(Code::Settled).into())
    }
}
