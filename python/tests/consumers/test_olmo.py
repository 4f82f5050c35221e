"""OLMo-core's numpy datasets over `--to olmo`."""

import gzip

import numpy as np
import pytest
import torch
from conversion import END, convert
from olmo_core.data import numpy_dataset, utils


@pytest.fixture(params=[np.uint16, np.uint32])
def converted(request, tmp_path, binary, masks):
    options = [] if request.param is np.uint16 else ["--dtype", "u32"]
    return request.param, convert(binary, masks, "olmo", tmp_path / "olmo", *options)


def paths(folder, masks):
    """In the order of the corpus; shards without tokens have no arrays."""
    names = [name for name, documents in masks.shards.items() if any(document.ids for document in documents)]
    tokens = [folder / "tokens" / f"{name}.npy" for name in names]
    assert sorted(tokens) == sorted((folder / "tokens").rglob("*.npy"))
    mask = [folder / "label_mask" / f"{name}.npy" for name in names]
    assert sorted(mask) == sorted((folder / "label_mask").rglob("*.npy"))
    return names, tokens, mask


def dataset(kind, dtype, masks, tokens, mask, work, **more):
    made = kind(
        *tokens,
        label_mask_paths=mask,
        pad_token_id=END,
        eos_token_id=END,
        vocab_size=masks.vocabulary,
        dtype=dtype,
        **more,
    )
    made.work_dir = work
    made.prepare()
    return made


def test_every_token_and_bit(converted, masks, tmp_path):
    dtype, folder = converted
    _, tokens, mask = paths(folder, masks)
    # OLMo-core splits each array into fixed-length instances and drops the remainder: length 1 has none.
    read = dataset(numpy_dataset.NumpyFSLDataset, dtype, masks, tokens, mask, tmp_path, sequence_length=1)
    documents = masks.documents(ended=True)
    assert [int(read[i]["input_ids"]) for i in range(len(read))] == [t for d in documents for t in d.ids]
    assert [bool(read[i]["label_mask"]) for i in range(len(read))] == [k for d in documents for k in d.kept]


def test_where_documents_end(converted, masks):
    dtype, folder = converted
    names, tokens, _ = paths(folder, masks)
    for name, path in zip(names, tokens):
        lengths = [len(document.ended().ids) for document in masks.shards[name] if document.ids]
        ends = np.cumsum(lengths).tolist()
        expected = list(zip([0, *ends], ends))
        # From the table, and from the EOS tokens.
        assert list(utils.iter_document_indices(path)) == expected
        by_tokens = utils.iter_document_indices(path, eos_token_id=END, dtype=dtype)
        assert [(int(start), int(end)) for start, end in by_tokens] == expected
        rows = [number for number, document in enumerate(masks.shards[name]) if document.ids]
        with gzip.open(path.with_name(path.name.replace(".npy", ".csv.gz")), "rt") as table:
            origins = [line.rstrip("\n").split(",")[2:] for line in table]
        assert origins == [[f"{name}#{row}", name, str(row)] for row in rows]


def test_instances_of_whole_documents(converted, masks, tmp_path):
    """Padded: one instance per document; the model's labels are those of the masks, shifted once."""
    dtype, folder = converted
    _, tokens, mask = paths(folder, masks)
    length = 128
    read = dataset(numpy_dataset.NumpyPaddedFSLDataset, dtype, masks, tokens, mask, tmp_path, sequence_length=length)
    documents = masks.documents(ended=True)
    assert len(read) == len(documents)
    for i, document in enumerate(documents):
        batch = {name: read[i][name].unsqueeze(0) for name in ("input_ids", "label_mask")}
        assert batch["input_ids"][0, : len(document.ids)].tolist() == list(document.ids)
        labels = utils.get_labels(batch, label_ignore_index=-100)
        expected = torch.full((1, length), -100)
        expected[0, : len(document.ids) - 1] = torch.tensor(document.labels[1:])
        assert torch.equal(labels, expected)
