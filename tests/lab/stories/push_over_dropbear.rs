//! The owner types one command at his workstation: `flasher push`. The box has dropbear with neither scp nor sftp, and its
//! firmware makes itself new host keys at each boot.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::tools::{flasher, patience, scratch, text, write};
use super::*;

on!(tell: armel = Armel, mips = Mips);
on!(tell_cut: cut_armel = Armel);
on!(tell_dark: dark_armel = Armel);

/// `flasher push` of this image to the box, not started yet.
fn push(machine: &Machine, dir: &Path, image: &[u8]) -> Command {
    let file = dir.join("image.bin");
    write(&file, image);
    let mut push = Command::new(env!("CARGO_BIN_EXE_flasher"));
    push.args(["--format", "json", "push", "-y", "--new-host-key"]);
    push.args(["--ssh", &machine.ssh().words(&dir.join("known_hosts"))]);
    push.arg("--binary").arg(flasher(machine.kind));
    push.args(["--part", "kernel,rootfs", "root@127.0.0.1", text(&file)]);
    push.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    push
}

/// What one says that succeeds.
fn succeeds(push: Child) -> String {
    let output = push.wait_with_output().expect("flasher");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

fn tell(kind: Kind) {
    let image = Parts::plain(kind, 'B').image();
    let mut machine = Machine::new("push", Parts::plain(kind, 'A'));
    let before = machine.flash();
    machine.boot('A');
    // No more room for what is put there than small boxes have.
    machine.must("mount -t tmpfs -o mode=1777,size=8m tmpfs /tmp && df -k /tmp | grep -q -w 8192");
    machine.ssh().wait();
    let dir = scratch();
    let begun = Instant::now();
    let child = push(&machine, dir.path(), &image).spawn().expect("flasher");
    machine.wait_exit(patience(300));
    Expected::unchanged(kind, &before)
        .with_image(&PARTITIONS, &image)
        .compare(&machine.flash());
    let booting = Instant::now();
    machine.boot('B');
    let booting = booting.elapsed().as_secs_f64();
    let said = succeeds(child);
    let whole = begun.elapsed().as_secs_f64();
    let writing = writing(&machine.flash());
    println!(
        "push: {whole:.1} s, of which the box writes {writing:.1} and boots {booting:.1}; {:.1} beside that",
        whole - writing - booting
    );
    let last = said.lines().last().unwrap_or_default();
    assert!(
        last.contains("\"code\":\"written\"") && last.contains("\"harm\":\"written\""),
        "{said}"
    );
    assert!(
        said.contains("another host key") && said.contains("has booted from what was written"),
        "{said}"
    );
    // Nothing is left of it, and it knows that nothing is to be done.
    assert_eq!(machine.must("ls -d /tmp/flasher-* 2>/dev/null || true").trim(), "");
    let dir = scratch();
    let said = succeeds(push(&machine, dir.path(), &image).spawn().expect("flasher"));
    assert!(said.contains("\"code\":\"nothing-to-do\""), "{said}");
}

/// Seconds that the box wrote, by the record on its flash: `31.20 s old root gone; 75.01 s verified`.
fn writing(flash: &[u8]) -> f64 {
    let text = String::from_utf8_lossy(flash);
    let stages = text.rsplit("\"stages\":\"").next().unwrap_or_default();
    let stages: Vec<_> = stages.split('"').next().unwrap_or_default().split("; ").collect();
    println!("stages: {}", stages.join("; "));
    let seconds = |word: &str| {
        let stage = stages.iter().rfind(|stage| stage.contains(word))?;
        stage.split(' ').next()?.parse::<f64>().ok()
    };
    let whole = seconds("verified").zip(seconds("old root gone"));
    whole.map_or(0.0, |(end, begin)| end - begin)
}

/// The workstation loses its power while the image is under way, and later the same command finishes.
fn tell_cut(kind: Kind) {
    let image = Parts::plain(kind, 'B').image();
    let mut machine = Machine::new("push-cut", Parts::plain(kind, 'A'));
    let before = machine.flash();
    machine.boot('A');
    machine.ssh().wait();
    let dir = scratch();
    let mut child = push(&machine, dir.path(), &image).spawn().expect("flasher");
    let output = child.stdout.take().expect("its output");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(output));
    let sending = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("\"sending\"")));
    child.kill().and_then(|()| child.wait()).expect("a running flasher");
    assert!(sending.is_some(), "nothing was sent");
    Expected::unchanged(kind, &before).compare(&machine.flash());
    let child = push(&machine, dir.path(), &image).spawn().expect("flasher");
    becomes_b(&mut machine, &before, &image);
    succeeds(child);
}

/// The power of the box fails at ten moments, from the first word to the last block. That is never told as success, what is
/// called untouched is so, and the same command finishes the job.
fn tell_dark(kind: Kind) {
    const CUTS: u32 = 10;
    let image = Parts::plain(kind, 'B').image();
    let mut machine = Machine::new("push-dark", Parts::plain(kind, 'A'));
    let before = machine.flash();
    let mut whole = std::time::Duration::ZERO;
    let mut untouched = 0;
    for cut in 0..=CUTS {
        machine.set_flash(&before);
        machine.boot('A');
        machine.ssh().wait();
        let dir = scratch();
        let begun = Instant::now();
        let mut command = push(&machine, dir.path(), &image);
        if cut > 0 {
            // It does not come back.
            command.args(["--wait", "5"]);
        }
        let child = command.spawn().expect("flasher");
        if cut == 0 {
            // How long it takes undisturbed.
            machine.wait_exit(patience(300));
            whole = begun.elapsed();
            machine.boot('B');
            succeeds(child);
            machine.power_cut();
            continue;
        }
        std::thread::sleep(whole * cut / (CUTS + 1));
        machine.power_cut();
        let output = child.wait_with_output().expect("flasher");
        let said = String::from_utf8_lossy(&output.stdout);
        let last = said.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(68), "{cut}: {said}");
        if last.contains("\"harm\":\"untouched\"") {
            untouched += 1;
            Expected::unchanged(kind, &before).compare(&machine.flash());
        } else {
            assert!(last.contains("\"harm\":\"partly\""), "{cut}: {said}");
            Expected::unchanged(kind, &before).only_differs_in(&PARTITIONS, &machine.flash());
        }
        if cut == CUTS / 2 {
            machine.set_flash(&before);
            machine.boot('A');
            machine.ssh().wait();
            // It has other host keys again.
            let dir = scratch();
            let child = push(&machine, dir.path(), &image).spawn().expect("flasher");
            becomes_b(&mut machine, &before, &image);
            succeeds(child);
            machine.power_cut();
        }
    }
    println!("{CUTS} power cuts, {untouched} of them told as untouched");
    assert!(untouched > 0 && untouched < CUTS, "{untouched}");
}
