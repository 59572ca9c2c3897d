//! What is understood, and what is not.

#![allow(clippy::unwrap_used)]

use crate::base::error::Exit;
use crate::cli::*;

fn run(line: &str) -> Result<(Global, Verb)> {
    parse(line.split_whitespace().map(OsString::from))
}

#[test]
fn every_flag_of_the_table_is_understood() {
    for flag in table::flags() {
        let verb = flag.verbs.first().copied().unwrap_or("apply");
        let operands = table::verb(verb).operands.join(" ");
        let value = match flag.long {
            "format" => "json".into(),
            "force" => "content".into(),
            "sha256" => "0".repeat(64),
            "size" => "0x1000".into(),
            "mac" => "00:50:43:3c:3b:5d".into(),
            "ip" | "address" => "192.168.1.2".into(),
            "wait" | "every" | "jitter" | "deadline" => "60".into(),
            "port" | "tftp-port" => "6900".into(),
            "for" => "dnsmasq".into(),
            "kernel" => "x --initrd x --from x".into(),
            "initrd" => "x --kernel x --from x".into(),
            _ => "x".to_owned(),
        };
        let mut names = vec![format!("--{}", flag.long)];
        names.extend(flag.alias.map(|alias| format!("--{alias}")));
        names.extend(flag.shorts.chars().map(|short| format!("-{short}")));
        for name in names {
            let value = flag.value.map(|_| value.as_str()).unwrap_or_default();
            // What may be left out stands in the same word.
            let lines = match flag.is_optional() {
                true => vec![
                    format!("{verb} {name} {operands}"),
                    format!("{verb} {name}=3553 {operands}"),
                ],
                false => vec![format!("{verb} {name} {value} {operands}")],
            };
            for line in lines {
                assert!(run(&line).is_ok(), "{line}: {:?}", run(&line).err());
            }
        }
    }
}

#[test]
fn plan_is_apply_that_touches_nothing() {
    let of = |line| match run(line).unwrap().1 {
        Verb::Apply(apply) => Apply {
            typed: Vec::new(),
            ..apply
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(of("plan x"), of("apply -n x"));
    assert_eq!(of("apply --test x"), of("apply -T x"));
    assert_eq!(of("apply --part a,b --part=c x").parts, ["a", "b", "c"].map(Into::into));
}

#[test]
fn a_wrong_line_is_a_usage_error_and_never_a_guess() {
    for line in [
        "",
        "aply x",
        "apply",
        "apply a b",
        "apply --part a,,b x",
        "apply --sha256 12 x",
        "apply --size 12k3 x",
        "apply --as-is --unpack x",
        "apply Kernel= RootFS1=x",
        "apply Kernel=a b",
        "apply --part a=,b x",
        "backup --part a=b x",
        "apply --nope x",
        "devices --part a",
        "sim make a b",
        "sim",
        "recovery",
        "recovery bake",
        "recovery create",
        "recovery name a b",
        "recovery serve --mac 12:34 x",
        "push",
        "push host",
        "push -- -oProxyCommand=x image",
        "push host a b",
        "push host --wait soon image",
        "push host --wait +5 image",
        "poll --every +5",
        "poll --jitter +5",
        "poll --deadline +5",
        "recovery serve --port +67 x",
        "recovery serve --tftp-port +69 x",
        "--format xml devices",
        "apply --sha256 ./a --sha256 ./b x",
        "apply --key a --key=b x",
        "devices --sim a --sim a",
        "devices --sim=",
        "env set a=1 b=2 a=",
    ] {
        assert_eq!(run(line).unwrap_err().exit, Exit::Usage, "{line}");
    }
}

#[test]
fn an_empty_word_is_nobodys_directory() {
    for words in [
        &["backup", ""][..],
        &["sim", "create", "generic", ""],
        &["backup", "x", "--sim", ""],
    ] {
        let parsed = parse(words.iter().map(OsString::from));
        assert_eq!(parsed.unwrap_err().exit, Exit::Usage, "{words:?}");
    }
    assert!(run("apply -p a -p b --force ram --force size --keep /a --keep /b x").is_ok());
    assert!(run("--format json devices --format text -q -v").is_ok());
    assert!(run("apply --fetch-config /a --fetch-config /b --listen= x").is_ok());
}

#[test]
#[cfg(feature = "host")]
fn a_name_that_is_not_utf_8_keeps_its_bytes() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(b"M\xfcller".to_vec());
    let with = |line: &str| {
        let word = |word: &str| if word == "ODD" { odd.clone() } else { word.into() };
        parse(line.split(' ').map(word)).unwrap().1
    };
    let Verb::Pat(host::Pat::Create(pat)) = with("pat create --updater ODD ODD ODD") else {
        panic!("pat");
    };
    let Verb::Push(push) = with("push --binary ODD host image") else {
        panic!("push");
    };
    let Verb::Apply(apply) = with("apply --fetch-config ODD x") else {
        panic!("apply");
    };
    let paths = [
        pat.updater,
        Some(pat.out),
        pat.files.first().cloned(),
        push.binary,
        apply.trust.access.config,
    ];
    for path in paths {
        assert_eq!(path.unwrap().as_os_str(), odd);
    }
}
