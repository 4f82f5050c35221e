"""Compares the graphs of `rho-mask export` and of optimum for the same checkpoint, on the CPU in f32.

    cargo build --release
    python3 benches/exported.py MODEL CORPUS --runs 5

MODEL has hf/ (the checkpoint) and onnx/ (optimum's export) with a tokenizer.json, as benches/compare creates them under
target/bench/; CORPUS is JSON lines with a field `text`. For each length the whole command runs with both graphs in turn, in
alternating order, so that other load on the machine affects both. The table has medians and the median of the ratios. The
tokens of the corpus are split into documents of exactly that length, so that attention is measured at that length.

Needs pyarrow. With --python PYTHON (one that has pyarrow, onnxruntime and numpy) the graphs also run in ONNX Runtime alone,
with logits.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ALONE = """
import sys, time, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = int(sys.argv[3]), 3
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
length, names = int(sys.argv[2]), [value.name for value in session.get_inputs()]
ids = numpy.random.default_rng(0).integers(3, 1000, (1, length))
every = {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "position_ids": numpy.arange(length)[None]}
session.run(["logits"], {name: every[name] for name in names})
start = time.perf_counter()
for _ in range(int(sys.argv[4])):
    session.run(["logits"], {name: every[name] for name in names})
print(time.perf_counter() - start)
"""

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("model")
arguments.add_argument("corpus")
arguments.add_argument("--lengths", type=int, nargs="+", default=[512, 2048])
arguments.add_argument("--tokens", type=int, default=65536, help="tokens per run")
arguments.add_argument("--runs", type=int, default=5)
arguments.add_argument("--threads", type=int, default=os.cpu_count())
arguments.add_argument("--ours", default=os.path.join(ROOT, "target/release/rho-mask"), help="the program to measure")
arguments.add_argument("--options", default="", help="options of score for both, such as '--precision int8'")
arguments.add_argument("--python", help="a Python with onnxruntime and numpy")
options = arguments.parse_args()


def seconds_of(words):
    start = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {words}\n{done.stderr}")
    return time.monotonic() - start


def score(model, length, folder):
    corpus, out = os.path.join(folder, f"{length}.jsonl"), os.path.join(folder, "masks")
    words = [options.ours, "score", corpus, "--model", model, "--out", out, "--restart", "--tokens-field", "input_ids"]
    words += ["--device", "cpu", "--context", str(length), "--overlap", "0", "--threads", str(options.threads)]
    words += ["--batch-tokens", str(max(1024, length)), "--progress", "none"] + options.options.split()
    return seconds_of(words)


def alone(model, length, _):
    words = [options.python, "-c", ALONE, os.path.join(model, "model.onnx"), str(length), str(options.threads)]
    words += [str(max(1, options.tokens // length // 4))]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def token_ids(folder):
    """The token ids of the whole corpus as one list, from the program itself."""
    out = os.path.join(folder, "ids")
    words = [options.ours, "score", options.corpus, "--model", os.path.join(options.model, "onnx"), "--out", out]
    subprocess.run(words + ["--device", "cpu", "--precision", "int8", "--progress", "none"], check=True, capture_output=True)
    code = "import sys, glob, json, pyarrow.ipc as ipc\n" \
        "for path in sorted(glob.glob(sys.argv[1] + '/**/*.arrow', recursive=True)):\n" \
        "    print(json.dumps(sum(ipc.open_stream(path).read_all()['input_ids'].to_pylist(), [])))"
    lines = subprocess.run([options.python or sys.executable, "-c", code, out], check=True, capture_output=True, text=True).stdout
    return sum((json.loads(line) for line in lines.splitlines()), [])


def compare(what, run, models, length, folder):
    took = {name: [] for name in models}
    for i in range(options.runs):
        for name in list(models) if i % 2 == 0 else list(models)[::-1]:
            took[name].append(run(models[name], length, folder))
            print(f"{what}, {length} tokens, round {i + 1}: {name} {took[name][-1]:.1f} s", file=sys.stderr, flush=True)
    theirs, ours = took["optimum"], took["exported"]
    ratio = statistics.median(a / b for a, b in zip(theirs, ours))
    print(f"| {what} | {length} | {statistics.median(theirs):.2f} | {statistics.median(ours):.2f} | **{ratio:.2f}** |", flush=True)


with tempfile.TemporaryDirectory() as folder:
    models = {"optimum": os.path.join(options.model, "onnx")}
    for head in ("fused", "logits"):
        out = os.path.join(folder, head)
        words = [options.ours, "export", os.path.join(options.model, "hf"), "--out", out, "--head", head]
        subprocess.run(words, check=True, capture_output=True)
    ids = token_ids(folder)
    print("| | tokens per document | optimum, s | exported, s | times |\n|---|---|---|---|---|")
    for length in options.lengths:
        corpus = os.path.join(folder, f"{length}.jsonl")
        count = min(options.tokens, len(ids)) // length
        with open(corpus, "w") as file:
            for i in range(count):
                file.write(json.dumps({"input_ids": ids[i * length : (i + 1) * length]}) + "\n")
        fused = dict(models, exported=os.path.join(folder, "fused"))
        compare(f"rho-mask score, {count * length:,} tokens", score, fused, length, folder)
        if options.python:
            logits = dict(models, exported=os.path.join(folder, "logits"))
            compare("ONNX Runtime alone, logits", alone, logits, length, folder)
