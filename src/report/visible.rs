//! Takes text of documents, yields text that shows what is in it and has no power over what stands around it.
//!
//! Markup is none of its business: the page escapes all text.

/// Control characters as their pictures, and characters that turn the direction of text or show nothing as their code.
/// Line feeds and tabs stay.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            '\u{0}'..='\u{1F}' => shown.extend(char::from_u32(0x2400 + c as u32)),
            '\u{7F}' => shown.push('\u{2421}'),
            c if hidden(c) => shown += &format!("\u{2039}U+{:04X}\u{203A}", c as u32),
            c => shown.push(c),
        }
    }
    shown
}

/// On one line.
pub(super) fn visible_line(text: &str) -> String {
    let shown = visible(text);
    shown.replace('\n', "\u{240A}").replace('\t', "\u{2409}")
}

/// C1 controls, marks of direction (UAX 9), separators of lines, what has no width, tags. Joiners stay: scripts and
/// emoji need them.
fn hidden(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9F}' | '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}'
        | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_stays_hidden() {
        let shown = visible("a\x1b[31m\r\n\t\u{0}\u{7f}\u{202e}b\u{9b}\u{feff}\u{200d}é");
        assert_eq!(shown, "a␛[31m␍\n\t␀␡‹U+202E›b‹U+009B›‹U+FEFF›\u{200d}é");
        assert_eq!(visible_line("a\n\tb"), "a␊␉b");
    }
}
