"""Measures the speed of `rho-mask select`, compared with `cp` on the same files.

    cargo build --release
    python benches/selecting.py --tokens 32 --runs 3

Writes a masks folder of `--tokens` million tokens (random-looking numbers, files as `score` writes them), reads it once so
that it is in the page cache, and runs each rule and `cp -r` in turn; `cp + sync` also waits for the disk, as `select` does.
Needs the packages of tests/requirements.txt. Prints a table of medians; `--write` puts it into docs/performance.md.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import random_masks
import tables

ROOT = pathlib.Path(__file__).resolve().parent.parent

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--tokens", type=float, default=32, help="in millions")
arguments.add_argument("--shards", type=int, default=4)
arguments.add_argument("--runs", type=int, default=3)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--program", default=ROOT / "target/release/rho-mask")
arguments.add_argument("--base", action="store_true", help="add a column base_loss, and measure only the rule excess")
arguments.add_argument("--place", help="a folder on the disk to measure; default: the folder for temporary files")
arguments.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
options = arguments.parse_args()
made_by = tables.made_by()

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


def timed(command):
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


with tempfile.TemporaryDirectory(dir=options.place) as place:
    place = pathlib.Path(place)
    masks, out = place / "masks", place / "out"
    tokens = random_masks.make(masks, options.tokens * 1e6, options.shards, base=options.base)
    size = sum(file.stat().st_size for file in masks.iterdir())
    subprocess.run(["cat", *(str(file) for file in masks.iterdir())], stdout=subprocess.DEVNULL)

    copy = ["cp", "-r", str(masks), str(out)]
    commands = {"cp": copy, "cp + sync": ["sh", "-c", 'cp -r "$0" "$1" && sync "$1"/*', str(masks), str(out)]}
    for rule in RULES:
        command = [str(options.program), "select", str(masks), "--out", str(out), "--threads", str(options.threads)]
        commands["select " + " ".join(rule)] = command + rule
    seconds = {name: [] for name in commands}
    for _ in range(options.runs):
        for name, command in commands.items():
            # Flush pending writes of the previous command, so that they do not count here.
            os.sync()
            seconds[name].append(timed(command))
            shutil.rmtree(out)
    lines = [
        f"{tokens:,} tokens, {size / 1e6:,.0f} MB in {options.shards} shards, {options.threads} threads, median of "
        f"{options.runs} (min to max). {made_by}:",
        "",
        "| | seconds | M tokens/s |",
        "|---|---|---|",
    ]
    for name, taken in seconds.items():
        median = statistics.median(taken)
        lines.append(f"| `{name}` | {median:.2f} ({min(taken):.2f} to {max(taken):.2f}) | **{tokens / median / 1e6:.0f}** |")
    print("\n".join(lines))
    if options.write:
        kind = "base" if options.base else f"{options.shards} shards"
        tables.write(f"selecting.py, {kind}", lines)
