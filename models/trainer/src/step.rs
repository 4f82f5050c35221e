//! The gradient of one optimiser step: forward, selection over the global batch, backward of the kept targets.
//!
//! ```text
//! one micro-batch:          forward ─► losses of all targets ─► selection ─► backward, the head for kept rows only
//! several that fit:         forward of each, kept ─► losses ─► selection ─► backward of each
//! several that do not fit:  forward of each, freed ─► losses ─► selection ─► forward and backward of each
//! ```
//!
//! The selection is exact in all three cases: over all micro-batches as if they were one. The third case computes the
//! body's forward pass twice, about a third more work. It applies if the activations of all micro-batches exceed
//! [`StepOptions::activation_bytes`]. Objectives that do not rank own losses never need it: they run backward
//! directly after each forward pass.

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
    /// The weight of the plain loss that is added; usually 0.
    pub mix_clm: f64,
    /// Most bytes of a global batch's activations to keep between ranking and backward.
    pub activation_bytes: usize,
}

impl StepOptions {
    /// Only this objective, with 4 GiB for activations.
    pub fn new(objective: Objective) -> Self {
        Self {
            objective,
            mix_clm: 0.0,
            activation_bytes: 4 << 30,
        }
    }
}

/// Mean losses over some targets, in nats; NaN if there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MeanLoss {
    /// Number of targets.
    pub targets: u64,
    /// The model's mean loss.
    pub own: f64,
    /// The reference's mean loss, over the targets that it scored.
    pub reference: f64,
}

/// The losses and the selection of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The loss that was differentiated: eq. 4, or its weighted or mixed form.
    pub loss: f64,
    /// Tokens in the batch, without padding and documents of one token.
    pub tokens_seen: u64,
    /// Means over all targets.
    pub all: MeanLoss,
    /// Means over the targets trained on.
    pub kept: MeanLoss,
    /// Means over the other targets.
    pub dropped: MeanLoss,
    /// For each micro-batch its targets, whether each was kept, and its own loss, to compare with an earlier epoch.
    pub targets: Vec<Vec<(Target, bool, f32)>>,
}

/// Adds the gradient of a global batch to the network's gradients, where the optimiser reads them. `step` counts from
/// 0 and seeds random selection.
///
/// # Errors
/// If a batch does not fit the model or the objective, `mix_clm` is negative or not finite, a loss is not finite, or an
/// operation of candle fails. The gradients are then zero.
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

/// For objectives that rank own losses: computes all losses first.
fn ranked(
    network: &mut Network,
    batches: &[Batch],
    targets: &[Vec<Target>],
    options: &StepOptions,
    step: u64,
) -> Result<(Vec<RowLoss>, Selected)> {
    let tokens = batches.iter().map(Batch::tokens).sum();
    let fits = network.kept_bytes(tokens);
    // If the size is unknown, only a single micro-batch is kept: the caller has made sure that one fits.
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

/// For objectives that do not read own losses: one micro-batch after another.
fn chosen(
    network: &mut Network,
    batches: &[Batch],
    targets: &[Vec<Target>],
    options: &StepOptions,
    step: u64,
) -> Result<(Vec<RowLoss>, Selected)> {
    let count = targets.iter().map(Vec::len).sum();
    // These objectives read no losses.
    let unknown = vec![RowLoss::default(); count];
    let selected = select(batches, targets, &unknown, options, step)?;
    let mut losses = Vec::with_capacity(count);
    for (batch, targets) in batches.iter().zip(targets) {
        let range = losses.len()..losses.len() + targets.len();
        let forward = network.forward(batch, true)?;
        // All targets: those not trained on are reported too.
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

/// Refuses a loss that is not finite: it would be ranked as unscored, or spread to every weight.
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

/// Runs backward for the rows with a weight.
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

/// Number of tokens that are not padding. The first token of a document differs from padding only by a token that
/// follows it in the document. So documents of one token are not counted; nothing can be learned from them.
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
