//! Whether every watchdog that runs will be fed while the flash is written.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::plan::{Check, Route};
use stages::watchdog::Watchdog;

/// What is said of each of the watchdogs that run; those that stand still are left alone.
pub(super) fn checks(route: Route, dogs: &[Watchdog]) -> Vec<Check> {
    dogs.iter()
        .filter(|dog| dog.running)
        .map(|dog| of_one(route, dog))
        .collect()
}

fn of_one(route: Route, dog: &Watchdog) -> Check {
    match (route, &dog.hindrance, &dog.owner) {
        (Route::Staged, Some(why), _) => Check::fail(
            CheckId::Watchdog,
            format!("{dog}, and could not be taken over: {why}; it would reset the box while it is written"),
            "stop what has it open, or wait for it",
        ),
        (Route::Staged, None, _) => Check::pass(
            CheckId::Watchdog,
            format!("{dog}; process 1 takes it over and feeds it"),
        ),
        (Route::InPlace, _, Some(_)) => Check::pass(CheckId::Watchdog, format!("{dog}, as before")),
        (Route::InPlace, _, None) => {
            let text = format!("{dog}, and nobody is seen to feed it: it may reset the box while it is written");
            Check::warn(CheckId::Watchdog, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Status;
    use stages::watchdog::Node;

    fn dog(running: bool, owner: Option<&str>, hindrance: Option<&str>) -> Watchdog {
        Watchdog {
            node: Node {
                device: "/dev/watchdog1".into(),
                numbers: (248, 1),
            },
            running,
            timeout_s: Some(15),
            owner: owner.map(str::to_owned),
            hindrance: hindrance.map(str::to_owned),
        }
    }

    #[test]
    fn each_that_runs_is_told_and_one_that_cannot_be_fed_stops_the_start_by_name() {
        let dogs = [
            dog(true, Some("12 (watchdog)"), None),
            dog(true, Some("13 (wd)"), Some("process 13 (wd) cannot be ended")),
            dog(true, None, None),
            dog(false, None, None),
        ];
        let status = |route| -> Vec<Status> { checks(route, &dogs).iter().map(|check| check.status).collect() };
        assert_eq!(status(Route::Staged), [Status::Pass, Status::Fail, Status::Pass]);
        assert_eq!(status(Route::InPlace), [Status::Pass, Status::Pass, Status::Warn]);
        let refused = &checks(Route::Staged, &dogs)[1];
        assert!(
            refused.text.contains("/dev/watchdog1") && !refused.forceable,
            "{refused:?}"
        );
    }
}
