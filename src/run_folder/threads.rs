//! Runs work on several threads.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::stop::Stop;

/// Runs threads that take numbers below `count`, until none are left, a thread fails, or the run is stopped.
///
/// # Errors
/// The first error of any thread.
pub(crate) fn on_threads(
    threads: usize,
    count: usize,
    stop: &Stop,
    work: impl Fn(&dyn Fn() -> Option<usize>) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let (taken, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let first = Mutex::new(None);
    let next = || {
        let go_on = !failed.load(Ordering::Relaxed) && !stop.requested();
        let i = taken.fetch_add(1, Ordering::Relaxed);
        (go_on && i < count).then_some(i)
    };
    let run = || {
        if let Err(error) = work(&next) {
            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(error);
            failed.store(true, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.min(count)).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let first = first.into_inner().unwrap_or_else(PoisonError::into_inner);
    first.map_or(Ok(()), Err)
}
