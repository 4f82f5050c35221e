//! AdamW compared with PyTorch, on both networks, and resuming to the bit.

use candle_core::{DType, Device};

use super::*;
use crate::{Config, Model, model::Kind};

const SETTINGS: AdamW = AdamW {
    betas: (0.9, 0.95),
    epsilon: 1e-8,
    weight_decay: 0.1,
    clip: Some(1.0),
};

/// ```python
/// p = torch.tensor([0.5, -1.0, 2.0], dtype=torch.double, requires_grad=True)
/// b = torch.tensor([0.1, -0.2], dtype=torch.double, requires_grad=True)
/// o = torch.optim.AdamW([{"params": [p], "weight_decay": 0.1}, {"params": [b], "weight_decay": 0.0}],
///                       lr=0.01, betas=(0.9, 0.95), eps=1e-8)
/// for gp, gb in GRADIENTS:
///     p.grad = torch.tensor(gp).double(); b.grad = torch.tensor(gb).double()
///     n = torch.nn.utils.clip_grad_norm_([p, b], 1.0); o.step()
///     print(n.item(), p.tolist(), b.tolist())
/// ```
const GRADIENTS: [([f32; 3], [f32; 2]); 3] = [
    ([0.3, -0.2, 0.1], [0.05, 0.0]),
    ([3.0, -4.0, 0.0], [1.0, 2.0]),
    ([-0.1, 0.1, 0.2], [0.3, -0.3]),
];
const EXPECTED: [(f64, [f64; 3], [f64; 2]); 3] = [
    (
        0.377_491_733_309_724,
        [0.489_500_000_333_333, -0.989_000_000_5, 1.988_000_001],
        [0.090_000_002, -0.2],
    ),
    (
        5.477_225_575_051_661,
        [
            0.479_330_898_514_013,
            -0.979_159_805_361_444,
            1.979_225_524_503_191,
        ],
        [0.081_148_807_352_508, -0.207_349_599_741_968],
    ),
    (
        0.489_897_964_981_744,
        [
            0.472_389_925_860_427,
            -0.972_151_402_664_694,
            1.969_336_944_841_608,
        ],
        [0.072_211_607_585_398, -0.207_732_972_613_327],
    ),
];

/// f32 compared with f64, at magnitude 2.
const TOLERANCE: f64 = 1e-6;

fn tiny() -> Model {
    let json = r#"{"model_type":"llama","vocab_size":11,"hidden_size":8,"intermediate_size":8,
        "num_hidden_layers":1,"num_attention_heads":2,"max_position_embeddings":16}"#;
    let config = Config::from_json(serde_json::from_str(json).unwrap()).unwrap();
    Model::fresh(config, 1)
}

/// Only two parameters, a matrix and a bias.
fn two() -> Model {
    let mut checkpoint = tiny();
    checkpoint.architecture.parameters.truncate(2);
    for (parameter, (numbers, kind)) in checkpoint
        .architecture
        .parameters
        .iter_mut()
        .zip([(3, Kind::Matrix), (2, Kind::Bias)])
    {
        (parameter.shape, parameter.kind) = (vec![numbers], kind);
    }
    checkpoint.weights = vec![vec![0.5, -1.0, 2.0], vec![0.1, -0.2]];
    checkpoint
}

fn set_gradients(network: &mut Network, step: usize) {
    let (p, b) = GRADIENTS[step];
    match network {
        Network::Fused(network) => {
            let (_, _, gradients) = network.parts_mut();
            gradients[0].copy_from_slice(&p);
            gradients[1].copy_from_slice(&b);
        }
        Network::Plain(network) => {
            let tensor = |numbers: &[f32]| {
                Tensor::new(numbers, &Device::Cpu)
                    .unwrap()
                    .to_dtype(DType::F64)
                    .ok()
            };
            let (_, _, gradients) = network.parts_mut();
            (gradients[0], gradients[1]) = (tensor(&p), tensor(&b));
        }
    }
}

fn networks() -> [Network; 2] {
    [
        Network::new(two(), &Device::Cpu).unwrap(),
        Network::plain(two(), &Device::Cpu, DType::F64).unwrap(),
    ]
}

#[test]
fn steps_are_those_of_pytorch() {
    for mut network in networks() {
        let mut optimiser = Optimiser::new(&mut network, SETTINGS).unwrap();
        for (step, (norm, p, b)) in EXPECTED.iter().enumerate() {
            set_gradients(&mut network, step);
            let update = optimiser.step(&mut network, 0.01).unwrap();
            assert!((update.gradient_norm - norm).abs() < TOLERANCE);
            let weights = network.weights().unwrap();
            for (got, expected) in weights.iter().flatten().zip(p.iter().chain(b)) {
                assert!(
                    (f64::from(*got) - expected).abs() < TOLERANCE,
                    "step {step}: {got} {expected}"
                );
            }
            assert!(
                network
                    .gradients()
                    .unwrap()
                    .iter()
                    .flatten()
                    .all(|g| *g == 0.0)
            );
        }
        assert_eq!(optimiser.steps(), 3);
    }
}

#[test]
fn goes_on_from_a_state_to_the_bit() {
    for i in 0..2 {
        let [mut whole, mut parted] = [0, 1].map(|_| networks().into_iter().nth(i).unwrap());
        let mut first = Optimiser::new(&mut whole, SETTINGS).unwrap();
        let mut second = Optimiser::new(&mut parted, SETTINGS).unwrap();
        for step in 0..3 {
            set_gradients(&mut whole, step);
            first.step(&mut whole, 0.01).unwrap();
            set_gradients(&mut parted, step);
            second.step(&mut parted, 0.01).unwrap();
            // The fused network's state is f32 and stored unchanged; candle's in f64 would lose bits.
            if i == 0 {
                let state = second.state().unwrap();
                second = Optimiser::new(&mut parted, SETTINGS).unwrap();
                second.restore(&parted, state).unwrap();
            }
        }
        assert_eq!(whole.weights().unwrap(), parted.weights().unwrap());
        assert_eq!(first.state().unwrap(), second.state().unwrap());
        let mut state = first.state().unwrap();
        state.mean[1].pop();
        assert!(matches!(
            first.restore(&whole, state),
            Err(TrainerError::State { .. })
        ));
    }
}

#[test]
fn a_gradient_that_is_no_number_changes_nothing() {
    for mut network in networks() {
        let mut optimiser = Optimiser::new(&mut network, SETTINGS).unwrap();
        set_gradients(&mut network, 0);
        match &mut network {
            Network::Fused(network) => network.parts_mut().2[0][1] = f32::INFINITY,
            Network::Plain(network) => {
                let bad = Tensor::new(&[0.0, f64::NAN, 0.0], &Device::Cpu).unwrap();
                network.parts_mut().2[0] = Some(bad);
            }
        }
        let before = network.weights().unwrap();
        let error = optimiser.step(&mut network, 0.01).unwrap_err();
        assert!(
            matches!(error, TrainerError::NotFinite { step: 0, .. }),
            "{error}"
        );
        assert_eq!(network.weights().unwrap(), before);
        assert!(
            network
                .gradients()
                .unwrap()
                .iter()
                .flatten()
                .all(|g| *g == 0.0)
        );
        assert_eq!(optimiser.steps(), 0);
    }
}

#[test]
fn settings_have_limits() {
    let mut network = Network::new(tiny(), &Device::Cpu).unwrap();
    for settings in [
        AdamW {
            betas: (1.0, 0.9),
            ..SETTINGS
        },
        AdamW {
            clip: Some(-1.0),
            ..SETTINGS
        },
        AdamW {
            epsilon: f64::NAN,
            ..SETTINGS
        },
    ] {
        assert!(
            Optimiser::new(&mut network, settings).is_err(),
            "{settings:?}"
        );
    }
}
