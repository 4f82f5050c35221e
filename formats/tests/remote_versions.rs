//! Servers that change a file while it is read, or answer with something else than they were asked for: no row of
//! another version is ever yielded.

use rho_formats::{
    Content, ReadOptions, Record, RemoteError, RemoteErrorKind, ShardError, find_shards,
};

use crate::support::answers::{Answer, Answering, Request};
use crate::support::{Outcome, read_all};

const ROWS: usize = 5000;

/// More than two blocks of rows, of the same size for words of the same length.
fn rows(word: &str) -> Vec<u8> {
    let row = |index: usize| {
        let text = format!("{index:05} says {word}");
        format!(
            "{}\n",
            serde_json::json!({"text": text, "pad": "z".repeat(2000)})
        )
    };
    (0..ROWS).map(row).collect::<String>().into_bytes()
}

/// Reads a file from a server; `answer` gets the old bytes and the new ones.
fn read(
    answer: impl Fn(&Request, &[u8], &[u8]) -> Answer + Send + Sync + 'static,
) -> (Outcome, Answering) {
    let (old, new) = (rows("hello"), rows("HELLO"));
    assert!(old.len() == new.len() && old.len() > 9 << 20);
    let server = Answering::start("127.0.0.1", move |request| answer(request, &old, &new));
    let url = format!("{}/a.jsonl", server.url);
    let shard = find_shards(&[url.into()]).unwrap().shards.remove(0);
    (read_all(&shard, &ReadOptions::default()), server)
}

/// The number of rows; all must be of one version.
#[track_caller]
fn of_one_version(outcome: &Outcome, word: &str) -> usize {
    for record in &outcome.records {
        let Record::Document(document) = record else {
            panic!("{record:?}")
        };
        let Content::Text(text) = &document.content else {
            panic!("{document:?}")
        };
        assert!(text.ends_with(word), "{text}");
    }
    outcome.records.len()
}

fn cause(outcome: &Outcome) -> &RemoteError {
    let source = match &outcome.error {
        Some(ShardError::Read { source, .. } | ShardError::Open { source, .. }) => source,
        other => panic!("{other:?}"),
    };
    source
        .get_ref()
        .unwrap()
        .downcast_ref::<RemoteError>()
        .unwrap()
}

const HEADERS: [(&str, &str); 2] = [
    ("ETag", "\"1\""),
    ("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
];

#[test]
fn a_right_server_is_read_whole() {
    for headers in [
        &HEADERS[..],
        &HEADERS[..1],
        &HEADERS[1..],
        &[("ETag", "W/\"1\"")],
        &[],
    ] {
        let headers = headers.to_vec();
        let (outcome, _) = read(move |request, old, _| Answer::file(request, old, &headers));
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_eq!(of_one_version(&outcome, "hello"), ROWS);
    }
    // HEAD is allowed to have fewer headers.
    let (outcome, _) = read(|request, old, _| match request.method.as_str() {
        "HEAD" => Answer::file(request, old, &[]),
        _ => Answer::file(request, old, &HEADERS),
    });
    assert_eq!(of_one_version(&outcome, "hello"), ROWS);
}

#[test]
fn an_answer_that_differs_from_the_first_ends_the_shard() {
    type Change = fn(&Request, &[u8], &[u8]) -> Answer;
    let cases: [(&str, Change, &str); 13] = [
        (
            "another ETag; If-Match is ignored",
            |request, _, new| Answer::file(request, new, &HEADERS).with("ETag", "\"2\""),
            "expected ETag \"1\", got ETag \"2\"",
        ),
        (
            "a weak ETag",
            |request, _, new| Answer::file(request, new, &HEADERS).with("ETag", "W/\"1\""),
            "expected ETag \"1\", got ETag W/\"1\"",
        ),
        (
            "no ETag",
            |request, _, new| Answer::file(request, new, &HEADERS[1..]),
            "expected ETag \"1\", got no ETag",
        ),
        (
            "another time",
            |request, _, new| {
                let later = "Wed, 21 Oct 2015 07:28:01 GMT";
                Answer::file(request, new, &HEADERS).with("Last-Modified", later)
            },
            "Last-Modified Wed, 21 Oct 2015 07:28:00 GMT, got Last-Modified Wed, 21 Oct 2015 07:28:01 GMT",
        ),
        (
            "no time",
            |request, _, new| Answer::file(request, new, &HEADERS[..1]),
            "got no Last-Modified",
        ),
        (
            "another size",
            |request, _, new| {
                let (start, end) = request.range(new.len()).unwrap();
                let range = format!("bytes {start}-{}/{}", end - 1, new.len() + 1);
                Answer::file(request, new, &HEADERS).with("Content-Range", &range)
            },
            "bytes, got one of",
        ),
        (
            "an unknown size",
            |request, _, new| {
                let (start, end) = request.range(new.len()).unwrap();
                let range = format!("bytes {start}-{}/*", end - 1);
                Answer::file(request, new, &HEADERS).with("Content-Range", &range)
            },
            "expected Content-Range bytes",
        ),
        (
            "another part",
            |request, _, new| {
                let (start, end) = request.range(new.len()).unwrap();
                let range = format!("bytes {}-{}/{}", start - 1, end - 2, new.len());
                Answer::file(request, new, &HEADERS).with("Content-Range", &range)
            },
            "expected Content-Range bytes",
        ),
        (
            "a shorter part",
            |request, _, new| {
                let (start, end) = request.range(new.len()).unwrap();
                let range = format!("bytes {start}-{}/{}", end - 2, new.len());
                Answer::new(206, &HEADERS, &new[start..end - 1]).with("Content-Range", &range)
            },
            "expected Content-Range bytes",
        ),
        (
            "a part of no known place",
            |request, _, new| Answer::file(request, new, &HEADERS).without("Content-Range"),
            "expected Content-Range bytes 4194304-8388607, got none",
        ),
        (
            "the whole file",
            |_, _, new| Answer::new(200, &HEADERS, new),
            "expected bytes 4194304-8388607 (status 206), got status 200",
        ),
        (
            "nothing of it",
            |_, _, _| Answer::new(204, &HEADERS, b""),
            "(status 206), got status 204",
        ),
        (
            "it is shorter now",
            |_, _, _| Answer::new(416, &HEADERS, b""),
            "(status 206), got status 416",
        ),
    ];
    for (what, change, said) in cases {
        // One request finds the file, one fetches the first block.
        let (outcome, _) = read(move |request, old, new| match request.number {
            1 | 2 => Answer::file(request, old, &HEADERS),
            _ => change(request, old, new),
        });
        let rows = of_one_version(&outcome, "hello");
        assert!(rows > 0 && rows < ROWS, "{what}: {rows}");
        let cause = cause(&outcome);
        assert_eq!(cause.kind(), RemoteErrorKind::Changed, "{what}: {cause}");
        assert!(cause.to_string().contains(said), "{what}: {cause}");
    }
}

#[test]
fn a_whole_file_is_that_which_was_found() {
    // Without ranges; it has become another file since it was found.
    for change in 0..4 {
        let (outcome, _) = read(move |request, old, new| {
            if request.method == "HEAD" {
                return Answer::new(200, &HEADERS, old);
            }
            match change {
                0 => Answer::new(200, &HEADERS, &[new, new].concat()),
                1 => Answer::new(200, &HEADERS, &new[..new.len() / 2]),
                2 => Answer::new(200, &HEADERS, new).with("ETag", "\"2\""),
                _ => Answer::new(206, &HEADERS, new),
            }
        });
        assert_eq!(of_one_version(&outcome, "hello"), 0, "{change}");
        assert_eq!(cause(&outcome).kind(), RemoteErrorKind::Changed, "{change}");
    }
}

#[test]
fn without_anything_that_tells_versions_apart_a_file_comes_in_one_answer() {
    // The file changes after each request, and neither its size nor a header shows it.
    let (outcome, server) = read(|request, old, new| {
        let file = if request.number.is_multiple_of(2) {
            old
        } else {
            new
        };
        Answer::file(request, file, &[])
    });
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(of_one_version(&outcome, "HELLO"), ROWS);
    assert_eq!(server.requests().len(), 3);

    // A file that is read in parts cannot come in one answer.
    let mut parquet = b"PAR1".to_vec();
    parquet.resize(9 << 20, 0);
    parquet.extend_from_slice(b"PAR1");
    let server = Answering::start("127.0.0.1", move |request| {
        Answer::file(request, &parquet, &[])
    });
    let url = format!("{}/a.parquet", server.url);
    let shard = find_shards(&[url.into()]).unwrap().shards.remove(0);
    let outcome = read_all(&shard, &ReadOptions::default());
    let cause = cause(&outcome);
    assert_eq!(cause.kind(), RemoteErrorKind::NoVersion, "{cause}");
}

#[test]
fn a_broken_answer_is_gone_on_with_only_in_the_same_version() {
    for (etag, kind) in [("\"1\"", None), ("\"2\"", Some(RemoteErrorKind::Changed))] {
        let (outcome, _) = read(move |request, old, new| match request.number {
            1 | 2 => Answer::file(request, old, &HEADERS),
            3 => {
                let mut cut = Answer::file(request, old, &HEADERS);
                cut.sent = 1 << 20;
                cut
            }
            _ if kind.is_none() => Answer::file(request, old, &HEADERS),
            _ => Answer::file(request, new, &HEADERS).with("ETag", etag),
        });
        let rows = of_one_version(&outcome, "hello");
        match kind {
            None => assert_eq!(rows, ROWS),
            Some(kind) => assert_eq!(cause(&outcome).kind(), kind),
        }
    }
}
