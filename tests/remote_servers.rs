//! Corpora on servers that are wrong or hostile: what is sent, printed and recorded, and how a run ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::support::{
    Ended, Run,
    answers::{Answer, Answering, Request},
    rows,
    tiny::tiny,
    write,
};

const TAG: [(&str, &str); 1] = [("ETag", "\"1\"")];

/// More than two blocks of rows, most of it in a field that is not scored.
fn corpus(word: &str) -> Vec<u8> {
    let row = |index: usize| {
        let text = format!("{index:04} says {word}");
        format!(
            "{}\n",
            json!({"id": index, "text": text, "pad": "z".repeat(9000)})
        )
    };
    (0..1000).map(row).collect::<String>().into_bytes()
}

fn score(place: &Path, corpus: &str) -> Run {
    let model = place.join("model");
    if !model.exists() {
        tiny(&model);
    }
    Run::score(Path::new(corpus), &place.join("masks"))
        .arg("--model")
        .arg(model)
        .args(&["--keep-text", "--progress", "none"])
}

/// All bytes of all files below a folder.
fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => all.push((path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    all
}

#[track_caller]
fn has_no_secret(place: &Path, ended: &Ended, secrets: &[&str]) {
    for secret in secrets {
        assert!(!ended.stderr.contains(secret), "{}", ended.stderr);
        assert!(!ended.stdout.contains(secret), "{}", ended.stdout);
        for (path, bytes) in everything(&place.join("masks")) {
            let found = bytes
                .windows(secret.len())
                .any(|some| some == secret.as_bytes());
            assert!(!found, "{secret} in {}", path.display());
        }
    }
}

#[test]
fn logins_and_signatures_are_used_and_stand_nowhere() {
    // python3 -c "import base64; print(base64.b64encode(b'bob:s3cr3tpw'))"
    const BASIC: &str = "Basic Ym9iOnMzY3IzdHB3";
    let place = tempfile::tempdir().unwrap();
    let whole = Arc::new(AtomicBool::new(false));
    let is_whole = Arc::clone(&whole);
    let file = corpus("hello");
    let server = Answering::start("127.0.0.1", move |request| {
        let echo = format!("{} {:?} s3cr3tpw", request.path, request.headers);
        let signed = [
            "/data/a.jsonl?sig=F1RSTS1GN",
            "/data/a.jsonl?sig=S3C0NDS1GN",
        ];
        let logged_in = request
            .headers
            .get("authorization")
            .is_some_and(|sent| sent == BASIC);
        let later = request
            .range(file.len())
            .is_some_and(|(start, _)| start > 0);
        if !logged_in || !signed.contains(&request.path.as_str()) {
            Answer::new(403, &[], echo.as_bytes())
        } else if later && !is_whole.load(Ordering::Relaxed) {
            Answer::new(400, &[], echo.as_bytes())
        } else {
            Answer::file(request, &file, &TAG)
        }
    });
    let url = |login: &str, signature: &str| {
        let url = server.url.replace("http://", &format!("http://{login}@"));
        format!("{url}/data/a.jsonl?sig={signature}")
    };
    let secrets = ["s3cr3tpw", "Ym9iOnMzY3IzdHB3", "S1GN", "bob:"];

    let ended = score(place.path(), &url("bob:s3cr3tpw", "F1RSTS1GN")).ends_with(1);
    assert!(ended.stderr.contains("a.jsonl"), "{}", ended.stderr);
    has_no_secret(place.path(), &ended, &secrets);
    let some = rows(&place.path().join("masks"), "a.jsonl").len();
    assert!(some > 0 && some < 1000, "{some}");

    // The same file behind another signature.
    whole.store(true, Ordering::Relaxed);
    let ended = score(place.path(), &url("bob:s3cr3tpw", "S3C0NDS1GN")).ends_with(0);
    has_no_secret(place.path(), &ended, &secrets);
    assert_eq!(rows(&place.path().join("masks"), "a.jsonl").len(), 1000);

    for (login, signature) in [
        ("bob:s3cr3tpw", "F0RGEDS1GN"),
        ("bob:s3cr3tpw/s3cr3tpw", "F1RSTS1GN"),
    ] {
        let refused = score(place.path(), &url(login, signature)).ends_with(2);
        has_no_secret(place.path(), &refused, &secrets);
        assert!(
            refused.stderr.contains("error: http://"),
            "{}",
            refused.stderr
        );
    }
    for command in [
        "train --objective clm --model x --out y --corpus",
        "eval --model x --data",
    ] {
        let mut words: Vec<&str> = command.split(' ').collect();
        let url = url("bob:s3cr3tpw", "F0RGEDS1GN");
        words.push(&url);
        let refused = Run::new(&words).ends_with(2);
        has_no_secret(place.path(), &refused, &secrets);
    }
}

#[test]
fn two_versions_are_never_read_as_one() {
    let place = tempfile::tempdir().unwrap();
    let (old, new) = (corpus("hello"), corpus("HELLO"));
    // If-Match is not looked at.
    let changes = Arc::new(AtomicBool::new(true));
    let count = Arc::new(AtomicUsize::new(0));
    let (changing, counted) = (Arc::clone(&changes), Arc::clone(&count));
    let server = Answering::start("127.0.0.1", move |request| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        match changing.load(Ordering::Relaxed) && number >= 2 {
            true => Answer::file(request, &new, &[("ETag", "\"2\"")]),
            false => Answer::file(request, &old, &TAG),
        }
    });
    let url = format!("{}/a.jsonl", server.url);
    for _ in 0..2 {
        count.store(0, Ordering::Relaxed);
        let ended = score(place.path(), &url).ends_with(1);
        for said in [
            "a.jsonl is left out from row",
            "expected ETag \"1\", got ETag \"2\"",
        ] {
            assert!(ended.stderr.contains(said), "{}", ended.stderr);
        }
        let kept = rows(&place.path().join("masks"), "a.jsonl");
        assert!(!kept.is_empty() && kept.len() < 1000);
        let of_old = |text: &Option<String>| text.as_ref().is_some_and(|t| t.ends_with("hello"));
        assert!(kept.iter().all(|row| of_old(&row.text)));
    }
    changes.store(false, Ordering::Relaxed);
    score(place.path(), &url).ends_with(0);
    assert_eq!(rows(&place.path().join("masks"), "a.jsonl").len(), 1000);
}

#[test]
fn a_redirect_to_another_server_is_said_once_and_gets_no_credentials() {
    let place = tempfile::tempdir().unwrap();
    let file = corpus("hello");
    let end = Answering::start("127.0.0.2", move |request| {
        Answer::file(request, &file, &TAG)
    });
    let there = format!("{}/x", end.url);
    let redirects = move |_: &Request| Answer::new(307, &[("Location", there.as_str())], b"");
    let server = Answering::start("127.0.0.1", redirects);
    let ended = score(place.path(), "s3://bucket/a.jsonl")
        .env("AWS_ACCESS_KEY_ID", "AKIAKEY")
        .env("AWS_SECRET_ACCESS_KEY", "SECRETKEY")
        .env("AWS_SESSION_TOKEN", "SESSIONTOKEN")
        .env("AWS_ENDPOINT_URL", &server.url)
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .ends_with(0);
    let header = |request: &Request| request.headers.contains_key("x-amz-security-token");
    assert!(server.requests().iter().all(header));
    assert!(end.requests().len() > 2);
    for request in end.requests() {
        let sent = format!("{request:?}");
        for secret in ["authorization", "x-amz", "AKIAKEY", "SESSIONTOKEN"] {
            assert!(!sent.contains(secret), "{sent}");
        }
    }
    let said = ended.lines_with("redirects to");
    assert_eq!(said.len(), 1, "{}", ended.stderr);
    assert!(
        said[0].contains("127.0.0.1") && said[0].contains("127.0.0.2"),
        "{said:?}"
    );

    let to_metadata = Answering::start("127.0.0.1", |_| {
        Answer::new(
            302,
            &[("Location", "http://0xa9fea9fe/latest/meta-data/")],
            b"",
        )
    });
    let url = format!("{}/a.jsonl", to_metadata.url);
    let refused = score(place.path(), &url).ends_with(2);
    let said = "169.254.169.254: expected a server of files, got a link-local or metadata address";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
}

#[test]
fn parts_of_a_url_that_a_store_does_not_use_are_refused() {
    let place = tempfile::tempdir().unwrap();
    write(
        &place.path().join("list"),
        "s3://AKIAKEY:SECRETKEY@bucket/a.jsonl\n",
    );
    let list = format!("@{}", place.path().join("list").display());
    for (url, said) in [
        (list.as_str(), "expected credentials in the environment"),
        ("s3://bucket/part-?.jsonl", "write %3F"),
        ("http://127.0.0.1/a#b.jsonl", "write %23"),
    ] {
        let refused = score(place.path(), url).ends_with(2);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
        assert!(!refused.stderr.contains("SECRETKEY"), "{}", refused.stderr);
    }
}
