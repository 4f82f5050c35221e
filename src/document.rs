//! One document of some masks, as `show`, `report` and the end of `score` use it. `masks::documents` reads it from the
//! files.

/// A document with all its columns. All lists have one entry per token.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) shard: String,
    /// Its row in the shard.
    pub(crate) row: i64,
    /// The source that it names.
    pub(crate) source: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) tokens: Vec<u32>,
    /// Which tokens may be targets, if not all; the others are context.
    pub(crate) target: Option<Vec<bool>>,
    /// Score columns by name; NaN if a token has no score.
    pub(crate) scores: Vec<(String, Vec<f32>)>,
    pub(crate) masks: Vec<(String, Vec<bool>)>,
    pub(crate) weights: Vec<(String, Vec<f32>)>,
    /// Code columns by name.
    pub(crate) codes: Vec<(String, Vec<Option<u8>>)>,
}

impl Document {
    /// Whether a token may not be a target.
    pub(crate) fn is_context(&self, token: usize) -> bool {
        let target = self.target.as_ref().and_then(|target| target.get(token));
        target.is_some_and(|target| !target)
    }

    /// For each of the first `shown` tokens, 1 if it may not be a target, else 0; none if all may be.
    pub(crate) fn context_bits(&self, shown: usize) -> Option<String> {
        let target = self.target.as_ref()?.iter().take(shown);
        Some(
            target
                .map(|&target| if target { '0' } else { '1' })
                .collect(),
        )
    }

    /// A score column.
    pub(crate) fn score(&self, name: &str) -> Option<&[f32]> {
        let mut columns = self.scores.iter();
        let column = columns.find(|(column, _)| column == name);
        column.map(|(_, scores)| scores.as_slice())
    }

    /// A code column.
    pub(crate) fn code(&self, name: &str) -> Option<&[Option<u8>]> {
        let column = self.codes.iter().find(|(column, _)| column == name);
        column.map(|(_, codes)| codes.as_slice())
    }

    /// A mask column.
    pub(crate) fn mask(&self, name: &str) -> Option<&[bool]> {
        let column = self.masks.iter().find(|(column, _)| column == name);
        column.map(|(_, mask)| mask.as_slice())
    }
}
