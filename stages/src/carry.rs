//! What of the old root may be carried over to the RAM root.
#![forbid(unsafe_code)]

use crate::mounts::Mount;
use std::path::Path;

/// Where `/dev` is no mount of its own it is part of the old root and stays with it: the RAM root has nodes of its own. A
/// `/dev` that is bound from a disk or flash would keep that busy, so only file systems without a device go.
pub(crate) fn can_be_carried(table: &[Mount], path: &Path) -> bool {
    let top = table.iter().rev().find(|mount| mount.mountpoint == path);
    top.is_some_and(|mount| mount.device.0 == 0 && mount.fs != "ubifs")
}
