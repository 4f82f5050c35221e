//! Killed while small files are masked that share masks files: the folder is identical to that of an uninterrupted run.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::support::{assert_same, ended, said, score, start};

/// 90 short texts, and one file among them that breaks off.
fn corpus(place: &Path) -> PathBuf {
    let corpus = place.join("corpus");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/corpus");
    let pages = fs::read_to_string(examples.join("pages.jsonl")).unwrap();
    for text in 0..90 {
        let folder = corpus.join((text / 30).to_string());
        fs::create_dir_all(&folder).unwrap();
        let words: Vec<&str> = pages.split(' ').skip(text * 12).take(30).collect();
        fs::write(folder.join(format!("{text:02}.txt")), words.join(" ")).unwrap();
    }
    let cut = zstd::encode_all(pages.as_bytes(), 1).unwrap();
    fs::write(corpus.join("1/45.jsonl.zst"), &cut[..200]).unwrap();
    corpus
}

#[test]
fn killed_inside_a_group() {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path());
    let (expected, out) = (place.path().join("whole"), place.path().join("masks"));
    let begun = Instant::now();
    let whole = ended(&mut score(&corpus, &expected));
    assert_eq!(whole.status.code(), Some(1), "{}", said(&whole));
    let takes = begun.elapsed();
    for part in [1, 3, 5, 6, 7, 8] {
        let mut child = start(&mut score(&corpus, &out));
        std::thread::sleep(
            takes
                .mul_f64(f64::from(part) / 9.0)
                .max(Duration::from_millis(20)),
        );
        // It may have ended.
        let _ = child.kill();
        child.wait().unwrap();
    }
    let last = ended(&mut score(&corpus, &out));
    assert_eq!(last.status.code(), Some(1), "{}", said(&last));
    assert_same(&out, &expected);
    assert!(out.join("0/00.txt.91-files.arrow").exists());
}
