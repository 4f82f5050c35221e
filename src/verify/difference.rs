//! Compares two sets of scores of the same tokens: how far they are apart, and how many bits of their masks agree.

use rho_selection::{Direction, KeepRatio, intersect, select};
use serde::{Deserialize, Serialize};

use super::{TokenScores, sample::Sampled};

/// How far scores are apart, in nats.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Difference {
    pub(crate) largest: f64,
    pub(crate) mean: f64,
    /// The location of the largest difference, the first of several; None if nothing differs.
    pub(crate) at: Option<TokenPosition>,
}

/// A token with its two scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TokenPosition {
    pub(crate) document: String,
    pub(crate) shard: String,
    pub(crate) row: i64,
    /// Index in the document, from 0.
    pub(crate) token: usize,
    pub(crate) got: f64,
    pub(crate) expected: f64,
}

/// The share of mask bits that agree if both keep this share of the tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Agreement {
    pub(crate) keep: f64,
    pub(crate) loss: f64,
    pub(crate) entropy: f64,
    pub(crate) intersection: f64,
}

/// Compares one kind of score; `shards` are the names. Tokens without a score are skipped.
pub(crate) fn difference(
    documents: &[Sampled],
    shards: &[&str],
    kind: fn(&TokenScores) -> &[f64],
    (got, expected): (&[TokenScores], &[TokenScores]),
) -> Difference {
    let (mut sum, mut count) = (0.0, 0_u64);
    let mut largest: Option<(f64, TokenPosition)> = None;
    for (sampled, (got, expected)) in documents.iter().zip(got.iter().zip(expected)) {
        for (token, (&got, &expected)) in kind(got).iter().zip(kind(expected)).enumerate() {
            let apart = (got - expected).abs();
            if apart.is_nan() {
                continue;
            }
            sum += apart;
            count += 1;
            if apart > largest.as_ref().map_or(0.0, |(most, _)| *most) {
                let place = TokenPosition {
                    document: sampled.document.id.clone(),
                    shard: shards.get(sampled.shard).map_or("", |name| name).to_owned(),
                    row: sampled.document.row,
                    token,
                    got,
                    expected,
                };
                largest = Some((apart, place));
            }
        }
    }
    let (largest, at) = largest.map_or((0.0, None), |(largest, at)| (largest, Some(at)));
    Difference {
        largest,
        mean: sum / count.max(1) as f64,
        at,
    }
}

/// The share of bits that agree if the scored tokens of all documents are ranked together.
pub(crate) fn agreement(
    keep: KeepRatio,
    (got, expected): (&[TokenScores], &[TokenScores]),
) -> Agreement {
    let masks = |scores: &[TokenScores]| {
        let mask = |kind: fn(&TokenScores) -> &[f64]| {
            // In f32, in which scores are stored and ranked.
            let all = scores.iter().flat_map(kind).map(|&score| score as f32);
            select(&all.collect::<Vec<_>>(), keep, Direction::Low)
        };
        let (loss, entropy) = (mask(loss), mask(entropy));
        let both = intersect(&loss, &entropy);
        [loss, entropy, both]
    };
    let scored = expected.iter().flat_map(|scores| &scores.loss);
    let scored = scored.filter(|score| !score.is_nan()).count();
    let (got, expected) = (masks(got), masks(expected));
    let mut shares = got.iter().zip(&expected).map(|(got, expected)| {
        let apart = got.iter().zip(expected).filter(|(a, b)| a != b).count();
        1.0 - apart as f64 / scored.max(1) as f64
    });
    let mut share = || shares.next().unwrap_or_default();
    Agreement {
        keep: keep.get(),
        loss: share(),
        entropy: share(),
        intersection: share(),
    }
}

/// The losses of a document.
pub(crate) fn loss(scores: &TokenScores) -> &[f64] {
    &scores.loss
}

/// The entropies of a document.
pub(crate) fn entropy(scores: &TokenScores) -> &[f64] {
    &scores.entropy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::TokenDocument;

    fn scores(loss: &[f64]) -> TokenScores {
        TokenScores {
            loss: loss.to_vec(),
            entropy: loss.to_vec(),
        }
    }

    fn sampled(id: &str, shard: usize, row: i64) -> Sampled {
        let document = TokenDocument {
            member: 0,
            id: id.to_owned(),
            row,
            tokens: Vec::new(),
            text: None,
            target: None,
            after_text: None,
            source: None,
        };
        Sampled { shard, document }
    }

    #[test]
    fn the_largest_is_found_with_its_place() {
        let documents = [sampled("a", 0, 3), sampled("b", 1, 0)];
        let got = [scores(&[f64::NAN, 1.0, 2.0]), scores(&[f64::NAN, 4.0])];
        let expected = [scores(&[f64::NAN, 1.5, 2.0]), scores(&[f64::NAN, 3.0])];
        let found = difference(&documents, &["x", "y"], loss, (&got, &expected));
        assert_eq!(found.largest, 1.0);
        assert_eq!(found.mean, 0.5);
        let at = found.at.unwrap();
        assert_eq!((at.document.as_str(), at.shard.as_str()), ("b", "y"));
        assert_eq!((at.row, at.token, at.got, at.expected), (0, 1, 4.0, 3.0));
        let none = difference(&documents, &["x", "y"], loss, (&got, &got));
        assert_eq!(none, Difference::default());
    }

    #[test]
    fn bits_are_counted_among_scored_tokens() {
        let keep = KeepRatio::new(0.5).unwrap();
        let got = [scores(&[f64::NAN, 1.0, 2.0, 3.0, 4.0])];
        let same = agreement(keep, (&got, &got));
        assert_eq!(
            (same.loss, same.entropy, same.intersection),
            (1.0, 1.0, 1.0)
        );
        let expected = [scores(&[f64::NAN, 1.0, 3.0, 2.0, 4.0])];
        let apart = agreement(keep, (&got, &expected));
        assert_eq!(
            (apart.keep, apart.loss, apart.intersection),
            (0.5, 0.5, 0.5)
        );
    }
}
