"""The one place that knows which way round things are: the shift by one, and what True means.

Everything rho-mask writes is *token-aligned*: entry `i` speaks of token `i` as a target, given the tokens before it. A
causal model's output is *prediction-aligned*: its entry `i` is the prediction of token `i + 1`.

    input_ids           464   3290   3332    319    262
    loss               null   7.21   2.05   0.88   0.31     token-aligned: no context, no loss
    mask                  0      1      0      1      1     True: train on this token as a target
    labels             -100   3290   -100    319    262     token-aligned, as Hugging Face models take them: they shift

    targets            3290   3332    319    262            prediction-aligned: what the entries of logits[:-1] predict
    loss               7.21   2.05   0.88   0.31
    mask                  1      0      1      1

Functions here take NumPy arrays and torch tensors alike and need neither of the two to be installed for the other.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

IGNORE = -100
"""The label of a token that is no target, as `torch.nn.functional.cross_entropy` and Hugging Face's models skip it."""


class _Array(Protocol):
    def __getitem__(self, key: Any, /) -> Any: ...


A = TypeVar("A", bound=_Array)


def to_predictions(token_aligned: A) -> A:
    """The shift: what speaks of tokens (ids, losses, masks, labels; `[..., T]`), by the prediction that it belongs to
    (`[..., T - 1]`). The first token goes, for nothing predicts it."""
    return cast(A, token_aligned[..., 1:])


def with_target(logits: A) -> A:
    """The other half of the shift: of a model's output (`[..., T, V]`) the predictions whose target is known
    (`[..., T - 1, V]`). The last one goes, for it predicts what comes after the end."""
    return cast(A, logits[..., :-1, :])


def to_labels(input_ids: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The polarity: token-aligned labels of what is to be trained on (True), `IGNORE` elsewhere."""
    return np.where(mask, input_ids, IGNORE)
