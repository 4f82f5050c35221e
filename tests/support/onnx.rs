//! Small ONNX files, written node by node with the schema's own messages.

use std::path::Path;

use half::{bf16, f16};
use prost::Message;
use rho_graph::DataType;
use rho_graph::onnx::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

/// A graph under construction.
#[derive(Clone, Default)]
pub(crate) struct Graph(pub(crate) GraphProto);

impl Graph {
    /// An input; axes are numbers or names, such as `batch length 64`.
    pub(crate) fn input(mut self, name: &str, dtype: DataType, axes: &str) -> Self {
        self.0.input.push(value(name, dtype, Some(axes)));
        self
    }

    pub(crate) fn output(mut self, name: &str, dtype: DataType, axes: &str) -> Self {
        self.0.output.push(value(name, dtype, Some(axes)));
        self
    }

    /// An output without a shape in the file.
    pub(crate) fn output_of_unknown_shape(mut self, name: &str, dtype: DataType) -> Self {
        self.0.output.push(value(name, dtype, None));
        self
    }

    /// A node; inputs and outputs are names with spaces between.
    pub(crate) fn node(self, operator: &str, inputs: &str, outputs: &str) -> Self {
        self.node_with(operator, inputs, outputs, vec![])
    }

    pub(crate) fn node_with(
        mut self,
        operator: &str,
        inputs: &str,
        outputs: &str,
        attribute: Vec<AttributeProto>,
    ) -> Self {
        self.0.node.push(NodeProto {
            op_type: Some(operator.to_owned()),
            name: Some(format!("/{outputs}")),
            input: inputs.split_whitespace().map(str::to_owned).collect(),
            output: outputs.split_whitespace().map(str::to_owned).collect(),
            attribute,
            ..Default::default()
        });
        self
    }

    pub(crate) fn cast(self, from: &str, to: &str, dtype: DataType) -> Self {
        let to_type = int("to", i64::from(dtype.to_onnx()));
        self.node_with("Cast", from, to, vec![to_type])
    }

    /// A constant of floats.
    pub(crate) fn floats(
        self,
        name: &str,
        dtype: DataType,
        dims: &[usize],
        values: &[f32],
    ) -> Self {
        let raw = match dtype {
            DataType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            DataType::F16 => values
                .iter()
                .flat_map(|&v| f16::from_f32(v).to_le_bytes())
                .collect(),
            DataType::Bf16 => values
                .iter()
                .flat_map(|&v| bf16::from_f32(v).to_le_bytes())
                .collect::<Vec<u8>>(),
            other => panic!("no floats: {other:?}"),
        };
        self.constant(name, dtype, dims, raw)
    }

    /// A constant of 64-bit integers, one axis.
    pub(crate) fn integers(self, name: &str, values: &[i64]) -> Self {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, DataType::I64, &[values.len()], raw)
    }

    fn constant(mut self, name: &str, dtype: DataType, dims: &[usize], raw: Vec<u8>) -> Self {
        self.0.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type: Some(dtype.to_onnx()),
            raw_data: Some(raw.into()),
            ..Default::default()
        });
        self
    }

    /// Writes the graph as a model.
    pub(crate) fn write(self, path: &Path) {
        let model = ModelProto {
            ir_version: Some(8),
            producer_name: Some("tests".to_owned()),
            graph: Some(GraphProto {
                name: Some("tiny".to_owned()),
                ..self.0
            }),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(17),
            }],
            ..Default::default()
        };
        super::write(path, model.encode_to_vec());
    }

    /// Writes the graph, with the bytes of its constants in a second file beside it.
    pub(crate) fn write_with_external_data(mut self, path: &Path, location: &str) {
        let mut data = Vec::new();
        for tensor in &mut self.0.initializer {
            let raw = tensor.raw_data.take().unwrap();
            // Exporters align tensors, so there are gaps.
            data.resize(data.len().next_multiple_of(4096), 0);
            let entry = |key: &str, value: String| StringStringEntryProto {
                key: Some(key.to_owned()),
                value: Some(value),
            };
            tensor.data_location = Some(1);
            tensor.external_data = vec![
                entry("location", location.to_owned()),
                entry("offset", data.len().to_string()),
                entry("length", raw.len().to_string()),
            ];
            data.extend_from_slice(&raw);
        }
        super::write(&path.with_file_name(location), data);
        self.write(path);
    }
}

fn value(name: &str, dtype: DataType, axes: Option<&str>) -> ValueInfoProto {
    let dimension = |axis: &str| match axis.parse() {
        Ok(size) => DimensionProto {
            dim_value: Some(size),
            ..Default::default()
        },
        Err(_) => DimensionProto {
            dim_param: Some(axis.to_owned()),
            ..Default::default()
        },
    };
    let shape = axes.map(|axes| TensorShapeProto {
        dim: axes.split_whitespace().map(dimension).collect(),
    });
    let tensor_type = TensorTypeProto {
        elem_type: Some(dtype.to_onnx()),
        shape,
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor_type),
            ..Default::default()
        }),
        ..Default::default()
    }
}

// Attribute types by their number in the schema.
const FLOAT: i32 = 1;
const INT: i32 = 2;

pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        f: Some(value),
        r#type: Some(FLOAT),
        ..Default::default()
    }
}

pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        i: Some(value),
        r#type: Some(INT),
        ..Default::default()
    }
}
