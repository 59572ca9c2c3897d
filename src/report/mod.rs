//! Everything that is said: events from the engine and the stages, drawn as text or as JSON lines.
//!
//! Output never fails towards the caller: a closed pipe or a dead console is ignored, because after the hand-over
//! nothing outside may stop an update.

#![forbid(unsafe_code)]

mod event;
pub mod listen;
mod options;
mod plan_text;
mod progress;
mod swupdate;
pub(crate) mod synology;

use crate::base::clock;
use crate::base::error::Failure;
use crate::base::json;
use crate::base::outcome::Outcome;
use crate::base::phase::Phase;
use crate::base::quoted::{printable, printable_json};
use crate::plan::Plan;
use event::Event;
use listen::{Door, Listen, Tap};
use plan_text::plan_text;
use progress::Meter;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};

pub use options::{Format, Global, Verbosity};

/// A front end beside text and JSON: it is told what happens and shows it in its own way.
pub trait Sink {
    /// How far a phase is, in bytes.
    fn progress(&mut self, phase: Phase, done: u64, total: u64);
    /// Whether the flash may be touched now: all is checked, and nothing is changed yet.
    ///
    /// # Errors
    /// Why not; it is how the update ends.
    fn may_begin(&mut self, _plan: &Plan) -> Result<(), Failure> {
        Ok(())
    }
    /// What failed.
    fn failure(&mut self, failure: &Failure);
    /// How an `apply` ended; the last call.
    fn outcome(&mut self, outcome: &Outcome);
}

/// Draws.
pub struct Reporter {
    format: Format,
    verbosity: Verbosity,
    meter: Meter,
    /// Whether events go out as they happen; other verbs answer with one object.
    pub events: bool,
    /// Whether nothing is said, because whoever listens has not shown yet that he may hear it.
    pub muted: bool,
    /// What was reached so far, for the record.
    pub reached: String,
    sink: Option<Box<dyn Sink>>,
    /// Those who follow over the network, and what was told to them.
    tap: Option<(Tap, Meter)>,
    /// Why standard output did not take something.
    lost: Option<io::Error>,
}

impl Reporter {
    /// A reporter on standard output and standard error.
    pub fn new(global: &Global) -> Reporter {
        Reporter {
            format: global.format,
            verbosity: global.verbosity,
            meter: Meter::new(global.format == Format::Text && progress::rewrites()),
            events: false,
            muted: false,
            reached: String::new(),
            sink: None,
            tap: None,
            lost: None,
        }
    }

    /// Tells this one too what happens from now on.
    pub fn attach(&mut self, sink: Box<dyn Sink>) {
        self.sink = Some(sink);
    }

    /// Tells it nothing any more.
    pub fn detach(&mut self) {
        self.sink = None;
    }

    /// Whether whoever is told has nothing against it that the flash is touched.
    ///
    /// # Errors
    /// What it has against it.
    pub fn may_begin(&mut self, plan: &Plan) -> Result<(), Failure> {
        match &mut self.sink {
            Some(sink) => sink.may_begin(plan),
            None => Ok(()),
        }
    }

    /// Says where the events can be followed.
    pub fn listening(&mut self, door: &Door) {
        let told = door.told();
        match self.format {
            Format::Json => self.event(&Event::Listening(told)),
            Format::Text => self.line(&["progress: ", &told.url].concat()),
        }
    }

    /// Tells those who connect what happens from now on.
    pub fn serve(&mut self, door: Door) {
        self.listening(&door);
        self.tapped(door.serve());
        if self.sink.is_none()
            && let Some(socket) = swupdate::Socket::open()
        {
            self.attach(Box::new(socket));
        }
    }

    /// The same in process 1, which has told nobody where.
    pub fn serve_again(&mut self, at: Listen) {
        self.tapped(Tap::again(at));
    }

    fn tapped(&mut self, tap: io::Result<Tap>) {
        match tap {
            Ok(tap) => self.tap = Some((tap, Meter::new(true))),
            Err(error) => self.warning(format_args!("nobody can follow over the network: {error}")),
        }
    }

    /// Those who follow have heard everything.
    pub fn hang_up(&mut self) {
        if let Some((tap, _)) = self.tap.take() {
            tap.end();
        }
    }

    /// Whether objects are wanted instead of text.
    pub fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether people are told the result alone.
    pub fn quiet(&self) -> bool {
        !self.json() && self.verbosity == Verbosity::Quiet
    }

    /// Whether every step is to be told.
    pub fn is_verbose(&self) -> bool {
        self.verbosity >= Verbosity::Verbose
    }

    /// A stage of an update is behind us; its name and time go into the record.
    pub fn reach(&mut self, name: &str) {
        self.reach_at(name, &clock::uptime());
    }

    /// The same, at this number of seconds since the box was started.
    pub fn reach_at(&mut self, name: &str, at: &str) {
        let parts = [if self.reached.is_empty() { "" } else { "; " }, at, " s ", name];
        parts.iter().for_each(|part| self.reached.push_str(part));
    }

    /// Something that was done.
    pub fn stage(&mut self, text: impl Display) {
        let text = text.to_string();
        self.event(&Event::Stage { text: &text });
        if !self.json() && self.verbosity >= Verbosity::Normal {
            self.line(&text);
        }
    }

    /// What came of it all: told even when little is wanted.
    pub fn result(&mut self, text: impl Display) {
        let text = text.to_string();
        self.event(&Event::Stage { text: &text });
        if !self.json() {
            self.line(&text);
        }
    }

    /// Something that was done, for `-v`.
    pub fn detail(&mut self, text: impl Display) {
        if self.verbosity >= Verbosity::Verbose {
            self.stage(text);
        }
    }

    /// Something that a person should look at.
    pub fn warning(&mut self, text: impl Display) {
        let text = text.to_string();
        if self.json() && self.events {
            return self.event(&Event::Warning { text: &text });
        }
        if !self.json() {
            self.event(&Event::Warning { text: &text });
        }
        self.complain(&format!("warning: {text}"));
    }

    /// How far something is. Draws at each new 5 % and at least once a minute, or a bar on a terminal.
    pub fn progress(&mut self, phase: Phase, done: u64, total: u64) {
        if let Some(sink) = &mut self.sink {
            sink.progress(phase, done, total);
        }
        let event = |(meter, percent): (&Meter, u64)| Event::Progress {
            phase,
            done,
            total,
            percent,
            left: meter.left(done, total),
        };
        if let Some((tap, meter)) = &mut self.tap
            && let Some(percent) = meter.due(phase, done, total)
            && let Ok(text) = json::write(&event((meter, percent)))
        {
            tap.tell(&text);
        }
        let wanted = !self.muted
            && match self.format {
                Format::Text => self.verbosity >= Verbosity::Normal,
                Format::Json => self.events,
            };
        if !wanted {
            return;
        }
        let Some(percent) = self.meter.due(phase, done, total) else {
            return;
        };
        if self.format == Format::Json {
            let event = event((&self.meter, percent));
            return self.object(&event);
        }
        let text = self.meter.text(phase, percent, done, total);
        let _ = match self.meter.bar {
            true => say(&mut io::stdout(), &format!("\r\x1b[K{text}")),
            false => say(&mut io::stdout(), &format!("{text}\n")),
        };
    }

    /// The checks of a plan, and its writes.
    pub fn plan(&mut self, plan: &Plan) {
        if self.json() {
            return plan.checks.iter().for_each(|check| self.event(&Event::Check(check)));
        }
        if self.verbosity >= Verbosity::Normal {
            self.line(&plan_text(plan, self.verbosity));
        }
    }

    /// Why standard output did not take everything; a reader who has gone away wants no more, and is no reason.
    pub fn lost(&self) -> Option<&io::Error> {
        self.lost.as_ref()
    }

    fn print(&mut self, text: &str) {
        self.meter.end(&mut io::stdout());
        if let Err(error) = say(&mut io::stdout(), text)
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.lost = Some(error);
        }
    }

    /// The plan as it is shown to people, in an event.
    pub fn plan_as_text(&mut self, plan: &Plan) {
        let text = plan_text(plan, self.verbosity);
        self.event(&Event::Plan { text: &text });
    }

    /// A block that is here, for whoever reads the events: its length, its rolling checksum and its SHA-256.
    pub fn block(&mut self, bytes: usize, weak: u32, sha256: &str) {
        self.event(&Event::Block { bytes, weak, sha256 });
    }

    /// All blocks have been told.
    pub fn blocks_end(&mut self) {
        self.event(&Event::Blocks);
    }

    /// Asks whoever reads the events, who has seen the plan.
    pub fn question(&mut self, plan: &Plan, text: &str) {
        self.event(&Event::Question {
            text,
            sha256: &plan.image.sha256,
            seconds: plan.seconds,
        });
    }

    /// A whole object as the answer of a verb.
    pub fn object(&mut self, object: &impl Serialize) {
        match json::write(object) {
            Ok(_) if self.muted => (),
            Ok(text) => {
                self.print(&format!("{}\n", printable_json(&text)));
            }
            Err(error) => self.warning(format_args!("no JSON of this: {error}")),
        }
    }

    /// A line as it is.
    pub fn line(&mut self, text: &str) {
        if self.muted {
            return;
        }
        self.print(&format!("{}\n", printable(text)));
    }

    /// For those who follow, and on standard output where objects are wanted.
    fn event(&mut self, event: &Event<'_>) {
        if let Some((tap, _)) = &mut self.tap
            && let Ok(text) = json::write(event)
        {
            tap.tell(&printable_json(&text));
        }
        if self.json() {
            self.object(event);
        }
    }

    fn complain(&mut self, text: &str) {
        if self.muted {
            return;
        }
        self.meter.end(&mut io::stdout());
        let _ = say(&mut io::stderr(), &format!("flasher: {}\n", printable(text)));
    }

    /// What failed, the state of the flash, and what to do next.
    pub fn failure(&mut self, failure: &Failure) {
        if let Some(sink) = &mut self.sink {
            sink.failure(failure);
        }
        self.event(&Event::Error {
            text: &failure.what,
            code: failure.code,
            flash: failure.harm,
            next: failure.next(),
        });
        if self.json() && self.lost.is_none() {
            return;
        }
        self.complain(&failure.what);
        let _ = say(&mut io::stderr(), &format!("  flash: {}\n", failure.state()));
        if let Some(hint) = failure.next() {
            let _ = say(&mut io::stderr(), &format!("  next:  {}\n", printable(hint)));
        }
    }

    /// The last event of an `apply`.
    pub fn outcome(&mut self, outcome: &Outcome) {
        if let Some(sink) = &mut self.sink {
            sink.outcome(outcome);
        }
        let ok = outcome.is_ok();
        self.event(&Event::Result { ok, outcome });
    }
}

/// Writes at once. Most callers do not care whether it arrives: there may be nobody left who listens.
fn say(to: &mut dyn Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}
