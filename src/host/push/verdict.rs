//! What the record of the box says of this update. One that was there before, or is of another image, says nothing.

#![forbid(unsafe_code)]

use super::binary::Installed;
use super::shell::words;
use super::ssh::Connection;
use super::told;
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Harm, Result};
use crate::base::json;
use crate::base::outcome::Tally;
use crate::cli::push::Push;
use crate::record::{Record, RunResult};
use std::ffi::OsString;

/// What a record says.
#[derive(Debug)]
pub enum Verdict {
    /// Written and verified, with this much work.
    Written(Tally),
    /// It failed.
    Failed(Failure),
    /// Nothing of this update.
    Nothing,
}

/// Asks the box for its record; `None` where it does not say one.
///
/// # Errors
/// A connection that breaks.
pub fn ask(connection: &Connection<'_>, installed: &Installed, options: &Push) -> Result<Option<Record>> {
    let output = connection.run(&line(&installed.program, options), b"")?;
    Ok(read(&output.stdout))
}

/// What asks for it.
pub fn line(program: &str, options: &Push) -> OsString {
    words(told::asking(program, "status", options))
}

/// The record that was said.
pub fn read(said: &[u8]) -> Option<Record> {
    json::parse(told::answer(said)?).ok()
}

/// Whether both are of the same update.
pub fn is_stale(now: &Record, before: &Record) -> bool {
    now.stages == before.stages
        && now.finished == before.finished
        && now.result == before.result
        && now.image_sha256 == before.image_sha256
}

/// Judges the record `now` of a box whose record was `before`, by the checksum of the image.
pub fn judge(now: Option<&Record>, before: Option<&Record>, sha256: &str) -> Verdict {
    let (Some(now), Some(before)) = (now, before) else {
        return Verdict::Nothing;
    };
    if is_stale(now, before) || sha256.is_empty() || now.image_sha256.as_deref() != Some(sha256) {
        return Verdict::Nothing;
    }
    match (now.result, now.harm) {
        (RunResult::Ok, Harm::Written) => match (&now.written_slot, &now.slot) {
            (None, _) => Verdict::Written(now.tally),
            (Some(written), Some(boots)) if written == boots => Verdict::Written(now.tally),
            (Some(written), Some(boots)) => {
                let what = format_args!(
                    "slot {written} was written and verified, but the box boots slot {boots}: its boot loader has gone back"
                );
                let failure = Failure::new(Exit::Flash, Code::Inactive, what).harm(Harm::Partly);
                Verdict::Failed(failure.hint("the new firmware may not start; the same command tries once more"))
            }
            // Comparing the flash tells which one was meant, and which one boots.
            (Some(_), None) => Verdict::Nothing,
        },
        (RunResult::Failed, harm) => {
            let exit = match (now.code, harm) {
                (Code::Held | Code::Busy, _) => Exit::Busy,
                (Code::Flash | Code::RolledBack | Code::Inactive | Code::Interrupted, _) => Exit::Flash,
                (_, Harm::Partly) => Exit::Flash,
                _ => Exit::System,
            };
            let text = match now.text.is_empty() {
                true => now.code.as_str(),
                false => &now.text,
            };
            Verdict::Failed(
                Failure::new(exit, now.code, format_args!("the update failed on the box: {text}"))
                    .harm(harm)
                    .hint("the same command again"),
            )
        }
        _ => Verdict::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(result: RunResult, harm: Harm, code: Code, stages: &str) -> Record {
        Record {
            result,
            harm,
            code,
            image_sha256: Some("aa".to_owned()),
            stages: stages.to_owned(),
            ..Record::none()
        }
    }

    #[test]
    fn only_a_new_record_of_this_image_says_that_it_was_written() {
        let none = Record::none();
        let written = record(RunResult::Ok, Harm::Written, Code::Written, "1 s begun");
        let judged = |now: &Record, before: &Record, sum| judge(Some(now), Some(before), sum);
        assert!(matches!(judged(&written, &none, "aa"), Verdict::Written(_)));
        // The same image was written before.
        assert!(matches!(judged(&written, &written, "aa"), Verdict::Nothing));
        let again = record(RunResult::Ok, Harm::Written, Code::Written, "2 s begun");
        assert!(matches!(judged(&again, &written, "aa"), Verdict::Written(_)));
        assert!(matches!(judged(&written, &none, "bb"), Verdict::Nothing));
        assert!(matches!(judged(&written, &none, ""), Verdict::Nothing));
        assert!(matches!(judged(&none, &written, "aa"), Verdict::Nothing));
        // Whether it is new is not known.
        assert!(matches!(judge(Some(&written), None, "aa"), Verdict::Nothing));
        assert!(matches!(judge(None, Some(&none), "aa"), Verdict::Nothing));
        let odd = record(RunResult::Ok, Harm::Partly, Code::Written, "1 s begun");
        assert!(matches!(judged(&odd, &none, "aa"), Verdict::Nothing));
        let odd = record(RunResult::Unknown, Harm::Written, Code::Written, "1 s begun");
        assert!(matches!(judged(&odd, &none, "aa"), Verdict::Nothing));
    }

    #[test]
    fn a_failure_on_the_box_has_the_exit_code_that_apply_would_have() {
        for (harm, code, exit) in [
            (Harm::Untouched, Code::Held, Exit::Busy),
            (Harm::Partly, Code::Flash, Exit::Flash),
            (Harm::Partly, Code::Interrupted, Exit::Flash),
            (Harm::Untouched, Code::RolledBack, Exit::Flash),
            (Harm::Partly, Code::Unknown, Exit::Flash),
            (Harm::Untouched, Code::System, Exit::System),
        ] {
            let now = record(RunResult::Failed, harm, code, "1 s begun");
            match judge(Some(&now), Some(&Record::none()), "aa") {
                Verdict::Failed(failure) => assert_eq!((failure.exit, failure.harm), (exit, harm)),
                other => panic!("{code}: {other:?}"),
            }
        }
    }
}
