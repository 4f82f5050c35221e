//! How a command ended. `main` makes the exit code of it: 0, 1 or 130; an error is 2.

/// How a command ended, if it did not stop with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All done.
    Done,
    /// Finished, with something left out.
    Incomplete,
    /// Stopped because a signal said so.
    Interrupted,
}
