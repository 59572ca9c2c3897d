//! A stand-in for `/proc` and `/sys` that shows flash as the kernel does.
#![allow(dead_code)]

use std::os::unix::fs::symlink;

use mtd_rs::{Map, SystemPaths};

use super::TempDir;

/// One MTD device. `home` is the directory below `/sys/devices`, `virtual` for a device without one.
#[derive(Clone, Debug)]
pub struct Mtd {
    pub index: u32,
    pub name: String,
    pub size: u64,
    pub offset: Option<u64>,
    pub parent: Option<u32>,
    pub home: String,
    pub kind: &'static str,
    pub erase: u32,
    pub write: u32,
    pub oob: u32,
}

pub const SPI: &str = "platform/ahb/spi0/spi0.0";

/// A whole chip on SPI, of 64 KiB blocks.
pub fn mtd(index: u32, name: &str, size: u64) -> Mtd {
    Mtd {
        index,
        name: name.to_owned(),
        size,
        offset: None,
        parent: None,
        home: SPI.to_owned(),
        kind: "nor",
        erase: 0x1_0000,
        write: 1,
        oob: 0,
    }
}

impl Mtd {
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    pub fn inside(mut self, parent: u32) -> Self {
        self.parent = Some(parent);
        self
    }

    pub fn on(mut self, home: &str) -> Self {
        self.home = home.to_owned();
        self
    }

    pub fn nand(mut self) -> Self {
        (self.kind, self.erase, self.write, self.oob) = ("nand", 0x2_0000, 2048, 64);
        self
    }

    pub fn ram(mut self) -> Self {
        self.kind = "ram";
        self
    }
}

/// What a box shows.
#[derive(Clone, Debug)]
pub struct Layout {
    pub mtds: Vec<Mtd>,
    pub release: &'static str,
    pub sysfs: bool,
    pub offsets: bool,
}

impl Layout {
    /// A kernel that shows everything.
    pub fn new(mtds: Vec<Mtd>) -> Self {
        Layout {
            mtds,
            release: "6.1.0",
            sysfs: true,
            offsets: true,
        }
    }

    pub fn release(mut self, release: &'static str) -> Self {
        self.release = release;
        self
    }

    pub fn without_offsets(mut self) -> Self {
        (self.offsets, self.release) = (false, "3.18.23");
        self
    }

    pub fn without_sysfs(mut self) -> Self {
        (self.sysfs, self.release) = (false, "2.6.12");
        self
    }

    fn place(&self, mtd: &Mtd) -> String {
        match mtd
            .parent
            .and_then(|parent| self.mtds.iter().find(|it| it.index == parent))
        {
            Some(parent) => format!("{}/mtd{}", self.place(parent), mtd.index),
            None => format!("sys/devices/{}/mtd/mtd{}", mtd.home, mtd.index),
        }
    }

    /// Writes it below `root`.
    pub fn write(&self, root: &TempDir) {
        root.write("proc/sys/kernel/osrelease", &format!("{}\n", self.release));
        let mut table = "dev:    size   erasesize  name\n".to_owned();
        for mtd in &self.mtds {
            table += &format!(
                "mtd{}: {:08x} {:08x} \"{}\"\n",
                mtd.index, mtd.size, mtd.erase, mtd.name
            );
        }
        root.write("proc/mtd", &table);
        if !self.sysfs {
            return;
        }
        std::fs::create_dir_all(root.path().join("sys/class/mtd")).unwrap();
        for mtd in &self.mtds {
            let place = self.place(mtd);
            let mut attributes = vec![
                ("dev", format!("90:{}", mtd.index * 2)),
                ("name", mtd.name.clone()),
                ("type", mtd.kind.to_owned()),
                ("flags", "0xc00".to_owned()),
                ("size", mtd.size.to_string()),
                ("erasesize", mtd.erase.to_string()),
                ("writesize", mtd.write.to_string()),
                ("oobsize", mtd.oob.to_string()),
                ("numeraseregions", "0".to_owned()),
            ];
            if let Some(offset) = mtd.offset.filter(|_| self.offsets) {
                attributes.push(("offset", offset.to_string()));
            }
            for (name, text) in attributes {
                root.write(&format!("{place}/{name}"), &format!("{text}\n"));
            }
            let link = root.path().join(format!("sys/class/mtd/mtd{}", mtd.index));
            symlink(root.path().join(&place), link).unwrap();
        }
    }

    /// The map of it.
    pub fn map(&self) -> Map {
        let root = TempDir::new();
        self.write(&root);
        read(&root)
    }
}

pub fn read(root: &TempDir) -> Map {
    Map::read(&SystemPaths::under(root.path())).unwrap()
}

/// A UBI device with volumes of 10 blocks.
pub fn ubi(root: &TempDir, index: u32, mtd: Option<u32>, volumes: &[&str]) {
    let write = |device: &str, list: &[(&str, &str)]| {
        for (name, text) in list {
            root.write(&format!("sys/class/ubi/{device}/{name}"), &format!("{text}\n"));
        }
    };
    let device = format!("ubi{index}");
    write(
        &device,
        &[
            ("eraseblock_size", "126976"),
            ("min_io_size", "2048"),
            ("total_eraseblocks", "100"),
            ("avail_eraseblocks", "0"),
            ("bad_peb_count", "0"),
            ("reserved_for_bad", "0"),
            ("max_ec", "1"),
        ],
    );
    if let Some(mtd) = mtd {
        write(&device, &[("mtd_num", &mtd.to_string())]);
    }
    for (id, name) in volumes.iter().enumerate() {
        write(
            &format!("ubi{index}_{id}"),
            &[
                ("dev", &format!("25{index}:{}", id + 1)),
                ("name", name),
                ("type", "dynamic"),
                ("data_bytes", "1269760"),
                ("reserved_ebs", "10"),
                ("usable_eb_size", "126976"),
                ("upd_marker", "0"),
                ("corrupted", "0"),
            ],
        );
    }
}
