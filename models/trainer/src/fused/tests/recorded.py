"""Records PyTorch's float64 results for each operation of the fused network: inputs, outputs and gradients.

    python recorded.py > recorded.json          (torch 2.9.0)

Every entry: `in` (inputs), `d_out` (the gradient of the output), `out`, `d_in` (gradients of the inputs).
"""

import json

import torch
import torch.nn.functional as F

torch.manual_seed(5)
made = {}


def record(name, operation, *shapes):
    inputs = [(torch.randn(shape, dtype=torch.double) * 1.5).float().double().requires_grad_() for shape in shapes]
    output = operation(*inputs)
    d_out = torch.randn_like(output).float().double()
    output.backward(d_out)
    flat = lambda tensor: [round(x, 9) for x in tensor.detach().flatten().tolist()]
    made[name] = {"in": [flat(x) for x in inputs], "d_out": flat(d_out), "out": flat(output), "d_in": [flat(x.grad) for x in inputs]}


record("rms_norm", lambda x, s: F.rms_norm(x, (19,), s, 1e-5), (3, 19), (19,))
record("layer_norm", lambda x, s, b: F.layer_norm(x, (19,), s, b, 1e-5), (3, 19), (19,), (19,))
record("linear", lambda x, w, b: F.linear(x, w, b), (5, 7), (6, 7), (6,))
record("gated", lambda g, u: F.silu(g) * u, (37,), (37,))
record("gelu", lambda x: F.gelu(x, approximate="tanh"), (37,))


def rotary(x):  # [tokens, heads, head_dim], positions 0, 1, 2, 0, 1, as Transformers' Llama rotates them
    half = x.shape[-1] // 2
    frequencies = 1.0 / (10000.0 ** (torch.arange(0, x.shape[-1], 2).double() / x.shape[-1]))
    angles = torch.tensor([0.0, 1.0, 2.0, 0.0, 1.0]).double()[:, None] * frequencies
    angles = torch.cat([angles, angles], -1)[:, None]
    return x * angles.cos() + torch.cat([-x[..., half:], x[..., :half]], -1) * angles.sin()


record("rotary", rotary, (5, 2, 6))


def attention(q, k, v):  # a row of 40 tokens, documents start at 0, 3 and 35, 4 heads and 2 kv_heads
    starts = torch.tensor([0] * 3 + [3] * 32 + [35] * 5)
    place = torch.arange(40)
    seen = (place[None] <= place[:, None]) & (place[None] >= starts[:, None])
    heads = lambda x, n: x.view(1, 40, n, 6).transpose(1, 2)
    repeat = lambda x: heads(x, 2).repeat_interleave(2, 1)
    out = F.scaled_dot_product_attention(heads(q, 4), repeat(k), repeat(v), attn_mask=seen)
    return out.transpose(1, 2).reshape(40, 24)


record("attention", attention, (40, 24), (40, 12), (40, 12))


def cross_entropy(x, w):  # rows 4, 0 and 3 of the states, their targets and weights
    losses = F.cross_entropy(x[[4, 0, 3]] @ w.T, torch.tensor([7, 0, 40]), reduction="none")
    return losses * torch.tensor([0.5, 2.0, 0.25]).double()


record("cross_entropy", cross_entropy, (5, 9), (41, 9))
print(json.dumps(made, separators=(",", ":")).replace('},"', '},\n"'))
