//! Flash fails in the middle of an update whose image had to be signed: the box stays up with its error pattern, and takes
//! another image over the network, if that is signed too.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use super::tools::{command, patience, run, scratch, text, write};
use super::*;

on!(tell: armel = Armel);

/// Three tries, each a short beep and blinking, then red and three long beeps. The last is what goes on.
const TRIED: [u8; 6] = [0x50, 0x58, 0x54, 0x51, 0x51, 0x51];

/// A key pair, of which `public` is copied to the box.
pub fn key(dir: &Path, name: &str) -> (String, String) {
    let file = |suffix| text(&dir.join(format!("{name}.{suffix}"))).to_owned();
    let (public, secret) = (file("pub"), file("key"));
    run(command("minisign").args(["-G", "-f", "-W", "-p", &public, "-s", &secret]));
    (public, secret)
}

pub fn sign(dir: &Path, secret: &str, image: &[u8], comment: Option<&str>) -> Vec<u8> {
    let (file, signature) = (dir.join("image"), dir.join("signature"));
    write(&file, image);
    let mut minisign = command("minisign");
    minisign.args(["-S", "-s", secret, "-m", text(&file), "-x", text(&signature)]);
    if let Some(comment) = comment {
        minisign.args(["-t", comment]);
    }
    run(&mut minisign);
    tools::read(&signature)
}

/// Sends this to the box as `nc -N` would, and answers what it says.
fn send(machine: &Machine, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", machine.rescue_port())).expect("the box listens");
    stream.set_read_timeout(Some(patience(300))).expect("a time");
    let said = pieces
        .iter()
        .try_for_each(|piece| stream.write_all(piece))
        .and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    // A box that reboots hangs up somehow.
    let _ = said.and_then(|()| stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn tell(kind: Kind) {
    let firmware = Parts::plain(kind, 'B');
    let mut nor = firmware.image();
    nor.resize(kind.partition("kernel").size + kind.partition("rootfs").size, 0xff);
    // The third erase block fails at every erase. The second image leaves it blank, as it is.
    let nand = b"\x02what goes into NAND ".repeat(2000);
    let first = [&nor[..], &nand, &[0xaa; 32 << 10]].concat();
    let second = [&nor[..], &nand[..30_000]].concat();
    let dir = scratch();
    let (public, secret) = key(dir.path(), "ours");
    let (_, stranger) = key(dir.path(), "strangers");

    let product = tools::read(&tools::flasher(kind));
    let modules = ["nand", "nandsim"].map(|name| firmware.module(name));
    let mut machine = Machine::new("rescue-network", Parts::plain(kind, 'A'))
        .second_port()
        .data_disk(&[
            ("flasher", &product),
            ("image.bin", &first),
            ("image.bin.minisig", &sign(dir.path(), &secret, &first, None)),
            ("key.pub", &tools::read(Path::new(&public))),
            ("board.json", &signals::profile(kind)),
            ("nand.ko", &modules[0]),
            ("nandsim.ko", &modules[1]),
        ]);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.must("cp /mnt/data/image.bin.minisig /mnt/data/key.pub /mnt/data/board.json /tmp/");
    machine.must(rescue_shell::NAND);
    machine.send_line(
        "/tmp/flasher apply -y --key /tmp/key.pub --rescue-network --board /tmp/board.json --no-rollback --part kernel,rootfs,mtd7 \
         /tmp/image.bin",
    );
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect(words::RESCUE, patience(300));
    machine.expect("| nc -N THIS-BOX 3552", patience(10));
    assert_eq!(machine.heard(), TRIED.repeat(3), "the error pattern is the last");

    let failed = machine.flash();
    for pieces in [
        vec![&second[..]],
        vec![&second, &sign(dir.path(), &stranger, &second, None)],
        vec![&nor, &sign(dir.path(), &secret, &second, None)],
        vec![],
    ] {
        // Nobody learns more than that.
        let said = send(&machine, &pieces);
        assert!(said.contains("refused") && said.lines().count() <= 2, "{said}");
    }
    assert!(
        machine.is_on() && machine.flash() == failed,
        "nothing of it was written"
    );
    assert_eq!(machine.heard().len(), 3 * TRIED.len(), "the pattern goes on");

    let said = send(&machine, &[&second, &sign(dir.path(), &secret, &second, None)]);
    assert!(said.contains("written and verified"), "{said}");
    becomes_b(&mut machine, &before, &nor);
}
