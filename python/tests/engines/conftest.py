"""A machine that engines start processes on: the program on the PATH, the package for their Python, and no network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import ROOT, tiny_model

import rho_mask


@pytest.fixture(scope="session", autouse=True)
def machine(tmp_path_factory: pytest.TempPathFactory, binary: Path) -> None:
    """Before an engine starts: its processes inherit this."""
    programs = tmp_path_factory.mktemp("programs")
    (programs / "rho-mask").symlink_to(binary)
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    os.environ["PYTHONPATH"] = str(ROOT / "python")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    # Ray counts the GPUs that it sees, and is told of two that are not there.
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"


@pytest.fixture(scope="session")
def demo() -> Path:
    return ROOT / "models/demo"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Options for a very fast reference."""
    model = tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    return {"model": model, "tokens_field": "input_ids", "quiet": True, "by": "loss"}


@pytest.fixture
def program(tmp_path: Path, binary: Path) -> Callable[[str], Path]:
    """A program that runs a script of bash first, then rho-mask. `$HERE` is a folder for what it writes."""

    def program(script: str) -> Path:
        path = tmp_path / "program"
        path.write_text(f'#!/bin/bash\nHERE="{tmp_path}"\n{script}\nexec "{binary}" "$@"\n')
        path.chmod(0o755)
        return path

    return program


@pytest.fixture(scope="session")
def texts() -> pa.Table:
    texts = [f"Ann has {i} apples and buys {i % 7} more. " * (1 + i % 5) for i in range(240)]
    texts[11] = None
    return pa.table({"id": [f"d{i:03}" for i in range(240)], "text": texts, "n": range(240)})


@pytest.fixture(scope="session")
def want(texts: pa.Table, binary: Path) -> pa.Table:
    """The scores of all documents at once."""
    with rho_mask.Scorer(binary=binary, quiet=True, device="cpu", by="loss", pass_columns="n") as scorer:
        return scorer(texts)


@pytest.fixture(scope="session")
def selected(binary: Path) -> Callable[[Path], pa.Table]:
    """Makes masks of what a scorer with `scores_only` stored: `rho-mask gather`, then `select` over all tokens."""

    def run(*arguments: object) -> int:
        command = [binary, *map(str, arguments), "--progress", "none"]
        return subprocess.run(command, capture_output=True, check=False).returncode

    def selected(scores: Path) -> pa.Table:
        gathered, masks = scores.with_name("gathered"), scores.with_name("selected")
        # One document has no text.
        assert run("gather", scores, "--out", gathered, "--scores-only") == 1
        assert (gathered / "rejected.jsonl").read_text().count("\n") == 1
        assert run("select", gathered, "--out", masks, "--by", "loss", "--keep", "0.5", "--scope", "corpus") == 0
        return rho_mask.open_masks(masks).table.drop_columns(["shard", "row"]).sort_by("id")

    return selected


@pytest.fixture(scope="session")
def want_selected(
    texts: pa.Table, selected: Callable[[Path], pa.Table], binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> pa.Table:
    """The same of one file with the rows of one worker."""
    scores: Path = tmp_path_factory.mktemp("stored") / "scores.parquet"
    with rho_mask.Scorer(binary=binary, quiet=True, device="cpu", scores_only=True) as scorer:
        pq.write_table(scorer(texts), scores)
    return selected(scores)
