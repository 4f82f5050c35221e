//! One document of some masks, as those who look at it and the end of `score` hold it. How it is read from the files:
//! see `masks::documents`.

/// A document with all its columns. All lists speak of the same tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) shard: String,
    /// Its row in the shard.
    pub(crate) row: i64,
    /// Where it says it is from.
    pub(crate) source: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) tokens: Vec<u32>,
    /// Columns of scores by name; NaN where there is none.
    pub(crate) scores: Vec<(String, Vec<f32>)>,
    pub(crate) masks: Vec<(String, Vec<bool>)>,
    pub(crate) weights: Vec<(String, Vec<f32>)>,
    /// Columns of codes by name.
    pub(crate) codes: Vec<(String, Vec<Option<u8>>)>,
}

impl Document {
    /// A column of scores.
    pub(crate) fn score(&self, name: &str) -> Option<&[f32]> {
        let mut columns = self.scores.iter();
        let column = columns.find(|(column, _)| column == name);
        column.map(|(_, scores)| scores.as_slice())
    }

    /// A column of codes.
    pub(crate) fn code(&self, name: &str) -> Option<&[Option<u8>]> {
        let column = self.codes.iter().find(|(column, _)| column == name);
        column.map(|(_, codes)| codes.as_slice())
    }

    /// A column of masks.
    pub(crate) fn mask(&self, name: &str) -> Option<&[bool]> {
        let column = self.masks.iter().find(|(column, _)| column == name);
        column.map(|(_, mask)| mask.as_slice())
    }
}
