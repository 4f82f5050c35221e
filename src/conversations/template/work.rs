//! How much work a rendering may do: a template is a program of a stranger.
//!
//! minijinja counts instructions (its fuel). An instruction may handle a long text, so bytes are counted here as well.

use std::cell::Cell;

use minijinja::Error;

use super::values::error;

/// The bytes that any rendering may handle ...
const BYTES: usize = 256 << 20;
/// ... for each byte of the conversation ...
const FOR_EACH: usize = 1024;
/// ... and at most.
const MOST: usize = 4 << 30;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

/// Starts a rendering of a conversation of this many bytes.
pub(super) fn start(bytes: usize) {
    let left = BYTES.saturating_add(bytes.saturating_mul(FOR_EACH));
    LEFT.set(left.min(MOST));
}

/// Counts bytes.
pub(super) fn spend(bytes: usize) -> Result<(), Error> {
    match LEFT.get().checked_sub(bytes + 1) {
        Some(left) => {
            LEFT.set(left);
            Ok(())
        }
        None => Err(error(
            "expected the template to end, got one that handles too much text",
        )),
    }
}
