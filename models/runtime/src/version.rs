//! Checks that a file is a supported ONNX Runtime. In: a path. Out: its version, or what is wrong with it, but never a
//! crash. `load` starts ONNX Runtime.

use std::ffi::CStr;
use std::path::Path;

use crate::error::LibraryError;

/// The oldest 1.x with the API level that this crate is built for.
const OLDEST_MINOR: u32 = ort::MINOR_VERSION;

/// The supported versions, human-readable.
pub const REQUIRED_VERSION: &str = "1.22 or a later 1.x";

/// Loads the library and asks for its version. It stays loaded: unloading code whose constructors have run gains
/// nothing, and a usable library is loaded again right afterwards.
pub(crate) fn check(path: &Path) -> Result<String, LibraryError> {
    if !path.is_file() {
        return Err(LibraryError::NotAFile {
            path: path.to_owned(),
        });
    }
    #[cfg(target_os = "linux")]
    check_whole(path)?;

    let found = reported_version(path)?;
    match usable(&found.version) && found.speaks_our_level {
        true => Ok(found.version),
        false => Err(LibraryError::Version {
            path: path.to_owned(),
            found: found.version,
        }),
    }
}

/// Checks that the file is not truncated. The system's loader maps a library without comparing its headers to the
/// file's size, and touching a page beyond the end kills the process.
#[cfg(target_os = "linux")]
fn check_whole(path: &Path) -> Result<(), LibraryError> {
    let elf = crate::elf::read(path).map_err(LibraryError::disk("read the library", path))?;
    match elf {
        Some(elf) if elf.got < elf.expected => Err(LibraryError::Truncated {
            path: path.to_owned(),
            expected: elf.expected,
            got: elf.got,
        }),
        // The loader itself refuses a file that is not ELF, and says why.
        _ => Ok(()),
    }
}

/// `1.22` and later, `1.x` only.
fn usable(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    matches!((parts.next(), parts.next()), (Some(Ok(1)), Some(Ok(minor))) if minor >= OLDEST_MINOR)
}

struct Reported {
    version: String,
    speaks_our_level: bool,
}

#[expect(
    unsafe_code,
    reason = "a library's functions can only be called through pointers"
)]
fn reported_version(path: &Path) -> Result<Reported, LibraryError> {
    // SAFETY: the file was named by the user, is in the user's Python environment, or was installed by us after its
    // hash was checked: its constructors are as trusted as the user's own programs.
    let library =
        unsafe { libloading::Library::new(path) }.map_err(|source| LibraryError::Open {
            path: path.to_owned(),
            source,
        })?;
    let library = std::mem::ManuallyDrop::new(library);

    type GetApiBase = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: OrtGetApiBase has had this type in every version of ONNX Runtime; no other library uses the name.
    let Ok(get_api_base) = (unsafe { library.get::<GetApiBase>(b"OrtGetApiBase\0") }) else {
        return Err(LibraryError::NoEntryPoint {
            path: path.to_owned(),
        });
    };
    // SAFETY: the function takes nothing and returns a pointer to a static table, or null, which `as_ref` handles.
    let Some(base) = (unsafe { get_api_base().as_ref() }) else {
        return Err(LibraryError::NoEntryPoint {
            path: path.to_owned(),
        });
    };
    // SAFETY: the table's two functions keep their position and type across versions; that is the table's purpose.
    let version = unsafe { (base.GetVersionString)() };
    if version.is_null() {
        return Err(LibraryError::NoEntryPoint {
            path: path.to_owned(),
        });
    }
    // SAFETY: not null, and documented as a static, null-terminated string.
    let version = unsafe { CStr::from_ptr(version) }
        .to_string_lossy()
        .into_owned();
    // Called only if the version is supported: an older library would print an error to stderr.
    let speaks_our_level = usable(&version) && {
        // SAFETY: any level may be requested; an unknown one gives null. The returned table is not accessed.
        !unsafe { (base.GetApi)(ort::sys::ORT_API_VERSION) }.is_null()
    };
    Ok(Reported {
        version,
        speaks_our_level,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_1_22_on_are_usable() {
        for good in ["1.22.0", "1.31.1", "1.100.0", "1.23.0-dev"] {
            assert!(usable(good), "{good}");
        }
        for bad in [
            "1.21.1", "1.15.1", "2.0.0", "2.31.1", "0.22.0", "", "1", "one.two",
        ] {
            assert!(!usable(bad), "{bad}");
        }
        assert!(REQUIRED_VERSION.starts_with(&format!("1.{OLDEST_MINOR} ")));
    }
}
