"""How fast `rho-mask select` is, beside `cp` on the same files.

    cargo build --release
    python benches/selecting.py --tokens 32 --runs 3

Makes a masks folder of so many million tokens (numbers look random, the files are as `score` writes them), reads it once
so that it lies in the page cache, and runs each rule and `cp -r` in turn; `cp + sync` also waits for the disk, as `select`
does. Needs what tests/requirements.txt names. Prints the median of the runs.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import numpy as np
import pyarrow as pa
import xxhash

ROOT = pathlib.Path(__file__).resolve().parent.parent

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--tokens", type=float, default=32, help="in millions")
arguments.add_argument("--shards", type=int, default=4)
arguments.add_argument("--runs", type=int, default=3)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--program", default=ROOT / "target/release/rho-mask")
arguments.add_argument("--base", action="store_true", help="with a column base_loss, and the rule excess alone")
arguments.add_argument("--place", help="a folder on the disk to measure; else that for temporary files")
options = arguments.parse_args()

RULES = [
    ["--by", "loss"],
    ["--by", "loss", "--scope", "document"],
    ["--by", "loss", "--scope", "corpus"],
    ["--by", "intersection"],
    ["--by", "intersection", "--scope", "corpus"],
    ["--by", "random"],
    ["--by", "threshold", "--below", "2"],
]

if options.base:
    RULES = [["--by", "excess"], ["--by", "excess", "--scope", "corpus"]]


def lists(values, offsets, missing=None):
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values, mask=missing))


def shard(path, name, tokens, random):
    """Documents of 50 to 1,500 tokens; the first of each has no score."""
    batches, made = [], 0
    while made < tokens:
        lengths = random.integers(50, 1500, 330)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        n = int(offsets[-1])
        ids = random.integers(0, 32000, n, dtype=np.int32)
        first = np.zeros(n, bool)
        first[offsets[:-1]] = True
        hashes = [xxhash.xxh3_64_intdigest(ids[a:b].tobytes()) for a, b in zip(offsets, offsets[1:])]
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
        if options.base:
            columns["base_loss"] = lists(random.gamma(1.3, 2.4, n).astype(np.float32), offsets, first)
        for mask in ["mask_loss", "mask_entropy", "mask_intersection"]:
            columns[mask] = lists(random.random(n) < 0.7, offsets)
        table = pa.table(columns).replace_schema_metadata({"rho_mask": json.dumps({"format_version": 1})})
        batches += table.to_batches()
        made += n
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return made


def timed(command):
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


with tempfile.TemporaryDirectory(dir=options.place) as place:
    place = pathlib.Path(place)
    masks, out = place / "masks", place / "out"
    masks.mkdir()
    random = np.random.default_rng(7)
    each = options.tokens * 1e6 / options.shards
    names = [f"{i:02}.jsonl" for i in range(options.shards)]
    tokens = sum(shard(masks / f"{name}.arrow", name, each, random) for name in names)
    (masks / "state.json").write_text(json.dumps({"_data_files": [{"filename": f"{name}.arrow"} for name in names]}))
    (masks / "summary.json").write_text("{}")
    size = sum(file.stat().st_size for file in masks.iterdir())
    print(f"{tokens:,} tokens, {size / 1e6:,.0f} MB in {len(names)} shards, {options.threads} threads")
    subprocess.run(["cat", *(str(file) for file in masks.iterdir())], stdout=subprocess.DEVNULL)

    copy = ["cp", "-r", str(masks), str(out)]
    commands = {"cp": copy, "cp + sync": ["sh", "-c", 'cp -r "$0" "$1" && sync "$1"/*', str(masks), str(out)]}
    for rule in RULES:
        command = [str(options.program), "select", str(masks), "--out", str(out), "--threads", str(options.threads)]
        commands["select " + " ".join(rule)] = command + rule
    seconds = {name: [] for name in commands}
    for _ in range(options.runs):
        for name, command in commands.items():
            # What the one before left for the disk to do is not this one's.
            os.sync()
            seconds[name].append(timed(command))
            shutil.rmtree(out)
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{name:45} {median:6.2f} s  {tokens / median / 1e6:6.1f} M tokens/s  ({min(taken):.2f} to {max(taken):.2f} s)")
