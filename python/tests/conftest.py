"""What the tests share: the five-token example, masks folders of our own, and the bundled corpus scored once.

`RHO_MASK_BINARY` names the program; without it that of this Python environment, or on the PATH, is taken.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import rho_mask

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Example:
    """The example that alignment.py draws."""

    input_ids = (464, 3290, 3332, 319, 262)
    loss = (None, 7.21, 2.05, 0.88, 0.31)
    mask = (False, True, False, True, True)
    labels = (-100, 3290, -100, 319, 262)
    targets = (3290, 3332, 319, 262)
    target_mask = (True, False, True, True)


@pytest.fixture
def example() -> Example:
    return Example()


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
        # Several record batches a file, as large ones have.
        with pa.ipc.new_stream(folder / f"{shard}.arrow", schema) as stream:
            for at in range(0, max(len(rows), 1), 3):
                stream.write_batch(pa.RecordBatch.from_pylist(rows[at : at + 3], schema))
    files = [{"filename": f"{shard}.arrow"} for shard in shards]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_fingerprint": "f", "_split": "train"}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


@pytest.fixture
def example_masks(tmp_path: Path, example: Example) -> Path:
    """Two shards; the example is the second document of the second one."""
    other = ([7, 8, 9], [None, 1.0, 2.0], [False, True, True])
    return write_masks(
        tmp_path / "masks",
        {"a": [other] * 4, "b": [([5], [None], [False]), (example.input_ids, example.loss, example.mask)]},
    )


@pytest.fixture(scope="session")
def binary() -> Path:
    named = os.environ.get("RHO_MASK_BINARY")
    return Path(named) if named else rho_mask.find_binary()


@pytest.fixture(scope="session")
def corpus() -> Path:
    return ROOT / "examples/corpus"


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory, binary: Path, corpus: Path) -> Path:
    """The bundled corpus, scored by the bundled reference."""
    out = tmp_path_factory.mktemp("scored") / "masks"
    return rho_mask.score(corpus, out, binary=binary, quiet=True, device="cpu")


def documents(count: int, longest: int, seed: int) -> list[tuple[Any, Any, Any]]:
    """Documents of all lengths from 0, with losses some of which are null, and random masks."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        length = int(random.integers(longest + 1)) if number >= 4 else number
        ids = random.integers(1, 1 << 30, length).tolist()
        loss = [None if i == 0 or random.random() < 0.1 else float(np.float32(random.random())) for i in range(length)]
        mask = [value is not None and random.random() < 0.6 for value in loss]
        made.append((ids, loss, mask))
    return made
