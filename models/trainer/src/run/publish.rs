//! Publishes the trained model in the run's folder, as a Hugging Face checkpoint. The weights come last: if they
//! exist, the other files do too.

use std::fs::{self, File};
use std::path::Path;

use super::{RunError, Trainee, TraineeError};

const PARTIAL: &str = ".model.partial";

/// Writes the model to a temporary folder, then renames each file into the run's folder.
pub(super) fn publish(folder: &Path, trainee: &dyn Trainee) -> Result<(), RunError> {
    let partial = folder.join(PARTIAL);
    let place = || -> Result<(), TraineeError> {
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        trainee.save_model(&partial)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&partial)? {
            let entry = entry?;
            File::open(entry.path())?.sync_all()?;
            names.push(entry.file_name());
        }
        names.sort_by_key(|name| (name.to_string_lossy().starts_with("model"), name.clone()));
        for name in names {
            fs::rename(partial.join(&name), folder.join(&name))?;
        }
        fs::remove_dir(&partial)?;
        rho_files::sync_folder(folder)?;
        Ok(())
    };
    place().map_err(|source| {
        let _ = fs::remove_dir_all(&partial);
        RunError::Save {
            path: folder.to_owned(),
            source,
        }
    })
}
