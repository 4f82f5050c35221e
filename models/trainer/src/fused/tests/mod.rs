//! Each operation by itself: compared with PyTorch in float64 (`recorded.json`, written by `recorded.py`), and each
//! gradient with finite differences of its own forward pass. On all instruction sets of this CPU.

use std::collections::HashMap;

use rho_kernels::{Instructions, matrix::Store};
use serde::Deserialize;

use super::{activation, attention, cross_entropy, linear, norm, rotary::Angles};
use crate::{
    Target,
    model::{Linear, Norm, Part},
    network::WeightedRow,
};

/// f32 compared with f64, sums of up to 41 terms of magnitude 10.
const TOLERANCE: f64 = 1e-5;

/// A central difference in f32: errors of the step squared, and of rounding divided by the step.
const DIFFERENCE_TOLERANCE: f64 = 3e-3;
const DIFFERENCE_STEP: f32 = 1e-2;

#[derive(Deserialize)]
struct Recorded {
    #[serde(rename = "in")]
    inputs: Vec<Vec<f64>>,
    d_out: Vec<f64>,
    out: Vec<f64>,
    d_in: Vec<Vec<f64>>,
}

type Forward<'a> = &'a dyn Fn(&[Vec<f32>]) -> Vec<f32>;
type Backward<'a> = &'a dyn Fn(&[Vec<f32>], &[f32]) -> Vec<Vec<f32>>;

/// An operation: from inputs to its output, and from inputs and the output's gradient to the inputs' gradients.
struct Operation<'a> {
    name: &'a str,
    forward: Forward<'a>,
    backward: Backward<'a>,
}

impl Operation<'_> {
    fn check(&self, instructions: Instructions) {
        let name = self.name;
        let all: HashMap<String, Recorded> =
            serde_json::from_str(include_str!("recorded.json")).unwrap();
        let recorded = &all[name];
        let narrow = |numbers: &Vec<f64>| numbers.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let inputs: Vec<Vec<f32>> = recorded.inputs.iter().map(narrow).collect();
        let d_out = narrow(&recorded.d_out);
        let close = |what: &str, got: &[f32], expected: &[f64]| {
            assert_eq!(got.len(), expected.len(), "{name}, {what}");
            for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
                let off = (f64::from(*got) - expected).abs();
                assert!(
                    off <= TOLERANCE * expected.abs().max(1.0),
                    "{instructions:?}, {name}, {what} {i}: expected {expected}, got {got}"
                );
            }
        };
        close("output", &(self.forward)(&inputs), &recorded.out);
        let gradients = (self.backward)(&inputs, &d_out);
        assert_eq!(gradients.len(), recorded.d_in.len());
        for (i, (got, expected)) in gradients.iter().zip(&recorded.d_in).enumerate() {
            close(&format!("gradient {i}"), got, expected);
        }
        for (i, gradient) in gradients.iter().enumerate() {
            for j in 0..gradient.len() {
                let moved = |by: f32| {
                    let mut inputs = inputs.clone();
                    inputs[i][j] += by;
                    let products = (self.forward)(&inputs).into_iter().zip(&d_out);
                    let sum: f64 = products.map(|(y, d)| f64::from(y) * f64::from(*d)).sum();
                    (sum, f64::from(inputs[i][j]))
                };
                let ((up, above), (down, below)) =
                    (moved(DIFFERENCE_STEP), moved(-DIFFERENCE_STEP));
                let (slope, got) = ((up - down) / (above - below), f64::from(gradient[j]));
                assert!(
                    (slope - got).abs() <= DIFFERENCE_TOLERANCE * slope.abs().max(1.0),
                    "{instructions:?}, {name}: by differences {slope}, got {got} (input {i}, {j})"
                );
            }
        }
    }
}

#[test]
fn norms() {
    for instructions in Instructions::available() {
        for (name, bias) in [("rms_norm", None), ("layer_norm", Some(1))] {
            let norm = Norm {
                scale: 0,
                bias,
                epsilon: 1e-5,
            };
            let forward = |inputs: &[Vec<f32>]| {
                let mut y = vec![f32::NAN; inputs[0].len()];
                norm::forward(instructions, &norm, &inputs[1..], &inputs[0], &mut y);
                y
            };
            let backward = |inputs: &[Vec<f32>], dy: &[f32]| {
                let mut gradients: Vec<Vec<f32>> =
                    inputs[1..].iter().map(|x| vec![0.0; x.len()]).collect();
                // The gradient is added to the old values.
                let mut dx = vec![1.0; dy.len()];
                norm::backward(
                    instructions,
                    &norm,
                    &inputs[1..],
                    &mut gradients,
                    &inputs[0],
                    dy,
                    &mut dx,
                );
                dx.iter_mut().for_each(|d| *d -= 1.0);
                gradients.insert(0, dx);
                gradients
            };
            let (forward, backward) = (&forward, &backward);
            Operation {
                name,
                forward,
                backward,
            }
            .check(instructions);
        }
    }
}

/// Weights as most families store them, and transposed as GPT-2's are, with other weights in the same tensor.
#[test]
fn linear_layers() {
    let turned = |weights: &[f32]| -> Vec<f32> {
        // [6, 7] to [7, 10], from column 3 on.
        (0..70)
            .map(|i| {
                if i % 10 < 3 || i % 10 == 9 {
                    9.0
                } else {
                    weights[(i % 10 - 3) * 7 + i / 10]
                }
            })
            .collect()
    };
    let back = |wide: &[f32]| {
        (0..42)
            .map(|i| wide[i % 7 * 10 + 3 + i / 7])
            .collect::<Vec<f32>>()
    };
    for instructions in Instructions::available() {
        for inputs_first in [false, true] {
            let part = |parameter, offset| Part { parameter, offset };
            let layer = Linear {
                weights: part(0, if inputs_first { 3 } else { 0 }),
                bias: Some(part(1, 0)),
                inputs: 7,
                outputs: 6,
                inputs_first,
                stride: if inputs_first { 10 } else { 7 },
            };
            let parameters = |inputs: &[Vec<f32>]| {
                let weights = if inputs_first {
                    turned(&inputs[1])
                } else {
                    inputs[1].clone()
                };
                vec![weights, inputs[2].clone()]
            };
            let forward = |inputs: &[Vec<f32>]| {
                let mut y = vec![f32::NAN; 30];
                linear::forward(
                    instructions,
                    &layer,
                    &parameters(inputs),
                    &inputs[0],
                    &mut y,
                    Store::Replace,
                );
                y
            };
            let backward = |inputs: &[Vec<f32>], dy: &[f32]| {
                let parameters = parameters(inputs);
                let mut gradients: Vec<Vec<f32>> =
                    parameters.iter().map(|x| vec![0.0; x.len()]).collect();
                let mut dx = vec![f32::NAN; 35];
                linear::input_gradient(
                    instructions,
                    &layer,
                    &parameters,
                    dy,
                    &mut dx,
                    Store::Replace,
                );
                linear::weight_gradient(instructions, &layer, &mut gradients, &inputs[0], dy);
                if inputs_first {
                    gradients[0] = back(&gradients[0]);
                }
                gradients.insert(0, dx);
                gradients
            };
            Operation {
                name: "linear",
                forward: &forward,
                backward: &backward,
            }
            .check(instructions);
        }
    }
}

#[test]
fn activations() {
    for instructions in Instructions::available() {
        let forward = |inputs: &[Vec<f32>]| {
            let mut y = vec![f32::NAN; inputs[0].len()];
            activation::gated(instructions, &inputs[0], &inputs[1], &mut y);
            y
        };
        let backward = |inputs: &[Vec<f32>], dy: &[f32]| {
            let (mut y, mut d_gate, mut d_up) =
                (vec![f32::NAN; 37], dy.to_vec(), vec![f32::NAN; 37]);
            activation::gated_backward(
                instructions,
                &inputs[0],
                &inputs[1],
                &mut y,
                &mut d_gate,
                &mut d_up,
            );
            assert_eq!(y, forward(inputs));
            vec![d_gate, d_up]
        };
        let (forward, backward): (Forward<'_>, Backward<'_>) = (&forward, &backward);
        Operation {
            name: "gated",
            forward,
            backward,
        }
        .check(instructions);
        let forward = |inputs: &[Vec<f32>]| {
            let mut y = vec![f32::NAN; inputs[0].len()];
            activation::gelu(instructions, &inputs[0], &mut y);
            y
        };
        let backward = |inputs: &[Vec<f32>], dy: &[f32]| {
            let (mut y, mut dx) = (vec![f32::NAN; 37], dy.to_vec());
            activation::gelu_backward(instructions, &inputs[0], &mut y, &mut dx);
            assert_eq!(y, forward(inputs));
            vec![dx]
        };
        let (forward, backward) = (&forward, &backward);
        Operation {
            name: "gelu",
            forward,
            backward,
        }
        .check(instructions);
    }
}

#[test]
fn rotary_embedding() {
    let angles = Angles::new(10_000.0, 6, 3);
    let position = |token: usize| [0, 1, 2, 0, 1][token];
    let turned = |x: &[f32], back| {
        let mut x = x.to_vec();
        angles.turn(&mut x, 12, back, position);
        x
    };
    Operation {
        name: "rotary",
        forward: &|inputs| turned(&inputs[0], false),
        backward: &|_, dy| vec![turned(dy, true)],
    }
    .check(Instructions::detect());
}

#[test]
fn attention_within_documents() {
    let starts: Vec<u32> = (0..40)
        .map(|i| [0, 3, 35][usize::from(i >= 3) + usize::from(i >= 35)])
        .collect();
    let shape = attention::Shape {
        rows: 1,
        length: 40,
        heads: 4,
        key_value_heads: 2,
        width: 6,
        starts: &starts,
    };
    for instructions in Instructions::available() {
        let both = |inputs: &[Vec<f32>]| {
            let (mut out, mut log_sums) = (vec![f32::NAN; 40 * 24], vec![f32::NAN; 40 * 4]);
            let operands = [inputs[0].as_slice(), &inputs[1], &inputs[2]];
            attention::forward(instructions, &shape, operands, &mut out, &mut log_sums);
            (out, log_sums)
        };
        let backward = |inputs: &[Vec<f32>], d_out: &[f32]| {
            let (out, log_sums) = both(inputs);
            let kept = attention::Kept {
                q: &inputs[0],
                k: &inputs[1],
                v: &inputs[2],
                out: &out,
                log_sums: &log_sums,
            };
            let mut gradients: Vec<Vec<f32>> =
                inputs.iter().map(|x| vec![f32::NAN; x.len()]).collect();
            if let [dq, dk, dv] = gradients.as_mut_slice() {
                attention::backward(instructions, &shape, kept, d_out, [dq, dk, dv]);
            }
            gradients
        };
        Operation {
            name: "attention",
            forward: &|inputs| both(inputs).0,
            backward: &backward,
        }
        .check(instructions);
    }
}

/// A head with these states and weights.
fn head(instructions: Instructions, inputs: &[Vec<f32>]) -> cross_entropy::Head<'_> {
    cross_entropy::Head {
        instructions,
        weights: &inputs[1],
        vocabulary: 41,
        hidden: 9,
        states: &inputs[0],
    }
}

#[test]
fn linear_and_cross_entropy() {
    let row = |state, token, weight| WeightedRow {
        target: Target {
            place: state + 1,
            state,
            token,
        },
        weight,
    };
    let rows = [row(4, 7, 0.5), row(0, 0, 2.0), row(3, 40, 0.25)];
    for instructions in Instructions::available() {
        let forward = |inputs: &[Vec<f32>]| {
            let losses = cross_entropy::losses(head(instructions, inputs), &rows);
            losses
                .iter()
                .zip(&rows)
                .map(|(loss, row)| loss.loss * row.weight)
                .collect()
        };
        let backward = |inputs: &[Vec<f32>], d_out: &[f32]| {
            let losses = cross_entropy::losses(head(instructions, inputs), &rows);
            let mut rows = rows;
            rows.iter_mut()
                .zip(d_out)
                .for_each(|(row, d)| row.weight *= d);
            let (mut d_weights, mut d_states) = (vec![0.0; 41 * 9], vec![f32::NAN; 45]);
            cross_entropy::gradient(
                head(instructions, inputs),
                &rows,
                &losses,
                &mut d_weights,
                &mut d_states,
            );
            vec![d_states, d_weights]
        };
        let (forward, backward) = (&forward, &backward);
        Operation {
            name: "cross_entropy",
            forward,
            backward,
        }
        .check(instructions);
    }
}
