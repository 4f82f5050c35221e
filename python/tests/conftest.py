"""Shared fixtures. `RHO_MASK_BINARY` names the program; the default is that of this Python environment, or on the PATH."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import ROOT, Example, write_masks

import rho_mask


@pytest.fixture
def example() -> Example:
    return Example()


@pytest.fixture
def example_masks(tmp_path: Path, example: Example) -> Path:
    """Two shards; the example is the second document of the second one."""
    other = ([7, 8, 9], [None, 1.0, 2.0], [False, True, True])
    return write_masks(
        tmp_path / "masks",
        {"a": [other] * 4, "b": [([5], [None], [False]), (example.input_ids, example.loss, example.mask)]},
    )


@pytest.fixture(scope="session")
def binary() -> Path:
    named = os.environ.get("RHO_MASK_BINARY")
    return Path(named) if named else rho_mask.find_binary()


@pytest.fixture(scope="session")
def corpus() -> Path:
    return ROOT / "examples/corpus"


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory, binary: Path, corpus: Path) -> Path:
    """The bundled corpus, scored by the bundled reference."""
    out = tmp_path_factory.mktemp("scored") / "masks"
    return rho_mask.score(corpus, out, binary=binary, quiet=True, device="cpu")
