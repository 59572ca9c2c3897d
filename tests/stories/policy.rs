//! A box that has keys: whatever is not signed by one of them, as a whole and now, does not reach its flash. Each line of the table is
//! an attack that is carried out on a simulated box; the count is printed.

use crate::formats::{metadata, trailer};
use crate::simbox::{Run, SimBox, bytes, tool};
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const KIB: usize = 1 << 10;
/// Every check that can be named.
const EVERY: &str = "board,bootloader,bootloader-backup,content,cpu,downgrade,ecc,image,metadata,overlap,partition,sha256,signature,\
                     size,unused,writable";

/// What it is, the image, the signature beside it.
type Attack = (&'static str, Vec<u8>, Option<Vec<u8>>);

/// A key pair of a real tool.
struct Signer {
    dir: PathBuf,
    minisign: bool,
    name: String,
}

impl Signer {
    fn new(sim: &SimBox, name: &str, minisign: bool) -> Signer {
        let signer = Signer {
            dir: sim.dir.path().to_owned(),
            minisign,
            name: name.to_owned(),
        };
        let (public, secret) = (signer.public(), signer.at("sec"));
        match minisign {
            true => tool("minisign", &["-G", "-f", "-W", "-p", &public, "-s", &secret]),
            false => tool("signify-openbsd", &["-G", "-n", "-p", &public, "-s", &secret]),
        };
        signer
    }

    fn at(&self, suffix: &str) -> String {
        self.dir
            .join(format!("{}.{suffix}", self.name))
            .to_str()
            .unwrap()
            .to_owned()
    }

    fn public(&self) -> String {
        self.at("pub")
    }

    /// The text of a signature; `comment` is minisign's trusted one.
    fn sign(&self, content: &[u8], comment: &str) -> Vec<u8> {
        let (message, signature) = (self.at("message"), self.at("signature"));
        fs::write(&message, content).unwrap();
        let secret = self.at("sec");
        match self.minisign {
            true => tool(
                "minisign",
                &["-S", "-s", &secret, "-m", &message, "-x", &signature, "-t", comment],
            ),
            false => tool(
                "signify-openbsd",
                &["-S", "-s", &secret, "-m", &message, "-x", &signature],
            ),
        };
        fs::read(signature).unwrap()
    }

    fn suffix(&self) -> &str {
        if self.minisign { "minisig" } else { "sig" }
    }
}

/// A box with this key in its directory.
struct Guarded {
    sim: SimBox,
    ours: Signer,
    strangers: Signer,
    before: Vec<u8>,
    attacks: u32,
}

impl Guarded {
    fn new(minisign: bool) -> Guarded {
        let sim = SimBox::new("generic");
        let ours = Signer::new(&sim, "ours", minisign);
        let strangers = Signer::new(&sim, "strangers", minisign);
        let guarded = Guarded {
            before: sim.flash(),
            sim,
            ours,
            strangers,
            attacks: 0,
        };
        guarded.install("ours.pub", &fs::read(guarded.ours.public()).unwrap());
        guarded
    }

    fn keys(&self) -> PathBuf {
        self.sim.path().join("etc/flasher/keys")
    }

    fn install(&self, name: &str, text: &[u8]) {
        fs::create_dir_all(self.keys()).unwrap();
        fs::set_permissions(self.keys(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(self.keys().join(name), text).unwrap();
    }

    /// An image with a signature file beside it.
    fn image(&self, content: &[u8], signature: Option<&[u8]>) -> String {
        self.named("image", content, signature)
    }

    fn named(&self, name: &str, content: &[u8], signature: Option<&[u8]>) -> String {
        let path = self.sim.file(name, content);
        for suffix in ["minisig", "sig"] {
            let _ = fs::remove_file(format!("{path}.{suffix}"));
        }
        if let Some(signature) = signature {
            fs::write(format!("{path}.{}", self.ours.suffix()), signature).unwrap();
        }
        path
    }

    #[track_caller]
    fn refused(&mut self, what: &str, run: &Run) {
        self.attacks += 1;
        assert_ne!(run.exit, 0, "{what}: {run:?}");
        assert!(self.sim.flash() == self.before, "{what}: {run:?}");
        let codes = [
            "signature",
            "downgrade",
            "usage",
            "image-unreadable",
            "image-empty",
            "backup",
        ];
        let last = run.json();
        assert!(codes.iter().any(|code| last["code"] == *code), "{what}: {run:?}");
    }

    #[track_caller]
    fn attack(&mut self, what: &str, args: &[&str]) {
        let run = self.sim.apply(args);
        self.refused(what, &run);
    }

    /// By way of standard input.
    fn piped(&self, args: &[&str], stdin: &[u8]) -> Run {
        let path = self.sim.file("stdin", stdin);
        let mut command = Command::new(env!("CARGO_BIN_EXE_flasher"));
        command.args([
            "apply",
            "-y",
            "--format",
            "json",
            "--sim",
            self.sim.path().to_str().unwrap(),
        ]);
        command.args(args).arg("-").stdin(fs::File::open(path).unwrap());
        command.output().unwrap().into()
    }
}

/// Serves these files by name to everybody, for as long as the test runs.
fn serve(files: Vec<(String, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut head = String::new();
            let _ = std::io::BufRead::read_line(&mut std::io::BufReader::new(&stream), &mut head);
            let name = head
                .split(' ')
                .nth(1)
                .unwrap_or_default()
                .trim_start_matches('/')
                .to_owned();
            let found = files.iter().find(|(known, _)| *known == name);
            let (status, body) = found.map_or(("404 Not Found", &[][..]), |(_, body)| ("200 OK", body));
            let head = format!("HTTP/1.0 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = (&stream).write_all(&[head.as_bytes(), body].concat());
        }
    });
    format!("http://{host}")
}

/// Every way in, with what is not signed as it has to be.
#[test]
fn no_byte_reaches_the_flash_of_a_box_with_a_key_unless_it_is_signed() {
    let mut count = 0;
    for minisign in [true, false] {
        let mut guarded = Guarded::new(minisign);
        let content = bytes(64 * KIB, 1);
        let good = guarded.ours.sign(&content, "version:5");
        let foreign = guarded.strangers.sign(&content, "version:5");
        let stranger = guarded.strangers.public();
        let part = ["--part", "kernel"];
        let mut flipped = content.clone();
        flipped[40_000] ^= 1;
        let text = String::from_utf8(good.clone()).unwrap();
        let damaged = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 4;
            bytes
        };
        let second = text.find('\n').unwrap() + 1;
        let table: Vec<Attack> = vec![
            ("unsigned", content.clone(), None),
            ("by a stranger", content.clone(), Some(foreign.clone())),
            ("one bit changed", flipped.clone(), Some(good.clone())),
            ("cut", content[..content.len() - 1].to_vec(), Some(good.clone())),
            (
                "cut to nothing but a page",
                content[..2048].to_vec(),
                Some(good.clone()),
            ),
            ("longer", [&content[..], &[0]].concat(), Some(good.clone())),
            ("another image", bytes(64 * KIB, 2), Some(good.clone())),
            ("an empty signature", content.clone(), Some(Vec::new())),
            ("a signature of text", content.clone(), Some(b"trust me\n".to_vec())),
            (
                "half a signature",
                content.clone(),
                Some(good[..good.len() / 2].to_vec()),
            ),
            ("another algorithm", content.clone(), Some(damaged(second + 1))),
            ("another key id", content.clone(), Some(damaged(second + 5))),
            ("another signature", content.clone(), Some(damaged(second + 40))),
            (
                "something behind the signature",
                content.clone(),
                Some([&good[..], b"more\n"].concat()),
            ),
            ("two signatures", content.clone(), Some([&foreign[..], &good].concat())),
            ("without its comment", content.clone(), Some(good[second..].to_vec())),
            (
                "a signature of megabytes",
                content.clone(),
                Some([&good[..], &vec![b'\n'; 1 << 20]].concat()),
            ),
            (
                "the public key as signature",
                content.clone(),
                Some(fs::read(guarded.ours.public()).unwrap()),
            ),
        ];
        for (what, content, signature) in &table {
            let path = guarded.image(content, signature.as_deref());
            guarded.attack(what, &[&part[..], &[path.as_str()]].concat());
        }
        // Whatever is forced.
        let every = EVERY;
        let path = guarded.image(&flipped, Some(&good));
        guarded.attack("everything forced", &["--part", "kernel", "--force", every, &path]);
        guarded.attack("in place", &["--part", "kernel", "--in-place", "--no-reboot", &path]);
        guarded.attack("as it is", &["--part", "kernel", "--as-is", &path]);
        guarded.attack(
            "with a backup",
            &[
                "--part",
                "kernel",
                "--backup",
                guarded.sim.dir.path().join("b").to_str().unwrap(),
                &path,
            ],
        );
        let sum = String::from_utf8(tool("sha256sum", &[&path]).stdout).unwrap();
        guarded.attack(
            "its checksum is right",
            &["--part", "kernel", "--sha256", &sum[..64], &path],
        );
        let several = format!("kernel={path}");
        let signed = guarded.named("signed", &content, Some(&good));
        guarded.attack("one of two files", &[&format!("rootfs={signed}"), &several]);
        guarded.attack("both files by one signature", &[&format!("rootfs={path}"), &several]);
        // A key that is none does not take the others' place, and one of the stranger's in the wrong place counts nothing.
        let path = guarded.image(&content, None);
        guarded.attack("a key that is none", &["--part", "kernel", "--key", &path, &path]);
        for name in ["minisig", "sig"] {
            let _ = fs::remove_file(format!("{path}.{name}"));
            symlink("/dev/zero", format!("{path}.{name}")).unwrap();
        }
        guarded.attack("a signature without end", &["--part", "kernel", &path]);
        for name in ["minisig", "sig"] {
            let _ = fs::remove_file(format!("{path}.{name}"));
            nix::unistd::mkfifo(format!("{path}.{name}").as_str(), nix::sys::stat::Mode::S_IRUSR).unwrap();
        }
        guarded.attack("a signature that does not come", &["--part", "kernel", &path]);
        // Standard input.
        for (what, stdin) in [
            ("piped, unsigned", content.clone()),
            ("piped, flipped", [&flipped[..], &good].concat()),
            ("piped, cut", [&content[..1000], &good].concat()),
            ("piped, by a stranger", [&content[..], &foreign].concat()),
            ("piped, signature in front", [&good[..], &content].concat()),
            ("piped, signature alone", good.clone()),
            ("piped, something behind", [&content[..], &good, b"more"].concat()),
            ("piped, nothing", Vec::new()),
        ] {
            let run = guarded.piped(&part, &stdin);
            guarded.refused(what, &run);
        }
        // Over the network.
        let suffix = guarded.ours.suffix().to_owned();
        let url = serve(vec![
            ("unsigned".into(), content.clone()),
            ("flipped".into(), flipped.clone()),
            (format!("flipped.{suffix}"), good.clone()),
            ("foreign".into(), content.clone()),
            (format!("foreign.{suffix}"), foreign.clone()),
            ("huge".into(), content.clone()),
            (format!("huge.{suffix}"), vec![b'\n'; 1 << 20]),
            ("behind".into(), [&flipped[..], &good].concat()),
            ("good".into(), content.clone()),
            (format!("good.{suffix}"), good.clone()),
        ]);
        for name in ["unsigned", "flipped", "foreign", "huge", "behind"] {
            guarded.attack(name, &["--part", "kernel", &format!("{url}/{name}")]);
        }
        // OpenWrt's trailer.
        let mut inside = content.clone();
        metadata(&mut inside, "\"x\"", "1.0");
        let by = |signer: &Signer| {
            let mut image = inside.clone();
            let text = signer.sign(&inside, "x");
            trailer(&mut image, 0, &text);
            image
        };
        for (what, image) in [
            ("trailer of a stranger", by(&guarded.strangers)),
            ("metadata behind the signature", {
                let mut image = by(&guarded.ours);
                metadata(&mut image, "\"generic\"", "1.0");
                image
            }),
            ("bit in front of the trailer", {
                let mut image = inside.clone();
                let text = guarded.ours.sign(&inside, "x");
                image[7] ^= 1;
                trailer(&mut image, 0, &text);
                image
            }),
            ("an empty trailer", {
                let mut image = inside.clone();
                trailer(&mut image, 0, b"");
                image
            }),
        ] {
            let path = guarded.image(&image, None);
            guarded.attack(what, &["--part", "kernel", "--force=metadata,content", &path]);
        }
        // A backup, whose list is signed.
        let backup = guarded.sim.dir.path().join("backup");
        let dir = backup.to_str().unwrap();
        guarded.sim.run("backup", &["--part", "kernel", dir]).exits(0);
        let member = fs::read_dir(&backup).unwrap().map(|entry| entry.unwrap().path());
        let member = member.into_iter().find(|path| path.extension().is_some()).unwrap();
        let mut changed = fs::read(&member).unwrap();
        changed[..1000].fill(7);
        let list = |content: &[u8]| {
            fs::write(&member, content).unwrap();
            let out = tool("sha256sum", &[member.to_str().unwrap()]).stdout;
            let name = member.file_name().unwrap().to_str().unwrap();
            format!("{}  {name}\n", &String::from_utf8(out).unwrap()[..64])
        };
        let old = fs::read(backup.join("SHA256SUMS")).unwrap();
        let new = list(&changed);
        let beside = backup.join(format!("SHA256SUMS.{suffix}"));
        for (what, sums, signature) in [
            ("an unsigned backup", new.clone().into_bytes(), None),
            (
                "a backup by a stranger",
                new.clone().into_bytes(),
                Some(guarded.strangers.sign(new.as_bytes(), "x")),
            ),
            (
                "a list by another signature",
                new.clone().into_bytes(),
                Some(guarded.ours.sign(&old, "x")),
            ),
            (
                "a copy that is not in the list",
                old.clone(),
                Some(guarded.ours.sign(&old, "x")),
            ),
        ] {
            fs::write(backup.join("SHA256SUMS"), sums).unwrap();
            let _ = fs::remove_file(&beside);
            if let Some(signature) = signature {
                fs::write(&beside, signature).unwrap();
            }
            let run = guarded
                .sim
                .run("restore", &["-y", "--format", "json", "--part", "kernel", dir]);
            guarded.refused(what, &run);
        }
        let _ = fs::remove_file(backup.join("SHA256SUMS"));
        fs::write(backup.join("mtd2"), &changed).unwrap();
        let run = guarded
            .sim
            .run("restore", &["-y", "--format", "json", "--part", "kernel", dir]);
        guarded.refused("a backup by hand", &run);

        // The directory of keys in other hands, and keys that count no more.
        let path = guarded.image(&content, Some(&good));
        for (mode, file) in [
            (0o777, ""),
            (0o1777, ""),
            (0o775, ""),
            (0o666, "ours.pub"),
            (0o664, "ours.pub"),
        ] {
            let at = guarded.keys().join(file);
            let at = if file.is_empty() { guarded.keys() } else { at };
            let back = fs::metadata(&at).unwrap().permissions();
            fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
            guarded.attack(&format!("keys of mode {mode:o}"), &["--part", "kernel", &path]);
            fs::set_permissions(&at, back).unwrap();
        }
        guarded.install("broken", b"no key at all\n");
        guarded.attack("a file that is no key", &["--part", "kernel", &path]);
        fs::remove_file(guarded.keys().join("broken")).unwrap();
        let id = {
            let text = fs::read_to_string(guarded.ours.public()).unwrap();
            let line = text.lines().nth(1).unwrap().to_owned();
            let decoded = Command::new("base64")
                .arg("-d")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn();
            let mut decoded = decoded.unwrap();
            decoded.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
            let bytes = decoded.wait_with_output().unwrap().stdout;
            bytes[2..10]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        guarded.install("revoked", format!("# stolen\n{id}\n").as_bytes());
        guarded.attack("a key that is revoked", &["--part", "kernel", &path]);
        let ours = guarded.ours.public();
        guarded.attack(
            "a key that is revoked and named",
            &["--part", "kernel", "--key", &ours, &path],
        );
        fs::remove_file(guarded.keys().join("revoked")).unwrap();

        // And what is signed as it has to be is taken, by every way.
        guarded.sim.apply(&["--part", "kernel", &path]).exits(0);
        guarded
            .sim
            .apply(&["--part", "kernel", &format!("{url}/good")])
            .exits(0);
        let run = guarded.piped(&part, &[&content[..], &good].concat());
        assert_eq!(run.exit, 0, "{run:?}");
        let path = guarded.image(&content, Some(&foreign));
        guarded
            .sim
            .apply(&["--part", "kernel", "--key", &stranger, &path])
            .exits(0);
        let path = guarded.image(&by(&guarded.ours), None);
        guarded
            .sim
            .apply(&["--part", "kernel", "--force=metadata,content", &path])
            .exits(0);
        fs::remove_file(backup.join("mtd2")).unwrap();
        fs::write(backup.join("SHA256SUMS"), &new).unwrap();
        fs::write(&beside, guarded.ours.sign(new.as_bytes(), "x")).unwrap();
        guarded
            .sim
            .run("restore", &["-y", "--format", "json", "--part", "kernel", dir])
            .exits(0);
        count += guarded.attacks;
    }
    let _ = writeln!(std::io::stderr(), "{count} attacks on boxes with keys were refused");
    assert!(count >= 100, "{count}");
}

/// The keys demand nothing where there is none, and that is said at each run.
#[test]
fn a_box_without_keys_says_that_it_checks_integrity_only() {
    let sim = SimBox::new("generic");
    let image = sim.file("image", &bytes(4096, 1));
    for verb in ["plan", "apply"] {
        let run = sim.run(verb, &["-y", "--part", "kernel", &image]).exits(0);
        assert!(run.out.contains("there is no key in /etc/flasher/keys"), "{run:?}");
    }
}

/// An older image that is signed is still an older image.
#[test]
fn no_old_firmware_comes_back_by_replay() {
    let guarded = Guarded::new(true);
    let image = |seed: u64, version: &str| {
        let content = bytes(8192, seed);
        let signature = guarded.ours.sign(&content, version);
        guarded.named(&format!("image{seed}"), &content, Some(&signature))
    };
    let (old, new, newest) = (
        image(1, "version:1.9"),
        image(2, "version:1.10"),
        image(3, "version:1.11-rc1 x"),
    );
    let apply = |more: &[&str], path: &str| guarded.sim.apply(&[&["--part", "kernel"], more, &[path]].concat());
    let says = |run: &Run| {
        let events = run.events().into_iter();
        let mut of = events.filter(|event| event["name"] == "downgrade");
        of.next()
            .map(|event| event["status"].as_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    // Nothing is known yet, which is told.
    assert_eq!(says(&apply(&[], &new).exits(0)), "warn");
    let flash = guarded.sim.flash();
    let run = apply(&[], &old).exits(78);
    assert_eq!(
        (run.json()["code"].as_str(), says(&run).as_str()),
        (Some("downgrade"), "fail")
    );
    assert!(guarded.sim.flash() == flash);
    // Another force does not help, that one does.
    apply(&["--force=content"], &old).exits(78);
    assert_eq!(says(&apply(&[], &newest).exits(0)), "pass");
    apply(&[], &new).exits(78);
    // A failed update does not forget it.
    let status = guarded.sim.run("status", &["--format", "json"]).exits(0).json();
    assert_eq!(status["version"], "1.11-rc1");
    apply(&["--force=downgrade"], &old).exits(0);
    apply(&[], &new).exits(0);
    // One that does not say its version: told, and what is known stays known.
    assert_eq!(says(&apply(&[], &image(4, "no version here")).exits(0)), "warn");
    apply(&[], &old).exits(78);
    // What runs counts too.
    let etc = guarded.sim.path().join("etc");
    fs::write(etc.join("os-release"), "NAME=x\nVERSION_ID=\"2.0\"\n").unwrap();
    apply(&[], &newest).exits(78);
    fs::write(etc.join("os-release"), "VERSION_ID=rolling\n").unwrap();
    assert_eq!(says(&apply(&[], &newest).exits(0)), "warn");
    fs::write(
        etc.join("openwrt_release"),
        "DISTRIB_ID='OpenWrt'\nDISTRIB_RELEASE='23.05.2'\n",
    )
    .unwrap();
    apply(&[], &newest).exits(78);
}

/// Without a signature the version of OpenWrt's metadata counts as well.
#[test]
fn metadata_says_the_version_too() {
    let sim = SimBox::changed("generic", |profile| profile["openwrt"] = serde_json::json!(["x"]));
    fs::create_dir_all(sim.path().join("etc")).unwrap();
    fs::write(sim.path().join("etc/openwrt_release"), "DISTRIB_RELEASE='23.05.2'\n").unwrap();
    let mut content = bytes(8192, 1);
    metadata(&mut content, "\"x\"", "1.0");
    let image = sim.file("image", &content);
    let run = sim.apply(&["--part", "kernel", &image]).exits(78);
    assert_eq!(run.json()["code"], "downgrade");
}

/// The rescue that listens does so only when asked, and only for who can sign.
#[test]
fn the_rescue_listens_only_with_a_key() {
    let sim = SimBox::new("generic");
    let image = sim.file("image", &bytes(4096, 1));
    let run = sim.apply(&["--part", "kernel", "--rescue-network", &image]).exits(64);
    assert!(run.out.contains("nothing but signed images"), "{run:?}");
}

/// Whoever demands signatures demands them of what a box in recovery mode gets from this machine.
#[test]
fn keys_of_the_workstation_count_for_its_recovery_server() {
    if !crate::simbox::is_root() {
        return;
    }
    let sim = SimBox::new("generic");
    let ours = Signer::new(&sim, "ours", true);
    let image = sim.file("image", &bytes(4096, 1));
    let script = "mount -t tmpfs none /etc; mkdir -p /etc/flasher/keys; cp \"$1\" /etc/flasher/keys/; exec \"$2\" recovery serve \"$3\"";
    let run: Run = Command::new("unshare")
        .args(["-m", "--propagation", "private", "bash", "-c", script, "sh"])
        .args([&ours.public(), env!("CARGO_BIN_EXE_flasher"), &image])
        .output()
        .unwrap()
        .into();
    assert!(run.exit == 65 && run.err.contains("there is no signature"), "{run:?}");
}
