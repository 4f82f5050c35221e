//! Writes the documents of several files to one file: all, a part of them, or with others mixed in.

use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rho_formats::{Content, ReadOptions, Record};
use serde_json::json;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{
    file::Part,
    step::{Data, Input},
};
use crate::{
    corpus, hinted_error::HintedError, numbers::grouped, outcome::Outcome, shards, stop::Stop,
    terminal,
};

/// Writes the file.
pub(super) fn write(data: &Data, folder: &Path, stop: &Stop) -> anyhow::Result<Outcome> {
    fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot be created", folder.display()))?;
    let partial = folder.join("documents.partial");
    let context = || format!("{}: cannot be written", partial.display());
    let file = rho_files::create(&partial).with_context(context)?;
    let mut out = Written {
        file: BufWriter::new(file),
        documents: 0,
        bytes: 0,
    };
    let skipped = each(&data.files, stop, |id, text| match data.part {
        Some(part) if !part.has(id) => Ok(()),
        _ => out.write(id, text).with_context(context),
    })?;
    let Some(skipped) = skipped else {
        return Ok(Outcome::Interrupted);
    };
    let Some(skipped_too) = mix(data, &mut out, stop)? else {
        return Ok(Outcome::Interrupted);
    };
    if out.documents == 0 {
        return Err(HintedError::error(
            format!("{}: expected documents, got none", shown(&data.files)),
            "name other files or another part",
        ));
    }
    out.file.flush().with_context(context)?;
    rho_files::complete(&partial, out.file.get_ref(), &folder.join(data.file()))
        .with_context(context)?;
    terminal::line(&format!(
        "wrote {} documents, {} bytes of text",
        grouped(out.documents),
        grouped(out.bytes)
    ));
    Ok(match skipped + skipped_too {
        0 => Outcome::Done,
        _ => Outcome::Incomplete,
    })
}

impl Part {
    /// Whether the document with this id is in the part.
    fn has(self, id: &str) -> bool {
        let place = xxh3_64(id.as_bytes()) % self.of + 1;
        (self.from..=self.to).contains(&place)
    }
}

struct Written {
    file: BufWriter<fs::File>,
    documents: u64,
    bytes: u64,
}

impl Written {
    fn write(&mut self, id: &str, text: &str) -> std::io::Result<()> {
        self.documents += 1;
        self.bytes += text.len() as u64;
        writeln!(self.file, "{}", json!({"id": id, "text": text}))
    }
}

/// Mixes in the other documents: all of them as many times as needed, then a random part of them. They are held in
/// memory. The order does not matter, because `train` goes through a corpus in an order of its own. The number of rows
/// without a document; None if it was stopped before the end.
fn mix(data: &Data, out: &mut Written, stop: &Stop) -> anyhow::Result<Option<u64>> {
    let Some((share, files)) = &data.mixed else {
        return Ok(Some(0));
    };
    let wanted = (share / (1.0 - share) * out.bytes as f64).round() as u64;
    let mut documents: Vec<(u64, String, String)> = Vec::new();
    let skipped = each(files, stop, |id, text| {
        documents.push((0, id.to_owned(), text.to_owned()));
        Ok(())
    })?;
    let bytes: u64 = documents.iter().map(|(_, _, text)| text.len() as u64).sum();
    if bytes == 0 {
        return Err(HintedError::error(
            format!("{}: expected documents to mix in, got none", shown(files)),
            "name other files for the reference",
        ));
    }
    let mut mixed = 0;
    for round in 0.. {
        for (key, id, _) in &mut documents {
            *key = xxh3_64_with_seed(id.as_bytes(), round);
        }
        documents.sort_unstable();
        for (_, id, text) in &documents {
            if mixed >= wanted || skipped.is_none() {
                return Ok(skipped);
            }
            mixed += text.len() as u64;
            let id = format!("{id}+{round}");
            out.write(&id, text)
                .context("cannot write the mixed corpus")?;
        }
    }
    Ok(skipped)
}

/// Calls `take` with each id and text. The number of rows without a document; None if it was stopped before the end.
fn each(
    files: &[Input],
    stop: &Stop,
    mut take: impl FnMut(&str, &str) -> anyhow::Result<()>,
) -> anyhow::Result<Option<u64>> {
    let runtime = shards::runtime()?;
    let paths: Vec<PathBuf> = files.iter().map(|input| input.path.clone()).collect();
    let (mut rows, mut rejected) = (0_u64, 0_u64);
    for shard in &corpus::find(&paths)? {
        let mut reader = runtime.block_on(shards::open(shard, &ReadOptions::default()))?;
        while let Some(record) = runtime.block_on(reader.next())? {
            if stop.requested() {
                return Ok(None);
            }
            rows += 1;
            match record {
                Record::Document(document) => match document.content {
                    Content::Text(text) => take(&document.id, &text)?,
                    _ => rejected += 1,
                },
                Record::Rejected(_, _) => rejected += 1,
            }
        }
    }
    if rejected > 0 {
        terminal::line(&format!(
            "note: {}: {} of {} rows hold no document and are skipped",
            shown(files),
            grouped(rejected),
            grouped(rows)
        ));
    }
    Ok(Some(rejected))
}

fn shown(files: &[Input]) -> String {
    let names = files.iter().map(|input| input.path.display().to_string());
    names.collect::<Vec<_>>().join(", ")
}
