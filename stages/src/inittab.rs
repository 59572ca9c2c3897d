//! Rewrites busybox init's inittab. Pure: bytes in, bytes out.
//!
//! A line is `id:runlevels:action:process` (busybox `init/init.c`, `parse_inittab`). What is kept and what goes:
//!
//! - `respawn`, `askfirst`, `once` and `wait` stay. Init built with FEATURE_KILL_REMOVED ends the process of every line
//!   that vanishes, which may be the very ssh server our caller sits in. None of the kept `once` and `wait` lines runs again on SIGHUP: `reload_inittab` matches them with the
//!   old entries, and only RESPAWN and ASKFIRST are run from the main loop.
//! - `restart` goes, because only the first one counts and it must be ours.
//! - `shutdown` goes: init runs those actions after SIGQUIT and waits for them, and an `umount -a -r` would make our
//!   tmpfs read-only and take `/proc` away.
//! - `sysinit` goes: it is never run again. `ctrlaltdel` goes: its command is not in the RAM root.
//! - what is no valid line goes: init would only complain about it.
//! - a line of more than 255 bytes goes where its tail would be one of those: init up to 1.13 reads with `fgets` into 256
//!   bytes, so the tail is a line of its own to it.
#![forbid(unsafe_code)]

/// Our restart line. One path without arguments: up to 1.9 init executes the text as it is (`BB_EXECLP(command, command)`). `console`
/// makes init open `/dev/console` of the new root instead of keeping descriptors that hold the old one.
pub const RESTART: &str = "console::restart:/flasher";

/// The same for a box whose console cannot be opened (no `console=` of the kernel, a driver that is gone): where init cannot
/// open the terminal of the restart line it halts the box. Stage two looks for a console of its own.
pub const RESTART_BLIND: &str = "null::restart:/flasher";

/// The line whose process proves that init has re-read the file. On `/dev/null`, because up to 1.4 an empty id means the
/// console that init found at its start, such as `/dev/ttyS1`, and a RAM root with a `/dev` of its own may not have that.
pub const MARKER: &str = "null::respawn:/flasher init-marker";

/// What init up to 1.13 reads at a time.
const PIECE: usize = 255;

/// The inittab for the RAM root, from the one in use (`None` where init runs on its built-in default). `console` says
/// whether the console can be opened.
///
/// Our lines come first, because only the first restart line counts.
#[must_use]
pub fn rewrite(old: Option<&[u8]>, console: bool) -> Vec<u8> {
    let mut new = Vec::new();
    for line in [if console { RESTART } else { RESTART_BLIND }, MARKER] {
        new.extend_from_slice(line.as_bytes());
        new.push(b'\n');
    }
    for line in old.unwrap_or_default().split(|&byte| byte == b'\n') {
        // Verbatim, blanks and all: init matches old and new entries by the text of their command.
        if Some(true) == kept(line) && line.chunks(PIECE).all(|piece| kept(piece) != Some(false)) {
            new.extend_from_slice(line);
            new.push(b'\n');
        }
    }
    new
}

/// Whether a line stays; `None` when it is none.
fn kept(line: &[u8]) -> Option<bool> {
    // A NUL ends the line for init's C strings, and what lies behind it is not seen.
    if line.contains(&0) || line.trim_ascii_start().starts_with(b"#") {
        return None;
    }
    let mut fields = line.splitn(4, |&byte| byte == b':');
    let (_id, _runlevels, action, process) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let action = action.trim_ascii();
    (!process.trim_ascii().is_empty()).then(|| [&b"respawn"[..], b"askfirst", b"once", b"wait"].contains(&action))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(old: &str) -> String {
        String::from_utf8(rewrite(Some(old.as_bytes()), true)).expect("text")
    }

    const OURS: &str = "console::restart:/flasher\nnull::respawn:/flasher init-marker\n";

    /// The example of busybox 1.35 (`examples/inittab`), shortened.
    #[test]
    fn the_busybox_example_keeps_services_and_loses_restart_and_shutdown() {
        let old = "# a comment\n::sysinit:/etc/init.d/rcS\n::askfirst:-/bin/sh\ntty2::askfirst:-/bin/sh\n\
                   ::respawn:/sbin/syslogd -n\n::restart:/sbin/init\n::ctrlaltdel:/sbin/reboot\n\
                   ::shutdown:/bin/umount -a -r\n::shutdown:/sbin/swapoff -a\n";
        assert_eq!(
            text(old),
            format!("{OURS}::askfirst:-/bin/sh\ntty2::askfirst:-/bin/sh\n::respawn:/sbin/syslogd -n\n")
        );
    }

    #[test]
    fn without_an_inittab_there_are_our_two_lines() {
        assert_eq!(rewrite(None, true), OURS.as_bytes());
        assert_eq!(rewrite(Some(b""), true), OURS.as_bytes());
    }

    #[test]
    fn colons_in_a_command_odd_ids_and_a_missing_last_newline_survive() {
        assert_eq!(
            text("ttyS0:12345:respawn:/sbin/getty -L ttyS0 115200 vt100 # a:b\n/dev/tts/0::once:x:y"),
            format!("{OURS}ttyS0:12345:respawn:/sbin/getty -L ttyS0 115200 vt100 # a:b\n/dev/tts/0::once:x:y\n")
        );
    }

    #[test]
    fn broken_lines_are_dropped() {
        for broken in [
            "respawn",
            "a:b:respawn",
            "::respawn:",
            "::respawn:  ",
            "::initdefault:3",
            "  # ::respawn:/x",
            "id:3:off:/x",
        ] {
            assert_eq!(text(broken), OURS, "{broken}");
        }
        assert_eq!(rewrite(Some(b"::respawn:/a\0::restart:/b\n"), true), OURS.as_bytes());
    }

    #[test]
    fn a_long_line_is_kept_byte_for_byte_and_bytes_that_are_no_text_do_not_matter() {
        let mut long = b"::respawn:/bin/x ".to_vec();
        long.extend(std::iter::repeat_n(0xe9, 5000));
        let new = rewrite(Some(&long), true);
        assert!(new.windows(long.len()).any(|window| window == long));
        assert!(new.starts_with(OURS.as_bytes()));
    }

    /// Init of busybox 1.9 sees the last 20 bytes of the first line as a line of its own.
    #[test]
    fn a_long_line_whose_tail_is_a_restart_or_shutdown_line_goes() {
        for tail in ["::restart:/sbin/init", "::shutdown:/bin/x -a", "::sysinit:/etc/rc.sh"] {
            let long = format!("::respawn:/bin/{}{tail}", "x".repeat(PIECE - 15));
            assert_eq!(long.find(tail), Some(PIECE));
            assert_eq!(text(&format!("{long}\n::once:/y\n")), format!("{OURS}::once:/y\n"));
        }
        // Within a piece it is a part of the command.
        let long = format!("::respawn:/bin/x ::restart:/sbin/init {}", "x".repeat(PIECE));
        assert_eq!(text(&long), format!("{OURS}{long}\n"));
    }

    #[test]
    fn without_a_console_nothing_asks_for_one() {
        let blind = rewrite(None, false);
        assert_eq!(blind, b"null::restart:/flasher\nnull::respawn:/flasher init-marker\n");
    }

    #[test]
    fn rewriting_twice_gives_one_restart_line() {
        let twice = rewrite(Some(&rewrite(Some(b"::restart:/sbin/init\n"), true)), true);
        let lines = String::from_utf8(twice).expect("text");
        assert_eq!(lines.matches(":restart:").count(), 1);
    }
}
