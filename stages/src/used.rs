//! What processes use of the flash, looked for once and told for many targets.
#![forbid(unsafe_code)]

use crate::device::Numbers;
use crate::holder::Holder;
use crate::scan::{Identity, scan_processes};
use crate::shown::shown;
use std::cell::RefCell;
use std::path::Path;

/// How it is found out what processes use.
pub(crate) enum Processes<'a> {
    /// They are looked through.
    Seen,
    /// They are looked through, and what they use of any target is noted.
    Noted(&'a RefCell<Used>),
    /// It was noted.
    Known(&'a Used),
}

impl Processes<'_> {
    /// What processes use of the files that are wanted.
    pub(crate) fn using(&self, proc: &Path, wanted: &dyn Fn(&Identity<'_>) -> bool) -> Vec<Holder> {
        match self {
            Processes::Seen => scan_processes(proc, wanted),
            Processes::Known(used) => used.of(wanted),
            Processes::Noted(used) => {
                let noting = |file: &Identity<'_>| {
                    let is_wanted = wanted(file);
                    if is_wanted {
                        used.borrow_mut().note(file);
                    }
                    is_wanted
                };
                let all = scan_processes(proc, &noting);
                used.borrow_mut().found.clone_from(&all);
                all
            }
        }
    }
}

/// What processes use of the flash, and the files that it was known by.
#[derive(Default)]
pub(crate) struct Used {
    found: Vec<Holder>,
    files: Vec<(String, Numbers, Node)>,
}

/// Of a device node: whether it is a block device, and its numbers.
type Node = Option<(bool, Numbers)>;

impl Used {
    fn note(&mut self, file: &Identity<'_>) {
        let file = (shown(file.path), file.on, file.node);
        if !self.files.contains(&file) {
            self.files.push(file);
        }
    }

    /// What of it is about files of this kind; what could not be read is about any.
    fn of(&self, wanted: &dyn Fn(&Identity<'_>) -> bool) -> Vec<Holder> {
        let path = Path::new("");
        let files = self.files.iter();
        let files = files.filter(|(_, on, node)| {
            wanted(&Identity {
                on: *on,
                node: *node,
                path,
            })
        });
        let paths: Vec<&String> = files.map(|(path, ..)| path).collect();
        let is_it = |kind: &&Holder| match kind {
            Holder::OpenFile { path, .. }
            | Holder::MappedText { path, .. }
            | Holder::Cwd { path, .. }
            | Holder::Root { path, .. } => paths.contains(&path),
            _ => true,
        };
        self.found.iter().filter(is_it).cloned().collect()
    }
}
