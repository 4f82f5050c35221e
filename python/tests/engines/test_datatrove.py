"""The step for datatrove in examples/, in datatrove's own local executor."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import ROOT, code_of

import rho_mask

SCRIPT = ROOT / "examples/datatrove_step.py"
ROUNDING = 1e-5
"""How far scores may differ between divisions into batches."""


@pytest.fixture
def corpus(tmp_path: Path) -> dict[str, str]:
    """The texts of some files by id."""
    texts = {f"{file}-{i}": f"Ann has {i} apples and buys {file}. " * (1 + i % 9) for file in range(3) for i in range(40)}
    for file in range(3):
        of_file = [{"id": id, "text": text, "url": "x"} for id, text in texts.items() if id.startswith(f"{file}-")]
        path = tmp_path / f"corpus/{file}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in of_file))
    return texts


def kept_by_loss(loss: list[float | None], mask: list[bool], keep: float) -> bool:
    """Whether a mask keeps this share of the scored tokens, those with the lowest losses."""
    scored = [(score, bit) for score, bit in zip(loss, mask) if score is not None]
    kept = [score for score, bit in scored if bit]
    dropped = [score for score, bit in scored if not bit]
    return abs(len(kept) - keep * len(scored)) < 1 and (not kept or not dropped or max(kept) <= min(dropped))


def test_the_pipeline_of_the_example_writes_the_scores_of_score(
    tmp_path: Path, binary: Path, corpus: dict[str, str]
) -> None:
    out = tmp_path / "scored"
    options = [f"binary={binary}", "device=cpu", "by=loss", "keep=0.6"]
    command = [sys.executable, SCRIPT, tmp_path / "corpus", out, *options]
    environment = {"PYTHONPATH": str(ROOT / "python"), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr

    files = sorted(out.glob("*.jsonl.gz"))
    assert len(files) == 2, "a file for each of the two tasks"
    rows = [json.loads(line) for file in files for line in gzip.open(file, "rt")]
    assert {row["id"]: row["text"] for row in rows} == corpus and len(rows) == len(corpus)
    masks = rho_mask.score(tmp_path / "corpus", tmp_path / "masks", binary=binary, quiet=True, device="cpu", by="loss")
    expected = {row["id"]: row for row in rho_mask.open_masks(masks).table.to_pylist()}
    for row in rows:
        found, want = row["metadata"], expected[row["id"]]
        assert found["input_ids"] == want["input_ids"] and found["token_hash"] == want["token_hash"]
        assert found["url"] == "x" and "rho_mask_error" not in found
        for name in ("loss", "entropy"):
            both = [np.array(x[name], dtype=float) for x in (found, want)]
            np.testing.assert_allclose(*both, atol=ROUNDING, rtol=0)
        assert kept_by_loss(found["loss"], found["mask_loss"], 0.6), row["id"]
    steps = json.loads((out / "logs/stats.json").read_text())
    step = next(step for step in steps if "rho-mask" in step["name"])
    assert step["stats"]["scored"] == len(corpus), step


def test_the_lines_of_the_documentation(tmp_path: Path, demo: Path, corpus: dict[str, str]) -> None:
    code = code_of("docs/engines.md", "RhoMaskScorer(")
    for given, path in [("corpus/", tmp_path / "corpus"), ("ref/", demo), ("scored/", tmp_path / "scored")]:
        assert f'"{given}"' in code
        code = code.replace(f'"{given}"', repr(str(path)))
    # A file, which the executor's processes import.
    script = tmp_path / "pipeline.py"
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'python'}{os.pathsep}{SCRIPT.parent}"}
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    rows = [json.loads(line) for file in (tmp_path / "scored").glob("*.gz") for line in gzip.open(file, "rt")]
    assert {row["id"]: row["text"] for row in rows} == corpus
    for row in rows:
        assert {"input_ids", "loss", "mask_loss"} < row["metadata"].keys() and "entropy" not in row["metadata"]
        assert kept_by_loss(row["metadata"]["loss"], row["metadata"]["mask_loss"], 0.6), row["id"]


def test_documents_that_cannot_be_scored_keep_their_place(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from datatrove.data import Document
    from datatrove_step import RhoMaskScorer

    texts = ["What is 3 plus 4?", "", "It is 7.", "much longer than the others, " * 4, "The end."]
    documents = [Document(text=text, id=str(i), metadata={"n": i}) for i, text in enumerate(texts)]
    options = {"binary": binary, "quiet": True, "device": "cpu", "by": "loss", "max_document_bytes": 100}
    step = RhoMaskScorer(columns=["loss", "mask_loss"], batch_size=2, **options)
    found = list(step.run(iter(documents)))
    assert [(document.id, document.text) for document in found] == [(str(i), text) for i, text in enumerate(texts)]
    for i, document in enumerate(found):
        names = {"n", "rho_mask_error"} if i == 3 else {"n", "loss", "mask_loss"}
        assert document.metadata.keys() == names and document.metadata["n"] == i
    assert step.stats["rejected"].total == 1 and step.stats["scored"].total == 4


def test_an_option_that_does_not_exist_stops_the_pipeline(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from datatrove.data import Document
    from datatrove_step import RhoMaskScorer

    step = RhoMaskScorer(binary=binary, quiet=True, by_magic=True)
    with pytest.raises(rho_mask.RunError, match="--by-magic"):
        list(step.run(iter([Document(text="one two", id="a")])))
