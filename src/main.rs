//! Replaces the firmware of a small Linux box from inside the running system.

fn main() {}
