"""Opens the masks that the program wrote for the bundled corpus, and checks the rules that every trainer relies on."""

import json
import math
import pathlib
import sys

import datasets
import numpy as np
import polars as pl
import pyarrow as pa
import xxhash

folder, shards = pathlib.Path(sys.argv[1]), sys.argv[2:]

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


def check(row):
    ids = row["input_ids"]
    lists = ["loss", "entropy", "mask_loss", "mask_entropy", "mask_intersection"]
    assert all(len(row[name]) == len(ids) for name in lists), row["id"]
    for name in ["loss", "entropy"]:
        # The first token has no context, so no score: it alone is null.
        assert row[name][0] is None, row["id"]
        assert all(score is not None and math.isfinite(score) and score >= 0 for score in row[name][1:]), row["id"]
    assert not any(row[name][0] for name in lists[2:]), row["id"]
    both = [loss and entropy for loss, entropy in zip(row["mask_loss"], row["mask_entropy"])]
    assert row["mask_intersection"] == both, row["id"]
    digest = xxhash.xxh3_64_intdigest(np.array(ids, "<i4").tobytes())
    assert row["token_hash"] == int(np.uint64(digest).astype("int64")), row["id"]


total = 0
for shard in shards:
    path = folder / f"{shard}.arrow"
    with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
        metadata = json.loads(stream.schema.metadata[b"rho_mask"])
        table = stream.read_all()
    table.validate(full=True)
    assert {field.name: field.type for field in table.schema} == COLUMNS, table.schema
    assert list(table.column_names) == list(COLUMNS), table.column_names
    rows = table.to_pylist()
    assert rows and all(row["shard"] == shard for row in rows), shard
    for row in rows:
        check(row)
    # One scope, because no shard is longer than a batch: the lowest scores of all its documents together.
    for mask, score in [("mask_loss", "loss"), ("mask_entropy", "entropy")]:
        keep = next(rule["keep_lowest"] for rule in metadata["selections"] if rule["column"] == mask)
        scores = np.array([s for row in rows for s in row[score][1:]], np.float32)
        kept = np.array([k for row in rows for k in row[mask][1:]])
        assert kept.sum() == math.floor(keep * len(scores) + 0.5), (shard, mask)
        assert scores[kept].max() <= scores[~kept].min(), (shard, mask)

    frame = pl.read_ipc_stream(path)
    assert frame.columns == list(COLUMNS), frame.columns
    assert frame.schema["loss"] == pl.List(pl.Float32), frame.schema
    assert frame.schema["mask_loss"] == pl.List(pl.Boolean), frame.schema
    assert frame.to_dicts() == rows, shard
    total += len(rows)

dataset = datasets.load_from_disk(str(folder))
assert dataset.column_names == list(COLUMNS), dataset.column_names
assert len(dataset) == total, len(dataset)
assert dataset.features["input_ids"] == datasets.List(datasets.Value("int32")), dataset.features
assert dataset.features["loss"] == datasets.List(datasets.Value("float32")), dataset.features
assert dataset.features["mask_loss"] == datasets.List(datasets.Value("bool")), dataset.features
assert list(dict.fromkeys(dataset["shard"])) == shards
in_numpy = dataset.with_format("numpy")[0]
assert math.isnan(in_numpy["loss"][0]) and not np.isnan(in_numpy["loss"][1:]).any()
# The labels of a trainer in which -100 means "do not learn this one".
labels = [token if keep else -100 for token, keep in zip(in_numpy["input_ids"], in_numpy["mask_loss"])]
assert labels[0] == -100 and 0 < labels.count(-100) < len(labels)
