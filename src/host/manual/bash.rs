//! Completion for bash 4 and later, without the package bash-completion.

#![forbid(unsafe_code)]

use super::{Kind, choices, first_words, flags, global, is_group, kind, members, names, operations};
use crate::cli::table;

const BEGIN: &str = r#"# bash completion for flasher. Made by `flasher manual bash`.

_flasher() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' wanted='' word i
    COMPREPLY=()
    # `--format=json` comes as three words.
    if [[ $prev == '=' ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ $cur == '=' ]]; then
        cur=
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
"#;

const WORDS: &str = r#"            -*) ;;
            '=') ((i++)) ;;
            *)
                [[ -z $verb ]] || continue
                case $word in
"#;

const VALUES: &str = r#"                    *) verb=$word ;;
                esac
                ;;
        esac
    done
    case $prev in
"#;

const FLAGS: &str = r#"    esac
    if [[ $cur == -* ]]; then
        case $verb in
"#;

const OPERANDS: &str = r#"        esac
        return
    fi
    case $verb in
"#;

const END: &str = r#"    esac
}

# Names of files, or of directories alone.
_flasher_files() {
    compopt -o filenames 2>/dev/null
    local IFS=$'\n'
    COMPREPLY+=($(compgen "-$1" -- "$cur"))
}

# The last word of a list with commas.
_flasher_list() {
    local before=
    [[ $cur != *,* ]] || before=${cur%,*},
    compopt -o nospace 2>/dev/null
    COMPREPLY=($(compgen -P "$before" -W "$1" -- "${cur##*,}"))
}

complete -F _flasher flasher
"#;

/// What completes a value of this kind.
fn complete(kind: Kind) -> String {
    let words = choices(kind).join(" ");
    match kind {
        Kind::Word => ":".into(),
        Kind::File => "_flasher_files f".into(),
        Kind::Directory => "_flasher_files d".into(),
        Kind::Checks => format!("_flasher_list '{words}'"),
        Kind::Board => format!("COMPREPLY=($(compgen -W '{words}' -- \"$cur\")); _flasher_files f"),
        _ => format!("COMPREPLY=($(compgen -W '{words}' -- \"$cur\"))"),
    }
}

pub(super) fn script() -> String {
    let mut out = BEGIN.to_owned();
    let valued: Vec<_> = table::shown()
        .filter(|flag| flag.value.is_some() && !flag.is_optional())
        .flat_map(names)
        .collect();
    out.push_str(&format!("            {}) ((i++)) ;;\n", valued.join("|")));
    out.push_str(WORDS);
    for group in first_words().into_iter().filter(|word| is_group(word)) {
        out.push_str(&format!(
            "                    {group}) verb=$word\\ ${{COMP_WORDS[i + 1]}} ;;\n"
        ));
    }
    out.push_str(VALUES);
    for flag in table::shown().filter(|flag| !flag.is_optional()) {
        if let Some(value) = flag.value {
            out.push_str(&format!(
                "        {}) {}; return ;;\n",
                names(flag).join("|"),
                complete(kind(value))
            ));
        }
    }
    out.push_str(FLAGS);
    let words = |flags: Vec<String>| format!("COMPREPLY=($(compgen -W '{} --help' -- \"$cur\"))", flags.join(" "));
    for verb in table::verbs() {
        let words = words(flags(verb.name).flat_map(names).collect());
        out.push_str(&format!("            '{}') {words} ;;\n", verb.name));
    }
    let all = words(global().flat_map(names).chain(["--version".to_owned()]).collect());
    out.push_str(&format!("            *) {all} ;;\n"));
    out.push_str(OPERANDS);
    out.push_str(&format!("        '') {} ;;\n", complete(Kind::Verb)));
    for verb in table::verbs().filter(|verb| !verb.operands.is_empty()) {
        let mut kinds: Vec<_> = verb.operands.iter().map(|operand| kind(operand)).collect();
        kinds.dedup();
        let kinds = kinds.into_iter().filter(|kind| *kind != Kind::Word).map(complete);
        let mut rest = kinds.collect::<Vec<_>>().join("; ");
        let operations = operations(verb);
        if !operations.is_empty() {
            let words = operations.join(" ");
            let otherwise = match rest.is_empty() {
                true => ":".to_owned(),
                false => rest,
            };
            rest = format!(
                "if [[ $prev == {} ]]; then COMPREPLY=($(compgen -W '{words}' -- \"$cur\")); else {otherwise}; fi",
                verb.name
            );
        }
        if !rest.is_empty() {
            out.push_str(&format!("        '{}') {rest} ;;\n", verb.name));
        }
    }
    for group in first_words().into_iter().filter(|word| is_group(word)) {
        out.push_str(&format!(
            "        '{group} '*) COMPREPLY=($(compgen -W '{}' -- \"$cur\")) ;;\n",
            members(group)
        ));
    }
    out.push_str(END);
    out
}
