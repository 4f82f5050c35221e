//! What may happen inside the tokenizers crate, which trusts tokenizer.json: a panic becomes an error, and a pattern that
//! backtracks without end is stopped.
//!
//! The regex library counts its steps, so most such patterns fail at a number of steps that depends only on the text.
//! Some only take very long: a few steps less at each of a million places. These cannot be stopped inside the library,
//! so the program ends with an error when a text takes much longer than any real tokenizer needs.

use std::{
    cell::OnceCell,
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::TokenizerError;
use crate::terminal;

/// Most steps back in one search. A search that fails at once at each byte of the largest document needs fewer. The
/// library itself has a limit for each place of a search (10 million), but none for all of them.
const STEPS: u32 = 1 << 28;
/// Seconds that each text may take ...
const SECONDS: u64 = 30;
/// ... and the bytes for which it may take another second: the slowest tokenizers need a tenth of that.
const BYTES_PER_SECOND: u64 = 64 << 10;

/// Runs `work`, which tokenises a text of this many bytes with the tokenizers crate.
///
/// # Errors
/// Those of `work`, and its panics.
pub(super) fn limited<T>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, TokenizerError>,
) -> Result<T, TokenizerError> {
    limit_steps();
    let _watched = Watched::start(bytes);
    rho_files::caught(work).unwrap_or_else(|panic| Err(TokenizerError(reason(&panic).into())))
}

/// As [`limited`], for the crate's boxed errors.
pub(super) fn limited_crate<T>(
    bytes: usize,
    work: impl FnOnce() -> tokenizers::Result<T>,
) -> Result<T, TokenizerError> {
    limited(bytes, || work().map_err(TokenizerError))
}

/// Why the crate panicked.
fn reason(panic: &str) -> String {
    match panic.contains("retry-limit") {
        true => "expected a pattern of the tokenizer to find its matches, got one that backtracks too often".to_owned(),
        false => format!("the tokenizers crate failed: {panic}"),
    }
}

/// Sets the limit of the regex library, for all threads.
fn limit_steps() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        #[expect(
            unsafe_code,
            reason = "the crate `onig` has no safe function for this limit"
        )]
        // SAFETY: the function stores a number in a variable of the library. Searches of other threads read either the
        // number before or this one, and both are valid.
        let _ = unsafe { onig_sys::onig_set_retry_limit_in_search(STEPS.into()) };
    });
}

/// What a thread is doing, for the watching thread.
#[derive(Default)]
struct Clock {
    /// Seconds that the text may take; 0 between texts.
    allowed: AtomicU64,
    /// Seconds since its start, counted while the program runs: time in which it is stopped does not count.
    passed: AtomicU64,
    bytes: AtomicU64,
}

/// The clocks of all threads that tokenised a text.
static CLOCKS: Mutex<Vec<Arc<Clock>>> = Mutex::new(Vec::new());

thread_local! {
    static CLOCK: OnceCell<Arc<Clock>> = const { OnceCell::new() };
}

/// A text in work, until it is dropped.
struct Watched(Arc<Clock>);

impl Watched {
    fn start(bytes: usize) -> Self {
        static WATCHING: Once = Once::new();
        WATCHING.call_once(|| {
            // Without this thread, texts are tokenised all the same.
            let _ = thread::Builder::new()
                .name("tokenizer-watch".to_owned())
                .spawn(watch);
        });
        let clock = CLOCK.with(|clock| {
            let clock = clock.get_or_init(|| {
                let clock = Arc::new(Clock::default());
                let mut all = CLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
                all.retain(|other| Arc::strong_count(other) > 1);
                all.push(Arc::clone(&clock));
                clock
            });
            Arc::clone(clock)
        });
        let bytes = bytes as u64;
        clock.passed.store(0, Ordering::Relaxed);
        clock.bytes.store(bytes, Ordering::Relaxed);
        let allowed = SECONDS + bytes / BYTES_PER_SECOND;
        clock.allowed.store(allowed, Ordering::Relaxed);
        Self(clock)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.allowed.store(0, Ordering::Relaxed);
    }
}

/// Starts the clock of this thread's text again: after it waited for another thread.
pub(super) fn waited() {
    CLOCK.with(|clock| {
        if let Some(clock) = clock.get() {
            clock.passed.store(0, Ordering::Relaxed);
        }
    });
}

/// Ends the program when a text takes too long.
fn watch() {
    loop {
        thread::sleep(Duration::from_secs(1));
        let all = CLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
        for clock in all.iter() {
            let allowed = clock.allowed.load(Ordering::Relaxed);
            let passed = clock.passed.fetch_add(1, Ordering::Relaxed) + 1;
            if allowed > 0 && passed > allowed {
                let bytes = clock.bytes.load(Ordering::Relaxed);
                terminal::error(
                    &format!(
                        "the tokenizer: expected a text of {bytes} bytes to take at most {allowed} seconds, got no \
                         tokens by then"
                    ),
                    &[],
                    Some(
                        "a pattern in tokenizer.json backtracks without end; use another tokenizer, or leave this text out",
                    ),
                );
                // The thread cannot be stopped, and ordinary ends of the program would wait for it.
                signal_hook::low_level::exit(terminal::end(2).into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_and_errors_of_the_crate_are_reported() {
        let panicked = limited(3, || -> Result<(), _> { panic!("at once") });
        let said = panicked.unwrap_err().to_string();
        assert_eq!(said, "the tokenizers crate failed: at once");
        let failed = limited_crate(3, || -> tokenizers::Result<()> { Err("no".into()) });
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert_eq!(limited(3, || Ok(4)).unwrap(), 4);
    }

    /// A limit for each place of a search is not enough: here each place takes a little less.
    #[test]
    fn a_search_has_a_limit_over_all_its_places() {
        let search = |length: usize| {
            let pattern = tokenizers::utils::SysRegex::new("(a|a|a)+b").unwrap();
            limited(length, || {
                let text = "a".repeat(12) + "c";
                let text = text.repeat(length);
                Ok(pattern.find_iter(&text).count())
            })
        };
        assert_eq!(search(1).unwrap(), 0);
        let said = search(1_000).unwrap_err().to_string();
        assert!(said.contains("backtracks too often"), "{said}");
    }
}
