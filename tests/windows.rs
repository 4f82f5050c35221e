//! Documents longer than the context: scored in windows, each as if it were alone.

use crate::support::{Run, assert_close, demo, random_tokens, rows, token_lines, write};

/// The tolerance for other batches.
const SAME: f32 = 1e-4;
const CONTEXT: usize = 32;

/// Windows as documented: each later one starts `overlap` tokens (at least one) before the first token without a score.
/// Start, end, and the first token scored.
fn windows(length: usize, overlap: usize) -> Vec<(usize, usize, usize)> {
    let mut windows = vec![(0, CONTEXT.min(length), 1)];
    while let Some(&(_, end, _)) = windows.last()
        && end < length
    {
        let start = end - overlap.max(1);
        windows.push((start, length.min(start + CONTEXT), end));
    }
    windows
}

#[test]
fn windows_score_as_their_tokens_alone() {
    // Just over one window, many windows, and one that just fits.
    let documents = [33, 150, 32].map(|length| random_tokens(length, 2048, length as u32));
    let half = CONTEXT / 2;
    for (argument, overlap) in [
        (Some("0"), 0),
        (Some("1"), 1),
        (None, half),
        (Some("30"), 30),
        (Some("31"), 31),
    ] {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let slices: Vec<Vec<u32>> = documents
            .iter()
            .flat_map(|tokens| {
                let slice = |(start, end, _)| tokens[start..end].to_vec();
                windows(tokens.len(), overlap).into_iter().map(slice)
            })
            .collect();
        write(&at("whole.jsonl"), token_lines(&documents));
        write(&at("slices.jsonl"), token_lines(&slices));
        let score = |name: &str| {
            let out = at(name).with_extension("masks");
            let mut run = Run::score_tokens(&at(name), &demo(), &out)
                .args(&["--context", &CONTEXT.to_string()]);
            if let Some(overlap) = argument {
                run = run.args(&["--overlap", overlap]);
            }
            run.ends_with(0);
            rows(&out, name)
        };
        let whole = score("whole.jsonl");
        let slices = score("slices.jsonl");

        let mut slices = slices.iter();
        for (row, tokens) in whole.iter().zip(&documents) {
            assert_eq!(&row.input_ids, tokens);
            for (start, end, scored_from) in windows(tokens.len(), overlap) {
                let slice = slices.next().unwrap();
                for column in 0..2 {
                    assert_close(
                        &row.scores[column][scored_from..end],
                        &slice.scores[column][scored_from - start..],
                        SAME,
                        &format!("overlap {overlap}, window at {start}, column {column}"),
                    );
                }
            }
            for scores in &row.scores {
                assert!(scores[0].is_nan(), "token 0 has no context");
                assert!(scores[1..].iter().all(|score| score.is_finite()));
            }
        }
        assert_eq!(slices.next(), None);
    }
}

#[test]
fn more_overlap_is_another_context() {
    // The counterpart: if windows were ignored, the test above would notice only by luck.
    let place = tempfile::tempdir().unwrap();
    let corpus = place.path().join("long.jsonl");
    write(&corpus, token_lines(&[random_tokens(100, 2048, 1)]));
    let loss = |arguments: &[&str]| {
        let out = place.path().join(arguments.join("-"));
        Run::score_tokens(&corpus, &demo(), &out)
            .args(arguments)
            .ends_with(0);
        rows(&out, "long.jsonl")[0].scores[0].clone()
    };
    let whole = loss(&["--context", "128"]);
    let cut = loss(&["--context", "32", "--overlap", "0"]);
    assert_close(&cut[..32], &whole[..32], SAME, "the first window");
    let different = cut[32..]
        .iter()
        .zip(&whole[32..])
        .filter(|(a, b)| (*a - *b).abs() > 1e-3)
        .count();
    assert!(different > 34, "only {different} of 68 tokens differ");
}
