"""litdata's StreamingDataset with TokensLoader over `--to litdata`, alone and in step."""

import json

import litdata
import pytest
import torch
from conversion import convert


@pytest.fixture(params=[None, "1KiB"])
def converted(request, tmp_path, binary, masks):
    options = ["--shard-size", request.param] if request.param else []
    return convert(binary, masks, "litdata", tmp_path / "litdata", *options)


def chunks(folder, masks):
    """The documents of each chunk, from the index, checked against the masks."""
    indices = [json.loads((folder / part / "index.json").read_text()) for part in ("tokens", "mask")]
    for tokens, mask in zip(*(index["chunks"] for index in indices)):
        assert (tokens["dim"], tokens["chunk_size"]) == (mask["dim"], mask["chunk_size"])
    documents = iter(masks.documents(ended=True))
    cut = [[next(documents) for _ in range(chunk["chunk_size"])] for chunk in indices[0]["chunks"]]
    assert next(documents, None) is None
    assert [sum(len(d.ids) for d in chunk) for chunk in cut] == [chunk["dim"] for chunk in indices[0]["chunks"]]
    return cut


def stream(folder, part, block, **more):
    loader = litdata.TokensLoader(block_size=block)
    return litdata.StreamingDataset(str(folder / part), item_loader=loader, **more)


@pytest.mark.parametrize("block", [1, 3, 16])
def test_every_token_and_bit(converted, masks, block):
    tokens, mask = [], []
    for chunk in chunks(converted, masks):
        ids = [token for document in chunk for token in document.ids]
        kept = [kept for document in chunk for kept in document.kept]
        # The loader splits each chunk into blocks and drops the remainder.
        for at in range(0, len(ids) - block + 1, block):
            tokens.append(ids[at : at + block])
            mask.append(kept[at : at + block])
    for part, dtype, expected in [("tokens", torch.int32, tokens), ("mask", torch.bool, mask)]:
        read = stream(converted, part, block)
        blocks = [read[i] for i in range(len(read))]
        assert all(block.dtype == dtype for block in blocks)
        assert [block.tolist() for block in blocks] == expected


def test_shuffled_blocks_stay_in_step(converted, masks):
    block = 2
    pairs = {}
    for chunk in chunks(converted, masks):
        ids = [token for document in chunk for token in document.ids]
        kept = [kept for document in chunk for kept in document.kept]
        for at in range(0, len(ids) - block + 1, block):
            pairs.setdefault(tuple(ids[at : at + block]), []).append(kept[at : at + block])
    both = litdata.ParallelStreamingDataset(
        [stream(converted, part, block, shuffle=True, seed=3) for part in ("tokens", "mask")], length=None
    )
    seen = 0
    for tokens, mask in both:
        assert mask.tolist() in pairs[tuple(tokens.tolist())]
        seen += 1
    assert seen == sum(len(masks) for masks in pairs.values())
