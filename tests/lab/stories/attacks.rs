//! A box that takes only what is signed, with a user on it who means harm: on a real kernel, with links followed wherever they lie
//! and hard links to files of root's allowed. None of his attacks brings a byte of his to the flash; then the signed image is
//! written although he goes on.

use std::path::Path;

use super::rescue_network::{key, sign};
use super::tools::{patience, scratch};
use super::*;

on!(tell: armel = Armel);

/// What is root's alone, on a file system that can be written: keys, and a secret. JFFS2 marks the blocks that it has found empty when
/// it comes to that, which would count as a change of the flash, so it is unmounted.
const SETUP: &str = "umount /config; umask 022; mount -t tmpfs -o mode=755 none /etc/flasher && mkdir /etc/flasher/keys && \
    cp /mnt/data/ours.pub /etc/flasher/keys/ && sysctl -w fs.protected_symlinks=0 fs.protected_hardlinks=0 \
    fs.protected_fifos=0 fs.protected_regular=0; echo precious >/tmp/secret; chmod 600 /tmp/secret; \
    cp /mnt/data/flasher /tmp/; chmod 755 /tmp/flasher; mount -t tmpfs -o ro,mode=755 none /run";

/// The command under test, for bytes that nothing of the box uses, and one that must be refused by signature or version.
const APPLY: &str = "/tmp/flasher --format json apply -y --in-place --no-reboot --part spare";

struct Box {
    machine: Machine,
    flash: Vec<u8>,
    count: u32,
}

impl Box {
    /// What root types is refused with this code, and no byte of the flash changes.
    fn refuses(&mut self, what: &str, command: &str, code: &str) {
        let (status, said) = self.machine.run(&format!("{command} 2>&1"));
        assert!(status != 0 && status < 126, "{what}: {status} {said}");
        assert_eq!(words::field(&said, "code").as_deref(), Some(code), "{what}: {said}");
        self.is_untouched(what);
    }

    fn is_untouched(&mut self, what: &str) {
        assert!(self.machine.is_on() && self.machine.flash() == self.flash, "{what}");
        assert_eq!(self.machine.must("cat /tmp/secret").trim(), "precious", "{what}");
        self.count += 1;
    }

    /// What the user types.
    fn user(&mut self, command: &str) {
        self.machine.must(&format!("setuidgid nobody sh -c '{command}'"));
    }

    /// Files of root's are beside each other in `/tmp`.
    fn image(&mut self, image: &str, signature: &str) {
        self.machine.must(&format!(
            "rm -rf /tmp/image.bin /tmp/image.bin.minisig; cp /mnt/data/{image} /tmp/image.bin; \
             [ -z '{signature}' ] || cp /mnt/data/{signature} /tmp/image.bin.minisig"
        ));
    }
}

fn tell(kind: Kind) {
    let good: Vec<u8> = b"\x02signed firmware ".repeat(40_000);
    let evil: Vec<u8> = b"\x03whatever he likes".repeat(40_000);
    let mut flipped = good.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 0x80;
    let dir = scratch();
    let (public, secret) = key(dir.path(), "ours");
    let (_, stranger) = key(dir.path(), "strangers");
    let product = tools::read(&tools::flasher(kind));
    let by = |secret: &str, image: &[u8], version: &str| sign(dir.path(), secret, image, Some(version));
    let firmware = Firmware::new(kind, 'A')
        .file("/etc/os-release", b"NAME=lab\nVERSION_ID=2.0\n")
        .file("/etc/flasher/.keep", b"")
        .pack();
    let mut machine = Machine::new("attacks", &firmware).data_disk(&[
        ("flasher", &product),
        ("ours.pub", &tools::read(Path::new(&public))),
        ("good", &good),
        ("good.minisig", &by(&secret, &good, "version:2.1")),
        ("old.minisig", &by(&secret, &good, "version:1.9")),
        ("foreign.minisig", &by(&stranger, &good, "version:2.1")),
        ("evil", &evil),
        ("evil.minisig", &by(&stranger, &evil, "version:2.1")),
        ("flipped", &flipped),
        ("cut", &good[..good.len() / 2]),
        ("longer", &[&good[..], b"more"].concat()),
    ]);
    machine.boot('A');
    machine.must(SETUP);
    let mut the = Box {
        flash: machine.flash(),
        machine,
        count: 0,
    };
    let apply = format!("{APPLY} /tmp/image.bin");

    // What was delivered.
    for (what, image, signature, code) in [
        ("unsigned", "good", "", "signature"),
        ("by a stranger", "good", "foreign.minisig", "signature"),
        ("another image", "evil", "good.minisig", "signature"),
        ("his own signature", "evil", "evil.minisig", "signature"),
        ("the last bit", "flipped", "good.minisig", "signature"),
        ("cut", "cut", "good.minisig", "signature"),
        ("longer", "longer", "good.minisig", "signature"),
        ("replayed", "good", "old.minisig", "downgrade"),
    ] {
        the.image(image, signature);
        the.refuses(what, &apply, code);
    }
    the.image("flipped", "good.minisig");
    the.refuses(
        "forced",
        &format!("{APPLY} --force=signature,content,downgrade /tmp/image.bin"),
        "signature",
    );
    the.refuses(
        "piped",
        &format!("cat /mnt/data/flipped /mnt/data/good.minisig | {APPLY} -"),
        "signature",
    );

    // The keys in other hands.
    the.image("good", "good.minisig");
    let keys = "/etc/flasher/keys";
    for (what, before, after) in [
        ("a directory for everybody", "chmod 777 KEYS", "chmod 755 KEYS"),
        ("a directory for a group", "chmod 775 KEYS", "chmod 755 KEYS"),
        ("a directory of his", "chown nobody KEYS", "chown root KEYS"),
        (
            "a key for everybody",
            "chmod 666 KEYS/ours.pub",
            "chmod 644 KEYS/ours.pub",
        ),
        ("a key of his", "chown nobody KEYS/ours.pub", "chown root KEYS/ours.pub"),
        (
            "a key that is a link to his",
            "mv KEYS/ours.pub KEYS/../o; cp KEYS/../o /tmp/his.pub; chown nobody /tmp/his.pub; ln -s /tmp/his.pub KEYS/ours.pub",
            "mv KEYS/../o KEYS/ours.pub; rm /tmp/his.pub",
        ),
        (
            "a directory behind a link of his",
            "mv KEYS KEYS.old; mkdir /tmp/his; cp KEYS.old/* /tmp/his; chown nobody /tmp/his; ln -s /tmp/his KEYS",
            "rm -r KEYS /tmp/his; mv KEYS.old KEYS",
        ),
    ] {
        the.machine.must(&before.replace("KEYS", keys));
        the.refuses(what, &apply, "signature");
        the.machine.must(&after.replace("KEYS", keys));
    }
    let id = "sed -n 2p /etc/flasher/keys/ours.pub | base64 -d | od -An -tx1 -j2 -N8 | tr -d ' \\n'";
    let (status, _) = the.machine.run("which base64");
    if status == 0 {
        the.machine.must(&format!("{id} >/etc/flasher/keys/revoked"));
    } else {
        let digits = key_id(&tools::read(Path::new(&public)));
        the.machine.must(&format!("echo {digits} >/etc/flasher/keys/revoked"));
    }
    the.refuses("a key that is revoked", &apply, "signature");
    the.machine.must("rm /etc/flasher/keys/revoked");

    // What he puts where root's files are for a while. The image is one that is refused, so that all of it is looked at.
    the.image("good", "");
    for (what, his) in [
        (
            "a lock that leads to a file of root's",
            "ln -s /tmp/secret /tmp/flasher.lock",
        ),
        (
            "a lock that is a second name of one",
            "ln /tmp/secret /tmp/flasher.lock",
        ),
        ("a lock that is a FIFO", "mkfifo /tmp/flasher.lock"),
        (
            "a record that leads to a file of root's",
            "ln -s /tmp/secret /tmp/flasher.status",
        ),
        (
            "a record that is a second name of one",
            "ln /tmp/secret /tmp/flasher.status",
        ),
        ("a record that is a FIFO", "mkfifo /tmp/flasher.status"),
        (
            "a RAM root that leads elsewhere",
            "mkdir /tmp/mine; ln -s mine /tmp/flasher; ln -s mine /dev/shm/flasher",
        ),
        (
            "what arrived before",
            "ln -s /tmp/secret /tmp/flasher.partial; ln -s /tmp/secret /tmp/flasher.poll.lock",
        ),
    ] {
        the.user(&format!("{his} || true"));
        the.refuses(what, &apply, "signature");
        the.machine.must(
            "cd /tmp && rm -rf flasher.lock flasher.status flasher.partial flasher.poll.lock mine; [ ! -L flasher.d ]",
        );
    }

    // An image of his own that changes while root looks at it. Whatever comes of it is signed, or nothing.
    the.machine
        .must("mkdir /tmp/his && cp /mnt/data/good.minisig /tmp/his/image.bin.minisig && chown -R nobody /tmp/his");
    the.machine.send_line(
        "setuidgid nobody sh -c 'cd /tmp/his; : >go; while [ -e go ]; do cp /mnt/data/good g; mv g image.bin; cp /mnt/data/evil e; \
         mv e image.bin; cat /mnt/data/good >image.bin; dd if=/mnt/data/evil of=image.bin bs=1k seek=300 conv=notrunc; done' \
         >/dev/null 2>&1 & sleep 1; echo be''gun",
    );
    the.machine.expect("begun", patience(60));
    the.machine.run("true");
    let spare = kind.partition("spare").range();
    let mut written = false;
    for _ in 0..6 {
        let (status, said) = the.machine.run(&format!("{APPLY} /tmp/his/image.bin 2>&1"));
        let now = the.machine.flash();
        let start = &now[spare.start..spare.start + good.len()];
        if status == 0 {
            assert!(start == good, "what was written is not what was signed: {said}");
            written = true;
        } else if !written {
            assert!(now == the.flash, "{said}");
        }
    }
    the.count += 1;
    the.machine.must("rm -f /tmp/his/go; sleep 3; rm -rf /tmp/his");

    println!(
        "{} attacks on a box with a key were carried out, and none of them reached the flash",
        the.count
    );
    assert!(the.count >= 25, "{}", the.count);
}

/// The id of a key as minisign and usign have it.
fn key_id(public: &[u8]) -> String {
    let text = String::from_utf8_lossy(public);
    let line = text.lines().nth(1).expect("a key").to_owned();
    let (_, digits) = text
        .split_once("public key ")
        .expect("minisign says the id in its comment");
    let _ = line;
    digits.lines().next().expect("digits").trim().to_owned()
}
