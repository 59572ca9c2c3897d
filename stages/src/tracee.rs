//! PID 1 under ptrace(2): it is stopped at the end of a system call, told to call execve(2) in its place, and, if that fails, left as
//! it was found: memory, registers, signals.
#![forbid(unsafe_code)]

use crate::cpu::{self, Cpu};
use crate::sys;
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, Read};
use std::thread::sleep;
use std::time::{Duration, Instant};

const INIT: Pid = Pid::from_raw(1);
const POLL: Duration = Duration::from_millis(2);
/// For a call of init's to end by itself; then it is interrupted.
const PATIENCE: Duration = Duration::from_millis(50);
/// For init to stop, each time.
const LIMIT: Duration = Duration::from_secs(10);
/// Stops that are not the one waited for, such as signals.
const MOST_STOPS: usize = 1000;
/// Bytes below the stack pointer that may be in use (x86_64 psABI, "red zone").
const RED_ZONE: u64 = 128;

/// Answers of the kernel that a program never sees: the call is to be made again (`include/linux/errno.h`).
const RESTARTS: [u64; 4] = [512, 513, 514, 516];

/// How init calls the kernel.
///
/// # Errors
/// Its program cannot be read, or is for a kind of process that this one cannot tell anything.
fn cpu() -> Result<&'static Cpu, String> {
    let mut head = [0; 40];
    File::open("/proc/1/exe")
        .and_then(|mut program| program.read_exact(&mut head))
        .map_err(|e| format!("has a program that cannot be read: {e}"))?;
    cpu_of(&head)
}

/// By the head of its ELF file (elf(5)).
fn cpu_of(head: &[u8; 40]) -> Result<&'static Cpu, String> {
    let wide = match (head.starts_with(b"\x7fELF"), head[4]) {
        (true, 1) => false,
        (true, 2) => true,
        _ => return Err("is not an ELF program".to_owned()),
    };
    #[cfg(target_arch = "arm")]
    {
        // The version of the EABI, in the flags; programs of the ABI before it call the kernel otherwise.
        if head[39] == 0 {
            return Err("is a program of the old ARM ABI".to_owned());
        }
    }
    #[cfg(target_arch = "mips")]
    {
        // EF_MIPS_ABI2 is n32.
        let flags: [u8; 4] = [head[36], head[37], head[38], head[39]];
        if u32::from_ne_bytes(flags) & 0x20 != 0 {
            return Err("is a program of the MIPS n32 ABI".to_owned());
        }
    }
    let machine = u16::from_ne_bytes([head[18], head[19]]);
    #[cfg(target_arch = "x86_64")]
    if !wide && machine == cpu::COMPAT.machine {
        return Ok(&cpu::COMPAT);
    }
    if wide == (cpu::NATIVE.pointer == 8) && machine == cpu::NATIVE.machine {
        Ok(&cpu::NATIVE)
    } else {
        Err("is a program for another processor than this one: take the flasher for the kernel's".to_owned())
    }
}

/// Whether [`make_execute`] knows how.
///
/// # Errors
/// Why not.
pub(crate) fn can_be_told() -> Result<(), String> {
    cpu().map(drop)
}

/// Traces init for a moment.
pub(crate) fn try_attach(limit: Duration) -> io::Result<()> {
    Tracee::attach(limit).map(drop)
}

/// Makes init execute a program, with no argument and a `PATH`. Returns when it has.
///
/// # Errors
/// It did not, and is as it was.
pub(crate) fn make_execute(path: &str) -> io::Result<()> {
    let cpu = cpu().map_err(io::Error::other)?;
    let mut tracee = Tracee::attach(LIMIT)?;
    tracee.execute(cpu, path)
}

/// Init, while we trace it. Let go when dropped.
struct Tracee {
    /// Signals that came meanwhile and that it gets when it is let go. By their numbers, because real-time signals have no names.
    held: Vec<i32>,
    /// While init's own code runs, its signals are passed on; while it runs ours, they are held.
    holding: bool,
    /// SIGSTOPs of ours that it has not seen yet.
    stops: usize,
}

/// Why init stopped.
#[derive(PartialEq, Eq)]
enum Stop {
    Call,
    Executed,
    Signal,
}

impl Tracee {
    fn attach(limit: Duration) -> io::Result<Self> {
        ptrace::attach(INIT)?;
        let mut tracee = Self {
            held: Vec::new(),
            holding: false,
            stops: 1,
        };
        // SIGSTOP, or another signal before it, which is passed on.
        let start = Instant::now();
        while tracee.stops > 0 {
            if tracee.wait(limit.saturating_sub(start.elapsed()))? != Stop::Signal {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if tracee.stops > 0 {
                tracee.go_on()?;
            }
        }
        ptrace::setoptions(
            INIT,
            ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_TRACEEXEC,
        )?;
        Ok(tracee)
    }

    /// Lets init run until it stops at a call or a signal. A signal that came before is passed on to it.
    fn go_on(&mut self) -> io::Result<()> {
        let signal = if self.holding { None } else { self.held.pop() };
        sys::trace_to_call(INIT, signal.unwrap_or(0))
    }

    fn wait(&mut self, limit: Duration) -> io::Result<Stop> {
        let start = Instant::now();
        loop {
            let Some(status) = sys::wait_for(INIT)? else {
                if start.elapsed() >= limit {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                sleep(POLL);
                continue;
            };
            if !libc::WIFSTOPPED(status) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            // `PTRACE_O_TRACESYSGOOD` sets bit 7 at calls; above the signal stands the event.
            match (libc::WSTOPSIG(status), status >> 16) {
                (number, 0) if number == libc::SIGTRAP | 0x80 => return Ok(Stop::Call),
                (_, libc::PTRACE_EVENT_EXEC) => return Ok(Stop::Executed),
                (_, 1..) => {}
                // Ours, or the one that comes with attaching to a process that was stopped. None is passed on.
                (libc::SIGSTOP, _) => self.stops = self.stops.saturating_sub(1),
                (number, _) => self.held.push(number),
            }
            return Ok(Stop::Signal);
        }
    }

    /// Until the entry or the end of a call.
    fn until_call(&mut self) -> io::Result<()> {
        for _ in 0..MOST_STOPS {
            self.go_on()?;
            let stop = match self.wait(PATIENCE) {
                // It sleeps in a call: SIGSTOP ends that.
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    if self.stops == 0 {
                        kill(INIT, Signal::SIGSTOP)?;
                        self.stops += 1;
                    }
                    self.wait(LIMIT)?
                }
                other => other?,
            };
            if stop == Stop::Call {
                return Ok(());
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    fn execute(&mut self, cpu: &Cpu, path: &str) -> io::Result<()> {
        // The next call, and its end. The one in which it was interrupted is entered anew.
        self.until_call()?;
        let entry = Registers::read(cpu)?;
        self.until_call()?;
        let end = Registers::read(cpu)?;
        let before = resume(cpu, &entry, &end)?;
        self.holding = true;
        let call = Call::new(cpu, &before, path);
        let memory = read_memory(call.at, call.bytes.len())?;
        let told = self.call(cpu, &before, &call);
        if let Err(error) = told {
            // All is put back, whatever of it fails.
            let _ = write_memory(call.at, &memory);
            let _ = before.write(cpu);
            return Err(error);
        }
        self.held.clear();
        Ok(())
    }

    /// Calls execve at the end of another call.
    fn call(&mut self, cpu: &Cpu, before: &Registers, call: &Call) -> io::Result<()> {
        write_memory(call.at, &call.bytes)?;
        let mut registers = before.clone();
        registers.again = false;
        registers.set(cpu.pc, before.get(cpu.pc) - before.instruction);
        registers.set(cpu.number, cpu.execve);
        for (place, argument) in cpu.arguments.into_iter().zip(call.arguments) {
            registers.set(place, argument);
        }
        registers.set(cpu.sp, call.at);
        if let Some((place, value)) = cpu.no_restart {
            registers.set(place, value);
        }
        registers.write(cpu)?;
        // Its entry; then the event, or its end, which is a failure.
        self.until_call()?;
        for _ in 0..MOST_STOPS {
            sys::trace_to_call(INIT, 0)?;
            match self.wait(LIMIT)? {
                Stop::Executed => return Ok(()),
                Stop::Call => {
                    let number = Registers::read(cpu)?.error(cpu).unwrap_or(0);
                    return Err(io::Error::from_raw_os_error(number as i32));
                }
                Stop::Signal => {}
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        // A SIGSTOP that is still on its way would stop it for good.
        for _ in 0..MOST_STOPS {
            if self.stops == 0 {
                break;
            }
            let seen = ptrace::cont(INIT, None).map_err(io::Error::from);
            if seen.and_then(|()| self.wait(LIMIT)).is_err() {
                break;
            }
        }
        let _ = ptrace::detach(INIT, None);
        for number in self.held.drain(..) {
            let _ = sys::kill_number(INIT, number);
        }
    }
}

/// Where init goes on as if nothing had been: at the end of the call, or, where the kernel would make it again, before it.
fn resume(cpu: &Cpu, entry: &Registers, end: &Registers) -> io::Result<Registers> {
    let pc = end.get(cpu.pc);
    let instruction = instruction_before(cpu, pc)?;
    let again = end.error(cpu).is_some_and(|error| RESTARTS.contains(&error));
    let mut registers = if again { entry.clone() } else { end.clone() };
    registers.instruction = instruction;
    if again {
        registers.set(cpu.number, entry.get(cpu.entered));
        registers.again = true;
    }
    Ok(registers)
}

/// Bytes of the instruction that calls the kernel, which ends at `pc`.
fn instruction_before(cpu: &Cpu, pc: u64) -> io::Result<u64> {
    for instruction in cpu.instruction {
        let length = instruction.len() as u64;
        let at = pc.checked_sub(length).ok_or(io::ErrorKind::InvalidData)?;
        if read_memory(at, instruction.len())? == *instruction {
            return Ok(length);
        }
    }
    Err(io::Error::other("no system call instruction where one was made"))
}

/// What is put below init's stack: path, arguments, environment, and the lists of pointers to them.
struct Call {
    at: u64,
    bytes: Vec<u8>,
    arguments: [u64; 3],
}

impl Call {
    fn new(cpu: &Cpu, before: &Registers, path: &str) -> Self {
        let texts = [path, "PATH=/sbin:/bin:/usr/sbin:/usr/bin"];
        let strings: usize = texts.iter().map(|text| text.len() + 1).sum();
        // argv: path and 0; envp: PATH and 0.
        let lists = 4 * cpu.pointer;
        let length = (lists + strings).next_multiple_of(16);
        let at = (before.get(cpu.sp) - RED_ZONE - length as u64) & !15;
        let first = at + lists as u64;
        let pointers = [first, 0, first + path.len() as u64 + 1, 0];
        let mut bytes = Vec::new();
        for pointer in pointers {
            match cpu.pointer {
                8 => bytes.extend(pointer.to_ne_bytes()),
                _ => bytes.extend((pointer as u32).to_ne_bytes()),
            }
        }
        for text in texts {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
        bytes.resize(length, 0);
        Self {
            at,
            bytes,
            arguments: [first, at, at + 2 * cpu.pointer as u64],
        }
    }
}

/// The registers of a traced process.
#[derive(Clone)]
struct Registers {
    words: Vec<u64>,
    /// Bytes of the instruction before the place where it goes on.
    instruction: u64,
    /// It goes on with that instruction.
    again: bool,
}

impl Registers {
    fn read(cpu: &Cpu) -> io::Result<Self> {
        let mut bytes = vec![0; cpu.words * cpu.word];
        sys::get_registers(INIT, &mut bytes)?;
        let words = bytes.chunks_exact(cpu.word).map(|word| match *word {
            [a, b, c, d] => u64::from(u32::from_ne_bytes([a, b, c, d])),
            _ => word.first_chunk().map_or(0, |word| u64::from_ne_bytes(*word)),
        });
        Ok(Self {
            words: words.collect(),
            instruction: 0,
            again: false,
        })
    }

    /// Sets them; before the instruction, where the call has to be made again.
    fn write(&self, cpu: &Cpu) -> io::Result<()> {
        let mut words = self.words.clone();
        if self.again {
            words[cpu.pc] = words[cpu.pc].wrapping_sub(self.instruction);
            if let Some((place, value)) = cpu.no_restart {
                words[place] = value;
            }
        }
        let bytes: Vec<u8> = words
            .iter()
            .flat_map(|word| match cpu.word {
                8 => word.to_ne_bytes().to_vec(),
                _ => (*word as u32).to_ne_bytes().to_vec(),
            })
            .collect();
        sys::set_registers(INIT, &bytes)
    }

    fn get(&self, place: usize) -> u64 {
        self.words[place]
    }

    fn set(&mut self, place: usize, value: u64) {
        self.words[place] = value;
    }

    /// The number of the error that a call has ended with.
    fn error(&self, cpu: &Cpu) -> Option<u64> {
        let answer = self.get(cpu.answer);
        if let Some(failed) = cpu.failed {
            return (self.get(failed) != 0).then_some(answer & 0xffff);
        }
        let negative = match cpu.pointer {
            8 => answer as i64,
            _ => i64::from(answer as u32 as i32),
        };
        (-4095..0).contains(&negative).then_some(negative.unsigned_abs())
    }
}

/// Bytes of a word of `PTRACE_PEEKDATA`.
const WORD: usize = size_of::<libc::c_long>();

fn read_memory(at: u64, length: usize) -> io::Result<Vec<u8>> {
    let skip = (at % WORD as u64) as usize;
    let start = at - skip as u64;
    let mut bytes = Vec::new();
    while bytes.len() < skip + length {
        let word = ptrace::read(INIT, (start + bytes.len() as u64) as ptrace::AddressType)?;
        bytes.extend(word.to_ne_bytes());
    }
    Ok(bytes[skip..skip + length].to_vec())
}

/// `at` and the length of `bytes` are multiples of a word.
fn write_memory(at: u64, bytes: &[u8]) -> io::Result<()> {
    for (index, word) in bytes.chunks_exact(WORD).enumerate() {
        let address = (at + (index * WORD) as u64) as ptrace::AddressType;
        let word = word.first_chunk().map_or(0, |word| libc::c_long::from_ne_bytes(*word));
        ptrace::write(INIT, address, word)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_of_a_known_kind_is_refused() {
        let mut head = [0; 40];
        assert!(cpu_of(&head).is_err());
        head[..4].copy_from_slice(b"\x7fELF");
        assert!(cpu_of(&head).is_err());
        head[4] = 3;
        assert!(cpu_of(&head).is_err());
    }

    #[test]
    fn the_call_lies_below_the_red_zone_and_points_to_itself() {
        let cpu = &cpu::NATIVE;
        let mut before = Registers {
            words: vec![0; cpu.words],
            instruction: 0,
            again: false,
        };
        before.set(cpu.sp, 0x1_0007);
        let call = Call::new(cpu, &before, "/flasher");
        assert_eq!(call.at % 16, 0);
        assert!(call.at + call.bytes.len() as u64 + RED_ZONE <= 0x1_0007);
        assert_eq!(call.bytes.len() % WORD, 0);
        let [path, argv, envp] = call.arguments;
        let from = |address: u64| &call.bytes[(address - call.at) as usize..];
        assert!(from(path).starts_with(b"/flasher\0PATH=/sbin:"));
        assert_eq!(&from(argv)[..cpu.pointer], &path.to_ne_bytes()[..cpu.pointer]);
        let variable = path + 9;
        assert_eq!(&from(envp)[..cpu.pointer], &variable.to_ne_bytes()[..cpu.pointer]);
    }
}
