"""Measures the speed of `rho-mask convert`, compared with `cp` on the same files.

    cargo build --release
    python benches/converting.py --tokens 32 --runs 3

Writes a masks folder of `--tokens` million tokens, reads it once so that it is in the page cache, and runs `convert` to each
format and `cp -r` in turn; both wait for the disk. Needs the packages of tests/requirements.txt. Prints a table of medians;
`--write` puts it into docs/performance.md.
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
arguments.add_argument("--place", help="a folder on the disk to measure; default: the folder for temporary files")
arguments.add_argument("--to", action="append", help="a format with its options; default: all formats")
arguments.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
options = arguments.parse_args()
made_by = tables.made_by()

FORMATS = options.to or [
    "labels",
    "labels --length 2048",
    "olmo",
    "levanter",
    "levanter --length 2048",
    "neox",
    "mds",
    "litdata",
    "torchtitan",
    "torchtune",
    "parquet",
    "jsonl",
    "webdataset",
]


def timed(command):
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, command
    return time.monotonic() - begun, used.ru_utime + used.ru_stime


with tempfile.TemporaryDirectory(dir=options.place) as place:
    place = pathlib.Path(place)
    masks, out = place / "masks", place / "out"
    tokens = random_masks.make(masks, options.tokens * 1e6, options.shards)
    size = sum(file.stat().st_size for file in masks.iterdir())
    subprocess.run(["cat", *(str(file) for file in masks.iterdir())], stdout=subprocess.DEVNULL)

    commands = {"cp + sync": ["sh", "-c", 'cp -r "$0" "$1" && sync "$1"/*', str(masks), str(out)]}
    for to in FORMATS:
        command = [str(options.program), "convert", str(masks), "--out", str(out), "--threads", str(options.threads)]
        commands[to] = [*command, "--to", *to.split()]
    runs = {name: [] for name in commands}
    written = {}
    for _ in range(options.runs):
        for name, command in commands.items():
            # Flush pending writes of the previous command, so that they do not count here.
            os.sync()
            runs[name].append(timed(command))
            written[name] = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
            shutil.rmtree(out)
    lines = [
        f"{tokens:,} tokens, {size / 1e6:,.0f} MB in {options.shards} shards, {options.threads} threads, median of "
        f"{options.runs} (min to max). {made_by}:",
        "",
        "| | seconds | M tokens/s | busy, all cores | written |",
        "|---|---|---|---|---|",
    ]
    for name, all_of in runs.items():
        seconds, busy = zip(*all_of)
        median = statistics.median(seconds)
        lines.append(
            f"| `{name}` | {median:.2f} ({min(seconds):.2f} to {max(seconds):.2f}) | **{tokens / median / 1e6:.0f}** "
            f"| {statistics.median(busy):.2f} s | {written[name] / 1e6:,.0f} MB |"
        )
    print("\n".join(lines))
    if options.write:
        tables.write("converting.py", lines)
