"""MosaicML's StreamingDataset over `--to mds`."""

import json

import numpy as np
import pytest
import streaming
from conversion import convert


@pytest.fixture(autouse=True)
def clean():
    streaming.base.util.clean_stale_shared_memory()


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("size", [None, "1KiB"])
@pytest.mark.parametrize("remote", [False, True])
def test_every_token_and_bit(binary, masks, tmp_path, dtype, size, remote):
    options = ["--dtype", "u32"] if dtype == "uint32" else []
    options += ["--shard-size", size] if size else []
    folder = convert(binary, masks, "mds", tmp_path / "mds", *options)
    shards = json.loads((folder / "index.json").read_text())["shards"]
    assert sum(shard["samples"] for shard in shards) == len(masks.documents())
    if size and len(masks.documents()) > 1:
        assert len(shards) > 20
        assert all(shard["raw_data"]["bytes"] <= 1024 or shard["samples"] == 1 for shard in shards)
    where = {"remote": str(folder), "local": str(tmp_path / "local")} if remote else {"local": str(folder)}
    read = streaming.StreamingDataset(**where, shuffle=False, batch_size=1, validate_hash=None)
    expected = masks.documents()
    assert len(read) == len(expected)
    for i, document in enumerate(expected):
        sample = read[i]
        assert sample["tokens"].dtype == np.dtype(dtype)
        assert sample["tokens"].tolist() == list(document.ids)
        assert sample["mask"].astype(bool).tolist() == list(document.kept)
        assert set(sample["mask"].tolist()) <= {0, 1}
    # In the order of a training run, too.
    assert [tuple(sample["tokens"].tolist()) for sample in read] == [document.ids for document in expected]
