//! A model on a server as the reference: scores compared with those of the same model in files, and servers that are
//! wrong, slow or hostile.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rho_formats::read_masks;
use serde_json::{Value, json};

use crate::support::{
    Ended, Run, assert_close,
    completions::{Asked, Completions, NAME, Reply, logprob, prompts},
    demo, metadata, rows, skipped,
    tiny::{tiny, tiny_drawn, with_tokenizer},
    write,
};

/// f32 in ONNX Runtime against f64 on the server.
const ROUNDING: f32 = 2e-5;

struct Workspace {
    place: tempfile::TempDir,
}

impl Workspace {
    /// Documents of every kind: none, one and many tokens, and one longer than the context.
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let long = "So 3 plus 4 is 7, because 3 + 4 = 7. ".repeat(60);
        let texts = [
            "What is 3 plus 4? It is 7.",
            "",
            "a",
            long.as_str(),
            "Zwölf 🙂 \t end\n",
        ];
        let lines: String = (0..40)
            .map(|i| json!({"text": format!("{}{i}", texts[i % 5])}).to_string() + "\n")
            .collect();
        write(&place.path().join("a.jsonl"), lines);
        Self { place }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// `score` with a server.
    fn run(&self, model: &str, out: &str) -> Run {
        Run::new(&["score"])
            .arg(self.at("a.jsonl"))
            .arg("--out")
            .arg(self.at(out))
            .args(&["--model", model, "--tokenizer"])
            .arg(demo().join("tokenizer.json"))
            .args(&["--by", "loss", "--context", "64"])
    }

    /// The losses of the same model in files.
    fn expected(&self) -> Vec<Vec<f32>> {
        let model = tiny(&self.at("model"));
        let run = Run::score(&self.at("a.jsonl"), &self.at("direct"));
        let run = run.arg("--model").arg(model);
        run.args(&["--by", "loss", "--context", "64"]).ends_with(0);
        self.losses("direct")
    }

    fn losses(&self, out: &str) -> Vec<Vec<f32>> {
        let rows = rows(&self.at(out), "a.jsonl");
        rows.into_iter().map(|row| row.scores[0].clone()).collect()
    }

    #[track_caller]
    fn must_be_right(&self, out: &str) {
        let (got, expected) = (self.losses(out), self.expected());
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(&expected) {
            assert_close(got, expected, ROUNDING, out);
        }
    }
}

/// How a run ends with a server that behaves like this.
fn ended(behave: impl Fn(Asked) -> Reply + Send + Sync + 'static, arguments: &[&str]) -> Ended {
    let work = Workspace::new();
    let server = Completions::start(behave);
    work.run(&server.model(), "out")
        .args(arguments)
        .ends_with(2)
}

/// Changes the log-probabilities of each choice.
fn changed(mut answer: Value, change: impl Fn(&mut Vec<Value>)) -> Reply {
    for choice in answer["choices"].as_array_mut().into_iter().flatten() {
        change(choice["logprobs"]["token_logprobs"].as_array_mut().unwrap());
    }
    Reply::Json(answer)
}

/// The error of a run whose server changes all log-probabilities like this.
fn fault(change: impl Fn(&mut Vec<Value>) + Send + Sync + 'static) -> String {
    ended(move |asked| changed(asked.right, &change), &[]).stderr
}

#[track_caller]
fn says(stderr: &str, what: &str) {
    assert!(stderr.contains(what), "{what:?} is not in {stderr}");
}

#[test]
fn losses_are_those_of_the_same_model_in_files() {
    let work = Workspace::new();
    let server = Completions::right();
    let said = work.run(&server.model(), "out").ends_with(0).stderr;
    says(&said, &format!("{NAME} at {}", server.url));
    work.must_be_right("out");
    let schema = read_masks(work.at("out").join("a.jsonl.arrow"))
        .unwrap()
        .schema()
        .clone();
    assert_eq!(schema.scores, ["loss"]);
    let metadata = metadata(&work.at("out"), "a.jsonl");
    assert_eq!(
        metadata["reference"],
        json!({"name": NAME, "server": server.url, "vocabulary": 2048})
    );
    assert_eq!(metadata["provider"], "server");
    let direct = crate::support::metadata(&work.at("direct"), "a.jsonl");
    assert_eq!(metadata["tokenizer"], direct["tokenizer"]);
    // Several prompts in a request, several requests at once, and token ids alone.
    assert!(server.prompts().into_iter().max().unwrap() > 8);
    let asked = server.asked.lock().unwrap();
    let mut asked = asked.iter().filter(|(_, body)| prompts(body).len() > 1);
    assert!(asked.all(|(_, body)| {
        body["echo"] == true && body["max_tokens"] == 0 && body["model"] == NAME
    }));
    // The masks are those of the same losses.
    let masks = |out: &str| -> Vec<_> {
        let rows = rows(&work.at(out), "a.jsonl").into_iter();
        rows.map(|row| row.masks.clone()).collect()
    };
    assert_eq!(masks("out"), masks("direct"));
}

#[test]
fn a_server_that_must_generate_and_takes_one_prompt_at_a_time() {
    let work = Workspace::new();
    let server = Completions::start(|asked| match prompts(&asked.body).len() {
        0 => Reply::Json(asked.right),
        1 if asked.body["max_tokens"] == 1 => Reply::Json(asked.right),
        1 => Reply::Status(
            400,
            vec![],
            r#"{"error": {"message": "max_tokens must be at least 1"}}"#.into(),
        ),
        _ => Reply::Status(422, vec![], r#"{"detail": "expected one prompt"}"#.into()),
    });
    let said = work.run(&server.model(), "out").ends_with(0).stderr;
    says(&said, "one prompt at a time");
    work.must_be_right("out");
}

#[test]
fn a_server_without_usage_and_tokens_and_list_of_models() {
    let work = Workspace::new();
    let server = Completions::start(|asked| {
        if asked.path.ends_with("/models") {
            return Reply::Status(404, vec![], "no".into());
        }
        let mut answer = asked.right;
        answer.as_object_mut().unwrap().remove("usage");
        for choice in answer["choices"].as_array_mut().unwrap() {
            choice["logprobs"].as_object_mut().unwrap().remove("tokens");
        }
        Reply::Json(answer)
    });
    let said = work.run(&server.model(), "out").ends_with(0).stderr;
    says(&said, "does not list its models");
    work.must_be_right("out");
}

#[test]
fn tokens_as_texts_and_as_in_the_vocabulary() {
    let tokenizer = tokenizers::Tokenizer::from_file(demo().join("tokenizer.json")).unwrap();
    for as_text in [true, false] {
        let work = Workspace::new();
        let tokenizer = tokenizer.clone();
        let server = Completions::start(move |asked| {
            let mut answer = asked.right;
            let sent = prompts(&asked.body);
            for (i, ids) in sent.iter().enumerate() {
                let tokens = ids.iter().map(|&id| match as_text {
                    true => tokenizer.decode(&[id], false).unwrap(),
                    false => tokenizer.id_to_token(id).unwrap(),
                });
                answer["choices"][i]["logprobs"]["tokens"] = tokens.collect();
            }
            Reply::Json(answer)
        });
        work.run(&server.model(), "out").ends_with(0);
        work.must_be_right("out");
    }
}

#[test]
fn a_base_in_files_and_a_base_on_a_server() {
    let work = Workspace::new();
    let base = tiny_drawn(&work.at("base"), 2048, 9);
    with_tokenizer(&base);
    let base = base.to_str().unwrap();
    let server = Completions::right();
    let excess = ["--base", base, "--by", "excess"];
    let run = |out: &str, model: &str, more: &[&str]| {
        Run::new(&["score", "--device", "cpu", "--context", "64"])
            .arg(work.at("a.jsonl"))
            .arg("--out")
            .arg(work.at(out))
            .args(&["--model", model, "--tokenizer"])
            .arg(demo().join("tokenizer.json"))
            .args(more)
            .ends_with(0);
    };
    let tiny = tiny(&work.at("model"));
    let tiny = tiny.to_str().unwrap();
    run("out", &server.model(), &excess);
    run("direct", tiny, &excess);
    let columns = |out: &str| {
        let reader = read_masks(work.at(out).join("a.jsonl.arrow")).unwrap();
        let names = reader.schema().scores.clone();
        (names, rows(&work.at(out), "a.jsonl"))
    };
    let (names, got) = columns("out");
    assert_eq!(names, ["loss", "base_loss", "excess"]);
    let (all, expected) = columns("direct");
    for (i, name) in names.iter().enumerate() {
        let other = all.iter().position(|other| other == name).unwrap();
        for (got, expected) in got.iter().zip(&expected) {
            assert_close(
                &got.scores[i],
                &expected.scores[other],
                2.0 * ROUNDING,
                name,
            );
        }
    }
    // The other way round, the reference has an entropy.
    run("swapped", base, &["--base", &server.model()]);
    let (names, swapped) = columns("swapped");
    assert_eq!(names, ["loss", "entropy", "base_loss", "excess"]);
    for (swapped, expected) in swapped.iter().zip(&expected) {
        assert_close(&swapped.scores[2], &expected.scores[0], ROUNDING, "base");
    }
    let metadata = metadata(&work.at("swapped"), "a.jsonl");
    assert_eq!(metadata["base"]["server"], server.url);
}

#[test]
fn rules_that_need_entropy_are_refused() {
    let work = Workspace::new();
    let server = Completions::right();
    for by in ["entropy", "intersection", "union"] {
        let ended = Run::new(&["score"])
            .arg(work.at("a.jsonl"))
            .arg("--out")
            .arg(work.at("out"))
            .args(&["--model", &server.model(), "--by", by, "--tokenizer"])
            .arg(demo().join("tokenizer.json"))
            .ends_with(2);
        says(&ended.stderr, "entropy");
        says(&ended.stderr, "--by loss");
        assert!(!work.at("out").exists());
    }
    work.run(&server.model(), "out").ends_with(0);
    let select = Run::select(&work.at("out"), &work.at("selected"), &["--by", "entropy"]);
    says(&select.ends_with(2).stderr, "entropy");
}

#[test]
fn what_a_server_cannot_do_is_refused() {
    let work = Workspace::new();
    let server = Completions::right();
    let model = server.model();
    let other = tiny(&work.at("model"));
    let refused = |arguments: &[&str]| {
        let run = work.run(&model, "out").args(arguments);
        run.ends_with(2).stderr
    };
    says(&refused(&["--top", "3"]), "--top");
    says(&refused(&["--device", "cpu"]), "--device");
    says(&refused(&["--precision", "f32"]), "--precision");
    says(
        &refused(&["--model", other.to_str().unwrap()]),
        "the only reference",
    );
    says(&refused(&["--ignore-setting", "x"]), "--ignore-setting");
    let context = Run::new(&[
        "score",
        "--by",
        "loss",
        "--context",
        "513",
        "--model",
        &model,
    ]);
    let context = context
        .arg(work.at("a.jsonl"))
        .arg("--out")
        .arg(work.at("out"));
    let context = context
        .arg("--tokenizer")
        .arg(demo().join("tokenizer.json"));
    says(&context.ends_with(2).stderr, "2 to 512 tokens");
    let without = Run::score(&work.at("a.jsonl"), &work.at("out")).args(&["--model", &model]);
    says(&without.ends_with(2).stderr, "--tokenizer");
    let eval = Run::new(&["eval", "--model", &model, "--data"]).arg(work.at("a.jsonl"));
    says(&eval.ends_with(2).stderr, "a model in files");
    let named = work
        .run(&format!("{}#nobody", server.url), "out")
        .ends_with(2);
    says(&named.stderr, &format!("got another, {NAME}"));
}

#[test]
fn log_probs_that_cannot_be_used_are_named() {
    says(
        &fault(|all| drop(all.remove(0))),
        "the first token is left out",
    );
    says(&fault(|all| drop(all.pop())), "the prompt is truncated");
    says(
        &fault(|all| all.push(json!(-1.0))),
        "another number of log-probs",
    );
    says(
        &fault(|all| all[0] = json!(0.0)),
        "0.0 stands for a missing log-prob",
    );
    says(
        &fault(|all| all[0] = json!(-3.5)),
        "the first token has a log-prob",
    );
    says(&fault(|all| all[9] = json!(0.5)), "a positive log-prob");
    says(
        &fault(|all| all[9] = Value::Null),
        "only the most likely tokens",
    );
    says(
        &fault(|all| all[9] = json!(-9999.0)),
        "only the most likely tokens",
    );
    // All but the ten most likely tokens of the vocabulary.
    let floored = |all: &mut Vec<Value>| {
        for value in &mut all[1..] {
            *value = json!(value.as_f64().unwrap().max(-4.605_170_2));
        }
    };
    says(&fault(floored), "only the most likely tokens");
    let zeros = |all: &mut Vec<Value>| {
        for value in &mut all[1..] {
            if value.as_f64().unwrap() < -5.0 {
                *value = json!(0.0);
            }
        }
    };
    says(&fault(zeros), "0.0 stands for a missing log-prob");
    let rounded = |all: &mut Vec<Value>| {
        for value in &mut all[1..] {
            *value = json!((value.as_f64().unwrap() * 1e3).round() / 1e3);
        }
    };
    says(&fault(rounded), "the log-probs are rounded");
    let in_16_bits = |all: &mut Vec<Value>| {
        for value in &mut all[1..] {
            let bits = (value.as_f64().unwrap() as f32).to_bits() & 0xffff_0000;
            *value = json!(f32::from_bits(bits));
        }
    };
    says(&fault(in_16_bits), "the log-probs are rounded");
}

#[test]
fn log_probs_of_the_position_after_are_named() {
    let shifted = ended(
        |asked| {
            let mut answer = asked.right;
            for (i, ids) in prompts(&asked.body).iter().enumerate() {
                let values = &mut answer["choices"][i]["logprobs"]["token_logprobs"];
                for (value, &id) in values.as_array_mut().unwrap().iter_mut().zip(ids).skip(1) {
                    // The token after itself: what the position after gives it.
                    *value = json!(logprob(id, id));
                }
            }
            Reply::Json(answer)
        },
        &[],
    );
    says(&shifted.stderr, "the log-probs are of other positions");
}

#[test]
fn doctor_shows_what_a_server_does() {
    let server = Completions::right();
    let doctor = |model: &str| {
        let run = Run::new(&[
            "doctor",
            "--server-retries",
            "0",
            "--model",
            model,
            "--tokenizer",
        ]);
        run.arg(demo())
    };
    let ended = doctor(&server.model()).ends_with(0);
    for what in [
        &server.model(),
        "512 tokens",
        "several in a request",
        "max_tokens  0",
    ] {
        says(&ended.stdout, what);
    }
    let none = doctor(&format!("{}#nobody", server.url)).ends_with(1);
    says(&none.stdout, &format!("got another, {NAME}"));
    says(&none.stdout, "name one of these after the #");
}

#[test]
fn a_worker_with_a_server() {
    let server = Completions::right();
    let mut command = Run::new(&[
        "worker",
        "--by",
        "loss",
        "--model",
        &server.model(),
        "--tokenizer",
    ])
    .arg(demo().join("tokenizer.json"))
    .args(&["--show-schema"])
    .0;
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let schema = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(schema.contains("mask_loss") && !schema.contains("entropy"));
    // The schema is known without the server.
    assert!(server.prompts().is_empty());
}

#[test]
fn other_tokens_and_counts_are_named() {
    let tokens = ended(
        |asked| {
            let mut answer = asked.right;
            if let Some(choices) = answer["choices"].as_array_mut() {
                choices[0]["logprobs"]["tokens"][2] = json!("\u{1b}[31mnot it");
            }
            Reply::Json(answer)
        },
        &[],
    );
    says(&tokens.stderr, "other tokens");
    says(&tokens.stderr, "as token 2");
    assert!(
        !tokens.stderr.contains("\u{1b}[31mnot"),
        "{}",
        tokens.stderr
    );
    let usage = ended(
        |asked| {
            let mut answer = asked.right;
            answer["usage"] = json!({"prompt_tokens": 3});
            Reply::Json(answer)
        },
        &[],
    );
    says(&usage.stderr, "the prompt is truncated");
    let none = ended(
        |asked| {
            let mut answer = asked.right;
            if answer["choices"].is_array() {
                answer["choices"][0]["logprobs"] = Value::Null;
            }
            Reply::Json(answer)
        },
        &[],
    );
    says(&none.stderr, "the server ignores `echo` or `logprobs`");
}

/// A server that is right until it was asked several prompts, the last of the first requests; then it replies to each
/// request with its number from there on.
fn late(reply: impl Fn(usize, Asked) -> Reply + Send + Sync + 'static) -> Completions {
    let asked_before = Mutex::new(None);
    Completions::start(move |asked| {
        let first = {
            let mut first = asked_before.lock().unwrap();
            if first.is_none() && prompts(&asked.body).len() > 1 {
                *first = Some(asked.number + 1);
                return Reply::Json(asked.right);
            }
            *first
        };
        match first {
            Some(first) if asked.path.ends_with("/completions") && asked.number >= first => {
                reply(asked.number - first, asked)
            }
            _ => Reply::Json(asked.right),
        }
    })
}

#[test]
fn a_fault_that_comes_later_stops_the_run_and_it_resumes() {
    let work = Workspace::new();
    let server = late(|_, asked| changed(asked.right, |all| all[1] = Value::Null));
    let ended = work.run(&server.model(), "out").ends_with(2);
    says(&ended.stderr, "only the most likely tokens");
    // The same server, mended: another port would be another plan.
    let other = Completions::right();
    let elsewhere = work.run(&other.model(), "out").ends_with(2);
    says(&elsewhere.stderr, "--model (server)");
}

#[test]
fn failures_that_pass_are_retried_and_others_are_not() {
    let work = Workspace::new();
    let server = late(|number, asked| match number {
        0 | 1 => Reply::Status(500, vec![], "oops".into()),
        2 => Reply::Status(429, vec![("Retry-After", "1".into())], "slow down".into()),
        3 => Reply::Cut(b"{".to_vec(), 100),
        _ => Reply::Json(asked.right),
    });
    let start = Instant::now();
    let run = work.run(&server.model(), "out");
    run.args(&["--server-concurrency", "1"]).ends_with(0);
    assert!(start.elapsed() >= Duration::from_secs(1));
    work.must_be_right("out");
    assert_eq!(server.at_once.load(Ordering::SeqCst), 1);

    let tried = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&tried);
    let never = late(move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        Reply::Status(503, vec![], r#"{"error": "busy"}"#.into())
    });
    let run = work
        .run(&never.model(), "never")
        .args(&["--server-retries", "2"]);
    let ended = run.args(&["--server-concurrency", "1"]).ends_with(2);
    says(&ended.stderr, "got status 503: busy (tries: 3)");
    says(&ended.stderr, "--server-retries");
    // The next request may have started before the run ended.
    assert!((3..5).contains(&tried.load(Ordering::SeqCst)));

    let long =
        late(|_, _| Reply::Status(429, vec![("Retry-After", "86400".into())], String::new()));
    let ended = work.run(&long.model(), "long").ends_with(2);
    says(&ended.stderr, "got 86400");
}

#[test]
fn a_run_that_a_server_stopped_resumes() {
    let work = Workspace::new();
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let server = late(move |_, asked| match is_down.load(Ordering::SeqCst) {
        true => Reply::Status(500, vec![], String::new()),
        false => Reply::Json(asked.right),
    });
    let run = || {
        work.run(&server.model(), "out")
            .args(&["--server-retries", "0"])
    };
    run().ends_with(2);
    down.store(false, Ordering::SeqCst);
    run().ends_with(0);
    work.must_be_right("out");
}

#[test]
fn servers_that_never_end_an_answer_time_out() {
    let arguments = ["--server-timeout", "1", "--server-retries", "1"];
    for drips in [true, false] {
        let start = Instant::now();
        let ended = ended(
            move |asked| match asked.path.ends_with("/models") {
                true => Reply::Json(asked.right),
                false if drips => Reply::Drip,
                false => Reply::Hang,
            },
            &arguments,
        );
        says(&ended.stderr, "none within 1 seconds (tries: 2)");
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn answers_that_are_too_large_or_not_json_or_lead_elsewhere_are_refused() {
    let huge = ended(
        |asked| match asked.path.ends_with("/models") {
            true => Reply::Json(asked.right),
            false => Reply::Cut(vec![b' '; 1 << 20], 1 << 20),
        },
        &[],
    );
    says(&huge.stderr, "bytes, got more");
    let json = ended(
        |asked| match asked.path.ends_with("/models") {
            true => Reply::Json(asked.right),
            false => Reply::Status(200, vec![], "<html>".into()),
        },
        &[],
    );
    says(&json.stderr, "expected the JSON of a completion");
    let nan = ended(
        |asked| match asked.path.ends_with("/models") {
            true => Reply::Json(asked.right),
            false => {
                let text = asked.right.to_string().replacen("null,", "null, NaN,", 1);
                Reply::Status(200, vec![], text)
            }
        },
        &[],
    );
    says(&nan.stderr, "a log-prob that is not a number");
    let elsewhere = Completions::right();
    let target = elsewhere.url.clone();
    let redirect = ended(
        move |asked| match asked.path.ends_with("/models") {
            true => Reply::Json(asked.right),
            false => {
                let location = format!("{target}/completions");
                Reply::Status(307, vec![("Location", location)], String::new())
            }
        },
        &[],
    );
    says(&redirect.stderr, "got a redirect to 127.0.0.1:");
    assert!(elsewhere.prompts().is_empty());
}

#[test]
fn refusals_of_a_server_are_shown_safely() {
    let too_long = ended(
        |asked| {
            match asked.path.ends_with("/models") {
            true => Reply::Json(asked.right),
            false => Reply::Status(
                400,
                vec![],
                json!({"error": {"message": "This model's maximum context length is 9 tokens\u{1b}[2J"}})
                    .to_string(),
            ),
        }
        },
        &[],
    );
    says(&too_long.stderr, "a prompt of 64 tokens");
    says(&too_long.stderr, "maximum context length is 9 tokens");
    says(&too_long.stderr, "--context");
    assert!(!too_long.stderr.contains("\u{1b}[2J"));
    let nobody = Workspace::new();
    let ended = nobody
        .run("http://127.0.0.1:9/v1#x", "out")
        .args(&["--server-retries", "0"])
        .ends_with(2);
    says(&ended.stderr, "no connection");
}

#[test]
fn the_key_goes_to_the_server_and_nowhere_else() {
    const SECRET: &str = "sk-very-secret-123";
    let work = Workspace::new();
    let server = Completions::start(|asked| {
        let sent = asked.headers.get("authorization").map(String::as_str);
        match sent == Some("Bearer sk-very-secret-123") {
            true => Reply::Json(asked.right),
            // Some servers repeat the key.
            false => Reply::Status(401, vec![], format!("wrong key: {sent:?}")),
        }
    });
    let model = server.model();
    let missing = work.run(&model, "out").ends_with(2);
    says(&missing.stderr, "RHO_MASK_SERVER_KEY");
    says(&missing.stderr, "without a key");
    let wrong = work
        .run(&model, "out")
        .env("RHO_MASK_SERVER_KEY", "sk-another-1");
    let wrong = wrong.ends_with(2);
    says(&wrong.stderr, "for the key that was sent");
    assert!(!wrong.stderr.contains("sk-another-1"));
    let log = work.at("log.jsonl");
    let ended = work
        .run(&model, "out")
        .arg("--log-file")
        .arg(&log)
        .env("RHO_MASK_SERVER_KEY", SECRET)
        .ends_with(0);
    work.must_be_right("out");
    assert!(!ended.stderr.contains("secret") && !ended.stdout.contains("secret"));
    let shown = work.run(&model, "plan").arg("--show-plan");
    let shown = shown.env("RHO_MASK_SERVER_KEY", SECRET).ends_with(0);
    assert!(!shown.stdout.contains("secret"));
    must_not_hold(work.place.path(), b"very-secret");
    assert!(fs::metadata(log).unwrap().len() > 0);
    let plain = work.run("http://server.invalid/v1#x", "plain");
    let plain = plain.env("RHO_MASK_SERVER_KEY", SECRET).ends_with(2);
    says(&plain.stderr, "expected https to send the key");
}

/// No file under a folder contains these bytes.
#[track_caller]
fn must_not_hold(folder: &Path, bytes: &[u8]) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => must_not_hold(&path, bytes),
            false => {
                let content = fs::read(&path).unwrap();
                let found = content.windows(bytes.len()).any(|window| window == bytes);
                assert!(!found, "{}", path.display());
            }
        }
    }
}

#[test]
fn the_plan_shows_the_server() {
    let work = Workspace::new();
    let server = Completions::right();
    let run = work.run(&server.model(), "out").arg("--show-plan");
    let plan: Value = serde_json::from_str(&run.ends_with(0).stdout).unwrap();
    assert_eq!(
        plan["references"][0],
        json!({
            "name": NAME,
            "server": {"url": server.url, "max_tokens": 0, "batches": true, "concurrency": 8, "retries": 8,
                       "timeout_seconds": 300},
            "vocabulary": 2048,
            "precision": "unknown",
        })
    );
    assert_eq!(plan["scores"], json!(["loss"]));
    assert_eq!(plan["device"], "server");
    assert!(!work.at("out").exists());
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_that_waits() {
    let work = Workspace::new();
    let waits = Arc::new(AtomicBool::new(false));
    let is_asked = Arc::clone(&waits);
    let server = late(move |_, _| {
        is_asked.store(true, Ordering::SeqCst);
        Reply::Hang
    });
    let mut run = work.run(&server.model(), "out");
    let mut child = run.0.stderr(Stdio::piped()).spawn().unwrap();
    while !waits.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(20));
        assert!(child.try_wait().unwrap().is_none());
    }
    let pid = child.id().to_string();
    let signal = Command::new("kill").args(["-INT", &pid]).status();
    assert!(signal.unwrap().success());
    let start = Instant::now();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(20));
    says(&String::from_utf8_lossy(&ended.stderr), "resume with");
}

/// Starts `serve` with the demonstration model, and gives its URL.
fn serve(arguments: &[&str]) -> (Child, String) {
    let mut command = Run::new(&["serve", "--device", "cpu", "--port", "0", "--model"])
        .arg(demo())
        .args(arguments)
        .0;
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    let url = line["listening"]["url"].as_str().unwrap();
    (child, format!("{url}/v1"))
}

#[test]
fn serve_is_a_reference() {
    const KEY: &str = "sk-of-serve-1";
    let work = Workspace::new();
    let (mut child, url) = serve(&["--api-key", KEY, "--served-name", "org/demo"]);
    let model = format!("{url}#org/demo");
    let without = work.run(&model, "without").ends_with(2);
    let run = work.run(&model, "out").env("RHO_MASK_SERVER_KEY", KEY);
    let said = run.end();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        !said.stderr.contains("one prompt at a time"),
        "{}",
        said.stderr
    );
    says(&without.stderr, "without a key");
    let run = Run::score(&work.at("a.jsonl"), &work.at("demo"))
        .arg("--model")
        .arg(demo());
    run.args(&["--by", "loss", "--context", "64"]).ends_with(0);
    let (got, expected) = (work.losses("out"), work.losses("demo"));
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(&expected) {
        assert_close(got, expected, ROUNDING, "serve");
    }
}

/// llama.cpp as the engine; its Python is named by a variable, because pip compiles llama.cpp for many minutes.
fn with_llama_cpp(name: &str) {
    const PYTHON: &str = "RHO_MASK_LLAMA_CPP_PYTHON";
    let Some(python) = std::env::var_os(PYTHON) else {
        skipped(&format!(
            "{PYTHON} names no Python with llama-cpp-python[server] and gguf"
        ));
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    let command = command
        .args([
            "-c",
            include_str!("reference_server.py"),
            env!("CARGO_BIN_EXE_rho-mask"),
        ])
        .arg(demo().join("tokenizer.json"))
        .arg(place.path().join("place"))
        .arg(name);
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
}

#[test]
#[ignore = "needs llama-cpp-python, which pip compiles"]
fn llama_cpp_losses() {
    with_llama_cpp("the_losses_of_llama_cpp_are_those_of_the_checkpoint");
}

#[test]
#[ignore = "needs llama-cpp-python, which pip compiles"]
fn llama_cpp_positions() {
    with_llama_cpp("log_probs_of_the_position_after_are_refused");
}

#[test]
#[ignore = "needs llama-cpp-python, which pip compiles"]
fn llama_cpp_server() {
    with_llama_cpp("its_own_server_is_refused");
}
