//! Finds the first token of a document after a marker, or after a byte offset of its text.

use super::{Tokenization, TokenizerError};

impl Tokenization {
    /// The first token that ends after the marker's first occurrence. For `Answer: 7` and a tokenizer that puts the
    /// space before a word, it is ` 7`, which holds the answer. None if there is no marker, or nothing after it.
    /// `tokens` are those of [`encode`](Self::encode).
    pub(crate) fn first_after(
        &self,
        text: &str,
        marker: &str,
        tokens: &[u32],
    ) -> Result<Option<usize>, TokenizerError> {
        let Some(at) = text.find(marker) else {
            return Ok(None);
        };
        self.first_beyond(text, at + marker.len(), tokens)
    }

    /// The first token that ends after this byte offset of the text. Tokens after the text, such as an end of sequence,
    /// count too.
    pub(crate) fn first_beyond(
        &self,
        text: &str,
        byte: usize,
        tokens: &[u32],
    ) -> Result<Option<usize>, TokenizerError> {
        let ends = self.ends(text)?;
        let beyond = ends.iter().position(|&end| end > byte);
        let first = self.prefix.len() + beyond.unwrap_or(ends.len());
        Ok((first < tokens.len()).then_some(first))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn tokens_after_a_marker() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tokenizer = tokenizers::Tokenizer::from_file(root.join("models/demo/tokenizer.json"));
        let tokenization = Tokenization::of(tokenizer.unwrap());
        for text in [
            "Question: 3 + 4?\nAnswer: 7 apples",
            "naïve Ümläut Answer: 12",
        ] {
            let tokens = tokenization.encode(text).unwrap();
            let first = tokenization.first_after(text, "Answer: ", &tokens).unwrap();
            let first = first.unwrap();
            let end = text.find("Answer: ").unwrap() + "Answer: ".len();
            let pieces = tokenization.pieces();
            let own = |id: &&u32| !pieces.is_special(**id);
            let bytes = |id: &u32| pieces.bytes(*id).unwrap().len();
            let decoded = |ids: &[u32]| ids.iter().filter(own).map(bytes).sum::<usize>();
            assert!(decoded(&tokens[..first]) <= end);
            assert!(decoded(&tokens[..=first]) > end);
        }
        let tokens = tokenization.encode("nothing").unwrap();
        let none = tokenization.first_after("nothing", "Answer: ", &tokens);
        assert_eq!(none.unwrap(), None);
    }
}
