//! A repository's name on the Hub: `name` or `org/name`, each with an optional `@revision`. Arguments name models;
//! `datasets` takes names of datasets out of longer addresses.

use std::fmt;

/// The default revision.
const MAIN: &str = "main";
/// The longest part of a name that the Hub accepts.
const LONGEST: usize = 96;
/// File extensions: a name that ends with one of these is a path, not a model.
const FILES: [&str; 6] = [".onnx", ".json", ".safetensors", ".bin", ".toml", ".git"];

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RepositoryKind {
    Model,
    Dataset,
}

impl RepositoryKind {
    /// The word for one of them.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
        }
    }

    /// The part of an address before the name, if there is one.
    pub(super) fn prefix(self) -> Option<&'static str> {
        match self {
            Self::Model => None,
            Self::Dataset => Some("datasets"),
        }
    }
}

/// A repository and one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) kind: RepositoryKind,
    /// `org/name`, or only the name for the oldest models.
    pub(super) name: String,
    /// A branch, a tag or a commit.
    pub(super) revision: String,
}

impl Id {
    /// Parses an argument; none if it does not look like a model's name. Absolute paths, and paths with `./`, `../` or
    /// a trailing slash, never do.
    pub(super) fn parse(typed: &str) -> Option<Self> {
        let (model, revision) = match typed.split_once('@') {
            Some((model, revision)) => (model, revision),
            None => (typed, MAIN),
        };
        let parts: Vec<&str> = model.split('/').collect();
        let is_name = (1..=2).contains(&parts.len())
            && parts.iter().all(|part| is_part(part))
            && !FILES.iter().any(|end| model.ends_with(end));
        (is_name && is_revision(revision)).then(|| Self {
            kind: RepositoryKind::Model,
            name: model.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// The same name of another kind of repository.
    pub(super) fn of(self, kind: RepositoryKind) -> Self {
        Self { kind, ..self }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(prefix) = self.kind.prefix() {
            write!(f, "{prefix}/")?;
        }
        f.write_str(&self.name)?;
        match self.revision.as_str() {
            MAIN => Ok(()),
            revision => write!(f, "@{revision}"),
        }
    }
}

/// The Hub's rule: letters, digits, `-`, `_` and `.`; no `-` or `.` at either end, no `--` or `..` anywhere.
fn is_part(part: &str) -> bool {
    let mark = |c: char| ['-', '.'].contains(&c);
    (1..=LONGEST).contains(&part.len())
        && part
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || mark(c) || c == '_')
        && !part.starts_with(mark)
        && !part.ends_with(mark)
        && !part.contains("--")
        && !part.contains("..")
}

/// The name of a branch may contain slashes, such as `refs/pr/1`.
fn is_revision(revision: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.contains("..")
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
    };
    revision.len() <= 2 * LONGEST && revision.split('/').all(is_part)
}

/// Whether a revision is a full commit hash.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models_and_paths() {
        let parsed = |typed| Id::parse(typed).map(|id| (id.name, id.revision));
        let named = |model: &str, revision: &str| Some((model.to_owned(), revision.to_owned()));
        for (typed, expected) in [
            ("gpt2", named("gpt2", "main")),
            (
                "EleutherAI/pythia-70m",
                named("EleutherAI/pythia-70m", "main"),
            ),
            (
                "EleutherAI/pythia-70m@step3000",
                named("EleutherAI/pythia-70m", "step3000"),
            ),
            (
                "a/Llama-3.2_1B@refs/pr/1",
                named("a/Llama-3.2_1B", "refs/pr/1"),
            ),
            ("", None),
            ("@main", None),
            ("a/b@", None),
            ("a/b@../c", None),
            ("a/b@/c", None),
            ("a/b/c", None),
            ("a/", None),
            ("/a", None),
            ("./a", None),
            ("../a", None),
            ("~/a", None),
            ("a//b", None),
            ("a/b--c", None),
            ("a/.b", None),
            ("a b", None),
            ("ref/model.onnx", None),
            ("model.safetensors", None),
            ("https://huggingface.co/a", None),
        ] {
            assert_eq!(parsed(typed), expected, "{typed}");
        }
        assert_eq!(parsed(&"a".repeat(97)), None);
    }

    #[test]
    fn main_is_not_said() {
        let shown = |typed| Id::parse(typed).unwrap().to_string();
        assert_eq!(shown("a/b"), "a/b");
        assert_eq!(shown("a/b@main"), "a/b");
        assert_eq!(shown("a/b@v1"), "a/b@v1");
    }
}
