//! Resolves the arguments of `gather` into a plan: which files, and what their columns mean. Everything that can be known
//! without reading rows is checked here, before anything is written.

use std::path::PathBuf;

use rho_files::InsidePath;
use rho_formats::{
    FileFormat, Kind, Location, MaskColumns, MaskSchema, MasksFolder, Shard, mask_file_name,
    mask_file_name_in,
};
use serde_json::{Map, Value, json};

use crate::{
    cli::GatherArgs,
    corpus,
    hinted_error::HintedError,
    masks::out_folder,
    merge::settings,
    metadata::Metadata,
    pipeline::{record::Identity, store::schema},
    plan::{self, Plan, ScoringRequest, record_format},
    run_folder::{Command, RecordedPlan, RecordedShard},
};

/// Everything that `gather` does, with all defaults resolved.
pub(crate) struct GatherPlan {
    pub(super) files: Vec<Stored>,
    pub(super) out: PathBuf,
    pub(super) format: FileFormat,
    /// The columns, and how they were computed.
    pub(super) schema: MaskSchema,
    /// Token ids are below it, if the reference says so.
    pub(super) vocabulary: Option<usize>,
    /// What the worker did.
    pub(super) scoring: Plan,
    pub(super) restart: bool,
}

/// A file of answers, with its identity when it was found.
pub(super) struct Stored {
    pub(super) path: PathBuf,
    /// The name of the shard that its rows are.
    pub(super) shard: String,
    /// The name of its mask file.
    pub(super) name: InsidePath,
    pub(super) identity: Identity,
}

impl GatherPlan {
    /// The plan to record. A resumed run must have the same.
    pub(super) fn recorded(&self) -> RecordedPlan {
        let identities: Map<String, Value> = self
            .files
            .iter()
            .map(|file| (file.shard.clone(), json!(file.identity)))
            .collect();
        let mut settings = json!({
            "command": Command::Gather.name(),
            "metadata": self.schema.metadata,
            "input": identities,
        });
        record_format(&mut settings, self.format);
        let files = self.files.iter().map(|file| RecordedShard {
            name: file.name.clone(),
            bytes: file.identity.bytes,
        });
        RecordedPlan::of_files(settings, files.collect())
    }

    /// The files' sizes.
    pub(super) fn bytes(&self) -> Vec<u64> {
        self.files.iter().map(|file| file.identity.bytes).collect()
    }
}

/// Resolves the arguments of `gather`.
pub(crate) fn resolve(args: &GatherArgs) -> anyhow::Result<GatherPlan> {
    if args.out.as_os_str() == "-" {
        return Err(HintedError::error(
            "--out: expected a folder, got -",
            "name a new folder for the masks",
        ));
    }
    MasksFolder::check(&args.out)?;
    for scores in &args.scores {
        out_folder::must_be_apart(scores, &args.out)?;
    }
    let prepared = plan::resolve(&ScoringRequest::of_rows(&args.scoring)?)?;
    let schema = schema(&prepared.plan);
    let format = args.format.into();
    let shards = corpus::find(&args.scores)?;
    let files = shards.iter().map(|shard| stored(shard, &schema, format));
    Ok(GatherPlan {
        files: files.collect::<anyhow::Result<_>>()?,
        out: args.out.clone(),
        format,
        vocabulary: Metadata::of(&schema.metadata).vocabulary(),
        schema,
        scoring: prepared.plan,
        restart: args.restart,
    })
}

/// A file of answers; refuses one whose columns, or whose own metadata, are others.
fn stored(shard: &Shard, schema: &MaskSchema, format: FileFormat) -> anyhow::Result<Stored> {
    let path = &shard.path;
    if !matches!(shard.kind, Kind::Parquet | Kind::Arrow) || shard.place != Location::File {
        let got = match &shard.place {
            Location::File => format!("a {}", shard.kind),
            _ => "one elsewhere".to_owned(),
        };
        return Err(HintedError::error(
            format!(
                "{}: expected a Parquet or Arrow file on this machine, got {got}",
                path.display()
            ),
            "name the files that the engine wrote; copy those of an object store first",
        ));
    }
    let (_, metadata) = MaskColumns::of_answers(path, schema, &shard.name)?;
    if let Some(metadata) = &metadata {
        settings::must_equal(("the options".as_ref(), &schema.metadata), (path, metadata))?;
    }
    Ok(Stored {
        path: path.clone(),
        shard: shard.name.clone(),
        name: InsidePath::new(mask_file_name_in(&mask_file_name(&shard.name), format))?,
        identity: Identity::of_file(path).unwrap_or_default(),
    })
}
