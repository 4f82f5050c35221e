//! Folders that a stranger filled: records whose names lead out of them, links in place of files and folders. Whatever a
//! command is asked to do there, files elsewhere stay as they are.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rho_formats::{MaskRow, MaskSchema, ScoreType};
use serde_json::{Value, json};

use crate::support::{
    Ended, Run, demo, masks::one_shard, read_json, root, rows, tiny::tiny, write,
};

/// A folder for the output of a command, with files beside it that must not change.
struct Place {
    place: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            place: tempfile::tempdir().unwrap(),
        };
        place.set_victim();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn set_victim(&self) {
        write(&self.at("victim/file"), "precious");
        write(&self.at("victim/folder/a.jsonl.json"), "{}");
        write(&self.at("victim/folder/state.json"), "precious");
    }

    /// Nothing was added to, removed from or written to the files beside the output.
    #[track_caller]
    fn is_untouched(&self, what: &str) {
        let mut found = Vec::new();
        let mut folders = vec![self.at("victim")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => found.push((path.clone(), fs::read_to_string(path).unwrap())),
                }
            }
        }
        found.sort();
        let expected = [
            ("victim/file", "precious"),
            ("victim/folder/a.jsonl.json", "{}"),
            ("victim/folder/state.json", "precious"),
        ];
        let expected = expected.map(|(name, text)| (self.at(name), text.to_owned()));
        assert_eq!(found, expected, "{what}");
        assert!(!self.at("new").exists(), "{what}");
    }

    /// Puts a link to a file or a folder beside the output, or to nothing, in place of what is there.
    fn link(&self, out: &Path, name: &str, target: &str) {
        let path = out.join(name);
        match path.symlink_metadata() {
            Ok(there) if there.is_dir() => fs::remove_dir_all(&path).unwrap(),
            Ok(_) => fs::remove_file(&path).unwrap(),
            Err(_) => fs::create_dir_all(path.parent().unwrap()).unwrap(),
        }
        symlink(self.at(target), path).unwrap();
    }
}

/// Every file and folder under a folder, relative.
fn entries(folder: &Path, below: &str, found: &mut Vec<(String, bool)>) {
    for entry in fs::read_dir(folder.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        let is_folder = entry.file_type().unwrap().is_dir();
        found.push((name.clone(), is_folder));
        if is_folder {
            entries(folder, &format!("{name}/"), found);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut found = Vec::new();
    entries(from, "", &mut found);
    for (name, is_folder) in found {
        match is_folder {
            true => fs::create_dir_all(to.join(name)).unwrap(),
            false => fs::copy(from.join(&name), to.join(&name))
                .map(drop)
                .unwrap(),
        }
    }
}

/// It went well, or it was refused because of a link.
#[track_caller]
fn done_or_refused(ended: &Ended, what: &str) {
    let refused = ended.code == Some(2)
        && ended.stderr.contains("got a symbolic link")
        && ended.stderr.contains("\nhint: ");
    assert!(ended.code == Some(0) || refused, "{what}: {}", ended.stderr);
}

/// Runs a command in its own finished folder with a link in place of each of its entries, resumed and started over, and
/// in a new folder with links where it writes first. `also` names more entries. The files of the folder of a stranger are
/// not read either: a link counts as missing, or is refused.
fn survives_links(place: &Place, also: &[&str], run: impl Fn(&Path) -> Run) {
    let finished = place.at("finished");
    run(&finished).ends_with(0);
    let mut names = Vec::new();
    entries(&finished, "", &mut names);
    names.extend(also.iter().map(|name| ((*name).to_owned(), false)));
    // Lock files are empty.
    names.retain(|(name, is_folder)| *is_folder || !name.contains("/locks/"));
    names.push((".rho-mask/locks/0-of-1".to_owned(), false));
    assert!(names.len() > 6, "{names:?}");
    for (name, is_folder) in &names {
        let targets = match is_folder {
            true => ["victim/folder", "new"],
            false => ["victim/file", "new"],
        };
        for (target, restart) in targets.iter().zip([false, true]) {
            let (out, what) = (place.at("out"), format!("{name} -> {target}"));
            copy(&finished, &out);
            place.link(&out, name, target);
            let mut command = run(&out);
            if restart {
                command = command.arg("--restart");
            }
            done_or_refused(&command.end(), &what);
            place.is_untouched(&what);
            fs::remove_dir_all(&out).unwrap();
        }
    }
    let (out, files) = (
        place.at("out"),
        names.iter().filter(|(_, is_folder)| !is_folder),
    );
    fs::create_dir_all(out.join(".rho-mask")).unwrap();
    for (name, _) in files.filter(|(name, _)| !name.ends_with(".json") && !name.contains("lock")) {
        place.link(&out, name, "victim/file");
    }
    done_or_refused(&run(&out).end(), "a new folder");
    place.is_untouched("a new folder");
    fs::remove_dir_all(&out).unwrap();
}

/// Changes the JSON of a record.
fn tamper(out: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let path = out.join(".rho-mask").join(name);
    let mut record = read_json(&path);
    change(&mut record);
    fs::write(path, record.to_string()).unwrap();
}

/// Names that lead to the files beside the output.
fn names_outside(place: &Place) -> Vec<String> {
    let absolute = place.at("victim/file").display().to_string();
    let names = [
        "../victim/file",
        "sub/../../victim/file",
        "./../victim/file",
        "..",
        "..\\victim\\file",
        "sub//../../victim/file",
        "a\0b",
    ];
    let names = names.map(str::to_owned).into_iter();
    names.chain([absolute]).collect()
}

/// The rows of a shard as text, in which NaN equals itself.
fn shown(out: &Path, shard: &str) -> String {
    format!("{:?}", rows(out, shard))
}

fn corpus(place: &Place) -> PathBuf {
    let text = "{\"text\": \"one and two\"}\n{\"text\": \"three\"}\n{\"none\": 0}\n";
    write(&place.at("corpus/a.jsonl"), text);
    write(
        &place.at("corpus/sub/b.jsonl"),
        "{\"text\": \"four or five\"}\n",
    );
    place.at("corpus")
}

fn score<'a>(place: &Place, more: &'a [&str]) -> impl Fn(&Path) -> Run + use<'a> {
    let (corpus, model) = (corpus(place), tiny(&place.at("model")));
    move |out: &Path| {
        Run::score(&corpus, out)
            .arg("--model")
            .arg(&model)
            .args(&["--progress", "none", "--max-rejected", "1"])
            .args(more)
    }
}

#[test]
fn score_reaches_nothing_over_links() {
    let place = Place::new();
    let run = score(&place, &[]);
    // A rejected row makes it end with 1.
    fs::write(place.at("corpus/a.jsonl"), "{\"text\": \"one and two\"}\n").unwrap();
    let also = [
        ".a.jsonl.arrow.partial",
        ".a.jsonl.arrow.scores-0.partial",
        ".a.jsonl.arrow.scores-1.partial",
        ".a.jsonl.00001.arrow.partial",
        ".state.json.partial",
        ".summary.json.partial",
        ".tokenizer.json.partial",
        "rejected.jsonl",
        ".rho-mask/.plan.json.partial",
        ".rho-mask/shards/a.jsonl.rejected",
        ".rho-mask/shards/.a.jsonl.json.partial",
    ];
    survives_links(&place, &also, run);
}

#[test]
fn score_follows_no_name_out_of_its_folder() {
    let place = Place::new();
    let run = score(&place, &[]);
    let finished = place.at("finished");
    run(&finished).ends_with(1);
    let (shard, out) = ("shards/a.jsonl.json", place.at("out"));
    for (i, name) in names_outside(&place).into_iter().enumerate() {
        let file = json!([{"name": name, "bytes": 8}]);
        // Every name in one of them, and the first in all.
        let fields = [
            (shard, "files"),
            (shard, "replaces"),
            ("plan.json", "shards"),
        ];
        let some = if i == 0 {
            &fields[..]
        } else {
            &fields[i % 3..][..1]
        };
        for &(record, field) in some {
            let what = format!("{record} {field} {name:?}");
            let hostile = |out: &Path| {
                copy(&finished, out);
                tamper(out, record, |record| record[field] = file.clone());
            };
            hostile(&out);
            let refused = run(&out).ends_with(2);
            let said = "expected a relative path that stays inside its folder";
            assert!(refused.stderr.contains(said), "{what}: {}", refused.stderr);
            assert!(
                refused.stderr.contains("--restart"),
                "{what}: {}",
                refused.stderr
            );
            place.is_untouched(&what);
            run(&out).arg("--restart").ends_with(1);
            place.is_untouched(&what);
            assert_eq!(
                shown(&out, "a.jsonl"),
                shown(&finished, "a.jsonl"),
                "{what}"
            );
            fs::remove_dir_all(&out).unwrap();
        }
    }
}

#[test]
fn a_growing_file_of_two_names_is_not_written_to() {
    let place = Place::new();
    let run = score(&place, &[]);
    let out = place.at("out");
    run(&out).ends_with(1);
    // As an interrupted run leaves it, with the masks so far as a second name of a file elsewhere.
    let partial = out.join(".a.jsonl.arrow.partial");
    fs::remove_file(out.join("a.jsonl.arrow")).unwrap();
    write(&place.at("victim/file"), "precious".repeat(1000));
    fs::hard_link(place.at("victim/file"), &partial).unwrap();
    tamper(&out, "shards/a.jsonl.json", |record| {
        record["files"] = json!([]);
        let from = json!({"row": 0, "scope_tokens": 0});
        let there = record["state"].clone();
        record["state"] = json!({"open": {"from": from, "files": [100], "spill": null}});
        assert_eq!(there, json!("complete"));
    });
    let ended = run(&out).end();
    assert_eq!(
        fs::read_to_string(place.at("victim/file")).unwrap(),
        "precious".repeat(1000),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("linked from elsewhere") || ended.code == Some(2),
        "{}",
        ended.stderr
    );
    // The same for a run that starts over: the name is given to a new file.
    run(&out).arg("--restart").ends_with(1);
    let text = fs::read_to_string(place.at("victim/file")).unwrap();
    assert_eq!(text.len(), 8000);
}

#[test]
fn the_scope_of_a_corpus_reaches_nothing_over_links() {
    let place = Place::new();
    let run = score(&place, &["--scope", "corpus"]);
    fs::write(place.at("corpus/a.jsonl"), "{\"text\": \"one and two\"}\n").unwrap();
    let out = place.at("out");
    fs::create_dir_all(out.join(".rho-mask")).unwrap();
    place.link(&out, ".rho-mask-scored", "victim/folder");
    for restart in [false, true] {
        let mut command = run(&out);
        if restart {
            command = command.arg("--restart");
        }
        let refused = command.ends_with(2);
        let said = ".rho-mask-scored: expected a folder, got a symbolic link";
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
        place.is_untouched("the scores");
    }
    fs::remove_file(out.join(".rho-mask-scored")).unwrap();
    run(&out).ends_with(0);
}

#[test]
fn the_folder_itself_may_be_a_link() {
    let place = Place::new();
    let run = score(&place, &[]);
    fs::create_dir(place.at("disk")).unwrap();
    symlink(place.at("disk"), place.at("out")).unwrap();
    run(&place.at("out")).ends_with(1);
    run(&place.at("out/../out")).ends_with(1);
    run(&place.at("expected")).ends_with(1);
    let of = |folder: &str| shown(&place.at(folder), "sub/b.jsonl");
    assert_eq!(of("disk"), of("expected"));
    run(&place.at("out")).arg("--restart").ends_with(1);
    assert_eq!(of("out"), of("expected"));
}

/// Masks of one shard in a folder.
fn small_masks(place: &Place) -> PathBuf {
    let out = place.at("masks");
    let row = document();
    one_shard(&out, "sub/a.jsonl", &schema(json!({})), &[row]);
    out
}

fn schema(tokenizer: Value) -> MaskSchema {
    MaskSchema {
        scores: vec!["loss".to_owned()],
        score_type: ScoreType::Float32,
        masks: vec!["mask_loss".to_owned()],
        weights: Vec::new(),
        text: false,
        source: false,
        target: false,
        top: None,
        metadata: json!({"format_version": 1, "tokenizer": tokenizer, "scope": "batch"}),
    }
}

fn document() -> MaskRow {
    MaskRow {
        id: "a".to_owned(),
        row: 0,
        input_ids: vec![1, 2],
        scores: vec![vec![f32::NAN, 1.0]],
        masks: vec![vec![false, true]],
        weights: Vec::new(),
        text: None,
        source: None,
        target: None,
        top: None,
    }
}

fn select(place: &Place) -> impl Fn(&Path) -> Run + use<> {
    let from = small_masks(place);
    move |out: &Path| {
        Run::new(&["select", "--by", "loss", "--progress", "none"])
            .arg(&from)
            .arg("--out")
            .arg(out)
    }
}

#[test]
fn select_reaches_nothing_over_links_and_names() {
    let place = Place::new();
    let run = select(&place);
    let also = [
        "sub/.a.jsonl.arrow.partial",
        ".state.json.partial",
        ".rho-mask/.metadata.json.partial",
    ];
    survives_links(&place, &also, &run);
    let (finished, out) = (place.at("finished"), place.at("out"));
    for name in names_outside(&place) {
        copy(&finished, &out);
        tamper(&out, "shards/sub/a.jsonl.arrow.json", |record| {
            record["files"][0]["name"] = json!(name);
        });
        let refused = run(&out).ends_with(2);
        let said = "expected a relative path that stays inside its folder";
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
        run(&out).arg("--restart").ends_with(0);
        place.is_untouched(&name);
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn convert_reaches_nothing_over_links_and_names() {
    for target in ["parquet", "litdata --eos-id 1"] {
        let place = Place::new();
        let from = small_masks(&place);
        let run = |out: &Path| {
            Run::new(&["convert", "--progress", "none", "--to"])
                .args(&target.split(' ').collect::<Vec<_>>())
                .arg(&from)
                .arg("--out")
                .arg(out)
        };
        let also = [
            ".rho-mask/partial/sub/a.jsonl.parquet",
            ".rho-mask/partial/tokens/sub/a.jsonl.00000.bin",
            "tokens/.index.json.partial",
            ".rho_mask.json.partial",
        ];
        survives_links(&place, &also, run);
        let (finished, out) = (place.at("finished"), place.at("out"));
        for name in names_outside(&place) {
            copy(&finished, &out);
            tamper(&out, "index.json", |index| *index = json!([name]));
            let refused = run(&out).arg("--restart").end();
            place.is_untouched(&name);
            let said = "expected a relative path that stays";
            let is_refused = refused.code == Some(2) && refused.stderr.contains(said);
            assert!(is_refused, "{name:?}: {}", refused.stderr);
            fs::remove_dir_all(&out).unwrap();
            copy(&finished, &out);
            tamper(&out, "shards/sub/a.jsonl.json", |record| {
                record["written"]["files"] = json!([{"name": name, "bytes": 8}]);
            });
            run(&out).ends_with(2);
            run(&out).arg("--restart").ends_with(0);
            place.is_untouched(&name);
            fs::remove_dir_all(&out).unwrap();
        }
    }
}

#[cfg(feature = "train")]
#[test]
fn train_reaches_nothing_over_links() {
    let place = Place::new();
    let config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 2048, "hidden_size": 16,
        "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
        "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": false, "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.02,
    });
    write(&place.at("config/config.json"), config.to_string());
    fs::copy(
        demo().join("tokenizer.json"),
        place.at("config/tokenizer.json"),
    )
    .unwrap();
    let text = "{\"text\": \"one and two and three and four\"}\n".repeat(8);
    write(&place.at("text.jsonl"), text);
    let run = |out: &Path| {
        let options = "train --device cpu --objective clm --length 16 --batch-tokens 32 --steps 2 --save-every 1 --progress none";
        Run::new(&options.split(' ').collect::<Vec<_>>())
            .arg("--init")
            .arg(place.at("config/config.json"))
            .arg("--corpus")
            .arg(place.at("text.jsonl"))
            .arg("--out")
            .arg(out)
    };
    let finished = place.at("finished");
    run(&finished).ends_with(0);
    fs::remove_file(finished.join("summary.json")).unwrap();
    let step = "checkpoints/step-000002";
    for (i, (name, target)) in (0..).zip([
        ("checkpoints", "victim/folder"),
        (step, "victim/folder"),
        ("checkpoints/step-000002/run.json", "victim/file"),
        ("checkpoints/step-000002/model.safetensors", "victim/file"),
        ("checkpoints/.partial-000001", "victim/folder"),
        ("metrics.jsonl", "victim/file"),
        ("timings.jsonl", "new"),
        ("rejected.jsonl", "new"),
        (".summary.json.partial", "victim/file"),
        ("tensorboard", "victim/folder"),
        ("tensorboard/events.out.tfevents.rho-mask", "victim/file"),
        (".model.partial", "victim/folder"),
        ("model.safetensors", "victim/file"),
        (".rho-mask", "victim/folder"),
        (".rho-mask/train.json", "victim/file"),
        (".rho-mask/train.lock", "new"),
        (".rho-mask/tokens", "victim/folder"),
        (".rho-mask/tokens/done.json", "victim/file"),
        (".rho-mask/tokens/.text.jsonl.arrow.partial", "victim/file"),
    ]) {
        let restart = i % 2 == 1;
        let out = place.at("out");
        copy(&finished, &out);
        place.link(&out, name, target);
        let mut command = run(&out);
        if restart {
            command = command.arg("--restart");
        }
        let what = format!("{name} -> {target}, restart {restart}");
        let ended = command.end();
        let refused = ended.code == Some(2) && ended.stderr.contains("symbolic link")
            || ended.code == Some(2) && ended.stderr.contains("expected an empty folder");
        assert!(ended.code == Some(0) || refused, "{what}: {}", ended.stderr);
        place.is_untouched(&what);
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn lists_of_files_stay_in_their_folders() {
    let place = Place::new();
    small_masks(&place);
    let name = "../masks/sub/a.jsonl.arrow";
    let state =
        json!({"_data_files": [{"filename": name}], "_fingerprint": "f", "_split": "train"});
    copy(&place.at("masks"), &place.at("listed"));
    assert!(place.at("listed").join(name).exists());
    write(&place.at("listed/state.json"), state.to_string());
    write(
        &place.at("dict/dataset_dict.json"),
        json!({"splits": ["../listed"]}).to_string(),
    );
    let said = "expected a relative path that stays inside its folder";
    let refused = |run: Run, list: &str| {
        let ended = run.ends_with(2);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        assert!(ended.stderr.contains(list), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("hint: do not trust this folder"),
            "{}",
            ended.stderr
        );
    };
    let model = tiny(&place.at("model"));
    // As a corpus, and as masks.
    let score = |corpus: &str| Run::score_tokens(&place.at(corpus), &model, &place.at("out"));
    refused(score("listed"), "state.json");
    refused(score("dict"), "dataset_dict.json");
    for command in ["show", "stats"] {
        refused(Run::new(&[command]).arg(place.at("listed")), "state.json");
    }
    let select = Run::new(&["select", "--by", "loss"]).arg(place.at("listed"));
    refused(select.arg("--out").arg(place.at("out")), "state.json");

    // The index of weights.
    let fixture = root().join("models/graph/tests/fixtures/llama_tied");
    copy(&fixture, &place.at("sharded"));
    fs::rename(
        place.at("sharded/model.safetensors"),
        place.at("weights.safetensors"),
    )
    .unwrap();
    for name in [
        "../weights.safetensors",
        "/weights.safetensors",
        "..",
        "a/../../weights.safetensors",
    ] {
        let index = json!({"weight_map": {"model.norm.weight": name}});
        write(
            &place.at("sharded/model.safetensors.index.json"),
            index.to_string(),
        );
        let export = Run::new(&["export"]).arg(place.at("sharded"));
        let ended = export.arg("--out").arg(place.at("exported")).ends_with(2);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("model.norm.weight"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_tokenizer_is_copied_only_if_it_is_that_of_the_masks() {
    let place = Place::new();
    let tokenizer = demo().join("tokenizer.json");
    let text = fs::read(&tokenizer).unwrap();
    let fingerprint = {
        let sum = std::process::Command::new("sha256sum")
            .arg(&tokenizer)
            .output()
            .unwrap();
        String::from_utf8(sum.stdout).unwrap()[..64].to_owned()
    };
    let row = document();
    let known = json!({"fingerprint": fingerprint});
    for (folder, metadata) in [("masks", known), ("unknown", json!({}))] {
        one_shard(
            &place.at(folder),
            "a.jsonl",
            &schema(metadata),
            std::slice::from_ref(&row),
        );
    }
    let commands = [
        &["select", "--by", "loss"][..],
        &["convert", "--to", "parquet"],
    ];
    let run = |command: &[&str], from: &str| {
        let out = place.at("out");
        if out.exists() {
            fs::remove_dir_all(&out).unwrap();
        }
        Run::new(command)
            .args(&["--progress", "none"])
            .arg(place.at(from))
            .arg("--out")
            .arg(out)
    };
    let copied = || fs::read(place.at("out/tokenizer.json")).ok();
    for command in commands {
        let set = |put: &dyn Fn(&Path)| {
            let path = place.at("masks/tokenizer.json");
            let _ = fs::remove_file(&path);
            put(&path);
        };
        set(&|path| fs::write(path, &text).unwrap());
        run(command, "masks").ends_with(0);
        assert_eq!(copied().as_ref(), Some(&text));
        set(&|_| ());
        run(command, "masks").ends_with(0);
        assert_eq!(copied(), None);
        // Even a link to the right file: who can put a link there can change what it leads to.
        set(&|path| symlink(&tokenizer, path).unwrap());
        let linked = run(command, "masks").ends_with(2);
        assert!(
            linked
                .stderr
                .contains("expected a regular file, got a symbolic link"),
            "{}",
            linked.stderr
        );
        set(&|path| symlink(place.at("victim/file"), path).unwrap());
        run(command, "masks").ends_with(2);
        set(&|path| {
            let made = std::process::Command::new("mkfifo").arg(path).status();
            assert!(made.unwrap().success());
        });
        run(command, "masks").ends_with(2);
        let changed = String::from_utf8(text.clone())
            .unwrap()
            .replacen("the", "teh", 1);
        set(&|path| fs::write(path, &changed).unwrap());
        let other = run(command, "masks").ends_with(2);
        let said = format!(
            "expected the tokenizer of the masks, with the fingerprint {fingerprint}, got "
        );
        assert!(other.stderr.contains(&said), "{}", other.stderr);
        assert_eq!(copied(), None);

        // Masks that do not say which tokenizer they have.
        write(&place.at("unknown/tokenizer.json"), &text);
        let noted = run(command, "unknown").ends_with(0);
        assert!(
            noted.stderr.contains("it is not copied"),
            "{}",
            noted.stderr
        );
        assert_eq!(copied(), None);
    }
    // A download in the Hub's cache consists of links to its own content.
    let snapshot = place.at("datasets--a--b/snapshots/c0ffee");
    fs::create_dir_all(&snapshot).unwrap();
    fs::remove_file(place.at("masks/tokenizer.json")).unwrap();
    fs::write(place.at("masks/tokenizer.json"), &text).unwrap();
    copy(&place.at("masks"), &place.at("datasets--a--b/blobs"));
    for name in [
        "a.jsonl.arrow",
        "state.json",
        "dataset_info.json",
        "summary.json",
        "tokenizer.json",
    ] {
        symlink(format!("../../blobs/{name}"), snapshot.join(name)).unwrap();
    }
    for command in commands {
        run(command, "datasets--a--b/snapshots/c0ffee").ends_with(0);
        assert_eq!(copied().as_ref(), Some(&text));
    }
}

#[cfg(feature = "train")]
#[test]
fn a_tokenizer_of_a_model_is_not_any_file() {
    let place = Place::new();
    let fixture = root().join("models/graph/tests/fixtures/llama_tied");
    copy(&fixture, &place.at("shared"));
    fs::copy(
        demo().join("tokenizer.json"),
        place.at("shared/tokenizer.json"),
    )
    .unwrap();
    write(&place.at("shared/special_tokens_map.json"), "{}");
    let export = |model: &str| {
        let out = place.at("exported");
        let _ = fs::remove_dir_all(&out);
        Run::new(&["export"])
            .arg(place.at(model))
            .arg("--out")
            .arg(out)
    };
    // A model that shares the files of another one.
    fs::create_dir(place.at("links")).unwrap();
    for entry in fs::read_dir(place.at("shared")).unwrap() {
        let name = entry.unwrap().file_name();
        symlink(place.at("shared").join(&name), place.at("links").join(name)).unwrap();
    }
    export("links").ends_with(0);
    assert_eq!(
        read_json(&place.at("exported/special_tokens_map.json")),
        json!({})
    );
    fs::remove_file(place.at("links/special_tokens_map.json")).unwrap();
    symlink(
        place.at("victim/file"),
        place.at("links/special_tokens_map.json"),
    )
    .unwrap();
    let refused = export("links").ends_with(2);
    let said = "special_tokens_map.json: expected a regular file, got a symbolic link";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
}
