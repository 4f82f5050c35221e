//! Masks written are masks read; a folder is what it should be at every moment.

use std::fs;
use std::path::Path;

use rho_formats::{MaskRow, MaskSchema, MasksFolder, OutputError, Rejection, read_masks};
use serde_json::{Value, json};

pub(crate) fn schema() -> MaskSchema {
    MaskSchema {
        scores: vec!["loss".to_owned(), "entropy".to_owned()],
        masks: vec![
            "mask_loss".to_owned(),
            "mask_entropy".to_owned(),
            "mask_intersection".to_owned(),
        ],
        metadata: json!({"format": 1, "reference": {"sha256": "ab"}, "keep": 0.6, "name": "é"}),
    }
}

/// A row of `tokens` tokens, the first unscored.
pub(crate) fn row(index: i64, tokens: u32) -> MaskRow {
    let unscored_first = |score: fn(u32) -> f32| {
        (0..tokens)
            .map(|token| if token == 0 { f32::NAN } else { score(token) })
            .collect()
    };
    let mask = |modulus: u32| {
        (0..tokens)
            .map(|token| token > 0 && token % modulus == 0)
            .collect()
    };
    MaskRow {
        id: format!("document {index}"),
        row: index,
        input_ids: (0..tokens).map(|token| token * 7919 % 50_257).collect(),
        scores: vec![
            unscored_first(|token| token as f32 / 8.0),
            unscored_first(|token| 1.0 / token as f32),
        ],
        masks: vec![mask(2), mask(3), mask(6)],
    }
}

pub(crate) fn write(folder: &MasksFolder, shard: &str, rows: &[MaskRow]) {
    let mut writer = folder.writer(shard, &schema()).unwrap();
    rows.iter().for_each(|row| writer.write(row).unwrap());
    writer.finish().unwrap();
}

fn read(path: &Path) -> Vec<MaskRow> {
    read_masks(path).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Equal, with NaN equal to NaN.
fn same(left: &[MaskRow], right: &[MaskRow]) -> bool {
    format!("{left:?}") == format!("{right:?}")
}

fn state(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("state.json")).unwrap()).unwrap()
}

/// Every file under a folder, with its bytes.
fn bytes_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            let inner = bytes_of(&entry.path()).into_iter();
            files.extend(inner.map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            files.push((name, fs::read(entry.path()).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn rows_come_back_in_the_order_in_which_shards_were_begun() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("new/masks");
    let folder = MasksFolder::create(&path).unwrap();
    assert_eq!(folder.path(), path);
    let rows: Vec<_> = [0, 1, 2, 300, 5]
        .into_iter()
        .zip(0..)
        .map(|(tokens, index)| row(index, tokens))
        .collect();

    let mut first = folder.writer("b/z.jsonl.gz", &schema()).unwrap();
    write(&folder, "a.txt", &rows[3..]);
    // Begun, but not finished: a partial file, which the folder does not list.
    let files: Vec<_> = bytes_of(&path).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        files,
        [
            "a.txt.arrow",
            "b/.z.jsonl.gz.arrow.partial",
            "dataset_info.json",
            "state.json"
        ]
    );
    assert!(same(&read(&path), &rows[3..]));
    let before = state(&path);
    rows[..3].iter().for_each(|row| first.write(row).unwrap());
    first.finish().unwrap();
    write(&folder, "c.txt", &[]);

    let mut reader = read_masks(&path).unwrap();
    assert_eq!(reader.schema(), &schema());
    reader.next().unwrap().unwrap();
    assert_eq!(reader.shard(), "b/z.jsonl.gz");
    assert!(same(&read(&path), &rows));
    assert!(same(&read(&path.join("b/z.jsonl.gz.arrow")), &rows[..3]));
    assert_eq!(read(&path.join("c.txt.arrow")), []);

    let after = state(&path);
    let files = json!([{"filename": "b/z.jsonl.gz.arrow"}, {"filename": "a.txt.arrow"}, {"filename": "c.txt.arrow"}]);
    assert_eq!(after["_data_files"], files);
    assert_ne!(after["_fingerprint"], before["_fingerprint"]);
    assert_eq!(fs::read(path.join("dataset_info.json")).unwrap(), b"{}");
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    // More rows than a batch holds; a document longer than a batch; batches of tokens.
    let rows: Vec<_> = (0..2_500)
        .map(|index| row(index, (index % 5) as u32))
        .collect();
    let long = [
        row(0, 1),
        row(1, 300_000),
        row(2, 200_000),
        row(3, 100_000),
        row(4, 1),
    ];
    for name in ["one", "two"] {
        let folder = MasksFolder::create(place.path().join(name)).unwrap();
        write(&folder, "rows", &rows);
        write(&folder, "long", &long);
    }
    assert_eq!(
        bytes_of(&place.path().join("one")),
        bytes_of(&place.path().join("two"))
    );
    assert!(same(&read(&place.path().join("one/rows.arrow")), &rows));
    assert!(same(&read(&place.path().join("one/long.arrow")), &long));

    let batches = |name: &str| -> Vec<usize> {
        let file = fs::File::open(place.path().join("one").join(name)).unwrap();
        let stream = arrow_ipc::reader::StreamReader::try_new_buffered(file, None).unwrap();
        stream.map(|batch| batch.unwrap().num_rows()).collect()
    };
    assert_eq!(batches("rows.arrow"), [1_000, 1_000, 500]);
    assert_eq!(batches("long.arrow"), [2, 2, 1]);
}

#[test]
fn shards_may_be_written_by_many_threads() {
    let place = tempfile::tempdir().unwrap();
    let folder = MasksFolder::create(place.path()).unwrap();
    std::thread::scope(|scope| {
        for index in 0..16 {
            let writer = folder.writer(&format!("{index:02}"), &schema()).unwrap();
            let folder = folder.clone();
            scope.spawn(move || {
                let mut writer = writer;
                writer.write(&row(index, 3)).unwrap();
                writer.finish().unwrap();
                let (shard, reason) = (index.to_string(), "r\n\"".to_owned());
                folder
                    .reject(&Rejection {
                        shard,
                        row: index,
                        reason,
                    })
                    .unwrap();
            });
        }
    });
    let rows: Vec<_> = read(place.path()).into_iter().map(|row| row.row).collect();
    assert_eq!(rows, (0..16).collect::<Vec<_>>());
    let rejected = fs::read_to_string(place.path().join("rejected.jsonl")).unwrap();
    assert_eq!(rejected.lines().count(), 16);
    for line in rejected.lines() {
        let Value::Object(line) = serde_json::from_str(line).unwrap() else {
            panic!("{line}")
        };
        assert_eq!(line["reason"], "r\n\"");
    }
    assert!(rejected.starts_with("{\"shard\":\""), "{rejected}");
    folder.summary(&json!({"documents": 16})).unwrap();
    folder.summary(&json!({"documents": 17})).unwrap();
    let summary = fs::read_to_string(place.path().join("summary.json")).unwrap();
    assert_eq!(summary, "{\n  \"documents\": 17\n}\n");
}

#[test]
fn a_place_that_is_taken_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let error = MasksFolder::create(&file).err().unwrap();
    assert!(matches!(error, OutputError::NotAFolder { .. }) && error.hint().is_some());
    let error = MasksFolder::create(file.join("masks")).err().unwrap();
    assert!(matches!(error, OutputError::Create { .. }), "{error:?}");
    let error = MasksFolder::create(place.path()).err().unwrap();
    assert!(matches!(&error, OutputError::NotEmpty { entry, .. } if entry == Path::new("file")));
    assert!(
        error
            .to_string()
            .ends_with("expected an empty folder, found file in it")
    );
    assert!(error.hint().is_some());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    MasksFolder::create(place.path().join("masks")).unwrap();
    let again = MasksFolder::create(place.path().join("masks"))
        .err()
        .unwrap();
    assert!(matches!(again, OutputError::NotEmpty { .. }));
}

#[test]
fn shards_and_rows_that_do_not_fit_are_errors() {
    let place = tempfile::tempdir().unwrap();
    let folder = MasksFolder::create(place.path().join("masks")).unwrap();
    for name in ["", "/a", "../a", "a/../../b", "./a", "a/", "a/.."] {
        let error = folder.writer(name, &schema()).err().unwrap();
        assert!(
            matches!(error, OutputError::ShardName { .. }),
            "{name}: {error:?}"
        );
    }
    let mut twice = schema();
    twice.scores.push("loss".to_owned());
    let error = folder.writer("a", &twice).err().unwrap();
    assert!(
        matches!(error, OutputError::ColumnTwice { .. }),
        "{error:?}"
    );

    let mut writer = folder.writer("a", &schema()).unwrap();
    let error = folder.writer("a", &schema()).err().unwrap();
    assert!(matches!(error, OutputError::ShardTwice { .. }), "{error:?}");
    let other = MaskSchema {
        metadata: json!({}),
        ..schema()
    };
    let error = folder.writer("b", &other).err().unwrap();
    assert!(
        matches!(error, OutputError::OtherSchema { .. }),
        "{error:?}"
    );

    let mut bad = vec![row(0, 3); 4];
    bad[0].scores.pop();
    bad[1].masks[2].push(true);
    bad[2].scores[0].pop();
    bad[3].input_ids[1] = 1 << 31;
    let errors: Vec<_> = bad
        .iter()
        .map(|row| writer.write(row).unwrap_err().to_string())
        .collect();
    assert_eq!(
        errors,
        [
            "a row 0: expected 2 lists of scores, got 1",
            "a row 0: expected 3 items of \"mask_intersection\", as many as tokens, got 4",
            "a row 0: expected 3 items of \"loss\", as many as tokens, got 2",
            "a row 0: expected token ids of at most 2147483647, got 2147483648",
        ]
    );
    // A refused row leaves nothing behind.
    writer.write(&row(1, 2)).unwrap();
    writer.finish().unwrap();
    assert!(same(&read(folder.path()), &[row(1, 2)]));
}

#[test]
fn a_folder_that_goes_away_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("masks");
    let folder = MasksFolder::create(&path).unwrap();
    let mut writer = folder.writer("a", &schema()).unwrap();
    writer.write(&row(0, 2)).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let error = writer.finish().unwrap_err();
    assert!(matches!(error, OutputError::Write { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("has gone"));
    assert!(folder.summary(&json!({})).is_err());
}
