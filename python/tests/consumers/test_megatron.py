"""Megatron Core's reader over `--to neox`, and GPT-NeoX's steps on a pair of files."""

import numpy as np
import torch
from conversion import convert
from megatron.core.datasets import indexed_dataset


def pairs(binary, masks, tmp_path):
    folder = convert(binary, masks, "neox", tmp_path / "neox")
    for name, documents in masks.shards.items():
        documents = [document.ended() for document in documents if document.ids]
        prefixes = [folder / part / name for part in ("tokens", "labels")]
        if documents:
            yield documents, [indexed_dataset.IndexedDataset(str(prefix), mmap=True) for prefix in prefixes]
        else:
            assert not any(prefix.with_name(prefix.name + ".idx").exists() for prefix in prefixes)


def test_every_token_and_label(binary, masks, tmp_path):
    for documents, datasets in pairs(binary, masks, tmp_path):
        for dataset in datasets:
            assert dataset.index.dtype == np.int32
            assert len(dataset) == len(documents)
            assert dataset.document_indices.tolist() == list(range(len(documents) + 1))
            assert dataset.sequence_lengths.tolist() == [len(document.ids) for document in documents]
        tokens, labels = datasets
        for i, document in enumerate(documents):
            assert tokens[i].tolist() == list(document.ids)
            assert labels[i].tolist() == document.labels
            # A part of a document, as samplers request it.
            assert labels.get(i, offset=1).tolist() == document.labels[1:]


def test_a_sample_of_gpt_neox(binary, masks, tmp_path):
    """GPT-NeoX (training.py `_get_batch`, v2.0 and main of 2025): a sample is the same slice of both files, one token longer
    than the sequence; `_get_batch` masks labels below 0 and shifts both."""
    for documents, (tokens, labels) in pairs(binary, masks, tmp_path):
        text = torch.tensor(np.concatenate([tokens[i] for i in range(len(documents))])).long()
        label = torch.tensor(np.concatenate([labels[i] for i in range(len(documents))])).long()
        loss_mask = (label >= 0)[1:]
        targets = torch.where(label >= 0, label, 0)[1:]
        kept = [kept for document in documents for kept in document.kept]
        assert loss_mask.tolist() == kept[1:]
        # The target predicted from text[i] is text[i + 1], where the loss mask is set.
        assert torch.equal(targets[loss_mask], text[1:][loss_mask])
