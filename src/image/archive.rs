//! Archives whose members are the parts: Synology's `.pat` and OpenWrt's tar kind of `sysupgrade`.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::format::Format;
use crate::base::quoted::Quoted;
use crate::bytes::store::Store;
use crate::bytes::tar;
use crate::bytes::tar::Member;
use crate::image::pat::Pat;
use crate::image::{FileKind, Image, Part, content, pat, sums};
use std::io;
use std::ops::Range;

/// Recognises one and takes it apart; false for anything else.
pub(super) fn inspect(store: &Store, range: Range<u64>, image: &mut Image) -> io::Result<bool> {
    if pat::is_encrypted(store, &range)? {
        image.format = Format::SynologyPat;
        return Err(bad(
            "this is an encrypted .pat, as Synology makes them since DSM 7: only a Synology box can open it; use an \
             older .pat, or the zImage and rd.gz of a box",
        ));
    }
    if !tar::is_tar(store, &range)? {
        return Ok(false);
    }
    image.format = Format::Tar;
    let members = tar::walk_all(store, range)?;
    match members.iter().any(|member| member.name == pat::CHECKSUMS) {
        true => {
            image.format = Format::SynologyPat;
            synology(store, members, image)?;
        }
        false => openwrt(store, &members, image)?,
    }
    Ok(true)
}

fn part(store: &Store, name: &str, member: &Member) -> io::Result<Part> {
    Ok(Part {
        name: name.to_owned(),
        member: (member.name != name).then(|| member.name.clone()),
        offset: member.data.start,
        size: member.data.end - member.data.start,
        content: content::look(store, member.data.clone())?,
        file: FileKind::default(),
    })
}

fn synology(store: &Store, members: Vec<Member>, image: &mut Image) -> io::Result<()> {
    let Some(pat) = Pat::of_members(store, members)? else {
        return Ok(());
    };
    image.made_for.clone_from(&pat.unique);
    for member in &pat.members {
        if let Some(problem) = pat.problem(store, member)? {
            return Err(bad(problem));
        }
        // The one name of the initial ramdisk in older files.
        let name = match member.name.as_str() {
            "rd.bin" => "rd.gz",
            name => name,
        };
        image.parts.push(part(store, name, member)?);
    }
    Ok(())
}

/// A tar of which nothing more is known: its members are its parts, but for those that have checksums of others.
fn plain(store: &Store, members: &[Member], image: &mut Image) -> io::Result<()> {
    for member in members {
        match sums::of(members, &member.name) {
            Some(sums) => {
                if let Some(problem) = sums::problem(store, members, member, sums)? {
                    return Err(bad(problem));
                }
                image.unused.push(member.name.clone());
            }
            None => image.parts.push(part(store, &member.name, member)?),
        }
    }
    match image.parts.is_empty() {
        true => Err(bad("there is no file in the tar")),
        false => Ok(()),
    }
}

/// The boards that `CONTROL` names, in lines `BOARD=…`.
fn control(store: &Store, member: &Member) -> io::Result<Vec<String>> {
    const CONTROL: u64 = 4096;
    if member.data.end - member.data.start > CONTROL {
        return Err(bad("the CONTROL of the sysupgrade archive is too long"));
    }
    let text = store.bytes(&member.data)?;
    let text = String::from_utf8_lossy(&text);
    let boards = text.lines().filter_map(|line| {
        let (key, board) = line.split_once('=')?;
        (key.trim() == "BOARD").then(|| board.trim().trim_matches(['"', '\'']).to_owned())
    });
    Ok(boards.collect())
}

/// `sysupgrade-BOARD/CONTROL`, `kernel`, `root`. Any other tar keeps its members as parts and has no place.
fn openwrt(store: &Store, members: &[Member], image: &mut Image) -> io::Result<()> {
    let board = members.first().and_then(|member| {
        let (board, _) = member.name.strip_prefix("sysupgrade-")?.split_once('/')?;
        Some(board.to_owned())
    });
    let Some(board) = board else {
        return plain(store, members, image);
    };
    image.format = Format::SysupgradeTar;
    for member in members {
        let inside = member.name.strip_prefix(&format!("sysupgrade-{board}/"));
        let name = match inside {
            Some("CONTROL") => {
                let named = control(store, member)?;
                // Directories have no commas in their names.
                let other = |named: &String| named.replace(',', "_") != board.replace(',', "_");
                match named.into_iter().find(other) {
                    Some(named) => {
                        return Err(bad(format_args!(
                            "the sysupgrade archive is for {}, and its CONTROL for {}",
                            Quoted(&board),
                            Quoted(&named)
                        )));
                    }
                    None => continue,
                }
            }
            Some("kernel") => "kernel",
            Some("root") => "rootfs",
            Some(other) if !other.contains('/') => other,
            _ => {
                return Err(bad(format_args!(
                    "{} has no place in a sysupgrade archive",
                    Quoted(&member.name)
                )));
            }
        };
        // Written as nothing, a new root would come with the old kernel.
        if member.data.is_empty() {
            return Err(bad(format_args!(
                "{} in the sysupgrade archive is empty",
                Quoted(&member.name)
            )));
        }
        image.parts.push(part(store, name, member)?);
    }
    image.made_for = Some(board);
    match image.parts.is_empty() {
        true => Err(bad("the sysupgrade archive has neither kernel nor root")),
        false => Ok(()),
    }
}
