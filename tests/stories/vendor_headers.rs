//! Headers of vendors that the boot loaders of some boxes read: TP-Link's first, SEAMA, TRX. Taken where the profile says so, with
//! their checksums and numbers; refused elsewhere.

use crate::simbox::{SimBox, bytes, flasher, read, tool};
use crc::{CRC_32_ISO_HDLC, Crc};
use serde_json::json;

fn md5(sim: &SimBox, data: &[u8]) -> Vec<u8> {
    let path = sim.file("summed", data);
    let text = String::from_utf8(tool("md5sum", &[&path]).stdout).unwrap();
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..32).step_by(2).map(digit).collect()
}

fn squashfs(sim: &SimBox) -> Vec<u8> {
    let (root, out) = (sim.dir.path().join("root"), sim.dir.path().join("squashfs"));
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(root.join("noise"), bytes(70_000, 8)).unwrap();
    tool(
        "mksquashfs",
        &[root.to_str().unwrap(), out.to_str().unwrap(), "-noappend", "-quiet"],
    );
    read(&out)
}

/// A sysupgrade image as `mktplinkfw -s -a 0x10000` of openwrt/firmware-utils makes it, from the description of its header;
/// without metadata behind it.
fn tplink(sim: &SimBox, hardware: u32) -> Vec<u8> {
    let (kernel, root) = (bytes(50_000, 1), squashfs(sim));
    let mut image = vec![0; 0x200];
    image.extend(&kernel);
    image.resize(image.len().next_multiple_of(0x10000), 0xff);
    let root_at = image.len() as u32;
    image.extend(&root);
    let word = |image: &mut Vec<u8>, at: usize, value: u32| image[at..at + 4].copy_from_slice(&value.to_be_bytes());
    image[..4].copy_from_slice(&[1, 0, 0, 0]);
    image[4..11].copy_from_slice(b"OpenWrt");
    image[28..34].copy_from_slice(b"r20134");
    word(&mut image, 0x40, hardware);
    word(&mut image, 0x44, 1);
    // The salt of an image without a boot loader.
    image[0x4c..0x5c].copy_from_slice(&[
        0xdc, 0xd7, 0x3a, 0xa5, 0xc3, 0x95, 0x98, 0xfb, 0xdd, 0xf9, 0xe7, 0xf4, 0x0e, 0xae, 0x47, 0x38,
    ]);
    word(&mut image, 0x74, 0x8006_0000);
    word(&mut image, 0x78, 0x8006_0000);
    word(&mut image, 0x7c, 0x7c_0000);
    word(&mut image, 0x80, 0x200);
    word(&mut image, 0x84, kernel.len() as u32);
    word(&mut image, 0x88, root_at);
    word(&mut image, 0x8c, root.len() as u32);
    seal(sim, image)
}

/// With the MD5 over all of it and the salt.
fn seal(sim: &SimBox, mut image: Vec<u8>) -> Vec<u8> {
    let sum = md5(sim, &image);
    image[0x4c..0x5c].copy_from_slice(&sum);
    image
}

#[test]
fn an_image_with_tp_links_header_goes_to_the_box_whose_number_it_has() {
    let sim = SimBox::new("tplink-wdr3600");
    let image = tplink(&sim, 0x3600_0001);
    let path = sim.file("image", &image);
    let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
    assert_eq!(report["format"], "tplink-v1");
    assert_eq!(report["boards"], json!(["tplink-wdr3600"]));
    assert_eq!(report["parts"][0]["content"]["hardware"], "36000001");
    let text = flasher(&["inspect", &path]).out;
    assert!(
        text.contains("of OpenWrt, r20134") && text.contains("checked"),
        "{text}"
    );
    sim.apply(&[&path]).exits(0);
    assert!(sim.flash()[0x20000..0x20000 + image.len()] == image);
    // As OpenWrt delivers it.
    let mut delivered = image.clone();
    let json = br#"{"metadata_version":"1.0","supported_devices":["tplink,tl-wdr3600-v1"]}"#;
    crate::formats::trailer(&mut delivered, 1, &[&[0; 8], &json[..]].concat());
    sim.apply(&[&sim.file("sysupgrade", &delivered)]).exits(0);
    let before = sim.flash();
    for at in [0x40, 0x4c, 0x7e, 0x84, 0x88, 0x8d, 0x200, 30_000, image.len() - 1] {
        let mut bad = image.clone();
        bad[at] ^= 0x40;
        let run = sim.apply(&["--part", "firmware", &sim.file("bad", &bad)]);
        assert!([65, 78].contains(&run.exit), "bit at {at:#x}: {run:?}");
    }
    for length in [0x200, 0x1000, image.len() / 2, image.len() - 1] {
        let run = sim.apply(&["--part", "firmware", &sim.file("cut", &image[..length])]);
        assert!([65, 78].contains(&run.exit), "{length}: {run:?}");
    }
    // Of another box; one that is only to be started once, and so has no MD5.
    let path = sim.file("other", &tplink(&sim, 0x4300_0001));
    let run = sim.apply(&[&path]).exits(78);
    assert_eq!(run.json()["code"], "metadata", "{run:?}");
    assert!(run.out.contains("for hardware 43000001"), "{run:?}");
    let mut once = image.clone();
    once[0x4c..0x5c].fill(0);
    sim.apply(&[&sim.file("once", &once)]).exits(65);
    assert!(sim.flash() == before);
    let other = SimBox::new("generic");
    let run = other.apply(&["--part", "kernel", &sim.file("image", &image)]).exits(78);
    assert!(run.out.contains("a TP-Link image"), "{run:?}");
    // The copy of a partition, in which more stands behind it.
    let backup = sim.dir.path().join("backup");
    sim.run("backup", &[backup.to_str().unwrap()]).exits(0);
    sim.run("restore", &["-y", "--force", "metadata", backup.to_str().unwrap()])
        .exits(0);
}

/// As TP-Link's page offers it: a header of its own, the boot loader, and then what lies on the flash. Written as it is, the boot
/// loader would lie where the kernel belongs.
#[test]
fn an_image_of_tp_links_with_a_boot_loader_in_it_is_refused_with_where_the_image_begins() {
    let sim = SimBox::new("tplink-wdr3600");
    let inner = tplink(&sim, 0x3600_0001);
    let mut image = inner[..0x200].to_vec();
    image[0x4c..0x5c].copy_from_slice(&[
        0x8c, 0xef, 0x33, 0x5b, 0xd5, 0xc5, 0xce, 0xfa, 0xa7, 0x9c, 0x28, 0xda, 0xb2, 0xe9, 0x0f, 0x42,
    ]);
    image[0x94..0x98].copy_from_slice(&0xc38fu32.to_be_bytes());
    image.extend(bytes(0xc38f, 3));
    image.resize(0x20200, 0xff);
    image.extend(&inner);
    let image = seal(&sim, image);
    let path = sim.file("up_boot", &image);
    let text = flasher(&["inspect", &path]).exits(0).out;
    assert!(
        text.contains("TP-Link's, with a boot loader") && text.contains("dd bs=512 skip=257"),
        "{text}"
    );
    let before = sim.flash();
    for args in [&[path.as_str()][..], &["--part", "firmware", &path]] {
        let run = sim.apply(args);
        assert!([65, 78].contains(&run.exit), "{args:?}: {run:?}");
        assert!(run.out.contains("dd bs=512 skip=257"), "{args:?}: {run:?}");
    }
    assert!(sim.flash() == before);
    // Where no second header begins nobody knows where the rest does.
    let path = sim.file("other", &image[..0x20200]);
    let run = sim.apply(&["--part", "firmware", &path]).exits(78);
    assert!(run.out.contains("with a boot loader behind it"), "{run:?}");
    let path = sim.file("inner", &image[0x20200..]);
    sim.apply(&[&path]).exits(0);
}

pub fn entity(sim: &SimBox, texts: &[u8], data: &[u8]) -> Vec<u8> {
    let mut image = 0x5ea3_a417u32.to_be_bytes().to_vec();
    image.extend([0, 0]);
    image.extend((texts.len() as u16).to_be_bytes());
    image.extend((data.len() as u32).to_be_bytes());
    if !data.is_empty() {
        image.extend(md5(sim, data));
    }
    image.extend(texts);
    image.extend(data);
    image
}

#[test]
fn a_seama_image_goes_where_the_profile_says() {
    let sim = SimBox::changed("generic", |profile| {
        profile["accepts"] = json!([{ "format": "seama", "parts": ["kernel"] }]);
    });
    let image = entity(&sim, b"dev=/dev/mtdblock/1\0type=firmware\0\0\0", &bytes(40_000, 2));
    let path = sim.file("image", &image);
    let text = flasher(&["inspect", &path]).exits(0).out;
    assert!(
        text.contains("SEAMA") && text.contains("dev=/dev/mtdblock/1 type=firmware, checked"),
        "{text}"
    );
    sim.apply(&[&path]).exits(0);
    assert!(sim.flash()[0x50000..0x50000 + image.len()] == image);
    for at in [9, 14, 100, image.len() - 1] {
        let mut bad = image.clone();
        bad[at] ^= 1;
        sim.apply(&[&sim.file("bad", &bad)]).exits(65);
    }
    sim.apply(&[&sim.file("cut", &image[..image.len() - 1])]).exits(65);
    // With the seal of a factory image in front.
    let sealed = [
        entity(&sim, b"signature=wrgac05_dlob.hans_dir850l\0", b""),
        image.clone(),
    ]
    .concat();
    let run = sim.apply(&[&sim.file("sealed", &sealed)]).exits(65);
    assert!(run.out.contains("is sealed"), "{run:?}");
    // Where nothing says so; and where there is one already.
    let other = SimBox::new("generic");
    let path = other.file("image", &image);
    let run = other.apply(&["--part", "kernel", &path]).exits(78);
    assert!(run.out.contains("a SEAMA image"), "{run:?}");
    other.apply(&["--part", "kernel", "--force", "content", &path]).exits(0);
    let next = entity(&other, b"dev=/dev/mtdblock/1\0", &bytes(30_000, 3));
    other.apply(&["--part", "kernel", &other.file("next", &next)]).exits(0);
}

/// The block with the header is erased first and written last, so that after a power cut nothing of it is on flash.
#[test]
fn the_same_image_is_taken_after_a_power_cut_that_left_no_header() {
    let sim = SimBox::new("tplink-wdr3600");
    let mut image = entity(&sim, b"dev=/dev/mtdblock/1\0type=firmware\0\0\0", &bytes(40_000, 2));
    let plain = sim.file("plain", &image);
    crate::formats::metadata(&mut image, "\"tplink,tl-wdr3600-v1\"", "1.0");
    let path = sim.file("image", &image);
    sim.apply(&["--part", "firmware", &path]).exits(0);
    let whole = sim.flash();
    let mut cut = whole.clone();
    cut[0x2_0000..0x3_0000].fill(0xff);
    sim.fill(&cut);
    let run = sim.apply(&["--part", "firmware", &plain]).exits(78);
    assert_eq!(
        run.json()["code"],
        "content",
        "without metadata nothing says that it belongs there: {run:?}"
    );
    sim.apply(&["--part", "firmware", &path]).exits(0);
    assert!(sim.flash() == whole);
}

/// Of the second version the CRC takes the bytes in which a boot loader counts its tries for blank.
#[test]
fn a_trx_of_the_second_version() {
    let sim = SimBox::new("generic");
    let mut image = b"HDR0\0\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    for offset in [32u32, 2048, 12_000, 20_000] {
        image.extend(offset.to_le_bytes());
    }
    image.extend(bytes(19_968, 4));
    image.extend(b"E300\0\0\0\0\0\0\0\0\0\0U2ND");
    image.resize(20_480, 0);
    let length = image.len() as u32;
    image[4..8].copy_from_slice(&length.to_le_bytes());
    let mut blank = image[12..].to_vec();
    blank[20_000 - 12 + 22..20_000 - 12 + 30].fill(0xff);
    let crc = !Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&blank);
    image[8..12].copy_from_slice(&crc.to_le_bytes());
    sim.apply(&["--part", "kernel", &sim.file("image", &image)]).exits(0);
    // These may be anything; all others count.
    for at in [20_022, 20_029] {
        let mut tried = image.clone();
        tried[at] ^= 0xff;
        sim.apply(&["--part", "kernel", &sim.file("tried", &tried)]).exits(0);
    }
    for at in [16, 3000, 20_021, 20_030, 20_479] {
        let mut bad = image.clone();
        bad[at] ^= 1;
        sim.apply(&["--part", "kernel", &sim.file("bad", &bad)]).exits(65);
    }
}

/// Of the second version a header has text that is filled up with 0xff behind its zero, as `mktplinkfw2` writes it.
#[test]
fn tp_links_second_header_is_known_as_its_tool_makes_it() {
    let sim = SimBox::new("generic");
    for version in [2, 3] {
        let mut image = vec![0xff; 0x200];
        image[..4].copy_from_slice(&[version, 0, 0, 0]);
        image[4..13].copy_from_slice(b"ver. 1.0\0");
        image[0x8c..0x8e].copy_from_slice(&[0x55, 0xaa]);
        image.extend(bytes(20_000, 6));
        let run = sim.apply(&["--part", "kernel", &sim.file("image", &image)]).exits(78);
        assert!(run.out.contains("a TP-Link image, version 2"), "{run:?}");
    }
}

/// As boot loaders of Netgear and others want it (`openwrt,ih-magic`): with all that a uImage is held against.
#[test]
fn a_uimage_with_another_magic_number() {
    let sim = SimBox::new("generic");
    let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC);
    let plain = read(std::path::Path::new(&crate::containers::uimage(
        &sim,
        &bytes(30_000, 4),
    )));
    let with = |magic: u32, arch: u8| {
        let mut image = plain.clone();
        image[..4].copy_from_slice(&magic.to_be_bytes());
        image[4..8].fill(0);
        image[29] = arch;
        let sum = crc.checksum(&image[..64]);
        image[4..8].copy_from_slice(&sum.to_be_bytes());
        image
    };
    let apply = |image: &[u8]| sim.apply(&["--part", "kernel", &sim.file("image", image)]);
    for magic in [0x8380_0000, 0x3337_3031, u32::from_be_bytes(*b"OKLI")] {
        sim.fill(&vec![0xff; sim.flash().len()]);
        let image = with(magic, plain[29]);
        let path = sim.file("image", &image);
        let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
        assert_eq!(report["format"], "uimage", "{report}");
        let run = apply(&image).exits(0);
        let says = format!("the magic number 0x{magic:08x}: whether the boot loader takes that is not known");
        assert!(run.out.contains(&says), "{run:?}");
        // Now there is one like it.
        assert!(
            !apply(&with(magic, plain[29]))
                .exits(0)
                .out
                .contains("magic number 0x27051956")
        );
        let run = sim
            .run("plan", &["--part", "kernel", &sim.file("plain", &plain)])
            .exits(0);
        let says = format!("that which lies there now has the magic number 0x{magic:08x}");
        assert!(run.out.contains(&says), "{run:?}");
        let mut bad = image.clone();
        bad[9000] ^= 1;
        apply(&bad).exits(65);
        apply(&image[..20_000]).exits(65);
    }
    // For MIPS; and the profile's words mean U-Boot's own magic number.
    let arm = SimBox::new("qnap-ts219");
    let kernel = |image: &[u8]| arm.apply(&["--part", "Kernel", &arm.file("image", image)]);
    kernel(&with(0x3337_3031, 5)).exits(78);
    let run = kernel(&with(0x3337_3031, plain[29])).exits(78);
    assert!(run.out.contains("the magic number 0x33373031"), "{run:?}");
}
