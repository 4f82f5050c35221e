//! One optimiser step's gradient: forward, selection over the global batch, backward of what is kept.
//!
//! ```text
//! one micro-batch:       forward ─► losses of all targets ─► selection ─► backward, the head for kept rows alone
//! several, that fit:     forward of each, kept ─► losses ─► selection ─► backward of each
//! several, that do not:  forward of each, let go ─► losses ─► selection ─► forward and backward of each
//! ```
//!
//! The selection is exact in all three: over all micro-batches as if they were one. The third way computes the body's
//! forward pass and the head's losses twice, about a third more work; it is taken where the activations of all
//! micro-batches exceed [`StepOptions::activation_bytes`], and not by objectives that do not look at own losses: their
//! gradients follow each forward pass at once.

use crate::{
    Batch, Network, Objective, Result, Target, TrainerError,
    network::{Forward, RowLoss, WeightedRow},
    objective::{Candidates, Selected},
};

/// How a step is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepOptions {
    /// What is trained on.
    pub objective: Objective,
    /// The weight of the plain loss beside it; usually 0.
    pub mix_clm: f64,
    /// Activations of a global batch are kept between ranking and backward up to so many bytes.
    pub activation_bytes: usize,
}

impl StepOptions {
    /// An objective alone, with 4 GiB for activations.
    pub fn new(objective: Objective) -> Self {
        Self {
            objective,
            mix_clm: 0.0,
            activation_bytes: 4 << 30,
        }
    }
}

/// Mean losses over some targets, in nats; NaN where there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MeanLoss {
    /// How many targets.
    pub targets: u64,
    /// Of the model.
    pub own: f64,
    /// Of the reference, over those that it scored.
    pub reference: f64,
}

/// What a step saw.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The loss that was differentiated: eq. 4, or its weighted or mixed form.
    pub loss: f64,
    /// All tokens but padding that stood in the batch.
    pub tokens_seen: u64,
    /// Over all targets.
    pub all: MeanLoss,
    /// Over those trained on.
    pub kept: MeanLoss,
    /// Over the others.
    pub dropped: MeanLoss,
    /// For each micro-batch its targets, whether each was kept, and its own loss: what a comparison with an earlier epoch
    /// needs.
    pub targets: Vec<Vec<(Target, bool, f32)>>,
}

/// Adds the gradient of a global batch to the network's gradients; the optimiser takes them from there. `step` counts from
/// 0 and seeds what is chosen by chance. Where it fails, the gradients are zero.
pub fn compute_gradient(
    network: &mut Network,
    batches: &[Batch],
    options: &StepOptions,
    step: u64,
) -> Result<StepReport> {
    let result = global_batch(network, batches, options, step);
    if result.is_err() {
        network.clear_gradients();
    }
    result
}

fn global_batch(
    network: &mut Network,
    batches: &[Batch],
    options: &StepOptions,
    step: u64,
) -> Result<StepReport> {
    let config = &network.architecture().config;
    for batch in batches {
        batch.check(config.vocabulary, config.positions)?;
        options.objective.check(batch)?;
    }
    if !(options.mix_clm.is_finite() && options.mix_clm >= 0.0) {
        return Err(TrainerError::Setting {
            setting: "mix_clm",
            expected: "a number of at least 0",
            got: options.mix_clm,
        });
    }
    let targets: Vec<Vec<Target>> = batches.iter().map(Batch::targets).collect();
    let (losses, selected) = if options.objective.ranks_own_losses() {
        ranked(network, batches, &targets, options, step)?
    } else {
        chosen(network, batches, &targets, options, step)?
    };
    Ok(report(batches, targets, &losses, selected))
}

/// Objectives that rank own losses: all of them first.
fn ranked(
    network: &mut Network,
    batches: &[Batch],
    targets: &[Vec<Target>],
    options: &StepOptions,
    step: u64,
) -> Result<(Vec<RowLoss>, Selected)> {
    let tokens = batches.iter().map(Batch::tokens).sum();
    let fits = network.kept_bytes(tokens);
    // Where the size is not known, one micro-batch at a time is what the caller has made sure of.
    let keep = batches.len() == 1 || fits.is_some_and(|bytes| bytes <= options.activation_bytes);
    let mut losses = Vec::new();
    let mut waiting: Vec<Option<Forward>> = Vec::new();
    for (batch, targets) in batches.iter().zip(targets) {
        let forward = network.forward(batch, keep)?;
        losses.extend(network.losses(&forward, &rows(targets, None))?);
        if keep {
            waiting.push(Some(forward));
        } else {
            network.release(forward);
            waiting.push(None);
        }
    }
    let selected = select(batches, targets, &losses, options, step)?;
    let mut from = 0;
    for ((batch, targets), forward) in batches.iter().zip(targets).zip(waiting) {
        let range = from..from + targets.len();
        from = range.end;
        let forward = match forward {
            Some(forward) => forward,
            None => network.forward(batch, true)?,
        };
        let weights = &selected.weights[range.clone()];
        backward(network, forward, targets, weights, &losses[range])?;
    }
    Ok((losses, selected))
}

/// Objectives that know beforehand: one micro-batch after another.
fn chosen(
    network: &mut Network,
    batches: &[Batch],
    targets: &[Vec<Target>],
    options: &StepOptions,
    step: u64,
) -> Result<(Vec<RowLoss>, Selected)> {
    let count = targets.iter().map(Vec::len).sum();
    // Their choice reads no losses.
    let unknown = vec![RowLoss::default(); count];
    let selected = select(batches, targets, &unknown, options, step)?;
    let mut losses = Vec::with_capacity(count);
    for (batch, targets) in batches.iter().zip(targets) {
        let range = losses.len()..losses.len() + targets.len();
        let forward = network.forward(batch, true)?;
        // Of all targets: what is not trained on is reported too.
        let own = network.losses(&forward, &rows(targets, None))?;
        check(&own, step)?;
        backward(network, forward, targets, &selected.weights[range], &own)?;
        losses.extend(own);
    }
    Ok((losses, selected))
}

fn select(
    batches: &[Batch],
    targets: &[Vec<Target>],
    losses: &[RowLoss],
    options: &StepOptions,
    step: u64,
) -> Result<Selected> {
    check(losses, step)?;
    let own: Vec<f32> = losses.iter().map(|row| row.loss).collect();
    let candidates = Candidates {
        batches,
        targets,
        losses: &own,
    };
    Ok(options.objective.select(&candidates, options.mix_clm, step))
}

/// A loss that is no number would be ranked as unscored, or spread to every weight.
fn check(losses: &[RowLoss], step: u64) -> Result<()> {
    match losses.iter().find(|row| !row.loss.is_finite()) {
        Some(row) => Err(TrainerError::NotFinite {
            step,
            what: "loss",
            got: f64::from(row.loss),
        }),
        None => Ok(()),
    }
}

/// Backward of the rows that have a weight.
fn backward(
    network: &mut Network,
    forward: Forward,
    targets: &[Target],
    weights: &[f32],
    losses: &[RowLoss],
) -> Result<()> {
    let all = rows(targets, Some(weights)).into_iter().zip(losses);
    let (rows, losses): (Vec<_>, Vec<_>) = all.filter(|(row, _)| row.weight != 0.0).unzip();
    network.backward(forward, &rows, &losses)
}

fn rows(targets: &[Target], weights: Option<&[f32]>) -> Vec<WeightedRow> {
    let row = |(i, &target)| WeightedRow {
        target,
        weight: weights.map_or(1.0, |weights| weights[i]),
    };
    targets.iter().enumerate().map(row).collect()
}

fn report(
    batches: &[Batch],
    targets: Vec<Vec<Target>>,
    losses: &[RowLoss],
    selected: Selected,
) -> StepReport {
    let mut sums = [Sum::default(); 3];
    let mut loss = 0.0;
    let mut next = losses.iter().zip(selected.kept).zip(selected.weights);
    let mut reported = Vec::with_capacity(batches.len());
    for (batch, targets) in batches.iter().zip(targets) {
        let rows = targets.into_iter().zip(&mut next);
        let rows = rows.map(|(target, ((own, kept), weight))| {
            loss += f64::from(own.loss) * f64::from(weight);
            let reference = batch.reference_loss.get(target.place).copied();
            for sum in [0, if kept { 1 } else { 2 }] {
                sums[sum].add(own.loss, reference);
            }
            (target, kept, own.loss)
        });
        reported.push(rows.collect());
    }
    StepReport {
        loss,
        tokens_seen: batches.iter().map(seen).sum(),
        all: sums[0].mean(),
        kept: sums[1].mean(),
        dropped: sums[2].mean(),
        targets: reported,
    }
}

/// Tokens that are no padding: a token that begins a document is told from padding by a token that follows it there, so
/// that documents of one token are not counted; nothing can be learned from them.
fn seen(batch: &Batch) -> u64 {
    let starts = &batch.document_starts;
    let belongs = |place: usize| {
        let start = starts[place];
        let index = (place % batch.length) as u32;
        let next = place + 1;
        index > start || (!next.is_multiple_of(batch.length) && starts[next] == start)
    };
    (0..batch.tokens()).filter(|&place| belongs(place)).count() as u64
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    targets: u64,
    own: f64,
    scored: u64,
    reference: f64,
}

impl Sum {
    fn add(&mut self, own: f32, reference: Option<f32>) {
        self.targets += 1;
        self.own += f64::from(own);
        if let Some(reference) = reference.filter(|r| !r.is_nan()) {
            self.scored += 1;
            self.reference += f64::from(reference);
        }
    }

    fn mean(self) -> MeanLoss {
        MeanLoss {
            targets: self.targets,
            own: self.own / self.targets as f64,
            reference: self.reference / self.scored as f64,
        }
    }
}
