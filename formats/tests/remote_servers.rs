//! What remote servers are sent, and where requests may go: logins, signed URLs, redirects.

use std::path::PathBuf;

use rho_formats::{CorpusError, ReadOptions, RemoteErrorKind, find_shards};

use crate::support::answers::{Answer, Answering, Request};
use crate::support::read_all;

const FILE: &[u8] = b"{\"text\":\"one\"}\n{\"text\":\"two\"}\n";
const TAG: [(&str, &str); 1] = [("ETag", "\"1\"")];

fn redirect(to: &str) -> Answer {
    Answer::new(307, &[("Location", to)], b"")
}

/// The texts of a URL.
fn texts(url: &str) -> Result<Vec<String>, CorpusError> {
    let shard = find_shards(&[url.into()])?.shards.remove(0);
    let outcome = read_all(&shard, &ReadOptions::default());
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let told = outcome.told().into_iter();
    Ok(told.map(|(_, text)| text.unwrap().to_owned()).collect())
}

#[track_caller]
fn refused(url: &str) -> (RemoteErrorKind, String) {
    match find_shards(&[url.into()]) {
        Err(CorpusError::Remote { source, url }) => (source.kind(), format!("{url}: {source}")),
        other => panic!("{other:?}"),
    }
}

/// Whether a request carries a secret, in whatever header.
fn carries(request: &Request, secret: &str) -> bool {
    let mut all = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    request.path.contains(secret) || all.any(|header| header.contains(secret))
}

#[test]
fn a_login_is_sent_and_not_shown() {
    // python3 -c "import base64; print(base64.b64encode(b'bob:s3cr3t/pw'))"
    const BASIC: &str = "Basic Ym9iOnMzY3IzdC9wdw==";
    let server = Answering::start("127.0.0.1", |request| {
        let sent = request
            .headers
            .get("authorization")
            .cloned()
            .unwrap_or_default();
        match sent == BASIC {
            true => Answer::file(request, FILE, &TAG),
            // Like a server that says too much.
            false => Answer::new(
                403,
                &[],
                format!("not for {sent} s3cr3t/pw wp/t3rc3s").as_bytes(),
            ),
        }
    });
    let login =
        |login: &str| server.url.replace("http://", &format!("http://{login}@")) + "/a.jsonl";
    let url = login("bob:s3cr3t%2Fpw");
    assert_eq!(texts(&url).unwrap(), ["one", "two"]);
    let found = find_shards(&[url.into()]).unwrap();
    let shown = format!("{found:?}");
    assert!(
        !shown.contains("s3cr3t") && !shown.contains("Ym9i"),
        "{shown}"
    );
    assert_eq!(
        found.shards[0].path,
        PathBuf::from(format!("{}/a.jsonl", server.url))
    );

    let (kind, said) = refused(&login("eve:s3cr3t%2Fpw"));
    assert_eq!(kind, RemoteErrorKind::Denied);
    assert!(said.contains("403 Forbidden"), "{said}");
    for secret in ["s3cr3t", "ZXZl", "wp/t3rc3s"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn a_signed_url_keeps_its_query_and_does_not_show_it() {
    const QUERY: &str = "X-Amz-Signature=0123456789abcdef&response=%2Fx";
    let server = Answering::start("127.0.0.1", |request| {
        // Signed for GET alone.
        let signed = request.path == format!("/data/a.jsonl?{QUERY}");
        match signed && request.method == "GET" {
            true => Answer::file(request, FILE, &TAG),
            false => Answer::new(403, &[], request.path.as_bytes()),
        }
    });
    let url = format!("{}/data/a.jsonl", server.url);
    assert_eq!(texts(&format!("{url}?{QUERY}")).unwrap(), ["one", "two"]);
    let found = find_shards(&[format!("{url}?{QUERY}").into()]).unwrap();
    assert_eq!(found.shards[0].name, "a.jsonl");
    assert!(!format!("{found:?}").contains("0123456789"), "{found:?}");
    let (kind, said) = refused(&format!("{url}?{QUERY}1"));
    assert_eq!(kind, RemoteErrorKind::Denied);
    assert!(!said.contains("0123456789"), "{said}");
}

#[test]
fn servers_without_head_and_empty_files() {
    for status in [403, 404, 405] {
        let server = Answering::start("127.0.0.1", move |request| match request.method.as_str() {
            "HEAD" => Answer::new(status, &[], b""),
            _ => Answer::file(request, FILE, &TAG),
        });
        let url = format!("{}/a.jsonl", server.url);
        assert_eq!(texts(&url).unwrap(), ["one", "two"], "{status}");
    }
    let server = Answering::start("127.0.0.1", |request| match request.headers.get("range") {
        Some(_) => Answer::new(416, &[], b""),
        None => Answer::new(200, &TAG, b""),
    });
    let url = format!("{}/a.jsonl?signed", server.url);
    assert!(texts(&url).unwrap().is_empty());
}

#[test]
fn no_credential_follows_a_redirect_to_another_server() {
    let end = Answering::start("127.0.0.1", |request| Answer::file(request, FILE, &TAG));
    let there = format!("{}/b", end.url);
    // Another host, and another port of the same host, which is another server.
    for address in ["127.0.0.2", "127.0.0.1"] {
        let there = there.clone();
        let server = Answering::start(address, move |_| redirect(&there));
        let url = server.url.replace("http://", "http://bob:s3cr3t@") + "/a.jsonl?sig=s3cr3t-too";
        assert_eq!(texts(&url).unwrap(), ["one", "two"]);
        assert!(carries(&server.requests()[0], "Basic "));
        assert!(carries(&server.requests()[0], "s3cr3t-too"));
    }
    assert!(!end.requests().is_empty());
    for request in end.requests() {
        assert!(
            !request.headers.contains_key("authorization"),
            "{request:?}"
        );
        assert!(!carries(&request, "s3cr3t"), "{request:?}");
        let asks = ["host", "accept", "range", "if-match", "user-agent"];
        let sent = request
            .headers
            .keys()
            .find(|name| !asks.contains(&name.as_str()));
        assert_eq!(sent, None, "{request:?}");
    }

    // On the same server a login goes on, unless the way led over another one.
    let away = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let over = std::sync::Arc::clone(&away);
    let home = Answering::start("127.0.0.1", move |request| match request.path.as_str() {
        "/here.jsonl" => redirect("/end"),
        "/away.jsonl" => redirect(over.get().unwrap()),
        _ => Answer::file(request, FILE, &TAG),
    });
    let back = format!("{}/back", home.url);
    let other = Answering::start("127.0.0.2", move |_| redirect(&back));
    away.set(format!("{}/x", other.url)).unwrap();
    let url = home.url.replace("http://", "http://bob:s3cr3t@");
    for name in ["here", "away"] {
        assert_eq!(
            texts(&format!("{url}/{name}.jsonl")).unwrap(),
            ["one", "two"]
        );
    }
    let logged_in = |path: &str| {
        let requests = home.requests();
        let mut of_path = requests.iter().filter(|request| request.path == path);
        of_path.any(|request| request.headers.contains_key("authorization"))
    };
    assert!(logged_in("/end") && !logged_in("/back"));
}

#[test]
fn redirects_that_are_refused() {
    for target in [
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "http://169.254.1.1:8080/",
        "http://0xa9fea9fe/",
        "http://2852039166/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://metadata.google.internal./",
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "http://",
    ] {
        let server = Answering::start("127.0.0.1", move |_| redirect(target));
        let (kind, said) = refused(&format!("{}/a.jsonl", server.url));
        assert_eq!(kind, RemoteErrorKind::Refused, "{target}: {said}");
        // It is not tried again: the answer will be the same.
        assert_eq!(server.requests().len(), 1, "{target}");
    }
    let server = Answering::start("127.0.0.1", |_| redirect("/a.jsonl"));
    let (kind, said) = refused(&format!("{}/a.jsonl", server.url));
    assert_eq!(kind, RemoteErrorKind::Refused);
    assert!(said.contains("redirects in a row"), "{said}");
    for url in [
        "http://169.254.169.254/a.jsonl",
        "http://0251.0376.0251.0376/a.jsonl",
        "http://metadata.google.internal/a.jsonl",
    ] {
        let (kind, said) = refused(url);
        assert_eq!(kind, RemoteErrorKind::Refused, "{said}");
    }
}
