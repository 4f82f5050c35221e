//! Shows the progress of a run on standard error: a bar on a terminal, lines elsewhere, JSON for programs. `meter` has
//! the numbers.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rho_formats::{Location, Shard};
use serde_json::{Value, json};

use crate::{
    cli::ProgressKind,
    groups::{self, Group},
    numbers::grouped,
    terminal::{self, Bar},
};
use meter::{Meter, Now};

mod meter;

/// Time between two progress messages: `QUIET` for lines, `REPORTED` for JSON.
const QUIET: Duration = Duration::from_secs(30);
const REPORTED: Duration = Duration::from_secs(1);

/// Counts what the stages have done.
pub(crate) struct Progress {
    meter: Mutex<Meter>,
    shards: u64,
    shards_done: AtomicU64,
    rejected: AtomicU64,
    begun: Instant,
    shown: Shown,
    last_line: Mutex<Instant>,
    last_logged: Mutex<Instant>,
    counting: AtomicBool,
}

enum Shown {
    Bar(Bar),
    Lines,
    Json,
    Nothing,
}

impl Progress {
    /// For the groups of shards that this run works on. A group counts as its first shard.
    pub(crate) fn new<'a>(
        shards: &[Shard],
        mine: impl IntoIterator<Item = &'a Group>,
        kind: ProgressKind,
    ) -> Self {
        let mut sizes = vec![Some(0); shards.len()];
        let mut count = 0;
        for group in mine {
            let first = group.members.start;
            let known = shards[first].place != Location::StandardInput;
            sizes[first] = known.then(|| groups::bytes(shards, group));
            count += group.members.len();
        }
        Self::with_sizes(sizes, count, kind)
    }

    /// For `mine` shards of these sizes in bytes; shards of other ranks have size 0.
    pub(crate) fn of(sizes: Vec<u64>, mine: usize, kind: ProgressKind) -> Self {
        let sizes = sizes.into_iter().map(Some).collect();
        Self::with_sizes(sizes, mine, kind)
    }

    fn with_sizes(sizes: Vec<Option<u64>>, mine: usize, kind: ProgressKind) -> Self {
        let shown = match kind {
            ProgressKind::None => Shown::Nothing,
            ProgressKind::Json => Shown::Json,
            ProgressKind::Auto if terminal::watched() => {
                Shown::Bar(bar(sizes.iter().copied().sum()))
            }
            ProgressKind::Auto | ProgressKind::Plain => Shown::Lines,
        };
        Self {
            meter: Mutex::new(Meter::new(sizes)),
            shards: mine as u64,
            shards_done: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            begun: Instant::now(),
            shown,
            last_line: Mutex::new(Instant::now()),
            last_logged: Mutex::new(Instant::now()),
            counting: AtomicBool::new(false),
        }
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets whether the run is still counting tokens, before the work that the other numbers describe.
    pub(crate) fn counting(&self, counting: bool) {
        self.counting.store(counting, Ordering::Relaxed);
        self.say();
    }

    /// Adds finished bytes and tokens, of any shard.
    pub(crate) fn advance(&self, bytes: u64, tokens: usize) {
        self.meter().advance(bytes, tokens);
        self.say();
    }

    /// Marks a shard as done by an earlier run.
    pub(crate) fn done_before(&self, shard: usize) {
        self.meter().done_before(shard);
        self.shards_done.fetch_add(1, Ordering::Relaxed);
    }

    /// Marks the beginning of the work: the models are loaded.
    pub(crate) fn start(&self) {
        self.meter().start();
    }

    /// Adds text that was read from a shard, in bytes after decompression, and sets the bytes of the shard read so far.
    pub(crate) fn read(&self, shard: usize, bytes: u64, text: usize) {
        self.meter().read(shard, bytes, text);
    }

    /// Adds text that was read, but scored by an earlier run.
    pub(crate) fn skipped(&self, shard: usize, text: usize) {
        self.meter().skipped(shard, text);
    }

    /// Adds scored tokens of a shard, and their part of its text.
    pub(crate) fn scored(&self, shard: usize, tokens: usize, text: f64) {
        self.meter().scored(shard, tokens, text);
        self.say();
    }

    /// Ends a read-ahead block with this many tokens in its documents and this much text.
    pub(crate) fn block_scored(&self, shard: usize, tokens: u64, text: f64) {
        self.meter().block_done(shard, tokens, text);
        self.say();
    }

    /// Marks a shard as scored to its end.
    pub(crate) fn shard_scored(&self, shard: usize) {
        self.meter().shard_done(shard);
    }

    /// Adds rows without a document.
    pub(crate) fn rejected(&self, more: usize) {
        self.rejected.fetch_add(more as u64, Ordering::Relaxed);
    }

    /// Reports a finished shard, with the reason if it ended early.
    pub(crate) fn shard_done(&self, name: &str, broken: Option<&str>) {
        let done = self.shards_done.fetch_add(1, Ordering::Relaxed) + 1;
        let end = broken.map_or(String::new(), |reason| format!(", ended early: {reason}"));
        let in_words = format!("{name} done{end} (shard {done} of {})", self.shards);
        match &self.shown {
            Shown::Json => {
                terminal::logged(&in_words);
                self.event(json!({"event": "shard", "shard": name, "broken": broken}));
            }
            Shown::Lines => terminal::progress_line(&in_words),
            Shown::Bar(_) if broken.is_some() => terminal::progress_line(&format!("{name}{end}")),
            Shown::Bar(_) | Shown::Nothing => terminal::logged(&in_words),
        }
    }

    /// Reports a finished group of shards.
    pub(crate) fn group_done(&self, name: &str, shards: usize) {
        let others = shards.saturating_sub(1) as u64;
        self.shards_done.fetch_add(others, Ordering::Relaxed);
        self.shard_done(name, None);
    }

    /// Clears the bar. The numbers become part of the last JSON object.
    pub(crate) fn finish(&self) {
        self.meter().stop();
        match &self.shown {
            Shown::Bar(bar) => bar.finish(),
            Shown::Json => terminal::at_end(self.numbers()),
            Shown::Lines | Shown::Nothing => {}
        }
    }

    fn say(&self) {
        if let Shown::Bar(bar) = &self.shown {
            let now = self.meter().now();
            if now.total.is_some() {
                bar.set_position(now.bytes);
            }
            bar.set_message(&self.text(&now));
        }
        let due = |last: &Mutex<Instant>, pause| {
            let Ok(mut last) = last.try_lock() else {
                return false;
            };
            let due = last.elapsed() >= pause;
            if due {
                *last = Instant::now();
            }
            due
        };
        match &self.shown {
            Shown::Lines if due(&self.last_line, QUIET) => {
                terminal::progress_line(&self.text(&self.meter().now()));
                return;
            }
            Shown::Json if due(&self.last_line, REPORTED) => {
                self.event(json!({"event": "progress"}));
            }
            _ => {}
        }
        if !matches!(self.shown, Shown::Lines) && due(&self.last_logged, QUIET) {
            terminal::logged(&self.text(&self.meter().now()));
        }
    }

    fn text(&self, now: &Now) -> String {
        if self.counting.load(Ordering::Relaxed) {
            return "counting".to_owned();
        }
        let of = now
            .of
            .map_or(String::new(), |of| format!(" of about {}", grouped(of)));
        let left = now.left.map_or(String::new(), |left| {
            let seconds = left.as_secs();
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            format!(", {hours}:{minutes:02}:{:02} left", seconds % 60)
        });
        let rejected = match self.rejected.load(Ordering::Relaxed) {
            0 => String::new(),
            n => format!(", {} rows rejected", grouped(n)),
        };
        format!(
            "{}{of} tokens, {}/s{left}, {} of {} shards{rejected}",
            grouped(now.tokens),
            grouped(now.rate as u64),
            self.shards_done.load(Ordering::Relaxed),
            self.shards
        )
    }

    fn numbers(&self) -> Value {
        let now = self.meter().now();
        json!({
            "bytes": now.bytes,
            "bytes_total": now.total,
            "tokens": now.tokens,
            "tokens_estimate": now.of,
            "tokens_per_second": now.rate,
            "seconds": self.begun.elapsed().as_secs_f64(),
            "seconds_left": now.left.map(|left| left.as_secs()),
            "shards": self.shards_done.load(Ordering::Relaxed),
            "shards_total": self.shards,
            "rejected": self.rejected.load(Ordering::Relaxed),
            "counting": self.counting.load(Ordering::Relaxed),
        })
    }

    /// Prints one JSON object.
    fn event(&self, mut event: Value) {
        if let (Some(event), Value::Object(numbers)) = (event.as_object_mut(), self.numbers()) {
            event.extend(numbers);
        }
        terminal::event(&event);
    }
}

/// A bar for this many bytes; without a length if it is unknown.
fn bar(total: Option<u64>) -> Bar {
    let bar = match total {
        Some(total) => Bar::new(total, "{bar:30} {percent:>3} %  {msg}  {elapsed_precise}"),
        None => Bar::new(0, "{spinner} {msg}  {elapsed_precise}"),
    };
    bar.ticking()
}

#[cfg(test)]
impl Progress {
    /// Tokens that were scored.
    pub(crate) fn tokens(&self) -> u64 {
        self.meter().now().tokens
    }

    /// The share of the bytes, and the estimate of all tokens.
    pub(crate) fn estimate(&self) -> (f64, Option<u64>) {
        let now = self.meter().now();
        let total = now.total.unwrap_or(0).max(1);
        (now.bytes as f64 / total as f64, now.of)
    }
}
