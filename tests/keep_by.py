"""Sorts the tokens of each source in each scope, and compares what is kept with what the program kept, bit for bit.

keep_by.py CASES: a list of the output folder, the scope, the batch, the rule, the direction, the shares of sources, the
share of the others.
"""

import json
import pathlib
import sys
from collections import Counter

import numpy as np
import pyarrow as pa


def read(folder):
    tables = []
    for file in json.loads((folder / "state.json").read_text())["_data_files"]:
        with pa.OSFile(str(folder / file["filename"])) as source, pa.ipc.open_stream(source) as stream:
            tables.append(stream.read_all())
    return pa.concat_tables(tables)


def keep(values, ratio):
    """Of these values, NaN for unscored tokens, the lowest; the earlier of equals."""
    scored = np.flatnonzero(~np.isnan(values))
    count = int(np.floor(ratio * len(scored) + 0.5))
    kept = np.zeros(len(values), bool)
    kept[scored[np.argsort(values[scored] + 0.0, kind="stable")][:count]] = True
    return kept


for out, case in json.loads(sys.argv[1]):
    out = pathlib.Path(out)
    table = read(out)
    rows = table.to_pylist()
    lengths = [len(row["input_ids"]) for row in rows]
    ends = np.cumsum(lengths)
    source_of = [row["source"] if "source" in table.column_names else row["shard"] for row in rows]
    sources = np.array([s for s, n in zip(source_of, lengths) for _ in range(n)], object)
    # The documents of each scope.
    scopes, size, shard = [[]], 0, None
    for i, row in enumerate(rows):
        full = size > 0 and size + lengths[i] > case["batch"]
        if case["scope"] == "document" or case["scope"] == "batch" and (full or row["shard"] != shard):
            scopes.append([])
            size, shard = 0, row["shard"]
        scopes[-1].append(i)
        size += lengths[i]
    masks = {}
    for name, direction in case["scores"].items():
        values = np.array([np.nan if v is None else v for row in rows for v in row[name]], np.float32)
        kept = np.zeros(len(values), bool)
        for scope in scopes:
            tokens = np.concatenate([np.arange(ends[i] - lengths[i], ends[i]) for i in scope] or [[]]).astype(int)
            for source in set(sources[tokens]):
                own = tokens[sources[tokens] == source]
                ratio = case["by"].get(source, case["keep"]) if source is not None else case["keep"]
                kept[own] = keep(direction * values[own], ratio)
        masks[f"mask_{name}"] = kept
        got = np.array([v for row in rows for v in row[f"mask_{name}"]])
        assert (got == kept).all(), (out, name, np.flatnonzero(got != kept)[:9], got.sum(), kept.sum())
    if "intersection" in case:
        got = np.array([v for row in rows for v in row["mask_intersection"]])
        assert (got == masks["mask_loss"] & masks["mask_entropy"]).all()
    summary = json.loads((out / "summary.json").read_text())
    metadata = json.loads(table.schema.metadata[b"rho_mask"])
    for name in case["scores"]:
        told = summary["kept"][name]
        values = np.array([np.nan if v is None else v for row in rows for v in row[name]], np.float32)
        scored = ~np.isnan(values)
        kept = masks[f"mask_{name}"]
        by = {t["source"]: t for t in told["sources"]}
        for source in set(sources):
            own = sources == source
            assert by[source]["tokens"] == kept[own].sum() and by[source]["scored"] == scored[own].sum(), (source, told)
        assert told["tokens"] == kept.sum() and told["scored"] == scored.sum(), told
        rule = next(s for s in metadata["selections"] if s["column"] == f"mask_{name}")
        assert rule["keep_by"] == case["by"], rule
        if case["scope"] == "corpus":
            assert rule["kept"] == kept.sum(), rule
    assert Counter(source_of).keys() >= set(case["by"])
