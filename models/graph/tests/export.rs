//! Exports as files: complete or missing, in one file or in two. What they compute is tested in
//! models/reference/tests/export.rs.
#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::{fs, ops::ControlFlow, path::PathBuf};

use rho_checkpoint::Checkpoint;
use rho_graph::{ExportError, ExportHead, ExportOptions, Model, Prepared};

fn prepared(name: &str, options: ExportOptions) -> Prepared {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    Prepared::new(Checkpoint::open(&folder.join(name)).unwrap(), options).unwrap()
}

#[test]
fn who_says_stop_finds_nothing() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("inner/ref");
    for inline in [0, u64::MAX] {
        let options = ExportOptions {
            inline,
            ..ExportOptions::default()
        };
        let mut seen = 0;
        let stopped = prepared("llama_tied", options).write(&out, &mut |progress| {
            seen += 1;
            assert!(progress.bytes <= progress.total && !progress.name.is_empty());
            match seen {
                1 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        assert!(matches!(stopped, Err(ExportError::Stopped { path }) if path == out));
        assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 0);
    }
}

#[test]
fn progress_reaches_the_end() {
    let place = tempfile::tempdir().unwrap();
    for (name, inline) in [("apart", 0), ("whole", u64::MAX)] {
        let options = ExportOptions {
            inline,
            ..ExportOptions::default()
        };
        let mut last = (0, 1);
        let exported = prepared("llama_tied", options)
            .write(&place.path().join(name), &mut |progress| {
                last = (progress.bytes, progress.total);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(last.0, last.1, "{name}");
        assert_eq!(exported.parameters, 20_640);
        let files = fs::read_dir(place.path().join(name)).unwrap();
        let sizes = files.map(|file| file.unwrap().metadata().unwrap().len());
        assert_eq!(exported.bytes, sizes.sum::<u64>(), "{name}");
    }
}

#[test]
fn a_head_that_is_only_named_is_found_again() {
    let place = tempfile::tempdir().unwrap();
    for fixture in ["llama_tied", "llama_sharded", "gemma2"] {
        let heads = [ExportHead::HiddenStates, ExportHead::Logits].map(|head| {
            let out = place.path().join(format!("{fixture}-{head:?}"));
            let options = ExportOptions {
                head,
                ..ExportOptions::default()
            };
            let prepared = prepared(fixture, options);
            prepared
                .write(&out, &mut |_| ControlFlow::Continue(()))
                .unwrap();
            let model = Model::open(&out.join("model.onnx")).unwrap();
            assert_eq!(model.inputs().len(), 1);
            let logits = model.logits().unwrap();
            let cut = model.cut(&logits).unwrap();
            assert!(cut.body.computes_in_single());
            (
                logits,
                cut.head.steps,
                cut.head.weights.bytes,
                cut.head.layout,
            )
        });
        assert_eq!(heads[0], heads[1], "{fixture}");
    }
}
