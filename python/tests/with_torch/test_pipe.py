"""The example that trains while scoring runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

import rho_mask

SMALL = ["--hidden", "32", "--layers", "1", "--batch", "4"]


def pipe(binary, corpus, *options):
    """`score --out - | pipe_train.py`: both processes."""
    return piped([binary, "score", corpus, "--out", "-", "--device", "cpu", "--progress", "none"], *options)


def piped(score, *options):
    """`score | pipe_train.py`: both processes."""
    scoring = subprocess.Popen(score, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    train = [sys.executable, "-u", ROOT / "examples/pipe_train.py", *SMALL, *options]
    packages = [str(Path(rho_mask.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    training = subprocess.Popen(
        train,
        stdin=scoring.stdout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(packages), "OMP_NUM_THREADS": "1"},
    )
    # Only the trainer keeps the pipe open: when it exits, the pipe has no reader.
    scoring.stdout.close()
    return scoring, training


def ended(scoring, training, code=0):
    learned, said = training.communicate()
    with scoring.stderr as errors:
        complaint = errors.read()
    assert training.returncode == code, said
    assert scoring.wait() == 0, complaint
    return learned, said, complaint


@pytest.mark.parametrize("rule", [[], ["--static"]])
def test_learns_from_the_stream(binary, corpus, rule):
    learned, said, complaint = ended(*pipe(binary, corpus / "texts", *rule, "--learning-rate", "1e-2"))
    scored = 2417
    assert learned.startswith("learned from ") and f"of {scored:,} tokens" in learned, learned + said + complaint


def test_learns_while_scoring_goes_on_and_ends_it(binary, corpus):
    scoring, training = pipe(binary, corpus, "--steps", "20")
    first = training.stderr.readline()
    assert first.startswith("step 10: "), first
    # Most of the masks are still to be scored, because a pipe holds only 64 KiB of them.
    assert scoring.poll() is None
    _, said, complaint = ended(scoring, training)
    losses = [float(line.split()[-2]) for line in [first, *said.splitlines()]]
    assert losses[-1] < losses[0]
    assert "error" not in complaint and "panicked" not in complaint, complaint


def test_learns_from_what_is_converted(binary, scored):
    convert = [binary, "convert", scored, "--to", "labels", "--out", "-", "--progress", "none"]
    learned, said, complaint = ended(*piped([*convert, "--length", "64"], "--learning-rate", "1e-2"))
    # Every target counts exactly once.
    kept = json.loads((scored / "summary.json").read_text())["kept"]["intersection"]["tokens"]
    assert learned.startswith(f"learned from {kept:,} of "), learned + said + complaint
    _, said, _ = ended(*piped(convert), code=1)
    assert "convert with --length" in said
