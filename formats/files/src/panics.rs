//! Panics inside a dependency that reads other people's files: caught at one place, without the usual printout, and
//! returned as a message. Everything else that panics is a bug of this project, and is left alone.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    /// Whether a panic on this thread is caught and reported by [`caught`].
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`. What it changes must not be used after an error.
///
/// # Errors
/// The message of its panic.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CATCHING.get() {
                usual(info);
            }
        }));
    });
    let outer = CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    result.map_err(|payload| message(payload.as_ref()))
}

/// The first line of a panic's message.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let line = text.and_then(|text| text.lines().next());
    line.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(caught(|| 3), Ok(3));
        let index = std::hint::black_box(7);
        let said = caught(|| [1, 2][index]).unwrap_err();
        assert!(said.contains("index is 7"), "{said}");
        let nested = caught(|| {
            let inner = caught(|| panic!("inner\nand more"));
            (inner, CATCHING.get())
        });
        assert_eq!(nested, Ok((Err::<(), _>("inner".to_owned()), true)));
        assert!(!CATCHING.get());
    }
}
