"""Times mixtures of experts: a model in which each token uses an eighth of the experts, the same with all of them, and a
dense model of the same total width. Whole command, windows of 2,048 tokens, f32 and int8, in turn.

    cargo build --release
    python3 benches/mixture.py --runs 5

Creates its checkpoints (random weights, Qwen3's layout) in a temporary folder. Needs numpy. The share is of the scoring
time that `score` reports, without loading.
"""

import argparse
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile

import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--experts", type=int, default=32)
arguments.add_argument("--hidden", type=int, default=512)
arguments.add_argument("--inner", type=int, default=256, help="width of an expert")
arguments.add_argument("--layers", type=int, default=4)
arguments.add_argument("--length", type=int, default=2048)
arguments.add_argument("--documents", type=int, default=4)
arguments.add_argument("--runs", type=int, default=5)
arguments.add_argument("--precisions", nargs="+", default=["f32", "int8"])
arguments.add_argument("--ours", default=os.path.join(ROOT, "target/release/rho-mask"))
options = arguments.parse_args()
VOCABULARY = 1024
HEADS, WIDTH = 8, 64
numbers = numpy.random.default_rng(0)


def write(folder, settings, tensors):
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(settings, file)
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 2 * int(numpy.prod(shape))
        header[name] = dict(dtype="F16", shape=shape, data_offsets=[at, at + size])
        at += size
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors.items():
            scale = 1.0 if len(shape) == 1 else shape[-1] ** -0.5
            values = numbers.standard_normal(shape) * scale if len(shape) > 1 else numpy.ones(shape)
            file.write(values.astype(numpy.float16).tobytes())


def checkpoint(folder, top):
    """A mixture with `top` active experts, or a dense model of their total width if `top` is None."""
    hidden, inner, experts = options.hidden, options.inner, options.experts
    settings = dict(
        model_type="qwen3_moe" if top else "qwen3", vocab_size=VOCABULARY, hidden_size=hidden, num_hidden_layers=options.layers,
        intermediate_size=experts * inner, num_attention_heads=HEADS, num_key_value_heads=HEADS, head_dim=WIDTH,
        max_position_embeddings=options.length, tie_word_embeddings=True,
    )
    if top:
        settings |= dict(num_experts=experts, num_experts_per_tok=top, moe_intermediate_size=inner, norm_topk_prob=True)
    tensors = {"model.embed_tokens.weight": [VOCABULARY, hidden], "model.norm.weight": [hidden]}
    for i in range(options.layers):
        at = f"model.layers.{i}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{at}{name}.weight"] = [hidden]
        for name in ("q_norm", "k_norm"):
            tensors[f"{at}self_attn.{name}.weight"] = [WIDTH]
        for name in ("q_proj", "k_proj", "v_proj"):
            tensors[f"{at}self_attn.{name}.weight"] = [HEADS * WIDTH, hidden]
        tensors[f"{at}self_attn.o_proj.weight"] = [hidden, HEADS * WIDTH]
        places = [f"{at}mlp.experts.{e}." for e in range(experts)] if top else [f"{at}mlp."]
        if top:
            tensors[f"{at}mlp.gate.weight"] = [experts, hidden]
        for place in places:
            width = inner if top else experts * inner
            tensors |= {f"{place}gate_proj.weight": [width, hidden], f"{place}up_proj.weight": [width, hidden]}
            tensors[f"{place}down_proj.weight"] = [hidden, width]
    write(folder, settings, tensors)


def seconds(model, corpus, place, precision):
    words = [
        options.ours, "score", corpus, "--tokens-field", "input_ids", "--model", model, "--out", tempfile.mkdtemp(dir=place) + "/masks",
        "--context", str(options.length), "--precision", precision,
    ]
    done = subprocess.run(words, capture_output=True, text=True, env=dict(os.environ, XDG_CACHE_HOME=os.path.join(place, "cache")))
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {words}\n{done.stderr}")
    found = re.search(r"score ([\d.]+) s", done.stdout + done.stderr)
    loaded = re.search(r"and ([\d.]+) s to load", done.stdout + done.stderr)
    return float(found[1]), float(loaded[1])


with tempfile.TemporaryDirectory() as place:
    kinds = {"an eighth": max(options.experts // 8, 1), "all experts": options.experts, "dense": None}
    for name, top in kinds.items():
        checkpoint(os.path.join(place, name), top)
    corpus = os.path.join(place, "tokens.jsonl")
    with open(corpus, "w") as file:
        for _ in range(options.documents):
            file.write(json.dumps({"input_ids": numbers.integers(3, VOCABULARY, options.length).tolist()}) + "\n")
    taken = {(name, precision): [] for name in kinds for precision in options.precisions}
    loads = {key: [] for key in taken}
    for run in range(options.runs + 1):
        for key in taken:
            name, precision = key
            score, load = seconds(os.path.join(place, name), corpus, place, precision)
            # The first run exports the checkpoint and warms the page cache.
            if run:
                taken[key].append(score)
                loads[key].append(load)
    shape = f"{options.experts} experts of {options.inner}, hidden {options.hidden}, {options.layers} layers"
    print(f"{shape}, {options.documents} documents of {options.length} tokens, median of {options.runs} runs\n")
    print("| precision | model | seconds | of all experts | to load |\n|---|---|---|---|---|")
    for (name, precision), values in sorted(taken.items(), key=lambda item: item[0][1]):
        whole = statistics.median(taken["all experts", precision])
        here = statistics.median(values)
        load = statistics.median(loads[name, precision])
        print(f"| {precision} | {name} | {here:.2f} | {here / whole:.3f} | {load:.2f} s |")
