//! What is known of a box's boot loader: its checksum, when it was built, and whether it can recover the box.
//!
//! The table of checksums is that of "Recovery mode of the QNAP TS-109"
//! (<https://www.cyrius.com/debian/orion/qnap/ts-109/recovery/>); what old recoveries destroy was found out in
//! <https://lists.debian.org/debian-arm/2010/05/msg00059.html>.

#![forbid(unsafe_code)]

use crate::base::checksum::Cksum;
use crate::base::error::{Failure, Result};
use crate::board::profile::Protection;
use crate::board::{Board, Partition};
use serde::Serialize;

/// A boot loader of the TS-109 family: POSIX checksum of its whole partition, recovery mode, build.
const TS109: [(u32, bool, &str); 5] = [
    (1_738_123_099, false, "May 25 2007 - 12:05:32"),
    (1_567_861_493, false, "Jul 25 2007 - 11:20:10"),
    (2_717_372_588, false, "Aug 1 2007 - 16:47:15"),
    (2_855_509_147, false, "Dec 6 2007 - 14:48:05"),
    (1_248_388_818, true, "Nov 14 2008 - 17:05:22"),
];

/// The file that brings the recovery mode, `u-boot.bin` of QNAP's SystemRecovery package (the same page): bytes, POSIX
/// checksum, build. What stands behind it in its partition may be blank, or the end of the boot loader before it.
const FILE: (u64, u32, &str) = (459_100, 3_310_502_457, "Nov 14 2008 - 17:05:22");

/// The boot loader of this box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bootloader {
    /// The POSIX checksum of its partition, as `cksum /dev/mtdblock0` prints it.
    pub cksum: u32,
    /// The build date that it carries, as U-Boot prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub built: Option<String>,
    /// Whether it has the recovery mode: `yes`, `no` or `unknown`.
    pub recovery: &'static str,
    /// What a person should know about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Reads the partition that the profile calls the boot loader; `None` where there is none.
///
/// # Errors
/// Flash that cannot be read.
pub fn look(board: &Board) -> Result<Option<Bootloader>> {
    let Some(partition) = board.partitions.iter().find(|p| p.keep == Some(Protection::Bootloader)) else {
        return Ok(None);
    };
    let found = read(board, partition)?;
    Ok(Some(describe(&board.profile.id, found)))
}

/// What was read of it.
struct Found {
    /// Of the whole partition.
    cksum: u32,
    built: Option<String>,
    /// Whether it begins with [`FILE`].
    file: bool,
}

fn read(board: &Board, partition: &Partition) -> Result<Found> {
    let mut flash = board.open(partition)?;
    let mut sum = Cksum::default();
    let (mut built, mut file) = (None, false);
    // The end of what was read before stays in front: the date may lie across the border.
    let mut window = vec![0; DATE + (16 << 10)];
    let mut at = 0;
    while at < partition.geometry.size {
        let take = (partition.geometry.size - at).min((window.len() - DATE) as u64) as usize;
        flash
            .read(at, &mut window[DATE..DATE + take])
            .map_err(Failure::system)?;
        // The file's end need not be that of a chunk.
        let left = FILE.0.saturating_sub(at).min(take as u64) as usize;
        sum.update(&window[DATE..DATE + left]);
        if (at..at + take as u64).contains(&FILE.0) {
            file = sum.clone().finish() == FILE.1;
        }
        sum.update(&window[DATE + left..DATE + take]);
        if built.is_none() {
            built = build_date(&window[..DATE + take]);
        }
        window.copy_within(take..take + DATE, 0);
        at += take as u64;
    }
    Ok(Found {
        cksum: sum.finish(),
        built,
        file,
    })
}

/// Bytes of `Nov 14 2008 - 17:05:22`.
const DATE: usize = 22;

/// The first thing that looks like U-Boot's version date (its `common/cmd_version.c`): `__DATE__ - __TIME__`, where
/// days below ten have a blank in front.
fn build_date(bytes: &[u8]) -> Option<String> {
    const SHAPE: &[u8; DATE] = b"Aaa 00 0000 - 00:00:00";
    let fits = |window: &&[u8]| {
        window
            .iter()
            .zip(SHAPE)
            .enumerate()
            .all(|(at, (byte, shape))| match shape {
                b'A' => byte.is_ascii_uppercase(),
                b'a' => byte.is_ascii_lowercase(),
                b'0' => byte.is_ascii_digit() || at == 4 && *byte == b' ',
                same => byte == same,
            })
    };
    let found = bytes.windows(DATE).find(fits)?;
    Some(String::from_utf8_lossy(found).replace("  ", " "))
}

fn describe(board: &str, found: Found) -> Bootloader {
    let mut loader = Bootloader {
        cksum: found.cksum,
        built: found.built,
        recovery: "unknown",
        advice: None,
    };
    match board {
        "qnap-ts109" if found.file => {
            loader.built = Some(FILE.2.to_owned());
            loader.recovery = "yes";
        }
        "qnap-ts109" => ts109(&mut loader),
        board if board.starts_with("qnap-ts219") => ts219(&mut loader),
        _ => (),
    }
    loader
}

fn ts109(loader: &mut Bootloader) {
    let built = loader.built.take();
    loader.advice = match TS109.iter().find(|(cksum, ..)| *cksum == loader.cksum) {
        Some((_, recovery, date)) => {
            loader.built = built.or_else(|| Some((*date).to_owned()));
            loader.recovery = if *recovery { "yes" } else { "no" };
            (!recovery).then(|| {
                "this box cannot be recovered over the network; QNAP's SystemRecovery package brings the recovery mode"
                    .to_owned()
            })
        }
        None => {
            loader.built = built;
            Some(format!(
                "this boot loader is not in flasher's table; please report its cksum {} and build date to flasher's \
                 maintainers, and whether reset for 10 s at power-on gives two short beeps",
                loader.cksum
            ))
        }
    };
}

/// Every box of this family was made with the recovery mode. What it erases depends on the age of the boot loader: the
/// build of January 2009 erases 0xf80c0000–0xf9000000, NAS Config among it, that of February 2009 only what lies from
/// 0xf8200000 (the thread on debian-arm that is named above).
fn ts219(loader: &mut Bootloader) {
    loader.recovery = "yes";
    loader.advice = match loader.built.as_deref().and_then(year_and_month) {
        Some(when) if when < (2009, 2) => Some(
            "recovery with this boot loader erases NAS Config (0xc0000 to the end of the chip), MAC address included: \
             keep a backup of mtd5"
                .to_owned(),
        ),
        Some(_) => None,
        None => Some(
            "no build date was found in this boot loader: builds before February 2009 erase NAS Config on recovery, \
             so keep a backup of mtd5"
                .to_owned(),
        ),
    };
}

fn year_and_month(built: &str) -> Option<(u32, u32)> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = built.split(' ');
    let month = MONTHS.find(words.next()?)? as u32 / 3 + 1;
    Some((words.nth(1)?.parse().ok()?, month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_found_as_u_boot_carries_it() {
        let of = |text: &str| build_date(text.as_bytes());
        assert_eq!(
            of("xx\0U-Boot 1.1.4 (Nov 14 2008 - 17:05:22) Marvell").as_deref(),
            Some("Nov 14 2008 - 17:05:22")
        );
        assert_eq!(of("(Aug  1 2007 - 16:47:15)").as_deref(), Some("Aug 1 2007 - 16:47:15"));
        assert_eq!(of("(Aug 1 2007 - 16:47:15)"), None);
        assert_eq!(year_and_month("Jan 19 2009 - 10:00:00"), Some((2009, 1)));
    }

    /// Without its NAS Config a box has lost its MAC address.
    #[test]
    fn a_recovery_that_destroys_the_nas_configuration_is_warned_of() {
        let of = |built: Option<&str>| {
            let found = Found {
                cksum: 1,
                built: built.map(str::to_owned),
                file: false,
            };
            describe("qnap-ts219", found).advice.is_some()
        };
        assert!(of(Some("Jan 19 2009 - 10:00:00")));
        assert!(!of(Some("Feb 2 2009 - 10:00:00")));
        assert!(of(None));
    }
}
