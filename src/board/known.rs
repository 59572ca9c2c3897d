//! The profiles that are compiled in, and those of the user's: read, and refused where they contradict themselves.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::files;
use crate::base::json;
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::base::suggest::did_you_mean;
use crate::board::profile::{PartitionProfile, Profile, Slot};
use miniz_oxide::inflate;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// What `build.rs` makes of `profiles/`: of each the id, a line end, the text, a zero; sorted by id, and packed.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/profiles"));
/// The ids, in the same order.
static IDS: &[&str] = &include!(concat!(env!("OUT_DIR"), "/ids"));

/// The texts of the profiles that are compiled in. Not kept: process 1 has no room for them.
fn unpacked() -> String {
    let texts = inflate::decompress_to_vec(PACKED).expect("packed by build.rs");
    String::from_utf8(texts).expect("packed by build.rs")
}

/// Each id with its text.
fn each(texts: &str) -> impl Iterator<Item = (&str, &str)> {
    texts
        .split_terminator('\0')
        .filter_map(|profile| profile.split_once('\n'))
}

/// Where the profile of a box is found by itself.
pub const OWN: &str = "/etc/flasher/board.json";

/// The ids of the profiles that are compiled in.
pub fn ids() -> impl Iterator<Item = &'static str> {
    IDS.iter().copied()
}

/// What to do about a profile that does not do.
const MEND: &str = "mend the profile; docs/devices.md has its fields, and flasher devices --profile drafts one";

impl Profile {
    /// The profile of a built-in id, or of a file of the user's.
    ///
    /// # Errors
    /// [`Exit::Unsupported`] for an id that is not there, [`Exit::Usage`] for a file that is not a profile.
    pub fn find(id_or_file: &str) -> Result<Profile> {
        if IDS.contains(&id_or_file) {
            let texts = unpacked();
            let (_, text) = each(&texts)
                .find(|(id, _)| *id == id_or_file)
                .expect("packed by build.rs");
            return Profile::parse(text, id_or_file);
        }
        if !id_or_file.contains(['/', '.']) {
            let known: Vec<_> = ids().collect();
            return Err(Failure::new(
                Exit::Unsupported,
                Code::Board,
                format_args!(
                    "there is no board {}{}",
                    Quoted(id_or_file),
                    did_you_mean("", id_or_file, &mut ids())
                ),
            )
            .hint(format!(
                "one of {}, or the path of a profile of your own",
                known.join(" ")
            )));
        }
        Profile::read(&lossless::path(id_or_file))?.aligned(id_or_file)
    }

    /// All that are compiled in.
    ///
    /// # Errors
    /// A broken one.
    pub fn built_in() -> Result<Vec<Profile>> {
        each(&unpacked()).map(|(id, text)| Profile::parse(text, id)).collect()
    }

    /// The profile that somebody made for this box and put at `OWN`, if there is one.
    ///
    /// # Errors
    /// One that others than root could have written, that cannot be read, or that contradicts itself.
    pub fn own() -> Result<Option<Profile>> {
        match fs::symlink_metadata(OWN) {
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(None),
            _ if files::is_absent(Path::new(OWN)) => Ok(None),
            // What cannot be looked at cannot be read either, which is told.
            _ => Profile::read(Path::new(OWN))?.aligned(OWN).map(Some),
        }
    }

    /// Reads a profile of the user's.
    ///
    /// # Errors
    /// [`Exit::Usage`] when it cannot be read or contradicts itself.
    pub fn read(path: &Path) -> Result<Profile> {
        let text = files::read_text(path, files::TEXT).map_err(|error| {
            let wanted = "name a profile that is there: flasher devices --profile drafts one for this box";
            files::unread(&error, format_args!("board file: {error}")).hint(files::remedy(&error, wanted))
        })?;
        Profile::parse(&text, &path.display().to_string())
    }

    /// The same, if its partitions begin and end with erase blocks. A box that is simulated may have others, as real ones do.
    fn aligned(self, origin: &str) -> Result<Profile> {
        let block = self.chip.erase_size;
        let odd = self
            .partitions
            .iter()
            .filter(|partition| !partition.moves)
            .find_map(|partition| {
                let edges = [partition.offset, partition.size];
                let odd = edges.into_iter().find(|at| !at.is_multiple_of(block.into()))?;
                Some((&partition.name, odd))
            });
        let Some((name, odd)) = odd else {
            return Ok(self);
        };
        let text = files::read_text(&lossless::path(origin), files::TEXT).unwrap_or_default();
        let (line, column) = position(&text, name);
        Err(Failure::usage(format_args!(
            "board file {origin}: partition {} does not begin and end with erase blocks: {odd:#x} is not a multiple of {block:#x} \
             at line {line} column {column}",
            Quoted(name)
        ))
        .hint(MEND))
    }

    fn parse(text: &str, origin: &str) -> Result<Profile> {
        let profile: Profile = json::parse(text.as_bytes())
            .map_err(|error| Failure::usage(format_args!("board file {origin}: {error}")).hint(MEND))?;
        match profile.contradiction() {
            None => Ok(profile),
            Some((what, about)) => {
                let (line, column) = position(text, &about);
                let what = format_args!("board file {origin}: {what} at line {line} column {column}");
                Err(Failure::usage(what).hint(MEND))
            }
        }
    }

    /// What cannot be true of any box, and the word of the profile that it is about.
    fn contradiction(&self) -> Option<(String, String)> {
        let chip = &self.chip;
        let of_chip = |what: &str| Some((what.to_owned(), "chip".to_owned()));
        if chip.erase_size == 0 || chip.write_size == 0 || chip.size == 0 {
            return of_chip("a chip without size, erase blocks or pages");
        }
        if !chip.size.is_multiple_of(chip.erase_size.into()) || !chip.erase_size.is_multiple_of(chip.write_size) {
            return of_chip("a chip whose erase blocks do not fill it, or pages their block");
        }
        for (index, partition) in self.partitions.iter().enumerate() {
            let about = |what: String| Some((what, partition.name.clone()));
            if partition.size == 0 || partition.range().end > chip.size {
                return about(format!(
                    "partition {} does not lie on the chip",
                    Quoted(&partition.name)
                ));
            }
            if partition
                .loads
                .is_some_and(|loads| loads == 0 || loads > partition.size)
            {
                return about(format!(
                    "of partition {} the boot loader loads nothing, or more than there is",
                    Quoted(&partition.name)
                ));
            }
            let twin = |other: &&PartitionProfile| {
                other.mtd == partition.mtd || other.name.eq_ignore_ascii_case(&partition.name)
            };
            if let Some(other) = self.partitions[..index].iter().find(twin) {
                return about(format!(
                    "partitions {} and {} share a name or number",
                    Quoted(&other.name),
                    Quoted(&partition.name)
                ));
            }
        }
        let unknown = self
            .accepts
            .iter()
            .flat_map(|accepts| &accepts.parts)
            // Which member of an archive it gets stands behind it.
            .map(|part| part.split('=').next().unwrap_or_default())
            .chain(self.record.as_deref())
            .chain(self.slots.iter().flat_map(|slot| &slot.partitions).map(String::as_str))
            .find(|name| self.partition(name).is_none());
        let pair = match self.slots.as_slice() {
            [] => true,
            [a, b] => {
                let tells = |slot: &Slot| slot.environment.first().is_some_and(|first| first.contains('='));
                a.partitions.len() == b.partitions.len()
                    && tells(a)
                    && tells(b)
                    && a.environment[0] != b.environment[0]
                    && !a.partitions.iter().any(|name| b.has(name))
            }
            _ => false,
        };
        if !pair {
            return Some(("slots that are no pair".into(), "slots".into()));
        }
        unknown.map(|name| (format!("there is no partition {}", Quoted(name)), name.to_owned()))
    }
}

/// Line and column of the first place where a text has this word as one of JSON's, counted from 1; its end where it has not.
fn position(text: &str, word: &str) -> (usize, usize) {
    let word = json::write(&word).unwrap_or_default();
    let before = &text[..text.find(&word).unwrap_or(text.len())];
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_built_in_profile_is_sound_and_named_as_its_file() {
        for id in ids() {
            assert_eq!(Profile::find(id).unwrap().id, id);
        }
    }

    /// The order of the numbers is not the order on the chip, and nothing overlaps or is left over. Physical orders:
    /// "Recovery mode of QNAP TS-21x/TS-22x", and the device trees of Linux for kirkwood and orion5x.
    #[test]
    fn qnap_partitions_fill_their_chips_in_the_documented_physical_order() {
        for (id, physical) in [("qnap-ts109", [1, 2, 3, 5, 4, 0]), ("qnap-ts219", [0, 4, 5, 1, 2, 3])] {
            let profile = Profile::find(id).unwrap();
            let mut partitions = profile.partitions.clone();
            partitions.sort_by_key(|partition| partition.offset);
            let order: Vec<u32> = partitions.iter().map(|partition| partition.mtd).collect();
            assert_eq!(order, physical, "{id}");
            let mut end = 0;
            for partition in &partitions {
                assert_eq!(partition.offset, end, "{id}: {}", partition.name);
                end = partition.range().end;
            }
            assert_eq!(end, profile.chip.size, "{id}");
        }
    }

    #[test]
    fn every_board_is_in_the_document_by_its_id() {
        crate::base::documented("devices.md", ids());
    }

    #[test]
    fn a_profile_that_contradicts_itself_is_refused() {
        let texts = unpacked();
        let (_, text) = each(&texts).find(|(id, _)| *id == "qnap-ts219").unwrap();
        for (from, to) in [
            ("\"size\": 9437184", "\"size\": 94371840"),
            ("\"mtd\": 2", "\"mtd\": 1"),
            ("\"name\": \"RootFS2\"", "\"name\": \"rootfs1\""),
            ("[\"Kernel\"]", "[\"Colonel\"]"),
            ("262144 }", "0 }"),
            ("\"ram\"", "\"rum\""),
        ] {
            let broken = text.replace(from, to);
            assert_ne!(broken, text);
            assert!(Profile::parse(&broken, "test").is_err(), "{to}");
        }
    }
}
