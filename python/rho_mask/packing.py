"""Packs documents into fixed-length sequences: from the lengths it plans which part of which document goes where, and
fills in the arrays of a sequence. Plain NumPy; `dataset` turns them into tensors.

A document that fits is never split. A longer one is split into pieces of `length` tokens, each starting with the last
token of the piece before: there it is context and not a target, so that every token of the document is a target once. Pieces
are packed best-fit decreasing: the longest first, each into the sequence with the least room that fits. The sequences are in
the order of their first documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from .alignment import IGNORE, to_labels
from .errors import MasksError
from .masks import Documents

Integers = npt.NDArray[np.int64]

TARGET = "target"
"""The column that says which tokens may be targets, if not all."""


class Arrays(TypedDict, total=False):
    """A sequence, every array of `length`, all token-aligned. The first token of a piece is never a target."""

    input_ids: Integers
    labels: Integers
    """Token ids where the mask is set, else -100."""
    ref_loss: npt.NDArray[np.float32]
    """The reference's loss in nats; NaN for unscored tokens, for context, at the beginning of pieces and in the padding."""
    weights: npt.NDArray[np.float32]
    """If requested; 0 for tokens that are not trained on."""
    position_ids: Integers
    """From 0 in every piece."""
    segment_ids: Integers
    """1, 2, ... for the pieces, 0 for the padding."""


@dataclass(frozen=True)
class Columns:
    """The columns of the masks that a sequence is made from."""

    mask: str | None
    """None: every token but the first is a target, if it may be one."""
    ref_loss: str | None
    weights: str | None = None

    def check(self, documents: Documents) -> None:
        """Raises `MasksError` if a column is missing or has another type."""
        for name, kinds in [
            (self.mask, ["bool"]),
            (self.ref_loss, ["float", "halffloat"]),
            (self.weights, ["float", "halffloat"]),
        ]:
            if name is None:
                continue
            kind = documents.schema.field(documents._index(name)).type
            if str(getattr(kind, "value_type", kind)) not in kinds:
                raise MasksError(f'column "{name}": expected a list of {kinds[0]}, got {kind}')


@dataclass(frozen=True)
class Sequences:
    """The pieces of each sequence: sequence `i` has the pieces from `ends[i - 1]` to `ends[i]`."""

    document: Integers
    start: Integers
    stop: Integers
    ends: Integers

    def __len__(self) -> int:
        return len(self.ends)


def plan(lengths: Integers, length: int) -> Sequences:
    """Sequences of documents with these numbers of tokens. Those of less than two have no target and are left out."""
    if length < 2:
        raise ValueError(f"expected a length of at least 2, got {length}")
    # Every piece has at most length - 1 targets: the first token of a further piece was the last target before it.
    count = np.where(lengths < 2, 0, -((1 - lengths) // (length - 1)))
    document = np.repeat(np.arange(len(lengths)), count)
    number = np.arange(len(document)) - np.repeat(np.cumsum(count) - count, count)
    start = number * (length - 1)
    stop = np.minimum(start + length, lengths[document])
    sizes = stop - start
    longest_first = np.argsort(-sizes, kind="stable")
    bins = np.empty(len(sizes), np.int64)
    bins[longest_first] = _best_fit(sizes[longest_first], length)
    _, first, bin_of = np.unique(bins, return_index=True, return_inverse=True)
    order = np.argsort(first[bin_of], kind="stable")
    ends = np.cumsum(np.bincount(bin_of)[np.argsort(first)])
    return Sequences(document[order], start[order], stop[order], ends.astype(np.int64))


def _best_fit(sizes: Integers, length: int) -> Integers:
    """The bin of each size, for bins of size `length`."""
    # Bins grouped by the room left in them, and a bit set of the rooms that exist: the lowest bit at or above a size is the
    # tightest fit, found in one step.
    with_room: list[list[int]] = [[] for _ in range(length + 1)]
    rooms = 0
    bins = np.empty(len(sizes), np.int64)
    opened = 0
    for i, size in enumerate(sizes.tolist()):
        fitting = rooms >> size
        if fitting:
            room = size + (fitting & -fitting).bit_length() - 1
            chosen = with_room[room].pop()
            if not with_room[room]:
                rooms ^= 1 << room
        else:
            room, chosen = length, opened
            opened += 1
        bins[i] = chosen
        left = room - size
        # No piece has fewer than two tokens.
        if left >= 2:
            with_room[left].append(chosen)
            rooms |= 1 << left
    return bins


def fill(documents: Documents, sequences: Sequences, index: int, length: int, columns: Columns, pad: int) -> Arrays:
    """The arrays of one sequence. `sequences` refers to documents by number."""
    first = int(sequences.ends[index - 1]) if index else 0
    arrays = Arrays(
        input_ids=np.full(length, pad, np.int64),
        labels=np.full(length, IGNORE, np.int64),
        position_ids=np.arange(length),
        segment_ids=np.zeros(length, np.int64),
    )
    if columns.ref_loss is not None:
        arrays["ref_loss"] = np.full(length, np.nan, np.float32)
    if columns.weights is not None:
        arrays["weights"] = np.zeros(length, np.float32)
    at = 0
    for segment, piece in enumerate(range(first, int(sequences.ends[index])), 1):
        document, start, stop = (int(a[piece]) for a in (sequences.document, sequences.start, sequences.stop))
        here, targets = slice(at, at + stop - start), slice(at + 1, at + stop - start)
        ids = documents.values("input_ids", document, start, stop)
        arrays["input_ids"][here] = ids
        mask = np.ones(stop - start - 1, np.bool_)
        if columns.mask is not None:
            mask = documents.values(columns.mask, document, start + 1, stop)
        # Context tokens (conversations, completions) are never targets, whatever is selected by.
        target = np.ones(stop - start - 1, np.bool_)
        if TARGET in documents.schema.names:
            target = documents.values(TARGET, document, start + 1, stop)
            mask = mask & target
        arrays["labels"][targets] = to_labels(ids[1:].astype(np.int64), mask)
        if columns.ref_loss is not None:
            ref_loss = documents.values(columns.ref_loss, document, start + 1, stop)
            arrays["ref_loss"][targets] = np.where(target, ref_loss, np.nan)
        if columns.weights is not None:
            weights = documents.values(columns.weights, document, start + 1, stop)
            arrays["weights"][targets] = np.where(target, np.nan_to_num(weights, nan=0.0), 0.0)
        arrays["position_ids"][here] = np.arange(stop - start)
        arrays["segment_ids"][here] = segment
        at += stop - start
    arrays["position_ids"][at:] = np.arange(length - at)
    return arrays
