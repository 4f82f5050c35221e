"""Test data: the five-token example, and generated masks folders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import rho_mask

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Example:
    """The example in the docstring of alignment.py."""

    input_ids = (464, 3290, 3332, 319, 262)
    loss = (None, 7.21, 2.05, 0.88, 0.31)
    mask = (False, True, False, True, True)
    labels = (-100, 3290, -100, 319, 262)
    targets = (3290, 3332, 319, 262)
    target_mask = (True, False, True, True)


def code_of(document: str, line: str) -> str:
    """The Python code of a document that has this text in it: exactly one block."""
    blocks = (ROOT / document).read_text().split("```python\n")[1:]
    (block,) = [code for code in (block.split("```")[0] for block in blocks) if line in code]
    return block


def close_to(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables are the same but for the rounding of other batches."""
    for name in one.column_names:
        if name in ("loss", "entropy"):
            a, b = (pc.list_flatten(table[name]).combine_chunks() for table in (one, other))
            if not a.is_null().equals(b.is_null()) or pc.max(pc.abs(pc.subtract(a, b))).as_py() > 1e-5:
                return False
        elif not one[name].combine_chunks().equals(other[name].combine_chunks()):
            return False
    return one.column_names == other.column_names


def masks_schema(**metadata: Any) -> pa.Schema:
    """The schema of mask files with a column of losses and one mask."""
    kinds = {
        "id": pa.string(),
        "shard": pa.string(),
        "row": pa.int64(),
        "token_hash": pa.int64(),
        "input_ids": pa.list_(pa.int32()),
        "loss": pa.list_(pa.float32()),
        "mask_intersection": pa.list_(pa.bool_()),
    }
    how = {"format_version": 1, "tokenizer": {"fingerprint": None}, **metadata}
    return pa.schema(kinds, {"rho_mask": json.dumps(how)})


def write_masks(folder: Path, shards: dict[str, list[tuple[Any, Any, Any]]], **metadata: Any) -> Path:
    """A masks folder with these documents: token ids, losses, mask."""
    folder.mkdir()
    schema = masks_schema(**metadata)
    for shard, documents in shards.items():
        rows = [
            {
                "id": f"{shard}#{row}",
                "shard": shard,
                "row": row,
                "token_hash": rho_mask.token_hash(ids),
                "input_ids": ids,
                "loss": loss,
                "mask_intersection": mask,
            }
            for row, (ids, loss, mask) in enumerate(documents)
        ]
        # Several record batches per file, as in large files.
        file = folder / f"{shard}.arrow"
        file.parent.mkdir(parents=True, exist_ok=True)
        with pa.ipc.new_stream(file, schema) as stream:
            for at in range(0, max(len(rows), 1), 3):
                stream.write_batch(pa.RecordBatch.from_pylist(rows[at : at + 3], schema))
    files = [{"filename": f"{shard}.arrow"} for shard in shards]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_fingerprint": "f", "_split": "train"}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def documents(count: int, longest: int, seed: int) -> list[tuple[Any, Any, Any]]:
    """Documents of all lengths from 0, with some null losses, and random masks."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        length = int(random.integers(1, longest + 1)) if number >= 4 else number
        ids = random.integers(1, 1 << 30, length).tolist()
        loss = [None if i == 0 or random.random() < 0.1 else float(np.float32(random.random())) for i in range(length)]
        mask = [value is not None and random.random() < 0.6 for value in loss]
        made.append((ids, loss, mask))
    return made


def tiny_model(folder: Path, vocabulary: int = 64) -> Path:
    """A very fast reference: its prediction depends only on the previous token."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(7)
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "head"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", vocabulary])],
        [
            numpy_helper.from_array(random.uniform(-2, 2, shape).astype(np.float32), name)
            for name, shape in [("embedding", (vocabulary, 8)), ("head", (8, vocabulary))]
        ],
    )
    folder.mkdir()
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), folder / "model.onnx")
    (folder / "config.json").write_text('{"max_position_embeddings": 512}')
    return folder
