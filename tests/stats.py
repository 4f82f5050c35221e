"""Counts everything that `stats --json` reports, from the mask files with NumPy in float64, and compares.

stats.py MASKS REPORT [SOURCE], the printed report; SOURCE is the column that names sources.
"""

import json
import math
import pathlib
import sys

import numpy as np
import pyarrow as pa

masks, report = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
by = sys.argv[3] if len(sys.argv) > 3 else "shard"

rows = []
for file in json.loads((masks / "state.json").read_text())["_data_files"]:
    with pa.OSFile(str(masks / file["filename"])) as source, pa.ipc.open_stream(source) as stream:
        table = stream.read_all()
    names = table.column_names
    rows += table.to_pylist()
kinds = {field.name: field.type for field in table.schema}
# The most likely tokens are not counted.
is_list = lambda name: pa.types.is_list(kinds[name]) and not name.startswith("top_")
lists = [name for name in names if is_list(name) and name != "input_ids"]
mask_names = [name for name in lists if pa.types.is_boolean(kinds[name].value_type)]
weight_names = [name for name in lists if name.startswith("weight_")]
score_names = [name for name in lists if name not in mask_names + weight_names]


def numbers(values):
    return np.array([math.nan if value is None else value for value in values], np.float32)


documents = []
for row in rows:
    document = {name: numbers(row[name]) for name in score_names + weight_names}
    document.update({name: np.array(row[name], bool) for name in mask_names})
    if "base_loss" in document and "excess" not in document:
        with np.errstate(invalid="ignore"):
            document["excess"] = document["base_loss"] - document["loss"]
    document["ids"] = np.array(row["input_ids"], np.int64)
    document["place"] = np.arange(len(row["input_ids"]))
    document["source"] = row[by]
    documents.append(document)
if "base_loss" in score_names and "excess" not in score_names:
    score_names.append("excess")
score_names.sort(key=lambda name: {"loss": 0, "entropy": 1}.get(name, 2))
relative, absolute = report["percentile_error"]["relative"], report["percentile_error"]["absolute"]


def joined(documents, name, dtype=np.float32):
    return np.concatenate([document[name] for document in documents] or [np.array([], dtype)])


def same(got, expected, what):
    if expected is None or not math.isfinite(expected):
        assert got is None, (what, got, expected)
    else:
        assert got is not None and abs(got - expected) <= 1e-7 * max(1, abs(expected)), (what, got, expected)


def mean(scores):
    scores = scores[np.isfinite(scores)].astype(np.float64)
    return scores.mean() if len(scores) else None


def check(told, documents, what):
    assert told["documents"] == len(documents), what
    assert told["tokens"] == sum(len(document["ids"]) for document in documents), what
    scored = ~np.isnan(joined(documents, score_names[0]))
    assert told["scored"] == scored.sum(), what
    assert [mask["column"] for mask in told["masks"]] == mask_names
    for mask in told["masks"]:
        kept = joined(documents, mask["column"], bool)
        assert mask["kept"] == kept.sum(), (what, mask)
        same(mask["share"], kept.sum() / scored.sum() if scored.sum() else None, what)
        for name in score_names:
            scores = joined(documents, name)
            same(mask["mean_kept"][name], mean(scores[kept]), (what, mask, name))
            same(mask["mean_dropped"][name], mean(scores[~kept]), (what, mask, name))
    assert [weight["column"] for weight in told["weights"]] == weight_names
    for weight in told["weights"]:
        weights = joined(documents, weight["column"])[scored]
        same(weight["mean"], mean(weights), (what, weight))
        assert weight["above_zero"] == (weights > 0).sum()
    assert [score["column"] for score in told["scores"]] == score_names
    for score in told["scores"]:
        scores = joined(documents, score["column"])
        scores = scores[~np.isnan(scores)]
        finite = scores[np.isfinite(scores)]
        assert score["count"] == len(scores) and score["infinite"] == len(scores) - len(finite), (what, score)
        same(score["mean"], mean(scores), (what, score))
        same(score["least"], float(finite.min()) if len(finite) else None, (what, score))
        same(score["most"], float(finite.max()) if len(finite) else None, (what, score))
        for percentile in [1, 5, 25, 50, 75, 95, 99]:
            got = score[f"p{percentile}"]
            if not len(scores):
                assert got is None
                continue
            exact = np.percentile(scores.astype(np.float64), percentile, method="inverted_cdf")
            if not math.isfinite(exact):
                assert got is None, (what, score)
            else:
                assert abs(got - exact) <= max(absolute, relative * abs(exact)), (what, score, percentile, exact)
    longest = max([len(document["ids"]) for document in documents] or [0])
    assert len(told["positions"]) == (math.floor(math.log2(longest - 1)) + 2 if longest > 1 else longest), what
    places = joined(documents, "place", np.int64)
    for position in told["positions"]:
        here = (places >= position["from"]) & (places <= position["to"])
        assert here.any() and position["scored"] == scored[here].sum(), (what, position)
        for name in mask_names:
            assert position["kept"][name] == joined(documents, name, bool)[here].sum(), (what, position)
        for name in score_names:
            same(position["mean"][name], mean(joined(documents, name)[here]), (what, position, name))


check(report["total"], documents, "all")
sources = list(dict.fromkeys(document["source"] for document in documents))
# The first by name are counted by themselves, documents without a source before all.
first = sorted(sources, key=lambda source: (source is not None, (source or "").encode()))[:1024]
others = [document for document in documents if document["source"] not in set(first)]
sources = [source for source in sources if source in set(first)]
assert ("other_sources" in report) == bool(others)
if others:
    check(report["other_sources"], others, "other sources")
assert [source["source"] for source in report["sources"]] == sources
for told in report["sources"]:
    check(told, [d for d in documents if d["source"] == told["source"]], told["source"])

for told in report["histograms"]:
    scores = joined(documents, told["column"])
    scores = scores[~np.isnan(scores)].astype(np.float64)
    edges = told["from"] + told["width"] * np.arange(len(told["counts"]) + 1)
    assert told["below"] + told["above"] + sum(told["counts"]) == len(scores)
    assert told["above"] == (scores >= edges[-1]).sum(), told["column"]
    if told["from"] == 0:
        counts = [((scores >= low) & (scores < high)).sum() for low, high in zip(edges, edges[1:])]
        assert told["counts"] == counts, told["column"]

ids, scores = joined(documents, "ids", np.int64), joined(documents, score_names[0])
scored = ~np.isnan(scores)
tokens = report["tokens"]
kinds, counts = np.unique(ids[scored], return_counts=True)
assert tokens["different"] == len(kinds) and tokens["frequent"] == (counts >= tokens["min_count"]).sum()
for told in tokens["masks"]:
    kept = joined(documents, told["column"], bool)
    frequent = []
    for kind, count in zip(kinds, counts):
        if count >= tokens["min_count"]:
            here = scored & (ids == kind)
            frequent.append((int(kind), int(count), int(kept[here].sum()), mean(scores[here])))
    most = sorted(frequent, key=lambda f: (-f[2] / f[1], -f[1], f[0]))
    count = len(told["most"])
    # None is listed twice.
    least = sorted(most[count:], key=lambda f: (f[2] / f[1], -f[1], f[0]))
    assert count == len(told["least"]) or len(frequent) < 2 * count
    for got, expected in [(told["most"], most[:count]), (told["least"], least[: len(told["least"])])]:
        for got, (kind, scores_of, kept_of, mean_of) in zip(got, expected):
            assert (got["id"], got["scored"], got["kept"]) == (kind, scores_of, kept_of), (got, kind)
            same(got["mean"], mean_of, got)

if "loss" in score_names and "entropy" in score_names:
    loss, entropy = joined(documents, "loss"), joined(documents, "entropy")
    both = ~np.isnan(loss) & ~np.isnan(entropy)
    cells = len(report["joint"]["tokens"])
    cell = lambda scores: np.clip(np.nan_to_num(np.floor(scores / 0.25), posinf=99, neginf=0), 0, cells - 1).astype(int)
    for told, kept in [(report["joint"]["tokens"], both)] + [
        (told["tokens"], both & joined(documents, told["column"], bool)) for told in report["joint"]["kept"]
    ]:
        expected = np.zeros((cells, cells), np.int64)
        np.add.at(expected, (cell(loss[kept]), cell(entropy[kept])), 1)
        assert (np.array(told) == expected).all()
else:
    assert report["joint"] is None
print(report["total"]["scored"], len(report["sources"]))
