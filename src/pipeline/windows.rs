//! Cuts a document into the windows that are scored.
//!
//! ```text
//! context 6, overlap 2, 12 tokens          0 1 2 3 4 5 6 7 8 9 . .
//! first window                             - + + + + +                 token 0 has no context and no score
//! second window                                    . . + + + +         two tokens of context, four scored
//! third window                                             . . + +
//! ```
//!
//! Every token but the first is scored exactly once; every token of a later window sees at least `overlap` tokens
//! before it, and at least one.

use std::ops::Range;

/// A window of a document: the tokens in `range`, of which those from `scored_from` on are scored. Both are indices
/// into the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) range: Range<usize>,
    pub(crate) scored_from: usize,
}

impl Window {
    /// Tokens of the document that no other window counts: those that it scores, and for the first window the first
    /// token.
    pub(super) fn own(&self) -> usize {
        match self.range.start {
            0 => self.range.end,
            _ => self.range.end - self.scored_from,
        }
    }
}

/// The windows of a document of `length` tokens; none if it has nothing to score. `overlap` is less than `context`.
pub(crate) fn windows(length: usize, context: usize, overlap: usize) -> Vec<Window> {
    let mut windows = Vec::new();
    let mut scored = 1;
    while scored < length {
        let start = if windows.is_empty() {
            0
        } else {
            scored - overlap.max(1)
        };
        let end = length.min(start.saturating_add(context));
        windows.push(Window {
            range: start..end,
            scored_from: scored,
        });
        scored = end;
    }
    windows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_drawing_above() {
        let windows: Vec<_> = windows(12, 6, 2)
            .into_iter()
            .map(|s| (s.range, s.scored_from))
            .collect();
        assert_eq!(windows, [(0..6, 1), (4..10, 6), (8..12, 10)]);
    }

    #[test]
    fn short_documents() {
        assert_eq!(windows(0, 6, 2), []);
        assert_eq!(windows(1, 6, 2), []);
        assert_eq!(
            windows(2, 6, 2),
            [Window {
                range: 0..2,
                scored_from: 1
            }]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn each_token_once_with_enough_context(length in 0usize..500, context in 2usize..70, overlap in 0usize..70) {
            let overlap = overlap % context;
            let (mut times, windows) = (vec![0; length], windows(length, context, overlap));
            let own: usize = windows.iter().map(Window::own).sum();
            prop_assert_eq!(own, if length > 1 { length } else { 0 });
            for (i, window) in windows.into_iter().enumerate() {
                prop_assert!(window.range.len() <= context);
                for (token, times) in times.iter_mut().enumerate().take(window.range.end).skip(window.scored_from) {
                    *times += 1;
                    let before = token - window.range.start;
                    prop_assert!(before >= 1 && (i == 0 || before >= overlap));
                }
            }
            prop_assert!(times.iter().enumerate().all(|(i, &n)| n == usize::from(i > 0)));
        }
    }
}
