//! Prints the map of this machine, or of the one whose `/proc` and `/sys` lie below the directory that is given.

use mtd_rs::{Map, Overlap, Place, SystemPaths};

fn main() -> mtd_rs::Result<()> {
    let root = std::env::args_os().nth(1).unwrap_or_else(|| "/".into());
    let map = Map::read(&SystemPaths::under(root))?;
    for id in map.ids() {
        let place = match map.place(id) {
            Place::Known(extents) => extents
                .iter()
                .map(|extent| format!("{} {:#x?}", extent.chip, extent.range))
                .collect::<Vec<_>>()
                .join(" + "),
            _ => map
                .chip(id)
                .map_or("somewhere".to_owned(), |chip| format!("somewhere on {chip}")),
        };
        let shared: Vec<String> = map
            .overlapping(id)
            .into_iter()
            .map(|other| match map.overlap(&map.whole(id), &map.whole(other)) {
                Overlap::Yes => other.to_string(),
                _ => format!("{other}?"),
            })
            .collect();
        let name = map.get(id).map_or("", |partition| partition.name());
        println!("{id} {name:?}: {place}; shares bytes with [{}]", shared.join(" "));
    }
    Ok(())
}
