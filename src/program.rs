//! What this program is: version, commit, target, features. The build script `build.rs` finds the commit.

use std::fmt::Write as _;

/// The version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The platform that it was compiled for.
pub(crate) const TARGET: &str = env!("RHO_MASK_TARGET");

/// The commit that it was built from, with `-dirty` if files differed from it; none if the build did not know it.
pub(crate) fn commit() -> Option<&'static str> {
    Some(env!("RHO_MASK_COMMIT")).filter(|commit| !commit.is_empty())
}

/// Version and commit, such as `0.1.0 (0123456789ab)`.
pub(crate) fn named() -> String {
    display(VERSION, commit())
}

/// Version and commit of a program.
pub(crate) fn display(version: &str, commit: Option<&str>) -> String {
    let mut named = version.to_owned();
    if let Some(commit) = commit {
        let (hash, dirty) = commit
            .split_once('-')
            .map_or((commit, false), |(hash, _)| (hash, true));
        let short = hash.get(..12).unwrap_or(hash);
        // Writing to a String cannot fail.
        let _ = write!(named, " ({short}{})", if dirty { ", changed" } else { "" });
    }
    named
}

/// The features that it was compiled with.
pub(crate) fn features() -> Vec<&'static str> {
    [
        ("train", cfg!(feature = "train")),
        ("cuda", cfg!(feature = "cuda")),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect()
}
