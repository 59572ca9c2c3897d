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

use crate::base::mac::Mac;
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

    /// It has an address of somebody else.
    fn not_any_more(&self) {
        *self.lock() = false;
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
}

impl Interface {
    /// Whether the address is on the network of this interface.
    pub fn reaches(&self, other: Ipv4Addr) -> bool {
        self.address & self.mask == other & self.mask
    }

    /// Whether a machine on that network can have the address, whose first and last one mean all of it.
    pub fn is_for_machines(&self, other: Ipv4Addr) -> bool {
        let ends = [self.address & self.mask, self.address | !self.mask];
        // RFC 3021: two machines need no others.
        self.reaches(other) && (u32::from(!self.mask) <= 1 || !ends.contains(&other))
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
        let name = device(&found.interface_name);
        let loopback = found.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        if !loopback && names.iter().all(|known| known != name) {
            names.push(name.to_owned());
        }
        let address = found.address.as_ref().and_then(|a| Some(a.as_sockaddr_in()?.ip()));
        let mask = found.netmask.as_ref().and_then(|a| Some(a.as_sockaddr_in()?.ip()));
        if let (Some(address), Some(mask)) = (address, mask) {
            with_address.push(Interface {
                name: name.to_owned(),
                address,
                mask,
            });
        }
    }
    Ok((with_address, names))
}

/// The interface of an address, which getifaddrs calls by the label of the address: `eth0:1` is one more of `eth0`.
fn device(label: &str) -> &str {
    label.split(':').next().unwrap_or_default()
}

/// Who has an address on a network of ours, by what the kernel learnt when it last sent there (proc_net(5)).
///
/// # Errors
/// Those of reading the table.
pub fn neighbour(of: Ipv4Addr) -> std::io::Result<Option<Mac>> {
    std::fs::read_to_string("/proc/net/arp").map(|table| row(&table, of))
}

fn row(table: &str, of: Ipv4Addr) -> Option<Mac> {
    let mut rows = table.lines().map(|line| line.split_whitespace());
    rows.find_map(|mut row| {
        let own = row.next()?.parse() == Ok(of);
        // Kind and flags stand between them.
        let mac: Mac = row.nth(2).filter(|_| own)?.parse().ok()?;
        // Zeros stand where nobody answered: of two networks with this address, on the other one.
        (mac.0 != [0; 6]).then_some(mac)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_known_by_its_address() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     192.168.1.71     0x1         0x0         00:00:00:00:00:00     *        wlan0\n\
                     192.168.1.7      0x1         0x2         00:50:43:3c:3b:5e     *        eth0\n\
                     192.168.1.71     0x1         0x2         00:50:43:3c:3b:5d     *        eth0\n";
        let mac = |last| row(table, Ipv4Addr::new(192, 168, 1, last)).map(|mac| mac.to_string());
        assert_eq!(mac(71).as_deref(), Some("00:50:43:3c:3b:5d"));
        assert_eq!((mac(7).as_deref(), mac(1)), (Some("00:50:43:3c:3b:5e"), None));
    }

    #[test]
    fn the_ends_of_a_network_are_no_machines() {
        let at = |address: [u8; 4], mask: [u8; 4]| Interface {
            name: "eth0".to_owned(),
            address: address.into(),
            mask: mask.into(),
        };
        let wide = at([192, 168, 1, 2], [255, 255, 255, 0]);
        for (last, is) in [(0, false), (1, true), (254, true), (255, false)] {
            assert_eq!(wide.is_for_machines([192, 168, 1, last].into()), is, "{last}");
        }
        assert!(!wide.is_for_machines([192, 168, 2, 1].into()));
        let pair = at([10, 0, 0, 0], [255, 255, 255, 254]);
        assert!(pair.is_for_machines([10, 0, 0, 1].into()) && !pair.is_for_machines([10, 0, 0, 2].into()));
    }

    #[test]
    fn an_address_with_a_label_is_one_of_its_interface() {
        assert_eq!(
            ["eth0", "eth0:1", "br-lan.5:x"].map(device),
            ["eth0", "eth0", "br-lan.5"]
        );
    }
}
