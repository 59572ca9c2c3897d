//! What the program of an init says of itself in its text.
//!
//! The program lies on the root file system, packed: whatever is read of it has to be unpacked, which takes longer than the search.
#![forbid(unsafe_code)]

use memchr::memmem::Finder;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// What was found.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Text {
    /// The version of busybox (`BusyBox v1.35.0 (…)`).
    pub(crate) busybox: Option<String>,
    /// The version of systemd (`systemd 252.38-1 running in …`).
    pub(crate) systemd: Option<String>,
    /// The file that busybox init has only with FEATURE_USE_INITTAB.
    pub(crate) inittab: bool,
    /// sysvinit's FIFO.
    pub(crate) initctl: bool,
    /// The name under which upstart is on D-Bus.
    pub(crate) upstart: bool,
    /// What sysvinit prints: `INIT: version`, since 3.0 `SysV init version`.
    pub(crate) sysvinit: bool,
}

impl Text {
    /// Whether more of the program would change nothing.
    fn tells_all(&self, file: &str) -> bool {
        match file {
            "systemd" => self.systemd.is_some(),
            _ => self.busybox.is_some() && self.inittab,
        }
    }
}

/// Searches a program called `file`: its read-only data first, where compilers put strings, and the whole of it only if that
/// leaves a question.
pub(crate) fn search(mut program: impl Read + Seek, file: &str) -> Text {
    let mut found = Text::default();
    // Those whose name says all are not read.
    if matches!(file, "procd" | "runit" | "runit-init" | "s6-svscan" | "openrc-init") {
        return found;
    }
    let words = Words::new();
    // Of what is not an ELF, or was stripped of its sections, all is read.
    for range in read_only_data(&mut program).unwrap_or_default() {
        if program.seek(SeekFrom::Start(range.start)).is_ok() {
            let length = range.end.saturating_sub(range.start);
            look_through(program.by_ref().take(length), &words, file, &mut found);
        }
    }
    if program.seek(SeekFrom::Start(0)).is_ok() {
        look_through(program, &words, file, &mut found);
    }
    found
}

/// In pieces that overlap, because a box has no RAM to spare, and no further than matters.
fn look_through(mut program: impl Read, words: &Words, file: &str, found: &mut Text) {
    const KEEP: usize = 64;
    let mut window = Vec::with_capacity(KEEP + (16 << 10));
    let mut piece = vec![0; 16 << 10];
    while !found.tells_all(file)
        && let Ok(n @ 1..) = program.read(&mut piece)
    {
        window.extend_from_slice(&piece[..n]);
        words.look(&window, file, found);
        window.drain(..window.len().saturating_sub(KEEP));
    }
}

/// What is searched for.
struct Words {
    busybox: Finder<'static>,
    systemd: Finder<'static>,
    inittab: Finder<'static>,
    initctl: Finder<'static>,
    upstart: Finder<'static>,
    sysvinit: [Finder<'static>; 2],
}

impl Words {
    fn new() -> Words {
        Words {
            busybox: Finder::new("BusyBox v"),
            systemd: Finder::new("systemd "),
            inittab: Finder::new("/etc/inittab"),
            initctl: Finder::new("/initctl"),
            upstart: Finder::new("com/ubuntu/upstart"),
            sysvinit: [Finder::new("INIT: version"), Finder::new("SysV init")],
        }
    }

    /// Each word is looked for until it is found, and only if `file` may be the program that has it.
    fn look(&self, window: &[u8], file: &str, found: &mut Text) {
        let has = |word: &Finder<'_>| word.find(window).is_some();
        let version = |word: &Finder<'_>| {
            word.find_iter(window)
                .find_map(|at| version_at(&window[at + word.needle().len()..]))
        };
        if file == "systemd" {
            found.systemd = found.systemd.take().or_else(|| version(&self.systemd));
            return;
        }
        found.busybox = found.busybox.take().or_else(|| version(&self.busybox));
        found.inittab = found.inittab || has(&self.inittab);
        if found.busybox.is_none() && file != "busybox" {
            found.initctl = found.initctl || has(&self.initctl);
            found.upstart = found.upstart || has(&self.upstart);
            found.sysvinit = found.sysvinit || self.sysvinit.iter().any(has);
        }
    }
}

/// The digits and dots that `text` begins with, when something else follows them: otherwise the window may have cut them.
fn version_at(text: &[u8]) -> Option<String> {
    let end = text.iter().position(|&byte| !(byte.is_ascii_digit() || byte == b'.'))?;
    (end > 0).then(|| String::from_utf8_lossy(&text[..end]).into_owned())
}

/// The parts of an ELF file that hold read-only data, by its section headers (elf(5)): loaded, neither written nor executed.
fn read_only_data(program: &mut (impl Read + Seek)) -> io::Result<Vec<Range<u64>>> {
    const MOST_SECTIONS: usize = 200;
    const PROGBITS: u64 = 1;
    const WRITE: u64 = 1;
    const ALLOC: u64 = 2;
    const EXECINSTR: u64 = 4;
    let mut head = [0; 64];
    program.seek(SeekFrom::Start(0))?;
    program.read_exact(&mut head)?;
    if !head.starts_with(b"\x7fELF") {
        return Ok(Vec::new());
    }
    let wide = head[4] == 2;
    let number = |bytes: &[u8], at: usize, length: usize| {
        let bytes = bytes.get(at..at + length).unwrap_or_default();
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        match head[5] {
            1 => bytes.iter().rev().fold(0, add),
            _ => bytes.iter().fold(0, add),
        }
    };
    // Offset of the headers, and length and count of them; then of each: flags, offset and size.
    let (offset, length, count) = match wide {
        true => (number(&head, 40, 8), number(&head, 58, 2), number(&head, 60, 2)),
        false => (number(&head, 32, 4), number(&head, 46, 2), number(&head, 48, 2)),
    };
    if length != if wide { 64 } else { 40 } {
        return Ok(Vec::new());
    }
    let mut headers = vec![0; length as usize * (count as usize).min(MOST_SECTIONS)];
    program.seek(SeekFrom::Start(offset))?;
    program.read_exact(&mut headers)?;
    let field = |section: &[u8], narrow: usize| match wide {
        true => number(section, 8 * (narrow / 4 - 1), 8),
        false => number(section, narrow, 4),
    };
    Ok(headers
        .chunks_exact(length as usize)
        .filter(|section| {
            let flags = field(section, 8);
            number(section, 4, 4) == PROGBITS && flags & (WRITE | ALLOC | EXECINSTR) == ALLOC
        })
        .map(|section| field(section, 16)..field(section, 16).saturating_add(field(section, 20)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Gives three bytes at a time, and counts how many were read.
    struct Dribble {
        program: Cursor<Vec<u8>>,
        most: usize,
        read: usize,
    }

    impl Dribble {
        fn new(program: &[u8], most: usize) -> Self {
            Dribble {
                program: Cursor::new(program.to_vec()),
                most,
                read: 0,
            }
        }
    }

    impl Read for Dribble {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = self.most.min(into.len());
            let n = self.program.read(&mut into[..most])?;
            self.read += n;
            Ok(n)
        }
    }

    impl Seek for Dribble {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.program.seek(to)
        }
    }

    fn text_of(program: &[u8], file: &str) -> Text {
        search(Dribble::new(program, 3), file)
    }

    fn read_of(program: &[u8], file: &str) -> (Text, usize) {
        let mut program = Dribble::new(program, usize::MAX);
        let found = search(&mut program, file);
        (found, program.read)
    }

    #[test]
    fn the_version_is_found_across_pieces() {
        let mut program = vec![0u8; 500];
        program.extend_from_slice(b"BusyBox v1.35.0 (Debian 1:1.35.0-4)\0more");
        assert_eq!(text_of(&program, "init").busybox.as_deref(), Some("1.35.0"));
        assert_eq!(
            text_of(b"x INIT: version %s booting\0/dev/initctl\0", "init"),
            Text {
                initctl: true,
                sysvinit: true,
                ..Text::default()
            }
        );
        let text = b"systemd units\0systemd 252.38-1~deb12u1 running in %ssystem mode";
        assert_eq!(text_of(text, "systemd").systemd.as_deref(), Some("252.38"));
        assert_eq!(text_of(b"BusyBox v", "init"), Text::default());
    }

    const PIECE: usize = 16 << 10;
    /// What is read to see whether it is an ELF.
    const HEAD: usize = 64;

    #[test]
    fn no_more_of_a_program_is_read_than_it_takes() {
        let long = |text: &[u8]| {
            let mut program = text.to_vec();
            program.resize(1 << 20, 0);
            program
        };
        // The words stand at the beginning here, and the rest cannot change what they say.
        let busybox = long(b"BusyBox v1.35.0 (x)\0/etc/inittab\0");
        assert_eq!(read_of(&busybox, "init").1, HEAD + PIECE);
        let systemd = long(b"systemd 252.38-1 running\0");
        assert_eq!(read_of(&systemd, "systemd").1, HEAD + PIECE);
        assert_eq!(read_of(&long(b""), "procd").1, 0);
        // That a word is missing is known at the end only.
        let (found, read) = read_of(&long(b"BusyBox v1.35.0 (x)\0"), "busybox");
        assert_eq!((found.inittab, read), (false, HEAD + (1 << 20)));
        assert_eq!(
            read_of(&long(b"INIT: version %s\0/initctl\0"), "init").1,
            HEAD + (1 << 20)
        );
    }

    /// An ELF of 1 MiB with this text in a section of read-only data in its middle, behind one of code.
    fn elf(wide: bool, little: bool, text: &[u8]) -> Vec<u8> {
        const AT: usize = 512 << 10;
        const HEADERS: usize = 1000 << 10;
        let mut file = vec![0; 1 << 20];
        file[..4].copy_from_slice(b"\x7fELF");
        (file[4], file[5]) = (1 + u8::from(wide), 2 - u8::from(little));
        let mut put = |at: usize, length: usize, value: usize| {
            for byte in 0..length {
                let place = if little { byte } else { length - 1 - byte };
                file[at + place] = (value >> (8 * byte)) as u8;
            }
        };
        let (word, section) = if wide { (8, 64) } else { (4, 40) };
        put(if wide { 40 } else { 32 }, word, HEADERS);
        put(if wide { 58 } else { 46 }, 2, section);
        put(if wide { 60 } else { 48 }, 2, 3);
        // The first is empty. Type, flags, offset and size of the others.
        for (number, flags, offset, size) in [(1, 6, 4096, AT - 4096), (2, 2, AT, text.len())] {
            let at = HEADERS + number * section;
            put(at + 4, 4, 1);
            put(at + 8, word, flags);
            put(at + 8 + 2 * word, word, offset);
            put(at + 8 + 3 * word, word, size);
        }
        file[AT..AT + text.len()].copy_from_slice(text);
        file
    }

    #[test]
    fn of_an_elf_the_read_only_data_is_read_first() {
        let text = b"\0BusyBox v1.24.2 (x)\0\0/etc/inittab\0";
        for (wide, little) in [(false, true), (false, false), (true, true), (true, false)] {
            let program = elf(wide, little, text);
            let (found, read) = read_of(&program, "busybox");
            assert_eq!((found.busybox.as_deref(), found.inittab), (Some("1.24.2"), true));
            assert!(read < 1024, "{read} of {} bytes read", program.len());
            // What is not there may be elsewhere: then all is read.
            let mut program = elf(wide, little, b"BusyBox v1.24.2 (x)");
            assert!(!read_of(&program, "busybox").0.inittab);
            program[5000..5012].copy_from_slice(b"/etc/inittab");
            assert!(read_of(&program, "busybox").0.inittab);
        }
        // Headers that lead nowhere are no reason not to read the rest.
        let mut broken = elf(false, true, text);
        broken[32..36].fill(0xff);
        assert!(read_of(&broken, "busybox").0.inittab);
    }
}
