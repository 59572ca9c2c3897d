//! Completion for zsh.

#![forbid(unsafe_code)]

use super::{Kind, choices, first_words, flags, global, is_group, kind, names, operations, quoted};
use crate::cli::table::{self, Flag, VerbRow};

const BEGIN: &str = r#"#compdef flasher
# zsh completion for flasher. Made by `flasher manual zsh`.

_flasher() {
    local curcontext=$curcontext state line
    typeset -A opt_args
    _arguments -C \
"#;

const VERBS: &str = r#"        '1:verb:->verb' '*::operand:->operand'
    case $state in
        verb)
            local -a verbs=(
"#;

const OPERANDS: &str = r#"            )
            _describe verb verbs
            ;;
        operand)
            case $words[1] in
"#;

const END: &str = r#"            esac
            ;;
    esac
}

_flasher "$@"
"#;

pub(super) fn script() -> String {
    let mut out = BEGIN.to_owned();
    global().for_each(|flag| out.push_str(&options(flag, "        ")));
    out.push_str("        '(- *)--help[help]' '(- *)--version[the version]' \\\n");
    out.push_str(VERBS);
    for word in first_words() {
        let row = match is_group(word) {
            true => word.to_owned(),
            false => format!("{word}:{}", table::verb(word).summary.replace(':', "\\:")),
        };
        out.push_str(&format!("                {}\n", quoted(&row)));
    }
    out.push_str(OPERANDS);
    for word in first_words() {
        out.push_str(&format!("                {word})\n"));
        match is_group(word) {
            false => arguments(&mut out, table::verb(word), "                    "),
            true => {
                let members = super::members(word);
                out.push_str(&format!(
                    "                    _arguments -C '1:verb:({members})' '*::operand:->member'\n"
                ));
                out.push_str("                    case $words[1] in\n");
                for verb in table::group(word) {
                    let member = verb.name.split(' ').nth(1).unwrap_or_default();
                    out.push_str(&format!("                        {member})\n"));
                    arguments(&mut out, verb, "                            ");
                    out.push_str("                            ;;\n");
                }
                out.push_str("                    esac\n");
            }
        }
        out.push_str("                    ;;\n");
    }
    out.push_str(END);
    out
}

fn arguments(out: &mut String, verb: &'static VerbRow, margin: &str) {
    out.push_str(&format!("{margin}_arguments \\\n"));
    let more = format!("{margin}    ");
    flags(verb.name).for_each(|flag| out.push_str(&options(flag, &more)));
    out.push_str(&format!("{more}'(- *)--help[help]'"));
    let operations = operations(verb);
    let mut place = 1;
    if !operations.is_empty() {
        out.push_str(&format!(" \\\n{more}'1:operation:({})'", operations.join(" ")));
        place += 1;
    }
    let operands: Vec<_> = verb
        .operands
        .iter()
        .filter(|operand| !operations.contains(operand))
        .collect();
    for (index, operand) in operands.iter().enumerate() {
        let name = operand.trim_matches(['[', ']', '…']).to_lowercase();
        let number = match index + 1 == operands.len() {
            true => "*".to_owned(),
            false => (place + index).to_string(),
        };
        let spec = format!("{number}:{name}:{}", values(kind(operand)));
        out.push_str(&format!(" \\\n{more}{}", quoted(&spec)));
    }
    out.push('\n');
}

/// What completes something of this kind.
fn values(kind: Kind) -> String {
    let words = choices(kind).join(" ");
    match kind {
        Kind::Word => String::new(),
        Kind::File => "_files".into(),
        Kind::Directory => "_files -/".into(),
        Kind::Checks => format!("_values -s , check {words}"),
        Kind::Board => format!("_alternative \"boards:board:({words})\" \"files:file:_files\""),
        _ => format!("({words})"),
    }
}

/// A line for each name of a flag.
fn options(flag: &Flag, margin: &str) -> String {
    let help = flag.help.replace('[', "\\[").replace(']', "\\]");
    // `=-` is for a value in the same word, `::` for one that may be left out.
    let (behind, may) = if flag.is_optional() { ("=-", ":") } else { ("", "") };
    let value = flag.value.map(|value| {
        let letters = value.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).chars();
        let name: String = letters.take_while(|c| c.is_ascii_alphabetic()).collect();
        format!("{may}:{}:{}", name.to_lowercase(), values(kind(value)))
    });
    let value = value.unwrap_or_default();
    names(flag)
        .iter()
        .map(|name| format!("{margin}{} \\\n", quoted(&format!("{name}{behind}[{help}]{value}"))))
        .collect()
}
