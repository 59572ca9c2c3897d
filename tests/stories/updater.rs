//! Synology's update page: `updater -v /volume1`, from the directory of an unpacked `.pat`.

use crate::simbox::{Run, SimBox, bytes, tool};
use flasher::image::pat::{Sum, format_checksum_syno};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ZIMAGE: usize = 0xc0000;
const RD: usize = 0x390000;
const VERSION: &str = "majorversion=\"5\"\nunique=\"synology_armada370_213j\"\n";

struct Page {
    sim: SimBox,
    /// `/volume1/upd@te`.
    dir: PathBuf,
    /// `/tmp`.
    tmp: PathBuf,
}

impl Page {
    fn new(files: &[(&str, &[u8])]) -> Page {
        let sim = SimBox::new("synology-ds213j");
        let (dir, tmp) = (sim.dir.path().join("upd@te"), sim.dir.path().join("tmp"));
        fs::create_dir(&dir).unwrap();
        fs::create_dir(&tmp).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_flasher"), dir.join("updater")).unwrap();
        for (name, content) in files {
            fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
            fs::write(dir.join(name), content).unwrap();
        }
        let page = Page { sim, dir, tmp };
        let mut names = vec!["updater"];
        names.extend(files.iter().map(|(name, _)| *name));
        page.list(&names);
        page
    }

    fn list(&self, names: &[&str]) {
        let lines: Vec<_> = names
            .iter()
            .map(|name| {
                let content = fs::read(self.dir.join(name)).unwrap();
                let mut sum = Sum::new(content.len() as u64);
                sum.update(&content);
                sum.line(name)
            })
            .collect();
        fs::write(self.dir.join("checksum.syno"), format_checksum_syno(&lines)).unwrap();
    }

    /// What the page saw, every distinct line of it, and how the updater ended.
    fn start(&self, args: &[&str]) -> (Vec<String>, Run) {
        let mut child = Command::new(self.dir.join("updater"))
            .args(args)
            .current_dir("/")
            .env("FLASHER_SIM", self.sim.path())
            .env("FLASHER_UPDATE_DIR", &self.tmp)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen: Vec<String> = Vec::new();
        let mut look = || {
            let line = fs::read_to_string(self.tmp.join("update.progress"));
            if let Some(line) = line.ok().filter(|line| seen.last() != Some(line)) {
                seen.push(line);
            }
        };
        while child.try_wait().unwrap().is_none() {
            look();
        }
        look();
        let output = child.wait_with_output().unwrap();
        (seen, output.into())
    }

    fn message(&self) -> String {
        fs::read_to_string(self.tmp.join("update.message")).unwrap()
    }

    /// Asserts a refusal: an error for the page, and a flash that nobody touched.
    #[track_caller]
    fn refuses(&self, exit: i32, word: &str) {
        let before = self.sim.flash();
        let (seen, run) = self.start(&["-v", "/volume1"]);
        let run = run.exits(exit);
        assert_eq!(seen.last().unwrap(), &format!("C:-{exit}:\n"), "{run:?}");
        assert!(self.message().contains(word), "{}", self.message());
        assert!(self.sim.flash() == before);
    }
}

fn files() -> [(&'static str, Vec<u8>); 4] {
    [
        ("zImage", bytes(2_900_000, 1)),
        ("rd.gz", bytes(4_000_000, 2)),
        ("VERSION", VERSION.into()),
        // For the disks, and no matter of ours beyond its checksum.
        ("texts/enu/strings", bytes(100, 3)),
    ]
}

fn page() -> Page {
    let files = files();
    let files: Vec<_> = files
        .iter()
        .map(|(name, content)| (*name, content.as_slice()))
        .collect();
    Page::new(&files)
}

#[test]
fn the_images_beside_it_are_written_and_the_page_is_told() {
    let mut page = page();
    // A name need not be UTF-8.
    let odd = page.dir.with_file_name(OsStr::from_bytes(b"upd@te\xff"));
    fs::rename(&page.dir, &odd).unwrap();
    page.dir = odd;
    page.sim.fill(&bytes(8 << 20, 4));
    let before = page.sim.flash();
    let (seen, run) = page.start(&["-v", "/volume1"]);
    run.exits(0);
    let chip = page.sim.flash();
    assert!(chip[ZIMAGE..ZIMAGE + 2_900_000] == bytes(2_900_000, 1)[..]);
    assert!(chip[RD..RD + 4_000_000] == bytes(4_000_000, 2)[..]);
    assert!(chip[..ZIMAGE] == before[..ZIMAGE] && chip[0x7d0000..] == before[0x7d0000..]);

    // A, P and C in this order, each number below its end and never falling, and 100 at the end alone.
    let parsed: Vec<(char, i64)> = seen
        .iter()
        .map(|line| {
            let words: Vec<&str> = line.trim_end().split(':').collect();
            assert!(words.len() == 3 && words[2].is_empty(), "{line:?}");
            (words[0].parse().unwrap(), words[1].parse().unwrap())
        })
        .collect();
    let (last, others) = parsed.split_last().unwrap();
    assert_eq!(last, &('C', 100));
    assert!(others.iter().all(|(_, number)| (0..99).contains(number)), "{parsed:?}");
    let rank = |(stage, number): &(char, i64)| ("APC".find(*stage).unwrap(), *number);
    let order: Vec<_> = parsed.iter().map(rank).collect();
    assert!(order.iter().any(|(stage, _)| *stage == 1), "{parsed:?}");
    assert!(
        order
            .windows(2)
            .filter(|pair| pair[0].0 == pair[1].0 && pair[0].0 > 0)
            .all(|pair| pair[0] < pair[1])
    );
    assert!(order.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{parsed:?}");
    assert_eq!(page.message(), "extramsg=\"flasher: written and verified\"\n");

    // Once more: nothing was written, so there is nothing to restart for. 100 would restart the box.
    let (seen, run) = page.start(&["-v", "/volume1"]);
    run.exits(0);
    assert_eq!(seen.last().unwrap(), "C:-1:\n");
    assert!(page.message().contains("nothing was written"), "{}", page.message());
}

#[test]
fn what_is_not_as_listed_is_refused() {
    let page = page();
    fs::write(page.dir.join("extra"), "x").unwrap();
    page.refuses(65, "'extra' is not listed");
    fs::remove_file(page.dir.join("extra")).unwrap();
    fs::write(page.dir.join("texts/extra"), "x").unwrap();
    page.refuses(65, "'texts/extra' is not listed");
    fs::remove_file(page.dir.join("texts/extra")).unwrap();
    for name in ["zImage", "texts/enu/strings"] {
        let whole = fs::read(page.dir.join(name)).unwrap();
        let mut broken = whole.clone();
        broken[77] ^= 1;
        fs::write(page.dir.join(name), broken).unwrap();
        page.refuses(65, &format!("'{name}' is not what"));
        fs::write(page.dir.join(name), &whole[..whole.len() - 1]).unwrap();
        page.refuses(65, &format!("'{name}' is not what"));
        fs::write(page.dir.join(name), [&whole[..], b"x"].concat()).unwrap();
        page.refuses(65, &format!("'{name}' is not what"));
        fs::remove_file(page.dir.join(name)).unwrap();
        page.refuses(65, "and not there");
        std::os::unix::fs::symlink("/etc/hostname", page.dir.join(name)).unwrap();
        page.refuses(65, "not a plain file");
        fs::remove_file(page.dir.join(name)).unwrap();
        fs::write(page.dir.join(name), whole).unwrap();
    }
    fs::write(page.dir.join("checksum.syno"), "").unwrap();
    page.refuses(65, "checksum.syno");
    fs::remove_file(page.dir.join("checksum.syno")).unwrap();
    page.refuses(66, "checksum.syno");
}

#[test]
fn a_pat_for_another_box_or_for_none() {
    let page = page();
    let names = ["updater", "zImage", "rd.gz", "VERSION", "texts/enu/strings"];
    fs::write(page.dir.join("VERSION"), "unique=\"synology_88f6281_212j\"\n").unwrap();
    page.list(&names);
    page.refuses(78, "synology_88f6281_212j");
    fs::write(page.dir.join("VERSION"), "").unwrap();
    page.list(&names);
    page.refuses(78, "the .pat is for");
}

#[test]
fn an_image_that_does_not_fit_or_none_at_all() {
    let page = page();
    fs::write(page.dir.join("zImage"), bytes(2_949_121, 5)).unwrap();
    page.list(&["updater", "zImage", "rd.gz", "VERSION", "texts/enu/strings"]);
    page.refuses(78, "1 bytes too many");
    let page = Page::new(&[("VERSION", VERSION.as_bytes())]);
    page.refuses(65, "nothing for the flash");
}

/// One line, in quotation marks, without any in it.
#[test]
fn a_wrong_call_ends_with_an_error_that_the_page_can_show() {
    let page = page();
    for args in [&[][..], &["-v"], &["apply", "x"], &["-r", "/volume1"]] {
        let (seen, run) = page.start(args);
        run.exits(64);
        assert_eq!(seen.last().unwrap(), "C:-64:\n");
        let message = page.message();
        let inside = message
            .strip_prefix("extramsg=\"")
            .unwrap()
            .strip_suffix("\"\n")
            .unwrap();
        assert!(!inside.contains(['"', '\n']), "{message}");
    }
}

/// In `/tmp` a file that is there already could be a link of anybody's.
#[test]
fn a_link_in_the_place_of_the_files_is_not_followed() {
    let page = page();
    let victim = page.sim.file("victim", b"precious");
    for name in [
        "update.progress",
        "update.message",
        ".update.progress.flasher",
        ".update.message.flasher",
    ] {
        std::os::unix::fs::symlink(&victim, page.tmp.join(name)).unwrap();
    }
    page.start(&["-v", "/volume1"]).1.exits(0);
    assert_eq!(fs::read(Path::new(&victim)).unwrap(), b"precious");
}

/// What says for which box it is decides as well, and is signed as what is written.
#[test]
fn a_directory_is_signed_with_what_says_for_which_box_it_is() {
    let page = page();
    let keys = page.sim.path().join("etc/flasher/keys");
    fs::create_dir_all(&keys).unwrap();
    let (public, secret) = (keys.join("a.pub"), page.tmp.join("secret"));
    let (public, secret) = (public.to_str().unwrap(), secret.to_str().unwrap());
    tool("minisign", &["-G", "-f", "-W", "-p", public, "-s", secret]);
    let sums = page.dir.join("SHA256SUMS");
    let sign = |names: &str| {
        let list = format!("cd '{}' && sha256sum {names} >SHA256SUMS", page.dir.display());
        tool("sh", &["-c", &list]);
        tool("minisign", &["-S", "-s", secret, "-m", sums.to_str().unwrap()]);
    };
    let list = || {
        let names = files().map(|(name, _)| name);
        page.list(&[&["updater", "SHA256SUMS", "SHA256SUMS.minisig"][..], &names].concat());
    };
    let says = |unique: &str| fs::write(page.dir.join("VERSION"), format!("unique=\"{unique}\"\n")).unwrap();
    sign("zImage rd.gz");
    list();
    page.refuses(65, "VERSION");
    says("synology_another_box");
    sign("zImage rd.gz VERSION");
    says("synology_armada370_213j");
    list();
    page.refuses(65, "VERSION");
    sign("zImage rd.gz VERSION");
    list();
    page.start(&["-v", "/volume1"]).1.exits(0);
}
