"""Masks folders as `score` writes them, with random numbers."""

import itertools
import json

import numpy as np
import pyarrow as pa
import xxhash

METADATA = {"format_version": 1, "reference": {"vocabulary": 32000}, "eos": {"rule": "always", "tokens": [2]}}


def make(folder, tokens, shards, base=False):
    """Writes a folder of about `tokens` tokens and returns their exact number."""
    folder.mkdir()
    random = np.random.default_rng(7)
    names = [f"{i:02}.jsonl" for i in range(shards)]
    made = sum(shard(folder / f"{name}.arrow", name, tokens / shards, random, base) for name in names)
    files = [{"filename": f"{name}.arrow"} for name in names]
    (folder / "state.json").write_text(json.dumps({"_data_files": files}))
    (folder / "summary.json").write_text("{}")
    return made


def lists(values, offsets, missing=None):
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values, mask=missing))


def shard(path, name, tokens, random, base):
    """Documents of 50 to 1,500 tokens; the first of each has no score."""
    batches, made = [], 0
    while made < tokens:
        lengths = random.integers(50, 1500, 330)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        n = int(offsets[-1])
        ids = random.integers(0, 32000, n, dtype=np.int32)
        first = np.zeros(n, bool)
        first[offsets[:-1]] = True
        hashes = [xxhash.xxh3_64_intdigest(ids[a:b].tobytes()) for a, b in itertools.pairwise(offsets)]
        rows = np.arange(len(lengths), dtype=np.int64) + made
        columns = {
            "id": pa.array([f"{name}#{row}" for row in rows]),
            "shard": pa.array([name] * len(rows)),
            "row": pa.array(rows),
            "token_hash": pa.array(np.array(hashes, np.uint64).astype(np.int64)),
            "input_ids": lists(ids, offsets),
            "loss": lists(random.gamma(1.3, 2.2, n).astype(np.float32), offsets, first),
            "entropy": lists(random.gamma(2.0, 1.3, n).astype(np.float32), offsets, first),
        }
        if base:
            columns["base_loss"] = lists(random.gamma(1.3, 2.4, n).astype(np.float32), offsets, first)
        for mask in ["mask_loss", "mask_entropy", "mask_intersection"]:
            columns[mask] = lists(random.random(n) < 0.7, offsets)
        table = pa.table(columns).replace_schema_metadata({"rho_mask": json.dumps(METADATA)})
        batches += table.to_batches()
        made += n
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return made
