//! Members of an archive and the partitions that they go to.

#![forbid(unsafe_code)]

use super::{Choice, accepted, unknown};
use crate::base::check_id::CheckId;
use crate::base::format::Format;
use crate::base::glob::glob;
use crate::base::quoted::{Quoted, one_line};
use crate::board::profile::{Accepts, Profile};
use crate::image::{Image, Part};
use crate::plan::Check;

/// Whether the image is an archive whose members can be chosen.
pub fn is_archive(image: &Image) -> bool {
    image.as_is.is_none() && [Format::Tar, Format::SysupgradeTar, Format::SynologyPat].contains(&image.format)
}

/// The members that a profile's entry maps to partitions; `None` for an entry that maps none.
pub(super) fn mapped(accepts: &Accepts) -> Option<Vec<Choice>> {
    let choices: Vec<_> = accepts
        .parts
        .iter()
        .map(|part| Choice::parse(part))
        .collect::<Option<_>>()?;
    choices.iter().all(|choice| choice.member.is_some()).then_some(choices)
}

/// What was chosen of an archive: by the user, else by the profile; `None` where nobody chose members.
pub fn wanted(profile: &Profile, image: &Image, choices: &[Choice]) -> Option<Vec<Choice>> {
    match choices.iter().any(|choice| choice.member.is_some()) {
        true => Some(choices.to_vec()),
        false => mapped(accepted(profile, image)?),
    }
}

/// The part of the image that each choice names, by its index.
///
/// # Errors
/// A choice that names none, or more than one, and a member that is chosen twice.
pub fn chosen(image: &Image, choices: &[Choice]) -> Result<Vec<usize>, Check> {
    let mut chosen = Vec::new();
    for choice in choices {
        let Some(wanted) = &choice.member else {
            return Err(Check::fail(
                CheckId::Partition,
                format!("nothing says which member goes to {}", Quoted(&choice.partition)),
                "name a member for each partition: --part PARTITION=MEMBER,PARTITION=MEMBER",
            ));
        };
        if !is_archive(image) {
            return Err(Check::fail(
                CheckId::Partition,
                format!(
                    "the image is {} {}, which has no members to choose",
                    article(image.format),
                    image.format
                ),
                format!("--part {} writes all of it there", choice.partition),
            ));
        }
        let index = one(image, wanted)?;
        if chosen.contains(&index) {
            return Err(Check::fail(
                CheckId::Partition,
                format!("{} is chosen twice", Quoted(name(&image.parts[index]))),
                "choose another member for one of the two partitions",
            ));
        }
        chosen.push(index);
    }
    Ok(chosen)
}

fn article(format: Format) -> &'static str {
    match format.as_str().starts_with(['a', 'e', 'i', 'o']) {
        true => "an",
        false => "a",
    }
}

/// What the archive calls it.
fn name(part: &Part) -> &str {
    part.member.as_deref().unwrap_or(&part.name)
}

/// The only part with that name; else the only one that fits the glob. Without a slash in it the directory does not count.
fn one(image: &Image, wanted: &str) -> Result<usize, Check> {
    let found = |fits: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let parts = image.parts.iter().enumerate();
        let fits = |part: &Part| {
            let path = name(part);
            let last = path.rsplit('/').next().unwrap_or(path);
            fits(path) || !wanted.contains('/') && fits(last) || fits(&part.name)
        };
        parts.filter(|(_, part)| fits(part)).map(|(index, _)| index).collect()
    };
    let mut fit = found(&|name| name == wanted);
    if fit.is_empty() {
        fit = found(&|name| glob(wanted.as_bytes(), name.as_bytes()));
    }
    let all = |parts: &mut dyn Iterator<Item = &Part>| {
        let names: Vec<_> = parts.map(|part| Quoted(name(part)).to_string()).collect();
        names.join(", ")
    };
    match fit.as_slice() {
        [only] => Ok(*only),
        [] => Err(unknown_member(format!(
            "the {} has no member {}; it has {}",
            image.format,
            Quoted(wanted),
            all(&mut image.parts.iter())
        ))),
        several => Err(unknown_member(format!(
            "several members of the {} fit {}: {}",
            image.format,
            Quoted(wanted),
            all(&mut several.iter().filter_map(|index| image.parts.get(*index)))
        ))),
    }
}

fn unknown_member(what: String) -> Check {
    Check {
        remedy: Some("name one of them: --part PARTITION=MEMBER; flasher inspect lists them".to_owned()),
        ..unknown(what)
    }
}

/// How an archive's members are chosen, for who did not.
pub(super) fn how(image: &Image, partitions: &[&str]) -> String {
    let example: Vec<_> = image
        .parts
        .iter()
        .take(2)
        .map(|member| format!("PARTITION={}", name(member)))
        .collect();
    format!(
        "choose its members, for example --part {}; this box has {}",
        example.join(","),
        one_line(&partitions.join(", "))
    )
}
