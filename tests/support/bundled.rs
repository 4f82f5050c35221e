//! The bundled corpus scored by the bundled reference, once for all tests that use it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Ended, Run};

/// The result of `score examples/corpus/ --out OUT`.
pub(crate) struct Bundled {
    pub(crate) out: PathBuf,
    pub(crate) ended: Ended,
    /// While it is held, another run of the tests waits before it replaces the folder.
    _lock: File,
}

/// The files of the corpus that mark the spans of mathematics in their documents.
pub(crate) const JSON_SHARDS: [&str; 3] =
    ["forum/threads.jsonl.zst", "notes.jsonl.gz", "pages.jsonl"];

/// All files of the corpus, in its order.
pub(crate) const SHARDS: [&str; 9] = [
    "forum/threads.jsonl.zst",
    "notes.jsonl.gz",
    "pages.jsonl",
    "texts/bulletin.txt",
    "texts/notes.txt",
    "texts/page.txt",
    "texts/thread.txt",
    "texts/timetable.txt",
    "texts/worksheet.txt",
];

pub(crate) fn bundled() -> &'static Bundled {
    static BUNDLED: OnceLock<Bundled> = OnceLock::new();
    BUNDLED.get_or_init(|| {
        // It is used until the process ends, so no test could remove a temporary folder: the next run replaces this
        // one.
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bundled-masks");
        let lock = File::create(out.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if out.exists() {
            fs::remove_dir_all(&out).unwrap();
        }
        let run = Run::new(&["score", "examples/corpus/", "--out"]).arg(&out);
        Bundled {
            ended: run.end(),
            out,
            _lock: lock,
        }
    })
}
