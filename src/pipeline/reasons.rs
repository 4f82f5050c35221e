//! Why rows hold no document: takes rejections, counts those of one kind together, gives the most common reasons.

use std::{
    collections::HashMap,
    io::{self, BufRead},
};

use rho_formats::Rejection;
use serde::{Deserialize, Serialize};

/// Reasons that a summary shows.
const SHOWN: usize = 3;
/// Most kinds of reasons that are counted separately.
const KINDS: usize = 1_000;

/// A reason, with its first example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// How many rows have a reason of this kind.
    pub count: u64,
    /// The reason of the first of them.
    pub reason: String,
    /// Its shard.
    pub shard: String,
    /// Its row.
    pub row: i64,
}

/// The reasons by kind, each with the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Reasons(HashMap<String, (usize, Reason)>);

impl Reasons {
    /// Counts a rejection.
    pub(super) fn add(&mut self, rejection: &Rejection) {
        let Rejection { shard, row, reason } = rejection;
        let (order, kind) = (self.0.len(), kind(reason));
        if let Some((_, known)) = self.0.get_mut(&kind) {
            known.count += 1;
        } else if order < KINDS {
            let first = Reason {
                count: 1,
                reason: reason.clone(),
                shard: shard.clone(),
                row: *row,
            };
            self.0.insert(kind, (order, first));
        }
    }

    /// Counts the lines of a list of rejections. Lines that are something else are passed over.
    pub(super) fn add_list(&mut self, list: impl BufRead) -> io::Result<()> {
        #[derive(Deserialize)]
        struct Line {
            shard: String,
            row: i64,
            reason: String,
        }
        for line in list.lines() {
            if let Ok(Line { shard, row, reason }) = serde_json::from_str(&line?) {
                self.add(&Rejection { shard, row, reason });
            }
        }
        Ok(())
    }

    /// The most common reasons, the first of equally common ones first.
    pub(super) fn most_common(&self) -> Vec<Reason> {
        let mut all: Vec<_> = self.0.values().collect();
        all.sort_by_key(|(order, reason)| (std::cmp::Reverse(reason.count), *order));
        all.into_iter()
            .take(SHOWN)
            .map(|(_, reason)| reason.clone())
            .collect()
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let times = match self.count {
            1 => "once".to_owned(),
            count => format!("{} times", crate::numbers::grouped(count)),
        };
        write!(
            f,
            "{times}: {} ({} row {})",
            self.reason, self.shard, self.row
        )
    }
}

/// A reason without its numbers and quoted names, so that similar reasons are counted together.
fn kind(reason: &str) -> String {
    let mut kind = String::new();
    let mut quoted = false;
    for c in reason.chars() {
        quoted ^= c == '"';
        if !(quoted || c == '"' || c.is_ascii_digit()) {
            kind.push(c);
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_reasons_are_of_one_kind() {
        let a = kind("no field \"text\"; the line has \"a1\", \"b\" at column 12");
        let b = kind("no field \"text\"; the line has \"c\", \"d\" at column 3");
        assert_eq!(a, b);
    }

    #[test]
    fn the_most_common_come_first() {
        let mut reasons = Reasons::default();
        let list = [
            ("x 1", 0),
            ("y", 1),
            ("y", 2),
            ("z", 3),
            ("x 2", 4),
            ("u", 5),
        ];
        let list = list.map(|(reason, row)| {
            serde_json::json!({"shard": "a", "row": row, "reason": reason}).to_string() + "\n"
        });
        reasons
            .add_list((list.concat() + "rubbish\n").as_bytes())
            .unwrap();
        let shown: Vec<String> = reasons
            .most_common()
            .iter()
            .map(Reason::to_string)
            .collect();
        let expected = [
            "2 times: x 1 (a row 0)",
            "2 times: y (a row 1)",
            "once: z (a row 3)",
        ];
        assert_eq!(shown, expected);
    }
}
