"""Drops and selects whole documents with NumPy and pandas, and compares the rows with what `select` wrote.

document_selection.py MASKS CASES: a list of the output folder and the case: by, statistic, keep, direction, mask,
combine (with by as a list of columns), where (Python about `row`), duplicates, shuffled.
"""

import json
import pathlib
import sys

import numpy as np
import pandas as pd
import pyarrow as pa

masks, cases = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])


def read(folder):
    tables = []
    for file in json.loads((folder / "state.json").read_text())["_data_files"]:
        with pa.OSFile(str(folder / file["filename"])) as source, pa.ipc.open_stream(source) as stream:
            tables.append(stream.read_all())
    return pa.concat_tables(tables)


old = read(masks)
rows = old.to_pylist()


def column(row, name):
    """The scores of a column, NaN for null, in the precision that they are stored in."""
    if name == "excess" and name not in row:
        with np.errstate(invalid="ignore"):
            return column(row, "base_loss") - column(row, "loss")
    return np.array([np.nan if v is None else v for v in row[name]], np.float32)


def value(row, case):
    if case["by"] == "kept":
        scored = np.count_nonzero(~np.isnan(column(row, "loss")))
        return sum(row[case["mask"]]) / scored if scored else np.nan
    names = case["by"] if isinstance(case["by"], list) else [case["by"]]
    lists = [column(row, name) for name in names]
    with np.errstate(invalid="ignore", over="ignore"):
        how = case.get("combine")
        if how == "mean":
            values = np.sum(lists, axis=0, dtype=np.float32) / np.float32(len(lists))
        elif how:
            values = {"min": np.minimum, "max": np.maximum, "product": np.multiply}[how].reduce(lists)
        else:
            values = lists[0]
        if isinstance(case["by"], list):
            values = np.where(np.isnan(column(row, "loss")), np.nan, values)
        values = values[~np.isnan(values)].astype(np.float64)
        if not len(values):
            return np.nan
        return (np.median if case.get("statistic") == "median" else np.mean)(values)


for out, case in cases:
    out = pathlib.Path(out)
    new, summary = read(out), json.loads((out / "summary.json").read_text())
    metadata = json.loads(new.schema.metadata[b"rho_mask"])
    left = pd.DataFrame({"hash": old["token_hash"].to_pandas()})
    dropped = {"where": 0, "duplicates": 0, "documents": 0}
    if "where" in case:
        passed = np.array([bool(eval(case["where"], {"row": row, "len": len})) for row in rows])
        dropped["where"] = int(np.count_nonzero(~passed))
        left = left[passed]
    if case.get("duplicates"):
        kept = left.drop_duplicates("hash", keep="first")
        dropped["duplicates"] = len(left) - len(kept)
        left = kept
        assert metadata["duplicates"] == "dropped", metadata
    if case.get("by"):
        values = np.array([value(rows[i], case) for i in left.index], np.float64) + 0.0
        scored = np.flatnonzero(~np.isnan(values))
        count = int(np.floor(case["keep"] * len(scored) + 0.5))
        order = values if case["direction"] == "lowest" else -values
        best = scored[np.argsort(order[scored], kind="stable")][:count]
        dropped["documents"] = len(left) - count
        left = left.iloc[np.sort(best)]
        told = metadata["documents"][-1]
        assert told["scored"] == len(scored) and told["kept"] == count, told
        assert told["keep_" + case["direction"]] == case["keep"], told
        last = values[best].max() if case["direction"] == "lowest" else values[best].min()
        edge = told["highest_kept" if case["direction"] == "lowest" else "lowest_kept"]
        assert edge is None and np.isinf(last) or np.isclose(edge, last, rtol=1e-15, atol=0), (edge, last)
        assert summary["document_selection"] == told, summary
    names = [name for name in old.column_names if name in new.column_names]
    if case.get("tokens") is None:
        assert new.column_names == old.column_names, new.column_names
    expected = old.take(pa.array(left.index)).combine_chunks()
    assert new.num_rows == len(left), (case, new.num_rows, len(left), summary)
    for name in names:
        if case.get("tokens") and name.startswith("mask_"):
            continue
        got = new[name].combine_chunks()
        assert got.equals(expected[name].combine_chunks()), (case, name)
    if case.get("tokens"):
        # Of the documents that are left, over the whole corpus.
        loss = np.concatenate([column(rows[i], "loss") for i in left.index])
        scored = np.flatnonzero(~np.isnan(loss))
        kept = np.zeros(len(loss), bool)
        count = int(np.floor(case["tokens"] * len(scored) + 0.5))
        kept[scored[np.argsort(loss[scored] + 0, kind="stable")][:count]] = True
        got = np.array([bit for bits in new["mask_loss"].to_pylist() for bit in bits])
        assert (got == kept).all(), (got.sum(), kept.sum())
    assert summary["documents"] == len(left), summary
    assert summary["dropped"] == len(rows) - len(left), summary
    if "dropped_by" in summary:
        assert summary["dropped_by"] == dropped, (summary, dropped)
