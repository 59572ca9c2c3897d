//! QNAP's packages: the old kind, which `dd bs=526 skip=1 | tar xzv` takes apart as "Recovery mode of the QNAP TS-109"
//! says, and QDK's.

use crate::bootloader::forge;
use crate::simbox::{bytes, flasher, read, tool};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// 100 bytes: model, reserved, firmware version, name, version, flag.
fn tail() -> Vec<u8> {
    let field = |text: &str, length| format!("{text:<length$}").into_bytes();
    [
        field("TS-109", 10),
        vec![0; 40],
        field("2.1.2", 10),
        field("SystemRecovery", 20),
        field("1.0", 10),
        field("QNAPQPKG", 10),
    ]
    .concat()
}

/// A package as the page describes it: a script of 526 bytes, `qinstall.sh`, and an archive with the two files and
/// their checksums.
fn old_kind(dir: &Path, script: usize) -> Vec<u8> {
    let at = |name: &str| dir.join(name);
    for (name, size, sum) in [
        ("uImage", 1_788_312, 1122474640),
        ("u-boot.bin", 459_100, 3310502457u32),
    ] {
        let mut content = bytes(size, 1);
        forge(&mut content, sum);
        fs::write(at(name), content).unwrap();
        let said = String::from_utf8(tool("cksum", &[text(&at(name))]).stdout).unwrap();
        assert!(said.starts_with(&format!("{sum} {size} ")), "{said}");
        fs::write(at(&format!("{name}.cksum")), said).unwrap();
    }
    fs::write(at("qinstall.sh"), "#!/bin/sh\n").unwrap();
    let make = "cd \"$1\" && tar czf QNAP_SystemRecovery.tgz uImage uImage.cksum u-boot.bin u-boot.bin.cksum \
                && tar cz qinstall.sh QNAP_SystemRecovery.tgz";
    let archive = tool("sh", &["-ec", make, "sh", text(dir)]).stdout;
    let mut package = b"#!/bin/sh\necho install\n".to_vec();
    package.resize(script, b'#');
    package.extend(archive);
    package
}

#[test]
fn the_old_kind_is_unpacked_down_to_its_checked_files() {
    let dir = TempDir::new().unwrap();
    for (index, script) in [526, 527, 4000].into_iter().enumerate() {
        let mut package = old_kind(dir.path(), script);
        if index > 0 {
            package.extend(tail());
        }
        let path = dir.path().join("package.qpkg");
        fs::write(&path, package).unwrap();
        let out = dir.path().join(format!("out{index}"));
        let report = flasher(&["--format=json", "qpkg", "extract", text(&path), text(&out)])
            .exits(0)
            .json();
        assert_eq!(fs::read(out.join("qinstall.sh")).unwrap(), b"#!/bin/sh\n");
        for name in ["uImage", "u-boot.bin"] {
            assert_eq!(
                read(&out.join("QNAP_SystemRecovery").join(name)),
                read(&dir.path().join(name))
            );
            let files = report["files"].as_array().unwrap();
            let file = files
                .iter()
                .find(|file| file["name"].as_str().unwrap().ends_with(name))
                .unwrap();
            assert_eq!(file["cksum"], true, "{report}");
            assert!(file["known"].is_string(), "{report}");
        }
        assert_eq!(report["package"].is_object(), index > 0);
    }
    // As the page does it.
    let script = "dd if=\"$1/package.qpkg\" bs=526 skip=1 2>/dev/null | tar tz";
    let package = old_kind(dir.path(), 526);
    fs::write(dir.path().join("package.qpkg"), package).unwrap();
    let listed = tool("sh", &["-c", script, "sh", text(dir.path())]).stdout;
    assert_eq!(listed, b"qinstall.sh\nQNAP_SystemRecovery.tgz\n");
}

#[test]
fn a_file_that_is_not_what_its_cksum_says() {
    let dir = TempDir::new().unwrap();
    // Another sum; one that is no text; one that is a directory, so that none can be read.
    for (index, makes) in [
        "echo '1 2 uImage' >uImage.cksum",
        "printf '\\377 8 uImage' >uImage.cksum",
        "rm uImage.cksum; mkdir uImage.cksum; echo >uImage.cksum/x",
    ]
    .into_iter()
    .enumerate()
    {
        let script = format!("cd \"$1\" && echo content >uImage && {makes} && tar cz uImage uImage.cksum");
        let mut package = b"#!/bin/sh\nexit\n".to_vec();
        package.extend(tool("sh", &["-ec", &script, "sh", text(dir.path())]).stdout);
        let path = dir.path().join("package.qpkg");
        fs::write(&path, package).unwrap();
        let out = dir.path().join(format!("out{index}"));
        let run = flasher(&["qpkg", "extract", text(&path), text(&out)]).exits(65);
        assert!(run.out.contains("DAMAGED"), "{makes}: {run:?}");
    }
}

/// Header, a tar of `control.tar.gz`, `data.tar.gz`, the QDK area, the tail.
fn qdk(dir: &Path) -> Vec<u8> {
    qdk_packed(dir, "gzip", b"QDK\x01\0\0\0\x04sign\xff")
}

/// As [`qdk`], with the data packed by this command, and another QDK area.
pub fn qdk_packed(dir: &Path, packer: &str, area: &[u8]) -> Vec<u8> {
    let make = "cd \"$1\" && rm -rf c d && mkdir -p c d/sub && echo 'QPKG_NAME=\"Test\"' >c/qpkg.cfg \
                && echo data >d/sub/file && tar czf control.tar.gz -C c . && tar cf control.tar control.tar.gz \
                && tar c -C d . | sh -c \"$2\" >data";
    tool("sh", &["-ec", make, "sh", text(dir), packer]);
    package(dir, area)
}

/// The package of the files `control.tar` and `data`.
pub fn package(dir: &Path, area: &[u8]) -> Vec<u8> {
    let script = |length: usize| {
        format!(
            "#!/bin/sh\n/bin/echo \"Install QNAP package on TS-NAS...\"\n_EXTRACT_DIR=\"/mnt/HDA_ROOT/update_pkg/tmp\"\n\
             script_len={length}\n/bin/dd if=\"${{0}}\" bs=$script_len skip=1 | /bin/tar -xO | /bin/tar -xzv -C $_EXTRACT_DIR\nexit 1\n"
        )
    };
    let length = script(1000).len() - 1;
    let mut package = script(length).into_bytes();
    assert_eq!(package.len(), length);
    package.extend(read(&dir.join("control.tar")));
    package.extend(read(&dir.join("data")));
    package.extend(area);
    package.extend(tail());
    package
}

#[test]
fn the_kind_of_qdk() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("package.qpkg");
    fs::write(&path, qdk(dir.path())).unwrap();
    let out = dir.path().join("out");
    let run = flasher(&["qpkg", "extract", text(&path), text(&out)]).exits(0);
    assert!(run.out.contains("SystemRecovery 1.0 for TS-109"), "{run:?}");
    assert_eq!(fs::read(out.join("control/qpkg.cfg")).unwrap(), b"QPKG_NAME=\"Test\"\n");
    assert_eq!(fs::read(out.join("data/sub/file")).unwrap(), b"data\n");
}

/// QDK's own choices are gzip, bzip2 and 7z; with the others a maker may have made do.
#[test]
fn data_packed_with_anything_else_is_unpacked_too() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("package.qpkg");
    // A signature and a code signature, whose bytes look like an area themselves; and none at all.
    let signed = b"QDK\x01\0\0\0\x04QDK\xfe\xfe\0\0\0\x05QDK\xff.\xff";
    for packer in ["gzip", "bzip2", "xz", "xz --format=lzma", "zstd"] {
        for area in [&signed[..], b""] {
            let package = qdk_packed(dir.path(), packer, area);
            fs::write(&path, &package).unwrap();
            let out = dir.path().join("out");
            flasher(&["qpkg", "extract", text(&path), text(&out)]).exits(0);
            assert_eq!(fs::read(out.join("data/sub/file")).unwrap(), b"data\n", "{packer}");
            fs::remove_dir_all(&out).unwrap();

            let mut flipped = package.clone();
            let middle = package.len() - 100 - area.len() - read(&dir.path().join("data")).len() / 2;
            flipped[middle] ^= 0x10;
            fs::write(&path, flipped).unwrap();
            flasher(&["qpkg", "extract", text(&path), text(&out)]).exits(65);
            assert!(!out.exists(), "{packer}");
        }
    }
}

/// A maker's own file may stand behind the data, and the data may be several members one behind the other.
#[test]
fn what_stands_behind_the_data_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("package.qpkg");
    let extra = b"\x02\x01extra file of the maker's\n".repeat(300);
    for packer in ["gzip", "bzip2", "xz", "xz --format=lzma", "zstd"] {
        let several = format!("split -b 3000 --filter='{packer}'");
        // The older lzma has no members.
        let several = Some(several).filter(|_| !packer.ends_with("lzma"));
        for packer in several.as_deref().into_iter().chain([packer]) {
            let package = qdk_packed(dir.path(), packer, &extra);
            fs::write(&path, &package).unwrap();
            let out = dir.path().join("out");
            flasher(&["qpkg", "extract", text(&path), text(&out)]).exits(0);
            assert_eq!(fs::read(out.join("data/sub/file")).unwrap(), b"data\n", "{packer}");
            fs::remove_dir_all(&out).unwrap();
        }
    }
}

/// What cannot be opened here is named, with a command that takes it out byte by byte.
#[test]
fn data_packed_with_7z_is_refused_with_the_command_that_opens_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("FILE");
    let seven_zip = b"7z\xbc\xaf\x27\x1c and so on";
    fs::write(dir.path().join("seven"), seven_zip).unwrap();
    let take = format!("cat {} -", text(&dir.path().join("seven")));
    let mut package = qdk_packed(dir.path(), &take, b"QDK\xff");
    let data = read(&dir.path().join("data"));
    assert!(data.starts_with(seven_zip));
    fs::write(&path, &package).unwrap();
    let out = dir.path().join("out");
    let run = flasher(&["qpkg", "extract", text(&path), text(&out)]).exits(69);
    assert!(!out.exists());
    let said = run.err;
    let (_, command) = said.split_once("open them: ").expect(&said);
    let command = command.lines().next().unwrap();
    assert!(command.ends_with("; 7z x data.7z"), "{command}");
    let take = command.trim_end_matches("; 7z x data.7z");
    tool("sh", &["-ec", "cd \"$1\" && eval \"$2\"", "sh", text(dir.path()), take]);
    assert_eq!(read(&dir.path().join("data.7z")), data);

    // Something else again.
    let at = package.windows(6).position(|bytes| bytes == &seven_zip[..6]).unwrap();
    package[at] = b'8';
    fs::write(&path, &package).unwrap();
    let run = flasher(&["qpkg", "extract", text(&path), text(&out)]).exits(69);
    assert!(run.err.contains("not known"), "{run:?}");
}

#[test]
fn what_is_cut_off_or_no_package_is_refused_and_nothing_written() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("broken.qpkg");
    let out = dir.path().join("out");
    let refused = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        flasher(&["qpkg", "extract", text(&path), text(&out)]).exits(65);
        assert!(!out.exists());
    };
    refused(&bytes(5000, 2));
    refused(b"#!/bin/sh\nexit 0\n");
    refused(b"#!/bin/sh\nscript_len=99999\n");
    let package = old_kind(dir.path(), 526);
    for cut in (0..package.len()).step_by(4 << 10) {
        refused(&package[..cut]);
    }
    let package = qdk(dir.path());
    let data_end = package.len() - 100 - 13;
    for cut in (0..package.len()).step_by(101) {
        refused(&package[..cut]);
    }
    let mut flipped = package.clone();
    flipped[data_end - 20] ^= 1;
    refused(&flipped);
}

#[test]
fn a_hostile_archive_within_the_package() {
    let dir = TempDir::new().unwrap();
    let script = "cd \"$1\" && echo x >evil && ln -s /etc/passwd link && tar -P -cz $2";
    for what in [
        "--transform=s,^,../, evil",
        "--transform=s,^,/tmp/, evil",
        "--transform=s,^,../, link",
    ] {
        let mut package = b"#!/bin/sh\nexit\n".to_vec();
        let _ = fs::remove_file(dir.path().join("link"));
        package.extend(tool("sh", &["-ec", script, "sh", text(dir.path()), what]).stdout);
        let path = dir.path().join("package.qpkg");
        fs::write(&path, package).unwrap();
        let out = dir.path().join("out");
        flasher(&["qpkg", "extract", text(&path), text(&out)]).exits(65);
        assert!(!out.exists(), "{what}");
    }
}

/// As QDK makes them: libraries with their links, and whatever else a maker put there.
#[test]
fn links_that_stay_inside_are_made_and_others_are_named_and_left_out() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("package.qpkg");
    let make = "cd \"$1\" && mkdir -p d/lib && echo library >d/lib/libx.so.1 && ln -s libx.so.1 d/lib/libx.so \
                && ln -s lib/libx.so.1 d/x && ln d/lib/libx.so.1 d/lib/twin && ln -s /etc/passwd d/absolute \
                && ln -s ../../up d/lib/up && ln -s lib/../../up d/through && tar c -C d . | gzip -n";
    let data = tool("sh", &["-ec", make, "sh", text(dir.path())]).stdout;
    let mut package = qdk(dir.path());
    let from = package.len() - 100 - b"QDK\x01\0\0\0\x04sign\xff".len() - read(&dir.path().join("data")).len();
    package.truncate(from);
    package.extend(data);
    package.extend(tail());
    fs::write(&path, package).unwrap();
    let out = dir.path().join("out");
    let run = flasher(&["--format", "json", "qpkg", "extract", text(&path), text(&out)]).exits(0);
    let said = run.json();
    let names: Vec<_> = said["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|link| link["name"].as_str().unwrap())
        .collect();
    assert!(
        names.len() == 3
            && ["absolute", "lib/up", "through"]
                .iter()
                .all(|name| names.contains(name)),
        "{said}"
    );
    let at = |name: &str| out.join("data").join(name);
    for name in ["lib/libx.so", "x", "lib/twin"] {
        assert_eq!(fs::read(at(name)).unwrap(), b"library\n", "{name}");
    }
    assert_eq!(fs::read_link(at("x")).unwrap(), Path::new("lib/libx.so.1"));
    assert!(names.iter().all(|name| !at(name).is_symlink()));
    fs::remove_dir_all(&out).unwrap();
    let run = flasher(&["qpkg", "extract", text(&path), text(&out)]).exits(0);
    assert!(run.err.contains("left out: \"absolute\""), "{run:?}");
}

/// QNAP gives packages away inside a zip.
#[test]
fn a_package_inside_a_zip_is_taken_out_of_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("Test_1.0.qpkg");
    fs::write(&path, qdk(dir.path())).unwrap();
    fs::write(dir.path().join("readme.txt"), "hello").unwrap();
    let make = "import sys,zipfile\nd,m=sys.argv[1:]\nz=zipfile.ZipFile(d+'/p.zip','w',int(m))\n\
                for n in ('readme.txt','Test_1.0.qpkg'): z.write(d+'/'+n,n)\nz.comment=b'a comment'\n";
    let zip = dir.path().join("p.zip");
    for method in ["0", "8"] {
        tool("python3", &["-c", make, text(dir.path()), method]);
        let out = dir.path().join("out");
        flasher(&["qpkg", "extract", text(&zip), text(&out)]).exits(0);
        assert_eq!(fs::read(out.join("data/sub/file")).unwrap(), b"data\n", "{method}");
        fs::remove_dir_all(&out).unwrap();
        let whole = read(&zip);
        for at in [whole.len() / 3, whole.len() / 2] {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x20;
            fs::write(&zip, flipped).unwrap();
            flasher(&["qpkg", "extract", text(&zip), text(&out)]).exits(65);
            fs::write(&zip, &whole[..at]).unwrap();
            flasher(&["qpkg", "extract", text(&zip), text(&out)]).exits(65);
        }
        assert!(!out.exists());
    }
    // An entry that cannot be read may be that of a second package.
    let two = make.replace("('readme.txt','Test_1.0.qpkg')", "('Test_1.0.qpkg','readme.txt')");
    tool("python3", &["-c", &two, text(dir.path()), "8"]);
    let mut whole = read(&zip);
    let last = whole.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    whole[last] = b'X';
    fs::write(&zip, whole).unwrap();
    let out = dir.path().join("out");
    let run = flasher(&["qpkg", "extract", text(&zip), text(&out)]).exits(65);
    assert!(run.err.contains("central directory"), "{run:?}");
}
