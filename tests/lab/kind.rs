//! The kinds of box: what QEMU is told, and how the flash chip is divided.

use std::fmt;

/// A kind of box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ARM926 (ARMv5TE, little-endian): QEMU's `versatilepb`, 64 MiB of NOR.
    Armel,
    /// MIPS32r2, big-endian: QEMU's `malta`, 4 MiB of NOR.
    Mips,
    /// The same, little-endian.
    Mipsel,
    /// The ARM926 with 32 MiB of RAM, whose kernel knows of the first 8 MiB of the flash only.
    ArmelSmall,
}

/// A partition of a box's flash; offsets and sizes are in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    pub name: &'static str,
    pub offset: usize,
    pub size: usize,
    pub read_only: bool,
}

impl Partition {
    /// The bytes of this partition in the flash file.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.size
    }
}

const KIB: usize = 1024;

/// What fills `rootfs` of [`Kind::ArmelSmall`] nearly.
const BULK_SMALL: usize = 3360 * KIB;

impl Kind {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// What the binary that runs on it is called, and what `tests/lab/build` makes for it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Armel | Kind::ArmelSmall => "armel",
            Kind::Mips => "mips",
            Kind::Mipsel => "mipsel",
        }
    }

    /// Whether it is QEMU's `versatilepb` and not its `malta`.
    pub fn is_arm(self) -> bool {
        matches!(self, Kind::Armel | Kind::ArmelSmall)
    }

    /// RAM in MiB.
    pub fn ram_mib(self) -> u32 {
        match self {
            Kind::ArmelSmall => 32,
            _ => 128,
        }
    }

    /// Bytes of noise that fill a firmware up, about.
    pub fn bulk(self) -> usize {
        match self {
            Kind::ArmelSmall => BULK_SMALL,
            _ => 100 * KIB,
        }
    }

    /// Size of the flash chip in bytes. QEMU's boards insist on these.
    pub fn flash_size(self) -> usize {
        match self {
            Kind::Armel | Kind::ArmelSmall => 64 * KIB * KIB,
            Kind::Mips | Kind::Mipsel => 4 * KIB * KIB,
        }
    }

    /// Size of an erase block in bytes.
    pub fn erase_size(self) -> usize {
        match self {
            Kind::Armel | Kind::ArmelSmall => 256 * KIB,
            Kind::Mips | Kind::Mipsel => 64 * KIB,
        }
    }

    /// The partitions in physical order, without a gap. The root is always the third.
    pub fn partitions(self) -> Vec<Partition> {
        // Sizes in KiB; what is left is `spare`. jffs2 wants five erase blocks at least.
        let sizes: [(&str, usize); 5] = match self {
            Kind::Armel => [
                ("boot", 512),
                ("kernel", 3584),
                ("rootfs", 8192),
                ("config", 2048),
                ("flasher", 256),
            ],
            Kind::ArmelSmall => [
                ("boot", 256),
                ("kernel", 2048),
                ("rootfs", 4352),
                ("config", 1280),
                ("flasher", 256),
            ],
            Kind::Mips | Kind::Mipsel => [
                ("boot", 128),
                ("kernel", 1664),
                ("rootfs", 1792),
                ("config", 320),
                ("flasher", 64),
            ],
        };
        let mut offset = 0;
        let mut partitions = Vec::new();
        for (name, kib) in sizes {
            partitions.push(Partition {
                name,
                offset,
                size: kib * KIB,
                read_only: name == "boot",
            });
            offset += kib * KIB;
        }
        // The kernel of the small box knows nothing of it.
        if self != Kind::ArmelSmall {
            partitions.push(Partition {
                name: "spare",
                offset,
                size: self.flash_size() - offset,
                read_only: false,
            });
        }
        partitions
    }

    /// The partition of this name.
    pub fn partition(self, name: &str) -> Partition {
        self.partitions()
            .into_iter()
            .find(|partition| partition.name == name)
            .unwrap_or_else(|| panic!("{self} has no partition {name}"))
    }

    /// The partitions as the kernel's command line has them.
    pub fn table(self) -> String {
        let table: Vec<String> = self
            .partitions()
            .iter()
            .map(|p| {
                let ro = if p.read_only { "ro" } else { "" };
                format!("{}k({}){ro}", p.size / KIB, p.name)
            })
            .collect();
        table.join(",")
    }

    /// The kernel's command line, with these partitions.
    pub fn command_line(self, table: &str) -> String {
        let (console, chip) = match self {
            Kind::Armel | Kind::ArmelSmall => ("ttyAMA0", "34000000.flash"),
            Kind::Mips | Kind::Mipsel => ("ttyS2", "1e000000.flash"),
        };
        // With `loglevel=4` the kernel's chatter stays out of the lines that tests look for.
        format!(
            "console={console} root=/dev/mtdblock2 rootfstype=squashfs ro panic=1 loglevel=4 mtdparts={chip}:{table}"
        )
    }

    /// The device node of the second serial port: each driver has names and numbers of its own.
    pub fn second_port(self) -> &'static str {
        match self {
            Kind::Armel | Kind::ArmelSmall => "/dev/ttyAMA1",
            Kind::Mips | Kind::Mipsel => "/dev/ttyS1",
        }
    }

    /// What is connected to the serial ports, in their order: the console and `second`.
    ///
    /// A malta has two ports at an i8259 and one that interrupts the CPU itself. The former went deaf once in some forty boots
    /// on a busy workstation: nothing typed got through any more, while ssh did.
    pub fn serial_ports(self, second: &str) -> Vec<&str> {
        if self.is_arm() {
            vec!["stdio", second]
        } else {
            vec!["null", second, "stdio"]
        }
    }

    /// The emulator and the board.
    pub fn qemu(self) -> (&'static str, &'static [&'static str]) {
        const MALTA: &[&str] = &["-M", "malta", "-cpu", "24Kf", "-vga", "none"];
        match self {
            Kind::Armel | Kind::ArmelSmall => ("qemu-system-arm", &["-M", "versatilepb", "-cpu", "arm926"]),
            Kind::Mips => ("qemu-system-mips", MALTA),
            Kind::Mipsel => ("qemu-system-mipsel", MALTA),
        }
    }

    /// What `mkimage` calls the CPU.
    pub fn mkimage_arch(self) -> &'static str {
        match self {
            Kind::Armel | Kind::ArmelSmall => "arm",
            Kind::Mips | Kind::Mipsel => "mips",
        }
    }

    /// Whether numbers in a jffs2 of this box are big-endian.
    pub fn is_big_endian(self) -> bool {
        self == Kind::Mips
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::ArmelSmall => "armel-small",
            kind => kind.name(),
        })
    }
}
