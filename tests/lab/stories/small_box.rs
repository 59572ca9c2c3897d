//! A box with 32 MiB of RAM and 8 MiB of flash, of which everything but the boot loader, the configuration and the record is
//! replaced. What does not fit into its RAM is refused with numbers, and nothing is touched.

use super::tools::patience;
use super::*;

on!(tell: small = ArmelSmall);
on!(tell_refused: too_small = ArmelSmall);
on!(tell_stays: services = ArmelSmall);

/// The image comes over the network and is put where the owner of such a box puts it: into `/tmp`, which is RAM.
fn tell(kind: Kind) {
    let (mut machine, image) = box_with_disk("small-box", kind);
    let room: usize = PARTITIONS.iter().map(|name| kind.partition(name).size).sum();
    println!("the image has {} of {room} bytes", image.len());
    assert!(
        image.len() > room / 100 * 95,
        "the image fills its partitions: {}",
        image.len()
    );
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    println!(
        "{}",
        machine.must("head -n 3 /proc/meminfo; /tmp/flasher plan --part kernel,rootfs /tmp/image.bin")
    );
    machine.send_line(APPLY);
    machine.expect(words::AS_PID_ONE, patience(120));
    becomes_b(&mut machine, &before, &image);
    words::check_memory(words::MOST_MEMORY, &machine.transcript());
    copy_from_disk(&mut machine);
    status_tells(&mut machine, "written");
}

/// The same box with half of that RAM. An image on a disk stays there and needs none; one that comes over the network does.
fn tell_refused(kind: Kind) {
    let (machine, image) = box_with_disk("small-box-refused", kind);
    let mut machine = machine.ram_mib(16);
    let before = machine.flash();
    machine.boot('A');
    let total = machine.must("head -n 1 /proc/meminfo");
    let from = crate::sources::serve("200 OK", image.clone(), image.len()).replace("127.0.0.1", "10.0.2.2");
    machine.must("cp /mnt/data/flasher /tmp/ && chmod +x /tmp/flasher");
    let (status, output) = machine.run(&format!("/tmp/flasher apply -y --part kernel,rootfs {from}"));
    assert_eq!(status, 78, "{output}");
    let refusal = output
        .lines()
        .find(|line| line.contains("refused by check ram"))
        .unwrap_or_default();
    println!("{}; an image of {} bytes: {refusal}", total.trim(), image.len());
    let numbers = refusal
        .split(' ')
        .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .count();
    assert!(numbers >= 2, "what is needed, and what there is: {output}");
    Expected::unchanged(kind, &before).compare(&machine.flash());
}

/// Services that take memory for themselves until what is left is less than so many KiB: shells with something in a variable, large
/// ones first.
const SERVICES: &str = "left() { sed -n 's/^MemAvailable: *\\([0-9]*\\).*/\\1/p' /proc/meminfo; }; \
    grow() { while [ $(left) -gt $2 ]; do sh -c \"x=\\$(dd if=/dev/zero bs=1k count=$1 2>/dev/null | tr '\\0' x); sleep 9999; : \\$x\" & \
    sleep 1; done; }; ";

/// Services have the memory, and what is left would not hold the image a second time. One in `/tmp` is in RAM already: it stays
/// there. One that comes over the network has to be there as a whole while they run, and is refused.
fn tell_stays(kind: Kind) {
    let (mut machine, image) = box_with_disk("small-box-services", kind);
    let before = machine.flash();
    machine.boot('A');
    let from = crate::sources::serve("200 OK", image.clone(), image.len()).replace("127.0.0.1", "10.0.2.2");
    copy_from_disk(&mut machine);
    // By more than what a busy machine takes back once all of them have what they want.
    let short = image.len() / 1024 + 2048 - 400;
    let there = machine.must(&format!(
        "{SERVICES} grow 1024 {}; grow 256 {short}; sleep 3; grow 256 {short}; head -n 3 /proc/meminfo",
        short + 1536
    ));
    println!(
        "an image of {} bytes in /tmp; {}",
        image.len(),
        there.replace('\n', "; ")
    );
    let (status, output) = machine.run(&format!("/tmp/flasher apply -y --part kernel,rootfs {from}"));
    assert_eq!(status, 78, "{output}");
    assert!(output.contains("refused by check ram"), "{output}");
    let plan = machine.must("/tmp/flasher --format json plan --part kernel,rootfs /tmp/image.bin");
    assert!(plan.contains("\"ram\":{\"needed\":2097152,"), "{plan}");
    machine.send_line(APPLY);
    machine.expect("RAM is short: /tmp/image.bin stays on /tmp", patience(120));
    machine.expect("/tmp stays mounted, as /disk0", patience(120));
    becomes_b(&mut machine, &before, &image);
    words::check_memory(words::MOST_MEMORY, &machine.transcript());
    copy_from_disk(&mut machine);
    status_tells(&mut machine, "written");
}
