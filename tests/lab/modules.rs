//! Modules of the lab's kernels, which a story loads that needs more than the boxes have by themselves.

use std::path::Path;

use super::firmware::made;
use super::kind::Kind;
use super::tools::read;

/// These modules and those that they need, in the order of loading.
pub fn with_needs(kind: Kind, names: &[&str]) -> Vec<(String, Vec<u8>)> {
    let directory = made(kind).join("modules");
    let mut loaded = Vec::new();
    for name in names {
        load_after_its_needs(&directory, name, &mut loaded);
    }
    loaded
}

/// The same as files for a root or a data disk: `modules/*.ko`, and a script `modules/load DIRECTORY` that loads them.
pub fn files(kind: Kind, names: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut script = "#!/bin/sh\n".to_owned();
    let mut files = Vec::new();
    for (name, module) in with_needs(kind, names) {
        script.push_str(&format!("insmod \"$1/{name}.ko\" || exit\n"));
        files.push((format!("modules/{name}.ko"), module));
    }
    files.push(("modules/load".to_owned(), script.into_bytes()));
    files
}

fn load_after_its_needs(directory: &Path, name: &str, loaded: &mut Vec<(String, Vec<u8>)>) {
    if loaded.iter().any(|(other, _)| other == name) {
        return;
    }
    let file = [name.to_owned(), name.replace('_', "-")]
        .map(|name| directory.join(format!("{name}.ko")))
        .into_iter()
        .find(|file| file.exists())
        .unwrap_or_else(|| panic!("there is no module {name}"));
    let module = read(&file);
    let key = b"depends=";
    let at = module.windows(key.len()).position(|window| window == key);
    let list = module[at.expect("a module says what it needs") + key.len()..].split(|byte| *byte == 0);
    let needs = String::from_utf8_lossy(list.into_iter().next().unwrap_or_default()).into_owned();
    for need in needs.split(',').filter(|need| !need.is_empty()) {
        load_after_its_needs(directory, need, loaded);
    }
    loaded.push((name.to_owned(), module));
}
