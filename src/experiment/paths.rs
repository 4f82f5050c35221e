//! Paths in an experiment's file: relative to the file, or beginning with a placeholder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::hinted_error::HintedError;

/// Resolves a path and replaces its placeholder.
pub(super) fn resolved(
    path: &Path,
    folder: &Path,
    paths: &BTreeMap<String, PathBuf>,
    given: &[(String, PathBuf)],
    used: &mut [bool],
) -> anyhow::Result<PathBuf> {
    let text = path.to_string_lossy();
    let Some(rest) = text.strip_prefix("${") else {
        return Ok(folder.join(path));
    };
    let Some((name, rest)) = rest.split_once('}') else {
        return Err(HintedError::error(
            format!("{text}: expected }} after ${{"),
            "write a placeholder as ${name}",
        ));
    };
    let rest = rest.trim_start_matches('/');
    let join = |start: &Path| match rest {
        "" => start.to_owned(),
        rest => start.join(rest),
    };
    if let Some(i) = given.iter().rposition(|(known, _)| known == name) {
        // The last `--path` of a name takes precedence; earlier ones of the same name also count as used.
        for (used, (known, _)) in used.iter_mut().zip(given) {
            *used |= known == name;
        }
        return Ok(join(&given[i].1));
    }
    match paths.get(name) {
        Some(start) => Ok(folder.join(join(start))),
        None => Err(HintedError::error(
            format!("{text}: expected a path for {name}, got none"),
            format!("name it with --path {name}=PATH"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders() {
        let paths = BTreeMap::from([("data".to_owned(), PathBuf::from("../data"))]);
        let given = [("eval".to_owned(), PathBuf::from("sets"))];
        let mut used = [false];
        let mut of = |path: &str| {
            let resolved = resolved(Path::new(path), Path::new("ex"), &paths, &given, &mut used);
            resolved.map_err(|error| error.to_string())
        };
        assert_eq!(of("a.json"), Ok("ex/a.json".into()));
        assert_eq!(of("/a.json"), Ok("/a.json".into()));
        assert_eq!(of("${data}/x"), Ok("ex/../data/x".into()));
        assert_eq!(of("${eval}/x.jsonl"), Ok("sets/x.jsonl".into()));
        assert_eq!(of("${eval}"), Ok("sets".into()));
        assert!(
            of("${other}")
                .unwrap_err()
                .contains("expected a path for other")
        );
        assert!(of("${other").unwrap_err().contains("expected }"));
        assert!(used[0]);
    }
}
