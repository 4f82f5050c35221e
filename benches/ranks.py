"""Measures how scoring grows with the number of processes: ranks of `score` that share a corpus, and workers.

    cargo build --release
    python benches/ranks.py --processes 1 2 --write

Writes `--shards` shards of the bundled corpus's documents and scores them with the bundled model, one thread for each
process, in turn: ranks that write to one folder, with `finish` as the last step, and `rho-mask worker`s that get a batch of
512 documents each time they have answered one. A bar of times near the number of processes means that they do not wait for
each other. Needs the packages of tests/requirements.txt. Prints a table of medians; `--write` puts it into docs/scale.md.
"""

import argparse
import gzip
import json
import os
import pathlib
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import pyarrow as pa
import tables
from pyarrow import ipc

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH = 512

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--processes", type=int, nargs="+", default=[1, 2])
arguments.add_argument("--shards", type=int, default=8)
arguments.add_argument("--runs", type=int, default=3)
arguments.add_argument("--program", default=ROOT / "target/release/rho-mask")
arguments.add_argument("--place", help="a folder on the disk to measure; default: the folder for temporary files")
arguments.add_argument("--write", action="store_true", help="write the table into docs/scale.md")
options = arguments.parse_args()
made_by = tables.made_by()
COMMON = ["--device", "cpu", "--threads", "1", "--by", "loss", "--scope", "document"]


def documents():
    """The bundled documents."""
    corpus = ROOT / "examples/corpus"
    lines = (corpus / "pages.jsonl").read_text().splitlines()
    lines += gzip.open(corpus / "notes.jsonl.gz", "rt").read().splitlines()
    return [json.loads(line)["text"] for line in lines]


def check(code, what):
    if code != 0:
        sys.exit(f"{what}: exit code {code}")


def ranks(count, corpus, out):
    """Scores the corpus with so many ranks; the seconds until the folder is finished."""
    def command(rank):
        environment = os.environ | {"SLURM_PROCID": str(rank), "SLURM_NTASKS": str(count)}
        words = [str(options.program), "score", str(corpus), "--out", str(out), "--rank", "auto", "--progress", "none"]
        return subprocess.Popen(words + COMMON, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    begun = time.monotonic()
    for process in [command(rank) for rank in range(count)]:
        check(process.wait(), "score")
    check(subprocess.run([str(options.program), "finish", str(out)], stderr=subprocess.DEVNULL).returncode, "finish")
    taken = time.monotonic() - begun
    shutil.rmtree(out)
    return taken


def workers(count, batches):
    """Sends the batches to so many workers; the seconds until all are answered and the workers have ended."""
    waiting, failed = queue.SimpleQueue(), []
    for batch in batches:
        waiting.put(batch)

    def feed():
        words = [str(options.program), "worker", *COMMON]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        writer, reader = ipc.new_stream(process.stdin, batches[0].schema), None
        try:
            while True:
                batch = waiting.get_nowait()
                writer.write_batch(batch)
                process.stdin.flush()
                reader = reader or ipc.open_stream(process.stdout)
                answer = reader.read_next_batch()
                if answer.num_rows != batch.num_rows or answer["loss"].null_count:
                    failed.append("an answer lacks scores")
        except queue.Empty:
            writer.close()
            process.stdin.close()
        if process.wait() != 0:
            failed.append(f"exit code {process.returncode}")

    begun = time.monotonic()
    threads = [threading.Thread(target=feed) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    if failed:
        sys.exit(f"worker: {failed[0]}")
    return time.monotonic() - begun


with tempfile.TemporaryDirectory(dir=options.place) as place:
    place = pathlib.Path(place)
    texts = documents()
    (place / "corpus").mkdir()
    for shard in range(options.shards):
        lines = [json.dumps({"text": text}) for text in texts]
        (place / f"corpus/{shard:02}.jsonl").write_text("\n".join(lines) + "\n")
    table = pa.table({"text": texts * options.shards})
    batches = table.to_batches(max_chunksize=BATCH)
    # The number of tokens, and everything once into the page cache.
    words = [str(options.program), "score", str(place / "corpus"), "--out", str(place / "all"), "--progress", "none"]
    check(subprocess.run(words + COMMON, stderr=subprocess.DEVNULL).returncode, "score")
    tokens = json.loads((place / "all/summary.json").read_text())["tokens"]

    seconds = {}
    for _ in range(options.runs):
        for count in options.processes:
            seconds.setdefault(("ranks", count), []).append(ranks(count, place / "corpus", place / "out"))
            seconds.setdefault(("workers", count), []).append(workers(count, batches))

lines = [
    f"{tokens:,} tokens in {options.shards} shards, the bundled model, one thread each, median of {options.runs} (min to "
    f"max). {made_by}:",
    "",
    "| | seconds | tokens/s | times one |",
    "|---|---|---|---|",
]
for (kind, count), taken in sorted(seconds.items()):
    median = statistics.median(taken)
    one = statistics.median(seconds[kind, min(options.processes)])
    name = f"{count} {kind if count > 1 else kind.rstrip('s')}"
    figures = f"{median:.1f} ({min(taken):.1f} to {max(taken):.1f}) | {tokens / median:,.0f} | {one / median:.2f}"
    lines.append(f"| {name} | {figures} |")
print("\n".join(lines))
if options.write:
    tables.write("ranks.py", lines, document="scale")
