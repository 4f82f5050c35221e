//! An oracle for every tar file of the tests: the crate `webdataset`, whose reader shares nothing with ours but the rule
//! of what a sample is.

use std::io::{Cursor, Read};
use std::path::Path;

use rho_formats::{Content, ReadOptions, Record};
use webdataset::core::{Sample, Value};
use webdataset::shard::{TarFiles, group_by_keys};

/// Compares the records of a tar file with the samples that the crate finds: their number, keys and texts. Other files
/// are left alone, and those named `unlike`, which the crate is known to read wrongly.
pub(crate) fn assert_the_same(path: &Path, records: &[Record], options: &ReadOptions) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(archive) = archive(path).filter(|_| !name.starts_with("unlike")) else {
        return;
    };
    let files = TarFiles::new(Box::new(Cursor::new(archive))).unwrap();
    let samples: Result<Vec<Sample>, _> = group_by_keys(files).collect();
    let samples = samples.unwrap();
    assert_eq!(samples.len(), records.len(), "{}", path.display());
    for (sample, record) in samples.iter().zip(records) {
        let bytes = |ending: &str| sample.get(ending).and_then(Value::as_bytes);
        let Record::Document(document) = record else {
            continue;
        };
        let fields: Option<serde_json::Value> =
            bytes("json").and_then(|json| serde_json::from_slice(json).ok());
        let own = fields.as_ref().map(|fields| &fields[&options.id_field]);
        let own = own.and_then(|id| id.as_str().map(str::to_owned).or(Some(id.to_string())));
        let ids = [sample.key().map(str::to_owned), own];
        assert!(ids.contains(&Some(document.id.clone())), "{document:?}");
        let (Content::Text(text), Some(member)) = (&document.content, bytes("txt")) else {
            continue;
        };
        let member = member.strip_prefix(b"\xef\xbb\xbf").unwrap_or(member);
        assert_eq!(text.as_bytes(), member, "{document:?}");
    }
}

/// The bytes of a tar file, plain or compressed with gzip or zstd.
fn archive(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(path).ok()?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        let mut decoder = flate2::read::MultiGzDecoder::new(&bytes[..]);
        decoder.read_to_end(&mut plain).ok()?;
        bytes = plain;
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        bytes = zstd::decode_all(&bytes[..]).ok()?;
    }
    let mut archive = tar::Archive::new(&bytes[..]);
    let is_tar = archive.entries().ok()?.next()?.is_ok();
    is_tar.then_some(bytes)
}
