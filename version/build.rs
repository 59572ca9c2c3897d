//! Asks for the commit: `FLASHER_COMMIT` says it for a package, which is not built from a checkout; else git does. Source
//! without either has none, and is built all the same.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=FLASHER_COMMIT");
    let commit = match std::env::var("FLASHER_COMMIT") {
        Ok(given) => Some(given).filter(|commit| !commit.is_empty()),
        Err(_) => checkout(),
    };
    let version = env!("CARGO_PKG_VERSION");
    match commit {
        Some(commit) => println!("cargo::rustc-env=FLASHER_VERSION={version} ({commit})"),
        None => println!("cargo::rustc-env=FLASHER_VERSION={version}"),
    }
}

/// The commit of the checkout that this is, and whether something was changed since. A repository that merely has this source
/// in it, as one that collects packages does, is not asked.
fn checkout() -> Option<String> {
    let root = Path::new("..");
    if git(&["rev-parse", "--show-cdup"])? != "../" {
        return None;
    }
    // Written at each commit and each change of branch.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for name in ["Cargo.lock", "Cargo.toml", "src", "mtd-rs", "stages"] {
        println!("cargo::rerun-if-changed={}", root.join(name).display());
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    match changed.is_empty() {
        true => Some(commit),
        false => Some(format!("{commit}, changed")),
    }
}

/// What git says; `None` where there is none, or this is no checkout.
fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(words)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}
