//! `recovery config IMAGE`: what to put into the configuration of other people's servers.

#![forbid(unsafe_code)]

use crate::base::error::{Exit, Failure, Result};
use crate::base::quoted::one_line;
use crate::base::shell;
use crate::cli::network::{Network, Server};
use crate::host::recovery::{read, served_name};
use crate::recovery::{Mode, boards};
use crate::report::Reporter;
use serde::Serialize;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// Where Debian's servers have their files.
const ROOT: &str = "/srv/tftp";

#[derive(Serialize)]
struct Report {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dhcpd: Option<String>,
    dnsmasq: String,
    tftpd_hpa: String,
}

/// Prints the entries.
///
/// # Errors
/// An image that is none, and a box of the TS-21x kind without `--mac`, `--ip`, `--address` or a name.
pub fn run(network: &Network, server: Option<Server>, reporter: &mut Reporter) -> Result<Exit> {
    let (_, layout, image) = read(&network.image, &network.force, reporter)?;
    let report = match layout.mode() {
        Mode::Fixed => fixed(),
        Mode::Dhcp => dhcp(network, served_name(network, &layout, &image)?)?,
    };
    if reporter.json() {
        reporter.object(&report);
        return Ok(Exit::Done);
    }
    let file = shell::typed(&network.image);
    // A name with the end of a line in it would end the comment that it stands in.
    let install = one_line(&format!("install -m 644 {file} {ROOT}/{}", report.name));
    match server {
        Some(Server::Dhcpd) => match &report.dhcpd {
            Some(text) => reporter.line(text.trim_end()),
            None => reporter.line("# This box needs no DHCP: its addresses are fixed."),
        },
        Some(Server::Dnsmasq) => reporter.line(report.dnsmasq.trim_end()),
        Some(Server::TftpdHpa) => reporter.line(report.tftpd_hpa.trim_end()),
        None => {
            reporter.line(&format!(
                "# For each of them, put the image into its place:\n#   {install}\n"
            ));
            match &report.dhcpd {
                Some(text) => reporter.line(&format!(
                    "# ISC dhcpd: /etc/dhcp/dhcpd.conf, with tftpd-hpa beside it\n{text}"
                )),
                None => reporter.line("# DHCP is not needed: the box has 192.168.0.10 and asks 192.168.0.11.\n"),
            }
            reporter.line(&format!("# tftpd-hpa: /etc/default/tftpd-hpa\n{}", report.tftpd_hpa));
            reporter.line(&format!(
                "# or dnsmasq alone: /etc/dnsmasq.d/recovery.conf\n{}",
                report.dnsmasq.trim_end()
            ));
        }
    }
    Ok(Exit::Done)
}

fn tftpd_hpa(server: Ipv4Addr) -> String {
    format!(
        "TFTP_USERNAME=\"tftp\"\nTFTP_DIRECTORY=\"{ROOT}\"\nTFTP_ADDRESS=\"{server}:69\"\nTFTP_OPTIONS=\"--secure\"\n"
    )
}

/// The addresses are in the boot loader and cannot be configured ("Recovery mode of the QNAP TS-109").
fn fixed() -> Report {
    let server = crate::host::recovery::FIXED_SERVER;
    Report {
        name: boards::FIXED.to_owned(),
        dhcpd: None,
        dnsmasq: format!("port=0\nlisten-address={server}\nbind-interfaces\nenable-tftp\ntftp-root={ROOT}\n"),
        tftpd_hpa: tftpd_hpa(server),
    }
}

fn dhcp(network: &Network, name: Option<String>) -> Result<Report> {
    let missing = |what: &str, hint: &str| Failure::usage(what).hint(hint);
    let mac = network.mac.ok_or_else(|| {
        missing(
            "say with --mac which box it is",
            "flasher recovery serve IMAGE shows the MAC of a box that is in its recovery mode",
        )
    })?;
    let ip = network
        .ip
        .ok_or_else(|| missing("say with --ip which address the box is to have", "--ip 192.168.1.71"))?;
    let server = network
        .address
        .ok_or_else(|| missing("say with --server which address the server has", "--server 192.168.1.2"))?;
    let name = name.ok_or_else(crate::host::recovery::nameless)?;
    let mut dhcpd = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        dhcpd,
        "host qnap-{id} {{\n    hardware ethernet {mac};\n    filename \"{name}\";\n    fixed-address {ip};\n    \
         next-server {server};\n}}",
        id = mac.to_string().replace(':', "")
    );
    Ok(Report {
        dhcpd: Some(dhcpd),
        // Known hosts only: nobody else on that network is answered.
        dnsmasq: format!(
            "port=0\ndhcp-range={ip},static\ndhcp-host={mac},set:qnap,{ip}\ndhcp-ignore=tag:!known\n\
             dhcp-boot=tag:qnap,{name},,{server}\nenable-tftp\ntftp-root={ROOT}\n"
        ),
        tftpd_hpa: tftpd_hpa(server),
        name,
    })
}
