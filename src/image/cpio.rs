//! A cpio as kernels take it for their first root (`init/initramfs.c`), walked while it is unpacked: whether all of it is there, and
//! for which processor its programs are.

#![forbid(unsafe_code)]

use crate::base::digits;
use crate::base::elf::Elf;
use crate::base::machine::{Order, Processor};

/// Bytes of the head of a member (cpio(5)).
pub(super) const HEADER: usize = 110;
/// The name of the last member.
const LAST: &[u8] = b"TRAILER!!!";
/// Bytes of a program up to the number of its processor (`Elf32_Ehdr`).
const PROGRAM: usize = 20;
/// Bytes of the longest name, with the zero behind it (`PATH_MAX`).
const NAME: u64 = 4096;

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Between two archives, or in front of the first.
    #[default]
    Between,
    /// Within one.
    Within,
    /// What came behind a member is none, or the archive is not one that kernels take.
    Else,
    /// What came only begins like an archive.
    Unknown,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Walk {
    /// Head and name of a member, or the beginning of a program, as far as they came.
    head: Vec<u8>,
    /// Bytes that are passed over first.
    pub skip: u64,
    /// Of a program the bytes of its member.
    program: Option<u64>,
    /// Whether there was a member.
    any: bool,
    /// How far it has come.
    pub state: State,
    /// The processor of the first program, and its byte order.
    pub runs_on: Option<(Processor, Order)>,
}

/// A number of eight hexadecimal digits.
pub(super) fn number(head: &[u8], at: usize) -> Option<u64> {
    digits::hexadecimal(std::str::from_utf8(head.get(at..at + 8)?).ok()?)
}

impl Walk {
    /// Takes in what is unpacked.
    pub fn feed(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() && matches!(self.state, State::Between | State::Within) {
            let mut take = self.skip.min(chunk.len() as u64) as usize;
            self.skip -= take as u64;
            if take == 0 && self.state == State::Between {
                take = chunk.iter().take_while(|byte| **byte == 0).count();
            }
            if take == 0 {
                take = self.wanted().min(chunk.len());
                self.collect(&chunk[..take]);
            }
            chunk = &chunk[take..];
        }
    }

    /// Bytes that are wanted next, behind those that are passed over.
    pub fn wanted(&self) -> usize {
        let whole = match self.program {
            Some(_) => PROGRAM,
            None if self.head.len() < HEADER => HEADER,
            None => HEADER + number(&self.head, 94).unwrap_or_default().clamp(1, NAME) as usize,
        };
        whole - self.head.len()
    }

    /// Takes in no more than is wanted.
    pub fn collect(&mut self, bytes: &[u8]) {
        self.state = State::Within;
        self.head.extend_from_slice(bytes);
        if self.wanted() == 0 {
            let head = std::mem::take(&mut self.head);
            self.state = self
                .complete(&head)
                .unwrap_or(match self.any || head.starts_with(b"070707") {
                    true => State::Else,
                    false => State::Unknown,
                });
            self.any = true;
        }
    }

    fn complete(&mut self, head: &[u8]) -> Option<State> {
        let padded = |length: u64| length.next_multiple_of(4);
        if let Some(size) = self.program.take() {
            self.runs_on = Elf::of(head).and_then(|program| Some((program.processor()?, program.order)));
            self.skip = padded(size) - PROGRAM as u64;
            return Some(State::Within);
        }
        let magic = head.starts_with(b"070701") || head.starts_with(b"070702");
        let (mode, size, length) = (number(head, 14)?, number(head, 54)?, number(head, 94)?);
        let name = head.get(HEADER..)?.strip_suffix(&[0])?;
        if !magic || length > NAME {
            return None;
        }
        self.skip = padded(head.len() as u64) - head.len() as u64 + padded(size);
        if name == LAST {
            return Some(State::Between);
        }
        if self.runs_on.is_none() && mode & 0o170_000 == 0o100_000 && is_program(name) && size >= PROGRAM as u64 {
            self.program = Some(size);
            self.skip -= padded(size);
        }
        Some(State::Within)
    }
}

/// Whether a kernel or a script starts what has this name, so that it has to be for this processor.
fn is_program(name: &[u8]) -> bool {
    let name = name.strip_prefix(b".").unwrap_or(name);
    let name = name.strip_prefix(b"/").unwrap_or(name);
    let name = name.strip_prefix(b"usr/").unwrap_or(name);
    name == b"init" || name.starts_with(b"bin/") || name.starts_with(b"sbin/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::machine::Arch;

    fn member(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
        let mut all = format!("070701{:08x}{mode:08x}", 1).into_bytes();
        for number in [0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0] {
            all.extend(format!("{number:08x}").bytes());
        }
        all.extend(name.bytes().chain([0]));
        all.resize(all.len().next_multiple_of(4), 0);
        all.extend(data);
        all.resize(all.len().next_multiple_of(4), 0);
        all
    }

    fn walked(all: &[u8], step: usize) -> Walk {
        let mut walk = Walk::default();
        all.chunks(step).for_each(|chunk| walk.feed(chunk));
        walk
    }

    #[test]
    fn it_is_whole_with_its_last_member_however_it_comes() {
        let mut program = b"\x7fELF\x01\x01".to_vec();
        program.resize(18, 0);
        program.extend([40, 0, 1, 2, 3]);
        let last = member("TRAILER!!!", 0, b"");
        let all = [
            member("bin", 0o40755, b""),
            member("./bin/sh", 0o100_755, &program),
            last,
        ]
        .concat();
        for step in [1, 7, 110, 4096] {
            let state = |bytes: &[u8]| walked(bytes, step).state;
            let walk = walked(&[&all[..], &[0; 9]].concat(), step);
            assert_eq!(walk.state, State::Between, "{step}");
            assert_eq!(walk.runs_on, Some((Processor::Known(Arch::Arm), Order::Little)));
            assert_eq!(state(&[&all[..], &[0; 8], &all].concat()), State::Between);
            assert_eq!(state(&[&all[..], b"\0\0\0junk", &[7; 200]].concat()), State::Else);
            // The size of a file with a sign in front, as many characters as digits.
            let mut signed = all.clone();
            signed[54] = b'+';
            assert_eq!(state(&signed), State::Unknown);
            for cut in [4, 60, 124, 130, 200] {
                assert_eq!(state(&all[..all.len() - cut]), State::Within, "{cut}");
            }
        }
        assert_eq!(
            walked(&[b"070701".as_slice(), &[0xee; 400]].concat(), 64).state,
            State::Unknown
        );
        assert_eq!(walked(b"", 1).state, State::Between);
        assert_eq!(
            walked(&[b"070707".as_slice(), &[b'0'; 400]].concat(), 64).state,
            State::Else
        );
    }
}
