//! Synology's `.pat` on a workstation: made, listed, checked, unpacked. Archives by GNU tar.

use crate::simbox::{bytes, flasher, is_root, read, tool};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The beginning of a little-endian ARM program, which is what `pat create` looks at.
pub fn arm_program() -> Vec<u8> {
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x28\0".to_vec();
    elf.extend(bytes(10_000, 1));
    elf
}

/// A directory with the parts of a `.pat`, and the `.pat` made of them.
fn made() -> TempDir {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("flasher"), arm_program()).unwrap();
    fs::write(at("zImage"), bytes(2_000_001, 2)).unwrap();
    fs::write(at("rd.gz"), bytes(3_000_003, 3)).unwrap();
    fs::write(at("empty"), b"").unwrap();
    create(dir.path(), &["zImage", "rd.gz", "empty"]).exits(0);
    dir
}

fn create(dir: &Path, files: &[&str]) -> crate::simbox::Run {
    let at = |name: &str| text(&dir.join(name)).to_owned();
    let mut args = vec![
        "pat".to_owned(),
        "create".into(),
        "--board=synology-ds213j".into(),
        "--updater".into(),
    ];
    args.extend([at("flasher"), at("out.pat")]);
    args.extend(files.iter().map(|name| at(name)));
    flasher(&args)
}

/// zlib's CRC-32, by gzip: it stands at the end of what gzip writes.
fn crc32(path: &Path) -> u32 {
    let packed = tool("gzip", &["-c", text(path)]).stdout;
    let trailer = &packed[packed.len() - 8..packed.len() - 4];
    u32::from_le_bytes(trailer.try_into().unwrap())
}

#[test]
fn a_pat_that_carries_flasher_as_its_updater() {
    let dir = made();
    let pat = dir.path().join("out.pat");
    let listed = String::from_utf8(tool("tar", &["tvf", text(&pat)]).stdout).unwrap();
    for name in ["updater", "zImage", "rd.gz", "VERSION", "checksum.syno"] {
        assert!(
            listed.lines().any(|line| line.ends_with(&format!(" {name}"))),
            "{listed}"
        );
    }
    assert!(
        listed.starts_with("-rwxr-xr-x"),
        "the updater comes first and can be run: {listed}"
    );
    let unpacked = dir.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    tool("tar", &["xpf", text(&pat), "-C", text(&unpacked)]);
    assert_eq!(read(&unpacked.join("updater")), arm_program());
    assert_eq!(read(&unpacked.join("zImage")), bytes(2_000_001, 2));
    let version = fs::read_to_string(unpacked.join("VERSION")).unwrap();
    assert_eq!(version, "unique=\"synology_armada370_213j\"\n");

    // checksum.syno, from its description alone.
    let list = fs::read_to_string(unpacked.join("checksum.syno")).unwrap();
    let (mut sums, mut lines) = ([0u64; 3], 0);
    for line in list.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["#Synocksum", totals @ ..] = words.as_slice() {
            assert_eq!(totals, sums.map(|sum| sum.to_string()));
            continue;
        }
        let name = words[2];
        let content = read(&unpacked.join(name));
        let size = content.len() as u64;
        let (crc, x, y) = match size {
            0 => (0, 0, 2767),
            _ => {
                let offset = 1_804_289_383 % size;
                assert!(offset > 0 && size - offset >= 4, "the plain case");
                let four = &content[offset as usize..offset as usize + 4];
                (
                    crc32(&unpacked.join(name)),
                    size + offset,
                    four.iter().map(|byte| u64::from(*byte)).sum(),
                )
            }
        };
        assert_eq!(line, format!("{crc} {size} {name} {x} {y}"));
        for (sum, number) in sums.iter_mut().zip([size, x, y]) {
            *sum += number;
        }
        lines += 1;
    }
    assert_eq!(lines, 5);

    let first = read(&pat);
    create(dir.path(), &["zImage", "rd.gz", "empty"]).exits(0);
    assert!(read(&pat) == first, "the same files give the same .pat");
}

/// Two lines of a real `checksum.syno` (DSM for the DS918+): the sample lies at x less size.
#[test]
fn the_sample_is_taken_where_synology_takes_it() {
    let dir = made();
    for (size, x) in [(9_142_600, 12_339_783), (1_046_607, 2_032_129)] {
        fs::write(dir.path().join("member"), vec![0xff; size]).unwrap();
        create(dir.path(), &["member"]).exits(0);
        let pat = dir.path().join("out.pat");
        let list = String::from_utf8(tool("tar", &["xOf", text(&pat), "checksum.syno"]).stdout).unwrap();
        assert!(list.contains(&format!(" {size} member {x} 1020\n")), "{list}");
    }
}

#[test]
fn list_check_and_extract() {
    let dir = made();
    let pat = dir.path().join("out.pat");
    let packed = dir.path().join("packed.pat");
    fs::write(&packed, tool("gzip", &["-c", text(&pat)]).stdout).unwrap();
    for (index, pat) in [text(&pat), text(&packed)].into_iter().enumerate() {
        let report = flasher(&["pat", "--format", "json", "list", pat]).exits(0).json();
        assert_eq!(
            (&report["ok"], &report["unique"]),
            (&true.into(), &"synology_armada370_213j".into())
        );
        assert_eq!(report["members"].as_array().unwrap().len(), 6);
        flasher(&["pat", "check", pat]).exits(0);
        let out = dir.path().join(format!("out{index}"));
        flasher(&["pat", "extract", pat, text(&out)]).exits(0);
        assert_eq!(read(&out.join("rd.gz")), bytes(3_000_003, 3));
        flasher(&["pat", "extract", pat, text(&out)]).exits(64);
    }
}

#[test]
fn one_flipped_bit_or_a_cut_anywhere_is_noticed() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("flasher"), arm_program()).unwrap();
    fs::write(dir.path().join("zImage"), bytes(30_000, 5)).unwrap();
    create(dir.path(), &["zImage"]).exits(0);
    let whole = read(&dir.path().join("out.pat"));
    let path = dir.path().join("broken.pat");
    for name in ["updater", "zImage", "VERSION", "checksum.syno"] {
        let listed = String::from_utf8(tool("tar", &["tvRf", text(&dir.path().join("out.pat"))]).stdout).unwrap();
        let line = listed.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
        let block: usize = line.split([' ', ':']).nth(1).unwrap().parse().unwrap();
        let mut broken = whole.clone();
        broken[block * 512 + 512 + 5] ^= 1;
        fs::write(&path, broken).unwrap();
        flasher(&["pat", "check", text(&path)]).exits(65);
        flasher(&["pat", "extract", text(&path), text(&dir.path().join("no"))]).exits(65);
        assert!(!dir.path().join("no").exists());
    }
    for cut in (0..whole.len()).step_by(4096) {
        fs::write(&path, &whole[..cut]).unwrap();
        flasher(&["pat", "check", text(&path)]).exits(65);
    }
}

/// Synology's own check passes over what is not listed, which then runs as root.
#[test]
fn a_member_that_is_not_listed_is_refused() {
    let dir = made();
    let pat = dir.path().join("out.pat");
    fs::write(dir.path().join("extra"), "#!/bin/sh\n").unwrap();
    tool("tar", &["rf", text(&pat), "-C", text(dir.path()), "extra"]);
    let run = flasher(&["pat", "check", text(&pat)]).exits(65);
    assert!(run.out.contains("\"extra\" is not listed"), "{run:?}");
    let out = dir.path().join("out");
    flasher(&["pat", "extract", text(&pat), text(&out)]).exits(65);
    assert!(!out.exists());
}

#[test]
fn no_member_leaves_the_directory() {
    let dir = made();
    let pat = dir.path().join("out.pat");
    let make = "cd \"$1\" && cp \"$2\" \"$3.pat\" && mkdir -p deep/er && cd deep/er && echo x >evil && ln -s /etc/passwd link \
                && ln evil hard && mkfifo pipe && { mknod node c 1 3 2>/dev/null || :; } && tar -P -rf \"../../$3.pat\" $4 && cd ../.. && rm -r deep";
    for (name, what) in [
        ("up", "--transform=s,^,../, evil"),
        ("absolute", "--transform=s,^,/tmp/, evil"),
        ("middle", "--transform=s,^,a/../../, evil"),
        ("link", "link"),
        ("hard", "evil hard"),
        ("pipe", "pipe"),
        ("node", "node"),
        ("twice", "--transform=s,evil,zImage, evil"),
    ]
    .into_iter()
    // Only root can make a device.
    .filter(|(name, _)| *name != "node" || is_root())
    {
        tool("sh", &["-ec", make, "sh", text(dir.path()), text(&pat), name, what]);
        let hostile = dir.path().join(format!("{name}.pat"));
        let out = dir.path().join("out");
        flasher(&["pat", "extract", text(&hostile), text(&out)]).exits(65);
        flasher(&["pat", "list", text(&hostile)]).exits(65);
        assert!(!out.exists() && !dir.path().join("evil").exists(), "{name}");
    }
}

/// Synology's own since DSM 7 (the layout is that of patology and of Synology_Archive_Extractor).
#[test]
fn an_encrypted_pat_is_recognised_and_explained() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsm7.pat");
    let mut content = vec![0x08, 0xad, 0xbe, 0xef, 0x20, 0, 0, 0];
    content.extend(bytes(5000, 6));
    fs::write(&path, content).unwrap();
    for verb in ["list", "check"] {
        let run = flasher(&["pat", verb, text(&path)]).exits(69);
        assert!(run.err.contains("encrypted .pat"), "{run:?}");
    }
}

#[test]
fn what_the_box_could_not_use_is_not_made() {
    let dir = made();
    let at = |name: &str| text(&dir.path().join(name)).to_owned();
    fs::write(at("zImage"), bytes(2_949_121, 7)).unwrap();
    let run = create(dir.path(), &["zImage"]).exits(65);
    assert!(run.err.contains("1 bytes too many"), "{run:?}");
    create(dir.path(), &["rd.gz", "rd.gz"]).exits(64);
    // What is not a plain file may have no end, and is not waited for.
    tool("mkfifo", &[&at("fifo")]);
    for file in ["nothing", "/dev/null", "fifo"] {
        create(dir.path(), &[file]).exits(66);
    }
    // A .pat whose name was left out does not replace what was to go into it.
    let before = fs::read(at("rd.gz")).unwrap();
    for out in ["rd.gz", "./rd.gz"] {
        let run = flasher(&[
            "pat",
            "create",
            "--board=synology-ds213j",
            &at(out),
            &at("zImage"),
            &at("rd.gz"),
        ])
        .exits(64);
        assert!(run.err.contains("is one of the files"), "{run:?}");
    }
    assert_eq!(fs::read(at("rd.gz")).unwrap(), before);
    flasher(&["pat", "create", "--board=qnap-ts109", &at("a.pat"), &at("rd.gz")]).exits(69);
    flasher(&["pat", "create", &at("a.pat"), &at("rd.gz")]).exits(64);
    // This program is for this machine, not for the box.
    let run = flasher(&["pat", "create", "--board=synology-ds213j", &at("a.pat"), &at("rd.gz")]).exits(65);
    assert!(run.err.contains("--updater"), "{run:?}");
    for args in [
        &["pat"][..],
        &["pat", "check"],
        &["pat", "make", "x", "y"],
        &["qpkg", "extract", "x"],
    ] {
        flasher(args).exits(64);
    }
    let bomb = Command::new("sh")
        .args(["-ec", "cd \"$1\" && truncate -s 3G big && tar c big | gzip -1", "sh"])
        .arg(dir.path())
        .output()
        .unwrap();
    fs::write(at("bomb.pat"), bomb.stdout).unwrap();
    let run = flasher(&["pat", "check", &at("bomb.pat")]).exits(65);
    assert!(run.err.contains("more than 2048 MiB"), "{run:?}");
}

#[test]
fn a_name_that_is_not_utf_8_is_made_as_it_is() {
    let dir = made();
    let out = dir.path().join(OsStr::from_bytes(b"M\xfcller.pat"));
    let mut args = ["pat", "create", "--board=synology-ds213j", "--updater"]
        .map(OsString::from)
        .to_vec();
    args.extend([dir.path().join("flasher"), out.clone(), dir.path().join("zImage")].map(OsString::from));
    flasher(&args).exits(0);
    assert!(out.is_file());
}

#[test]
fn a_list_that_is_wrong_is_shown_by_list_and_refused_by_check() {
    let dir = made();
    let at = |name: &str| text(&dir.path().join(name)).to_owned();
    let members = ["zImage", "rd.gz"];
    let list = |lines: &[&str]| {
        fs::write(at("checksum.syno"), lines.join("\n") + "\n").unwrap();
        tool(
            "tar",
            &[
                "cf",
                &at("bad.pat"),
                "-C",
                text(dir.path()),
                "zImage",
                "rd.gz",
                "checksum.syno",
            ],
        );
    };
    for lines in [
        &["#Synocksum 1 2 3"][..],
        &["hello"],
        &["0 0 missing 0 2767", "#Synocksum 0 0 2767"],
        &["0 0 zImage 0 2767", "0 0 zImage 0 2767", "#Synocksum 0 0 5534"],
    ] {
        list(lines);
        let said = flasher(&["--format", "json", "pat", "list", &at("bad.pat")])
            .exits(0)
            .json();
        assert_eq!(said["ok"], false, "{said}");
        assert!(!said["problems"].as_array().unwrap().is_empty(), "{said}");
        let names: Vec<_> = said["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| &member["name"])
            .collect();
        assert!(
            members.iter().all(|name| names.iter().any(|found| *found == name)),
            "{said}"
        );
        flasher(&["pat", "check", &at("bad.pat")]).exits(65);
        flasher(&["pat", "extract", &at("bad.pat"), &at("out")]).exits(65);
    }
}

/// Synology leaves its signature out of the list, and its own check looks at listed members only.
#[test]
fn the_signature_that_synology_itself_does_not_list_is_no_fault() {
    let dir = made();
    let pat = dir.path().join("out.pat");
    fs::write(dir.path().join("Synology.sig"), bytes(500, 1)).unwrap();
    tool("tar", &["rf", text(&pat), "-C", text(dir.path()), "Synology.sig"]);
    flasher(&["pat", "check", text(&pat)]).exits(0);
}

/// What the box runs is its owner's choice: any program for its processor, or a script.
#[test]
fn any_program_or_script_may_be_the_updater() {
    let dir = made();
    let at = |name: &str| text(&dir.path().join(name)).to_owned();
    fs::write(at("script"), "#!/bin/sh\ncp /etc/shadow /tmp/\n").unwrap();
    fs::write(at("text"), "hello\n").unwrap();
    let make = |updater: &str| {
        let updater = format!("--updater={}", at(updater));
        flasher(&[
            "pat",
            "create",
            "--board=synology-ds213j",
            &updater,
            &at("own.pat"),
            &at("rd.gz"),
        ])
    };
    make("script").exits(0);
    flasher(&["pat", "check", &at("own.pat")]).exits(0);
    flasher(&["pat", "extract", &at("own.pat"), &at("own")]).exits(0);
    assert_eq!(
        read(dir.path().join("own/updater").as_ref()),
        read(at("script").as_ref())
    );
    assert!(make("text").exits(65).err.contains("neither a script nor a program"));
}

/// The box would go on with its old kernel and a new ramdisk.
#[test]
fn an_empty_kernel_is_none() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("flasher"), arm_program()).unwrap();
    fs::write(at("zImage"), b"").unwrap();
    fs::write(at("rd.gz"), bytes(30_000, 3)).unwrap();
    create(dir.path(), &["zImage", "rd.gz"]).exits(0);
    let sim = crate::simbox::SimBox::new("synology-ds213j");
    let run = sim.apply(&[text(&at("out.pat"))]).exits(65);
    assert!(run.out.contains("would get nothing"), "{run:?}");
}
