//! How the files of a backup are called, and the list of their checksums.

#![forbid(unsafe_code)]

use crate::base::digits;
use crate::base::lossless;

/// The list of checksums, as `sha256sum` writes and reads it.
pub const SUMS: &str = "SHA256SUMS";

/// The file name of a partition's copy. A slash in a partition's name would lead elsewhere, and a stick with FAT or NTFS takes no
/// file that is called like `0:APPSBL` (`vfat_bad_char`, fs/fat/namei_vfat.c).
pub fn file_name(mtd: u32, name: &str) -> String {
    let takes = |c: char| !c.is_control() && !"/\\:*?\"<>|".contains(c);
    let name: String = name.chars().map(|c| if takes(c) { c } else { '_' }).collect();
    format!("mtd{mtd}.{name}.bin")
}

/// `mtd4.U-Boot Config.bin` → 4, `U-Boot Config`.
pub(super) fn parse_name(name: &str) -> Option<(u32, &str)> {
    if name.contains('/') {
        return None;
    }
    let (number, rest) = name.strip_prefix("mtd")?.split_once('.')?;
    Some((digits::decimal(number)?, rest.strip_suffix(".bin")?))
}

/// The lines of a list of checksums, each with the sum in lower case and the name: as `sha256sum` writes them, also with `-b`
/// and of `./NAME`. `None` for a line that is none.
pub fn listing(text: &[u8]) -> impl Iterator<Item = Option<(String, String)>> + '_ {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .map(|line| {
            // An editor of another system may have ended its lines.
            let line = lossless::text(line.strip_suffix(b"\r").unwrap_or(line));
            let (sum, name) = line.split_once("  ").or_else(|| line.split_once(" *"))?;
            let name = name.strip_prefix("./").unwrap_or(name);
            Some((sum.to_ascii_lowercase(), name.to_owned()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_partitions_and_nowhere_else() {
        assert_eq!(parse_name(&file_name(4, "U-Boot Config")), Some((4, "U-Boot Config")));
        assert_eq!(file_name(1, "../etc"), "mtd1..._etc.bin");
        assert_eq!(file_name(2, "0:APPS\\BL*?\"<>|\n"), "mtd2.0_APPS_BL_______.bin");
        assert_eq!(parse_name("mtd1.../../etc/passwd.bin"), None);
        assert_eq!(parse_name("SHA256SUMS"), None);
    }

    #[test]
    fn lists_are_read_as_sha256sum_writes_them() {
        let text = b"AB  mtd0\ncd *mtd1.Kernel.bin\r\nef  ./mtd2\n\n01  M\xfcller\n";
        let all: Option<Vec<_>> = listing(text).collect();
        let of = |sum: &str, name: &str| (sum.to_owned(), name.to_owned());
        let latin1 = lossless::text(b"M\xfcller");
        assert_eq!(
            all,
            Some(vec![
                of("ab", "mtd0"),
                of("cd", "mtd1.Kernel.bin"),
                of("ef", "mtd2"),
                of("01", &latin1)
            ])
        );
        assert_eq!(listing(b"nonsense\n").next(), Some(None));
    }
}
