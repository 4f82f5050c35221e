//! Takes bytes, has them read as each kind of file, and fails where a reader panics or takes more memory than it may.
//!
//! `targets` and `memory` are part of the crate's ordinary tests as well (`tests/fuzzed`): what libFuzzer tries and what
//! every run of the tests tries is judged by the same functions.

mod memory;
mod targets;

/// Has `bytes` read by the target of this name.
pub fn try_bytes(name: &str, bytes: &[u8]) {
    let target = targets::ALL.iter().find(|target| target.name == name);
    target
        .unwrap_or_else(|| panic!("no target {name:?}"))
        .try_bytes(bytes);
}
