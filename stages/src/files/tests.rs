#![allow(clippy::unwrap_used)]
use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A directory of our own, removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        let path = std::env::temp_dir().join(format!("flasher-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Temporary(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn why(path: &Path) -> String {
    read(path, 100).unwrap_err().to_string()
}

#[test]
fn a_file_that_others_can_write_or_that_is_none_is_not_read() {
    let here = Temporary::new("plain");
    fs::write(here.at("good"), "text").unwrap();
    assert_eq!(read_text(&here.at("good"), 4).unwrap(), "text");
    assert!(why(&here.at("missing")).contains("No such file"));
    assert_eq!(read(&here.at("missing"), 4).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(read(&here.at("good"), 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
    for mode in [0o622, 0o602, 0o620] {
        here.mode("good", mode);
        assert!(why(&here.at("good")).contains("others can write it"));
    }
    // It does not wait for somebody who writes.
    nix::unistd::mkfifo(&here.at("fifo"), Mode::S_IRUSR).unwrap();
    assert!(why(&here.at("fifo")).contains("not a plain file"));
    assert!(why(&here.0).contains("not a plain file"));
    assert!(read(Path::new("/dev/null"), 100).is_err());
}

#[test]
fn no_directory_on_the_way_may_be_somebody_elses() {
    let here = Temporary::new("way");
    fs::create_dir_all(here.at("a/b")).unwrap();
    fs::write(here.at("a/b/file"), "x").unwrap();
    assert!(read(&here.at("a/b/file"), 1).is_ok());
    for mode in [0o777, 0o775] {
        here.mode("a", mode);
        assert!(why(&here.at("a/b/file")).contains("others can change what is in the directory"));
        assert!(Directory::make(&here.at("a/c")).is_err());
    }
    if geteuid().is_root() {
        here.mode("a", 0o755);
        nix::unistd::chown(&here.at("a"), Some(65534.into()), None).unwrap();
        assert!(why(&here.at("a/b/file")).contains("is not root's"));
        nix::unistd::chown(&here.at("a"), Some(0.into()), None).unwrap();
        nix::unistd::chown(&here.at("a/b/file"), Some(65534.into()), None).unwrap();
        assert!(why(&here.at("a/b/file")).contains("it is not root's"));
    }
}

#[test]
fn links_are_followed_only_where_nobody_else_can_make_any() {
    let here = Temporary::new("links");
    fs::create_dir_all(here.at("real")).unwrap();
    fs::create_dir_all(here.at("shared")).unwrap();
    fs::write(here.at("real/file"), "x").unwrap();
    symlink("real", here.at("dir")).unwrap();
    symlink(here.at("real/file"), here.at("file")).unwrap();
    for path in ["dir/file", "file", "dir/../file"] {
        assert_eq!(read_text(&here.at(path), 1).unwrap(), "x", "{path}");
    }
    here.mode("shared", 0o1777);
    symlink(here.at("real"), here.at("shared/dir")).unwrap();
    symlink(here.at("real/file"), here.at("shared/file")).unwrap();
    for path in ["shared/dir/file", "shared/file"] {
        assert!(why(&here.at(path)).contains("anybody can have made it"), "{path}");
    }
    // A second name of root's own file neither.
    fs::hard_link(here.at("real/file"), here.at("shared/second")).unwrap();
    assert!(why(&here.at("shared/second")).contains("it is not root's"));
    // A loop ends.
    symlink("loop", here.at("loop")).unwrap();
    assert!(read(&here.at("loop"), 1).is_err());
    assert!(Directory::open(&here.at("loop")).is_err());
}

#[test]
fn what_is_made_is_new_and_for_root_alone() {
    let here = Temporary::new("new");
    let made = Directory::make(&here.at("x/y")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&here.at("x/y")) & 0o077, 0);
    let name = OsStr::from_bytes(b"file");
    let file = made.create(name).unwrap();
    assert_eq!(mode(&here.at("x/y/file")) & 0o177, 0);
    assert_eq!(made.create(name).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(made.is(name, &file));
    symlink(here.at("elsewhere"), here.at("x/y/link")).unwrap();
    assert!(made.create(OsStr::from_bytes(b"link")).is_err());
    assert!(!here.at("elsewhere").exists());
    made.rename(name, OsStr::from_bytes(b"other")).unwrap();
    assert_eq!(made.names().unwrap(), ["link", "other"]);
    made.remove(OsStr::from_bytes(b"other")).unwrap();
    // Its descriptor means the directory wherever that is moved to.
    fs::rename(here.at("x"), here.at("z")).unwrap();
    made.create(name).unwrap();
    assert!(here.at("z/y/file").exists());
}
