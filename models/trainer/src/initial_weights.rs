//! Fresh weights, as Transformers initialises these families: normal with the configuration's standard deviation,
//! norms at 1, biases at 0. GPT-2's layers that feed the residual stream are smaller by the square root of their
//! number.
//!
//! Each number depends only on the seed, the parameter's index and its own index, so threads and machines do not
//! matter.

use rayon::prelude::*;

use crate::model::{Architecture, Kind};

/// Initial weights, one vector for each parameter.
pub fn weights(architecture: &Architecture, seed: u64) -> Vec<Vec<f32>> {
    let config = &architecture.config;
    let parameters = architecture.parameters.iter().enumerate();
    let weights = parameters.map(|(place, parameter)| {
        let deviation = match (parameter.kind, config.decoder.family) {
            (Kind::Scale, _) => return vec![1.0; parameter.numbers()],
            (Kind::Bias, _) => return vec![0.0; parameter.numbers()],
            (Kind::Residual, "gpt2") => {
                config.initial_deviation / (2.0 * config.layers as f64).sqrt()
            }
            _ => config.initial_deviation,
        };
        let stream = mix(seed ^ mix(place as u64 + 1));
        let numbers = (0..parameter.numbers()).into_par_iter();
        numbers
            .map(|i| (normal(stream, i as u64) * deviation) as f32)
            .collect()
    });
    weights.collect()
}

/// The `i`-th number of a stream of standard normal numbers (Box-Muller transform).
fn normal(stream: u64, i: u64) -> f64 {
    let uniform = |n: u64| {
        let bits = mix(stream.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        // In (0, 1], so that its logarithm is finite.
        ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64
    };
    let radius = (-2.0 * uniform(2 * i + 1).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(2 * i + 2)).cos()
}

/// The output function of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn is_normal_with_the_deviation_of_its_kind() {
        let json = r#"{"model_type":"gpt2","vocab_size":500,"n_embd":64,"n_layer":8,"n_head":2,"n_positions":16}"#;
        let config = Config::from_json(serde_json::from_str(json).unwrap()).unwrap();
        let architecture = Architecture::new(config);
        let all = weights(&architecture, 1);
        assert_eq!(all, weights(&architecture, 1));
        assert_ne!(all[0], weights(&architecture, 2)[0]);
        for (parameter, numbers) in architecture.parameters.iter().zip(&all) {
            let count = numbers.len() as f64;
            let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
            let square = |&x: &f32| (f64::from(x) - mean).powi(2);
            let deviation = (numbers.iter().map(square).sum::<f64>() / count).sqrt();
            let expected = match parameter.kind {
                Kind::Scale | Kind::Bias => 0.0,
                Kind::Residual => 0.02 / 4.0,
                _ => 0.02,
            };
            // The measured deviation of n normal numbers is off by 1 in sqrt(2 n); the smallest matrix here has 1,024.
            assert!(
                (deviation - expected).abs() <= 0.1 * expected,
                "{}: {deviation}",
                parameter.name
            );
        }
    }
}
