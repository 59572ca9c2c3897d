//! Registers and system calls of the processors that this program is built for: pure data, by which a traced process is told to call
//! execve(2).
#![forbid(unsafe_code)]

/// How a kind of process calls the kernel. Registers are named by their place among the words of `PTRACE_GETREGS`.
#[derive(Debug)]
pub(crate) struct Cpu {
    /// `e_machine` of its programs (elf(5)).
    pub(crate) machine: u16,
    /// Words of `PTRACE_GETREGS`.
    pub(crate) words: usize,
    /// Bytes of such a word.
    pub(crate) word: usize,
    /// Bytes of a pointer of the process.
    pub(crate) pointer: usize,
    pub(crate) pc: usize,
    pub(crate) sp: usize,
    /// Where the number of the call is put to make it.
    pub(crate) number: usize,
    /// Where it is seen at the entry of a call: the kernel may have put the answer into the other place.
    pub(crate) entered: usize,
    pub(crate) arguments: [usize; 3],
    /// Where the answer stands.
    pub(crate) answer: usize,
    /// What is not 0 when the answer is an error, where errors are not negative.
    pub(crate) failed: Option<usize>,
    /// What keeps the kernel from making the interrupted call again: this register with this value.
    pub(crate) no_restart: Option<(usize, u64)>,
    /// Number of execve.
    pub(crate) execve: u64,
    /// The instruction by which the kernel is called, as it stands in memory. All of it stands directly before the place where a
    /// call goes on.
    pub(crate) instruction: &'static [&'static [u8]],
}

/// x86_64: `arch/x86/include/asm/user_64.h`.
#[cfg(target_arch = "x86_64")]
pub(crate) const NATIVE: Cpu = Cpu {
    machine: 62,
    words: 27,
    word: 8,
    pointer: 8,
    pc: 16,
    sp: 19,
    number: 10,
    entered: 15,
    arguments: [14, 13, 12],
    answer: 10,
    failed: None,
    no_restart: Some((15, u64::MAX)),
    execve: 59,
    instruction: &[&[0x0f, 0x05]],
};

/// A process of 32 bits on a kernel of 64: the same registers, the calls of i386 (ebx, ecx, edx; `int 0x80`).
#[cfg(target_arch = "x86_64")]
pub(crate) const COMPAT: Cpu = Cpu {
    machine: 3,
    pointer: 4,
    arguments: [5, 11, 12],
    execve: 11,
    instruction: &[&[0xcd, 0x80]],
    ..NATIVE
};

/// i386: `arch/x86/include/asm/user_32.h`.
#[cfg(target_arch = "x86")]
pub(crate) const NATIVE: Cpu = Cpu {
    machine: 3,
    words: 17,
    word: 4,
    pointer: 4,
    pc: 12,
    sp: 15,
    number: 6,
    entered: 11,
    arguments: [0, 1, 2],
    answer: 6,
    failed: None,
    no_restart: Some((11, u64::MAX)),
    execve: 11,
    instruction: &[&[0xcd, 0x80]],
};

/// ARM, EABI: `arch/arm/include/uapi/asm/ptrace.h`. The number is in r7.
#[cfg(target_arch = "arm")]
pub(crate) const NATIVE: Cpu = Cpu {
    machine: 40,
    words: 18,
    word: 4,
    pointer: 4,
    pc: 15,
    sp: 13,
    number: 7,
    entered: 7,
    arguments: [0, 1, 2],
    answer: 0,
    failed: None,
    no_restart: None,
    execve: 11,
    // svc 0; in Thumb code the same in two bytes.
    instruction: &[&[0x00, 0x00, 0x00, 0xef], &[0x00, 0xdf]],
};

/// MIPS, o32: `struct pt_regs` of `arch/mips/include/uapi/asm/ptrace.h`, whose words have 64 bits also on 32-bit kernels.
/// Register 0 holds the number for a call that is made again (`arch/mips/kernel/signal.c`).
#[cfg(target_arch = "mips")]
pub(crate) const NATIVE: Cpu = Cpu {
    machine: 8,
    words: 38,
    word: 8,
    pointer: 4,
    pc: 34,
    sp: 29,
    number: 2,
    entered: 2,
    arguments: [4, 5, 6],
    answer: 2,
    failed: Some(7),
    no_restart: Some((0, 0)),
    execve: 4011,
    #[cfg(target_endian = "big")]
    instruction: &[&[0x00, 0x00, 0x00, 0x0c]],
    #[cfg(target_endian = "little")]
    instruction: &[&[0x0c, 0x00, 0x00, 0x00]],
};
