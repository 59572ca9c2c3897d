//! QEMU's own console (`-monitor`), for what nobody in the box can tell: what it was like at its very end.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::tools::patience;

const PROMPT: &[u8] = b"(qemu) ";

/// What is said to a command. `quit` has no answer.
pub fn ask(socket: &Path, command: &str) -> String {
    let mut monitor = UnixStream::connect(socket).expect("a box with a monitor");
    monitor.set_read_timeout(Some(patience(60))).expect("a timeout");
    until_prompt(&mut monitor);
    writeln!(monitor, "{command}").expect("a monitor that listens");
    until_prompt(&mut monitor)
}

/// What comes before the prompt, or all there is.
fn until_prompt(monitor: &mut UnixStream) -> String {
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(PROMPT) && monitor.read(&mut byte).expect("a monitor that answers") == 1 {
        said.push(byte[0]);
    }
    String::from_utf8_lossy(&said).into_owned()
}
