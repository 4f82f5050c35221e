//! External data: the files beside a model that hold the bytes of its constants. A model that was downloaded names them
//! itself, so each is checked before it is opened.
//!
//! ```text
//! location, offset, length of a tensor ─► a file in the model's folder, with these bytes
//! ```

use std::path::{Component, Path, PathBuf};

use crate::{
    GraphError,
    onnx::{GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto},
};

/// Folders of the Hugging Face cache: `snapshots/COMMIT/model.onnx` is a link to `blobs/HASH`.
const SNAPSHOTS: &str = "snapshots";
const BLOBS: &str = "blobs";
/// The location by which ONNX Runtime means an address in memory, not a file.
const ADDRESS: &str = "_ORT_MEM_ADDR_";

/// File, offset and length of an external tensor's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct External {
    /// Relative to the model's folder, and below it.
    pub(crate) location: String,
    pub(crate) offset: usize,
    pub(crate) length: Option<usize>,
}

/// The external data of a tensor, if it has any. `model` is for messages: the file, or its folder.
///
/// # Errors
/// If the location leads out of the model's folder, or offset or length are not whole numbers.
pub(crate) fn external(proto: &TensorProto, model: &Path) -> Result<Option<External>, GraphError> {
    if proto.data_location != Some(1) {
        return Ok(None);
    }
    let refused = |expected: &'static str, got: &str| GraphError::ExternalData {
        model: model.to_owned(),
        name: proto.name.clone().unwrap_or_default(),
        expected,
        got: got.to_owned(),
    };
    let value = |key: &str| {
        let mut entries = proto.external_data.iter();
        let entry = entries.find(|entry| entry.key.as_deref() == Some(key))?;
        entry.value.as_deref()
    };
    let number = |key: &str| {
        let number = value(key).map(|text| text.parse().map_err(|_| text));
        number.transpose()
    };
    let location = value("location").unwrap_or_default();
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    let inside = Path::new(location).components().all(plain) && !location.contains('\0');
    if location.is_empty() || !inside || location.contains(ADDRESS) {
        return Err(refused(
            "a location below the model's folder, without ..",
            location,
        ));
    }
    Ok(Some(External {
        location: location.to_owned(),
        offset: number("offset")
            .map_err(|text| refused("a whole number as offset", text))?
            .unwrap_or(0),
        length: number("length").map_err(|text| refused("a whole number as length", text))?,
    }))
}

/// The file of external data, with links resolved. It is below the model's folder, or beside the file that the model
/// itself is a link to, or among the blobs of the Hub's cache if the model is among its snapshots.
///
/// # Errors
/// If it does not exist, is not a file, or is a link that leads elsewhere.
pub(crate) fn file(
    name: Option<&str>,
    external: &External,
    folder: &Path,
    model: &Path,
) -> Result<PathBuf, GraphError> {
    let path = folder.join(&external.location);
    let real = |path: &Path| {
        path.canonicalize().map_err(|source| GraphError::Read {
            path: path.to_owned(),
            source,
        })
    };
    let (file, folder) = (real(&path)?, real(folder)?);
    let refused = |expected, got: &Path| GraphError::ExternalData {
        model: model.to_owned(),
        name: name.unwrap_or_default().to_owned(),
        expected,
        got: got.display().to_string(),
    };
    let parent = file.parent();
    let allowed = file.starts_with(&folder)
        || (parent.is_some() && parent == model.parent())
        || (parent.is_some() && parent == blobs_of(&folder).as_deref());
    if !allowed {
        return Err(refused(
            "a file in the model's folder, or a link to one",
            &file,
        ));
    }
    if !file.is_file() {
        return Err(refused("a regular file", &file));
    }
    Ok(file)
}

/// The blobs of the Hub's cache, for a folder in one of its snapshots.
fn blobs_of(folder: &Path) -> Option<PathBuf> {
    let mut above = folder.ancestors().skip(1);
    let snapshots = above.find(|folder| folder.file_name().is_some_and(|n| n == SNAPSHOTS))?;
    Some(snapshots.parent()?.join(BLOBS))
}

/// Calls `check` for every tensor of a model: also those in attributes, subgraphs and functions, which ONNX Runtime
/// reads itself.
///
/// # Errors
/// Those of `check`.
pub(crate) fn each_tensor(
    proto: &ModelProto,
    graph: &GraphProto,
    check: &mut dyn FnMut(&TensorProto) -> Result<(), GraphError>,
) -> Result<(), GraphError> {
    each_of_graph(graph, check)?;
    let nodes = proto.functions.iter().flat_map(|function| &function.node);
    each_of_nodes(nodes, check)
}

fn each_of_graph(
    graph: &GraphProto,
    check: &mut dyn FnMut(&TensorProto) -> Result<(), GraphError>,
) -> Result<(), GraphError> {
    for tensor in &graph.initializer {
        check(tensor)?;
    }
    each_sparse(&graph.sparse_initializer, check)?;
    each_of_nodes(&graph.node, check)
}

fn each_of_nodes<'a>(
    nodes: impl IntoIterator<Item = &'a NodeProto>,
    check: &mut dyn FnMut(&TensorProto) -> Result<(), GraphError>,
) -> Result<(), GraphError> {
    for attribute in nodes.into_iter().flat_map(|node| &node.attribute) {
        for tensor in attribute.t.as_deref().into_iter().chain(&attribute.tensors) {
            check(tensor)?;
        }
        let sparse = attribute.sparse_tensor.as_deref().into_iter();
        each_sparse(sparse.chain(&attribute.sparse_tensors), check)?;
        for graph in attribute.g.as_deref().into_iter().chain(&attribute.graphs) {
            each_of_graph(graph, check)?;
        }
    }
    Ok(())
}

fn each_sparse<'a>(
    tensors: impl IntoIterator<Item = &'a SparseTensorProto>,
    check: &mut dyn FnMut(&TensorProto) -> Result<(), GraphError>,
) -> Result<(), GraphError> {
    for tensor in tensors {
        for part in [&tensor.values, &tensor.indices].into_iter().flatten() {
            check(part)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::onnx::{AttributeProto, StringStringEntryProto};

    fn tensor(entries: &[(&str, &str)]) -> TensorProto {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: Some((*key).to_owned()),
            value: Some((*value).to_owned()),
        };
        TensorProto {
            name: Some("w".to_owned()),
            data_location: Some(1),
            external_data: entries.iter().map(entry).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn locations_stay_below_the_folder_and_numbers_are_numbers() {
        let read = |entries: &[(&str, &str)]| external(&tensor(entries), Path::new("m.onnx"));
        let good = read(&[("location", "a/./b.bin"), ("offset", "7"), ("length", "8")]);
        let expected = External {
            location: "a/./b.bin".to_owned(),
            offset: 7,
            length: Some(8),
        };
        assert_eq!(good.unwrap(), Some(expected));
        for location in [
            "",
            "/etc/passwd",
            "../secret.bin",
            "a/../../secret.bin",
            "..",
            "*/_ORT_MEM_ADDR_/*",
            "a\0b",
        ] {
            let said = read(&[("location", location)]).unwrap_err().to_string();
            assert!(said.contains("below the model's folder"), "{said}");
        }
        for (key, value) in [
            ("offset", "-1"),
            ("length", "-1"),
            ("length", "1e3"),
            ("offset", ""),
            ("length", "99999999999999999999"),
        ] {
            let said = read(&[("location", "a"), (key, value)]).unwrap_err();
            assert!(said.to_string().contains(key), "{said}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_nowhere_but_into_the_hubs_cache() {
        use std::os::unix::fs::symlink;
        let place = tempfile::tempdir().unwrap();
        let top = place.path().canonicalize().unwrap();
        let folder = top.join("models--a--b/snapshots/c0ffee/onnx");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(top.join("models--a--b/blobs")).unwrap();
        fs::create_dir_all(top.join("other/blobs")).unwrap();
        for name in ["models--a--b/blobs/1", "other/blobs/1", "secret", "real"] {
            fs::write(top.join(name), "bytes").unwrap();
        }
        fs::write(folder.join("beside"), "bytes").unwrap();
        symlink("../../../blobs/1", folder.join("blob")).unwrap();
        symlink(top.join("other/blobs/1"), folder.join("other")).unwrap();
        symlink(top.join("secret"), folder.join("secret")).unwrap();
        symlink("beside", folder.join("inside")).unwrap();
        symlink(&top, folder.join("up")).unwrap();
        let found = |location: &str, folder: &Path| {
            let external = External {
                location: location.to_owned(),
                offset: 0,
                length: None,
            };
            file(Some("w"), &external, folder, &folder.join("model.onnx"))
        };
        assert_eq!(
            found("blob", &folder).unwrap(),
            top.join("models--a--b/blobs/1")
        );
        assert_eq!(found("inside", &folder).unwrap(), folder.join("beside"));
        for location in ["other", "secret", "up/secret", "up", "gone"] {
            assert!(found(location, &folder).is_err(), "{location}");
        }
        // The folder of another layout has no blobs.
        let plain = top.join("plain");
        fs::create_dir(&plain).unwrap();
        symlink(top.join("models--a--b/blobs/1"), plain.join("blob")).unwrap();
        assert!(found("blob", &plain).is_err());
        fs::create_dir(plain.join("folder")).unwrap();
        let said = found("folder", &plain).unwrap_err().to_string();
        assert!(said.contains("a regular file"), "{said}");
    }

    #[test]
    fn tensors_in_subgraphs_are_found() {
        let inner = GraphProto {
            initializer: vec![tensor(&[("location", "../x")])],
            ..Default::default()
        };
        let attribute = AttributeProto {
            g: Some(Box::new(inner)),
            t: Some(Box::default()),
            ..Default::default()
        };
        let graph = GraphProto {
            node: vec![NodeProto {
                attribute: vec![attribute],
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut names = Vec::new();
        each_tensor(&ModelProto::default(), &graph, &mut |tensor| {
            names.push(tensor.name.clone());
            Ok(())
        })
        .unwrap();
        assert_eq!(names, [None, Some("w".to_owned())]);
    }
}
