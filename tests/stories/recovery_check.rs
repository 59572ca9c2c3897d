//! Judging recovery images, their names, and the entries for other servers, held against `strings`, dhcpd and dnsmasq.

use crate::recovery::{TS109, TS219, cat, create, partitions, plain_copies, sim, text};
use crate::simbox::{Run, SimBox, flasher, tool};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

#[test]
fn the_table_of_file_names() {
    let rows: [(&str, &[&str]); 12] = [
        ("TS-109", &["qnapimg.bin"]),
        ("HS-210", &["F_HS-210"]),
        ("TS-210", &["F_TS-210"]),
        ("TS-212", &["F_TS-212"]),
        ("TS-219", &["F_TS-219"]),
        ("TS-219P", &["F_TS-219", "F_TS-219PE"]),
        ("TS-219P+", &["F_TS-219P+"]),
        ("TS-219P II", &["F_TS-219P2+"]),
        ("TS-220", &["F_TS-220"]),
        ("TS-221", &["F_TS-221"]),
        ("Fujitsu Q700", &["F_Q700"]),
        ("Fujitsu Q703", &["F_Q703"]),
    ];
    let table = flasher(&["recovery", "boards", "--format", "json"]).exits(0).json();
    let text = flasher(&["recovery", "boards"]).exits(0).out;
    for (device, names) in rows {
        let row = table.as_array().unwrap().iter().find(|row| row["device"] == device);
        let row = row.unwrap_or_else(|| panic!("{device} is missing"));
        assert_eq!(row["names"], serde_json::json!(names), "{device}");
        assert!(
            text.contains(&format!("{device} ")) && text.contains(names[0]),
            "{device}"
        );
    }
}

fn check(dir: &Path, image: &[u8], exit: i32) -> Run {
    let path = dir.join("checked");
    fs::write(&path, image).unwrap();
    let run = flasher(&["recovery", "check", "--format", "json", text(&path)]).exits(exit);
    assert_eq!(run.json()["ok"], exit == 0, "{run:?}");
    run
}

#[test]
fn check_says_what_is_written_and_what_is_ignored() {
    let dir = TempDir::new().unwrap();
    for (kind, fates) in [
        (&TS109, &["written", "written", "written"][..]),
        (
            &TS219,
            &["ignored", "ignored", "depends", "written", "written", "written"],
        ),
    ] {
        let report = check(dir.path(), &cat(kind, &partitions(kind, dir.path(), "F_TS-219")), 0).json();
        assert_eq!(report["board"], kind.board);
        let found: Vec<_> = report["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["fate"].as_str().unwrap())
            .collect();
        assert_eq!(found, fates);
        assert_eq!(report["ignored"], 0);
    }
    assert_eq!(
        check(dir.path(), &cat(&TS219, &partitions(&TS219, dir.path(), "F_TS-219")), 0).json()["devices"],
        serde_json::json!(["TS-219", "TS-219P"])
    );
    // QNAP's own image for the TS-109 has 8 MiB, of which the last is ignored.
    let mut official = cat(&TS109, &partitions(&TS109, dir.path(), ""));
    official.resize(8 * MIB, 0xff);
    assert_eq!(check(dir.path(), &official, 0).json()["ignored"], MIB);
    let path = dir.path().join("checked");
    let run = flasher(&["recovery", "check", text(&path)]).exits(0);
    assert!(
        run.out.contains("a proper recovery image") && run.out.contains("the last 1 MiB are ignored"),
        "{run:?}"
    );
}

#[test]
fn a_damaged_image_is_no_recovery_image() {
    let dir = TempDir::new().unwrap();
    for kind in [&TS109, &TS219] {
        let good = cat(kind, &partitions(kind, dir.path(), "F_TS-219"));
        let kernel = if kind.board == "qnap-ts109" { 0 } else { 2 * MIB };
        for at in [0, 5, 31, 40, 64, 70_000, 1_499_999] {
            let mut bad = good.clone();
            bad[kernel + at] ^= 4;
            check(dir.path(), &bad, 65);
        }
        for length in (4096..good.len())
            .step_by(64 * 4096)
            .chain([1, 63, 4096, good.len() - 4096, good.len() - 1])
        {
            check(dir.path(), &good[..length], 65);
        }
        let mut longer = good.clone();
        longer.push(0);
        check(dir.path(), &longer, 65);
    }
    // The files in the order of their numbers.
    let parts = partitions(&TS219, dir.path(), "F_TS-219");
    let run = check(dir.path(), &parts.concat(), 65);
    assert!(
        run.out.contains("wrong order") && run.out.contains("mtd0 mtd4 mtd5 mtd1 mtd2 mtd3"),
        "{run:?}"
    );
    flasher(&["recovery", "check", "/nonexistent"]).exits(66);
}

fn name(args: &[&str], exit: i32) -> Run {
    flasher(&[&["recovery", "name"][..], args].concat()).exits(exit)
}

#[test]
fn the_right_name_is_found_in_the_boot_loader_configuration() {
    let dir = TempDir::new().unwrap();
    for class in ["F_TS-219", "F_TS-219PE", "F_TS-219P2+", "F_HS-210", "F_Q703"] {
        let parts = partitions(&TS219, dir.path(), class);
        let copies = plain_copies(dir.path(), &parts);
        let mtd4 = copies.join("mtd4");
        assert_eq!(name(&[text(&copies)], 0).out.trim(), class);
        assert_eq!(name(&[text(&mtd4)], 0).out.trim(), class);
        // As the page does it.
        let strings = tool(
            "sh",
            &["-c", &format!("strings '{}' | grep bootp_vendor_class", text(&mtd4))],
        );
        assert_eq!(
            String::from_utf8(strings.stdout).unwrap().trim(),
            format!("bootp_vendor_class={class}")
        );
    }
    let sim = sim(&TS219, &partitions(&TS219, dir.path(), "F_TS-219"));
    let path = sim.path();
    let report = name(&["--format", "json", "--sim", text(&path)], 0).json();
    assert_eq!(report["name"], "F_TS-219");
    assert_eq!(report["devices"], serde_json::json!(["TS-219", "TS-219P"]));
    let backup = dir.path().join("backup");
    sim.run("backup", &[text(&backup)]).exits(0);
    assert_eq!(name(&[text(&backup)], 0).out.trim(), "F_TS-219");
}

#[test]
fn where_the_boot_loader_does_not_tell_the_name_that_is_said() {
    let run = name(&["--sim", text(&SimBox::new("qnap-ts219").path())], 69);
    assert!(run.err.contains("TS-219P+ asks for F_TS-219P+"), "{run:?}");
    let run = name(&["--sim", text(&SimBox::new("qnap-ts109").path())], 0);
    assert_eq!(run.out.trim(), "qnapimg.bin");
    name(&["--sim", text(&SimBox::new("thincan").path())], 69);
    let resized = SimBox::new("qnap-ts219-resized");
    let run = create(&["--sim", text(&resized.path()), text(&resized.dir.path().join("image"))]).exits(69);
    assert!(run.err.contains("resized"), "{run:?}");
}

#[test]
fn entries_for_other_servers_are_accepted_by_them() {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("F_TS-219_debian");
    fs::write(&image, cat(&TS219, &partitions(&TS219, dir.path(), "F_TS-219"))).unwrap();
    let config = |server: &str| {
        flasher(&[
            "recovery",
            "config",
            "--mac",
            "00:50:43:3c:3b:5d",
            "--ip",
            "192.168.1.71",
            "--server",
            "192.168.1.2",
            "--for",
            server,
            text(&image),
        ])
        .exits(0)
        .out
    };
    let file = dir.path().join("config");
    let dhcpd = config("dhcpd");
    for line in [
        "    hardware ethernet 00:50:43:3c:3b:5d;\n",
        "    filename \"F_TS-219_debian\";\n",
        "    fixed-address 192.168.1.71;\n",
        "    next-server 192.168.1.2;\n",
    ] {
        assert!(dhcpd.contains(line), "{dhcpd}");
    }
    fs::write(&file, dhcpd).unwrap();
    tool("dhcpd", &["-t", "-cf", text(&file)]);
    fs::write(&file, config("dnsmasq")).unwrap();
    tool("dnsmasq", &["--test", &format!("--conf-file={}", text(&file))]);
    let hpa = config("tftpd-hpa");
    fs::write(&file, &hpa).unwrap();
    let value = tool("sh", &["-c", &format!(". '{}' && echo $TFTP_ADDRESS", text(&file))]);
    assert_eq!(value.stdout, b"192.168.1.2:69\n");
    flasher(&["recovery", "config", text(&image)]).exits(64);

    let image = dir.path().join("qnapimg.bin");
    fs::write(&image, cat(&TS109, &partitions(&TS109, dir.path(), ""))).unwrap();
    let all = flasher(&["recovery", "config", text(&image)]).exits(0).out;
    assert!(
        all.contains("192.168.0.11:69") && all.contains("DHCP is not needed"),
        "{all}"
    );
    // A name is one word of the command, and no line of its own.
    let odd = dir.path().join("my image\nevil");
    fs::copy(&image, &odd).unwrap();
    let all = flasher(&["recovery", "config", text(&odd)]).exits(0).out;
    assert!(all.contains("#   install -m 644 '") && !all.contains("\nevil"), "{all}");
    fs::write(
        &file,
        flasher(&["recovery", "config", "--for", "dnsmasq", text(&image)])
            .exits(0)
            .out,
    )
    .unwrap();
    tool("dnsmasq", &["--test", &format!("--conf-file={}", text(&file))]);
}
