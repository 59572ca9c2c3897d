//! Tells `flasher push` which blocks are on this box already.

#![forbid(unsafe_code)]

use crate::base::error::{Failure, Result};
use crate::base::units::hex;
use crate::board::{Board, Partition};
use crate::bytes::blocks::{Blocks, Device};
use crate::bytes::pushed::Sender;
use crate::cli::Apply;
use crate::report::Reporter;
use crate::update::partial;

/// How often the length of what is to come may be read in search of it: on a big flash the rest would take longer than to
/// send it.
const AS_MUCH: u64 = 4;
/// Bytes that may be read in any case.
const AT_LEAST: u64 = 32 << 20;

/// Reads what the sender wants to know, and tells him.
///
/// # Errors
/// Somebody who does not ask.
pub(super) fn tell(board: &Board, options: &Apply, reporter: &mut Reporter) -> Result<Sender> {
    let bytes = Sender::announced()?;
    let mut here = Blocks::default();
    // Who says that nothing comes wants to send all of it.
    let mut left = match bytes {
        0 => 0,
        _ => bytes.saturating_mul(AS_MUCH).max(AT_LEAST),
    };
    let mut told = |length, weak, sha256: &[u8]| reporter.block(length, weak, &hex(sha256));
    if let Some(file) = partial::take(board) {
        let length = file.metadata().map_err(Failure::system)?.len();
        here.add(Device::File(file), std::slice::from_ref(&(0..length)), &mut told);
    }
    for partition in sought(board, options) {
        let mut blocks: Vec<_> = partition.good_blocks().collect();
        blocks.retain(|block| {
            let fits = block.end - block.start <= left;
            left = if fits { left - (block.end - block.start) } else { 0 };
            fits
        });
        // Without it everything is sent.
        if let Ok(device) = board.open(partition) {
            here.add(Device::Flash(device), &blocks, &mut told);
        }
    }
    reporter.blocks_end();
    Ok(Sender::new(here))
}

/// The partitions that are written, where they are named, and else all that firmware can be in.
fn sought<'a>(board: &'a Board, options: &Apply) -> Vec<&'a Partition> {
    let parts = options.parts.iter().map(|choice| &choice.partition);
    let files = options.files.iter().map(|file| &file.partition);
    let named: Vec<_> = parts.chain(files).collect();
    if !named.is_empty() {
        return named
            .into_iter()
            .filter_map(|name| board.partition(name).ok())
            .collect();
    }
    let is_firmware = |partition: &&Partition| partition.keep.is_none() && board.map.children(partition.id).is_empty();
    board.partitions.iter().filter(is_firmware).collect()
}
