"""Compares rho-trainer's training step with PyTorch's eager mode: Transformers' Llama, AdamW, clipping, f32 on the CPU.

    python3 benches/training --python PYTHON [--shape VOCABULARY/HIDDEN/LAYERS/BATCH/LENGTH ...] [--runs 5]

PYTHON has torch and transformers (benches/compare/requirements.txt). Both programs run in turn, so that other load on the
machine affects both. Prints medians over the runs of each run's median step, and the ratio of each pair. Linux.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHAPES = ["4096/256/4/8/256", "16384/512/6/4/512", "32000/256/4/8/256"]

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--python", default=sys.executable)
arguments.add_argument("--shape", action="append")
arguments.add_argument("--runs", type=int, default=5)
arguments.add_argument("--steps", type=int, default=7)
arguments.add_argument("--threads", type=int, default=os.cpu_count())
arguments.add_argument("--candle", action="store_true", help="also run the network through candle's own operations")
options = arguments.parse_args()


def bench():
    """The compiled bench."""
    words = ["cargo", "bench", "-p", "rho-trainer", "--bench", "step", "--no-run", "--message-format=json"]
    output = subprocess.run(words, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines()]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "step")


def run(words):
    environment = dict(os.environ, RAYON_NUM_THREADS=str(options.threads))
    output = subprocess.run(words, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout
    numbers = {name: float(rate) for name, rate in re.findall(r"^(\w+): (\d+) tokens/s", output, re.M)}
    numbers["memory"] = int(re.search(r"VmHWM:\s+(\d+) kB", output).group(1)) / 1024
    return numbers


ours = bench()
for shape in options.shape or SHAPES:
    sizes = shape.split("/")
    peer = [options.python, os.path.join(HERE, "torch_peer.py"), *sizes, str(options.steps), str(options.threads)]
    programs = {
        "PyTorch": peer,
        "clm": [ours, *sizes, str(options.steps), "clm"],
        "slm and clm": [ours, *sizes, str(options.steps), "clm", "slm"],
    }
    if options.candle:
        programs["candle"] = [ours, *sizes, str(options.steps), "clm", "candle"]
    results = {name: [] for name in programs}
    for i in range(options.runs):
        for name in list(programs) if i % 2 == 0 else list(programs)[::-1]:
            results[name].append(run(programs[name]))
    median = lambda name, key: statistics.median(result[key] for result in results[name])
    spread = lambda name, key: f"{min(r[key] for r in results[name]):,.0f} to {max(r[key] for r in results[name]):,.0f}"
    print(f"\n{shape}, {options.threads} threads, {options.runs} runs in turn, medians\n")
    print("| | tokens/s (median, min to max) | times PyTorch | peak memory |\n|---|---|---|---|")
    rows = [("PyTorch", "PyTorch", "clm"), ("clm", "clm", "clm"), ("slm", "slm and clm", "slm")]
    if options.candle:
        rows.append(("candle's operations", "candle", "clm"))
    for label, name, key in rows:
        pairs = zip(results["PyTorch"], results[name])
        ratio = statistics.median(ours[key] / theirs["clm"] for theirs, ours in pairs)
        print(f"| {label} | {median(name, key):,.0f} ({spread(name, key)}) | {ratio:.2f} | {median(name, 'memory'):,.0f} MB |")
    pairs = [result["clm"] / result["slm"] for result in results["slm and clm"]]
    print(f"\nslm step / clm step: {statistics.median(pairs):.3f} ({min(pairs):.3f} to {max(pairs):.3f})", flush=True)
