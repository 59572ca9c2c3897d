//! What stage one leaves for PID 1 beside the image: the plan, and how the rest is to be done.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Failure, Result};
use crate::base::json;
use crate::board::profile::Profile;
use crate::board::{Board, known};
use crate::bytes::packed::Packing;
use crate::flash::OnFault;
use crate::keep::Task;
use crate::plan::{VolumeChanges, Write};
use crate::record::Versions;
use crate::report::listen::Listen;
use crate::update::members::Member;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the image is in the RAM root; of several files the others have a number behind it.
const IMAGE: &str = "image";
/// Where the profile is in the RAM root, if it is one of the user's.
const BOARD: &str = "board.json";

/// What changes when anybody writes to a file of the RAM root: the kernel sets the last of them, and nobody else can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of a plain file, not through a link; `None` of anything else.
    pub fn of(path: &Path) -> Option<Stamp> {
        let about = std::fs::symlink_metadata(path).ok().filter(|about| about.is_file())?;
        Some(Stamp {
            inode: about.ino(),
            length: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }
}

/// The job of PID 1.
#[derive(Serialize, Deserialize)]
pub struct Job {
    /// What is to be written; nothing is decided anew.
    pub writes: Vec<Write>,
    /// The image's checksum.
    pub sha256: String,
    /// What the record says beside the end.
    #[serde(default)]
    pub versions: Versions,
    /// How it is packed, if it is; one for each of several files.
    pub packings: Vec<Option<Packing>>,
    /// What each of them was like before it was hashed; none where time goes by until PID 1 reads it, or it lies on a disk: it is
    /// hashed again then.
    pub stamps: Vec<Option<Stamp>>,
    /// Members of an archive that are unpacked.
    pub members: Vec<Member>,
    /// `--board`, when the box was not recognised by itself: an id, or a file of the RAM root.
    pub board: Option<String>,
    /// What becomes of the volumes of a UBI around the writes.
    pub volumes: Option<VolumeChanges>,
    /// `--no-rollback` and `--mark-bad`.
    pub on_fault: OnFault,
    /// Whether an update in place has left the flash half written in this boot: then it is not the old firmware that is there.
    pub partly: bool,
    /// The user's files, saved beside the image.
    pub files: Option<Task>,
    /// Where it goes on telling how far it is.
    pub listen: Option<Listen>,
    /// What was reached before the hand-off.
    pub reached: String,
    /// What the rescue runs for an image that comes over the network; empty without a key.
    pub again: Vec<String>,
}

impl Job {
    /// As it goes into the hand-off.
    ///
    /// # Errors
    /// None that is known; serde could not make JSON of it.
    pub fn pack(&self) -> Result<stages::HandOff> {
        let payload = json::write(self).context("hand-off")?;
        Ok(stages::HandOff::new(payload))
    }

    /// As it came through the hand-off.
    ///
    /// # Errors
    /// A hand-off of another version of flasher.
    pub fn unpack(handoff: &stages::HandOff) -> Result<Job> {
        json::parse(handoff.payload.as_bytes())
            .map_err(|error| Failure::system(format_args!("the hand-off is not ours: {error}")))
    }
}

/// What PID 1 shall know the box by: a built-in id as it is, a profile of the user's by a copy of it in the RAM root. `None` where
/// it is to look again, because the box has signs of one that is known and is none; some signs are gone then, with the old root.
///
/// # Errors
/// A RAM root that cannot be written.
pub fn board(root: &Path, board: &Board, named: Option<&str>) -> Result<Option<String>> {
    let profile = &board.profile;
    let built_in = Profile::find(&profile.id).is_ok_and(|known| known == *profile);
    match named {
        None if profile.is_generic() && built_in && !board.suspects.is_empty() => Ok(None),
        None if built_in => Ok(Some(profile.id.clone())),
        Some(named) if known::ids().any(|id| id == named) => Ok(Some(named.to_owned())),
        _ => {
            let copy = root.join(BOARD);
            let text = json::write(profile).context("board file")?;
            std::fs::write(&copy, text).context(copy.display())?;
            Ok(Some(format!("/{BOARD}")))
        }
    }
}

/// The image in a RAM root, or one of its files.
pub fn image_path(root: &Path, index: usize) -> PathBuf {
    match index {
        0 => root.join(IMAGE),
        index => root.join(format!("{IMAGE}.{index}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs::{self, File};
    use std::io::Write;

    #[test]
    fn a_stamp_tells_every_change_of_a_file_and_is_of_plain_files_only() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("image"), dir.path().join("link"));
        fs::write(&path, "image").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let stamp = Stamp::of(&path).unwrap();
        assert_eq!(Stamp::of(&path), Some(stamp));
        assert_eq!((Stamp::of(&link), Stamp::of(dir.path())), (None, None));
        // The clock of a file goes in steps.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut file = File::options().write(true).open(&path).unwrap();
        file.write_all(b"I").unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_ne!(Stamp::of(&path), Some(stamp));
        fs::remove_file(&path).unwrap();
        assert_eq!(Stamp::of(&path), None);
    }

    /// What stage one writes PID 1 can read, and serde_json reads the same in it.
    #[test]
    fn a_job_comes_through_the_hand_off_as_it_was() {
        use crate::bytes::packed::Codec;
        use crate::plan::{Destination, Method, SizedVolume};
        let packing = Packing {
            codec: Codec::Xz,
            packed: 7,
            length: u64::MAX,
            memory: 3,
        };
        let geometry = mtd_rs::Geometry::nor(1 << 20, 64 << 10);
        let write = |id: &str, method| {
            let to = Destination {
                id: id.parse().unwrap(),
                name: "a \"name\"\u{e9}".into(),
                size: 1 << 20,
                erase_size: 64 << 10,
                bad: vec![0, 65536],
            };
            crate::plan::Write::new(to, &geometry, 65536, 5..70_000).by(method, &geometry)
        };
        let job = Job {
            writes: vec![write("mtd0", Method::BLOCKS), write("ubi0_1", Method::VolumeUpdate)],
            sha256: "00".repeat(32),
            versions: Versions {
                offered: Some("2".into()),
                before: None,
                action: None,
            },
            packings: vec![None, Some(packing)],
            stamps: vec![
                None,
                Some(Stamp {
                    inode: u64::MAX,
                    length: 0,
                    modified: (i64::MIN, 999_999_999),
                    changed: (-1, 0),
                }),
            ],
            members: vec![Member {
                range: 0..u64::MAX,
                packing,
            }],
            board: Some("qnap-ts219".into()),
            volumes: Some(VolumeChanges {
                ubi: 0,
                leb_size: 1,
                removed: Some(2),
                sized: vec![SizedVolume {
                    id: 3,
                    name: "rootfs".into(),
                    had: None,
                    gets: 4,
                }],
                data: None,
            }),
            on_fault: OnFault::default(),
            partly: true,
            files: None,
            listen: Listen::parse("0.0.0.0:80"),
            reached: "writing".into(),
            again: vec!["apply".into(), String::new()],
        };
        let packed = job.pack().unwrap();
        let back = Job::unpack(&packed).unwrap();
        assert_eq!(back.pack().unwrap().payload, packed.payload);
        let theirs: Job = serde_json::from_str(&packed.payload).unwrap();
        assert_eq!(theirs.pack().unwrap().payload, packed.payload);
        assert_eq!((back.writes, back.members), (job.writes, job.members));
    }
}
