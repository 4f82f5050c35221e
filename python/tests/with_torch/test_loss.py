"""Online selection: against rho-mask's own masks, against PyTorch's cross entropy, and against a step in float64."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from support import ROOT
from torch.nn.functional import cross_entropy

import rho_mask
from rho_mask import excess_loss_topk, open_masks, slm_loss, to_predictions, token_loss

NAN, INF = math.nan, math.inf


def by_sorting(own, ref, keep):
    """The rule in plain NumPy: sort everything with a stable sort, keep the first ones."""
    with np.errstate(invalid="ignore"):
        excess = (own - ref).ravel()
    scored = np.flatnonzero(~np.isnan(excess))
    ranked = scored[np.argsort(-excess[scored] + 0.0, kind="stable")]
    share = keep * len(scored)
    count = math.floor(share) + (share - math.floor(share) >= 0.5)
    kept = np.zeros(excess.shape, bool)
    kept[ranked[:count]] = True
    return kept.reshape(own.shape)


def test_the_example(example):
    loss = torch.tensor([NAN, *example.loss[1:]])[None]
    # A model that is behind the reference on the first, third and last target.
    own = torch.tensor([[9.0, 2.1, 1.5, 1.0]])
    kept = excess_loss_topk(own, to_predictions(loss), keep=0.7)
    assert kept.tolist() == [list(example.target_mask)]
    # With both token-aligned, the result is the mask itself.
    own = torch.tensor([[NAN, *own[0].tolist()]])
    assert excess_loss_topk(own, loss, keep=0.7).tolist() == [list(example.mask)]
    # One of each is an error, not a silent shift.
    with pytest.raises(ValueError, match="to_predictions"):
        excess_loss_topk(torch.zeros(1, 4), loss, keep=0.7)

    # Certain of the correct next token except at the second target, where all tokens are equally likely.
    ids = torch.tensor([example.input_ids])
    logits = torch.zeros(1, 5, 4000)
    for at in (0, 2, 3):
        logits[0, at, ids[0, at + 1]] = 50.0
    assert token_loss(logits, ids)[0].tolist() == pytest.approx([0, math.log(4000), 0, 0], abs=1e-6)
    reference = torch.tensor([[NAN, 1.0, 1.0, 1.0, 1.0]])
    assert slm_loss(logits, ids, reference, keep=0.25).item() == pytest.approx(math.log(4000))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_equals_sorting_everything(dtype):
    generator = torch.Generator().manual_seed(5)
    special = torch.tensor([NAN, -NAN, INF, -INF, 0.0, -0.0, 1.0, 1.0, 2.0, 2.0])
    for case in range(200):
        shape = [(3, 17), (1, 1), (40,), (2, 0)][case % 4]

        def draw(shape=shape):
            values = torch.randn(shape, generator=generator).to(dtype)
            odd = special[torch.randint(len(special), shape, generator=generator)].to(dtype)
            return torch.where(torch.rand(shape, generator=generator) < 0.4, odd, values)

        own, ref = draw(), draw()
        keep = [0.0, 1.0, 0.5, 0.6, 0.7, float(torch.rand((), generator=generator))][case % 6]
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        expected = by_sorting(own.to(wide).numpy(), ref.to(wide).numpy(), keep)
        np.testing.assert_array_equal(excess_loss_topk(own, ref, keep).numpy(), expected, err_msg=f"{case} {keep}")


def test_halves_are_rounded_up_and_ties_go_to_the_earlier():
    def kept(scored, keep):
        return excess_loss_topk(torch.zeros(scored), torch.zeros(scored), keep).tolist()

    assert kept(5, 0.5) == [True] * 3 + [False] * 2
    assert kept(4, 0.7) == [True] * 3 + [False]
    assert kept(1, 0.49999999999999994) == [False]
    # 0.1 * 3 + ... in f64, as Rust computes it.
    for scored in range(1, 300):
        for keep in (0.1, 0.3, 0.35, 0.6, 0.7, 0.95):
            assert sum(kept(scored, keep)) == int(np.floor(np.float64(keep) * scored + 0.5)), (scored, keep)
    for keep in (-0.1, 1.1, NAN):
        with pytest.raises(ValueError, match="keep ratio"):
            kept(3, keep)


def test_keeps_what_score_keeps(scored):
    masks = open_masks(scored)
    keep = next(rule["keep_lowest"] for rule in masks.metadata["selections"] if rule["column"] == "mask_loss")
    for file in masks.files:
        shard = open_masks(file)
        loss = torch.tensor(np.concatenate([shard.values("loss", i) for i in range(len(shard))]))
        mask = np.concatenate([shard.values("mask_loss", i) for i in range(len(shard))])
        np.testing.assert_array_equal(excess_loss_topk(torch.zeros_like(loss), loss, keep).numpy(), mask)


def test_keeps_what_select_keeps(tmp_path, binary, scored):
    """Excess loss of an invented base, ranked by `select` in batches, each a whole shard here."""
    import json
    import shutil
    import subprocess

    based = tmp_path / "based"
    # Without the program's records of its files, because the files are rewritten.
    shutil.copytree(scored, based, ignore=shutil.ignore_patterns(".rho-mask"))
    random = np.random.default_rng(9)
    for file in open_masks(based).files:
        with pa.ipc.open_stream(file.read_bytes()) as stream:
            table = stream.read_all()
        base = [
            # In steps of a quarter, so that many values are equal.
            [None if value is None else value + float(random.integers(-8, 8)) / 4 for value in row]
            for row in table["loss"].to_pylist()
        ]
        at = table.schema.get_field_index("loss")
        table = table.add_column(at, "base_loss", pa.array(base, pa.list_(pa.float32())))
        with pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
    out = tmp_path / "excess"
    command = [binary, "select", based, "--out", out, "--by", "excess", "--keep", "0.6"]
    subprocess.run(command, check=True, capture_output=True)
    names = [file["filename"] for file in json.loads((out / "state.json").read_text())["_data_files"]]
    checked = 0
    for name in names:
        shard = open_masks(out / name)
        flat = {
            column: np.concatenate([shard.values(column, i) for i in range(len(shard))])
            for column in ("base_loss", "loss", "mask_excess")
        }
        kept = excess_loss_topk(torch.tensor(flat["base_loss"]), torch.tensor(flat["loss"]), 0.6)
        np.testing.assert_array_equal(kept.numpy(), flat["mask_excess"], err_msg=name)
        checked += len(kept)
    assert checked > 100_000


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_loss_is_that_of_cross_entropy(dtype, monkeypatch):
    # Chunks of 3 rows and a remainder.
    monkeypatch.setattr(rho_mask.loss, "_ELEMENTS", 3 * 50)
    generator = torch.Generator().manual_seed(1)
    logits = (torch.randn(3, 8, 50, generator=generator) * 4).to(dtype).requires_grad_()
    ids = torch.randint(50, (3, 8), generator=generator)
    passed = torch.randn(3, 7, generator=generator).to(torch.promote_types(dtype, torch.float32))
    passed[0, 2] = passed[2, 6] = 0.0
    losses = token_loss(logits, ids)
    (losses * passed).sum().backward()
    mine, logits.grad = logits.grad, None
    plain = cross_entropy(logits[:, :-1].to(losses.dtype).flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    plain = plain.view(3, 7)
    (plain * passed).sum().backward()
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-5}[dtype]
    torch.testing.assert_close(losses, plain, rtol=tolerance, atol=tolerance)
    # The gradient is rounded to the type of the logits.
    tolerance = 1e-2 if dtype == torch.bfloat16 else tolerance
    torch.testing.assert_close(mine, logits.grad, rtol=tolerance, atol=tolerance)
    assert mine.dtype == dtype and not mine[:, -1].any() and not mine[0, 2].any()


def test_gradients_by_differences():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 4, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(7, (2, 4), generator=generator)
    ref = torch.rand(2, 4, generator=generator, dtype=torch.float64)
    ref[:, 0] = NAN
    assert torch.autograd.gradcheck(lambda x: token_loss(x, ids), (logits,))
    assert torch.autograd.gradcheck(lambda x: slm_loss(x, ids, ref, 0.5), (logits,))


def test_only_kept_tokens_have_a_gradient():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 9, 11, generator=generator, requires_grad=True)
    ids = torch.randint(11, (2, 9), generator=generator)
    ref = torch.rand(2, 9, generator=generator)
    ref[:, 0] = NAN
    ref[1, 4:] = NAN
    loss = slm_loss(logits, ids, ref, 0.6)
    loss.backward()
    plain = cross_entropy(logits.detach()[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(2, 8)
    kept = torch.tensor(by_sorting(plain.numpy(), ref[:, 1:].numpy(), 0.6))
    assert kept.sum() == round(0.6 * 11)
    assert loss.item() == pytest.approx(plain[kept].mean().item(), rel=1e-6)
    assert slm_loss(logits, ids, ref, 0.6, reduction="sum").item() == pytest.approx(plain[kept].sum().item(), rel=1e-6)
    assert torch.equal(logits.grad[:, :-1].abs().sum(-1) > 0, kept)
    # The code for a trainer that already computes a loss per token.
    per_token_loss = token_loss(logits, ids)
    chosen = excess_loss_topk(per_token_loss, to_predictions(ref), keep=0.6)
    assert torch.equal(chosen, kept) and not chosen.requires_grad
    assert per_token_loss[chosen].mean().item() == pytest.approx(loss.item(), rel=1e-6)


def test_nothing_to_learn_from_is_a_loss_of_nothing():
    logits, ids = torch.randn(1, 4, 5, requires_grad=True), torch.tensor([[1, 2, 3, 4]])
    for ref, keep in [(torch.full((1, 4), NAN), 0.6), (torch.rand(1, 4), 0.0)]:
        logits.grad = None
        loss = slm_loss(logits, ids, ref, keep)
        loss.backward()
        assert loss.item() == 0.0 and not logits.grad.any()
    # Infinite logits of an unscored token do not affect the others. Those of a scored token do, and NaN does even though it
    # has no rank.
    broken = torch.zeros(1, 4, 5)
    broken[0, 0, 0] = INF
    ref = torch.tensor([[NAN, NAN, 1.0, 1.0]])
    broken.requires_grad_()
    loss = slm_loss(broken, ids, ref, 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(5)) and broken.grad.isfinite().all()
    ref[0, 1] = 1.0
    assert slm_loss(broken, ids, ref, 1.0).isinf()
    assert slm_loss(torch.where(broken.isinf(), NAN, broken), ids, ref, 0.5).isnan()
    with pytest.raises(ValueError, match="token-aligned"):
        slm_loss(logits, ids, torch.rand(1, 3), 0.6)
    with pytest.raises(ValueError, match=r"logits \[B, T, V\]"):
        token_loss(torch.zeros(4, 5), ids)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
def test_a_step_in_float64(family):
    """The kept tokens, the loss and every gradient of a real architecture."""
    folder = ROOT.parent / "shared/parity" / family
    step = folder / "slm_step.safetensors"
    if not step.exists():
        pytest.skip(f"{step} is missing")
    safetensors = pytest.importorskip("safetensors.torch")
    transformers = pytest.importorskip("transformers")
    expected = safetensors.load_file(step)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "hf").double()
    ids, ref = expected["input_ids"], expected["ref_loss"]
    seen = torch.arange(ids.shape[1])[None] < expected["length"][:, None]
    logits = model(input_ids=ids, attention_mask=seen.long(), use_cache=False).logits
    kept = excess_loss_topk(token_loss(logits, ids), to_predictions(ref), 0.6)
    assert torch.equal(kept, to_predictions(expected["kept"]))
    loss = slm_loss(logits, ids, ref, 0.6)
    assert loss.item() == pytest.approx(expected["loss"].item(), rel=1e-12)
    loss.backward()
    compared = 0
    for name, parameter in model.named_parameters():
        gradient = expected.get(f"grad.{name}")
        if gradient is not None:
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-8, atol=1e-10, msg=name)
            compared += 1
    assert compared == sum(name.startswith("grad.") for name in expected) > 5


def test_memory_does_not_hold_a_second_copy(tmp_path):
    """Peak memory allows only the logits, their gradient and a few chunks."""
    resource = pytest.importorskip("resource")
    import subprocess
    import sys

    script = """
import resource, sys, torch, rho_mask
torch.set_num_threads(1)
ids = torch.randint(32000, (2, 512)); ref = torch.rand(2, 512)
def step(V):
    logits = torch.zeros(2, 512, V, dtype=torch.bfloat16).normal_().requires_grad_()
    rho_mask.slm_loss(logits, ids % V, ref, 0.6).backward()
step(100)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
step(64000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
    package = Path(rho_mask.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env={"PYTHONPATH": str(package)}
    )
    logits = 2 * 512 * 64000 * 2
    # Logits, their gradient, and a few chunks of 64 MiB in f32. All in f32 would be five times the logits.
    assert int(done.stdout) < 2 * logits + 5 * (64 << 20), int(done.stdout) / logits
    assert resource
