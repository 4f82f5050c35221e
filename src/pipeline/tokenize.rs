//! Documents to token ids on all cores, in order, gathered into look-aheads.

use std::{
    sync::mpsc::{Receiver, SyncSender},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rayon::prelude::*;
use rho_formats::{Content, Document, Record, Rejection};

use super::{Flow, LookAhead, TokenDocument, Work, for_each, read::Records, send};

/// Tokenises everything; the answer is the time spent on it, not waiting.
pub(super) fn run(
    work: &Work<'_>,
    receiver: Receiver<Flow<Records>>,
    sender: SyncSender<Flow<LookAhead>>,
) -> anyhow::Result<Duration> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(work.plan.threads)
        .thread_name(|i| format!("tokenize-{i}"));
    let pool = pool
        .build()
        .context("cannot start the tokenizer's threads")?;
    let mut busy = Duration::ZERO;
    let mut shard = "";
    let mut gathered = LookAhead::default();
    for_each(receiver, |flow| match flow {
        Flow::Begin(i) => {
            shard = &work.shards[i].name;
            Ok(send(&sender, Flow::Begin(i)))
        }
        Flow::Part(part) => {
            let start = Instant::now();
            let documents: Vec<Result<TokenDocument, Rejection>> = pool.install(|| {
                part.records
                    .into_par_iter()
                    .map(|record| tokenize(work, shard, record))
                    .collect()
            });
            busy += start.elapsed();
            gathered.bytes = part.bytes;
            for document in documents {
                match document {
                    Ok(document) => {
                        gathered.tokens += document.tokens.len();
                        gathered.documents.push(document);
                    }
                    Err(rejection) => gathered.rejected.push(rejection),
                }
                // The end of a look-ahead follows from the documents alone, not from how they were handed over.
                let full = gathered.tokens >= work.plan.look_ahead_tokens
                    || gathered.documents.len() >= work.plan.look_ahead_documents;
                if full && !send(&sender, Flow::Part(std::mem::take(&mut gathered))) {
                    return Ok(false);
                }
                gathered.bytes = part.bytes;
            }
            Ok(true)
        }
        Flow::End(reason) => {
            let rest = std::mem::take(&mut gathered);
            Ok(send(&sender, Flow::Part(rest)) && send(&sender, Flow::End(reason)))
        }
    })?;
    Ok(busy)
}

/// Token ids of one record, checked against the vocabulary.
fn tokenize(work: &Work<'_>, shard: &str, record: Record) -> Result<TokenDocument, Rejection> {
    let Document { id, row, content } = match record {
        Record::Document(document) => document,
        Record::Rejected(rejection) => return Err(rejection),
    };
    let reject = |reason: String| Rejection {
        shard: shard.to_owned(),
        row,
        reason,
    };
    let tokens = match (content, work.tokenization) {
        (Content::Tokens(tokens), _) => tokens,
        (Content::Text(text), Some(tokenization)) => tokenization
            .encode(&text)
            .map_err(|error| reject(format!("cannot tokenize: {error}")))?,
        (Content::Text(_), None) => {
            return Err(reject(
                "a text, but no tokenizer; expected token ids".to_owned(),
            ));
        }
    };
    let vocabulary = work.plan.vocabulary;
    if let Some((i, id)) = tokens
        .iter()
        .enumerate()
        .find(|&(_, &id)| id as usize >= vocabulary)
    {
        return Err(reject(format!(
            "token {i}: expected an id below the vocabulary of {vocabulary}, got {id}"
        )));
    }
    Ok(TokenDocument { id, row, tokens })
}
