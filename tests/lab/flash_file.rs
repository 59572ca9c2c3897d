//! Looking at the chip from outside: which bytes an update changed, and whether it may have.

use super::kind::Kind;

/// Partitions that change without an update, so nothing is said about them: a mounted jffs2 is written to by its own kernel
/// thread, and the last one holds the product's record of what it did.
const LIVING: [&str; 2] = ["config", "flasher"];

/// What a chip should hold after an update, built up from what it held before.
pub struct Expected {
    kind: Kind,
    flash: Vec<u8>,
}

impl Expected {
    /// The same bytes as before.
    pub fn unchanged(kind: Kind, before: &[u8]) -> Self {
        Expected {
            kind,
            flash: before.to_vec(),
        }
    }

    /// `image` over these partitions, one after the other; behind its end, everything as before.
    pub fn with_image(mut self, partitions: &[&str], image: &[u8]) -> Self {
        let mut rest = image;
        for name in partitions {
            let partition = self.kind.partition(name);
            let (here, behind) = rest.split_at(rest.len().min(partition.size));
            self.flash[partition.offset..partition.offset + here.len()].copy_from_slice(here);
            rest = behind;
        }
        assert!(rest.is_empty(), "the image is longer than {partitions:?}");
        self
    }

    /// Panics with the place of every difference, by partition and erase block.
    pub fn compare(&self, flash: &[u8]) {
        let differences: Vec<String> = self.differences(flash).into_iter().map(|(_, text)| text).collect();
        assert!(
            differences.is_empty(),
            "the flash is not as planned (first byte of each erase block that differs):\n{}",
            differences.join("\n"),
        );
    }

    /// Whether the chip holds it.
    pub fn holds(&self, flash: &[u8]) -> bool {
        self.differences(flash).is_empty()
    }

    /// Panics if a partition that is not one of these has changed.
    pub fn only_differs_in(&self, partitions: &[&str], flash: &[u8]) {
        let elsewhere = self
            .differences(flash)
            .into_iter()
            .find(|(name, _)| !partitions.contains(name));
        assert_eq!(elsewhere, None, "a neighbour changed");
    }

    /// The partition and place of the first difference in each erase block.
    fn differences(&self, flash: &[u8]) -> Vec<(&'static str, String)> {
        assert_eq!(flash.len(), self.flash.len(), "the chip changed its size");
        let mut differences = Vec::new();
        for partition in self.kind.partitions() {
            if LIVING.contains(&partition.name) {
                continue;
            }
            let expected = self.flash[partition.range()].chunks(self.kind.erase_size());
            let found = flash[partition.range()].chunks(self.kind.erase_size());
            for (block, (expected, found)) in expected.zip(found).enumerate() {
                // Byte by byte takes a second for a chip, where nothing is optimised.
                if expected == found {
                    continue;
                }
                if let Some(at) = expected.iter().zip(found).position(|(a, b)| a != b) {
                    let place = block * self.kind.erase_size() + at;
                    let text = format!(
                        "{} at {place:#x}: {:#04x} instead of {:#04x}",
                        partition.name, found[at], expected[at]
                    );
                    differences.push((partition.name, text));
                }
            }
        }
        differences
    }
}
