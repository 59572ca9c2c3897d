//! A box that is described: the program sees its `/sys` and `/proc`, and mounts in its name, in a mount namespace of its own.
//!
//! There is no flash behind it, so nothing can be read or written; what a plan refuses is decided before that. Needs root.

use crate::simbox::{Run, bytes};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// The mounts of a box that runs at the same time would be seen as mounts in the namespace of another process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An MTD device as sysfs shows it.
#[derive(Clone, Copy)]
pub struct Mtd {
    pub index: u32,
    pub name: &'static str,
    pub size: u64,
    /// The attribute; counts from the parent.
    pub offset: Option<u64>,
    pub parent: Option<u32>,
    /// The device that it hangs on, as its directory below `/sys/devices`.
    pub chip: &'static str,
    pub erase_size: u32,
    pub flags: u32,
}

/// A device of NOR flash with erase blocks of 64 KiB, at that offset.
pub const fn mtd(index: u32, name: &'static str, size: u64, offset: u64) -> Mtd {
    Mtd {
        index,
        name,
        size,
        offset: Some(offset),
        parent: None,
        chip: "platform/soc/spi0.0",
        erase_size: 0x10000,
        // MTD_CAP_NORFLASH of include/uapi/mtd/mtd-abi.h.
        flags: 0xc00,
    }
}

impl Mtd {
    /// It has no attribute `offset`: a whole chip, a concatenation, or an old kernel.
    pub const fn anywhere(mut self) -> Mtd {
        self.offset = None;
        self
    }

    pub const fn in_parent(mut self, parent: u32) -> Mtd {
        self.parent = Some(parent);
        self
    }

    pub const fn on(mut self, chip: &'static str) -> Mtd {
        self.chip = chip;
        self
    }

    pub const fn erase_size(mut self, bytes: u32) -> Mtd {
        self.erase_size = bytes;
        self
    }

    /// The kernel lets nobody write it.
    pub const fn read_only(mut self) -> Mtd {
        self.flags = 0x800;
        self
    }
}

pub struct FakeBox {
    dir: TempDir,
    mounts: Vec<String>,
    /// What somebody did to the box before.
    before: String,
}

impl FakeBox {
    /// A box with these devices and a kernel of that release.
    pub fn new(release: &str, devices: &[Mtd]) -> FakeBox {
        let fake = FakeBox {
            // Not below /tmp, which may be another one on the box.
            dir: TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
            mounts: Vec::new(),
            before: String::new(),
        };
        fake.put("sys/class/mtd/.keep", "");
        fake.put("proc/.keep", "");
        fake.put("release", release);
        let mut listed = "dev:    size   erasesize  name\n".to_owned();
        let mut in_order = devices.to_vec();
        in_order.sort_by_key(|device| device.index);
        for device in &in_order {
            fake.device(device, devices);
            listed.push_str(&format!(
                "mtd{}: {:08x} {:08x} \"{}\"\n",
                device.index, device.size, device.erase_size, device.name
            ));
        }
        fake.proc("mtd", &listed).proc("cmdline", "console=ttyS0\n")
    }

    fn device(&self, device: &Mtd, all: &[Mtd]) {
        let place = place(device, all);
        let mut attributes = vec![
            ("name", device.name.to_owned()),
            ("type", "nor".into()),
            ("flags", format!("{:#x}", device.flags)),
            ("size", device.size.to_string()),
            ("erasesize", device.erase_size.to_string()),
            ("writesize", "1".into()),
            ("oobsize", "0".into()),
            ("numeraseregions", "0".into()),
            ("dev", format!("90:{}", 2 * device.index)),
        ];
        attributes.extend(device.offset.map(|offset| ("offset", offset.to_string())));
        for (name, value) in attributes {
            self.put(&format!("sys/{place}/{name}"), format!("{value}\n"));
        }
        let link = self.path(&format!("sys/class/mtd/mtd{}", device.index));
        symlink(format!("../../{place}"), link).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A file below `/proc`.
    pub fn proc(self, name: &str, content: &str) -> FakeBox {
        self.put(&format!("proc/{name}"), content);
        self
    }

    /// A file below `/sys`.
    pub fn sys(self, name: &str, content: &str) -> FakeBox {
        self.put(&format!("sys/{name}"), content);
        self
    }

    /// A file of its `/etc`, which has nothing else; only root can write it.
    pub fn etc(self, name: &str, content: &[u8]) -> FakeBox {
        self.put(&format!("etc/{name}"), content);
        self
    }

    /// Where such a file lies.
    pub fn etc_path(&self, name: &str) -> PathBuf {
        self.path("etc").join(name)
    }

    /// The same for a name that is not UTF-8.
    pub fn etc_bytes(self, name: &[u8], content: &[u8]) -> FakeBox {
        fs::write(self.path("etc").join(OsStr::from_bytes(name)), content).unwrap();
        self
    }

    /// What the `Hardware` line of `/proc/cpuinfo` says.
    pub fn hardware(self, name: &str) -> FakeBox {
        self.proc("cpuinfo", &format!("Processor\t: some\nHardware\t: {name}\n"))
    }

    /// A kernel whose sysfs has no MTD in it, only `/proc/mtd`.
    pub fn without_sysfs(self) -> FakeBox {
        fs::remove_dir_all(self.path("sys/class/mtd")).unwrap();
        self
    }

    /// UBI 0 on that MTD, with one dynamic volume.
    pub fn ubi(self, mtd: u32, volume: &str) -> FakeBox {
        let device = [
            ("mtd_num", mtd.to_string()),
            ("eraseblock_size", "65408".into()),
            ("min_io_size", "1".into()),
            ("total_eraseblocks", "64".into()),
            ("avail_eraseblocks", "0".into()),
            ("bad_peb_count", "0".into()),
            ("reserved_for_bad", "0".into()),
            ("max_ec", "1".into()),
        ];
        let info = [
            ("name", volume.to_owned()),
            ("type", "dynamic".into()),
            ("dev", "250:1".into()),
            ("data_bytes", "3924480".into()),
            ("reserved_ebs", "60".into()),
            ("usable_eb_size", "65408".into()),
            ("upd_marker", "0".into()),
            ("corrupted", "0".into()),
        ];
        for (name, value) in device {
            self.put(&format!("sys/class/ubi/ubi0/{name}"), format!("{value}\n"));
        }
        for (name, value) in info {
            self.put(&format!("sys/class/ubi/ubi0_0/{name}"), format!("{value}\n"));
        }
        self
    }

    /// Something is mounted, from a source of this name.
    pub fn mounted(mut self, source: &str) -> FakeBox {
        self.mounts.push(source.to_owned());
        self
    }

    /// A script that is run before the program, in its namespace, with the program and its words as `"$@"`.
    pub fn before(mut self, script: &str) -> FakeBox {
        self.before.push_str(script);
        self
    }

    /// Where the first source is mounted.
    pub fn mount_point(&self) -> String {
        self.path("mount0").display().to_string()
    }

    /// Runs the program on the box.
    pub fn run(&self, args: &[&str]) -> Run {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut script = "set -e\ncd \"$1\"; shift\nmkdir -p real\nmount --rbind /proc real\n\
            mount --bind release real/sys/kernel/osrelease\n\
            for name in real/*; do name=${name#real/}; [ -e proc/$name ] || ln -sfn \"$PWD/real/$name\" proc/$name; done\n\
            [ ! -e etc ] || mount --bind etc /etc\n\
            mount --bind sys /sys\nmount --bind proc /proc\n"
            .to_owned();
        for (index, source) in self.mounts.iter().enumerate() {
            script.push_str(&format!(
                "mkdir -p mount{index}\nmount -t tmpfs '{source}' mount{index}\n"
            ));
        }
        script.push_str("cd /\n");
        script.push_str(&self.before);
        script.push_str("\nexec \"$@\"\n");
        let dir = self.dir.path().to_str().unwrap();
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "bash", "-c", &script, "sh", dir]);
        command
            .arg(env!("CARGO_BIN_EXE_flasher"))
            .args(args)
            .stdin(Stdio::null());
        command.output().expect("unshare starts").into()
    }

    /// What `devices` says, for people and for programs.
    pub fn devices(&self) -> Devices {
        let text = self.run(&["devices"]).exits(0).out;
        let json = self.run(&["devices", "--format", "json"]).exits(0).json();
        Devices { text, json }
    }

    /// The plan of raw bytes for these partitions, whatever they hold. It never gets as far as the flash, because the checksum
    /// is another one.
    pub fn plan(&self, parts: &str, more: &[&str]) -> Plan {
        let image = self.path("image");
        fs::write(&image, bytes(1000, 1)).unwrap();
        self.plan_of(&image, parts, &[more, &["--force=content"]].concat())
    }

    /// The plan of that image.
    pub fn plan_of(&self, image: &Path, parts: &str, more: &[&str]) -> Plan {
        let other = "0".repeat(64);
        let mut args = vec!["plan", "--format", "json", "--sha256", &other, "--part", parts];
        args.extend(more);
        args.push(image.to_str().unwrap());
        let run = self.run(&args);
        let json = run.json();
        assert_eq!(json["valid"], false, "{run:?}");
        Plan { json }
    }
}

fn place(device: &Mtd, all: &[Mtd]) -> String {
    let own = format!("mtd{}", device.index);
    match device
        .parent
        .and_then(|parent| all.iter().find(|other| other.index == parent))
    {
        Some(parent) => format!("{}/{own}", place(parent, all)),
        None => format!("devices/{}/mtd/{own}", device.chip),
    }
}

pub struct Devices {
    pub text: String,
    pub json: Value,
}

impl Devices {
    /// The object of a partition.
    #[track_caller]
    pub fn of(&self, id: &str) -> &Value {
        let number = |partition: &Value| match partition["volume"].as_str() {
            Some(volume) => volume.to_owned(),
            None => format!("mtd{}", partition["mtd"]),
        };
        let mut all = self.json["partitions"].as_array().unwrap().iter();
        all.find(|partition| number(partition) == id)
            .unwrap_or_else(|| panic!("no {id}: {}", self.json))
    }

    /// Offset, parent, what shares bytes, what may.
    #[track_caller]
    pub fn place(&self, id: &str) -> (Option<u64>, Option<&str>, Vec<&str>, Vec<&str>) {
        let partition = self.of(id);
        let list = |name: &str| -> Vec<&str> {
            let ids = partition[name].as_array().into_iter().flatten();
            ids.map(|id| id.as_str().unwrap()).collect()
        };
        (
            partition["offset"].as_u64(),
            partition["parent"].as_str(),
            list("overlaps"),
            list("may_overlap"),
        )
    }

    /// The lines of text about chips and partitions, up to the size.
    pub fn tree(&self) -> Vec<String> {
        let about = |line: &&str| line.starts_with(' ') && !line.contains("used by") || line.starts_with("chip ");
        let short = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let indent = line.len() - line.trim_start().len();
            let upto = words.iter().position(|word| word.starts_with("0x") || *word == "?");
            let kept = upto.map_or(&words[..], |at| &words[..=at]);
            format!("{:indent$}{}", "", kept.join(" "))
        };
        self.text.lines().filter(about).map(short).collect()
    }
}

pub struct Plan {
    pub json: Value,
}

impl Plan {
    /// The checks that failed, but for the checksum that is wrong on purpose, and the init of the machine of the tests.
    pub fn refused(&self) -> Vec<&str> {
        let checks = self.json["checks"].as_array().unwrap().iter();
        let failed = checks.filter(|check| check["status"] == "fail");
        let names = failed.map(|check| check["name"].as_str().unwrap());
        names.filter(|name| !["sha256", "init"].contains(name)).collect()
    }

    /// What the checks of that name say.
    pub fn says(&self, check: &str) -> String {
        let checks = self.json["checks"].as_array().unwrap().iter();
        let texts: Vec<_> = checks
            .filter(|found| found["name"] == check)
            .map(|found| found["text"].as_str().unwrap())
            .collect();
        texts.join("\n")
    }
}
