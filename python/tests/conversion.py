"""Test data for the trainers' own readers: two kinds of masks, `convert`, and the expected output, computed here from the
documents alone."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from support import Example, write_masks

IGNORE = -100
END = 0
"""The EOS token of all these masks. It occurs only at the end of some documents."""


@dataclass(frozen=True)
class Document:
    """Token ids, and which of them to train on: token-aligned, never the first one."""

    ids: tuple[int, ...]
    kept: tuple[bool, ...]

    @property
    def labels(self) -> list[int]:
        """Token-aligned."""
        return [token if kept else IGNORE for token, kept in zip(self.ids, self.kept)]

    def ended(self) -> Document:
        """The document with EOS at its end. An EOS that the masks did not have is not trained on."""
        return self if self.ids[-1] == END else Document((*self.ids, END), (*self.kept, False))


@dataclass(frozen=True)
class Masks:
    """A masks folder, and its documents in order."""

    folder: Path
    vocabulary: int
    shards: dict[str, list[Document]]
    """By name, including shards with no documents or only empty ones."""

    def documents(self, *, ended: bool = False, targets: bool = False) -> list[Document]:
        """The documents with tokens, or only those with a target."""
        found = [document for shard in self.shards.values() for document in shard if document.ids]
        found = [document for document in found if any(document.kept) or not targets]
        return [document.ended() for document in found] if ended else found


def five(folder: Path) -> Masks:
    """Only the five tokens of the alignment example."""
    return _written(folder, 4096, {"five": [Document(Example.input_ids, Example.mask)]}, "never")


def many(folder: Path, vocabulary: int = 97, longest: int = 60, seed: int = 8) -> Masks:
    """Random documents, in shards of several sizes and depths: empty ones, of one token, with no token to train on, with
    all tokens but the first, and some that end with EOS, which is then trained on or not."""
    random = np.random.default_rng(seed)

    def document(length: int) -> Document:
        ids = random.integers(1, vocabulary, length).tolist()
        share = random.choice([0.0, 0.3, 0.6, 1.0])
        if length > 1 and random.random() < 0.3:
            ids[-1] = END
        kept = [i > 0 and bool(random.random() < share) for i in range(length)]
        return Document(tuple(ids), tuple(kept))

    sizes = {"a.jsonl": 140, "deep/er/b.jsonl.zst": 61, "deep/c.parquet": 3, "empty": 0, "last": 97}
    shards = {name: [document(int(random.integers(0, longest + 1))) for _ in range(size)] for name, size in sizes.items()}
    shards["hollow"] = [document(0), document(0)]
    return _written(folder, vocabulary, shards, "auto")


def _written(folder: Path, vocabulary: int, shards: dict[str, list[Document]], rule: str) -> Masks:
    def row(document: Document) -> tuple[Any, Any, Any]:
        loss = [None if i == 0 else 1.0 for i in range(len(document.ids))]
        return list(document.ids), loss, list(document.kept)

    rows = {name: [row(document) for document in documents] for name, documents in shards.items()}
    how = {"reference": {"vocabulary": vocabulary}, "eos": {"rule": rule, "tokens": []}}
    write_masks(folder, rows, **how)
    # A finished folder has a summary.
    (folder / "summary.json").write_text("{}")
    return Masks(folder, vocabulary, shards)


def convert(binary: Path, masks: Masks, to: str, out: Path, *options: str) -> Path:
    """The folder written by `convert`. Formats that end documents with EOS get `--eos-id`."""
    command = [binary, "convert", masks.folder, "--to", to, "--out", out, "--progress", "none", *options]
    if to in {"olmo", "neox", "litdata", "levanter", "torchtitan"}:
        command += ["--eos-id", str(END)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (out / "summary.json").exists()
    return out
