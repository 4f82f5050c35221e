//! How much memory a model file takes when it is decoded, counted before that is done: a message of two bytes becomes a
//! struct of hundreds. Weights are not counted, because they stay in the file.

use std::path::Path;

use crate::{
    GraphError,
    onnx::{
        AttributeProto, DimensionProto, FunctionProto, GraphProto, NodeProto, SparseTensorProto,
        StringStringEntryProto, TensorAnnotation, TensorProto, TensorTypeProto, TypeProto,
        ValueInfoProto,
    },
};

/// Most constants of a model. A mixture of 256 experts in 61 layers has 91,000.
const MOST_TENSORS: usize = 1 << 18;
/// Most bytes of its messages in memory. It is copied several times while it is cut.
const MOST_BYTES: usize = 512 << 20;
/// Deeper messages are refused when they are decoded.
const DEEPEST: usize = 100;

/// The kind of a message, as far as it holds others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Value,
    Type,
    TensorType,
    Shape,
    Dimension,
    Annotation,
    Function,
    Entry,
}

/// What a field holds.
enum Field {
    Message(Kind),
    /// A view into the file.
    View,
    /// Integers of one byte or more, which become eight.
    Integers,
    Other,
}

/// The field numbers are those of the schema; see `onnx`.
fn field(kind: Kind, tag: u64) -> Field {
    use Kind as K;
    let message = match (kind, tag) {
        (K::Model, 7) | (K::Attribute, 6 | 11) => K::Graph,
        (K::Model, 25) => K::Function,
        (K::Graph, 1) | (K::Function, 7) => K::Node,
        (K::Graph, 5) | (K::Attribute, 5 | 10) | (K::Sparse, 1 | 2) => K::Tensor,
        (K::Graph, 11..=13) | (K::Function, 12) => K::Value,
        (K::Graph, 14) => K::Annotation,
        (K::Graph, 15) | (K::Attribute, 22 | 23) => K::Sparse,
        (K::Node, 5) | (K::Function, 11) => K::Attribute,
        (K::Value, 2) | (K::Attribute, 14 | 15) => K::Type,
        (K::Type, 1) => K::TensorType,
        (K::TensorType, 2) => K::Shape,
        (K::Shape, 1) => K::Dimension,
        (K::Model, 8 | 14)
        | (K::Graph | K::Tensor, 16)
        | (K::Node | K::Function, 9)
        | (K::Tensor, 13)
        | (K::Value, 4)
        | (K::Annotation, 2)
        | (K::Function, 14) => K::Entry,
        (K::Tensor, 4 | 6 | 9 | 10) | (K::Attribute, 4 | 9) | (K::Type, 4 | 5 | 8 | 9) => {
            return Field::View;
        }
        (K::Tensor, 1 | 5 | 7 | 11) | (K::Attribute, 8) | (K::Sparse, 3) => {
            return Field::Integers;
        }
        _ => return Field::Other,
    };
    Field::Message(message)
}

fn bytes_of(kind: Kind) -> usize {
    match kind {
        Kind::Model => 0,
        Kind::Graph => size_of::<GraphProto>(),
        Kind::Node => size_of::<NodeProto>(),
        Kind::Attribute => size_of::<AttributeProto>(),
        Kind::Tensor => size_of::<TensorProto>(),
        Kind::Sparse => size_of::<SparseTensorProto>(),
        Kind::Value => size_of::<ValueInfoProto>(),
        Kind::Type => size_of::<TypeProto>(),
        Kind::TensorType | Kind::Shape => size_of::<TensorTypeProto>(),
        Kind::Dimension => size_of::<DimensionProto>(),
        Kind::Annotation => size_of::<TensorAnnotation>(),
        Kind::Function => size_of::<FunctionProto>(),
        Kind::Entry => size_of::<StringStringEntryProto>(),
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    tensors: usize,
    bytes: usize,
}

/// Refuses a file that would take too much memory. Errors in the file are left to decoding.
///
/// # Errors
/// With what it has too many of.
pub(crate) fn check(path: &Path, file: &[u8]) -> Result<(), GraphError> {
    let mut count = Count::default();
    count.add(file, Kind::Model, 0);
    let refused = |expected: String, got: String| GraphError::TooLarge {
        path: path.to_owned(),
        expected,
        got,
    };
    if count.tensors > MOST_TENSORS {
        let expected = format!("at most {MOST_TENSORS} tensors");
        return Err(refused(expected, count.tensors.to_string()));
    }
    if count.bytes > MOST_BYTES {
        let expected =
            format!("a graph that takes at most {MOST_BYTES} bytes of memory without its weights");
        return Err(refused(expected, count.bytes.to_string()));
    }
    Ok(())
}

impl Count {
    /// Adds the fields of a message, up to the first that cannot be decoded.
    fn add(&mut self, mut message: &[u8], kind: Kind, depth: usize) {
        self.bytes = self.bytes.saturating_add(bytes_of(kind));
        self.tensors += usize::from(kind == Kind::Tensor);
        if depth > DEEPEST {
            return;
        }
        while let Some(key) = varint(&mut message) {
            let length = match key & 7 {
                0 => {
                    // Also of a list that is not packed.
                    self.bytes = self.bytes.saturating_add(size_of::<i64>());
                    varint(&mut message).map(|_| 0)
                }
                1 => Some(8),
                2 => varint(&mut message).and_then(|n| usize::try_from(n).ok()),
                // The marks around a group: its fields are counted as if there were none.
                3 | 4 => Some(0),
                5 => Some(4),
                _ => None,
            };
            let Some((part, rest)) = length.and_then(|length| message.split_at_checked(length))
            else {
                return;
            };
            message = rest;
            if key & 7 != 2 {
                continue;
            }
            let more = match field(kind, key >> 3) {
                Field::Message(inner) => {
                    self.add(part, inner, depth + 1);
                    0
                }
                Field::View => size_of::<bytes::Bytes>(),
                Field::Integers => part.len().saturating_mul(size_of::<i64>()),
                Field::Other => size_of::<String>() + part.len(),
            };
            self.bytes = self.bytes.saturating_add(more);
        }
    }
}

/// A number of up to ten bytes, seven bits in each.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::onnx::ModelProto;

    fn model(graph: GraphProto) -> Vec<u8> {
        let model = ModelProto {
            graph: Some(graph),
            ..Default::default()
        };
        model.encode_to_vec()
    }

    #[test]
    fn counts_what_decoding_would_allocate() {
        let tensor = TensorProto {
            dims: vec![2, 3],
            raw_data: Some(vec![0; 1000].into()),
            ..Default::default()
        };
        let inner = GraphProto {
            initializer: vec![tensor.clone()],
            ..Default::default()
        };
        let attribute = AttributeProto {
            g: Some(Box::new(inner)),
            ..Default::default()
        };
        let node = NodeProto {
            op_type: Some("Loop".to_owned()),
            attribute: vec![attribute],
            ..Default::default()
        };
        let graph = GraphProto {
            node: vec![node],
            initializer: vec![tensor],
            ..Default::default()
        };
        let mut count = Count::default();
        count.add(&model(graph), Kind::Model, 0);
        assert_eq!(count.tensors, 2);
        let least = 2 * size_of::<TensorProto>() + size_of::<NodeProto>();
        assert!((least..least + 2000).contains(&count.bytes), "{count:?}");
    }

    #[test]
    fn many_small_messages_are_refused_and_broken_ones_are_left_to_decoding() {
        let path = Path::new("model.onnx");
        let said = |graph| check(path, &model(graph)).unwrap_err().to_string();
        let tensors = said(GraphProto {
            initializer: vec![TensorProto::default(); MOST_TENSORS + 1],
            ..Default::default()
        });
        assert!(tensors.contains("at most 262144 tensors"), "{tensors}");
        // Two bytes each.
        let nodes = [0x0a, 0].repeat(MOST_BYTES / size_of::<NodeProto>() + 1);
        let mut file = vec![0x3a];
        prost::encoding::encode_varint(nodes.len() as u64, &mut file);
        file.extend(nodes);
        let said = check(path, &file).unwrap_err().to_string();
        assert!(said.contains("bytes of memory"), "{said}");
        for broken in [
            &[0x3a, 5, 0x0a][..],
            &[0xff; 20],
            &[0x3a, 0xff, 0xff],
            &[7, 7],
        ] {
            check(path, broken).unwrap();
        }
    }
}
