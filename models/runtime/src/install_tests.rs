//! Installation from wheels created here, without network: order of checks, damage, concurrent installations.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A package of one wheel whose library is a few bytes of text, and the wheel.
fn package_of(text: &str, sha256: Option<&str>, scratch: &Path) -> (Package, PathBuf) {
    let path = scratch.join("fake-1.0-cp312-cp312-any.whl");
    let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated);
    for (name, text) in [("fake/capi/lib.so", text), ("fake/other.py", "not wanted")] {
        archive.start_file(name, options).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
    let sha256 = sha256.map_or_else(|| sha256_of(&path).unwrap(), str::to_owned);
    let wheel = Wheel {
        package: "fake",
        version: "1.0",
        abi: "cp312",
        platform: "any",
        sha256: sha256.leak(),
        megabytes: 1,
        from: "fake/capi/",
        into: "",
        files: &["lib.so"],
    };
    let wheels = Box::leak(Box::new([wheel]));
    (
        Package {
            name: "fake",
            folder: "fake-1.0",
            library: "lib.so",
            wheels,
        },
        path,
    )
}

fn options(cache: &Path, offline: bool) -> LibraryOptions {
    LibraryOptions {
        path: None,
        own_environment: None,
        virtual_env: None,
        conda_prefix: None,
        cache: cache.to_owned(),
        offline,
        python: "/nowhere/python3".into(),
        cuda: false,
    }
}

fn copy_of(wheel: &Path) -> impl Fn(&Wheel, &Path) -> Result<PathBuf, LibraryError> {
    move |_, into| {
        let path = into.join(wheel.file_name().unwrap());
        fs::copy(wheel, &path).unwrap();
        Ok(path)
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn installs_the_wanted_files_alone_and_then_leaves_them() {
    let scratch = tempfile::tempdir().unwrap();
    let cache = scratch.path().join("not/yet/there");
    let (package, wheel) = package_of("library", None, scratch.path());
    let mut said = Vec::new();
    let mut say = |line: &str| said.push(line.to_owned());
    let folder = install_package(
        &package,
        &options(&cache, false),
        Depth::Hashes,
        &copy_of(&wheel),
        &mut say,
    )
    .unwrap();
    assert_eq!(
        fs::read_to_string(folder.join("lib.so")).unwrap(),
        "library"
    );
    assert_eq!(names_in(&folder), ["lib.so", "manifest.json"]);
    assert_eq!(names_in(&cache), [".lock", "fake-1.0"]);
    assert_eq!(said[0], "downloading fake 1.0 (1 MB) with pip");

    let again: &Fetch<'_> = &|_, _| panic!("nothing is to be fetched");
    install_package(
        &package,
        &options(&cache, true),
        Depth::Hashes,
        again,
        &mut |_| {},
    )
    .unwrap();
}

#[test]
fn a_wheel_with_another_hash_is_not_unpacked() {
    let scratch = tempfile::tempdir().unwrap();
    let cache = scratch.path().join("cache");
    let wrong = "0".repeat(64);
    let (package, wheel) = package_of("library", Some(&wrong), scratch.path());
    let fetch = copy_of(&wheel);
    let error = install_package(
        &package,
        &options(&cache, false),
        Depth::Sizes,
        &fetch,
        &mut |_| {},
    )
    .unwrap_err();
    let LibraryError::WheelHash {
        wheel: name,
        expected,
        got,
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(name, "fake-1.0-cp312-cp312-any.whl");
    assert_eq!(*expected, wrong);
    assert_eq!(*got, sha256_of(&wheel).unwrap());
    assert_eq!(names_in(&cache), [".lock"]);
}

#[test]
fn damage_is_repaired_and_told() {
    let scratch = tempfile::tempdir().unwrap();
    let cache = scratch.path().join("cache");
    let (package, wheel) = package_of("library", None, scratch.path());
    let online = options(&cache, false);
    let fetch = copy_of(&wheel);
    let folder = install_package(&package, &online, Depth::Sizes, &fetch, &mut |_| {}).unwrap();

    // The size is the same, so only reading every byte shows the damage.
    fs::write(folder.join("lib.so"), "librarY").unwrap();
    fs::create_dir(cache.join(".part-killed")).unwrap();
    let never: &Fetch<'_> = &|_, _| panic!("nothing is to be fetched");
    install_package(&package, &online, Depth::Sizes, never, &mut |_| {}).unwrap();
    let error = install_package(
        &package,
        &options(&cache, true),
        Depth::Hashes,
        never,
        &mut |_| {},
    )
    .unwrap_err();
    assert!(
        matches!(error, LibraryError::Offline { package: "fake" }),
        "{error}"
    );

    let mut said = String::new();
    install_package(&package, &online, Depth::Hashes, &fetch, &mut |line| {
        said.push_str(line)
    })
    .unwrap();
    assert!(
        said.contains("is damaged (lib.so: expected SHA-256 "),
        "{said}"
    );
    assert_eq!(
        fs::read_to_string(folder.join("lib.so")).unwrap(),
        "library"
    );
    assert_eq!(names_in(&cache), [".lock", "fake-1.0"]);
}

#[test]
fn a_failed_download_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let cache = scratch.path().join("cache");
    let (package, _) = package_of("library", None, scratch.path());
    let fetch: &Fetch<'_> =
        &|wheel, into| crate::pip::download(Path::new("/nowhere/python3"), wheel, into);
    let error = install_package(
        &package,
        &options(&cache, false),
        Depth::Sizes,
        fetch,
        &mut |_| {},
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "/nowhere/python3 could not be started");
    assert_eq!(names_in(&cache), [".lock"]);

    fs::write(scratch.path().join("file"), "").unwrap();
    let below_a_file = options(&scratch.path().join("file/cache"), false);
    let error =
        install_package(&package, &below_a_file, Depth::Sizes, fetch, &mut |_| {}).unwrap_err();
    assert!(
        matches!(
            error,
            LibraryError::Disk {
                action: "create the cache folder",
                ..
            }
        ),
        "{error}"
    );
    let error = install_package(
        &package,
        &options(Path::new(""), false),
        Depth::Sizes,
        fetch,
        &mut |_| {},
    )
    .unwrap_err();
    assert!(matches!(error, LibraryError::NoCacheFolder), "{error}");
}

#[test]
fn of_two_at_once_one_downloads_and_both_have_it() {
    let scratch = tempfile::tempdir().unwrap();
    let cache = scratch.path().join("cache");
    let (package, wheel) = package_of(&"library ".repeat(100_000), None, scratch.path());
    let (online, fetched) = (options(&cache, false), AtomicU32::new(0));
    let copy = copy_of(&wheel);
    let fetch = |wheel: &Wheel, into: &Path| {
        fetched.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(100));
        copy(wheel, into)
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let folder =
                    install_package(&package, &online, Depth::Sizes, &fetch, &mut |_| {}).unwrap();
                assert_eq!(condition(&folder, Depth::Hashes), Condition::Whole);
            });
        }
    });
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}

#[test]
fn without_locks_the_loser_discards_its_own() {
    let scratch = tempfile::tempdir().unwrap();
    let scratch = scratch.path();
    let (package, wheel) = package_of("library", None, scratch);
    let cache = scratch.join("cache");
    let folder = install_package(
        &package,
        &options(&cache, false),
        Depth::Sizes,
        &copy_of(&wheel),
        &mut |_| {},
    )
    .unwrap();
    // Another process has finished between our check and our rename.
    let content = scratch.join("content");
    fs::create_dir(&content).unwrap();
    fs::write(content.join("lib.so"), "ours").unwrap();
    put_in_place(&content, &folder, Depth::Hashes).unwrap();
    assert_eq!(
        fs::read_to_string(folder.join("lib.so")).unwrap(),
        "library"
    );
    // Its installation is damaged: ours replaces it.
    fs::write(folder.join("lib.so"), "cut").unwrap();
    put_in_place(&content, &folder, Depth::Sizes).unwrap();
    assert_eq!(fs::read_to_string(folder.join("lib.so")).unwrap(), "ours");
}
