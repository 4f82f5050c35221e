//! What the server counts, and its text for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper ends of the histograms' buckets, in seconds.
const ENDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

/// Counts since the start of the server.
#[derive(Default)]
pub(super) struct Metrics {
    /// Answers by route and status.
    answers: Mutex<BTreeMap<(&'static str, u16), u64>>,
    seconds: Mutex<Histogram>,
    waited: Mutex<Histogram>,
    tokens: AtomicU64,
    blocks: AtomicU64,
    jobs: AtomicU64,
    gone: AtomicU64,
    busy_microseconds: AtomicU64,
}

/// Durations, counted by length.
#[derive(Default)]
struct Histogram {
    counts: [u64; ENDS.len() + 1],
    sum: f64,
}

/// What is counted elsewhere, at the time of a scrape.
pub(super) struct Now {
    /// Requests that are not answered yet.
    pub(super) open_requests: usize,
    /// Tokens that wait for the models.
    pub(super) queued_tokens: u64,
}

impl Metrics {
    /// Counts an answer.
    pub(super) fn answered(&self, route: &'static str, status: u16, took: Duration) {
        *lock(&self.answers).entry((route, status)).or_default() += 1;
        lock(&self.seconds).add(took);
    }

    /// Counts the time that a job waited for the models.
    pub(super) fn waited(&self, time: Duration) {
        lock(&self.waited).add(time);
    }

    /// Counts jobs whose clients were gone before they were scored.
    pub(super) fn gone(&self, jobs: usize) {
        self.gone.fetch_add(jobs as u64, Ordering::Relaxed);
    }

    /// Counts a block of rows that was scored together.
    pub(super) fn block(&self, jobs: usize, tokens: u64, took: Duration) {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.jobs.fetch_add(jobs as u64, Ordering::Relaxed);
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
        let microseconds = took.as_micros() as u64;
        self.busy_microseconds
            .fetch_add(microseconds, Ordering::Relaxed);
    }

    /// Tokens per second while scoring; none before the first.
    pub(super) fn speed(&self) -> Option<f64> {
        let busy = self.busy_microseconds.load(Ordering::Relaxed);
        let tokens = self.tokens.load(Ordering::Relaxed);
        (busy > 0 && tokens > 0).then(|| tokens as f64 / (busy as f64 / 1e6))
    }

    /// The text that Prometheus reads.
    pub(super) fn text(&self, now: &Now) -> String {
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        let name = "rho_mask_requests_total";
        head(&mut text, name, "counter", "Answers by route and status.");
        for ((route, status), count) in lock(&self.answers).iter() {
            let _ = writeln!(
                text,
                "{name}{{route=\"{route}\",status=\"{status}\"}} {count}"
            );
        }
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let busy = load(&self.busy_microseconds) as f64 / 1e6;
        let rows: [(&str, &str, &str, f64); 7] = [
            (
                "rho_mask_scored_tokens_total",
                "counter",
                "Tokens that the models scored.",
                load(&self.tokens) as f64,
            ),
            (
                "rho_mask_blocks_total",
                "counter",
                "Blocks of rows that were scored together.",
                load(&self.blocks) as f64,
            ),
            (
                "rho_mask_block_requests_total",
                "counter",
                "Requests with rows in a block, added up over the blocks.",
                load(&self.jobs) as f64,
            ),
            (
                "rho_mask_clients_gone_total",
                "counter",
                "Requests whose clients were gone before they were scored.",
                load(&self.gone) as f64,
            ),
            (
                "rho_mask_scoring_seconds_total",
                "counter",
                "Seconds spent in the models.",
                busy,
            ),
            (
                "rho_mask_open_requests",
                "gauge",
                "Requests that are not answered yet.",
                now.open_requests as f64,
            ),
            (
                "rho_mask_queued_tokens",
                "gauge",
                "Tokens that are not scored yet.",
                now.queued_tokens as f64,
            ),
        ];
        for (name, kind, help, value) in rows {
            head(&mut text, name, kind, help);
            let _ = writeln!(text, "{name} {value}");
        }
        if let Some(bytes) = resident_bytes() {
            let name = "process_resident_memory_bytes";
            head(&mut text, name, "gauge", "Resident memory in bytes.");
            let _ = writeln!(text, "{name} {bytes}");
        }
        for (name, help, histogram) in [
            (
                "rho_mask_request_seconds",
                "Seconds from the head of a request to its answer.",
                &self.seconds,
            ),
            (
                "rho_mask_queue_seconds",
                "Seconds that requests waited for the models.",
                &self.waited,
            ),
        ] {
            head(&mut text, name, "histogram", help);
            lock(histogram).write(name, &mut text);
        }
        text
    }
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = ENDS.partition_point(|&end| end < seconds);
        self.counts[bucket] += 1;
        self.sum += seconds;
    }

    fn write(&self, name: &str, text: &mut String) {
        let mut all = 0;
        for (end, count) in ENDS.iter().zip(self.counts) {
            all += count;
            let _ = writeln!(text, "{name}_bucket{{le=\"{end}\"}} {all}");
        }
        all += self.counts[ENDS.len()];
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {all}");
        let _ = writeln!(text, "{name}_sum {}\n{name}_count {all}", self.sum);
    }
}

/// The memory that this process holds, where the system says so.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_what_is_at_most_their_end() {
        let mut histogram = Histogram::default();
        for milliseconds in [1, 5, 6, 200_000] {
            histogram.add(Duration::from_millis(milliseconds));
        }
        let mut text = String::new();
        histogram.write("x", &mut text);
        for line in [
            "x_bucket{le=\"0.005\"} 2",
            "x_bucket{le=\"0.01\"} 3",
            "x_bucket{le=\"120\"} 3",
            "x_bucket{le=\"+Inf\"} 4",
            "x_sum 200.012",
            "x_count 4",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
