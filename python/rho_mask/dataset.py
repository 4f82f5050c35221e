"""Masks as PyTorch datasets: packed sequences, map-style (`MaskedDataset`) or from a stream (`pack_stream`).

Takes masks, yields dictionaries of tensors that a data loader stacks. `alignment` decides which token is a target,
`packing` what goes into a sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.data import Dataset

from .masks import Documents, Masks, StrPath, open_masks
from .packing import Columns, Sequences, fill, plan


class MaskedDataset(Dataset[dict[str, Tensor]]):
    """Sequences of `length` tokens, packed from the documents of a masks folder; see `packing` for how.

    Each is a dictionary of tensors `[length]`, all token-aligned: `input_ids`, `labels` (-100 for tokens that are not
    trained on), `ref_loss` (nats, NaN for unscored tokens), `position_ids` (from 0 in each document), `segment_ids`
    (1, 2, ... for the documents, 0 for the padding). Attention must keep documents apart: pass
    `attention_mask=document_mask(segment_ids)`, or give `cu_seqlens(segment_ids)` to attention of variable length.
    `position_ids` alone are enough for Transformers if it gets no `attention_mask` and `use_cache=False`; with a cache, which
    is its default, documents see each other.

    Args:
        masks: a masks folder, or open masks.
        length: tokens per sequence, at least 2.
        mask: the mask column; None makes every token but the first of a document a target, for online selection by
            `ref_loss`. Where the masks have a column `target` (conversations, completions), its False tokens are context:
            never targets, with any mask, and without `ref_loss` and weights.
        ref_loss: the column of `ref_loss`; None omits it.
        weights: a column of weights (`rho-mask select --weights`), returned as `weights`, 0 for tokens that are not
            trained on.
        documents: your own documents, as lists of token ids: they are joined with their masks by `token_hash`, and only
            they are packed, in their order. None: all documents of the masks.
        missing: how to treat documents without masks: "error", or "drop" (`dropped` counts them).
        tokenizer: tokenizer.json, or a folder with one: masks created with another tokenizer are refused.
        pad: the token id of the padding. Documents are as the reference saw them; only the padding is added.

    The plan takes 40 bytes per document in memory; tokens and scores stay on disk.
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
    """Packs masks while they are being written: from `rho_mask.score_stream`, or from an Arrow stream on standard input.

    The sequences are those of `MaskedDataset`, but each record batch (at most 1,000 documents, about 2^18 tokens) is packed
    by itself, so that sequences come without delay and only one batch is in memory.
    """
    columns = Columns(mask, ref_loss, weights)
    for batch in batches:
        documents = Documents([batch], batch.schema)
        columns.check(documents)
        sequences = plan(documents.lengths, length)
        for index in range(len(sequences)):
            yield _tensors(documents, sequences, index, length, columns, pad)


class AttentionMask(Tensor):
    """An additive attention mask in float32 that serves queries of every type.

    PyTorch's `scaled_dot_product_attention` takes a float32 mask for queries of 16 and 32 bits, but reads it as something
    else for queries in float64, without an error: there the mask is converted first. Everything else sees a plain tensor.
    """

    _KEPT = frozenset({Tensor.__getitem__, Tensor.to, Tensor.cuda, Tensor.cpu, Tensor.expand, Tensor.contiguous})
    """What only moves or cuts a mask: its result is such a mask too."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is scaled_dot_product_attention:
            query = args[0] if args else named["query"]
            args = [_of_type(argument, query.dtype) for argument in args]
            named = {name: _of_type(argument, query.dtype) for name, argument in named.items()}
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **named)
            return result.as_subclass(cls) if func in cls._KEPT else result


def _of_type(argument: Any, dtype: torch.dtype) -> Any:
    """An argument of the attention: a mask as a plain tensor of this type, any other unchanged."""
    with torch._C.DisableTorchFunctionSubclass():
        return argument.as_subclass(Tensor).to(dtype) if isinstance(argument, AttentionMask) else argument


def document_mask(segment_ids: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The mask for causal attention within documents: `[B, 1, T, T]` from `[B, T]`.

    It is additive: 0 where token `i` may attend to token `j`, and the lowest number of its type elsewhere. This is what
    every `attn_implementation` of Transformers that takes a mask at all understands (`eager`, `sdpa`, `flex_attention`), and
    `torch.nn.functional.scaled_dot_product_attention`; float32 serves a model of any type.

    With `dtype=torch.bool` it is True where token `i` may attend to token `j`. That is only for code that asks for it:
    `eager` adds a mask to its scores, so a boolean one hides nothing there, not even the tokens to come.
    """
    same = (segment_ids[:, :, None] == segment_ids[:, None, :]).tril().unsqueeze(1)
    if dtype == torch.bool:
        return same
    mask = torch.zeros(same.shape, dtype=dtype, device=same.device)
    mask.masked_fill_(~same, torch.finfo(dtype).min)
    return mask.as_subclass(AttentionMask)


def cu_seqlens(segment_ids: Tensor) -> Tensor:
    """The boundaries of documents in a flattened batch, for variable-length attention: int32, from 0 to the number of
    tokens. `segment_ids` is `[B, T]` or `[T]`; the padding of a sequence counts as a document."""
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
