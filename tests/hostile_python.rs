//! Every start of Python in a folder that holds Python modules of a stranger, with variables that name it: nothing of it
//! runs.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Run, demo, root, skipped, write};

/// Modules that Python imports when it starts, and that our scripts and pip import.
const MODULES: [&str; 12] = [
    "json/__init__.py",
    "encodings/__init__.py",
    "sitecustomize.py",
    "usercustomize.py",
    "site.py",
    "importlib/__init__.py",
    "os.py",
    "runpy.py",
    "pip/__init__.py",
    "pip.py",
    "torch/__init__.py",
    "onnxruntime/__init__.py",
];

/// A folder in which every way to run code is tried, and the file that such code writes.
struct Hostile {
    place: tempfile::TempDir,
}

impl Hostile {
    fn new() -> Self {
        let hostile = Self {
            place: tempfile::tempdir().unwrap(),
        };
        // With what is built in, because the first modules run before files can be opened.
        let code = format!(
            "import posix; posix.write(posix.open({:?}, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND), \
             __name__.encode())\n",
            hostile.marker()
        );
        for module in MODULES {
            write(&hostile.at(module), &code);
        }
        let packages = "lib/python3.11/site-packages";
        write(&hostile.at(&format!("{packages}/hostile.pth")), &code);
        // `home` says where the standard library is.
        let here = hostile.at("").display().to_string();
        write(
            &hostile.at("pyvenv.cfg"),
            format!("home = {here}/bin\ninclude-system-site-packages = true\n"),
        );
        for python in ["python3", "python", "bin/python3"] {
            let script = format!(
                "#!/bin/sh\necho started >> '{}'\n",
                hostile.marker().display()
            );
            write(&hostile.at(python), script);
            fs::set_permissions(hostile.at(python), fs::Permissions::from_mode(0o755)).unwrap();
        }
        // Programs that choose a Python by the current folder.
        write(&hostile.at(".python-version"), "../../here/bin");
        write(&hostile.at(".tool-versions"), "python path:.\n");
        write(&hostile.at("corpus.jsonl"), "{\"text\": \"one and two\"}\n");
        hostile
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join("here").join(name)
    }

    fn marker(&self) -> PathBuf {
        self.place.path().join("code-ran")
    }

    /// What ran; empty if nothing did.
    fn ran(&self) -> String {
        let ran = fs::read_to_string(self.marker()).unwrap_or_default();
        let _ = fs::remove_file(self.marker());
        ran
    }

    /// A command in the folder, with every variable of Python that leads there.
    fn hostile(&self, mut run: Run) -> Run {
        for name in ["ORT_DYLIB_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"] {
            run.0.env_remove(name);
        }
        let path = std::env::var("PATH").unwrap();
        run.0
            .current_dir(self.at(""))
            .env("PATH", format!(":.:{path}"))
            .env("PYTHONPATH", self.at(""))
            .env("PYTHONHOME", self.at(""))
            .env("PYTHONSTARTUP", self.at("json/__init__.py"))
            .env("PYTHONUSERBASE", self.at(""))
            .env("PYTHONINSPECT", "1")
            .env("PYTHONPLATLIBDIR", self.at("lib"));
        run
    }
}

/// The attacks work: a plain Python runs the code.
#[test]
fn a_plain_python_runs_the_code() {
    let hostile = Hostile::new();
    let plain = || {
        let mut command = Command::new("python3");
        command
            .args(["-c", "import json"])
            .current_dir(hostile.place.path());
        command
    };
    let ran = |command: &mut Command| match command.output() {
        Ok(_) => Some(hostile.ran()),
        Err(_) => {
            skipped("there is no python3");
            None
        }
    };
    let here = ran(plain().current_dir(hostile.at("")));
    assert_ne!(here.as_deref(), Some(""));
    let named = ran(plain().env("PYTHONPATH", hostile.at("")));
    assert_ne!(named.as_deref(), Some(""));
    let isolated = ran(Command::new("python3")
        .args(["-I", "-c", "import json"])
        .current_dir(hostile.at("")));
    assert!(matches!(isolated.as_deref(), None | Some("")));
}

#[test]
fn the_search_runs_nothing_of_the_folder() {
    let hostile = Hostile::new();
    let empty = hostile.place.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let doctor = Run::new(&["doctor"])
        .env("XDG_CACHE_HOME", &empty)
        .env("HOME", &empty)
        .env("RHO_MASK_OFFLINE", "1");
    let ended = hostile.hostile(doctor).end();
    assert_eq!(hostile.ran(), "", "{}", ended.stdout);
    // Python was asked.
    let packages = ended
        .stdout
        .lines()
        .find(|line| line.contains("Python's packages"));
    let packages = packages.unwrap_or_else(|| panic!("{}", ended.stdout));
    for wrong in [
        "not searched",
        "could not be started",
        "ended with",
        "not understood",
    ] {
        assert!(!packages.contains(wrong), "{packages}");
    }
    let score = Run::new(&["score", "corpus.jsonl", "--device", "cpu", "--out", "masks"])
        .env("XDG_CACHE_HOME", &empty)
        .env("HOME", &empty)
        .env("RHO_MASK_OFFLINE", "1");
    let ended = hostile.hostile(score).end();
    assert_eq!(hostile.ran(), "", "{}", ended.stderr);
}

#[test]
fn pip_runs_nothing_of_the_folder() {
    let hostile = Hostile::new();
    let empty = hostile.place.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let setup = Run::new(&["setup"])
        .env("XDG_CACHE_HOME", &empty)
        .env("HOME", &empty)
        .env("RHO_MASK_OFFLINE", "0")
        // No index answers there.
        .env("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        .env("PIP_RETRIES", "0")
        .env("PIP_TIMEOUT", "1");
    let ended = hostile.hostile(setup).ends_with(2);
    assert_eq!(hostile.ran(), "", "{}", ended.stderr);
    let said = ["pip could not download onnxruntime==", "has no pip"];
    assert!(
        said.iter().any(|said| ended.stderr.contains(said)),
        "{}",
        ended.stderr
    );
}

#[test]
fn verify_uses_the_virtual_environment_that_the_user_names() {
    let hostile = Hostile::new();
    let venv = hostile.at("venv");
    let made = Command::new("python3")
        .args(["-I", "-m", "venv", "--without-pip"])
        .arg(&venv)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        skipped("python3 cannot make a virtual environment");
        return;
    }
    // The modules of the user's own environment: they are used, and say so.
    let used = hostile.place.path().join("venv-was-used");
    let packages = fs::read_dir(venv.join("lib"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let own = format!("open({used:?}, 'a').write(__name__ + ' ')\n__version__ = '0.1'\n");
    for module in ["torch", "transformers"] {
        write(
            &packages.join(format!("site-packages/{module}/__init__.py")),
            &own,
        );
    }
    let fixture = root().join("models/graph/tests/fixtures/llama_tied");
    let verify = |python: &Path| {
        let run = Run::new(&[
            "verify",
            "--device",
            "cpu",
            "--out",
            "verify.json",
            "--model",
        ])
        .arg(demo())
        .arg("--checkpoint")
        .arg(&fixture)
        .arg("--python")
        .arg(python);
        // It fails later: the modules are empty.
        let ended = hostile.hostile(run).ends_with(2);
        assert_eq!(hostile.ran(), "", "{}", ended.stderr);
        let used_modules = fs::read_to_string(&used).unwrap_or_default();
        let _ = fs::remove_file(&used);
        (used_modules, ended.stderr)
    };
    for python in [Path::new("venv/bin/python"), &venv.join("bin/python3")] {
        let (modules, said) = verify(python);
        assert_eq!(modules, "torch transformers ", "{said}");
        assert!(!said.contains("got no module"), "{said}");
    }
    // A bare name is not the program of the current folder.
    let (modules, said) = verify(Path::new("python3"));
    assert_eq!(modules, "", "{said}");
}
