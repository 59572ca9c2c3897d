//! What is wrong with a text.

use serde::de::{self, Expected, Unexpected};
use serde::ser;
use std::fmt;

/// What is wrong with a text, and where. One word long: it is in the result of all that is read.
#[derive(Debug)]
pub struct Error(Box<What>);

#[derive(Debug)]
struct What(String);

impl Error {
    /// This, for now without a place.
    #[cold]
    pub(super) fn new(what: &str) -> Error {
        Error(Box::new(What(what.to_owned())))
    }

    /// The same with its place.
    pub(super) fn at(mut self, line: usize, column: usize) -> Error {
        self.0.0.push_str(&format!(" at line {line} column {column}"));
        self
    }

    #[cold]
    fn of(what: fmt::Arguments<'_>) -> Error {
        Error(Box::new(What(what.to_string())))
    }

    /// Not in the error's own text, where every visitor would have a copy.
    #[cold]
    pub(super) fn kind(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error::of(format_args!("invalid type: {}, expected {expected}", Shown(found)))
    }

    #[cold]
    fn value(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error::of(format_args!("invalid value: {}, expected {expected}", Shown(found)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.0)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(what: T) -> Error {
        Error::of(format_args!("{what}"))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error::kind(found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error::value(found, expected)
    }
}

impl ser::Error for Error {
    fn custom<T: fmt::Display>(what: T) -> Error {
        Error::of(format_args!("{what}"))
    }
}

/// What was found, in the words of JSON. Numbers with a fraction are never read, so nothing here has to print one.
struct Shown<'a>(Unexpected<'a>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Unit => f.write_str("null"),
            Unexpected::Float(_) => f.write_str("a number with a fraction"),
            Unexpected::Bool(value) => write!(f, "boolean `{value}`"),
            Unexpected::Unsigned(value) => write!(f, "integer `{value}`"),
            Unexpected::Signed(value) => write!(f, "integer `{value}`"),
            Unexpected::Str(text) => write!(f, "string {text:?}"),
            Unexpected::Seq => f.write_str("sequence"),
            Unexpected::Map => f.write_str("map"),
            Unexpected::Other(what) => f.write_str(what),
            _ => f.write_str("something else"),
        }
    }
}
