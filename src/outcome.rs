//! How a command ended. `main` turns it into the exit code: 0, 1 or 130; an error is 2.

/// How a command ended, if it did not stop with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All done.
    Done,
    /// Finished, but something was skipped.
    Incomplete,
    /// Stopped by a signal.
    Interrupted,
}
