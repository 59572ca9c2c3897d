//! The environment of U-Boot: where it lies, what it holds, and how it is changed without ever being without one.
//!
//! Both layouts of U-Boot (`env_t` in `include/env_internal.h`): one copy (`u32` CRC, data), or two (`u32` CRC, `u8`
//! flags, data), of which the boot loader takes the newer that is whole. Nothing here writes: [`Environment::change`]
//! plans, `flash` executes.

#![forbid(unsafe_code)]

mod brought;
mod change;
mod copies;
mod keep;
pub(crate) mod line;
mod place;
mod probe;
mod variables;

pub use brought::brought;
pub use change::Change;
pub use copies::{EnvCopy, Environment};
pub use keep::kept;
pub use place::{Medium, Place, Spot};
pub use variables::Variables;
