//! The hints: what to do about an error, printed on the line after it. The crates report facts; the hints here say what
//! a user of this program can do, in one file for each crate.

mod checkpoint;
mod export;
mod files;
mod formats;
mod reference;
mod runtime;
mod server;
mod tokenizer;
#[cfg(feature = "train")]
mod training;

use std::error::Error;

pub(crate) use runtime::runtime;

use crate::hinted_error::HintedError;

/// The hint for a cause, if the cause has the type that this function handles.
type Hint = fn(&(dyn Error + 'static)) -> Option<String>;

/// The functions with hints, tried in this order.
const HINTS: &[Hint] = &[
    |cause| about(cause, |error: &HintedError| Some(error.hint().to_owned())),
    #[cfg(feature = "train")]
    |cause| about(cause, training::training),
    |cause| about(cause, reference::reference),
    |cause| about(cause, runtime),
    |cause| about(cause, server::server),
    |cause| about(cause, files::not_a_file),
    |cause| about(cause, formats::corpus),
    |cause| about(cause, formats::shard),
    |cause| about(cause, formats::output),
    |cause| about(cause, formats::exchange),
    |cause| about(cause, formats::masks),
    |cause| about(cause, export::export),
    |cause| about(cause, tokenizer::files),
    |cause| about(cause, checkpoint::checkpoint),
    |cause| about(cause, tokenizer::tokenizer),
];

/// The first hint along the chain of causes.
pub fn of(error: &anyhow::Error) -> Option<String> {
    // It says more than the hint of any crate about a file that cannot be written.
    if error.chain().any(files::is_unexpected) {
        return Some(files::UNEXPECTED.to_owned());
    }
    let mut causes = error.chain();
    causes.find_map(|cause| HINTS.iter().find_map(|hint| hint(cause)))
}

/// Applies `hint` if the cause has the type `E`.
fn about<E: Error + 'static, S: Into<String>>(
    cause: &(dyn Error + 'static),
    hint: impl Fn(&E) -> Option<S>,
) -> Option<String> {
    hint(cause.downcast_ref()?).map(Into::into)
}

#[cfg(test)]
mod tests {
    use std::{fs, io, path::PathBuf};

    use rho_checkpoint::CheckpointError;
    use rho_formats::{CorpusError, MasksFolder, ShardError, find_shards};
    use rho_graph::ExportError;
    use rho_reference::{Precision, ReferenceError, ResolvedDevice};
    use rho_runtime::LibraryError;

    use super::of;
    use crate::tokenization::TokenizerFiles;

    /// The hint for an error with a context, as `main` finds it.
    fn hint(error: impl std::error::Error + Send + Sync + 'static) -> String {
        let error = anyhow::Error::from(error).context("while something was done");
        of(&error).unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_found_has_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.jsonl"), "{}").unwrap();
        let found = |arguments: &[PathBuf]| hint(find_shards(arguments).unwrap_err());
        for (arguments, said) in [
            (vec![], "name the corpus"),
            (vec![at("gone.txt")], "check the spelling"),
            (vec![at("*.parquet")], "check the pattern"),
            (vec![at("a[")], "write [*] for a literal star"),
            (vec![at("s-{0..9999999}.tar")], "name the folder instead"),
            (vec!["/dev/null".into()], "write the output of a pipe"),
            (vec![at("a.jsonl"), at("")], "would count twice"),
            (vec!["nowhere://a/b.jsonl".into()], "check the address"),
        ] {
            let got = found(&arguments);
            assert!(got.contains(said), "{arguments:?}: {got}");
        }
    }

    #[test]
    fn shards_that_end_early_have_a_hint() {
        let cut = |kind: io::ErrorKind| ShardError::Damaged {
            path: "a".into(),
            row: 3,
            kind: rho_formats::Kind::Parquet,
            source: kind.into(),
        };
        assert!(hint(cut(io::ErrorKind::UnexpectedEof)).contains("truncated"));
        assert!(hint(cut(io::ErrorKind::InvalidData)).contains("damaged"));
    }

    #[test]
    fn folders_that_cannot_be_written_have_a_hint() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = |path: PathBuf| hint(MasksFolder::create(path).err().unwrap());
        assert!(refused(file).contains("name another folder"));
        assert!(refused(place.path().to_owned()).contains("name a new folder"));
        let full = rho_formats::OutputError::Write {
            path: "a".into(),
            source: io::ErrorKind::StorageFull.into(),
        };
        assert!(hint(full).contains("make room on the disk"));
    }

    #[test]
    fn a_library_that_is_missing_has_a_hint() {
        let offline = |package| hint(LibraryError::Offline { package });
        assert_eq!(
            offline("onnxruntime"),
            "run `rho-mask setup` without RHO_MASK_OFFLINE, or `pip install onnxruntime==1.31.1` and name its library file \
             with --ort-lib or ORT_DYLIB_PATH"
        );
        assert!(offline("onnxruntime-gpu").starts_with("run `rho-mask setup --cuda` without"));
        let overwritten = LibraryError::Overwritten {
            path: "a.so".into(),
            version: "1.31.1".to_owned(),
        };
        let overwritten = LibraryError::NoCudaLibrary {
            looked: Vec::new(),
            overwritten: Some(Box::new(overwritten)),
        };
        let command = "`pip install --force-reinstall --no-deps onnxruntime-gpu==1.31.1`";
        assert!(hint(overwritten).contains(command));
    }

    #[test]
    fn models_that_are_refused_have_a_hint() {
        let device = ReferenceError::PrecisionOnDevice {
            precision: Precision::Int8,
            device: ResolvedDevice::Cuda(0),
        };
        assert!(hint(device).contains("--device cpu"));
        let config = || CheckpointError::NotACheckpoint {
            path: "a".into(),
            got: "no config.json".to_owned(),
        };
        let said = hint(config());
        assert!(said.contains("save_pretrained"), "{said}");
        assert_eq!(hint(ExportError::Checkpoint(config())), said);
    }

    #[test]
    fn tokenizers_that_are_refused_have_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
        fs::write(folder.path().join("tokenizer_config.json"), "[]").unwrap();
        let refused = TokenizerFiles::open(folder.path()).unwrap_err();
        assert!(hint(refused).contains("another name"));
    }

    #[test]
    fn where_nothing_is_known_there_is_none() {
        assert_eq!(hint(io::Error::from(io::ErrorKind::Other)), "");
        let known = CorpusError::NoArguments;
        assert_eq!(hint(known), "name the corpus: a folder, or its files");
    }
}
