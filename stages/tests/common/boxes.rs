//! Boxes with the inits of other people: real ones from Debian's packages, and stand-ins for procd and upstart (`inits/`).
#![allow(dead_code, reason = "not every story file needs each")]

use super::{Kind, LittleBox, stand_in, unpacked};

const SYSVINIT: &str = "\
id:2:initdefault:
si::sysinit:/bin/true
sv:2:respawn:/bin/sh /etc/service
ca:12345:ctrlaltdel:/bin/reboot
";

/// What makes the unpacked packages the root of a box.
fn laid_over(suite: &str, packages: &[&str]) -> String {
    let tree = unpacked(suite, packages);
    format!("cp -a --remove-destination {}/. .; rm .complete", tree.display())
}

pub fn sysvinit() -> LittleBox {
    LittleBox::of(&Kind {
        inittab: Some(SYSVINIT),
        setup: &laid_over("bookworm", &["sysvinit-core", "libselinux1", "libpcre2-8-0", "libc6"]),
        ..Kind::default()
    })
}

/// systemd and the libraries it is linked with, and those that have other names in trixie.
const SYSTEMD: [&str; 22] = [
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
    "liblz4-1",
    "libzstd1",
    "liblzma5",
    "libcap-ng0",
    "libpcre2-8-0",
    "libgpg-error0",
    "libgcc-s1",
    "libc6",
];

/// In a container systemd needs to be told that it is in one, and a console that does not wait for a reader.
pub fn systemd(suite: &str, others: &[&str]) -> LittleBox {
    let setup = format!(
        "{}; [ -e lib ] || ln -s usr/lib lib; [ -e lib64 ] || ln -s usr/lib64 lib64; mkdir -p etc/systemd/system var/log; echo flasher-box >etc/machine-id; \
         printf '[Unit]\nDefaultDependencies=no\nWants=service.service\n' >etc/systemd/system/default.target; \
         printf '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sh /etc/service\nRestart=always\n' \
         >etc/systemd/system/service.service; \
         mount -t cgroup2 cgroup2 sys/fs/cgroup; rm dev/console; touch dev/console",
        laid_over(suite, &[&SYSTEMD, others].concat())
    );
    let mut the_box = LittleBox::of(&Kind {
        inittab: None,
        setup: &setup,
        unshare: &["--cgroup"],
        exec: "/bin/busybox env container=box /lib/systemd/systemd",
        comm: "systemd",
        serves: false,
        ..Kind::default()
    });
    the_box.wait_until("the service starts", |this| {
        std::fs::read_to_string(this.root().join("tmp/service")).is_ok_and(|text| text.ends_with('\n'))
    });
    the_box
}

pub fn openrc() -> LittleBox {
    let openrc = laid_over(
        "bookworm",
        &[
            "openrc",
            "libeinfo1",
            "librc1",
            "libaudit1",
            "libcap-ng0",
            "libselinux1",
            "libpam0g",
            "libpcre2-8-0",
            "libc6",
        ],
    );
    let mut the_box = LittleBox::of(&Kind {
        inittab: None,
        // In place of its scripts, a service.
        setup: &format!(
            "{openrc}; {SERVE}; rm -f sbin/openrc; printf '#!/bin/sh\n/bin/busybox mkdir -p /run/openrc; sh /serve >/dev/null 2>&1 &\n' >sbin/openrc; \
             chmod 755 sbin/openrc; rm dev/console; touch dev/console"
        ),
        exec: "/sbin/openrc-init",
        comm: "openrc-init",
        serves: false,
        ..Kind::default()
    });
    the_box.wait_until("its FIFO is there", |this| {
        this.root().join("run/openrc/init.ctl").exists()
    });
    the_box
}

/// Inits that execute nothing by themselves: how each is set up, started and called.
pub fn stubborn_inits() -> [(String, &'static str, &'static str, &'static str); 4] {
    let runit = format!(
        "{}; mkdir -p etc/runit; printf '#!/bin/sh\nexit 0\n' >etc/runit/1; \
         printf '#!/bin/sh\nexec /bin/sh /serve\n' >etc/runit/2; chmod 755 etc/runit/1 etc/runit/2",
        laid_over("bookworm", &["runit", "libc6"])
    );
    let s6 = format!(
        "{}; mkdir -p service/a; printf '#!/bin/sh\nexec /bin/sh /serve\n' >service/a/run; chmod 755 service/a/run",
        laid_over(
            "bookworm",
            &["s6", "libskarnet2.13", "libs6-2.11", "libexecline2.9", "libc6"]
        )
    );
    let finit = format!(
        "{}; rm -rf etc/finit.d; echo proc /proc proc defaults 0 0 >etc/fstab; \
         printf 'runlevel 2\nservice [S12345] name:serve /bin/sh /serve -- a service\n' >etc/finit.conf",
        laid_over("bookworm", &["finit", "libite5", "libuev3", "libcrypt1", "libc6"])
    );
    let shell = "printf '#!/bin/sh\nsh /serve & while :; do sleep 1; done\n' >init; chmod 755 init".to_owned();
    [
        (runit, "/sbin/runit", "runit", "runit"),
        (s6, "/usr/bin/s6-svscan /service", "s6-svscan", "s6"),
        (finit, "/sbin/finit", "finit", "/sbin/finit"),
        (shell, "/init", "init", "busybox sh"),
    ]
}

/// Debian's runit has something else at `/etc/service`.
const SERVE: &str = "echo 'while :; do echo $$ >/tmp/service; sleep 1; done' >serve";

pub fn stubborn_box(setup: &str, exec: &str, comm: &str) -> LittleBox {
    let mut the_box = LittleBox::of(&Kind {
        inittab: None,
        // Not one that waits for a reader.
        setup: &format!("{setup}; {SERVE}; rm dev/console; touch dev/console"),
        exec,
        comm,
        serves: false,
        ..Kind::default()
    });
    the_box.wait_until("the service starts", |this| {
        std::fs::read_to_string(this.root().join("tmp/service")).is_ok_and(|text| text.ends_with('\n'))
    });
    the_box
}

/// A box whose init is procd with these manners.
pub fn procd(words: &str) -> LittleBox {
    LittleBox::of(&Kind {
        init: Some(&stand_in("procd")),
        setup: "echo 'root:x:0:0:root:/root:/bin/sh' >etc/passwd; mv sbin/init sbin/procd; ln -s procd sbin/init; \
                rm dev/console; touch dev/console",
        exec: &format!("/sbin/procd {words}"),
        comm: "procd",
        ..Kind::default()
    })
}

pub fn upstart() -> LittleBox {
    LittleBox::of(&Kind {
        init: Some(&stand_in("upstart")),
        ..Kind::default()
    })
}
