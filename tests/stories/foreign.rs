//! Files that are not firmware for this box as they are: archives, packings, documents, programs, copies of disks, and what
//! vendors' own installers take. Each is refused by its name, and goes to the flash only by force. Made by the real tools
//! where there are any.

use crate::simbox::{SimBox, bytes, flasher, read, tool};
use std::path::Path;

/// What `inspect` calls it, and what a refusal says of it.
struct Kind<'a> {
    word: &'a str,
    name: &'a str,
}

#[track_caller]
fn refused_by_name(sim: &SimBox, part: &str, kind: &Kind<'_>, image: &[u8]) {
    let path = sim.file("image", image);
    let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
    assert_eq!(report["format"], kind.word, "{report}");
    let text = flasher(&["inspect", &path]).exits(0);
    assert!(text.out.contains(kind.name), "{}: {text:?}", kind.word);
    let before = sim.flash();
    let run = sim.apply(&["--part", part, &path]).exits(78);
    let json = run.json();
    assert_eq!(json["code"], "content", "{}: {run:?}", kind.word);
    assert_eq!(json["harm"], "untouched");
    assert!(run.out.contains(kind.name), "{}: {run:?}", kind.word);
    assert!(sim.flash() == before, "{}", kind.word);
}

/// A small tree, and a shell in it.
fn shell(sim: &SimBox, script: &str) -> Vec<u8> {
    sim.file("firmware.bin", &bytes(20_000, 1));
    sim.file("notes.txt", b"a file beside it, so that there are two\n");
    let dir = sim.dir.path().to_str().unwrap();
    let out = sim.dir.path().join("out");
    let _ = std::fs::remove_file(&out);
    tool("sh", &["-ec", &format!("cd {dir} && {script}")]);
    read(&out)
}

#[test]
fn archives_and_packages() {
    let sim = SimBox::new("generic");
    for (word, name, script) in [
        (
            "zip",
            "a zip archive",
            "zip -q out.zip firmware.bin notes.txt && mv out.zip out",
        ),
        (
            "7z",
            "a 7z archive",
            "7zr a out.7z firmware.bin >/dev/null && mv out.7z out",
        ),
        ("ar", "an ar archive", "ar rc out firmware.bin notes.txt"),
        (
            "cpio",
            "a cpio archive",
            "printf 'firmware.bin\\nnotes.txt\\n' | cpio -o -H newc --quiet >out",
        ),
        (
            "cpio",
            "a cpio archive",
            "printf 'firmware.bin\\nnotes.txt\\n' | cpio -o -H crc --quiet >out",
        ),
        (
            "cpio",
            "a cpio archive",
            "printf 'firmware.bin\\nnotes.txt\\n' | cpio -o -H odc --quiet >out",
        ),
        (
            "cpio",
            "a cpio archive",
            "printf 'firmware.bin\\nnotes.txt\\n' | cpio -o -H bin --quiet >out",
        ),
        (
            "swu",
            "SWUpdate",
            "cp notes.txt sw-description; printf 'sw-description\\nfirmware.bin\\n' | cpio -o -H crc --quiet >out",
        ),
        (
            "deb",
            "a Debian package",
            "mkdir -p p/DEBIAN; printf 'Package: a\\nVersion: 1\\nArchitecture: all\\nMaintainer: a\\nDescription: a\\n' \
             >p/DEBIAN/control; dpkg-deb --root-owner-group -b p out.deb >/dev/null; mv out.deb out",
        ),
    ] {
        refused_by_name(&sim, "kernel", &Kind { word, name }, &shell(&sim, script));
    }
}

/// A bundle of RAUC's is a squashfs with a signature behind it: as firmware its first half would do.
#[test]
fn a_bundle_of_rauc() {
    let sim = SimBox::new("generic");
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -subj /CN=a -days 3650 2>/dev/null; \
                  mkdir -p b; cp firmware.bin b/; printf '[update]\\ncompatible=a\\nversion=1\\n[image.rootfs]\\n\
                  filename=firmware.bin\\n[bundle]\\nformat=FORMAT\\n' >b/manifest.raucm; \
                  rauc bundle --cert=cert --key=key b out.raucb >/dev/null 2>&1 && mv out.raucb out; rm -r b";
    for format in ["plain", "verity"] {
        let bundle = shell(&sim, &script.replace("FORMAT", format));
        assert!(bundle.starts_with(b"hsqs"));
        let kind = Kind {
            word: "rauc",
            name: "a RAUC bundle",
        };
        refused_by_name(&sim, "rootfs", &kind, &bundle);
    }
}

#[test]
fn packings_that_are_not_unpacked_here() {
    let sim = SimBox::new("generic");
    for (word, name, script) in [
        ("lzip", "packed with lzip", "lzip -kc firmware.bin >out"),
        ("lz4", "packed with lz4", "lz4 -q -c firmware.bin >out"),
        ("lz4", "packed with lz4", "lz4 -l -q -c firmware.bin >out"),
        ("lzo", "packed with lzop", "lzop -c firmware.bin >out"),
        (
            "android-sparse",
            "an Android sparse image",
            "truncate -s 64k firmware.bin; img2simg firmware.bin out",
        ),
    ] {
        refused_by_name(&sim, "kernel", &Kind { word, name }, &shell(&sim, script));
    }
}

#[test]
fn documents_and_programs() {
    let sim = SimBox::new("generic");
    let page =
        "\r\n<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head><title>404 Not Found</title></head>\n";
    let checksums = "d2f7  firmware.bin\n".repeat(20);
    let program = read(Path::new(env!("CARGO_BIN_EXE_flasher")));
    for (word, name, image) in [
        ("html", "HTML", page.as_bytes()),
        (
            "html",
            "HTML",
            b"\xef\xbb\xbf<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
        ),
        ("text", "text", checksums.as_bytes()),
        (
            "text",
            "text",
            "{\"message\": \"Nicht gefunden: Grüße aus der Küche\"}\n".as_bytes(),
        ),
        (
            "script",
            "a script",
            b"#!/bin/sh\nexec wget http://192.168.1.1/firmware.bin\n",
        ),
        ("elf", "an ELF program", &program[..100_000]),
        (
            "program",
            "a program of another system",
            &[&b"\xca\xfe\xba\xbe\0\0\0\x34"[..], &bytes(300, 2)].concat(),
        ),
        (
            "program",
            "a program of another system",
            &[&b"\xcf\xfa\xed\xfe\x07\0\0\x01"[..], &bytes(300, 2)].concat(),
        ),
        (
            "uf2",
            "microcontroller",
            &[&b"UF2\nWQ]\x9e"[..], &bytes(504, 2)].concat(),
        ),
        (
            "apple-double",
            "the one without ._ in front",
            &[&b"\0\x05\x16\x07\0\x02\0\0Mac OS X        \0\x02"[..], &bytes(300, 2)].concat(),
        ),
        (
            "encrypted",
            "encrypted",
            &[&b"age-encryption.org/v1\n-> X25519 "[..], &bytes(300, 2)].concat(),
        ),
        (
            "delta",
            "the difference between two files",
            &[&b"zsync: 0.6.2\nFilename: firmware.bin\n"[..], &bytes(300, 2)].concat(),
        ),
        ("apk", "a package of apk", &[&b"ADBd"[..], &bytes(300, 2)].concat()),
        (
            "database",
            "a database",
            &[&b"SQLite format 3\0"[..], &bytes(300, 2)].concat(),
        ),
        (
            "capture",
            "network traffic",
            &[&b"\xd4\xc3\xb2\xa1\x02\0\x04\0"[..], &bytes(300, 2)].concat(),
        ),
        (
            "pdf",
            "a PDF document",
            b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n",
        ),
        (
            "picture",
            "a picture",
            &[&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"[..], &bytes(300, 2)].concat(),
        ),
        (
            "signature",
            "a signature",
            b"untrusted comment: signature from minisign secret key\nRWQ=\n",
        ),
    ] {
        refused_by_name(&sim, "kernel", &Kind { word, name }, image);
    }
}

#[test]
fn text_in_other_encodings_and_what_is_encrypted() {
    let sim = SimBox::new("generic");
    let page = "printf '<html><body>Die Datei wurde nicht gefunden, bitte \\303\\274ber die Startseite</body></html>\\n%.0s' \
                1 2 3 4 5 6 7 8 9 >page";
    let keys = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -subj /CN=a -days 3650 2>/dev/null";
    for (word, name, script) in [
        (
            "text",
            "text",
            format!("{page}; tail -c +13 page | iconv -f utf-8 -t latin1 >out"),
        ),
        (
            "text",
            "text",
            format!("{page}; (printf '\\377\\376'; iconv -f utf-8 -t utf-16le page) >out"),
        ),
        (
            "text",
            "text",
            format!("{page}; (printf '\\376\\377'; iconv -f utf-8 -t utf-16be page) >out"),
        ),
        (
            "encrypted",
            "encrypted",
            "openssl enc -aes-256-cbc -pbkdf2 -pass pass:a -in firmware.bin -out out".to_owned(),
        ),
        (
            "encrypted",
            "encrypted",
            format!(
                "{keys}; openssl cms -sign -nodetach -binary -in firmware.bin -signer cert -inkey key -outform DER -out out"
            ),
        ),
        (
            "encrypted",
            "encrypted",
            format!("{keys}; openssl cms -encrypt -binary -in firmware.bin -outform DER -out out cert"),
        ),
    ] {
        refused_by_name(&sim, "kernel", &Kind { word, name }, &shell(&sim, &script));
    }
    // What has no rule is not text.
    for seed in 0..20 {
        let path = sim.file("noise", &bytes(5000, seed));
        assert_eq!(flasher(&["inspect", "--format", "json", &path]).json()["format"], "raw");
    }
}

#[test]
fn copies_of_disks() {
    let sim = SimBox::new("generic");
    let disk = |label: &str| {
        format!("truncate -s 2M out; printf 'label: {label}\\n start=64, size=1000\\n' | /sbin/sfdisk -q out")
    };
    for (word, name, script) in [
        ("mbr", "with partitions (MBR)", disk("dos")),
        ("gpt", "with partitions (GPT)", disk("gpt")),
        (
            "iso9660",
            "the image of a CD",
            "echo x >file; genisoimage -quiet -o out file".to_owned(),
        ),
        (
            "swap",
            "swap space",
            "truncate -s 1M out; /sbin/mkswap -q out 2>/dev/null || mkswap out >/dev/null".to_owned(),
        ),
    ] {
        refused_by_name(&sim, "kernel", &Kind { word, name }, &shell(&sim, &script));
    }
}

/// Where their documentation, or their header in the kernel, has the magic numbers.
#[test]
fn other_file_systems_disks_and_archives() {
    let sim = SimBox::new("generic");
    let at = |offset: usize, magic: &[u8]| {
        let mut image = bytes(80_000, 3);
        image[offset..offset + magic.len()].copy_from_slice(magic);
        image
    };
    let delta = |offset, magic: &[u8]| ("delta", "the difference between two files", at(offset, magic));
    let virtual_disk = |offset, magic: &[u8]| ("virtual-disk", "virtual machine", at(offset, magic));
    let disk = |offset, magic: &[u8]| ("disk", "a file system for disks", at(offset, magic));
    for (word, name, image) in [
        ("xfs", "an XFS", at(0, b"XFSB")),
        ("btrfs", "a Btrfs", at(0x10040, b"_BHRfS_M")),
        ("luks", "LUKS", at(0, b"LUKS\xba\xbe\0\x02")),
        ("lvm", "LVM", at(512, b"LABELONE")),
        virtual_disk(0, b"vhdxfile"),
        ("lha", "an lha archive", at(0, b"\x20\0-lh5-")),
        ("xar", "a xar archive", at(0, b"xar!\0\x1c\0\x01")),
        ("wim", "wim", at(0, b"MSWIM\0\0\0")),
        ("update-payload", "Android", at(0, b"CrAU\0\0\0\0\0\0\0\x02")),
        ("lrzip", "packed with lrzip", at(0, b"LRZI\0\x06")),
        ("android-boot", "Android", at(0, b"VNDRBOOT")),
        ("zchunk", "packed with zchunk", at(0, b"\0ZCK1\0\x89")),
        delta(0, b"BSDIFF40"),
        delta(0, b"ENDSLEY/BSDIFF43"),
        delta(0, b"IMGDIFF2"),
        delta(0, &[0xd6, 0xc3, 0xc4, 0]),
        delta(0, b"rs\x026"),
        delta(0, b"HDIFF13&zstd"),
        delta(0, b"\0ZHR1"),
        delta(8, &0x9682_4d9c_7b12_9ff9u64.to_le_bytes()),
        virtual_disk(0, b"QFI\xfb\0\0\0\x03"),
        virtual_disk(0, b"KDMV\x01\0\0\0"),
        virtual_disk(0x40, &0xbeda_107fu32.to_le_bytes()),
        virtual_disk(0, b"conectix\0\0\0\x02"),
        virtual_disk(80_000 - 512, b"conectix\0\0\0\x02"),
        disk(80_000 - 512, b"koly\0\0\0\x04\0\0\x02\0"),
        disk(0x400, b"H+\0\x04"),
        disk(32, b"NXSB"),
        disk(0x8000, b"JFS1"),
        disk(0x1_0034, b"ReIsEr2Fs"),
        disk(4096, &0xa92b_4efcu32.to_le_bytes()),
        ("iso9660", "the image of a CD", at(0x8001, b"BEA01")),
        ("fat", "a FAT file system", at(3, b"EXFAT   ")),
        ("yaffs2", "spare areas", at(0, b"\x03\0\0\0\x01\0\0\0\xff\xff\0\0")),
    ] {
        refused_by_name(&sim, "kernel", &Kind { word, name }, &image);
    }
}

/// The beginnings that openwrt/firmware-utils and binwalk have for them, with noise behind.
#[test]
fn what_vendors_own_installers_take() {
    let sim = SimBox::new("generic");
    let noise = bytes(9000, 3);
    let at = |offset: usize, magic: &[u8]| {
        let mut image = noise.clone();
        image[offset..offset + magic.len()].copy_from_slice(magic);
        image
    };
    let end = |length: usize, magic: &[u8]| at(noise.len() - length, magic);
    let mut senao = at(92, &[0x12, 0x34, 0x56, 0x78]);
    senao[..4].fill(0);
    let mut poray = at(8, &0x020e_0000u32.to_le_bytes());
    poray[12..28].fill(0);
    let mut planex = at(20, b"1.00.00\0");
    planex[30..34].copy_from_slice(&0x0077_0000u32.to_be_bytes());
    // As `mkrasimage` makes it for an NBG6817.
    let mut ras = vec![0xff; 0x1000];
    for (at, value) in [(0, 0x5c79), (4, 0x1_0000), (40, 0xdd7f), (108, 0x4f7d), (112, 0x7530)] {
        ras[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
    }
    ras[8..12].copy_from_slice(b"1.0\0");
    ras[44..52].copy_from_slice(b"NBG6817\0");
    ras.extend(&noise);
    // As OpenWrt's `belkin-header RT18 1 9.9.9` does, and as `edimax_fw_header` does for Belkin's F9J1108.
    let mut belkin = b"RT18\x01\x1a\x01\x01\x01\x09\x09\x09".to_vec();
    belkin.extend([&b"ABCDEFGH"[..], b"ABCDEFGH", b"\x5c\x78\0\0", &noise].concat());
    let mut other_edimax = vec![0; 94];
    other_edimax[..9].copy_from_slice(b"F9J1108v1");
    other_edimax[16..26].copy_from_slice(b"BR-6679BAC");
    other_edimax[49] = other_edimax.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) ^ 0xb9;
    other_edimax.extend(&noise);
    let mut open = b"OPENXM.v6.0.0-OpenWrt".to_vec();
    open.resize(260, 0);
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&open);
    open.extend(crc.to_be_bytes());
    open.extend(&noise);
    for (word, name, image) in [
        ("netgear-chk", "Netgear", at(0, b"*#$^\0\0\0\x3a")),
        ("netgear-dni", "Netgear", at(0, b"device:WNDR3700\nversion:V1.0\n")),
        ("linksys", "Linksys", end(256, b".LINKSYS.01000409")),
        ("linksys", "Linksys", at(0, b"CHDR")),
        ("cybertan", "CyberTAN", at(14, b"U2ND")),
        ("ubnt", "Ubiquiti", at(0, b"UBNTXM.v5.5.8")),
        ("ubnt", "Ubiquiti", open),
        ("buffalo", "Buffalo", at(0, b"start\0WZR-HP")),
        ("buffalo", "Buffalo", at(0, b"# Airstation Public Fmt1")),
        ("buffalo", "Buffalo", at(0, b"asar1\0WZR-HP")),
        ("buffalo", "Buffalo", at(0, b"bgn\0\0\0\0\0")),
        ("dlink", "D-Link", at(0, b"SHRS")),
        ("dlink", "D-Link", at(16, b"HONEYBEE-FIRMWARE-DAP-1350")),
        ("dlink", "D-Link", at(0, b"DLOB")),
        ("dlink", "D-Link", at(0, b"DLK6E2424001")),
        ("dlink", "D-Link", at(0, b"encrpted_img")),
        ("wrgg", "WRGG", at(0, b"wrgg02_dkbs_dir300")),
        ("wrgg", "WRGG", at(32, &0x2008_0321u32.to_be_bytes())),
        ("senao", "Senao", senao),
        ("poray", "Poray", poray),
        ("planex", "Planex", planex),
        ("zyxel", "ZyXEL", at(6, b"SIG\x04")),
        ("zyxel", "ZyXEL", at(0, b"0RDH")),
        ("zyxel", "ZyXEL", at(4, &0xdead_beafu32.to_be_bytes())),
        ("zyxel", "ZyXEL", ras),
        ("zyxel", "ZyXEL", end(60, b"ZNBG")),
        ("belkin", "Belkin", belkin),
        ("edimax", "Edimax", other_edimax),
        ("gemtek", "Gemtek", at(0, b"GMTK1003")),
        ("gemtek", "Gemtek", at(4, b"GMTKRT400N")),
        ("buffalo", "Buffalo", at(32, b"BUFFALO\0")),
        ("dlink", "D-Link", at(0, &[0x04, 0x04, 0x24, 0x2b])),
        ("dlink", "D-Link", at(7, b"_dkbs_")),
        ("meraki", "Meraki", at(0, b"MIPS\x80\x06\0\0")),
        ("meraki", "Meraki", at(0, b"SPIM\0\x80\0\x60")),
        ("iptime", "ipTIME", at(120, b"EFM_NAS_PKG\0")),
        ("factory", "a header of its own", at(20, b"\x55\xaaARAGOR")),
        ("factory", "a header of its own", at(0, b"LXL#")),
        ("factory", "a header of its own", at(0, b"\0MYL")),
        ("factory", "a header of its own", at(0, b"RKFW\x66\0")),
        ("factory", "a header of its own", at(0, b"IMAGEWTY")),
        ("factory", "a header of its own", at(8, &0x5619_b527u32.to_be_bytes())),
        ("edimax", "Edimax", at(0, b"eDiMaX\0\0")),
        ("csys", "Edimax", at(0, b"CSYS")),
        ("csys", "Edimax", at(0, b"w6cg\x80\0\0\0")),
        ("csys", "Edimax", at(0, b"r6cr\x80\0\0\0")),
        ("sercomm", "SerComm", at(0, b"sErCoMm")),
        ("sercomm", "SerComm", end(71, b"sErCoMm")),
        ("moxa", "Moxa", at(0, &0x8919_1230_2887_7702u64.to_be_bytes())),
        ("xiaomi", "Xiaomi", at(0, b"HDR1")),
        ("meraki", "Meraki", at(0, &[0x8e, 0x73, 0xed, 0x8a])),
        ("mikrotik-npk", "MikroTik", at(0, &[0x1e, 0xf1, 0xd0, 0xba])),
        ("avm", "AVM", at(0, &[0x81, 0x12, 0xed, 0xfe])),
        ("broadcom-tag", "Broadcom", at(0, b"6\0\0\0Broadcom Corporatio\0")),
        (
            "broadcom-tag",
            "Broadcom",
            end(16, b"\x32\x57\0\0\x08\x49\0\0\x05\0\0\0"),
        ),
        (
            "broadcom-tag",
            "Broadcom",
            end(16, b"\0\0\x57\x31\0\0\x63\x28\0\0\0\x02"),
        ),
        ("jcg", "JCG", at(0, b"YSZJ")),
        ("tplink-safeloader", "SafeLoader", at(0x14, b"fw-type:Cloud")),
        (
            "tplink-safeloader",
            "SafeLoader",
            at(0x1014, b"fwup-ptn partition-table base 0x00800"),
        ),
        ("dahua", "Dahua", at(0, b"DH\x03\x04")),
        ("qnap-firmware", "QNAP", end(74, b"icpnas")),
    ] {
        refused_by_name(&sim, "kernel", &Kind { word, name }, &image);
    }
}

/// Whoever's header it is: what begins behind it lies on flash, and the header does not.
#[test]
fn something_known_behind_a_header_that_is_not() {
    let sim = SimBox::new("generic");
    let uimage = read(Path::new(&crate::containers::uimage(&sim, &bytes(30_000, 4))));
    let squashfs = shell(&sim, "mksquashfs firmware.bin out -quiet -noappend >/dev/null");
    let ubi = "printf '[v]\nmode=ubi\nvol_id=0\nvol_type=dynamic\nvol_name=v\nimage=firmware.bin\n' >i; \
               ubinize -o out -p 64KiB -m 1 i";
    let ubi = shell(&sim, ubi);
    for (length, image, name) in [
        (20, &uimage, "a uImage"),
        (0x54, &uimage, "a uImage"),
        (512, &uimage, "a uImage"),
        (0x1978, &uimage, "a uImage"),
        (33, &squashfs, "a squashfs"),
        (4096, &squashfs, "a squashfs"),
        (256, &ubi, "a UBI image"),
    ] {
        for header in [bytes(length, 7), vec![0; length], vec![0xff; length]] {
            let kind = Kind {
                word: "factory",
                name: &format!("a header of its own of 0x{length:x} bytes, behind which {name} begins"),
            };
            refused_by_name(&sim, "kernel", &kind, &[&header, image.as_slice()].concat());
        }
    }
    // As a server sends it to who takes the head of its answer for a part of the file.
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n";
    let kind = Kind {
        word: "factory",
        name: "behind which a uImage begins",
    };
    refused_by_name(&sim, "kernel", &kind, &[&answer[..], &uimage].concat());
}

/// Boot loaders of some boxes have a header of their own length; others take such an image for damaged, which it is not.
#[test]
fn a_uimage_whose_header_is_longer_than_u_boots_own() {
    let sim = SimBox::new("generic");
    let image = read(Path::new(&crate::containers::uimage(&sim, &bytes(30_000, 4))));
    for more in [32, 96, 160] {
        let mut header = image[..64].to_vec();
        header[4..8].fill(0);
        header.extend(b"MODEL\0");
        header.resize(64 + more, 0);
        let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&header);
        header[4..8].copy_from_slice(&sum.to_be_bytes());
        let kind = Kind {
            word: "factory",
            name: &format!("of its own of 0x{:x} bytes: a uImage's", 64 + more),
        };
        refused_by_name(&sim, "kernel", &kind, &[&header, &image[64..]].concat());
        header[70] ^= 1;
        let path = sim.file("damaged", &[&header, &image[64..]].concat());
        sim.apply(&["--part", "kernel", &path]).exits(65);
    }
}

/// Kernel and root begin 64 KiB behind it, and nothing that is known begins within the first 8.
#[test]
fn a_combined_image_of_openwrts_older_sysupgrade() {
    let sim = SimBox::new("generic");
    let kernel = read(Path::new(&crate::containers::uimage(&sim, &bytes(30_000, 4))));
    let mut image = format!("CI{:08x}{:08x}{:032x}", kernel.len(), 0, 0x1234).into_bytes();
    image.resize(64 << 10, 0);
    image.extend(&kernel);
    let kind = Kind {
        word: "openwrt-combined",
        name: "a combined image of OpenWrt's older sysupgrade",
    };
    refused_by_name(&sim, "kernel", &kind, &image);
    let run = sim.apply(&["--part", "kernel", &sim.file("image", &image)]).exits(78);
    assert!(run.out.contains("dd bs=64k skip=1"), "{run:?}");
}

/// What begins so starts a box from the beginning of its flash, and nothing from elsewhere.
#[test]
fn boot_loaders_belong_into_their_own_partition() {
    let sim = SimBox::changed("generic", |profile| {
        profile["partitions"][0]["read_only"] = false.into()
    });
    let begins = |at: usize, what: &[u8]| {
        let mut image = bytes(20_000, 11);
        image[at..at + what.len()].copy_from_slice(what);
        image
    };
    // Version 0 with its sum, as for Kirkwood; version 1.
    let mut header = [0; 32];
    (header[0], header[1], header[13]) = (0x8b, 1, 2);
    header[31] = 0x8b + 1 + 2;
    let mut other = header;
    (other[0], other[8], other[31]) = (0x5a, 1, 99);
    for (at, (word, name, image)) in [
        ("fip", "(FIP)", begins(0, &[1, 0, 0x64, 0xaa, 0x78, 0x56, 0x34, 0x12])),
        ("kwbimage", "(kwbimage)", begins(0, &header)),
        ("kwbimage", "(kwbimage)", begins(0, &other)),
        ("egon", "(eGON)", begins(4, b"eGON.BT0")),
        ("vbmeta", "(vbmeta)", begins(0, b"AVB0")),
        ("dtbo", "(dtbo)", begins(0, &[0xd7, 0xb7, 0xab, 0x1e])),
    ]
    .into_iter()
    .enumerate()
    {
        refused_by_name(&sim, "kernel", &Kind { word, name }, &image);
        let path = sim.file("image", &image);
        let sum = flasher(&["inspect", "--format", "json", &path]).json()["sha256"].clone();
        let copy = sim.dir.path().join(format!("copy{at}"));
        let given = ["--sha256", sum.as_str().unwrap(), "--backup", copy.to_str().unwrap()];
        let run = sim.apply(&[&["--part", "u-boot", "--force=bootloader"], &given[..], &[&path]].concat());
        assert!(run.exits(0).out.contains(name), "{word}");
    }
    header[31] += 1;
    let path = sim.file("image", &begins(0, &header));
    let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
    assert_eq!(report["format"], "raw", "a wrong sum");
}

/// A uImage with a footer of Linksys' is for Linksys' page, although it begins as what the boot loader starts.
#[test]
fn a_footer_counts_behind_a_kernel() {
    let sim = SimBox::new("generic");
    let mut image = read(Path::new(&crate::containers::uimage(&sim, &bytes(30_000, 4))));
    let path = sim.file("image", &image);
    sim.apply(&["--part", "kernel", &path]).exits(0);
    image.extend([0; 300]);
    image.extend(b".LINKSYS.01000409WRT1900AC      ");
    image.resize(image.len() + 224, b'0');
    let kind = Kind {
        word: "linksys",
        name: "Linksys",
    };
    refused_by_name(&sim, "kernel", &kind, &image);
}

/// What was known and is meant all the same goes as it is.
#[test]
fn by_force_it_is_written_as_it_is() {
    let sim = SimBox::new("generic");
    let zip = shell(&sim, "zip -q out.zip firmware.bin && mv out.zip out");
    let path = sim.file("image", &zip);
    sim.apply(&["--part", "kernel", "--force", "cpu", &path]).exits(78);
    sim.apply(&["--part", "kernel", "--force", "content", &path]).exits(0);
    assert!(sim.flash()[0x50000..0x50000 + zip.len()] == zip);
}
