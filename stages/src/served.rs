//! What the kernel itself gives to another machine, over a network or a USB cable: what lies behind is open, and no process shows it.
#![forbid(unsafe_code)]

use crate::holder::Holder;
use crate::mounts;
use crate::scan::is_gone;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Trees of configfs, and what names a file or device in them: mass storage of a USB gadget
/// (`drivers/usb/gadget/function/f_mass_storage.c`), iSCSI and its kind (`drivers/target/target_core_file.c` shows `File: PATH`),
/// NVMe (`drivers/nvme/target/configfs.c`).
const TREES: [(&str, &str); 3] = [
    ("usb_gadget", "file"),
    ("target/core", "info"),
    ("nvmet/subsystems", "device_path"),
];
/// `g1/functions/mass_storage.0/lun.0` is the deepest.
const DEPTH: u32 = 4;
/// Gadgets that are a module, and have a parameter `file`.
const MODULES: [&str; 4] = ["g_mass_storage", "g_file_storage", "g_multi", "g_acm_ms"];

/// The paths of what is behind, whether it is in use at the moment or not.
pub(crate) fn served(sys: &Path, unread: &mut Vec<Holder>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (tree, name) in TREES {
        let tree = sys.join("kernel/config").join(tree);
        Holder::noted(look(&tree, name, DEPTH, &mut found), &tree, unread);
    }
    for module in MODULES {
        let parameter = sys.join("module").join(module).join("parameters/file");
        if let Some(text) = Holder::noted(fs::read(&parameter), &parameter, unread) {
            found.extend(text.trim_ascii().split(|byte| *byte == b',').map(mounts::path));
        }
    }
    let class = sys.join("class/udc");
    Holder::noted(of_gadgets(&class, &mut found), &class, unread);
    found
}

/// A gadget that is a module can be given other files while it runs: `device/gadget/lun0/file` of its controller
/// (`fsg_common_create_lun` in `drivers/usb/gadget/function/f_mass_storage.c`).
fn of_gadgets(class: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for controller in fs::read_dir(class)? {
        let Some(below) = passing(fs::read_dir(controller?.path().join("device")))? else {
            continue;
        };
        for entry in below {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b"gadget") && entry.file_type()?.is_dir() {
                passing(look(&entry.path(), "file", 1, found))?;
            }
        }
    }
    Ok(())
}

/// `None` for what has gone meanwhile.
fn passing<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(error) if is_gone(&error) => Ok(None),
        done => done.map(Some),
    }
}

fn look(directory: &Path, name: &str, depth: u32, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Links lead from one to another.
        if entry.file_type()?.is_dir() {
            if depth > 0 {
                passing(look(&entry.path(), name, depth - 1, found))?;
            }
        } else if entry.file_name() == name {
            let Some(text) = passing(fs::read(entry.path()))? else {
                continue;
            };
            let text = text.trim_ascii();
            let behind = text.windows(6).position(|word| word == b"File: ");
            let path = match (name, behind) {
                ("info", None) => continue,
                ("info", Some(at)) => text[at + 6..].trim_ascii_start(),
                _ => text,
            };
            // A path with blanks in it is none of flash.
            let end = path.iter().position(u8::is_ascii_whitespace).unwrap_or(path.len());
            found.push(mounts::path(&path[..end]));
        }
    }
    Ok(())
}
