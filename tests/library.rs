//! Which ONNX Runtime is used, and the error if none can be. The library's own module tests downloads; these tests only
//! use an existing installation.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Run, demo, skipped, write};

fn corpus(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("a.txt");
    write(&path, "1 + 1 = 2");
    path
}

#[test]
fn without_a_library_and_offline_the_command_to_run_is_named() {
    let place = tempfile::tempdir().unwrap();
    let (empty, out) = (place.path().join("empty"), place.path().join("masks"));
    fs::create_dir(&empty).unwrap();
    let ended = Run::score(&corpus(place.path()), &out)
        .arg("--model")
        .arg(demo())
        .without_library(&empty)
        .ends_with(2);
    let expected = "error: onnxruntime 1.31.1 is not installed, and RHO_MASK_OFFLINE forbids downloading it\n\
                    hint: run `rho-mask setup` without RHO_MASK_OFFLINE";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    assert!(!out.exists());

    let ended = Run::new(&["setup"]).without_library(&empty).ends_with(2);
    assert!(
        ended.stderr.contains("RHO_MASK_OFFLINE"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
    assert_eq!(
        fs::read_dir(&empty).unwrap().count(),
        0,
        "something was written"
    );

    let ended = Run::new(&["doctor"]).without_library(&empty).ends_with(1);
    assert!(
        ended.stdout.contains("off (RHO_MASK_OFFLINE)"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("none: no usable ONNX Runtime"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("`rho-mask setup` installs"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_library_that_was_named_is_used_or_an_error() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("masks");
    let score = |library: &Path| {
        let run = Run::score(&corpus(place.path()), &out).arg("--ort-lib");
        let ended = run.arg(library).ends_with(2);
        assert!(!out.exists());
        let at = ended.stderr.find("error: ").unwrap();
        let told = ended.stderr[at..].to_owned();
        assert!(
            told.starts_with(&format!("error: {}: ", library.display())),
            "{told}"
        );
        assert!(told.contains("\nhint: "), "{told}");
        told
    };
    let missing = place.path().join("missing.so");
    assert!(score(&missing).contains("there is no such file"));
    let text = place.path().join("text.so");
    write(&text, "This is no library.");
    let told = score(&text);
    assert!(
        told.contains("not a library that can be loaded here"),
        "{told}"
    );

    // The variable says the same as the option.
    let run = Run::score(&corpus(place.path()), &out).env("ORT_DYLIB_PATH", &text);
    let ended = run.ends_with(2);
    assert!(
        ended
            .stderr
            .contains("not a library that can be loaded here"),
        "{}",
        ended.stderr
    );
    let doctor = Run::new(&["doctor", "--ort-lib"]).arg(&text).ends_with(1);
    assert!(
        doctor
            .stdout
            .contains("not a library that can be loaded here"),
        "{}",
        doctor.stdout
    );
}

/// A library that implements ONNX Runtime's interface up to its version.
#[cfg(unix)]
const FAKE: &str = r#"
struct base { const void *(*get_api)(unsigned); const char *(*get_version)(void); };
static const void *get_api(unsigned level) { return 0; }
static const char *get_version(void) { return "2.0.0"; }
static const struct base the_base = { get_api, get_version };
const struct base *OrtGetApiBase(void) { return &the_base; }
"#;

#[cfg(unix)]
#[test]
fn a_library_of_another_major_version_is_refused_with_both_versions() {
    let place = tempfile::tempdir().unwrap();
    let (library, out) = (place.path().join("libfake.so"), place.path().join("masks"));
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-x", "c", "-o"])
        .arg(&library)
        .arg("-")
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut compiler) = compiler else {
        skipped("no C compiler (cc) to build a library");
        return;
    };
    let mut source = compiler.stdin.take().unwrap();
    source.write_all(FAKE.as_bytes()).unwrap();
    drop(source);
    assert!(compiler.wait().unwrap().success());
    let run = Run::score(&corpus(place.path()), &out).arg("--ort-lib");
    let ended = run.arg(&library).ends_with(2);
    let expected = format!(
        "error: {}: expected ONNX Runtime 1.22 or a later 1.x, got 2.0.0\nhint: ",
        library.display()
    );
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
    assert!(!out.exists());
}

#[test]
fn doctor_names_what_score_uses() {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path());
    let plan = Run::score(&corpus, &place.path().join("masks")).arg("--show-plan");
    let plan = plan.ends_with(0).stdout;
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let library = plan["library"].as_str().unwrap();
    let doctor = Run::new(&["doctor", "--ort-lib", library]).ends_with(0);
    for word in [
        library,
        plan["library_version"].as_str().unwrap(),
        "providers",
        "device",
    ] {
        assert!(
            doctor.stdout.contains(word),
            "expected {word:?} in {}",
            doctor.stdout
        );
    }
}
