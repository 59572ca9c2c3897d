//! The power fails before the first erase: nothing has happened.

use super::tools::patience;
use super::*;

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let (mut machine, _) = box_with_disk("power-cut", kind);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.send_line(APPLY);
    machine.expect(words::HANDED_OVER, patience(120));
    machine.power_cut();
    Expected::unchanged(kind, &before).compare(&machine.flash());
    machine.boot('A');
}
