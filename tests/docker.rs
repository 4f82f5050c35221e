//! The Dockerfile: what can be checked without Docker, and the images where a Docker engine answers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use crate::support::{read_json, root, skipped, write};

/// An instruction with its arguments, on one line.
struct Instruction {
    name: String,
    arguments: Vec<String>,
}

/// A stage: its name, the image it starts from, and its instructions.
struct Stage {
    name: String,
    from: String,
    instructions: Vec<Instruction>,
}

/// The stages of a Dockerfile. Arguments are words: none has spaces, but for those of RUN.
fn stages(text: &str) -> Result<Vec<Stage>, String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    let mut stages: Vec<Stage> = Vec::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace().map(str::to_owned);
        let name = words.next().unwrap_or_default();
        let arguments: Vec<String> = words.collect();
        if name == "FROM" {
            let [from, _as, stage] = arguments.as_slice() else {
                return Err(format!("{line}: expected FROM IMAGE AS NAME"));
            };
            stages.push(Stage {
                name: stage.clone(),
                from: from.clone(),
                instructions: Vec::new(),
            });
            continue;
        }
        let Some(stage) = stages.last_mut() else {
            return Err(format!("{line}: expected FROM first"));
        };
        stage.instructions.push(Instruction { name, arguments });
    }
    Ok(stages)
}

/// What is wrong with a Dockerfile and its `.dockerignore`.
fn problems(dockerfile: &str, ignore: &str) -> Vec<String> {
    let stages = match stages(dockerfile) {
        Ok(stages) => stages,
        Err(problem) => return vec![problem],
    };
    let mut wrong = Vec::new();
    let mut copied = BTreeSet::new();
    for (i, stage) in stages.iter().enumerate() {
        let is_earlier = |name: &str| stages[..i].iter().any(|stage| stage.name == name);
        if !is_earlier(&stage.from) {
            let tag = stage.from.split_once(':').map_or("", |(_, tag)| tag);
            if !tag.starts_with(|c: char| c.is_ascii_digit()) || !tag.contains('.') {
                wrong.push(format!(
                    "FROM {}: expected a tag with a version",
                    stage.from
                ));
            }
        }
        for Instruction { name, arguments } in &stage.instructions {
            let said = format!("{name} {}", arguments.join(" "));
            match name.as_str() {
                "COPY" => match arguments[0].strip_prefix("--from=") {
                    Some(from) if is_earlier(from) => {}
                    Some(_) => wrong.push(format!("{said}: expected an earlier stage")),
                    None => copied.extend(arguments[..arguments.len() - 1].iter().cloned()),
                },
                "ENV" | "ARG" => {
                    let version = rho_runtime::PINNED_VERSION;
                    for value in arguments.iter().filter_map(|a| a.split_once('=')) {
                        let expected = match value.0 {
                            "ONNX_RUNTIME" => version.to_owned(),
                            "ORT_DYLIB_PATH" => {
                                format!("/opt/onnxruntime/libonnxruntime.so.{version}")
                            }
                            _ => continue,
                        };
                        if value.1 != expected {
                            wrong.push(format!("{said}: expected {expected}"));
                        }
                    }
                }
                "RUN" if said.contains("apt-get install") => {
                    for part in ["--no-install-recommends", "rm -rf /var/lib/apt/lists/*"] {
                        if !said.contains(part) {
                            wrong.push(format!("{said}: expected {part}"));
                        }
                    }
                }
                "RUN" | "WORKDIR" | "USER" | "ENTRYPOINT" => {}
                _ => wrong.push(format!("{said}: unknown instruction")),
            }
        }
    }
    for name in ["cpu", "cuda"] {
        let found = stages.iter().find(|stage| stage.name == name);
        let last = found.map_or(&[][..], |stage| &stage.instructions[..]);
        let last: Vec<String> = last[last.len().saturating_sub(2)..]
            .iter()
            .map(|i| format!("{} {}", i.name, i.arguments.join(" ")))
            .collect();
        if last != ["USER 1000", r#"ENTRYPOINT ["rho-mask"]"#] {
            wrong.push(format!(
                "stage {name}: expected USER 1000 and ENTRYPOINT, got {last:?}"
            ));
        }
    }
    if stages.last().is_none_or(|stage| stage.name != "cpu") {
        wrong.push("expected the stage cpu last: it is the default".to_owned());
    }
    for path in &copied {
        if !root().join(path).exists() {
            wrong.push(format!("COPY {path}: it does not exist"));
        }
    }
    // What is copied is sent to the engine, and nothing else.
    let sent: BTreeSet<String> = ignore
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .map(str::to_owned)
        .collect();
    if ignore.lines().next() != Some("*") || sent != copied {
        wrong.push(format!(
            ".dockerignore: expected all but {copied:?}, got all but {sent:?}"
        ));
    }
    wrong
}

fn texts() -> [String; 2] {
    ["Dockerfile", ".dockerignore"].map(|name| fs::read_to_string(root().join(name)).unwrap())
}

#[test]
fn the_dockerfile_is_pinned_and_copies_what_exists() {
    let [dockerfile, ignore] = texts();
    let found = problems(&dockerfile, &ignore);
    assert!(found.is_empty(), "{found:#?}");
    // The compiler is not older than the program needs.
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let needed = manifest["workspace"]["package"]["rust-version"]
        .as_str()
        .unwrap();
    assert!(
        dockerfile.contains(&format!("FROM rust:{needed}.")),
        "rust {needed}"
    );
}

#[test]
fn what_is_wrong_with_a_dockerfile_is_found() {
    let [dockerfile, ignore] = texts();
    let cases = [
        (
            "FROM debian:12.12-slim",
            "FROM debian",
            "FROM debian: expected a tag",
        ),
        (
            "FROM debian:12.12-slim",
            "FROM debian:latest",
            "expected a tag",
        ),
        (
            "COPY src src",
            "COPY src sources src",
            "COPY sources: it does not exist",
        ),
        (
            "COPY src src",
            "ADD https://example.org/src src",
            "unknown instruction",
        ),
        (
            "--from=cpu-library",
            "--from=library",
            "expected an earlier stage",
        ),
        (
            "libonnxruntime.so.1.",
            "libonnxruntime.so.2.",
            "expected /opt/onnxruntime",
        ),
        (
            "ONNX_RUNTIME=1.",
            "ONNX_RUNTIME=2.",
            "ARG ONNX_RUNTIME=2.31.1: expected",
        ),
        (
            "\nUSER 1000",
            "\nUSER root",
            "stage cuda: expected USER 1000",
        ),
        (
            "ENTRYPOINT [\"rho-mask\"]",
            "RUN rho-mask",
            "and ENTRYPOINT",
        ),
        (" AS cpu\n", " AS small\n", "expected the stage cpu last"),
        ("COPY src src\n", "", ".dockerignore: expected all but"),
        (
            " --no-install-recommends",
            "",
            "expected --no-install-recommends",
        ),
    ];
    for (from, to, said) in cases {
        let changed = dockerfile.replace(from, to);
        assert!(changed != dockerfile, "{from}");
        let found = problems(&changed, &ignore);
        assert!(
            found.iter().any(|problem| problem.contains(said)),
            "{said}: {found:#?}"
        );
    }
}

/// The crates that Cargo finds in the copied files alone are those of the project.
#[test]
fn cargo_finds_all_crates_in_the_copied_files() {
    let [dockerfile, _] = texts();
    let place = tempfile::tempdir().unwrap();
    let stages = stages(&dockerfile).unwrap();
    let copies = stages[0].instructions.iter().filter(|i| i.name == "COPY");
    for copy in copies {
        let (into, sources) = copy.arguments.split_last().unwrap();
        for source in sources {
            let into = place.path().join(into);
            let file = root().join(source);
            fs::create_dir_all(&into).unwrap();
            let mut command = Command::new("cp");
            match file.is_dir() {
                true => command.arg("-r").arg(file.join(".")).arg(&into),
                false => command.arg(&file).arg(&into),
            };
            succeeds(&mut command);
        }
    }
    let crates = |folder: &Path| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args([
                "metadata",
                "--locked",
                "--offline",
                "--no-deps",
                "--format-version",
                "1",
            ])
            .current_dir(folder);
        let found: serde_json::Value =
            serde_json::from_slice(&succeeds(&mut cargo).stdout).unwrap();
        let packages = found["packages"].as_array().unwrap();
        let names = packages
            .iter()
            .map(|package| package["name"].as_str().unwrap().to_owned());
        names.collect::<BTreeSet<_>>()
    };
    let found = crates(place.path());
    assert!(found.contains("rho-mask"), "{found:?}");
    assert_eq!(found, crates(root()));
}

#[track_caller]
fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

#[test]
#[ignore = "builds the program in containers, with 1.4 GB of NVIDIA's libraries; run it with --ignored"]
fn the_images_score_with_docker() {
    let engine = Command::new("docker")
        .args(["version", "--format", "{{.Server.Version}}"])
        .output();
    if !engine.is_ok_and(|output| output.status.success()) {
        skipped("no Docker engine answers: the images were not built");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let line = json!({"text": "What is 3 plus 4? It is 7."}).to_string();
    write(&place.path().join("corpus.jsonl"), line);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    }
    for stage in ["cpu", "cuda"] {
        let image = format!("rho-mask-test:{stage}");
        let mut build = Command::new("docker");
        build.args(["build", "--target", stage, "--tag", &image, "."]);
        succeeds(build.current_dir(root()));
        let volume = format!("{}:/data", place.path().display());
        let mut run = Command::new("docker");
        run.args([
            "run",
            "--rm",
            "--network",
            "none",
            "--volume",
            &volume,
            &image,
        ]);
        run.args(["score", "corpus.jsonl", "--device", "cpu", "--out", stage]);
        succeeds(&mut run);
        let summary = read_json(&place.path().join(stage).join("summary.json"));
        assert_eq!(summary["documents"], 1, "{stage}");
    }
}
