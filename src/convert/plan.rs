//! From what was typed after `convert` to what it means. Everything that can be wrong with it is found here, before
//! anything is written.

use std::path::{Path, PathBuf};

use rho_formats::{MaskColumns, MasksFolder};
use serde_json::{Value, json};

use super::{
    documents::Column,
    ending::{self, Ending},
    targets::{self, Abilities, Settings, Target},
};
use crate::{
    cli::{ConvertArgs, IdsDtype, TargetName},
    hint::Advised,
    select::{
        input::Input,
        place,
        usual::{USUAL_MASK, chosen},
    },
};

/// The format of masks that is read.
const FORMAT_VERSION: u64 = 1;

/// The least tokens of a sequence: one to predict from, one to predict.
const LEAST_LENGTH: usize = 2;

/// Everything `convert` does, decided.
pub(crate) struct ConvertPlan {
    pub(super) input: Input,
    pub(super) out: PathBuf,
    pub(super) to: TargetName,
    pub(super) abilities: Abilities,
    pub(super) settings: Settings,
    pub(super) target: Box<dyn Target>,
    pub(super) threads: usize,
    pub(super) restart: bool,
    /// What the files of each shard are called, but for their endings.
    pub(super) stems: Vec<String>,
}

impl ConvertPlan {
    /// Whether it goes to standard output.
    pub(crate) fn to_standard_output(&self) -> bool {
        self.out.as_os_str() == "-"
    }

    /// Everything that must be the same for a run to be gone on with.
    pub(super) fn what_changes_bytes(&self) -> Value {
        let files = self.input.files.iter();
        let input: serde_json::Map<String, Value> = files
            .map(|file| (file.name.clone(), json!(file.identity)))
            .collect();
        json!({
            "command": "convert",
            "metadata": self.settings.metadata,
            "input": input,
        })
    }
}

/// Resolves the arguments of `convert`.
pub(crate) fn resolve(args: &ConvertArgs) -> anyhow::Result<ConvertPlan> {
    let abilities = targets::abilities(args.to);
    refuse(args, abilities)?;
    let standard_output = args.out.as_os_str() == "-";
    if !standard_output {
        place::must_be_apart(&args.masks, &args.out)?;
        MasksFolder::check(&args.out)?;
    }
    let input = Input::open(&args.masks)?;
    if !standard_output {
        for file in 0..input.files.len() {
            // The folder may consist of links to files elsewhere.
            if let Some(folder) = input.path(file).canonicalize()?.parent() {
                place::must_be_apart(folder, &args.out)?;
            }
        }
    }
    version_fits(&args.masks, &input.first.schema().metadata)?;
    let settings = settings(args, abilities, &input.first)?;
    let target = targets::make(args.to, &settings, &input.first)?;
    let threads = match args.threads {
        Some(0) => {
            return Err(Advised::error(
                "--threads: expected at least 1, got 0",
                "leave it out for the default",
            ));
        }
        Some(threads) => threads,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
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
            "it has bits alone",
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
            "its documents stay as they are in the masks",
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
            "it has a file for each shard of the masks",
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
            return Err(Advised::error(
                format!(
                    "{option}: expected an option that --to {to} can express, got one that it cannot: {why}"
                ),
                "leave the option out, or convert to another format",
            ));
        }
    }
    match args.length {
        Some(length) if length < LEAST_LENGTH => Err(Advised::error(
            format!("--length: expected at least {LEAST_LENGTH} tokens, got {length}"),
            "name the length of the sequences that the trainer reads, such as 2048",
        )),
        _ => Ok(()),
    }
}

fn version_fits(masks: &Path, metadata: &Value) -> anyhow::Result<()> {
    match &metadata["format_version"] {
        version if version.as_u64() == Some(FORMAT_VERSION) => Ok(()),
        version => Err(Advised::error(
            format!(
                "{}: expected masks of format version {FORMAT_VERSION}, got {version}",
                masks.display()
            ),
            "convert them with the version of rho-mask that wrote them",
        )),
    }
}

fn settings(
    args: &ConvertArgs,
    abilities: Abilities,
    first: &MaskColumns,
) -> anyhow::Result<Settings> {
    let metadata = &first.schema().metadata;
    let column = column(args, abilities, first)?;
    let named = args.mask.as_ref().or(args.weights.as_ref());
    let ending = match abilities.ends_documents {
        false => Ending::AsTheyAre,
        true => {
            let tokenizer = args.masks.join("tokenizer.json");
            Ending::With(ending::eos(args.eos_id, metadata, &tokenizer)?)
        }
    };
    let vocabulary = metadata["reference"]["vocabulary"].as_u64();
    let dtype = dtype(args, vocabulary, ending)?;
    let mut settings = Settings {
        own_columns: own_columns(first, named.map(String::as_str)),
        length: args.length,
        file_bytes: args.shard_size.or(abilities.file_bytes).unwrap_or(u64::MAX),
        metadata: Value::Null,
        column,
        dtype,
        vocabulary,
        ending,
    };
    settings.metadata = described(args, abilities, &settings, metadata);
    Ok(settings)
}

/// What the files say of how they were made: what the masks say, and what was done to them.
fn described(
    args: &ConvertArgs,
    abilities: Abilities,
    settings: &Settings,
    masks: &Value,
) -> Value {
    let mut convert = json!({
        "to": args.to.name(),
        "documents_end": settings.ending.metadata(),
    });
    match (&settings.column, abilities.own_columns) {
        (_, true) => convert["columns"] = json!(settings.own_columns),
        (Some(Column::Mask(name)), _) => convert["mask"] = json!(name),
        (Some(Column::Weights(name)), _) => convert["weights"] = json!(name),
        (None, false) => {}
    }
    if let Some(length) = settings.length {
        convert["length"] = json!(length);
        convert["padding"] = json!({"token": settings.pad()});
    }
    if abilities.dtype {
        convert["dtype"] = json!(settings.dtype);
    }
    if abilities.file_bytes.is_some() {
        convert["shard_size"] = json!(settings.file_bytes);
    }
    let mut metadata = masks.clone();
    metadata["convert"] = convert;
    metadata
}

/// The column that says which tokens are targets; a target that writes the masks' own columns needs none.
fn column(
    args: &ConvertArgs,
    abilities: Abilities,
    first: &MaskColumns,
) -> anyhow::Result<Option<Column>> {
    let missing = |what: &str, there: &[String], option: &str| {
        let there = match there {
            [] => "none".to_owned(),
            there => there.join(", "),
        };
        Advised::error(
            format!("{}: expected {what}, got {there}", args.masks.display()),
            format!("name another column with {option}, or select anew with `rho-mask select`"),
        )
    };
    if let Some(named) = &args.weights {
        let there: Vec<String> = first.weights().into_iter().map(str::to_owned).collect();
        return match there.contains(named) {
            true => Ok(Some(Column::Weights(named.clone()))),
            false => Err(missing(
                &format!("a column of weights {named:?}"),
                &there,
                "--weights",
            )),
        };
    }
    let there = &first.schema().masks;
    match (chosen(args.mask.as_deref(), there, USUAL_MASK), &args.mask) {
        (Some(name), _) => Ok(Some(Column::Mask(name))),
        (None, Some(named)) => Err(missing(
            &format!("a column of masks {named:?}"),
            there,
            "--mask",
        )),
        (None, None) if abilities.own_columns => Ok(None),
        (None, None) => Err(missing("a column of masks", there, "--mask")),
    }
}

/// The columns that are written, in order, by a target that writes the masks' own: all, or of what selections made only the
/// one that was named.
fn own_columns(first: &MaskColumns, named: Option<&str>) -> Vec<String> {
    let weights = first.weights();
    let selected = |name: &str| {
        weights.contains(&name) || first.schema().masks.iter().any(|mask| mask == name)
    };
    let wanted = |name: &&str| named.is_none_or(|named| *name == named || !selected(name));
    let names = first.names().into_iter().filter(wanted);
    names.map(str::to_owned).collect()
}

/// The type of token ids: the smallest that holds the vocabulary, where nobody named another.
fn dtype(args: &ConvertArgs, vocabulary: Option<u64>, ending: Ending) -> anyhow::Result<IdsDtype> {
    let most = vocabulary.unwrap_or(u64::MAX);
    let eos = ending.eos().map_or(0, |eos| eos as u64 + 1);
    let most = most.max(eos);
    match args.dtype {
        Some(IdsDtype::U16) if most > 1 << 16 && vocabulary.is_some() => Err(Advised::error(
            format!("--dtype u16: expected a vocabulary of at most 65,536 tokens, got {most}"),
            "name u32, or leave it out",
        )),
        Some(named) => Ok(named),
        None if most <= 1 << 16 => Ok(IdsDtype::U16),
        None => Ok(IdsDtype::U32),
    }
}

/// What the files of each shard are called: as the shard's first file, without its ending and number.
fn stems(input: &Input) -> Vec<String> {
    let plain = |shard: usize| {
        let name = input.shard_name(shard);
        name.strip_suffix(".arrow").unwrap_or(name).to_owned()
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
        // Files have different names.
        true => (0..input.shards.len()).map(plain).collect(),
        false => stems,
    }
}
