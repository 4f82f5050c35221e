//! The crate as the program uses it: real files, a real loader, and one real download. Everything that needs a compiled
//! library or Python is tested here; the rest is tested beside the code.
#![cfg(target_os = "linux")]
#![expect(clippy::print_stderr, reason = "a skipped test prints why")]
#![expect(
    clippy::unwrap_used,
    reason = "the exception for tests does not apply to their helpers"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rho_runtime::{
    Library, LibraryError, LibraryOptions, Origin, PINNED_VERSION, State, find, find_or_install,
    has_cuda_provider, install, load, overwritten, preloaded, verify,
};

/// A library that passes the version check like ONNX Runtime.
const FAKE: &str = r#"
struct base { const void *(*get_api)(unsigned); const char *(*get_version)(void); };
static int table;
static const void *get_api(unsigned level) { return level <= LEVEL ? &table : 0; }
static const char *get_version(void) { return VERSION; }
static const struct base the_base = { get_api, get_version };
const struct base *OrtGetApiBase(void) { return &the_base; }
"#;

fn options(folder: &Path) -> LibraryOptions {
    LibraryOptions {
        path: None,
        own_environment: None,
        virtual_env: None,
        conda_prefix: None,
        cache: folder.join("cache"),
        offline: true,
        python: folder.join("no-python"),
        cuda: false,
    }
}

/// Compiles a library; prints a message and returns `None` if there is no C compiler.
fn compile(source: &str, flags: &[&str], path: &Path) -> Option<()> {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let command = Command::new("cc")
        .args(["-shared", "-fPIC", "-x", "c", "-o"])
        .arg(path)
        .args(flags)
        .arg("-")
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut compiler) = command else {
        eprintln!("skipped: no C compiler (cc) to build a library with");
        return None;
    };
    compiler
        .stdin
        .take()
        .unwrap()
        .write_all(source.as_bytes())
        .unwrap();
    assert!(compiler.wait().unwrap().success());
    Some(())
}

fn fake(version: &str, path: &Path) -> Option<()> {
    compile(
        FAKE,
        &[&format!("-DVERSION=\"{version}\""), "-DLEVEL=99"],
        path,
    )
}

/// A program that replaces Python. A shell writes it: if this process had the file open for writing while another test
/// starts a program, the file could not be executed.
fn program(path: &Path, script: &str) {
    let mut shell = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod +x \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(format!("#!/bin/sh\n{script}\n").as_bytes())
        .unwrap();
    assert!(shell.wait().unwrap().success());
}

fn in_site_packages(environment: &Path) -> PathBuf {
    environment.join("lib/python3.12/site-packages/onnxruntime/capi/libonnxruntime.so.1.31.1")
}

fn states(options: &LibraryOptions) -> Vec<State> {
    find(options).0.iter().map(|looked| looked.state).collect()
}

#[test]
fn the_places_are_searched_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let given = root.join("given/libonnxruntime.so");
    let (own, venv, conda) = (
        in_site_packages(&root.join("own")),
        in_site_packages(&root.join("venv")),
        in_site_packages(&root.join("conda")),
    );
    let system = root.join("system/onnxruntime/capi/libonnxruntime.so.1.31.1");
    let arch = std::env::consts::ARCH;
    let cache = root.join(format!("cache/onnxruntime-{PINNED_VERSION}-linux-{arch}"));
    let cached = cache.join("libonnxruntime.so.1.31.1");
    for path in [&given, &own, &venv, &conda, &system, &cached] {
        let Some(()) = fake("1.99.0", path) else {
            return;
        };
    }
    let bytes = fs::metadata(&cached).unwrap().len();
    let xxh3 = rho_files::Content::of(&cached).unwrap().xxh3;
    let manifest = format!(
        r#"{{"files": {{"libonnxruntime.so.1.31.1": {{"bytes": {bytes}, "sha256": "", "xxh3": "{xxh3}"}}}}}}"#
    );
    fs::write(cache.join("manifest.json"), manifest).unwrap();
    let python = root.join("python3");
    let package = root.join("system/onnxruntime");
    program(
        &python,
        &format!(
            "echo '{{\"onnxruntime\": [\"{}\"], \"nvidia\": []}}'",
            package.display()
        ),
    );

    let mut options = LibraryOptions {
        path: Some(given.clone()),
        own_environment: Some(root.join("own")),
        virtual_env: Some(root.join("venv")),
        conda_prefix: Some(root.join("conda")),
        python,
        ..options(root)
    };
    let mut found = |change: &dyn Fn(&mut LibraryOptions)| {
        change(&mut options);
        let (looked, library) = find(&options);
        let library = library.unwrap();
        let used: Vec<_> = looked
            .iter()
            .filter(|place| place.state == State::Used)
            .collect();
        assert_eq!(used.len(), 1);
        assert_eq!(
            (used[0].origin, used[0].path.as_ref()),
            (library.origin, Some(&library.path))
        );
        assert_eq!(used[0].found, "ONNX Runtime 1.99.0");
        assert_eq!(library.version, "1.99.0");
        assert!(!library.has_cuda_provider_file);
        (library.origin, library.path)
    };
    assert_eq!(found(&|_| ()), (Origin::Given, given));
    assert_eq!(
        found(&|options| options.path = None),
        (Origin::OwnEnvironment, own)
    );
    assert_eq!(
        found(&|options| options.own_environment = None),
        (Origin::VirtualEnvironment, venv)
    );
    assert_eq!(
        found(&|options| options.virtual_env = None),
        (Origin::Conda, conda)
    );
    assert_eq!(
        found(&|options| options.conda_prefix = None),
        (Origin::PythonPackage, system)
    );
    assert_eq!(
        found(&|options| options.python = "/nowhere".into()),
        (Origin::Cache, cached)
    );
    options.cache = root.join("other");
    assert_eq!(states(&options), [State::Absent; 6]);
}

#[test]
fn a_given_library_is_used_or_is_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let error = |name: &str| {
        let options = LibraryOptions {
            path: Some(root.join(name)),
            offline: false,
            ..options(root)
        };
        let (looked, result) = find(&options);
        assert_eq!((looked.len(), looked[0].state), (1, State::Unusable));
        let error = result.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&root.join(name).display().to_string()),
            "{error}"
        );
        // Nothing else is tried, and nothing is installed.
        let mut say = |line: &str| assert!(line.starts_with("skipping"), "{line}");
        assert_eq!(
            find_or_install(&options, &mut say).unwrap_err().to_string(),
            error.to_string()
        );
        error
    };
    assert!(matches!(error("none"), LibraryError::NotAFile { .. }));
    fs::create_dir(root.join("a-folder")).unwrap();
    assert!(matches!(error("a-folder"), LibraryError::NotAFile { .. }));
    fs::write(
        root.join("libonnxruntime.so"),
        "not a library\n".repeat(100),
    )
    .unwrap();
    assert!(matches!(
        error("libonnxruntime.so"),
        LibraryError::Open { .. }
    ));

    let Some(()) = fake("2.0.0", &root.join("two.so")) else {
        return;
    };
    let message = error("two.so").to_string();
    assert!(
        message.ends_with("expected ONNX Runtime 1.22 or a later 1.x, got 2.0.0"),
        "{message}"
    );
    fake("1.15.1", &root.join("old.so")).unwrap();
    let message = error("old.so").to_string();
    assert!(
        message.ends_with("expected ONNX Runtime 1.22 or a later 1.x, got 1.15.1"),
        "{message}"
    );
    compile(
        FAKE,
        &["-DVERSION=\"1.30.0\"", "-DLEVEL=7"],
        &root.join("mute.so"),
    )
    .unwrap();
    assert!(matches!(error("mute.so"), LibraryError::Version { .. }));
    compile("int f(void) { return 1; }", &[], &root.join("other.so")).unwrap();
    assert!(matches!(
        error("other.so"),
        LibraryError::NoEntryPoint { .. }
    ));

    // Truncated within a segment that the loader maps: without the check, the process would be killed.
    let whole = fs::read(root.join("two.so")).unwrap();
    fs::write(root.join("cut.so"), &whole[..whole.len() / 3]).unwrap();
    let LibraryError::Truncated { expected, got, .. } = error("cut.so") else {
        panic!("it is truncated")
    };
    assert!(got < expected, "{got} {expected}");
}

#[test]
fn offline_is_an_error_that_names_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let offline = options(folder.path());
    let error = find_or_install(&offline, &mut |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "onnxruntime 1.31.1 is not installed, and RHO_MASK_OFFLINE forbids downloading it"
    );
    if cfg!(target_arch = "x86_64") {
        let error = install(&offline, true, &mut |_| {}).unwrap_err();
        assert!(
            matches!(
                error,
                LibraryError::Offline {
                    package: "onnxruntime-gpu"
                }
            ),
            "{error:?}"
        );
    }
    assert!(!offline.cache.exists());
}

#[test]
fn an_unusable_library_is_passed_over_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let Some(()) = fake("1.15.1", &in_site_packages(&root.join("venv"))) else {
        return;
    };
    let options = LibraryOptions {
        virtual_env: Some(root.join("venv")),
        ..options(root)
    };
    let mut said = Vec::new();
    let error = find_or_install(&options, &mut |line| said.push(line.to_owned())).unwrap_err();
    assert!(matches!(error, LibraryError::Offline { .. }), "{error}");
    assert_eq!(said.len(), 2);
    assert!(
        said[0].starts_with("skipping VIRTUAL_ENV: /") && said[0].ends_with("got 1.15.1"),
        "{said:?}"
    );
    assert_eq!(said[1], "no usable ONNX Runtime was found");
}

#[test]
fn cuda_takes_a_library_with_the_provider_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (first, second) = (
        in_site_packages(&root.join("venv")),
        in_site_packages(&root.join("conda")),
    );
    let Some(()) = fake("1.31.1", &first) else {
        return;
    };
    fake("1.31.1", &second).unwrap();
    let provider = second.with_file_name("libonnxruntime_providers_cuda.so");
    fs::write(&provider, "").unwrap();
    fs::create_dir_all(root.join("conda/lib/python3.12/site-packages/nvidia/cu13/lib")).unwrap();
    let mut options = LibraryOptions {
        virtual_env: Some(root.join("venv")),
        conda_prefix: Some(root.join("conda")),
        cuda: true,
        ..options(root)
    };
    let library = find(&options).1.unwrap();
    assert_eq!(
        (library.origin, library.has_cuda_provider_file),
        (Origin::Conda, true)
    );
    let folders = library.cuda_folders.unwrap();
    assert!(
        folders
            .iter()
            .any(|folder| folder.ends_with("nvidia/cu13/lib")),
        "{folders:?}"
    );
    assert_eq!(
        states(&options)[..4],
        [State::Absent, State::Absent, State::Unusable, State::Used]
    );

    // Without CUDA, no folders are searched.
    options.cuda = false;
    assert_eq!(find(&options).1.unwrap().cuda_folders, None);

    options.cuda = true;
    fs::remove_file(provider).unwrap();
    let error = find_or_install(&options, &mut |_| {}).unwrap_err();
    assert!(
        matches!(error, LibraryError::NoCudaLibrary { .. }),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("it has no CUDA provider beside it"),
        "{error}"
    );
}

/// The state after pip has installed both packages, the CPU package last.
#[test]
fn the_cpu_package_over_the_gpu_package_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let library = in_site_packages(&root.join("venv"));
    let Some(()) = fake("1.31.1", &library) else {
        return;
    };
    let provider = library.with_file_name("libonnxruntime_providers_cuda.so");
    fs::write(provider, "").unwrap();
    let packages = root.join("venv/lib/python3.12/site-packages");
    let info = packages.join("onnxruntime_gpu-1.31.1.dist-info");
    fs::create_dir_all(&info).unwrap();
    let record = |bytes: u64| {
        let line = format!("onnxruntime/capi/libonnxruntime.so.1.31.1,sha256=x,{bytes}\n");
        fs::write(info.join("RECORD"), line).unwrap();
    };
    let bytes = fs::metadata(&library).unwrap().len();
    let mut options = LibraryOptions {
        virtual_env: Some(root.join("venv")),
        cuda: true,
        ..options(root)
    };
    // The GPU package's own library.
    record(bytes);
    assert_eq!(find(&options).1.unwrap().path, library);

    record(bytes + 1);
    let (looked, found) = find(&options);
    let said =
        "it belongs to the package onnxruntime, which has overwritten onnxruntime-gpu 1.31.1";
    assert!(
        looked
            .iter()
            .any(|place| place.state == State::Unusable && place.found.ends_with(said)),
        "{looked:?}"
    );
    let error = found.unwrap_err();
    let named = match &error {
        LibraryError::NoCudaLibrary { overwritten, .. } => overwritten.is_some(),
        _ => false,
    };
    assert!(named, "{error:?}");

    // It is usable on the CPU, and can be reported nevertheless.
    options.cuda = false;
    let library = find(&options).1.unwrap();
    let told = overwritten(&library).unwrap();
    assert!(told.to_string().ends_with(said), "{told}");
    // A library that the user named is not checked.
    options.cuda = true;
    options.path = Some(library.path);
    assert!(find(&options).1.is_ok());
}

#[test]
fn what_pip_says_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let failing = |name: &str, script: &str| {
        let python = root.join(name);
        program(&python, script);
        let options = LibraryOptions {
            python,
            offline: false,
            ..options(root)
        };
        find_or_install(&options, &mut |_| {}).unwrap_err()
    };
    let error = failing(
        "no-pip",
        "echo '/usr/bin/python3: No module named pip' >&2; exit 1",
    );
    assert!(matches!(error, LibraryError::PipMissing { .. }), "{error}");
    let error = failing(
        "no-network",
        "echo 'trying' >&2; echo 'ERROR: no route' >&2; exit 1",
    );
    assert_eq!(
        error.to_string(),
        "pip could not download onnxruntime==1.31.1: trying | ERROR: no route"
    );
    let error = failing("lying", "exit 0");
    assert_eq!(
        error.to_string(),
        "pip could not download onnxruntime==1.31.1: it left no wheel"
    );
}

/// The whole installation with the real wheel and the real library, by two at the same time.
#[test]
fn installs_loads_and_repairs_the_real_library() {
    let environment = LibraryOptions::from_environment();
    if environment.offline {
        eprintln!("skipped: RHO_MASK_OFFLINE is set, and this test downloads ONNX Runtime (24 MB)");
        return;
    }
    if !Command::new(&environment.python)
        .args(["-m", "pip", "--version"])
        .output()
        .is_ok_and(|it| it.status.success())
    {
        eprintln!(
            "skipped: no {} with pip to download ONNX Runtime with",
            environment.python.display()
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = LibraryOptions {
        python: environment.python,
        cache: folder.path().join("cache"),
        offline: false,
        ..options(folder.path())
    };
    let install_one = || {
        let mut said = String::new();
        let library = install(&options, false, &mut |line| said.push_str(line)).unwrap();
        (library, said.contains("downloading"))
    };
    let (one, two) = std::thread::scope(|scope| {
        let other = scope.spawn(install_one);
        (install_one(), other.join().unwrap())
    });
    assert_eq!(one.0, two.0);
    assert_ne!(one.1, two.1, "one downloads, the other waits");
    let library: Library = one.0;
    assert_eq!(
        (library.version.as_str(), library.origin),
        (PINNED_VERSION, Origin::Cache)
    );

    let offline = LibraryOptions {
        offline: true,
        ..options.clone()
    };
    assert_eq!(
        find_or_install(&offline, &mut |line| panic!("{line}"))
            .unwrap()
            .path,
        library.path
    );
    verify(&library).unwrap();

    let runtime = load(&library).unwrap();
    assert!(!has_cuda_provider(&runtime).unwrap());
    assert!(preloaded().is_empty());
    load(&library).unwrap();
    let elsewhere = Library {
        path: "/elsewhere/libonnxruntime.so".into(),
        ..library.clone()
    };
    let error = load(&elsewhere).unwrap_err();
    assert!(
        matches!(error, LibraryError::AlreadyLoaded { .. }),
        "{error}"
    );

    // Damages a copy, because the library itself is mapped into this process. Every search notices a shorter file.
    let copy = LibraryOptions {
        cache: folder.path().join("copy"),
        ..offline
    };
    let copied = copy
        .cache
        .join(library.path.parent().unwrap().file_name().unwrap());
    fs::create_dir_all(&copied).unwrap();
    for entry in fs::read_dir(library.path.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copied.join(path.file_name().unwrap())).unwrap();
    }
    let damaged = Library {
        path: copied.join(library.path.file_name().unwrap()),
        ..library
    };
    let mut bytes = fs::read(&damaged.path).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(&damaged.path, &bytes).unwrap();
    let error = verify(&damaged).unwrap_err();
    assert!(matches!(error, LibraryError::Damaged { .. }), "{error}");
    fs::write(&damaged.path, &bytes[..1_000_000]).unwrap();
    let looked = find(&copy).0.pop().unwrap();
    assert_eq!(
        (looked.origin, looked.state),
        (Origin::Cache, State::Unusable)
    );
    assert!(
        looked
            .found
            .starts_with("damaged: libonnxruntime.so.1.31.1: expected "),
        "{looked}"
    );
}
