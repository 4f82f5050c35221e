//! Writes what the first steps of a run train on: a line of JSON for each document in a step, with its tokens as text,
//! which of them are selected, their losses and their weights. For people, and for programs that check them.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rho_trainer::{
    data::{Documents, GlobalBatch, Segment},
    run::StepOutcome,
};
use serde::{Deserialize, Serialize};

use super::documents::MaskedDocuments;
use crate::{
    terminal,
    tokenization::{token_bytes::TokenBytes, token_texts::TokenTexts},
};

/// The file, in the run's folder.
pub(super) const BATCHES: &str = "batches.jsonl";

/// A document, or a part of one, in a step. The lists have an entry for each of its tokens.
#[derive(Serialize)]
struct Line<'a> {
    step: u64,
    /// From 0, in the step.
    row: usize,
    document: &'a str,
    /// Index of its first token in the document.
    from: usize,
    /// The text, with ⟦ and ⟧ around what is selected.
    text: String,
    tokens: Vec<&'a str>,
    ids: &'a [u32],
    selected: &'a [bool],
    /// The model's loss before the step's update, in nats; null for a token that is no target.
    loss: &'a [f32],
    /// That of the reference; missing without masks.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_loss: Option<&'a [f32]>,
    /// With which weight the loss counts in the mean that is minimised.
    weight: Vec<f32>,
}

/// The file of the first steps.
pub(super) struct BatchFile {
    file: BufWriter<File>,
    path: PathBuf,
    steps: u64,
    /// For the names of documents.
    documents: MaskedDocuments,
    pieces: Option<TokenBytes<'static>>,
    /// Whether the documents' own weights are the weights of their tokens.
    weighted: bool,
}

/// How to write it.
pub(super) struct Dumping<'a> {
    /// The folder of the run.
    pub(super) out: &'a Path,
    /// The steps to write, and those that an earlier start did.
    pub(super) steps: u64,
    pub(super) done: u64,
    pub(super) tokenizer: Option<&'a Path>,
    pub(super) weighted: bool,
}

impl BatchFile {
    /// Opens the file, and keeps the lines of the steps that an earlier start did. None if all steps to write are done.
    pub(super) fn open(
        dumping: &Dumping<'_>,
        documents: impl FnOnce() -> anyhow::Result<MaskedDocuments>,
    ) -> anyhow::Result<Option<Self>> {
        let path = dumping.out.join(BATCHES);
        let cannot_write = || format!("{}: cannot be written", path.display());
        let (written, bytes) = written(&path, dumping.done).with_context(cannot_write)?;
        if written < dumping.done.min(dumping.steps) {
            terminal::line(&format!(
                "note: {}: the first {} steps are done already, and only their first {written} are in it: start over \
                 with --restart for the others",
                path.display(),
                dumping.done
            ));
        }
        if dumping.done >= dumping.steps {
            return Ok(None);
        }
        let opened = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let mut file = opened.with_context(cannot_write)?;
        let cut = file
            .set_len(bytes)
            .and_then(|()| io::Seek::seek(&mut file, io::SeekFrom::End(0)));
        cut.with_context(cannot_write)?;
        Ok(Some(Self {
            file: BufWriter::new(file),
            steps: dumping.steps,
            documents: documents()?,
            pieces: dumping.tokenizer.map(TokenBytes::read).transpose()?,
            weighted: dumping.weighted,
            path,
        }))
    }

    /// Writes a step, if it is one of the first.
    pub(super) fn add(
        &mut self,
        step: u64,
        batch: &GlobalBatch,
        outcome: &StepOutcome,
    ) -> anyhow::Result<()> {
        if step > self.steps {
            return Ok(());
        }
        for (row, segments) in batch.rows.iter().enumerate() {
            for segment in segments {
                let line = self.line((step, row), segment, batch, outcome)?;
                writeln!(self.file, "{line}").with_context(|| self.cannot_write())?;
            }
        }
        // So that a step can be read as soon as it is done.
        self.file.flush().with_context(|| self.cannot_write())
    }

    fn cannot_write(&self) -> String {
        format!("{}: cannot be written", self.path.display())
    }

    fn line(
        &self,
        (step, row): (u64, usize),
        segment: &Segment,
        batch: &GlobalBatch,
        outcome: &StepOutcome,
    ) -> anyhow::Result<String> {
        let start = row * batch.length + segment.start;
        let tokens = start..start + segment.part.length;
        let (ids, selected) = (
            &batch.input_ids[tokens.clone()],
            &outcome.kept[tokens.clone()],
        );
        let texts = TokenTexts::of(ids, self.pieces.as_ref());
        let texts: Vec<&str> = (0..ids.len()).map(|i| texts.token(i)).collect();
        let weights = batch.weight[tokens.clone()].iter().zip(selected);
        let weight = weights.map(|(&own, &selected)| match (selected, self.weighted) {
            (false, _) => 0.0,
            (true, true) => own,
            (true, false) => 1.0,
        });
        Ok(serde_json::to_string(&Line {
            step,
            row,
            document: &self.documents.name(segment.part.document),
            from: segment.part.start,
            text: marked(&texts, selected),
            ids,
            selected,
            loss: &outcome.loss[tokens.clone()],
            reference_loss: batch.has_reference.then(|| &batch.reference_loss[tokens]),
            weight: weight.collect(),
            tokens: texts,
        })?)
    }
}

/// The text of tokens, with ⟦ and ⟧ around each run of selected ones.
fn marked(texts: &[&str], selected: &[bool]) -> String {
    let (mut text, mut inside) = (String::new(), false);
    for (token, &selected) in texts.iter().zip(selected) {
        match (inside, selected) {
            (false, true) => text.push('⟦'),
            (true, false) => text.push('⟧'),
            _ => {}
        }
        inside = selected;
        text.push_str(token);
    }
    if inside {
        text.push('⟧');
    }
    text
}

/// The last whole step up to `done` that a file holds, and the bytes up to its end.
fn written(path: &Path, done: u64) -> io::Result<(u64, u64)> {
    #[derive(Deserialize)]
    struct Step {
        step: u64,
    }
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
        Err(error) => return Err(error),
    };
    let (mut last, mut bytes) = (0, 0);
    let (mut lines, mut line) = (BufReader::new(file), Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        match serde_json::from_slice::<Step>(&line) {
            Ok(Step { step }) if step <= done && line.ends_with(b"\n") => last = step,
            // Of a step behind the checkpoint, which is done again, or cut.
            _ => break,
        }
        bytes += line.len() as u64;
        line.clear();
    }
    Ok((last, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selected_tokens_stand_in_brackets() {
        let texts = ["The", " cat", " sat", "", "."];
        let marked = |selected: [bool; 5]| marked(&texts, &selected);
        assert_eq!(marked([false, true, true, false, false]), "The⟦ cat sat⟧.");
        assert_eq!(
            marked([true, false, false, false, true]),
            "⟦The⟧ cat sat⟦.⟧"
        );
        assert_eq!(marked([false; 5]), "The cat sat.");
    }

    #[test]
    fn lines_behind_the_checkpoint_and_cut_ones_are_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(BATCHES);
        assert_eq!(written(&path, 3).unwrap(), (0, 0));
        let line = |step: u64| format!("{{\"step\":{step},\"row\":0}}\n");
        fs::write(
            &path,
            [line(1), line(1), line(2), line(3)].concat() + "{\"step\":3",
        )
        .unwrap();
        let bytes = |lines: usize| (lines * line(1).len()) as u64;
        assert_eq!(written(&path, 2).unwrap(), (2, bytes(3)));
        assert_eq!(written(&path, 0).unwrap(), (0, 0));
        assert_eq!(written(&path, 9).unwrap(), (3, bytes(4)));
    }
}
