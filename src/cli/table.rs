//! The verbs and flags, described once.

#![forbid(unsafe_code)]

/// A verb.
pub struct VerbRow {
    /// The word on the command line, or two of them: a group and what it does (`sim create`).
    pub name: &'static str,
    /// What follows it; those in brackets may be left out.
    pub operands: &'static [&'static str],
    /// One line for the list of verbs.
    pub summary: &'static str,
    /// What its own help page adds.
    pub text: &'static str,
}

/// A flag.
pub struct Flag {
    /// `--long`.
    pub long: &'static str,
    /// Another long name.
    pub alias: Option<&'static str>,
    /// Every short letter.
    pub shorts: &'static str,
    /// The name of its value, if it takes one.
    pub value: Option<&'static str>,
    /// The verbs that take it; empty for all.
    pub verbs: &'static [&'static str],
    /// What it does; empty for one that only other programs use.
    pub help: &'static str,
}

impl Flag {
    /// Whether the flag may stand behind this verb; before the verb only global flags may.
    pub fn serves(&self, verb: Option<&str>) -> bool {
        self.verbs.is_empty() || verb.is_some_and(|verb| self.verbs.contains(&verb))
    }

    /// Whether it says which image or which box is meant, of which none may be dropped. Of all else the last word counts.
    pub fn is_alone(&self) -> bool {
        ["board", "key", "sha256", "sim", "size"].contains(&self.long)
    }

    /// Whether its value may be left out: it stands behind a `=` then, and so it does in the table.
    pub fn is_optional(&self) -> bool {
        self.value.is_some_and(|value| value.starts_with("[="))
    }
}

/// A flag with no other name.
pub const fn flag(
    long: &'static str,
    value: Option<&'static str>,
    verbs: &'static [&'static str],
    help: &'static str,
) -> Flag {
    Flag {
        long,
        alias: None,
        shorts: "",
        value,
        verbs,
        help,
    }
}

/// Every verb: those of the box, then those of its recovery mode.
pub fn verbs() -> impl Iterator<Item = &'static VerbRow> {
    let verbs = VERBS
        .iter()
        .chain(crate::cli::poll::VERBS)
        .chain(crate::cli::recovery::VERBS);
    #[cfg(feature = "host")]
    let verbs = verbs
        .chain(crate::cli::push::VERBS)
        .chain(crate::cli::host::VERBS)
        .chain(crate::cli::network::VERBS);
    verbs
}

/// Every flag, likewise.
pub fn flags() -> impl Iterator<Item = &'static Flag> {
    let flags = FLAGS
        .iter()
        .chain(crate::cli::poll::FLAGS)
        .chain(crate::cli::recovery::FLAGS);
    #[cfg(feature = "host")]
    let flags = flags
        .chain(crate::cli::push::FLAGS)
        .chain(crate::cli::host::FLAGS)
        .chain(crate::cli::network::FLAGS);
    flags
}

/// Those that people are told of.
pub fn shown() -> impl Iterator<Item = &'static Flag> {
    flags().filter(|flag| !flag.help.is_empty())
}

/// The verb of that name; the table's first one for a name that is not there, which the parser excludes.
pub fn verb(name: &str) -> &'static VerbRow {
    verbs().find(|verb| verb.name == name).unwrap_or(&VERBS[0])
}

/// The verbs of a group: `recovery` has `recovery create`, `recovery check` and so on. Empty for a word that is
/// no group.
pub fn group(word: &str) -> impl Iterator<Item = &'static VerbRow> {
    verbs().filter(move |verb| verb.name.split_once(' ').is_some_and(|(group, _)| group == word))
}

/// Whether this is the first word of several verbs.
pub fn is_group(word: &str) -> bool {
    group(word).next().is_some()
}

/// The second words of a group.
pub fn members(word: &str) -> impl Iterator<Item = &'static str> {
    group(word).filter_map(|verb| Some(verb.name.split_once(' ')?.1))
}

/// The first word of every verb; that of a group as often as it has verbs.
pub fn first_words() -> impl Iterator<Item = &'static str> {
    verbs().filter_map(|verb| verb.name.split(' ').next())
}

/// An image, or several files of which each names its partition.
const IMAGES: &[&str] = &["IMAGE"];

/// Every verb, in the order in which a newcomer meets them.
const VERBS: &[VerbRow] = &[
    VerbRow {
        name: "apply",
        operands: IMAGES,
        summary: "replace the firmware with IMAGE (a path, - for standard input, or a URL)",
        text: "Checks the whole plan before anything is touched. If nothing uses the partitions they are \
               written in place; otherwise the box is taken over: this program becomes process 1 in a root \
               of its own in RAM, proves that nothing depends on the flash any more, writes, verifies and \
               reboots. The ssh session that called it ends with a last line and exit code 0.\n\n\
               Instead of IMAGE there may be PARTITION=FILE, once or more often: one update with one plan. \
               Packed bytes whose inside is known are unpacked, and the plan says so; a ramdisk stays packed; a \
               file exactly as long as its partition is a copy of it. --as-is and --unpack decide otherwise.",
    },
    VerbRow {
        name: "plan",
        operands: IMAGES,
        summary: "print the checks and the writes that apply would do; touches nothing",
        text: "The same as apply --dry-run.",
    },
    VerbRow {
        name: "inspect",
        operands: &["IMAGE"],
        summary: "what a file is: format, parts, sizes, checksums, for which boards",
        text: "",
    },
    VerbRow {
        name: "verify",
        operands: IMAGES,
        summary: "compare the flash with IMAGE: exit code 0 same, 1 different",
        text: "",
    },
    VerbRow {
        name: "devices",
        operands: &[],
        summary: "the board, its partitions and who uses them, init, RAM, and the route apply would take",
        text: "",
    },
    VerbRow {
        name: "backup",
        operands: &["DIR"],
        summary: "copy every partition to DIR/mtdN.NAME.bin, with SHA256SUMS",
        text: "Bad blocks of NAND are left out, so a copy may be shorter than its partition.",
    },
    VerbRow {
        name: "restore",
        operands: &["DIR"],
        summary: "write a backup back, through the same plan and checks as apply",
        text: "Partitions that are read-only or protected are left alone unless --part names them.",
    },
    VerbRow {
        name: "status",
        operands: &[],
        summary: "what the last update did",
        text: "",
    },
    VerbRow {
        name: "env",
        operands: &["[NAME]"],
        summary: "the boot loader's environment; env set NAME=VALUE… changes it",
        text: "env           every variable, and which copies there are\n\
               env NAME      its value; exit code 1 if there is none\n\
               env set NAME=VALUE…   through the same plan and checks as apply; NAME= takes it away\n\n\
               Where it lies says --env-config, the board's profile, or /etc/fw_env.config. Of two copies only \
               the one that is not in use is written. An only copy is written with --force=one-copy alone: a \
               power cut meanwhile loses it. An environment that is blank or damaged is never written.",
    },
    VerbRow {
        name: "sim create",
        operands: &["BOARD", "DIR"],
        summary: "make a simulated box in DIR; every verb works on it with --sim DIR",
        text: "DIR/flash.bin is the blank chip in physical order, DIR/board.json its description.",
    },
    VerbRow {
        name: "help",
        operands: &["[VERB]"],
        summary: "what a verb does and which options it takes",
        text: "",
    },
];

const APPLY: &[&str] = &["apply", "plan", "restore", "push"];
/// What whoever is not there may want too.
const ALONE: &[&str] = &["apply", "plan", "restore", "push", "poll"];
const WRITES: &[&str] = &["apply", "plan", "restore", "verify", "backup", "push", "poll"];
const BOXES: &[&str] = &[
    "apply",
    "plan",
    "restore",
    "verify",
    "devices",
    "backup",
    "status",
    "poll",
    "push",
    "env",
    "recovery create",
    "recovery name",
];
const FORCEABLE: &[&str] = &[
    "apply",
    "plan",
    "poll",
    "restore",
    "push",
    "env",
    "recovery create",
    "recovery serve",
    "recovery config",
];
const BOARDS: &[&str] = &[
    "apply",
    "plan",
    "restore",
    "verify",
    "devices",
    "backup",
    "status",
    "poll",
    "push",
    "env",
    "pat",
    "recovery create",
    "recovery name",
];

/// Every flag. `--help` and `--version` are the parser's own.
const FLAGS: &[Flag] = &[
    Flag {
        long: "dry-run",
        alias: Some("test"),
        shorts: "nT",
        value: None,
        verbs: &["apply", "plan", "restore", "push", "env"],
        help: "print the plan and touch nothing",
    },
    Flag {
        long: "yes",
        alias: None,
        shorts: "y",
        value: None,
        verbs: APPLY,
        help: "do not ask; needed when standard input is not a terminal",
    },
    Flag {
        long: "part",
        alias: None,
        shorts: "p",
        value: Some("NAME[,NAME…]"),
        verbs: WRITES,
        help: "these partitions (names as in /proc/mtd, or mtdN); a raw image goes over them in this order; NAME=MEMBER: \
               a member of an archive, by its name or a glob",
    },
    flag(
        "as-is",
        None,
        &["apply", "plan", "poll", "verify", "push"],
        "write the file byte for byte, whatever it is packed with",
    ),
    flag(
        "unpack",
        None,
        &["apply", "plan", "poll", "verify", "push"],
        "unpack the file although what is inside is nothing known",
    ),
    flag(
        "force",
        Some("CHECK[,CHECK…]"),
        FORCEABLE,
        "override these checks by name; who refuses says whether that can be",
    ),
    flag(
        "backup",
        Some("DIR"),
        APPLY,
        "copy every partition to DIR first, as backup does",
    ),
    flag(
        "env-config",
        Some("FILE"),
        &["apply", "plan", "poll", "verify", "env", "push"],
        "where the boot loader's environment lies: lines as in /etc/fw_env.config",
    ),
    flag(
        "no-reboot",
        None,
        APPLY,
        "leave the box running after an update in place",
    ),
    flag("in-place", None, ALONE, "refuse rather than take the box over"),
    flag(
        "prepare",
        None,
        APPLY,
        "make everything ready and leave the start to init's restart line (kill -QUIT 1)",
    ),
    flag(
        "rescue-shell",
        None,
        ALONE,
        "keep busybox in RAM for a console shell, should the flash not be made good",
    ),
    flag(
        "rescue-network",
        None,
        ALONE,
        "should the flash not be made good, take another signed image at TCP port 3552",
    ),
    flag(
        "listen",
        Some("[=[ADDRESS:]PORT]"),
        APPLY,
        "tell whoever connects and knows the token how far it is: a page and JSON lines, at TCP port 3553, at PORT, or at a \
         free one (0)",
    ),
    flag(
        "no-rollback",
        None,
        ALONE,
        "do not keep the old content in RAM to put it back if the new one cannot be written",
    ),
    flag(
        "keep",
        Some("PATH"),
        ALONE,
        "keep this file, directory or glob, besides those in /etc/flasher/keep; may be given again",
    ),
    flag(
        "no-keep",
        None,
        ALONE,
        "keep nothing: neither what /etc/flasher/keep names nor the settings of OpenWrt, which it hands over as sysupgrade does",
    ),
    flag(
        "keep-to",
        Some("FS:WHERE"),
        ALONE,
        "put the kept files there: jffs2:PARTITION, ext4:/dev/sda1, or a tar in raw:PARTITION",
    ),
    flag("pushed", None, &["apply", "verify"], ""),
    flag(
        "mark-bad",
        None,
        ALONE,
        "NAND: mark blocks bad that cannot be erased or programmed, and use the next good one",
    ),
    flag(
        "key",
        Some("FILE"),
        &["apply", "plan", "poll", "restore", "verify", "push"],
        "this public key counts too (minisign, signify or usign); signatures are IMAGE.minisig, IMAGE.sig, in OpenWrt's trailer, of - behind it",
    ),
    flag(
        "sha256",
        Some("HEX|FILE"),
        &["apply", "plan", "verify", "push"],
        "require this checksum of the image: 64 digits, or a file as sha256sum writes it",
    ),
    flag(
        "size",
        Some("N"),
        &["apply", "plan", "verify", "push"],
        "require this length of the image, in bytes; a stream that does not say its own length needs it",
    ),
    flag(
        "fetch-config",
        Some("FILE"),
        &["apply", "inspect", "plan", "poll", "verify", "push"],
        "credentials for https:// and ftp://, as curl -K or wget --config read them; root's, mode 0600",
    ),
    flag(
        "board",
        Some("ID|FILE"),
        BOARDS,
        "what this box is, instead of recognising it",
    ),
    flag("sim", Some("DIR"), BOXES, "work on the simulated box in DIR"),
    flag(
        "profile",
        None,
        &["devices"],
        "print a profile of this box, to be completed and used with --board or as /etc/flasher/board.json",
    ),
    Flag {
        long: "quiet",
        alias: None,
        shorts: "q",
        value: None,
        verbs: &[],
        help: "only errors and the result",
    },
    Flag {
        long: "verbose",
        alias: None,
        shorts: "v",
        value: None,
        verbs: &[],
        help: "every step",
    },
    flag(
        "format",
        Some("text|json"),
        &[],
        "json: one object, or for apply one event a line with the result last",
    ),
];
