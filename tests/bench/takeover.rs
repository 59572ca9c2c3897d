//! All of an update of the firmware that runs, from the command to the new kernel: flasher beside the procedure that people do
//! by hand with a shell (`shell-procedure`), on the same emulated box, with the same firmware, in turn.
//!
//! The clock is the workstation's, and both print what they are at on the console. The flash takes a megabyte a second, as a NOR
//! chip does; an erase counts like writing the block.
//!
//! [`by_own_clock`] measures by the clock of a box that does an instruction a nanosecond: there the chip takes no time, and what it
//! would take is added by what it was told. How busy the workstation is makes no difference to that.

use super::bench_box::told_by_qemu;
use super::{box_of_nand, median, noise};
use crate::lab::{Kind, Machine, Parts, nand, tools};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How often each is done.
const ROUNDS: usize = 3;
/// Bytes a second that the flash takes.
const SPEED: u32 = 1_000_000;

/// Seconds.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// From the command to init's word that it ends all processes.
    handover: f64,
    /// From there to the word that the first erase comes.
    erase: f64,
    /// From the command to the word that the box reboots.
    reboot: f64,
    /// From there to the first output of the next kernel.
    kernel: f64,
    /// To copy the image once in the box's RAM, which both do before the hand-over.
    reading: f64,
    /// What flasher had said that it would take; 0 from the shell.
    promised: f64,
}

impl Took {
    /// From the first erase to the reboot.
    fn writing(&self) -> f64 {
        self.reboot - self.handover - self.erase
    }
}

/// Asserts that what was said of the time was not wrong by more than a factor of two, and two seconds for what is told in whole
/// ones.
fn was_foreseen(said: f64, took: f64) {
    println!("said {said:.0} s, took {took:.1} s");
    assert!(
        said <= 2.0 * took + 2.0 && took <= 2.0 * said + 2.0,
        "said {said} s, took {took:.1} s"
    );
}

/// What flasher says that a write to NAND will take, and what it takes, in seconds: in place, on a chip with a data sheet's delays.
/// The clock is the box's own, by its instructions.
pub fn on_nand() -> (f64, f64) {
    // Nothing of it is there already.
    let images = vec![("image.bin".to_owned(), noise(12 << 20, 0))];
    let mut machine = box_of_nand("bench-foreseen", images);
    let part = format!("--part mtd{} /tmp/image.bin", nand::first_mtd(machine.kind));
    let promised = machine.run(&format!("/tmp/flasher --format json plan {part}")).1;
    let uptime = |machine: &mut Machine| {
        let line = machine.must("cat /proc/uptime");
        line.split(' ')
            .next()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0.0)
    };
    let begun: f64 = uptime(&mut machine);
    machine.must(&format!("/tmp/flasher -q apply -y --no-reboot --in-place {part}"));
    (number(&promised, "seconds"), uptime(&mut machine) - begun)
}

/// Who does it, and what is typed and printed.
struct Who {
    name: &'static str,
    command: &'static str,
    writing: &'static str,
    rebooting: &'static str,
}

const WHO: [Who; 2] = [
    Who {
        name: "flasher",
        command: "/tmp/flasher apply -y --part kernel,rootfs /tmp/image.bin",
        writing: "nothing holds the flash any more: writing",
        rebooting: "rebooting into the new firmware",
    },
    Who {
        name: "shell",
        command: "sh /tmp/shell-procedure /tmp/kernel.bin /tmp/rootfs.bin",
        writing: "shell-procedure: writing",
        rebooting: "shell-procedure: rebooting",
    },
];

/// Both, each the median of [`ROUNDS`].
pub fn measure() -> [Took; 2] {
    let took = WHO.map(|who| {
        let rounds: Vec<Took> = (0..ROUNDS).map(|_| once(&who)).collect();
        let of = |figure: fn(&Took) -> f64| median(rounds.iter().map(figure));
        Took {
            handover: of(|took| took.handover),
            erase: of(|took| took.erase),
            reboot: of(|took| took.reboot),
            kernel: of(|took| took.kernel),
            reading: of(|took| took.reading),
            promised: of(|took| took.promised),
        }
    });
    was_foreseen(took[0].promised, took[0].writing());
    let (said, took_nand) = on_nand();
    was_foreseen(said, took_nand);
    took
}

/// A script that tells the box's time when init ends it, by an error: the shell has no `echo` of its own, and the old root's is gone.
const TELLS_ITS_END: &str =
    "trap 'read up rest </proc/uptime; : ${none:?ended-$up-}' TERM\nwhile :; do sleep 9 & wait; done\n";

/// The box with what both need on a disk.
fn the_box() -> Machine {
    let kind = Kind::Armel;
    let new = Parts::plain(kind, 'B');
    let procedure = tools::read(&tools::repository().join("tests/bench/shell-procedure"));
    let product = tools::read(&tools::flasher(kind));
    Machine::new("bench-takeover", Parts::plain(kind, 'A')).data_disk(&[
        ("flasher", &product),
        ("shell-procedure", &procedure),
        ("clock", TELLS_ITS_END.as_bytes()),
        ("image.bin", &new.image()),
        ("kernel.bin", &new.kernel),
        ("rootfs.bin", &new.rootfs),
    ])
}

fn boot(machine: &mut Machine) {
    machine.boot('A');
    machine.must("dmesg -n 4; cp /mnt/data/* /tmp/ 2>/dev/null; chmod +x /tmp/flasher");
}

/// From the command to init's first signal to all processes, and to the reboot, by the box's own clock, on which an instruction
/// takes a nanosecond: what it takes to translate code that runs once is the emulator's affair and not in it.
fn on_its_own_clock(who: &Who) -> [f64; 2] {
    let mut machine = the_box()
        .append("printk.time=1")
        .trace_flash()
        .steady_clock(super::CLOCK);
    boot(&mut machine);
    // JFFS2 erases in the background what was blank when it was mounted, and that is nobody's doing.
    machine.must("sh /tmp/clock & sleep 5");
    let before = told_by_qemu(&machine.said_by_qemu());
    // Not in one piece, so that it is not found where it is typed.
    machine.send_line(&format!(
        "read up rest </proc/uptime; echo begun''-$up-; {}",
        who.command
    ));
    let mut uptime = |from: &str, to: &str| {
        machine.expect(from, tools::patience(300));
        let text = machine.expect(to, tools::patience(300));
        let number = text.rsplit(['[', ' ']).next().unwrap_or_default();
        number.parse::<f64>().expect("seconds")
    };
    let begun = uptime("begun-", "-");
    let ended = uptime("ended-", "-");
    let rebooting = uptime(who.rebooting, "] reboot: Restarting system");
    machine.wait_exit(tools::patience(60));
    let told = told_by_qemu(&machine.said_by_qemu());
    let erased = (told.erase - before.erase) * machine.kind.erase_size() as u64;
    let chip = (erased + told.program - before.program) as f64 / f64::from(SPEED);
    let (handover, reboot) = (ended - begun, rebooting - begun + chip);
    println!(
        "{}: {handover:.2} s to the hand-over by the box's own clock, {reboot:.2} s to the reboot, of which the chip took {chip:.2} s",
        who.name
    );
    [handover, reboot]
}

fn once(who: &Who) -> Took {
    let mut machine = the_box().flash_speed(SPEED).append("loglevel=8").warm_reboots();
    boot(&mut machine);
    let wait = |machine: &mut Machine, text: &str| {
        machine.expect(text, tools::patience(300));
        Instant::now()
    };
    let begun = Instant::now();
    machine.must("cp /tmp/image.bin /tmp/again && rm /tmp/again");
    let reading = begun.elapsed();
    let promised = machine
        .run("/tmp/flasher --format json plan --part kernel,rootfs /tmp/image.bin")
        .1;
    machine.must("echo 3 >/proc/sys/vm/drop_caches");

    let begun = Instant::now();
    machine.send_line(who.command);
    let handover = wait(&mut machine, "The system is going down NOW!");
    let writing = wait(&mut machine, who.writing);
    let rebooting = wait(&mut machine, who.rebooting);
    let kernel = wait(&mut machine, "Booting Linux");
    machine.comes_up('B');
    let seconds = |from: Instant, to: Instant| (to - from).as_secs_f64();
    let took = Took {
        handover: seconds(begun, handover),
        erase: seconds(handover, writing),
        reboot: seconds(begun, rebooting),
        kernel: seconds(rebooting, kernel),
        reading: Duration::as_secs_f64(&reading),
        promised: number(&promised, "seconds"),
    };
    println!("{}: {took:.2?}", who.name);
    took
}

/// A number in flat JSON.
fn number(json: &str, name: &str) -> f64 {
    let rest = json.split_once(&format!("\"{name}\":")).map_or("", |(_, rest)| rest);
    let end = rest.find([',', '}']).unwrap_or(rest.len());
    rest[..end].trim().parse().unwrap_or_default()
}

/// To the hand-over and to the reboot by the box's own clock, as Markdown.
pub fn by_own_clock() -> String {
    let [flasher, shell] = WHO.map(|who| on_its_own_clock(&who));
    let mut text = "\n| takeover, NOR | `flasher apply` | by hand | ratio |\n|---|---|---|---|\n".to_owned();
    for (index, name) in ["command to hand-over", "command to reboot"].into_iter().enumerate() {
        let (flasher, shell) = (flasher[index], shell[index]);
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| {name} | {flasher:.2} s | {shell:.2} s | {:.2} |",
            flasher / shell
        );
    }
    text
}

/// As Markdown.
pub fn markdown(took: &[Took; 2]) -> String {
    type Seconds = fn(&Took) -> f64;
    let mut text = "\n| takeover, NOR | `flasher apply` | by hand | ratio |\n|---|---|---|---|\n".to_owned();
    let rows: [(&str, Seconds); 5] = [
        ("command to hand-over", |took| took.handover),
        ("the same beyond reading the image", |took| took.handover - took.reading),
        ("hand-over to first erase", |took| took.erase),
        ("command to reboot", |took| took.reboot),
        ("reboot to the new kernel's first output", |took| took.kernel),
    ];
    for (name, of) in rows {
        let [flasher, shell] = [of(&took[0]), of(&took[1])];
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| {name} | {flasher:.2} s | {shell:.2} s | {:.2} |",
            flasher / shell
        );
    }
    let wrote = took[0].writing();
    let _ = writeln!(
        text,
        "\nflasher said that writing would take about {:.0} s, and it took {wrote:.1} s.",
        took[0].promised
    );
    text
}
