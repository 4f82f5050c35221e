//! How far a run is, and how much is left. Takes what the reader has read and what the models have scored.
//!
//! What counts is what was scored, not what was read: the reader is ahead, and a small file is read whole at once. The
//! reader says how much text (in bytes, after decompression) it got out of how many bytes of a shard. Scored text is
//! turned into bytes of the shard at the same rate; the bytes of all shards are known. So the estimate also holds for
//! compressed shards, for remote ones, and if the run resumes in the middle of a shard.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// The numbers of a run.
pub(super) struct Meter {
    /// Bytes of each shard as stored; none if unknown; 0 for shards of other ranks.
    sizes: Vec<Option<u64>>,
    /// Bytes of all shards; none if the size of one is unknown.
    total: Option<u64>,
    /// Bytes of the shards that are done.
    done: f64,
    /// Bytes of `done` that an earlier run did.
    before: f64,
    /// The shards that are read or scored.
    open: HashMap<usize, OpenShard>,
    /// Tokens that were scored, in whole read-ahead blocks.
    tokens: u64,
    /// Tokens and text of the block that is being scored. It is scored again if the run is stopped before its end.
    in_flight: (u64, f64),
    /// When the work began: models may load for minutes before.
    started: Option<Instant>,
}

/// A shard that is read or scored, in bytes of text but for `bytes`.
#[derive(Debug, Clone, Copy, Default)]
struct OpenShard {
    /// Bytes of the shard that were read.
    bytes: u64,
    /// Text in them.
    read: f64,
    /// Text that an earlier run scored.
    skipped: f64,
    /// Text that this run scored.
    scored: f64,
}

/// The numbers to show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Now {
    /// Bytes of the shards, by what was scored.
    pub(super) bytes: u64,
    /// Bytes of all shards; none if the size of one is unknown.
    pub(super) total: Option<u64>,
    pub(super) tokens: u64,
    /// Estimate of all tokens of this run, if there is one.
    pub(super) of: Option<u64>,
    /// Tokens per second.
    pub(super) rate: f64,
    pub(super) left: Option<Duration>,
}

impl Meter {
    pub(super) fn new(sizes: Vec<Option<u64>>) -> Self {
        Self {
            total: sizes.iter().copied().sum(),
            sizes,
            done: 0.0,
            before: 0.0,
            open: HashMap::new(),
            tokens: 0,
            in_flight: (0, 0.0),
            started: None,
        }
    }

    /// The work begins.
    pub(super) fn start(&mut self) {
        self.started.get_or_insert_with(Instant::now);
    }

    fn size(&self, shard: usize) -> f64 {
        let size = self.sizes.get(shard).copied().flatten();
        size.unwrap_or(0) as f64
    }

    /// An earlier run did the whole shard.
    pub(super) fn done_before(&mut self, shard: usize) {
        let size = self.size(shard);
        self.done += size;
        self.before += size;
    }

    /// The reader got this much more text, and has read this many bytes of the shard.
    pub(super) fn read(&mut self, shard: usize, bytes: u64, text: usize) {
        let open = self.open.entry(shard).or_default();
        open.bytes = bytes;
        open.read += text as f64;
    }

    /// Of the text that was read, an earlier run scored this much.
    pub(super) fn skipped(&mut self, shard: usize, text: usize) {
        self.open.entry(shard).or_default().skipped += text as f64;
    }

    /// A batch of the shard's current block was scored.
    pub(super) fn scored(&mut self, shard: usize, tokens: usize, text: f64) {
        self.in_flight.0 += tokens as u64;
        self.in_flight.1 += text;
        self.open.entry(shard).or_default().scored += text;
    }

    /// The current block was scored whole: the tokens of its documents, without rejected ones, and all its text.
    pub(super) fn block_done(&mut self, shard: usize, tokens: u64, text: f64) {
        let (_, counted) = std::mem::take(&mut self.in_flight);
        self.tokens += tokens;
        self.open.entry(shard).or_default().scored += text - counted;
    }

    /// The shard was scored whole.
    pub(super) fn shard_done(&mut self, shard: usize) {
        let size = self.size(shard);
        if let Some(open) = self.open.remove(&shard) {
            self.before += open.share(open.skipped) * size;
        }
        self.done += size;
    }

    /// Adds finished bytes and tokens, of any shard.
    pub(super) fn advance(&mut self, bytes: u64, tokens: usize) {
        self.start();
        self.done += bytes as f64;
        self.tokens += tokens as u64;
    }

    /// Forgets the block that was not scored to its end.
    pub(super) fn stop(&mut self) {
        self.in_flight = (0, 0.0);
    }

    /// The current numbers.
    pub(super) fn now(&self) -> Now {
        let elapsed = self.started.map_or(Duration::ZERO, |start| start.elapsed());
        self.after(elapsed)
    }

    /// The numbers after some time of work.
    fn after(&self, elapsed: Duration) -> Now {
        let total = self.total;
        let (mut bytes, mut before) = (self.done, self.before);
        for (&shard, open) in &self.open {
            let read = self.size(shard).min(open.bytes as f64);
            bytes += open.share(open.skipped + open.scored) * read;
            before += open.share(open.skipped) * read;
        }
        let tokens = self.tokens + self.in_flight.0;
        let rate = tokens as f64 / elapsed.as_secs_f64().max(1e-9);
        let here = bytes - before;
        let of = total.filter(|_| here > 0.0 && tokens > 0).map(|total| {
            let work = (total as f64 - before).max(here);
            (tokens as f64 * work / here) as u64
        });
        let left = of.filter(|_| !elapsed.is_zero()).map(|of| {
            let seconds = of.saturating_sub(tokens) as f64 / rate;
            Duration::from_secs_f64(seconds.min(1e9))
        });
        Now {
            bytes: total.map_or(bytes as u64, |total| (bytes as u64).min(total)),
            total,
            tokens,
            of,
            rate,
            left,
        }
    }
}

impl OpenShard {
    /// The share of the text that was read.
    fn share(&self, text: f64) -> f64 {
        match self.read > 0.0 {
            true => (text / self.read).min(1.0),
            false => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_only_read_is_left() {
        // 1,000 bytes, read whole at once: 4,000 bytes of text.
        let mut meter = Meter::new(vec![Some(1000), Some(3000)]);
        meter.read(0, 1000, 4000);
        let now = meter.after(Duration::from_secs(1));
        assert_eq!((now.bytes, now.of, now.left), (0, None, None));
        meter.scored(0, 100, 400.0);
        let now = meter.after(Duration::from_secs(1));
        assert_eq!((now.bytes, now.total, now.tokens), (100, Some(4000), 100));
        assert_eq!(now.of, Some(4000));
        assert_eq!(now.left, Some(Duration::from_secs(39)));
        // The rest of the block has no tokens.
        meter.block_done(0, 1000, 4000.0);
        assert_eq!(meter.after(Duration::from_secs(1)).bytes, 1000);
        meter.shard_done(0);
        assert_eq!(meter.after(Duration::from_secs(1)).bytes, 1000);
    }

    #[test]
    fn what_an_earlier_run_did_is_not_counted_in_the_speed() {
        let mut meter = Meter::new(vec![Some(1000), Some(1000), Some(0)]);
        meter.done_before(0);
        // Half of the second shard is skipped, a quarter of it is scored.
        meter.read(1, 500, 800);
        meter.skipped(1, 800);
        meter.read(1, 1000, 800);
        meter.scored(1, 60, 400.0);
        let now = meter.after(Duration::from_secs(10));
        assert_eq!((now.bytes, now.tokens, now.of), (1750, 60, Some(120)));
        assert_eq!(now.left, Some(Duration::from_secs(10)));
        meter.shard_done(1);
        let now = meter.after(Duration::from_secs(10));
        assert_eq!((now.bytes, now.of), (2000, Some(60)));
    }

    #[test]
    fn without_a_size_nothing_is_estimated() {
        let mut meter = Meter::new(vec![Some(1000), None]);
        meter.read(0, 1000, 1000);
        meter.scored(0, 5, 1000.0);
        let now = meter.after(Duration::from_secs(1));
        assert_eq!((now.total, now.of, now.left), (None, None, None));
        assert_eq!((now.tokens, now.rate), (5, 5.0));
    }

    #[test]
    fn a_block_that_is_dropped_is_not_counted() {
        let mut meter = Meter::new(vec![Some(10)]);
        meter.scored(0, 5, 1.0);
        meter.block_done(0, 5, 1.0);
        meter.scored(0, 7, 1.0);
        assert_eq!(meter.now().tokens, 12);
        meter.stop();
        assert_eq!(meter.now().tokens, 5);
    }
}
