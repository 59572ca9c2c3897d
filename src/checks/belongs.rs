//! Whether what a partition would get belongs there: by what the profile says it holds; where it says nothing, by what lies on
//! flash at all; and by what the partition holds now.

#![forbid(unsafe_code)]

use super::Facts;
use super::metadata;
use super::present::{Present, present};
use crate::base::check_id::CheckId;
use crate::base::error::Exit;
use crate::base::format::{Format, Nature};
use crate::base::machine::Role;
use crate::base::units::Grouped;
use crate::board::Partition;
use crate::board::profile::Protection;
use crate::image::AsIs;
use crate::image::content::Content;
use crate::image::uimage;
use crate::layout::Placed;
use crate::plan::{Check, Status};

/// A partition, what is known of it, and of what is bound for it.
pub(super) struct Target<'a> {
    facts: &'a Facts<'a>,
    placed: &'a Placed,
    /// The partition.
    pub partition: &'a Partition,
    /// Whether its content was read from flash, so that it may be anything that lay there.
    pub is_copy: bool,
    present: Option<Present>,
}

impl<'a> Target<'a> {
    /// Reads the first bytes of the partition.
    pub fn new(facts: &'a Facts<'a>, placed: &'a Placed, partition: &'a Partition) -> Target<'a> {
        let format = facts.image.format;
        let copy = placed.file.as_is == Some(AsIs::Copy);
        Target {
            facts,
            placed,
            partition,
            is_copy: copy || is_part_of_copy(format),
            present: present(facts.board, partition),
        }
    }

    /// Whether it belongs there.
    pub fn belongs(&self, content: Option<&Content>) -> Check {
        let label = self.partition.label();
        let bytes = Grouped(self.placed.write.length());
        let (format, role) = content.map_or((Format::Raw, Role::Other), |content| (content.format, content.role));
        let described = match content {
            Some(content) => content.described(),
            None => format!("{bytes} bytes of nothing that is known"),
        };
        let gets = format!("{label} gets {described}");
        if let Some(blank) = self.blank(content) {
            return blank;
        }
        if self.takes(format, role) {
            return match content {
                Some(content) if self.has_other_magic(content) => self.other_magic(content),
                // Those of which nothing can be checked say nothing but what they are.
                Some(content) if content.checked || content.title == format.described() => {
                    Check::pass(CheckId::Content, gets)
                }
                _ => Check::warn(CheckId::Content, gets),
            };
        }
        // Evidence that it is something else counts more than what the box's own archive says of it. A kernel behind a vendor's
        // header is none: where one lay that a power cut has erased, nothing else tells that the boot loader reads it.
        let vouched = content.is_none_or(|content| content.role == Role::Kernel) && is_for_this_box(self.facts);
        if self.is_foreign_copy(format) {
            return self.refused(format, &described);
        }
        // Who says `--as-is` means these bytes.
        let asked = self.placed.file.as_is == Some(AsIs::Asked);
        if vouched || asked || self.was_read_from_flash(format) {
            return Check::warn(CheckId::Content, format!("{gets}{}", self.holds()));
        }
        self.refused(format, &described)
    }

    fn refused(&self, format: Format, described: &str) -> Check {
        let label = self.partition.label();
        let what = match format {
            Format::Raw => format!("{label} would get {described}"),
            Format::Factory => format!("{label} would get {described}, which does not belong there"),
            _ => format!("{label} would get {}, which does not belong there", format.described()),
        };
        Check::fail(
            CheckId::Content,
            format!("{what}{}", self.holds()),
            format!("{}; --force=content if you know better", remedy(format)),
        )
        .forceable()
    }

    /// The uImage that lies there now.
    fn uimage_there(&self) -> Option<&Present> {
        self.present.as_ref().filter(|present| present.format == Format::Uimage)
    }

    /// Whether it is a uImage whose magic number is not that which the boot loader is known to take.
    fn has_other_magic(&self, content: &Content) -> bool {
        let known = self.uimage_there().and_then(|present| present.magic);
        content.format == Format::Uimage && content.magic != known
    }

    /// Boot loaders of some vendors start only a uImage with a magic number of their own, and others none that has it.
    fn other_magic(&self, content: &Content) -> Check {
        let with = |magic: Option<u32>| format!("the magic number 0x{:08x}", magic.unwrap_or(uimage::MAGIC));
        let known = match self.uimage_there() {
            Some(present) => format!("that which lies there now has {}", with(present.magic)),
            None => "whether the boot loader takes that is not known".to_owned(),
        };
        let label = self.partition.label();
        let what = format!("{label} gets a uImage with {}: {known}", with(content.magic));
        // The words of a profile mean U-Boot's own.
        let is_meant = self.placed.file.as_is.is_some()
            || is_part_of_copy(self.facts.image.format)
            || content.magic.is_none()
            || is_for_this_box(self.facts);
        if self.partition.holds.is_empty() || is_meant {
            return Check::warn(CheckId::Content, what);
        }
        let remedy = "get the image for this box; --force=content if you know better";
        Check::fail(CheckId::Content, what, remedy).forceable()
    }

    /// An empty file, or one of one byte over and over: what is left of a download or a copy that failed. In what was read from
    /// flash as a whole there are partitions like that.
    fn blank(&self, content: Option<&Content>) -> Option<Check> {
        let asked = self.placed.file.as_is == Some(AsIs::Asked);
        let source = &self.placed.write.source;
        if content.is_some() || asked || is_part_of_copy(self.facts.image.format) {
            return None;
        }
        if source.is_empty() {
            let what = format!("{} would get nothing: what is for it is empty", self.partition.label());
            return Some(Check::fail(CheckId::Content, what, "get the image again").exit(Exit::ImageBad));
        }
        let store = self.facts.store;
        let mut first = [0];
        store.read_exact_at(source.start, &mut first).ok()?;
        let same = store.past(source.clone(), first[0]).ok()? == source.end;
        let what = format!(
            "{} would get {} bytes of 0x{:02x}, and nothing else",
            self.partition.label(),
            Grouped(source.end - source.start),
            first[0]
        );
        let remedy = "get the image again; --force=content if you know better";
        same.then(|| Check::fail(CheckId::Content, what, remedy).forceable())
    }

    /// Whether it is as long as the partition, so that it may be a copy of one, and what is in it is known and neither what this
    /// one is for nor what lies there now.
    fn is_foreign_copy(&self, format: Format) -> bool {
        let known = !matches!(format.nature(), Nature::Packed) && format != Format::Raw;
        let here = self.present.as_ref().is_some_and(|present| present.format == format);
        let copy = self.placed.file.as_is == Some(AsIs::Copy);
        let particular = !self.partition.holds.is_empty() || self.is_boot_loader();
        copy && known && !here && (particular || format.nature() != Nature::Flash)
    }

    fn is_boot_loader(&self) -> bool {
        self.partition.keep == Some(Protection::Bootloader)
    }

    /// What the profile says of it, as the end of a sentence.
    fn holds(&self) -> String {
        let words: Vec<_> = self.partition.holds.iter().map(ToString::to_string).collect();
        match words.is_empty() {
            true if self.is_boot_loader() => " (it holds the boot loader)".to_owned(),
            true => String::new(),
            false => format!(" (it holds {})", words.join(" or ")),
        }
    }

    /// Whether the partition is for such content.
    fn takes(&self, format: Format, role: Role) -> bool {
        let partition = self.partition;
        if !partition.holds.is_empty() {
            return partition.holds.iter().any(|purpose| purpose.takes(format, role));
        }
        let profile = &self.facts.board.profile;
        let accepted = profile
            .accepts
            .iter()
            .any(|accepts| accepts.format == format && accepts.parts.contains(&partition.name));
        let is_there = self.present.as_ref().is_some_and(|present| present.format == format);
        let fits = match format.nature() {
            // Android's `dtbo` and `vbmeta` have partitions of their own, for each slot.
            Nature::BootLoader => self.is_boot_loader() || partition.name.starts_with(format.as_str()),
            // A boot loader starts a kernel, and is none.
            nature => nature == Nature::Flash && !(self.is_boot_loader() && role != Role::Other),
        };
        fits || accepted || is_there
    }

    /// Whether such content may have been read from this partition, and so goes back.
    fn was_read_from_flash(&self, format: Format) -> bool {
        self.facts.image.format.is_flash_copy()
            || self.placed.file.as_is == Some(AsIs::Copy)
            || self.is_copy && format == Format::Raw
    }

    /// What the partition holds now, where that is of another kind.
    pub fn replaced(&self, content: Option<&Content>) -> Option<Check> {
        let present = self.present.as_ref()?;
        let format = content.map_or(Format::Raw, |content| content.format);
        if present.format == format {
            return None;
        }
        let label = self.partition.label();
        let (now, then) = (present.format.described(), format.described());
        if present.format != Format::Ubi || self.partition.volume.is_some() {
            return Some(Check::warn(
                CheckId::Content,
                format!("{label} holds {now} now, which is replaced by {then}"),
            ));
        }
        let (volumes, remedy) = match present.volumes.as_slice() {
            [] => (
                String::new(),
                "ubinize makes an image of it that can be written here".to_owned(),
            ),
            volumes => (
                format!(" with {}", volumes.join(", ")),
                format!("--part with one of its volumes: {}", volumes.join(" ")),
            ),
        };
        Some(
            Check::fail(
                CheckId::Content,
                format!("{label} holds a UBI now{volumes}, and would get {then}: all of its volumes would be lost"),
                format!("{remedy}; --force=content if you know better"),
            )
            .forceable(),
        )
    }
}

/// Whether what such an image has was read from flash together with other partitions.
fn is_part_of_copy(format: Format) -> bool {
    format.is_flash_copy() || format == Format::QnapRecovery
}

/// Whether the image says that it is for this box, in a way that was checked.
fn is_for_this_box(facts: &Facts<'_>) -> bool {
    let said = metadata::check(facts);
    !said.is_empty() && said.iter().all(|check| check.status != Status::Fail)
}

fn remedy(format: Format) -> &'static str {
    match format.nature() {
        _ if format == Format::OpenwrtCombined => {
            "take kernel and root out of it: they begin at 64 KiB (dd bs=64k skip=1)"
        }
        Nature::Factory => {
            "get the image that the system on this box installs, such as a sysupgrade image of OpenWrt's"
        }
        Nature::BootLoader => "get the image for this box, or name the boot loader's partition with --part",
        Nature::Archive => "take the image out of it",
        Nature::Packed => "unpack it",
        Nature::Disk => "get the image for the flash of this box",
        Nature::File => "get the image itself",
        Nature::Flash => "get the image for this box, or name another partition with --part",
    }
}
