//! How results are told.

#![forbid(unsafe_code)]

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
pub enum Verbosity {
    /// Errors and the result only.
    Quiet,
    /// What a person wants to follow.
    #[default]
    Normal,
    /// Every step.
    Verbose,
}

/// What holds for every verb.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Global {
    /// How results are printed.
    pub format: Format,
    /// How much is said.
    pub verbosity: Verbosity,
}
