//! A line of `fw_env.config`, read as libubootenv's `fw_printenv` reads it.
//!
//! That is `sscanf(line, "%ms %lli %zx %zx %lx", …)` (`libuboot_read_config_ext` in libubootenv's `src/uboot_env.c`; U-Boot's own
//! `tools/env/fw_env.c` has the same): the offset in any base and with a sign, every size hexadecimal with or without `0x`, and
//! what stands behind the numbers does not matter. A line without three of them says nothing.

#![forbid(unsafe_code)]

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The device, a path or a name.
    pub device: &'a [u8],
    /// Bytes from its start; from its end where negative.
    pub offset: i64,
    /// Bytes of the copy.
    pub size: u64,
    /// Bytes of an erase block, if it is said.
    pub sector: Option<u64>,
    /// How many of them there are for the copy, if it is said.
    pub count: Option<u64>,
}

/// Every line that says something.
pub fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    text.split(|byte| *byte == b'\n').filter_map(line)
}

fn line(text: &[u8]) -> Option<Line<'_>> {
    let text = text.trim_ascii();
    if text.starts_with(b"#") {
        return None;
    }
    let blank = |at: usize| text.get(at).is_none_or(u8::is_ascii_whitespace);
    // A profile may have the name of a partition there, with blanks in it: what stands before the first two numbers.
    (1..text.len())
        .filter(|end| blank(*end) && !blank(end - 1))
        .take_while(|end| !text[..*end].contains(&b'#'))
        .find_map(|end| {
            let mut rest = Numbers(&text[end..]);
            Some(Line {
                device: &text[..end],
                offset: rest.offset()?,
                size: rest.hexadecimal()?,
                sector: rest.hexadecimal(),
                count: rest.hexadecimal(),
            })
        })
}

/// What is left of a line.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    /// As `%lli`: decimal, octal behind a `0`, hexadecimal behind a `0x`.
    fn offset(&mut self) -> Option<i64> {
        let (negative, radix) = self.sign(None);
        let value = i64::try_from(self.digits(radix)?).ok()?;
        Some(if negative { -value } else { value })
    }

    /// As `%zx`.
    fn hexadecimal(&mut self) -> Option<u64> {
        let (negative, radix) = self.sign(Some(16));
        self.digits(radix).filter(|_| !negative)
    }

    fn sign(&mut self, radix: Option<u32>) -> (bool, u32) {
        self.0 = self.0.trim_ascii_start();
        let negative = self.0.starts_with(b"-");
        if self.0.starts_with(b"-") || self.0.starts_with(b"+") {
            self.0 = &self.0[1..];
        }
        let hexadecimal = self.0.starts_with(b"0x") || self.0.starts_with(b"0X");
        if hexadecimal && radix.is_none_or(|radix| radix == 16) {
            self.0 = &self.0[2..];
            return (negative, 16);
        }
        let octal = self.0.starts_with(b"0");
        (negative, radix.unwrap_or(if octal { 8 } else { 10 }))
    }

    /// All digits that follow; the rest stays. `None` where there is none, or too many for 64 bits.
    fn digits(&mut self, radix: u32) -> Option<u64> {
        let end = self.0.iter().position(|byte| !char::from(*byte).is_digit(radix));
        let (digits, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = (String, i64, u64, Option<u64>, Option<u64>);

    fn all(text: &[u8]) -> Vec<Told> {
        let told = |line: Line<'_>| {
            let device = String::from_utf8_lossy(line.device).into_owned();
            (device, line.offset, line.size, line.sector, line.count)
        };
        lines(text).map(told).collect()
    }

    /// Each of these is what `fw_printenv` 0.3.2 makes of the line.
    #[test]
    fn numbers_are_read_as_fw_printenv_reads_them() {
        let mtd = || "/dev/mtd1".to_owned();
        for (text, offset, size, sector, count) in [
            (
                &b"/dev/mtd1 0x2000 0x4000 0x2000"[..],
                0x2000,
                0x4000,
                Some(0x2000),
                None,
            ),
            (b"/dev/mtd1 0x0 1000 10000", 0, 0x1000, Some(0x1_0000), None),
            (b"/dev/mtd1 0x0 0x1000 0x10000 # NOR", 0, 0x1000, Some(0x1_0000), None),
            (b"/dev/mtd1 0x0 0x1000# NOR", 0, 0x1000, None, None),
            (b"/dev/mtd1 4096 1000 1000 10", 4096, 0x1000, Some(0x1000), Some(16)),
            (
                b"\t/dev/mtd1\t010000\t0X1000\t0X1000\t0x10\r",
                4096,
                0x1000,
                Some(0x1000),
                Some(16),
            ),
            (b"/dev/mtd1 +0x1000 1000 zz 3", 0x1000, 0x1000, None, None),
            (b"/dev/mtd1 -0x5000 1000", -0x5000, 0x1000, None, None),
            (b"/dev/mtd1 0 1000 2000 1 1 \xff\xfe", 0, 0x1000, Some(0x2000), Some(1)),
        ] {
            assert_eq!(
                all(text),
                [(mtd(), offset, size, sector, count)],
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn lines_that_say_nothing_are_passed_over() {
        let text = b"# f\xfcr /dev/mtd1 0x0 0x1000\n\n  # x 0 1000\nnonsense\n/dev/mtd1 0x0\n/dev/mtd1 0x 0x10\n/dev/mtd1 # 0 1000\n\
            NAS Config 0x0 0x1000\nenv 0 1000\n";
        let found = all(text);
        let devices: Vec<_> = found.iter().map(|line| line.0.as_str()).collect();
        assert_eq!(devices, ["NAS Config", "env"]);
        assert!(all(b"/dev/mtd1 0x0 0x10000000000000000").is_empty());
        assert!(all(b"/dev/mtd1 0xffffffffffffffff 0x1000").is_empty());
    }
}
