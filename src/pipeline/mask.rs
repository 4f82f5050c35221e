//! Turns scores into masks, group by group: gathers a scope, ranks its tokens, writes its rows.

use std::{
    ops::Range,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use rho_formats::{MaskRow, token_hash};

use super::{
    Flow, Scored, ScoredDocument, Work, for_each,
    output::{Open, Output},
    reasons::Reason,
    record::Broken,
    rejected::{Rejected, is_untargeted},
    shard_files::MemberRow,
};
use crate::{
    document::Document,
    groups::Group,
    plan::Plan,
    selections::{
        counts::Counts as Selected,
        mark::{self, MarkedTokens},
        rule::Scope,
        scores::Documents,
    },
};

/// The result of this stage.
pub(super) struct Masked {
    pub(super) sample: Option<Document>,
    pub(super) reasons: Vec<Reason>,
    pub(super) busy: Duration,
}

/// Masks and writes everything it receives.
pub(super) fn run(
    work: &Work<'_>,
    receiver: Receiver<Flow<Scored>>,
    output: &Output<'_>,
) -> anyhow::Result<Masked> {
    let mut masker = Masker {
        work,
        group: &Group::alone(0, ""),
        gathered: Vec::new(),
        rejected: Rejected::new(work.plan, &output.counted_before()),
        sample: None,
    };
    let mut busy = Duration::ZERO;
    let mut current: Option<Open<'_>> = None;
    for_each(receiver, |flow| {
        let start = Instant::now();
        match flow {
            Flow::Begin(i, _) => {
                let (open, kept) = output.begin(i)?;
                masker.group = &output.groups()[i];
                masker.gathered = kept;
                current = Some(open);
            }
            Flow::Part(scored) => {
                if let Some(open) = &mut current {
                    let next = scored.next;
                    let broken = masker.take(scored, open)?;
                    open.commit(next)?;
                    masker.broken(&broken)?;
                }
            }
            Flow::End(scored) => {
                if let Some(mut open) = current.take() {
                    masker.take(scored, &mut open)?;
                    masker.end(open)?;
                }
            }
        }
        busy += start.elapsed();
        Ok(true)
    })?;
    Ok(Masked {
        reasons: masker.rejected.most_common(),
        sample: masker.sample,
        busy,
    })
}

struct Masker<'a> {
    work: &'a Work<'a>,
    group: &'a Group,
    /// Documents of the open scope, without masks.
    gathered: Vec<MemberRow>,
    rejected: Rejected<'a>,
    sample: Option<Document>,
}

impl Masker<'_> {
    /// Takes the scores of a read-ahead block. Returns the shards that ended early in it.
    fn take(&mut self, scored: Scored, open: &mut Open<'_>) -> anyhow::Result<Vec<Broken>> {
        let rows = scored.documents.len() + scored.rejected.len();
        self.rejected.look_ahead(rows, &scored.rejected)?;
        for rejection in &scored.rejected {
            open.reject(rejection)?;
            match is_untargeted(rejection) {
                true => open.counts().untargeted += 1,
                false => open.counts().rejected += 1,
            }
        }
        self.work.progress.rejected(scored.rejected.len());
        let counts = open.counts();
        counts.rows += rows as u64;
        counts.batches += scored.cost.batches;
        counts.batch_tokens += scored.cost.tokens;
        counts.padding += scored.cost.padding;
        let shard = |member: usize| &self.work.shards[self.group.members.start + member].name;
        let mut broken = Vec::new();
        for early in scored.broken {
            broken.push(Broken {
                shard: shard(early.member).clone(),
                row: early.row,
                reason: early.reason,
            });
        }
        for broken in &broken {
            open.broken(broken)?;
        }
        let (mut member, mut name): (usize, Arc<str>) = (0, shard(0).as_str().into());
        let mut rows = Vec::with_capacity(scored.documents.len());
        for document in scored.documents {
            if document.document.member != member {
                member = document.document.member;
                name = shard(member).as_str().into();
            }
            rows.push(row(&name, document, self.work.plan.score_context));
        }
        for document in rows {
            if !scored.ends_scope {
                open.keep(&document)?;
            }
            self.gathered.push(document);
            if self.work.plan.scope == Scope::Document {
                self.close_scope(open)?;
            }
        }
        if scored.ends_scope {
            self.close_scope(open)?;
            open.end_scope();
        }
        Ok(broken)
    }

    /// Handles shards that ended early; an error with --strict.
    fn broken(&mut self, broken: &[Broken]) -> anyhow::Result<()> {
        for Broken { shard, row, reason } in broken {
            self.rejected.broken(shard, *row, reason)?;
        }
        Ok(())
    }

    fn end(&mut self, open: Open<'_>) -> anyhow::Result<()> {
        let broken = open.complete()?;
        self.broken(&broken)?;
        let (group, progress) = (self.group, self.work.progress);
        if !group.is_gathered() {
            let early = broken.first().map(|broken| broken.reason.as_str());
            progress.shard_done(&group.name, early);
            return Ok(());
        }
        for Broken { shard, reason, .. } in &broken {
            progress.shard_done(shard, Some(reason));
        }
        let whole = group.members.len() - broken.len();
        if whole > 0 {
            progress.group_done(&group.name, whole);
        }
        Ok(())
    }

    /// Ranks the gathered documents as one scope and writes them.
    fn close_scope(&mut self, open: &mut Open<'_>) -> anyhow::Result<()> {
        let rows = std::mem::take(&mut self.gathered);
        let (rows, counted) = marked(self.work.plan, rows)?;
        open.counts().scope(&rows, &counted);
        let names = self.work.plan.rule.masks();
        for MemberRow { shard, document } in rows {
            if self.sample.is_none()
                && document.input_ids.len() > 1
                && let (Some(name), Some(kept)) = (names.last(), document.masks.last())
            {
                self.sample = Some(Document {
                    id: document.id.clone(),
                    tokens: document.input_ids.clone(),
                    masks: vec![(name.clone(), kept.clone())],
                    ..Document::default()
                });
            }
            open.write(&shard, &document)?;
        }
        Ok(())
    }
}

/// Ranks documents as one scope: fills in their masks and weights.
pub(super) fn marked(
    plan: &Plan,
    mut rows: Vec<MemberRow>,
) -> anyhow::Result<(Vec<MemberRow>, Selected)> {
    let gathered = Gathered {
        columns: &plan.scores,
        have_source: plan.source_field.is_some(),
        rows: &rows,
    };
    let (MarkedTokens { masks, weights }, counted) = mark::in_scope(&plan.rule, &gathered)?;
    let ranges: Vec<Range<usize>> = gathered.documents().collect();
    for (MemberRow { document, .. }, range) in rows.iter_mut().zip(ranges) {
        document.masks = masks.iter().map(|m| m[range.clone()].to_vec()).collect();
        document.weights = weights.iter().map(|w| w[range.clone()].to_vec()).collect();
    }
    Ok((rows, counted))
}

/// Documents of one group with their scores.
struct Gathered<'a> {
    columns: &'a [String],
    /// Whether the masks have a column of sources.
    have_source: bool,
    rows: &'a [MemberRow],
}

impl Documents for Gathered<'_> {
    fn documents(&self) -> impl Iterator<Item = Range<usize>> {
        self.rows.iter().scan(0, |at, row| {
            let begin = *at;
            *at += row.document.input_ids.len();
            Some(begin..*at)
        })
    }

    fn scores(&self, column: &str, scores: &mut Vec<f32>) -> bool {
        let Some(column) = self.columns.iter().position(|name| name == column) else {
            return false;
        };
        for MemberRow { document, .. } in self.rows {
            scores.extend(of_targets(document, column));
        }
        true
    }

    fn context(&self) -> usize {
        let targets = self
            .rows
            .iter()
            .filter_map(|row| row.document.target.as_ref());
        targets.flatten().filter(|target| !**target).count()
    }

    fn shard(&self, document: usize) -> &str {
        &self.rows[document].shard
    }

    fn source(&self, document: usize) -> Option<&str> {
        match self.have_source {
            true => self.rows[document].document.source.as_deref(),
            false => Some(&self.rows[document].shard),
        }
    }

    fn token_hash_and_row(&self, document: usize) -> (i64, i64) {
        let row = &self.rows[document].document;
        (token_hash(&row.input_ids), row.row)
    }
}

/// The scores of a document in a column; NaN if a token has none or is context.
pub(super) fn of_targets(document: &MaskRow, column: usize) -> impl Iterator<Item = f32> {
    let scores = document.scores[column].iter().enumerate();
    scores.map(|(i, &score)| match &document.target {
        Some(target) if !target[i] => f32::NAN,
        _ => score,
    })
}

/// A scored document as a row of the masks, without masks.
pub(super) fn row(shard: &Arc<str>, scored: ScoredDocument, score_context: bool) -> MemberRow {
    let ScoredDocument {
        document,
        mut scores,
        mut top,
    } = scored;
    if let (false, Some(target)) = (score_context, &document.target) {
        for scores in &mut scores {
            let all = scores.iter_mut().zip(target);
            all.filter(|(_, target)| !**target)
                .for_each(|(score, _)| *score = f32::NAN);
        }
        if let Some(top) = &mut top {
            let count = top.ids.len() / target.len().max(1);
            let ids = top.ids.chunks_mut(count.max(1));
            let all = ids.zip(top.logprobs.chunks_mut(count.max(1))).zip(target);
            for ((ids, logprobs), _) in all.filter(|(_, target)| !**target) {
                ids.fill(0);
                logprobs.fill(f32::NAN);
            }
        }
    }
    let document = MaskRow {
        id: document.id,
        row: document.row,
        input_ids: document.tokens,
        target: document.target,
        scores,
        top,
        masks: Vec::new(),
        weights: Vec::new(),
        text: document.text,
        source: document.source,
    };
    MemberRow {
        shard: Arc::clone(shard),
        document,
    }
}
