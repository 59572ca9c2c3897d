//! The address and the file name over DHCP: real clients stand in for the boot loader.

use crate::cable::{Cable, MAC, ip};
use crate::recovery::TS219;
use crate::simbox::{flasher, is_root, read};
use std::fs;
use std::process::{Command, Output};

/// Writes down what a DHCP client was told, and takes the address.
fn script(cable: &Cable, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = cable.path("script");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn udhcpc(cable: &Cable, options: &[&str]) -> (Output, String) {
    let told = cable.path("told");
    let script = script(
        cable,
        &format!(
            "[ \"$1\" = bound ] || exit 0\nip addr add $ip/$mask dev $interface\nset >'{}'",
            told.display()
        ),
    );
    let args = [
        "udhcpc", "-f", "-q", "-n", "-t", "3", "-T", "1", "-i", "egiga0", "-s", &script,
    ];
    let output = cable.client("busybox", &[&args[..], options].concat());
    (output, fs::read_to_string(told).unwrap_or_default())
}

const ENTRY: [&str; 4] = ["--mac", MAC, "--ip", "192.168.1.71"];

#[test]
fn udhcpc_is_told_what_the_entry_of_the_page_says_and_gets_the_image() {
    if !is_root() {
        return;
    }
    for options in [&[][..], &["-O", "bootfile", "-O", "tftp"]] {
        let cable = Cable::new("192.168.1.2/24", None);
        let image = cable.image(&TS219, "F_TS-219_debian");
        let server = cable.serve(&[&ENTRY[..], &["F_TS-219_debian"]].concat());
        let (output, told) = udhcpc(&cable, options);
        assert!(output.status.success(), "{output:?}");
        for line in [
            "boot_file='F_TS-219_debian'",
            "siaddr='192.168.1.2'",
            "ip='192.168.1.71'",
            "mask='24'",
        ] {
            assert!(told.contains(line), "{line}: {told}");
        }
        if !options.is_empty() {
            assert!(
                told.contains("bootfile='F_TS-219_debian'") && told.contains("tftp='192.168.1.2'"),
                "{told}"
            );
        }
        let fetch = ["tftp", "-g", "-r", "F_TS-219_debian", "-l", "got", "192.168.1.2"];
        let output = cable.client("busybox", &fetch);
        assert!(
            output.status.success() && read(&cable.path("got")) == image,
            "{output:?}"
        );
        let run = server.end().exits(0);
        for said in [
            &format!("DHCPDISCOVER from {MAC}, vendor class \"udhcp")[..],
            "3.5 minutes",
            "beeps twice",
        ] {
            assert!(run.out.contains(said), "{said}: {run:?}");
        }
    }
}

#[test]
fn dhclient_is_told_the_same() {
    dhclient(&[], &[]);
}

#[test]
fn so_it_is_on_ports_that_need_no_root() {
    dhclient(&["--port", "6767", "--tftp-port", "6969"], &["-p", "6768"]);
}

fn dhclient(ports: &[&str], options: &[&str]) {
    let cable = Cable::new("192.168.1.2/24", None);
    cable.image(&TS219, "F_TS-219_debian");
    let mut server = cable.serve(&[&ENTRY[..], ports, &["F_TS-219_debian"]].concat());
    let told = cable.path("told");
    let script = script(&cable, &format!("set >>'{}'", told.display()));
    let (lease, pid) = (cable.path("lease"), cable.path("pid"));
    let [lease, pid] = [&lease, &pid].map(|path| path.to_str().unwrap());
    let args = ["30", "dhclient", "-1", "-sf", &script, "-lf", lease, "-pf", pid];
    let output = cable.client("timeout", &[&args[..], options, &["egiga0"]].concat());
    let number = fs::read_to_string(pid).unwrap_or_default();
    if !number.trim().is_empty() {
        let _ = Command::new("kill").arg(number.trim()).output();
    }
    assert!(output.status.success(), "{output:?}");
    server.hears("next-server 192.168.1.2");
    let lease = fs::read_to_string(lease).unwrap();
    for line in [
        "fixed-address 192.168.1.71;",
        "filename \"F_TS-219_debian\";",
        "option dhcp-server-identifier 192.168.1.2;",
    ] {
        assert!(lease.contains(line), "{line}: {lease}");
    }
    let told = fs::read_to_string(told).unwrap();
    assert!(told.contains("new_next_server='192.168.1.2'"), "{told}");
}

#[test]
fn a_box_that_says_what_it_takes_is_given_that_name() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("192.168.1.2/24", None);
    cable.image(&TS219, "my-image");
    let mut server = cable.serve(&[&ENTRY[..], &["my-image"]].concat());
    let (_, told) = udhcpc(&cable, &["-V", "F_TS-219P+"]);
    assert!(told.contains("boot_file='F_TS-219P+'"), "{told}");
    server.hears("vendor class \"F_TS-219P+\"");
    let output = cable.client("busybox", &["tftp", "-g", "-r", "F_TS-219", "-l", "got", "192.168.1.2"]);
    assert!(!output.status.success(), "{output:?}");
    server.hears("must begin with its own string, such as F_TS-219");
    let output = cable.client("curl", &["-sS", "-o", "got", "tftp://192.168.1.2/F_TS-219P+"]);
    assert!(output.status.success(), "{output:?}");
    server.end().exits(0);
    // What the user says holds, and the contradiction is said.
    ip(&format!("-n {} addr flush dev egiga0", cable.boxed));
    let mut server = cable.serve(&[&ENTRY[..], &["--name", "F_Q703", "my-image"]].concat());
    let (_, told) = udhcpc(&cable, &["-V", "F_TS-219P+"]);
    assert!(told.contains("boot_file='F_Q703'"), "{told}");
    server.hears("the box takes only names that begin with F_TS-219P+");
}

#[test]
fn nobody_else_is_answered_and_everybody_who_asks_is_shown() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("192.168.1.2/24", None);
    cable.image(&TS219, "F_TS-219");
    for (args, said) in [
        (
            &["--mac", "00:08:9b:01:02:03", "--ip", "192.168.1.71"][..],
            "not the box, not answered",
        ),
        (
            &["--address", "192.168.1.2"],
            "if this is the box, --mac 00:50:43:3c:3b:5d",
        ),
    ] {
        let mut server = cable.serve(&[args, &["F_TS-219"]].concat());
        let (output, told) = udhcpc(&cable, &[]);
        assert!(!output.status.success() && told.is_empty(), "{output:?}");
        server.hears(&format!("DHCPDISCOVER from {MAC}"));
        server.hears(said);
    }
}

/// Who has the address without having been given it may be anybody.
#[test]
fn who_was_not_answered_by_dhcp_is_not_the_box() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("192.168.1.2/24", Some("192.168.1.71/24"));
    let image = cable.image(&TS219, "F_TS-219");
    let mut server = cable.serve(&[&ENTRY[..], &["F_TS-219"]].concat());
    let fetch = ["-sS", "-o", "got", "tftp://192.168.1.2/F_TS-219"];
    let output = cable.client("curl", &fetch);
    assert!(output.status.success(), "{output:?}");
    server.hears("192.168.1.71 fetched the image before the box was given that address");
    server.hears("this was not the box; still waiting for it");
    ip(&format!("-n {} addr flush dev egiga0", cable.boxed));
    let (output, _) = udhcpc(&cable, &[]);
    assert!(output.status.success(), "{output:?}");
    let output = cable.client("curl", &fetch);
    assert!(
        output.status.success() && read(&cable.path("got")) == image,
        "{output:?}"
    );
    let run = server.end().exits(0);
    assert_eq!(run.out.matches("the box is writing now").count(), 1, "{run:?}");
}

/// Nor is another machine that has the address of the box.
#[test]
fn who_has_the_address_of_the_box_and_another_mac_is_not_the_box() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("192.168.1.2/24", None);
    let image = cable.image(&TS219, "F_TS-219");
    let mut server = cable.serve(&[&ENTRY[..], &["F_TS-219"]].concat());
    let (output, _) = udhcpc(&cable, &[]);
    assert!(output.status.success(), "{output:?}");
    let fetch = ["-sS", "-o", "got", "tftp://192.168.1.2/F_TS-219"];
    let change = |mac: &str| {
        let boxed = &cable.boxed;
        ip(&format!("-n {boxed} link set egiga0 down"));
        ip(&format!("-n {boxed} link set egiga0 address {mac} up"));
        // Nothing that the machine had learnt of the one before.
        ip(&format!("-n {} neigh flush dev eth7", cable.machine));
    };
    change("00:08:9b:01:02:03");
    let output = cable.client("curl", &fetch);
    assert!(output.status.success(), "{output:?}");
    server.hears("who has 192.168.1.71 is not the box: 00:08:9b:01:02:03");
    server.hears("this was not the box; still waiting for it");
    change(MAC);
    let output = cable.client("curl", &fetch);
    assert!(
        output.status.success() && read(&cable.path("got")) == image,
        "{output:?}"
    );
    server.end().exits(0);
}

/// A vendor class that is longer than the field for a file name, and a packet that ended an earlier version.
#[test]
fn no_vendor_class_ends_the_server() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("192.168.1.2/24", None);
    cable.image(&TS219, "my-image");
    let spoiled = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/net/dhcp-vendor-class.packet"
    );
    let mut server = cable.serve(&[&ENTRY[..], &["my-image"]].concat());
    let class = format!("F_{}", "x".repeat(198));
    let (output, told) = udhcpc(&cable, &["-V", &class]);
    assert!(
        output.status.success() && told.contains("boot_file='F_TS-219'"),
        "{told}"
    );
    server.hears(&format!("vendor class {class:?}"));
    server.hears("the vendor class of the box is not a file name");
    let send = format!("cat {spoiled} >/dev/udp/192.168.1.2/67");
    let sent = cable.client("bash", &["-c", &send]);
    assert!(sent.status.success(), "{sent:?}");
    server.hears(&format!("BOOTP request from {MAC}"));
    let output = cable.client("curl", &["-sS", "-o", "got", "tftp://192.168.1.2/F_TS-219"]);
    assert!(output.status.success(), "{output:?}");
    server.end().exits(0);
}

/// An address with a label is one of its interface; and where the box is, or what address it is to have, is not guessed.
#[test]
fn addresses_of_this_machine_are_told_apart() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("10.9.0.1/24", None);
    let (machine, image) = (&cable.machine, cable.image(&TS219, "F_TS-219"));
    ip(&format!("-n {machine} addr add 192.168.1.2/24 dev eth7 label eth7:1"));
    let server = cable.serve(&[&ENTRY[..], &["F_TS-219"]].concat());
    let (output, told) = udhcpc(&cable, &[]);
    assert!(
        output.status.success() && told.contains("siaddr='192.168.1.2'"),
        "{output:?} {told}"
    );
    let output = cable.client("curl", &["-sS", "-o", "got", "tftp://192.168.1.2/F_TS-219"]);
    assert!(
        output.status.success() && read(&cable.path("got")) == image,
        "{output:?}"
    );
    server.end().exits(0);
    // A second way to the same network, as a notebook with a cable and a radio has it.
    ip(&format!("-n {machine} link add name eth8 type veth peer name eth9"));
    ip(&format!("-n {machine} link set eth8 up"));
    ip(&format!("-n {machine} addr add 192.168.1.3/24 dev eth8"));
    for (args, said) in [
        (
            &["--ip", "192.168.1.71"][..],
            "192.168.1.2 (eth7) and on that of 192.168.1.3 (eth8)",
        ),
        (
            &["--address", "192.168.1.2", "--ip", "192.168.1.3"],
            "not an address for another machine",
        ),
        (
            &["--address", "192.168.1.2", "--ip", "192.168.1.255"],
            "not an address for another machine",
        ),
        (
            &["--address", "192.168.1.2", "--ip", "192.168.1.0"],
            "not an address for another machine",
        ),
    ] {
        let all = [
            &["5", env!("CARGO_BIN_EXE_flasher"), "recovery", "serve", "--mac", MAC][..],
            args,
            &["F_TS-219"],
        ];
        let output = cable.command(machine, "timeout", &all.concat()).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(64) && err.contains(said),
            "{args:?}: {err}"
        );
    }
}

#[test]
fn an_image_that_is_none_and_a_network_that_is_not_there_are_refused() {
    if !is_root() {
        return;
    }
    let cable = Cable::new("192.168.1.2/24", None);
    let mut image = cable.image(&TS219, "F_TS-219");
    let path = cable.path("F_TS-219");
    let path = path.to_str().unwrap();
    // Outside the namespace, where nobody has that network.
    flasher(&["recovery", "serve", "--mac", MAC, "--ip", "203.0.113.9", path]).exits(71);
    flasher(&["recovery", "serve", "--mac", MAC, path]).exits(64);
    image[(2 << 20) + 100] ^= 1;
    fs::write(path, &image).unwrap();
    flasher(&["recovery", "serve", "--mac", MAC, "--ip", "203.0.113.9", path]).exits(65);
    fs::write(path, "short").unwrap();
    flasher(&["recovery", "serve", path]).exits(65);
    flasher(&["recovery", "serve", "/nonexistent"]).exits(66);
}
