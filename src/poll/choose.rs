//! Which of the files that a server has for an update is the image. Two that may be it are none.

#![forbid(unsafe_code)]

use super::document::{Artifact, Chunk};
use crate::base::glob::glob;
use crate::base::quoted::Quoted;
use crate::board::profile::Profile;
use crate::image::signature::SUFFIXES;

/// Names that are told where there are too many.
const NAMES: usize = 8;

/// The image: the one file that the glob fits, or the only one that is not a signature, or the only one that is as long as an image
/// that the profile knows.
///
/// # Errors
/// Why it is none of them, as a phrase.
pub fn choose<'c>(chunks: &'c [Chunk], wanted: Option<&str>, profile: &Profile) -> Result<&'c Artifact, String> {
    let fits = |artifact: &&Artifact| match wanted {
        Some(pattern) => glob(pattern.as_bytes(), artifact.filename.as_bytes()),
        None => !SUFFIXES.iter().any(|suffix| artifact.filename.ends_with(suffix)),
    };
    let all: Vec<&Artifact> = chunks.iter().flat_map(|chunk| &chunk.artifacts).filter(fits).collect();
    let known = |artifact: &&&Artifact| {
        profile
            .accepts
            .iter()
            .any(|accepts| accepts.size == Some(artifact.size))
    };
    let mut known = all.iter().filter(known);
    match (all.as_slice(), wanted) {
        ([only], _) => return Ok(only),
        ([], None) => return Err("there is no file in it".to_owned()),
        ([], Some(pattern)) => return Err(format!("no file in it fits {}", Quoted(pattern))),
        (_, None) => {
            if let (Some(only), None) = (known.next(), known.next()) {
                return Ok(only);
            }
        }
        (_, Some(_)) => (),
    }
    let mut names: Vec<_> = all.iter().map(|one| Quoted(&one.filename).to_string()).collect();
    names.truncate(NAMES);
    Err(format!(
        "which of its {} files is the image is not known: {}; the box is told by artifact=GLOB",
        all.len(),
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::base::json;

    fn chosen(names: &[(&str, u64)], wanted: Option<&str>, profile: &str) -> Result<String, String> {
        let chunks: Vec<Chunk> = names
            .iter()
            .map(|(filename, size)| {
                let text = format!(r#"{{"artifacts":[{{"filename":"{filename}","size":{size}}}]}}"#);
                json::parse(text.as_bytes()).unwrap()
            })
            .collect();
        let profile = Profile::find(profile).unwrap();
        choose(&chunks, wanted, &profile).map(|artifact| artifact.filename.clone())
    }

    #[test]
    fn two_files_that_may_be_the_image_are_none() {
        let plain = |names| chosen(names, None, "generic");
        assert_eq!(plain(&[("a.bin", 1)]).unwrap(), "a.bin");
        assert_eq!(
            plain(&[("a.bin", 1), ("a.bin.minisig", 1), ("b.sig", 1)]).unwrap(),
            "a.bin"
        );
        assert!(plain(&[]).unwrap_err().contains("no file"));
        assert!(plain(&[("a.bin.sig", 1)]).is_err());
        assert!(
            plain(&[("a.bin", 1), ("b.bin", 1)])
                .unwrap_err()
                .contains("\"a.bin\", \"b.bin\"")
        );
        let globbed = |wanted| chosen(&[("a.bin", 1), ("b.img", 1), ("c.img", 2)], Some(wanted), "generic");
        assert_eq!(globbed("a*").unwrap(), "a.bin");
        assert!(globbed("*.img").is_err() && globbed("*.pat").is_err());
        let many: Vec<(&str, u64)> = vec![("x", 1); 500];
        assert!(plain(&many).unwrap_err().len() < 200);
    }

    #[test]
    fn a_length_that_the_profile_knows_tells_it_from_the_others() {
        let profile = Profile::find("qnap-ts219").unwrap();
        let Some(size) = profile.accepts.iter().find_map(|accepts| accepts.size) else {
            return;
        };
        let names = [("readme.txt", 7), ("image", size)];
        assert_eq!(chosen(&names, None, "qnap-ts219").unwrap(), "image");
        assert!(chosen(&[("a", size), ("b", size)], None, "qnap-ts219").is_err());
    }
}
