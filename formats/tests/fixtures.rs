//! Files written by other programs; skipped if they are not beside the project.

use rho_formats::{Compression, Content, ContentFields, ReadOptions};

use crate::support::{beside, compress, read, read_bytes};

#[test]
fn the_same_documents_plain_and_compressed() {
    let (Some(plain), Some(gzip)) = (
        beside("data/formats/sample300.jsonl"),
        beside("data/formats/sample300.jsonl.gz"),
    ) else {
        return;
    };
    let options = ReadOptions::default();
    let documents = read(&plain, &options).documents();
    assert_eq!(documents.len(), 300);
    assert_eq!(documents[0].id, "442941edf95ecaf9");
    assert_eq!(read(&gzip, &options).documents(), documents);
    for (name, compression) in [
        ("sample300.jsonl.bz2", Compression::Bzip2),
        ("sample300.jsonl.xz", Compression::Xz),
    ] {
        let bytes = compress(&std::fs::read(&plain).unwrap(), compression);
        assert_eq!(read_bytes(name, &bytes, &options).documents(), documents);
    }
    let zstd = compress(&std::fs::read(&plain).unwrap(), Compression::Zstd);
    assert_eq!(
        read_bytes("sample300.jsonl.zst", &zstd, &options).documents(),
        documents
    );
}

#[test]
fn the_same_documents_in_every_container() {
    let Some(plain) = beside("data/formats/sample300.jsonl") else {
        return;
    };
    let options = ReadOptions {
        source_field: Some("source".to_owned()),
        ..ReadOptions::default()
    };
    let documents = read(&plain, &options).documents();
    let source = documents[0].source.as_deref();
    assert!(
        source.is_some_and(|source| source.contains('/')),
        "{source:?}"
    );
    for name in [
        "sample300.zstd.parquet",
        "sample300.jsonl.gz",
        "sample300.webdataset.tar",
    ] {
        let Some(path) = beside(&format!("data/formats/{name}")) else {
            return;
        };
        assert!(read(&path, &options).documents() == documents, "{name}");
        // Under a misleading name.
        let bytes = std::fs::read(&path).unwrap();
        let outcome = read_bytes("misnamed.jsonl", &bytes, &options);
        assert!(outcome.documents() == documents, "{name}");
    }
}

#[test]
fn pages_of_common_crawl() {
    let Some(path) = beside("data/fixtures/dolma/cc_en_head-0091.jsonl.gz") else {
        return;
    };
    let documents = read(&path, &ReadOptions::default()).documents();
    // `zcat | wc -l` counts ten.
    assert_eq!(documents.len(), 10);
    assert!(
        documents[0]
            .id
            .starts_with("http://100kinvesting.com/2016/11/28/")
    );
    let nested = ReadOptions {
        content: ContentFields::text("metadata.bucket"),
        ..ReadOptions::default()
    };
    for document in read(&path, &nested).documents() {
        assert_eq!(document.content, Content::Text("head".to_owned()));
    }
}

#[test]
fn pages_of_c4() {
    let Some(path) = beside("data/fixtures/olmo/c4-sample.01.json.gz") else {
        return;
    };
    let documents = read(&path, &ReadOptions::default()).documents();
    assert_eq!(documents.len(), 10);
    let Content::Text(text) = &documents[0].content else {
        panic!("expected text")
    };
    assert!(text.starts_with("The woman who died after falling"));
}

#[test]
fn one_message_in_three_containers() {
    let options = ReadOptions {
        content: ContentFields::text("message"),
        ..ReadOptions::default()
    };
    for name in ["test.jsonl", "test.jsonl.gz", "test.jsonl.zst"] {
        let Some(path) = beside(&format!("data/fixtures/dolma/{name}")) else {
            return;
        };
        let documents = read(&path, &options).documents();
        assert_eq!(documents.len(), 1, "{name}");
        assert_eq!(documents[0].id, format!("{name}#0"));
        assert_eq!(
            documents[0].content,
            Content::Text("this is a test".to_owned())
        );
        let outcome = read(&path, &ReadOptions::default());
        let reason = r#"no field "text"; the line has "message" (name it with text_field)"#;
        assert_eq!(outcome.told(), [(0, Err(reason))]);
    }
}
