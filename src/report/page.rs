//! Renders sections, charts and data to HTML, whatever they are about.
//!
//! The template library escapes all text. The page's content security policy allows only its own scripts and styles, by
//! their hashes: no network, no inline handlers, nothing that a document could inject.

use base64::prelude::{BASE64_STANDARD, Engine};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::charts::{Chart, Table};

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// A hatch pattern, so that colour alone does not carry meaning. Its colours are in `page.css`.
const PATTERNS: &str = concat!(
    r#"<svg class="patterns" aria-hidden="true" focusable="false" width="0" height="0">"#,
    r#"<defs><pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">"#,
    r#"<rect class="hatch-ground" width="8" height="8"/><rect class="hatch-line" width="4" height="8"/>"#,
    r#"</pattern></defs></svg>"#
);

/// Builds a page.
#[derive(Debug)]
pub(super) struct Page {
    title: String,
    subtitle: String,
    notices: Vec<String>,
    sections: Vec<Section>,
    data: Vec<(&'static str, String)>,
    scripts: Vec<&'static str>,
    styles: Vec<&'static str>,
}

/// A section of a page.
#[derive(Debug)]
struct Section {
    id: &'static str,
    title: &'static str,
    body: Markup,
}

impl Page {
    /// An empty page.
    pub(super) fn new(title: String, subtitle: String) -> Self {
        Self {
            title,
            subtitle,
            notices: Vec::new(),
            sections: Vec::new(),
            data: Vec::new(),
            scripts: vec![SCRIPT],
            styles: vec![STYLE],
        }
    }

    /// Adds a notice above the sections.
    pub(super) fn notice(&mut self, text: impl Into<String>) {
        self.notices.push(text.into());
    }

    /// Adds a section, listed in the table of contents.
    pub(super) fn section(&mut self, id: &'static str, title: &'static str, body: Markup) {
        self.sections.push(Section { id, title, body });
    }

    /// Adds data for a script, as JSON in the element with this id.
    pub(super) fn data(&mut self, id: &'static str, data: &serde_json::Value) {
        self.data.push((id, script_safe(&data.to_string())));
    }

    /// Adds a script that runs after the page has loaded, and its styles.
    pub(super) fn script(&mut self, script: &'static str, style: &'static str) {
        self.scripts.push(script);
        self.styles.push(style);
    }

    /// Adds styles.
    pub(super) fn style(&mut self, style: &'static str) {
        self.styles.push(style);
    }

    /// The HTML file.
    pub(super) fn html(&self) -> String {
        let (style, script) = (self.styles.concat(), self.scripts.concat());
        let policy = format!(
            "default-src 'none'; img-src data:; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
            hash(&script),
            hash(&style)
        );
        let markup = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content=(concat!("rho-mask ", env!("CARGO_PKG_VERSION")));
                    link rel="icon" href="data:,";
                    title { (self.title) }
                    style { (PreEscaped(&style)) }
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (PreEscaped(PATTERNS))
                    header {
                        div {
                            h1 { (self.title) }
                            p { bdi { (self.subtitle) } }
                        }
                        button #theme type="button" hidden { "Dark" }
                    }
                    nav aria-label="Sections" {
                        ul {
                            @for section in &self.sections {
                                li { a href={ "#" (section.id) } { (section.title) } }
                            }
                        }
                    }
                    main #main tabindex="-1" {
                        @for notice in &self.notices {
                            p.notice role="note" { strong { "Note: " } (notice) }
                        }
                        @for section in &self.sections {
                            section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                                h2 id={ (section.id) "-title" } { (section.title) }
                                (section.body)
                            }
                        }
                    }
                    @for (id, data) in &self.data {
                        script type="application/json" id=(id) { (PreEscaped(data)) }
                    }
                    script { (PreEscaped(&script)) }
                }
            }
        };
        markup.into_string() + "\n"
    }
}

/// A chart with its title, a caption and a table of its numbers.
pub(super) fn figure(title: &str, chart: &Chart, caption: &Markup) -> Markup {
    html! {
        figure {
            h3 { (title) }
            div.chart-frame tabindex="0" role="group" aria-label={ "Chart: " (title) ". May be scrolled sideways." } {
                div.chart role="img" aria-label=(chart.message) { (PreEscaped(&chart.svg)) }
            }
            figcaption { (caption) }
            details {
                summary { "Numbers: " (title) }
                (table(&chart.table))
            }
        }
    }
}

/// A table whose first column names the row.
pub(super) fn table(table: &Table) -> Markup {
    html! {
        div.table-frame tabindex="0" role="group" aria-label="Table, may be scrolled" {
            table {
                thead { tr { @for name in &table.header { th scope="col" { (name) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (i, cell) in row.iter().enumerate() {
                                @if i == 0 { th scope="row" { bdi { (cell) } } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// JSON in which no HTML parser finds the end of the script around it.
fn script_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                safe += &format!("\\u{:04x}", c as u32);
            }
            c => safe.push(c),
        }
    }
    safe
}

/// The hash by which a content security policy allows a script or style.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_script_early() {
        let text = "</script><!--<script>&\u{2028}";
        let mut page = Page::new(text.to_owned(), text.to_owned());
        page.notice(text);
        page.data("data", &serde_json::json!({ "text": text }));
        let html = page.html();
        assert_eq!(html.matches("</script>").count(), 2, "{html}");
        assert!(!html.contains("<!--"), "{html}");
        let start = html.find(r#"id="data">"#).unwrap() + r#"id="data">"#.len();
        let end = start + html[start..].find("</script>").unwrap();
        let back: serde_json::Value = serde_json::from_str(&html[start..end]).unwrap();
        assert_eq!(back["text"], text);
    }

    #[test]
    fn nothing_is_fetched() {
        let html = Page::new("a".to_owned(), "b".to_owned()).html();
        for address in ["http:", "https:", "//cdn", "@import", "url("] {
            let found = html.replace("url(#hatch)", "");
            assert!(!found.contains(address), "{address}");
        }
    }
}
