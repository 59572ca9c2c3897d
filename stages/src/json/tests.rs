//! Held against `serde_json`.

#![allow(clippy::unwrap_used)]

use super::{parse, write};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::{Bound, Range};
use std::path::PathBuf;

#[derive(Deserialize, Serialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Box {
    name: String,
    #[serde(default)]
    size: Option<u32>,
    #[serde(default)]
    shift: i8,
    #[serde(default)]
    kinds: Vec<Kind>,
    #[serde(default)]
    pair: (u8, bool),
    #[serde(default)]
    more: BTreeMap<String, Any>,
}

#[derive(Deserialize, Serialize, Debug, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Plain,
    Of(u64),
    Two(u8, u8),
    Named { at: u64 },
}

#[derive(Deserialize, Serialize, Debug, PartialEq)]
#[serde(untagged)]
enum Any {
    Text(String),
    Number(i64),
}

#[derive(Deserialize, Debug, PartialEq)]
struct Loose {
    name: String,
}

const WHOLE: &str = r#" {"name": "a \"box\" \u00e9\ud83d\ude00\n/\/", "size": 4294967295, "shift": -128,
  "kinds": ["plain", {"plain": null}, {"of": 18446744073709551615}, {"two": [1, 2]}, {"named": {"at": 0}}, {"named": {"at": 7}}],
  "pair": [255, true], "more": {"a": "b", "c": -9223372036854775808, "d": 12}}
"#;

const OTHERS: &[&str] = &[
    "",
    " ",
    "nul",
    "null",
    "[]",
    "[1, 2",
    "[1,]",
    "{\"name\"}",
    "{\"name\":\"a\",}",
    "{\"name\":\"a\" \"size\":1}",
    "{\"name\":\"a\"} x",
    "{\"name\":\"\\ud800\"}",
    "{\"name\":\"\\ud800\\u0041\"}",
    "{\"name\":\"\\udc00\"}",
    "{\"name\":\"a\nb\"}",
    "{\"name\":\"a\\x\"}",
    "{\"name\":1}",
    "{\"size\":1}",
    "{\"name\":\"a\",\"name\":\"b\"}",
    "{\"name\":\"a\",\"nome\":\"b\"}",
    "{\"name\":\"a\",\"size\":4294967296}",
    "{\"name\":\"a\",\"size\":null}",
    "{\"name\":\"a\",\"size\":01}",
    "{\"name\":\"a\",\"size\":-}",
    "{\"name\":\"a\",\"size\":1.}",
    "{\"name\":\"a\",\"size\":1.5}",
    "{\"name\":\"a\",\"size\":[1]}",
    "{\"name\":\"a\",\"shift\":-129}",
    "{\"name\":\"a\",\"kinds\":[\"of\"]}",
    "{\"name\":\"a\",\"kinds\":[\"plane\"]}",
    "{\"name\":\"a\",\"kinds\":[{\"of\":1,\"two\":2}]}",
    "{\"name\":\"a\",\"kinds\":[{\"two\":[1]}]}",
    "{\"name\":\"a\",\"kinds\":[{\"two\":[1,2,3]}]}",
    "{\"name\":\"a\",\"kinds\":[{}]}",
    "{\"name\":\"a\",\"pair\":[1]}",
    "{\"name\":\"a\",\"pair\":[1,true,1]}",
    "{\"name\":\"a\",\"more\":{\"a\":true}}",
];

/// Whether both take it for the same, or both for nothing.
fn agree<T: serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(text: &[u8]) {
    match (parse::<T>(text), serde_json::from_slice::<T>(text)) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{}", text.escape_ascii()),
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{}: {ours:?}, {theirs:?}", text.escape_ascii()),
    }
}

#[test]
fn what_is_read_is_what_serde_json_reads() {
    assert!(parse::<Box>(WHOLE.as_bytes()).is_ok());
    for text in OTHERS.iter().chain([&WHOLE]) {
        agree::<Box>(text.as_bytes());
        agree::<Loose>(text.as_bytes());
        agree::<Vec<u8>>(text.as_bytes());
    }
}

/// Every text that is one byte away from the whole one, or ends early. A fraction is the difference that is meant to be; two of
/// them, and a list for a struct, cannot come of one byte.
#[test]
fn a_byte_more_less_or_wrong_is_as_with_serde_json() {
    let whole = WHOLE.as_bytes();
    for at in 0..whole.len() {
        agree::<Box>(&whole[..at]);
        for byte in b"\"\\{}[],:0-1.eEnt u\x00\x1f\x7f\xc3\xff \n" {
            let mut text = whole.to_vec();
            text[at] = *byte;
            agree::<Box>(&text);
            agree::<Loose>(&text);
            text.insert(at, *byte);
            agree::<Box>(&text);
            agree::<Loose>(&text);
        }
        let mut text = whole.to_vec();
        text.remove(at);
        agree::<Box>(&text);
        agree::<Loose>(&text);
    }
}

#[test]
fn whatever_is_whole_is_read_as_it_is() {
    for text in [
        r#"[null, true, false, 0, -1, 9223372036854775808, "", "\t", [], {}, {"a": [{"b": null}]}]"#,
        "\"x\"",
        " 7 ",
    ] {
        agree::<Value>(text.as_bytes());
    }
}

#[derive(Serialize)]
struct Odd<'a> {
    nothing: Option<u8>,
    unit: (),
    char: char,
    text: &'a str,
    empty: (Vec<u8>, BTreeMap<String, u8>),
    #[serde(flatten)]
    loose: Flat<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u8>,
    tagged: Tagged<'a>,
}

#[derive(Serialize)]
struct Flat<'a> {
    flat: &'a str,
    numbers: [i64; 3],
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Tagged<'a> {
    OfFields { at: u64 },
    OfStruct(Flat<'a>),
}

#[test]
fn what_is_written_is_what_serde_json_writes() {
    fn same(value: &impl Serialize) {
        assert_eq!(write(value).unwrap(), serde_json::to_string(value).unwrap());
    }
    same(&parse::<Box>(WHOLE.as_bytes()).unwrap());
    let text: String = (0..0x180)
        .filter_map(char::from_u32)
        .chain("\u{2028}\u{1f600}".chars())
        .collect();
    for tagged in [
        Tagged::OfFields { at: 0 },
        Tagged::OfStruct(Flat {
            flat: "{",
            numbers: [0, 1, 2],
        }),
    ] {
        same(&Odd {
            nothing: None,
            unit: (),
            char: '"',
            text: &text,
            empty: Default::default(),
            loose: Flat {
                flat: "[",
                numbers: [i64::MIN, -1, i64::MAX],
            },
            left_out: None,
            tagged,
        });
    }
    same(&"{");
    same(&BTreeMap::from([("a", [true, false]), ("", [false; 2])]));
    assert!(write(&1.5).is_err());
    assert!(write(&BTreeMap::from([(1, 2)])).is_err());
}

#[derive(Deserialize, Serialize, Debug, PartialEq)]
struct OfStd {
    path: PathBuf,
    result: Vec<Result<u8, bool>>,
    bound: (Bound<u8>, Bound<u8>),
    address: IpAddr,
    boxed: std::boxed::Box<str>,
}

/// serde's own code for them is another than what it derives.
#[test]
fn what_std_has_is_read_and_written_as_by_serde_json() {
    let value = OfStd {
        path: "/tmp/x".into(),
        result: vec![Ok(1), Err(true)],
        bound: (Bound::Included(1), Bound::Unbounded),
        address: [127, 0, 0, 1].into(),
        boxed: "text".into(),
    };
    let text = write(&value).unwrap();
    assert_eq!(text, serde_json::to_string(&value).unwrap());
    assert_eq!(parse::<OfStd>(text.as_bytes()).unwrap(), value);
    // What is written and cannot be read.
    let text = write(&(3..9u64)).unwrap();
    assert_eq!(text, r#"{"start":3,"end":9}"#);
    assert!(parse::<Range<u64>>(text.as_bytes()).is_err());
}

/// Whoever does not ask for them is not troubled by numbers that are no integers.
#[test]
fn numbers_that_nobody_asks_for_may_be_any() {
    let text = br#"{"a": 1.5, "b": [-0, 1e400, 99999999999999999999], "name": "x", "c": -0.0E-7}"#;
    assert_eq!(parse::<Loose>(text).unwrap(), Loose { name: "x".into() });
    for wrong in ["1.5", "1e2", "-0", "18446744073709551616", "-9223372036854775809"] {
        let error = parse::<i64>(wrong.as_bytes()).unwrap_err().to_string();
        assert!(
            error.starts_with("invalid type: a number with a fraction, expected i64") || error.contains("range"),
            "{error}"
        );
    }
}

/// A list is not a struct, even one as long as the struct has fields.
#[test]
fn a_struct_is_an_object() {
    let error = parse::<Loose>(br#"["x"]"#).unwrap_err().to_string();
    assert!(
        error.contains("invalid type: sequence, expected struct Loose"),
        "{error}"
    );
}

#[test]
fn a_text_that_is_nested_without_end_does_not_use_up_the_stack() {
    for open in ["[", "{\"a\":"] {
        let text = open.repeat(100_000);
        assert!(
            parse::<Value>(text.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("recursion")
        );
        let text = format!("{{\"b\":{text}");
        assert!(
            parse::<Loose>(text.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("recursion")
        );
    }
    let deep = [&"[".repeat(127)[..], &"]".repeat(127)].concat();
    agree::<Value>(deep.as_bytes());
}

/// The same words and the same place, for what people get wrong.
#[test]
fn an_error_tells_its_place() {
    for (text, what) in [
        (
            "{\n \"name\": 7 }",
            "invalid type: integer `7`, expected a string at line 2 column 10",
        ),
        ("{\n \"size\": 7 }", "missing field `name` at line 2 column"),
        (
            "{\"name\": \"a\",\n\"nome\": 7 }",
            "unknown field `nome`, expected one of `name`",
        ),
        ("{\"name\": \"a\",\n\"nome\": 7 }", "at line 2 column 6"),
        (
            "{\"name\": \"a\", \"size\": 4294967296}",
            "invalid value: integer `4294967296`, expected u32 at line 1 column 32",
        ),
        (
            "{\"name\": \"a\", \"kinds\": [\"plane\"]}",
            "unknown variant `plane`, expected one of `plain`, `of`",
        ),
        ("{\"name\": \"a\" \"size\": 1}", "at line 1 column 14"),
    ] {
        let ours = parse::<Box>(text.as_bytes()).unwrap_err().to_string();
        assert!(ours.contains(what), "{ours}");
        let theirs = serde_json::from_slice::<Box>(text.as_bytes()).unwrap_err().to_string();
        // serde_json tells of a missing field behind the brace.
        let place = |text: &str| text[text.rfind(" at line ").unwrap()..].to_owned();
        if ours.contains("missing field") {
            continue;
        }
        assert_eq!(place(&ours), place(&theirs), "{ours}, {theirs}");
    }
}
