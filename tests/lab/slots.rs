//! Room for two firmwares on the chip, the environment that says which of them boots, and U-Boot's way of reading that.

use super::kind::Kind;
use super::tools::{command, run, scratch, text, write};

const KIB: usize = 1024;
/// Bytes of a copy of the environment, header included; the rest of its erase block is nobody's.
const COPY: usize = 64 * KIB;

/// A box with two slots. Slot A is the firmware of every box; its partitions keep their names and numbers.
#[derive(Clone, Copy)]
pub struct Slots {
    kind: Kind,
    /// Copies of the environment: one, or two that take turns.
    copies: usize,
}

/// What the boot loader starts.
pub struct Choice {
    /// The partition with the kernel.
    pub kernel: &'static str,
    /// Words for its command line: the partitions, and the root.
    pub words: String,
}

impl Slots {
    pub fn new(kind: Kind, copies: usize) -> Self {
        assert_eq!(kind, Kind::Armel, "the chip of the others is too small");
        Slots { kind, copies }
    }

    /// Name, offset and size of every partition; the last three lie in `spare` of other boxes.
    fn partitions(self) -> Vec<(&'static str, usize, usize)> {
        let mut all: Vec<_> = self
            .kind
            .partitions()
            .iter()
            .map(|p| (p.name, p.offset, p.size))
            .collect();
        let (_, mut offset, room) = all.pop().expect("spare is the last");
        let end = offset + room;
        let kernel = self.kind.partition("kernel").size;
        let rootfs = self.kind.partition("rootfs").size;
        for (name, size) in [
            ("kernel-b", kernel),
            ("rootfs-b", rootfs),
            ("env", 2 * self.kind.erase_size()),
        ] {
            all.push((name, offset, size));
            offset += size;
        }
        all.push(("spare", offset, end - offset));
        all
    }

    /// The bytes of a partition in the flash file.
    pub fn range(self, name: &str) -> std::ops::Range<usize> {
        let partitions = self.partitions();
        let found = partitions.iter().find(|(other, ..)| *other == name);
        let (_, offset, size) = found.unwrap_or_else(|| panic!("there is no partition {name}"));
        *offset..offset + size
    }

    fn command_line(self, root: usize) -> String {
        let table: Vec<String> = self
            .partitions()
            .iter()
            .map(|(name, _, size)| format!("{}k({name}){}", size / KIB, if *name == "boot" { "ro" } else { "" }))
            .collect();
        // The last of each of these words counts.
        format!("root=/dev/mtdblock{root} mtdparts=34000000.flash:{}", table.join(","))
    }

    /// Chooses as U-Boot does whose `bootcmd` goes by `slot`: from the newer copy that is whole (`env_flash_init` in
    /// `env/flash.c`), or with the defaults that are compiled in, which have slot A.
    pub fn choose(self, flash: &[u8]) -> Choice {
        let env = &flash[self.range("env")];
        let mut best: Option<(u8, &[u8])> = None;
        for copy in env.chunks(self.kind.erase_size()).take(self.copies) {
            let header = if self.copies == 2 { 5 } else { 4 };
            let (flags, data) = (copy[4], &copy[header..COPY]);
            let whole = copy[..4] == super::boot_loader::crc32(data).to_le_bytes();
            if whole && (self.copies == 1 || best.is_none_or(|(older, _)| flags > older)) {
                best = Some((flags, data));
            }
        }
        let variables = best
            .map(|(_, data)| data.split(|byte| *byte == 0))
            .into_iter()
            .flatten();
        let slot = variables
            .take_while(|entry| !entry.is_empty())
            .find_map(|entry| entry.strip_prefix(b"slot="));
        match slot {
            Some(b"b") => Choice {
                kernel: "kernel-b",
                words: self.command_line(6),
            },
            _ => Choice {
                kernel: "kernel",
                words: self.command_line(2),
            },
        }
    }

    /// Fills the environment's partition as `saveenv` of a box does that boots this slot; with nothing at all for `None`.
    pub fn save(self, flash: &mut [u8], variables: Option<&str>) {
        let range = self.range("env");
        flash[range.clone()].fill(0xff);
        let Some(variables) = variables else { return };
        let dir = scratch();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        write(&from, variables.as_bytes());
        let mut mkenvimage = command("mkenvimage");
        if self.copies == 2 {
            mkenvimage.arg("-r");
        }
        run(mkenvimage.args(["-s", &COPY.to_string(), "-o", text(&to), text(&from)]));
        let copy = super::tools::read(&to);
        flash[range.start..range.start + copy.len()].copy_from_slice(&copy);
    }

    /// What `fw_printenv` says of the flash, sorted. It must find a copy that is whole.
    pub fn printenv(self, flash: &[u8]) -> Vec<String> {
        let dir = scratch();
        let [env, config] = ["env", "config"].map(|name| dir.path().join(name));
        write(&env, &flash[self.range("env")]);
        let lines: String = (0..self.copies)
            .map(|copy| format!("{} {:#x} {COPY:#x}\n", text(&env), copy * self.kind.erase_size()))
            .collect();
        write(&config, lines.as_bytes());
        let output = run(command("fw_printenv").args(["-c", text(&config)]));
        assert!(output.stderr.is_empty(), "fw_printenv took the defaults: {output:?}");
        let mut lines: Vec<_> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }

    /// The description of the box that flasher is given, as `--board` takes it.
    pub fn profile(self) -> String {
        let partitions: Vec<String> = self
            .partitions()
            .iter()
            .enumerate()
            .map(|(mtd, (name, offset, size))| {
                format!(r#"{{"mtd": {mtd}, "name": "{name}", "offset": {offset}, "size": {size}}}"#)
            })
            .collect();
        let copies: Vec<String> = (0..self.copies)
            .map(|copy| format!(r#""/dev/mtd7 {:#x} {COPY:#x}""#, copy * self.kind.erase_size()))
            .collect();
        format!(
            r#"{{"id": "two-slots", "name": "a box of the lab", "cpu": {{"arch": "arm", "order": "little"}},
                "chip": {{"kind": "nor", "size": {}, "erase_size": {}}}, "ram": 134217728,
                "partitions": [{}], "environment": [{}], "record": "flasher",
                "slots": [{{"name": "A", "partitions": ["kernel", "rootfs"], "environment": ["slot=a", "tries=3"]}},
                          {{"name": "B", "partitions": ["kernel-b", "rootfs-b"], "environment": ["slot=b", "tries=3"]}}]}}"#,
            self.kind.flash_size(),
            self.kind.erase_size(),
            partitions.join(", "),
            copies.join(", "),
        )
    }
}
