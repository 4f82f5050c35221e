//! Corpora on the Hub: `hf://datasets/org/name[@revision]/path`, from a server on loopback that speaks the Hub's protocol
//! and from its cache.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    Run,
    answers::{Answer, Answering, Request},
    files,
    hub::commit,
    python::python,
    tiny::tiny,
    write,
};

const TOKEN: &str = "hf_secretOfTheTest";
/// Entries on a page of a list.
const PAGE: usize = 2;

type Files = BTreeMap<String, Vec<u8>>;

/// What the server has; tests may change it.
#[derive(Default)]
struct State {
    /// By commits.
    commits: BTreeMap<String, Files>,
    main: String,
}

struct Hub {
    /// The server of lists and small files, which wants the token.
    server: Answering,
    /// The server of large files.
    bytes: Answering,
    state: Arc<Mutex<State>>,
}

fn is_large(name: &str) -> bool {
    name.ends_with(".parquet") || name.ends_with(".gz")
}

fn tag(name: &str, bytes: &[u8]) -> String {
    let hash: String = Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    match is_large(name) {
        true => hash,
        false => hash[..40].to_owned(),
    }
}

impl Hub {
    fn start(files: Files) -> Self {
        let state = Arc::new(Mutex::new(State {
            commits: BTreeMap::from([(commit('1'), files)]),
            main: commit('1'),
        }));
        let of_bytes = Arc::clone(&state);
        let bytes = Answering::start("127.0.0.2", move |request| {
            let path = request
                .path
                .trim_start_matches('/')
                .split('?')
                .next()
                .unwrap();
            let (commit, name) = path.split_once('/').unwrap();
            let state = of_bytes.lock().unwrap();
            let file = &state.commits[commit][name];
            Answer::file(request, file, &[("ETag", "\"of the bytes\"")])
        });
        let (of_lists, elsewhere) = (Arc::clone(&state), bytes.url.clone());
        let server = Answering::start("127.0.0.1", move |request| {
            answer(request, &of_lists.lock().unwrap(), &elsewhere)
        });
        Self {
            server,
            bytes,
            state,
        }
    }
}

fn answer(request: &Request, state: &State, elsewhere: &str) -> Answer {
    let sent = request.headers.get("authorization");
    if sent.is_none_or(|sent| *sent != format!("Bearer {TOKEN}")) {
        return Answer::new(401, &[], b"");
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let missing = Answer::new(404, &[("X-Error-Code", "EntryNotFound")], b"");
    if let Some(revision) = path.strip_prefix("/api/datasets/org/data/revision/") {
        let commit = match revision {
            "main" => state.main.clone(),
            "v%2F1" => commit('1'),
            _ => return Answer::new(404, &[("X-Error-Code", "RevisionNotFound")], b""),
        };
        let names = state.commits[&commit].keys();
        let siblings: Vec<Value> = names.map(|name| json!({"rfilename": name})).collect();
        let json = json!({"id": "org/data", "sha": commit, "siblings": siblings});
        return Answer::new(200, &[], json.to_string().as_bytes());
    }
    if let Some(rest) = path.strip_prefix("/api/datasets/org/data/tree/") {
        let (commit, folder) = rest.split_once('/').unwrap_or((rest, ""));
        let entry = |(name, bytes): (&String, &Vec<u8>)| {
            let oid = tag(name, bytes);
            match is_large(name) {
                true => {
                    json!({"type": "file", "path": name, "oid": "0".repeat(40), "size": bytes.len(),
                    "lfs": {"oid": oid, "size": bytes.len(), "pointerSize": 1}})
                }
                false => json!({"type": "file", "path": name, "oid": oid, "size": bytes.len()}),
            }
        };
        let below = |name: &str| {
            let rest = name.strip_prefix(folder);
            folder.is_empty() || rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let all = state.commits[commit].iter().filter(|(name, _)| below(name));
        let mut all: Vec<Value> = all.map(entry).collect();
        if all.is_empty() {
            return missing;
        }
        all.insert(
            0,
            json!({"type": "directory", "path": "data", "oid": "0".repeat(40), "size": 0}),
        );
        let from = query
            .split("cursor=")
            .nth(1)
            .map_or(0, |from| from.parse().unwrap());
        let page = &all[from..all.len().min(from + PAGE)];
        let answer = Answer::new(200, &[], json!(page).to_string().as_bytes());
        let host = &request.headers["host"];
        let next = format!(
            "<http://{host}{path}?recursive=true&cursor={}>; rel=\"next\"",
            from + PAGE
        );
        return match from + PAGE < all.len() {
            true => answer.with("Link", &next),
            false => answer,
        };
    }
    let Some(rest) = path.strip_prefix("/datasets/org/data/resolve/") else {
        return Answer::new(404, &[("X-Error-Code", "RepoNotFound")], b"");
    };
    let (commit, name) = rest.split_once('/').unwrap();
    let Some(bytes) = state.commits[commit].get(name) else {
        return missing;
    };
    let etag = format!("\"{}\"", tag(name, bytes));
    match is_large(name) {
        true => Answer::new(302, &[], b"")
            .with(
                "Location",
                &format!("{elsewhere}/{commit}/{name}?signature=abc"),
            )
            .with("X-Linked-Etag", &etag)
            .with("X-Linked-Size", &bytes.len().to_string()),
        false => Answer::file(request, bytes, &[("ETag", &etag)]),
    }
    .with("X-Repo-Commit", commit)
}

fn lines(word: &str, count: usize) -> Vec<u8> {
    let line = |i: usize| format!("{}\n", json!({"text": format!("{word} {i} of a data set")}));
    (0..count).map(line).collect::<String>().into_bytes()
}

/// The files of the data set, also on this machine.
fn data(place: &Path) -> Files {
    let packed = crate::support::compress_bytes(&[&lines("packed", 50)], "gz");
    let files = [
        (".gitattributes", b"x".to_vec()),
        ("README.md", b"# x".to_vec()),
        ("data/a.jsonl", lines("a", 40)),
        ("data/b.jsonl.gz", packed),
        ("data/more/c.jsonl", lines("c", 30)),
        ("data/.hidden.jsonl", lines("hidden", 3)),
        ("other.jsonl", lines("other", 5)),
    ];
    for (name, bytes) in &files {
        write(&place.join("local").join(name), bytes);
    }
    files
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect()
}

struct Workspace(tempfile::TempDir);

impl Workspace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        tiny(&folder.path().join("model"));
        Self(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn score(&self, corpus: &str, endpoint: &str, out: &str) -> Run {
        let mut run = Run::score(Path::new(corpus), &self.at(out))
            .arg("--model")
            .arg(self.at("model"))
            .args(&["--progress", "none"])
            .env("HF_HOME", self.at("hf"))
            .env("HF_ENDPOINT", endpoint)
            .env("HF_TOKEN", TOKEN)
            .env("NO_PROXY", "127.0.0.1,127.0.0.2");
        for name in [
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_HUB_OFFLINE",
            "RHO_MASK_OFFLINE",
        ] {
            run.0.env_remove(name);
        }
        run
    }

    /// The mask files and their bytes.
    fn masks(&self, out: &str) -> Vec<(String, Vec<u8>)> {
        let names = files(&self.at(out))
            .into_iter()
            .filter(|name| name.ends_with(".arrow"));
        names
            .map(|name| (name.clone(), fs::read(self.at(out).join(name)).unwrap()))
            .collect()
    }
}

#[test]
fn files_folders_and_patterns_of_a_data_set_are_those_of_the_same_local_files() {
    let place = Workspace::new();
    let hub = Hub::start(data(place.0.path()));
    for (number, path) in [
        "data/a.jsonl",
        "data",
        "data/",
        "",
        "data/*.jsonl*",
        "**/c.jsonl",
        "{other,data/a}.jsonl",
    ]
    .into_iter()
    .enumerate()
    {
        let (local, remote) = (format!("local-{number}"), format!("remote-{number}"));
        let there = format!("{}/{path}", place.at("local").display());
        place.score(&there, &hub.server.url, &local).ends_with(0);
        let address = format!("hf://datasets/org/data@v%2F1/{path}");
        let ended = place.score(&address, &hub.server.url, &remote).ends_with(0);
        assert!(
            place.masks(&remote) == place.masks(&local),
            "{path}: {:?}",
            files(&place.at(&remote))
        );
        let said = ended.lines_with(&format!("using commit {}", commit('1')));
        assert_eq!(said.len(), 1, "{}", ended.stderr);
    }
    assert_eq!(place.masks("remote-1").len(), 3);
    // The token went to the Hub alone.
    assert!(!hub.bytes.requests().is_empty());
    for request in hub.bytes.requests() {
        assert!(!format!("{request:?}").contains(TOKEN), "{request:?}");
        assert!(
            !request.headers.contains_key("authorization"),
            "{request:?}"
        );
    }

    for (path, said) in [
        (
            "datasets/org/data/gone.jsonl",
            "a file that the repository lists",
        ),
        (
            "datasets/org/data/gone/",
            "a file that the repository lists",
        ),
        ("datasets/org/data@gone/data", "a revision \"gone\""),
        ("datasets/org/data/README.md", "expected a file named"),
        ("datasets/org/data/*.txt", "expected files that match"),
        ("datasets/org", "expected hf://datasets/org/name"),
        ("org/model/a.jsonl", "expected hf://datasets/org/name"),
        (
            "datasets/org/data/../../etc",
            "expected hf://datasets/org/name",
        ),
        ("datasets/org/nobody/a.jsonl", "expected"),
    ] {
        let refused = place
            .score(&format!("hf://{path}"), &hub.server.url, "none")
            .ends_with(2);
        assert!(refused.stderr.contains(said), "{path}: {}", refused.stderr);
        assert!(!refused.stderr.contains(TOKEN), "{}", refused.stderr);
    }
}

#[test]
fn a_run_stays_with_the_commit_it_started_with() {
    let place = Workspace::new();
    let hub = Hub::start(data(place.0.path()));
    let score = || place.score("hf://datasets/org/data/data", &hub.server.url, "masks");
    score().ends_with(0);
    let before = place.masks("masks");
    {
        let mut state = hub.state.lock().unwrap();
        let mut changed = state.commits[&commit('1')].clone();
        changed.insert("data/a.jsonl".to_owned(), lines("A", 40));
        changed.insert("data/new.jsonl".to_owned(), lines("new", 4));
        state.commits.insert(commit('2'), changed);
        state.main = commit('2');
    }
    fs::remove_file(place.at("masks/data/a.jsonl.arrow"))
        .or_else(|_| fs::remove_file(place.at("masks/a.jsonl.arrow")))
        .unwrap();
    score().ends_with(0);
    assert!(place.masks("masks") == before);
    // A named commit is used; a run with another commit does not resume.
    let other = format!("hf://datasets/org/data@{}/data/a.jsonl", commit('2'));
    place.score(&other, &hub.server.url, "one").ends_with(0);
    let first = format!("hf://datasets/org/data@{}/data/a.jsonl", commit('1'));
    let refused = place.score(&first, &hub.server.url, "one").ends_with(2);
    assert!(
        refused.stderr.contains("the same size, but ETag"),
        "{}",
        refused.stderr
    );
}

#[test]
fn the_cache_is_read_without_a_network_and_before_the_server() {
    let place = Workspace::new();
    let hub = Hub::start(data(place.0.path()));
    let address = "hf://datasets/org/data/data";
    place.score(address, &hub.server.url, "masks").ends_with(0);
    let nobody = "http://127.0.0.1:1";
    let refused = place
        .score(address, nobody, "none")
        .env("HF_HUB_OFFLINE", "1")
        .ends_with(2);
    for said in [
        "HF_HUB_OFFLINE forbids requests",
        "hf download --repo-type dataset org/data",
    ] {
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    let Some(python) = python() else { return };
    const DOWNLOAD: &str = "
import sys
from huggingface_hub import snapshot_download
print(snapshot_download('org/data', repo_type='dataset', token=sys.argv[1]))
";
    let output = Command::new(&python)
        .args(["-c", DOWNLOAD, TOKEN])
        .env("HF_HOME", place.at("hf"))
        .env("HF_ENDPOINT", &hub.server.url)
        .env("NO_PROXY", "127.0.0.1,127.0.0.2")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The same run: a file in the cache is the same file.
    let again = place
        .score(address, nobody, "masks")
        .env("HF_HUB_OFFLINE", "1")
        .ends_with(0);
    assert!(
        again.stderr.contains("all shards are masked already"),
        "{}",
        again.stderr
    );
    let offline = place
        .score(address, nobody, "offline")
        .env("HF_HUB_OFFLINE", "1");
    offline.ends_with(0);
    assert!(place.masks("offline") == place.masks("masks"));
    // With the server, too: only the list comes from it.
    let asked = hub.server.requests().len();
    place.score(address, &hub.server.url, "cached").ends_with(0);
    assert!(place.masks("cached") == place.masks("masks"));
    let mut later = hub.server.requests().split_off(asked);
    later.retain(|request| !request.path.contains("/tree/"));
    assert!(later.is_empty(), "{later:?}");
}

#[test]
fn a_list_that_leads_away_is_refused() {
    let place = Workspace::new();
    let entry = |path: &str, oid: &str| {
        json!([{"type": "file", "path": path, "oid": oid, "size": 3}]).to_string()
    };
    let good = entry("data/a.jsonl", "abc");
    let away = "<http://127.0.0.2:1/x>; rel=\"next\"";
    let again = "<?recursive=true>; rel=\"next\"";
    for (body, link, said) in [
        (good.clone(), Some(away), "a next page of the same server"),
        (good, Some(again), "another next page"),
        (
            entry("data/../../x.jsonl", "abc"),
            None,
            "paths of files in the folder",
        ),
        (
            entry("elsewhere/x.jsonl", "abc"),
            None,
            "paths of files in the folder",
        ),
        (entry("data/a.jsonl", "../x"), None, "a tag (oid)"),
        ("{}".to_owned(), None, "a list of files"),
    ] {
        let server = Answering::start("127.0.0.1", move |request| {
            if request.path.contains("/revision/") {
                let json = json!({"sha": commit('1'), "siblings": []});
                return Answer::new(200, &[], json.to_string().as_bytes());
            }
            let answer = Answer::new(200, &[], body.as_bytes());
            link.map_or(answer.clone(), |link| answer.with("Link", link))
        });
        let refused = place
            .score("hf://datasets/org/data/data", &server.url, "none")
            .ends_with(2);
        assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
        assert!(server.requests().len() < 5);
    }
}

#[test]
fn the_server_of_these_tests_speaks_the_protocol_of_huggingface_hub() {
    const LIST: &str = "
import os, sys
from huggingface_hub import HfApi
api = HfApi(endpoint=sys.argv[1], token=sys.argv[2])
tree = api.list_repo_tree('org/data', 'data', recursive=True, revision=sys.argv[3], repo_type='dataset')
print(sorted((e.path, e.size, (e.lfs.sha256 if e.lfs else e.blob_id)) for e in tree if hasattr(e, 'size')))
";
    let Some(python) = python() else { return };
    let place = Workspace::new();
    let files = data(place.0.path());
    let hub = Hub::start(files.clone());
    let output = Command::new(&python)
        .args(["-c", LIST, &hub.server.url, TOKEN, &commit('1')])
        .env("NO_PROXY", "127.0.0.1")
        .env("HF_HOME", place.at("hf"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected: Vec<String> = files
        .iter()
        .filter(|(name, _)| name.starts_with("data/"))
        .map(|(name, bytes)| format!("('{name}', {}, '{}')", bytes.len(), tag(name, bytes)))
        .collect();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said.trim(),
        format!("[{}]", expected.join(", ")),
        "{stderr}"
    );
}
