//! Names that stage one and PID 1 have in common.
#![forbid(unsafe_code)]

/// Where the old root is mounted after the pivot.
pub(crate) const OLD_ROOT: &str = "/oldroot";

/// Where the record lies in the RAM root. Together with a tmpfs as root it is what makes a root *our* RAM root.
pub(crate) const HANDOFF: &str = "/handoff.json";

/// The source by which our tmpfs is found again in the mount table.
pub(crate) const SOURCE: &str = "flasher";
