//! The cache: exports and ONNX Runtime are compared with their hashes when they are used, and `cache` lists and cleans
//! what lies there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::support::{Run, assert_same_scores, root, rows, token_lines, write};

/// A place with a cache of its own, a checkpoint, and a corpus of token ids.
struct Place {
    place: tempfile::TempDir,
    library: PathBuf,
}

impl Place {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let documents: Vec<Vec<u32>> = (2..20)
            .map(|n| (0..n).map(|i| i * 7 % 96).collect())
            .collect();
        write(&place.path().join("corpus.jsonl"), token_lines(&documents));
        let fixture = root().join("models/graph/tests/fixtures/llama_tied");
        fs::create_dir(place.path().join("model")).unwrap();
        for name in ["config.json", "model.safetensors"] {
            fs::copy(fixture.join(name), place.path().join("model").join(name)).unwrap();
        }
        let options = rho_runtime::LibraryOptions::from_environment();
        let library = rho_runtime::find_or_install(&options, &mut |_| {}).unwrap();
        Self {
            place,
            library: library.path,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn cache(&self) -> PathBuf {
        self.at("cache/rho-mask")
    }

    fn here(&self, run: Run) -> Run {
        run.env("XDG_CACHE_HOME", self.at("cache"))
            .env("ORT_DYLIB_PATH", &self.library)
    }

    fn score(&self, out: &str) -> Run {
        self.here(Run::score_tokens(
            &self.at("corpus.jsonl"),
            &self.at("model"),
            &self.at(out),
        ))
    }

    fn export(&self) -> PathBuf {
        let mut exports = fs::read_dir(self.cache().join("exported")).unwrap();
        let is_folder = |path: &PathBuf| path.is_dir();
        exports
            .by_ref()
            .map(|entry| entry.unwrap().path())
            .find(is_folder)
            .unwrap()
    }

    fn list(&self) -> Vec<Value> {
        let ended = self
            .here(Run::new(&["cache", "list", "--json"]))
            .ends_with(0);
        let listed: Value = serde_json::from_str(&ended.stdout).unwrap();
        listed["entries"].as_array().unwrap().clone()
    }

    fn names(&self) -> Vec<String> {
        let entries = self.list();
        entries
            .iter()
            .map(|e| e["name"].as_str().unwrap().to_owned())
            .collect()
    }

    fn clean(&self, arguments: &[&str]) -> Run {
        self.here(Run::new(&["cache", "clean"]).args(arguments))
    }
}

#[test]
fn a_damaged_export_is_written_again() {
    let place = Place::new();
    let first = place.score("first").ends_with(0);
    assert_eq!(
        first.lines_with("exporting it in f32").len(),
        1,
        "{}",
        first.stderr
    );
    let expected = rows(&place.at("first"), "corpus.jsonl");
    let again = place.score("again").ends_with(0);
    assert!(
        again.lines_with("exporting it").is_empty(),
        "{}",
        again.stderr
    );
    let export = place.export();
    let content = |name: &str| fs::read(export.join(name)).unwrap();
    let names: Vec<String> = fs::read_dir(&export)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.len() >= 3, "{names:?}");
    let whole: Vec<Vec<u8>> = names.iter().map(|name| content(name)).collect();
    let mut damages = 0;
    for name in &names {
        let bytes = content(name);
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 0x10;
        let cut = bytes[..bytes.len() - 1].to_vec();
        let mut all = vec![Some(flipped), Some(cut), Some(Vec::new()), None];
        if name == "contents.json" {
            // The record itself has no hash: only what makes it unreadable is damage.
            all.drain(..2);
        }
        for damage in all {
            match damage {
                Some(bytes) => fs::write(export.join(name), bytes).unwrap(),
                None => fs::remove_file(export.join(name)).unwrap(),
            }
            damages += 1;
            let out = format!("damaged-{damages}");
            let ended = place.score(&out).ends_with(0);
            assert_eq!(
                ended.lines_with("the export is damaged").len(),
                1,
                "{name}: {}",
                ended.stderr
            );
            let got = rows(&place.at(&out), "corpus.jsonl");
            assert_same_scores(&got, &expected, 0.0, name);
        }
    }
    for (name, whole) in names.iter().zip(whole) {
        assert!(content(name) == whole, "{name}");
    }
    // A file too many could change how the model is read.
    write(&export.join("special_tokens_map.json"), "{}");
    let ended = place.score("more").ends_with(0);
    let said = "expected no file special_tokens_map.json, got one";
    assert_eq!(ended.lines_with(said).len(), 1, "{}", ended.stderr);
    assert!(!export.join("special_tokens_map.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_damaged_library_is_not_loaded() {
    let place = Place::new();
    // An installation of the cache, made of the library at hand.
    let folder = place.cache().join(format!(
        "onnxruntime-{}-linux-{}",
        rho_runtime::PINNED_VERSION,
        std::env::consts::ARCH
    ));
    let name = format!("libonnxruntime.so.{}", rho_runtime::PINNED_VERSION);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(&place.library, folder.join(&name)).unwrap();
    let content = rho_files::Content::of(&folder.join(&name)).unwrap();
    let manifest = serde_json::json!({"files": {&name: {"bytes": content.bytes, "sha256": "", "xxh3": content.xxh3}}});
    write(&folder.join("manifest.json"), manifest.to_string());
    let empty = place.at("empty");
    fs::create_dir(&empty).unwrap();
    let score = |out: &str| {
        let mut run = place
            .score(out)
            .env("RHO_MASK_OFFLINE", "1")
            .env("PATH", &empty);
        for name in ["ORT_DYLIB_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"] {
            run.0.env_remove(name);
        }
        run
    };
    score("whole").ends_with(0);
    let entries = place.list();
    let runtime = entries
        .iter()
        .find(|entry| entry["kind"] == "runtime")
        .unwrap();
    assert!(runtime["bytes"].as_u64().unwrap() > content.bytes);
    // A bit in the middle: the headers are whole, and the size is the same.
    let mut bytes = fs::read(folder.join(&name)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(folder.join(&name)).unwrap();
    fs::write(folder.join(&name), bytes).unwrap();
    let refused = score("damaged").ends_with(2);
    let said = format!(
        "the installation is damaged: {name}: expected XXH3 {}",
        content.xxh3
    );
    assert!(refused.stderr.contains(&said), "{}", refused.stderr);
}

#[test]
fn the_cache_is_listed_and_cleaned() {
    let place = Place::new();
    place.score("first").ends_with(0);
    let cache = place.cache();
    let export = place.export();
    let name = format!("exported/{}", export.file_name().unwrap().to_str().unwrap());
    let hash = "ab".repeat(32);
    let leftover = format!("exported/.{hash}-f32-0.0.0.0.partial-xyz");
    write(&cache.join(&leftover).join("model.onnx"), "part");
    write(&cache.join("demo-0000000000000000/model.onnx"), "text");
    write(&cache.join("mine/file"), "mine");
    write(&cache.join("exported/notes.txt"), "mine");

    let entries = place.list();
    let find = |name: &str| entries.iter().find(|entry| entry["name"] == name).unwrap();
    assert_eq!(find(&name)["kind"], "export");
    let model = place.at("model").display().to_string();
    assert_eq!(find(&name)["from"], model.as_str());
    let size: u64 = fs::read_dir(&export)
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(find(&name)["bytes"], size);
    let used = find(&name)["last_used"].as_u64().unwrap();
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    assert!(now.as_secs() - used < 600);
    assert_eq!(find(&leftover)["kind"], "leftover");
    assert_eq!(find("demo-0000000000000000")["kind"], "bundled");
    assert_eq!(find("mine")["kind"], "unknown");
    assert_eq!(find("exported/notes.txt")["kind"], "unknown");
    assert!(
        entries
            .iter()
            .all(|e| !e["name"].as_str().unwrap().contains("lock")),
        "{entries:?}"
    );
    let table = place.here(Run::new(&["cache", "list"])).ends_with(0).stdout;
    assert!(table.contains(&name) && table.contains(&model), "{table}");
    assert!(
        table.contains(&format!("{} entries, ", entries.len())),
        "{table}"
    );

    // Nothing is removed by mistake.
    place.clean(&[]).ends_with(2);
    place.clean(&["--all", &name]).ends_with(2);
    place.clean(&["--older-than", "soon"]).ends_with(2);
    place.clean(&["none"]).ends_with(2);
    place.clean(&["exported/"]).ends_with(2);
    let mine = place.clean(&["mine"]).ends_with(2);
    assert!(
        mine.stderr
            .contains("expected an entry that rho-mask wrote"),
        "{}",
        mine.stderr
    );
    place.clean(&["--older-than", "1h"]).ends_with(0);
    let dry = place.clean(&["--all", "--dry-run"]).ends_with(0);
    assert!(
        dry.stderr.contains("would remove 3 entries"),
        "{}",
        dry.stderr
    );
    assert_eq!(place.names().len(), entries.len());

    // By age: the demonstration was used long ago.
    let old = SystemTime::now() - Duration::from_secs(40 * 86_400);
    let folder = fs::File::open(cache.join("demo-0000000000000000")).unwrap();
    folder.set_modified(old).unwrap();
    place.clean(&["--older-than", "8w"]).ends_with(0);
    assert!(cache.join("demo-0000000000000000").exists());
    place.clean(&["--older-than", "30d"]).ends_with(0);
    assert!(!cache.join("demo-0000000000000000").exists());
    assert!(export.exists());

    // By the start of a name, then all.
    place.clean(&[&name[..20]]).ends_with(0);
    assert!(!export.exists());
    place.score("second").ends_with(0);
    place.clean(&["--all"]).ends_with(0);
    let mut left = place.names();
    left.sort();
    assert_eq!(left, ["exported/notes.txt", "mine"]);
    assert_eq!(fs::read(cache.join("mine/file")).unwrap(), b"mine");
    // What was removed is made again.
    let again = place.score("third").ends_with(0);
    assert_eq!(
        again.lines_with("exporting it in f32").len(),
        1,
        "{}",
        again.stderr
    );
    let (first, third) = (
        rows(&place.at("first"), "corpus.jsonl"),
        rows(&place.at("third"), "corpus.jsonl"),
    );
    assert_same_scores(&third, &first, 0.0, "exported again");
}

/// A process that reads its corpus from standard input, and so waits with its model in use.
struct Waiting(Child);

impl Waiting {
    fn start(place: &Place) -> Self {
        let run = Run::score_tokens(Path::new("-"), &place.at("model"), &place.at("waiting"));
        let mut run = place.here(run);
        run.0
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        Self(run.0.spawn().unwrap())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_a_process_uses_stays() {
    let place = Place::new();
    place.score("first").ends_with(0);
    let export = place.export();
    let waiting = Waiting::start(&place);
    let start = Instant::now();
    let in_use = || place.list().iter().any(|entry| entry["in_use"] == true);
    while !in_use() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "it never used its model"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let table = place.here(Run::new(&["cache", "list"])).ends_with(0).stdout;
    assert!(table.contains("in use"), "{table}");
    let kept = place.clean(&["--all"]).ends_with(1);
    assert!(
        kept.stderr.contains("in use, so it stays"),
        "{}",
        kept.stderr
    );
    assert!(export.join("model.onnx").exists());
    drop(waiting);
    place.clean(&["--all"]).ends_with(0);
    assert!(!export.exists());
}

#[cfg(unix)]
#[test]
fn no_link_leads_out_of_the_cache() {
    use std::os::unix::fs::symlink;

    let place = Place::new();
    let cache = place.cache();
    write(&place.at("elsewhere/file"), "precious");
    fs::create_dir_all(cache.join("exported")).unwrap();
    let export = format!("exported/{}-f32-0.0.0.0", "cd".repeat(32));
    fs::create_dir(cache.join(&export)).unwrap();
    for (link, target) in [
        ("demo-1111111111111111", "elsewhere"),
        ("onnxruntime-link", "elsewhere"),
        ("documents-1111111111111111", "elsewhere/file"),
        (
            &*format!("exported/{}-f32-0.0.0.0", "ab".repeat(32)),
            "elsewhere",
        ),
        (&*format!("{export}/model.onnx"), "elsewhere/file"),
        (&*format!("{export}/deeper"), "elsewhere"),
    ] {
        symlink(place.at(target), cache.join(link)).unwrap();
    }
    let entries = place.list();
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry["kind"] == "unknown")
            .count(),
        4
    );
    assert!(
        entries
            .iter()
            .all(|entry| entry["bytes"].as_u64().unwrap() < 1000),
        "{entries:?}"
    );
    place.clean(&["--all"]).ends_with(0);
    assert_eq!(fs::read(place.at("elsewhere/file")).unwrap(), b"precious");
    assert_eq!(place.names().len(), 4);
    assert!(!cache.join(&export).exists());
    // The cache folder itself may be a link.
    fs::rename(place.at("cache"), place.at("disk")).unwrap();
    symlink(place.at("disk"), place.at("cache")).unwrap();
    place.score("out").ends_with(0);
    assert_eq!(place.names().len(), 5);
    // A folder of exports that is a link is the user's: its content is not listed, and stays.
    fs::rename(place.at("disk/rho-mask/exported"), place.at("exports")).unwrap();
    symlink(place.at("exports"), place.at("disk/rho-mask/exported")).unwrap();
    place.clean(&["--all"]).ends_with(0);
    assert!(fs::read_dir(place.at("exports")).unwrap().count() > 1);
}
