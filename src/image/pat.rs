//! Synology's `.pat`: a tar whose `checksum.syno` lists its members. Sources: flipflip's page "DiskStation .pat
//! Files", and `synochecksum.c` by the same author (andy928/synochecksum).
//!
//! The list is no protection against malice, but against damage it is. Synology's own check is made line by line of the list,
//! so that a member that is not listed is passed over, and runs if it is a program. Here such a member makes the file bad, but
//! for the two that Synology itself leaves out of the list: signatures and checksums of other parts, which nothing here uses.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::checksum::CRC32;
use crate::base::digits;
use crate::base::quoted::Quoted;
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::bytes::tar;
use crate::bytes::tar::Member;
use std::fmt;
use std::io;
use std::ops::Range;

/// The member that lists the others.
pub const CHECKSUMS: &str = "checksum.syno";
/// The member that says for which box it is.
pub(crate) const VERSION: &str = "VERSION";
/// Members that Synology's own files have beside the list.
const BESIDE: [&str; 2] = ["Synology.sig", "grub_cksum.syno"];
/// The first number of glibc's `rand()` without a seed, of which Synology's tool makes the offset.
const FIRST_RAND: u64 = 1_804_289_383;
/// What stands for an empty file.
const EMPTY_Y: u64 = 2767;
/// Lists and VERSION are small; bounds memory.
const TEXT: u64 = 256 << 10;

/// A line of `checksum.syno`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// zlib's CRC-32.
    pub crc: u32,
    /// Bytes.
    pub size: u64,
    /// The member's name.
    pub name: String,
    /// Size and offset of the sample.
    pub x: u64,
    /// Sum of the four bytes of the sample.
    pub y: u64,
}

/// Where the four bytes are that are checked; `variant` is the other rule that is found in the wild for files whose
/// sample would reach past the end.
fn sample(size: u64, variant: bool) -> u64 {
    let Some(offset) = FIRST_RAND.checked_rem(size) else {
        return 0;
    };
    match size - offset < 4 {
        true => match size.checked_sub(if variant { 4 } else { 5 }) {
            Some(0) => 1,
            Some(offset) => offset,
            None => 0,
        },
        false if offset == 0 => 1,
        false => offset,
    }
}

/// Makes the line of a file whose size is known, from its bytes in any number of pieces.
pub struct Sum {
    size: u64,
    at: u64,
    crc: crc::Digest<'static, u32>,
    /// By the usual rule, and by the variant.
    samples: [(u64, u64); 2],
}

impl Sum {
    /// For a file of this many bytes.
    pub fn new(size: u64) -> Sum {
        Sum {
            size,
            at: 0,
            crc: CRC32.digest(),
            samples: [(sample(size, false), 0), (sample(size, true), 0)],
        }
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        let here = self.at..self.at + bytes.len() as u64;
        for (offset, sum) in &mut self.samples {
            let from = (*offset).max(here.start);
            let to = offset.saturating_add(4).min(here.end);
            if from < to {
                let seen = &bytes[(from - here.start) as usize..(to - here.start) as usize];
                *sum += seen.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            }
        }
        self.at = here.end;
    }

    /// The line by the usual rule, and the one by the variant.
    fn lines(self, name: &str) -> [Line; 2] {
        let crc = self.crc.finalize();
        self.samples.map(|(offset, sum)| match self.size {
            0 => Line {
                crc: 0,
                size: 0,
                name: name.to_owned(),
                x: 0,
                y: EMPTY_Y,
            },
            size => Line {
                crc,
                size,
                name: name.to_owned(),
                x: size + offset,
                y: sum,
            },
        })
    }

    /// The line of `checksum.syno`.
    pub fn line(self, name: &str) -> Line {
        let [line, _] = self.lines(name);
        line
    }

    /// Whether the bytes are those that this line lists, by either rule.
    pub fn agrees(self, line: &Line) -> bool {
        self.lines(&line.name).contains(line)
    }
}

/// The line for these bytes.
pub fn line_for(name: &str, bytes: &[u8]) -> Line {
    let mut sum = Sum::new(bytes.len() as u64);
    sum.update(bytes);
    sum.line(name)
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { crc, size, name, x, y } = self;
        write!(f, "{crc} {size} {name} {x} {y}")
    }
}

/// The whole of a `checksum.syno`: one [`Line`] a line, then the sums of their numbers.
pub fn format_checksum_syno(lines: &[Line]) -> String {
    let mut text = String::new();
    let mut sums = [0u64; 3];
    for line in lines {
        text.push_str(&format!("{line}\n"));
        for (sum, number) in sums.iter_mut().zip([line.size, line.x, line.y]) {
            *sum = sum.wrapping_add(number);
        }
    }
    let [size, x, y] = sums;
    text.push_str(&format!("#Synocksum {size} {x} {y}\n"));
    text
}

/// Reads a `checksum.syno` and holds its last line against the others.
///
/// # Errors
/// What is wrong with it, in words. An empty list is none: old boxes took it, and it checks nothing.
pub fn parse_checksum_syno(text: &str) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    let mut total = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if total.is_some() {
            return Err(format!("{CHECKSUMS} goes on behind its last line"));
        }
        if let Some(sums) = line.strip_prefix("#Synocksum ") {
            total = Some(sums.trim_end().to_owned());
            continue;
        }
        lines.push(parse_line(line).ok_or_else(|| format!("{CHECKSUMS} has a line that is none: {}", Quoted(line)))?);
    }
    let Some(total) = total else {
        return Err(format!("{CHECKSUMS} has no last line (#Synocksum)"));
    };
    let expected = format_checksum_syno(&lines);
    match expected
        .lines()
        .last()
        .and_then(|last| last.strip_prefix("#Synocksum "))
    {
        Some(sums) if sums == total => Ok(lines),
        _ => Err(format!("{CHECKSUMS} does not add up")),
    }
}

fn parse_line(line: &str) -> Option<Line> {
    let (crc, rest) = line.trim_end().split_once(' ')?;
    let (size, rest) = rest.split_once(' ')?;
    let (rest, y) = rest.rsplit_once(' ')?;
    let (name, x) = rest.rsplit_once(' ')?;
    Some(Line {
        crc: digits::decimal(crc)?,
        size: digits::decimal(size)?,
        name: name.strip_prefix("./").unwrap_or(name).to_owned(),
        x: digits::decimal(x)?,
        y: digits::decimal(y)?,
    })
}

/// A `.pat` that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pat {
    /// Its members in the order of the archive, `checksum.syno` among them.
    pub members: Vec<Member>,
    /// What is listed.
    pub lines: Vec<Line>,
    /// `unique=` of VERSION: the kind of box it is for.
    pub unique: Option<String>,
    /// What is wrong with the list itself.
    pub problems: Vec<String>,
}

/// Whether a file need not be listed.
pub fn need_not_be_listed(name: &str) -> bool {
    name == CHECKSUMS || BESIDE.contains(&name)
}

/// Whether this is one of the encrypted files since DSM 7, which nobody but Synology's boxes can open.
///
/// # Errors
/// Those of reading.
pub fn is_encrypted(store: &Store, range: &Range<u64>) -> io::Result<bool> {
    let mut head = [0; 4];
    Ok(store.read_head(range, &mut head)? && Fields(&head).be32(0).map(|word| word & 0x00ff_ffff) == Some(0x00ad_beef))
}

impl Pat {
    /// Reads the archive: `None` if it is no `.pat`. Nothing of the members is checked yet.
    ///
    /// # Errors
    /// `InvalidData` for an archive or a list that is bad, else those of reading.
    pub fn open(store: &Store, range: Range<u64>) -> io::Result<Option<Pat>> {
        if !tar::is_tar(store, &range)? {
            return Ok(None);
        }
        Pat::of_members(store, tar::walk_all(store, range)?)
    }

    /// As [`Pat::open`], of an archive that was walked already.
    ///
    /// # Errors
    /// As [`Pat::open`].
    pub fn of_members(store: &Store, members: Vec<Member>) -> io::Result<Option<Pat>> {
        let pat = Pat::whatever_is_listed(store, members)?;
        match pat.as_ref().and_then(|pat| pat.problems.first()) {
            Some(problem) => Err(bad(problem)),
            None => Ok(pat),
        }
    }

    /// The same of one whose list may be bad, which its `problems` say.
    ///
    /// # Errors
    /// Those of reading.
    pub fn whatever_is_listed(store: &Store, members: Vec<Member>) -> io::Result<Option<Pat>> {
        let Some(list) = members.iter().find(|member| member.name == CHECKSUMS) else {
            return Ok(None);
        };
        let mut problems = Vec::new();
        let lines = parse_checksum_syno(&text(store, list)?).unwrap_or_else(|problem| {
            problems.push(problem);
            Vec::new()
        });
        let unique = match members.iter().find(|member| member.name == VERSION) {
            Some(version) => setting(&text(store, version)?, "unique"),
            None => None,
        };
        for (index, line) in lines.iter().enumerate() {
            if lines[..index].iter().any(|other| other.name == line.name) {
                problems.push(format!("{CHECKSUMS} lists {} twice", Quoted(&line.name)));
            }
            if !members.iter().any(|member| member.name == line.name) {
                problems.push(format!("{} is listed in {CHECKSUMS} and not there", Quoted(&line.name)));
            }
        }
        Ok(Some(Pat {
            members,
            lines,
            unique,
            problems,
        }))
    }

    /// What is wrong with a member: not listed, or not what is listed.
    ///
    /// # Errors
    /// Those of reading.
    pub fn problem(&self, store: &Store, member: &Member) -> io::Result<Option<String>> {
        if member.name == CHECKSUMS {
            return Ok(None);
        }
        let Some(line) = self.lines.iter().find(|line| line.name == member.name) else {
            if BESIDE.contains(&member.name.as_str()) {
                return Ok(None);
            }
            return Ok(Some(format!("{} is not listed in {CHECKSUMS}", Quoted(&member.name))));
        };
        let mut sum = Sum::new(member.data.end - member.data.start);
        store.scan(member.data.clone(), |chunk| sum.update(chunk))?;
        Ok((!sum.agrees(line)).then(|| format!("{} is not what {CHECKSUMS} lists", Quoted(&member.name))))
    }
}

fn text(store: &Store, member: &Member) -> io::Result<String> {
    if member.data.end - member.data.start > TEXT {
        return Err(bad(format_args!("{} is too long", Quoted(&member.name))));
    }
    Ok(String::from_utf8_lossy(&store.bytes(&member.data)?).into_owned())
}

/// `key="value"` or `key=value` of a file of such lines.
pub(crate) fn setting(text: &str, key: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.trim().split_once('='))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Lines of a real list, that of DSM for the DS918+: x less size is the offset of the sample.
    #[test]
    fn the_sample_is_where_synology_takes_it() {
        for text in [
            "291852179 9142600 bios.ROM 12339783 765",
            "864353750 1046607 H2OFFT-Lx64 2032129 1",
        ] {
            let line = parse_line(text).unwrap();
            assert_eq!(line.x, line.size + sample(line.size, false), "{text}");
            assert_eq!(line.to_string(), text);
        }
        assert_eq!(line_for("empty", b"").to_string(), "0 0 empty 0 2767");
        // 1804289383 is odd: of one byte the rest is 0, of two it is 1.
        assert_eq!(line_for("a", b"a").to_string(), "3904355907 1 a 1 97");
        for size in 1..2000 {
            assert!(sample(size, false) <= size && sample(size, true) <= size);
        }
    }

    #[test]
    fn a_list_reads_back_and_must_add_up() {
        let lines = vec![
            line_for("zImage", &[7; 5000]),
            line_for("a b", b"abcde"),
            line_for("e", b""),
        ];
        let text = format_checksum_syno(&lines);
        assert_eq!(parse_checksum_syno(&text).unwrap(), lines);
        assert!(parse_checksum_syno(&text.replace(" 5000 ", " 5001 ")).is_err());
        assert!(parse_checksum_syno("").is_err());
        assert!(parse_checksum_syno(&format!("{text}1 2 x 3 4\n")).is_err());
    }

    #[test]
    fn bytes_agree_in_any_pieces_and_no_flipped_bit_does() {
        let bytes: Vec<u8> = (0..5000u32).map(|n| (n * 7) as u8).collect();
        let line = line_for("x", &bytes);
        let agrees = |bytes: &[u8], piece: usize| {
            let mut sum = Sum::new(bytes.len() as u64);
            bytes.chunks(piece).for_each(|chunk| sum.update(chunk));
            sum.agrees(&line)
        };
        assert!([1, 3, 4096].iter().all(|piece| agrees(&bytes, *piece)));
        let mut flipped = bytes;
        flipped[77] ^= 4;
        assert!(!agrees(&flipped, 4096));
    }
}
