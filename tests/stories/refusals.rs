//! Each refusal: its exit code, a remedy, and a flash that nobody touched.

use crate::simbox::{Run, SimBox, bytes, flasher};
use std::process::{Command, Stdio};

const MIB: usize = 1 << 20;

/// Asserts that the box refuses with this code and check, and that nothing changed.
#[track_caller]
fn refused(sim: &SimBox, exit: i32, code: &str, args: &[&str]) -> Run {
    let before = sim.flash();
    let run = sim.apply(args).exits(exit);
    let events = run.events();
    let result = events.last().unwrap();
    assert_eq!(result["event"], "result");
    assert_eq!((&result["harm"], &result["ok"]), (&"untouched".into(), &false.into()));
    assert_eq!(result["code"], code, "{run:?}");
    let error = events
        .iter()
        .find(|event| event["event"] == "error")
        .expect("an error event");
    assert!(
        error["next"].as_str().is_some_and(|next| !next.is_empty()),
        "no remedy: {run:?}"
    );
    assert!(sim.flash() == before, "the flash was touched");
    // The plan says the same without being asked to do it.
    let mut plan = args.to_vec();
    plan.insert(0, "-n");
    sim.run("apply", &plan).exits(exit);
    run
}

#[test]
fn an_image_longer_than_its_partitions() {
    let sim = SimBox::new("qnap-ts109");
    let path = sim.file("image", &bytes(2 * MIB + 1, 1));
    let run = refused(&sim, 78, "size", &["--part", "Kernel", &path]);
    assert!(run.out.contains("1 bytes too many"), "{run:?}");
}

#[test]
fn a_misaligned_partition() {
    for (offset, size) in [(262_144 + 4096, 65_536), (262_144, 65_536 - 4096)] {
        let sim = SimBox::changed("generic", |profile| {
            profile["partitions"][1]["offset"] = offset.into();
            profile["partitions"][1]["size"] = size.into();
        });
        let path = sim.file("image", &bytes(1000, 2));
        refused(&sim, 78, "aligned", &["--part", "env", &path]);
    }
}

#[test]
fn a_read_only_partition_even_when_forced() {
    let sim = SimBox::new("qnap-ts219");
    let path = sim.file("image", &bytes(1000, 3));
    refused(
        &sim,
        78,
        "writable",
        &["--part", "U-Boot", "--force", "bootloader", &path],
    );
}

#[test]
fn a_partition_that_is_kept_unless_its_check_is_forced_by_name() {
    let sim = SimBox::new("qnap-ts219");
    let path = sim.file("image", &bytes(1000, 4));
    refused(&sim, 78, "settings", &["--part", "U-Boot Config", &path]);
    refused(
        &sim,
        78,
        "settings",
        &["--part", "U-Boot Config", "--force", "bootloader", &path],
    );
    sim.apply(&["--part", "U-Boot Config", "--force", "settings", &path])
        .exits(0);
}

#[test]
fn a_check_that_never_yields_cannot_be_forced() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(4 * MIB, 5));
    refused(&sim, 78, "size", &["--part", "kernel", "--force", "size", &path]);
    refused(&sim, 64, "usage", &["--part", "kernel", "--force", "nonsense", &path]);
}

#[test]
fn too_little_ram() {
    let sim = SimBox::changed("generic", |profile| profile["ram"] = (4 * MIB).into());
    let path = sim.file("image", &bytes(2 * MIB + 1, 14));
    let run = refused(&sim, 78, "ram", &["--part", "kernel", &path]);
    assert!(run.out.contains("1 too few"), "the numbers are said: {run:?}");
    let path = sim.file("image", &bytes(2 * MIB, 14));
    sim.apply(&["--part", "kernel", &path]).exits(0);
}

#[test]
fn a_partition_that_is_not_there() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(1000, 6));
    for name in ["Colonel", "mtd9", "kernel,Colonel", "kernel,mtd2"] {
        refused(&sim, 78, "partition", &["--part", name, &path]);
    }
}

#[test]
fn a_raw_image_without_a_place() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(1000, 7));
    let run = refused(&sim, 78, "partition", &[&path]);
    assert!(run.out.contains("--part"), "{run:?}");
}

#[test]
fn two_partitions_that_share_bytes() {
    let sim = SimBox::of_anything("tplink-wdr3600");
    let path = sim.file("image", &bytes(8_192_000 + 10, 8));
    refused(&sim, 78, "overlap", &["--part", "firmware,kernel", &path]);
}

#[test]
fn an_image_of_another_board() {
    let sim = SimBox::new("generic");
    // What makes it a TS-109 recovery image is its size and an ARM kernel at its start.
    let payload = sim.file("payload", &bytes(MIB, 9));
    let kernel = sim.dir.path().join("uImage");
    crate::simbox::tool(
        "mkimage",
        &[
            "-A",
            "arm",
            "-O",
            "linux",
            "-T",
            "kernel",
            "-C",
            "none",
            "-d",
            &payload,
            kernel.to_str().unwrap(),
        ],
    );
    let mut image = std::fs::read(kernel).unwrap();
    image.resize(7 * MIB, 0xff);
    let path = sim.file("qnapimg.bin", &image);
    let run = refused(&sim, 69, "board", &[&path]);
    assert!(run.out.contains("QNAP"), "{run:?}");
    let right = SimBox::new("qnap-ts109");
    right.apply(&[&path]).exits(0);
}

#[test]
fn an_unknown_board() {
    let run = flasher(&["sim", "create", "qnap-ts999", "/nonexistent/box"]).exits(69);
    assert!(run.err.contains("qnap-ts219"), "the known ones are listed: {run:?}");
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(1000, 10));
    sim.apply(&["--board", "qnap-ts219", "--part", "kernel", &path])
        .exits(69);
}

#[test]
fn a_second_flasher() {
    let sim = SimBox::new("generic");
    // The first one waits for its image on standard input, holding the lock.
    let path = sim.path();
    let mut first = Command::new(env!("CARGO_BIN_EXE_flasher"))
        .args(["apply", "-y", "--sim", path.to_str().unwrap(), "--part", "kernel", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let image = sim.file("image", &bytes(1000, 11));
    let lock = path.join("lock");
    for _ in 0..500 {
        if std::fs::metadata(&lock).is_ok_and(|lock| lock.len() > 0) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let run = sim.apply(&["--part", "kernel", &image]);
    first.kill().unwrap();
    first.wait().unwrap();
    let run = run.exits(75);
    assert!(
        run.out.contains(&format!("process {}", first.id())),
        "who holds it is said: {run:?}"
    );
    sim.apply(&["--part", "kernel", &image]).exits(0);
}

#[test]
fn nobody_there_to_be_asked() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(1000, 12));
    let before = sim.flash();
    let run = sim.run("apply", &["--part", "kernel", &path]).exits(64);
    assert!(run.err.contains("--yes"), "{run:?}");
    assert!(sim.flash() == before);
}

/// Needs root, to become somebody else.
#[test]
fn not_root() {
    let dir = tempfile::tempdir().unwrap();
    // The build directory need not be open to everybody.
    let program = dir.path().join("flasher");
    std::fs::copy(env!("CARGO_BIN_EXE_flasher"), &program).unwrap();
    let open = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    open(dir.path());
    open(&program);
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&program)
        .args(["apply", "-y", "--part", "kernel", "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let run = Run::from(output).exits(77);
    assert!(run.err.contains("root"), "{run:?}");
}

/// On the machine of the tests, which has no flash.
#[test]
fn no_mtd_at_all() {
    assert!(
        !std::path::Path::new("/proc/mtd").exists(),
        "this machine has MTD: run the tests elsewhere"
    );
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(1000, 13));
    let run = flasher(&["apply", "-y", "--part", "kernel", &path]).exits(69);
    assert!(run.err.contains("no MTD") && run.err.contains("sim create"), "{run:?}");
    flasher(&["devices"]).exits(69);
}
