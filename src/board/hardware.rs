//! What the running system says of the hardware that a kernel has to be for: the root of its device tree, and the system on a
//! chip.

#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

/// Depth of the nodes that are looked at, and how many: pin controllers stand below the root or a bus.
const DEPTH: u32 = 4;
const NODES: usize = 4096;

/// The hardware of a box, as far as it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hardware {
    /// `compatible` of the device tree's root: boards first, then their kinds. Empty where there is no device tree.
    pub compatible: Vec<String>,
    /// The system on a chip, by its pin controller or its PCI bridge.
    pub soc: Option<String>,
}

impl Hardware {
    /// Reads what there is below this root.
    pub fn read(root: &Path) -> Hardware {
        let tree = root.join("proc/device-tree");
        let mut nodes = NODES;
        Hardware {
            compatible: words(&tree),
            soc: pin_controller(&tree, DEPTH, &mut nodes).or_else(|| bridge(root)),
        }
    }
}

fn words(node: &Path) -> Vec<String> {
    let bytes = fs::read(node.join("compatible")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The chip of the first pin controller: `marvell,88f6282` of `marvell,88f6282-pinctrl`.
fn pin_controller(node: &Path, depth: u32, nodes: &mut usize) -> Option<String> {
    let found = words(node);
    if let Some(chip) = found.iter().find_map(|word| word.strip_suffix("-pinctrl")) {
        return Some(chip.to_owned());
    }
    *nodes = nodes.checked_sub(1)?;
    let entries = fs::read_dir(node).ok()?;
    let mut below: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    below.sort_unstable();
    // A link leads back up.
    below.retain(|path| depth > 0 && fs::symlink_metadata(path).is_ok_and(|about| about.is_dir()));
    below.iter().find_map(|path| pin_controller(path, depth - 1, nodes))
}

/// Marvell's Kirkwood shows which it is as its own PCI bridge, to kernels without a device tree too (`MV88F6281_DEV_ID` and
/// `MV88F6282_DEV_ID` in `arch/arm/mach-mvebu/kirkwood.h`). Vendor and device stand in the second column.
fn bridge(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("proc/bus/pci/devices")).ok()?;
    let chip = |line: &str| match line.split_whitespace().nth(1)? {
        "11ab6281" => Some("marvell,88f6281"),
        "11ab6282" => Some("marvell,88f6282"),
        _ => None,
    };
    text.lines().find_map(chip).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_chip_is_that_of_the_pin_controller_or_else_of_the_bridge() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Hardware::read(dir.path()), Hardware::default());
        let pci = dir.path().join("proc/bus/pci");
        fs::create_dir_all(&pci).unwrap();
        fs::write(pci.join("devices"), "0000\t11ab6281\t0\t0\n0100\t1b4b9125\t9\t0\n").unwrap();
        assert_eq!(Hardware::read(dir.path()).soc.as_deref(), Some("marvell,88f6281"));
        // As in `kirkwood-ts219-6282.dts`.
        let tree = dir.path().join("proc/device-tree");
        let pins = tree.join("ocp@f1000000/pin-controller@10000");
        fs::create_dir_all(&pins).unwrap();
        fs::write(tree.join("compatible"), "qnap,ts219\0marvell,kirkwood\0").unwrap();
        fs::write(pins.join("compatible"), "marvell,88f6282-pinctrl\0").unwrap();
        let hardware = Hardware::read(dir.path());
        assert_eq!(hardware.compatible, ["qnap,ts219", "marvell,kirkwood"]);
        assert_eq!(hardware.soc.as_deref(), Some("marvell,88f6282"));
    }
}
