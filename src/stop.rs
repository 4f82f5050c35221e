//! SIGINT and SIGTERM: the first asks the run to stop where it can go on later, the second ends it at once.

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

/// What a shell says of a program that was interrupted.
pub const INTERRUPTED: u8 = 130;

/// Whether this is how an export or a download ends that was asked to stop, and no error.
pub fn was_asked_for(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ExportError::Stopped { .. })) || error.is::<Stopped>()
}

/// Something ended where it was asked to stop; says what that leaves.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stopped(pub(crate) String);

/// Whether the run is to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for it at a signal; at a second one the program ends.
    pub fn at_signals() -> anyhow::Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the first signal finds the flag down, and raises it after that.
            flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&stop.0))
                .and_then(|_| flag::register(signal, Arc::clone(&stop.0)))
                .context("cannot listen to signals")?;
        }
        Ok(stop)
    }

    /// Whether it was asked for.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks for it.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
