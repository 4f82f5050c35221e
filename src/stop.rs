//! SIGINT and SIGTERM: the first stops the run where it can be resumed, the second ends it at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Context as _;
use rho_graph::ExportError;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// The exit code of an interrupted program, as in a shell.
pub const INTERRUPTED: u8 = 130;

/// Whether this error only means that an export or a download was stopped by a signal.
pub fn was_asked_for(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ExportError::Stopped { .. })) || error.is::<Stopped>()
}

/// An operation was stopped by a signal. The message says what is left.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stopped(pub(crate) String);

/// A flag that stops the run.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A flag that the first signal sets; the second signal ends the program.
    pub fn at_signals() -> anyhow::Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // The order matters: at the first signal, the flag is checked before it is set.
            flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&stop.0))
                .and_then(|_| flag::register(signal, Arc::clone(&stop.0)))
                .context("cannot install the signal handlers")?;
        }
        Ok(stop)
    }

    /// Is never requested by a signal: signals end the process as usual.
    pub(crate) fn never() -> Self {
        Self(Arc::default())
    }

    /// Whether the run must stop.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the flag.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
