//! The queue between the requests and the models. One thread scores; it takes the rows of all waiting requests, as many
//! as fit into a read-ahead block, so that requests that arrive together share batches.
//!
//! ```text
//! requests ── jobs of rows ──► queue ── one read-ahead block ──► models ── scores ──► each job's channel
//!                                ▲                                          │
//!                                └──────── jobs with rows left ◄────────────┘
//! ```
//!
//! A job with more rows than a block goes to the end of the queue after each block, so that it delays others by one
//! block. A job whose client is gone is dropped before its next block. How many jobs there are is bounded where requests
//! are admitted (see `admission`).

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rho_formats::Rejection;
use tokio::sync::oneshot;

use super::metrics::Metrics;
use crate::{
    hinted_error,
    pipeline::{ScoredDocument, Scorers, TokenDocument, Work, row_by_row},
    terminal,
};

/// A row as tokens, or the reason why it has none.
pub(super) type Row = Result<TokenDocument, Rejection>;
/// The scores of each row of a job, in order, or the reason why it has none.
pub(super) type Scores = Vec<Result<ScoredDocument, String>>;
/// The scores of a job, or why the models failed.
pub(super) type Reply = Result<Scores, String>;

/// Jobs that wait for the models.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// How long the first job waits for others.
    max_wait: Duration,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Tokens of all jobs that are not scored yet, those in work included.
    tokens: u64,
    is_closed: bool,
}

/// The rows of a request, or of a part of it.
struct Job {
    rows: VecDeque<Row>,
    scores: Scores,
    arrived: Instant,
    reply: oneshot::Sender<Reply>,
}

/// The rows of several jobs that are scored together.
#[derive(Default)]
struct Block {
    rows: Vec<Row>,
    /// The jobs, each with the number of its rows.
    jobs: Vec<(Job, usize)>,
}

impl Queue {
    /// An empty queue.
    pub(super) fn new(max_wait: Duration) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            max_wait,
        }
    }

    /// Adds rows to score. The channel closes without a reply if the models are gone.
    pub(super) fn push(&self, rows: Vec<Row>) -> oneshot::Receiver<Reply> {
        let (reply, receiver) = oneshot::channel();
        let mut state = self.lock();
        if !state.is_closed {
            state.tokens += rows.iter().map(tokens).sum::<u64>();
            state.waiting.push_back(Job {
                scores: Vec::with_capacity(rows.len()),
                rows: rows.into(),
                arrived: Instant::now(),
                reply,
            });
            self.changed.notify_one();
        }
        receiver
    }

    /// Ends [`Queue::run`] once the waiting jobs are done. Later jobs get no reply.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Tokens that are not scored yet.
    pub(super) fn tokens(&self) -> u64 {
        self.lock().tokens
    }

    /// Scores until the queue is closed and empty. A model that fails fails the jobs in its block, not the server.
    pub(super) fn run(&self, work: &Work<'_>, scorers: &mut Scorers<'_>, metrics: &Metrics) {
        while let Some(block) = self.next_block(work, metrics) {
            let tokens = block.rows.iter().map(tokens).sum::<u64>();
            let start = Instant::now();
            let scored = row_by_row::scored(work, scorers, block.rows);
            metrics.block(block.jobs.len(), tokens, start.elapsed());
            let failed = match scored {
                Ok(Some(scores)) => {
                    self.hand_out(block.jobs, scores, tokens);
                    continue;
                }
                Ok(None) => "the server was stopped".to_owned(),
                Err(error) => hinted_error::chain(&error),
            };
            terminal::line(&format!("error: {failed}"));
            self.lock().tokens -= tokens;
            for (job, _) in block.jobs {
                self.forget(&job);
                let _ = job.reply.send(Err(failed.clone()));
            }
        }
    }

    /// The rows that are scored next, once there are some; none when the queue is closed and empty.
    fn next_block(&self, work: &Work<'_>, metrics: &Metrics) -> Option<Block> {
        let most = work.plan.look_ahead_tokens as u64;
        let mut state = self.lock();
        loop {
            let mut gone = Vec::new();
            let waiting = std::mem::take(&mut state.waiting);
            for job in waiting {
                match job.reply.is_closed() {
                    true => gone.push(job),
                    false => state.waiting.push_back(job),
                }
            }
            metrics.gone(gone.len());
            state.tokens -= gone.iter().map(Job::tokens).sum::<u64>();
            let Some(first) = state.waiting.front() else {
                if state.is_closed {
                    return None;
                }
                state = self.changed.wait(state).unwrap_or_else(poisoned);
                continue;
            };
            let left = self.max_wait.saturating_sub(first.arrived.elapsed());
            let there = state.waiting.iter().map(Job::tokens).sum::<u64>();
            if left.is_zero() || there >= most || state.is_closed {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(poisoned).0;
        }
        let mut block = Block::default();
        let mut block_tokens = 0;
        // The same bounds as those of a read-ahead block, so that a batch of `/score` is divided as `worker` divides it.
        let is_full =
            |rows: usize, tokens| tokens >= most || rows >= work.plan.look_ahead_documents;
        while !is_full(block.rows.len(), block_tokens)
            && let Some(mut job) = state.waiting.pop_front()
        {
            let before = block.rows.len();
            while !is_full(block.rows.len(), block_tokens)
                && let Some(row) = job.rows.pop_front()
            {
                block_tokens += tokens(&row);
                block.rows.push(row);
            }
            if job.scores.is_empty() {
                metrics.waited(job.arrived.elapsed());
            }
            block.jobs.push((job, block.rows.len() - before));
        }
        Some(block)
    }

    /// Gives each job its scores; those with rows left wait again.
    fn hand_out(&self, jobs: Vec<(Job, usize)>, scores: Scores, tokens: u64) {
        let mut scores = scores.into_iter();
        let mut unfinished = Vec::new();
        for (mut job, rows) in jobs {
            job.scores.extend(scores.by_ref().take(rows));
            match job.rows.is_empty() {
                // The client may be gone.
                true => drop(job.reply.send(Ok(job.scores))),
                false => unfinished.push(job),
            }
        }
        let mut state = self.lock();
        state.tokens -= tokens;
        state.waiting.extend(unfinished);
    }

    /// Takes the tokens of a job's waiting rows out of the count.
    fn forget(&self, job: &Job) {
        self.lock().tokens -= job.tokens();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    /// Tokens of the rows that wait.
    fn tokens(&self) -> u64 {
        self.rows.iter().map(tokens).sum()
    }
}

fn tokens(row: &Row) -> u64 {
    row.as_ref()
        .map_or(0, |document| document.tokens.len() as u64)
}

fn poisoned<T>(error: PoisonError<T>) -> T {
    error.into_inner()
}
