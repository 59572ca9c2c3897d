//! `flasher demo` goes on with a takeover where QEMU and a kernel are: here one of Debian, which is fetched as a file.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools;

/// A root that has what the demo looks for.
fn root() -> tempfile::TempDir {
    let kernel = tools::debian_kernel("amd64");
    let root = tools::scratch();
    let link = |from: &Path, to: &str| {
        let to = root.path().join(to);
        std::fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
        symlink(from, to).expect("a link");
    };
    for part in ["boot", "lib"] {
        link(&kernel.join(part), part);
    }
    link(Path::new("/usr/bin/qemu-system-x86_64"), "usr/bin/qemu-system-x86_64");
    link(Path::new("/bin/busybox"), "bin/busybox");
    root
}

/// What the demo says with this root, which must be well in any case.
fn demo(root: &Path) -> String {
    // It takes what is beside it, in `dist`.
    tools::product("x86_64");
    let program = Path::new(env!("CARGO_BIN_EXE_flasher"));
    let run = tools::run(Command::new(program).arg("demo").env("FLASHER_DEMO_ROOT", root));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

#[test]
#[ignore = "needs the lab: tests/run"]
fn takeover() {
    let root = root();
    let said = demo(root.path());
    let mut rest = said.as_str();
    for text in [
        "every other byte of the chip is as it was",
        "Now a box whose flash is in use",
        "has /dev/mtd0 open",
        "route: staged",
        "init hands over now",
        "flasher is PID 1",
        "the old root is unmounted and proved gone",
        "written and verified",
        "rebooting into the new firmware",
        // It has looked into the memory of the box from outside.
        "its flash holds the new firmware",
    ] {
        let at = rest.find(text);
        let at = at.unwrap_or_else(|| panic!("{text:?} is missing or late:\n{said}"));
        rest = &rest[at + text.len()..];
    }
}

/// A kernel that has no flash is not a fault of flasher, and the newcomer is not told that something failed.
#[test]
#[ignore = "needs the lab: tests/run"]
fn without_flash() {
    let root = root();
    let kernel = std::fs::read_link(root.path().join("lib")).expect("a link");
    std::fs::remove_file(root.path().join("lib")).expect("a link");
    tools::run(Command::new("cp").arg("-r").arg(kernel).arg(root.path().join("lib")));
    let found = tools::run(
        Command::new("find")
            .arg(root.path().join("lib"))
            .args(["-name", "phram.ko*"]),
    );
    let module = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    tools::write(&module, b"a module of another kernel");
    let said = demo(root.path());
    assert!(
        said.contains("This box did not start, so its takeover is not shown"),
        "{said}"
    );
    assert!(said.contains("the kernel has no flash in its RAM"), "{said}");
    assert!(
        said.contains("The update above, of a simulated box, is complete."),
        "{said}"
    );
}
