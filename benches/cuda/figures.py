"""Compares whole commands on one GPU, in turn. The GPU's matmul rate is measured before each round.

    python figures.py MODEL CORPUS
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
model, corpus = sys.argv[1:]
device, context = os.environ["DEVICE"], os.environ["CONTEXT"]
RATE = """
import sys, time, torch
a = torch.randn(8192, 8192, device=sys.argv[1], dtype=torch.float16)
b = torch.randn_like(a)
for repeats in (3, 20):
    torch.cuda.synchronize(); start = time.perf_counter()
    for _ in range(repeats): a @ b
    torch.cuda.synchronize(); seconds = (time.perf_counter() - start) / repeats
print(2 * 8192**3 / seconds / 1e12)
"""


def run(words):
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        done = subprocess.run([word.replace("{out}", os.path.join(folder, "out")) for word in words], capture_output=True, text=True)
        seconds = time.monotonic() - start
        if done.returncode != 0:
            sys.exit(f"failed ({done.returncode}): {words}\n{done.stderr}")
        summary = os.path.join(folder, "out", "summary.json")
        return seconds, json.load(open(summary)) if os.path.exists(summary) else None


with open(os.path.join(model, "hf", "config.json")) as file:
    config = json.load(file)
hidden, layers, inner = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
heads, groups = config["num_attention_heads"], config.get("num_key_value_heads") or config["num_attention_heads"]
# Weights of a Llama's matmuls: queries and output, keys and values, three of the MLP, the head.
weights = layers * (2 * hidden**2 + 2 * hidden**2 * groups // heads + 3 * hidden * inner) + hidden * config["vocab_size"]
exported = tempfile.TemporaryDirectory()
ours = os.path.join(exported.name, "ref")
words = [os.environ["RHO_MASK"], "export", os.path.join(model, "hf"), "--out", ours, "--dtype", "f16"]
subprocess.run(words, check=True, stderr=subprocess.PIPE)
score = lambda path: [os.environ["RHO_MASK"], "score", corpus, "--model", path, "--out", "{out}", "--device", device,
                      "--context", context, "--overlap", "0", "--progress", "none"]
programs = {
    "PyTorch, SDPA, f16": [sys.executable, os.path.join(HERE, "torch_peer.py"), os.path.join(model, "hf"), corpus, "{out}", context, device],
    "rho-mask, optimum's export": score(os.path.join(model, "onnx")),
    "rho-mask, its own export in f16": score(ours),
}
seconds, rates, summary = {name: [] for name in programs}, [], None
for i in range(int(os.environ["RUNS"])):
    rates.append(float(subprocess.run([sys.executable, "-c", RATE, device], check=True, capture_output=True, text=True).stdout))
    for name in list(programs) if i % 2 == 0 else list(programs)[::-1]:
        took, told = run(programs[name])
        seconds[name].append(took)
        summary = told or summary
        print(f"round {i + 1}: {name} {took:.1f} s", file=sys.stderr, flush=True)
tokens, rate = summary["tokens"], statistics.median(rates)
# Attention is not counted: at these lengths it is a few percent, so the share is a lower bound.
flops = 2 * weights * tokens
print(f"\n## Speed\n\n{weights / 1e6:.0f}M weights in matmuls, {tokens:,} tokens, context {context}, {len(rates)} rounds in turn; "
      f"matmul rate (f16, 8192^3) {rate:.0f} TFLOP/s\n")
print("| | seconds (median, min to max) | tokens/s | times PyTorch | share of the matmul rate |\n|---|---|---|---|---|")
peer = seconds["PyTorch, SDPA, f16"]
for name, took in seconds.items():
    median = statistics.median(took)
    ratio = statistics.median(p / t for p, t in zip(peer, took))
    print(f"| {name} | {median:.1f} ({min(took):.1f} to {max(took):.1f}) | {tokens / median:,.0f} | {ratio:.2f} | {flops / median / 1e12 / rate:.0%} |")
theirs, own = seconds["rho-mask, optimum's export"], seconds["rho-mask, its own export in f16"]
ratio = statistics.median(a / b for a, b in zip(theirs, own))
print(f"\n`rho-mask export` against optimum's export: {ratio:.2f} times (1.5 is the goal).")
print(f"\nOf the last run: {json.dumps(summary['speed'])}", flush=True)
