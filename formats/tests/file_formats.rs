//! The same rows as Arrow streams, Arrow files and Parquet. `other_readers` reads them with other programs.

use std::fs;
use std::path::Path;

use rho_formats::{
    BatchCompression, DocumentColumns, DocumentRead, FileFormat, MaskColumns, MaskDocuments,
    MaskError, MaskRow, MaskSchema, MasksFolder, ScoreType, Storage, TopColumns, TopTokens,
    WriteOptions, read_masks,
};

use crate::masks::{row, same, schema};

const FORMATS: [FileFormat; 3] = [
    FileFormat::ArrowStream,
    FileFormat::ArrowFile,
    FileFormat::Parquet,
];

fn options(format: FileFormat, file_bytes: u64) -> WriteOptions {
    WriteOptions {
        storage: Storage {
            format,
            ..Storage::default()
        },
        file_bytes,
    }
}

/// A schema with every kind of column.
fn all_columns(score_type: ScoreType) -> MaskSchema {
    MaskSchema {
        score_type,
        top: Some(TopColumns {
            count: 3,
            score_type,
        }),
        weights: vec!["weight_loss".to_owned()],
        text: true,
        source: true,
        ..schema()
    }
}

/// Rows of all lengths, among them empty ones, long ones, and ones without a score or a source.
fn all_rows(score_type: ScoreType) -> Vec<MaskRow> {
    let rows = (0..120).map(|index| {
        let tokens = if index % 40 == 39 {
            30_000
        } else {
            index as u32 % 7 * 50
        };
        let mut row = row(index, tokens);
        row.weights = vec![(0..tokens).map(|i| i as f32 / 8.0).collect()];
        row.text =
            Some(format!("a text of {tokens} \u{e4}\u{65e5} tokens").repeat(index as usize % 5));
        row.source = (index % 3 > 0).then(|| format!("source {}", index % 4));
        row.top = Some(top(tokens, 3, score_type));
        if index == 5 {
            row.scores
                .iter_mut()
                .flatten()
                .for_each(|score| *score = f32::NAN);
        }
        row.scores
            .iter_mut()
            .flatten()
            .for_each(|score| *score = score_type.round(*score));
        row
    });
    rows.collect()
}

/// The most likely tokens of a document; the first and every eleventh token have none.
fn top(tokens: u32, count: u32, score_type: ScoreType) -> TopTokens {
    let positions = (0..tokens).flat_map(|token| (0..count).map(move |k| (token, k)));
    let (ids, logprobs) = positions
        .map(|(token, k)| match (token % 11, k) {
            (0, _) => (0, f32::NAN),
            (7, 2) => (token, f32::NEG_INFINITY),
            _ => (token * 31 % 50_257 + k, -1.0 / token as f32 - k as f32),
        })
        .unzip::<u32, f32, Vec<_>, Vec<_>>();
    TopTokens {
        ids,
        logprobs: logprobs.into_iter().map(|p| score_type.round(p)).collect(),
    }
}

fn write(
    folder: &Path,
    columns: &MaskSchema,
    rows: &[MaskRow],
    options: WriteOptions,
) -> Vec<String> {
    let folder = MasksFolder::create(folder).unwrap();
    let mut writer = folder.writer("s.jsonl", columns, options).unwrap();
    for rows in rows.chunks(25) {
        rows.iter().for_each(|row| writer.write(row).unwrap());
        writer.sync().unwrap();
    }
    let files = writer.finish().unwrap();
    assert!(folder.publish("s.jsonl", &files, &[]).unwrap());
    folder.list(&columns.metadata, &files).unwrap();
    files.iter().map(|file| file.name.to_string()).collect()
}

fn read(path: &Path) -> Vec<MaskRow> {
    read_masks(path).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_format_holds_the_same_rows() {
    for score_type in [ScoreType::Float32, ScoreType::Float16] {
        let (columns, rows) = (all_columns(score_type), all_rows(score_type));
        let place = tempfile::tempdir().unwrap();
        for (number, file_bytes) in [(1, 1 << 30), (3, 1_500_000)] {
            let mut batches = Vec::new();
            for format in FORMATS {
                let folder = place.path().join(format!("{number}-{}", format.name()));
                let names = write(&folder, &columns, &rows, options(format, file_bytes));
                assert!(names.len() >= number, "{names:?}");
                assert!(same(&read(&folder), &rows), "{format:?} {score_type:?}");
                assert_eq!(read_masks(&folder).unwrap().schema(), &columns);
                // Only the masks and what says what they are.
                let mut left = fs::read_dir(&folder).unwrap().count();
                left -= [".rho-mask", "state.json", "dataset_info.json"].len();
                assert_eq!(left, names.len());
                batches.push(
                    names
                        .iter()
                        .map(|name| shape(&folder.join(name)))
                        .collect::<Vec<_>>(),
                );
                if format == FileFormat::ArrowFile && number > 1 {
                    for name in &names {
                        let bytes = fs::metadata(folder.join(name)).unwrap().len();
                        assert!(bytes <= file_bytes, "{name}: {bytes}");
                    }
                }
            }
            // The same record batches, so that what is written from them is the same.
            assert_eq!(batches[0], batches[2]);
            let joined: [Vec<_>; 2] = [0, 1].map(|i| batches[i].concat());
            assert_eq!(joined[0], joined[1]);
        }
    }
}

/// The rows and tokens of each record batch.
fn shape(path: &Path) -> Vec<(usize, usize)> {
    let mut columns = MaskColumns::open(path).unwrap();
    let mut shape = Vec::new();
    while let Some(batch) = columns.next_batch().unwrap() {
        shape.push((batch.rows(), batch.tokens()));
    }
    assert_eq!(columns.left(), 0);
    shape
}

/// Batches are skipped and read by any columns in turn, and stay the same batches.
#[test]
fn columns_are_read_in_any_order() {
    let (columns, rows) = (
        all_columns(ScoreType::Float32),
        all_rows(ScoreType::Float32),
    );
    let place = tempfile::tempdir().unwrap();
    let mut expected = None;
    for format in FORMATS {
        let folder = place.path().join(format.name());
        let names = write(&folder, &columns, &rows, options(format, 1 << 30));
        let mut file = MaskColumns::open(&folder.join(&names[0])).unwrap();
        let stream = MaskColumns::open(&place.path().join("arrow-stream/s.jsonl.arrow")).unwrap();
        assert!(file.same_schema(&stream) && file.other_column(&stream).is_none());
        let mut seen = Vec::new();
        for only in [&["id"][..], &[], &["loss", "mask_loss"], &["row", "source"]] {
            let batch = file.next_of(only).unwrap().unwrap();
            let mut loss = Vec::new();
            let has_loss = batch.scores("loss", &mut loss);
            loss.iter_mut()
                .filter(|loss| loss.is_nan())
                .for_each(|loss| *loss = -1.0);
            let sources: Vec<_> = (0..batch.rows())
                .map(|row| batch.source(row).map(str::to_owned))
                .collect();
            seen.push((
                batch.rows(),
                batch.id(0).to_owned(),
                batch.token_hash_and_row(0).1,
                has_loss,
                loss,
                sources,
            ));
        }
        assert!(file.skip_batch().unwrap());
        assert!(file.next_batch().unwrap().is_none());
        assert_eq!(expected.get_or_insert_with(|| seen.clone()), &seen);
    }
}

/// Resumed from what was synced, at any moment before and while the file gets its last form: the same bytes.
#[test]
fn a_file_that_is_resumed_is_the_same_file() {
    let columns = schema();
    let rows: Vec<_> = (0..300)
        .map(|index| row(index, (index % 50) as u32))
        .collect();
    for format in FORMATS {
        for file_bytes in [1 << 30, 60_000] {
            let place = tempfile::tempdir().unwrap();
            let options = options(format, file_bytes);
            let (whole, other) = (place.path().join("whole"), place.path().join("other"));
            let names = write(&whole, &columns, &rows, options);
            let folder = MasksFolder::create(&other).unwrap();
            let mut synced: Option<Vec<u64>> = None;
            for (i, rows) in rows.chunks(25).enumerate() {
                let mut writer = match &synced {
                    None => folder.writer("s.jsonl", &columns, options).unwrap(),
                    Some(files) => folder
                        .resume("s.jsonl", &columns, options, files)
                        .unwrap()
                        .unwrap(),
                };
                rows.iter().for_each(|row| writer.write(row).unwrap());
                synced = Some(writer.sync().unwrap());
                writer.write(&row(7, 9)).unwrap();
                if i == 6 {
                    // Killed after the last form of the files was written.
                    writer.finish().unwrap();
                }
            }
            let resume = || folder.resume("s.jsonl", &columns, options, synced.as_ref().unwrap());
            let before = resume().unwrap().unwrap().finish().unwrap();
            let files = resume().unwrap().unwrap().finish().unwrap();
            assert_eq!(before, files);
            // Killed while the files get their names: the next start goes on.
            if format != FileFormat::ArrowStream {
                let from = other.join(".s.jsonl.arrow.rewritten.partial");
                fs::rename(from, other.join(&files[0].name)).unwrap();
            }
            assert!(folder.publish("s.jsonl", &files, &[]).unwrap());
            assert!(folder.publish("s.jsonl", &files, &[]).unwrap());
            for name in &names {
                assert!(
                    fs::read(whole.join(name)).unwrap() == fs::read(other.join(name)).unwrap(),
                    "{name}"
                );
            }
            let left = |folder: &Path| fs::read_dir(folder).unwrap().count();
            assert_eq!(left(&other) + 1, left(&whole));
        }
    }
}

/// What an interrupted run left is removed, whichever of the temporary files are there.
#[test]
fn leftovers_are_cleared() {
    let place = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let path = place.path().join(format.name());
        let folder = MasksFolder::create(&path).unwrap();
        for kept in [0, 1] {
            let mut writer = folder
                .writer("a/s", &schema(), options(format, 20_000))
                .unwrap();
            (0..100).for_each(|index| {
                writer.write(&row(index, 100)).unwrap();
                writer.sync().unwrap();
            });
            let files = writer.finish().unwrap();
            assert!(files.len() > 2);
            if kept == 1 && format != FileFormat::ArrowStream {
                fs::remove_file(path.join("a/.s.arrow.partial")).unwrap();
            }
            folder.clear(["a/s"], &[]).unwrap();
            assert!(!path.join("a").exists());
        }
    }
}

#[test]
fn single_documents_are_read_from_arrow_files_only() {
    let place = tempfile::tempdir().unwrap();
    // With columns before and behind the wanted ones.
    let columns = all_columns(ScoreType::Float32);
    let rows = all_rows(ScoreType::Float32);
    let wanted = DocumentColumns {
        scores: vec!["loss".to_owned()],
        masks: vec!["mask_loss".to_owned()],
    };
    for format in FORMATS {
        let path = place.path().join(format.name());
        let names = write(&path, &columns, &rows, options(format, 1 << 30));
        let opened = MaskDocuments::open([path.join(&names[0])], &wanted);
        if format == FileFormat::Parquet {
            assert!(
                matches!(opened, Err(MaskError::Parquet { .. })),
                "{opened:?}"
            );
            continue;
        }
        let mut documents = opened.unwrap();
        let mut read = DocumentRead::default();
        for (i, row) in rows.iter().enumerate().rev() {
            documents.read(i, &mut read).unwrap();
            assert_eq!(read.input_ids, row.input_ids);
            assert_eq!(read.masks[0], row.masks[0]);
            assert_eq!(
                format!("{:?}", read.scores[0]),
                format!("{:?}", row.scores[0])
            );
            assert_eq!(documents.name(i).unwrap().row, row.row);
        }
    }
}

/// A file that is cut anywhere, or of which some bytes are flipped, is an error, or its rows pass all checks; never a
/// panic. `fuzzed` counts the memory.
#[test]
fn damaged_files_are_errors() {
    let place = tempfile::tempdir().unwrap();
    let (columns, rows) = (
        all_columns(ScoreType::Float16),
        all_rows(ScoreType::Float16),
    );
    let file = place.path().join("damaged");
    let tokens = |rows: &[MaskRow]| -> Vec<Vec<u32>> {
        rows.iter().map(|row| row.input_ids.clone()).collect()
    };
    let whole_tokens = tokens(&rows[..40]);
    for (name, storage) in [
        (
            "file",
            Storage {
                format: FileFormat::ArrowFile,
                compression: BatchCompression::None,
            },
        ),
        (
            "zstd",
            Storage {
                format: FileFormat::ArrowFile,
                compression: BatchCompression::Zstd,
            },
        ),
        (
            "parquet",
            Storage {
                format: FileFormat::Parquet,
                compression: BatchCompression::None,
            },
        ),
    ] {
        let folder = place.path().join(name);
        let options = WriteOptions {
            storage,
            ..WriteOptions::default()
        };
        let names = write(&folder, &columns, &rows[..40], options);
        let whole = fs::read(folder.join(&names[0])).unwrap();
        let try_read = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            read_masks(&file).and_then(Iterator::collect::<Result<Vec<_>, _>>)
        };
        assert!(same(&try_read(&whole).unwrap(), &rows[..40]));
        for cut in (0..whole.len()).step_by(whole.len() / 97) {
            assert!(try_read(&whole[..cut]).is_err(), "{name} cut at {cut}");
        }
        let mut random = 2404_07965_u64;
        let mut next = |below: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) as usize % below
        };
        let (mut errors, seeds) = (0, 240);
        for seed in 0..seeds {
            let mut bytes = whole.clone();
            // Every other seed near the end, where the footer is.
            let from = if seed % 2 == 0 {
                0
            } else {
                whole.len() - 6_000.min(whole.len())
            };
            for _ in 0..1 + seed % 4 {
                let at = from + next(whole.len() - from);
                bytes[at] ^= 1 << next(8);
            }
            match try_read(&bytes) {
                Err(_) => errors += 1,
                Ok(read) => assert_eq!(tokens(&read), whole_tokens, "{name} {seed}"),
            }
        }
        assert!(errors > seeds / 10, "{name}: {errors}");
    }
}

/// Formats are told by their content: any name will do.
#[test]
fn the_name_says_nothing() {
    let place = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..9).map(|index| row(index, 12)).collect();
    for format in FORMATS {
        let folder = place.path().join(format.name());
        let names = write(&folder, &schema(), &rows, options(format, 1 << 30));
        let other = place.path().join("masks.arrow");
        fs::copy(folder.join(&names[0]), &other).unwrap();
        assert!(same(&read(&other), &rows));
    }
    for head in ["PAR1", "ARROW1", "ARROW1\0\0", "PAR1PAR1", ""] {
        let file = place.path().join("head");
        fs::write(&file, head).unwrap();
        assert!(
            matches!(read_masks(&file), Err(MaskError::Arrow { .. })),
            "{head}"
        );
    }
}
