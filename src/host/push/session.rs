//! One run of `apply` on the box: the files go there, the plan comes back, the answer goes there.

#![forbid(unsafe_code)]

use super::binary::Installed;
use super::difference;
use super::heard::Said;
use super::images::Images;
use super::interrupt::Interrupt;
use super::live::Place;
use super::shell::words;
use super::ssh::Connection;
use super::told::{self, Block, Compared, Event, Question};
use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::lossless;
use crate::base::outcome::Outcome;
use crate::base::phase::Phase;
use crate::base::quoted::one_line;
use crate::cli::push::Push;
use crate::cli::table;
use crate::report::Reporter;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How often the box is told that somebody is still there who thinks about the plan.
const STILL_HERE: Duration = Duration::from_secs(10);
/// How often ^C is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// Blocks of the box that are listened to.
const BLOCKS: usize = 1 << 20;
/// Digits of the checksum of a block.
const DIGITS: usize = 64;
/// What may wait to be looked at. Who talks faster than that is looked at waits.
const WAITING: usize = 16;
/// Bytes of the longest line that the box may say.
const LINE: u64 = 1 << 20;

/// How a run on the box ended.
#[derive(Default)]
pub struct Run {
    /// What it said; `None` where the connection broke before that.
    pub ended: Option<Outcome>,
    /// What it said of what failed.
    pub error: Option<(String, Option<String>)>,
    /// What was agreed to, if anything was.
    pub agreed: Option<Question>,
    /// Where it can be followed when ssh has ended.
    pub listening: Option<Place>,
    /// Whether somebody wanted to go.
    pub interrupted: bool,
    /// The plan was shown, and that was all.
    pub planned: bool,
    /// Whether the flash is as the images want it, where that was asked.
    pub compared: Option<Compared>,
    /// The exit code of ssh, which is that of the command unless it is ssh's own.
    pub status: Option<i32>,
    /// What ssh or the box's shell said.
    pub said: String,
    /// Bytes that went there for the images.
    pub sent: u64,
}

/// What happens meanwhile.
enum News {
    /// Bytes that went over the wire, and those of the images that they stand for.
    Sent {
        wire: u64,
        done: u64,
    },
    AllSent(ChildStdin),
    NotSent,
    Line(String),
    Ended,
    Answer(bool),
}

/// Runs a verb of the box's flasher with the images on its standard input.
pub struct Session<'a> {
    /// The connection.
    pub connection: &'a Connection<'a>,
    /// The program there.
    pub installed: &'a Installed,
    /// What is sent.
    pub images: &'a Arc<Images>,
    /// What was asked for.
    pub options: &'a Push,
    /// ^C.
    pub interrupt: &'a Interrupt,
    /// Whether all of them is sent, whatever the box has already.
    pub whole: bool,
    /// Whether it can be asked to be followed over the network.
    pub listens: bool,
}

impl Session<'_> {
    /// The command line for the box. `--` keeps a name that begins with a hyphen from being an option.
    fn command(&self, verb: &str, reporter: &Reporter) -> OsString {
        let directory = &self.installed.place.path;
        let mut line: Vec<OsString> = vec![self.installed.program.clone().into(), "--format".into(), "json".into()];
        if reporter.is_verbose() {
            line.push("-v".into());
        }
        line.extend([verb.into(), "--pushed".into()]);
        // `verify` takes but some of the options of `apply`.
        let serves = |flag: &str| table::flags().any(|known| known.long == flag && known.serves(Some(verb)));
        for (flag, value) in self.options.passed.iter().filter(|(flag, _)| serves(flag)) {
            let mut word = OsString::from(format!("--{flag}"));
            let optional = table::flags().any(|known| known.long == *flag && known.is_optional());
            match value {
                Some(value) if optional => {
                    word.push("=");
                    word.push(value);
                    line.push(word);
                }
                _ => line.extend([Some(word), value.clone()].into_iter().flatten()),
            }
        }
        // A port that is free is never a reason against the update.
        if self.listens && serves("listen") && self.options.apply.listen.is_none() && !self.options.apply.dry_run {
            line.push("--listen=0".into());
        }
        for (flag, name) in [("--key", "key.pub"), ("--sha256", "SHA256SUMS")] {
            if self.images.has(name) {
                line.extend([flag.into(), format!("{directory}/{name}").into()]);
            }
        }
        if let Some(board) = self.images.board(&self.options.apply, directory) {
            line.extend(["--board".into(), board.into()]);
        }
        line.push("--".into());
        for image in &self.images.images {
            let path = format!("{directory}/{}", image.name);
            line.push(match &image.partition {
                Some(partition) => lossless::path(&format!("{partition}={path}")).into(),
                None => path.into(),
            });
        }
        words(line)
    }

    /// Runs `apply`.
    ///
    /// # Errors
    /// An ssh that cannot be started.
    pub fn apply(&self, reporter: &mut Reporter) -> Result<Run> {
        self.run(&self.command("apply", reporter), reporter)
    }

    /// Compares the flash with the images.
    ///
    /// # Errors
    /// A connection that breaks, or a box that cannot compare.
    pub fn verify(&self, reporter: &mut Reporter) -> Result<Compared> {
        let run = self.run(&self.command("verify", reporter), reporter)?;
        match (run.compared, &run.ended) {
            (Some(compared), _) => Ok(compared),
            (None, Some(ended)) if ended.exit != Exit::Done => Err(told::failure(ended, run.error.as_ref())),
            _ => Err(self.connection.broken(&run.said)),
        }
    }

    fn run(&self, script: &OsStr, reporter: &mut Reporter) -> Result<Run> {
        let mut child = self.connection.command(script).spawn().context("ssh")?;
        let mut said = Said::of(child.stderr.take(), false);
        let (news, heard) = sync_channel(WAITING);
        let (tell, blocks) = channel();
        if let Some(stdin) = child.stdin.take() {
            let sending = Sending {
                stdin,
                images: Arc::clone(self.images),
                news: news.clone(),
                blocks,
                whole: self.whole,
            };
            thread::spawn(|| sending.run());
        }
        if let Some(stdout) = child.stdout.take() {
            listen(stdout, news.clone());
        }
        // Nobody hears more than this: whoever has more to say must not wait for it.
        let mut run = self.follow(&news, heard, &tell, reporter);
        // One that was told to go on does so without us.
        if run.interrupted {
            let _ = child.kill();
        }
        let status = child.wait().context("ssh")?;
        run.said = said.text();
        run.status = status.code();
        if self.connection.is_full(run.status, &run.said) {
            return self.run(script, reporter);
        }
        // `verify` tells a failure without a result.
        if run.ended.is_none()
            && run.error.is_some()
            && let Some(exit) = status.code().and_then(|code| u8::try_from(code).ok())
            && let Ok(exit) = Exit::try_from(exit)
        {
            run.ended = Some(Outcome {
                exit,
                ..Outcome::untouched(Code::Unknown)
            });
        }
        Ok(run)
    }

    /// Follows the run to its end.
    fn follow(
        &self,
        news: &SyncSender<News>,
        heard: Receiver<News>,
        tell: &Sender<Vec<Block>>,
        reporter: &mut Reporter,
    ) -> Run {
        let total = self.images.size();
        let mut run = Run::default();
        let mut talk = Talk::default();
        let mut stdin = None;
        let mut asked = false;
        let mut told = Instant::now();
        loop {
            let mut answer = None;
            match heard.recv_timeout(LOOK) {
                Ok(News::Sent { wire, done }) => {
                    run.sent = wire;
                    reporter.progress(Phase::Sending, done, total);
                }
                Ok(News::AllSent(open)) => stdin = Some(open),
                Ok(News::NotSent) | Err(RecvTimeoutError::Timeout) => (),
                Ok(News::Line(line)) => talk.hear(&line, &mut run, tell, reporter),
                Ok(News::Answer(yes)) => answer = Some(yes),
                Ok(News::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    // An interrupt reaches ssh too, where it is typed.
                    run.interrupted = self.interrupt.asked() && run.ended.is_none();
                    return run;
                }
            }
            if self.interrupt.asked() {
                run.interrupted = true;
                return run;
            }
            if let (Some(to), Some(asks)) = (&mut stdin, &talk.question) {
                if !asked {
                    asked = true;
                    run.planned = self.options.apply.dry_run;
                    answer = match run.planned {
                        true => Some(false),
                        false => self.ask(asks, news),
                    };
                } else if told.elapsed() > STILL_HERE {
                    told = Instant::now();
                    let _ = to.write_all(b"wait\n");
                }
            }
            if let Some(yes) = answer {
                let Some(mut to) = stdin.take() else { return run };
                // From the first of these bytes on the box may be writing.
                if yes {
                    run.agreed.clone_from(&talk.question);
                }
                let _ = to.write_all(if yes { b"yes\n" } else { b"no\n" });
            }
        }
    }

    /// Asks whoever is at the terminal, who may take his time, unless that is answered already.
    fn ask(&self, question: &Question, news: &SyncSender<News>) -> Option<bool> {
        if self.options.apply.yes {
            return Some(true);
        }
        let mut out = io::stdout();
        let _ = write!(out, "{} [y/N] ", one_line(&question.text));
        let _ = out.flush();
        let news = news.clone();
        thread::spawn(move || {
            let mut answer = String::new();
            let _ = io::stdin().read_line(&mut answer);
            let yes = ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
            let _ = news.send(News::Answer(yes));
        });
        None
    }
}

/// What the box has said so far.
#[derive(Default)]
struct Talk {
    blocks: Vec<Block>,
    question: Option<Question>,
}

impl Talk {
    /// Hears a line.
    fn hear(&mut self, line: &str, run: &mut Run, tell: &Sender<Vec<Block>>, reporter: &mut Reporter) {
        let Some((event, value)) = told::read(line) else {
            match told::compared(line) {
                Some(compared) => run.compared = Some(compared),
                None => told::stray(line, reporter),
            }
            return;
        };
        told::show(&event, &value, reporter);
        match event {
            Event::Block(block) if self.blocks.len() < BLOCKS && block.sha256.len() == DIGITS => {
                self.blocks.push(block);
            }
            Event::Blocks => {
                let _ = tell.send(std::mem::take(&mut self.blocks));
            }
            Event::Question(asks) => self.question = Some(asks),
            Event::Error { text, next } => run.error = Some((text, next)),
            // What goes into a request.
            Event::Listening { port, token, .. } if token.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                run.listening = Some(Place { port, token });
            }
            Event::Result(ended) => run.ended = Some(ended),
            _ => (),
        }
    }
}

/// What goes to the box.
struct Sending {
    stdin: ChildStdin,
    images: Arc<Images>,
    news: SyncSender<News>,
    blocks: Receiver<Vec<Block>>,
    whole: bool,
}

impl Sending {
    /// Sends each image behind its length and checksum, without what the box has already, and hands standard input back for
    /// the answer.
    fn run(mut self) {
        let news = self.news.clone();
        // Who does not take it says why.
        let _ = news.send(match self.all() {
            Ok(()) => News::AllSent(self.stdin),
            Err(_) => News::NotSent,
        });
    }

    fn all(&mut self) -> io::Result<()> {
        let bytes = if self.whole { 0 } else { self.images.size() };
        writeln!(self.stdin, "blocks {bytes}")?;
        let blocks = self.blocks.recv().map_err(io::Error::other)?;
        let (mut wire, mut done) = (0, 0);
        // Packed as it goes, so that the box does not wait for a big one until it takes us for gone.
        for image in &self.images.images {
            let head = format!("{} {}\n", image.bytes.len(), image.sha256);
            self.stdin.write_all(head.as_bytes())?;
            wire += head.len() as u64;
            difference::send(&image.bytes, &blocks, &mut |bytes, covered| {
                self.stdin.write_all(bytes)?;
                wire += bytes.len() as u64;
                done += covered as u64;
                let _ = self.news.send(News::Sent { wire, done });
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Reads what the box says, line by line.
fn listen(stdout: ChildStdout, news: SyncSender<News>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        loop {
            let mut line = Vec::new();
            match reader.by_ref().take(LINE).read_until(b'\n', &mut line) {
                Ok(1..) => {
                    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                    if news.send(News::Line(line)).is_err() {
                        return;
                    }
                }
                _ => break,
            }
        }
        let _ = news.send(News::Ended);
    });
}

/// The failure of a run that was stopped here before the box was told to write.
pub fn stopped() -> Failure {
    Failure::new(
        Exit::Refused,
        Code::Declined,
        "stopped before the box was told to write",
    )
}
