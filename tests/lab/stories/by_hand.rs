//! The owner has copied the program and the image to the box and types the command.

use super::tools::patience;
use super::*;
use std::time::{Duration, Instant};

on!(tell: armel = Armel, mips = Mips, mipsel = Mipsel);

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
