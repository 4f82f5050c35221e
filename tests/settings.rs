//! Settings that cannot work: each stops the program before any work, with exit code 2, nothing written, and a message
//! that says where, what was expected, what was got, and what to do.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Run, demo, files, read_json, skipped, write};

/// A good corpus, and an output path that must stay unused.
struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        write(
            &place.at("corpus/a.jsonl"),
            "{\"text\": \"1 + 1 = 2\", \"input_ids\": [1, 2]}\n",
        );
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Expects that `score` of the good corpus refuses these arguments.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        self.refuses_corpus(&self.at("corpus"), arguments, words);
    }

    #[track_caller]
    fn refuses_corpus(&self, corpus: &Path, arguments: &[&str], words: &[&str]) {
        let run = Run::score(corpus, &self.at("masks")).args(arguments);
        self.is_refused(run, words);
    }

    /// Expects that the run is refused with an error and a hint that contain these words.
    #[track_caller]
    fn is_refused(&self, run: Run, words: &[&str]) {
        let before = files(self.folder.path());
        let ended = run.end();
        let said = &ended.stderr;
        assert_eq!(ended.code, Some(2), "{said}");
        assert_eq!(ended.stdout, "");
        let error = said.lines().position(|line| line.starts_with("error: "));
        let error = error.unwrap_or_else(|| panic!("no error in {said}"));
        let told: Vec<_> = said.lines().skip(error).collect();
        // The argument parser formats its hints in its own way.
        let advice = ["hint: ", "  tip: ", "For more information, try '--help'"];
        let advised = |line: &&str| advice.iter().any(|start| line.starts_with(start));
        assert!(told.iter().any(advised), "no hint in {said}");
        for word in words {
            assert!(
                told.join("\n").contains(word),
                "expected {word:?} in {said}"
            );
        }
        assert_eq!(files(self.folder.path()), before, "something was written");
        assert!(!self.at("masks").is_dir() || before.iter().any(|f| f.starts_with("masks")));
    }
}

#[test]
fn a_corpus_that_is_none() {
    let place = Workspace::new();
    let missing = place.at("missing");
    place.refuses_corpus(
        &missing,
        &[],
        &[
            missing.to_str().unwrap(),
            "expected a file or a folder, found nothing",
            "hint: check the spelling",
        ],
    );
    write(&place.at("pictures/a.png"), "");
    write(&place.at("pictures/deep/b.bin"), "");
    let pictures = place.at("pictures");
    place.refuses_corpus(
        &pictures,
        &[],
        &[
            pictures.to_str().unwrap(),
            "expected files named *.jsonl",
            "got 2 of other names",
        ],
    );
    fs::create_dir(place.at("empty")).unwrap();
    place.refuses_corpus(&place.at("empty"), &[], &["got 0 of other names"]);
    place.refuses_corpus(
        &place.at("pictures/a.png"),
        &[],
        &["a.png: expected a file named *.jsonl"],
    );
    // One bad argument among good ones is enough.
    place.refuses(&[missing.to_str().unwrap()], &["found nothing"]);
    let twice = place.at("corpus/a.jsonl");
    place.refuses(&[twice.to_str().unwrap()], &["given twice"]);
}

#[test]
fn an_output_folder_whose_place_is_taken() {
    let place = Workspace::new();
    write(&place.at("masks/thesis.tex"), "years of work");
    place.refuses(
        &[],
        &[
            "masks: expected an empty folder, found thesis.tex in it",
            "hint: ",
        ],
    );
    assert_eq!(
        fs::read_to_string(place.at("masks/thesis.tex")).unwrap(),
        "years of work"
    );

    let place = Workspace::new();
    write(&place.at("masks"), "a file");
    place.refuses(
        &[],
        &["masks: expected a folder, got something else", "hint: "],
    );
    assert_eq!(fs::read_to_string(place.at("masks")).unwrap(), "a file");
}

#[test]
fn numbers_out_of_range() {
    let place = Workspace::new();
    for ratio in ["1.5", "-0.1", "NaN", "much"] {
        for option in ["--keep", "--keep-loss", "--keep-entropy"] {
            let argument = format!("{option}={ratio}");
            place.refuses(&[&argument], &[ratio, option, "between 0 and 1"]);
        }
    }
    place.refuses(
        &["--keep", "0.6", "--keep-loss", "0.7"],
        &["--keep", "--keep-loss", "cannot be used with"],
    );
    place.refuses(
        &["--keep-entropy", "0.6", "--keep", "0.7"],
        &["--keep-entropy", "cannot be used with"],
    );

    place.refuses(
        &["--context", "100", "--overlap", "100"],
        &["--overlap: expected less than the context of 100 tokens, got 100"],
    );
    place.refuses(
        &["--overlap", "512"],
        &["--overlap: expected less than the context of 512 tokens, got 512"],
    );
    place.refuses(
        &["--context", "513"],
        &[
            "--context: expected 2 to 512 tokens, got 513",
            "config.json",
        ],
    );
    place.refuses(
        &["--context", "1"],
        &["--context: expected 2 to 512 tokens, got 1"],
    );
    place.refuses(
        &["--batch-tokens", "0"],
        &["--batch-tokens: expected at least 1, got 0"],
    );
    place.refuses(
        &["--threads", "0"],
        &["--threads: expected at least 1, got 0"],
    );
    place.refuses(
        &["--scope", "shard"],
        &["--scope", "document, batch, corpus"],
    );
}

#[test]
fn a_device_that_cannot_be_had() {
    let place = Workspace::new();
    let score = || {
        Run::new(&["score"])
            .arg(place.at("corpus"))
            .arg("--out")
            .arg(place.at("masks"))
    };
    for device in ["gpu", "cuda:x", "cuda:", "cuda:1,1", "CPU"] {
        let expected = format!("expected auto, cpu, cuda, cuda:N or cuda:N,M,..., got {device}");
        place.is_refused(
            score().args(&["--device", device]),
            &["--device", &expected],
        );
    }

    // CUDA with the CPU library: an error, never a silent run on the CPU.
    let plan = score()
        .args(&["--device", "cpu", "--show-plan"])
        .ends_with(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let library = PathBuf::from(plan["library"].as_str().unwrap());
    let provider = library.with_file_name("libonnxruntime_providers_cuda.so");
    if provider.exists() {
        skipped(&format!("{} has CUDA beside it", library.display()));
        return;
    }
    let run = score()
        .args(&["--device", "cuda", "--ort-lib"])
        .arg(&library);
    place.is_refused(
        run,
        &["device cuda:0 was requested, but this ONNX Runtime was built without the CUDA provider", "rho-mask setup --cuda"],
    );
    let empty = place.at("corpus");
    let run = score().args(&["--device", "cuda:1", "--model"]).arg(demo());
    place.is_refused(
        run.without_library(&empty),
        &[
            "no ONNX Runtime with CUDA was found",
            "run `rho-mask setup --cuda`",
        ],
    );
}

/// The demonstration model with another tokenizer beside it.
fn model_with_tokenizer(place: &Workspace, tokenizer: Option<&Value>) -> PathBuf {
    let model = place.at("model");
    for name in ["model.onnx", "config.json"] {
        write(&model.join(name), fs::read(demo().join(name)).unwrap());
    }
    if let Some(tokenizer) = tokenizer {
        write(&model.join("tokenizer.json"), tokenizer.to_string());
    }
    model
}

#[test]
fn a_tokenizer_that_cannot_be_used() {
    // The token that the template appends to each text is outside the model's vocabulary: no document could be scored.
    let mut other = read_json(&demo().join("tokenizer.json"));
    other["post_processor"]["special_tokens"]["</s>"]["ids"] = json!([2048]);
    let place = Workspace::new();
    let model = model_with_tokenizer(&place, Some(&other));
    place.refuses(
        &["--model", model.to_str().unwrap()],
        &[
            "the tokens around each text: token 0: expected an id below the vocabulary of 2048, got 2048",
            "--eos never",
        ],
    );

    let place = Workspace::new();
    let model = model_with_tokenizer(&place, Some(&json!({"hello": 1})));
    place.refuses(
        &["--model", model.to_str().unwrap()],
        &["tokenizer.json: expected a tokenizer.json of Hugging Face tokenizers"],
    );
}

#[test]
fn tokens_that_nobody_can_put() {
    let place = Workspace::new();
    let model = model_with_tokenizer(&place, None);
    let model = model.to_str().unwrap();
    place.refuses(
        &["--model", model],
        &[
            "model.onnx: expected tokenizer.json beside the model, got none",
            "--tokenizer",
            "--tokens-field",
        ],
    );
    for option in ["--bos", "--eos"] {
        place.refuses(
            &["--tokens-field", "input_ids", option, "always"],
            &[
                "--tokens-field input_ids: expected token ids that are used unchanged",
                "hint: ",
            ],
        );
    }
    place.refuses(&["--bos", "sometimes"], &["--bos", "auto, always, never"]);

    // Neither the tokenizer nor config.json has a beginning-of-sequence token.
    let mut bare = read_json(&demo().join("tokenizer.json"));
    bare["post_processor"] = Value::Null;
    let place = Workspace::new();
    let model = model_with_tokenizer(&place, Some(&bare));
    let mut config = read_json(&demo().join("config.json"));
    config.as_object_mut().unwrap().remove("bos_token_id");
    write(&model.join("config.json"), config.to_string());
    place.refuses(
        &["--model", model.to_str().unwrap(), "--bos", "always"],
        &[
            "or config.json, got none",
            "add bos_token_id to the model's config.json",
        ],
    );
}

#[test]
fn a_model_that_is_none() {
    let place = Workspace::new();
    let refuses = |path: &Path, words: &[&str]| {
        let path = path.to_str().unwrap();
        place.refuses(&["--model", path], &[words, &[path]].concat());
    };
    let expected = "expected a folder with an ONNX model, or an .onnx file";
    let export = "hint: name a Hugging Face checkpoint";
    refuses(
        &place.at("nowhere"),
        &[expected, "it does not exist", export],
    );
    write(&place.at("other/README.md"), "");
    refuses(&place.at("other"), &[expected, "README.md", export]);
    fs::create_dir(place.at("hollow")).unwrap();
    refuses(&place.at("hollow"), &[expected, "got an empty folder"]);
    write(&place.at("old/config.json"), "{}");
    write(&place.at("old/pytorch_model.bin"), "");
    let not_exported = "a checkpoint that was not exported to ONNX";
    refuses(&place.at("old"), &[expected, not_exported, export]);
    // This one is exported first, if possible.
    write(&place.at("checkpoint/config.json"), "{}");
    write(&place.at("checkpoint/model.safetensors"), "");
    refuses(
        &place.at("checkpoint"),
        &["expected a whole safetensors file, got 0 bytes", "hint: "],
    );
    refuses(
        &place.at("checkpoint/model.safetensors"),
        &[expected, "a file called model.safetensors"],
    );
    write(&place.at("two/a.onnx"), "");
    write(&place.at("two/b.onnx"), "");
    refuses(
        &place.at("two"),
        &[
            "expected one ONNX model, got a.onnx, b.onnx",
            "--model DIR/FILE.onnx",
        ],
    );
    write(&place.at("both/decoder_model.onnx"), "");
    write(&place.at("both/encoder_model.onnx"), "");
    refuses(
        &place.at("both"),
        &["got an encoder-decoder (input beside encoder_model.onnx)"],
    );
    write(&place.at("config/model.onnx"), "");
    write(&place.at("config/config.json"), "not JSON");
    place.refuses(
        &["--model", place.at("config").to_str().unwrap()],
        &["config.json: expected a JSON object"],
    );

    write(&place.at("text.onnx"), "This is no protobuf.");
    refuses(&place.at("text.onnx"), &["is not an ONNX model"]);
    write(&place.at("zero.onnx"), "");
    refuses(&place.at("zero.onnx"), &["holds no ONNX graph"]);
    let whole = fs::read(demo().join("model.onnx")).unwrap();
    write(&place.at("cut.onnx"), &whole[..whole.len() / 2]);
    refuses(&place.at("cut.onnx"), &["is not an ONNX model"]);
}
