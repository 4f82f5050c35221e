//! Shared by the tests: running the program, reading its files, creating corpora, finding files.

#[path = "../../formats/tests/support/answers.rs"]
pub(crate) mod answers;
#[path = "../../formats/tests/support/bucket.rs"]
pub(crate) mod bucket;
pub(crate) mod bundled;
pub(crate) mod completions;
pub(crate) mod hub;
pub(crate) mod masks;
pub(crate) mod onnx;
#[path = "../../formats/tests/support/proxy.rs"]
pub(crate) mod proxy;
#[path = "../../formats/tests/support/python.rs"]
pub(crate) mod python;
#[path = "../../formats/tests/support/server.rs"]
pub(crate) mod server;
pub(crate) mod terminal;
pub(crate) mod tiny;
pub(crate) mod torch;
pub(crate) mod transformers_4;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use rho_formats::{MaskRow, read_masks};
use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The program with its arguments, not yet run.
pub(crate) struct Run(pub(crate) Command);

/// The result of a run.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The program with these arguments, in the root of the project, in the user's own environment, so that an ONNX
    /// Runtime that was found or installed once serves all tests.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rho-mask"));
        command
            .args(arguments)
            .current_dir(root())
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        Self(command)
    }

    /// `select MASKS --out OUT` with more arguments.
    pub(crate) fn select(masks: &Path, out: &Path, arguments: &[&str]) -> Self {
        let run = Self::new(&["select"]).arg(masks).arg("--out").arg(out);
        run.args(arguments)
    }

    /// `score CORPUS --out OUT` on the CPU, so that numbers are the same on every machine.
    pub(crate) fn score(corpus: &Path, out: &Path) -> Self {
        Self::new(&["score", "--device", "cpu"])
            .arg(corpus)
            .arg("--out")
            .arg(out)
    }

    /// `score` of token ids with a model.
    pub(crate) fn score_tokens(corpus: &Path, model: &Path, out: &Path) -> Self {
        Self::score(corpus, out)
            .args(&["--tokens-field", "input_ids", "--model"])
            .arg(model)
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// An environment in which no ONNX Runtime can be found or downloaded; `empty` is a folder in place of the cache.
    pub(crate) fn without_library(mut self, empty: &Path) -> Self {
        for name in ["ORT_DYLIB_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"] {
            self.0.env_remove(name);
        }
        self.env("RHO_MASK_OFFLINE", "1")
            .env("HOME", empty)
            .env("LOCALAPPDATA", empty)
            .env("XDG_CACHE_HOME", empty)
            .env("PATH", empty)
    }

    pub(crate) fn end(mut self) -> Ended {
        let output = self.0.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ended {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Runs, and expects this exit code.
    pub(crate) fn ends_with(self, code: i32) -> Ended {
        let shown = format!("{:?}", self.0);
        let ended = self.end();
        assert_eq!(ended.code, Some(code), "{shown}\n{}", ended.stderr);
        ended
    }
}

impl Ended {
    /// Lines of standard error that contain this.
    pub(crate) fn lines_with(&self, what: &str) -> Vec<&str> {
        self.stderr
            .lines()
            .filter(|line| line.contains(what))
            .collect()
    }
}

/// The root of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder with the demonstration reference.
pub(crate) fn demo() -> PathBuf {
    root().join("models/demo")
}

/// A file of the data beside the project; reports it as skipped if it is missing, as on most machines.
pub(crate) fn beside(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(name);
    let there = path.exists();
    if !there {
        skipped(&format!("{} is missing", path.display()));
    }
    there.then_some(path)
}

/// Reports that a test, or a part of one, was skipped.
pub(crate) fn skipped(why: &str) {
    // Not with `eprintln!`, whose output the test harness hides for passing tests.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Writes a file, and creates its folder if needed.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// JSON lines of documents that are token ids.
pub(crate) fn token_lines(documents: &[Vec<u32>]) -> String {
    documents
        .iter()
        .map(|tokens| json!({"input_ids": tokens}).to_string() + "\n")
        .collect()
}

/// Random token ids below `vocabulary`, the same for the same seed.
pub(crate) fn random_tokens(length: usize, vocabulary: u32, seed: u32) -> Vec<u32> {
    let mut random = Random(seed);
    (0..length).map(|_| random.next() % vocabulary).collect()
}

/// Pseudo-random numbers, the same for the same seed.
pub(crate) struct Random(pub(crate) u32);

impl Random {
    pub(crate) fn next(&mut self) -> u32 {
        // Numerical Recipes' constants; the low bits are poor and dropped.
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    /// From -1 to 1.
    pub(crate) fn signed(&mut self) -> f32 {
        self.next() as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Like [`compress_bytes`], for text.
pub(crate) fn compress(parts: &[&str], ending: &str) -> Vec<u8> {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    compress_bytes(&parts, ending)
}

/// Compresses `parts` as one stream, flushed after each, so that a part can be decoded even if the next one is cut.
pub(crate) fn compress_bytes(parts: &[&[u8]], ending: &str) -> Vec<u8> {
    async fn encode<E: AsyncWrite + Unpin>(mut encoder: E, parts: &[&[u8]]) -> E {
        for part in parts {
            encoder.write_all(part).await.unwrap();
            encoder.flush().await.unwrap();
        }
        encoder.shutdown().await.unwrap();
        encoder
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        match ending {
            "bz2" => encode(BzEncoder::new(Vec::new()), parts).await.into_inner(),
            "gz" => encode(GzipEncoder::new(Vec::new()), parts)
                .await
                .into_inner(),
            "xz" => encode(XzEncoder::new(Vec::new()), parts).await.into_inner(),
            "zst" => encode(ZstdEncoder::new(Vec::new()), parts)
                .await
                .into_inner(),
            other => panic!("no such compression: {other}"),
        }
    })
}

/// The rows of one shard's masks.
pub(crate) fn rows(out: &Path, shard: &str) -> Vec<MaskRow> {
    let path = out.join(format!("{shard}.arrow"));
    read_masks(&path).unwrap().map(Result::unwrap).collect()
}

/// The metadata of one shard's masks.
pub(crate) fn metadata(out: &Path, shard: &str) -> Value {
    let reader = read_masks(out.join(format!("{shard}.arrow"))).unwrap();
    reader.schema().metadata.clone()
}

/// A JSON file.
pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The bytes of all files of a folder, without the times in the summary.
pub(crate) fn bytes_without_times(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let content = |name: String| {
        let mut bytes = fs::read(folder.join(&name)).unwrap();
        if name == "summary.json" {
            let mut summary = read_json(&folder.join(&name));
            summary.as_object_mut().unwrap().remove("speed");
            bytes = summary.to_string().into_bytes();
        }
        (name, bytes)
    };
    files(folder).into_iter().map(content).collect()
}

/// All files under a folder, relative and sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, top: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // The records the program keeps to resume a run.
            if path.file_name().is_some_and(|name| name == ".rho-mask") {
                continue;
            }
            if path.is_dir() {
                walk(&path, top, found);
            } else {
                let relative = path.strip_prefix(top).unwrap();
                found.push(relative.to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

/// Checks that scores differ by at most the tolerance; NaN means "not scored" and equals only itself.
#[track_caller]
pub(crate) fn assert_close(got: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let both_unscored = got.is_nan() && expected.is_nan();
        assert!(
            both_unscored || (got - expected).abs() <= tolerance,
            "{what}: token {i}: expected {expected}, got {got}"
        );
    }
}

/// Checks that tokens are equal, and losses and entropies within the tolerance.
#[track_caller]
pub(crate) fn assert_same_scores(
    got: &[MaskRow],
    expected: &[MaskRow],
    tolerance: f32,
    what: &str,
) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        let what = format!("{what}: {}", got.id);
        assert_eq!(got.input_ids, expected.input_ids, "{what}");
        for (got, expected) in got.scores.iter().zip(&expected.scores) {
            assert_close(got, expected, tolerance, &what);
        }
    }
}
