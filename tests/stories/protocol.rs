//! What `docs/protocol.md` says to programs: everything that flasher prints in JSON is as its schema has it.

use crate::simbox::{Run, SimBox, bytes, flasher};
use serde_json::Value;
use std::fs;
use std::path::Path;

const MIB: usize = 1 << 20;

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.schema.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// As much of JSON Schema as ours has; what is wrong, if anything.
fn fault(value: &Value, schema: &Value, root: &Value, at: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return fault(
            value,
            root.pointer(reference.trim_start_matches('#')).unwrap(),
            root,
            at,
        );
    }
    if let Some(kinds) = schema["oneOf"].as_array() {
        let faults: Vec<_> = kinds.iter().filter_map(|kind| fault(value, kind, root, at)).collect();
        return (faults.len() + 1 != kinds.len()).then(|| format!("{at}: {value}: {}", faults.join("; ")));
    }
    let is = |kind: &str| match kind {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    let right = match (&schema["type"], &schema["enum"], &schema["const"]) {
        (Value::String(kind), ..) => is(kind),
        (Value::Array(kinds), ..) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
        (_, Value::Array(words), _) => words.contains(value),
        (.., constant) => constant == value,
    };
    if !right {
        return Some(format!("{at}: {value}"));
    }
    let missing = schema["required"].as_array().into_iter().flatten();
    let mut missing = missing.filter(|name| value.get(name.as_str().unwrap()).is_none());
    if let Some(name) = missing.next() {
        return Some(format!("{at}: {name} is missing"));
    }
    let properties = schema["properties"].as_object().into_iter().flatten();
    let of_fields = properties.filter_map(|(name, schema)| Some((name.clone(), value.get(name)?, schema)));
    let items = value.as_array().into_iter().flatten().enumerate();
    let items = items.filter(|_| !schema["items"].is_null());
    let of_items = items.map(|(index, item)| (index.to_string(), item, &schema["items"]));
    of_fields
        .chain(of_items)
        .find_map(|(name, value, schema)| fault(value, schema, root, &format!("{at}/{name}")))
}

/// What is wrong with an event, if anything.
pub fn event_fault(event: &Value) -> Option<String> {
    let root = schema();
    fault(event, &root["$defs"]["event"], &root, "event")
}

/// Every line is an object of that kind.
#[track_caller]
pub fn holds(run: &Run, kind: &str) {
    let root = schema();
    let schema = &root["$defs"][kind];
    assert!(schema.is_object(), "{kind}");
    assert!(!run.out.is_empty() && run.err.is_empty(), "{run:?}");
    for event in run.events() {
        assert_eq!(fault(&event, schema, &root, kind), None, "{event}");
    }
}

/// Whether this is one of the events.
pub fn is_event(value: &Value) -> bool {
    let root = schema();
    fault(value, &root["$defs"]["event"], &root, "event").is_none()
}

#[test]
fn every_object_is_as_the_schema_has_it() {
    let json = ["--format", "json"];
    for board in ["qnap-ts219", "generic", "tplink-wdr3600", "thincan"] {
        let sim = SimBox::of_anything(board);
        let image = sim.file("image", &bytes(MIB, 1));
        let devices = sim.run("devices", &json).exits(0);
        holds(&devices, "devices");
        let partitions = devices.json()["partitions"].clone();
        let free = |partition: &&Value| partition["keep"].is_null() && partition["size"].as_u64() > Some(2 << 20);
        let part = partitions.as_array().unwrap().iter().find(free).unwrap()["name"].clone();
        let on = |verb: &str, more: &[&str]| {
            let words = [&json[..], &["--part", part.as_str().unwrap()], more, &[&image]].concat();
            sim.run(verb, &words)
        };
        holds(&on("plan", &[]).exits(0), "plan");
        holds(&on("plan", &["--sha256", &"0".repeat(64)]), "plan");
        holds(&sim.run("status", &json), "status");
        holds(&on("apply", &["-y"]).exits(0), "event");
        holds(&on("apply", &["-y", "-v"]).exits(0), "event");
        holds(&on("verify", &[]).exits(0), "verify");
        holds(&sim.run("status", &json).exits(0), "status");
        holds(
            &flasher(&[&["inspect", &image], &json[..]].concat()).exits(0),
            "inspect",
        );
        let copies = sim.path().join("copies");
        holds(
            &sim.run("backup", &[&json[..], &[copies.to_str().unwrap()]].concat())
                .exits(0),
            "backup",
        );
        holds(
            &sim.run("restore", &[&json[..], &["-y", copies.to_str().unwrap()]].concat()),
            "event",
        );
    }
}

#[test]
fn a_failure_is_an_event_of_the_schema_and_the_last_line_is_the_result() {
    let json = ["--format", "json"];
    let sim = SimBox::new("generic");
    let image = sim.file("image", &bytes(4 * MIB, 2));
    for words in [
        &["-y", "--part", "kernel", &image][..],
        &["-y", "--part", "nowhere", &image],
        &["-y", "/nonexistent"],
        &["--nope"],
    ] {
        let run = sim.run("apply", &[&json[..], words].concat());
        holds(&run, "event");
        let result = run.json();
        assert_eq!(
            (&result["event"], &result["exit"]),
            (&"result".into(), &run.exit.into())
        );
    }
    for verb in ["inspect", "verify", "plan"] {
        let run = flasher(&[&[verb, "/nonexistent"], &json[..]].concat());
        assert_ne!(run.exit, 0);
        holds(&run, "event");
    }
}

#[test]
fn what_is_wrong_is_found() {
    let root = schema();
    let result = serde_json::json!({"event": "progress", "phase": "writing", "done": 1, "total": 2, "percent": 50});
    let event = &root["$defs"]["event"];
    assert_eq!(fault(&result, event, &root, ""), None);
    for (name, value) in [("event", "stop"), ("phase", "dreaming"), ("done", "1")] {
        let mut wrong = result.clone();
        wrong[name] = value.into();
        assert!(fault(&wrong, event, &root, "").is_some(), "{wrong}");
    }
}
