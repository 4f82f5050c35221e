//! Tokenises documents on all cores, in order, and gathers them into read-ahead blocks.
//!
//! A block ends when it is full and where a scope ends, so that a scope consists of whole blocks. Both depend only on
//! the documents, not on how they were chunked or where a run was interrupted.

use std::{
    sync::mpsc::{Receiver, SyncSender},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rayon::prelude::*;
use rho_formats::{Document, Record, Rejection};
use rho_selection::Batches;

use super::{
    Break, Flow, LookAhead, TokenDocument, Work, for_each,
    read::{Numbered, Read, Records, row, size},
    record::From,
    rejected::untargeted,
    send,
};
use crate::{content::Tokenized, groups::Group, selections::rule::Scope, tokenization::below};

/// Tokenises everything. Returns the time spent on it, without waiting.
pub(super) fn run(
    work: &Work<'_>,
    groups: &[Group],
    receiver: Receiver<Flow<Records>>,
    sender: SyncSender<Flow<LookAhead>>,
) -> anyhow::Result<Duration> {
    let pool = pool(work.plan.threads)?;
    let mut busy = Duration::ZERO;
    let mut first = 0;
    let mut gatherer = Gatherer::new(work, From::default());
    for_each(receiver, |flow| {
        let (part, end) = match flow {
            Flow::Begin(i, from) => {
                first = groups[i].members.start;
                gatherer = Gatherer::new(work, from);
                return Ok(send(&sender, Flow::Begin(i, from)));
            }
            Flow::Part(part) => (part, false),
            Flow::End(part) => (part, true),
        };
        let start = Instant::now();
        let tokenized = |Numbered {
                             member,
                             record,
                             digest,
                         }| {
            let mut tokenized = Row {
                member,
                row: row(&record),
                digest,
                text: size(&record),
                document: tokenize(work, &work.shards[first + member].name, record),
            };
            if let Ok(document) = &mut tokenized.document {
                document.member = member;
            }
            tokenized
        };
        let documents: Vec<Result<Row, Break>> = pool.install(|| {
            let read = part.read.into_par_iter();
            read.map(|read| match read {
                Read::Row(row) => Ok(tokenized(row)),
                Read::Broken(broken) => Err(broken),
            })
            .collect()
        });
        busy += start.elapsed();
        for row in documents {
            let ended = match row {
                Ok(row) => gatherer.push(row),
                Err(broken) => {
                    gatherer.broken(broken);
                    None
                }
            };
            if let Some(look_ahead) = ended
                && !send(&sender, Flow::Part(look_ahead))
            {
                return Ok(false);
            }
        }
        match end {
            false => Ok(true),
            true => Ok(send(&sender, Flow::End(gatherer.end(true)))),
        }
    })?;
    Ok(busy)
}

/// The threads that tokenise.
pub(crate) fn pool(threads: usize) -> anyhow::Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("tokenize-{i}"));
    pool.build().context("cannot start the tokenizer's threads")
}

/// A row of a shard, tokenised.
pub(super) struct Row {
    /// The number of the shard in its group.
    pub(super) member: usize,
    pub(super) row: i64,
    pub(super) digest: u64,
    /// Bytes of its text.
    pub(super) text: usize,
    pub(super) document: Result<TokenDocument, Rejection>,
}

/// Gathers the documents of one group into read-ahead blocks.
pub(super) struct Gatherer<'a> {
    work: &'a Work<'a>,
    batches: Batches,
    gathered: LookAhead,
}

impl<'a> Gatherer<'a> {
    pub(super) fn new(work: &'a Work<'a>, from: From) -> Self {
        Self {
            work,
            batches: Batches::resume(
                match work.plan.scope {
                    Scope::Batch(tokens) => tokens,
                    _ => Batches::PAPER,
                },
                from.scope_tokens,
            ),
            gathered: LookAhead {
                next: from,
                ..LookAhead::default()
            },
        }
    }

    /// Adds a row. Returns the block that ended before it, if one did.
    ///
    /// A full block ends only when the next row comes, because that row decides whether the scope ends with the block.
    pub(super) fn push(&mut self, row: Row) -> Option<LookAhead> {
        let Row {
            member,
            row,
            digest,
            text,
            document,
        } = row;
        let plan = self.work.plan;
        let (rows, tokens) = (
            self.gathered.documents.len() + self.gathered.rejected.len(),
            self.gathered.tokens,
        );
        let full = tokens >= plan.look_ahead_tokens || rows >= plan.look_ahead_documents;
        let before = self.batches.tokens();
        let scope_ends = match (&document, plan.scope) {
            (Ok(document), Scope::Batch(_)) => self.batches.starts_another(document.tokens.len()),
            _ => false,
        };
        let ended = (full || scope_ends).then(|| {
            let mut look_ahead = self.end(scope_ends);
            look_ahead.next.scope_tokens = if look_ahead.ends_scope { 0 } else { before };
            look_ahead
        });
        match document {
            Ok(document) => {
                self.gathered.tokens += document.tokens.len();
                self.gathered.documents.push(document);
            }
            Err(rejection) => self.gathered.rejected.push((member, rejection)),
        }
        self.gathered.text += text;
        self.gathered.next.member = member;
        self.gathered.next.row = row + 1;
        self.gathered.next.digest = digest;
        ended
    }

    /// Adds the early end of a shard. The block is resumed after it.
    pub(super) fn broken(&mut self, broken: Break) {
        self.gathered.next.member = broken.member + 1;
        self.gathered.next.row = 0;
        self.gathered.next.digest = 0;
        self.gathered.broken.push(broken);
    }

    /// Takes the gathered block out.
    pub(super) fn end(&mut self, scope_ends: bool) -> LookAhead {
        let next = self.gathered.next;
        let mut look_ahead = std::mem::take(&mut self.gathered);
        look_ahead.ends_scope = scope_ends || !matches!(self.work.plan.scope, Scope::Batch(_));
        self.gathered.next = next;
        look_ahead
    }
}

/// Token ids of one record, checked against the vocabulary. The shard is taken for one without others.
pub(crate) fn tokenize(
    work: &Work<'_>,
    shard: &str,
    record: Record,
) -> Result<TokenDocument, Rejection> {
    let Document {
        id,
        row,
        content,
        source,
        context,
    } = match record {
        Record::Document(document) => document,
        Record::Rejected(rejection, _) => return Err(rejection),
    };
    let reject = |reason: String| Rejection {
        shard: shard.to_owned(),
        row,
        reason,
    };
    let done = work.encoder.tokens(content).map_err(reject)?;
    let after_text = match context {
        Some(context) => {
            let tokens = work.encoder.after(&context, &done).map_err(reject)?;
            let most = work.plan.context;
            if tokens.len() > most {
                return Err(reject(format!(
                    "expected at most {most} tokens together with the text before the document, got {}",
                    tokens.len()
                )));
            }
            below(work.encoder.tokenization, &tokens, work.plan.vocabulary).map_err(reject)?;
            Some(tokens)
        }
        None => None,
    };
    let Tokenized {
        tokens,
        target,
        text,
    } = done;
    below(work.encoder.tokenization, &tokens, work.plan.vocabulary).map_err(reject)?;
    if let Some(top) = work.plan.top_columns()
        && tokens.len() > top.most_tokens()
    {
        return Err(reject(format!(
            "expected at most {} tokens with --top {}, got {}",
            top.most_tokens(),
            top.count,
            tokens.len()
        )));
    }
    // Token 0 is no target of any trainer: nothing stands before it.
    if let Some(target) = &target
        && !target.iter().skip(1).any(|target| *target)
    {
        return Err(untargeted(shard, row));
    }
    Ok(TokenDocument {
        member: 0,
        id,
        row,
        tokens,
        target,
        after_text,
        text: text.filter(|_| work.plan.keep_text),
        source,
    })
}
