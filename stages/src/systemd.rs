//! systemd reboots the box when everybody who works on the takeover is killed: nobody else is left who could end it.
#![forbid(unsafe_code)]

use crate::sys::Program;
use std::fs;
use std::io;
use std::path::Path;

const UNITS: &str = "/run/systemd/system";
const UNIT: &str = "flasher-guard.service";
const SYSTEMCTL: [&str; 2] = ["/bin/systemctl", "/usr/bin/systemctl"];

/// Makes the marker a unit whose failure reboots (systemd.unit(5), `FailureAction=`; 236 and later): systemd does that by
/// itself, without a program of the old root. Answers whether it runs.
///
/// It runs from where we run ourselves, so that it does not keep the RAM root busy when all is put back.
///
/// # Errors
/// The unit cannot be written.
pub(crate) fn guard() -> io::Result<bool> {
    let unit = Path::new(UNITS).join(UNIT);
    fs::create_dir_all(UNITS)?;
    let text = format!(
        "[Unit]\nDefaultDependencies=no\nFailureAction=reboot-immediate\n[Service]\nExecStart=\"{}\" init-marker wait\n",
        std::env::current_exe()?.display()
    );
    fs::write(&unit, text)?;
    let start = |path: &str| {
        let program = Program::new(path, "systemctl", &[]).and_then(|program| program.with(&["start", UNIT]));
        program.and_then(|program| program.run(None)).unwrap_or(false)
    };
    let started = SYSTEMCTL.iter().any(|path| start(path));
    // systemd remembers it as long as it runs.
    fs::remove_file(&unit)?;
    Ok(started)
}
