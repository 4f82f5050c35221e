"""Token-level masks for selective language modelling, from rho-mask.

    masks = rho_mask.open_masks("masks/")                       # a masks folder, memory-mapped
    data = rho_mask.MaskedDataset("masks/", length=2048)        # packed for PyTorch
    loss = rho_mask.slm_loss(logits, input_ids, ref_loss, keep=0.6)
    rho_mask.score("corpus/", "masks/", model="ref/")           # runs the program
    scores = rho_mask.Scorer(model="ref/")(table)               # scores a table in memory

Names that need PyTorch are imported on first use, and so are `rho_mask.ray` and `rho_mask.spark`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .alignment import IGNORE, to_labels, to_predictions, with_target
from .errors import (
    IncompleteWarning,
    MasksError,
    MissingDocuments,
    RhoMaskError,
    RunError,
    SchemaMismatch,
    ScorerError,
    TokenizerMismatch,
)
from .hashing import token_hash
from .masks import Masks, metadata_of, open_masks
from .run import MaskStream, find_binary, score, score_stream
from .scorer import Scorer, masks_schema

if TYPE_CHECKING:
    from . import ray as ray
    from . import spark as spark
    from .dataset import MaskedDataset, cu_seqlens, document_mask, pack_stream
    from .loss import excess_loss_topk, slm_loss, token_loss

__all__ = [
    "IGNORE",
    "IncompleteWarning",
    "MaskStream",
    "MaskedDataset",
    "Masks",
    "MasksError",
    "MissingDocuments",
    "RhoMaskError",
    "RunError",
    "SchemaMismatch",
    "Scorer",
    "ScorerError",
    "TokenizerMismatch",
    "cu_seqlens",
    "document_mask",
    "excess_loss_topk",
    "find_binary",
    "masks_schema",
    "metadata_of",
    "open_masks",
    "pack_stream",
    "score",
    "score_stream",
    "slm_loss",
    "to_labels",
    "to_predictions",
    "token_hash",
    "token_loss",
    "with_target",
]

_WITH_TORCH = {
    "MaskedDataset": "dataset",
    "cu_seqlens": "dataset",
    "document_mask": "dataset",
    "excess_loss_topk": "loss",
    "pack_stream": "dataset",
    "slm_loss": "loss",
    "token_loss": "loss",
}


_ENGINES = {"ray": ("Ray Data", "ray", "ray"), "spark": ("Spark", "pyspark", "spark")}
"""Modules that are imported on first use: what they need, its package, our extra."""


def __getattr__(name: str) -> Any:
    if name in _ENGINES:
        module, needs, package, extra = name, *_ENGINES[name]
    elif name in _WITH_TORCH:
        module, needs, package, extra = _WITH_TORCH[name], "PyTorch", "torch", "torch"
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = importlib.import_module(f"{__name__}.{module}")
        if name not in _ENGINES:
            value = getattr(value, name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ModuleNotFoundError(
            f"{__name__}.{name} needs {needs}\nhint: pip install 'rho-mask[{extra}]'", name=package
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ENGINES})
