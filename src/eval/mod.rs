//! Measures how well a model predicts sets of text: loss, perplexity and bits per byte, on all tokens, on those that
//! masks keep, and on those after a marker. Also finds the likeliest of several choices.
//!
//! ```text
//! data ── tokens ──► score (as in `score`) ──► sums of each document ──► means and intervals
//! ```
//!
//! * `run`: from the arguments to the report; `measure`: runs the model over all sets.
//! * `text`: sums the losses of a document; `choices`: turns questions into documents, and likelihoods into answers.
//! * `masks`: which tokens of a document the masks keep.
//! * `statistics`: sums to means and intervals.
//! * `report`: the output.
//!
//! The pipeline reads shards, splits documents into windows and scores them: [`crate::pipeline::in_memory`].

mod choices;
mod masks;
mod measure;
pub(crate) mod report;
pub(crate) mod run;
mod statistics;
mod text;

use std::path::Path;

/// The name of a set: its file's name without extensions.
pub(crate) fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    let name = name.to_string_lossy();
    name.split('.').next().unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_called_after_their_files() {
        assert_eq!(name(Path::new("a/svamp_test.jsonl.zst")), "svamp_test");
    }
}
