//! Resolves the arguments of `merge` into a plan. Every invalid argument, and every difference between the folders, is
//! found here, before anything is written.

use std::{collections::HashSet, path::PathBuf};

use rho_files::{InsidePath, LeadsOutside};
use rho_formats::{FileFormat, MasksFolder, mask_file_name_in};
use serde_json::{Map, Value, json};

use super::settings;
use crate::{
    cli::{MergeArgs, OnDuplicate},
    hinted_error::HintedError,
    masks::{finished::Input, out_folder},
    plan::record_format,
    run_folder::{Command, RecordedPlan, RecordedShard},
    threads,
};

/// Everything that `merge` does, with all defaults resolved.
pub(crate) struct MergePlan {
    pub(super) inputs: Vec<Input>,
    pub(super) out: PathBuf,
    pub(super) format: FileFormat,
    pub(super) files: Vec<Merged>,
    pub(super) on_duplicate: OnDuplicate,
    pub(super) threads: usize,
    pub(super) restart: bool,
}

/// A file to write.
pub(super) struct Merged {
    /// The folder and the file in it that it is from.
    pub(super) input: usize,
    pub(super) file: usize,
    pub(super) name: InsidePath,
}

impl MergePlan {
    /// Whether masks were ranked over their own folder only.
    pub(crate) fn ranked_apart(&self) -> bool {
        self.inputs[0].first.schema().metadata["scope"] == "corpus"
    }

    /// The metadata of all folders, in their order.
    pub(super) fn all_metadata(&self) -> Vec<&Value> {
        let inputs = self.inputs.iter();
        inputs.map(|i| &i.first.schema().metadata).collect()
    }

    /// The plan to record. A resumed run must have the same.
    pub(super) fn recorded(&self) -> RecordedPlan {
        let files = self.files.iter();
        let identity = |merged: &Merged| {
            let file = &self.inputs[merged.input].files[merged.file];
            // The name says the format of the output, which is a setting of its own.
            let name = mask_file_name_in(&merged.name, FileFormat::ArrowStream);
            (name, json!(file.identity))
        };
        let mut settings = json!({
            "command": Command::Merge.name(),
            "metadata": self.all_metadata(),
            "on_duplicate": self.on_duplicate,
            "input": files.map(identity).collect::<Map<String, Value>>(),
        });
        record_format(&mut settings, self.format);
        let recorded = |merged: &Merged| RecordedShard {
            name: merged.name.clone(),
            bytes: self.bytes(merged),
        };
        RecordedPlan::of_files(settings, self.files.iter().map(recorded).collect())
    }

    /// The size of the file that one is from.
    pub(super) fn bytes(&self, merged: &Merged) -> u64 {
        self.inputs[merged.input].files[merged.file].identity.bytes
    }
}

/// Resolves the arguments of `merge`.
pub(crate) fn resolve(args: &MergeArgs) -> anyhow::Result<MergePlan> {
    if args.out.as_os_str() == "-" {
        return Err(HintedError::error(
            "--out: expected a folder, got -",
            "name a new folder for the masks",
        ));
    }
    for masks in &args.masks {
        out_folder::must_be_apart(masks, &args.out)?;
    }
    MasksFolder::check(&args.out)?;
    let mut inputs: Vec<Input> = Vec::new();
    for masks in &args.masks {
        let input = Input::open(masks)?;
        for file in 0..input.files.len() {
            // The folder may consist of links to files elsewhere.
            if let Some(folder) = input.path(file).canonicalize()?.parent() {
                out_folder::must_be_apart(folder, &args.out)?;
            }
        }
        if let Some(first) = inputs.first() {
            must_match(first, &input)?;
        }
        inputs.push(input);
    }
    Ok(MergePlan {
        files: files(&inputs, args.format.into())?,
        format: args.format.into(),
        inputs,
        out: args.out.clone(),
        on_duplicate: args.on_duplicate,
        threads: threads::count(args.threads)?,
        restart: args.restart,
    })
}

/// Refuses a folder with other settings or other columns than the first.
fn must_match(first: &Input, input: &Input) -> anyhow::Result<()> {
    let metadata = |input: &Input| input.first.schema().metadata.clone();
    settings::must_equal(
        (&first.folder, &metadata(first)),
        (&input.folder, &metadata(input)),
    )?;
    let Some(column) = first.first.other_column(&input.first) else {
        return Ok(());
    };
    let kind = |input: &Input| {
        let names = input.first.names();
        match names.contains(&column.as_str()) {
            true if input.first.scores().contains(&column.as_str()) => {
                format!("one of {:?}", input.first.schema().score_type).to_lowercase()
            }
            true => "one".to_owned(),
            false => "none".to_owned(),
        }
    };
    Err(HintedError::error(
        format!(
            "{}: expected the column {column:?} as in {}, {}, got {}",
            input.folder.display(),
            first.folder.display(),
            kind(first),
            kind(input)
        ),
        format!(
            "write both with the same {}",
            settings::option_of_column(&column)
        ),
    ))
}

/// The files to write, in the order of the folders. A name that an earlier folder has is put into a folder of its own.
fn files(inputs: &[Input], format: FileFormat) -> Result<Vec<Merged>, LeadsOutside> {
    let mut taken: HashSet<InsidePath> = HashSet::new();
    let mut files = Vec::new();
    for (i, input) in inputs.iter().enumerate() {
        for (file, found) in input.files.iter().enumerate() {
            let mut name = InsidePath::new(mask_file_name_in(&found.name, format))?;
            while !taken.insert(name.clone()) {
                name = InsidePath::new(format!("merged-{}/{name}", i + 1))?;
            }
            files.push(Merged {
                input: i,
                file,
                name,
            });
        }
    }
    Ok(files)
}
