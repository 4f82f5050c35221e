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
/// Shows the rows of tables as lists in places narrower than `WIDTH`, for tables of the classes `CLASSES`.
const LISTED: &str = include_str!("page/listed.css");
/// The widths of places in pixels, and the class of tables that may be wider than the place before it: a table is a list
/// where it might not fit.
const PLACES: [(u32, &str); 3] = [
    (560, "over-phone"),
    (740, "over-column"),
    (1150, "over-page"),
];
/// The width of the narrowest window, without its margins, that a page is laid out for.
const NARROWEST: f64 = 272.0;

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
        let (style, script) = (self.styles.concat() + &listed(), self.scripts.concat());
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
            div.chart role="img" aria-label=(chart.message) {
                div.wide { (PreEscaped(&chart.wide)) }
                div.narrow { (PreEscaped(&chart.narrow)) }
            }
            figcaption { (caption) }
            details {
                summary { "Numbers: " (title) }
                (table(&chart.table))
            }
        }
    }
}

/// A table whose first column names the row. Numbers are aligned right, texts left. Where the table might be wider than
/// its place, each row is a list of names and values.
pub(super) fn table(table: &Table) -> Markup {
    let numeric = table.numeric();
    let class = |column: usize| {
        numeric
            .get(column)
            .filter(|numeric| **numeric)
            .map(|_| "number")
    };
    let names = &table.header;
    html! {
        div.table-frame tabindex="0" role="group" aria-label="Table, may be scrolled" {
            table class=[place(table.width())] {
                thead {
                    tr { @for (i, name) in names.iter().enumerate() { th scope="col" class=[class(i)] { (name) } } }
                }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (i, cell) in row.iter().enumerate() {
                                @if i == 0 {
                                    th scope="row" class=[class(i)] data-name=[names.first()] { bdi { (cell) } }
                                } @else {
                                    td class=[class(i)] data-name=[names.get(i)] { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The class of a table of this width: where it is shown as a list. None if it fits everywhere.
pub(super) fn place(width: f64) -> Option<&'static str> {
    let mut narrower = NARROWEST;
    let mut class = None;
    for (place, wider) in PLACES {
        if width > narrower {
            class = Some(wider);
        }
        narrower = f64::from(place);
    }
    class
}

/// The styles of tables as lists.
fn listed() -> String {
    let styles = PLACES.iter().enumerate().map(|(i, (width, _))| {
        let classes = PLACES[i..].iter().map(|(_, class)| format!(".{class}"));
        let classes: Vec<String> = classes.collect();
        LISTED
            .replace("WIDTH", &format!("{width}px"))
            .replace("CLASSES", &classes.join(", "))
    });
    styles.collect()
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
