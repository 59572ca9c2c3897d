//! All targets of `flasher::fuzz` in one program for libFuzzer: `FLASHER_FUZZ_TARGET` says which one is meant. `fuzz/run` runs them.
//!
//! A run that takes more than five seconds of the processor, or more than 64 MiB beside the input, ends it as a crash does.

#![no_main]

use flasher::fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Processor time that a run may take.
const HANG: Duration = Duration::from_secs(5);
/// Bytes that it may have at a time, beside the input.
const MEMORY: usize = 64 << 20;

/// Bytes that are in use, and the most that were since this was reset.
static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn add(bytes: usize) {
    let used = USED.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(used, Ordering::Relaxed);
}

// SAFETY: everything is handed on to the system's allocator as it came; beside that there are only counters.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the rules of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

fn target() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("FLASHER_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|target| target.name == name);
        found.unwrap_or_else(|| {
            // For fuzz/run, which asks.
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            std::process::exit(64)
        })
    })
}

/// Processor time of this thread so far.
fn time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

fuzz_target!(init: { let _ = target(); }, |input: &[u8]| {
    let target = target();
    let begun = std::time::Instant::now();
    let before = USED.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let from = (input.len() > 16 << 10).then(time);
    (target.run)(input);
    let took = begun.elapsed();
    // Where others have the processor a run may only seem to hang.
    if took > HANG {
        let took = from.map_or(took, |from| time() - from);
        assert!(took < HANG, "{} hangs for {took:?}", target.name);
    }
    let most = MOST.load(Ordering::Relaxed).saturating_sub(before);
    assert!(most <= MEMORY, "{} takes {most} bytes", target.name);
});
