//! Members of an archive that are chosen, and packed themselves.

#![forbid(unsafe_code)]

use super::stage::copies;
use super::staged::{StagedImage, unreadable};
use crate::base::error::Result;
use crate::base::quoted::Quoted;
use crate::board::Board;
use crate::bytes::joined::Joined;
use crate::bytes::packed::{Packed, Packing};
use crate::bytes::store::Store;
use crate::image::{self, Reading};
use crate::layout::{Choice, members as chosen};
use crate::plan::ImageFile;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// A member that is unpacked: where it is in the archive, and how it is packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its bytes.
    #[serde(with = "crate::base::range")]
    pub range: Range<u64>,
    /// How it is packed.
    pub packing: Packing,
}

/// Looks into each member that is chosen, as into a file of its own. What is unpacked stands behind the archive then.
pub(super) fn unpack(staged: &mut StagedImage, board: &Board, reading: &Reading, choices: &[Choice]) -> Result<()> {
    if !chosen::is_archive(&staged.image) || staged.image.problem.is_some() {
        return Ok(());
    }
    let Some(choices) = chosen::wanted(&board.profile, &staged.image, choices) else {
        return Ok(());
    };
    // What is wrong with the choice says the layout.
    let Ok(indices) = chosen::chosen(&staged.image, &choices) else {
        return Ok(());
    };
    let archive = Arc::new(std::mem::replace(&mut staged.store, Store::Memory(Vec::new())));
    let mut unpacked = Vec::new();
    let mut at = archive.len();
    for (index, choice) in indices.into_iter().zip(&choices) {
        let partition = board.partition(&choice.partition).ok();
        let reading = Reading {
            copy: partition.map(|partition| copies(&[partition])).unwrap_or_default(),
            ..reading.clone()
        };
        let range = staged.image.parts[index].range();
        let window = Store::Window(Arc::clone(&archive), range.clone());
        let (store, mut inside) = image::open(window, String::new(), &reading).map_err(unreadable)?;
        let part = &mut staged.image.parts[index];
        let name = part.member.clone().unwrap_or_else(|| part.name.clone());
        let told = ImageFile::of(&name, Some(&choice.partition), &inside);
        let (problem, remedy) = match inside.problem.take() {
            None if chosen::is_archive(&inside) => (
                Some(format!("it is a {}, which is not written as it is", inside.format)),
                Some("take the image out of it, or write the bytes as they are with --as-is".to_owned()),
            ),
            None if inside.metadata.is_some() && ![&None, &inside.metadata].contains(&&staged.image.metadata) => (
                Some("it is for other boxes than the archive, or the members before it".to_owned()),
                None,
            ),
            problem => (problem, inside.remedy.take()),
        };
        if let Some(problem) = problem {
            staged.image.problem = Some(format!("{}: {problem}", Quoted(&name)));
            staged.image.remedy = remedy;
            break;
        }
        staged.told.push(told);
        if let Some(metadata) = inside.metadata {
            let version = metadata.version.as_ref().map(|version| version.number().to_owned());
            for file in staged.files.iter_mut().filter(|file| file.version.is_none()) {
                file.version.clone_from(&version);
            }
            staged.image.metadata = Some(metadata);
        }
        let undecided = inside
            .undecided
            .map(|undecided| format!("{}: {undecided}", Quoted(&name)));
        staged.image.undecided = staged.image.undecided.take().or(undecided);
        (part.content, part.file) = match <[image::Part; 1]>::try_from(inside.parts) {
            Ok([only]) if only.range() == (0..inside.payload) => (only.content, only.file),
            _ => (None, image::FileKind::default()),
        };
        part.size = inside.payload;
        if let (Some(packing), Store::Packed(_)) = (inside.packing, &store) {
            part.offset = at;
            at += packing.length;
            staged.members.push(Member { range, packing });
            unpacked.push(store);
        }
    }
    staged.store = again(archive, unpacked)?;
    Ok(())
}

fn again(archive: Arc<Store<'static>>, unpacked: Vec<Store<'static>>) -> Result<Store<'static>> {
    match unpacked.is_empty() {
        false => Ok(Store::Joined(Joined::members(archive, unpacked))),
        // Nobody else has it: the windows are gone.
        true => Arc::into_inner(archive)
            .ok_or_else(|| unreadable(std::io::Error::other("the archive is still being looked into"))),
    }
}

/// The same of an archive that was looked into before, by what was learned then.
pub(super) fn reopen(archive: Store<'static>, members: &[Member]) -> Store<'static> {
    if members.is_empty() {
        return archive;
    }
    let archive = Arc::new(archive);
    let member = |member: &Member| {
        let window = Store::Window(Arc::clone(&archive), member.range.clone());
        Store::Packed(Packed::again(Arc::new(window), member.packing))
    };
    let unpacked = members.iter().map(member).collect();
    Store::Joined(Joined::members(archive, unpacked))
}
