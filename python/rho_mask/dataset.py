"""Masks as PyTorch datasets: packed sequences, by number (`MaskedDataset`) or as a stream brings them (`pack_stream`).

Takes masks, gives dictionaries of tensors that a data loader stacks. Which token is a target is decided in `alignment`,
what goes into a sequence in `packing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .masks import Documents, Masks, StrPath, open_masks
from .packing import Columns, Sequences, fill, plan


class MaskedDataset(Dataset[dict[str, Tensor]]):
    """Sequences of `length` tokens, packed from the documents of a masks folder; see `packing` for how.

    Each is a dictionary of tensors `[length]`, all token-aligned: `input_ids`, `labels` (-100 where nothing is to be
    learned), `ref_loss` (nats, NaN where nothing was scored), `position_ids` (from 0 in each document), `segment_ids`
    (1, 2, ... for the documents, 0 for the padding). Documents are to be kept apart by the attention: pass `position_ids`
    to a model that looks at them, or `document_mask(segment_ids)`, or `cu_seqlens(segment_ids)`.

    Args:
        masks: a masks folder, or masks that are open already.
        length: tokens of a sequence, at least 2.
        mask: the column of the mask; None makes every token but the first of a document a target, as an online selection
            by `ref_loss` wants it.
        ref_loss: the column of `ref_loss`; None leaves it out.
        weights: a column of weights (`rho-mask select --weights`), given as `weights`, 0 where nothing is to be learned.
        documents: your own documents, as lists of token ids: they are joined with their masks by `token_hash`, and only
            they are packed, in their order. None: all documents of the masks.
        missing: what to do about documents without masks: "error", or "drop" (`dropped` counts them).
        tokenizer: tokenizer.json, or a folder with one: masks made with another one are refused.
        pad: the token id of the padding. Documents come as the reference saw them; only the padding is added.

    The plan takes 40 bytes a document in memory; tokens and scores stay on disk.
    """

    def __init__(
        self,
        masks: Masks | StrPath,
        length: int,
        *,
        mask: str | None = "mask_intersection",
        ref_loss: str | None = "loss",
        weights: str | None = None,
        documents: Iterable[Sequence[int] | npt.NDArray[np.integer]] | None = None,
        missing: Literal["error", "drop"] = "error",
        tokenizer: StrPath | None = None,
        pad: int = 0,
    ) -> None:
        self.masks = masks if isinstance(masks, Masks) else open_masks(masks)
        if tokenizer is not None:
            self.masks.check_tokenizer(tokenizer)
        self.columns = Columns(mask, ref_loss, weights)
        self.columns.check(self.masks)
        self.length, self.pad, self.dropped = length, pad, 0
        lengths = self.masks.lengths
        if documents is None:
            self.sequences = plan(lengths, length)
            return
        if missing == "error":
            rows = self.masks.join(documents)
        elif missing == "drop":
            found = self.masks.find(documents)
            rows = found[found >= 0]
            self.dropped = len(found) - len(rows)
        else:
            raise ValueError(f'missing: expected "error" or "drop", got {missing!r}')
        planned = plan(lengths[rows], length)
        self.sequences = Sequences(rows[planned.document], planned.start, planned.stop, planned.ends)

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(f"expected a sequence from 0 to {len(self) - 1}, got {index}")
        return _tensors(self.masks, self.sequences, index, self.length, self.columns, self.pad)


def pack_stream(
    batches: Iterable[pa.RecordBatch],
    length: int,
    *,
    mask: str | None = "mask_intersection",
    ref_loss: str | None = "loss",
    weights: str | None = None,
    pad: int = 0,
) -> Iterator[dict[str, Tensor]]:
    """The sequences of masks that are still being made: of `rho_mask.score_stream`, or of an Arrow stream on standard input.

    As those of `MaskedDataset`, but each record batch (at most 1,000 documents, about 2^18 tokens) is packed by itself, so
    that nothing is waited for and no more than one is in memory.
    """
    columns = Columns(mask, ref_loss, weights)
    for batch in batches:
        documents = Documents([batch], batch.schema)
        columns.check(documents)
        sequences = plan(documents.lengths, length)
        for index in range(len(sequences)):
            yield _tensors(documents, sequences, index, length, columns, pad)


def document_mask(segment_ids: Tensor) -> Tensor:
    """Attention that is causal and stays within documents: bool `[B, 1, T, T]` from `[B, T]`, True where token `i` may look
    at token `j`, as `torch.nn.functional.scaled_dot_product_attention` and Hugging Face's `attention_mask` take it."""
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    return same.tril().unsqueeze(1)


def cu_seqlens(segment_ids: Tensor) -> Tensor:
    """Where documents begin and end in a batch laid end to end, as variable-length attention takes it: int32, from 0 to
    the number of tokens. `segment_ids` is `[B, T]` or `[T]`; the padding of a sequence counts as a document."""
    rows = segment_ids.reshape(-1, segment_ids.shape[-1])
    begins = torch.ones_like(rows, dtype=torch.bool)
    begins[:, 1:] = rows[:, 1:] != rows[:, :-1]
    starts = begins.flatten().nonzero().flatten()
    end = torch.tensor([rows.numel()], device=rows.device)
    return torch.cat([starts, end]).to(torch.int32)


def _tensors(
    documents: Documents, sequences: Sequences, index: int, length: int, columns: Columns, pad: int
) -> dict[str, Tensor]:
    arrays = fill(documents, sequences, index, length, columns, pad)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
