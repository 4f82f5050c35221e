//! Writes a model to disk. Constants are written one by one, into the model file or, if it would exceed protobuf's
//! limit, into one file of external data beside it.
//!
//! Protobuf puts a nested message's length before its content. The lengths are known from the shapes, so nothing has to
//! be buffered.

use std::{
    fs::File,
    io::{BufWriter, Write},
    ops::ControlFlow,
    path::Path,
};

use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use super::{Progress, constants::Constant};
use crate::{
    ExportError,
    onnx::{GraphProto, ModelProto, StringStringEntryProto, TensorProto},
};

/// Constants of fewer bytes stay in the model file: shape inference needs them.
const SMALL: usize = 16 * 1024;
/// Alignment of constants in the external file: they start at whole pages, so that they can be mapped.
const PAGE: u64 = 4096;

/// Tags of the schema: ModelProto.graph, GraphProto.initializer, TensorProto.raw_data.
const GRAPH: u32 = 7;
const INITIALIZER: u32 = 5;
const RAW_DATA: u32 = 9;

/// Called after each constant; may stop the export.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

/// Writes `model.onnx`, and also `model.onnx.data` if the model takes more than `inline` bytes. Returns the size of
/// both in bytes.
pub(crate) fn write(
    folder: &Path,
    model: &ModelProto,
    graph: &GraphProto,
    constants: &[Constant],
    inline: u64,
    watch: Watch<'_>,
) -> Result<u64, ExportError> {
    let total: u64 = constants.iter().map(|c| c.length() as u64).sum();
    let rest = graph.encoded_len() as u64;
    let path = folder.join("model.onnx");
    let mut tensors: Vec<TensorProto> = constants.iter().map(header).collect();
    let mut outside = vec![false; constants.len()];
    let mut external: u64 = 0;
    if total.saturating_add(rest) > inline {
        let data = folder.join("model.onnx.data");
        let mut file = create(&data)?;
        for ((constant, tensor), outside) in constants.iter().zip(&mut tensors).zip(&mut outside) {
            if constant.length() < SMALL {
                continue;
            }
            let padding = external.next_multiple_of(PAGE) - external;
            let bytes = constant.bytes()?;
            let put = |file: &mut BufWriter<File>| {
                file.write_all(&vec![0; padding as usize])?;
                file.write_all(&bytes)
            };
            put(&mut file).map_err(failed(&data))?;
            refer(tensor, external + padding, bytes.len());
            external += padding + bytes.len() as u64;
            *outside = true;
            tell(watch, constant, external, total, folder)?;
        }
        finish(file, &data)?;
    }
    let sizes: Vec<u64> = (constants.iter().zip(&tensors).zip(&outside))
        .map(|((constant, tensor), &outside)| {
            let own = tensor.encoded_len() as u64;
            match outside {
                true => own,
                false => own + field(RAW_DATA, constant.length() as u64),
            }
        })
        .collect();
    let inside: u64 = sizes.iter().map(|&size| field(INITIALIZER, size)).sum();
    let mut file = create(&path)?;
    let mut head = model.encode_to_vec();
    start(&mut head, GRAPH, rest + inside);
    head.extend(graph.encode_to_vec());
    file.write_all(&head).map_err(failed(&path))?;
    let mut written = external;
    for (((constant, tensor), size), outside) in
        constants.iter().zip(&tensors).zip(sizes).zip(outside)
    {
        let mut head = Vec::new();
        start(&mut head, INITIALIZER, size);
        head.extend(tensor.encode_to_vec());
        if outside {
            file.write_all(&head).map_err(failed(&path))?;
            continue;
        }
        start(&mut head, RAW_DATA, constant.length() as u64);
        let bytes = constant.bytes()?;
        debug_assert_eq!(bytes.len(), constant.length());
        let put = |file: &mut BufWriter<File>| {
            file.write_all(&head)?;
            file.write_all(&bytes)
        };
        put(&mut file).map_err(failed(&path))?;
        written += bytes.len() as u64;
        tell(watch, constant, written, total, folder)?;
    }
    finish(file, &path)?;
    let size = std::fs::metadata(&path).map_err(failed(&path))?.len();
    Ok(size + external)
}

/// Writes key and length of a bytes field.
fn start(to: &mut Vec<u8>, tag: u32, length: u64) {
    encode_key(tag, WireType::LengthDelimited, to);
    encode_varint(length, to);
}

/// The size of a bytes field.
fn field(tag: u32, length: u64) -> u64 {
    key_len(tag) as u64 + encoded_len_varint(length) as u64 + length
}

fn header(constant: &Constant) -> TensorProto {
    TensorProto {
        name: Some(constant.name.clone()),
        dims: constant.dims.iter().map(|&d| d as i64).collect(),
        data_type: Some(constant.dtype.to_onnx()),
        ..Default::default()
    }
}

/// Turns a tensor into a reference to the external file.
fn refer(tensor: &mut TensorProto, offset: u64, length: usize) {
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    tensor.data_location = Some(1);
    tensor.external_data = vec![
        entry("location", "model.onnx.data".to_owned()),
        entry("offset", offset.to_string()),
        entry("length", length.to_string()),
    ];
}

fn tell(
    watch: Watch<'_>,
    constant: &Constant,
    bytes: u64,
    total: u64,
    folder: &Path,
) -> Result<(), ExportError> {
    let progress = Progress {
        name: &constant.name,
        bytes: bytes.min(total),
        total,
    };
    match watch(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ExportError::Stopped {
            path: folder.to_owned(),
        }),
    }
}

fn create(path: &Path) -> Result<BufWriter<File>, ExportError> {
    let file = File::create_new(path).map_err(failed(path))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}

fn finish(file: BufWriter<File>, path: &Path) -> Result<(), ExportError> {
    let file = file
        .into_inner()
        .map_err(|error| failed(path)(error.into_error()))?;
    file.sync_all().map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> ExportError + '_ {
    move |source| ExportError::Write {
        path: path.to_owned(),
        source,
    }
}
