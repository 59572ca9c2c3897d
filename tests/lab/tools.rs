//! Programs of the workstation, and how long the lab waits for things.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A duration that suits an idle machine, stretched by `FLASHER_LAB_PATIENCE` (a factor) for a slower or busier one.
pub fn patience(seconds: u64) -> Duration {
    let factor = std::env::var("FLASHER_LAB_PATIENCE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1.0);
    Duration::from_secs(seconds).mul_f64(factor)
}

/// A command that also finds the tools that Debian keeps in `sbin`, which ordinary users do not have in their path.
pub fn command(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// Runs a command to its end and panics with what it said unless it succeeded.
pub fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// Reads a file of the lab.
pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a file of the lab, with the directories above it.
pub fn write(path: &Path, content: &[u8]) {
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, content));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// A directory that goes away with the value.
pub fn scratch() -> tempfile::TempDir {
    tempfile::TempDir::with_prefix("flasher-lab-").expect("a directory for temporary files")
}

/// The path as text, for command lines. Paths of the lab are its own and are plain.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The cross-built product for this kind of box: what users copy to theirs.
pub fn flasher(kind: super::Kind) -> PathBuf {
    product(kind.name())
}

/// The cross-built product of that name.
pub fn product(name: &str) -> PathBuf {
    let path = repository().join(format!("dist/flasher-{name}"));
    assert!(path.exists(), "{} is missing: run cross/build {name}", path.display());
    path
}

/// Where `tests/lab/build` puts what these words ask for. Builds it if need be.
pub fn built(what: &[&str]) -> PathBuf {
    let made = run(Command::new(repository().join("tests/lab/build")).args(what)).stdout;
    String::from_utf8_lossy(&made).trim().into()
}

/// Bytes that do not pack, others for each odd seed.
pub fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

/// A kernel module of `tests/lab/kernel`, for the armel boxes only.
pub fn module(name: &str) -> Vec<u8> {
    read(&built(&["--module", name]).join(format!("{name}.ko")))
}

/// Debian's own kernel for a PC: a directory with what is in the root of a machine. The architecture is Debian's word.
pub fn debian_kernel(architecture: &str) -> PathBuf {
    built(&["--debian-kernel", architecture])
}

/// Packs a directory as the first root of a kernel, into a file outside of it.
pub fn pack_initramfs(root: &Path, file: &Path) {
    run(command("sh")
        .current_dir(root)
        .args(["-c", "find . | cpio --quiet -o -H newc -R 0:0 >\"$0\"", text(file)]));
}
