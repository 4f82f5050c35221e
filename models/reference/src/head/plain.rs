//! The naive head in f64, which every faster version must agree with.

use rho_graph::{GraphError, Head, Layout, Step};

/// Loss and entropy, in nats, of rows of hidden states.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowScores {
    /// `-ln p[target]`, one per row.
    pub loss: Vec<f32>,
    /// `-sum p ln p`, one per row.
    pub entropy: Vec<f32>,
}

/// Loss and entropy of one row of logits.
pub fn of_logits(logits: &[f32], target: usize) -> (f32, f32) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
    let (mut sum, mut weighted) = (0.0f64, 0.0f64);
    for &logit in logits {
        let shifted = f64::from(logit) - max;
        let e = shifted.exp();
        sum += e;
        // A logit of minus infinity has probability 0 and adds nothing; NaN must stay NaN.
        if e != 0.0 {
            weighted += e * shifted;
        }
    }
    let log_sum = sum.ln();
    (
        (log_sum - (f64::from(logits[target]) - max)) as f32,
        (log_sum - weighted / sum) as f32,
    )
}

/// Scores `targets.len()` rows of `hidden` (`[rows, hidden_size]`), a full row of logits at a time.
///
/// # Errors
/// If the head's weights cannot be read as floats.
pub fn score(head: &Head, hidden: &[f32], targets: &[u32]) -> Result<RowScores, GraphError> {
    let weights = head.weights.to_f32()?;
    let mut scores = RowScores::default();
    for (x, &target) in hidden.chunks_exact(head.hidden).zip(targets) {
        let logits: Vec<f32> = (0..head.vocabulary)
            .map(|v| logit(head, &weights, x, v) as f32)
            .collect();
        let (loss, entropy) = of_logits(&logits, target as usize);
        scores.loss.push(loss);
        scores.entropy.push(entropy);
    }
    Ok(scores)
}

fn logit(head: &Head, weights: &[f32], x: &[f32], v: usize) -> f64 {
    let weight = |k: usize| match head.layout {
        Layout::HiddenFirst => weights[k * head.vocabulary + v],
        Layout::VocabularyFirst => weights[v * head.hidden + k],
    };
    let product = x
        .iter()
        .enumerate()
        .map(|(k, &x)| f64::from(x) * f64::from(weight(k)))
        .sum();
    head.steps.iter().fold(product, |z: f64, step| match step {
        Step::Scale(by) => z * f64::from(*by),
        Step::Shift(by) => z + f64::from(*by),
        Step::Bias(bias) => z + f64::from(bias[v]),
        Step::Tanh => z.tanh(),
    })
}
