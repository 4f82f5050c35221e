//! Documents read by number equal the written rows, in any order; files that do not allow that are refused.

use std::fs;
use std::path::PathBuf;

use rho_formats::{
    BatchCompression, DocumentColumns, DocumentRead, MaskDocuments, MaskFile, MaskRow, MasksFolder,
    ScoreType, Storage, WriteOptions, listed_masks,
};

use crate::masks::{list, row, schema};

/// Rows of many lengths, over more than one record batch.
fn rows() -> Vec<MaskRow> {
    let length = |i: i64| match i % 7 {
        0 => 0,
        1 => 1,
        2 => 9,
        3 => 300,
        n => n as u32 * 8,
    };
    (0..2500).map(|i| row(i, length(i))).collect()
}

fn write(
    folder: &MasksFolder,
    shard: &str,
    rows: &[MaskRow],
    options: WriteOptions,
    kind: ScoreType,
) -> Vec<MaskFile> {
    let mut schema = schema();
    schema.score_type = kind;
    let mut writer = folder.writer(shard, &schema, options).unwrap();
    rows.iter().for_each(|row| writer.write(row).unwrap());
    let files = writer.finish().unwrap();
    assert!(folder.publish(shard, &files, &[]).unwrap());
    files
}

fn files(folder: &MasksFolder) -> Vec<PathBuf> {
    let names = listed_masks(folder.path()).unwrap().unwrap();
    names.iter().map(|name| folder.path().join(name)).collect()
}

fn columns() -> DocumentColumns {
    DocumentColumns {
        scores: vec!["entropy".to_owned(), "loss".to_owned()],
        masks: vec!["mask_intersection".to_owned(), "mask_loss".to_owned()],
    }
}

#[test]
fn documents_are_the_rows_in_any_order() {
    for kind in [ScoreType::Float32, ScoreType::Float16] {
        let place = tempfile::tempdir().unwrap();
        let folder = MasksFolder::create(place.path().join("masks")).unwrap();
        let rows = rows();
        let small = WriteOptions {
            file_bytes: 600 << 10,
            ..WriteOptions::default()
        };
        let first = write(&folder, "a/b.jsonl", &rows[..1300], small, kind);
        let second = write(
            &folder,
            "c.txt",
            &rows[1300..],
            WriteOptions::default(),
            kind,
        );
        assert!(first.len() > 1, "expected several files");
        list(&folder, &[&first, &second]);

        let mut documents = MaskDocuments::open(files(&folder), &columns()).unwrap();
        assert_eq!(documents.len(), rows.len());
        let tokens: usize = rows.iter().map(|row| row.input_ids.len()).sum();
        assert_eq!(documents.tokens(), tokens as u64);
        let mut read = DocumentRead::default();
        // 1,009 is prime, so this visits every document once, with neighbours far apart.
        for i in (0..rows.len()).map(|i| i * 1009 % rows.len()) {
            let expected = &rows[i];
            assert_eq!(documents.length(i), expected.input_ids.len());
            documents.read(i, &mut read).unwrap();
            assert_eq!(read.input_ids, expected.input_ids, "document {i}");
            for (got, wanted) in read.scores.iter().zip([1, 0]) {
                let wanted = expected.scores[wanted].iter().map(|&s| kind.round(s));
                let wanted: Vec<f32> = wanted.collect();
                // Compare as text, in which NaN equals NaN.
                let (got, wanted) = (format!("{got:?}"), format!("{wanted:?}"));
                assert_eq!(got, wanted, "document {i}");
            }
            assert_eq!(
                read.masks,
                [&expected.masks[2], &expected.masks[0]].map(Vec::clone)
            );
        }
        // A part of a document equals that part of the whole.
        let long = rows
            .iter()
            .position(|row| row.input_ids.len() == 300)
            .unwrap();
        documents.read_part(long, 13..201, &mut read).unwrap();
        assert_eq!(read.input_ids, rows[long].input_ids[13..201]);
        assert_eq!(read.scores[1], rows[long].scores[0][13..201]);
        assert_eq!(read.masks[0], rows[long].masks[2][13..201]);
        let name = documents.name(1999).unwrap();
        assert_eq!(
            (name.id.as_str(), name.shard.as_str(), name.row),
            ("document 1999", "c.txt", 1999)
        );
        let hashes = documents.token_hashes().unwrap();
        let expected = rows
            .iter()
            .map(|row| rho_formats::token_hash(&row.input_ids));
        assert!(expected.eq(hashes));
    }
}

#[test]
fn what_cannot_be_read_by_number_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = MasksFolder::create(place.path().join("masks")).unwrap();
    let compressed = WriteOptions {
        storage: Storage {
            compression: BatchCompression::Zstd,
            ..Storage::default()
        },
        ..WriteOptions::default()
    };
    let first = write(
        &folder,
        "a.txt",
        &rows()[..50],
        compressed,
        ScoreType::Float32,
    );
    list(&folder, &[&first]);
    let error = MaskDocuments::open(files(&folder), &columns()).unwrap_err();
    assert!(error.to_string().contains("got compressed ones"), "{error}");

    let second = write(
        &folder,
        "b.txt",
        &rows()[..50],
        WriteOptions::default(),
        ScoreType::Float32,
    );
    list(&folder, &[&second]);
    let other = DocumentColumns {
        masks: vec!["mask_excess".to_owned()],
        ..DocumentColumns::default()
    };
    let error = MaskDocuments::open(files(&folder), &other).unwrap_err();
    assert!(error.to_string().contains("\"mask_excess\""), "{error}");
}

#[test]
fn a_token_that_changed_is_found_out() {
    let place = tempfile::tempdir().unwrap();
    let folder = MasksFolder::create(place.path().join("masks")).unwrap();
    let one = [row(0, 300)];
    let first = write(
        &folder,
        "a.txt",
        &one,
        WriteOptions::default(),
        ScoreType::Float32,
    );
    list(&folder, &[&first]);
    let path = files(&folder).remove(0);
    let mut documents = MaskDocuments::open([path.clone()], &columns()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let token = one[0].input_ids[7].to_le_bytes();
    let next = one[0].input_ids[8].to_le_bytes();
    let pair = [token, next].concat();
    let at = bytes.windows(8).position(|window| window == pair).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = documents.read(0, &mut DocumentRead::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("token ids that match their hash"),
        "{error}"
    );
}
