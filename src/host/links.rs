//! Links of an archive that is unpacked: made where they stay inside the directory, left out and named where they do not.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Result};
use crate::base::lossless;
use crate::bytes::tar::{Link, Member};
use serde::Serialize;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A link that was not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its path.
    pub name: String,
    /// Where it would lead.
    pub target: String,
}

/// Makes the links of an archive whose members are there. Nothing is written through a link, because they come last and none
/// lies below another.
///
/// # Errors
/// Links that cannot be made, such as one whose name is also that of a directory.
pub fn make(links: &[Link], members: &[Member], dir: &Path) -> Result<Vec<LeftOut>> {
    let mut left_out = Vec::new();
    for link in links {
        let below = links.iter().any(|other| below(&link.name, &other.name));
        let stays = match link.hard {
            true => members
                .iter()
                .any(|member| Some(member.name.as_str()) == inside(&link.target)),
            false => stays_inside(&link.name, &link.target),
        };
        if below || !stays {
            left_out.push(LeftOut {
                name: link.name.clone(),
                target: link.target.clone(),
            });
            continue;
        }
        let path = dir.join(lossless::path(&link.name));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).context(parent.display())?;
        }
        let made = match link.hard {
            true => fs::hard_link(dir.join(lossless::path(link.target.trim_start_matches("./"))), &path),
            false => symlink(lossless::path(&link.target), &path),
        };
        made.context(path.display())?;
    }
    Ok(left_out)
}

/// The name of a member, as a hard link has it.
fn inside(target: &str) -> Option<&str> {
    (!target.starts_with('/')).then(|| target.trim_start_matches("./"))
}

/// Whether a path lies below another, which is a link and so no directory.
fn below(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a symbolic link leads to somewhere in its archive: it may climb only at its beginning, and not higher than the top.
/// What climbs behind a name could do so from where that name, a link itself, leads.
fn stays_inside(name: &str, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.chars().any(char::is_control) {
        return false;
    }
    let depth = name
        .split('/')
        .filter(|part| !["", "."].contains(part))
        .count()
        .saturating_sub(1);
    let mut parts = target.split('/').filter(|part| !["", "."].contains(part));
    let up = parts.by_ref().take_while(|part| *part == "..").count();
    up <= depth
        && !target
            .split('/')
            .skip_while(|part| ["", ".", ".."].contains(part))
            .any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        for (name, target) in [
            ("lib/libx.so", "libx.so.1"),
            ("a/b/c", "../../d"),
            ("a", "b/c"),
            ("a/b", "./../c/d"),
            ("a", "."),
        ] {
            assert!(stays_inside(name, target), "{name} {target}");
        }
        for (name, target) in [
            ("a", "/etc/passwd"),
            ("a", "../x"),
            ("a/b", "../../x"),
            ("a/b", "c/../../../x"),
            ("a/b/c", "d/.."),
            ("a", ""),
            ("a", "b\n"),
            ("./a", "../x"),
            (".", "../x"),
        ] {
            assert!(!stays_inside(name, target), "{name} {target}");
        }
        assert!(below("a/b", "a") && !below("ab", "a") && !below("a", "a"));
    }
}
