//! A file that is not a mask file, or a damaged one, is an error, never a panic.

use std::fs;
use std::path::Path;

use rho_formats::{BatchCompression, MaskError, MasksFolder, Storage, WriteOptions, read_masks};

use crate::masks::{finish, row, schema};

#[test]
fn what_holds_no_masks_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let error = |path: &Path| read_masks(path).err().unwrap();
    assert!(matches!(
        error(&place.path().join("gone")),
        MaskError::Read { .. }
    ));
    // A folder lists nothing before its first finished shard.
    let folder = MasksFolder::create(place.path().join("masks")).unwrap();
    let empty = error(folder.path());
    assert!(matches!(empty, MaskError::Empty { .. }));
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
    assert!(matches!(refused, MaskError::NotMasks { .. }));
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

/// A mask file cut at any byte is an error. `fuzzed` tests other damage.
#[test]
fn what_is_cut_is_an_error() {
    for compression in [BatchCompression::None, BatchCompression::Zstd] {
        let place = tempfile::tempdir().unwrap();
        let folder = MasksFolder::create(place.path().join("masks")).unwrap();
        let options = WriteOptions {
            storage: Storage {
                compression,
                ..Storage::default()
            },
            ..WriteOptions::default()
        };
        let mut writer = folder.writer("a", &schema(), options).unwrap();
        (0..6).for_each(|index| writer.write(&row(index, index as u32)).unwrap());
        finish(&folder, "a", writer);
        let whole = fs::read(place.path().join("masks/a.arrow")).unwrap();
        let file = place.path().join("cut.arrow");
        for cut in 0..whole.len() {
            fs::write(&file, &whole[..cut]).unwrap();
            let read = read_masks(&file).and_then(|rows| rows.collect::<Result<Vec<_>, _>>());
            assert!(read.is_err(), "cut at {cut}");
        }
    }
}

/// A folder's list may not name files outside the folder.
#[test]
fn what_lies_elsewhere_is_refused() {
    let place = tempfile::tempdir().unwrap();
    for name in ["../a.arrow", "/a.arrow", "x/../../a.arrow"] {
        let list = format!(r#"{{"_data_files":[{{"filename":"{name}"}}]}}"#);
        fs::write(place.path().join("state.json"), list).unwrap();
        let error = read_masks(place.path()).err().unwrap();
        assert!(
            matches!(&error, MaskError::Outside { source, .. } if source.name == name),
            "{error:?}"
        );
    }
}
