//! Takes the name of a shard, yields the names of its files in a folder. Everything that is written for a shard (masks,
//! spill files, records) is named here, so that no two of its files, and no file and folder, get the same name.

use std::borrow::Cow;

use rho_files::Folder;
use xxhash_rust::xxh3::xxh3_128;

use super::FileFormat;

/// The longest last part of a name, in bytes. Most file systems allow 255, of which the endings and the marks of a
/// partial file take up to 35.
const LONGEST: usize = 220;

/// How much of a longer one is kept, in bytes.
const KEPT: usize = 180;

/// The endings of files that are written for shards. A folder of a corpus may have such a name as well: beside a shard
/// `a.jsonl`, the folder `a.jsonl.arrow` would be where its masks belong.
const ENDINGS: [&str; 11] = [
    ".arrow",
    ".bin",
    ".idx",
    ".json",
    ".jsonl",
    ".mds",
    ".npy",
    ".parquet",
    ".partial",
    ".rejected",
    ".tar",
];

/// What the names of a shard's files start with: the shard's name, unless its last part is too long, or a folder in it could be
/// confused with a file. A long last part is cut and gets a hash of the whole name; a folder with the ending of a file gets a
/// `~`. The result is the same for every corpus, and for itself.
pub fn file_stem(shard: &str) -> Cow<'_, str> {
    let (folders, last) = match shard.rfind('/') {
        Some(slash) => shard.split_at(slash + 1),
        None => ("", shard),
    };
    let is_file = |folder: &str| ENDINGS.iter().any(|ending| folder.ends_with(ending));
    if last.len() <= LONGEST && !folders.split('/').any(is_file) {
        return Cow::Borrowed(shard);
    }
    let mut stem = String::with_capacity(shard.len());
    for folder in folders.split_terminator('/') {
        stem.push_str(folder);
        stem.push_str(if is_file(folder) { "~/" } else { "/" });
    }
    match last.len() <= LONGEST {
        true => stem.push_str(last),
        false => {
            let kept = &last[..last.floor_char_boundary(KEPT)];
            stem.push_str(&format!("{kept}~{:032x}", xxh3_128(shard.as_bytes())));
        }
    }
    Cow::Owned(stem)
}

/// The name of a shard's mask file, if it has one.
pub fn mask_file_name(shard: &str) -> String {
    format!("{}.arrow", file_stem(shard))
}

/// The names of a shard's files in a format: without a number if there is one.
pub(super) fn file_names(shard: &str, files: usize, format: FileFormat) -> Vec<String> {
    let (stem, ending) = (file_stem(shard), format.ending());
    match files {
        1 => vec![format!("{stem}{ending}")],
        files => (0..files)
            .map(|i| format!("{stem}.{i:05}{ending}"))
            .collect(),
    }
}

/// The name of a mask file without the ending of its format, if it has one.
pub fn mask_file_stem(name: &str) -> Option<&str> {
    let formats = [FileFormat::ArrowStream, FileFormat::Parquet];
    let mut stems = formats.iter().map(|f| name.strip_suffix(f.ending()));
    stems.find_map(|stem| stem.filter(|stem| !stem.is_empty() && !stem.ends_with('/')))
}

/// The name of a mask file in a format.
pub fn mask_file_name_in(name: &str, format: FileFormat) -> String {
    match (mask_file_stem(name), format) {
        (Some(stem), format) => format!("{stem}{}", format.ending()),
        // A name that the user gave says nothing; Parquet is often told by its name.
        (None, FileFormat::Parquet) => format!("{name}{}", format.ending()),
        (None, FileFormat::ArrowStream | FileFormat::ArrowFile) => name.to_owned(),
    }
}

/// The name of file `i` of a shard until it is complete: a stream, whatever the format.
pub(super) fn partial(shard: &str, i: usize) -> String {
    Folder::partial(&unfinished(shard, i))
}

/// The name of the same rows in another format, until the shard is recorded as complete.
pub(super) fn rewritten(shard: &str, i: usize) -> String {
    Folder::partial(&format!("{}.rewritten", unfinished(shard, i)))
}

fn unfinished(shard: &str, i: usize) -> String {
    match i {
        0 => mask_file_name(shard),
        i => format!("{}.{i:05}.arrow", file_stem(shard)),
    }
}

/// The temporary names of a mask file that is written on its own, as [`partial`] and [`rewritten`].
pub(super) fn partial_of_file(name: &str) -> String {
    Folder::partial(&mask_file_name_in(name, FileFormat::ArrowStream))
}

/// See [`partial_of_file`].
pub(super) fn rewritten_of_file(name: &str) -> String {
    let stream = mask_file_name_in(name, FileFormat::ArrowStream);
    Folder::partial(&format!("{stream}.rewritten"))
}

/// The first two of these shards whose files would have the same names. It takes a name that was made for that.
pub fn same_files<'a>(shards: impl IntoIterator<Item = &'a str>) -> Option<(&'a str, &'a str)> {
    let mut seen = std::collections::HashMap::new();
    shards.into_iter().find_map(|shard| {
        let before = seen.insert(file_stem(shard), shard)?;
        (before != shard).then_some((before, shard))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_stay() {
        let most = "n".repeat(LONGEST);
        for shard in [
            "a.jsonl",
            "a.b/c.d/e.arrow",
            "a.arrow~/b",
            "\u{e4}/b",
            &most,
        ] {
            assert_eq!(file_stem(shard), shard);
            assert!(matches!(file_stem(shard), Cow::Borrowed(_)));
        }
        assert_eq!(mask_file_name("a/b.jsonl"), "a/b.jsonl.arrow");
    }

    #[test]
    fn formats_have_endings_of_their_own() {
        use FileFormat::{ArrowFile, ArrowStream, Parquet};
        for (name, format, expected) in [
            ("a/b.jsonl.arrow", Parquet, "a/b.jsonl.parquet"),
            ("a/b.jsonl.parquet", ArrowStream, "a/b.jsonl.arrow"),
            ("b.parquet.arrow", ArrowFile, "b.parquet.arrow"),
            ("b.parquet.arrow", Parquet, "b.parquet.parquet"),
            ("named", ArrowStream, "named"),
            ("named", Parquet, "named.parquet"),
            ("a/.arrow", Parquet, "a/.arrow.parquet"),
        ] {
            assert_eq!(mask_file_name_in(name, format), expected);
        }
        assert_eq!(file_names("s", 1, Parquet), ["s.parquet"]);
        assert_eq!(
            file_names("s", 2, ArrowFile),
            ["s.00000.arrow", "s.00001.arrow"]
        );
        assert_eq!(partial_of_file("a/s.parquet"), partial("a/s", 0));
        assert_eq!(rewritten_of_file("a/s.parquet"), rewritten("a/s", 0));
        assert_ne!(partial("s", 1), rewritten("s", 1));
    }

    #[test]
    fn folders_do_not_take_the_names_of_files() {
        assert_eq!(file_stem("a.jsonl.arrow/b.jsonl"), "a.jsonl.arrow~/b.jsonl");
        assert_eq!(file_stem("x/a.json/.tar/b"), "x/a.json~/.tar~/b");
    }

    #[test]
    fn long_names_are_cut_to_names_of_their_own() {
        let long = |end: &str| format!("folder/{}{end}", "\u{e4}\u{65e5}n".repeat(60));
        let (a, b) = (long("a.jsonl"), long("b.jsonl"));
        let stem = file_stem(&a).into_owned();
        assert_ne!(stem, file_stem(&b));
        // What a file system must take.
        let (spill, last) = (
            format!(".{stem}.arrow.scores-0.partial"),
            rewritten(&a, 99_999),
        );
        for name in [spill, last, partial(&a, 99_999)] {
            assert!(name.len() - "folder/".len() <= 255, "{}", name.len());
        }
        assert_eq!(file_stem(&stem), stem);
        // Two shards of which one has the name that the other one gets.
        let names = [&*a, &*b, &*stem];
        assert_eq!(same_files(names), Some((&*a, &*stem)));
        assert_eq!(same_files([&*a, &*b, &*a]), None);
        assert_eq!(
            same_files(["a.arrow/b", "a.arrow~/b"]),
            Some(("a.arrow/b", "a.arrow~/b"))
        );
    }
}
