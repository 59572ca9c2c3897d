//! Several images as one: the files of an update that has several.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::bytes::joined::Joined;
use crate::bytes::store::Store;
use crate::image::{FileKind, Image, Part};
use std::io;
use std::sync::Arc;

/// A file of several, once it was looked at.
pub struct File {
    /// The partition that it goes to, as it was typed.
    pub partition: String,
    /// What the user calls the file.
    pub name: String,
    /// What it is.
    pub image: Image,
    /// What is inside.
    pub store: Store<'static>,
}

/// One image, each of whose parts is one of the files.
///
/// # Errors
/// None but those of a store that does not say how long it is.
pub fn together(files: Vec<File>) -> io::Result<(Store<'static>, Image)> {
    let mut all = Image::nothing(Format::Files);
    let mut stores = Vec::new();
    for file in files {
        let File {
            partition,
            name,
            image,
            store,
        } = file;
        let mut problem = image.problem.map(|problem| format!("{name}: {problem}"));
        let (content, kind) = match <[Part; 1]>::try_from(image.parts) {
            // The only file of an archive is not all of it.
            Ok([only]) if only.range() == (0..image.payload) => (only.content, only.file),
            Err(parts) if parts.is_empty() => (None, FileKind::default()),
            _ => {
                problem = problem.or(Some(format!(
                    "{name} is a {}, which does not go to {partition} as it is",
                    image.format
                )));
                (None, FileKind::default())
            }
        };
        if image.metadata.is_some() && all.metadata.is_some() && image.metadata != all.metadata {
            problem = problem.or(Some(format!("{name} is for other boxes than the files before it")));
        }
        if all.problem.is_none() && problem.is_some() {
            all.problem = problem;
            all.remedy = Some(image.remedy.unwrap_or_else(|| {
                "nothing overrides this check; name a whole image for each partition, or one archive with --part \
                 PARTITION=MEMBER"
                    .to_owned()
            }));
        }
        all.metadata = all.metadata.or(image.metadata);
        let undecided = image.undecided.map(|undecided| format!("{name}: {undecided}"));
        all.undecided = all.undecided.or(undecided);
        all.parts.push(Part {
            name: partition,
            member: Some(name),
            offset: all.payload,
            size: image.payload,
            content,
            file: kind,
        });
        all.size += image.size;
        all.payload += store.len();
        stores.push(Arc::new(store));
    }
    Ok((Store::Joined(Joined::files(stores)), all))
}
