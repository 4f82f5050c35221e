"""Packed sequences as tensors: through a data loader, joined with the user's documents, and through a real model."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from support import documents, write_masks
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.data import DataLoader

import rho_mask
from rho_mask import (
    MaskedDataset,
    MasksError,
    MissingDocuments,
    TokenizerMismatch,
    cu_seqlens,
    document_mask,
    open_masks,
    pack_stream,
)


def test_the_example(example_masks, example):
    data = MaskedDataset(example_masks, length=5, documents=[example.input_ids])
    assert len(data) == 1 and len(list(data)) == 1
    sequence = data[0]
    assert sequence["input_ids"].tolist() == list(example.input_ids)
    assert sequence["labels"].tolist() == list(example.labels)
    assert sequence["labels"].dtype == sequence["input_ids"].dtype == torch.int64
    torch.testing.assert_close(sequence["ref_loss"], torch.tensor([torch.nan, *example.loss[1:]]), equal_nan=True)
    every = MaskedDataset(example_masks, length=5, documents=[example.input_ids], mask=None, ref_loss=None)[0]
    assert every["labels"].tolist() == [-100, *example.targets] and "ref_loss" not in every
    # Split: the last token of a piece is context in the next one.
    cut = MaskedDataset(example_masks, length=3, documents=[example.input_ids])
    assert [s["input_ids"].tolist() for s in cut] == [[464, 3290, 3332], [3332, 319, 262]]
    assert [s["labels"].tolist() for s in cut] == [[-100, 3290, -100], [-100, 319, 262]]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_loader_stacks_them(scored, workers):
    data = MaskedDataset(scored, length=512)
    loader = DataLoader(data, batch_size=8, num_workers=workers, multiprocessing_context="spawn" if workers else None)
    masks = open_masks(scored)
    mask = np.concatenate([masks.values("mask_intersection", i) for i in range(len(masks))])
    loss = np.concatenate([masks.values("loss", i) for i in range(len(masks))])
    kept = total = 0
    reference = 0.0
    for batch in loader:
        assert batch["input_ids"].shape == batch["ref_loss"].shape == (len(batch["input_ids"]), 512)
        kept += int((batch["labels"] != -100).sum())
        scores = batch["ref_loss"][~batch["ref_loss"].isnan()]
        total, reference = total + len(scores), reference + float(scores.double().sum())
    assert kept == mask.sum() and total == (~np.isnan(loss)).sum()
    assert reference == pytest.approx(np.nansum(loss.astype(np.float64)))


def test_documents_of_ones_own(tmp_path):
    made = [(ids, loss, mask) for ids, loss, mask in documents(40, 30, seed=4) if len(ids) > 1]
    folder = write_masks(tmp_path / "masks", {"a": made[:20], "b": made[20:]})
    mine = [made[i][0] for i in (30, 3, 3, 25)]
    data = MaskedDataset(folder, length=64, documents=iter(mine))
    tokens = sum(int((s["segment_ids"] > 0).sum()) for s in data)
    assert tokens == sum(map(len, mine)) and data.dropped == 0
    assert {int(t) for s in data for t in s["input_ids"][s["segment_ids"] > 0]} == {t for ids in mine for t in ids}
    with pytest.raises(MissingDocuments, match="1 of 2 documents"):
        MaskedDataset(folder, length=64, documents=[mine[0], [9, 9]])
    fewer = MaskedDataset(folder, length=64, documents=[[9, 9], mine[0]], missing="drop")
    assert fewer.dropped == 1 and len(fewer) == 1
    with pytest.raises(ValueError, match='"error" or "drop"'):
        MaskedDataset(folder, length=64, documents=mine, missing="ignore")
    with pytest.raises(IndexError):
        data[len(data)]


def test_what_does_not_fit_is_refused(scored, corpus):
    assert len(MaskedDataset(scored, 2048, tokenizer=corpus.parents[1] / "models/demo"))
    with pytest.raises(TokenizerMismatch):
        MaskedDataset(scored, 2048, tokenizer=corpus / "pages.jsonl")
    with pytest.raises(MasksError, match='no column "mask_excess"'):
        MaskedDataset(scored, 2048, mask="mask_excess")


def test_weights_of_select(tmp_path, binary, scored):
    import subprocess

    out = tmp_path / "weights"
    command = [binary, "select", scored, "--out", out, "--by", "loss", "--weights", "rank"]
    subprocess.run(command, check=True, capture_output=True)
    data, masks = MaskedDataset(out, 512, mask=None, weights="weight_loss"), open_masks(out)
    weights = np.concatenate([masks.values("weight_loss", i) for i in range(len(masks))])
    assert sum(float(s["weights"].double().sum()) for s in data) == pytest.approx(np.nansum(weights.astype(np.float64)))
    assert all(not s["weights"][s["labels"] == -100].any() for s in data)


def test_a_stream_is_packed_as_it_comes(binary, corpus, scored):
    with rho_mask.score_stream(corpus / "texts", binary=binary, quiet=True, device="cpu") as stream:
        sequences = list(pack_stream(stream, 256))
    masks = open_masks(scored)
    rows = [i for i in range(len(masks)) if masks[i]["shard"].startswith("texts/")]
    kept = sum(int(masks[i]["mask_intersection"].sum()) for i in rows)
    assert sum(int((s["labels"] != -100).sum()) for s in sequences) == kept > 0
    assert all(s["input_ids"].shape == (256,) for s in sequences)


def test_segments():
    segments = torch.tensor([[1, 1, 2, 0], [1, 2, 2, 2]])
    assert cu_seqlens(segments).tolist() == [0, 2, 3, 4, 5, 8]
    assert cu_seqlens(segments[0]).tolist() == [0, 2, 3, 4] and cu_seqlens(segments).dtype == torch.int32
    mask = document_mask(segments)
    assert mask.shape == (2, 1, 4, 4) and mask.dtype == torch.float32
    assert (mask[0, 0] == 0).int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert mask.min() == torch.finfo(torch.float32).min
    assert torch.equal(document_mask(segments, torch.bool), mask == 0)
    assert document_mask(segments, torch.bfloat16).dtype == torch.bfloat16


def alone(model, documents):
    """The sum of -ln P(token | previous tokens of its document), each document by itself, in float64."""
    total = 0.0
    for ids, _, _ in documents:
        log_p = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        total -= float(log_p[:-1].gather(-1, torch.tensor(ids[1:])[:, None]).sum())
    return total


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("attention", ["eager", "sdpa", "flex_attention"])
@pytest.mark.parametrize("by", ["document_mask", "position_ids", "boolean"])
@pytest.mark.filterwarnings("ignore")
def test_packed_documents_do_not_see_each_other(tmp_path, by, attention, dtype):
    """A model computes the same loss for a packed document as for the document alone."""
    transformers = pytest.importorskip("transformers")
    stance = nullcontext()
    if attention == "flex_attention":
        if not transformers.utils.is_torch_flex_attn_available():
            pytest.skip("no flex_attention in this PyTorch")
        # Compiled for a processor it breaks its memory with any dense mask (PyTorch 2.12); uncompiled it computes the same.
        stance = torch.compiler.set_stance("force_eager")

    def made(attention, dtype):
        torch.manual_seed(0)
        config = transformers.LlamaConfig(
            vocab_size=60,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            # Logits far from equal, so that what a token sees matters.
            initializer_range=0.6,
            attn_implementation=attention,
        )
        return transformers.LlamaForCausalLM(config).to(dtype).eval()

    model = made(attention, dtype)
    random = np.random.default_rng(0)
    documents = []
    for length in random.integers(2, 20, 30):
        ids = random.integers(1, 60, length).tolist()
        documents.append((ids, [None] + [0.5] * (length - 1), [False] + [True] * (length - 1)))
    data = MaskedDataset(write_masks(tmp_path / "masks", {"a": documents}), length=40)
    total = count = 0
    with stance, torch.no_grad():
        for batch in DataLoader(data, batch_size=2):
            # A mask is enough in itself; positions only without a cache.
            inputs = {"use_cache": False}
            if by == "document_mask":
                inputs = {"attention_mask": document_mask(batch["segment_ids"])}
            elif by == "boolean":
                inputs = {"attention_mask": document_mask(batch["segment_ids"], dtype=torch.bool)}
            output = model(
                input_ids=batch["input_ids"], position_ids=batch["position_ids"], labels=batch["labels"], **inputs
            )
            assert type(output.loss) is torch.Tensor
            learned = int((batch["labels"] != -100).sum())
            total, count = total + float(output.loss) * learned, count + learned
        expected = alone(made("eager", torch.float64), documents)
    assert count == sum(len(ids) - 1 for ids, _, _ in documents)
    # The model computes the loss in f32.
    fits = total == pytest.approx(expected, rel=1e-5)
    # A boolean mask is for `scaled_dot_product_attention` alone: this is why it is not the default.
    assert fits == (by != "boolean" or attention == "sdpa"), (total, expected)


def test_a_mask_learns_as_a_plain_one():
    """Gradients, and types of 16 bits, by PyTorch's attention; the mask moves and is cut as a plain tensor."""
    segments = torch.tensor([[1, 1, 2, 2, 2, 0]])
    plain = torch.zeros(1, 1, 6, 6, dtype=torch.float64).masked_fill(~document_mask(segments, torch.bool), float("-inf"))
    mask = document_mask(segments)
    for dtype, tolerance in [(torch.float64, 1e-12), (torch.float32, 1e-6), (torch.bfloat16, 0.02), (torch.float16, 0.002)]:
        torch.manual_seed(1)
        query, key, value = (torch.randn(1, 2, 6, 4).to(dtype).requires_grad_() for _ in range(3))
        exact = [part.detach().double().requires_grad_() for part in (query, key, value)]
        got = scaled_dot_product_attention(query, key, value, attn_mask=mask[:, :, :, :6].to("cpu"))
        expected = scaled_dot_product_attention(*exact, attn_mask=plain)
        torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=tolerance)
        got.sum().backward(), expected.sum().backward()
        torch.testing.assert_close(value.grad.double(), exact[2].grad, rtol=tolerance, atol=tolerance)
        assert type(got) is torch.Tensor and type(mask + 1) is torch.Tensor
