//! The power fails at fifty random moments while the flash is being written. Each time the next run goes on and
//! completes, and nobody else's bytes change.

use std::time::Duration;

use super::tools::patience;
use super::*;

on!(tell: armel = Armel);

const CUTS: u64 = 50;

fn tell(kind: Kind) {
    let product = tools::read(&tools::flasher(kind));
    let mut images = ['A', 'B'].map(|letter| Parts::plain(kind, letter).image());
    // Both end with the same erase block: what lies behind a shorter one would be the longer one's.
    let length = images
        .iter()
        .map(Vec::len)
        .max()
        .unwrap_or_default()
        .next_multiple_of(kind.erase_size());
    images.iter_mut().for_each(|image| image.resize(length, 0xff));
    let rescue = Rescue::pack(kind, &[("flasher", &product), ("A", &images[0]), ("B", &images[1])]);
    // About two seconds for the blocks that differ.
    let mut machine = Machine::new("power-cuts-while-writing", Parts::plain(kind, 'A')).flash_speed(1_500_000);
    let before = machine.flash();
    let expected = |image: &[u8]| Expected::unchanged(kind, &before).with_image(&PARTITIONS, image);
    let command = |letter| format!("/flasher apply -y --no-reboot --part kernel,rootfs /{letter}");
    let mut partly = 0;
    // The same moments in every run, spread over the time that writing takes.
    let mut state = 0x2545_f491_u64;
    machine.boot_rescue(&rescue);
    for cut in 0..CUTS {
        let (letter, image) = [('B', &images[1]), ('A', &images[0])][(cut % 2) as usize];
        machine.send_line(&command(letter));
        machine.expect("writing", patience(60));
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::thread::sleep(Duration::from_millis(state % 2500));
        machine.power_cut();
        let left = machine.flash();
        partly += u64::from(!expected(image).holds(&left));
        expected(image).only_differs_in(&PARTITIONS, &left);

        // What completes this update is cut off in the next.
        machine.boot_rescue(&rescue);
        machine.must(&command(letter));
        expected(image).compare(&machine.flash());
    }
    machine.power_cut();
    println!("{CUTS} power cuts, {partly} of them before everything was written");
    assert!(partly > CUTS / 4, "the cuts came too late to say anything: {partly}");
}
