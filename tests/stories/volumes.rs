//! What goes into volumes of UBI: a UBIFS is known by its content and refused where no volume is, and a volume that is
//! replaced only as a whole is replaced as a whole.

use crate::engine::{target, write_to};
use crate::simbox::{SimBox, bytes, flasher, read, tool};
use flasher::base::error::Harm;
use flasher::base::outcome::Stopped;
use flasher::bytes::store::Store;
use flasher::flash::{self, Policy, Verified};
use flasher::plan::{Method, Write};
use mtd_rs::{Error, ErrorKind, Flash, FlashKind, Geometry, Operation, SimChip};
use std::cell::RefCell;
use std::fs;
use std::ops::Range;
use std::rc::Rc;

/// A UBIFS for pages and logical erase blocks of so many bytes, with a file that fills some of them.
pub fn ubifs(page: usize, block: usize) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let [root, out] = ["root", "out"].map(|name| dir.path().join(name));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), bytes(300_000, 4)).unwrap();
    let [page, block] = [page, block].map(|number| number.to_string());
    let (root, out) = (root.to_str().unwrap(), out.to_str().unwrap());
    tool(
        "mkfs.ubifs",
        &["-m", &page, "-e", &block, "-c", "60", "-r", root, "-o", out],
    );
    read(out.as_ref())
}

#[test]
fn an_ubifs_is_known_by_its_superblock_and_each_bit_of_that_counts() {
    let sim = SimBox::new("thincan");
    for (page, block) in [(2048, 126_976), (512, 15_360), (8, 65_408)] {
        let image = ubifs(page, block);
        let path = sim.file("image", &image);
        let said = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
        assert_eq!(said["format"], "ubifs");
        let content = &said["parts"][0]["content"];
        assert_eq!(content["length"], image.len(), "{content}");
        assert_eq!(content["erase_size"], block, "{content}");
        assert_eq!(content["page_size"], page, "{content}");
        assert_eq!(content["role"], "filesystem");
        let text = flasher(&["inspect", &path]).exits(0).out;
        assert!(
            text.contains("volumes of up to 60 blocks") && text.contains("checked"),
            "{text}"
        );
        // Behind its common header the superblock has no byte that the CRC leaves out.
        for at in [4, 9, 16, 33, 37, 41, 2000, 4095] {
            let mut damaged = image.clone();
            damaged[at] ^= 0x10;
            let path = sim.file("damaged", &damaged);
            let said = flasher(&["inspect", "--format", "json", &path]).exits(65).json();
            assert_eq!(said["format"], "ubifs", "byte {at}");
            let problem = said["parts"][0]["content"]["problem"].as_str().unwrap().to_owned();
            assert!(problem.contains("superblock fails its CRC"), "byte {at}: {problem}");
        }
        // Neither has what stands behind it, but for padding and the tree of what is used in its blocks.
        let field = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap()) as usize;
        let tree = 3 + field(56)..3 + field(56) + field(60);
        let mut flipped = 0;
        let places = (4200..image.len()).step_by(image.len() / 30);
        for at in places.filter(|at| image[*at] != 0) {
            let mut damaged = image.clone();
            damaged[at] ^= 0x10;
            let said = flasher(&["inspect", &sim.file("damaged", &damaged)]);
            let found = said.out.contains("DAMAGED: a node of the ubifs fails its CRC");
            assert_eq!(found, !tree.contains(&(at / block)), "byte {at}: {said:?}");
            said.exits(if found { 65 } else { 0 });
            flipped += usize::from(found);
        }
        assert!(flipped > 10, "{flipped} of 30");
        for length in [24, 4095, image.len() - 1] {
            let path = sim.file("short", &image[..length]);
            flasher(&["inspect", &path]).exits(65);
        }
    }
}

/// A box cannot start from a UBIFS on bare flash, whatever its size.
#[test]
fn an_ubifs_is_refused_for_a_partition_of_the_chip_with_the_two_ways_that_there_are() {
    for board in ["thincan", "qnap-ts219"] {
        let sim = SimBox::new(board);
        let before = sim.flash();
        let part = if board == "thincan" { "root" } else { "RootFS1" };
        let path = sim.file("image", &ubifs(2048, 126_976));
        let run = sim.apply(&["--part", part, &path]).exits(78);
        assert_eq!(run.json()["code"], "content");
        let said = format!("{}{}", run.out, run.err);
        assert!(said.contains("lies in a volume of UBI"), "{said}");
        assert!(said.contains("ubiattach -m") && said.contains("ubinize"), "{said}");
        assert!(sim.flash() == before);
        sim.apply(&["--part", part, "--force=content", &path]).exits(0);
    }
}

const BLOCK: usize = 8192;
const BLOCKS: usize = 6;

/// A static volume, as UBI has them: emptied when an update begins, without content until it is over.
#[derive(Default)]
struct Model {
    /// What it holds; `None` while the update marker is set.
    content: Option<Vec<u8>>,
    update: Option<(usize, Vec<u8>)>,
    updates: u32,
    /// Bytes of updates that still succeed.
    room: Option<usize>,
    /// Whether somebody else has it open.
    busy: bool,
    /// The byte that reads wrong.
    flips: Option<usize>,
}

struct Volume {
    model: Rc<RefCell<Model>>,
    geometry: Geometry,
}

fn fail(at: u64, number: i32) -> Error {
    Error::io(
        Operation::Program,
        "ubi0_1 \"kernel\"",
        Some(at),
        std::io::Error::from_raw_os_error(number),
    )
}

impl Flash for Volume {
    fn label(&self) -> &str {
        "ubi0_1 \"kernel\""
    }
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }
    fn read(&mut self, offset: u64, buf: &mut [u8]) -> mtd_rs::Result<()> {
        let model = self.model.borrow();
        let content = model.content.as_ref().ok_or_else(|| fail(offset, libc::EBADF))?;
        let at = offset as usize;
        let here = content
            .get(at..at + buf.len())
            .ok_or_else(|| Error::new(Operation::Read, self.label(), Some(offset), ErrorKind::ShortRead))?;
        buf.copy_from_slice(here);
        if let Some(flip) = model.flips.filter(|flip| (at..at + buf.len()).contains(flip)) {
            buf[flip - at] ^= 1;
        }
        Ok(())
    }
    fn erase(&mut self, block: u64) -> mtd_rs::Result<()> {
        Err(fail(block, libc::EROFS))
    }
    fn program(&mut self, offset: u64, data: &[u8]) -> mtd_rs::Result<()> {
        let mut model = self.model.borrow_mut();
        let Some((bytes, mut written)) = model.update.take() else {
            return Err(fail(offset, libc::EPERM));
        };
        assert_eq!(offset as usize, written.len(), "in order and without gaps");
        if let Some(room) = model.room {
            if room < data.len() {
                return Err(fail(offset, libc::EIO));
            }
            model.room = Some(room - data.len());
        }
        written.extend(data);
        match written.len() == bytes {
            true => model.content = Some(written),
            false => model.update = Some((bytes, written)),
        }
        Ok(())
    }
    fn holds(&self) -> Option<u64> {
        Some(
            self.model
                .borrow()
                .content
                .as_ref()
                .map_or(0, |content| content.len() as u64),
        )
    }
    fn replace(&mut self, bytes: u64) -> mtd_rs::Result<()> {
        let mut model = self.model.borrow_mut();
        if model.busy {
            return Err(fail(0, libc::EBUSY));
        }
        model.content = None;
        model.update = Some((bytes as usize, Vec::new()));
        model.updates += 1;
        Ok(())
    }
    fn is_bad(&mut self, _: u64) -> mtd_rs::Result<bool> {
        Ok(false)
    }
    fn mark_bad(&mut self, block: u64) -> mtd_rs::Result<()> {
        Err(fail(block, libc::EOPNOTSUPP))
    }
    fn is_locked(&mut self, _: Range<u64>) -> mtd_rs::Result<Option<bool>> {
        Ok(None)
    }
    fn unlock(&mut self, _: Range<u64>) -> mtd_rs::Result<()> {
        Ok(())
    }
    fn lock(&mut self, range: Range<u64>) -> mtd_rs::Result<()> {
        Err(fail(range.start, libc::EOPNOTSUPP))
    }
    fn ecc_stats(&mut self) -> mtd_rs::Result<Option<mtd_rs::EccStats>> {
        Ok(Some(mtd_rs::EccStats::default()))
    }
}

/// The volume opened once more; the model is what the kernel has of it.
fn open(model: &Rc<RefCell<Model>>) -> Box<dyn Flash> {
    Box::new(Volume {
        model: Rc::clone(model),
        geometry: Geometry {
            kind: FlashKind::UbiVolume,
            size: (BLOCKS * BLOCK) as u64,
            erase_size: BLOCK as u32,
            write_size: 2048,
            oob_size: 0,
            flags: 0x400,
            regions: Vec::new(),
        },
    })
}

fn planned(image: &Store) -> Write {
    let geometry = Geometry::nor((BLOCKS * BLOCK) as u64, BLOCK as u32);
    write_to(&geometry, image.len(), false).by(Method::VolumeUpdate, &geometry)
}

fn run(model: &Rc<RefCell<Model>>, image: &Store) -> Result<Verified, Stopped> {
    let policy = Policy {
        keep_old: 1 << 30,
        mark_bad: false,
    };
    flash::write(vec![target(&planned(image), open(model))], image, policy, &mut |_| ())?.verify(image, &mut |_| ())
}

/// What was written before it can still be put back then.
#[test]
fn a_volume_that_somebody_else_has_open_leaves_everything_as_it_was() {
    let (old, image) = (bytes(BLOCKS * BLOCK, 1), Store::Memory(bytes(4 * BLOCK, 2)));
    let geometry = Geometry::nor((BLOCKS * BLOCK) as u64, BLOCK as u32);
    let chip = SimChip::nor(geometry.size, BLOCK as u32).build().unwrap();
    chip.load(0, &old);
    let model = Rc::new(RefCell::new(Model {
        content: Some(old.clone()),
        busy: true,
        ..Model::default()
    }));
    let policy = Policy {
        keep_old: 1 << 30,
        mark_bad: false,
    };
    let kernel = target(&write_to(&geometry, image.len(), false), Box::new(chip.whole("mtd0")));
    let targets = vec![kernel, target(&planned(&image), open(&model))];
    let stopped = flash::write(targets, &image, policy, &mut |_| ()).err().unwrap();
    assert_eq!(stopped.failure.harm, Harm::Untouched, "{}", stopped.failure);
    assert!(chip.contents(0..geometry.size) == old && model.borrow().content.as_ref() == Some(&old));
}

fn unchanged(model: &Rc<RefCell<Model>>, image: &Store) -> Option<u64> {
    let surveys = flash::survey(&[planned(image)], image, &mut None, |_| Ok(open(model)), |_| ()).unwrap();
    Some(surveys[0].up_to_date.len() as u64)
}

#[test]
fn a_static_volume_is_written_from_its_beginning_to_the_end_of_the_image_and_left_alone_when_it_is_right() {
    let old = bytes(4 * BLOCK + 99, 1);
    let model = Rc::new(RefCell::new(Model {
        content: Some(old.clone()),
        ..Model::default()
    }));
    // Not whole blocks, nor whole pages; and the first blocks are the old ones.
    let mut new = old[..3 * BLOCK + 1001].to_vec();
    for (number, change) in [(1, true), (2, false)] {
        if !change {
            new[2 * BLOCK] ^= 1;
        }
        let image = Store::Memory(new.clone());
        assert_eq!(
            unchanged(&model, &image),
            Some(0),
            "of another length, or of other bytes, all of it"
        );
        let verified = run(&model, &image).unwrap();
        assert_eq!((verified.tally.erased, verified.tally.unchanged), (4, 0));
        assert_eq!(verified.kept, 0, "nothing that could be put back");
        assert!(model.borrow().content.as_ref() == Some(&new));
        assert_eq!(unchanged(&model, &image), Some(4));
        let verified = run(&model, &image).unwrap();
        assert_eq!((verified.tally.erased, verified.tally.unchanged), (0, 4));
        assert_eq!(model.borrow().updates, number);
    }
}

#[test]
fn an_update_that_breaks_off_is_partly_written_and_the_next_run_completes_it() {
    let (old, new) = (bytes(4 * BLOCK, 1), bytes(3 * BLOCK + 7, 2));
    let image = Store::Memory(new.clone());
    for room in [0, BLOCK, 3 * BLOCK] {
        let model = Rc::new(RefCell::new(Model {
            content: Some(old.clone()),
            room: Some(room),
            ..Model::default()
        }));
        let stopped = run(&model, &image).unwrap_err();
        assert_eq!(stopped.failure.harm, Harm::Partly);
        assert!(stopped.failure.hint.as_deref().unwrap().contains("same command again"));
        assert!(model.borrow().content.is_none(), "nothing can be read now");
        assert_eq!(unchanged(&model, &image), Some(0), "and nothing is read");
        model.borrow_mut().room = None;
        let _ = run(&model, &image).unwrap();
        assert!(model.borrow().content.as_ref() == Some(&new));
    }
    // What reads back wrong is never called written.
    let model = Rc::new(RefCell::new(Model {
        content: Some(old),
        flips: Some(2 * BLOCK + 5),
        ..Model::default()
    }));
    let stopped = run(&model, &image).unwrap_err();
    assert_eq!(stopped.failure.harm, Harm::Partly);
    assert!(stopped.failure.what.contains("0x4000"), "{}", stopped.failure);
}
