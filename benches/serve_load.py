"""Loads `rho-mask serve` on loopback and counts what comes back.

    cargo build --release
    python benches/serve_load.py --clients 64 --minutes 10

Starts the server with the bundled demonstration model (or `--model`). Each client keeps one connection and sends one
request after the other: prompts of the bundled corpus as texts, of `--characters` characters and shorter ones. A request is
lost if the connection breaks, the status is not 200, or the answer does not have one log-probability for each token. Prints
the requests, those lost, the median and the 99th percentile of their times, and the server's memory after the first tenth of
the time and at its end. Needs only Python. `--write` puts the table into docs/performance.md.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time

import tables

ROOT = pathlib.Path(__file__).resolve().parent.parent

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--clients", type=int, default=64)
arguments.add_argument("--minutes", type=float, default=10)
arguments.add_argument("--characters", type=int, default=400, help="longest prompt")
arguments.add_argument("--model", help="default: the bundled demonstration model")
arguments.add_argument("--program", default=ROOT / "target/release/rho-mask")
arguments.add_argument("--options", default="", help="further options of serve, separated by spaces")
arguments.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
options = arguments.parse_args()
made_by = tables.made_by()

corpus = "".join(path.read_text() for path in sorted((ROOT / "examples/corpus/texts").glob("*.txt")))
command = [str(options.program), "serve", "--device", "cpu", "--port", "0", *options.options.split()]
if options.model:
    command += ["--model", options.model]
server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
port = json.loads(server.stdout.readline())["listening"]["port"]

end = time.monotonic() + options.minutes * 60
times, lost, tokens = [], [], 0
lock = threading.Lock()


def megabytes():
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def client(number):
    global tokens
    source = random.Random(number)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while time.monotonic() < end:
        length = source.randrange(1, options.characters + 1)
        begin = source.randrange(len(corpus) - length)
        request = {"prompt": corpus[begin : begin + length], "echo": True, "logprobs": 1, "max_tokens": 0}
        begun = time.monotonic()
        try:
            connection.request("POST", "/v1/completions", json.dumps(request), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
            took = time.monotonic() - begun
            assert answer.status == 200, f"{answer.status}: {body[:200]}"
            answer = json.loads(body)
            logprobs = answer["choices"][0]["logprobs"]["token_logprobs"]
            count = answer["usage"]["prompt_tokens"]
            assert len(logprobs) == count and all(isinstance(x, float) for x in logprobs[1:])
            with lock:
                times.append(took)
                tokens += count
        except Exception as error:
            with lock:
                lost.append(repr(error))
            connection.close()


clients = [threading.Thread(target=client, args=(number,)) for number in range(options.clients)]
for thread in clients:
    thread.start()
time.sleep(options.minutes * 6)
early = megabytes()
for thread in clients:
    thread.join()
late = megabytes()
server.send_signal(signal.SIGTERM)
ended = server.wait(timeout=120)
times.sort()
rows = [
    ("clients", f"{options.clients}"),
    ("minutes", f"{options.minutes:g}"),
    ("requests", f"{len(times) + len(lost):,}"),
    ("lost", f"{len(lost):,}"),
    ("requests per second", f"{len(times) / options.minutes / 60:,.0f}"),
    ("tokens per second", f"{tokens / options.minutes / 60:,.0f}"),
    ("p50", f"{times[len(times) // 2] * 1000:,.0f} ms"),
    ("p99", f"{times[len(times) * 99 // 100] * 1000:,.0f} ms"),
    ("memory after a tenth of the time", f"{early:,.0f} MB"),
    ("memory at the end", f"{late:,.0f} MB"),
]
lines = [f"{made_by}:", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
print("\n".join(lines))
for error in sorted(set(lost))[:5]:
    print(error)
if ended != 0:
    raise SystemExit(f"the server ended with {ended}")
if options.write:
    tables.write("serve_load.py", lines)
