//! The report on a masks folder, finished or not: how it was created, its scores and masks, and some of its documents.
//!
//! ```text
//! made           metadata and summary: facts, rules in words, thresholds; `verified`: the result of `verify`
//! distributions  histograms of scores, the plane of loss and entropy
//! rates          keep rates by position, by source, by token
//! documents      a random sample of documents, token by token, for `documents.js`
//! ```
//!
//! Counts come from [`crate::stats`], documents from [`crate::masks`]. If columns are missing, the rest is still
//! reported.

mod distributions;
pub(super) mod documents;
pub(super) mod metadata;
mod rates;
mod verified;

use std::path::Path;

use anyhow::Context as _;
use maud::{Markup, html};

use self::metadata::Provenance;
use super::page::Page;
use crate::{
    hinted_error::HintedError,
    masks::{files::Masks, tokenizer},
    numbers::{fixed, grouped},
    show::default_mask,
    stats::{Columns, Statistics, gather},
    terminal_text::safe,
    tokenization::token_bytes::TokenBytes,
};

/// The arguments of a report.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// A masks folder or file.
    pub(crate) masks: &'a Path,
    /// The tokenizer, if it is not beside the masks.
    pub(crate) tokenizer: Option<&'a Path>,
    /// The mask for charts; None for the default.
    pub(crate) mask: Option<&'a str>,
    /// The number of documents to show.
    pub(crate) documents: usize,
    /// The seed that chooses them.
    pub(crate) seed: u64,
    /// Threads to count with.
    pub(crate) threads: usize,
}

/// The input of all sections.
struct Subject<'a> {
    masks: &'a Masks,
    made: &'a Provenance,
    statistics: &'a Statistics,
    pieces: Option<&'a TokenBytes<'static>>,
    /// The index of the mask for charts; None if there are no masks.
    mask: Option<usize>,
}

impl Subject<'_> {
    fn columns(&self) -> &Columns {
        &self.statistics.columns
    }

    /// The name of the mask for charts.
    fn mask_name(&self) -> Option<&str> {
        let masks = &self.columns().masks;
        self.mask
            .and_then(|mask| masks.get(mask))
            .map(String::as_str)
    }
}

/// Creates the report.
///
/// # Errors
/// If the masks cannot be read, or if they do not have the given mask or tokenizer.
pub(crate) fn report(request: &Request<'_>) -> anyhow::Result<String> {
    let masks = Masks::open(request.masks)?;
    let mask = main_mask(&masks.masks(), request.mask)?;
    let tokenizer = tokenizer::find(&masks, request.tokenizer)?;
    let made = Provenance::read(&masks)?;
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

/// The mask for charts: the named one, else the intersection or the union, else the first.
fn main_mask(masks: &[String], named: Option<&str>) -> anyhow::Result<Option<usize>> {
    let place = |name: &str| masks.iter().position(|mask| mask == name);
    let Some(named) = named else {
        return Ok(default_mask(masks).and_then(|name| place(name)));
    };
    let found = place(named).or_else(|| place(&format!("mask_{named}")));
    found.map(Some).ok_or_else(|| {
        let (there, hint) = match masks {
            [] => ("none".to_owned(), "omit --mask"),
            masks => (masks.join(", "), "name one of them"),
        };
        HintedError::error(
            format!("--mask {named}: expected a mask of the folder, which holds {there}"),
            hint,
        )
    })
}

/// The notices at the top of the report.
fn notices(subject: &Subject<'_>, tokenizer: Option<String>) -> Vec<String> {
    let mut notices = Vec::new();
    if !subject.masks.missing.is_empty() {
        let missing = subject.masks.missing.len() as u64;
        notices.push(format!(
            "These masks are not finished: {} of the shards {} not complete. The numbers cover only what has been written.",
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

/// The name of the subject in a report: the last part of its path.
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

/// A number of nats, or a dash for None.
pub(super) fn nats(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| fixed(value, 3))
}

/// The share of a part; None if the whole is 0.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The JSON of a file; None if the file does not exist.
pub(super) fn json_file(path: &Path) -> anyhow::Result<Option<serde_json::Value>> {
    match rho_files::read_named(path) {
        Ok(bytes) => {
            let json = serde_json::from_slice(&bytes);
            json.map(Some)
                .with_context(|| format!("{}: expected JSON", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{}: cannot be read", path.display())),
    }
}
