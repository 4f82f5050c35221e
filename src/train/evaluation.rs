//! Text that is not trained on, as tokens, and where in it a marker ends.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rho_formats::{Content, ReadOptions, Record, ShardReader, find_shards};
use rho_trainer::{data::Document, run::EvaluationSet};

use super::tokens::REJECTED;
use crate::{hint::Advised, terminal, tokenization::Tokenization};

/// Reads the files, one set each.
pub(super) fn sets(
    files: &[PathBuf],
    after: Option<&str>,
    read: &ReadOptions,
    tokenization: Option<&Tokenization>,
) -> anyhow::Result<Vec<EvaluationSet>> {
    let sets: Vec<EvaluationSet> = files
        .iter()
        .map(|file| set(file, after, read, tokenization))
        .collect::<anyhow::Result<_>>()?;
    for (i, set) in sets.iter().enumerate() {
        if sets[..i].iter().any(|other| other.name == set.name) {
            return Err(Advised::error(
                format!(
                    "--eval: expected files of different names, got two called {}",
                    set.name
                ),
                "rename one of them: the curves are called after them",
            ));
        }
    }
    if let Some(marker) = after
        && sets.iter().all(|set| set.after.is_empty())
    {
        return Err(Advised::error(
            format!(
                "--eval-after: expected the marker {marker:?} in some document, found it in none"
            ),
            "name what stands before the answers, or leave it out",
        ));
    }
    Ok(sets)
}

fn set(
    file: &Path,
    after: Option<&str>,
    read: &ReadOptions,
    tokenization: Option<&Tokenization>,
) -> anyhow::Result<EvaluationSet> {
    let shown = file.display();
    let shards = find_shards(&[file.to_owned()])?.shards;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the reader's runtime")?;
    let mut set = EvaluationSet {
        name: name(file),
        ..EvaluationSet::default()
    };
    let mut left_out = 0;
    for shard in &shards {
        let mut reader = runtime.block_on(ShardReader::open(shard, read))?;
        while let Some(record) = runtime.block_on(reader.next())? {
            let Record::Document(document) = record else {
                left_out += 1;
                continue;
            };
            let (input_ids, marked) = match (document.content, tokenization) {
                (Content::Tokens(tokens), _) => (tokens, None),
                (Content::Text(text), Some(tokenization)) => {
                    let tokens = tokenization.encode(&text);
                    let tokens = tokens.with_context(|| format!("{shown}: cannot tokenize"))?;
                    let marked = after.and_then(|marker| {
                        first_after(tokenization, &text, marker, &tokens).transpose()
                    });
                    (tokens, marked.transpose()?)
                }
                (Content::Text(_), None) => {
                    return Err(Advised::error(
                        format!("{shown}: expected token ids, got a text and no tokenizer"),
                        "name a tokenizer with --tokenizer",
                    ));
                }
            };
            set.documents.push(Document {
                input_ids,
                ..Document::default()
            });
            if after.is_some() {
                set.after.push(marked);
            }
        }
    }
    if left_out > 0 {
        terminal::line(&format!(
            "note: {shown}: {left_out} rows hold no document and are not evaluated on"
        ));
    }
    if set.documents.iter().all(|d| d.input_ids.len() < 2) {
        return Err(Advised::error(
            format!("{shown}: expected documents to evaluate on, got none"),
            format!(
                "name the field of the text with --text-field; {REJECTED} is for the corpus alone"
            ),
        ));
    }
    // Text without the marker beside text with it: it has no part that comes after.
    if set.after.iter().all(Option::is_none) {
        set.after.clear();
    }
    Ok(set)
}

/// What a set is called: its file's name without endings.
fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    let name = name.to_string_lossy();
    name.split('.').next().unwrap_or(&name).to_owned()
}

/// The first token that reaches beyond the end of the marker: that of `Answer: 7` is ` 7` for the tokenizers that put a
/// space before a word, and what it says is the answer. None where there is no marker, or nothing after it.
fn first_after(
    tokenization: &Tokenization,
    text: &str,
    marker: &str,
    tokens: &[u32],
) -> anyhow::Result<Option<usize>> {
    let Some(at) = text.find(marker) else {
        return Ok(None);
    };
    let marker_end = at + marker.len();
    let ends = tokenization.ends(text).context("cannot tokenize")?;
    let beyond = ends.iter().position(|&end| end > marker_end);
    // Tokens after the text, such as an end of sequence, come after the marker too.
    let first = tokenization.prefix.len() + beyond.unwrap_or(ends.len());
    Ok((first < tokens.len()).then_some(first))
}

#[cfg(test)]
mod tests {
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
            let first = first_after(&tokenization, text, "Answer: ", &tokens).unwrap();
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
        let none = first_after(&tokenization, "nothing", "Answer: ", &tokens).unwrap();
        assert_eq!(none, None);
    }

    #[test]
    fn sets_are_called_after_their_files() {
        assert_eq!(name(Path::new("a/svamp_test.jsonl.zst")), "svamp_test");
    }
}
