//! The owner sits at a workstation and has nothing but `scp` and `ssh`.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::tools::{flasher, patience, scratch, write};
use super::*;

on!(tell: armel = Armel, mips = Mips, mipsel = Mipsel);
on!(tell_cut: cut_armel = Armel);

/// The session is told clearly what happens next and ends well, before init ends everything.
fn tell(kind: Kind) {
    let (mut machine, before, image) = ready("over-the-network", kind);
    let output = machine.ssh().output(APPLY);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(0), "{said}");
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    assert!(last.contains(words::HANDED_OVER), "last line: {last:?}");
    becomes_b(&mut machine, &before, &image);
}

/// The connection breaks as soon as the update has begun; the update does not.
fn tell_cut(kind: Kind) {
    let (mut machine, before, image) = ready("cut-connection", kind);
    let mut ssh = machine.ssh().command(&format!("{APPLY} 2>&1")).spawn().expect("ssh");
    let output = ssh.stdout.take().expect("its output");
    let first = BufReader::new(output).lines().next();
    // SIGKILL: the client says no good-bye.
    ssh.kill().and_then(|()| ssh.wait()).expect("a running ssh");
    assert!(matches!(first, Some(Ok(_))), "nothing was printed");
    machine.expect(words::AS_PID_ONE, patience(120));
    becomes_b(&mut machine, &before, &image);
}

/// A box that runs A, with the program and the image of B copied to it.
fn ready(story: &str, kind: Kind) -> (Machine, Vec<u8>, Vec<u8>) {
    let image = Parts::plain(kind, 'B').image();
    let mut machine = Machine::new(story, Parts::plain(kind, 'A'));
    let before = machine.flash();
    machine.boot('A');
    machine.ssh().wait();
    copy(&machine, &image);
    (machine, before, image)
}

fn copy(machine: &Machine, image: &[u8]) {
    let dir = scratch();
    let program: &Path = &dir.path().join("flasher");
    std::fs::copy(flasher(machine.kind), program).expect("a copy of the product");
    let file = dir.path().join("image.bin");
    write(&file, image);
    machine.ssh().copy(&[program, &file], "/tmp/");
}
