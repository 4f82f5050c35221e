//! The report on a folder that `dynamics` wrote: how the losses of tokens changed over a training run.
//!
//! ```text
//! categories   the shares and mean curves of the four categories (paper, figure 3)
//! fluctuating  single tokens that fluctuate, with their contexts (figure 11)
//! selected     perplexity of what each checkpoint would select (figure 8)
//! documents    documents by preference, selection, category and variance (figures 10, 12 and 14)
//! ```
//!
//! All numbers come from `summary.json`; only documents are read from the files.

mod categories;
mod documents;
mod fluctuation;
mod selection;

use std::path::Path;

use maud::{Markup, html};
use serde_json::Value;

use super::{
    charts::Table,
    masks::{metadata::flatten, named},
    page::{self, Page},
};
use crate::{
    dynamics::{
        folder::DynamicsFolder,
        summary::{CheckpointSummary, Summary},
    },
    masks::tokenizer,
    numbers::{exact, fixed, grouped},
    terminal_text::safe,
    tokenization::token_bytes::TokenBytes,
};

/// The arguments of a report.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) folder: &'a Path,
    /// The tokenizer, if it is not in the folder.
    pub(crate) tokenizer: Option<&'a Path>,
    /// The number of documents to show.
    pub(crate) documents: usize,
    /// The seed that chooses them.
    pub(crate) seed: u64,
}

/// The input of all sections.
struct Subject<'a> {
    opened: &'a DynamicsFolder,
    pieces: Option<&'a TokenBytes<'static>>,
}

impl Subject<'_> {
    fn summary(&self) -> &Summary {
        &self.opened.summary
    }

    /// The names of the checkpoints, with control characters made visible.
    fn names(&self) -> Vec<String> {
        let name = |checkpoint: &CheckpointSummary| safe(&checkpoint.name).into_owned();
        self.summary().checkpoints.iter().map(name).collect()
    }

    /// The positions of the checkpoints in charts, their names, and the title of the axis: steps if all checkpoints
    /// have them and they rise.
    fn places(&self) -> (Vec<(f64, String)>, &'static str) {
        let checkpoints = &self.summary().checkpoints;
        let steps: Vec<u64> = checkpoints.iter().filter_map(|c| c.step).collect();
        let names = self.names();
        if steps.len() == checkpoints.len() && steps.is_sorted_by(|a, b| a < b) {
            let places = steps.iter().map(|&step| step as f64);
            return (places.zip(names).collect(), "steps of training");
        }
        let places = (0..checkpoints.len()).map(|i| i as f64);
        (
            places.zip(names).collect(),
            "checkpoint, from 0 for the first",
        )
    }

    /// The end of every caption: the number of tokens and checkpoints.
    fn counted(&self) -> String {
        format!(
            "{} tokens that all {} checkpoints scored.",
            grouped(self.summary().fitted),
            self.summary().checkpoints.len()
        )
    }
}

/// Creates the report.
///
/// # Errors
/// If the folder cannot be read or is not finished, or if the tokenizer is not its tokenizer.
pub(crate) fn report(request: &Request<'_>) -> anyhow::Result<String> {
    let opened = DynamicsFolder::open(request.folder)?;
    let found = tokenizer::find(&opened.masks, request.tokenizer)?;
    let subject = Subject {
        opened: &opened,
        pieces: found.pieces.as_ref(),
    };
    let summary = subject.summary();
    let subtitle = format!(
        "{} checkpoints, {} documents, {} tokens. A report by rho-mask {}.",
        summary.checkpoints.len(),
        grouped(summary.documents),
        grouped(summary.tokens),
        env!("CARGO_PKG_VERSION")
    );
    let title = format!("Token dynamics: {}", named(request.folder));
    let mut page = Page::new(title, subtitle);
    if let Some(note) = found.note {
        page.notice(format!("{}{}.", note[..1].to_uppercase(), &note[1..]));
    }
    if summary.incomplete() {
        page.notice(format!(
            "{} rows held no document and {} shards ended early: rejected.jsonl says why.",
            grouped(summary.rejected),
            grouped(summary.broken_shards)
        ));
    }
    page.section("overview", "Overview", overview(&subject));
    categories::section(&subject, &mut page)?;
    fluctuation::section(&subject, &mut page)?;
    selection::section(&subject, &mut page)?;
    documents::sections(&subject, request, &mut page)?;
    page.section("made", "How it was made", made(&subject));
    Ok(page.html())
}

fn overview(subject: &Subject<'_>) -> Markup {
    let summary = subject.summary();
    let ends = summary.checkpoints.first().zip(summary.checkpoints.last());
    let nats = |checkpoint: &CheckpointSummary| {
        let name = safe(&checkpoint.name);
        format!("{} nats at {name}", fixed(checkpoint.mean_loss, 3))
    };
    html! {
        dl.tiles {
            div { dt { "checkpoints" } dd { (summary.checkpoints.len()) } }
            div { dt { "documents" } dd { (grouped(summary.documents)) } }
            div {
                dt { "tokens" }
                dd { (grouped(summary.tokens)) small { (grouped(summary.fitted)) " with a line through their losses" } }
            }
            @if let Some((first, last)) = ends {
                div { dt { "mean loss, last" } dd { (fixed(last.mean_loss, 3)) small { "from " (nats(first)) } } }
            }
            @if let Some(reference) = &summary.reference {
                div { dt { "mean loss, reference" } dd { (fixed(reference.mean_loss, 3)) small { "nats" } } }
            }
            @for category in &summary.categories {
                div {
                    dt { (category.name) }
                    dd {
                        (super::charts::percent(category.share))
                        small { "paper: " (fixed(category.paper * 100.0, 0)) " %" }
                    }
                }
            }
        }
    }
}

/// The checkpoints, and the metadata of the files with one fact per row.
fn made(subject: &Subject<'_>) -> Markup {
    let mut metadata = subject.opened.masks.metadata().clone();
    let stored = metadata.pointer_mut("/dynamics/checkpoints");
    let stored = stored.map(Value::take).unwrap_or_default();
    let mut checkpoints = Table::new([
        "checkpoint",
        "position on the line",
        "mean loss, nats",
        "perplexity",
        "precision",
        "column",
        "fingerprint",
    ]);
    for (i, checkpoint) in subject.summary().checkpoints.iter().enumerate() {
        let said = |name: &str| stored[i][name].as_str().unwrap_or_default().to_owned();
        checkpoints.row([
            safe(&checkpoint.name).into_owned(),
            exact(checkpoint.x),
            fixed(checkpoint.mean_loss, 4),
            fixed(checkpoint.perplexity, 2),
            said("precision"),
            checkpoint.column.clone(),
            said("fingerprint").chars().take(12).collect(),
        ]);
    }
    let mut facts = Vec::new();
    flatten("", &metadata, &mut facts);
    facts.retain(|(_, value)| !value.is_empty() && value != "null");
    html! {
        (page::table(&checkpoints))
        div.table-frame tabindex="0" role="group" aria-label="Facts" {
            table.facts {
                tbody {
                    @for (name, value) in &facts {
                        tr { th scope="row" { (safe(name)) } td { code { (safe(value)) } } }
                    }
                }
            }
        }
    }
}
