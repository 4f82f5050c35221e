//! The grammar of expressions, and whether one holds for a document.
//!
//! ```text
//! or         = and {"or" and}
//! and        = not {"and" not}
//! not        = "not" not | comparison
//! comparison = term [("<" | "<=" | ">" | ">=" | "==" | "!=") term]
//! term       = "(" or ")" | ["-"] number | name | function "(" column ")"
//! ```

use super::{
    numbers::Needed,
    words::{At, Word, place, words, wrong},
};
use crate::hinted_error::HintedError;

/// Most parentheses and `not` inside each other.
const DEPTH: usize = 64;

/// A condition on a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    Compare(Operand, Comparison, Operand),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

/// A side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operand {
    Number(f64),
    /// The number of a document, by its index in [`Needed`].
    OfDocument(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Other,
}

impl Condition {
    /// Whether it holds; none if that is unknown. `number` yields the numbers of the document; none is null.
    pub(super) fn holds(&self, number: &impl Fn(usize) -> Option<f64>) -> Option<bool> {
        match self {
            Self::Compare(left, comparison, right) => {
                let value = |operand: Operand| match operand {
                    Operand::Number(value) => Some(value),
                    Operand::OfDocument(i) => number(i),
                };
                let (left, right) = (value(*left)?, value(*right)?);
                Some(match comparison {
                    Comparison::Less => left < right,
                    Comparison::AtMost => left <= right,
                    Comparison::More => left > right,
                    Comparison::AtLeast => left >= right,
                    Comparison::Equal => left == right,
                    Comparison::Other => left != right,
                })
            }
            Self::Not(condition) => condition.holds(number).map(|holds| !holds),
            Self::And(all) => decided(all, number, false),
            Self::Or(any) => decided(any, number, true),
        }
    }
}

/// One condition that is `by` decides; else one that is unknown makes the result unknown.
fn decided(
    conditions: &[Condition],
    number: &impl Fn(usize) -> Option<f64>,
    by: bool,
) -> Option<bool> {
    let mut result = Some(!by);
    for condition in conditions {
        match condition.holds(number) {
            Some(holds) if holds == by => return Some(by),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

/// Reads an expression; the numbers that it compares are added to `needed`.
pub(super) fn read(text: &str, needed: &mut Needed) -> anyhow::Result<Condition> {
    let words = words(text)?;
    let mut parser = Parser {
        text,
        words: &words,
        needed,
        depth: 0,
    };
    let node = parser.or()?;
    if let Some(next) = parser.words.first() {
        let position = next.position;
        return Err(match (&node, &next.word) {
            (Node::Condition(Condition::Compare(..), _), Word::Sign(sign))
                if comparison(sign).is_some() =>
            {
                HintedError::error(
                    format!(
                        "{}: expected and, or or the end, got {sign:?}",
                        place(text, position)
                    ),
                    "compare twice: 1 < mean(loss) and mean(loss) < 4",
                )
            }
            _ => wrong(text, position, "and, or or the end", &parser.rest()),
        });
    }
    parser.condition(node)
}

/// What was read, with the position of its first character.
enum Node {
    Condition(Condition, usize),
    Operand(Operand, usize),
}

struct Parser<'a> {
    text: &'a str,
    /// The words that are not read yet.
    words: &'a [At],
    needed: &'a mut Needed,
    depth: usize,
}

impl Parser<'_> {
    /// The text from the next word on.
    fn rest(&self) -> String {
        let position = self.position();
        self.text.chars().skip(position - 1).collect()
    }

    fn position(&self) -> usize {
        let end = self.text.chars().count() + 1;
        self.words.first().map_or(end, |at| at.position)
    }

    /// Takes the next word if it is this name.
    fn named(&mut self, name: &str) -> bool {
        let is =
            matches!(self.words.first(), Some(At { word: Word::Name(word), .. }) if word == name);
        self.words = &self.words[usize::from(is)..];
        is
    }

    /// Takes the next word if it is this sign.
    fn sign(&mut self, sign: &str) -> bool {
        let is =
            matches!(self.words.first(), Some(At { word: Word::Sign(word), .. }) if *word == sign);
        self.words = &self.words[usize::from(is)..];
        is
    }

    fn wrong(&self, expected: &str) -> anyhow::Error {
        wrong(self.text, self.position(), expected, &self.rest())
    }

    fn condition(&self, node: Node) -> anyhow::Result<Condition> {
        match node {
            Node::Condition(condition, _) => Ok(condition),
            Node::Operand(_, position) => {
                let rest: String = self.text.chars().skip(position - 1).collect();
                Err(wrong(self.text, position, "a comparison", &rest))
            }
        }
    }

    fn operand(&self, node: Node) -> anyhow::Result<Operand> {
        match node {
            Node::Operand(operand, _) => Ok(operand),
            Node::Condition(_, position) => {
                let rest: String = self.text.chars().skip(position - 1).collect();
                let expected = "a number to compare, not a condition";
                Err(wrong(self.text, position, expected, &rest))
            }
        }
    }

    fn or(&mut self) -> anyhow::Result<Node> {
        self.several("or", Self::and, Condition::Or)
    }

    fn and(&mut self) -> anyhow::Result<Node> {
        self.several("and", Self::not, Condition::And)
    }

    /// One or more of the inner kind, with this word between them.
    fn several(
        &mut self,
        word: &str,
        inner: fn(&mut Self) -> anyhow::Result<Node>,
        of: fn(Vec<Condition>) -> Condition,
    ) -> anyhow::Result<Node> {
        let position = self.position();
        let first = inner(self)?;
        if !self.named(word) {
            return Ok(first);
        }
        let mut all = vec![self.condition(first)?];
        loop {
            let next = inner(self)?;
            all.push(self.condition(next)?);
            if !self.named(word) {
                return Ok(Node::Condition(of(all), position));
            }
        }
    }

    fn not(&mut self) -> anyhow::Result<Node> {
        let position = self.position();
        if !self.named("not") {
            return self.comparison();
        }
        self.deeper()?;
        let inner = self.not()?;
        self.depth -= 1;
        let inner = Box::new(self.condition(inner)?);
        Ok(Node::Condition(Condition::Not(inner), position))
    }

    fn deeper(&mut self) -> anyhow::Result<()> {
        self.depth += 1;
        match self.depth > DEPTH {
            true => Err(self.wrong(&format!("at most {DEPTH} parentheses inside each other"))),
            false => Ok(()),
        }
    }

    fn comparison(&mut self) -> anyhow::Result<Node> {
        let position = self.position();
        let left = self.term()?;
        let Some(At {
            word: Word::Sign(sign),
            ..
        }) = self.words.first()
        else {
            return Ok(left);
        };
        let Some(comparison) = comparison(sign) else {
            return Ok(left);
        };
        let Node::Operand(left, _) = left else {
            return Ok(left);
        };
        self.words = &self.words[1..];
        let right = self.term()?;
        let right = self.operand(right)?;
        let compare = Condition::Compare(left, comparison, right);
        Ok(Node::Condition(compare, position))
    }

    fn term(&mut self) -> anyhow::Result<Node> {
        let position = self.position();
        if self.sign("(") {
            self.deeper()?;
            let inner = self.or()?;
            self.depth -= 1;
            if !self.sign(")") {
                return Err(self.wrong("and, or or a closing parenthesis"));
            }
            return Ok(inner);
        }
        let negative = self.sign("-");
        let Some(At { word, .. }) = self.words.first() else {
            return Err(self.wrong("a name or a number"));
        };
        let operand = match word {
            Word::Number(number) => {
                self.words = &self.words[1..];
                Operand::Number(if negative { -number } else { *number })
            }
            Word::Name(name) if !negative => {
                self.words = &self.words[1..];
                let column = match self.sign("(") {
                    true => Some(self.column(name)?),
                    false => None,
                };
                let column = column.as_ref().map(|(column, at)| (column.as_str(), *at));
                let number = self.needed.add(name, column, |at: Option<usize>| {
                    place(self.text, at.unwrap_or(position))
                })?;
                Operand::OfDocument(number)
            }
            _ if negative => return Err(self.wrong("a number")),
            _ => return Err(self.wrong("a name or a number")),
        };
        Ok(Node::Operand(operand, position))
    }

    /// The column in the parentheses of a function, with its position.
    fn column(&mut self, function: &str) -> anyhow::Result<(String, usize)> {
        let position = self.position();
        let Some(At {
            word: Word::Name(column),
            ..
        }) = self.words.first()
        else {
            return Err(self.wrong(&format!("a column in {function}(...)")));
        };
        self.words = &self.words[1..];
        match self.sign(")") {
            true => Ok((column.clone(), position)),
            false => Err(self.wrong("a closing parenthesis")),
        }
    }
}

fn comparison(sign: &str) -> Option<Comparison> {
    Some(match sign {
        "<" => Comparison::Less,
        "<=" => Comparison::AtMost,
        ">" => Comparison::More,
        ">=" => Comparison::AtLeast,
        "==" => Comparison::Equal,
        "!=" => Comparison::Other,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Masks with the columns `loss`, `entropy` and `mask_loss`.
    fn condition(text: &str) -> Result<(Condition, Needed), String> {
        let mut needed = Needed::with(&["loss", "entropy"], &["mask_loss"]);
        let condition = read(text, &mut needed);
        match condition {
            Ok(condition) => Ok((condition, needed)),
            Err(error) => {
                let hint = error.downcast_ref::<HintedError>().map_or("", |e| e.hint());
                Err(format!("{error}; {hint}"))
            }
        }
    }

    /// Whether it holds where `tokens` is 5, `scored` 0, and everything else null.
    fn holds(text: &str) -> Option<bool> {
        let (condition, needed) = condition(text).unwrap();
        condition.holds(&|i| match needed.name(i).as_str() {
            "tokens" => Some(5.0),
            "scored" => Some(0.0),
            _ => None,
        })
    }

    #[test]
    fn conditions_hold_as_in_sql() {
        for (text, expected) in [
            ("tokens == 5", Some(true)),
            ("length == 5.0", Some(true)),
            ("tokens<5", Some(false)),
            ("5 <= tokens", Some(true)),
            ("tokens != 5e0", Some(false)),
            ("scored > -.5", Some(true)),
            ("(tokens) >= (4)", Some(true)),
            ("not tokens > 5", Some(true)),
            ("not not tokens > 5", Some(false)),
            // `and` before `or`.
            ("tokens == 5 or tokens == 6 and tokens == 7", Some(true)),
            ("(tokens == 5 or tokens == 6) and tokens == 7", Some(false)),
            // The mean of no scores is null.
            ("mean(loss) < 4", None),
            ("not mean(loss) < 4", None),
            ("mean(loss) == mean(loss)", None),
            ("mean(loss) < 4 or tokens == 5", Some(true)),
            ("mean(loss) < 4 or tokens == 6", None),
            ("mean(loss) < 4 and tokens == 6", Some(false)),
            ("tokens == 5 and kept(loss) > 0", None),
            ("share(mask_loss) >= 0 or not median(entropy) > 1", None),
        ] {
            assert_eq!(holds(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_where_it_is() {
        let deep = format!("{}tokens == 5{}", "(".repeat(70), ")".repeat(70));
        let nots = "not ".repeat(100_000) + "tokens == 5";
        for (text, expected) in [
            ("", "character 1: expected a name or a number, got the end"),
            ("tokens", "character 1: expected a comparison"),
            ("tokens < ", "expected a name or a number, got the end"),
            ("tokens < 4 and", "got the end"),
            (
                "tokens < 4 tokens > 2",
                "character 12: expected and, or or the end",
            ),
            ("1 < tokens < 4", "compare twice"),
            ("(tokens < 4", "closing parenthesis"),
            ("tokens < 4)", "expected and, or or the end, got \")\""),
            ("(tokens < 4) < 5", "character 14: expected and, or"),
            ("4 < (tokens < 5)", "a number to compare"),
            ("tokens = 4", "expected ==, got \"= 4\""),
            ("tokens < 4 && tokens > 2", "expected and"),
            ("!tokens < 4", "expected not"),
            (
                "mean(los) < 4",
                "character 6: expected a column of scores or weights, got \"los\"; the closest is \"loss\"",
            ),
            (
                "mean(mask_loss) < 4",
                "character 6: expected a column of scores or weights",
            ),
            (
                "men(loss) < 4",
                "character 1: expected a function, got \"men\"; the closest is \"mean\"",
            ),
            ("mean < 4", "write it as mean(loss)"),
            ("loss < 4", "write it as mean(loss)"),
            ("tokens(loss) < 4", "without parentheses"),
            (
                "tokns < 4",
                "expected a name, got \"tokns\"; the closest is \"tokens\"",
            ),
            (
                "kept(entropy) > 0",
                "expected a mask, got \"mask_entropy\"; the closest is \"mask_loss\"",
            ),
            (
                "share(loss) > 0",
                "expected a mask, got \"loss\"; the closest is \"mask_loss\"",
            ),
            (
                "mean(excess) > 0",
                "expected a column of scores or weights, got \"excess\"",
            ),
            ("mean() > 0", "a column in mean(...)"),
            ("mean(loss, entropy) > 0", "got \", entropy) > 0\""),
            ("tokens < 4x", "expected a number"),
            ("tokens < 1.2.3", "expected a number"),
            ("tokens < 1e999", "expected a number"),
            ("tokens < -scored", "expected a number"),
            (
                "tokens < \u{1b}[2J",
                "expected a name, a number or a comparison",
            ),
            (&deep, "at most 64 parentheses"),
            (&nots, "at most 64 parentheses"),
        ] {
            let error = condition(text).expect_err(text);
            assert!(error.contains(expected), "{error}");
        }
    }
}
