"""Scores token ids of known loss and entropy with each model and export, in f32 and converted to f16. Exits with 1 if an
error exceeds the tolerance.

    python parity.py PARITY
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy
import onnx
import pyarrow.ipc
from onnx import numpy_helper

ALLOWED = {"f32": 1e-3, "f16": 2e-2}
# For exports of `rho-mask export`, which compute everything in f16 except rotary angles and sums, which are in f32.
OWN = {"f32": 1e-3, "f16": 5e-2}


def numbers(values):
    return numpy.array([numpy.nan if value is None else value for value in values])


def largest_error(model, expected, folder):
    """The largest errors of loss and of entropy over all tokens."""
    corpus, out = os.path.join(folder, "ids.jsonl"), os.path.join(folder, "masks")
    with open(corpus, "w") as file:
        file.writelines(json.dumps({"input_ids": row["input_ids"]}) + "\n" for row in expected)
    words = [os.environ["RHO_MASK"], "score", corpus, "--model", model, "--out", out, "--tokens-field", "input_ids"]
    subprocess.run(words + ["--device", os.environ["DEVICE"], "--restart", "--progress", "none"], check=True, stderr=subprocess.PIPE)
    table = pyarrow.ipc.open_stream(os.path.join(out, "ids.jsonl.arrow")).read_all()
    assert table.num_rows == len(expected), f"{model}: expected {len(expected)} rows, got {table.num_rows}"
    errors = []
    for column in ("loss", "entropy"):
        error = 0.0
        for row, got in zip(expected, table[column]):
            wanted, got = numbers(row[column]), numbers(got.as_py())
            assert (numpy.isnan(wanted) == numpy.isnan(got)).all(), f"{model}: the scored tokens differ"
            error = max(error, numpy.nanmax(numpy.abs(wanted - got), initial=0.0))
        errors.append(error)
    return errors


def halved(model, folder):
    """The export with weights and their matmuls in f16; everything else stays in f32. The common converters also round the
    rotary angles to f16, which no f16 checkpoint does."""
    target = os.path.join(folder, "half")
    os.makedirs(target, exist_ok=True)
    graph = onnx.load(os.path.join(model, "model.onnx"))
    weights = {tensor.name: tensor for tensor in graph.graph.initializer if len(tensor.dims) == 2}
    nodes, half, narrow = [], onnx.TensorProto.FLOAT16, set()
    for number, node in enumerate(graph.graph.node):
        name = node.input[1] if node.op_type in ("MatMul", "Gemm") else None
        if name not in weights:
            nodes.append(node)
            continue
        before, after = f"half.{number}.in", f"half.{number}.out"
        nodes.append(onnx.helper.make_node("Cast", [node.input[0]], [before], to=half))
        for i, bias in enumerate(node.input[2:], 2):
            nodes.append(onnx.helper.make_node("Cast", [bias], [f"half.{number}.bias"], to=half))
            node.input[i] = f"half.{number}.bias"
        nodes.append(node)
        nodes.append(onnx.helper.make_node("Cast", [after], [node.output[0]], to=onnx.TensorProto.FLOAT))
        node.input[0], node.output[0] = before, after
        narrow.add(name)
    for tensor in graph.graph.initializer:
        if tensor.name in narrow:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(numpy.float16), tensor.name))
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    onnx.save(graph, os.path.join(target, "model.onnx"))
    with open(os.path.join(model, "config.json")) as source, open(os.path.join(target, "config.json"), "w") as copy:
        copy.write(source.read())
    return target


def exported(checkpoint, precision, folder):
    """Exports a checkpoint with `rho-mask export`."""
    target = os.path.join(folder, "exported")
    words = [os.environ["RHO_MASK"], "export", checkpoint, "--out", target, "--dtype", precision]
    subprocess.run(words, check=True, stderr=subprocess.PIPE)
    return target


print("\n## Parity\n\n| model | export | precision | loss within | entropy within | allowed | |\n|---|---|---|---|---|---|---|")
failed = False
for name in sorted(os.listdir(sys.argv[1])):
    path = os.path.join(sys.argv[1], name)
    if not os.path.exists(os.path.join(path, "expected.jsonl")):
        continue
    with open(os.path.join(path, "expected.jsonl")) as lines:
        expected = [json.loads(line) for line in lines]
    for export in ("onnx", "onnx_past", "hf"):
        for precision, allowed in (OWN if export == "hf" else ALLOWED).items():
            with tempfile.TemporaryDirectory() as folder:
                model = os.path.join(path, export)
                try:
                    if export == "hf":
                        model = exported(model, precision, folder)
                    elif precision == "f16":
                        model = halved(model, folder)
                    loss, entropy = largest_error(model, expected, folder)
                except subprocess.CalledProcessError as error:
                    failed = True
                    said = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
                    print(f"| {name} | {export} | {precision} | - | - | {allowed:g} | FAILED: {' '.join(said)} |")
                    continue
            wrong = max(loss, entropy) > allowed
            failed |= wrong
            print(f"| {name} | {export} | {precision} | {loss:.1e} | {entropy:.1e} | {allowed:g} | {'FAILED' if wrong else 'ok'} |", flush=True)
sys.exit(failed)
