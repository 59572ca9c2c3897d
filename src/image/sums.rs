//! Checksums that stand beside a file in an archive: `NAME.md5sum`, as OpenIPC's releases have them for their `uImage.SOC` and
//! `rootfs.squashfs.SOC` (their `sysupgrade` runs `md5sum -c` on them), or `NAME.sha256sum`.

#![forbid(unsafe_code)]

use crate::base::quoted::Quoted;
use crate::base::units::hex;
use crate::bytes::store::Store;
use crate::bytes::tar::Member;
use sha2::{Digest, Sha256};
use std::io;

/// Kinds of checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Md5,
    Sha256,
}

/// Bytes of such a file; bounds memory.
const TEXT: u64 = 4096;

/// The member whose checksum this one is, and its kind; `None` for a member that is none.
pub(super) fn beside<'m>(members: &'m [Member], name: &str) -> Option<(&'m Member, Kind)> {
    let endings = [
        (".md5sum", Kind::Md5),
        (".md5", Kind::Md5),
        (".sha256sum", Kind::Sha256),
        (".sha256", Kind::Sha256),
    ];
    let (of, kind) = endings
        .into_iter()
        .find_map(|(ending, kind)| Some((name.strip_suffix(ending)?, kind)))?;
    members
        .iter()
        .find(|member| member.name == of)
        .map(|member| (member, kind))
}

/// What is wrong with a member by the checksum beside it.
pub(super) fn problem(store: &Store, (member, list): (&Member, &Member), kind: Kind) -> io::Result<Option<String>> {
    let length = list.data.end - list.data.start;
    if length > TEXT {
        return Ok(Some(format!("{} is too long for a checksum", Quoted(&list.name))));
    }
    let mut text = vec![0; length as usize];
    store.read_exact_at(list.data.start, &mut text)?;
    let text = String::from_utf8_lossy(&text);
    let digits = match kind {
        Kind::Md5 => 32,
        Kind::Sha256 => 64,
    };
    // A line of `sha256sum`, also with `--tag`; of several lines those that name the file.
    let is_sum = |word: &&str| word.len() == digits && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.split_ascii_whitespace().any(|word| is_sum(&word)))
        .collect();
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let name = base(&member.name);
    let names = |line: &&&str| {
        let mut words = line.split([' ', '\t', '*', '(', ')']);
        words.any(|word| base(word) == name)
    };
    let line = match lines.as_slice() {
        [only] => Some(only),
        several => several.iter().find(names),
    };
    let listed = line.and_then(|line| line.split_ascii_whitespace().find(is_sum));
    let Some(listed) = listed.map(str::to_ascii_lowercase) else {
        return Ok(Some(format!(
            "{} has no checksum of {}",
            Quoted(&list.name),
            Quoted(&name)
        )));
    };
    let found = match kind {
        Kind::Md5 => {
            let mut sum = md5::Md5::new();
            store.scan(member.data.clone(), |chunk| sum.update(chunk))?;
            hex(&sum.finalize())
        }
        Kind::Sha256 => {
            let mut sum = Sha256::new();
            store.scan(member.data.clone(), |chunk| sum.update(chunk))?;
            hex(&sum.finalize())
        }
    };
    Ok((found != listed).then(|| format!("{} is not what {} says", Quoted(&member.name), Quoted(&list.name))))
}
