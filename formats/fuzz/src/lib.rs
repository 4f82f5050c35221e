//! Reads bytes as each kind of file, and fails if a reader panics or takes more memory than allowed.
//!
//! The crate's ordinary tests (`tests/fuzzed`) use `targets` and `memory` too, so libFuzzer and every test run check
//! the same things.

mod memory;
mod targets;

/// Reads `bytes` with the target of this name.
pub fn try_bytes(name: &str, bytes: &[u8]) {
    let target = targets::ALL.iter().find(|target| target.name == name);
    target
        .unwrap_or_else(|| panic!("no target {name:?}"))
        .try_bytes(bytes);
}
