//! A table with a line for each token of a document: its index, text and id, and its value in each column.

use super::looks::excess;
use crate::{
    document::Document, dynamics::CATEGORIES, table::Table, terminal_text::shorten,
    tokenization::token_bytes::TokenBytes,
};

/// The width of a token's text in the table.
const PIECE: usize = 24;

/// The table of the first `shown` tokens.
pub(super) fn table(
    document: &Document,
    pieces: Option<&TokenBytes<'_>>,
    shown: usize,
    width: Option<usize>,
) -> String {
    let computed = match document.score("excess") {
        Some(_) => None,
        None => excess(document),
    };
    let mut scores: Vec<(&str, &[f32])> = Vec::new();
    scores.extend(document.scores.iter().map(|(n, s)| (n.as_str(), &s[..])));
    scores.extend(computed.iter().map(|s| ("excess", &s[..])));
    let mut head = vec!["token", "piece", "id"];
    head.extend(document.target.as_ref().map(|_| "target"));
    head.extend(scores.iter().map(|(name, _)| *name));
    head.extend(document.masks.iter().map(|(name, _)| name.as_str()));
    head.extend(document.weights.iter().map(|(name, _)| name.as_str()));
    head.extend(document.codes.iter().map(|(name, _)| name.as_str()));
    let mut table = Table::new(head).with_text(1);
    let number = |score: f32| match score.is_nan() {
        true => "-".to_owned(),
        false => format!("{score:.4}"),
    };
    for (i, &id) in document.tokens[..shown].iter().enumerate() {
        let piece = pieces.map_or(String::new(), |pieces| pieces.quoted(id));
        let mut row = vec![
            i.to_string(),
            shorten(&piece, PIECE).into_owned(),
            id.to_string(),
        ];
        let bit = |bit: bool| if bit { "1" } else { "0" }.to_owned();
        row.extend(document.target.as_ref().map(|target| bit(target[i])));
        row.extend(scores.iter().map(|(_, scores)| number(scores[i])));
        let masks = document.masks.iter();
        row.extend(masks.map(|(_, mask)| bit(mask[i])));
        row.extend(
            document
                .weights
                .iter()
                .map(|(_, weights)| number(weights[i])),
        );
        let code = |code: Option<u8>| {
            let name = code.and_then(|code| CATEGORIES.get(usize::from(code)));
            name.map_or_else(|| "-".to_owned(), |name| (*name).to_owned())
        };
        row.extend(document.codes.iter().map(|(_, codes)| code(codes[i])));
        table.row(row);
    }
    table.lines(width.unwrap_or(usize::MAX))
}
