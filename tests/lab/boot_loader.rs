//! The boot loader that the boards lack: accepts the kernel in the flash as U-Boot's `bootm` would.

use std::path::Path;
use std::process::Stdio;

use super::tools::{command, write};

/// Takes the uImage out of its partition, checks both checksums, and writes what QEMU can start to `kernel`.
///
/// # Errors
///
/// What `bootm` would print when it refuses the image.
pub fn load(partition: &[u8], kernel: &Path) -> Result<(), String> {
    const HEADER: usize = 64;
    let mut header = partition[..HEADER].to_vec();
    let field =
        |at: usize| u32::from_be_bytes([partition[at], partition[at + 1], partition[at + 2], partition[at + 3]]);
    if field(0) != 0x2705_1956 {
        return Err("bad magic number".into());
    }
    header[4..8].fill(0);
    if crc32(&header) != field(4) {
        return Err("bad header CRC".into());
    }
    let size = field(12) as usize;
    let payload = partition
        .get(HEADER..HEADER + size)
        .ok_or("image longer than its partition")?;
    if crc32(payload) != field(24) {
        return Err("bad data CRC".into());
    }
    match partition[31] {
        0 => write(kernel, payload),
        3 => write(kernel, &unpack(payload)?),
        other => return Err(format!("unknown compression {other}")),
    }
    Ok(())
}

fn unpack(payload: &[u8]) -> Result<Vec<u8>, String> {
    use std::io::Write;
    let mut xz = command("xz")
        .args(["--format=lzma", "-dc"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("xz: {error}"))?;
    let mut stdin = xz.stdin.take().ok_or("xz: no standard input")?;
    let payload = payload.to_vec();
    // In a thread of its own: xz gives back a first part before it has taken the last one.
    let feeder = std::thread::spawn(move || stdin.write_all(&payload));
    let output = xz.wait_with_output().map_err(|error| format!("xz: {error}"))?;
    match feeder.join() {
        Ok(Ok(())) if output.status.success() => Ok(output.stdout),
        _ => Err("the kernel cannot be uncompressed".into()),
    }
}

/// zlib's CRC-32, as uImage headers use it.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
