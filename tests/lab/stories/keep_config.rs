//! The image brings a new file system for `config` along; the owner's files in the old one are in the new one afterwards.

use super::tools::{patience, scratch, write};
use super::*;

on!(tell: armel = Armel);
on!(tell_refused: no_room_armel = Armel);
on!(tell_failed: in_the_way_armel = Armel);

const NEWS: &[u8] = b"a setting that only the new firmware has\n";

/// A box that runs A, and the image of B with a new `config` that has these files.
fn ready(story: &str, kind: Kind, files: &[(&str, &[u8])]) -> (Machine, Vec<u8>, Vec<u8>) {
    let config = scratch();
    for (name, content) in files {
        write(&config.path().join(name), content);
    }
    let firmware = Parts::plain(kind, 'B');
    let mut image = firmware.image();
    image.resize(kind.partition("kernel").size + kind.partition("rootfs").size, 0xff);
    image.extend(firmware.config(config.path()));
    let product = tools::read(&tools::flasher(kind));
    let mut machine =
        Machine::new(story, Parts::plain(kind, 'A')).data_disk(&[("flasher", &product), ("image.bin", &image)]);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine
        .must("echo mine >/config/mine && chmod 640 /config/mine && chown 3:4 /config/mine && ln -s mine /config/link");
    machine.must("sync");
    (machine, before, image)
}

const LIST: &str = "ls -ln /config/mine";

const ALL: &str = "/tmp/flasher apply -y --part kernel,rootfs,config /tmp/image.bin";

fn tell(kind: Kind) {
    let (mut machine, before, image) = ready("keep-config", kind, &[("news", NEWS)]);
    let plan = machine
        .must("/tmp/flasher plan --part kernel,rootfs,config --keep '/config/*' --keep-to jffs2:config /tmp/image.bin");
    assert!(plan.contains("keep: 5 bytes /config/mine"), "{plan}");
    let listed = machine.must(LIST);
    machine.send_line(&format!("{ALL} --keep '/config/*' --keep-to jffs2:config"));
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect("put back into jffs2:config and read back", patience(300));
    // `config` is alive; all else is as the image has it.
    let firmware = &image[..kind.partition("kernel").size + kind.partition("rootfs").size];
    becomes_b(&mut machine, &before, firmware);
    assert_eq!(machine.must("cat /config/mine").trim(), "mine");
    assert_eq!(machine.must("readlink /config/link").trim(), "mine");
    // Mode, owner, size and time.
    assert_eq!(machine.must(LIST), listed);
    machine.must("cat /config/news");
    machine.ssh().wait();
    copy_from_disk(&mut machine);
    let status = machine.must("/tmp/flasher status");
    assert!(status.contains("kept files: restored"), "{status}");
    for stage in [
        "begun",
        "checked",
        "taken over",
        "old root gone",
        "written",
        "verified",
        "files put back",
    ] {
        assert!(status.contains(&format!(" s {stage}")), "{stage}: {status}");
    }
}

fn tell_refused(kind: Kind) {
    let (mut machine, before, _) = ready("keep-no-room", kind, &[("news", NEWS)]);
    machine.must("dd if=/dev/urandom of=/tmp/big bs=1024 count=1500");
    let (exit, said) = machine.run(&format!("{ALL} --keep /tmp/big --keep-to jffs2:config"));
    assert_eq!(exit, 78, "{said}");
    assert!(said.contains("refused by check keep"), "{said}");
    Expected::unchanged(kind, &before).compare(&machine.flash());
}

/// What cannot be put back does not make the firmware bad, is said, and is not lost.
fn tell_failed(kind: Kind) {
    let (mut machine, before, image) = ready(
        "keep-failed",
        kind,
        &[("ssh", b"a file where the owner has a directory")],
    );
    machine.send_line(&format!(
        "{ALL} --keep /config/mine --keep /config/ssh --keep-to jffs2:config"
    ));
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect(
        "the new firmware is good, but the kept files could not be put",
        patience(300),
    );
    let firmware = &image[..kind.partition("kernel").size + kind.partition("rootfs").size];
    becomes_b(&mut machine, &before, firmware);
    copy_from_disk(&mut machine);
    let status = machine.must("/tmp/flasher status");
    assert!(status.contains("ok: flash written"), "{status}");
    assert!(status.contains("kept files: failed"), "{status}");
    assert!(status.contains("flasher-keep.tar"), "{status}");
    machine.must("test -s /config/flasher-keep.tar");
}
