//! Sums the losses of a document; means are computed from these sums.
//!
//! ```text
//! token      <s>   The   cat  sat.  </s>          a token comes before the text: all bytes of the text are scored
//! loss         -   3.1   2.2   4.0   0.5
//! bytes            |--------------|               bits per byte: (3.1 + 2.2 + 4.0) / ln 2 / 12
//!
//! token      The   cat  sat.                      no token before the text: neither the loss nor the bytes of the
//! loss         -   2.2   4.0                      first token count: (2.2 + 4.0) / ln 2 / 9
//! ```
//!
//! So bits per byte cover the bytes whose tokens were scored, with any tokenizer. Tokens without bytes of the text,
//! such as an end of sequence, count for the loss and the perplexity, but not for bits per byte.

use super::masks::Mask;
use crate::{pipeline::in_memory::Measured, tokenization::Tokenization};

/// The total loss of a group of tokens, in nats.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) nats: f64,
    pub(crate) tokens: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, loss: f32) {
        if !loss.is_nan() {
            self.nats += f64::from(loss);
            self.tokens += 1;
        }
    }

    /// The sum over the tokens that have a loss.
    pub(crate) fn of(losses: impl IntoIterator<Item = f32>) -> Self {
        let mut sum = Self::default();
        losses.into_iter().for_each(|loss| sum.add(loss));
        sum
    }

    /// Numerator and denominator of the mean per token.
    pub(crate) fn pair(self) -> (f64, f64) {
        (self.nats, self.tokens as f64)
    }
}

/// The sums of one document.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct DocumentSums {
    /// All scored tokens.
    pub(crate) all: Sum,
    /// Nats of the tokens that have bytes of the text, and the number of these bytes; None without a text.
    pub(crate) bytes: Option<(f64, u64)>,
    /// The tokens after the marker, if the text has it.
    pub(crate) after: Option<Sum>,
    /// The tokens that the masks keep and drop, if they have this document.
    pub(crate) masked: Option<(Sum, Sum)>,
}

/// Sums the losses of a document.
pub(crate) fn sums(
    measured: &Measured,
    tokenization: Option<&Tokenization>,
    after: Option<&str>,
    mask: Option<Mask<'_>>,
) -> anyhow::Result<DocumentSums> {
    // Context tokens are not measured, as if they had no loss.
    let own = measured.target.as_deref();
    let targets = own.or(mask.and_then(|mask| mask.target));
    let loss: Vec<f32> = match targets {
        None => measured.loss.clone(),
        Some(targets) => {
            let all = measured.loss.iter().zip(targets);
            all.map(|(&loss, &target)| if target { loss } else { f32::NAN })
                .collect()
        }
    };
    let loss = &loss;
    let mut sums = DocumentSums {
        all: Sum::of(loss.iter().copied()),
        ..DocumentSums::default()
    };
    if let Some(mask) = mask {
        let (mut kept, mut dropped) = (Sum::default(), Sum::default());
        for (&loss, &keep) in loss.iter().zip(mask.kept) {
            match keep {
                true => kept.add(loss),
                false => dropped.add(loss),
            }
        }
        sums.masked = Some((kept, dropped));
    }
    let (Some(text), Some(tokenization)) = (&measured.text, tokenization) else {
        return Ok(sums);
    };
    // Which bytes the targets have is not known.
    if targets.is_none() {
        sums.bytes = Some(bytes(tokenization, text, loss)?);
    }
    if let Some(marker) = after {
        let first = tokenization.first_after(text, marker, &measured.tokens)?;
        sums.after = first.map(|first| Sum::of(loss[first..].iter().copied()));
    }
    Ok(sums)
}

/// Nats of the scored tokens that have bytes of the text, and the number of these bytes.
fn bytes(tokenization: &Tokenization, text: &str, loss: &[f32]) -> anyhow::Result<(f64, u64)> {
    let own = tokenization.prefix.len()..loss.len() - tokenization.suffix.len();
    if own.is_empty() {
        return Ok((0.0, 0));
    }
    let unscored = match own.start {
        0 => tokenization.ends(text)?.first().copied().unwrap_or(0),
        _ => 0,
    };
    let nats = Sum::of(loss[own].iter().copied()).nats;
    Ok((nats, (text.len() - unscored) as u64))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tokenization(prefix: &[u32], suffix: &[u32]) -> Tokenization {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tokenizer = tokenizers::Tokenizer::from_file(root.join("models/demo/tokenizer.json"));
        let mut tokenization = Tokenization::of(tokenizer.unwrap());
        (tokenization.prefix, tokenization.suffix) = (prefix.to_vec(), suffix.to_vec());
        tokenization
    }

    fn measured(tokenization: &Tokenization, text: &str) -> Measured {
        let tokens = tokenization.encode(text).unwrap();
        let unscored = std::iter::once(f32::NAN);
        let loss = unscored.chain((1..tokens.len()).map(|i| i as f32));
        Measured {
            row: 0,
            loss: loss.collect(),
            entropy: Vec::new(),
            target: None,
            tokens,
            text: Some(text.to_owned()),
        }
    }

    #[test]
    fn bytes_are_those_whose_tokens_were_scored() {
        let text = "Süß, 3 + 4 Answer: 7";
        let (around, bare) = (tokenization(&[0], &[1]), tokenization(&[], &[]));
        let all = sums(&measured(&around, text), Some(&around), None, None).unwrap();
        let tokens = around.encode(text).unwrap().len();
        let nats: f64 = (1..tokens - 1).map(|i| i as f64).sum();
        assert_eq!(all.bytes, Some((nats, text.len() as u64)));
        assert_eq!(all.all.tokens, tokens as u64 - 1);
        assert_eq!(all.all.nats, nats + (tokens - 1) as f64);

        let measured = measured(&bare, text);
        let all = sums(&measured, Some(&bare), Some("Answer: "), None).unwrap();
        let first = bare.pieces().bytes(measured.tokens[0]).unwrap().len() as u64;
        assert!(first > 0);
        let (nats, bytes) = all.bytes.unwrap();
        assert_eq!((nats, bytes), (all.all.nats, text.len() as u64 - first));
        let last = measured.tokens.len() - 1;
        let after = Sum {
            nats: last as f64,
            tokens: 1,
        };
        assert_eq!(all.after, Some(after));
    }

    #[test]
    fn kept_and_dropped_are_all() {
        let around = tokenization(&[0], &[1]);
        let measured = measured(&around, "one two three four");
        let mask: Vec<bool> = (0..measured.loss.len()).map(|i| i % 3 == 1).collect();
        let all = sums(
            &measured,
            Some(&around),
            None,
            Some(Mask {
                kept: &mask,
                target: None,
            }),
        )
        .unwrap();
        let (kept, dropped) = all.masked.unwrap();
        assert_eq!(kept.tokens + dropped.tokens, all.all.tokens);
        assert_eq!(kept.nats + dropped.nats, all.all.nats);
        let expected: f64 = (0..mask.len()).filter(|&i| mask[i]).map(|i| i as f64).sum();
        assert_eq!(kept.nats, expected);
    }
}
