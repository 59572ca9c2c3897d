//! The command line of `recovery`: its rows of the tables, and its options.

#![forbid(unsafe_code)]

use super::table::{Flag, VerbRow};
use super::{Apply, Where};
use crate::error::{Failure, Result};
use crate::quoted::Quoted;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

/// The hardware address of an Ethernet interface.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = ();
    fn from_str(text: &str) -> std::result::Result<Mac, ()> {
        let mut mac = [0; 6];
        let mut groups = text.split([':', '-']);
        for byte in &mut mac {
            let group = groups.next().filter(|group| group.len() == 2).ok_or(())?;
            *byte = u8::from_str_radix(group, 16).map_err(|_| ())?;
        }
        match groups.next() {
            None => Ok(Mac(mac)),
            Some(_) => Err(()),
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

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
    pub force: Vec<String>,
    /// Whether to end after one whole transfer.
    pub once: bool,
}

/// What `recovery create` makes its image of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The image to write, or the directory to write it into under its right name.
    pub output: PathBuf,
    /// The box.
    pub at: Where,
    /// A directory with copies of its partitions; the box itself when absent.
    pub from: Option<PathBuf>,
    /// An installer's kernel and initial ramdisk instead of those in the copies.
    pub installer: Option<(PathBuf, PathBuf)>,
    /// Checks that are overridden, by name.
    pub force: Vec<String>,
}

/// The verbs behind `recovery`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Make an image.
    Create(Create),
    /// Check one.
    Check {
        /// The path, URL or `-`.
        image: String,
    },
    /// The table of file names.
    Boards,
    /// The file name for one box.
    Name {
        /// The box.
        at: Where,
        /// A backup of it, or the copy of its boot loader configuration.
        from: Option<PathBuf>,
    },
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
        name: "recovery create",
        operands: &["FILE"],
        summary: "make a QNAP recovery image of a backup, of this box, or of an installer",
        text: "Of this box (or --sim DIR) as it runs; with --from DIR of copies of its partitions, as backup makes\n\
               them or as files mtd0, mtd1, …; with --kernel and --initrd besides, of an installer: both are padded\n\
               with zeros to their partitions, and the rest comes from the copies. FILE may be a directory: the image is\n\
               then written into it under the name that the box asks for.",
    },
    VerbRow {
        name: "recovery check",
        operands: &["IMAGE"],
        summary: "whether a file is a proper recovery image, for which boxes, and what would be written",
        text: "",
    },
    VerbRow {
        name: "recovery boards",
        operands: &[],
        summary: "the file name that each box with a recovery mode asks for",
        text: "",
    },
    VerbRow {
        name: "recovery name",
        operands: &["[BACKUP]"],
        summary: "the file name that this box, or the box of a backup, asks for",
        text: "Found as bootp_vendor_class in the boot loader's configuration. A TS-219P+ has none there: its name\n\
               is F_TS-219P+. BACKUP is a directory of copies, or the copy of mtd4.",
    },
    VerbRow {
        name: "recovery serve",
        operands: &["IMAGE"],
        summary: "hand IMAGE to a box in recovery mode, by TFTP and where it needs one by DHCP",
        text: "A box of the TS-109 kind has 192.168.0.10 and asks 192.168.0.11 for qnapimg.bin. One of the TS-21x\n\
               kind is given its address and the file name by DHCP: that needs --mac and --ip. Without --mac nobody\n\
               is answered, and whoever asks is shown: switch the box on with its reset button held for 10 seconds.\n\
               Goes on with the next box until ^C ends it; with --once it ends with the first that has everything.",
    },
    VerbRow {
        name: "recovery config",
        operands: &["IMAGE"],
        summary: "print entries for ISC dhcpd, dnsmasq and tftpd-hpa that do what serve does",
        text: "",
    },
];

const CREATE: &[&str] = &["recovery create"];
const SERVE: &[&str] = &["recovery serve"];
const NETWORK: &[&str] = &["recovery serve", "recovery config"];

const fn flag(
    long: &'static str,
    value: Option<&'static str>,
    verbs: &'static [&'static str],
    help: &'static str,
) -> Flag {
    Flag {
        long,
        alias: None,
        shorts: "",
        value,
        verbs,
        help,
    }
}

/// The rows of the table of flags.
pub const FLAGS: &[Flag] = &[
    flag(
        "from",
        Some("DIR"),
        CREATE,
        "take the partitions from the copies in DIR, not from this box",
    ),
    flag("kernel", Some("FILE"), CREATE, "the installer's kernel"),
    flag("initrd", Some("FILE"), CREATE, "the installer's initial ramdisk"),
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
    from: Option<PathBuf>,
    kernel: Option<PathBuf>,
    initrd: Option<PathBuf>,
    network: Network,
    server: Option<Server>,
}

fn parsed<T: FromStr>(flag: &str, value: &str, what: &str) -> Result<T> {
    value
        .parse()
        .map_err(|_| Failure::usage(format_args!("--{flag} takes {what}, not {}", Quoted(&value))))
}

impl Raw {
    pub(super) fn set(&mut self, flag: &str, value: String) -> Result<()> {
        let network = &mut self.network;
        let address = "an IPv4 address";
        match flag {
            "from" => self.from = Some(value.into()),
            "kernel" => self.kernel = Some(value.into()),
            "initrd" => self.initrd = Some(value.into()),
            "mac" => network.mac = Some(parsed(flag, &value, "six pairs of hexadecimal digits")?),
            "ip" => network.ip = Some(parsed(flag, &value, address)?),
            "address" => network.address = Some(parsed(flag, &value, address)?),
            "port" => network.dhcp_port = Some(parsed(flag, &value, "a port")?),
            "tftp-port" => network.tftp_port = Some(parsed(flag, &value, "a port")?),
            "name" => network.name = Some(file_name(value)?),
            "once" => network.once = true,
            "for" => {
                self.server = Some(match value.as_str() {
                    "dhcpd" => Server::Dhcpd,
                    "dnsmasq" => Server::Dnsmasq,
                    "tftpd-hpa" => Server::TftpdHpa,
                    _ => {
                        return Err(Failure::usage(format_args!(
                            "--for is dhcpd, dnsmasq or tftpd-hpa, not {}",
                            Quoted(&value)
                        )));
                    }
                });
            }
            _ => (),
        }
        Ok(())
    }

    pub(super) fn finish(self, verb: &str, operand: Option<String>, apply: Apply) -> Result<Recovery> {
        let given = operand.clone().unwrap_or_default();
        let network = Network {
            image: given.clone(),
            force: apply.force.clone(),
            ..self.network
        };
        Ok(match verb {
            "recovery create" => Recovery::Create(Create {
                output: given.into(),
                at: apply.at,
                installer: match (self.kernel, self.initrd, &self.from) {
                    (None, None, _) => None,
                    (Some(kernel), Some(initrd), Some(_)) => Some((kernel, initrd)),
                    _ => return Err(Failure::usage("an installer needs --kernel, --initrd and --from")),
                },
                from: self.from,
                force: apply.force,
            }),
            "recovery check" => Recovery::Check { image: given },
            "recovery boards" => Recovery::Boards,
            "recovery name" => Recovery::Name {
                at: apply.at,
                from: operand.map(PathBuf::from),
            },
            "recovery serve" => Recovery::Serve(network),
            _ => Recovery::Config {
                network,
                server: self.server,
            },
        })
    }
}

/// It goes into other programs' configurations and into a field of 128 bytes with a zero at its end.
fn file_name(name: String) -> Result<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+.".contains(&byte);
    match !name.is_empty() && name.len() < 128 && name.bytes().all(plain) {
        true => Ok(name),
        false => Err(Failure::usage(format_args!(
            "--name takes a file name of letters, digits and _-+. only, not {}",
            Quoted(&name)
        ))),
    }
}
