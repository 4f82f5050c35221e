"""Runs the code of docs/python.md."""

import pytest
import torch
from support import code_of
from torch.nn.functional import cross_entropy

from rho_mask import open_masks, slm_loss


def test_the_lines_of_the_document_run(tmp_path, monkeypatch, scored):
    transformers = pytest.importorskip("transformers")
    blocks = [code_of("docs/python.md", line) for line in ("MaskedDataset(", "excess_loss_topk(")]
    (tmp_path / "masks").symlink_to(scored)
    monkeypatch.chdir(tmp_path)
    vocabulary = open_masks(scored).metadata["reference"]["vocabulary"]
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=vocabulary, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1
        )
    )
    # Unchanged except for the length and the documents.
    first = blocks[0].replace("length=2048", "length=256").replace("[464, 3290, ...], ...", "")
    names = {"torch": torch, "cross_entropy": cross_entropy, "model": model}
    exec(first, names)
    names["loss"].backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())

    batch = names["batch"]
    names |= {"logits": model(input_ids=batch["input_ids"]).logits, "input_ids": batch["input_ids"]}
    exec(blocks[1], names)
    names["loss"].backward()
    expected = slm_loss(names["logits"], batch["input_ids"], batch["ref_loss"], 0.6)
    assert names["loss"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert names["kept"].sum() == round(0.6 * int((~batch["ref_loss"].isnan()).sum()))
