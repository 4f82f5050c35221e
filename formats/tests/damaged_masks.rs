//! What is no mask file, or a damaged one, is an error, never a panic.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rho_formats::{BatchCompression, MaskError, MasksFolder, WriteOptions, read_masks};

use crate::masks::{finish, row, schema};

#[test]
fn what_holds_no_masks_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let error = |path: &Path| read_masks(path).err().unwrap();
    assert!(matches!(
        error(&place.path().join("gone")),
        MaskError::Read { .. }
    ));
    // Before the first finished shard a folder lists nothing.
    let folder = MasksFolder::create(place.path().join("masks")).unwrap();
    let empty = error(folder.path());
    assert!(matches!(empty, MaskError::Empty { .. }) && empty.hint().is_some());
    let file = place.path().join("file.arrow");
    fs::write(&file, "no arrow").unwrap();
    assert!(matches!(error(&file), MaskError::Arrow { .. }));

    let other = arrow_schema::Schema::new(vec![arrow_schema::Field::new(
        "id",
        arrow_schema::DataType::Utf8,
        true,
    )]);
    let write = |schema: &arrow_schema::Schema| {
        let mut stream =
            arrow_ipc::writer::StreamWriter::try_new(fs::File::create(&file).unwrap(), schema)
                .unwrap();
        stream.finish().unwrap();
    };
    write(&other);
    let refused = error(&file);
    assert!(matches!(refused, MaskError::NotMasks { .. }) && refused.hint().is_some());
    let with = |metadata: &str| {
        other
            .clone()
            .with_metadata([("rho_mask".to_owned(), metadata.to_owned())])
    };
    write(&with("{}"));
    assert!(matches!(
        error(&file),
        MaskError::Column {
            column: "shard",
            ..
        }
    ));
    write(&with("{"));
    assert!(matches!(error(&file), MaskError::Json { .. }));
}

/// Mask files with changed, missing and added bytes are read to an end or an error.
#[test]
fn no_bytes_panic() {
    no_bytes_panic_in(BatchCompression::None);
    no_bytes_panic_in(BatchCompression::Zstd);
}

fn no_bytes_panic_in(compression: BatchCompression) {
    let place = tempfile::tempdir().unwrap();
    let folder = MasksFolder::create(place.path().join("masks")).unwrap();
    let options = WriteOptions {
        compression,
        ..WriteOptions::default()
    };
    let mut writer = folder.writer("a", &schema(), options).unwrap();
    (0..6).for_each(|index| writer.write(&row(index, index as u32)).unwrap());
    finish(&folder, "a", writer);
    let whole = fs::read(place.path().join("masks/a.arrow")).unwrap();
    let file = place.path().join("damaged.arrow");
    let mut outcomes = [0, 0];
    let mut try_bytes = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let read = read_masks(&file).and_then(|rows| rows.collect::<Result<Vec<_>, _>>());
        outcomes[usize::from(read.is_ok())] += 1;
        read.is_ok()
    };
    (0..whole.len()).for_each(|cut| assert!(!try_bytes(&whole[..cut]), "cut at {cut}"));
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let config = Config {
        cases: 5_000,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let try_bytes = std::cell::RefCell::new(try_bytes);
    TestRunner::new_with_rng(config, rng)
        .run(&changes, |changes| {
            let mut bytes = whole.clone();
            for (index, byte) in changes {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            let _ = (try_bytes.borrow_mut())(&bytes);
            Ok(())
        })
        .unwrap();
    assert!(outcomes.iter().all(|count| *count > 100), "{outcomes:?}");
}
