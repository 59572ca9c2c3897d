//! QNAP's packages that lie: each is refused before the first file is made, and none of them is ever written.

use crate::qpkg::{package, qdk_packed};
use crate::simbox::{Run, SimBox, flasher, read, tool};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A place for packages, and a box that is not to change.
struct Bench {
    dir: TempDir,
    sim: SimBox,
    flash: Vec<u8>,
}

impl Bench {
    fn new() -> Bench {
        let sim = SimBox::new("qnap-ts219");
        Bench {
            dir: TempDir::new().unwrap(),
            flash: sim.flash(),
            sim,
        }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("a/b/out")
    }

    /// Takes it apart, after seeing that it is neither written nor planned.
    fn extract(&self, package: &[u8]) -> Run {
        let path = self.sim.file("package.qpkg", package);
        let run = flasher(&["inspect", &path]);
        assert!([0, 65].contains(&run.exit), "{run:?}");
        for arguments in [&[path.as_str()][..], &["--part", "RootFS1", "--unpack", &path]] {
            for run in [self.sim.run("plan", arguments), self.sim.apply(arguments)] {
                assert!([65, 78].contains(&run.exit), "{run:?}");
            }
        }
        assert!(self.sim.flash() == self.flash);
        let _ = fs::remove_dir_all(self.dir.path().join("a"));
        let run = flasher(&["qpkg", "extract", &path, self.out().to_str().unwrap()]);
        assert!(!run.out.contains('\x1b') && !run.err.contains('\x1b'), "{run:?}");
        if run.exit != 0 {
            assert!([65, 69].contains(&run.exit), "{run:?}");
            assert!(!self.out().exists(), "{run:?}");
        }
        run
    }

    fn refused(&self, what: &str, package: &[u8]) -> String {
        let run = self.extract(package);
        assert!([65, 69].contains(&run.exit), "{what}: {run:?}");
        run.err
    }

    /// A package whose data are what this command makes of a tar.
    fn of_data(&self, packer: &str) -> Vec<u8> {
        qdk_packed(self.dir.path(), packer, b"QDK\xff")
    }

    /// A package with a tar that has these entries: a kind of tar's, a name, and the content or target.
    fn of_entries(&self, entries: &[(&str, &str, &str)]) -> Vec<u8> {
        let place = self.dir.path().join("hostile.tar");
        let mut words = vec!["-c", MAKE, place.to_str().unwrap()];
        words.extend(entries.iter().flat_map(|(kind, name, text)| [*kind, *name, *text]));
        tool("python3", &words);
        self.of_data(&format!("cat >/dev/null; gzip -n <{}", place.display()))
    }
}

/// Writes the tar whose entries are given in threes. A file `x.tgz` of which the content is `tar NAME` has such an archive inside.
const MAKE: &str = r#"
import io, sys, tarfile
def inner(name):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as tar:
        info = tarfile.TarInfo(name); info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    return whole.getvalue()
words = sys.argv[2:]
with tarfile.open(sys.argv[1], "w", format=tarfile.GNU_FORMAT) as tar:
    for kind, name, text in zip(*[iter(words)] * 3):
        info = tarfile.TarInfo(name)
        info.type = kind.encode()
        if kind == "0":
            data = inner(text[4:]) if text.startswith("tar ") else text.encode()
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        else:
            info.linkname = text
            tar.addfile(info)
"#;

#[test]
fn what_cannot_all_be_made_is_refused_before_anything_is() {
    let bench = Bench::new();
    let long = "x".repeat(256);
    for entries in [
        &[("0", ".", "x")][..],
        &[("0", "./", "x")],
        &[("0", "d/a", "1"), ("0", "d//a", "2")],
        &[("0", "d/a", "1"), ("0", "./d/./a", "2")],
        &[("0", "a", "1"), ("0", "a/b", "2")],
        &[("0", "a/b", "1"), ("0", "a", "2")],
        &[("0", long.as_str(), "1")],
        &[("2", ".", "x")],
        &[("2", "./", "x")],
        &[("2", "l", "/etc"), ("0", "l/x", "1")],
        &[("2", "l", "."), ("0", "l/x", "1")],
        &[("0", "d/f", "1"), ("2", "d", "../x")],
        &[("0", "f", "1"), ("1", "f", "f")],
        &[("0", "a.tgz", "tar x"), ("0", "a/x", "2")],
        &[("0", "a.tgz", "tar x"), ("0", "a", "2")],
        &[("0", "a.tgz", "tar x"), ("2", "a", "../../..")],
        &[("0", "a.tgz", "tar ../../x")],
        &[("0", "a.tgz", "text")],
        &[("0", "a.tgz", "")],
        &[("0", "../x", "1")],
        &[("0", "/etc/x", "1")],
        &[("0", "a/../../x", "1")],
        &[("0", "a\x1b[2J", "1")],
        &[("3", "null", "")],
        &[("4", "disk", "")],
        &[("6", "fifo", "")],
        &[("7", "contiguous", "")],
        &[("S", "sparse", "")],
        &[("M", "continued", "")],
    ] {
        bench.refused(&format!("{entries:?}"), &bench.of_entries(entries));
    }
    // What only looks like that.
    for entries in [
        &[("0", "....//x", "1")][..],
        &[("0", "a//b", "1"), ("0", "a/./c", "1")],
        &[("0", "~root", "1"), ("0", "-rf", "1")],
        &[("2", "a", "b"), ("2", "b", "a")],
        &[("0", ".tgz", "tar x")],
        &[("0", "d/", "")],
    ] {
        assert_eq!(bench.extract(&bench.of_entries(entries)).exit, 0, "{entries:?}");
    }
}

#[test]
fn a_name_that_is_not_utf_8_is_made_as_it_is() {
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    let make = "cat >/dev/null; mkdir -p n && printf x >\"$(printf 'n/M\\374ller')\" && tar c -C n . | gzip -n";
    assert_eq!(bench.extract(&bench.of_data(make)).exit, 0);
    let name = std::ffi::OsStr::from_bytes(b"M\xfcller");
    assert!(bench.out().join("data").join(name).is_file());
}

#[test]
fn a_length_that_is_none_is_not_passed_over() {
    let bench = Bench::new();
    let whole = bench.of_data("gzip -n");
    let at = whole.windows(11).position(|bytes| bytes == b"script_len=").unwrap() + 11;
    let end = at + whole[at..].iter().position(|byte| *byte == b'\n').unwrap();
    let length: u64 = std::str::from_utf8(&whole[at..end]).unwrap().parse().unwrap();
    for lie in [
        "",
        "0",
        "-5",
        "0x200",
        "abc",
        "1e3",
        " 300",
        "1",
        "99999999",
        "18446744073709551616",
        "$((1+1))",
    ] {
        let package = [&whole[..at], lie.as_bytes(), &whole[end..]].concat();
        bench.refused(lie, &package);
    }
    for off in [-512, -1, 1, 511, 512i64] {
        let lie = length.saturating_add_signed(off).to_string();
        bench.refused(&lie, &[&whole[..at], lie.as_bytes(), &whole[end..]].concat());
    }
}

/// QTS unpacks all of them one over the other.
#[test]
fn two_archives_of_control_files_are_one_too_many() {
    let bench = Bench::new();
    bench.of_data("gzip -n");
    let make = "cd \"$1\" && cp control.tar.gz control.tar.bz2 && tar cf control.tar control.tar.gz control.tar.bz2";
    tool("sh", &["-ec", make, "sh", bench.dir.path().to_str().unwrap()]);
    let said = bench.refused("two", &package(bench.dir.path(), b"QDK\xff"));
    assert!(said.contains("\"control.tar.bz2\""), "{said}");
}

#[test]
fn a_hole_where_the_data_belong_is_not_a_package_without_data() {
    let bench = Bench::new();
    bench.refused("a hole", &bench.of_data("cat >/dev/null; head -c 60000 /dev/zero"));
    // There are such packages.
    let none = bench.of_data("cat >/dev/null");
    assert_eq!(bench.extract(&none).exit, 0);
}

/// They are refused with a command that opens them, byte by byte.
#[test]
fn data_in_a_larger_window_than_there_may_be_are_told_how_to_open() {
    let bench = Bench::new();
    for (packer, opens) in [
        ("xz -9", "tar xf data.tar.xz"),
        ("lzma -9", "xz -d data.tar.lzma; tar xf data.tar"),
        (
            "zstd -q --long=27 --ultra -20",
            "zstd -d --long=31 data.tar.zst; tar xf data.tar",
        ),
    ] {
        let path = bench.dir.path().join("FILE");
        let whole = bench.of_data(packer);
        let said = bench.refused(packer, &whole);
        assert!(said.contains("larger window"), "{said}");
        fs::write(&path, &whole).unwrap();
        let (_, command) = said.split_once("open them: ").unwrap();
        let command = command.lines().next().unwrap();
        assert!(command.ends_with(opens), "{command}");
        tool(
            "sh",
            &[
                "-ec",
                "cd \"$1\" && rm -f data.tar* && eval \"$2\"",
                "sh",
                bench.dir.path().to_str().unwrap(),
                command,
            ],
        );
        assert_eq!(read(&bench.dir.path().join("sub/file")), b"data\n", "{packer}");
    }
}

/// A hundred and more packages, each changed at a place or two: what is taken apart is what was packed.
#[test]
fn none_that_was_changed_at_random_is_taken_for_another() {
    let bench = Bench::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    };
    for packer in ["gzip -n", "bzip2", "xz", "zstd -q"] {
        let whole = bench.of_data(packer);
        assert_eq!(bench.extract(&whole).exit, 0, "{packer}");
        for round in 0..28 {
            let mut package = whole.clone();
            let at = random(package.len());
            match round % 4 {
                0 => package.truncate(at),
                1 => drop(package.drain(at..(at + 1 + random(600)).min(whole.len()))),
                2 => package[at] ^= 1 << random(8),
                _ => {
                    let from = random(package.len());
                    let piece = package[from..(from + 64).min(whole.len())].to_vec();
                    package.splice(at..at, piece);
                }
            }
            if bench.extract(&package).exit == 0 {
                let made = bench.out().join("data/sub/file");
                assert!(!made.exists() || read(&made) == b"data\n", "{packer} {round} {at}");
                let control = bench.out().join("control/qpkg.cfg");
                assert_eq!(read(&control), b"QPKG_NAME=\"Test\"\n", "{packer} {round} {at}");
            }
        }
    }
}
