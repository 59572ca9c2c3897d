//! What the sizes of devices tell of how they lie to each other.
#![forbid(unsafe_code)]

/// How many different sums are looked at. Beyond that the answer is that it may be so.
const MAX_SUMS: usize = 1 << 14;

/// Whether two or more of the sizes add up to `total`.
pub(super) fn is_sum_of_several(total: u64, sizes: &[u64]) -> bool {
    // Sums of one size, and of more.
    let (mut single, mut several) = (Vec::new(), Vec::new());
    for &size in sizes.iter().filter(|&&size| size > 0 && size < total) {
        let longer: Vec<u64> = single
            .iter()
            .chain(&several)
            .filter_map(|sum: &u64| sum.checked_add(size))
            .filter(|sum| *sum <= total)
            .collect();
        several.extend(longer);
        several.sort_unstable();
        several.dedup();
        single.push(size);
        if several.len() > MAX_SUMS {
            return true;
        }
    }
    several.contains(&total)
}

/// Names of partitions that contain others, or lie in others.
const NESTING: [&str; 14] = [
    "firmware",
    "firmware1",
    "firmware2",
    "rootfs_data",
    "linux",
    "all",
    "whole",
    "whole flash",
    "fullflash",
    "full",
    "flash",
    "image",
    "inic",
    "upgrade",
];

/// Whether devices of these names and sizes, in the order of their numbers, fill a chip without sharing a byte of it. `home` is
/// the name of the device that they hang on.
///
/// A chip's size is a power of two. Where devices lie in others and no byte of the chip belongs to none, the sizes add up to
/// the chip and what is nested, and that is a power of two again only where the nested ones are half of it or more. Then it
/// shows: no device is larger than half of the sum, which is the chip at most, and one is as large as the rest together, or
/// (nested four deep at most) one of at least an eighth of the sum is as large as a run of others. Else a nested device would need
/// a hole of just its size elsewhere on the chip.
pub(super) fn tile(home: &str, devices: &[(&str, u64)]) -> bool {
    let total = devices.iter().try_fold(0u64, |sum, (_, size)| sum.checked_add(*size));
    let Some(total) = total.filter(|total| total.is_power_of_two()) else {
        return false;
    };
    let nests = |name: &str| {
        let name = name.to_ascii_lowercase();
        NESTING.contains(&name.as_str()) || name == home.to_ascii_lowercase()
    };
    let plain = devices.len() > 1 && devices.iter().all(|(name, size)| *size > 0 && !nests(name));
    let largest = devices.iter().map(|(_, size)| *size).max().unwrap_or(0);
    let shows = |index: usize| devices[index].1 >= total / 8 && is_run_of_others(index, devices);
    plain && (largest > total / 2 || largest < total / 2 && !(0..devices.len()).any(shows))
}

/// Whether two or more devices that follow each other are together as large as another one.
fn is_run_of_others(index: usize, devices: &[(&str, u64)]) -> bool {
    let wanted = devices[index].1;
    for start in 0..devices.len() {
        let mut sum = 0;
        for (other, (_, size)) in devices.iter().enumerate().skip(start) {
            sum += size;
            if other == index || sum > wanted {
                break;
            }
            if sum == wanted && other > start {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = 1 << 10;
    const TS219: [(&str, u64); 6] = [
        ("U-Boot", 512 * K),
        ("Kernel", 2048 * K),
        ("RootFS1", 9216 * K),
        ("RootFS2", 3072 * K),
        ("U-Boot Config", 256 * K),
        ("NAS Config", 1280 * K),
    ];

    #[test]
    fn sums_of_one_are_none() {
        assert!(is_sum_of_several(5, &[2, 3, 9]));
        assert!(is_sum_of_several(6, &[3, 3]));
        assert!(!is_sum_of_several(3, &[3, 1]));
        assert!(!is_sum_of_several(7, &[2, 3, 9]));
        assert!(!is_sum_of_several(4, &[u64::MAX, 3, 0]));
    }

    #[test]
    fn a_qnap_fills_its_chip() {
        assert!(tile("spi0.0", &TS219));
        let spare = [
            ("boot", 512 * K),
            ("kernel", 1536 * K),
            ("fs", 4096 * K),
            ("data", 2048 * K),
        ];
        assert!(
            !tile("nor", &spare),
            "the file system could be a chip of 4 MiB that holds the rest"
        );
        let halves = [
            ("boot", 512 * K),
            ("kernel", 1536 * K),
            ("fs", 3072 * K),
            ("data", 3072 * K),
        ];
        assert!(tile("nor", &halves));
        assert!(!tile("spi0.0", &TS219[..5]), "a device is missing");
    }

    #[test]
    fn what_may_nest_does_not_tile() {
        // 16 MiB by its sum, but really 8 MiB with all of it listed twice.
        let nested = [
            ("boot", 128 * K),
            ("kernel", 1024 * K),
            ("fs", 6784 * K),
            ("data", 128 * K),
            ("art", 128 * K),
            ("rest", 8192 * K),
        ];
        assert!(!tile("spi0.0", &nested));
        let run = [
            ("boot", 512 * K),
            ("fw", 7680 * K),
            ("a", 1024 * K),
            ("b", 6656 * K),
            ("c", 512 * K),
        ];
        assert_eq!(run.iter().map(|it| it.1).sum::<u64>(), 16384 * K);
        assert!(!tile("spi0.0", &run));
        let mut named = TS219;
        named[2].0 = "firmware";
        assert!(!tile("spi0.0", &named));
        named[2].0 = "spi0.0";
        assert!(!tile("spi0.0", &named));
        assert!(!tile("x", &[("a", 0), ("b", 4)]) && !tile("x", &[("a", 4)]) && !tile("x", &[]));
    }
}
