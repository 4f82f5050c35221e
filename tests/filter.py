"""Drops documents and ranks the others with NumPy, and compares that with what `select --where` wrote.

filter.py MASKS CASES: a list of the output folder, the condition in Python about `row`, and the scope.
"""

import json
import pathlib
import sys

import datasets
import numpy as np
import pyarrow as pa


def read(folder):
    tables = []
    for file in json.loads((folder / "state.json").read_text())["_data_files"]:
        with pa.OSFile(str(folder / file["filename"])) as source, pa.ipc.open_stream(source) as stream:
            tables.append(stream.read_all())
    return pa.concat_tables(tables)


class Row(dict):
    """A document; its numbers are None if there are no scores."""

    def scores(self, column):
        if column == "excess":
            pairs = zip(self["base_loss"], self["loss"])
            with np.errstate(invalid="ignore"):
                values = [np.nan if None in p else np.float32(p[0]) - np.float32(p[1]) for p in pairs]
        else:
            values = [np.nan if v is None else v for v in self[column]]
        values = np.array(values, np.float32).astype(np.float64)
        return values[~np.isnan(values)]

    def of(self, function, column):
        values = self.scores(column)
        with np.errstate(invalid="ignore"):
            value = {"min": np.min, "max": np.max, "mean": np.mean, "median": np.median}[function](values) if len(values) else None
        return None if value is None or np.isnan(value) else value

    def share(self, mask):
        scored = len(self.scores("loss"))
        return sum(self[mask]) / scored if scored else None


def unknown(compare):
    """SQL's three values: None if a side is null."""

    def with_null(a, b):
        return None if a is None or b is None else bool(compare(a, b))

    return with_null


less, more, equal = unknown(lambda a, b: a < b), unknown(lambda a, b: a > b), unknown(lambda a, b: a == b)


def no(a):
    return None if a is None else not a


def both(a, b):
    return False if a is False or b is False else None if a is None or b is None else True


def either(a, b):
    return no(both(no(a), no(b)))


masks, cases = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
rows = [Row(row) for row in read(masks).to_pylist()]
for out, case in cases:
    out = pathlib.Path(out)
    condition = eval("lambda row: " + case["python"])
    left = [row for row in rows if condition(row) is True]
    assert 0 < len(left) < len(rows), (case, len(left))
    table = read(out)
    got = table.to_pylist()
    assert [(r["shard"], r["row"]) for r in got] == [(r["shard"], r["row"]) for r in left], (case, len(got), len(left))
    for name in table.column_names:
        if not name.startswith("mask_"):
            assert [r[name] for r in got] == [r[name] for r in left], name
    values = np.array([np.nan if v is None else v for row in left for v in row["loss"]], np.float32) + 0
    lengths = np.array([len(row["input_ids"]) for row in left])
    ends = np.cumsum(lengths)
    scopes, size, shard = [], 0, None
    for i, row in enumerate(left):
        full = size > 0 and size + lengths[i] > case["batch"]
        if not scopes or case["scope"] == "document" or case["scope"] == "batch" and (full or row["shard"] != shard):
            scopes.append([])
            size, shard = 0, row["shard"]
        scopes[-1].extend(range(ends[i] - lengths[i], ends[i]))
        size += lengths[i]
    kept = np.zeros(len(values), bool)
    for scope in scopes:
        scope = np.array(scope, int)
        scored = scope[~np.isnan(values[scope])]
        count = int(np.floor(0.5 * len(scored) + 0.5))
        kept[scored[np.argsort(values[scored], kind="stable")][:count]] = True
    bits = np.array([v for row in got for v in row["mask_loss"]])
    assert (bits == kept).all(), (case, np.flatnonzero(bits != kept)[:9])
    summary = json.loads((out / "summary.json").read_text())
    assert summary["documents"] == len(left) and summary["dropped"] == len(rows) - len(left), summary
    assert summary["tokens"] == len(values), summary
    assert summary["dropped_tokens"] == sum(len(row["input_ids"]) for row in rows) - len(values), summary
    assert summary["kept"]["loss"]["tokens"] == kept.sum(), summary
    assert json.loads(table.schema.metadata[b"rho_mask"])["where"] == [case["where"]]
    assert len(datasets.load_from_disk(str(out))) == len(left)
