//! Takes a mask file or a masks folder, yields its rows, with the schema from its metadata. Refuses files that rho-mask
//! did not write, and rows whose lists or token hash do not match.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::ArrowError;
use rho_files::InsidePath;
use serde::Deserialize;

use super::batches::Batches;
use super::schema::{self, MaskSchema, Unfit};
use super::top::{TOP_IDS, TOP_LOGPROBS};
use super::{MaskError, MaskRow, ScoreType, TopTokens, token_hash};
use crate::small_file;

/// The rows of one mask file, or of all files of a folder in the order of its `state.json`. Holds one record batch.
pub struct MaskReader {
    schema: MaskSchema,
    shard: String,
    open: OpenFile,
    next: VecDeque<PathBuf>,
    failed: bool,
}

struct OpenFile {
    path: PathBuf,
    batches: Batches,
    batch: Option<RecordBatch>,
    /// The next row in the batch.
    index: usize,
    /// The number of rows returned before this batch.
    before: usize,
}

/// Opens a mask file or a masks folder.
///
/// # Errors
/// If it cannot be read, is none of the formats, or holds no masks.
pub fn read_masks(path: impl AsRef<Path>) -> Result<MaskReader, MaskError> {
    let path = path.as_ref();
    let mut files = if path.is_dir() {
        let names = listed_masks(path)?.unwrap_or_default();
        names.iter().map(|name| path.join(name)).collect()
    } else {
        VecDeque::from([path.to_path_buf()])
    };
    let first = files.pop_front().ok_or_else(|| MaskError::Empty {
        path: path.to_path_buf(),
    })?;
    let (open, schema) = OpenFile::open(first)?;
    Ok(MaskReader {
        schema,
        shard: String::new(),
        open,
        next: files,
        failed: false,
    })
}

impl MaskReader {
    /// The columns, and how the masks were created.
    pub fn schema(&self) -> &MaskSchema {
        &self.schema
    }

    /// The shard of the last row read.
    pub fn shard(&self) -> &str {
        &self.shard
    }

    fn read(&mut self) -> Result<Option<MaskRow>, MaskError> {
        loop {
            if let Some(batch) = &self.open.batch
                && self.open.index < batch.num_rows()
            {
                let read = read_row(batch, self.open.index, &self.schema);
                let (shard, row) = read.map_err(|expected| MaskError::Row {
                    path: self.open.path.clone(),
                    row: self.open.before + self.open.index,
                    expected,
                })?;
                self.open.index += 1;
                self.shard = shard;
                return Ok(Some(row));
            }
            self.open.before += self.open.index;
            self.open.index = 0;
            self.open.batch = match self.open.batches.next() {
                Ok(Some(batch)) => Some(batch),
                Err(source) => return Err(broken(&self.open.path, source)),
                Ok(None) => {
                    let Some(path) = self.next.pop_front() else {
                        return Ok(None);
                    };
                    let (open, schema) = OpenFile::open(path)?;
                    if schema != self.schema {
                        return Err(MaskError::OtherSchema { path: open.path });
                    }
                    self.open = open;
                    None
                }
            };
        }
    }
}

impl Iterator for MaskReader {
    type Item = Result<MaskRow, MaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let row = self.read();
        self.failed = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}

impl OpenFile {
    fn open(path: PathBuf) -> Result<(Self, MaskSchema), MaskError> {
        let (batches, schema) = open_batches(&path)?;
        let open = Self {
            path,
            batches,
            batch: None,
            index: 0,
            before: 0,
        };
        Ok((open, schema))
    }
}

/// The record batches of a file, and its schema.
pub(super) fn open_batches(path: &Path) -> Result<(Batches, MaskSchema), MaskError> {
    let file = rho_files::open_named(path).map_err(|source| MaskError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    with_schema(path, Batches::open(file))
}

/// Like [`open_batches`], for the first bytes of a file that is still being written.
pub(super) fn open_beginning(path: &Path, bytes: u64) -> Result<(Batches, MaskSchema), MaskError> {
    let file = rho_files::open_named(path).map_err(|source| MaskError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    with_schema(path, Batches::open_beginning(file, bytes))
}

fn with_schema(
    path: &Path,
    batches: Result<Batches, ArrowError>,
) -> Result<(Batches, MaskSchema), MaskError> {
    let batches = batches.map_err(|source| broken(path, source))?;
    let schema = MaskSchema::from_arrow(batches.schema()).map_err(|unfit| {
        let path = path.to_path_buf();
        match unfit {
            Unfit::NoMetadata => MaskError::NotMasks { path },
            Unfit::Metadata(source) => MaskError::Json {
                path,
                expected: "metadata that is a JSON object",
                source,
            },
            Unfit::Column { name, expected } => MaskError::Column {
                path,
                column: name,
                expected,
            },
        }
    })?;
    Ok((batches, schema))
}

/// The names of a folder's files, relative to it, in the order of its `state.json`. None if `state.json` does not
/// exist: then no shard is finished.
///
/// # Errors
/// If `state.json` cannot be read or is not such a list.
pub fn listed_masks(folder: &Path) -> Result<Option<Vec<InsidePath>>, MaskError> {
    #[derive(Deserialize)]
    struct State {
        _data_files: Vec<DataFile>,
    }
    #[derive(Deserialize)]
    struct DataFile {
        filename: String,
    }
    let path = folder.join("state.json");
    let state = match small_file::read(&path) {
        Ok(state) => state,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(MaskError::Read { path, source }),
    };
    match serde_json::from_slice::<State>(&state) {
        Ok(state) => {
            let files = state._data_files.into_iter();
            let names = files.map(|file| InsidePath::new(file.filename));
            let names = names.collect::<Result<_, _>>().map(Some);
            names.map_err(|source| MaskError::Outside { path, source })
        }
        Err(source) => Err(MaskError::Json {
            path,
            expected: "a list of data files",
            source,
        }),
    }
}

/// What a file with a column of targets must have.
pub(super) const NO_CONTEXT: &str = "masks that keep no context token";

/// The shard and the row at `index`. The error is what was expected there.
fn read_row(
    batch: &RecordBatch,
    index: usize,
    schema: &MaskSchema,
) -> Result<(String, MaskRow), &'static str> {
    let string = |name| {
        let strings = column(batch, name)?
            .as_string_opt::<i32>()
            .ok_or("strings")?;
        strings
            .is_valid(index)
            .then(|| strings.value(index).to_owned())
            .ok_or("no null")
    };
    let integer = |name| {
        let integers = column(batch, name)?
            .as_primitive_opt::<Int64Type>()
            .ok_or("integers")?;
        integers
            .is_valid(index)
            .then(|| integers.value(index))
            .ok_or("no null")
    };
    let input_ids = items(batch, schema::INPUT_IDS, index)?;
    let input_ids = input_ids
        .as_primitive_opt::<Int32Type>()
        .ok_or("integers")?;
    let input_ids = input_ids
        .iter()
        .map(|token| token.and_then(|token| u32::try_from(token).ok()))
        .collect::<Option<Vec<_>>>()
        .ok_or("token ids of 0 or more")?;
    if integer(schema::TOKEN_HASH)? != token_hash(&input_ids) {
        return Err("token ids that match their hash");
    }
    let bits = |name: &str| {
        let bits = items(batch, name, index)?;
        let bits = bits.as_boolean_opt().ok_or("booleans")?;
        let bits = bits.iter().collect::<Option<Vec<_>>>();
        bits.ok_or("no null in a mask")
    };
    let mut row = MaskRow {
        id: string(schema::ID)?,
        row: integer(schema::ROW)?,
        input_ids,
        target: schema.target.then(|| bits(schema::TARGET)).transpose()?,
        scores: Vec::with_capacity(schema.scores.len()),
        top: None,
        masks: Vec::with_capacity(schema.masks.len()),
        weights: Vec::with_capacity(schema.weights.len()),
        text: schema.text.then(|| string(schema::TEXT)).transpose()?,
        source: match schema.source {
            true => nullable(batch, schema::SOURCE, index)?,
            false => None,
        },
    };
    for name in &schema.scores {
        let scores = items(batch, name, index)?;
        row.scores.push(match schema.score_type {
            ScoreType::Float32 => {
                let scores = scores.as_primitive_opt::<Float32Type>().ok_or("numbers")?;
                scores.iter().map(|s| s.unwrap_or(f32::NAN)).collect()
            }
            ScoreType::Float16 => {
                let scores = scores.as_primitive_opt::<Float16Type>().ok_or("numbers")?;
                let wide = scores.iter().map(|s| s.map_or(f32::NAN, f32::from));
                wide.collect()
            }
        });
    }
    let mut likely = 0;
    if let Some(columns) = &schema.top {
        let (ids, logprobs) = (
            items(batch, TOP_IDS, index)?,
            items(batch, TOP_LOGPROBS, index)?,
        );
        likely = row.input_ids.len().abs_diff(ids.len());
        row.top = Some(TopTokens::from_arrays(&ids, &logprobs, columns.count)?);
    }
    for name in &schema.masks {
        row.masks.push(bits(name)?);
    }
    for name in &schema.weights {
        let weights = items(batch, name, index)?;
        let weights = weights.as_primitive_opt::<Float32Type>().ok_or("numbers")?;
        let weights = weights.iter().collect::<Option<Vec<_>>>();
        row.weights.push(weights.ok_or("no null in weights")?);
    }
    let tokens = row.input_ids.len();
    let targets = row.target.as_ref().map_or(tokens, Vec::len);
    if targets != tokens || likely != 0 || row.lengths().any(|length| length != tokens) {
        return Err("as many scores and masks as tokens");
    }
    if let Some(target) = &row.target
        && row
            .masks
            .iter()
            .any(|mask| schema::keeps_context(target, mask))
    {
        return Err(NO_CONTEXT);
    }
    Ok((string(schema::SHARD)?, row))
}

/// A string that may be null.
fn nullable(batch: &RecordBatch, name: &str, index: usize) -> Result<Option<String>, &'static str> {
    let strings = column(batch, name)?
        .as_string_opt::<i32>()
        .ok_or("strings")?;
    Ok(strings
        .is_valid(index)
        .then(|| strings.value(index).to_owned()))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, &'static str> {
    batch.column_by_name(name).ok_or("all columns")
}

fn items(batch: &RecordBatch, name: &str, index: usize) -> Result<ArrayRef, &'static str> {
    let lists = column(batch, name)?.as_list_opt::<i32>().ok_or("lists")?;
    lists
        .is_valid(index)
        .then(|| lists.value(index))
        .ok_or("no null")
}

/// Converts an error of the Arrow reader. An error of the file system becomes [`MaskError::Read`].
pub(super) fn broken(path: &Path, source: ArrowError) -> MaskError {
    let path = path.to_path_buf();
    match source {
        ArrowError::IoError(_, source) if source.raw_os_error().is_some() => {
            MaskError::Read { path, source }
        }
        source => MaskError::Arrow { path, source },
    }
}
