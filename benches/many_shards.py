"""Measures how `finish`, `stats`, `select` and `convert` grow with the number of shards.

    cargo build --release
    python benches/many_shards.py --shards 1000 10000 100000 --write

Writes folders of so many shards, as `score` leaves them when its last rank has ended: a run of the program on one shard is
the pattern, and each shard gets random scores. Each command runs once on each folder, from the page cache; peak memory is
that of the kernel for the process. Needs the packages of tests/requirements.txt. Ends with an error if a command counts
other documents than there are, or if the time per shard of the largest folder is more than `--most` times that of the
smallest. Prints a table; `--write` puts it into docs/scale.md.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import tables

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = 8
"""Documents in a shard."""
KINDS = 64
"""Shards with numbers of their own; the others repeat them under other names."""
PATTERN = "000000.jsonl"

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--shards", type=int, nargs="+", default=[1_000, 10_000])
arguments.add_argument("--most", type=float, default=2.0, help="the most that the time per shard may grow")
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--program", default=ROOT / "target/release/rho-mask")
arguments.add_argument("--place", help="a folder on the disk to measure; default: the folder for temporary files")
arguments.add_argument("--write", action="store_true", help="write the table into docs/scale.md")
arguments.add_argument("--make", nargs=2, metavar=("MASKS", "SHARDS"), help=argparse.SUPPRESS)
options = arguments.parse_args()
made_by = tables.made_by()


def run(*words):
    subprocess.run([str(options.program), *map(str, words)], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make(masks, shards):
    """Fills a folder with `shards` shards. Runs in a process of its own: what it needs would count as memory of others."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import ipc

    corpus = masks.with_name("corpus")
    corpus.mkdir()
    texts = [f"Ann has {i} apples and buys {i + 3} more. " * (1 + i % 3) for i in range(ROWS)]
    lines = [json.dumps({"id": f"{i}", "text": text}) for i, text in enumerate(texts)]
    (corpus / PATTERN).write_text("\n".join(lines) + "\n")
    # Without a field of sources, each shard is a source: the most that `stats` can have to count.
    run("score", corpus, "--out", masks, "--device", "cpu")

    pattern = masks / f"{PATTERN}.arrow"
    table = ipc.open_stream(pattern).read_all()
    random = np.random.default_rng(7)
    kinds = []
    for _ in range(KINDS):
        columns = {}
        for name in table.column_names:
            column = table[name].combine_chunks()
            if name in ("loss", "entropy"):
                first = np.asarray(column.values.is_null())
                scores = random.gamma(1.3, 2.2, len(column.values)).astype(np.float32)
                column = pa.ListArray.from_arrays(column.offsets, pa.array(scores, mask=first))
            columns[name] = column
        sink = pa.BufferOutputStream()
        schema = table.schema
        with ipc.new_stream(sink, schema) as stream:
            stream.write_table(pa.table(columns, schema=schema))
        kinds.append(sink.getvalue().to_pybytes())

    records = masks / ".rho-mask"
    record = json.loads((records / f"shards/{PATTERN}.json").read_text())
    plan = json.loads((records / "plan.json").read_text())
    for path in [pattern, records / f"shards/{PATTERN}.json", masks / "state.json", masks / "summary.json"]:
        path.unlink()
    names = [f"{i:06}.jsonl" for i in range(shards)]
    for i, name in enumerate(names):
        data = kinds[i % KINDS].replace(PATTERN.encode(), name.encode())
        (masks / f"{name}.arrow").write_bytes(data)
        record["files"] = [{"name": f"{name}.arrow", "bytes": len(data)}]
        (records / f"shards/{name}.json").write_text(json.dumps(record))
    # Larger than the files that share masks.
    plan["shards"] = [{"bytes": 1 << 20, "name": name} for name in names]
    (records / "plan.json").write_text(json.dumps(plan))
    shutil.rmtree(corpus)


if options.make:
    make(pathlib.Path(options.make[0]), int(options.make[1]))
    sys.exit()


def measured(words):
    """Seconds and peak memory in MB."""
    command = [str(options.program), *words]
    # Flush pending writes of the previous command, so that they do not count here.
    os.sync()
    begun = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command}: {status}\n{said.decode()}")
    return time.monotonic() - begun, used.ru_maxrss / 1e3


def documents(summary):
    return json.loads(summary.read_text())["documents"]


threads = ["--threads", str(options.threads)]
rows, grown = {}, []
for shards in sorted(options.shards):
    with tempfile.TemporaryDirectory(dir=options.place) as place:
        place = pathlib.Path(place)
        masks = place / "masks"
        own = [sys.executable, __file__, "--program", str(options.program), "--make", str(masks), str(shards)]
        subprocess.run(own, check=True)
        size = sum(file.stat().st_size for file in masks.glob("*.arrow"))
        commands = {
            "finish": ["finish", str(masks)],
            "stats": ["stats", str(masks), "--json"],
            "select --by loss": ["select", str(masks), "--out", str(place / "batch"), "--by", "loss", *threads],
            "the same again: nothing to do": ["select", str(masks), "--out", str(place / "batch"), "--by", "loss", *threads],
            "select --by loss --scope corpus": [
                *["select", str(masks), "--out", str(place / "corpus"), "--by", "loss", "--scope", "corpus", *threads]
            ],
            "convert --to labels": ["convert", str(masks), "--to", "labels", "--out", str(place / "labels"), *threads],
            "convert --to labels --length 2048": [
                *["convert", str(masks), "--to", "labels", "--length", "2048", "--out", str(place / "packed"), *threads]
            ],
        }
        for name, words in commands.items():
            seconds, memory = measured(words)
            print(f"{shards:>8,} shards, {size / 1e6:,.0f} MB: {name}: {seconds:.2f} s, {memory:.0f} MB", flush=True)
            rows.setdefault(name, []).append((shards, seconds, memory))
        for folder in ["masks", "batch", "corpus"]:
            found = documents(place / folder / "summary.json")
            if found != shards * ROWS:
                sys.exit(f"{folder}: expected {shards * ROWS} documents, got {found}")

counts = sorted(options.shards)
lines = [
    f"{ROWS} documents in each shard, {size / counts[-1] / 1e3:.1f} kB, {options.threads} threads. {made_by}:",
    "",
    "| | " + " | ".join(f"{count:,} shards" for count in counts) + " | per shard |",
    "|---|" + "---|" * (len(counts) + 1),
]
for name, found in rows.items():
    cells = [f"{seconds:.2f} s, {memory:.0f} MB" for _, seconds, memory in found]
    per_shard = found[-1][1] / found[-1][0]
    lines.append(f"| `{name}` | " + " | ".join(cells) + f" | {per_shard * 1e3:.2f} ms |")
    # The first second of the smallest folder is the start of the process.
    if len(found) > 1 and found[-1][1] / found[0][1] > options.most * found[-1][0] / found[0][0]:
        grown.append(name)
print("\n".join(lines))
if options.write:
    tables.write("many_shards.py", lines, document="scale")
if grown:
    sys.exit(f"expected times linear in the number of shards, got more: {', '.join(grown)}")
