"""Opens a masks folder with other readers. The rows are those of `row` in masks.rs, computed here again."""

import json
import math
import pathlib
import sys

import datasets
import numpy as np
import polars as pl
import pyarrow as pa
import xxhash

stage, folder = sys.argv[1], pathlib.Path(sys.argv[2])

COLUMNS = {
    "id": pa.string(),
    "shard": pa.string(),
    "row": pa.int64(),
    "token_hash": pa.int64(),
    "input_ids": pa.list_(pa.int32()),
    "loss": pa.list_(pa.float32()),
    "entropy": pa.list_(pa.float32()),
    "mask_loss": pa.list_(pa.bool_()),
    "mask_entropy": pa.list_(pa.bool_()),
    "mask_intersection": pa.list_(pa.bool_()),
}
METADATA = {"format": 1, "reference": {"sha256": "ab"}, "keep": 0.6, "name": "é"}


def row(shard, index, tokens):
    def unscored_first(score):
        return [None if token == 0 else float(np.float32(score(token))) for token in range(tokens)]

    def mask(modulus):
        return [token > 0 and token % modulus == 0 for token in range(tokens)]

    ids = [token * 7919 % 50_257 for token in range(tokens)]
    digest = xxhash.xxh3_64_intdigest(np.array(ids, "<i4").tobytes())
    return {
        "id": f"document {index}",
        "shard": shard,
        "row": index,
        "token_hash": int(np.uint64(digest).astype("int64")),
        "input_ids": ids,
        "loss": unscored_first(lambda token: token / 8),
        "entropy": unscored_first(lambda token: np.float32(1) / np.float32(token)),
        "mask_loss": mask(2),
        "mask_entropy": mask(3),
        "mask_intersection": mask(6),
    }


FILES = {
    "a.jsonl.gz": [row("a.jsonl.gz", index, tokens) for index, tokens in enumerate([0, 1, 5, 300])],
    "b/z.jsonl": [row("b/z.jsonl", 4, 0), row("b/z.jsonl", 5, 2)],
    "sub/folder/none.txt": [],
}

if stage == "empty":
    # No shard is finished: there is no dataset yet, and the library says so.
    try:
        datasets.load_from_disk(str(folder))
        raise SystemExit("expected an error")
    except FileNotFoundError as error:
        assert "neither a `Dataset` directory" in str(error), error
    sys.exit()

# In the order in which the shards were started.
files = ["a.jsonl.gz"] if stage == "first" else ["b/z.jsonl", "a.jsonl.gz", "sub/folder/none.txt"]
expected = [row for file in files for row in FILES[file]]

dataset = datasets.load_from_disk(str(folder))
assert dataset.to_list() == expected, dataset.to_list()[:3]
assert dataset.column_names == list(COLUMNS), dataset.column_names
assert dataset.features["input_ids"] == datasets.List(datasets.Value("int32")), dataset.features
assert dataset.features["loss"] == datasets.List(datasets.Value("float32")), dataset.features
assert dataset.features["mask_loss"] == datasets.List(datasets.Value("bool")), dataset.features
in_numpy = dataset.with_format("numpy")
longest = next(index for index, row in enumerate(expected) if len(row["loss"]) == 300)
assert math.isnan(in_numpy[longest]["loss"][0]) and in_numpy[longest]["loss"][8] == 1.0
kept = dataset.map(lambda row: {"kept": sum(row["mask_intersection"])})
assert kept["kept"][longest] == 49, kept["kept"]

for file in files:
    path = folder / f"{file}.arrow"
    with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
        assert json.loads(stream.schema.metadata[b"rho_mask"]) == METADATA, stream.schema.metadata
        table = stream.read_all()
    table.validate(full=True)
    assert {field.name: field.type for field in table.schema} == COLUMNS, table.schema
    assert table.to_pylist() == FILES[file]
    with pa.memory_map(str(path)) as source:
        before = pa.total_allocated_bytes()
        mapped = pa.ipc.open_stream(source).read_all()
        assert pa.total_allocated_bytes() - before < 4096, "a mapped file was copied"
        assert mapped.equals(table)

    frame = pl.read_ipc_stream(path)
    assert frame.schema["input_ids"] == pl.List(pl.Int32), frame.schema
    assert frame.schema["loss"] == pl.List(pl.Float32), frame.schema
    assert frame.schema["mask_loss"] == pl.List(pl.Boolean), frame.schema
    assert frame.to_dicts() == FILES[file]
