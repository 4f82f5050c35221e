//! Takes a model and sets of text, yields how well it predicts them: loss, perplexity and bits per byte, on all tokens, on
//! those that masks keep, on what comes after a marker; and which choice of several it finds likeliest.
//!
//! ```text
//! data ── tokens ──► score (as `score` does) ──► sums of each document ──► means and intervals
//! ```
//!
//! * `run`: from the request to the report; `measure`: the model over all sets.
//! * `text`: a document with its losses to sums; `choices`: questions to documents, and likelihoods to answers.
//! * `masks`: which tokens of a document masks keep.
//! * `statistics`: sums to means and intervals.
//! * `report`: what is printed.
//!
//! Reading shards, cutting documents and scoring are the pipeline's: [`crate::pipeline::in_memory`].

mod choices;
mod masks;
mod measure;
pub(crate) mod report;
pub(crate) mod run;
mod statistics;
mod text;

use std::path::Path;

/// What a set is called: its file's name without endings.
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
