//! Models by their names on the Hub: `--model org/model[@revision]`, from the cache or from a server on loopback that
//! speaks the Hub's protocol, with the faults of servers and networks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::export::library;
use crate::support::{
    Ended, Run, demo, files,
    hub::{Hub, Request, commit},
    metadata,
    python::python,
    read_json, root,
    tiny::tiny,
    token_lines, write,
};

/// An address without a server.
const NOBODY: &str = "http://127.0.0.1:1";
const TOKEN: &str = "hf_secretOfTheTest";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A folder in place of the user's home.
struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The model's folder in the cache.
    fn cached(&self) -> PathBuf {
        self.at("hf/hub/models--org--model")
    }

    fn snapshot(&self, digit: char) -> PathBuf {
        self.cached().join("snapshots").join(commit(digit))
    }

    fn run(&self, arguments: &[&str], endpoint: &str) -> Run {
        let mut run = Run::new(arguments)
            .env("HF_HOME", self.at("hf"))
            .env("HF_ENDPOINT", endpoint)
            .env("NO_PROXY", "127.0.0.1,localhost");
        let variables = [
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "HF_TOKEN_PATH",
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "RHO_MASK_OFFLINE",
        ];
        for name in variables {
            run.0.env_remove(name);
        }
        // In a folder without a subfolder named like a model.
        run.0.current_dir(self.folder.path());
        run
    }

    /// Needs no library.
    fn export(&self, model: &str, endpoint: &str, out: &str) -> Run {
        self.run(&["export", model], endpoint)
            .arg("--out")
            .arg(self.at(out))
    }

    fn score(&self, endpoint: &str, out: &str) -> Run {
        let corpus = self.at("corpus.jsonl");
        if !corpus.exists() {
            write(&corpus, token_lines(&[vec![1, 2, 3, 4, 5], vec![6, 7, 8]]));
        }
        self.run(
            &["score", "--device", "cpu", "--tokens-field", "input_ids"],
            endpoint,
        )
        .arg(corpus)
        .arg("--out")
        .arg(self.at(out))
        .env("XDG_CACHE_HOME", self.at("cache"))
        .env("ORT_DYLIB_PATH", library())
    }
}

fn fixture(name: &str) -> PathBuf {
    root().join("models/graph/tests/fixtures").join(name)
}

/// Files of a fixture, with others that must not be downloaded.
fn checkpoint(name: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut names = vec!["config.json", "generation_config.json"];
    names.extend(match name {
        "llama_sharded" => vec![
            INDEX,
            "model-00001-of-00008.safetensors",
            "model-00002-of-00008.safetensors",
            "model-00003-of-00008.safetensors",
            "model-00004-of-00008.safetensors",
            "model-00005-of-00008.safetensors",
            "model-00006-of-00008.safetensors",
            "model-00007-of-00008.safetensors",
            "model-00008-of-00008.safetensors",
        ],
        _ => vec![WEIGHTS],
    });
    let mut files: Vec<_> = names
        .into_iter()
        .filter_map(|file| Some((file, fs::read(fixture(name).join(file)).ok()?)))
        .collect();
    let tokenizer = br#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 95}, "unk_token": "a"}}"#;
    files.push(("tokenizer.json", tokenizer.to_vec()));
    for other in [
        "README.md",
        "pytorch_model.bin",
        "original/consolidated.00.pth",
        "training.safetensors",
    ] {
        files.push((other, b"not wanted".to_vec()));
    }
    files
}

/// The fixture with other weights of the same shape.
fn changed(name: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut files = checkpoint(name);
    for (_, bytes) in files.iter_mut().filter(|(file, _)| *file == WEIGHTS) {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    }
    files
}

#[track_caller]
fn says(ended: &Ended, words: &[&str]) {
    for word in words {
        assert!(
            ended.stderr.contains(word),
            "expected {word:?} in {}",
            ended.stderr
        );
    }
}

fn large(requests: &[Request]) -> Vec<&Request> {
    let to_bytes = |request: &&Request| request.elsewhere;
    requests.iter().filter(to_bytes).collect()
}

#[test]
fn a_model_is_downloaded_once_and_then_taken_from_the_cache() {
    for name in ["llama_tied", "llama_sharded"] {
        let place = Workspace::new();
        let hub = Hub::start(&checkpoint(name));
        let ended = place.export("org/model", &hub.url, "first").ends_with(0);
        let first = commit('1');
        says(
            &ended,
            &[
                &format!("downloading commit {first}"),
                &format!("note: org/model: using commit {first} from the Hugging Face cache"),
            ],
        );
        for (file, bytes) in checkpoint(name) {
            write(&place.at("local").join(file), bytes);
        }
        place.export("./local", NOBODY, "expected").ends_with(0);
        let exported = |out: &str| fs::read(place.at(out).join("model.onnx")).unwrap();
        assert_eq!(exported("first"), exported("expected"));

        // Only wanted files were requested.
        let requests = hub.requests();
        for other in ["README", ".bin", ".pth", "training"] {
            assert!(
                !requests.iter().any(|r| r.path.contains(other)),
                "{requests:?}"
            );
        }
        // The layout: links to blobs named by their tags, the branch's commit, files known to be absent.
        let snapshot = place.snapshot('1');
        let expected: Vec<_> = checkpoint(name)
            .into_iter()
            .filter(|(_, bytes)| *bytes != b"not wanted")
            .collect();
        let mut names: Vec<&str> = expected.iter().map(|(file, _)| *file).collect();
        names.sort_unstable();
        assert_eq!(files(&snapshot), names);
        for (file, bytes) in &expected {
            let path = snapshot.join(file);
            assert_eq!(fs::read(&path).unwrap(), *bytes, "{file}");
            let target = fs::read_link(&path).unwrap();
            assert!(target.starts_with("../../blobs"), "{target:?}");
        }
        let main = fs::read_to_string(place.cached().join("refs/main")).unwrap();
        assert_eq!(main, first);
        let absent = files(&place.cached().join(".no_exist").join(&first));
        assert!(
            absent.contains(&"added_tokens.json".to_owned()),
            "{absent:?}"
        );
        let blobs = files(&place.cached().join("blobs"));
        assert!(
            !blobs.iter().any(|blob| blob.contains("incomplete")),
            "{blobs:?}"
        );

        // The server is down, or must not be asked.
        place.export("org/model", NOBODY, "second").ends_with(0);
        let third = place
            .export("org/model@main", &hub.url, "third")
            .env("HF_HUB_OFFLINE", "1");
        third.ends_with(0);
        place
            .export(&format!("org/model@{first}"), NOBODY, "fourth")
            .ends_with(0);
        for out in ["second", "third", "fourth"] {
            assert_eq!(exported(out), exported("expected"), "{out}");
        }
        assert!(hub.requests().is_empty());
    }
}

#[test]
fn offline_is_offline() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    for (variable, value) in [
        ("HF_HUB_OFFLINE", "1"),
        ("RHO_MASK_OFFLINE", "yes"),
        ("HF_HUB_OFFLINE", "TRUE"),
    ] {
        let ended = place
            .export("org/model", &hub.url, "out")
            .env(variable, value)
            .ends_with(2);
        says(
            &ended,
            &[
                "error: org/model: expected a path or a model in the Hugging Face cache",
                &format!("because {variable} forbids downloads, got neither"),
                &format!(
                    "hint: unset {variable}, or download it while you have a network: hf download org/model"
                ),
            ],
        );
    }
    assert!(hub.requests().is_empty());
    place
        .export("org/model", &hub.url, "out")
        .env("RHO_MASK_OFFLINE", "0")
        .ends_with(0);

    // Other programs do not record which files a repository lacks.
    fs::remove_dir_all(place.cached().join(".no_exist")).unwrap();
    let ended = place
        .export("org/model", NOBODY, "second")
        .env("HF_HUB_OFFLINE", "on")
        .ends_with(0);
    says(
        &ended,
        &[
            "the cache does not record whether the repository has",
            "added_tokens.json",
        ],
    );
    // If the server may be asked, it is asked once.
    hub.requests();
    place.export("org/model", &hub.url, "third").ends_with(0);
    assert_eq!(hub.requests().len(), 1);
    place.export("org/model", &hub.url, "fourth").ends_with(0);
    assert!(hub.requests().is_empty());
    // An incomplete snapshot is reported.
    fs::remove_file(place.snapshot('1').join(WEIGHTS)).unwrap();
    let ended = place
        .export("org/model", NOBODY, "fifth")
        .env("HF_HUB_OFFLINE", "1")
        .ends_with(2);
    says(&ended, &["got only a part of it"]);
    // And it is completed.
    place.export("org/model", &hub.url, "fifth").ends_with(0);
}

#[test]
fn a_path_wins_over_a_name() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    for (file, bytes) in checkpoint("qwen3") {
        write(&place.at("org/model").join(file), bytes);
    }
    let ended = place.export("org/model", &hub.url, "out").ends_with(0);
    says(&ended, &["family      qwen3"]);
    for path in ["./org/other", "org/other/", "other.onnx", "org/model/none"] {
        let ended = place.export(path, &hub.url, "none").ends_with(2);
        says(&ended, &["it does not exist"]);
    }
    assert!(hub.requests().is_empty());
}

#[test]
fn revisions_have_commits_and_masks_name_them() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    hub.put(&commit('2'), &changed("llama_tied"));
    for revision in ["v1", "refs/pr/1"] {
        hub.state()
            .revisions
            .insert(revision.to_owned(), commit('2'));
    }
    let plan = |model: &str, endpoint: &str| -> Value {
        let run = place
            .score(endpoint, "none")
            .args(&["--show-plan", "--model", model]);
        serde_json::from_str(&run.ends_with(0).stdout).unwrap()
    };
    let main = plan("org/model", &hub.url);
    assert_eq!(
        main["references"][0]["name"],
        format!("org/model@{}", commit('1'))
    );
    let second = plan("org/model@v1", &hub.url);
    assert_eq!(
        second["references"][0]["name"],
        format!("org/model@{}", commit('2'))
    );
    assert_ne!(
        main["references"][0]["fingerprint"],
        second["references"][0]["fingerprint"]
    );
    // Files that are equal in both were downloaded once.
    let requests = hub.requests();
    let got = |name: &str| {
        requests
            .iter()
            .filter(|r| r.method == "GET" && r.path.ends_with(name))
            .count()
    };
    assert_eq!(
        (got("/config.json"), large(&requests).len()),
        (1, 2),
        "{requests:?}"
    );
    for revision in ["refs/pr/1", &commit('2')] {
        let other = plan(&format!("org/model@{revision}"), &hub.url);
        assert_eq!(other["references"], second["references"], "{revision}");
    }
    // The branch moves; the cache keeps the old commit.
    hub.state().revisions.insert("main".to_owned(), commit('2'));
    assert_eq!(
        plan("org/model", &hub.url)["references"],
        main["references"]
    );

    let score = || place.score(NOBODY, "masks").args(&["--model", "org/model"]);
    score().ends_with(0);
    let said = metadata(&place.at("masks"), "corpus.jsonl");
    assert_eq!(
        said["reference"]["name"],
        format!("org/model@{}", commit('1'))
    );
    assert_eq!(
        said["reference"]["fingerprint"],
        main["references"][0]["fingerprint"]
    );
    // If it moves in the cache too, started masks are not resumed.
    fs::write(place.cached().join("refs/main"), commit('2')).unwrap();
    let ended = score().ends_with(2);
    says(&ended, &["fingerprint"]);

    let ended = place.export("org/model@v2", &hub.url, "out").ends_with(2);
    says(
        &ended,
        &[
            "expected a revision \"v2\", got 404",
            "choose a branch, tag or commit from",
        ],
    );
}

#[test]
fn a_model_that_was_renamed_is_found() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    hub.state().token = Some(TOKEN.to_owned());
    place
        .export("old/name", &hub.url, "out")
        .env("HF_TOKEN", TOKEN)
        .ends_with(0);
    assert!(place.at("hf/hub/models--old--name/refs/main").is_file());
}

#[test]
fn tokens_go_to_the_server_that_was_named_and_are_not_shown() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    hub.state().token = Some(TOKEN.to_owned());
    let ended = place.export("org/model", &hub.url, "out").ends_with(2);
    says(
        &ended,
        &[
            "401 Unauthorized",
            "expected a path that exists or a public model",
            "set HF_TOKEN",
        ],
    );
    let ended = place
        .export("org/model", &hub.url, "out")
        .env("HF_TOKEN", "hf_wrong")
        .ends_with(2);
    // The server echoes the token.
    says(
        &ended,
        &[
            "that your token may read",
            "not for Bearer ***",
            "and the token",
        ],
    );
    assert!(!ended.stderr.contains("hf_wrong"), "{}", ended.stderr);
    let ended = place
        .export("org/model", &hub.url, "out")
        .env("HF_TOKEN", "hf two\nlines")
        .ends_with(2);
    says(
        &ended,
        &["error: HF_TOKEN: expected a token of letters and digits"],
    );
    assert!(!ended.stderr.contains("lines"), "{}", ended.stderr);
    assert!(!place.cached().join("refs").exists());

    hub.requests();
    let mut seen = String::new();
    let ended = place
        .export("org/model", &hub.url, "out")
        .env("HF_TOKEN", TOKEN)
        .ends_with(0);
    seen += &ended.stderr;
    let requests = hub.requests();
    let sent = |request: &&Request| request.headers.contains_key("authorization");
    assert_eq!(
        large(&requests).into_iter().filter(sent).count(),
        0,
        "{requests:?}"
    );
    assert!(!large(&requests).is_empty());
    assert!(requests.iter().filter(|r| !r.elsewhere).all(|r| sent(&r)));

    // The file that `hf auth login` writes.
    fs::remove_dir_all(place.cached()).unwrap();
    write(&place.at("hf/token"), format!("{TOKEN}\n"));
    let plan = place
        .score(&hub.url, "none")
        .args(&["--model", "org/model", "--show-plan"]);
    let ended = plan.ends_with(0);
    seen += &ended.stderr;
    seen += &ended.stdout;
    let ended = place
        .score(NOBODY, "masks")
        .args(&["--model", "org/model"])
        .ends_with(0);
    seen += &ended.stderr;
    seen += &metadata(&place.at("masks"), "corpus.jsonl").to_string();
    for out in ["out", "masks", "hf/hub"] {
        for file in files(&place.at(out)) {
            let bytes = fs::read(place.at(out).join(file)).unwrap();
            seen += &String::from_utf8_lossy(&bytes);
        }
    }
    assert!(!seen.contains(TOKEN));
}

#[test]
fn downloads_that_break_off_are_gone_on_with() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    let weights = fs::read(fixture("llama_tied").join(WEIGHTS)).unwrap();
    let whole = |place: &Workspace| fs::read(place.snapshot('1').join(WEIGHTS)).unwrap() == weights;
    let ranges = |requests: &[Request]| -> Vec<String> {
        let asked = large(requests).into_iter();
        asked
            .map(|r| r.headers.get("range").cloned().unwrap_or_default())
            .collect()
    };

    // Each first request for a file breaks off, also for small ones.
    hub.state().cuts = vec![40; 4];
    hub.state().unavailable = 2;
    place.export("org/model", &hub.url, "first").ends_with(0);
    assert!(whole(&place));

    let place = Workspace::new();
    hub.requests();
    // Three small files complete first; then each request yields some bytes, and at last none does.
    hub.state().cuts = [vec![2000; 6], vec![0; 4]].concat();
    let small = place.export("org/model", &hub.url, "out").ends_with(2);
    says(
        &small,
        &[
            "model.safetensors",
            "a broken connection",
            "downloaded bytes are kept",
        ],
    );
    let asked = ranges(&hub.requests());
    assert_eq!(asked[..3], ["", "bytes=2000-", "bytes=4000-"], "{asked:?}");
    assert!(!place.snapshot('1').join(WEIGHTS).exists());
    assert!(!place.cached().join("refs").exists());
    let blobs = files(&place.cached().join("blobs"));
    let left = blobs
        .iter()
        .find(|name| name.ends_with(".incomplete"))
        .unwrap();
    let kept = fs::metadata(place.cached().join("blobs").join(left))
        .unwrap()
        .len();
    place.export("org/model", &hub.url, "out").ends_with(0);
    assert_eq!(ranges(&hub.requests()), [format!("bytes={kept}-")]);
    assert!(whole(&place));

    // A server without ranges sends the whole file again: it is not appended to a partial one.
    let place = Workspace::new();
    hub.state().cuts = vec![30_000; 6];
    hub.state().no_ranges = true;
    place.export("org/model", &hub.url, "out").ends_with(0);
    assert!(whole(&place));
    hub.state().no_ranges = false;

    // The leftover is not from this file: its hash differs, and the file is downloaded from the beginning.
    let place = Workspace::new();
    write(&place.cached().join("blobs").join(left), "something else");
    hub.requests();
    place.export("org/model", &hub.url, "out").ends_with(0);
    assert_eq!(ranges(&hub.requests()), ["bytes=14-", ""]);
    assert!(whole(&place));
}

#[test]
fn wrong_bytes_are_not_kept() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    hub.state().corrupted = true;
    let ended = place.export("org/model", &hub.url, "out").ends_with(2);
    says(
        &ended,
        &[
            "model.safetensors: expected content with the SHA-256",
            "nothing of it was kept",
        ],
    );
    assert!(!place.snapshot('1').join(WEIGHTS).exists());
    let blobs = place.cached().join("blobs");
    let kept = files(&blobs)
        .into_iter()
        .filter(|name| name.ends_with(".incomplete"));
    let kept: Vec<u64> = kept
        .map(|name| fs::metadata(blobs.join(name)).unwrap().len())
        .collect();
    assert_eq!(kept, [0]);
    hub.state().corrupted = false;
    place.export("org/model", &hub.url, "out").ends_with(0);
}

#[test]
fn what_a_server_says_is_not_believed() {
    let place = Workspace::new();
    let refused = |hub: &Hub, words: &[&str]| {
        let ended = place.export("org/model", &hub.url, "out").ends_with(2);
        says(&ended, words);
        ended
    };
    let outside = || {
        let all = files(place.folder.path());
        all.into_iter()
            .filter(|name| !name.starts_with("hf/hub/"))
            .collect::<Vec<_>>()
    };

    // Names in the index.
    let mut files = checkpoint("llama_sharded");
    for name in [
        "../../../../escaped.safetensors",
        "/escaped.safetensors",
        "a\\b.safetensors",
    ] {
        files[2].1 = json!({"weight_map": {"a": name}}).to_string().into_bytes();
        assert_eq!(files[2].0, INDEX);
        let hub = Hub::start(&files);
        hub.put(
            &commit('1'),
            &[&files[..], &[("../../../../escaped.safetensors", vec![0])]].concat(),
        );
        refused(
            &hub,
            &[
                "expected names of .safetensors files in its folder",
                "nothing that it names is downloaded",
            ],
        );
        fs::remove_dir_all(place.cached()).unwrap();
    }
    files[2].1 = json!({"weight_map": {"a": "model-00003-of-00003.safetensors"}})
        .to_string()
        .into_bytes();
    let hub = Hub::start(&files);
    refused(
        &hub,
        &["got model-00003-of-00003.safetensors, which it does not have"],
    );

    // Commits, tags, sizes.
    let hub = Hub::start(&checkpoint("llama_tied"));
    for (header, value, words) in [
        (
            "ETag",
            "\"../../../../escaped\"",
            "expected a tag (ETag) of letters and digits",
        ),
        (
            "ETag",
            "/tmp/escaped",
            "expected a tag (ETag) of letters and digits",
        ),
        ("ETag", "", "expected a tag (ETag) of letters and digits"),
        (
            "X-Repo-Commit",
            "../../../../escaped",
            "expected the file of commit",
        ),
        (
            "X-Repo-Commit",
            "2222222222222222222222222222222222222222",
            "expected the file of commit",
        ),
        ("X-Linked-Size", "-1", "expected its size, got none"),
        ("X-Linked-Size", "a lot", "expected its size, got none"),
        ("X-Linked-Size", "10", "expected 10 bytes, got more"),
        (
            "X-Linked-Size",
            "18446744073709551615",
            "expected 18446744073709551615 bytes, got",
        ),
        (
            "Location",
            "ftp://127.0.0.1/x",
            "a redirect (302 Found) to an address that is not allowed",
        ),
        ("Location", "/org/model/resolve/main/x", "404 Not Found"),
        (
            "Location",
            "",
            "a redirect (302 Found) to an address that is not allowed",
        ),
    ] {
        fs::remove_dir_all(place.cached()).unwrap_or_default();
        hub.state().headers = [(header.to_owned(), value.to_owned())].into();
        refused(&hub, &[words]);
    }
    hub.state().headers.clear();
    let redirect =
        b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";
    for (answer, words) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"[..], "got an answer that is not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "got no commit"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"sha\": \"../../../x\"}", "got no commit"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n{\"sha\": \"1111111111111111111111111111111111111111\"}",
            "got no files",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", "a broken connection"),
        (redirect, "got 10 redirects in a row"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "a broken connection"),
        (b"", "a broken connection"),
    ] {
        fs::remove_dir_all(place.cached()).unwrap_or_default();
        hub.state().answer = Some(answer.to_vec());
        refused(&hub, &[words]);
    }
    // Control characters do not reach the terminal.
    hub.state().answer = None;
    hub.state().refuse = Some((500, "X-Error-Message: \u{9b}31mred\r\n".to_owned()));
    let ended = refused(&hub, &["500"]);
    assert!(!ended.stderr.contains('\u{9b}'), "{}", ended.stderr);
    assert_eq!(outside(), Vec::<String>::new());
}

#[test]
fn refusals_say_what_to_do() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    for (status, headers, words) in [
        (
            403,
            "X-Error-Code: GatedRepo\r\n",
            [
                "expected a public model, got 403",
                "request access at 127.0.0.1",
            ],
        ),
        (
            404,
            "X-Error-Code: RepoNotFound\r\n",
            [
                "a path that exists or a model of this name, got 404",
                "whether 127",
            ],
        ),
        (
            404,
            "",
            [
                "a path that exists or a model of this name, got 404",
                "check the name or the path",
            ],
        ),
        (429, "", ["expected an answer, got 429", "set HF_TOKEN"]),
        (500, "", ["expected an answer, got 500", "try again later"]),
        (
            418,
            "",
            [
                "expected an answer, got 418",
                "check that the server in HF_ENDPOINT",
            ],
        ),
    ] {
        hub.state().refuse = Some((status, headers.to_owned()));
        let ended = place.export("org/model", &hub.url, "out").ends_with(2);
        says(&ended, &words);
        assert_eq!(
            ended.lines_with("error: org/model at 127.0.0.1").len(),
            1,
            "{}",
            ended.stderr
        );
    }
    let ended = place.export("org/model", NOBODY, "out").ends_with(2);
    says(
        &ended,
        &[
            "expected an answer from 127.0.0.1:1, got no connection",
            "HF_HUB_OFFLINE=1",
        ],
    );
    let ended = place.export("org/model", "nowhere", "out").ends_with(2);
    says(
        &ended,
        &["error: HF_ENDPOINT: expected the URL of a server"],
    );

    for (files, words) in [
        (
            vec!["config.json", "pytorch_model.bin"],
            [
                "got pytorch_model.bin, which can execute code",
                "@refs/pr/1",
            ],
        ),
        (
            vec!["config.json", "adapter_model.safetensors"],
            ["got an adapter", "merge_and_unload"],
        ),
        (
            vec![WEIGHTS],
            [
                "expected config.json among its files",
                "a model that Transformers saved",
            ],
        ),
        (vec!["onnx/a.onnx", "onnx/b.onnx"], ["a.onnx", "b.onnx"]),
        (
            vec!["config.json", "adapter_config.json", WEIGHTS],
            ["got an adapter beside them", "merge_and_unload"],
        ),
    ] {
        let files: Vec<_> = files
            .into_iter()
            .map(|name| (name, b"{}".to_vec()))
            .collect();
        let ended = place
            .export("org/model", &Hub::start(&files).url, "out")
            .ends_with(2);
        says(&ended, &words);
    }
}

#[test]
fn onnx_is_taken_where_there_is_no_checkpoint() {
    let place = Workspace::new();
    tiny(&place.at("tiny"));
    let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, file) in [
        ("config.json", "config.json"),
        ("onnx/model.onnx", "model.onnx"),
        ("tokenizer.json", "tokenizer.json"),
    ] {
        files.push((name, fs::read(place.at("tiny").join(file)).unwrap()));
    }
    files.push(("onnx/model_q4.onnx", b"not wanted".to_vec()));
    let hub = Hub::start(&files);
    let score = |endpoint: &str, out: &str, model: &str| {
        place
            .score(endpoint, out)
            .args(&["--model", model])
            .ends_with(0)
    };
    score(&hub.url, "first", "org/model");
    score(NOBODY, "second", "org/model");
    score(NOBODY, "expected", place.at("tiny").to_str().unwrap());
    let rows = |out: &str| crate::support::rows(&place.at(out), "corpus.jsonl");
    for out in ["first", "second"] {
        crate::support::assert_same_scores(&rows(out), &rows("expected"), 0.0, out);
    }
    assert_eq!(large(&hub.requests()).len(), 1);
}

#[test]
fn two_at_once_download_once() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    hub.state().slowly = Duration::from_millis(20);
    let runs = ["first", "second"].map(|out| place.export("org/model", &hub.url, out));
    let ended: Vec<Ended> = std::thread::scope(|scope| {
        let threads = runs.map(|run| scope.spawn(move || run.ends_with(0)));
        threads.map(|thread| thread.join().unwrap()).into()
    });
    let said: Vec<&str> = ended.iter().map(|ended| ended.stderr.as_str()).collect();
    assert_eq!(large(&hub.requests()).len(), 1, "{said:?}");
    let exported = |out: &str| fs::read(place.at(out).join("model.onnx")).unwrap();
    assert_eq!(exported("first"), exported("second"));
}

#[test]
fn a_signal_stops_a_download_that_is_gone_on_with() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    hub.state().slowly = Duration::from_millis(50);
    let mut run = place.export("org/model", &hub.url, "out");
    let child = run.0.stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while large(&hub.requests()).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(300));
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(
        said.contains("stopped: the same command resumes the download of org/model"),
        "{said}"
    );
    assert!(!said.contains("error"), "{said}");
    hub.state().slowly = Duration::ZERO;
    hub.requests();
    place.export("org/model", &hub.url, "out").ends_with(0);
    let requests = hub.requests();
    let range = large(&requests)[0]
        .headers
        .get("range")
        .cloned()
        .unwrap_or_default();
    assert!(range.starts_with("bytes="), "{range:?}");
}

#[test]
fn a_tokenizer_has_a_name_too() {
    let place = Workspace::new();
    let tokenizer = fs::read(demo().join("tokenizer.json")).unwrap();
    let hub = Hub::start(&[
        ("tokenizer.json", tokenizer),
        (WEIGHTS, b"not wanted".to_vec()),
    ]);
    write(
        &place.at("texts.jsonl"),
        "{\"text\": \"1 and 1 make 2.\"}\n",
    );
    let score = |tokenizer: &str, endpoint: &str| -> Value {
        let run = place.run(
            &[
                "score",
                "--device",
                "cpu",
                "--show-plan",
                "--tokenizer",
                tokenizer,
            ],
            endpoint,
        );
        let run = run
            .env("ORT_DYLIB_PATH", library())
            .arg(place.at("texts.jsonl"))
            .arg("--out")
            .arg(place.at("none"));
        let run = run.arg("--model").arg(demo());
        serde_json::from_str(&run.ends_with(0).stdout).unwrap()
    };
    let named = score("org/model", &hub.url);
    let typed = score(demo().to_str().unwrap(), NOBODY);
    assert_eq!(
        named["tokenizer_fingerprint"],
        typed["tokenizer_fingerprint"]
    );
    assert!(large(&hub.requests()).is_empty());
    score("org/model", NOBODY);
}

#[test]
fn several_models_and_a_run_over_checkpoints_are_named() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    for digit in ['2', '3'] {
        let mut files = changed("llama_tied");
        files[2].1[0x5000] ^= digit as u8;
        assert_eq!(files[2].0, WEIGHTS);
        hub.put(&commit(digit), &files);
        hub.state()
            .revisions
            .insert(format!("step{digit}"), commit(digit));
    }
    let score = place.score(&hub.url, "masks");
    score
        .args(&["--model", "org/model", "--base", "org/model@step2"])
        .ends_with(0);
    let said = metadata(&place.at("masks"), "corpus.jsonl");
    assert_eq!(said["base"]["name"], format!("org/model@{}", commit('2')));

    let checkpoints = ["org/model", "org/model@step2", "org/model@step3"];
    let run = place
        .run(
            &[
                "dynamics",
                "--device",
                "cpu",
                "--tokens-field",
                "input_ids",
                "--show-plan",
                "--checkpoints",
            ],
            &hub.url,
        )
        .args(&checkpoints)
        .env("XDG_CACHE_HOME", place.at("cache"))
        .env("ORT_DYLIB_PATH", library())
        .arg("--corpus")
        .arg(place.at("corpus.jsonl"))
        .args(&["--reference", "org/model"])
        .arg("--out")
        .arg(place.at("dynamics"));
    let said = run.ends_with(0).stdout;
    for digit in ['1', '2', '3'] {
        assert!(
            said.contains(&format!("org/model@{}", commit(digit))),
            "{said}"
        );
    }
}

#[cfg(feature = "train")]
#[test]
fn training_and_experiments_take_names() {
    let place = Workspace::new();
    let hub = Hub::start(&checkpoint("llama_tied"));
    write(
        &place.at("corpus.jsonl"),
        token_lines(&vec![(1..60).collect(); 8]),
    );
    let train = |words: &[&str], endpoint: &str, out: &str| {
        place
            .run(
                &[
                    "train",
                    "--objective",
                    "clm",
                    "--device",
                    "cpu",
                    "--progress",
                    "none",
                    "--steps",
                    "1",
                ],
                endpoint,
            )
            .args(&[
                "--length",
                "16",
                "--batch-tokens",
                "16",
                "--tokens-field",
                "input_ids",
            ])
            .args(words)
            .arg("--corpus")
            .arg(place.at("corpus.jsonl"))
            .arg("--out")
            .arg(place.at(out))
            .ends_with(0)
    };
    train(&["--init", "org/model"], &hub.url, "scratch");
    assert!(large(&hub.requests()).is_empty());
    train(&["--model", "org/model"], &hub.url, "trained");
    let config = read_json(&place.at("trained/config.json"));
    assert_eq!(config["model_type"], "llama");

    write(
        &place.at("experiment.toml"),
        r#"
seeds = [0]
[base]
model = "org/model"
[reference]
model = "org/model@main"
[corpus]
files = ["corpus.jsonl"]
[budget]
steps = 1
[evaluation]
files = ["corpus.jsonl"]
[[arms]]
name = "clm"
objective = "clm"
"#,
    );
    let run = |folder: &Path| {
        let mut run = place.run(&["experiment", "--show-plan"], NOBODY);
        run.0.current_dir(folder);
        run.arg(place.at("experiment.toml"))
            .arg("--out")
            .arg(place.at("results"))
            .ends_with(0)
            .stdout
    };
    let snapshot = place.snapshot('1');
    let said = run(place.folder.path());
    assert!(said.contains(snapshot.to_str().unwrap()), "{said}");
    // A folder beside the file counts, not one in the current folder.
    fs::create_dir_all(place.at("elsewhere/org/model")).unwrap();
    assert_eq!(run(&place.at("elsewhere")), said);
}

#[test]
fn the_cache_is_shared_with_huggingface_hub() {
    let Some(python) = python() else { return };
    let hub = Hub::start(&checkpoint("llama_tied"));
    let in_python = |place: &Workspace, words: &[&str], offline: &str| -> String {
        let output = Command::new(&python)
            .args(["-c", include_str!("hub.py")])
            .args(words)
            .env("HF_HOME", place.at("hf"))
            .env("HF_ENDPOINT", &hub.url)
            .env("HF_HUB_OFFLINE", offline)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    // Python finds what we downloaded.
    let place = Workspace::new();
    place.export("org/model", &hub.url, "out").ends_with(0);
    for revision in ["main", &commit('1')] {
        let folder = in_python(&place, &["look", revision], "1");
        assert_eq!(Path::new(&folder), place.snapshot('1'));
    }
    // We find what Python downloaded.
    let theirs = Workspace::new();
    in_python(&theirs, &["download", "main"], "0");
    let ended = theirs
        .export("org/model", NOBODY, "out")
        .env("HF_HUB_OFFLINE", "1")
        .ends_with(0);
    says(&ended, &[&format!("using commit {}", commit('1'))]);
    hub.requests();
    theirs.export("org/model", &hub.url, "again").ends_with(0);
    assert!(large(&hub.requests()).is_empty());
    // Both write the same blobs and links.
    let listed = |place: &Workspace| {
        let blobs = files(&place.cached().join("blobs"));
        let links = files(&place.snapshot('1')).into_iter().map(|name| {
            let target = fs::read_link(place.snapshot('1').join(&name)).unwrap();
            (name, target)
        });
        (blobs, links.collect::<Vec<_>>())
    };
    assert_eq!(listed(&place), listed(&theirs));
}
