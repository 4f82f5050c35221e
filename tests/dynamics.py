"""Computes everything that `dynamics` reports, with NumPy in float64 from the losses in its Arrow files, and compares.

    dynamics.py DYNAMICS

Lines by numpy.polyfit, selections by a stable sort of all tokens at once. Also: datasets.load_from_disk opens the folder.
"""

import json
import math
import pathlib
import sys

import datasets
import numpy as np
import pyarrow as pa

folder = pathlib.Path(sys.argv[1])
summary = json.loads((folder / "summary.json").read_text())
state = json.loads((folder / "state.json").read_text())
rows, metadata = [], None
for file in state["_data_files"]:
    with pa.OSFile(str(folder / file["filename"])) as source, pa.ipc.open_stream(source) as stream:
        metadata = json.loads(stream.schema.metadata[b"rho_mask"])
        rows += stream.read_all().to_pylist()

told = metadata["dynamics"]
names = told["categories"]
assert names == [category["name"] for category in summary["categories"]] == ["H->L", "L->L", "H->H", "L->H"]
columns = [checkpoint["column"] for checkpoint in told["checkpoints"]]
assert columns == [f"loss_{k}" for k in range(1, len(columns) + 1)]
assert columns == [checkpoint["column"] for checkpoint in summary["checkpoints"]]
assert [checkpoint["step"] for checkpoint in summary["checkpoints"]] == [c["step"] for c in told["checkpoints"]]
threshold = summary["threshold"]
x = np.array([checkpoint["x"] for checkpoint in summary["checkpoints"]])
if told["x"] == "index":
    assert (x == np.arange(len(columns))).all()
else:
    assert x.tolist() == [checkpoint["step"] for checkpoint in summary["checkpoints"]]


def numbers(name):
    """All tokens of a column, concatenated, NaN for null."""
    return np.concatenate([np.array([math.nan if v is None else v for v in row[name]]) for row in rows])


def close(got, expected, what, tolerance=1e-9):
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    assert got.shape == expected.shape, (what, got.shape, expected.shape)
    off = np.abs(got - expected) > tolerance * np.maximum(1, np.abs(expected))
    assert not off.any(), (what, got[off][:3], expected[off][:3])


# Stored in float32; everything else is computed from them in float64.
losses = np.stack([numbers(name) for name in columns])
for row in rows:
    assert all(row[name][0] is None for name in columns + ["slope", "category"]), row["id"]
    assert all(len(row[name]) == len(row["input_ids"]) for name in columns + ["category"])
fitted = np.isfinite(losses).all(axis=0)
assert summary["documents"] == len(rows) and summary["tokens"] == fitted.size and summary["fitted"] == fitted.sum()
assert fitted.sum() == fitted.size - len(rows), "all but the first token of each document have a loss"
y = losses[:, fitted]

slope, intercept = np.polyfit(x, y, 1)
start, end = intercept + slope * x[0], intercept + slope * x[-1]
variance = ((y - (intercept + slope * x[:, None])) ** 2).mean(axis=0)
for name, expected in [("slope", slope), ("l_start", start), ("l_end", end), ("change", end - start), ("variance", variance)]:
    got = numbers(name)
    assert np.isnan(got[~fitted]).all(), name
    # They are stored in float32.
    close(got[fitted], expected, name, 1e-6)

change = end - start
means = y.mean(axis=1)
low = y[-1] <= means[-1]
category = np.where(change < -threshold, 0, np.where(change > threshold, 3, np.where(low, 1, 2)))
codes = numbers("category")
assert np.isnan(codes[~fitted]).all()
# For a token whose change equals the threshold, rounding decides.
doubtful = np.abs(np.abs(change) - threshold) < 1e-9
assert (codes[fitted] == category)[~doubtful].all() and doubtful.sum() < 3
category = codes[fitted].astype(int)
for code, entry in enumerate(summary["categories"]):
    own = category == code
    assert entry["tokens"] == own.sum(), entry
    close(entry["share"], own.mean(), "share")
    if own.any():
        close(entry["curve"], y[:, own].mean(axis=1), f"curve of {entry['name']}")
    else:
        assert entry["curve"] == [None] * len(columns)
close(sum(entry["share"] for entry in summary["categories"]), 1, "shares")
assert [entry["paper"] for entry in summary["categories"]] == [0.26, 0.51, 0.11, 0.12]
close([checkpoint["mean_loss"] for checkpoint in summary["checkpoints"]], means, "means")
close([checkpoint["perplexity"] for checkpoint in summary["checkpoints"]], np.exp(means), "perplexities")

# The tokens that fluctuate: the highest variances, in order.
places = [(row["id"], row["shard"], row["row"], i) for row in rows for i in range(len(row["input_ids"]))]
places = [place for place, has in zip(places, fitted) if has]
ids = numbers("input_ids")[fitted].astype(int)
top = summary["fluctuating"]
order = np.argsort(-variance, kind="stable")[: len(top)]
close([token["variance"] for token in top], variance[order], "variances")
by_place = {place: i for i, place in enumerate(places)}
for token in top:
    i = by_place[(token["document"], token["shard"], token["row"], token["token"])]
    assert token["id"] == ids[i] and token["category"] == names[category[i]]
    close([token["variance"], token["slope"], token["l_start"], token["l_end"]], [variance[i], slope[i], start[i], end[i]], "token", 1e-8)
    close(token["losses"], y[:, i], "losses", 1e-7)
assert len(top) == min(len(variance), json.loads((folder / ".rho-mask/plan.json").read_text())["plan"]["top"])

# The selection of each checkpoint, among all tokens; among equals, the earlier ones.
scores = y.astype(np.float32)
if summary["selection"] is not None:
    reference = numbers("reference_loss")[fitted]
    close(summary["reference"]["mean_loss"], reference.mean(), "reference")
    scores = y.astype(np.float32) - reference.astype(np.float32)
    selection = summary["selection"]
    count = int(math.floor(selection["keep"] * len(reference) + 0.5))
    for j in range(len(columns)):
        chosen = np.argsort(-scores[j], kind="stable")[:count]
        assert selection["tokens"][j] == count
        close(selection["perplexity"][j], np.exp(y[:, chosen].mean(axis=1)), f"selected by {columns[j]}")
        close(selection["lowest_excess"][j], scores[j][chosen].min(), "lowest", 1e-6)
else:
    assert summary["reference"] is None and "reference" not in told

# Preference: fifths of all tokens at the checkpoints nearest to 0, 33, 66 and 100 %.
assert summary["preference"]["by"] == ("loss" if summary["selection"] is None else "excess")
for share, time in zip([0, 1 / 3, 2 / 3, 1], summary["preference"]["times"], strict=True):
    assert abs(time["share"] - share) < 1e-12
    nearest = np.abs(x - (x[0] + share * (x[-1] - x[0]))).argmin()
    assert time["column"] == columns[nearest], (time, nearest)
    ranked = np.sort(scores[nearest])[::-1]
    bounds = [ranked[int(math.floor(level * len(ranked) + 0.5)) - 1] for level in (0.2, 0.4, 0.6, 0.8)]
    close(time["bounds"], bounds, "bounds", 1e-6)

opened = datasets.load_from_disk(str(folder))
assert len(opened) == len(rows) and set(columns) <= set(opened.column_names)
assert opened[0]["input_ids"] == rows[0]["input_ids"] and opened[0]["category"] == rows[0]["category"]
stacked = np.stack([np.asarray(opened.with_format("numpy")[0][name], float) for name in columns])
assert stacked.shape == (len(columns), len(rows[0]["input_ids"]))
print(f"{len(rows)} documents, {fitted.sum()} tokens, {len(columns)} checkpoints")
