//! Gradients of every parameter of every family: the fused network compared with candle's autograd in f64, and that
//! with finite differences.

use rho_selection::KeepRatio;
use rho_trainer::{Batch, Objective, StepOptions, compute_gradient};

use crate::support::{Random, assert_gradients, batch, checkpoint, families, fused, plain};

/// Relative to the norm of each parameter's gradient: f32 sums compared with f64.
const TOLERANCE: f64 = 2e-5;

fn batches(random: &mut Random) -> Vec<Batch> {
    vec![batch(3, 40, 83, random), batch(1, 64, 83, random)]
}

fn objectives() -> Vec<Objective> {
    let keep = KeepRatio::new(0.6).unwrap();
    vec![
        Objective::Slm { keep },
        Objective::Clm,
        Objective::Random { keep, seed: 5 },
        Objective::Static,
        Objective::Weighted,
        Objective::Hard { keep },
        Objective::Easy { keep },
    ]
}

#[test]
fn the_fused_network_agrees_with_autograd() {
    for (name, json) in families() {
        let checkpoint = checkpoint(&json, 11);
        let batches = batches(&mut Random(3));
        for objective in objectives() {
            let mut options = StepOptions::new(objective);
            options.mix_clm = 0.1;
            let what = format!("{name}, {objective:?}");
            let (mut fused, mut plain) = (fused(&checkpoint), plain(&checkpoint));
            let got = compute_gradient(&mut fused, &batches, &options, 7).unwrap();
            let expected = compute_gradient(&mut plain, &batches, &options, 7).unwrap();
            let kept = |report: &rho_trainer::StepReport| {
                report
                    .targets
                    .iter()
                    .flatten()
                    .map(|(_, kept, _)| *kept)
                    .collect::<Vec<_>>()
            };
            assert_eq!(kept(&got), kept(&expected), "{what}");
            assert!((got.loss - expected.loss).abs() < 1e-5, "{what}");
            let gradients = plain.gradients().unwrap();
            assert_gradients(
                &what,
                &fused,
                &fused.gradients().unwrap(),
                &gradients,
                TOLERANCE,
            );
        }
    }
}

/// `(f(x + h) - f(x - h)) / 2 h` along random directions in each parameter, in f64: errors of h² and of rounding
/// divided by h.
#[test]
fn autograd_agrees_with_finite_differences() {
    const STEP: f64 = 1e-3;
    const DIFFERENCE_TOLERANCE: f64 = 2e-3;
    for (name, json) in families() {
        let checkpoint = checkpoint(&json, 12);
        let mut random = Random(4);
        let batches = [batch(2, 24, 83, &mut random)];
        let options = StepOptions::new(Objective::Weighted);
        let mut network = plain(&checkpoint);
        compute_gradient(&mut network, &batches, &options, 0).unwrap();
        let gradients = network.gradients().unwrap();
        for (i, gradient) in gradients.iter().enumerate() {
            let direction: Vec<f64> = gradient
                .iter()
                .map(|g| {
                    if *g >= 0.0 {
                        f64::from(random.unit())
                    } else {
                        -f64::from(random.unit())
                    }
                })
                .collect();
            let moved = |by: f64| {
                let mut moved = checkpoint.clone();
                let size = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
                let numbers = moved.weights[i].iter_mut().zip(&direction);
                // The actual step is the step after rounding to f32.
                let stepped: Vec<f64> = numbers
                    .map(|(w, d)| {
                        let before = *w;
                        *w = (f64::from(*w) + by * d / size) as f32;
                        f64::from(*w) - f64::from(before)
                    })
                    .collect();
                let mut network = plain(&moved);
                let loss = compute_gradient(&mut network, &batches, &options, 0)
                    .unwrap()
                    .loss;
                (loss, stepped)
            };
            let ((up, ahead), (down, back)) = (moved(STEP), moved(-STEP));
            let expected = up - down;
            let along = ahead.iter().zip(&back).zip(gradient);
            let got: f64 = along.map(|((a, b), g)| (a - b) * g).sum();
            assert!(
                (got - expected).abs() <= DIFFERENCE_TOLERANCE * expected.abs() + 1e-7,
                "{name}, {}: {got} {expected}",
                network.architecture().parameters[i].name
            );
        }
    }
}
