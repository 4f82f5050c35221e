"""The only place that defines alignment and polarity: the shift by one, and what True means.

Everything rho-mask writes is *token-aligned*: entry `i` describes token `i` as a target, given the tokens before it. The
output of a causal model is *prediction-aligned*: its entry `i` is the prediction of token `i + 1`.

    input_ids           464   3290   3332    319    262
    loss               null   7.21   2.05   0.88   0.31     token-aligned: no context, no loss
    mask                  0      1      0      1      1     True: train on this token as a target
    labels             -100   3290   -100    319    262     token-aligned, as Hugging Face models expect: they shift

    targets            3290   3332    319    262            prediction-aligned: the tokens that logits[:-1] predict
    loss               7.21   2.05   0.88   0.31
    mask                  1      0      1      1

The functions take NumPy arrays and torch tensors alike. NumPy arrays do not need torch to be installed.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

IGNORE = -100
"""The label of a token that is not a target: `torch.nn.functional.cross_entropy` and Hugging Face models ignore it."""


class _Array(Protocol):
    def __getitem__(self, key: Any, /) -> Any: ...


A = TypeVar("A", bound=_Array)


def to_predictions(token_aligned: A) -> A:
    """The shift: turns token-aligned values (ids, losses, masks, labels; `[..., T]`) into prediction-aligned ones
    (`[..., T - 1]`). Drops the first token, because nothing predicts it."""
    return cast(A, token_aligned[..., 1:])


def with_target(logits: A) -> A:
    """The other half of the shift: the predictions of a model's output (`[..., T, V]`) whose target is known
    (`[..., T - 1, V]`). Drops the last one, because it predicts the token after the end."""
    return cast(A, logits[..., :-1, :])


def to_labels(input_ids: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The polarity: token-aligned labels, the token id where the mask is True (train on it), `IGNORE` elsewhere."""
    return np.where(mask, input_ids, IGNORE)
