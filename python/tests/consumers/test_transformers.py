"""Transformers' Trainer, TRL's SFTTrainer and axolotl's loader over `--to labels`: a folder that `load_from_disk` opens."""

import datasets
import pytest
import torch
import transformers
import trl
from conversion import IGNORE, convert
from models import TOLERANCE, arguments, first_loss, mean_loss, tiny_model, tokenizer_of

LENGTH = 64
"""The length of packed sequences: longer than the longest document, so that none is split and the masks determine the
loss."""


@pytest.fixture(params=["documents", "packed"])
def converted(request, tmp_path, binary, masks):
    options = ["--length", str(LENGTH)] if request.param == "packed" else []
    folder = convert(binary, masks, "labels", tmp_path / "labels", *options)
    return request.param == "packed", datasets.load_from_disk(str(folder))


def test_every_label(converted, masks):
    packed, dataset = converted
    if not packed:
        rows = [(row["input_ids"], row["attention_mask"], row["labels"]) for row in dataset]
        assert rows == [(list(d.ids), [1] * len(d.ids), d.labels) for d in masks.documents(targets=True)]
        return
    pieces = []
    for row in dataset:
        assert {len(row[name]) for name in ("input_ids", "attention_mask", "labels", "position_ids")} == {LENGTH}
        at, lengths = 0, row["seq_lengths"]
        assert sum(lengths) == LENGTH
        assert row["position_ids"] == [i for length in lengths for i in range(length)]
        for length in lengths:
            ids, attended, labels = (row[name][at : at + length] for name in ("input_ids", "attention_mask", "labels"))
            at += length
            if 0 in attended:
                # Padding comes last.
                assert (set(attended), set(labels), at) == ({0}, {IGNORE}, LENGTH)
            else:
                pieces.append((tuple(ids), labels))
    assert sorted(pieces) == sorted((d.ids, d.labels) for d in masks.documents(targets=True))


def test_the_trainers_loss(converted, masks, tmp_path):
    packed, dataset = converted
    model = tiny_model(masks.vocabulary)
    expected = mean_loss(model, masks.documents(targets=True))
    if packed:
        # Without an attention mask, Transformers keeps documents apart by their positions.
        dataset = dataset.remove_columns(["attention_mask", "seq_lengths"])
        collator = transformers.default_data_collator
    else:
        collator = transformers.DataCollatorForSeq2Seq(tokenizer_of(masks.vocabulary))
    trainer = transformers.Trainer(
        model=model,
        args=arguments(transformers.TrainingArguments, dataset, tmp_path),
        train_dataset=dataset,
        data_collator=collator,
    )
    assert first_loss(trainer) == pytest.approx(expected, abs=TOLERANCE)


def test_the_loss_of_trl(converted, masks, tmp_path):
    packed, dataset = converted
    model = tiny_model(masks.vocabulary)
    expected = mean_loss(model, masks.documents(targets=True))
    # Unchanged: TRL takes packed sequences with `padding_free`, and computes positions from their `seq_lengths`.
    more = {"padding_free": True} if packed else {}
    trainer = trl.SFTTrainer(
        model=model,
        args=arguments(trl.SFTConfig, dataset, tmp_path, max_length=None, **more),
        train_dataset=dataset,
        processing_class=tokenizer_of(masks.vocabulary),
    )
    assert first_loss(trainer) == pytest.approx(expected, abs=TOLERANCE)


def test_axolotl_takes_it_as_it_is(binary, masks, tmp_path, monkeypatch):
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "1")
    from axolotl.utils.data import shared
    from axolotl.utils.data.wrappers import get_dataset_wrapper
    from axolotl.utils.dict import DictDefault

    folder = convert(binary, masks, "labels", tmp_path / "labels")
    wanted = DictDefault({"path": str(folder), "type": None})
    loaded = shared.load_dataset_with_config(wanted, use_auth_token=False)
    tokenizer = tokenizer_of(masks.vocabulary)
    dataset, _ = get_dataset_wrapper(wanted, tokenizer, DictDefault({}), None, loaded)
    assert [(row["input_ids"], row["labels"]) for row in dataset] == [
        (list(document.ids), document.labels) for document in masks.documents(targets=True)
    ]
    assert torch.tensor(dataset[0]["attention_mask"]).all()
