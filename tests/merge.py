"""Checks a merged masks folder: all rows of the others, in their order, without the duplicates; it opens as a dataset.

merge.py OUT FIRST INPUT...
FIRST: 1 if duplicates were dropped.
"""

import json
import pathlib
import sys

import datasets
import pyarrow as pa

out, first, inputs = pathlib.Path(sys.argv[1]), sys.argv[2] == "1", [pathlib.Path(a) for a in sys.argv[3:]]


def read(folder):
    tables = []
    for file in json.loads((folder / "state.json").read_text())["_data_files"]:
        with pa.OSFile(str(folder / file["filename"])) as source, pa.ipc.open_stream(source) as stream:
            tables.append(stream.read_all())
    for table in tables:
        assert table.schema.metadata == tables[0].schema.metadata
        table.validate(full=True)
    return pa.concat_tables(tables)


def count(folder):
    path = folder / "rejected.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


expected, shards, hashes, dropped, dropped_shards, rejected = [], set(), set(), 0, set(), []
for folder in inputs:
    table = read(folder)
    own_shards, own_hashes = set(), set()
    for row in table.to_pylist():
        if first and row["shard"] in shards:
            dropped += 1
            dropped_shards.add(row["shard"])
            continue
        own_shards.add(row["shard"])
        if first and row["token_hash"] in hashes:
            dropped += 1
            continue
        own_hashes.add(row["token_hash"])
        expected.append(row)
    rejected += [r for r in count(folder) if not (first and r["shard"] in shards and r["shard"] in dropped_shards)]
    shards |= own_shards
    hashes |= own_hashes

merged = read(out)
assert merged.to_pylist() == expected, (len(merged), len(expected))
assert merged.schema.names == read(inputs[0]).schema.names
assert merged.schema.types == read(inputs[0]).schema.types
assert count(out) == rejected, (len(count(out)), len(rejected))
dataset = datasets.load_from_disk(str(out))
assert len(dataset) == len(expected), len(dataset)
assert dataset["id"][:] == [row["id"] for row in expected]
summary = json.loads((out / "summary.json").read_text())
assert summary["documents"] == len(expected), summary
assert summary["tokens"] == sum(len(row["input_ids"]) for row in expected), summary
assert summary["rejected"] in (None, len(rejected)), (summary["rejected"], len(rejected))
assert summary["dropped"] == dropped, (summary, dropped)
assert summary["dropped_shards"] == len(dropped_shards), summary
assert summary["merged"] == len(inputs), summary
assert summary["shards"] == len({row["shard"] for row in expected} | shards), summary
metadata = json.loads(merged.schema.metadata[b"rho_mask"])
for name, told in summary["kept"].items():
    assert told["tokens"] == sum(sum(row[f"mask_{name}"]) for row in expected), name
    scored = sum(loss is not None for row in expected for loss in row["loss"])
    assert told["scored"] == scored, name
assert len(metadata["merged"]) == len(inputs), metadata
assert sum(part["documents"] for part in metadata["merged"]) == len(expected), metadata
assert sum(part["tokens"] for part in metadata["merged"]) == summary["tokens"], metadata
