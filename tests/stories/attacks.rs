//! Attacks of a local user, each carried out: he owns what he can in `/tmp`, before root's flasher runs or meanwhile. The box is
//! one without a `/run`, so that everything lies where he can reach it, and the kernel follows links wherever they lie.

use crate::fakebox::{FakeBox, mtd};
use crate::simbox::{Run, SimBox, bytes, is_root, tool};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// `as_user COMMAND` is what the user does. `/run` can be written by nobody.
const BOX: &str = r#"
mount -t tmpfs -o mode=1777 none /tmp
mount -t tmpfs -o mode=1777 none /dev/shm
mount -t tmpfs -o mode=755 none /run
mount -o remount,ro /run
mkdir /tmp/secret; chmod 700 /tmp/secret; echo precious >/tmp/secret/file
as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "$1"; }
"#;

fn fake() -> FakeBox {
    FakeBox::new(
        "2.6.33\n",
        &[mtd(0, "loader", 0x20000, 0), mtd(1, "firmware", 0x100000, 0x20000)],
    )
    .before(BOX)
}

/// Runs the program after what the user did, and the check behind it.
fn after(user: &str, check: &str, args: &[&str]) -> Run {
    let script = format!("as_user '{user}'\nended=0\ntimeout 20 \"$@\" || ended=$?\n{check}\nexit $ended\n");
    fake().before(&script).run(args)
}

/// The plan of bytes whose checksum is another one, which takes lock and RAM root and goes no further.
const APPLY: [&str; 7] = ["apply", "-y", "--format", "json", "--sha256", ZEROS, "/etc/passwd"];
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn a_record_of_the_users_is_not_told() {
    if !is_root() {
        return;
    }
    let written = r#"{"result":"failed","harm":"partly","code":"flash","text":"call 555-1234"}"#;
    let made = [
        format!(r#"printf "%s" "{}" >/tmp/flasher.status"#, written.replace('"', "\\\"")),
        // It would keep root waiting for somebody who writes.
        "mkfifo /tmp/flasher.status".to_owned(),
        "ln -s /proc/self/environ /tmp/flasher.status".to_owned(),
        "ln -s /dev/zero /tmp/flasher.status".to_owned(),
        "mkdir /tmp/flasher.status".to_owned(),
    ];
    for user in made {
        let run = after(&user, "", &["status", "--format", "json"]).exits(0);
        assert_eq!(run.json()["result"], "none", "{user}: {run:?}");
        assert!(!run.out.contains("555"), "{user}: {run:?}");
    }
}

#[test]
fn a_name_that_the_user_gave_the_box_decides_nothing() {
    if !is_root() {
        return;
    }
    let made = [
        "mkdir /tmp/sysinfo; echo user,board >/tmp/sysinfo/board_name",
        "mkdir /tmp/mine; echo user,board >/tmp/mine/board_name; ln -s mine /tmp/sysinfo",
        "mkdir /tmp/sysinfo; mkfifo /tmp/sysinfo/board_name",
        "mkdir /tmp/sysinfo; ln -s /dev/zero /tmp/sysinfo/board_name",
    ];
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let image = dir.path().join("image");
    let mut content = bytes(4096, 1);
    crate::formats::metadata(&mut content, "\"user,board\"", "1.0");
    fs::write(&image, content).unwrap();
    let args = [
        "plan",
        "--format",
        "json",
        "--part",
        "firmware",
        image.to_str().unwrap(),
    ];
    let says = |run: &Run| {
        let checks = run.json()["checks"].as_array().unwrap().clone();
        let of = checks.iter().find(|check| check["name"] == "metadata").unwrap();
        (of["status"].as_str().unwrap().to_owned(), run.exit)
    };
    for user in made {
        let run = after(user, "", &args);
        assert_eq!(says(&run).0, "fail", "{user}: {run:?}");
    }
    // Of root's it does.
    let roots = "mkdir /tmp/sysinfo; echo user,board >/tmp/sysinfo/board_name";
    let run = fake().before(roots).run(&args);
    assert_eq!(says(&run).0, "pass", "{run:?}");
    // But not where the user can change it.
    let run = fake()
        .before(&format!("{roots}; chmod 666 /tmp/sysinfo/board_name"))
        .run(&args);
    assert_eq!(says(&run).0, "fail", "{run:?}");
}

#[test]
fn a_lock_of_the_users_neither_stops_root_nor_leads_him_elsewhere() {
    if !is_root() {
        return;
    }
    let made = [
        "ln -s /tmp/secret/file /tmp/flasher.lock",
        "ln /proc/self/exe /tmp/flasher.lock 2>/dev/null; ln -s /tmp/secret /tmp/flasher.lock",
        "mkfifo /tmp/flasher.lock",
        // He holds it.
        "touch /tmp/flasher.lock; chmod 666 /tmp/flasher.lock; \
         (exec 9</tmp/flasher.lock; flock -x 9; sleep 15) >/dev/null 2>&1 & sleep 0.3",
        "(umask 0; while :; do rm -f /tmp/flasher.lock; : >/tmp/flasher.lock; done) >/dev/null 2>&1 & sleep 0.1",
    ];
    for user in made {
        let check = "cat /tmp/secret/file; stat -c \"%u %a %F\" /tmp/flasher.lock; pkill -u 65534 || true";
        let check = check.replace("pkill -u 65534 || true", "kill $(ps -o pid= -u 65534) 2>/dev/null");
        let run = after(user, &check, &APPLY);
        let code = run
            .out
            .lines()
            .find(|line| line.contains("\"code\""))
            .unwrap_or_default();
        assert!(code.contains("\"sha256\""), "{user}: {run:?}");
        assert!(run.out.contains("precious"), "{user}: {run:?}");
        assert!(run.out.contains("0 600 regular"), "{user}: {run:?}");
    }
}

/// While the image is on its way into the RAM root.
const SLOWLY: &str = r#"
for ms in 1 2 3; do sleep 1; [ $ms = 1 ] && printf firmware; done | timeout 20 "$@" >/tmp/secret/out &
sleep 2.2
"#;

#[test]
fn the_ram_root_is_never_in_a_place_of_the_users() {
    if !is_root() {
        return;
    }
    let made = [
        "mkdir /tmp/mine; ln -s mine /tmp/flasher; mkdir /dev/shm/mine; ln -s mine /dev/shm/flasher",
        "mkdir -m 777 /tmp/flasher /dev/shm/flasher",
        "true",
    ];
    for user in made {
        // The name is taken away under root, and points elsewhere.
        let meanwhile = "for dir in /tmp /dev/shm; do mkdir -p $dir/trap; echo evil >$dir/trap/image; \
                         for name in $dir/flasher*; do mv $name $dir/gone; ln -sfn trap $name; done; done; true";
        let script = format!(
            "as_user '{user}'\n{SLOWLY}\nplace=$(awk '/ - tmpfs flasher /{{print $5}}' /proc/self/mountinfo)\n\
             as_user '{meanwhile}' 2>/dev/null\nstat -c \"%u %a\" \"$place\" \"$place/image\"; echo \"at $place\"\n\
             cat \"$place/image\"; as_user \"cat $place/image\" && echo seen; wait\ncat /tmp/secret/out\nexit 0\n"
        );
        let args = ["apply", "-y", "--sha256", ZEROS, "-"];
        let run = fake().before(&script).run(&args);
        assert!(run.out.contains("0 700\n0 6"), "{user}: {run:?}");
        assert!(run.out.contains("at /"), "{user}: {run:?}");
        assert!(run.out.contains("firmware"), "{user}: {run:?}");
        assert!(
            !run.out.contains("evil") && !run.out.contains("seen"),
            "{user}: {run:?}"
        );
    }
}

/// What else of root's flasher reads because its path was typed, put there by the user.
#[test]
fn what_decides_the_plan_is_not_read_from_a_file_of_the_users() {
    if !is_root() {
        return;
    }
    let sim = SimBox::new("generic");
    let image = sim.file("image", &bytes(4096, 1));
    let user = TempDir::new().unwrap();
    fs::set_permissions(user.path(), fs::Permissions::from_mode(0o755)).unwrap();
    chown(user.path(), Some(65534), Some(65534)).unwrap();
    let in_his = |name: &str| user.path().join(name).to_str().unwrap().to_owned();
    let profile = fs::read(sim.path().join("board.json")).unwrap();
    for name in ["board.json", "env.config", "key.pub"] {
        fs::write(in_his(name), &profile).unwrap();
    }
    let run = sim.apply(&["--board", &in_his("board.json"), "--part", "kernel", &image]);
    assert!(run.out.contains("is not root's") && run.exit != 0, "{run:?}");
    let run = sim.run("env", &["--env-config", &in_his("env.config")]);
    assert!(run.err.contains("is not root's") && run.exit != 0, "{run:?}");
    let sums = tool("sha256sum", &[&image]).stdout;
    fs::write(in_his("sums"), &sums).unwrap();
    let run = sim.apply(&["--sha256", &in_his("sums"), "--part", "kernel", &image]);
    assert!(run.out.contains("is not root's") && run.exit != 0, "{run:?}");
    // Nor is one waited for that does not come.
    let fifo = sim.dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let run = sim.apply(&["--sha256", fifo.to_str().unwrap(), "--part", "kernel", &image]);
    assert!(run.out.contains("not a plain file") && run.exit != 0, "{run:?}");
    let sums = sim.file("sums", &sums);
    sim.apply(&["--sha256", &sums, "--part", "kernel", &image]).exits(0);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_backup_goes_only_where_root_alone_can_write() {
    let sim = SimBox::new("generic");
    let top = TempDir::new().unwrap();
    let at = |name: &str| top.path().join(name);
    let backup = |dir: &Path| sim.run("backup", &[dir.to_str().unwrap()]);
    // Made anew, with every directory above.
    backup(&at("a/b")).exits(0);
    assert_eq!(mode(&at("a/b")) & 0o077, 0);
    for entry in fs::read_dir(at("a/b")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    // Where everybody may write.
    for mode in [0o777, 0o1777, 0o775] {
        let dir = at(&format!("shared{mode:o}"));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        let run = backup(&dir);
        assert_ne!(run.exit, 0, "{run:?}");
        assert!(run.err.contains("others can"), "{run:?}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    }
    if !is_root() {
        return;
    }
    // The user's own, or below it, with a link where the temporary name is.
    let victim = at("victim");
    fs::write(&victim, "precious").unwrap();
    fs::create_dir_all(at("his/mine")).unwrap();
    for name in [
        ".mtd0.loader.bin.flasher",
        ".SHA256SUMS.flasher",
        "SHA256SUMS",
        "keep.tar",
    ] {
        symlink(&victim, at("his").join(name)).unwrap();
    }
    chown(at("his"), Some(65534), Some(65534)).unwrap();
    symlink(at("his/mine"), at("link")).unwrap();
    for dir in ["his", "his/mine", "his/new", "link"] {
        let run = backup(&at(dir));
        assert!(run.err.contains("is not root's"), "{dir}: {run:?}");
    }
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

/// Somebody swaps a kept file for a link to a secret as fast as he can, and reads whatever he can meanwhile.
#[test]
fn a_kept_file_that_is_swapped_for_a_link_gives_no_secret_away() {
    let sim = SimBox::new("generic");
    let image = sim.file("image", &bytes(4096, 1));
    let conf = sim.dir.path().join("conf");
    fs::create_dir(&conf).unwrap();
    let secret = sim.dir.path().join("secret");
    fs::write(&secret, b"SECRET-OF-ROOT-0123456789").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let (file, spare) = (conf.join("file"), sim.dir.path().join("spare"));
    let put_file = |to: &Path| {
        // Of the same length, so that nothing but its identity tells them apart.
        fs::write(to, b"my own settings 012345678").unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(0o644)).unwrap();
    };
    put_file(&file);
    const RUNS: u32 = 12;
    let stop = AtomicBool::new(false);
    let stored = sim.path().join("keep.tar");
    let (mut kept, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let link: PathBuf = sim.dir.path().join("link");
                let _ = fs::remove_file(&link);
                symlink(&secret, &link).unwrap();
                fs::rename(&link, &file).unwrap();
                put_file(&spare);
                fs::rename(&spare, &file).unwrap();
            }
        });
        let racing_reader = scope.spawn(|| {
            let mut open = 0;
            while !stop.load(Ordering::Relaxed) {
                if let Ok(about) = fs::symlink_metadata(&stored) {
                    open += u32::from(about.mode() & 0o077 != 0);
                }
            }
            open
        });
        for _ in 0..RUNS {
            let keep = conf.to_str().unwrap();
            let run = sim.apply(&["--part", "kernel", "--keep", keep, "--keep-to", "raw:config", &image]);
            match run.exit {
                0 => kept += 1,
                _ => refused += 1,
            }
            let tar = fs::read(&stored).unwrap_or_default();
            let config = [tar, sim.flash()].concat();
            assert!(!config.windows(14).any(|bytes| bytes == b"SECRET-OF-ROOT"), "{run:?}");
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(racing_reader.join().unwrap(), 0, "others could read the tar");
    });
    assert_eq!(kept + refused, RUNS);
}
