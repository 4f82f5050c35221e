//! Detects that one package has overwritten another. In: a library's file. Out: whether the CPU package has replaced
//! the GPU package's library.
//!
//! The PyPI packages `onnxruntime` and `onnxruntime-gpu` have files of the same names, and pip installs both without a
//! warning: the last one overwrites the library, while the other's CUDA provider is still beside it. The `RECORD` in a
//! package's `dist-info` folder lists its installed files with their sizes.

use std::fs;
use std::path::Path;

/// The installed version of `onnxruntime-gpu`, if the library is not the one that it installed.
pub(crate) fn overwritten(library: &Path) -> Option<String> {
    let name = library.file_name()?.to_str()?;
    let bytes = fs::metadata(library).ok()?.len();
    // site-packages/onnxruntime/capi/library
    let packages = library.parent()?.parent()?.parent()?;
    let folders = fs::read_dir(packages).ok()?.flatten();
    folders
        .filter_map(|folder| {
            let folder_name = folder.file_name();
            let version = folder_name.to_str()?.strip_prefix("onnxruntime_gpu-")?;
            let version = version.strip_suffix(".dist-info")?.to_owned();
            let record = fs::read_to_string(folder.path().join("RECORD")).ok()?;
            (recorded(&record, name)? != bytes).then_some(version)
        })
        .next()
}

/// The size of the library by a package's record: `onnxruntime/capi/<name>,sha256=<hash>,<size>`.
fn recorded(record: &str, name: &str) -> Option<u64> {
    record
        .lines()
        .filter_map(|line| {
            let entry = line.strip_prefix("onnxruntime/capi/")?;
            let rest = entry.strip_prefix(name)?.strip_prefix(',')?;
            rest.rsplit(',').next()?.trim().parse().ok()
        })
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_the_other_package_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let capi = folder.path().join("onnxruntime/capi");
        fs::create_dir_all(&capi).unwrap();
        let library = capi.join("libonnxruntime.so.1.31.1");
        fs::write(&library, [0; 100]).unwrap();
        assert_eq!(overwritten(&library), None);
        let package = |name: &str, bytes: u64| {
            let info = folder.path().join(format!("{name}-1.31.1.dist-info"));
            fs::create_dir_all(&info).unwrap();
            let record = format!(
                "onnxruntime/__init__.py,sha256=a,9\n\
                 onnxruntime/capi/libonnxruntime.so.1.31.1,sha256=b,{bytes}\n\
                 {name}-1.31.1.dist-info/RECORD,,\n"
            );
            fs::write(info.join("RECORD"), record).unwrap();
        };
        package("onnxruntime", 100);
        assert_eq!(overwritten(&library), None);
        // The GPU package was installed last.
        package("onnxruntime_gpu", 100);
        assert_eq!(overwritten(&library), None);
        package("onnxruntime_gpu", 250);
        assert_eq!(overwritten(&library).as_deref(), Some("1.31.1"));
        assert_eq!(overwritten(&folder.path().join("none")), None);
    }
}
