//! The trained model into the run's folder, as others read it. The weights come last: where they are, the rest is.

use std::fs::{self, File};
use std::path::Path;

use super::{RunError, Trainee, TraineeError};

const PARTIAL: &str = ".model.partial";

/// Writes the model beside, then gives each file its name.
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
