//! For which boxes the image says it is: OpenWrt's metadata, the board of a `sysupgrade` archive, Synology's `unique=`.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::format::Format;
use crate::base::quoted::{Quoted, one_line};
use crate::board::{Board, Partition};
use crate::image::fwtool::{Metadata, version};
use crate::plan::Check;

/// The checks of what the image says about itself; none where it says nothing.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    let (board, image) = (facts.board, facts.image);
    let mut checks = Vec::new();
    match (image.format, &image.metadata, &image.made_for) {
        (Format::SynologyPat, _, made_for) => checks.push(synology(board, made_for.as_deref())),
        (_, Some(metadata), _) => {
            let fits = metadata.is_for(&board.names);
            let devices = metadata.supported_devices.iter().chain(&metadata.new_supported_devices);
            let devices: Vec<_> = devices.map(String::as_str).collect();
            let made_for = match devices.as_slice() {
                [] => "no box that it names".to_owned(),
                devices => one_line(&devices.join(", ")).to_string(),
            };
            checks.push(device(board, fits, &made_for));
            checks.extend(compat(board, metadata));
        }
        // The name of the directory has no commas.
        (_, None, Some(made_for)) => {
            let fits = board.names.iter().any(|name| name.replace(',', "_") == *made_for);
            checks.push(device(board, fits, &one_line(made_for)));
        }
        (_, None, None) => (),
    }
    checks.extend(facts.each(&|placed, partition| {
        let hardware = placed.content.as_ref().and_then(|content| content.hardware.as_deref());
        hardware
            .map(|number| hardware_number(board, partition, number))
            .into_iter()
            .collect()
    }));
    checks
}

/// The number of the hardware in TP-Link's header.
fn hardware_number(board: &Board, partition: &Partition, number: &str) -> Check {
    let label = partition.label();
    match board
        .profile
        .tplink
        .iter()
        .any(|known| known.eq_ignore_ascii_case(number))
    {
        true => Check::pass(CheckId::Metadata, format!("what {label} gets is for hardware {number}")),
        false => Check::fail(
            CheckId::Metadata,
            match board.profile.tplink.as_slice() {
                [] => format!(
                    "what {label} would get is for hardware {number} of TP-Link's, and this box has no such number"
                ),
                numbers => format!(
                    "what {label} would get is for hardware {number} of TP-Link's, this box is {}",
                    numbers.join(", ")
                ),
            },
            "get the image for this box; --force=metadata if you know better",
        )
        .forceable(),
    }
}

fn device(board: &Board, fits: bool, made_for: &str) -> Check {
    match fits {
        true => Check::pass(CheckId::Metadata, format!("the image is for {made_for}")),
        false => Check::fail(
            CheckId::Metadata,
            match board.names.as_slice() {
                [] => format!("the image is for {made_for}, and this box does not say what it is"),
                names => format!("the image is for {made_for}, this box is {}", names.join(", ")),
            },
            "get the image for this box; --force=metadata if you know better",
        )
        .forceable(),
    }
}

fn synology(board: &Board, made_for: Option<&str>) -> Check {
    let names = &board.profile.synology;
    match made_for {
        Some(unique) if names.iter().any(|name| name == unique) => {
            Check::pass(CheckId::Metadata, format!("the .pat is for {}", one_line(unique)))
        }
        made_for => Check::fail(
            CheckId::Metadata,
            format!(
                "the .pat is for {}, {} takes {}",
                one_line(made_for.unwrap_or("nobody knows which box")),
                board.profile.id,
                match names.as_slice() {
                    [] => "none".to_owned(),
                    names => names.join(", "),
                }
            ),
            "get the .pat for this box; --force=metadata if you know better",
        )
        .forceable(),
    }
}

/// A change of the major number is one of the flash's layout; of the minor one, of the settings' form.
fn compat(board: &Board, metadata: &Metadata) -> Option<Check> {
    let message = one_line(metadata.compat_message.as_deref().unwrap_or_default());
    let Some(here) = version(&board.compat) else {
        return Some(
            Check::fail(
                CheckId::Metadata,
                format!(
                    "which compatibility this box has is not known: {}",
                    Quoted(&board.compat)
                ),
                "mend compat_version in /etc/config/system; --force=metadata if you know better",
            )
            .forceable(),
        );
    };
    match metadata.compat() {
        Some(image) if image.0 != here.0 => Some(
            Check::fail(
                CheckId::Metadata,
                format!(
                    "the image needs compatibility {}, this box has {}: its flash is laid out otherwise. {message}",
                    one_line(&metadata.compat_version),
                    board.compat
                )
                .trim_end()
                .to_owned(),
                "follow the device's own guide to the new layout; --force=metadata if you know better",
            )
            .forceable(),
        ),
        Some(image) if image.1 != here.1 => Some(Check::warn(
            CheckId::Metadata,
            format!(
                "the image has compatibility {}, this box {}: its configuration cannot be kept. {message}",
                one_line(&metadata.compat_version),
                board.compat
            )
            .trim_end()
            .to_owned(),
        )),
        Some(_) => None,
        None => Some(
            Check::fail(
                CheckId::Metadata,
                format!(
                    "the image has a compatibility that makes no sense: {}",
                    Quoted(&metadata.compat_version)
                ),
                "get the image again",
            )
            .forceable(),
        ),
    }
}
