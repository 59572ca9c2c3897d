//! Packs the profiles of the boards: as text they would be a fiftieth of a device binary.

use std::path::{Path, PathBuf};
use std::{env, fs};

const PROFILES: &str = "src/board/profiles";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PROFILES}");
    let entries = fs::read_dir(PROFILES).expect("the profiles are there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a profile").path()).collect();
    files.sort();
    let mut texts = String::new();
    for file in files {
        let id = file.file_stem().and_then(|id| id.to_str()).expect("an id");
        let text = fs::read_to_string(&file).expect("a profile is text");
        texts.push_str(&format!("{id}\n{text}\0"));
    }
    let packed = miniz_oxide::deflate::compress_to_vec(texts.as_bytes(), 9);
    let directory = env::var("OUT_DIR").expect("cargo says where to");
    fs::write(Path::new(&directory).join("profiles"), packed).expect("the packed profiles are written");
}
