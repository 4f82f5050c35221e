//! Resolves the arguments of `convert` to a plan. All wrong arguments are found here, before anything is written.

use std::path::{Path, PathBuf};

use rho_formats::{MasksFolder, mask_file_stem};
use serde_json::{Value, json};

use super::{
    documents::{self, Column},
    settings::Settings,
    targets::{self, Abilities, Target},
};
use crate::{
    cli::{ConvertArgs, TargetName},
    hinted_error::HintedError,
    masks::{finished::Input, out_folder},
    metadata::{FORMAT_VERSION, Metadata},
    run_folder::{Command, RecordedPlan},
    threads,
};

/// The shortest sequence: one token to predict from, and one to predict.
const LEAST_LENGTH: usize = 2;
/// Longest sequence: it is in memory as a whole.
const MOST_LENGTH: usize = 1 << 24;

/// The plan of `convert`: everything is decided.
pub(crate) struct ConvertPlan {
    pub(super) input: Input,
    pub(super) out: PathBuf,
    pub(super) to: TargetName,
    pub(super) abilities: Abilities,
    pub(super) settings: Settings,
    pub(super) target: Box<dyn Target>,
    pub(super) threads: usize,
    pub(super) restart: bool,
    /// The names of each shard's files, without their extensions.
    pub(super) stems: Vec<String>,
}

impl ConvertPlan {
    /// Whether the output is standard output.
    pub(crate) fn to_standard_output(&self) -> bool {
        self.out.as_os_str() == "-"
    }

    /// What a user of the output should know.
    pub(crate) fn note(&self) -> Option<&'static str> {
        self.target.note()
    }

    /// Everything that must be equal for a run to be resumed.
    pub(super) fn recorded(&self) -> RecordedPlan {
        RecordedPlan::of_files(
            json!({
                "command": Command::Convert.name(),
                "metadata": self.settings.metadata,
                "input": self.input.identities(),
            }),
            self.input.recorded(),
        )
    }
}

/// Resolves the arguments of `convert`.
pub(crate) fn resolve(args: &ConvertArgs) -> anyhow::Result<ConvertPlan> {
    let abilities = targets::abilities(args.to);
    refuse(args, abilities)?;
    let standard_output = args.out.as_os_str() == "-";
    if !standard_output {
        out_folder::must_be_apart(&args.masks, &args.out)?;
        MasksFolder::check(&args.out)?;
    }
    let input = Input::open(&args.masks)?;
    if !standard_output {
        for file in 0..input.files.len() {
            // The folder may contain links to files elsewhere.
            if let Some(folder) = input.path(file).canonicalize()?.parent() {
                out_folder::must_be_apart(folder, &args.out)?;
            }
        }
    }
    version_fits(&args.masks, &input.first.schema().metadata)?;
    let settings = Settings::of(args, abilities, &input.first)?;
    if let Some(Column::Weights(name)) = &settings.column
        && !abilities.signed_weights
    {
        let metadata = Metadata::of(&input.first.schema().metadata);
        if let Some(least) = metadata.negative_weights(name) {
            let shown = args.masks.display();
            return Err(documents::negative(
                &format!("{shown}: {name}: --min-weight {least}"),
                &args.to.name(),
            ));
        }
    }
    let target = targets::make(args.to, &settings, &input.first)?;
    let threads = threads::count(args.threads)?;
    Ok(ConvertPlan {
        stems: stems(&input),
        out: args.out.clone(),
        to: args.to,
        restart: args.restart,
        abilities,
        settings,
        target,
        threads,
        input,
    })
}

/// Refuses options that the target cannot express.
fn refuse(args: &ConvertArgs, abilities: Abilities) -> anyhow::Result<()> {
    let to = args.to.name();
    let options = [
        (
            "--weights",
            args.weights.is_some(),
            abilities.weights,
            "it has only bits",
        ),
        (
            "--length",
            args.length.is_some(),
            abilities.length,
            "its trainer packs by itself",
        ),
        (
            "--eos-id",
            args.eos_id.is_some(),
            abilities.ends_documents,
            "its documents stay unchanged",
        ),
        (
            "--dtype",
            args.dtype.is_some(),
            abilities.dtype,
            "its token ids have one type",
        ),
        (
            "--shard-size",
            args.shard_size.is_some(),
            abilities.file_bytes.is_some(),
            "it has one file per shard of the masks",
        ),
        (
            "--out -",
            args.out.as_os_str() == "-",
            abilities.stream,
            "it is not one stream",
        ),
    ];
    for (option, given, can, why) in options {
        if given && !can {
            return Err(HintedError::error(
                format!(
                    "{option}: expected an option that --to {to} can express, got one that it cannot: {why}"
                ),
                "omit the option, or convert to another format",
            ));
        }
    }
    match args.length {
        Some(length) if length > MOST_LENGTH => Err(HintedError::error(
            format!("--length: expected at most {MOST_LENGTH} tokens, got {length}"),
            "name the length of the sequences that the trainer reads, such as 2048",
        )),
        Some(length) if length < LEAST_LENGTH => Err(HintedError::error(
            format!("--length: expected at least {LEAST_LENGTH} tokens, got {length}"),
            "name the length of the sequences that the trainer reads, such as 2048",
        )),
        _ => Ok(()),
    }
}

fn version_fits(masks: &Path, metadata: &Value) -> anyhow::Result<()> {
    match Metadata::of(metadata).format_version {
        Some(FORMAT_VERSION) => Ok(()),
        _ => Err(HintedError::error(
            format!(
                "{}: expected masks of format version {FORMAT_VERSION}, got {}",
                masks.display(),
                metadata["format_version"]
            ),
            "convert them with the version of rho-mask that wrote them",
        )),
    }
}

/// The names of each shard's files: that of the shard's first file, without extension and number.
fn stems(input: &Input) -> Vec<String> {
    let plain = |shard: usize| {
        let name = input.shard_name(shard);
        mask_file_stem(name).unwrap_or(name).to_owned()
    };
    let whole = |shard: usize| {
        let name = plain(shard);
        match name.strip_suffix(".00000") {
            Some(stem) if input.shards[shard].len() > 1 => stem.to_owned(),
            _ => name,
        }
    };
    let stems: Vec<String> = (0..input.shards.len()).map(whole).collect();
    let mut sorted = stems.clone();
    sorted.sort();
    match sorted.windows(2).any(|two| two[0] == two[1]) {
        // The full file names are always different.
        true => (0..input.shards.len()).map(plain).collect(),
        false => stems,
    }
}
