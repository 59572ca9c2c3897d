//! U-Boot's environment in two volumes of UBI, on a real kernel: what `mkenvimage`, `fw_setenv` and UBI's own update of a
//! volume left there is read, only the copy that is not in use is written, and `fw_printenv` says what it is then.
//!
//! The simulator's content is gone with the box, so the volumes leave it through the NOR flash, where the judge finds them.

use super::*;
use crate::env::sorted;
use crate::lab::nand;
use tools::{command, run, scratch, text, write};

on!(tell: armel = Armel);

/// Bytes of a copy, header included; the rest of its volume is nobody's.
const COPY: usize = 64 << 10;

/// The volumes, by their numbers.
const VOLUMES: [(&str, &str); 9] = [
    ("uboot-env", "dynamic"),
    ("uboot-env2", "dynamic"),
    ("data", "dynamic"),
    ("fixed", "static"),
    ("fixed2", "static"),
    ("short", "static"),
    ("short2", "static"),
    ("blank", "dynamic"),
    ("blank2", "dynamic"),
];

/// What `mkenvimage -r` makes of these variables, with this serial number, which its CRC does not cover.
fn made(variables: &str, serial: u8) -> Vec<u8> {
    let dir = scratch();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    write(&from, variables.as_bytes());
    run(command("mkenvimage").args(["-r", "-s", &COPY.to_string(), "-o", text(&to), text(&from)]));
    let mut copy = tools::read(&to);
    copy[4] = serial;
    copy
}

/// libubootenv's tools on two copies.
struct Judge(tempfile::TempDir);

impl Judge {
    fn new(copies: [&[u8]; 2]) -> Judge {
        let judge = Judge(scratch());
        let [one, two, config] = ["one", "two", "config"].map(|name| judge.0.path().join(name));
        write(&one, copies[0]);
        write(&two, copies[1]);
        let lines = [one, two].map(|file| format!("{} 0x0 {COPY:#x}\n", text(&file)));
        write(&config, lines.concat().as_bytes());
        judge
    }

    fn config(&self) -> std::path::PathBuf {
        self.0.path().join("config")
    }

    /// What `fw_printenv` says, sorted.
    fn says(&self) -> Vec<String> {
        let output = run(command("fw_printenv").args(["-c", text(&self.config())]));
        assert!(output.stderr.is_empty(), "it took the defaults: {output:?}");
        sorted(&String::from_utf8_lossy(&output.stdout))
    }

    /// The second copy after `fw_setenv`, which must have chosen that one.
    fn set(&self, name: &str, value: &str) -> Vec<u8> {
        let defaults = self.0.path().join("defaults");
        write(&defaults, b"x=y\n");
        run(command("fw_setenv").args(["-c", text(&self.config()), "-f", text(&defaults), name, value]));
        tools::read(&self.0.path().join("two"))
    }
}

/// A pair of volumes with an environment, and a file of the box that says so.
struct Pair {
    volumes: [usize; 2],
    config: &'static str,
}

impl Pair {
    /// Both volumes as the kernel shows them: a copy, and whatever is behind it.
    fn content(&self, machine: &mut Machine) -> [Vec<u8>; 2] {
        let spare = machine.kind.partition("spare");
        let mtd = machine.kind.partitions().len() - 1;
        let [one, two] = self.volumes;
        machine.must(&format!(
            "cat /dev/ubi0_{one} >/tmp/one && cat /dev/ubi0_{two} >/tmp/two"
        ));
        let sizes = machine.must("wc -c </tmp/one && wc -c </tmp/two");
        let sizes: Vec<usize> = sizes.split_whitespace().map(|size| size.parse().unwrap()).collect();
        machine.must(&format!(
            "cat /tmp/one /tmp/two >/tmp/both && flashcp /tmp/both /dev/mtd{mtd}"
        ));
        let flash = machine.flash();
        let (one, rest) = flash[spare.range()].split_at(sizes[0]);
        [one.to_vec(), rest[..sizes[1]].to_vec()]
    }

    /// What flasher and the judge both say, and the two volumes.
    #[track_caller]
    fn agreed(&self, machine: &mut Machine) -> (Vec<String>, [Vec<u8>; 2]) {
        let ours = sorted(&machine.must(&format!("/tmp/flasher env --env-config {}", self.config)));
        let content = self.content(machine);
        let judge = Judge::new([&content[0][..COPY], &content[1][..COPY]]);
        assert_eq!(ours, judge.says());
        (ours, content)
    }

    /// Sets a variable, which must go to this copy, under this serial number, and change nothing else of the pair.
    #[track_caller]
    fn set(&self, machine: &mut Machine, value: &str, copy: usize, serial: u8) {
        let (mut wanted, before) = self.agreed(machine);
        let said = machine.must(&format!(
            "/tmp/flasher env set round={value} --env-config {} 2>&1",
            self.config
        ));
        assert!(said.contains("the environment is written and verified"), "{said}");
        let kept = match VOLUMES[self.volumes[copy]].1 {
            "static" => "none, so it cannot be put back".to_owned(),
            _ => format!("{} KiB\n", nand::LEB >> 10),
        };
        let kept = format!("old content kept in RAM meanwhile: {kept}");
        assert!(said.contains(&kept), "{said}");
        let (now, after) = self.agreed(machine);
        wanted.retain(|line| !line.starts_with("round="));
        wanted.push(format!("round={value}"));
        wanted.sort();
        assert_eq!(now, wanted);
        assert_eq!(after[copy][4], serial);
        assert!(after[1 - copy] == before[1 - copy], "the copy in use was written");
        assert!(after[copy][COPY..] == before[copy][COPY..], "what is behind the copy");
        let shown = machine.must(&format!("/tmp/flasher -v env --env-config {} 2>&1", self.config));
        let [one, two] = self
            .volumes
            .map(|volume| format!("ubi0_{volume} \"{}\" 0x0: ", VOLUMES[volume].0));
        let states = if copy == 0 {
            ["in use", "the other copy"]
        } else {
            ["the other copy", "in use"]
        };
        assert!(
            shown.contains(&(one + states[0])) && shown.contains(&(two + states[1])),
            "{shown}"
        );
    }
}

fn tell(kind: Kind) {
    let first = made("bootcmd=run slot\nkept=yes\nround=0\nslot=a\n", 0xfd);
    let older = made("bootcmd=run slot\nround=0\n", 0xfc);
    let theirs = Judge::new([&first, &older]).set("theirs", "by fw_setenv");
    let data = b"of somebody else ".repeat(20_000);
    let data_bytes = data.len();
    let blank = vec![0xff; 1000];
    let contents: [&[u8]; 9] = [
        &first,
        &older,
        &data,
        &first,
        &older,
        &first[..1000],
        &older[..1000],
        &blank,
        &blank,
    ];
    let volumes: Vec<_> = VOLUMES
        .iter()
        .zip(contents)
        .map(|((name, kind), content)| (*name, *kind, content, content.len().div_ceil(nand::LEB)))
        .collect();
    let files = [
        ("image.ubi", nand::ubinize(&volumes)),
        ("theirs", theirs),
        ("data", data),
    ]
    .map(|(name, content)| (name.to_owned(), content));
    let product = tools::read(&tools::flasher(kind));
    let mut machine = nand::boot("env-on-ubi", kind, product, files.into(), "");
    let mtd = nand::attach(&mut machine, "image.ubi");
    for (file, one, two) in [
        ("by-number", "/dev/ubi0_0", "/dev/ubi0_1"),
        ("by-name", "/dev/ubi0:uboot-env", "/dev/ubi0:uboot-env2"),
        ("static", "fixed", "ubi0:fixed2"),
    ] {
        machine.must(&format!(
            "printf '{one} 0x0 {COPY:#x}\\n{two} 0x0 {COPY:#x} 0x1f800\\n' >/tmp/{file}"
        ));
    }

    let [pair, by_name] = ["/tmp/by-number", "/tmp/by-name"].map(|config| Pair {
        volumes: [0, 1],
        config,
    });
    let (lines, _) = pair.agreed(&mut machine);
    assert!(
        lines.contains(&"slot=a".to_owned()) && lines.contains(&"kept=yes".to_owned()),
        "{lines:?}"
    );
    // As U-Boot and `fw_setenv` write a volume.
    machine.must("ubiupdatevol /dev/ubi0_1 /mnt/data/theirs");
    let (lines, content) = pair.agreed(&mut machine);
    assert!(lines.contains(&"theirs=by fw_setenv".to_owned()), "{lines:?}");
    assert_eq!((content[0][4], content[1][4]), (0xfd, 0xfe));

    pair.set(&mut machine, "1", 0, 0xff);
    by_name.set(&mut machine, "2", 1, 0);
    pair.set(&mut machine, "3", 0, 1);
    broken_off(&mut machine, &pair);
    refusals(&mut machine);

    // Static volumes, which UBI replaces as a whole.
    let fixed = Pair {
        volumes: [3, 4],
        config: "/tmp/static",
    };
    for (value, copy, serial) in [("1", 1, 0xfe), ("2", 0, 0xff), ("3", 1, 0)] {
        fixed.set(&mut machine, value, copy, serial);
    }

    // Attached anew, UBI finds everything whole, and nobody else's content has changed.
    let wanted = [pair.agreed(&mut machine), fixed.agreed(&mut machine)];
    machine.must(&format!(
        "ubidetach -d 0 /dev/ubi_ctrl && ubiattach -m {mtd} /dev/ubi_ctrl"
    ));
    assert!([pair.agreed(&mut machine), fixed.agreed(&mut machine)] == wanted);
    machine.must(&format!(
        "dd if=/dev/ubi0_2 bs={data_bytes} count=1 2>/dev/null | cmp - /mnt/data/data"
    ));
    let log = machine.must("dmesg | grep -i 'ubi.*error' || true");
    assert_eq!(log.trim(), "", "UBI does not complain");
}

/// A power cut while U-Boot or `fw_setenv` writes a volume leaves it with an update marker and without content. The boot
/// loader takes the other one then, be it the older, and so do we; the next change gives it content again.
fn broken_off(machine: &mut Machine, pair: &Pair) {
    let values = |machine: &mut Machine| {
        let said = machine.must(&format!("/tmp/flasher -v env --env-config {} 2>&1", pair.config));
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let [other, broken] = pair.volumes;
    for in_use in [false, true] {
        machine.must(&format!(
            "head -c 1000 /mnt/data/theirs >/tmp/part; ubiupdatevol -s {COPY} /dev/ubi0_{broken} /tmp/part || true"
        ));
        let marker = machine.must(&format!("cat /sys/class/ubi/ubi0_{broken}/upd_marker"));
        assert_eq!(marker.trim(), "1", "broken off");
        let said = values(machine);
        assert!(
            said.contains(&"round=3".to_owned()),
            "in use before: {in_use}: {said:?}"
        );
        for (volume, state) in [(broken, "its volume has no content"), (other, "in use")] {
            let line = format!("ubi0_{volume} \"{}\" 0x0: {state}", VOLUMES[volume].0);
            assert!(said.contains(&line), "{line}: {said:?}");
        }
        let said = machine.must(&format!(
            "/tmp/flasher env set round={in_use} --env-config {} 2>&1",
            pair.config
        ));
        assert!(said.contains("an update of it was broken off"), "{said}");
        assert!(said.contains("the environment is written and verified"), "{said}");
        let (lines, content) = pair.agreed(machine);
        assert!(lines.contains(&format!("round={in_use}")), "{lines:?}");
        assert_eq!((content[0][4], content[1][4]), (1, 2));
    }
}

/// What cannot be an environment, or may not be written, is told so and stays as it is.
fn refusals(machine: &mut Machine) {
    let sums = |machine: &mut Machine| machine.must("md5sum /dev/ubi0_*");
    let before = sums(machine);
    for (one, two, size, reasons) in [
        (
            "/dev/ubi0_0",
            "/dev/ubi0_1",
            2 * COPY,
            ["ubi0_0 \"uboot-env\" ends before", ""],
        ),
        (
            "/dev/ubi0_9",
            "/dev/ubi0_1",
            COPY,
            ["there is no partition \"ubi0_9\"", "\"ubi0:uboot-env2\""],
        ),
        (
            "/dev/ubi1:uboot-env",
            "/dev/ubi0_1",
            COPY,
            ["there is no partition \"ubi1:uboot-env\"", ""],
        ),
        (
            "/dev/ubi0_0",
            "/dev/ubi0_0",
            COPY,
            ["the two copies share erase blocks", ""],
        ),
        (
            "blank",
            "blank2",
            COPY,
            ["it is blank; the other copy: it is blank", "saveenv"],
        ),
        ("short", "short2", COPY, ["its volume holds fewer bytes", "saveenv"]),
        (
            "data",
            "blank",
            COPY,
            ["its CRC is wrong; the other copy: it is blank", "saveenv"],
        ),
    ] {
        machine.must(&format!(
            "printf '{one} 0x0 {size:#x}\\n{two} 0x0 {size:#x}\\n' >/tmp/wrong"
        ));
        // Of two copies that lie in one place there is something to read all the same.
        let verbs = ["env set round=x", "env"];
        for verb in &verbs[..if one == two { 1 } else { 2 }] {
            let (status, said) = machine.run(&format!("/tmp/flasher {verb} --env-config /tmp/wrong 2>&1"));
            assert_eq!(status, 78, "{said}");
            assert!(reasons.iter().all(|reason| said.contains(reason)), "{said}");
        }
    }
    // Somebody else is writing a copy.
    machine.must("sleep 1000 >/dev/ubi0_0 & echo $! >/tmp/writer");
    let (status, said) = machine.run("/tmp/flasher env set round=x --env-config /tmp/by-number 2>&1");
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("refused by check holders"), "{said}");
    machine.must("kill $(cat /tmp/writer)");
    // Two copies have another layout than an only one.
    machine.must(&format!("printf '/dev/ubi0_0 0x0 {COPY:#x}\\n' >/tmp/wrong"));
    let (status, said) = machine.run("/tmp/flasher env --env-config /tmp/wrong 2>&1");
    assert_eq!((status, said.contains("its CRC is wrong")), (78, true), "{said}");
    assert_eq!(sums(machine), before);
}
