//! Ends this process when the process that started it is gone, for programs that serve one parent through pipes: a pipe
//! whose other end was inherited by a third process stays open, and a batch in work notices nothing.

use std::{thread, time::Duration};

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(500);

/// Exit code of a process whose parent is gone; nobody reads it.
const ORPHANED: i32 = 2;

/// Watches the parent from a thread.
///
/// # Errors
/// If no thread can be started.
#[cfg(unix)]
pub(crate) fn end_with_parent() -> std::io::Result<()> {
    // An orphan gets another parent.
    let parent = std::os::unix::process::parent_id();
    let watch = move || {
        while std::os::unix::process::parent_id() == parent {
            thread::sleep(PERIOD);
        }
        std::process::exit(ORPHANED);
    };
    let thread = thread::Builder::new().name("parent".to_owned());
    thread.spawn(watch).map(drop)
}

/// Elsewhere the end of standard input has to do.
#[cfg(not(unix))]
pub(crate) fn end_with_parent() -> std::io::Result<()> {
    Ok(())
}
