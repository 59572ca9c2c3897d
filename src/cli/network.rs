//! The command line of the network side of a recovery, `recovery serve` and `recovery config`: for workstations.

#![forbid(unsafe_code)]

use super::takes;
use crate::base::check_id::CheckId;
use crate::base::digits;
use crate::base::error::{Failure, Result};
use crate::base::mac::Mac;
use crate::cli::table::{Flag, VerbRow, flag};
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A server whose entries `recovery config` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// ISC dhcpd.
    Dhcpd,
    /// dnsmasq, which speaks both protocols.
    Dnsmasq,
    /// tftpd-hpa.
    TftpdHpa,
}

/// The network side of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The recovery image.
    pub image: String,
    /// The box, by the address it has in recovery mode.
    pub mac: Option<Mac>,
    /// The address the box is to have.
    pub ip: Option<Ipv4Addr>,
    /// Our own address.
    pub address: Option<Ipv4Addr>,
    /// The name under which the box is to ask for the image.
    pub name: Option<String>,
    /// The port of DHCP instead of 67; the client's is one higher.
    pub dhcp_port: Option<u16>,
    /// The port of TFTP instead of 69.
    pub tftp_port: Option<u16>,
    /// Checks that are overridden, by name.
    pub force: Vec<CheckId>,
    /// Whether to end after one whole transfer.
    pub once: bool,
}

/// `recovery serve` and `recovery config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkVerb {
    /// Hand the image to the box.
    Serve(Network),
    /// Print what other servers need to do so.
    Config {
        /// What they are to do.
        network: Network,
        /// Only this one.
        server: Option<Server>,
    },
}

/// The rows of the table of verbs.
pub const VERBS: &[VerbRow] = &[
    VerbRow {
        name: "recovery serve",
        operands: &["IMAGE"],
        summary: "hand IMAGE to a box in recovery mode, by TFTP and where it needs one by DHCP",
        text: "A box of the TS-109 kind has 192.168.0.10 and asks 192.168.0.11 for qnapimg.bin. One of the TS-21x \
               kind is given its address and the file name by DHCP: that needs --mac and --ip. Without --mac nobody \
               is answered, and whoever asks is shown: switch the box on with its reset button held for 10 seconds. \
               Goes on with the next box until ^C ends it; with --once it ends with the first that has everything.",
    },
    VerbRow {
        name: "recovery config",
        operands: &["IMAGE"],
        summary: "print entries for ISC dhcpd, dnsmasq and tftpd-hpa that do what serve does",
        text: "",
    },
];

const SERVE: &[&str] = &["recovery serve"];
const NETWORK: &[&str] = &["recovery serve", "recovery config"];

/// The rows of the table of flags.
pub const FLAGS: &[Flag] = &[
    flag(
        "mac",
        Some("MAC"),
        NETWORK,
        "the address of the box in recovery mode: 00:08:9b:… as printed on it, or often 00:50:43:…",
    ),
    flag("ip", Some("ADDRESS"), NETWORK, "the address that the box is given"),
    Flag {
        long: "address",
        alias: Some("server"),
        shorts: "",
        value: Some("ADDRESS"),
        verbs: NETWORK,
        help: "the address of this machine, or of the server",
    },
    flag(
        "name",
        Some("NAME"),
        NETWORK,
        "the name under which the box is to ask for the image",
    ),
    flag("port", Some("N"), SERVE, "the port of DHCP, 67 if not given"),
    flag("tftp-port", Some("N"), SERVE, "the port of TFTP, 69 if not given"),
    flag("once", None, SERVE, "end when one box has fetched the whole image"),
    flag(
        "for",
        Some("SERVER"),
        &["recovery config"],
        "only the entries for this one: dhcpd, dnsmasq or tftpd-hpa",
    ),
];

/// The values of these flags, before they are sorted.
#[derive(Default)]
pub(super) struct Raw {
    network: Network,
    server: Option<Server>,
}

fn parsed<T: FromStr>(flag: &str, value: &str, what: &str) -> Result<T> {
    value.parse().map_err(|_| takes(flag, what, value))
}

fn port(flag: &str, value: &str) -> Result<u16> {
    digits::decimal(value).ok_or_else(|| takes(flag, "a port", value))
}

fn one_machine(flag: &str, value: &str, is: bool) -> Result<()> {
    match is {
        true => Ok(()),
        false => Err(takes(flag, "the address of one machine", value)),
    }
}

impl Raw {
    pub(super) fn set(&mut self, flag: &str, value: String) -> Result<()> {
        let network = &mut self.network;
        let address = "an IPv4 address";
        match flag {
            "mac" => {
                let mac: Mac = parsed(flag, &value, "six pairs of hexadecimal digits")?;
                one_machine(flag, &value, mac.0[0] & 1 == 0 && mac.0 != [0; 6])?;
                network.mac = Some(mac);
            }
            "ip" | "address" => {
                let ip: Ipv4Addr = parsed(flag, &value, address)?;
                let many = ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast();
                one_machine(flag, &value, !many)?;
                match flag {
                    "ip" => network.ip = Some(ip),
                    _ => network.address = Some(ip),
                }
                if network.ip == network.address {
                    return Err(Failure::usage("box and server cannot have the same address"));
                }
            }
            "port" => network.dhcp_port = Some(port(flag, &value)?),
            "tftp-port" => network.tftp_port = Some(port(flag, &value)?),
            "name" if !is_file_name(&value) => {
                return Err(takes(flag, "a file name of letters, digits and _-+. only", &value));
            }
            "name" => network.name = Some(value),
            "once" => network.once = true,
            "for" => {
                self.server = Some(match value.as_str() {
                    "dhcpd" => Server::Dhcpd,
                    "dnsmasq" => Server::Dnsmasq,
                    "tftpd-hpa" => Server::TftpdHpa,
                    _ => return Err(takes(flag, "dhcpd, dnsmasq or tftpd-hpa", &value)),
                });
            }
            _ => (),
        }
        Ok(())
    }

    pub(super) fn finish(self, verb: &str, image: String, force: Vec<CheckId>) -> NetworkVerb {
        let network = Network {
            image,
            force,
            ..self.network
        };
        match verb {
            "recovery serve" => NetworkVerb::Serve(network),
            _ => NetworkVerb::Config {
                network,
                server: self.server,
            },
        }
    }
}

/// Whether a box can be told to ask for this name. It goes into other programs' configurations and command lines, into messages
/// as it is, and into a field of 128 bytes with a zero at its end. A file it is, not `.` or `..`.
pub fn is_file_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+.".contains(&byte);
    let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    begins && name.len() < 128 && name.bytes().all(plain)
}
