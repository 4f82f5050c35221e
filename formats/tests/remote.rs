//! Remote corpora: a web server with and without ranges, and with faults.

use std::collections::HashMap;
use std::time::Duration;

use rho_formats::{
    Compression, Content, CorpusError, Document, ReadOptions, ShardError, ShardReader, find_shards,
};

use crate::support::server::{Faults, Server};
use crate::support::{Outcome, block_on, compress, read_all, read_bytes};

/// Documents that take more than two blocks.
fn lines() -> Vec<u8> {
    let line = |index: usize| {
        let text = format!("{index} ").repeat(1000 + index % 1000);
        format!("{}\n", serde_json::json!({"id": index, "text": text}))
    };
    (0..2500).map(line).collect::<String>().into_bytes()
}

fn served(name: &str, bytes: Vec<u8>, faults: Faults) -> (Server, String) {
    let server = Server::start(HashMap::from([(name.to_owned(), bytes)]), faults);
    let url = format!("{}/{name}", server.url);
    (server, url)
}

fn read_url(url: &str) -> Outcome {
    let shard = find_shards(&[url.into()]).unwrap().shards.remove(0);
    assert_eq!(shard.path.to_str(), Some(url));
    read_all(&shard, &ReadOptions::default())
}

fn texts(documents: Vec<Document>) -> Vec<(String, Content)> {
    let content = documents
        .into_iter()
        .map(|document| (document.id, document.content));
    content.collect()
}

#[test]
fn a_web_server_with_and_without_ranges_and_with_faults() {
    let bytes = lines();
    assert!(bytes.len() > 9 << 20);
    let expected = texts(read_bytes("a.jsonl", &bytes, &ReadOptions::default()).documents());
    for (what, faults) in [
        ("plain", Faults::default()),
        (
            "no ranges",
            Faults {
                no_ranges: true,
                ..Faults::default()
            },
        ),
        (
            "cuts",
            Faults {
                cut_every: 3,
                ..Faults::default()
            },
        ),
        (
            "unavailable",
            Faults {
                unavailable: 2,
                ..Faults::default()
            },
        ),
        (
            "slow",
            Faults {
                delay: Duration::from_millis(50),
                ..Faults::default()
            },
        ),
    ] {
        let (_server, url) = served("data/a b.jsonl", bytes.clone(), faults);
        let url = url.replace(' ', "%20");
        assert!(texts(read_url(&url).documents()) == expected, "{what}");
    }
    let packed = compress(&bytes, Compression::Zstd);
    let (_server, url) = served("a.jsonl.zst", packed, Faults::default());
    assert!(texts(read_url(&url).documents()) == expected);
}

#[test]
fn a_file_that_goes_away_is_an_error_after_its_rows() {
    let bytes = lines();
    // One request finds it, one fetches the first block.
    let faults = Faults {
        gone_after: 2,
        ..Faults::default()
    };
    let (_server, url) = served("a.jsonl", bytes, faults);
    let outcome = read_url(&url);
    let Some(ShardError::Read { row, .. }) = outcome.error else {
        panic!("{:?}", outcome.error)
    };
    assert!(row > 0 && row == outcome.records.len() as i64);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let bytes = lines();
    let slow = Faults {
        delay: Duration::from_millis(200),
        ..Faults::default()
    };
    let (server, url) = served("a.jsonl", bytes.clone(), slow);
    let shard = find_shards(&[url.into()]).unwrap().shards.remove(0);
    let rows = block_on(async {
        let mut reader = ShardReader::open(&shard, &ReadOptions::default())
            .await
            .unwrap();
        let mut rows = 0;
        loop {
            match reader.next().await {
                Ok(Some(_)) => rows += 1,
                Ok(None) => panic!("two versions read as one"),
                Err(error) => break (rows, error),
            }
            if rows == 1 {
                let mut files = server.files.lock().unwrap();
                files.get_mut("a.jsonl").unwrap()[100] ^= 1;
            }
        }
    });
    let (rows, ShardError::Read { row, .. }) = rows else {
        panic!("{rows:?}")
    };
    assert!(rows > 1 && rows == row, "{rows} {row}");
}

#[test]
fn of_columns_only_what_is_asked_for_is_fetched() {
    let Some(folder) = crate::other_writers::written() else {
        return;
    };
    for name in [
        "parquet/zstd-1.0.parquet",
        "arrow/file-None.arrow",
        "arrow/stream-None.arrow",
        "arrow/polars.arrow",
    ] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let file = name.rsplit('/').next().unwrap();
        let options = ReadOptions::default();
        let expected = texts(read_bytes(file, &bytes, &options).documents());
        let (server, url) = served(
            name,
            bytes.clone(),
            Faults {
                cut_every: 4,
                ..Faults::default()
            },
        );
        assert!(texts(read_url(&url).documents()) == expected, "{name}");
        assert!(!server.ranges().is_empty());
        // Without ranges it cannot be read, and the error says so.
        let (_server, url) = served(
            name,
            bytes,
            Faults {
                no_ranges: true,
                ..Faults::default()
            },
        );
        let error = read_url(&url).error.unwrap();
        assert!(
            matches!(error, ShardError::Read { row: 0, .. }),
            "{error:?}"
        );
    }
}

#[test]
fn what_is_not_there_is_an_error_with_a_hint() {
    let (server, url) = served("a.jsonl", b"{}".to_vec(), Faults::default());
    for argument in [
        format!("{}/b.jsonl", server.url),
        "nowhere://a/b.jsonl".to_owned(),
        "http://".to_owned(),
    ] {
        let error = find_shards(&[argument.clone().into()]).unwrap_err();
        assert!(
            matches!(error, CorpusError::Remote { .. }),
            "{argument}: {error:?}"
        );
    }
    let error = find_shards(&[url.clone().into(), url.into()]).unwrap_err();
    assert!(matches!(error, CorpusError::GivenTwice { .. }), "{error:?}");
}
