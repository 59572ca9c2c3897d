//! What can go wrong, in the three things a user must be told: what failed and why, the state of the
//! flash, and the next command to type.

#![forbid(unsafe_code)]

use super::words::words;
use crate::base::code::Code;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// How a run ends for whoever called it. The numbers are a contract (`docs/fleets.md` lists them) and follow
/// `sysexits.h` where it has a word for the case; 255 is left to ssh, which uses it for its own failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// `verify` found the flash different from the image.
    Different = 1,
    /// The command line is wrong.
    Usage = 64,
    /// The image is bad.
    ImageBad = 65,
    /// The image cannot be read.
    ImageUnreadable = 66,
    /// The box or the update server cannot be reached, or not any more.
    Unreachable = 68,
    /// The board or the device is not supported.
    Unsupported = 69,
    /// A bug of ours.
    Bug = 70,
    /// The system failed us before anything was written.
    System = 71,
    /// The flash failed after the first erase.
    Flash = 74,
    /// Somebody else is at it: try later.
    Busy = 75,
    /// Not root.
    NotRoot = 77,
    /// Refused by preflight.
    Refused = 78,
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> u8 {
        exit as u8
    }
}

impl TryFrom<u8> for Exit {
    type Error = String;
    fn try_from(value: u8) -> std::result::Result<Self, String> {
        use Exit::*;
        [
            Done,
            Different,
            Usage,
            ImageBad,
            ImageUnreadable,
            Unreachable,
            Unsupported,
            Bug,
            System,
            Flash,
            Busy,
            NotRoot,
            Refused,
        ]
        .into_iter()
        .find(|exit| *exit as u8 == value)
        .ok_or_else(|| format!("{value} is not an exit code of flasher"))
    }
}

words! {
    /// What an end left behind on the flash. A word of another version of flasher is the worst.
    pub enum Harm or Partly {
        /// Nothing was erased or programmed.
        Untouched = "untouched",
        /// Some planned blocks were changed and the rest was not, or could not be verified.
        Partly = "partly",
        /// Everything planned was written and verified.
        Written = "written",
    }
}

impl Harm {
    /// The state of the flash as a phrase for people.
    pub fn explain(self) -> &'static str {
        match self {
            Harm::Untouched => "untouched",
            Harm::Partly => "partly written: do not reboot before it is put right",
            Harm::Written => "written and verified",
        }
    }
}

/// A failure on its way to the user. One word long, so that what can fail does not carry the room for it around.
#[derive(Debug)]
pub struct Failure(Box<Told>);

/// What the user is told of a failure.
#[derive(Debug)]
pub struct Told {
    /// The exit code.
    pub exit: Exit,
    /// One stable word for programs.
    pub code: Code,
    /// What failed and why; lower case, no full stop.
    pub what: String,
    /// The state of the flash.
    pub harm: Harm,
    /// What to do next, kept apart from the error itself.
    pub hint: Option<String>,
}

/// The result of everything that can fail towards the user.
pub type Result<T> = std::result::Result<T, Failure>;

/// What to type where nothing is known of what was meant.
pub const HELP: &str = "flasher --help";

impl Told {
    /// What to do next, also where the failure itself did not say it.
    pub fn next(&self) -> Option<&str> {
        let otherwise = match self.exit {
            Exit::Bug => "a fault of flasher itself: report it, with what flasher devices says",
            Exit::System => "dmesg may say more; then the same command again",
            Exit::ImageUnreadable => "look whether it is there and can be read, then the same command again",
            Exit::Flash if self.harm == Harm::Partly => "the same command again, before any reboot",
            _ => return self.hint.as_deref(),
        };
        Some(self.hint.as_deref().unwrap_or(otherwise))
    }
}

impl Failure {
    /// A failure that left the flash untouched.
    pub fn new(exit: Exit, code: Code, what: impl fmt::Display) -> Failure {
        Failure(Box::new(Told {
            exit,
            code,
            what: what.to_string(),
            harm: Harm::Untouched,
            hint: None,
        }))
    }

    /// The command line is wrong.
    pub fn usage(what: impl fmt::Display) -> Failure {
        Failure::new(Exit::Usage, Code::Usage, what).hint(HELP)
    }

    /// The system failed us; the flash is untouched.
    pub fn system(what: impl fmt::Display) -> Failure {
        Failure::new(Exit::System, Code::System, what)
    }

    /// What there is to tell, for whoever takes it apart.
    pub fn told(self) -> Told {
        *self.0
    }

    /// The state of the flash as a phrase for people.
    pub fn state(&self) -> &'static str {
        match (self.code, self.harm) {
            (Code::Detached | Code::NotBack | Code::HostKey, Harm::Partly) => {
                "not known here: the box was told to write, and has not said how that ended"
            }
            (Code::Inactive, Harm::Partly) => {
                "partly written, and what boots is whole: the change was in the copy that does not boot"
            }
            _ => self.harm.explain(),
        }
    }

    /// Gives it another word for programs.
    pub fn code(mut self, code: Code) -> Failure {
        self.code = code;
        self
    }

    /// Adds what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Says that the flash is not untouched any more.
    pub fn harm(mut self, harm: Harm) -> Failure {
        self.harm = harm;
        self
    }
}

impl Deref for Failure {
    type Target = Told;
    fn deref(&self) -> &Told {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Told {
        &mut self.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Adds what was being done to an error that does not know it.
pub trait Context<T> {
    /// Turns the error into a [`Failure`] of the system kind: `what: error`.
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure::system(format_args!("{what}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_survive_the_hand_off() {
        for code in 0..=255u8 {
            if let Ok(exit) = Exit::try_from(code) {
                assert_eq!(u8::from(exit), code);
            }
        }
        assert!(Exit::try_from(255).is_err(), "ssh uses 255 for its own failures");
    }

    #[test]
    fn a_failure_that_does_not_say_what_to_do_next_is_not_without_it() {
        let next = |exit, harm| {
            let failure = Failure::new(exit, Code::Bug, "it failed").harm(harm);
            failure.next().map(str::to_owned)
        };
        for exit in [Exit::Bug, Exit::System, Exit::ImageUnreadable] {
            assert!(next(exit, Harm::Untouched).is_some(), "{exit:?}");
        }
        assert!(next(Exit::Flash, Harm::Partly).is_some_and(|next| next.contains("before any reboot")));
        // What is refused names its own remedy, and a stranger hears nothing more.
        assert_eq!(next(Exit::ImageBad, Harm::Untouched), None);
        let own = Failure::system("it failed").hint("do this");
        assert_eq!(own.next(), Some("do this"));
    }
}
