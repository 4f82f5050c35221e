//! Decides the look of each token of a document: kept or dropped, or one of five levels of preference, as in figure 14
//! of the paper.
//!
//! The levels are fifths of the document's own scored tokens, bounded by the scores of rank `n/5`, `2n/5`, `3n/5` and
//! `4n/5` from the preferred end. Equal scores have the same level, so levels are of equal size only if scores differ.

use crate::{
    document::Document, dynamics::CATEGORIES, hinted_error::HintedError, numbers::grouped,
    terminal_text::safe,
};

use super::palette::{Marks, Palette};

/// The values that decide the look of tokens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum By {
    /// A column of masks.
    Mask(String),
    /// A column of scores; low scores are preferred.
    Low(String),
    /// A column of scores; high scores are preferred.
    High(String),
    /// Scores that are not a column; high scores are preferred. The bounds are the lowest scores of levels 5, 4, 3 and
    /// 2 over more tokens than this document's.
    Given {
        title: String,
        scores: Vec<f32>,
        bounds: [f32; 4],
    },
    /// A column of codes: how the token's loss changed over a training run.
    Category(String),
}

/// The look of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Kept,
    Dropped,
    /// From 1, the least preferred, to 5.
    Level(u8),
    /// One of the categories of a training run.
    Category(u8),
    /// The token has no such score.
    Unscored,
    /// The token may not be a target.
    Context,
}

/// The number of levels.
const LEVELS: u8 = 5;

/// The looks of a document's tokens.
#[derive(Debug)]
pub(super) struct Levels {
    pub(super) looks: Vec<Look>,
    what: What,
    /// The number of tokens that may not be targets. The others are counted and divided into levels.
    context: u64,
}

#[derive(Debug)]
enum What {
    Mask {
        column: String,
        kept: u64,
        tokens: u64,
    },
    Score {
        column: String,
        low: bool,
        scored: u64,
        /// The bounds, from the preferred end.
        bounds: Option<[f32; 4]>,
    },
    Given {
        title: String,
        bounds: [f32; 4],
    },
    Category {
        /// The number of tokens of each category.
        counts: [u64; 4],
    },
}

/// The mask to show if none was named: the combination of two masks, else the first.
pub(crate) fn default_mask(masks: &[String]) -> Option<&String> {
    let combined = ["mask_intersection", "mask_union"];
    let combined = masks.iter().find(|mask| combined.contains(&mask.as_str()));
    combined.or_else(|| masks.first())
}

impl Levels {
    /// # Errors
    /// If the document has no such column.
    pub(super) fn of(document: &Document, by: &By) -> anyhow::Result<Self> {
        let mut levels = Self::of_all(document, by)?;
        let looks = levels.looks.iter_mut().enumerate();
        for (_, look) in looks.filter(|(i, _)| document.is_context(*i)) {
            *look = Look::Context;
            levels.context += 1;
        }
        Ok(levels)
    }

    fn of_all(document: &Document, by: &By) -> anyhow::Result<Self> {
        let context = 0;
        match by {
            By::Mask(column) => {
                let mask = document.mask(column);
                let names = || document.masks.iter().map(|(name, _)| name.as_str());
                let mask = mask.ok_or_else(|| missing("masks", column, names()))?;
                let look = |&kept: &bool| if kept { Look::Kept } else { Look::Dropped };
                Ok(Self {
                    looks: mask.iter().map(look).collect(),
                    what: What::Mask {
                        column: column.clone(),
                        kept: mask.iter().filter(|&&kept| kept).count() as u64,
                        tokens: (0..mask.len()).filter(|&i| !document.is_context(i)).count() as u64,
                    },
                    context,
                })
            }
            By::Given {
                title,
                scores,
                bounds,
            } => {
                let look = |score: &f32| match score.is_nan() {
                    true => Look::Unscored,
                    false => {
                        let below = bounds.iter().filter(|bound| score < bound).count();
                        Look::Level(LEVELS - below as u8)
                    }
                };
                Ok(Self {
                    looks: scores.iter().map(look).collect(),
                    what: What::Given {
                        title: title.clone(),
                        bounds: *bounds,
                    },
                    context,
                })
            }
            By::Category(column) => {
                let codes = document.code(column);
                let names = || document.codes.iter().map(|(name, _)| name.as_str());
                let codes = codes.ok_or_else(|| missing("codes", column, names()))?;
                let mut counts = [0; 4];
                let looks = codes.iter().map(|code| {
                    let place = code.map(usize::from);
                    match place.and_then(|place| counts.get_mut(place)).zip(*code) {
                        Some((count, code)) => {
                            *count += 1;
                            Look::Category(code)
                        }
                        None => Look::Unscored,
                    }
                });
                Ok(Self {
                    looks: looks.collect(),
                    what: What::Category { counts },
                    context,
                })
            }
            By::Low(column) | By::High(column) => {
                let low = matches!(by, By::Low(_));
                let scores = match (document.score(column), column.as_str()) {
                    (Some(scores), _) => Some(scores.to_vec()),
                    (None, "excess") => excess(document),
                    (None, _) => None,
                };
                let names = || document.scores.iter().map(|(name, _)| name.as_str());
                let mut scores = scores.ok_or_else(|| missing("scores", column, names()))?;
                let all = scores.iter_mut().enumerate();
                all.filter(|(i, _)| document.is_context(*i))
                    .for_each(|(_, score)| *score = f32::NAN);
                // Lower ranks are preferred.
                let ranked = |score: f32| if low { score } else { -score };
                let mut sorted: Vec<f32> = scores.iter().copied().filter(|s| !s.is_nan()).collect();
                sorted.sort_by(|a, b| ranked(*a).total_cmp(&ranked(*b)));
                let bounds = (!sorted.is_empty()).then(|| {
                    [1, 2, 3, 4].map(|fifth| {
                        let rank = (sorted.len() * fifth).div_ceil(usize::from(LEVELS));
                        sorted[rank.max(1) - 1]
                    })
                });
                let look = |&score: &f32| match bounds {
                    Some(bounds) if !score.is_nan() => {
                        let beyond = bounds.iter().filter(|b| ranked(score) > ranked(**b));
                        Look::Level(LEVELS - beyond.count() as u8)
                    }
                    _ => Look::Unscored,
                };
                Ok(Self {
                    looks: scores.iter().map(look).collect(),
                    what: What::Score {
                        column: column.clone(),
                        low,
                        scored: sorted.len() as u64,
                        bounds,
                    },
                    context,
                })
            }
        }
    }

    /// The legend: one line, and for levels a second one with their bounds.
    pub(super) fn legend(&self, palette: Palette, marks: Marks) -> String {
        let legend = self.legend_of_targets(palette, marks);
        match self.context {
            0 => legend,
            tokens => {
                let sample = palette.sample(Look::Context, "context");
                format!(
                    "{legend}\n{sample}: {} tokens that may not be targets",
                    grouped(tokens)
                )
            }
        }
    }

    fn legend_of_targets(&self, palette: Palette, marks: Marks) -> String {
        match &self.what {
            What::Mask {
                column,
                kept,
                tokens,
            } => {
                let how = match palette {
                    Palette::None => marks.named(),
                    _ => "others dim",
                };
                let (kept, tokens) = (grouped(*kept), grouped(*tokens));
                format!("{kept} of {tokens} tokens kept by {} ({how})", safe(column))
            }
            What::Given { title, bounds } => {
                let levels = levels(palette, bounds, false);
                let title = safe(title);
                format!("{title}\nmost preferred  {levels}  least preferred (nats)")
            }
            What::Category { counts } => {
                let told = (0..)
                    .zip(CATEGORIES)
                    .zip(counts)
                    .map(|((code, name), count)| {
                        let sample = palette.sample(Look::Category(code), name);
                        format!("{sample} {}", grouped(*count))
                    });
                let told: Vec<String> = told.collect();
                format!("tokens by how their loss changed: {}", told.join("  "))
            }
            What::Score {
                column,
                low,
                scored,
                bounds,
            } => {
                let column = safe(column);
                let Some(bounds) = bounds else {
                    return format!("no token has {column}");
                };
                let levels = levels(palette, bounds, *low);
                let prefer = if *low { "low" } else { "high" };
                format!(
                    "fifths of {} scored tokens by {column}, {prefer} ones preferred\n\
                     most preferred  {levels}  least preferred (nats)",
                    grouped(*scored)
                )
            }
        }
    }
}

/// The levels and their bounds, from the preferred end.
fn levels(palette: Palette, bounds: &[f32; 4], low: bool) -> String {
    let (sign, beyond) = if low { ("<=", ">") } else { (">=", "<") };
    let mut levels = Vec::new();
    for level in (1..=LEVELS).rev() {
        let sample = palette.sample(Look::Level(level), &level.to_string());
        let bound = bounds.get(usize::from(LEVELS - level));
        levels.push(match bound {
            Some(bound) => format!("{sample} {sign} {bound:.2}"),
            None => format!("{sample} {beyond} {:.2}", bounds[bounds.len() - 1]),
        });
    }
    levels.join("  ")
}

/// The excess loss, computed from `base_loss` and `loss`.
pub(super) fn excess(document: &Document) -> Option<Vec<f32>> {
    let (base, loss) = (document.score("base_loss")?, document.score("loss")?);
    Some(rho_selection::excess(base, loss))
}

fn missing<'a>(what: &str, column: &str, there: impl Iterator<Item = &'a str>) -> anyhow::Error {
    let there: Vec<&str> = there.collect();
    let got = match there.is_empty() {
        true => "none".to_owned(),
        false => there.join(", "),
    };
    let hint = match column {
        "excess" => "excess loss needs a column excess, or base_loss beside loss",
        _ => "name an existing column",
    };
    HintedError::error(
        format!("expected a column of {what} {column:?}, got {got}"),
        hint,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(scores: Vec<(&str, Vec<f32>)>) -> Document {
        let tokens = scores[0].1.len();
        Document {
            tokens: vec![0; tokens],
            scores: scores.into_iter().map(|(n, s)| (n.to_owned(), s)).collect(),
            ..Document::default()
        }
    }

    fn told(levels: &Levels) -> String {
        let told = levels.looks.iter().map(|look| match look {
            Look::Kept => 'k',
            Look::Dropped => 'd',
            Look::Unscored => '-',
            Look::Context => 'c',
            Look::Level(level) => char::from(b'0' + level),
            Look::Category(code) => char::from(b'a' + code),
        });
        told.collect()
    }

    #[test]
    fn levels_are_fifths_and_ties_go_together() {
        let ten = (0..10).map(|i| i as f32).collect();
        let by = |name: &str, low| match low {
            true => By::Low(name.to_owned()),
            false => By::High(name.to_owned()),
        };
        let ten = document(vec![("loss", ten)]);
        assert_eq!(
            told(&Levels::of(&ten, &by("loss", true)).unwrap()),
            "5544332211"
        );
        assert_eq!(
            told(&Levels::of(&ten, &by("loss", false)).unwrap()),
            "1122334455"
        );
        let ties = document(vec![("loss", vec![f32::NAN, 2.0, 2.0, 2.0, 2.0, 9.0])]);
        assert_eq!(
            told(&Levels::of(&ties, &by("loss", true)).unwrap()),
            "-55551"
        );
        let none = document(vec![("loss", vec![f32::NAN; 2])]);
        let none = Levels::of(&none, &by("loss", true)).unwrap();
        assert_eq!(told(&none), "--");
        assert_eq!(
            none.legend(Palette::None, Marks::default()),
            "no token has loss"
        );
        let one = document(vec![("entropy", vec![1.0])]);
        assert_eq!(told(&Levels::of(&one, &by("entropy", true)).unwrap()), "5");
    }

    #[test]
    fn given_bounds_and_categories() {
        let document = Document {
            tokens: vec![0; 5],
            codes: vec![(
                "category".to_owned(),
                vec![None, Some(0), Some(3), Some(1), Some(9)],
            )],
            ..Document::default()
        };
        let by = By::Given {
            title: "33 %".to_owned(),
            scores: vec![f32::NAN, 4.0, 3.9, -1.0, 0.0],
            bounds: [4.0, 2.0, 1.0, 0.0],
        };
        let levels = Levels::of(&document, &by).unwrap();
        assert_eq!(told(&levels), "-5412");
        let legend = levels.legend(Palette::None, Marks::default());
        assert_eq!(
            legend,
            "33 %\nmost preferred  5 >= 4.00  4 >= 2.00  3 >= 1.00  2 >= 0.00  1 < 0.00  least preferred (nats)"
        );
        let levels = Levels::of(&document, &By::Category("category".to_owned())).unwrap();
        assert_eq!(told(&levels), "-adb-");
        let legend = levels.legend(Palette::None, Marks::default());
        assert!(
            legend.ends_with("H->L 1  L->L 1  H->H 0  L->H 1"),
            "{legend}"
        );
    }

    #[test]
    fn context_has_a_look_of_its_own_and_no_level() {
        let mut document = document(vec![("loss", vec![f32::NAN, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]);
        document.target = Some(vec![false, false, true, true, true, true, true]);
        let levels = Levels::of(&document, &By::Low("loss".to_owned())).unwrap();
        assert_eq!(told(&levels), "cc54321");
        document.masks = vec![(
            "mask_loss".to_owned(),
            vec![false, false, true, true, true, false, false],
        )];
        let levels = Levels::of(&document, &By::Mask("mask_loss".to_owned())).unwrap();
        assert_eq!(told(&levels), "cckkkdd");
        let legend = levels.legend(Palette::None, Marks::default());
        assert_eq!(
            legend,
            "3 of 5 tokens kept by mask_loss (in brackets)\ncontext: 2 tokens that may not be targets"
        );
    }

    #[test]
    fn what_was_combined_is_shown_first() {
        let shown = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            default_mask(&names).cloned()
        };
        for combined in ["mask_intersection", "mask_union"] {
            let all = ["mask_loss", "mask_entropy", combined];
            assert_eq!(shown(&all).as_deref(), Some(combined));
        }
        assert_eq!(shown(&["mask_b", "mask_a"]).as_deref(), Some("mask_b"));
        assert_eq!(shown(&[]), None);
    }

    #[test]
    fn excess_is_computed_where_it_is_no_column() {
        let computed = document(vec![
            ("base_loss", vec![3.0, 1.0]),
            ("loss", vec![1.0, 2.0]),
        ]);
        let by = By::High("excess".to_owned());
        assert_eq!(told(&Levels::of(&computed, &by).unwrap()), "53");
        let error = Levels::of(&document(vec![("loss", vec![1.0])]), &by).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected a column of scores \"excess\", got loss"
        );
    }
}
