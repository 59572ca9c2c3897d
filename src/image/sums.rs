//! Checksums that stand in an archive beside its files: `NAME.md5sum`, as OpenIPC's releases have them for their `uImage.SOC` and
//! `rootfs.squashfs.SOC` (their `sysupgrade` runs `md5sum -c` on them), `NAME.sha256sum`, or one list such as `SHA256SUMS`.

#![forbid(unsafe_code)]

use crate::base::quoted::Quoted;
use crate::base::units::hex;
use crate::bytes::store::Store;
use crate::bytes::tar::Member;
use crate::image::digest::{self, Digest};
use std::io;

/// The checksums by their names, and how many digits each has.
const KINDS: [(&str, usize); 5] = [
    ("md5", 32),
    ("sha1", 40),
    ("sha256", 64),
    ("sha384", 96),
    ("sha512", 128),
];

/// Bytes of such a file; bounds memory.
const TEXT: u64 = 16 << 10;

/// What a member says of others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sums<'m> {
    /// The checksum of this one.
    Of(&'m Member),
    /// A list of several.
    List,
}

/// Whether a member has checksums of others; `None` for one that has none.
pub(super) fn of<'m>(members: &'m [Member], name: &str) -> Option<Sums<'m>> {
    let lower = base(name).to_ascii_lowercase();
    let lower = lower.strip_suffix(".txt").unwrap_or(&lower);
    let is_list = |(kind, _): &(&str, usize)| {
        let rest = lower.strip_prefix(kind);
        rest.is_some_and(|rest| ["sum", "sums"].contains(&rest.trim_start_matches(['-', '_'])))
            || lower
                .strip_prefix("checksums")
                .is_some_and(|rest| rest.is_empty() || rest.get(1..) == Some(kind))
    };
    if KINDS.iter().any(is_list) {
        return Some(Sums::List);
    }
    let (front, ending) = name.rsplit_once('.')?;
    let kind = ending.strip_suffix("sum").unwrap_or(ending);
    KINDS.iter().find(|(known, _)| *known == kind)?;
    members.iter().find(|member| member.name == front).map(Sums::Of)
}

/// What is wrong with members by the checksums in this one.
pub(super) fn problem(store: &Store, members: &[Member], list: &Member, sums: Sums<'_>) -> io::Result<Option<String>> {
    if list.data.end - list.data.start > TEXT {
        return Ok(Some(format!("{} is too long for checksums", Quoted(&list.name))));
    }
    let text = store.bytes(&list.data)?;
    let text = String::from_utf8_lossy(&text);
    // A line of `sha256sum`, also with `--tag`.
    let lines: Vec<Line<'_>> = text
        .lines()
        .filter_map(|line| {
            line.split_ascii_whitespace()
                .find_map(|word| Some((line, word, kind(word)?)))
        })
        .collect();
    let mut held = 0;
    for member in members {
        let of: Vec<&Line<'_>> = match (sums, lines.as_slice()) {
            (Sums::Of(of), _) if of.name != member.name => continue,
            // The only line of a file of its own need not name it.
            (Sums::Of(_), [only]) => vec![only],
            // By its path from where the list stands, else by its name: the list may have been made elsewhere.
            _ => {
                let dir = list.name.strip_suffix(base(&list.name)).unwrap_or_default();
                let path = member.name.strip_prefix(dir).unwrap_or(&member.name);
                let exact = |(line, ..): &&Line<'_>| names(line).any(|name| name == path);
                let word = |(line, ..): &&Line<'_>| words(line).any(|word| word == path);
                let named = |(line, ..): &&Line<'_>| {
                    let mut names = names(line).chain(words(line));
                    names.any(|name| base(name) == base(&member.name))
                };
                let one = || lines.iter().find(word).or_else(|| lines.iter().find(named));
                let all: Vec<_> = lines.iter().filter(exact).collect();
                match all.is_empty() {
                    true => one().into_iter().collect(),
                    false => all,
                }
            }
        };
        let mut listed: Vec<(&str, String)> = of
            .iter()
            .map(|(_, sum, kind)| (*kind, sum.to_ascii_lowercase()))
            .collect();
        listed.sort_unstable();
        listed.dedup();
        held += listed.len();
        // Of two of a kind one is wrong, whatever the file is.
        let twice = listed.windows(2).any(|pair| pair[0].0 == pair[1].0);
        let is_so = || {
            let digests = listed.iter().filter_map(|(kind, _)| Digest::named(kind)).collect();
            let found = digest::all(store, member.data.clone(), digests)?;
            io::Result::Ok(
                found
                    .iter()
                    .map(|sum| hex(sum))
                    .eq(listed.iter().map(|(_, sum)| sum.clone())),
            )
        };
        if twice || !is_so()? {
            let what = format!("{} is not what {} says", Quoted(&member.name), Quoted(&list.name));
            return Ok(Some(what));
        }
    }
    let of = match sums {
        Sums::Of(member) => Quoted(base(&member.name)).to_string(),
        Sums::List => "any file beside it".to_owned(),
    };
    Ok((held == 0).then(|| format!("{} has no checksum of {of}", Quoted(&list.name))))
}

/// The kind of checksum that a word is, by its digits.
fn kind(word: &str) -> Option<&'static str> {
    let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (kind, _) = KINDS.iter().find(|(_, digits)| *digits == word.len())?;
    is_hex.then_some(*kind)
}

/// A line, the checksum in it, and of which kind that is.
type Line<'t> = (&'t str, &'t str, &'static str);

/// What a line calls the file, with its blanks: `SUM  NAME`, `SUM *NAME`, or `KIND (NAME) = SUM`.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let tagged = line.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
    let plain = line.split_once([' ', '\t']);
    let names = [tagged.map(|(name, _)| name), plain.map(|(_, name)| name)];
    names.into_iter().flatten().map(|name| {
        let name = name.trim_matches([' ', '\t', '*']);
        name.strip_prefix("./").unwrap_or(name)
    })
}

/// The words of a line that may be a name.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split([' ', '\t', '*', '(', ')']);
    words
        .map(|word| word.trim_start_matches("./"))
        .filter(|word| !word.is_empty())
}

/// The last part of a path.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}
