//! Ends a run of a graph that does not end by itself: a graph may hold a loop of any number of rounds. The time allowed
//! follows from the size of the work, and is far more than the slowest computer takes.

use std::{
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use ort::session::RunOptions;

use crate::ResolvedDevice;

/// Seconds that every run may take on the CPU.
const SECONDS: u64 = 20;
/// The same on a GPU, whose driver may have to compile all kernels first.
const SECONDS_ON_GPU: u64 = 600;
/// Bytes of weights that are read from disk in a second, at the least.
const READ_PER_SECOND: u64 = 20_000_000;
/// Products of a byte of weights and a token that are computed in a second, at the least. One core of an old processor
/// computes ten times as many.
const COMPUTED_PER_SECOND: u64 = 100_000_000;

/// The seconds that a run may take.
pub(crate) fn allowed(device: ResolvedDevice, bytes_of_weights: u64, tokens: usize) -> u64 {
    let least = match device {
        ResolvedDevice::Cpu => SECONDS,
        ResolvedDevice::Cuda(_) => SECONDS_ON_GPU,
    };
    let products = u128::from(bytes_of_weights) * tokens as u128;
    let computing = products / u128::from(COMPUTED_PER_SECOND);
    let computing = u64::try_from(computing).unwrap_or(u64::MAX);
    (least + bytes_of_weights / READ_PER_SECOND).saturating_add(computing)
}

/// A run in progress.
struct Running {
    options: Arc<RunOptions>,
    allowed: u64,
    /// Seconds since its start, counted while the program runs: time in which it is stopped does not count.
    passed: AtomicU64,
    ended: AtomicBool,
}

/// The runs of all sessions in progress.
static RUNNING: Mutex<Vec<Arc<Running>>> = Mutex::new(Vec::new());

/// Calls `run`, and makes ONNX Runtime end it after the allowed seconds. Returns its result, and whether it was ended.
///
/// # Errors
/// If ONNX Runtime has no memory for the options of a run.
pub(crate) fn within<T>(
    allowed: u64,
    run: impl FnOnce(&RunOptions) -> T,
) -> ort::Result<(T, bool)> {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        // Without this thread, batches are scored all the same.
        let _ = thread::Builder::new()
            .name("reference-watch".to_owned())
            .spawn(watch);
    });
    let running = Arc::new(Running {
        options: Arc::new(RunOptions::new()?),
        allowed,
        passed: AtomicU64::new(0),
        ended: AtomicBool::new(false),
    });
    let all = || RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    all().push(Arc::clone(&running));
    let result = run(&running.options);
    all().retain(|other| !Arc::ptr_eq(other, &running));
    Ok((result, running.ended.load(Ordering::Relaxed)))
}

/// Ends the runs whose time is over.
fn watch() {
    loop {
        thread::sleep(Duration::from_secs(1));
        let all = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        for running in all.iter() {
            let passed = running.passed.fetch_add(1, Ordering::Relaxed) + 1;
            if passed > running.allowed {
                running.ended.store(true, Ordering::Relaxed);
                // A run that cannot be ended is tried again a second later.
                let _ = running.options.terminate();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_follows_the_work() {
        let cpu = ResolvedDevice::Cpu;
        assert_eq!(allowed(cpu, 0, 1 << 20), SECONDS);
        assert_eq!(allowed(ResolvedDevice::Cuda(1), 0, 1), SECONDS_ON_GPU);
        // A model of 1 GB: read once, and 10 seconds for each token.
        assert_eq!(allowed(cpu, 1_000_000_000, 4), SECONDS + 50 + 40);
        assert_eq!(allowed(cpu, u64::MAX, usize::MAX), u64::MAX);
    }
}
