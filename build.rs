//! Packs the profiles of the boards: as text they would be a fiftieth of a device binary.

use std::path::Path;
use std::{env, fs};

const PROFILES: &str = "src/board/profiles";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PROFILES}");
    let mut boards = Vec::new();
    for entry in fs::read_dir(PROFILES).expect("the profiles are there") {
        let file = entry.expect("a profile").path();
        let id = file.file_stem().and_then(|id| id.to_str()).expect("an id").to_owned();
        boards.push((id, fs::read_to_string(&file).expect("a profile is text")));
    }
    // By id, so that a board comes before those that differ from it in a few partitions, whose ids are longer.
    boards.sort();
    let texts: String = boards.iter().map(|(id, text)| format!("{id}\n{text}\0")).collect();
    let ids: Vec<&String> = boards.iter().map(|(id, _)| id).collect();
    let packed = miniz_oxide::deflate::compress_to_vec(texts.as_bytes(), 9);
    let directory = env::var("OUT_DIR").expect("cargo says where to");
    let directory = Path::new(&directory);
    fs::write(directory.join("profiles"), packed).expect("the packed profiles are written");
    fs::write(directory.join("ids"), format!("{ids:?}")).expect("the ids are written");
}
