//! Replaces the firmware of a small Linux box from inside the running system.
//!
//! The rooms, from the ground up; each imports only what stands above it in this list, and a story reads the `use` lines:
//!
//! * [`base`]: errors, units, quoting, checksums, words.
//! * [`board`]: the box – profile, chips, partitions, lock. [`bytes`]: where an image's bytes come from, and packing.
//! * [`image`]: what the bytes are; knows no board.
//! * [`plan`]: what would be written, as plain data. [`recovery`]: QNAP's recovery mode.
//! * `layout`: which bytes go where. [`flash`] does the writes. `keep`: files that outlive the update.
//! * `record` and [`report`]: what is kept of an update, and what is said. [`cli`]: the command line.
//! * `checks`: a file a check, one verdict. [`mod@env`]: U-Boot's environment. `slots`: what it boots.
//! * [`update`]: the pipeline – stage, prepare, takeover, execute, end.
//! * `poll`: what an update server wants.
//! * `host`: what only a workstation does.
//! * [`cmd`]: a thin file a verb. `fuzz`: what parsers are fed with, in no program.

pub mod base;
pub mod board;
pub mod bytes;
pub(crate) mod checks;
pub mod cli;
pub mod cmd;
pub mod env;
pub mod flash;
#[cfg(all(feature = "host", any(test, fuzzing)))]
pub mod fuzz;
#[cfg(feature = "host")]
pub(crate) mod host;
pub mod image;
pub(crate) mod keep;
pub(crate) mod layout;
pub mod plan;
pub(crate) mod poll;
pub(crate) mod record;
pub mod recovery;
pub mod report;
pub(crate) mod slots;
pub mod update;
