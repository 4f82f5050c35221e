//! Invariants of any model and batch: threads, gradient checkpointing, packing and micro-batches change nothing.

use candle_core::{DType, Device};
use rho_selection::KeepRatio;
use rho_trainer::{
    Batch, Network, Objective, Optimiser, StepOptions, StepReport, Target, compute_gradient,
    network::WeightedRow,
    optimiser::{AdamW, Decay, Schedule},
};

use crate::support::{Random, assert_gradients, batch, checkpoint, families, fused, plain};

fn slm() -> StepOptions {
    StepOptions::new(Objective::Slm {
        keep: KeepRatio::new(0.6).unwrap(),
    })
}

fn step(
    network: &mut Network,
    batches: &[Batch],
    options: &StepOptions,
) -> (StepReport, Vec<Vec<u64>>) {
    let report = compute_gradient(network, batches, options, 0).unwrap();
    let bits = |numbers: Vec<f64>| numbers.into_iter().map(f64::to_bits).collect();
    let gradients = network.gradients().unwrap().into_iter().map(bits).collect();
    (report, gradients)
}

#[test]
fn threads_change_no_bit() {
    for (name, json) in families() {
        let checkpoint = checkpoint(&json, 21);
        let batches = [
            batch(3, 64, 83, &mut Random(8)),
            batch(2, 64, 83, &mut Random(9)),
        ];
        let answers = [1, 2, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| step(&mut fused(&checkpoint), &batches, &slm()))
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{name}");
    }
}

#[test]
fn gradient_checkpointing_changes_nothing() {
    for (name, json) in families() {
        let checkpoint = checkpoint(&json, 22);
        let batches = [batch(2, 50, 83, &mut Random(10))];
        let (mut all, mut some) = (fused(&checkpoint), fused(&checkpoint));
        some.set_checkpointing(true);
        assert!(some.kept_bytes(100) < all.kept_bytes(100));
        assert_eq!(
            step(&mut all, &batches, &slm()),
            step(&mut some, &batches, &slm()),
            "{name}"
        );
        let (mut all, mut some) = (plain(&checkpoint), plain(&checkpoint));
        some.set_checkpointing(true);
        step(&mut all, &batches, &slm());
        step(&mut some, &batches, &slm());
        let gradients = all.gradients().unwrap();
        assert_gradients(name, &some, &some.gradients().unwrap(), &gradients, 1e-12);
    }
}

/// Documents packed together, and each in its own row.
#[test]
fn packing_changes_no_loss_and_no_gradient() {
    for (name, json) in families() {
        let checkpoint = checkpoint(&json, 23);
        let mut random = Random(11);
        let documents: Vec<Vec<u32>> = [7, 1, 30, 13, 2]
            .iter()
            .map(|&n| (0..n).map(|_| random.below(83)).collect())
            .collect();
        let packed = Batch::from_documents(60, std::slice::from_ref(&documents));
        let alone: Vec<Vec<Vec<u32>>> = documents
            .into_iter()
            .map(|document| vec![document])
            .collect();
        let alone = Batch::from_documents(30, &alone);
        let options = StepOptions::new(Objective::Clm);
        for make in [fused, plain] {
            let (mut first, mut second) = (make(&checkpoint), make(&checkpoint));
            let (one, _) = step(&mut first, std::slice::from_ref(&packed), &options);
            let (other, _) = step(&mut second, std::slice::from_ref(&alone), &options);
            assert_eq!(one.tokens_seen, other.tokens_seen);
            let losses = |report: &StepReport| {
                report
                    .targets
                    .iter()
                    .flatten()
                    .map(|t| t.2)
                    .collect::<Vec<_>>()
            };
            assert_eq!(losses(&one).len(), losses(&other).len());
            for (a, b) in losses(&one).iter().zip(losses(&other)) {
                assert!((a - b).abs() < 2e-5, "{name}: {a} {b}");
            }
            let expected = second.gradients().unwrap();
            assert_gradients(name, &first, &first.gradients().unwrap(), &expected, 2e-5);
        }
    }
}

/// A batch larger than one tile and one block: several panels of keys, several blocks of rows.
#[test]
fn long_rows_agree_with_autograd() {
    let json = r#"{"model_type":"llama","vocab_size":1100,"hidden_size":96,"intermediate_size":72,"num_hidden_layers":1,
        "num_attention_heads":3,"num_key_value_heads":1,"head_dim":40,"max_position_embeddings":512,"initializer_range":0.1}"#;
    let checkpoint = checkpoint(json, 24);
    let mut random = Random(12);
    let mut batches = vec![
        batch(2, 500, 1100, &mut random),
        batch(3, 333, 1100, &mut random),
    ];
    // One document per row.
    batches[0].document_starts = (0..1000).map(|_| 0).collect();
    let (mut fused, mut plain) = (fused(&checkpoint), plain(&checkpoint));
    let got = compute_gradient(&mut fused, &batches, &slm(), 0).unwrap();
    let expected = compute_gradient(&mut plain, &batches, &slm(), 0).unwrap();
    assert!((got.loss - expected.loss).abs() < 1e-5);
    let gradients = plain.gradients().unwrap();
    assert_gradients(
        "long rows",
        &fused,
        &fused.gradients().unwrap(),
        &gradients,
        3e-5,
    );
}

/// A weight that is NaN stops the step before anything is ranked.
#[test]
fn not_a_number_is_an_error() {
    for (_, json) in families() {
        let mut checkpoint = checkpoint(&json, 25);
        checkpoint.weights[3][1] = f32::NAN;
        let batches = [batch(1, 20, 83, &mut Random(13))];
        let error = compute_gradient(&mut fused(&checkpoint), &batches, &slm(), 4)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "step 4: the loss is NaN: nothing was updated");
    }
}

/// A failed step must leave no gradients for the next step.
#[test]
fn a_failed_step_leaves_no_gradient() {
    let (_, json) = &families()[0];
    let mut checkpoint = checkpoint(json, 26);
    // Only documents with token 82 use it.
    checkpoint.weights[0][82 * 24] = f32::NAN;
    let mut network = fused(&checkpoint);
    let row = |token| Batch::from_documents(4, &[vec![vec![1, token, 2, 3]]]);
    let options = StepOptions::new(Objective::Clm);
    let batches = [row(5), row(82)];
    assert!(compute_gradient(&mut network, &batches[..1], &options, 0).is_ok());
    assert!(
        network
            .gradients()
            .unwrap()
            .iter()
            .flatten()
            .any(|g| *g != 0.0)
    );
    assert!(compute_gradient(&mut network, &batches, &options, 0).is_err());
    assert!(
        network
            .gradients()
            .unwrap()
            .iter()
            .flatten()
            .all(|g| *g == 0.0)
    );
}

/// Ten steps on one batch, on both networks: the loss falls equally, and enough to show learning.
#[test]
fn both_networks_learn_alike() {
    for (name, json) in families() {
        let checkpoint = checkpoint(&json, 27);
        let batches = [batch(2, 40, 83, &mut Random(16))];
        let losses = [fused, plain].map(|make| {
            let mut network = make(&checkpoint);
            let mut optimiser = Optimiser::new(&mut network, AdamW::default()).unwrap();
            let schedule = Schedule {
                peak: 2e-2,
                floor: 0.1,
                warmup_steps: 2,
                steps: 10,
                decay: Decay::Cosine,
            };
            let losses = (0..10).map(|step| {
                let report = compute_gradient(&mut network, &batches, &slm(), step).unwrap();
                optimiser.step(&mut network, schedule.rate(step)).unwrap();
                report.all.own
            });
            losses.collect::<Vec<f64>>()
        });
        for (a, b) in losses[0].iter().zip(&losses[1]) {
            assert!((a - b).abs() < 1e-2 * b, "{name}: {losses:?}");
        }
        assert!(losses[0][9] < 0.75 * losses[0][0], "{name}: {losses:?}");
    }
}

/// The CUDA setup, run on the CPU: matmuls in bf16, weights and gradients in f32. Eight bits of mantissa leave errors
/// of a few per cent.
#[test]
fn bf16_is_near() {
    for (name, json) in families() {
        let checkpoint = checkpoint(&json, 28);
        let batches = [batch(2, 40, 83, &mut Random(17))];
        let options = StepOptions::new(Objective::Static);
        let mut exact = plain(&checkpoint);
        let mut short = Network::plain(checkpoint, &Device::Cpu, DType::BF16).unwrap();
        short.set_checkpointing(true);
        let expected = compute_gradient(&mut exact, &batches, &options, 0).unwrap();
        let got = compute_gradient(&mut short, &batches, &options, 0).unwrap();
        assert!(
            (got.loss - expected.loss).abs() < 0.03 * expected.loss,
            "{name}: {} {}",
            got.loss,
            expected.loss
        );
        let gradients = exact.gradients().unwrap();
        assert_gradients(name, &short, &short.gradients().unwrap(), &gradients, 0.15);
        let mut optimiser = Optimiser::new(&mut short, AdamW::default()).unwrap();
        optimiser.step(&mut short, 1e-3).unwrap();
    }
}

/// Rows that would silently give a wrong gradient are refused.
#[test]
fn rows_that_do_not_fit_are_refused() {
    let (_, json) = &families()[0];
    let checkpoint = checkpoint(json, 29);
    let batch = Batch::from_documents(6, &[vec![vec![1, 2, 3, 4, 5, 6]]]);
    let rows: Vec<WeightedRow> = batch
        .targets()
        .into_iter()
        .map(|target| WeightedRow {
            target,
            weight: 0.2,
        })
        .collect();
    for make in [fused, plain] {
        let mut network = make(&checkpoint);
        let losses = {
            let forward = network.forward(&batch, false).unwrap();
            let losses = network.losses(&forward, &rows).unwrap();
            let error = network
                .backward(forward, &rows, &losses)
                .unwrap_err()
                .to_string();
            assert!(error.contains("losses alone"), "{error}");
            losses
        };
        let twice = [rows[1], rows[1]];
        let turned = [rows[2], rows[1]];
        for wrong in [twice, turned] {
            let forward = network.forward(&batch, true).unwrap();
            assert!(network.backward(forward, &wrong, &losses[..2]).is_err());
        }
        let forward = network.forward(&batch, true).unwrap();
        let mut beyond = rows.clone();
        beyond[0].target.token = 83;
        assert!(network.losses(&forward, &beyond).is_err());
        beyond[0].target = Target {
            place: 6,
            state: 6,
            token: 1,
        };
        assert!(network.losses(&forward, &beyond).is_err());
        network.backward(forward, &rows, &losses).unwrap();
    }
}
