//! Stories with the inits of other people, real ones from Debian's packages.

mod common;

use common::{Kind, LittleBox, unpacked};

const QUICK: [&str; 2] = ["grace_ms=50", "exit_ms=1000"];

const SYSVINIT: &str = "\
id:2:initdefault:
si::sysinit:/bin/true
sv:2:respawn:/bin/sh /etc/service
ca:12345:ctrlaltdel:/bin/reboot
";

/// What makes the unpacked packages the root of a box.
fn laid_over(packages: &[&str]) -> String {
    let tree = unpacked("bookworm", packages);
    format!("cp -a --remove-destination {}/. .; rm .complete", tree.display())
}

fn sysvinit() -> LittleBox {
    LittleBox::of(&Kind {
        inittab: Some(SYSVINIT),
        setup: &laid_over(&["sysvinit-core", "libselinux1", "libpcre2-8-0", "libc6"]),
        ..Kind::default()
    })
}

#[test]
fn s80_sysvinit_starts_us_anew_as_telinit_u_does() {
    let mut the_box = sysvinit();
    let output = the_box.apply(&QUICK);
    assert!(output.status.success(), "{output:?}");
    let seen = the_box.until("work done, proof given: true");
    println!("{}", seen.join("\n"));
    the_box.reboots();
}
