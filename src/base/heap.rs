//! Keeps the allocator from asking the kernel for the same few pages over and over.

#![forbid(unsafe_code)]

/// Sizes in bytes of what is allocated again and again: the buffers for small files of sysfs, which all say that they have 4096
/// bytes, and for listing a directory.
const SIZES: [usize; 3] = [1024, 2048, 4096];

/// Keeps a block of each of these sizes for as long as the process lives; 16 KiB in all. To be called once.
///
/// musl's allocator takes blocks of one size from the kernel as a group, and gives the group back when the last of them is free
/// (`src/malloc/mallocng/free.c`). Who reads one small file after another makes it map and unmap 16 KiB for each. An ARM926 has
/// caches that go by virtual addresses and must be flushed for that: on the emulated one it took 0.4 s to list six partitions,
/// and 0.03 s with a block kept.
pub fn keep_blocks() {
    for size in SIZES {
        std::mem::forget(Vec::<u8>::with_capacity(size));
    }
}
