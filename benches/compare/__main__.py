"""Compares `rho-mask score` with common alternatives, whole command against whole command.

    cargo build --release
    python3 benches/compare --shape 35m --corpus corpus.jsonl.zst --documents 300 --runs 5

Creates a virtual environment with the peers (once, under target/), a model of the shape (random weights, exported with
optimum), and a corpus; then runs the programs in turn, so that other load on the machine affects all of them, and prints
one table: seconds, tokens/s, times the speed of Transformers, share of the machine's f32 matmul peak, peak memory.
The peak is measured in the same run, before each round. FLOPs are 2 x parameters without the embedding table x tokens,
plus causal attention; the softmax is not counted.

Peers: Transformers (PyTorch), ONNX Runtime with logits as output, and llama.cpp's `llama-perplexity` if it is on the PATH
and --gguf names the same model for it. Linux and macOS.
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--shape", default="35m", choices=["35m", "100m", "wide"])
arguments.add_argument("--corpus", default=os.path.join(ROOT, "examples/corpus"), help="JSON lines, plain or .zst, or a folder")
arguments.add_argument("--documents", type=int, default=300)
arguments.add_argument("--runs", type=int, default=5)
arguments.add_argument("--context", type=int, default=1024)
arguments.add_argument("--threads", type=int, default=os.cpu_count())
arguments.add_argument("--ours", default=os.path.join(ROOT, "target/release/rho-mask"), help="the program to measure")
arguments.add_argument("--options", action="append", default=[], help="also run rho-mask with these options, such as '--precision int8'")
arguments.add_argument("--without", action="append", default=[], help="skip a program, such as onnxruntime")
arguments.add_argument("--gguf", help="the model for llama-perplexity")
arguments.add_argument("--python", help="a Python with benches/compare/requirements.txt; default: a new virtual environment")
options = arguments.parse_args()


def environment():
    """The Python with the peers."""
    if options.python:
        return options.python
    folder = os.path.join(ROOT, "target", "bench-python")
    python = os.path.join(folder, "bin", "python")
    complete = os.path.join(folder, "complete")
    if not os.path.exists(complete):
        print("creating a virtual environment with the peers ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        requirements = os.path.join(HERE, "requirements.txt")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        open(complete, "w").close()
    return python


def prepared(python):
    folder = os.path.join(ROOT, "target", "bench", f"{options.shape}-{options.documents}")
    code = "import sys, json, models; print(json.dumps(models.prepare(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), 4000)))"
    words = [python, "-c", code, folder, options.shape, options.corpus, str(options.documents)]
    output = subprocess.run(words, check=True, cwd=HERE, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def run(words):
    """Seconds and peak megabytes of one run; exits if it fails, because a failed run has no time."""
    folder = tempfile.mkdtemp()
    words = [word.replace("{out}", os.path.join(folder, "out")) for word in words]
    start = time.monotonic()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    shutil.rmtree(folder)
    if status != 0:
        sys.exit(f"failed ({status}): {shlex.join(words)}\n{errors.decode(errors='replace')}")
    return seconds, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)


python = environment()
model = prepared(python)
context, threads = str(options.context), str(options.threads)
ours = [options.ours, "score", model["corpus"], "--model", model["onnx"], "--out", "{out}", "--device", "cpu"]
ours += ["--context", context, "--overlap", "0", "--threads", threads]
ours += ["--tokens-field", "input_ids"] if model["tokens_field"] else []
peer = lambda name, place: [python, os.path.join(HERE, f"{name}_peer.py"), model[place], model["corpus"], "{out}", context, threads]
programs = {"transformers": peer("transformers", "hf"), "onnxruntime": peer("onnxruntime", "onnx"), "rho-mask": ours}
for extra in options.options:
    programs[f"rho-mask {extra}"] = ours + shlex.split(extra)
if options.gguf and shutil.which("llama-perplexity"):
    programs["llama-perplexity"] = ["llama-perplexity", "-m", options.gguf, "-f", model["corpus"], "-c", context, "-t", threads]
programs = {name: words for name, words in programs.items() if name not in options.without}

# Token i attends to i + 1 tokens: scores and weighted sums, 2 FLOPs each per hidden unit.
tokens = sum(model["lengths"])
spans = [min(options.context, n - start) for n in model["lengths"] for start in range(0, n, options.context)]
attention = sum(4 * model["hidden"] * model["layers"] * n * (n + 1) // 2 for n in spans)
flops = 2 * model["products"] * tokens + attention

results = {name: [] for name in programs}
peaks = []
for i in range(options.runs):
    measured = subprocess.run([python, os.path.join(HERE, "peak.py"), threads], check=True, stdout=subprocess.PIPE, text=True)
    peaks.append({name: float(value) for name, value in (pair.split("=") for pair in measured.stdout.split())})
    names = list(programs) if i % 2 == 0 else list(programs)[::-1]
    for name in names:
        results[name].append(run(programs[name]))
        print(f"round {i + 1}: {name} {results[name][-1][0]:.1f} s", file=sys.stderr, flush=True)

library, peak = max(((name, statistics.median(p[name] for p in peaks)) for name in peaks[0]), key=lambda pair: pair[1])
print(f"{platform.machine()}, {options.threads} threads, {options.runs} rounds in turn; {options.shape}: "
      f"{model['parameters'] / 1e6:.1f}M parameters, {len(model['lengths'])} documents, {tokens:,} tokens, {flops / 1e12:.1f} TFLOP; "
      f"f32 matmul peak {peak:.0f} GFLOP/s ({library})\n")
print("| | seconds (median, min to max) | tokens/s | times Transformers | share of peak | peak memory |\n|---|---|---|---|---|---|")
for name, runs in results.items():
    seconds = [s for s, _ in runs]
    median = statistics.median(seconds)
    ratio = "-"
    if "transformers" in results:
        ratio = f"{statistics.median(t / s for (t, _), s in zip(results['transformers'], seconds)):.2f}"
    memory = max(m for _, m in runs)
    print(f"| {name} | {median:.1f} ({min(seconds):.1f} to {max(seconds):.1f}) | {tokens / median:,.0f} | {ratio} "
          f"| {flops / median / 1e9 / peak:.0%} | {memory:,.0f} MB |")
