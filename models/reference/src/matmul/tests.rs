//! Matmuls compared with the naive one in f64, on shapes that are not multiples of tiles and units.

use rho_graph::DataType;

use super::*;

/// f32 sums of bf16 products compared with f64, relative to the sum of magnitudes.
const BF16_TOLERANCE: f64 = 1e-6;
/// An exact sum and three f32 roundings: the conversion to f32, the column's scale, the row's scale.
const INT8_TOLERANCE: f64 = 3e-7;

struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    }

    fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

fn tensor(numbers: &[f32]) -> Tensor {
    let bytes: Vec<u8> = numbers.iter().flat_map(|w| w.to_le_bytes()).collect();
    Tensor {
        name: "w".into(),
        dims: vec![numbers.len(), 1],
        dtype: DataType::F32,
        bytes: bytes.into(),
    }
}

/// Compares the matmuls of all multipliers with the naive one.
fn check(weights: &Weights<'_>, rows: &[f32]) {
    for multiplier in Multiplier::available() {
        let expected = plain::multiply(weights, rows, multiplier.precision()).unwrap();
        let product = PackedMatmul::new(weights, multiplier).unwrap();
        let mut out = vec![7.0; expected.len()];
        product.multiply(rows, &mut out);
        let largest = expected.iter().fold(1.0f64, |most, x| most.max(x.abs()));
        let tolerance = match multiplier.precision() {
            Precision::Int8 => INT8_TOLERANCE * largest,
            _ => BF16_TOLERANCE * largest * (weights.inputs as f64).sqrt(),
        };
        for (i, (got, expected)) in out.iter().zip(&expected).enumerate() {
            assert!(
                (f64::from(*got) - expected).abs() <= tolerance,
                "{multiplier:?} {} x {}, number {i}: expected {expected}, got {got}",
                weights.inputs,
                weights.outputs
            );
        }
    }
}

#[test]
fn equals_the_plain_product() {
    let mut random = Random(11);
    for (inputs, outputs, rows) in [
        (1, 1, 1),
        (3, 5, 2),
        (4, 16, 14),
        (7, 33, 15),
        (64, 32, 4),
        (65, 31, 29),
        (513, 100, 3),
        (1344, 48, 31),
    ] {
        let numbers = random.numbers(inputs * outputs);
        let bias = random.numbers(outputs);
        // Rows of very different magnitudes: each has its own scale.
        let x: Vec<f32> = (0..rows * inputs)
            .map(|i| random.next() * 10f32.powi((i / inputs) as i32 % 5 - 2))
            .collect();
        for layout in [Layout::HiddenFirst, Layout::VocabularyFirst] {
            for (scale, bias) in [(1.0, None), (0.5, Some(&bias[..]))] {
                let weights = Weights {
                    tensor: &tensor(&numbers),
                    layout,
                    inputs,
                    outputs,
                    scale,
                    bias,
                };
                check(&weights, &x);
            }
        }
    }
}

fn square(tensor: &Tensor, width: usize) -> Weights<'_> {
    Weights {
        tensor,
        layout: Layout::HiddenFirst,
        inputs: width,
        outputs: width,
        scale: 1.0,
        bias: None,
    }
}

/// The largest possible int8 sums, zeros, and numbers whose inverse overflows f32.
#[test]
fn survives_extremes() {
    for value in [1.0f32, -1.0, 0.0, 1e-44, 1e30] {
        let numbers = vec![value; 4096];
        let tensor = tensor(&numbers);
        let weights = Weights {
            inputs: 4096,
            outputs: 1,
            ..square(&tensor, 1)
        };
        check(
            &weights,
            &vec![if value == 1e30 { 1e-3 } else { -1.0 }; 4096 * 3],
        );
    }
}

/// A row's result does not depend on the other rows, to the bit.
#[test]
fn a_row_alone_is_the_row_in_a_batch() {
    let mut random = Random(5);
    let tensor = tensor(&random.numbers(50 * 50));
    let weights = square(&tensor, 50);
    let x = random.numbers(50 * 40);
    for multiplier in Multiplier::available() {
        let product = PackedMatmul::new(&weights, multiplier).unwrap();
        let mut together = vec![0.0; 50 * 40];
        product.multiply(&x, &mut together);
        for (row, expected) in x.chunks(50).zip(together.chunks(50)) {
            let mut alone = vec![0.0; 50];
            product.multiply(row, &mut alone);
            assert_eq!(alone, expected, "{multiplier:?}");
        }
    }
}

/// Integer sums are exact, so the instruction set does not matter.
#[test]
fn int8_gives_the_same_bits_everywhere() {
    let mut random = Random(9);
    let tensor = tensor(&random.numbers(77 * 77));
    let weights = square(&tensor, 77);
    let x = random.numbers(77 * 19);
    let answers = Multiplier::available().into_iter();
    let answers = answers.filter(|m| m.precision() == Precision::Int8);
    let mut answers = answers.map(|multiplier| {
        let mut out = vec![0.0; 77 * 19];
        let product = PackedMatmul::new(&weights, multiplier).unwrap();
        product.multiply(&x, &mut out);
        out
    });
    let first = answers.next().unwrap();
    assert!(answers.all(|other| other == first));
}

#[test]
fn not_a_number_stays_visible() {
    let mut random = Random(3);
    let mut numbers = random.numbers(20 * 20);
    numbers[5] = f32::INFINITY;
    let tensor = tensor(&numbers);
    let weights = square(&tensor, 20);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = random.numbers(20 * 3);
        x[20 + 7] = bad;
        for multiplier in Multiplier::available() {
            let mut out = vec![0.0; 20 * 3];
            let product = PackedMatmul::new(&weights, multiplier).unwrap();
            product.multiply(&x, &mut out);
            for (i, y) in out.iter().enumerate() {
                // The second row, and the sixth column.
                let expected = i / 20 != 1 && i % 20 != 5;
                assert_eq!(y.is_finite(), expected, "{multiplier:?} number {i}: {y}");
            }
        }
    }
}
