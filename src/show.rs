//! A document with its kept tokens made visible.

use crate::{pipeline::Sample, pipeline::summary::grouped, tokenization::Tokenization};

/// Tokens shown of a long document.
const MOST: usize = 400;

/// The beginning of a document: kept tokens in colour, or in brackets where there are no colours.
pub(crate) fn document(
    sample: &Sample,
    tokenization: Option<&Tokenization>,
    colours: bool,
) -> String {
    let shown = sample.tokens.len().min(MOST);
    let mut text = String::new();
    let mut start = 0;
    while start < shown {
        let kept = sample.kept[start];
        let run = sample.kept[start..shown]
            .iter()
            .take_while(|&&k| k == kept)
            .count();
        let (part, end) =
            whole_characters(&sample.tokens[..shown], start, start + run, tokenization);
        start = end;
        // Control characters of a document are not for the terminal to obey.
        let part: String = part
            .chars()
            .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
            .collect();
        match (kept, colours) {
            (true, true) => text += &format!("\x1b[32m{part}\x1b[0m"),
            (false, true) => text += &format!("\x1b[2m{part}\x1b[0m"),
            (true, false) => text += &format!("[{part}]"),
            (false, false) => text += &part,
        }
    }
    let kept = sample.kept.iter().filter(|&&k| k).count() as u64;
    let how = if colours { "green" } else { "in brackets" };
    let (total, rest) = (
        sample.tokens.len() as u64,
        (sample.tokens.len() - shown) as u64,
    );
    let rest = if rest > 0 {
        format!(" ... ({} more tokens)", grouped(rest))
    } else {
        String::new()
    };
    format!(
        "{}: {} of {} tokens kept ({how})\n{text}{rest}",
        sample.id,
        grouped(kept),
        grouped(total)
    )
}

/// The text of tokens `start..end`, and where it really ends: a character whose bytes lie in several tokens is taken
/// with the first of them.
fn whole_characters(
    tokens: &[u32],
    start: usize,
    end: usize,
    tokenization: Option<&Tokenization>,
) -> (String, usize) {
    let Some(tokenization) = tokenization else {
        return (
            tokens[start..end].iter().map(|t| format!("{t} ")).collect(),
            end,
        );
    };
    let most = tokens.len().min(end + 3);
    let texts = (end..=most).map(|end| (tokenization.decode(&tokens[start..end]), end));
    let mut texts = texts.collect::<Vec<_>>();
    let whole = texts
        .iter()
        .position(|(text, _)| !text.ends_with(char::REPLACEMENT_CHARACTER));
    texts.swap_remove(whole.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_runs_of_kept_tokens() {
        let sample = Sample {
            id: "a".into(),
            tokens: vec![1, 2, 3, 4],
            kept: vec![false, true, true, false],
        };
        let plain = document(&sample, None, false);
        assert_eq!(plain, "a: 2 of 4 tokens kept (in brackets)\n1 [2 3 ]4 ");
        let coloured = document(&sample, None, true);
        assert_eq!(
            coloured,
            "a: 2 of 4 tokens kept (green)\n\x1b[2m1 \x1b[0m\x1b[32m2 3 \x1b[0m\x1b[2m4 \x1b[0m"
        );
    }
}
