//! Masks read back equal the masks written, and a folder is valid at every moment.

use std::fs;
use std::path::Path;

use rho_formats::{
    BatchCompression, FileFormat, ListsCopy, MaskColumns, MaskFile, MaskRow, MaskSchema,
    MaskStream, MaskWriter, MasksFolder, NewLists, OutputError, ScoreType, Storage, TopColumns,
    TopTokens, WriteOptions, read_masks,
};
use serde_json::{Value, json};

pub(crate) fn schema() -> MaskSchema {
    MaskSchema {
        scores: vec!["loss".to_owned(), "entropy".to_owned()],
        score_type: ScoreType::Float32,
        masks: vec![
            "mask_loss".to_owned(),
            "mask_entropy".to_owned(),
            "mask_intersection".to_owned(),
        ],
        weights: Vec::new(),
        text: false,
        source: false,
        target: false,
        top: None,
        metadata: json!({"format": 1, "reference": {"sha256": "ab"}, "keep": 0.6, "name": "é"}),
    }
}

/// A row of `tokens` tokens; the first has no scores.
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
        weights: Vec::new(),
        text: None,
        source: None,
        target: None,
        top: None,
    }
}

pub(crate) fn begin(folder: &MasksFolder, shard: &str) -> MaskWriter {
    folder
        .writer(shard, &schema(), WriteOptions::default())
        .unwrap()
}

pub(crate) fn finish(folder: &MasksFolder, shard: &str, writer: MaskWriter) -> Vec<MaskFile> {
    let files = writer.finish().unwrap();
    assert!(folder.publish(shard, &files, &[]).unwrap());
    files
}

pub(crate) fn write(folder: &MasksFolder, shard: &str, rows: &[MaskRow]) -> Vec<MaskFile> {
    let mut writer = begin(folder, shard);
    rows.iter().for_each(|row| writer.write(row).unwrap());
    finish(folder, shard, writer)
}

pub(crate) fn list(folder: &MasksFolder, shards: &[&[MaskFile]]) {
    let files = shards.iter().copied().flatten();
    folder.list(&schema().metadata, files).unwrap();
}

fn read(path: &Path) -> Vec<MaskRow> {
    read_masks(path).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Equal, with NaN equal to NaN.
pub(crate) fn same(left: &[MaskRow], right: &[MaskRow]) -> bool {
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
        if name == ".rho-mask" {
            continue;
        }
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
fn rows_come_back_in_the_order_of_the_list() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("new/masks");
    let folder = MasksFolder::create(&path).unwrap();
    assert_eq!(folder.path(), path);
    let rows: Vec<_> = [0, 1, 2, 300, 5]
        .into_iter()
        .zip(0..)
        .map(|(tokens, index)| row(index, tokens))
        .collect();

    let mut first = begin(&folder, "b/z.jsonl.gz");
    let a = write(&folder, "a.txt", &rows[3..]);
    list(&folder, &[&a]);
    // Started, but not finished: a partial file that the folder does not list.
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
    let b = finish(&folder, "b/z.jsonl.gz", first);
    let c = write(&folder, "c.txt", &[]);
    list(&folder, &[&b, &a, &c]);

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

/// A file is identical whether or not its writing was interrupted, even after bytes that were not synced.
#[test]
fn a_file_gone_on_with_is_the_same_file() {
    let place = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..300)
        .map(|index| row(index, (index % 50) as u32))
        .collect();
    for (name, file_bytes) in [("one", 1 << 30), ("split", 60_000)] {
        let options = WriteOptions {
            file_bytes,
            ..WriteOptions::default()
        };
        let folder = MasksFolder::create(place.path().join(name)).unwrap();
        let other = MasksFolder::create(place.path().join(name).join("other")).unwrap();
        let mut whole = other.writer("b/rows", &schema(), options).unwrap();
        let mut halting = folder.writer("b/rows", &schema(), options).unwrap();
        for rows in rows.chunks(30) {
            for writer in [&mut whole, &mut halting] {
                rows.iter().for_each(|row| writer.write(row).unwrap());
            }
            whole.sync().unwrap();
            let files = halting.sync().unwrap();
            halting.write(&row(0, 1_000)).unwrap();
            halting.sync().unwrap();
            drop(halting);
            let resumed = folder.resume("b/rows", &schema(), options, &files);
            halting = resumed.unwrap().unwrap();
        }
        let whole = finish(&other, "b/rows", whole);
        let halting = finish(&folder, "b/rows", halting);
        assert_eq!(whole, halting);
        assert_eq!(whole.len() > 1, name == "split");
        let mut read_back = Vec::new();
        for file in &whole {
            let path = folder.path().join(&file.name);
            let bytes = fs::read(&path).unwrap();
            assert!(bytes == fs::read(other.path().join(&file.name)).unwrap());
            assert!(bytes.len() as u64 == file.bytes && file.bytes <= file_bytes);
            read_back.extend(read(&path));
        }
        assert!(same(&read_back, &rows));
        let none = folder.resume("b/rows", &schema(), options, &[10]);
        assert!(none.unwrap().is_none());
    }
}

#[test]
fn an_open_scope_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let folder = MasksFolder::create(place.path()).unwrap();
    let columns = MaskSchema {
        masks: Vec::new(),
        weights: Vec::new(),
        text: true,
        source: false,
        target: false,
        ..schema()
    };
    let scored = |index| MaskRow {
        masks: Vec::new(),
        weights: Vec::new(),
        text: Some(format!("text {index}")),
        source: None,
        target: None,
        ..row(index, 5)
    };
    let mut spill = folder.spill("a", &columns, 1).unwrap();
    (0..2).for_each(|index| spill.write(&scored(index)).unwrap());
    let mark = spill.sync().unwrap();
    (5..9).for_each(|index| spill.write(&scored(index)).unwrap());
    spill.sync().unwrap();
    drop(spill);

    let resumed = folder.resume_spill("a", &columns, mark).unwrap();
    let (mut spill, rows) = resumed.unwrap();
    let rows: Vec<MaskRow> = rows.into_iter().map(|(_, row)| row).collect();
    assert!(same(&rows, &[scored(0), scored(1)]));
    spill.of_shard("b");
    spill.write(&scored(2)).unwrap();
    let mark = spill.sync().unwrap();
    let (_, rows) = folder.resume_spill("a", &columns, mark).unwrap().unwrap();
    let (shards, rows): (Vec<String>, Vec<MaskRow>) = rows.into_iter().unzip();
    assert!(same(&rows, &[scored(0), scored(1), scored(2)]));
    assert_eq!(shards, ["a", "a", "b"]);

    let file = place.path().join(".a.arrow.scores-1.partial");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let damaged = folder.resume_spill("a", &columns, mark).unwrap();
    assert!(damaged.is_none());
    folder.remove_spills("a", None);
    assert!(!file.exists());
}

#[test]
fn half_scores_compression_and_text_come_back() {
    let place = tempfile::tempdir().unwrap();
    let folder = MasksFolder::create(place.path()).unwrap();
    let columns = MaskSchema {
        score_type: ScoreType::Float16,
        text: true,
        source: false,
        target: false,
        ..schema()
    };
    let rows: Vec<_> = (0..40)
        .map(|index| {
            let mut row = MaskRow {
                text: Some("é".repeat(index as usize)),
                source: None,
                target: None,
                ..row(index, index as u32)
            };
            let round = |score: &mut f32| *score = ScoreType::Float16.round(*score);
            row.scores.iter_mut().flatten().for_each(round);
            row
        })
        .collect();
    for (name, compression) in [
        ("plain", BatchCompression::None),
        ("zstd", BatchCompression::Zstd),
    ] {
        let options = WriteOptions {
            storage: Storage {
                compression,
                ..Storage::default()
            },
            ..WriteOptions::default()
        };
        let mut writer = folder.writer(name, &columns, options).unwrap();
        rows.iter().for_each(|row| writer.write(row).unwrap());
        finish(&folder, name, writer);
        assert!(same(
            &read(&place.path().join(format!("{name}.arrow"))),
            &rows
        ));
    }
    let size = |name| fs::metadata(place.path().join(name)).unwrap().len();
    assert!(size("zstd.arrow") < size("plain.arrow"));
}

/// Five tokens with their two most likely alternatives; the first has none.
fn with_top(index: i64) -> MaskRow {
    let nan = f32::NAN;
    MaskRow {
        top: Some(TopTokens {
            ids: vec![0, 0, 5, 1, 2, 9, 4, 7, 1, 3],
            logprobs: vec![
                nan,
                nan,
                -0.5,
                -1.5,
                -0.25,
                -9.0,
                -0.0,
                f32::NEG_INFINITY,
                -1.0,
                -1.0,
            ],
        }),
        ..row(index, 5)
    }
}

fn schema_with_top() -> MaskSchema {
    MaskSchema {
        top: Some(TopColumns {
            count: 2,
            score_type: ScoreType::Float32,
        }),
        ..schema()
    }
}

#[test]
fn the_most_likely_tokens_come_back() {
    let place = tempfile::tempdir().unwrap();
    let folder = MasksFolder::create(place.path()).unwrap();
    let mut empty = with_top(1);
    for list in empty.scores.iter_mut() {
        list.clear();
    }
    empty.masks.iter_mut().for_each(Vec::clear);
    empty.input_ids.clear();
    empty.top = Some(TopTokens::default());
    let rows = [with_top(0), empty, with_top(2)];
    let columns = schema_with_top();
    let mut writer = folder
        .writer("a", &columns, WriteOptions::default())
        .unwrap();
    rows.iter().for_each(|row| writer.write(row).unwrap());
    finish(&folder, "a", writer);
    let path = place.path().join("a.arrow");
    assert!(same(&read(&path), &rows));

    // A filter keeps the others; lists for the same tokens replace them like scores.
    let mut file = MaskColumns::open(&path).unwrap();
    let batch = file.next_batch().unwrap().unwrap();
    let kept = batch.filter(&[false, true, true]).unwrap();
    let metadata = json!({});
    let storage = WriteOptions::default().storage;
    let copy = rho_formats::MaskCopy::whole(&folder, "kept.arrow", &file, storage, &metadata);
    let mut copy = copy.unwrap();
    copy.write(&kept, &[], &[]).unwrap();
    folder.publish_copy(&copy.finish().unwrap()).unwrap();
    assert!(same(&read(&place.path().join("kept.arrow")), &rows[1..]));
    let new = NewLists {
        numbers: vec!["l".to_owned()],
        codes: Vec::new(),
        metadata,
    };
    let mut lists =
        ListsCopy::create(&folder, "lists.arrow", &file, FileFormat::ArrowStream, &new).unwrap();
    lists.write(&batch, &[vec![1.0; 10]], &[]).unwrap();
    folder.publish_copy(&lists.finish().unwrap()).unwrap();
    let lists = MaskColumns::open(&place.path().join("lists.arrow")).unwrap();
    assert_eq!(
        lists.names(),
        ["id", "shard", "row", "token_hash", "input_ids", "l"]
    );
}

#[test]
fn most_likely_tokens_that_do_not_fit_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = MasksFolder::create(place.path()).unwrap();
    let columns = schema_with_top();
    let mut writer = folder
        .writer("a", &columns, WriteOptions::default())
        .unwrap();
    let mut refused = |edit: &dyn Fn(&mut MaskRow), expected: &str| {
        let mut row = with_top(0);
        edit(&mut row);
        let error = writer.write(&row).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let top = |edit: fn(&mut TopTokens)| {
        move |row: &mut MaskRow| {
            if let Some(top) = &mut row.top {
                edit(top);
            }
        }
    };
    refused(
        &|row| row.top = None,
        "expected 1 lists of the most likely tokens, got 0",
    );
    refused(
        &top(|top| top.ids.truncate(8)),
        "expected 10 items of \"top_ids\", 2 for each token, got 8",
    );
    refused(
        &top(|top| top.logprobs.push(0.0)),
        "expected 10 items of \"top_logprobs\", 2 for each token, got 11",
    );
    refused(
        &top(|top| top.logprobs[3] = f32::NAN),
        "expected 0 tokens of which only some of \"top_logprobs\" are NaN, got 1",
    );
    refused(
        &top(|top| top.ids[4] = u32::MAX),
        "expected token ids of at most",
    );
    let mut plain = begin(&folder, "b");
    let error = plain.write(&with_top(0)).unwrap_err().to_string();
    assert!(
        error.contains("lists of the most likely tokens, got 1"),
        "{error}"
    );
}

#[test]
fn a_stream_holds_the_rows_of_all_shards() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("stream.arrow");
    let file = fs::File::create(&path).unwrap();
    let mut stream =
        MaskStream::new(Box::new(file), &schema(), BatchCompression::default()).unwrap();
    for (shard, rows) in [("a", [row(0, 3), row(1, 0)]), ("b", [row(0, 9), row(3, 1)])] {
        stream.begin(shard).unwrap();
        rows.iter().for_each(|row| stream.write(row).unwrap());
    }
    stream.finish().unwrap();
    let mut reader = read_masks(&path).unwrap();
    let mut found = Vec::new();
    while let Some(row) = reader.next() {
        found.push((reader.shard().to_owned(), row.unwrap().row));
    }
    let expected = [("a", 0), ("a", 1), ("b", 0), ("b", 3)];
    assert_eq!(found, expected.map(|(shard, row)| (shard.to_owned(), row)));

    struct Gone;
    impl std::io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let gone = MaskStream::new(Box::new(Gone), &schema(), BatchCompression::None);
    assert!(matches!(gone.err(), Some(OutputError::ReaderGone { .. })));
}

#[test]
fn notes_locks_and_starting_over() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("masks");
    assert!(!MasksFolder::check(&path).unwrap());
    let folder = MasksFolder::create(&path).unwrap();
    assert!(MasksFolder::check(&path).unwrap());
    folder.write_record("a/b.json", b"1").unwrap();
    folder.write_record("a/b.json", b"2").unwrap();
    assert_eq!(folder.read_record("a/b.json").unwrap().unwrap(), b"2");
    assert_eq!(folder.read_record("c").unwrap(), None);
    assert_eq!(folder.record_names("a").unwrap(), ["b.json"]);
    assert!(folder.record_names("z").unwrap().is_empty());

    let lock = folder.try_lock("one").unwrap().unwrap();
    assert!(folder.try_lock("one").unwrap().is_none());
    assert!(folder.try_lock("two").unwrap().is_some());
    drop(lock);
    let _lock = folder.lock("one").unwrap();

    let files = write(&folder, "sub/a", &[row(0, 2)]);
    begin(&folder, "sub/deep/b");
    folder.summary(&json!({"documents": 16})).unwrap();
    let summary = fs::read_to_string(path.join("summary.json")).unwrap();
    assert_eq!(summary, "{\n  \"documents\": 16\n}\n");
    fs::write(path.join("own.txt"), "").unwrap();
    folder.clear(["sub/a", "sub/deep/b"], &files).unwrap();
    let mut left: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, [".rho-mask", "dataset_info.json", "own.txt"]);
    assert_eq!(folder.read_record("a/b.json").unwrap(), None);
    assert!(folder.try_lock("one").unwrap().is_none());
}

#[test]
fn a_place_that_is_taken_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let error = MasksFolder::create(&file).err().unwrap();
    assert!(matches!(error, OutputError::NotAFolder { .. }));
    let error = MasksFolder::create(file.join("masks")).err().unwrap();
    assert!(matches!(error, OutputError::Create { .. }), "{error:?}");
    let error = MasksFolder::create(place.path()).err().unwrap();
    assert!(matches!(&error, OutputError::NotEmpty { entry, .. } if entry == Path::new("file")));
    assert!(
        error
            .to_string()
            .ends_with("expected an empty folder, found file in it")
    );
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn shards_and_rows_that_do_not_fit_are_errors() {
    let place = tempfile::tempdir().unwrap();
    let folder = MasksFolder::create(place.path().join("masks")).unwrap();
    for name in ["", "/a", "../a", "a/../../b", "./a", "a/", "a/.."] {
        let error = folder
            .writer(name, &schema(), WriteOptions::default())
            .err()
            .unwrap();
        assert!(
            matches!(error, OutputError::ShardName { .. }),
            "{name}: {error:?}"
        );
    }
    let mut twice = schema();
    twice.scores.push("loss".to_owned());
    let error = folder
        .writer("a", &twice, WriteOptions::default())
        .err()
        .unwrap();
    assert!(
        matches!(error, OutputError::ColumnTwice { .. }),
        "{error:?}"
    );

    let mut writer = begin(&folder, "a");
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
    finish(&folder, "a", writer);
    assert!(same(&read(&folder.path().join("a.arrow")), &[row(1, 2)]));
}

#[test]
fn a_folder_that_goes_away_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("masks");
    let folder = MasksFolder::create(&path).unwrap();
    let mut writer = begin(&folder, "a");
    writer.write(&row(0, 2)).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let files = writer.finish().unwrap();
    assert!(!folder.publish("a", &files, &[]).unwrap());
    let error = folder.write_record("shards/a.json", b"{}").unwrap_err();
    assert!(matches!(error, OutputError::Write { .. }), "{error:?}");
    assert!(folder.summary(&json!({})).is_err());
}

#[test]
fn other_lists_stand_beside_the_same_documents() {
    let place = tempfile::tempdir().unwrap();
    let folder = MasksFolder::create(place.path().join("masks")).unwrap();
    let rows = [row(0, 5), row(1, 0), row(2, 3)];
    write(&folder, "a.jsonl", &rows);
    let path = folder.path().join("a.jsonl.arrow");
    let new = NewLists {
        numbers: vec!["loss".to_owned(), "slope".to_owned()],
        codes: vec!["category".to_owned()],
        metadata: json!({"other": true}),
    };
    let mut from = MaskColumns::open(&path).unwrap();
    let copies = MasksFolder::create(place.path().join("lists")).unwrap();
    let mut copy = ListsCopy::create(
        &copies,
        "a.jsonl.arrow",
        &from,
        FileFormat::ArrowStream,
        &new,
    )
    .unwrap();
    let mut losses = Vec::new();
    while let Some(batch) = from.next_batch().unwrap() {
        let tokens = batch.tokens();
        batch.scores("loss", &mut losses);
        let numbers = [losses.clone(), vec![f32::NAN; tokens]];
        let codes: Vec<Option<u8>> = (0..tokens).map(|i| (i > 0).then_some(i as u8)).collect();
        // The number of lists must be that of the columns.
        assert!(
            copy.write(&batch, &numbers[..1], std::slice::from_ref(&codes))
                .is_err()
        );
        copy.write(&batch, &numbers, &[codes]).unwrap();
    }
    let file = copy.finish().unwrap();
    assert!(copies.publish_copy(&file).unwrap());

    let path = copies.path().join("a.jsonl.arrow");
    let mut lists = MaskColumns::open(&path).unwrap();
    assert_eq!(lists.scores(), ["loss", "slope"]);
    assert_eq!(lists.codes(), ["category"]);
    assert!(lists.schema().masks.is_empty());
    assert_eq!(lists.schema().metadata, json!({"other": true}));
    let batch = lists.next_batch().unwrap().unwrap();
    let (mut got, mut codes) = (Vec::new(), Vec::new());
    assert!(batch.scores("loss", &mut got) && batch.codes("category", &mut codes));
    assert!(!batch.codes("loss", &mut codes) && !batch.codes("other", &mut codes));
    let bits = |scores: &[f32]| scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&got), bits(&losses));
    assert_eq!(codes[..3], [None, Some(1), Some(2)]);
    assert_eq!(codes.len(), batch.tokens());
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(batch.id(i), row.id);
        assert_eq!(batch.token_hash_and_row(i).1, row.row);
    }
    assert!(lists.next_batch().unwrap().is_none());

    let twice = NewLists {
        codes: vec!["slope".to_owned()],
        ..new
    };
    assert!(ListsCopy::create(&copies, "b.arrow", &from, FileFormat::ArrowStream, &twice).is_err());
}
