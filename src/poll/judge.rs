//! What the record of the box says of an update that a server wants. What is not known is no success.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::Harm;
use crate::base::outcome::KeptState;
use crate::record::{Record, RunResult};
use crate::slots::State;

/// How often one update is tried.
pub const TRIES: u32 = 3;

/// How an update stands on this box.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is to be tried, for the how many-th time.
    Due(u32),
    /// It is written, and the box has not booted since.
    Written,
    /// The box runs it.
    Runs(String),
    /// It failed, and is not tried again.
    Failed(String),
}

/// Whether another try may end otherwise: what is wrong with an image stays wrong.
pub fn is_passing(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        Busy | Canceled
            | Connection
            | Flash
            | Held
            | ImageCutOff
            | ImageUnreadable
            | Inactive
            | Interrupted
            | Mtd
            | Ram
            | RolledBack
            | Server
            | System
    )
}

/// Whether the box was updated, by whomever, and has not booted since as far as it knows.
pub fn is_to_boot(record: &Record, boot: Option<&str>) -> bool {
    let written = record.result == RunResult::Ok && record.harm == Harm::Written;
    written && boot.is_some() && record.boot.as_deref() == boot
}

/// Whether a try at the update of this name has changed the flash, as far as is known.
pub fn has_touched(id: &str, record: &Record) -> bool {
    let action = record
        .action
        .as_ref()
        .filter(|action| action.id == id && !action.closed);
    action.is_some() && record.harm != Harm::Untouched
}

/// Judges the update of this name. One that the server wants again, after it had heard how it ended and wanted it no longer, is
/// another: so is done what is forced a second time.
pub fn judge(id: &str, record: &Record, boot: Option<&str>, slots: Option<&State>) -> Verdict {
    let action = record
        .action
        .as_ref()
        .filter(|action| action.id == id && !action.closed);
    let Some(action) = action else {
        return Verdict::Due(1);
    };
    match (record.result, record.harm, record.code) {
        (RunResult::Ok, Harm::Untouched, Code::NothingToDo) => {
            Verdict::Runs("the flash was as the image wants it".to_owned())
        }
        (RunResult::Ok, Harm::Written, _) => written(record, boot, slots),
        (_, _, code) if is_passing(code) && action.attempt < TRIES => Verdict::Due(action.attempt.saturating_add(1)),
        _ => Verdict::Failed(format!(
            "try {} of {TRIES} failed: {} ({}); flash {}",
            action.attempt,
            record.text,
            record.code,
            record.harm.explain()
        )),
    }
}

fn written(record: &Record, boot: Option<&str>, slots: Option<&State>) -> Verdict {
    let booted = match (&record.boot, boot) {
        (Some(then), Some(now)) => then != now,
        _ => false,
    };
    if !booted {
        return Verdict::Written;
    }
    let active = slots.and_then(|slots| slots.active.as_ref());
    match (&record.written_slot, active) {
        (None, _) => (),
        (Some(written), Some(active)) if written == active => (),
        (Some(written), Some(active)) => {
            return Verdict::Failed(format!(
                "it was written to slot {written} and verified, but slot {active} runs: the boot loader has gone back"
            ));
        }
        (Some(written), None) => {
            let why = slots
                .and_then(|slots| slots.problem.as_deref())
                .unwrap_or("there is none");
            return Verdict::Failed(format!(
                "it was written to slot {written}, and which slot runs is not known: {why}"
            ));
        }
    }
    let lost = record.kept.as_ref().filter(|kept| kept.state != KeptState::Restored);
    let lost = lost.map(|kept| format!("; kept files: {kept}")).unwrap_or_default();
    Verdict::Runs(format!(
        "written and verified: {}; the box has booted since{lost}",
        record.tally
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::base::outcome::Fate;
    use crate::record::Action;

    fn record(result: RunResult, harm: Harm, code: Code, attempt: u32) -> Record {
        Record {
            result,
            harm,
            code,
            boot: Some("one".to_owned()),
            action: Some(Action {
                id: "7".to_owned(),
                attempt,
                file: String::new(),
                closed: false,
            }),
            ..Record::none()
        }
    }

    fn slots(active: Option<&str>) -> State {
        State {
            active: active.map(str::to_owned),
            inactive: None,
            problem: None,
        }
    }

    #[test]
    fn only_what_was_written_before_this_boot_runs() {
        let written = record(RunResult::Ok, Harm::Written, Code::Written, 1);
        let judged = |record: &Record, boot| judge("7", record, boot, None);
        assert!(matches!(judged(&written, Some("two")), Verdict::Runs(_)));
        assert_eq!(judged(&written, Some("one")), Verdict::Written);
        assert_eq!(judged(&written, None), Verdict::Written);
        assert!(is_to_boot(&written, Some("one")) && !is_to_boot(&written, Some("two")) && !is_to_boot(&written, None));
        let no_boot = Record {
            boot: None,
            ..written.clone()
        };
        assert_eq!(judged(&no_boot, Some("two")), Verdict::Written);
        // Of another update, or of nobody's.
        assert_eq!(judge("8", &written, Some("two"), None), Verdict::Due(1));
        let by_hand = Record {
            action: None,
            ..written
        };
        assert_eq!(judged(&by_hand, Some("two")), Verdict::Due(1));
        for odd in [
            record(RunResult::Ok, Harm::Partly, Code::Written, 1),
            record(RunResult::Ok, Harm::Untouched, Code::HandedOver, 1),
            record(RunResult::Unknown, Harm::Written, Code::Written, 1),
        ] {
            assert!(!matches!(judged(&odd, Some("two")), Verdict::Runs(_)), "{odd:?}");
        }
    }

    #[test]
    fn files_that_are_not_known_to_be_back_are_told() {
        for (state, lost) in [
            (KeptState::Restored, false),
            (KeptState::Pending, true),
            (KeptState::Failed, true),
            (KeptState::Unknown, true),
        ] {
            let kept = Fate {
                state,
                to: "raw:spare".to_owned(),
                files: 1,
                text: String::new(),
            };
            let written = Record {
                kept: Some(kept),
                ..record(RunResult::Ok, Harm::Written, Code::Written, 1)
            };
            let Verdict::Runs(text) = judge("7", &written, Some("two"), None) else {
                panic!("{state}");
            };
            assert_eq!(text.contains("kept files"), lost, "{text}");
        }
    }

    #[test]
    fn of_two_slots_the_one_that_was_written_has_to_run() {
        let written = Record {
            written_slot: Some("b".to_owned()),
            ..record(RunResult::Ok, Harm::Written, Code::Written, 1)
        };
        let judged = |slots: Option<&State>| judge("7", &written, Some("two"), slots);
        assert!(matches!(judged(Some(&slots(Some("b")))), Verdict::Runs(_)));
        for other in [Some(slots(Some("a"))), Some(slots(None)), None] {
            assert!(matches!(judged(other.as_ref()), Verdict::Failed(_)));
        }
    }

    #[test]
    fn what_may_pass_is_tried_so_often_and_no_more() {
        let judged = |code, attempt| {
            judge(
                "7",
                &record(RunResult::Failed, Harm::Untouched, code, attempt),
                Some("two"),
                None,
            )
        };
        assert_eq!(judged(Code::Held, 1), Verdict::Due(2));
        assert_eq!(judged(Code::Interrupted, 2), Verdict::Due(3));
        assert_eq!(judged(Code::Canceled, 1), Verdict::Due(2));
        assert!(matches!(judged(Code::Interrupted, 3), Verdict::Failed(_)));
        assert!(matches!(judged(Code::Interrupted, u32::MAX), Verdict::Failed(_)));
        for code in [Code::Signature, Code::Sha256, Code::Board, Code::Unknown] {
            assert!(matches!(judged(code, 1), Verdict::Failed(_)), "{code}");
        }
        let partly = record(RunResult::Failed, Harm::Partly, Code::Flash, 1);
        assert_eq!(judge("7", &partly, None, None), Verdict::Due(2));
        assert!(has_touched("7", &partly) && !has_touched("8", &partly));
    }

    #[test]
    fn what_ended_and_was_not_wanted_any_more_begins_anew() {
        for ended in [
            record(RunResult::Failed, Harm::Untouched, Code::Sha256, 3),
            record(RunResult::Ok, Harm::Written, Code::Written, 1),
        ] {
            let mut closed = ended.clone();
            closed.action.as_mut().unwrap().closed = true;
            assert!(!matches!(judge("7", &ended, Some("two"), None), Verdict::Due(_)));
            assert_eq!(judge("7", &closed, Some("two"), None), Verdict::Due(1));
            assert!(!has_touched("7", &closed));
        }
    }
}
