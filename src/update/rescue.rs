//! What PID 1 does while the box waits with flash that is not good: the error pattern goes on, and where the first image had to
//! be signed (`--key`), another one is taken over the network.
//!
//! `cat IMAGE IMAGE.minisig | nc -N BOX 3552`: whoever connects talks to `flasher apply -y --key /key … -`, with the options of
//! the first time. So what comes is read into RAM as far as there is room, its signature is checked before it is looked
//! into, and then it goes through the same plan, checks and engine as every image. One at a time; a sender who is silent
//! for a minute or not done within half an hour is cut off.

#![forbid(unsafe_code)]

use crate::board::Board;
use crate::board::indicators::Indicators;
use crate::board::selector::Where;
use crate::update::handoff::Job;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The TCP port.
const PORT: u16 = 3552;
/// How long a sender may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long the sender may not read what is said to him: the flash is not to wait for it.
const DEAF: Duration = Duration::from_secs(1);

/// Waits for ever.
pub fn run(reason: &str, job: Option<Job>) -> ! {
    let (named, again) = job.map(|job| (job.board, job.again)).unwrap_or_default();
    let board = Board::discover(&Where {
        sim: None,
        board: named,
    });
    let profile = board.as_ref().ok().and_then(|board| board.profile.signals.as_ref());
    let mut indicators = Indicators::waiting(profile);
    let listener = listen(&again);
    let way = match &listener {
        Some(Ok(_)) => format!("; over the network: cat IMAGE IMAGE.minisig | nc -N THIS-BOX {PORT}"),
        Some(Err(error)) => format!("; port {PORT} cannot be opened: {error}"),
        None => String::new(),
    };
    stages::rescue::run(reason, &way, &mut || {
        indicators.tick();
        if let Some(Ok(listener)) = &listener {
            take_one(listener, &again);
        }
    })
}

/// Only for who can prove that the image is his.
fn listen(again: &[String]) -> Option<io::Result<TcpListener>> {
    let open = || {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    (!again.is_empty()).then(open)
}

/// The next who connects, if there is one.
fn take_one(listener: &TcpListener, again: &[String]) {
    let Ok((stream, _)) = listener.accept() else {
        return;
    };
    // What became of it says the program itself, to the sender.
    let _ = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_read_timeout(Some(SILENCE)))
        .and_then(|()| stream.set_write_timeout(Some(DEAF)))
        .and_then(|()| stages::rescue::serve(again, &File::from(OwnedFd::from(stream))));
}
