//! The image comes packed and stays so in RAM: PID 1 unpacks it while it writes.

use flasher::base::units::Size;

use super::tools::{command, patience, run, scratch, text, write};
use super::*;

on!(gzip: armel_gzip = Armel, mips_gzip = Mips);
on!(xz: armel_xz = Armel);

fn gzip(kind: Kind) {
    // A window of 32 KiB and what is unpacked ahead are part of the little that PID 1 may take.
    words::check_memory(words::MOST_MEMORY, &tell(kind, "gz", &["gzip", "-9nc"]));
}

fn xz(kind: Kind) {
    tell(kind, "xz", &["xz", "-6c"]);
}

/// Packs the image with this command, applies it, and returns what the console showed.
fn tell(kind: Kind, ending: &str, packer: &[&str]) -> String {
    let image = Parts::plain(kind, 'B').image();
    let dir = scratch();
    let plain = dir.path().join("image");
    write(&plain, &image);
    let packed = run(command(packer[0]).args(&packer[1..]).arg(text(&plain))).stdout;
    assert!(packed.len() < image.len());

    let product = tools::read(&tools::flasher(kind));
    let name = format!("image.{ending}");
    let mut machine = Machine::new(&format!("packed-{ending}"), Parts::plain(kind, 'A'))
        .data_disk(&[("flasher", &product), (&name, &packed)]);
    let before = machine.flash();
    machine.boot('A');
    machine.must(&format!("cp /mnt/data/flasher /mnt/data/{name} /tmp/"));
    machine.must("chmod +x /tmp/flasher");
    // The name says nothing: what it is shows by its content.
    machine.must(&format!("mv /tmp/{name} /tmp/image.bin"));
    machine.send_line(APPLY);
    machine.expect(words::PROVED, patience(120));
    becomes_b(&mut machine, &before, &image);
    let transcript = machine.transcript();
    let beside = format!("beside the image of {} ", Size(packed.len() as u64));
    assert!(transcript.contains(&beside), "PID 1 had another image than {beside:?}");
    transcript
}
