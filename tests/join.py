"""Makes files of another program's scores, and checks what `select --join` made of them.

join.py make MASKS PLACE: writes the files.
join.py bad MASKS PLACE: writes files that are refused.
join.py check MASKS CASES: a list of the output folder and the case: per (token or document), name, missing, by, ...
"""

import decimal
import gzip
import json
import pathlib
import sys
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

command, masks = sys.argv[1], pathlib.Path(sys.argv[2])


def read(folder):
    tables = []
    for file in json.loads((folder / "state.json").read_text())["_data_files"]:
        with pa.OSFile(str(folder / file["filename"])) as source, pa.ipc.open_stream(source) as stream:
            tables.append(stream.read_all())
    return pa.concat_tables(tables)


old = read(masks)
rows = old.to_pylist()


def noise(*key):
    """A number from 0 to 1, in steps of 1/256 (which all types hold), so that many are equal."""
    return zlib.crc32(repr(key).encode()) % 256 / 256


def of_tokens(row):
    """A number for each token, the first one too; some null."""
    numbers = [noise(row["token_hash"], i) for i in range(len(row["input_ids"]))]
    return [None if number > 0.9 else number for number in numbers]


def of_document(row):
    return None if noise(row["id"]) > 0.9 else noise(row["id"], "d")


def write_arrow(table, path, file):
    sink = pa.ipc.new_file if file else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as out, sink(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=97)


def make(place):
    by_hash = {row["token_hash"]: row for row in rows}
    by_id = {row["id"]: row for row in rows}
    hashes, ids = list(by_hash), list(by_id)
    # Another order than that of the masks, and rows of documents that are not there.
    hashes.sort()
    ids.sort()
    lists = [of_tokens(by_hash[h]) for h in hashes] + [[0.5]]
    keys = hashes + [12345]
    numbers = [of_document(by_id[i]) for i in ids] + [0.25]
    names = ids + ["nobody"]

    def table(kind, **more):
        return pa.table({"other": ["x"] * len(keys), "token_hash": pa.array(keys, pa.int64()), "quality": pa.array(lists, kind), **more})

    pq.write_table(table(pa.list_(pa.float64())), place / "double.parquet", row_group_size=333, data_page_size=900)
    pq.write_table(table(pa.large_list(pa.float32())), place / "float.parquet", compression="zstd", use_dictionary=False)
    pq.write_table(table(pa.list_(pa.float16())), place / "half.parquet", data_page_version="2.0")
    write_arrow(table(pa.list_(pa.float32())), place / "file.arrow", True)
    write_arrow(table(pa.large_list(pa.float64())), place / "stream.arrows", False)
    write_arrow(table(pa.list_(pa.float16())), place / "half.arrow", True)
    # Twice the same rows, in two files.
    half = table(pa.list_(pa.float64()))
    (place / "parts").mkdir()
    pq.write_table(half.slice(0, 1500), place / "parts/a.parquet")
    pq.write_table(half.slice(1000), place / "parts/b.parquet")
    pq.write_table(half.slice(0, 1500), place / "some.parquet")
    with open(place / "lists.jsonl", "w") as out:
        for key, values in zip(keys, lists):
            print(json.dumps({"nested": {"q": values}, "token_hash": key, "text": "x"}), file=out)
    ints = [None if n is None else int(n * 256) for n in numbers]
    pd.DataFrame({"id": names, "quality": numbers}).to_parquet(place / "document.parquet")
    pq.write_table(pa.table({"id": names, "quality": pa.array(ints, pa.int16())}), place / "int.parquet")
    pq.write_table(pa.table({"id": names, "quality": pa.array(ints, pa.uint64())}), place / "uint.parquet")
    write_arrow(pa.table({"id": pa.array(names).dictionary_encode(), "quality": pa.array(ints, pa.int32())}), place / "int.arrow", False)
    write_arrow(pa.table({"id": names, "quality": pa.array(numbers, pa.float64())}), place / "document.arrow", True)
    with gzip.open(place / "document.jsonl.gz", "wt") as out:
        for name, number in zip(names, numbers):
            # An id that is a number is the same as its digits.
            print(json.dumps({"quality": number, "id": int(name) if name.isdigit() else name}), file=out)


def bad(place):
    first = next(row for row in rows if len(row["input_ids"]) == 5)
    h, n = first["token_hash"], 5

    def lists(name, values, kind=None, keys=None):
        keys = pa.array([h] * len(values), pa.int64()) if keys is None else keys
        pq.write_table(pa.table({"token_hash": keys, "quality": pa.array(values, kind)}), place / name)

    def lines(name, values):
        with open(place / name, "w") as out:
            for value in values:
                out.write(value + "\n")

    one = [0.5] * n
    lists("nan.parquet", [[0.5, float("nan"), 0.5, 0.5, 0.5]])
    lists("infinite.parquet", [[0.5] * 4 + [float("inf")]])
    lists("large.parquet", [[1e300] * n])
    lists("short.parquet", [[0.5] * 4])
    lists("empty.parquet", [[]], pa.list_(pa.float64()))
    lists("two.parquet", [one, [0.25] * n])
    lists("alone.parquet", [one])
    lists("decimal.parquet", [decimal.Decimal("0.5")], pa.decimal128(9, 2))
    lists("decimals.parquet", [[decimal.Decimal("0.5")] * n], pa.list_(pa.decimal128(20, 2)))
    lists("text.parquet", ["0.5"])
    lists("bool.parquet", [[True] * n])
    lists("time.parquet", [pd.Timestamp("2024-01-01")], pa.timestamp("us"))
    lists("nested.parquet", [[[0.5]] * n])
    lists("nothing.parquet", [None], pa.null())
    lists("floatkey.parquet", [one], keys=pa.array([float(h)]))
    lists("nullkey.parquet", [one], keys=pa.array([None], pa.int64()))
    lists("wrongkey.parquet", [one], keys=pa.array(["a hash"]))
    write_arrow(pa.table({"token_hash": [h], "quality": [[0.5, float("-inf"), 0, 0, 0]]}), place / "infinite.arrow", True)
    write_arrow(pa.table({"token_hash": [h], "quality": pa.array([decimal.Decimal("0.5")], pa.decimal128(9, 2))}), place / "decimal.arrow", False)
    write_arrow(pa.table({"token_hash": [h], "quality": ["x"]}), place / "text.arrow", True)
    whole = (place / "alone.parquet").read_bytes()
    (place / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    key = f'"token_hash": {h}'
    lines("nan.jsonl", [f'{{{key}, "quality": [0.5, NaN, 1, 1, 1]}}'])
    lines("large.jsonl", [f'{{{key}, "quality": 1e999}}'])
    lines("text.jsonl", [f'{{{key}, "quality": [1, "2", 3, 4, 5]}}'])
    lines("object.jsonl", [f'{{{key}, "quality": {{"a": 1}}}}'])
    lines("mixed.jsonl", [f'{{{key}, "quality": [1, 2, 3, 4, 5]}}', f'{{"token_hash": 3, "quality": 1}}'])
    lines("some.jsonl", [f'{{{key}, "quality": 1}}', f'{{"token_hash": 3}}'])
    lines("fraction.jsonl", ['{"token_hash": 1.5, "quality": 1}'])
    lines("wide.jsonl", ['{"token_hash": 18446744073709551615, "quality": 1}'])
    lines("no.jsonl", ["no json"])
    lines("plain.txt", ["words"])


def scores(row, name, case):
    if name == case["name"]:
        return np.array([np.nan if v is None else v for v in row["joined"]], np.float32)
    return np.array([np.nan if v is None else v for v in row[name]], np.float32)


def combined(row, case):
    """The score that tokens are ranked by: only of those with a loss."""
    lists = [scores(row, name, case) for name in case["by"]]
    with np.errstate(invalid="ignore", over="ignore"):
        how = case.get("combine")
        if how == "mean":
            values = lists[0]
            for more in lists[1:]:
                values = values + more
            values = values / np.float32(len(lists))
        elif how:
            values = {"min": np.minimum, "max": np.maximum, "product": np.multiply}[how].reduce(lists)
        else:
            values = lists[0]
    return np.where(np.isnan(scores(row, "loss", case)), np.nan, values)


def check(out, case):
    new, summary = read(out), json.loads((out / "summary.json").read_text())
    metadata = json.loads(new.schema.metadata[b"rho_mask"])
    told = metadata["joined"][-1]
    assert (told["column"], told["on"]) == (case["name"], case["on"]), told
    kept = list(range(len(rows)))
    for row in rows:
        if case["per"] == "token":
            row["joined"] = of_tokens(row)
        else:
            number = of_document(row)
            number = None if number is None else number * case.get("times", 1)
            row["joined"] = [number] * len(row["input_ids"])
        if case.get("missing") and row["token_hash"] in set(case["missing_hashes"]):
            row["joined"] = [None] * len(row["input_ids"])
    if "where" in case:
        def mean(row):
            values = scores(row, case["name"], case)
            values = values[~np.isnan(values)].astype(np.float64)
            return values.mean() if len(values) else np.nan
        kept = [i for i in kept if mean(rows[i]) > case["where"]]
    if case.get("documents"):
        values = []
        for i in kept:
            own = combined(rows[i], case)
            own = own[~np.isnan(own)].astype(np.float64)
            values.append(own.mean() if len(own) else np.nan)
        values = np.array(values) + 0.0
        scored = np.flatnonzero(~np.isnan(values))
        count = int(np.floor(case["keep"] * len(scored) + 0.5))
        best = scored[np.argsort(-values[scored], kind="stable")][:count]
        kept = [kept[i] for i in sorted(best)]
    column = new[case["name"]]
    assert new.schema.field(case["name"]).type == pa.list_(pa.float32()), new.schema
    got = column.to_pylist()
    assert len(got) == len(kept), (len(got), len(kept))
    for i, own in zip(kept, got):
        expected = [None if v is None else float(np.float32(v)) for v in rows[i]["joined"]]
        assert own == expected, (case, rows[i]["id"], own, expected)
    for name in old.column_names:
        if name in new.column_names and not (name.startswith("mask_") and case.get("by") and not case.get("documents")):
            assert new[name].combine_chunks().equals(old[name].take(pa.array(kept)).combine_chunks()), name
    names = [name for name in new.column_names if not name.startswith("mask_")]
    before = [name for name in old.column_names if not name.startswith("mask_")]
    at = names.index(case["name"])
    assert names[:at] + names[at + 1 :] == before and names[at - 1] == "entropy", names
    if case.get("by") and not case.get("documents"):
        values = np.concatenate([combined(rows[i], case) for i in kept]) + 0.0
        order = values if case["direction"] == "lowest" else -values
        scored = np.flatnonzero(~np.isnan(values))
        count = int(np.floor(case["keep"] * len(scored) + 0.5))
        bits = np.zeros(len(values), bool)
        bits[scored[np.argsort(order[scored], kind="stable")][:count]] = True
        [name] = [name for name in new.column_names if name.startswith("mask_")]
        assert name == "mask_" + "_".join(([case["combine"]] if "combine" in case else []) + case["by"]), name
        mask = np.array([bit for row in new[name].to_pylist() for bit in row])
        assert (mask == bits).all(), (case, mask.sum(), bits.sum())
        said = metadata["selections"][0]
        assert said["columns"] == case["by"] and said["keep_" + case["direction"]] == case["keep"], said
        assert said["kept"] == count and said["among"] == "loss", said
    joined = summary["joined"]
    assert joined["documents"] + joined["missing"] == len(rows), joined
    assert joined["per_token"] == (case["per"] == "token"), joined


if command == "make":
    make(pathlib.Path(sys.argv[3]))
elif command == "bad":
    bad(pathlib.Path(sys.argv[3]))
else:
    for out, case in json.loads(sys.argv[3]):
        if case.get("missing"):
            there = set(pq.read_table(case["missing"])["token_hash"].to_pylist())
            case["missing_hashes"] = [row["token_hash"] for row in rows if row["token_hash"] not in there]
            assert case["missing_hashes"]
        check(pathlib.Path(out), case)
