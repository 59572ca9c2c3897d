//! What is packed within an image whose own checksums are right: a boot loader or kernel unpacks it, and finds it damaged too late.

use crate::insides::{numbered, packed};
use crate::simbox::{SimBox, bytes, flasher};
use crate::vendor_headers::entity;

/// With what parts are packed, and the number by which a uImage says so.
const PACKERS: [(&str, &[&str], u8); 3] = [("gzip", &["-n"], 1), ("bzip2", &[], 2), ("lzma", &["-5"], 3)];

/// A kernel that packs well at its end.
fn plain() -> Vec<u8> {
    [bytes(150_000, 61), vec![0; 100_000]].concat()
}

pub fn trx(parts: &[&[u8]]) -> Vec<u8> {
    let (mut offsets, mut body) = (Vec::new(), Vec::new());
    for part in parts {
        offsets.push(28 + body.len() as u32);
        body.extend_from_slice(part);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    offsets.resize(3, 0);
    let mut rest = vec![0, 0, 1, 0];
    rest.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
    rest.extend(body);
    let sum = !crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&rest);
    let length = 12 + rest.len() as u32;
    [&b"HDR0"[..], &length.to_le_bytes(), &sum.to_le_bytes(), &rest].concat()
}

/// A box whose partitions may hold anything.
fn the_box() -> SimBox {
    SimBox::of_anything("generic")
}

#[track_caller]
pub fn refused(sim: &SimBox, what: &str, image: &[u8], says: &str) {
    let before = sim.flash();
    let run = sim.apply(&["--part", "kernel", &sim.file("image", image)]);
    assert!([65, 78].contains(&run.exit), "{what}: {run:?}");
    assert_eq!(run.json()["code"], "content", "{what}: {run:?}");
    assert!(run.out.contains(says), "{what}: {run:?}");
    assert!(sim.flash() == before, "{what}");
}

#[track_caller]
pub fn planned(sim: &SimBox, what: &str, image: &[u8]) {
    let run = sim.run("plan", &["--part", "kernel", &sim.file("image", image)]);
    assert_eq!(run.exit, 0, "{what}: {run:?}");
}

/// The places where it is broken, each with a name.
fn broken(packed: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut flipped = packed.to_vec();
    flipped[packed.len() / 2] ^= 0x10;
    vec![
        ("flipped", flipped),
        ("cut", packed[..packed.len() - 40].to_vec()),
        ("half", packed[..packed.len() / 2].to_vec()),
        ("nothing", packed[..20].to_vec()),
    ]
}

#[test]
fn a_packed_kernel_in_a_uimage_is_whole() {
    let sim = the_box();
    for (packer, flags, number) in PACKERS {
        let whole = packed(&sim, &plain(), packer, flags);
        planned(&sim, packer, &numbered(&whole, 2, number, 5));
        // Boot loaders pass over what stands behind it, and some unpack what says that it is not packed.
        planned(&sim, packer, &numbered(&[&whole[..], &[0; 500]].concat(), 2, number, 5));
        planned(&sim, packer, &numbered(&whole, 2, 0, 5));
        planned(&sim, packer, &numbered(&whole, 3, number, 5));
        for (how, part) in broken(&whole) {
            for (kind, says) in [(2, number), (2, 0), (3, number)] {
                let what = format!("{packer} {how} {kind} {says}");
                refused(&sim, &what, &numbered(&part, kind, says, 5), packer);
            }
        }
        let twice = packed(&sim, &whole, "gzip", &["-n"]);
        if packer != "lzma" {
            refused(&sim, packer, &numbered(&twice, 2, 1, 5), "it is packed twice");
        }
    }
}

#[test]
fn a_packed_part_of_a_trx_is_whole() {
    let sim = the_box();
    for (packer, flags, _) in PACKERS {
        let whole = packed(&sim, &plain(), packer, flags);
        let loader = packed(&sim, &bytes(4000, 62), "gzip", &["-n"]);
        planned(&sim, packer, &trx(&[&whole]));
        planned(&sim, packer, &trx(&[&loader, &whole]));
        for (how, part) in broken(&whole) {
            let what = format!("{packer} {how}");
            refused(&sim, &what, &trx(&[&part]), packer);
            refused(&sim, &what, &trx(&[&loader, &part]), packer);
        }
    }
}

#[test]
fn what_is_in_a_seama_image_is_a_kernel_that_is_whole() {
    let sim = the_box();
    let texts = b"dev=/dev/mtdblock/1\0type=firmware\0\0\0";
    for (packer, flags, _) in PACKERS {
        let whole = packed(&sim, &plain(), packer, flags);
        let doubt = |part: &[u8]| {
            let path = sim.file("image", &entity(&sim, texts, part));
            let report = flasher(&["inspect", "--format", "json", &path]).json();
            assert_eq!(report["format"], "seama", "{report}");
            report["parts"][0]["content"]["doubt"].as_str().map(str::to_owned)
        };
        assert_eq!(doubt(&whole), None, "{packer}");
        for (how, part) in broken(&whole) {
            let said = doubt(&part).unwrap_or_else(|| panic!("{packer} {how}"));
            assert!(said.contains(packer), "{said}");
        }
        let zip = [b"PK\x03\x04", &plain()[..]].concat();
        assert!(doubt(&zip).is_some_and(|said| said.contains("zip")));
    }
}

/// Of an image that is packed twice one packing is taken off, and what is left is not written without a word.
#[test]
fn an_image_that_is_packed_twice_is_refused_and_named() {
    let sim = the_box();
    let image = numbered(&bytes(100_000, 63), 2, 0, 5);
    for (outer, flags, _) in PACKERS {
        for (inner, _, _) in PACKERS {
            let once = packed(&sim, &image, inner, flags_of(inner));
            let twice = packed(&sim, &once, outer, flags);
            let path = sim.file("twice", &twice);
            let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
            assert_eq!(
                (&report["format"], &report["compression"]),
                (&inner.into(), &outer.into()),
                "{report}"
            );
            refused(&sim, &format!("{outer} of {inner}"), &twice, inner);
        }
    }
}

fn flags_of(packer: &str) -> &'static [&'static str] {
    PACKERS.iter().find(|(name, ..)| *name == packer).unwrap().1
}
