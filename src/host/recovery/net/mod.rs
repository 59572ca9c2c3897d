//! The network side of a recovery: DHCP and TFTP for one box and one file, read-only.
//!
//! Everybody on the network can talk to it, so all that it remembers and all that waits to be shown is limited.

#![forbid(unsafe_code)]

pub mod dhcp;
mod dhcp_answer;
mod dhcp_frame;
#[cfg(test)]
mod fuzz;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
pub mod tftp;
mod tftp_frame;
mod transfer;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What happens on the network, for the one who looks on.
#[derive(Debug)]
pub enum Event {
    /// Something to be shown.
    Said(String),
    /// Something that a person should do something about.
    Warned(String),
    /// How far the image is, in bytes.
    Progress {
        /// Acknowledged by the box.
        done: u64,
        /// The whole image.
        total: u64,
    },
    /// Someone has the whole image.
    Done {
        /// Who.
        to: Ipv4Addr,
        /// Whether the box had been told its address by us when this one asked for the image.
        answered: bool,
    },
    /// A socket that answers no more.
    Broken(String),
}

/// Events that may wait for a slow terminal.
const WAITING: usize = 1024;

/// Where events go; nobody may be listening any more.
#[derive(Clone)]
pub struct Events(SyncSender<Event>);

impl Events {
    /// A way for events. Of what is only shown, some is lost while the terminal does not keep up: a transfer must not
    /// wait for it, nor may memory fill.
    pub fn channel() -> (Events, Receiver<Event>) {
        let (sender, receiver) = sync_channel(WAITING);
        (Events(sender), receiver)
    }

    fn send(&self, event: Event) {
        match event {
            Event::Said(_) | Event::Warned(_) | Event::Progress { .. } => drop(self.0.try_send(event)),
            Event::Done { .. } | Event::Broken(_) => drop(self.0.send(event)),
        }
    }

    fn say(&self, text: impl Into<String>) {
        self.send(Event::Said(text.into()));
    }

    fn warn(&self, text: impl Into<String>) {
        self.send(Event::Warned(text.into()));
    }
}

/// The name under which the image is served. What the box says about itself corrects a guess of ours, never the
/// user's own word.
#[derive(Clone, Default)]
pub struct Name(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    text: Option<String>,
    fixed: bool,
}

impl Name {
    /// A name, known or not; `fixed` when the user said it.
    pub fn new(text: Option<String>, fixed: bool) -> Name {
        Name(Arc::new(Mutex::new(State { text, fixed })))
    }

    /// The name.
    pub fn get(&self) -> Option<String> {
        self.state().text.clone()
    }

    /// The box says what its file name begins with. True when the name fits now.
    pub fn must_begin(&self, with: &str) -> bool {
        let mut state = self.state();
        let fits = state.text.as_ref().is_some_and(|text| text.starts_with(with));
        if !fits && !state.fixed {
            state.text = Some(with.to_owned());
        }
        fits || !state.fixed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the box was told its address by us. Until then, whoever has that address may be anybody.
#[derive(Clone, Default)]
pub struct Answered(Arc<Mutex<bool>>);

impl Answered {
    /// Whether an answer is out.
    fn get(&self) -> bool {
        *self.lock()
    }

    /// Sends an answer and remembers it if it went out. Who wants to know meanwhile waits, for a box may ask for its
    /// file before this thread runs again.
    fn sending<T, E>(&self, send: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut answered = self.lock();
        let sent = send();
        *answered |= sent.is_ok();
        sent
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `eth0`.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its network mask.
    pub mask: Ipv4Addr,
    /// Whether it leads out of this machine.
    pub loopback: bool,
}

impl Interface {
    /// Whether the address is on the network of this interface.
    pub fn reaches(&self, other: Ipv4Addr) -> bool {
        self.address & self.mask == other & self.mask
    }
}

/// Every interface that is up and has an IPv4 address; and the names of those that are up and lead out.
///
/// # Errors
/// Those of `getifaddrs(3)`.
pub fn interfaces() -> std::io::Result<(Vec<Interface>, Vec<String>)> {
    let mut with_address = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for found in getifaddrs()? {
        if !found.flags.contains(InterfaceFlags::IFF_UP) {
            continue;
        }
        let loopback = found.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        if !loopback && !names.contains(&found.interface_name) {
            names.push(found.interface_name.clone());
        }
        let address = found.address.as_ref().and_then(|a| Some(a.as_sockaddr_in()?.ip()));
        let mask = found.netmask.as_ref().and_then(|a| Some(a.as_sockaddr_in()?.ip()));
        if let (Some(address), Some(mask)) = (address, mask) {
            with_address.push(Interface {
                name: found.interface_name,
                address,
                mask,
                loopback,
            });
        }
    }
    Ok((with_address, names))
}
