//! Shows the progress of a run on standard error: a bar on a terminal, lines elsewhere, JSON for programs.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use rho_formats::Shard;
use serde_json::json;

use crate::{cli::ProgressKind, numbers::grouped, terminal};

/// Time between two progress messages: `QUIET` for lines, `REPORTED` for JSON.
const QUIET: Duration = Duration::from_secs(30);
const REPORTED: Duration = Duration::from_secs(1);

/// Counts what the stages have done.
pub(crate) struct Progress {
    /// Bytes of each shard; 0 for those of other ranks.
    sizes: Vec<u64>,
    shards: u64,
    total: u64,
    /// Bytes of the shards that are done, and of the current one.
    done: AtomicU64,
    current: AtomicU64,
    shard: AtomicU64,
    shards_done: AtomicU64,
    tokens: AtomicU64,
    rejected: AtomicU64,
    /// Bytes that were done before this run.
    before: AtomicU64,
    begun: Instant,
    shown: Shown,
    last_line: Mutex<Instant>,
    counting: AtomicBool,
}

enum Shown {
    Bar(ProgressBar),
    Lines,
    Json,
    Nothing,
}

/// The current progress.
struct Now {
    bytes: u64,
    tokens: u64,
    /// Estimate of all tokens of this run, from the tokens per byte so far.
    of: u64,
    rate: f64,
    left: Option<Duration>,
}

impl Progress {
    /// For the shards that this run works on.
    pub(crate) fn new(shards: &[Shard], mine: &[usize], kind: ProgressKind) -> Self {
        let mut sizes = vec![0; shards.len()];
        for &i in mine {
            sizes[i] = shards[i].bytes;
        }
        Self::of(sizes, mine.len(), kind)
    }

    /// For `mine` shards of these sizes in bytes; shards of other ranks have size 0.
    pub(crate) fn of(sizes: Vec<u64>, mine: usize, kind: ProgressKind) -> Self {
        let total = sizes.iter().sum();
        let shown = match kind {
            ProgressKind::None => Shown::Nothing,
            ProgressKind::Json => Shown::Json,
            ProgressKind::Auto if terminal::watched() => Shown::Bar(bar(total)),
            ProgressKind::Auto | ProgressKind::Plain => Shown::Lines,
        };
        Self {
            sizes,
            shards: mine as u64,
            total,
            done: AtomicU64::new(0),
            current: AtomicU64::new(0),
            shard: AtomicU64::new(0),
            shards_done: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            before: AtomicU64::new(0),
            begun: Instant::now(),
            shown,
            last_line: Mutex::new(Instant::now()),
            counting: AtomicBool::new(false),
        }
    }

    /// Sets whether the run is still counting tokens, before the work that the other numbers describe.
    pub(crate) fn counting(&self, counting: bool) {
        self.counting.store(counting, Ordering::Relaxed);
        self.say();
    }

    /// Adds finished bytes and tokens, of any shard.
    pub(crate) fn advance(&self, bytes: u64, tokens: usize) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.tokens(tokens);
    }

    /// Marks a shard as done by an earlier run.
    pub(crate) fn done_before(&self, shard: usize) {
        self.done.fetch_add(self.sizes[shard], Ordering::Relaxed);
        self.before.fetch_add(self.sizes[shard], Ordering::Relaxed);
        self.shards_done.fetch_add(1, Ordering::Relaxed);
    }

    /// Starts the shard with this number.
    pub(crate) fn shard(&self, i: usize) {
        let last = self.shard.swap(i as u64, Ordering::Relaxed) as usize;
        // The previous shard is scored to its end by now. Before the first shard, `current` is 0.
        if self.current.swap(0, Ordering::Relaxed) > 0 {
            self.done.fetch_add(self.sizes[last], Ordering::Relaxed);
        }
    }

    /// Sets the finished bytes of the current shard.
    pub(crate) fn reach(&self, bytes: u64) {
        self.current.store(bytes, Ordering::Relaxed);
        self.say();
    }

    /// Adds scored tokens.
    pub(crate) fn tokens(&self, more: usize) {
        self.tokens.fetch_add(more as u64, Ordering::Relaxed);
        self.say();
    }

    /// Adds rows without a document.
    pub(crate) fn rejected(&self, more: usize) {
        self.rejected.fetch_add(more as u64, Ordering::Relaxed);
    }

    /// Reports a finished shard, with the reason if it ended early.
    pub(crate) fn shard_done(&self, name: &str, broken: Option<&str>) {
        let done = self.shards_done.fetch_add(1, Ordering::Relaxed) + 1;
        let end = broken.map_or(String::new(), |reason| format!(", ended early: {reason}"));
        match &self.shown {
            Shown::Json => {
                self.event(json!({"event": "shard", "shard": name, "broken": broken}));
            }
            Shown::Lines => {
                terminal::line(&format!(
                    "{name} done{end} (shard {done} of {})",
                    self.shards
                ));
            }
            Shown::Bar(bar) if broken.is_some() => bar.suspend(|| {
                terminal::line(&format!("{name}{end}"));
            }),
            Shown::Bar(_) | Shown::Nothing => {}
        }
    }

    /// Reports a finished group of shards.
    pub(crate) fn group_done(&self, name: &str, shards: usize) {
        let others = shards.saturating_sub(1) as u64;
        self.shards_done.fetch_add(others, Ordering::Relaxed);
        self.shard_done(name, None);
    }

    /// Clears the bar, or reports the end.
    pub(crate) fn finish(&self) {
        match &self.shown {
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Json => self.event(json!({"event": "end"})),
            Shown::Lines | Shown::Nothing => {}
        }
    }

    fn now(&self) -> Now {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let bytes = (get(&self.done) + get(&self.current)).min(self.total);
        let (tokens, here) = (get(&self.tokens), bytes.saturating_sub(get(&self.before)));
        let seconds = self.begun.elapsed().as_secs_f64().max(1e-9);
        let rate = tokens as f64 / seconds;
        let work = self.total.saturating_sub(get(&self.before));
        let of = match here {
            0 => 0,
            here => (tokens as f64 * work as f64 / here as f64) as u64,
        };
        let left = (here > 0 && rate > 0.0).then(|| {
            let seconds = of.saturating_sub(tokens) as f64 / rate;
            Duration::from_secs(seconds.min(1e9) as u64)
        });
        Now {
            bytes,
            tokens,
            of,
            rate,
            left,
        }
    }

    fn say(&self) {
        let pause = match &self.shown {
            Shown::Bar(bar) => {
                let now = self.now();
                bar.set_position(now.bytes);
                bar.set_message(self.text(&now));
                return;
            }
            Shown::Nothing => return,
            Shown::Lines => QUIET,
            Shown::Json => REPORTED,
        };
        let Ok(mut last) = self.last_line.try_lock() else {
            return;
        };
        if last.elapsed() < pause {
            return;
        }
        *last = Instant::now();
        if matches!(self.shown, Shown::Json) {
            self.event(json!({"event": "progress"}));
        } else {
            terminal::line(&self.text(&self.now()));
        }
    }

    fn text(&self, now: &Now) -> String {
        if self.counting.load(Ordering::Relaxed) {
            return "counting".to_owned();
        }
        let of = match now.of {
            0 => String::new(),
            of => format!(" of about {}", grouped(of)),
        };
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

    /// Prints one JSON object per line.
    fn event(&self, mut event: serde_json::Value) {
        let now = self.now();
        let numbers = json!({
            "bytes": now.bytes,
            "bytes_total": self.total,
            "tokens": now.tokens,
            "tokens_estimate": now.of,
            "tokens_per_second": now.rate,
            "seconds": self.begun.elapsed().as_secs_f64(),
            "seconds_left": now.left.map(|left| left.as_secs()),
            "shards": self.shards_done.load(Ordering::Relaxed),
            "shards_total": self.shards,
            "rejected": self.rejected.load(Ordering::Relaxed),
            "counting": self.counting.load(Ordering::Relaxed),
        });
        if let (Some(event), serde_json::Value::Object(numbers)) = (event.as_object_mut(), numbers)
        {
            event.extend(numbers);
        }
        terminal::line(&event.to_string());
    }
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = "{bar:30} {percent:>3} %  {msg}  {elapsed_precise}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
