//! The owner has copied the program and the image to the box and types the command.

use super::tools::patience;
use super::*;
use std::time::{Duration, Instant};

on!(tell: armel = Armel, mips = Mips, mipsel = Mipsel);
on!(takes_about: armel_takes_about_what_was_said = Armel);

fn tell(kind: Kind) {
    let (mut machine, image) = box_with_disk("by-hand", kind);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.send_line(APPLY);
    machine.expect(words::INIT_HAS_KILLED, patience(120));
    let (killed, worked) = (Instant::now(), machine.worked());
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect(words::PROVED, patience(120));
    machine.expect(words::WRITING, patience(120));
    let (took, worked) = (killed.elapsed(), machine.worked() - worked);
    println!(
        "from init's SIGKILL to the first erase: {took:.1?}, of which the emulator worked {worked:.1?}; at most 2 s allowed"
    );
    // What the emulator had to wait for the workstation's processors is none of the box's time.
    assert!(took.min(worked) <= Duration::from_secs(2), "{took:?}, {worked:?}");
    becomes_b(&mut machine, &before, &image);
    words::check_memory(words::MOST_MEMORY, &machine.transcript());
    copy_from_disk(&mut machine);
    status_tells(&mut machine, "written");
}

/// What the plan says that it takes is within a factor of two of what it takes, and two seconds for what is told in whole ones:
/// on a chip that takes a megabyte a second, as a parallel NOR does, where an erase counts like writing the block.
fn takes_about(kind: Kind) {
    const SPEED: u32 = 1_000_000;
    // Seconds enough for the factor to say something.
    let mut image = Parts::plain(kind, 'B').image();
    image.extend(tools::noise(6 << 20, 1));
    let product = tools::read(&tools::flasher(kind));
    let mut machine = Machine::new("takes-about", Parts::plain(kind, 'A'))
        .flash_speed(SPEED)
        .data_disk(&[("flasher", &product), ("image.bin", &image)]);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    let plan = machine.must(&APPLY.replace("apply -y", "--format json plan"));
    let plan: serde_json::Value = serde_json::from_str(plan.trim()).expect("a plan");
    let said = plan["seconds"].as_f64().expect("seconds");
    let changing: u64 = plan["writes"]
        .as_array()
        .expect("writes")
        .iter()
        .map(|write| write["erase_blocks"].as_u64().expect("a number") - write["unchanged"].as_u64().unwrap_or(0))
        .sum();
    // At most: a block that is blank already is not erased.
    let chip = (2 * changing * kind.erase_size() as u64) as f64 / f64::from(SPEED);

    machine.send_line(APPLY);
    machine.expect(words::WRITING, patience(120));
    let (begun, worked) = (Instant::now(), machine.worked());
    machine.expect("rebooting into the new firmware", patience(300));
    let (took, worked) = (begun.elapsed().as_secs_f64(), (machine.worked() - worked).as_secs_f64());
    println!("said {said:.0} s, took {took:.1} s: the chip {chip:.1} s, the emulator {worked:.1} s");
    // What the emulator had to wait for the workstation's processors is none of the box's time.
    let took = took.min(chip + worked);
    assert!(
        said <= 2.0 * took + 2.0 && took <= 2.0 * said + 2.0,
        "said {said} s, took {took:.1} s"
    );
    becomes_b(&mut machine, &before, &image);
}
