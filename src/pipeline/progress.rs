//! How far a run is: a bar where a person watches, a line now and then where not.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use rho_formats::Shard;

use super::summary::grouped;
use crate::terminal;

/// Time between two lines where no terminal shows a bar.
const QUIET: Duration = Duration::from_secs(30);

/// Counts what the scoring stage has done.
pub struct Progress {
    /// Where each shard starts among the bytes of the corpus, and the corpus's end.
    starts: Vec<u64>,
    shard: AtomicU64,
    tokens: AtomicU64,
    begun: Instant,
    bar: Option<ProgressBar>,
    last_line: Mutex<Instant>,
}

impl Progress {
    /// For these shards. `visible`: false for tests, which print nothing.
    pub fn new(shards: &[Shard], visible: bool) -> Self {
        let mut starts = vec![0];
        for shard in shards {
            starts.push(starts.last().copied().unwrap_or(0) + shard.bytes);
        }
        let total = starts.last().copied().unwrap_or(0);
        let bar = (visible && terminal::watched()).then(|| {
            let bar = ProgressBar::new(total);
            let style = "{bar:30} {percent:>3} % of {total_bytes}  {msg}  {elapsed_precise}, {eta_precise} left";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        let now = Instant::now();
        let silent_for_ever = now + Duration::from_secs(u32::MAX.into());
        let last_line = Mutex::new(if visible { now } else { silent_for_ever });
        Self {
            starts,
            shard: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            begun: now,
            bar,
            last_line,
        }
    }

    /// The shard with this number begins.
    pub fn shard(&self, i: usize) {
        self.shard.store(i as u64, Ordering::Relaxed);
        self.position(0);
    }

    /// So many bytes of the current shard are done.
    pub fn reach(&self, bytes: u64) {
        self.position(bytes);
        self.say();
    }

    /// So many more tokens are scored.
    pub fn tokens(&self, more: usize) {
        self.tokens.fetch_add(more as u64, Ordering::Relaxed);
        self.say();
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn position(&self, bytes: u64) {
        let start = self.starts[self.shard.load(Ordering::Relaxed) as usize];
        if let Some(bar) = &self.bar {
            bar.set_position(start + bytes);
        }
    }

    fn say(&self) {
        let tokens = self.tokens.load(Ordering::Relaxed);
        let rate = tokens as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        let done = format!("{} tokens, {}/s", grouped(tokens), grouped(rate as u64));
        match &self.bar {
            Some(bar) => bar.set_message(done),
            None => {
                let Ok(mut last) = self.last_line.lock() else {
                    return;
                };
                if last.elapsed() >= QUIET {
                    *last = Instant::now();
                    let shard = self.shard.load(Ordering::Relaxed) + 1;
                    terminal::line(&format!(
                        "shard {shard} of {}: {done}",
                        self.starts.len() - 1
                    ));
                }
            }
        }
    }
}
