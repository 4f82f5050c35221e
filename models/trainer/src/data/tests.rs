//! Packing and loading: every target exactly once, little padding, and the same batches from any start.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Documents of these lengths; token `i` of document `d` has its own id, loss and weight.
fn documents(lengths: &[usize]) -> Vec<Document> {
    let number = |d: usize, i: usize| (d * 1000 + i) as f32;
    let of = |(d, &length): (usize, &usize)| Document {
        input_ids: (0..length).map(|i| (d * 31 + i) as u32 % 997).collect(),
        reference_loss: (0..length).map(|i| number(d, i)).collect(),
        weight: (0..length).map(|i| number(d, i) + 0.5).collect(),
        target: Vec::new(),
    };
    lengths.iter().enumerate().map(of).collect()
}

/// How often each token of each document is a target.
fn targets(rows: &[Row]) -> HashMap<(usize, usize), usize> {
    let mut counts = HashMap::new();
    for part in rows.iter().flatten() {
        for i in part.start + 1..part.start + part.length {
            *counts.entry((part.document, i)).or_default() += 1;
        }
    }
    counts
}

fn once_each(lengths: &[usize]) -> HashMap<(usize, usize), usize> {
    let lengths = lengths.iter().enumerate();
    let all = lengths.flat_map(|(d, &length)| (1..length).map(move |i| ((d, i), 1)));
    all.collect()
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(2404_07965),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn every_target_once(
        lengths in prop::collection::vec(prop_oneof![0usize..5, 0usize..40, 0usize..300], 0..60),
        length in prop_oneof![2usize..9, 9usize..70],
        most_padding in prop::sample::select(vec![0.0, 0.01, 0.2, 1.0]),
    ) {
        let packed = pack(lengths.iter().copied().enumerate(), length, most_padding);
        prop_assert_eq!(targets(&packed.rows), once_each(&lengths));
        for row in &packed.rows {
            let tokens: usize = row.iter().map(|part| part.length).sum();
            prop_assert!((2..=length).contains(&tokens), "{} of {}", tokens, length);
            prop_assert!(row.iter().all(|part| part.length >= 2));
        }
    }

    #[test]
    fn never_cut_where_padding_may_be(
        lengths in prop::collection::vec(2usize..30, 1..60),
    ) {
        let packed = pack(lengths.iter().copied().enumerate(), 30, 1.0);
        prop_assert_eq!(packed.cuts, 0);
        prop_assert_eq!(packed.rows.iter().flatten().count(), lengths.len());
    }

    #[test]
    fn an_epoch_has_every_target_once_and_goes_on_anywhere(
        lengths in prop::collection::vec(0usize..90, 1..80),
        batch_rows in 1usize..5,
        stop in 0usize..40,
        seed in any::<u64>(),
    ) {
        prop_assume!(lengths.iter().any(|&length| length > 1));
        let packing = Packing { length: 32, window_tokens: 300, most_padding: 0.01, seed };
        let counts = packing.count(lengths.len(), |d| lengths[d], 1);
        let mut rows = Rows::new(packing, lengths.len(), DataPosition::default());
        let mut all = Vec::new();
        let mut places = Vec::new();
        for _ in 0..counts.rows {
            places.push(rows.place());
            all.push(rows.next_row(|d| lengths[d]).unwrap());
        }
        prop_assert_eq!(targets(&all), once_each(&lengths));
        prop_assert_eq!(counts.targets as usize, once_each(&lengths).len());
        // Continue into the next epoch, which has another order and is just as complete.
        for _ in 0..batch_rows {
            places.push(rows.place());
            all.push(rows.next_row(|d| lengths[d]).unwrap());
        }
        let stop = stop % all.len();
        let mut again = Rows::new(packing, lengths.len(), places[stop]);
        for row in &all[stop..] {
            prop_assert_eq!(&again.next_row(|d| lengths[d]).unwrap(), row);
        }
    }
}

#[test]
fn two_epochs_differ_in_order_and_not_in_content() {
    let lengths: Vec<usize> = (0..200).map(|i| 2 + i * 37 % 61).collect();
    let packing = Packing {
        length: 64,
        window_tokens: 1000,
        most_padding: 0.01,
        seed: 5,
    };
    let mut rows = Rows::new(packing, lengths.len(), DataPosition::default());
    let mut epoch = |n: u64| -> Vec<Row> {
        let count = packing.count(lengths.len(), |d| lengths[d], n + 1).rows
            - packing.count(lengths.len(), |d| lengths[d], n).rows;
        let all = (0..count).map(|_| rows.next_row(|d| lengths[d]).unwrap());
        all.collect()
    };
    let (first, second) = (epoch(0), epoch(1));
    assert_ne!(first, second);
    assert_eq!(targets(&first), targets(&second));
}

#[test]
fn a_batch_says_of_each_token_what_its_document_says() {
    let lengths = [70, 3, 1, 0, 2, 33, 12];
    let mut documents = documents(&lengths);
    let packing = Packing {
        length: 32,
        window_tokens: 64,
        most_padding: 0.01,
        seed: 3,
    };
    let mut rows = Rows::new(packing, lengths.len(), DataPosition::default());
    let count = packing.count(lengths.len(), |d| lengths[d], 1).rows;
    let parts: Vec<Row> = (0..count)
        .map(|_| rows.next_row(|d| lengths[d]).unwrap())
        .collect();
    let from = documents.clone();
    let batch = GlobalBatch::read(&parts, 32, 997, rows.place(), &mut documents).unwrap();
    assert_eq!(batch.input_ids.len(), count as usize * 32);
    let mut targets = 0;
    for (row, segments) in batch.rows.iter().enumerate() {
        let mut filled = 0;
        for &Segment { start, part } in segments {
            let document = &from[part.document];
            for i in 0..part.length {
                let (at, token) = (row * 32 + start + i, part.start + i);
                assert_eq!(batch.input_ids[at], document.input_ids[token]);
                assert_eq!(batch.targets[at], i > 0);
                if i > 0 {
                    assert_eq!(batch.reference_loss[at], document.reference_loss[token]);
                    assert_eq!(batch.weight[at], document.weight[token]);
                    targets += 1;
                } else {
                    assert!(batch.reference_loss[at].is_nan() && batch.weight[at].is_nan());
                }
            }
            filled = start + part.length;
        }
        assert!(!batch.targets[row * 32 + filled..(row + 1) * 32].contains(&true));
    }
    assert_eq!(targets, once_each(&lengths).len());
}

#[test]
fn the_loader_gives_the_rows_in_batches_and_goes_on() {
    let lengths: Vec<usize> = (0..120).map(|i| i * 29 % 83).collect();
    let packing = Packing {
        length: 48,
        window_tokens: 700,
        most_padding: 0.01,
        seed: 9,
    };
    let rows = packing.count(lengths.len(), |d| lengths[d], 2).rows;
    let load = |from: DataPosition, rows: u64| -> Vec<GlobalBatch> {
        let loading = Loading {
            packing,
            batch_rows: 4,
            rows,
            from,
            vocabulary: 997,
        };
        let mut loader = Loader::start(Box::new(documents(&lengths)), loading).unwrap();
        let mut batches = Vec::new();
        while let Some(loaded) = loader.next_batch().unwrap() {
            batches.push(loaded.batch);
        }
        assert_eq!(loader.into_documents().unwrap().count(), lengths.len());
        batches
    };
    let all = load(DataPosition::default(), rows);
    assert_eq!(all.len() as u64, rows.div_ceil(4));
    assert_eq!(all.iter().map(|b| b.rows.len() as u64).sum::<u64>(), rows);
    let left = rows - 12;
    // Compared as text, because they contain NaN.
    let on = format!("{:?}", load(all[2].after, left));
    assert_eq!(on, format!("{:?}", &all[3..]));
}

#[test]
fn what_cannot_be_trained_on_is_said() {
    let loading = |vocabulary| Loading {
        packing: Packing::new(16, 2, 0),
        batch_rows: 2,
        rows: 4,
        from: DataPosition::default(),
        vocabulary,
    };
    let mut loader = Loader::start(Box::new(documents(&[1, 0, 1])), loading(997)).unwrap();
    let error = loader.next_batch().unwrap_err().to_string();
    assert_eq!(
        error,
        "expected documents of at least two tokens, got none in 3"
    );
    let mut loader = Loader::start(Box::new(documents(&[5])), loading(4)).unwrap();
    let error = loader.next_batch().unwrap_err().to_string();
    let expected = "document 0: expected token ids below the vocabulary of 4, got 4";
    assert_eq!(error, expected);
}

/// Realistic lengths: bytes of each text divided by the bytes per token of bpe4096 in this corpus (3.1).
#[test]
fn real_lengths_leave_less_than_one_percent_of_padding() {
    for name in ["corpus_noisy", "ref_math_train"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../../../shared/data/{name}.jsonl.zst"));
        let Ok(bytes) = std::fs::read(&path) else {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("SKIPPED: {} is missing\n", path.display()).as_bytes(),
            );
            continue;
        };
        let mut text = String::new();
        let mut decoder = zstd::Decoder::new(&bytes[..]).unwrap();
        decoder.read_to_string(&mut text).unwrap();
        let lengths: Vec<usize> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["text"].as_str().unwrap().len() * 10 / 31 + 2)
            .collect();
        for length in [256, 1024, 2048] {
            let packing = Packing::new(length, 16, 1);
            let counts = packing.count(lengths.len(), |d| lengths[d], 1);
            let share = counts.padding_share(length);
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("{name} at {length}: {share:.4}, {counts:?}\n").as_bytes(),
            );
            assert!(share < 0.01, "{name} at {length}: {share}");
        }
    }
}
