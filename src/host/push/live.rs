//! What the box tells over the network when its ssh has ended: the events of process 1, for as long as they come. They are shown as
//! far as they say how it goes, and nothing is believed of them but a failure: nobody signs them, and what the box is and how the update
//! ended is asked over ssh.

#![forbid(unsafe_code)]

use super::ssh::Ssh;
use super::told::{self, Event};
use crate::base::error::{Failure, Harm};
use crate::base::outcome::Outcome;
use crate::base::quoted::one_line;
use crate::report::Reporter;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// How long a connection may take, and between two tries.
const CONNECT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(300);
/// The box says something every few seconds.
const SILENCE: Duration = Duration::from_secs(15);
/// Lines that may wait to be shown.
const WAITING: usize = 64;
/// Bytes of the longest line.
const LINE: u64 = 64 << 10;
/// How long nothing may answer until that is said: the hand-over takes its time.
const UNSEEN: Duration = Duration::from_secs(20);

/// Where it can be followed: what the box has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The TCP port.
    pub port: u16,
    /// What has to be known.
    pub token: String,
}

enum News {
    Connected,
    Line(String),
    /// Not reached, or not any more, and why.
    Lost(String),
}

/// Follows a box.
pub struct Live {
    news: Receiver<News>,
    /// Where, for messages.
    address: String,
    since: Instant,
    connected: bool,
    seen: bool,
    why: String,
    error: Option<(String, Option<String>)>,
    /// How it ended, as it said itself.
    ended: Option<Outcome>,
}

impl Live {
    /// Tries to connect from now on.
    pub fn begin(ssh: &Ssh<'_>, place: &Place) -> Live {
        let host = ssh.resolved();
        let (sender, news) = sync_channel(WAITING);
        let place = place.clone();
        let address = format!("{host} port {}", place.port);
        thread::spawn(move || {
            // Until nobody wants to hear more.
            loop {
                let why = match follow(&host, &place, &sender) {
                    Ok(()) => "the connection ended".to_owned(),
                    Err(error) => error.to_string(),
                };
                if sender.send(News::Lost(why)).is_err() {
                    return;
                }
                sleep(PAUSE);
            }
        });
        Live {
            news,
            address,
            since: Instant::now(),
            connected: false,
            seen: false,
            why: String::new(),
            error: None,
            ended: None,
        }
    }

    /// Shows what has come. Answers whether the box is there to be heard.
    pub fn show(&mut self, reporter: &mut Reporter) -> bool {
        // Of a box that talks all the time no more than this at once.
        for _ in 0..WAITING {
            let Ok(news) = self.news.try_recv() else { break };
            match news {
                News::Connected => (self.connected, self.seen) = (true, true),
                News::Lost(why) => (self.connected, self.why) = (false, why),
                News::Line(line) => {
                    let Some((event, value)) = told::read(&line) else {
                        continue;
                    };
                    match event {
                        Event::Stage { .. } | Event::Progress { .. } | Event::Warning { .. } => {
                            told::show(&event, &value, reporter);
                        }
                        Event::Error { text, next } => self.error = Some((text, next)),
                        Event::Result(ended) => self.ended = Some(ended),
                        _ => (),
                    }
                }
            }
        }
        if !self.seen && self.since.elapsed() > UNSEEN {
            self.seen = true;
            reporter.stage(format_args!(
                "what the box does meanwhile cannot be seen from here: {}: {}",
                one_line(&self.address),
                one_line(&self.why)
            ));
        }
        self.connected
    }

    /// The failure after which the box does not reboot. What says that it is none and half written is not believed.
    pub fn failed(&self) -> Option<Failure> {
        let fails = |ended: &&Outcome| ended.harm == Harm::Partly && !ended.is_ok();
        let ended = self.ended.as_ref().filter(fails)?;
        let failure = told::failure(ended, self.error.as_ref());
        Some(failure.hint(
            "do not switch the box off: it waits in its rescue, and says on its console what can be done (docs/recovery.md)",
        ))
    }
}

/// One connection, to its end.
fn follow(host: &str, place: &Place, sender: &SyncSender<News>) -> io::Result<()> {
    let mut stream = Err(io::Error::other("it has no address"));
    for address in (host, place.port).to_socket_addrs()? {
        stream = TcpStream::connect_timeout(&address, CONNECT);
        if stream.is_ok() {
            break;
        }
    }
    let mut stream = stream?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(CONNECT))?;
    stream.write_all(format!("GET /{}/events HTTP/1.0\r\n\r\n", place.token).as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut head = true;
    let mut first = true;
    loop {
        let mut line = Vec::new();
        let got = reader.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        match got {
            0 => return Ok(()),
            _ if first && line.split(' ').nth(1) != Some("200") => return Err(io::Error::other("it is not the box's")),
            _ if head && line.is_empty() => {
                head = false;
                send(sender, News::Connected)?;
            }
            _ if head || line.is_empty() => (),
            _ => send(sender, News::Line(line))?,
        }
        first = false;
    }
}

fn send(sender: &SyncSender<News>, news: News) -> io::Result<()> {
    sender.send(news).map_err(|_| io::Error::other("nobody follows"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::base::error::Exit;
    use crate::report::Global;

    #[test]
    fn what_anybody_may_tell_is_believed_where_it_is_a_failure() {
        let failed = |exit: u8, harm: &str| {
            let line = format!(
                r#"{{"event":"result","exit":{exit},"harm":"{harm}","code":"news","erased":0,"unchanged":0,"retried":0}}"#
            );
            let (sender, news) = sync_channel(1);
            sender.send(News::Line(line)).unwrap();
            let mut live = Live {
                news,
                address: String::new(),
                since: Instant::now(),
                connected: true,
                seen: true,
                why: String::new(),
                error: None,
                ended: None,
            };
            live.show(&mut Reporter::new(&Global::default()));
            live.failed().map(|failure| (failure.exit, failure.harm))
        };
        let stays = Some((Exit::Flash, Harm::Partly));
        assert_eq!([failed(74, "partly"), failed(74, "mostly")], [stays, stays]);
        assert_eq!(
            [failed(0, "partly"), failed(0, "mostly"), failed(74, "untouched")],
            [None; 3]
        );
    }
}
