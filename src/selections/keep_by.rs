//! Keep ratios of single sources: `--keep-by web=0.5,code=0.7`. Every source is ranked by itself, with its own ratio or
//! the one of all others.

use std::collections::BTreeMap;

use rho_selection::{KeepRatio, Share};

use crate::{cli::ratio, hinted_error::HintedError};

/// The ratios of some sources, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct KeepBy(BTreeMap<String, KeepRatio>);

impl KeepBy {
    /// Reads the values of the option; none if it was not given.
    pub(crate) fn read(values: &[String]) -> anyhow::Result<Option<Self>> {
        if values.is_empty() {
            return Ok(None);
        }
        let mut ratios = BTreeMap::new();
        for value in values {
            for (name, ratio) in pairs(value)? {
                if ratios.insert(name.clone(), ratio).is_some() {
                    return Err(HintedError::error(
                        format!("--keep-by: expected each source once, got {name:?} twice"),
                        "omit one of them",
                    ));
                }
            }
        }
        Ok(Some(Self(ratios)))
    }

    /// The share of a source, where documents of other sources keep `other`.
    pub(crate) fn share(&self, source: Option<&str>, other: Share) -> Share {
        let own = source.and_then(|source| self.0.get(source));
        own.map_or(other, |&ratio| Share::Best(ratio))
    }

    /// The names of the sources.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// As it is recorded in the metadata.
    pub(crate) fn metadata(&self) -> BTreeMap<String, f64> {
        let ratios = self.0.iter();
        ratios
            .map(|(name, ratio)| (name.clone(), ratio.get()))
            .collect()
    }

    /// From the metadata; none if it is something else.
    pub(super) fn of_metadata(recorded: &BTreeMap<String, f64>) -> Option<Self> {
        let ratios = recorded.iter();
        let ratios = ratios.map(|(name, &ratio)| Some((name.clone(), KeepRatio::new(ratio).ok()?)));
        ratios.collect::<Option<_>>().map(Self)
    }

    /// Refuses sources that no document has.
    pub(crate) fn must_be_among(&self, there: &[Option<String>]) -> anyhow::Result<()> {
        let there: Vec<&str> = there.iter().flatten().map(String::as_str).collect();
        let Some(unknown) = self.names().find(|name| !there.contains(name)) else {
            return Ok(());
        };
        let likeness = |name: &&&str| (strsim::jaro_winkler(unknown, name) * 1e6) as u64;
        let hint = match there.iter().max_by_key(likeness) {
            Some(closest) => format!(
                "the closest source is {closest:?}; a source is the value of --source-field, without it the shard"
            ),
            None => "the documents have no source".to_owned(),
        };
        Err(HintedError::error(
            format!("--keep-by: expected sources of the documents, got {unknown:?}"),
            hint,
        ))
    }
}

/// The pairs of one value: `name=ratio`, separated by commas. A name with a comma is written as a JSON string.
fn pairs(value: &str) -> anyhow::Result<Vec<(String, KeepRatio)>> {
    let wrong = |got: &str| {
        HintedError::error(
            format!("--keep-by: expected SOURCE=RATIO, separated by commas, got {got:?}"),
            "write --keep-by web=0.5,code=0.7; a source with a comma as a JSON string: --keep-by '\"a,b\"=0.5'",
        )
    };
    let mut pairs = Vec::new();
    let mut rest = value;
    loop {
        let (name, after) = if rest.starts_with('"') {
            let mut names = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let name = names
                .next()
                .and_then(Result::ok)
                .ok_or_else(|| wrong(rest))?;
            (name, &rest[names.byte_offset()..])
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            // A name may contain an equals sign, a ratio may not.
            let split = rest[..end].rfind('=').ok_or_else(|| wrong(rest))?;
            (rest[..split].to_owned(), &rest[split..])
        };
        let after = after.strip_prefix('=').ok_or_else(|| wrong(rest))?;
        let end = after.find(',').unwrap_or(after.len());
        let ratio = ratio(&after[..end]).map_err(|error| {
            HintedError::error(
                format!("--keep-by {name}: {error}"),
                "write a share of the source's tokens, such as 0.5",
            )
        })?;
        if name.is_empty() {
            return Err(wrong(rest));
        }
        pairs.push((name, ratio));
        match after[end..].strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(pairs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_names_and_ratios_are_read() {
        let read = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            let read = KeepBy::read(&values).map_err(|error| error.to_string());
            read.map(|read| read.map(|read| read.metadata().into_iter().collect::<Vec<_>>()))
        };
        let pair = |name: &str, ratio: f64| (name.to_owned(), ratio);
        assert_eq!(read(&[]), Ok(None));
        for (values, expected) in [
            (
                &["web=0.5,code=1"][..],
                vec![pair("code", 1.0), pair("web", 0.5)],
            ),
            (&["b=0", "a=50%"], vec![pair("a", 0.5), pair("b", 0.0)]),
            (&["a=b=0.25"], vec![pair("a=b", 0.25)]),
            (
                &["\"a,b\"=0.1,\"c=\\\"\"=1"],
                vec![pair("a,b", 0.1), pair("c=\"", 1.0)],
            ),
            (&["dir/x.jsonl.zst=0.3"], vec![pair("dir/x.jsonl.zst", 0.3)]),
        ] {
            assert_eq!(read(values), Ok(Some(expected)), "{values:?}");
        }
        for value in [
            "", "web", "=0.5", "web=", "web=2", "web=0.5,", "a=1,a=0", "\"a=1", "\"a\"1", "web=NaN",
        ] {
            let error = read(&[value]).unwrap_err();
            assert!(error.starts_with("--keep-by"), "{value}: {error}");
        }
    }

    #[test]
    fn sources_that_no_document_has_are_refused() {
        let keep = KeepBy::read(&["wep=0.5".to_owned()]).unwrap().unwrap();
        let there = ["code", "web"].map(|name| Some(name.to_owned()));
        let error = keep.must_be_among(&there).unwrap_err();
        let hint = error.downcast_ref::<HintedError>().unwrap().hint();
        assert!(hint.contains("closest source is \"web\""), "{hint}");
        let there = ["wep"].map(|name| Some(name.to_owned()));
        keep.must_be_among(&there).unwrap();
    }
}
