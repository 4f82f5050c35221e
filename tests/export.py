"""Checks exports: ONNX's own checker with shape inference, and loss and entropy through onnxruntime.

Arguments: EXPORT=FIXTURE=TOLERANCE; without a fixture the export is only checked, because
the CPU has no operators to run it.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

KEYS = {"rho_mask.version", "rho_mask.checkpoint", "rho_mask.family", "rho_mask.dtype", "rho_mask.head"}


def head(model, metadata, output, hidden):
    """Logits in float64, of a graph that outputs hidden states."""
    if output == "logits":
        return hidden.astype(np.float64)
    parts = json.loads(metadata["rho_mask.head"])
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    number = lambda name: numpy_helper.to_array(constants[name]).astype(np.float64)
    logits = hidden.astype(np.float64) @ number(parts["weights"]).T
    if parts["bias"]:
        logits = logits + number(parts["bias"])
    if parts["softcap"]:
        logits = np.tanh(logits / parts["softcap"]) * parts["softcap"]
    return logits


for argument in sys.argv[1:]:
    export, fixture, tolerance = argument.split("=")
    path = f"{export}/model.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(path, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert set(metadata) == KEYS and len(metadata["rho_mask.checkpoint"]) == 64, metadata
    domains = {node.domain for node in model.graph.node}
    names = {entry.domain for entry in model.opset_import}
    assert domains <= names, (domains, names)
    if not fixture:
        assert metadata["rho_mask.dtype"] == tolerance and domains == {""}, (export, metadata, domains)
        continue
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["input_ids"]
    (output,) = session.get_outputs()
    for line in pathlib.Path(fixture, "expected.jsonl").read_text().splitlines():
        row = json.loads(line)
        ids = np.array(row["input_ids"])
        # Twice, with garbage after the end: a causal model does not look there.
        padded = np.stack([np.append(ids, [3, 5]), np.append(ids, [7, 7])])
        (given,) = session.run(None, {"input_ids": padded})
        assert given.shape[:2] == padded.shape, given.shape
        for batch in given:
            logits = head(model, metadata, output.name, batch[: len(ids)])
            logits -= logits.max(-1, keepdims=True)
            logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            loss = -logs[np.arange(len(ids) - 1), ids[1:]]
            entropy = -(np.exp(logs) * logs).sum(-1)[:-1]
            for got, expected in [(loss, row["loss"]), (entropy, row["entropy"])]:
                gap = np.abs(got - np.array(expected[1:], dtype=np.float64)).max(initial=0)
                assert gap <= float(tolerance), (export, gap)
