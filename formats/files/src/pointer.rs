//! Takes the first bytes of a file, tells the small text that stands for a file whose content was not downloaded. No
//! format starts so, and a text that is nothing else is not a document.

use std::fmt;
use std::io;

/// Git LFS reads pointers of up to 1024 bytes; those that it writes have fewer than 200.
const LONGEST: usize = 512;

/// The error inside the [`io::Error`] for a pointer in the place of a file: whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointer(&'static str);

impl fmt::Display for Pointer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "expected the content of the file, got a {} pointer to it",
            self.0
        )
    }
}

impl std::error::Error for Pointer {}

/// Refuses a file that is a pointer. `head` has its first 512 bytes, or all of them if they are fewer.
///
/// # Errors
/// If it is: the error holds a [`Pointer`].
pub fn refuse_pointer(head: &[u8]) -> io::Result<()> {
    match pointer_system(head) {
        Some(system) => Err(io::Error::new(io::ErrorKind::InvalidData, Pointer(system))),
        None => Ok(()),
    }
}

/// The system whose pointer the file is.
fn pointer_system(head: &[u8]) -> Option<&'static str> {
    if head.len() >= LONGEST {
        return None;
    }
    let text = std::str::from_utf8(head).ok()?;
    if is_git_lfs(text) {
        return Some("Git LFS");
    }
    let annex = text.starts_with("/annex/objects/") && text.trim_end().lines().count() == 1;
    annex.then_some("git-annex")
}

/// <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>: the version first, then the other keys in order.
fn is_git_lfs(text: &str) -> bool {
    let mut lines = text.lines();
    let versions = [
        "https://git-lfs.github.com/spec/",
        "https://hawser.github.com/spec/",
    ];
    let version = lines.next().and_then(|line| line.strip_prefix("version "));
    let known = version.is_some_and(|url| versions.iter().any(|known| url.starts_with(known)));
    let (mut has_id, mut only_keys) = (false, true);
    for line in lines.filter(|line| !line.is_empty()) {
        has_id |= line.starts_with("oid ");
        only_keys &= ["oid ", "size ", "ext-"]
            .iter()
            .any(|key| line.starts_with(key));
    }
    known && has_id && only_keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_texts_about_them() {
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n",
            "0".repeat(64)
        );
        assert_eq!(pointer_system(pointer.as_bytes()), Some("Git LFS"));
        let windows = pointer.replace('\n', "\r\n");
        assert_eq!(pointer_system(windows.as_bytes()), Some("Git LFS"));
        let extended = pointer.replace("oid", "ext-0-x sha256:00\noid");
        assert_eq!(pointer_system(extended.as_bytes()), Some("Git LFS"));
        let annex = b"/annex/objects/SHA256E-s12345--00.jsonl\n";
        assert_eq!(pointer_system(annex), Some("git-annex"));
        for text in [
            format!("{pointer}is how a pointer looks."),
            "version https://git-lfs.github.com/spec/v1\n".to_owned(),
            format!("{{\"text\":{pointer:?}}}"),
            "/annex/objects/ is a folder\nof git-annex".to_owned(),
            String::new(),
        ] {
            assert_eq!(pointer_system(text.as_bytes()), None, "{text}");
        }
    }
}
