"""Selective language modelling in PyTorch: the loss of every token, the tokens to keep, and their mean loss.

Takes a model's logits, the tokens and the reference's losses, returns a loss to train on. Independent of files.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .alignment import to_predictions, with_target

_ELEMENTS = 1 << 24
"""Logits processed at once, in the precision of the loss: 64 MiB of f32."""


def excess_loss_topk(per_token_loss: Tensor, ref_loss: Tensor, keep: float) -> Tensor:
    """Selects the tokens to train on: the `keep` share with the highest excess loss `per_token_loss - ref_loss` (eq. 3).

    Both have the same shape and are *prediction-aligned*: `per_token_loss` is the result of
    `cross_entropy(logits[:, :-1], input_ids[:, 1:], reduction="none")`, `ref_loss` is `to_predictions` of the loss in the
    masks. (Both may also be token-aligned; one of each is an error.) The result is bool, of that shape, True: train on this
    token; it has no gradient.

    All tokens of the call are ranked together: the batch of this process. To rank across processes, or across the parts of
    an accumulated batch, gather both arguments first.

    If either loss is NaN, the token is not scored: it is neither kept nor counted. Exactly `round(keep * scored)` tokens are
    kept; halves round up, ties go to the earlier token. The ranks are those of rho-mask itself; 16-bit losses are compared
    in f32. The call does not synchronise with the device.
    """
    if not 0.0 <= keep <= 1.0:
        raise ValueError(f"expected a keep ratio between 0 and 1, got {keep}")
    if per_token_loss.shape != ref_loss.shape:
        raise ValueError(
            f"expected losses of the same shape, got {tuple(per_token_loss.shape)} and {tuple(ref_loss.shape)}; "
            "shift token-aligned losses with rho_mask.to_predictions"
        )
    with torch.no_grad():
        kind = torch.promote_types(torch.promote_types(per_token_loss.dtype, ref_loss.dtype), torch.float32)
        excess = per_token_loss.to(kind) - ref_loss.to(kind)
        scored = ~excess.isnan()
        # Highest excess first, then unscored tokens. Every NaN gets the same bits and -0 becomes 0, because a sort by bits
        # would order them differently.
        order = (0.0 - excess).masked_fill(~scored, math.nan).flatten().argsort(stable=True)
        ranks = torch.empty_like(order)
        ranks[order] = torch.arange(len(order), device=order.device)
        return (ranks < _round(scored.sum(), keep)).view_as(excess)


def _round(scored: Tensor, keep: float) -> Tensor:
    """`round(keep * scored)`, halves up, in f64 as in rho-mask; on the CPU if the device has no f64."""
    scored = scored.cpu() if scored.device.type == "mps" else scored
    share = scored.to(torch.float64) * keep
    return share.floor() + (share - share.floor() >= 0.5)


def slm_loss(
    logits: Tensor,
    input_ids: Tensor,
    ref_loss: Tensor,
    keep: float,
    *,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """The selective language modelling loss (eq. 4): the mean loss of the tokens with the highest excess loss.

    Args:
        logits: `[B, T, V]`, of any floating type.
        input_ids: `[B, T]`.
        ref_loss: `[B, T]`, token-aligned as in the masks, in nats. NaN for unscored tokens, and for tokens that must not be
            trained on (padding, prompts).
        keep: the share of the scored tokens to keep, of all `B * T` together; see `excess_loss_topk`.
        reduction: "mean" over the kept tokens; "sum" to divide by the count of a larger batch.

    If no token is scored or kept, the loss is 0, and so is its gradient. A token with a reference loss and a NaN loss makes
    the result NaN, so that a diverged model is not hidden by skipping its tokens.
    """
    if input_ids.shape != ref_loss.shape:
        raise ValueError(
            f"expected token-aligned ref_loss, shaped as input_ids {tuple(input_ids.shape)}, got {tuple(ref_loss.shape)}"
        )
    losses = token_loss(logits, input_ids)
    reference = to_predictions(ref_loss)
    kept = excess_loss_topk(losses, reference, keep)
    diverged = losses.detach().isnan() & ~reference.isnan()
    total = torch.where(kept | diverged, losses, 0.0).sum()
    return total / kept.sum().clamp(min=1) if reduction == "mean" else total


def token_loss(logits: Tensor, input_ids: Tensor) -> Tensor:
    """The loss of every token but the first, in nats: `[B, T - 1]`, prediction-aligned, f32 (f64 for logits in f64).

    The result of `cross_entropy(logits[:, :-1].float(), input_ids[:, 1:], reduction="none")`, without a copy of the logits
    in f32 and without storing their softmax: one chunk at a time is converted to f32. The gradient of the logits has their
    own type; it is zero, whatever the logits are, where the gradient of the loss is zero.
    """
    if logits.dim() != 3 or logits.shape[:2] != input_ids.shape:
        raise ValueError(
            f"expected logits [B, T, V] and input_ids [B, T], got {tuple(logits.shape)} and {tuple(input_ids.shape)}"
        )
    losses: Tensor = _TokenLoss.apply(logits, input_ids)  # type: ignore[no-untyped-call]
    return losses


class _TokenLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, input_ids: Tensor) -> Tensor:
        predictions, targets = with_target(logits), to_predictions(input_ids)
        kind = torch.promote_types(logits.dtype, torch.float32)
        losses = torch.empty(targets.shape, dtype=kind, device=logits.device)
        normalisers = torch.empty_like(losses)
        for row, part in _parts(predictions):
            scores = predictions[row, part].to(kind)
            normalisers[row, part] = scores.logsumexp(-1)
            chosen = scores.gather(-1, targets[row, part, None])[:, 0]
            losses[row, part] = normalisers[row, part] - chosen
        ctx.save_for_backward(logits, input_ids, normalisers)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        logits, input_ids, normalisers = ctx.saved_tensors
        predictions, targets = with_target(logits), to_predictions(input_ids)
        result = torch.zeros_like(logits)
        into = with_target(result)
        for row, part in _parts(predictions):
            # The gradient of the loss with respect to the logits: softmax minus one at the target.
            passed = grad[row, part, None]
            slope = (predictions[row, part].to(grad.dtype) - normalisers[row, part, None]).exp_()
            slope.scatter_add_(-1, targets[row, part, None], slope.new_full((), -1.0).expand(len(slope), 1))
            into[row, part] = slope.mul_(passed).masked_fill_(passed == 0, 0.0).to(logits.dtype)
        return result, None


def _parts(predictions: Tensor) -> list[tuple[int, slice]]:
    """Chunks of one sequence each, of about `_ELEMENTS` logits."""
    batch, length, vocabulary = predictions.shape
    step = max(1, _ELEMENTS // max(vocabulary, 1))
    return [(row, slice(at, at + step)) for row in range(batch) for at in range(0, length, step)]
