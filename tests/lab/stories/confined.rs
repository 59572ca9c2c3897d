//! Started in a chroot or in a container, where not all of the box can be seen: refused by name, nothing touched.

use super::*;

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let (mut machine, _) = box_with_disk("confined", kind);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.must(
        "mkdir -p /tmp/jail/proc /tmp/jail/sys /tmp/jail/dev /tmp/jail/tmp && mount -t proc proc /tmp/jail/proc && \
         mount -t sysfs sysfs /tmp/jail/sys && mount --bind /dev /tmp/jail/dev && mount --bind /tmp /tmp/jail/tmp",
    );
    let contained = |command: &str| format!("unshare -m -p -f sh -c 'mount -t proc proc /proc; {command} 2>&1'");
    for (command, reason) in [
        (format!("chroot /tmp/jail {APPLY} 2>&1"), "this runs in a chroot"),
        (contained(APPLY), "this runs in a container"),
        // `spare` is nobody's, as far as can be seen, and that is not far.
        (
            contained(&APPLY.replace("kernel,rootfs", "spare")),
            "this runs in a container",
        ),
    ] {
        let (status, said) = machine.run(&command);
        assert_eq!(status, 78, "{said}");
        assert!(
            said.contains(reason) && said.contains("next:  run it on the box itself"),
            "{said}"
        );
    }
    // The root of the box is not in the jail's own mount table.
    let (status, said) = machine.run(&format!("chroot /tmp/jail {APPLY} --in-place 2>&1"));
    assert_eq!(status, 78, "{said}");
    assert!(
        said.contains("mounted on / in the mount namespace of process 1"),
        "{said}"
    );
    // What nobody uses can be written from a chroot.
    machine.must(&format!(
        "chroot /tmp/jail {} --no-reboot",
        APPLY.replace("kernel,rootfs", "spare")
    ));
    assert_eq!(machine.must("readlink /proc/1/exe").trim(), "/bin/busybox");
    Expected::unchanged(kind, &before).only_differs_in(&["spare"], &machine.flash());
}
