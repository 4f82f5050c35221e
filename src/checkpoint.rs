//! Exports a checkpoint that is used as a reference, once, into the user's cache folder. The name of the export is
//! derived from the content of the checkpoint's files, the precision and this program's version. When a process uses an
//! export first, every byte of it is compared with the hashes of its files; a damaged one is written again.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use rho_checkpoint::Checkpoint;
use rho_files::{Lock, usage};
use rho_graph::{Dtype, ExportError, ExportOptions, Exported, Prepared, export};
use rho_reference::{Device, ResolvedDevice, source};
use rho_runtime::LibraryOptions;

use crate::{
    cache::{self, EXPORTED},
    files::remove_folder,
    hinted_error::HintedError,
    numbers::grouped,
    stop::Stop,
    terminal,
};

/// How much is printed about an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Say {
    /// Its path and its summary.
    All,
    /// Only that it is being written, because the summaries of many checkpoints of one model are the same.
    Little,
}

/// The path of a checkpoint's export, if the path holds a checkpoint (even beside other models); else the path itself.
pub(crate) fn reference(
    path: &Path,
    ignored: &[String],
    device: &Device,
    libraries: &LibraryOptions,
    say: Say,
) -> anyhow::Result<PathBuf> {
    if !Checkpoint::is_in(path) {
        return Ok(path.to_owned());
    }
    note_onnx_beside(path);
    let checkpoint = Checkpoint::open_ignoring(path, ignored)?;
    let options = ExportOptions {
        dtype: dtype(&checkpoint, on_cuda(device, libraries)?),
        ..ExportOptions::default()
    };
    // Refuse the model before minutes are spent on its fingerprint.
    let prepared = Prepared::new(checkpoint.clone(), options)?;
    if libraries.cache.as_os_str().is_empty() {
        return Err(HintedError::error(
            format!(
                "{}: expected a cache folder to export it into, got none",
                path.display()
            ),
            "set HOME or XDG_CACHE_HOME, or export it yourself: rho-mask export CHECKPOINT --out DIR",
        ));
    }
    let cache = libraries.cache.join(EXPORTED);
    let name = format!(
        "{}-{}-{}.{}",
        checkpoint.fingerprint()?,
        options.dtype,
        env!("CARGO_PKG_VERSION"),
        export::REVISION
    );
    let folder = cache.join(&name);
    let shown = path.display();
    let context = || format!("cannot write to the cache folder {}", cache.display());
    fs::create_dir_all(&cache).with_context(context)?;
    // Before anything is looked at: another process may be cleaning the cache.
    usage::hold(&folder).with_context(context)?;
    if !is_whole(&folder) {
        let lock = cache.join(format!("{name}.lock"));
        let waiting = || terminal::line("waiting for another export of this checkpoint to end");
        let lock = Lock::take(&lock, waiting).with_context(context)?;
        // Another process may have written it in the meantime.
        if !is_whole(&folder) {
            if let Some(damage) = cache::damage(&folder).filter(|_| folder.exists()) {
                terminal::line(&format!(
                    "note: {}: the export is damaged ({damage}): it is written again",
                    folder.display()
                ));
                remove_folder(&folder)?;
            }
            terminal::line(&format!(
                "note: {shown} is a checkpoint: exporting it in {} into the cache, once",
                options.dtype
            ));
            if lock.excludes_others() {
                remove_leftovers(&cache, &name);
            }
            let stop = Stop::at_signals()?;
            let summary = write(&prepared, &folder, &stop)?;
            cache::record(&folder, path)?;
            if say == Say::All {
                terminal::line(&format!("wrote {}\n{summary}", folder.display()));
            }
        }
    }
    if say == Say::All {
        terminal::line(&format!(
            "note: {shown}: using its export at {}",
            folder.display()
        ));
    }
    Ok(folder)
}

/// Whether an export is there, as it was written. Its files are read once in a process.
fn is_whole(export: &Path) -> bool {
    static WHOLE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let whole = || WHOLE.lock().unwrap_or_else(PoisonError::into_inner);
    if whole().contains(export) {
        return export.exists();
    }
    let is_whole = export.exists() && cache::damage(export).is_none();
    if is_whole {
        whole().insert(export.to_owned());
    }
    is_whole
}

/// Refuses an `--ignore-setting` that no model has.
pub(crate) fn must_be_there<'f>(
    asked: &[String],
    found: impl IntoIterator<Item = &'f str>,
) -> anyhow::Result<()> {
    let found: Vec<&str> = found.into_iter().collect();
    match asked.iter().find(|name| !found.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(HintedError::error(
            format!(
                "--ignore-setting {name}: expected a setting of config.json, got none of that name"
            ),
            "name a setting inside an object with a dot: rope_parameters.factor",
        )),
    }
}

/// Notes that ONNX files beside a checkpoint are not used. Many repositories have some, quantised ones among them.
fn note_onnx_beside(path: &Path) {
    let models = source::models_in(path);
    let (count, one) = match &models[..] {
        [] => return,
        [one] => ("1 ONNX file".to_owned(), one),
        [first, ..] => (format!("{} ONNX files", models.len()), first),
    };
    terminal::once(&format!(
        "note: {} holds a checkpoint and {count}: using the checkpoint; name a file to use that: --model {}",
        path.display(),
        one.display()
    ));
}

/// Exports a checkpoint, with a progress bar on a terminal. Returns the human-readable summary.
pub(crate) fn export(
    path: &Path,
    ignored: &[String],
    out: &Path,
    options: ExportOptions,
    stop: &Stop,
) -> anyhow::Result<String> {
    export::check_out(out)?;
    let prepared = Prepared::new(Checkpoint::open_ignoring(path, ignored)?, options)?;
    must_be_there(ignored, prepared.ignored())?;
    Ok(write(&prepared, out, stop)?)
}

fn write(prepared: &Prepared, out: &Path, stop: &Stop) -> Result<String, ExportError> {
    let bar = match terminal::watched() {
        true => ProgressBar::new(0),
        false => ProgressBar::hidden(),
    };
    let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {wide_msg}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let exported = prepared.write(out, &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.bytes);
        bar.set_message(progress.name.to_owned());
        match stop.requested() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    bar.finish_and_clear();
    Ok(summary(&exported?))
}

/// The human-readable summary.
fn summary(exported: &Exported) -> String {
    let mut operators: Vec<(&String, &usize)> = exported.operators.iter().collect();
    operators.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    let operators: Vec<String> = operators
        .iter()
        .map(|(name, count)| format!("{count} {}", name.trim_start_matches("com.microsoft.")))
        .collect();
    let mut text = format!(
        "  family      {}\n  parameters  {}\n  size        {:.1} MB\n  operators   {}\n  runs on     {}",
        exported.family,
        grouped(exported.parameters as u64),
        exported.bytes as f64 / 1e6,
        operators.join(", "),
        exported.runs_on
    );
    for note in &exported.notes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  note        {note}");
    }
    text
}

/// The best precision for a device. Gemma was trained in bf16, and its activations overflow f16.
fn dtype(checkpoint: &Checkpoint, cuda: bool) -> Dtype {
    match (cuda, checkpoint.family()) {
        (false, _) => Dtype::F32,
        (true, Some("gemma2" | "gemma3_text")) => Dtype::Bf16,
        (true, _) => Dtype::F16,
    }
}

/// Whether the reference will run on CUDA.
fn on_cuda(device: &Device, libraries: &LibraryOptions) -> anyhow::Result<bool> {
    if *device != Device::Auto {
        return Ok(*device != Device::Cpu);
    }
    let mut options = libraries.clone();
    options.cuda = true;
    let (_, Ok(library)) = rho_runtime::find(&options) else {
        return Ok(false);
    };
    let devices = device.resolve(&rho_runtime::load(&library)?)?;
    Ok(matches!(devices[..], [ResolvedDevice::Cuda(_), ..]))
}

/// Removes what killed exports of this name left. No other process uses it, because we hold the lock.
fn remove_leftovers(cache: &Path, name: &str) {
    let begin = format!(".{name}.partial-");
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&begin) {
            // Leftovers that cannot be removed do no harm.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
