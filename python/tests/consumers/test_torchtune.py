"""torchtune's SFTDataset, PackedDataset and collator over `--to torchtune`, and torchtitan's loss over `--to torchtitan`."""

import datasets
import pytest
import torch
from conversion import END, IGNORE, convert
from models import TOLERANCE, mean_loss, tiny_model


@pytest.fixture
def torchtune_dataset(binary, masks, tmp_path, monkeypatch):
    from torchtune.datasets import SFTDataset

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = convert(binary, masks, "torchtune", tmp_path / "torchtune")
    files = [str(folder / f"{name}.parquet") for name in masks.shards]
    return SFTDataset(
        source="parquet",
        data_files=files,
        split="train",
        cache_dir=str(tmp_path / "cache"),
        message_transform=None,
        # The columns already have torchtune's names; rows need no tokenizer.
        model_transform=dict,
    )


def test_torchtune_makes_the_labels_of_the_masks(torchtune_dataset, masks):
    made = [([int(t) for t in row["tokens"]], [int(t) for t in row["labels"]]) for row in torchtune_dataset]
    assert made == [(list(document.ids), document.labels) for document in masks.documents(targets=True)]


def test_the_loss_of_a_torchtune_batch(torchtune_dataset, masks):
    """As in torchtune's recipes: collate, shift the labels, divide by the number of targets."""
    from torchtune.data import padded_collate_sft

    batch = padded_collate_sft(list(torchtune_dataset), padding_idx=END)
    labels = torch.hstack([batch["labels"][:, 1:], torch.full((len(batch["labels"]), 1), IGNORE)])
    model = tiny_model(masks.vocabulary)
    with torch.no_grad():
        logits = model(input_ids=batch["tokens"]).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    count = (labels != IGNORE).sum()
    assert float(loss / count) == pytest.approx(mean_loss(model, masks.documents(targets=True)), abs=TOLERANCE)


def test_torchtune_packs_by_itself(torchtune_dataset, masks):
    from torchtune.datasets import PackedDataset

    packed = PackedDataset(torchtune_dataset, max_seq_len=64, padding_idx=END)
    pieces = []
    for pack in packed:
        lengths = pack["seq_lens"].tolist() if "seq_lens" in pack else None
        starts = [i for i, position in enumerate(pack["input_pos"].tolist()) if position == 0]
        assert lengths is None or len(starts) <= len(lengths)
        for begin, end in zip(starts, [*starts[1:], 64]):
            pieces.append((pack["tokens"][begin:end].tolist(), pack["labels"][begin:end].tolist()))
    for (tokens, labels), document in zip(pieces, masks.documents(targets=True)):
        count = len(document.ids)
        # The last document of a pack is followed by the padding.
        assert (tokens[:count], labels[:count]) == (list(document.ids), document.labels)
        assert set(labels[count:]) <= {IGNORE}
    assert len(pieces) == len(masks.documents(targets=True))


@pytest.mark.parametrize("length", [None, 64])
def test_the_loss_of_torchtitan(binary, masks, tmp_path, length):
    """torchtitan's labels are already shifted, and -100 is ignored (torchtitan/components/loss.py); its loss is a sum."""
    from torchtitan.components import loss as loss_of

    options = ["--length", str(length)] if length else []
    folder = convert(binary, masks, "torchtitan", tmp_path / "torchtitan", *options)
    model = tiny_model(masks.vocabulary)
    total, count, pieces = 0.0, 0, []
    for row in datasets.load_from_disk(str(folder)).with_format("torch"):
        ids, labels, positions = (row[name][None] for name in ("input", "labels", "positions"))
        with torch.no_grad():
            # With a KV cache, Transformers would not keep documents apart by their positions.
            logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        total += float(loss_of.cross_entropy_loss(logits, labels))
        count += int((labels != loss_of.IGNORE_INDEX).sum())
        starts = [i for i, position in enumerate(row["positions"].tolist()) if position == 0]
        for begin, end in zip(starts, [*starts[1:], ids.shape[1]]):
            pieces.append((row["input"][begin:end].tolist(), row["labels"][begin:end].tolist()))
    documents = masks.documents(ended=True, targets=True)
    assert count == sum(sum(document.kept) for document in documents)
    assert total / count == pytest.approx(mean_loss(model, documents), abs=TOLERANCE)
    shifted = [(list(document.ids), [*document.labels[1:], IGNORE]) for document in documents]
    if not length:
        assert pieces == shifted
    else:
        # Padding consists of EOS tokens, as a separate piece.
        padding = [piece for piece in pieces if set(piece[0]) == {END}]
        assert all(set(labels) == {IGNORE} for _, labels in padding)
        alone = [piece for piece in shifted if set(piece[0]) == {END}]
        rest = [piece for piece in pieces if set(piece[0]) != {END}]
        assert sorted(rest) == sorted(piece for piece in shifted if piece not in alone)
