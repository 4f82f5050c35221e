"""Selective language modelling in PyTorch: the loss of every token, which of them to keep, and their mean.

Takes a model's logits, the tokens and the reference's losses, gives a loss to learn from. Nothing here knows of files.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .alignment import to_predictions, with_target

_ELEMENTS = 1 << 24
"""Logits that are looked at together, in the precision of the loss: 64 MiB of f32."""


def excess_loss_topk(per_token_loss: Tensor, ref_loss: Tensor, keep: float) -> Tensor:
    """Which tokens to learn from: the `keep` share with the highest excess loss `per_token_loss - ref_loss` (eq. 3).

    Both are of the same shape and *prediction-aligned*: `per_token_loss` is what
    `cross_entropy(logits[:, :-1], input_ids[:, 1:], reduction="none")` gives, `ref_loss` is `to_predictions` of what lies in
    the masks. (Both token-aligned will do as well; one of each is an error.) The answer is bool, of that shape, True: train
    on this token; it has no gradient.

    All tokens given are ranked together: the batch of this process. Ranking across processes, or across the parts of an
    accumulated batch, is for the caller to do, by gathering both arguments first.

    Where either loss is NaN the token is not scored: it is neither kept nor counted. Exactly `round(keep * scored)` tokens
    are kept, halves rounded up, of equal ones the earlier. The ranks are those of rho-mask itself; 16-bit losses are
    compared in f32. Nothing waits for the device.
    """
    if not 0.0 <= keep <= 1.0:
        raise ValueError(f"expected a keep ratio between 0 and 1, got {keep}")
    if per_token_loss.shape != ref_loss.shape:
        raise ValueError(
            f"expected losses of one shape, got {tuple(per_token_loss.shape)} and {tuple(ref_loss.shape)}; "
            "shift what is token-aligned with rho_mask.to_predictions"
        )
    with torch.no_grad():
        kind = torch.promote_types(torch.promote_types(per_token_loss.dtype, ref_loss.dtype), torch.float32)
        excess = per_token_loss.to(kind) - ref_loss.to(kind)
        scored = ~excess.isnan()
        # Lowest first, then what was not scored. NaN is made anew and -0 becomes 0: sorting by bits would tell them apart.
        order = (0.0 - excess).masked_fill(~scored, math.nan).flatten().argsort(stable=True)
        ranks = torch.empty_like(order)
        ranks[order] = torch.arange(len(order), device=order.device)
        return (ranks < _round(scored.sum(), keep)).view_as(excess)


def _round(scored: Tensor, keep: float) -> Tensor:
    """`round(keep * scored)`, halves up, in f64 as rho-mask does it; on the CPU where the device has no f64."""
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
        ref_loss: `[B, T]`, token-aligned as in the masks, in nats. NaN where nothing was scored, and wherever a token must
            not be learned (padding, prompts).
        keep: the share of the scored tokens to keep, of all `B * T` together; see `excess_loss_topk`.
        reduction: "mean" over the kept tokens; "sum" to divide by the count of a larger batch.

    Where nothing is scored or kept the loss is 0, and so is its gradient. A token with a reference loss and a loss of NaN
    makes the result NaN: a model that diverged is not hidden by leaving its tokens out.
    """
    if input_ids.shape != ref_loss.shape:
        raise ValueError(
            f"expected ref_loss token-aligned, of the shape of input_ids {tuple(input_ids.shape)}, got {tuple(ref_loss.shape)}"
        )
    losses = token_loss(logits, input_ids)
    reference = to_predictions(ref_loss)
    kept = excess_loss_topk(losses, reference, keep)
    diverged = losses.detach().isnan() & ~reference.isnan()
    total = torch.where(kept | diverged, losses, 0.0).sum()
    return total / kept.sum().clamp(min=1) if reduction == "mean" else total


def token_loss(logits: Tensor, input_ids: Tensor) -> Tensor:
    """The loss of every token but the first, in nats: `[B, T - 1]`, prediction-aligned, f32 (f64 for logits in f64).

    What `cross_entropy(logits[:, :-1].float(), input_ids[:, 1:], reduction="none")` gives, without a copy of the logits in
    f32 and without keeping their softmax: a stretch of them at a time is looked at in f32. The gradient of the logits is in
    their own type; it is zero, whatever the logits hold, where none of the loss is passed back.
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
            # The gradient of the loss by the logits: softmax less one at the target.
            passed = grad[row, part, None]
            slope = (predictions[row, part].to(grad.dtype) - normalisers[row, part, None]).exp_()
            slope.scatter_add_(-1, targets[row, part, None], slope.new_full((), -1.0).expand(len(slope), 1))
            into[row, part] = slope.mul_(passed).masked_fill_(passed == 0, 0.0).to(logits.dtype)
        return result, None


def _parts(predictions: Tensor) -> list[tuple[int, slice]]:
    """Stretches of a sequence each, of about `_ELEMENTS` logits."""
    batch, length, vocabulary = predictions.shape
    step = max(1, _ELEMENTS // max(vocabulary, 1))
    return [(row, slice(at, at + step)) for row in range(batch) for at in range(0, length, step)]
