"""Times two whole commands alternately and prints both as a Markdown row: median seconds, tokens per second, peak memory.

    python3 benches/compare.py --runs 5 --tokens 445000 \
        --ours 'target/release/rho-mask score corpus300.jsonl --model m35/onnx --out {out} --context 1024 --overlap 0' \
        --peer 'python transformers_baseline.py m35/hf corpus300.jsonl {out}'

`{out}` becomes a fresh path for each run. The order alternates, so that whatever else the machine does falls on both.
Standard library only; Linux and macOS (peak memory is that of the child process as the kernel reports it).
"""
import argparse, os, platform, shlex, shutil, statistics, subprocess, sys, tempfile, time

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--ours", required=True)
arguments.add_argument("--peer", required=True)
arguments.add_argument("--tokens", type=int, help="tokens in the corpus, to print a rate")
arguments.add_argument("--runs", type=int, default=5)
options = arguments.parse_args()


def run(command):
    """Seconds and peak megabytes of one run; stops when it fails, for a failed run has no time."""
    folder = tempfile.mkdtemp()
    words = [word.replace("{out}", os.path.join(folder, "out")) for word in shlex.split(command)]
    start = time.monotonic()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    shutil.rmtree(folder)
    if status != 0:
        sys.exit(f"failed ({status}): {command}\n{errors.decode(errors='replace')}")
    return seconds, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)


results = {"peer": [], "ours": []}
for i in range(options.runs):
    for name in ("peer", "ours") if i % 2 == 0 else ("ours", "peer"):
        results[name].append(run(getattr(options, name)))
        print(f"run {i + 1}: {name} {results[name][-1][0]:.1f} s", file=sys.stderr, flush=True)

ratios = [peer[0] / ours[0] for peer, ours in zip(results["peer"], results["ours"])]
print(f"{platform.machine()}, {os.cpu_count()} cores, {options.runs} runs each, alternating\n")
print("| | seconds (median, min to max) | tokens/s | peak memory |\n|---|---|---|---|")
for name in ("peer", "ours"):
    seconds = [s for s, _ in results[name]]
    median = statistics.median(seconds)
    rate = f"{options.tokens / median:,.0f}" if options.tokens else "-"
    memory = max(m for _, m in results[name])
    print(f"| {name} | {median:.1f} ({min(seconds):.1f} to {max(seconds):.1f}) | {rate} | {memory:,.0f} MB |")
print(f"\nratio: {statistics.median(ratios):.2f} (median of pairs, {min(ratios):.2f} to {max(ratios):.2f})")
