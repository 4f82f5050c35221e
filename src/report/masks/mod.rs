//! Takes a masks folder, finished or not, yields its report: how it was made, what the scores and the masks look like,
//! and some of its documents.
//!
//! ```text
//! made           what metadata and summary say: facts, rules in words, thresholds; `verified`: what `verify` found
//! distributions  histograms of scores, the plane of loss and entropy
//! rates          what is kept by position, by source, by token
//! sampled        documents by chance, token by token, for `documents.js`
//! ```
//!
//! Counts come from [`crate::stats`], documents from [`crate::masks`]. Whatever columns are missing, the rest is told.

mod distributions;
pub(super) mod documents;
pub(super) mod metadata;
mod rates;
mod verified;

use std::path::Path;

use anyhow::Context as _;
use maud::{Markup, html};

use self::metadata::Made;
use super::page::Page;
use crate::{
    advised::Advised,
    masks::{files::Masks, tokenizer},
    numbers::grouped,
    screen::safe,
    show::default_mask,
    stats::{Columns, Statistics, gather},
    tokenization::pieces::Pieces,
};

/// What to report, and on what.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// A masks folder or file.
    pub(crate) masks: &'a Path,
    /// The tokenizer, where the masks do not hold it.
    pub(crate) tokenizer: Option<&'a Path>,
    /// The mask that pictures show, if not the one that is chosen for them.
    pub(crate) mask: Option<&'a str>,
    /// Documents to show.
    pub(crate) documents: usize,
    /// Another seed shows other ones.
    pub(crate) seed: u64,
    /// Threads to count with.
    pub(crate) threads: usize,
}

/// What all parts look at.
struct Subject<'a> {
    masks: &'a Masks,
    made: &'a Made,
    statistics: &'a Statistics,
    pieces: Option<&'a Pieces<'static>>,
    /// The mask that pictures show: its place among the columns. None where there is none.
    mask: Option<usize>,
}

impl Subject<'_> {
    fn columns(&self) -> &Columns {
        &self.statistics.columns
    }

    /// The name of the mask that pictures show.
    fn mask_name(&self) -> Option<&str> {
        let masks = &self.columns().masks;
        self.mask
            .and_then(|mask| masks.get(mask))
            .map(String::as_str)
    }
}

/// Makes the report.
///
/// # Errors
/// Where the masks cannot be read, or another tokenizer or mask is named than they have.
pub(crate) fn report(request: &Request<'_>) -> anyhow::Result<String> {
    let masks = Masks::open(request.masks)?;
    let mask = main_mask(&masks.masks(), request.mask)?;
    let tokenizer = tokenizer::find(&masks, request.tokenizer)?;
    let made = Made::read(&masks)?;
    let statistics = gather(&masks, request.threads)?;
    let subject = Subject {
        masks: &masks,
        made: &made,
        statistics: &statistics,
        pieces: tokenizer.pieces.as_ref(),
        mask,
    };
    let name = named(request.masks);
    let subtitle = format!(
        "{} documents, {} tokens. A report by rho-mask {}.",
        grouped(statistics.total.documents),
        grouped(statistics.total.tokens),
        env!("CARGO_PKG_VERSION")
    );
    let mut page = Page::new(format!("Masks: {name}"), subtitle);
    for notice in notices(&subject, tokenizer.note) {
        page.notice(notice);
    }
    page.section("overview", "Overview", metadata::overview(&subject));
    page.section("made", "How it was made", metadata::section(&subject));
    distributions::sections(&subject, &mut page)?;
    rates::sections(&subject, &mut page)?;
    documents::section(&subject, request, &mut page)?;
    Ok(page.html())
}

/// The mask for pictures: the one that was asked for, else the intersection or the union, else the first.
fn main_mask(masks: &[String], named: Option<&str>) -> anyhow::Result<Option<usize>> {
    let place = |name: &str| masks.iter().position(|mask| mask == name);
    let Some(named) = named else {
        return Ok(default_mask(masks).and_then(|name| place(name)));
    };
    let found = place(named).or_else(|| place(&format!("mask_{named}")));
    found.map(Some).ok_or_else(|| {
        let (there, hint) = match masks {
            [] => ("none".to_owned(), "leave --mask out"),
            masks => (masks.join(", "), "name one of them"),
        };
        Advised::error(
            format!("--mask {named}: expected a mask of the folder, which holds {there}"),
            hint,
        )
    })
}

/// What must be known before anything else is read.
fn notices(subject: &Subject<'_>, tokenizer: Option<String>) -> Vec<String> {
    let mut notices = Vec::new();
    if !subject.masks.missing.is_empty() {
        let missing = subject.masks.missing.len() as u64;
        notices.push(format!(
            "These masks are not finished: {} of the shards {} not complete. The numbers are those of what is there.",
            grouped(missing),
            if missing == 1 { "is" } else { "are" }
        ));
    }
    notices.extend(subject.made.left_out());
    if let Some(note) = tokenizer {
        notices.push(format!("{}{}.", note[..1].to_uppercase(), &note[1..]));
    }
    if subject.statistics.total.scored == 0 {
        notices.push("No token has a score.".to_owned());
    }
    notices
}

/// What a report calls what it is of: the last part of the path.
pub(super) fn named(path: &Path) -> String {
    let absolute = std::path::absolute(path);
    let path = absolute.as_deref().unwrap_or(path);
    let name = path.file_name().unwrap_or(path.as_os_str());
    safe(&name.to_string_lossy()).into_owned()
}

/// A legend for kept and dropped.
fn key() -> Markup {
    html! {
        svg.key aria-hidden="true" focusable="false" { rect.kept width="100%" height="100%" {} } " kept "
        svg.key aria-hidden="true" focusable="false" { rect.dropped width="100%" height="100%" {} } " dropped"
    }
}

/// A number of nats, or what stands for none.
pub(super) fn nats(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

/// A part of a whole that may be nothing.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The JSON of a file, none where there is no such file.
pub(super) fn json_file(path: &Path) -> anyhow::Result<Option<serde_json::Value>> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let json = serde_json::from_slice(&bytes);
            json.map(Some)
                .with_context(|| format!("{}: expected JSON", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{}: cannot be read", path.display())),
    }
}
