"""Sorts all scores of a masks folder, and compares what is kept with what the program kept, bit for bit.

select.py MASKS CASES, the cases as JSON: pairs of the output folder and the rule: by, scope, batch and the options by
their names.
"""

import json
import pathlib
import sys

import numpy as np
import pyarrow as pa
import xxhash

masks, cases = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])


def files(folder):
    return [file["filename"] for file in json.loads((folder / "state.json").read_text())["_data_files"]]


def table(folder, name):
    with pa.OSFile(str(folder / name)) as source, pa.ipc.open_stream(source) as stream:
        return stream.read_all()


old = pa.concat_tables([table(masks, name) for name in files(masks)])


def flat(name, source=old):
    column = source[name].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    return column.flatten()


def scores(name):
    if name == "excess" and name not in old.column_names:
        with np.errstate(invalid="ignore"):
            return scores("base_loss") - scores("loss")
    return flat(name).cast(pa.float32()).to_numpy(zero_copy_only=False).astype(np.float32)


lengths = np.array([len(ids) for ids in old["input_ids"]], np.int64)
ends = np.cumsum(lengths)
shards, rows, hashes = (old[name].to_pylist() for name in ["shard", "row", "token_hash"])


def scopes():
    """The token indexes of each scope."""
    scope = rule.get("scope", "batch")
    if scope == "corpus":
        yield np.arange(ends[-1])
        return
    begin, size, shard = 0, 0, None
    for document, length in enumerate(lengths):
        first = ends[document] - length
        full = size > 0 and size + length > rule.get("batch", 2**20)
        if scope == "document" or full or shards[document] != shard:
            yield np.arange(begin, first)
            begin, size, shard = first, 0, shards[document]
        size += length
    yield np.arange(begin, ends[-1])


def share(ratio, scored):
    return int(np.floor(ratio * scored + 0.5))


def ranked(values, first, count):
    """Drops the first of the ranking, among equals the later; keeps `count` of the rest, among equals the earlier."""
    kept = np.zeros(len(values), bool)
    places = np.arange(len(values))
    # -0 is 0.
    values = values + 0
    rest = np.lexsort((-places, values))[first:]
    kept[rest[np.lexsort((rest, values[rest]))][:count]] = True
    return kept


def keep(values, ratio):
    kept = np.zeros(len(values), bool)
    for scope in scopes():
        scored = scope[~np.isnan(values[scope])]
        kept[scored] = ranked(values[scored], 0, share(ratio, len(scored)))
    return kept


def mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def chance(seed):
    values = []
    with np.errstate(over="ignore"):
        for document, length in enumerate(lengths):
            begin = np.uint64(xxhash.xxh3_64_intdigest(shards[document].encode(), seed))
            begin = mix(mix(begin ^ np.int64(hashes[document]).astype(np.uint64)) ^ np.int64(rows[document]).astype(np.uint64))
            steps = np.arange(1, length + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            values.append(np.minimum(mix(begin + steps) >> np.uint64(32), np.uint64(2**32 - 2)).astype(np.float64))
    values = np.concatenate(values)
    values[np.isnan(scores("loss"))] = np.nan
    return values


for out, rule in cases:
    out = pathlib.Path(out)
    assert files(masks) == files(out), "the same names"
    new = pa.concat_tables([table(out, name) for name in files(out)])
    new.validate(full=True)
    stays = [name for name, field in zip(old.column_names, old.schema) if not name.startswith("mask_")]
    assert [name for name in new.column_names if not name.startswith(("mask_", "weight_"))] == stays, new.column_names
    for name in stays:
        # Compared by bytes: missing scores are null, never NaN.
        assert old[name].combine_chunks().equals(new[name].combine_chunks()), name

    by, ratio = rule["by"], rule.get("keep", 0.7)
    expected, weights = {}, {}
    if rule.get("weights"):
        values = scores(by)
        weighed = np.zeros(len(values))
        with np.errstate(over="ignore", invalid="ignore"):
            if rule["weights"] == "rank":
                for scope in scopes():
                    scored = scope[~np.isnan(values[scope])]
                    best = (-values if by == "excess" else values)[scored] + 0
                    order = np.argsort(best, kind="stable")
                    weighed[scored[order]] = (len(scored) - np.arange(len(scored))) / max(len(scored), 1)
            elif rule["weights"] == "exp" or rule["weights"].startswith("power:"):
                weighed = np.exp(-values.astype(np.float64)) ** float(rule["weights"].partition(":")[2] or 1)
            else:
                x = values.astype(np.float64) / rule.get("temperature", 1)
                weighed = 1 / (1 + np.exp(-x)) if rule["weights"] == "sigmoid" else x
            weighed = np.clip(weighed.astype(np.float32), np.float32(rule.get("min-weight", 0)), np.float32(rule.get("max-weight", 1)))
        weighed[np.isnan(values)] = 0
        weights[f"weight_{by}"] = weighed
    elif by in ("loss", "entropy"):
        expected[f"mask_{by}"] = keep(scores(by), ratio)
    elif by == "excess":
        expected["mask_excess"] = keep(-scores("excess"), ratio)
    elif by == "random":
        expected["mask_random"] = keep(chance(rule.get("seed", 0)), ratio)
    elif by == "threshold":
        values = scores(rule.get("score", "loss"))
        least, most = (np.float32(rule.get(name, bound)) for name, bound in [("above", -np.inf), ("below", np.inf)])
        expected["mask_threshold"] = (values >= least) & (values <= most)
    elif by == "band":
        values = scores(rule.get("score", "loss"))
        kept = np.zeros(len(values), bool)
        for scope in scopes():
            scored = scope[~np.isnan(values[scope])]
            first = share(rule.get("drop-easiest", 0), len(scored))
            count = max(len(scored) - first - share(rule.get("drop-hardest", 0), len(scored)), 0)
            kept[scored] = ranked(values[scored], first, count)
        expected["mask_band"] = kept
    else:
        loss, entropy = (keep(scores(name), rule.get(f"keep-{name}", ratio)) for name in ["loss", "entropy"])
        both = loss & entropy if by == "intersection" else loss | entropy
        expected = {"mask_loss": loss, "mask_entropy": entropy, f"mask_{by}": both}

    made = [name for name in new.column_names if name.startswith(("mask_", "weight_"))]
    assert made == [*expected, *weights], made
    summary = json.loads((out / "summary.json").read_text())
    for name, kept in expected.items():
        got = flat(name, new).to_numpy(zero_copy_only=False)
        assert (got == kept).all(), (name, np.flatnonzero(got != kept)[:9], got.sum(), kept.sum())
        told = summary["kept"][name.removeprefix("mask_")]
        assert told["tokens"] == kept.sum(), (name, told)
        assert told["scored"] == 0 or told["share"] == told["tokens"] / told["scored"], told
    for name, weighed in weights.items():
        got = flat(name, new).to_numpy(zero_copy_only=False)
        if rule["weights"] not in ("rank", "clipped", "entropy"):
            assert np.allclose(got, weighed, rtol=3e-7, atol=1e-30), np.abs(got - weighed).max()
        else:
            assert (got == weighed).all(), np.flatnonzero(got != weighed)[:9]
    assert summary["tokens"] == ends[-1] and summary["documents"] == len(lengths), summary
    metadata = json.loads(new.schema.metadata[b"rho_mask"])
    assert [said["column"] for said in metadata["selections"]] == made, metadata
    if by in ("loss", "entropy", "excess") and rule.get("scope") == "corpus" and not weights:
        values, kept = scores(by), expected[f"mask_{by}"]
        if kept.any():
            last = values[kept].min() if by == "excess" else values[kept].max()
            told = metadata["selections"][0]
            edge = told["lowest_kept" if by == "excess" else "highest_kept"]
            assert edge is None and np.isinf(last) or np.float32(edge) == last, (edge, last)
            assert told["kept"] == kept.sum() and told["scored"] == (~np.isnan(values)).sum(), told
            assert summary["kept"][by]["threshold"] is None or summary["kept"][by]["threshold"][0] == edge, summary
