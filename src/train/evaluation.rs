//! Held-out text as tokens, and where a marker ends in it.

use std::path::{Path, PathBuf};

use rho_formats::{ReadOptions, Record};
use rho_trainer::{data::Document, run::EvaluationSet};

use crate::{
    content::Encoder, corpus, hinted_error::HintedError, left_out::REJECTED, shards, terminal,
    tokenization::below,
};

/// Reads the files, one evaluation set each.
pub(super) fn sets(
    files: &[PathBuf],
    after: Option<&str>,
    read: &ReadOptions,
    encoder: Encoder<'_>,
    vocabulary: usize,
) -> anyhow::Result<Vec<EvaluationSet>> {
    let sets: Vec<EvaluationSet> = files
        .iter()
        .map(|file| set(file, after, read, encoder, vocabulary))
        .collect::<anyhow::Result<_>>()?;
    for (i, set) in sets.iter().enumerate() {
        if sets[..i].iter().any(|other| other.name == set.name) {
            return Err(HintedError::error(
                format!(
                    "--eval: expected files of different names, got two called {}",
                    set.name
                ),
                "rename one of them: the curves are named after the files",
            ));
        }
    }
    if let Some(marker) = after
        && sets.iter().all(|set| set.after.is_empty())
    {
        return Err(HintedError::error(
            format!(
                "--eval-after: expected the marker {marker:?} in some document, found it in none"
            ),
            "give the text that comes before the answers, or omit --eval-after",
        ));
    }
    Ok(sets)
}

fn set(
    file: &Path,
    after: Option<&str>,
    read: &ReadOptions,
    encoder: Encoder<'_>,
    vocabulary: usize,
) -> anyhow::Result<EvaluationSet> {
    let shown = file.display();
    let shards = corpus::find(&[file.to_owned()])?;
    let runtime = shards::runtime()?;
    let mut set = EvaluationSet {
        name: crate::eval::name(file),
        ..EvaluationSet::default()
    };
    let mut left_out = 0;
    let mut first_beyond = None;
    for shard in &shards {
        let mut reader = runtime.block_on(shards::open(shard, read))?;
        while let Some(record) = runtime.block_on(reader.next())? {
            let Record::Document(document) = record else {
                left_out += 1;
                continue;
            };
            let row = document.row;
            let done = match encoder.tokens(document.content) {
                Ok(done) => done,
                Err(reason) => {
                    first_beyond.get_or_insert(format!(", such as row {row}: {reason}"));
                    left_out += 1;
                    continue;
                }
            };
            let input_ids = done.tokens;
            let marked = match (after, &done.text, encoder.tokenization) {
                (Some(marker), Some(text), Some(tokenization)) => {
                    tokenization.first_after(text, marker, &input_ids)?
                }
                _ => None,
            };
            if let Err(beyond) = below(encoder.tokenization, &input_ids, vocabulary) {
                first_beyond.get_or_insert(format!(", such as row {row}: {beyond}"));
                left_out += 1;
                continue;
            }
            set.documents.push(Document {
                input_ids,
                target: done.target.unwrap_or_default(),
                ..Document::default()
            });
            if after.is_some() {
                set.after.push(marked);
            }
        }
    }
    if left_out > 0 {
        terminal::line(&format!(
            "note: {shown}: {left_out} rows hold no document and are skipped{}",
            first_beyond.unwrap_or_default()
        ));
    }
    if set.documents.iter().all(|d| d.input_ids.len() < 2) {
        return Err(HintedError::error(
            format!("{shown}: expected documents to evaluate on, got none"),
            format!(
                "name the field of the text with --text-field; {REJECTED} is for the corpus alone"
            ),
        ));
    }
    // No document of this set has the marker, though another set may: it has no part after the marker.
    if set.after.iter().all(Option::is_none) {
        set.after.clear();
    }
    Ok(set)
}
