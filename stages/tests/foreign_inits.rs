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

/// systemd and the libraries it is linked with.
const SYSTEMD: [&str; 24] = [
    "systemd",
    "libsystemd-shared",
    "libseccomp2",
    "libpam0g",
    "libaudit1",
    "libkmod2",
    "libapparmor1",
    "libselinux1",
    "libmount1",
    "libacl1",
    "libblkid1",
    "libcap2",
    "libcrypt1",
    "libgcrypt20",
    "libip4tc2",
    "liblz4-1",
    "libssl3",
    "libzstd1",
    "liblzma5",
    "libcap-ng0",
    "libpcre2-8-0",
    "libgpg-error0",
    "libgcc-s1",
    "libc6",
];

fn systemd() -> LittleBox {
    let setup = format!(
        "{}; mkdir -p etc/systemd/system var/log; echo flasher-box >etc/machine-id; \
         printf '[Unit]\\nDefaultDependencies=no\\nWants=service.service\\n' >etc/systemd/system/default.target; \
         printf '[Unit]\\nDefaultDependencies=no\\n[Service]\\nExecStart=/bin/sh /etc/service\\n' >etc/systemd/system/service.service; \
         mount -t cgroup2 cgroup2 sys/fs/cgroup; rm dev/console; touch dev/console",
        laid_over(&SYSTEMD)
    );
    LittleBox::of(&Kind {
        inittab: None,
        setup: &setup,
        unshare: &["--cgroup"],
        exec: "/bin/busybox env container=box SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=info /lib/systemd/systemd",
        comm: "systemd",
        serves: false,
        ..Kind::default()
    })
}

#[test]
fn s81_systemd_executes_us_in_its_own_place() {
    let mut the_box = systemd();
    the_box.wait_until("service", |this| {
        std::fs::read_to_string(this.root().join("tmp/service")).is_ok()
    });
    let output = the_box.apply(&QUICK);
    assert!(output.status.success(), "{output:?}");
    let seen = the_box.until("work done, proof given: true");
    println!("{}", seen.join("\n"));
    the_box.reboots();
}
