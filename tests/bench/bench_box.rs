//! The boxes on which everything is measured, and their chips.

use super::images::{BLOCKS, Families};
use super::uml::{Processor, Uml};
use crate::lab::{Kind, Machine, Parts, made, tools};

/// SLC NAND of 128 MiB in the words of nandsim: 2 KiB pages, erase blocks of 128 KiB. As many as the image has are a partition,
/// which begins where the ARM box's NOR chip ends: flasher does not tell chips apart and takes partitions at the same offsets
/// for the same flash.
const CHIP: &str = "first_id_byte=0x20 second_id_byte=0xa1 third_id_byte=0x00 fourth_id_byte=0x15 parts=512";
/// What data sheets of such chips (Micron MT29F1G08, for one) call typical: 25 µs until a page is read, 200 µs to program one,
/// 2 ms to erase a block, 25 ns a byte on the bus.
pub const DELAYS: &str = "do_delays=1 access_delay=25 programm_delay=200 erase_delay=2 input_cycle=25 output_cycle=25";

/// Which of the two NAND chips: they are two, because to log takes time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Nand {
    /// Takes the time that a chip takes.
    Delayed,
    /// Takes none, and logs what it is told.
    Logging,
}

/// What a NAND chip's page holds.
pub const PAGE: u64 = 2048;

/// An MTD of the box.
#[derive(Clone, Copy)]
pub struct Chip {
    mtd: usize,
    pub nand: bool,
}

/// What something took.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// By the clock of the box, and in User Mode Linux with what the processor did in the box's own code.
    pub seconds: f64,
    /// What the workstation's kernel did in User Mode Linux, and no clock of the box knows.
    pub traps: f64,
    /// Erase blocks that flasher says it erased; 0 from everybody else.
    pub says_erased: u64,
    /// What the chip was told.
    pub told: Told,
}

/// What a chip was told, counted by whoever simulates it: nandsim, or QEMU. Zeros where nobody counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Erase blocks to erase.
    pub erase: u64,
    /// Bytes to program.
    pub program: u64,
    /// Bytes to read; QEMU does not count them.
    pub read: u64,
}

/// What the box is.
enum Computer {
    /// An ARM926 with 256 MiB.
    Emulated(Box<Machine>),
    /// The workstation's processor with 2 GiB.
    Native(Uml),
}

/// A box with everything at hand in its `/tmp`.
pub struct BenchBox {
    computer: Computer,
    /// Erase blocks of the NAND chip's partition.
    blocks: usize,
    /// The NOR chip was told so much when it was last looked at.
    nor: Told,
}

impl BenchBox {
    /// An ARM926. `clock` is the shift of [`Machine::steady_clock`].
    pub fn new(name: &str, clock: Option<&'static str>) -> Self {
        let modules = made(Kind::Armel).join("modules");
        let mut files = files(&Families::new(1), "armel", "armel");
        for name in ["reed_solomon.ko", "nand.ko", "nandsim.ko", "mtdram.ko"] {
            files.push((name.into(), tools::read(&modules.join(name))));
        }
        let log = tools::built(&["--nandsim"]).join("nandsim.ko");
        files.push(("nandsim-log.ko".into(), tools::read(&log)));
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (&**name, &**content)).collect();
        let mut machine = Machine::new(name, Parts::plain(Kind::Armel, 'A'))
            .ram_mib(256)
            .append("log_buf_len=8M")
            .data_disk(&files);
        machine = match clock {
            Some(shift) => machine.steady_clock(shift),
            // A megabyte a second; an erase counts like writing the block.
            None => machine.flash_speed(1_000_000).trace_flash(),
        };
        machine.boot('A');
        machine.must("cp /mnt/data/[!l]* /mnt/data/l[!o]* /tmp/ && chmod +x /tmp/*");
        BenchBox {
            computer: Computer::Emulated(Box::new(machine)),
            blocks: BLOCKS,
            nor: Told::default(),
        }
    }

    /// The workstation's own processor, for images with stretches of so many erase blocks.
    pub fn native(stretch: usize) -> Self {
        let kernel = tools::built(&["--uml"]);
        let mut files = files(&Families::new(stretch), "amd64", "x86_64");
        for name in ["nand.ko", "nandsim.ko"] {
            files.push((name.into(), tools::read(&kernel.join("modules").join(name))));
        }
        let init = tools::read(&tools::repository().join("tests/bench/uml-init"));
        files.push(("uml-init".into(), init));
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (&**name, &**content)).collect();
        BenchBox {
            computer: Computer::Native(Uml::new(&kernel.join("linux"), &files)),
            blocks: BLOCKS * stretch,
            nor: Told::default(),
        }
    }

    fn must(&mut self, command: &str) -> String {
        match &mut self.computer {
            Computer::Emulated(machine) => machine.must(command),
            Computer::Native(uml) => uml.must(command),
        }
    }

    pub fn load_nand(&mut self, which: Nand) -> Chip {
        let (module, words) = match which {
            Nand::Delayed => ("nandsim", DELAYS),
            Nand::Logging => ("nandsim-log", "log=1"),
        };
        self.must("[ -d /sys/module/nand ] || { /tmp/guest load reed_solomon && /tmp/guest load nand; }");
        self.must(&format!("/tmp/guest load {module} {CHIP},{} {words}", self.blocks));
        self.chip("NAND simulator partition 1", true)
    }

    pub fn unload_nand(&mut self) {
        self.must("/tmp/guest unload nandsim");
    }

    pub fn load_mtdram(&mut self) -> Chip {
        self.must("/tmp/guest load mtdram total_size=12800 erase_size=128");
        self.chip("mtdram test device", false)
    }

    /// The NOR chip's partition that nothing uses.
    pub fn nor(&mut self) -> Chip {
        self.chip("spare", false)
    }

    fn chip(&mut self, name: &str, nand: bool) -> Chip {
        let table = self.must("cat /proc/mtd");
        let line = table.lines().find(|line| line.contains(&format!("\"{name}\"")));
        let number = line
            .and_then(|line| line.strip_prefix("mtd")?.split(':').next()?.parse().ok())
            .unwrap_or_else(|| panic!("no {name} in\n{table}"));
        Chip { mtd: number, nand }
    }

    /// Writes an image with a tool, and says what it took.
    pub fn take(&mut self, tool: &str, chip: Chip, image: &str) -> Took {
        let command = format!("/tmp/guest {tool} {} /tmp/{image}", chip.mtd);
        let (said, nor, processor) = match &mut self.computer {
            Computer::Emulated(machine) => {
                let said = machine.must(&command);
                (said, told_by_qemu(&machine.said_by_qemu()), Processor::default())
            }
            Computer::Native(uml) => {
                let (said, processor) = uml.measured(&command);
                (said, Told::default(), processor)
            }
        };
        let numbers: Vec<f64> = said
            .lines()
            .find_map(|line| line.strip_prefix("took "))
            .map(|line| line.split_whitespace().filter_map(|word| word.parse().ok()).collect())
            .unwrap_or_default();
        let [begin, end, says_erased, erase, program, read] = numbers[..] else {
            panic!("{tool} took {said:?}");
        };
        let nand = Told {
            erase: erase as u64,
            program: program as u64 * PAGE,
            read: read as u64 * PAGE,
        };
        let before = std::mem::replace(&mut self.nor, nor);
        Took {
            seconds: end - begin + processor.code,
            traps: processor.traps,
            says_erased: says_erased as u64,
            told: Told {
                erase: nand.erase + nor.erase - before.erase,
                program: nand.program + nor.program - before.program,
                read: nand.read,
            },
        }
    }

    /// Asserts that the chip begins with the image.
    pub fn holds(&mut self, chip: Chip, image: &str) {
        self.take("same", chip, image);
    }
}

/// What the NOR chip was told, in words of QEMU's trace (`hw/block/trace-events`).
pub fn told_by_qemu(trace: &str) -> Told {
    let mut told = Told::default();
    for line in trace.lines() {
        if line.starts_with("pflash_write_block_erase ") {
            told.erase += 1;
        } else if let Some((_, words)) = line.split_once("block write start: bytes:0x") {
            // What the chip is told is the number of words less one (CFI command set 1, write to buffer), and two chips of
            // 16 bits lie side by side.
            told.program += u64::from_str_radix(words, 16).map_or(0, |words| (words + 1) * 4);
        }
    }
    told
}

/// What every box needs: the images, the tools of that architecture of Debian, and flasher for that target.
fn files(images: &Families, architecture: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = images.files().to_vec();
    let utils = tools::built(&["--mtd-utils", architecture]);
    let mut add = |name: &str, from: std::path::PathBuf| files.push((name.into(), tools::read(&from)));
    for name in ["flashcp", "flash_erase", "nandwrite", "busybox"] {
        add(name, utils.join("bin").join(name));
    }
    for name in ["ld.so", "libc.so.6"] {
        add(name, utils.join("lib").join(name));
    }
    add("guest", tools::repository().join("tests/bench/guest"));
    add("flasher", tools::product(target));
    files
}
