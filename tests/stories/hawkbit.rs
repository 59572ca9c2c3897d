//! What hawkBit keeps of the updates of a box, as far as a box can tell: `DdiRootController.java` and `JpaControllerManagement.java`
//! of eclipse-hawkbit/hawkbit, at 67ca1c4. An update that was closed or canceled there is gone for good: what is told of it is answered
//! with 410. Other servers of the interface want it again under its name, and so does this one where it is told to.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How an update stands at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Running,
    Canceling,
    Canceled,
    Finished,
    Error,
}

/// An update of one box.
struct Action {
    status: Status,
    /// `attempt` or `forced`.
    kind: &'static str,
    artifacts: Vec<Value>,
}

/// What a server knows of one box.
#[derive(Default)]
pub struct Hawkbit {
    actions: BTreeMap<u32, Action>,
}

impl Hawkbit {
    /// Wants these files installed: a new update, or one that there was, with the files that it has now.
    pub fn assign(&mut self, id: u32, artifacts: &[Value]) {
        let action = Action {
            status: Status::Running,
            kind: "attempt",
            artifacts: artifacts.to_vec(),
        };
        self.actions.insert(id, action);
    }

    /// What the server's own page does with an update.
    pub fn set(&mut self, id: u32, status: Status) {
        self.actions.get_mut(&id).unwrap().status = status;
    }

    /// From `attempt` to `forced`.
    pub fn force(&mut self, id: u32) {
        self.actions.get_mut(&id).unwrap().kind = "forced";
    }

    pub fn status(&self, id: u32) -> Status {
        self.actions[&id].status
    }

    /// The answer to a request for this path below the box's resource; `link` makes a link of such a path.
    pub fn answers(&mut self, method: &str, path: &str, body: &Value, link: impl Fn(&str) -> Value) -> (u16, Value) {
        let mut parts = path.trim_start_matches('/').split('/');
        let (what, id, feedback) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if what == "configData" {
            return (200, Value::Null);
        }
        let Some(id) = id else {
            return (200, self.base(link));
        };
        let id: u32 = id.parse().unwrap();
        let Some(action) = self.actions.get_mut(&id) else {
            return (404, Value::Null);
        };
        let execution = body["status"]["execution"].as_str().unwrap_or_default();
        let failed = body["status"]["result"]["finished"] == "failure";
        let gone = matches!(action.status, Status::Canceling | Status::Canceled);
        match (method, what, feedback) {
            ("GET", "deploymentBase", None) if !gone => {
                let chunk = json!({"part": "os", "version": "1", "name": "firmware", "artifacts": action.artifacts});
                let work = json!({"download": action.kind, "update": action.kind, "chunks": [chunk]});
                (200, json!({"id": id.to_string(), "deployment": work}))
            }
            ("GET", "cancelAction", None) if gone => {
                let id = id.to_string();
                (200, json!({"id": id, "cancelAction": {"stopId": id}}))
            }
            ("POST", "deploymentBase", Some("feedback")) => match (action.status, execution) {
                (Status::Running | Status::Canceling, "closed") => {
                    action.status = if failed { Status::Error } else { Status::Finished };
                    (200, Value::Null)
                }
                (Status::Running | Status::Canceling, _) => (200, Value::Null),
                _ => (410, Value::Null),
            },
            ("POST", "cancelAction", Some("feedback")) if gone => {
                action.status = match execution {
                    "rejected" => Status::Running,
                    "closed" if failed => Status::Running,
                    "closed" => Status::Canceled,
                    _ => action.status,
                };
                (200, Value::Null)
            }
            ("POST", "cancelAction", _) => (405, Value::Null),
            _ => (404, Value::Null),
        }
    }

    /// The oldest update that is not at its end, and what is wanted of it.
    fn base(&self, link: impl Fn(&str) -> Value) -> Value {
        let active = |status| matches!(status, Status::Running | Status::Canceling);
        let next = self.actions.iter().find(|(_, action)| active(action.status));
        let links = match next {
            None => json!({}),
            Some((id, action)) if action.status == Status::Canceling => {
                json!({"cancelAction": link(&format!("cancelAction/{id}"))})
            }
            // The number changes with what is wanted, for caches.
            Some((id, action)) => {
                json!({"deploymentBase": link(&format!("deploymentBase/{id}?c={}", action.kind.len()))})
            }
        };
        json!({"config": {"polling": {"sleep": "00:00:01"}}, "_links": links})
    }
}
