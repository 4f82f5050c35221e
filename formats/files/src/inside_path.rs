//! Takes a name that somebody else wrote (in a record, an index, an archive), yields a relative path that stays inside
//! the folder it is joined to, or an error. What lies at that path is not looked at: see `folder`.

use std::fmt;
use std::ops::Deref;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

/// A relative path, with `/` between its parts, that names something inside the folder it is joined to.
///
/// It has no empty part, no `.` and no `..`, also where `\` separates the parts; it is not absolute, names no drive, and
/// holds no NUL. On Windows it holds neither `\` nor `:`; elsewhere they are letters like others.
///
/// ```
/// use rho_files::InsidePath;
///
/// let path = InsidePath::new("web/a.jsonl.arrow")?;
/// assert_eq!(path.as_str(), "web/a.jsonl.arrow");
/// assert!(InsidePath::new("../a").is_err());
/// # Ok::<(), rho_files::LeadsOutside>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct InsidePath(String);

/// A name that is no path inside a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadsOutside {
    /// The name.
    pub name: String,
}

impl InsidePath {
    /// Checks a name.
    ///
    /// # Errors
    /// If it could lead out of the folder that it is joined to.
    pub fn new(name: impl Into<String>) -> Result<Self, LeadsOutside> {
        let name = name.into();
        match is_inside(&name, cfg!(windows)) {
            true => Ok(Self(name)),
            false => Err(LeadsOutside { name }),
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the separators, at least one.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }
}

fn is_inside(name: &str, windows: bool) -> bool {
    let names_something = |part: &str| !matches!(part, "" | "." | "..");
    let bytes = name.as_bytes();
    let drive = bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.get(1) == Some(&b':')
        && matches!(bytes.get(2), Some(b'/' | b'\\'));
    let parts_are_names = name.split('/').all(|part| {
        // A name may hold a backslash, but no path of another system may hide in it.
        names_something(part) && !part.split('\\').any(|part| matches!(part, "." | ".."))
    });
    parts_are_names
        && !drive
        && !name.starts_with('\\')
        && !name.contains('\0')
        && (!windows || !name.contains(['\\', ':']))
}

impl Deref for InsidePath {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<Path> for InsidePath {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl fmt::Display for InsidePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for InsidePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::new(name).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for LeadsOutside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown: String = self.name.chars().take(200).collect();
        if shown.len() < self.name.len() {
            shown.push('…');
        }
        write!(
            f,
            "expected a relative path that stays inside its folder, got {shown:?}"
        )
    }
}

impl std::error::Error for LeadsOutside {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_inside_the_folder_are_paths() {
        let both = |name: &str| (is_inside(name, false), is_inside(name, true));
        for name in [
            "a",
            "a.b",
            "..a",
            "a..",
            "...",
            "a/b/c.arrow",
            " ",
            "日本/é",
            ".a",
        ] {
            assert_eq!(both(name), (true, true), "{name:?}");
        }
        // Letters on one system, separators on the other.
        for name in ["a\\b", "a:b", "s3:\\x", "a/b\\c"] {
            assert_eq!(both(name), (true, false), "{name:?}");
        }
        for name in [
            "",
            "/",
            "/a",
            "//a",
            "a/",
            "a//b",
            ".",
            "..",
            "./a",
            "a/.",
            "../a",
            "a/..",
            "a/../../b",
            "a/./b",
            "..\\a",
            "a\\..\\..\\b",
            "a/..\\b",
            ".\\a",
            "\\a",
            "\\\\host\\share",
            "C:\\a",
            "c:/a",
            "a\0b",
            "\0",
        ] {
            assert_eq!(both(name), (false, false), "{name:?}");
        }
    }

    #[test]
    fn a_path_in_a_record_is_checked_when_it_is_read() {
        let read = |text: &str| serde_json::from_str::<InsidePath>(text);
        assert_eq!(read(r#""a/b""#).unwrap().as_str(), "a/b");
        let error = read(r#""../b""#).unwrap_err().to_string();
        let said = r#"expected a relative path that stays inside its folder, got "../b""#;
        assert!(error.starts_with(said), "{error}");
        let long = LeadsOutside {
            name: "/".repeat(100_000),
        };
        assert!(long.to_string().len() < 400);
    }
}
