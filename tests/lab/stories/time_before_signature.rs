//! How long a box works on a file of anybody's before its signature is looked at: twice the file, about twice the time, whatever
//! stands in it. Counted in instructions of the emulated ARM926, which are the same whatever the workstation does beside, and printed.

use std::path::Path;

use super::rescue_network::{key, sign};
use super::tools::{command, noise, run, scratch, text, write};
use super::*;

on!(tell: armel = Armel);

/// How much longer twice the file may take, and hundredths of a second that are not of the file.
const RATIO: f64 = 2.3;
const GRAIN: f64 = 30.0;
/// An instruction takes 2 to the power of this nanoseconds, about what it takes an ARM926.
const CLOCK: &str = "shift=3";

/// An archive of this many members of 600 bytes, packed.
fn archive(dir: &Path, members: usize) -> Vec<u8> {
    let top = dir.join(format!("members-{members}"));
    for index in 0..members {
        write(&top.join(format!("m{index}")), &noise(600, 1));
    }
    let file = dir.join("archive.tar.gz");
    run(command("tar").args(["-czf", text(&file), "-C", text(&top), "."]));
    tools::read(&file)
}

/// A device tree with this many nodes, as a FIT has them.
fn tree(dir: &Path, nodes: usize) -> Vec<u8> {
    let nodes: String = (0..nodes)
        .map(|index| format!("n{index} {{ data = [01 02 03 04]; }};\n"))
        .collect();
    let (source, file) = (dir.join("tree.dts"), dir.join("tree.dtb"));
    write(
        &source,
        format!("/dts-v1/;\n/ {{ images {{ {nodes} }}; }};\n").as_bytes(),
    );
    run(command("dtc").args(["-q", "-O", "dtb", "-o", text(&file), text(&source)]));
    tools::read(&file)
}

fn tell(kind: Kind) {
    let dir = scratch();
    let (public, secret) = key(dir.path(), "ours");
    let files: Vec<(&str, [Vec<u8>; 2])> = vec![
        ("noise", [noise(4 << 20, 1), noise(8 << 20, 1)]),
        ("zeros", [vec![0; 4 << 20], vec![0; 8 << 20]]),
        ("archive", [archive(dir.path(), 2000), archive(dir.path(), 4000)]),
        ("fit", [tree(dir.path(), 3000), tree(dir.path(), 6000)]),
    ];
    let wrong = sign(dir.path(), &secret, b"another image", None);
    let product = tools::read(&tools::flasher(kind));
    let mut disk = vec![
        ("flasher".to_owned(), product),
        ("ours.pub".to_owned(), tools::read(Path::new(&public))),
        ("wrong.minisig".to_owned(), wrong),
    ];
    for (name, both) in &files {
        for (times, content) in both.iter().enumerate() {
            disk.push((format!("{name}.{}", times + 1), content.clone()));
        }
    }
    let disk: Vec<_> = disk.iter().map(|(name, content)| (&**name, &**content)).collect();
    let mut machine = Machine::new("time-before-signature", Parts::plain(kind, 'A'))
        .data_disk(&disk)
        .steady_clock(CLOCK);
    machine.boot('A');
    machine.must("cp /mnt/data/flasher /mnt/data/ours.pub /tmp/; chmod +x /tmp/flasher");
    // Hundredths of a second of the box's clock.
    let mut measure = |name: &str, signature: bool| -> f64 {
        machine.must(&format!("rm -f /tmp/image*; cp /mnt/data/{name} /tmp/image"));
        if signature {
            machine.must("cp /mnt/data/wrong.minisig /tmp/image.minisig");
        }
        let plan = "/tmp/flasher plan --key /tmp/ours.pub --part spare /tmp/image >/tmp/said 2>&1";
        let (_, times) = machine.run(&format!("cat /proc/uptime; {plan}; cat /proc/uptime"));
        let times: Vec<f64> = times
            .lines()
            .filter_map(|line| line.split(' ').next()?.parse().ok())
            .collect();
        let [begun, ended] = times[..] else {
            panic!("two times: {times:?}");
        };
        100.0 * (ended - begun)
    };
    for (name, both) in &files {
        for signature in [false, true] {
            let [one, two] = [1, 2].map(|times| measure(&format!("{name}.{times}"), signature));
            println!(
                "{name}, {} a signature: {} bytes {one:.0} hundredths of a second, {} bytes {two:.0}",
                if signature { "with" } else { "without" },
                both[0].len(),
                both[1].len()
            );
            assert!(two <= RATIO * one + GRAIN, "{name}: {one} {two}");
        }
    }
    assert!(machine.must("cat /tmp/said").contains("signature"));
}
