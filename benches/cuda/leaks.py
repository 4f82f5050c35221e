"""Scores the corpus repeatedly in one run of the program, and samples the memory of process and device every ten seconds.
Exits with 1 if the peak of the last third of the time is more than 5 % above that of the second third.

    python leaks.py MODEL CORPUS
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

model, corpus = sys.argv[1:]
limit = float(os.environ["LEAK_SECONDS"])
folder = tempfile.mkdtemp()
os.mkdir(os.path.join(folder, "corpus"))
shard = os.path.join(folder, "corpus", "copies.jsonl")
with open(corpus, "rb") as file:
    text = file.read()
# More text than can be scored in the time limit.
with open(shard, "wb") as file:
    for _ in range(max(1, (4 << 30) // max(1, len(text)))):
        file.write(text)
words = [os.environ["RHO_MASK"], "score", shard, "--model", os.path.join(model, "onnx"), "--out", os.path.join(folder, "masks"),
         "--device", os.environ["DEVICE"], "--context", os.environ["CONTEXT"], "--progress", "none"]
child = subprocess.Popen(words, stdout=subprocess.DEVNULL)


def resident():
    with open(f"/proc/{child.pid}/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def on_device():
    try:
        query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
        lines = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
        return sum(float(line.split(",")[1]) for line in lines)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return 0.0


samples, start = [], time.monotonic()
while time.monotonic() - start < limit and child.poll() is None:
    time.sleep(min(10, limit / 9))
    if child.poll() is None:
        samples.append((resident(), on_device()))
early = child.poll()
if early is None:
    child.terminate()
    child.wait()
shutil.rmtree(folder)
if early not in (None, 0, 1) or len(samples) < 6:
    sys.exit(f"the run ended early ({early}), after {len(samples)} samples")
third = len(samples) // 3
print("\n## Leaks\n\n| memory | second third, peak | last third, peak | |\n|---|---|---|---|")
leaks = False
for i, name in enumerate(("process, MB", "device, MB")):
    before, after = (max(s[i] for s in part) for part in (samples[third : 2 * third], samples[2 * third :]))
    grown = after > before * 1.05
    leaks |= grown
    print(f"| {name} | {before:,.0f} | {after:,.0f} | {'GREW' if grown else 'flat'} |")
print(f"\n{limit:.0f} s, {len(samples)} samples", flush=True)
sys.exit(leaks)
