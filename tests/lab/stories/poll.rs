//! A box asks an update server, started by the init script and the cron line of `docs/examples`: it is taken over, and the first
//! poll of the new firmware tells how that ended.

use super::tools::patience;
use super::*;
use crate::ddi::Ddi;

on!(tell: armel = Armel, mips = Mips);

/// What stands in `/etc` of a box whose root can be written.
const FLASHER: &str = "mkdir -p /tmp/bin && umask 077 && printf \
    '#!/bin/sh\\nexec /tmp/flasher \"$@\" --config /tmp/poll.conf --part kernel,rootfs\\n' >/tmp/bin/flasher && \
    chmod +x /tmp/bin/flasher && printf 'url=%s\\nid=box-1\\ntarget-token=a1b2c3\\n'";

fn tell(kind: Kind) {
    let image = Parts::plain(kind, 'B').image();
    let product = tools::read(&tools::flasher(kind));
    let script = include_bytes!("../../../docs/examples/poll.init");
    let mut ddi = Ddi::new();
    // As the box sees this machine.
    ddi.host = ddi.host.replace("127.0.0.1", "10.0.2.2");
    let mut machine = Machine::new("poll", Parts::plain(kind, 'A')).data_disk(&[
        ("flasher", &product),
        ("image.bin", &image),
        ("poll.init", script),
    ]);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    let configure = format!("{FLASHER} {} >/tmp/poll.conf", ddi.url());
    machine.must(&configure);
    machine.must("PATH=/tmp/bin:$PATH flasher -q poll");
    ddi.deploys("7", &[ddi.artifact("image.bin", &image)]);
    machine.send_line("PATH=/tmp/bin:$PATH sh /mnt/data/poll.init start");
    machine.expect(words::AS_PID_ONE, patience(180));
    let told = ddi.told("deploymentBase/7");
    let has = |text: &str| told.iter().any(|(said, ..)| said.starts_with(text));
    assert!(
        has("try 1 of 3") && has("Downloaded 50%") && has("checked; now"),
        "{told:?}"
    );
    assert!(
        told.iter().all(|(_, execution, _)| execution == "proceeding"),
        "{told:?}"
    );
    becomes_b(&mut machine, &before, &image);

    copy_from_disk(&mut machine);
    machine.must(&configure);
    machine.must("PATH=/tmp/bin:$PATH flasher -q poll --jitter 1");
    let (text, execution, finished) = ddi.last();
    assert_eq!((execution.as_str(), finished.as_str()), ("closed", "success"), "{text}");
    assert_eq!(ddi.count("GET", "/files/image.bin"), 1);
}
