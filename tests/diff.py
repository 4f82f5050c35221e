"""Compares two masks folders with NumPy, and what `rho-mask diff --json` reported with that.

diff.py A B REPORT JOIN
"""

import json
import pathlib
import sys
from collections import defaultdict

import numpy as np
import pyarrow as pa

folders, report, join = [pathlib.Path(a) for a in sys.argv[1:3]], json.loads(pathlib.Path(sys.argv[3]).read_text()), sys.argv[4]


def read(folder):
    tables = []
    for file in json.loads((folder / "state.json").read_text())["_data_files"]:
        with pa.OSFile(str(folder / file["filename"])) as source, pa.ipc.open_stream(source) as stream:
            tables.append(stream.read_all())
    return pa.concat_tables(tables)


tables = [read(folder) for folder in folders]
rows = [table.to_pylist() for table in tables]
# The most likely tokens are not compared.
lists = [[f.name for f in t.schema if pa.types.is_list(f.type) and f.name != "input_ids" and f.name[:4] != "top_"] for t in tables]
has_source = ["source" in t.column_names for t in tables]
names = [set(l) | ({"source"} if s else set()) for l, s in zip(lists, has_source)]
common = [name for name in lists[0] if name in lists[1]]


def key(row):
    return (row["shard"], row["row"]) if join == "row" else row["token_hash"]


def source(side, row):
    return row["source"] if has_source[side] else row["shard"]


grouped = [defaultdict(list) for _ in rows]
for side, documents in enumerate(rows):
    for row in documents:
        grouped[side][key(row)].append(row)

# By source and for all of them: pairs, and documents of one side.
pairs, only = defaultdict(list), [defaultdict(list), defaultdict(list)]
for k in grouped[0].keys() | grouped[1].keys():
    a, b = grouped[0].get(k, []), grouped[1].get(k, [])
    for x, y in zip(a, b):
        of = source(1, y) if has_source == [False, True] else source(0, x)
        pairs[of].append((x, y))
        pairs["\0all"].append((x, y))
    for side, rest in enumerate([a[len(b) :], b[len(a) :]]):
        for row in rest:
            only[side][source(side, row)].append(row)
            only[side]["\0all"].append(row)


def close(got, expected):
    return got == expected or got is not None and expected is not None and np.isclose(got, expected, rtol=1e-9, atol=1e-12)


def check(told, of):
    both = [(x, y) for x, y in pairs[of] if x["input_ids"] == y["input_ids"]]
    expected = {
        "documents": len(pairs[of]),
        "only_a": len(only[0][of]),
        "only_b": len(only[1][of]),
        "other_tokens": len(pairs[of]) - len(both),
        "tokens": sum(len(x["input_ids"]) for x, _ in both),
        "tokens_only_a": sum(len(x["input_ids"]) for x in only[0][of]),
        "tokens_only_b": sum(len(x["input_ids"]) for x in only[1][of]),
        "other_id": sum(x["id"] != y["id"] for x, y in pairs[of]) if join == "row" else 0,
        "other_source": sum(x["source"] != y["source"] for x, y in pairs[of]) if all(has_source) else 0,
    }
    for name, number in expected.items():
        assert told[name] == number, (of, name, told[name], number)
    equal = not any(expected[n] for n in ["only_a", "only_b", "other_tokens", "other_id", "other_source"])
    seen = []
    for name in common:
        a, b = (np.array([v for pair in both for v in pair[side][name]], object) for side in (0, 1))
        seen.append(name)
        if name.startswith("mask_"):
            a, b = a.astype(bool), b.astype(bool)
            got = next(m for m in told["masks"] if m["column"] == name)
            expected = {
                "equal": (a == b).sum(), "both": (a & b).sum(), "neither": (~a & ~b).sum(),
                "only_a": (a & ~b).sum(), "only_b": (b & ~a).sum(),
                "jaccard": (a & b).sum() / (a | b).sum() if (a | b).any() else None,
            }
            equal &= bool((a == b).all())
        else:
            a, b = (np.array([np.nan if v is None else v for v in x], np.float64) for x in (a, b))
            got = next(m for m in told["scores"] if m["column"] == name)
            scored = ~np.isnan(a) & ~np.isnan(b)
            x, y = a[scored], b[scored]
            finite = np.isfinite(x) & np.isfinite(y)
            fx, fy = x[finite], y[finite]
            varies = len(fx) > 0 and fx.min() < fx.max() and fy.min() < fy.max()
            expected = {
                "both": scored.sum(), "equal": (x == y).sum(),
                "only_a": (~np.isnan(a) & np.isnan(b)).sum(), "only_b": (np.isnan(a) & ~np.isnan(b)).sum(),
                "infinite": ((x != y) & ~finite).sum(),
                "max_difference": np.abs(fx - fy).max() if len(fx) else None,
                "mean_difference": np.abs(fx - fy).mean() if len(fx) else None,
                "correlation": np.corrcoef(fx, fy)[0, 1] if varies else None,
            }
            equal &= expected["equal"] == expected["both"] and not expected["only_a"] and not expected["only_b"]
        for field, number in expected.items():
            assert close(got[field], number), (of, name, field, got[field], number)
    assert sorted(seen) == sorted(m["column"] for m in told["masks"] + told["scores"]), seen
    return equal


equal = check(report["total"], "\0all")
sources = {s["source"]: s for s in report["sources"]}
assert len(sources) == len(report["sources"])
assert set(sources) == (set(pairs) | set(only[0]) | set(only[1])) - {"\0all"}, sources.keys()
for of, told in sources.items():
    check(told, of)
assert sorted(report["columns_only_a"]) == sorted(names[0] - names[1]), report["columns_only_a"]
assert sorted(report["columns_only_b"]) == sorted(names[1] - names[0]), report["columns_only_b"]
assert report["equal"] == (equal and names[0] == names[1]), report["equal"]
for side, letter in enumerate("ab"):
    first = sorted((r["shard"].encode(), r["row"]) for r in only[side]["\0all"])[:10]
    assert [(n["shard"].encode(), n["row"]) for n in report[f"only_{letter}"]] == first, letter
