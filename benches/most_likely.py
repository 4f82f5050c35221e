"""Times `score --top K` against `score` without it: the whole command, alternating, on the CPU.

    cargo build --release
    python3 benches/most_likely.py --runs 5

Creates a Llama with random weights and a large vocabulary in a temporary folder, exports it once, and scores random token
ids. Needs numpy. The bound is K = 8 at V = 151,936: less than 1.15 times the command without it. The exit code is 1 if the
median of the ratios is above that.
"""

import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--vocabulary", type=int, default=151_936)
arguments.add_argument("--hidden", type=int, default=512)
arguments.add_argument("--layers", type=int, default=6)
arguments.add_argument("--length", type=int, default=512)
arguments.add_argument("--documents", type=int, default=16)
arguments.add_argument("--top", type=int, nargs="+", default=[8])
arguments.add_argument("--runs", type=int, default=5)
arguments.add_argument("--threads", type=int, default=os.cpu_count())
arguments.add_argument("--options", default="", help="options of score for all, such as '--precision int8'")
arguments.add_argument("--ours", default=os.path.join(ROOT, "target/release/rho-mask"))
options = arguments.parse_args()
BOUND, BOUND_AT = 1.15, 8
numbers = numpy.random.default_rng(0)


def checkpoint(folder):
    hidden, inner, heads = options.hidden, options.hidden * 21 // 8 // 64 * 64, options.hidden // 64
    settings = dict(
        model_type="llama", vocab_size=options.vocabulary, hidden_size=hidden, num_hidden_layers=options.layers,
        intermediate_size=inner, num_attention_heads=heads, num_key_value_heads=heads, head_dim=64, rms_norm_eps=1e-5,
        max_position_embeddings=options.length, tie_word_embeddings=True, hidden_act="silu",
    )
    tensors = {"model.embed_tokens.weight": [options.vocabulary, hidden], "model.norm.weight": [hidden]}
    for i in range(options.layers):
        at = f"model.layers.{i}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{at}{name}.weight"] = [hidden]
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            tensors[f"{at}self_attn.{name}.weight"] = [hidden, hidden]
        for name in ("gate_proj", "up_proj"):
            tensors[f"{at}mlp.{name}.weight"] = [inner, hidden]
        tensors[f"{at}mlp.down_proj.weight"] = [hidden, inner]
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(settings, file)
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 4 * int(numpy.prod(shape))
        header[name] = dict(dtype="F32", shape=shape, data_offsets=[at, at + size])
        at += size
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in tensors.values():
            values = numpy.ones(shape) if len(shape) == 1 else numbers.standard_normal(shape) * shape[-1] ** -0.5
            file.write(values.astype(numpy.float32).tobytes())


def run(words):
    start = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {words}\n{done.stderr}")
    return time.monotonic() - start


def score(place, top):
    words = [options.ours, "score", os.path.join(place, "tokens.jsonl"), "--tokens-field", "input_ids"]
    words += ["--model", os.path.join(place, "onnx"), "--out", os.path.join(place, "masks"), "--restart", "--device", "cpu"]
    words += ["--context", str(options.length), "--threads", str(options.threads), "--progress", "none"]
    return run(words + options.options.split() + (["--top", str(top)] if top else []))


with tempfile.TemporaryDirectory() as place:
    checkpoint(os.path.join(place, "hf"))
    run([options.ours, "export", os.path.join(place, "hf"), "--out", os.path.join(place, "onnx")])
    with open(os.path.join(place, "tokens.jsonl"), "w") as file:
        for _ in range(options.documents):
            file.write(json.dumps({"input_ids": numbers.integers(3, options.vocabulary, options.length).tolist()}) + "\n")
    kinds = [0, *options.top]
    # The first of each only warms the page cache.
    took = {top: [] for top in kinds}
    for i in range(options.runs + 1):
        for top in kinds if i % 2 == 0 else kinds[::-1]:
            seconds = score(place, top)
            if i > 0:
                took[top].append(seconds)
                print(f"round {i}: K = {top}, {seconds:.2f} s", file=sys.stderr, flush=True)
    print(
        f"V = {options.vocabulary:,}, hidden {options.hidden}, {options.layers} layers, {options.documents} documents of "
        f"{options.length} tokens, {options.threads} threads, median of {options.runs} (min to max), load {os.getloadavg()[0]:.1f}\n"
    )
    print("| K | seconds | times without | the fastest, times the fastest without |\n|---|---|---|---|")
    slow = False
    for top in kinds:
        ratio = statistics.median(a / b for a, b in zip(took[top], took[0]))
        slow |= top == BOUND_AT and ratio > BOUND
        values = took[top]
        print(f"| {top} | {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}) | **{ratio:.3f}** | {min(values) / min(took[0]):.3f} |")
    sys.exit(slow)
