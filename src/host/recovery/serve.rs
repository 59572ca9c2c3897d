//! `recovery serve IMAGE`: the server that boxes in recovery mode look for, one box after the other.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::mac::Mac;
use crate::base::phase::Phase;
use crate::base::units::{Grouped, Size};
use crate::bytes::store::Store;
use crate::cli::network::Network;
use crate::host::recovery::net::dhcp::Lease;
use crate::host::recovery::net::{Answered, Event, Events, Interface, Name, dhcp, interfaces, neighbour, tftp};
use crate::host::recovery::{FIXED_SERVER, read, served_name};
use crate::recovery::{ENTER, Mode};
use crate::report::Reporter;
use serde::Serialize;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;

/// What a box of the TS-109 kind has for an address.
const FIXED_BOX: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 10);

#[derive(Serialize)]
struct Outcome {
    event: &'static str,
    ok: bool,
    exit: Exit,
    bytes: u64,
    to: Ipv4Addr,
}

/// Serves until somebody ends it, or with `--once` until the box has the whole image. Others may fetch it too; that does
/// not count.
///
/// # Errors
/// An image that is none, an address that this machine does not have, ports that are taken.
pub fn run(network: &Network, reporter: &mut Reporter) -> Result<Exit> {
    reporter.events = true;
    let (store, layout, report) = read(&network.image, &network.force, reporter)?;
    let Store::Memory(image) = store else {
        return Err(Failure::new(Exit::Bug, Code::Bug, "an image that is not in memory"));
    };
    let (mode, size) = (layout.mode(), image.len() as u64);
    let (events, receiver) = Events::channel();
    let servers = Servers {
        network,
        mode,
        place: Place::find(network, mode)?,
        name: Name::new(
            served_name(network, &layout, &report)?,
            mode == Mode::Fixed || network.name.is_some(),
        ),
        answered: Answered::default(),
        events,
    };
    servers.tftp(image, reporter)?;
    servers.dhcp(report.names, reporter)?;
    let Servers { place, .. } = servers;
    reporter.stage(ENTER);
    let mut served = 0_u32;
    for event in receiver {
        match event {
            Event::Said(text) => reporter.stage(text),
            Event::Warned(text) => reporter.warning(text),
            Event::Progress { done, total } => reporter.progress(Phase::Sending, done, total),
            Event::Broken(what) => return Err(Failure::system(what)),
            Event::Done { to, answered } => {
                reporter.stage(format_args!("{to} has all {} bytes", Grouped(size)));
                let known = match mode {
                    Mode::Fixed => is_fixed_box(to, place.address, reporter),
                    Mode::Dhcp => was_answered(to, place.lease, answered, reporter),
                };
                if !known {
                    reporter.stage("this was not the box; still waiting for it, ^C ends this");
                    continue;
                }
                served += 1;
                done(mode, size, to, network.once, reporter);
                if network.once {
                    return Ok(Exit::Done);
                }
                reporter.stage(format_args!("{served} served; waiting for the next box, ^C ends this"));
            }
        }
    }
    Err(Failure::system("the servers ended"))
}

/// What the servers have in common.
struct Servers<'a> {
    network: &'a Network,
    mode: Mode,
    place: Place,
    name: Name,
    answered: Answered,
    events: Events,
}

impl Servers<'_> {
    /// Starts the one that hands the image over, if it is known to whom.
    fn tftp(&self, image: Vec<u8>, reporter: &mut Reporter) -> Result<()> {
        let lease = self.place.lease;
        let wanted = self.mode == Mode::Fixed || lease.is_some();
        let Some(address) = self.place.address.filter(|_| wanted) else {
            return Ok(());
        };
        let port = self.network.tftp_port.unwrap_or(69);
        let socket = UdpSocket::bind((address, port)).map_err(|error| taken("TFTP", address, port, &error))?;
        reporter.stage(format_args!(
            "serving {} as {} at {address}, port {port}",
            Size(image.len() as u64),
            self.name.get().as_deref().unwrap_or("whatever name the box takes")
        ));
        let offer = tftp::Offer {
            image: Arc::new(image),
            name: self.name.clone(),
            of_box: lease.map_or(FIXED_BOX, |lease| lease.ip),
            alone: lease.is_some(),
            answered: self.answered.clone(),
            hint: match self.mode {
                Mode::Fixed => "every box of the TS-109 kind asks for qnapimg.bin",
                Mode::Dhcp => {
                    "a box asks for what DHCP tells it, which must begin with its own string, such as F_TS-219"
                }
            },
        };
        let events = self.events.clone();
        std::thread::spawn(move || tftp::serve(&socket, &offer, &events));
        Ok(())
    }

    /// Starts the one that tells a box its address, where it needs that. `inside` are the names that the image itself says.
    fn dhcp(&self, inside: Vec<String>, reporter: &mut Reporter) -> Result<()> {
        if self.mode == Mode::Fixed {
            return Ok(());
        }
        let port = self.network.dhcp_port.unwrap_or(67);
        let socket = dhcp::bind(self.place.interface.as_deref(), port)
            .map_err(|error| taken("DHCP", Ipv4Addr::UNSPECIFIED, port, &error))?;
        match self.place.lease {
            Some(lease) => reporter.stage(format_args!("answering {} by DHCP, nobody else", lease.mac)),
            None => reporter.stage("answering nobody without --mac: this shows who asks"),
        }
        let server = dhcp::Server {
            port,
            lease: self.place.lease,
            name: self.name.clone(),
            inside,
            answered: self.answered.clone(),
            events: self.events.clone(),
        };
        std::thread::spawn(move || server.serve(&socket));
        Ok(())
    }
}

/// Whether a client of the TS-109 kind is the box. Where we have another address than the one that these boxes look for,
/// something between them and us translates addresses, and the client's tells nothing.
fn is_fixed_box(to: Ipv4Addr, own: Option<Ipv4Addr>, reporter: &mut Reporter) -> bool {
    if to != FIXED_BOX {
        reporter.warning(format_args!(
            "{to} is not the address of a box in recovery mode, {FIXED_BOX}"
        ));
    }
    to == FIXED_BOX || own != Some(FIXED_SERVER)
}

/// Whether a client is the box that was told its address by us, and not somebody else who has that address.
fn was_answered(to: Ipv4Addr, lease: Option<Lease>, answered: bool, reporter: &mut Reporter) -> bool {
    if !answered {
        reporter.warning(format_args!(
            "{to} fetched the image before the box was given that address"
        ));
        return false;
    }
    let (who, is) = match neighbour(to) {
        Ok(Some(mac)) => (mac.to_string(), lease.is_some_and(|lease| lease.mac == mac)),
        Ok(None) => ("nobody that the kernel knows".to_owned(), false),
        Err(error) => (format!("not known: /proc/net/arp: {error}"), false),
    };
    if !is {
        reporter.warning(format_args!("who has {to} is not the box: {who}"));
    }
    is
}

fn done(mode: Mode, size: u64, to: Ipv4Addr, last: bool, reporter: &mut Reporter) {
    reporter.stage(mode.beeps());
    if reporter.json() {
        reporter.object(&Outcome {
            event: if last { "result" } else { "sent" },
            ok: true,
            exit: Exit::Done,
            bytes: size,
            to,
        });
    }
}

fn taken(what: &str, address: Ipv4Addr, port: u16, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "run it as root: these ports are below 1024",
        io::ErrorKind::AddrInUse => "another server has this port: ss -ulpn shows which; stop it for a while",
        _ => "ip addr shows the addresses of this machine",
    };
    Failure::system(format_args!("{what} at {address}, port {port}: {error}")).hint(hint)
}

/// Where on the network we are.
struct Place {
    address: Option<Ipv4Addr>,
    interface: Option<String>,
    lease: Option<Lease>,
}

impl Place {
    fn find(network: &Network, mode: Mode) -> Result<Place> {
        let (interfaces, names) = interfaces().context("the addresses of this machine")?;
        let wanted = match mode {
            Mode::Fixed => Some(network.address.unwrap_or(FIXED_SERVER)),
            Mode::Dhcp => network.address,
        };
        let has = |address: Ipv4Addr| interfaces.iter().find(|interface| interface.address == address);
        let own = match (wanted, network.ip) {
            (Some(address), _) => Some(has(address).ok_or_else(|| no_address(address, &names))?),
            (None, Some(ip)) => towards(ip, &interfaces)?,
            (None, None) => None,
        };
        let lease = match (mode, network.mac) {
            (Mode::Dhcp, Some(mac)) => Some(lease(network, mac, own, &interfaces)?),
            _ => None,
        };
        Ok(Place {
            address: own.map(|interface| interface.address),
            interface: own.map(|interface| interface.name.clone()),
            lease,
        })
    }
}

/// The interface on whose network an address is. Where several are, the box may be at any of them.
fn towards(ip: Ipv4Addr, interfaces: &[Interface]) -> Result<Option<&Interface>> {
    let mut there = interfaces.iter().filter(|interface| interface.reaches(ip));
    let Some(first) = there.next() else { return Ok(None) };
    match there.find(|other| other.name != first.name) {
        None => Ok(Some(first)),
        Some(other) => Err(Failure::usage(format_args!(
            "{ip} is on the network of {} ({}) and on that of {} ({})",
            first.address, first.name, other.address, other.name
        ))
        .hint("say with --address at which of them the box is")),
    }
}

fn lease(network: &Network, mac: Mac, own: Option<&Interface>, interfaces: &[Interface]) -> Result<Lease> {
    let ip = network.ip.ok_or_else(|| {
        Failure::usage("say with --ip which address the box is to have")
            .hint("a free one of your network: --ip 192.168.1.71")
    })?;
    let own = own.ok_or_else(|| {
        Failure::system(format_args!("no interface of this machine is on the network of {ip}"))
            .hint("ip addr shows the networks of this machine; --address says which of its addresses to use")
    })?;
    let ours = interfaces.iter().any(|interface| interface.address == ip);
    match own.is_for_machines(ip) && !ours {
        true => Ok(Lease {
            mac,
            ip,
            mask: own.mask,
            server: own.address,
        }),
        false => Err(Failure::usage(format_args!(
            "--ip {ip} is not an address for another machine on the network of {}",
            own.address
        ))
        .hint("name a free address of that network")),
    }
}

fn no_address(address: Ipv4Addr, names: &[String]) -> Failure {
    let interface = names.first().map_or("INTERFACE", String::as_str);
    Failure::system(format_args!(
        "this machine does not have the address {address}, where the box looks for us"
    ))
    .hint(format!("ip addr add {address}/24 dev {interface}"))
}
