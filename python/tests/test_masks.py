"""Opening masks, finding documents in them, refusing mismatches."""

import hashlib
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pytest
from support import ROOT, documents, masks_schema, write_masks

import rho_mask
from rho_mask import MasksError, MissingDocuments, TokenizerMismatch, open_masks, token_hash


def test_hashes_are_those_of_the_program():
    # The same numbers are in formats/src/masks/hash.rs.
    cases = [
        ([], 3_244_421_341_483_603_138),
        ([0], 5_238_470_482_016_868_669),
        ([464, 3290, 3332, 319, 262], -5_795_456_000_686_600_918),
        ([2**31 - 1], 6_147_526_096_378_114_303),
        (list(range(1000)), -8_976_855_430_421_054_723),
    ]
    for ids, expected in cases:
        assert token_hash(ids) == token_hash(np.array(ids, np.int64)) == expected
    assert token_hash(np.arange(2000)[::2]) == token_hash(list(range(0, 2000, 2)))
    for bad in [[-1], [2**31], [0.5], [[1, 2]]]:
        with pytest.raises(ValueError):
            token_hash(bad)


def test_documents_of_several_files(example_masks, example):
    masks = open_masks(example_masks)
    assert len(masks) == 6 and masks.lengths.tolist() == [3, 3, 3, 3, 1, 5]
    document = masks[5]
    assert (document["id"], document["shard"], document["row"]) == ("b#1", "b", 1)
    assert document["input_ids"].tolist() == list(example.input_ids)
    assert document["mask_intersection"].tolist() == list(example.mask)
    assert np.isnan(document["loss"][0]) and document["loss"][1:].tolist() == pytest.approx(example.loss[1:])
    assert masks.values("loss", 5, 2, 4).tolist() == pytest.approx(example.loss[2:4])
    assert masks.values("input_ids", 5, 3).tolist() == [319, 262]
    assert masks.column("row").to_pylist() == [0, 1, 2, 3, 0, 1]
    assert masks.table.num_rows == 6 and masks.table.schema == masks.schema
    for outside in [-1, 6]:
        with pytest.raises(IndexError):
            masks[outside]
    single = open_masks(example_masks / "b.arrow")
    assert len(single) == 2 and single[1]["input_ids"].tolist() == list(example.input_ids)


def test_the_most_likely_tokens_are_rows(tmp_path, binary, corpus):
    options = {"binary": binary, "quiet": True, "device": "cpu"}
    masks = open_masks(rho_mask.score(corpus / "pages.jsonl", tmp_path / "masks", top=3, limit=4, **options))
    table = masks.table
    for number in range(len(masks)):
        document = masks[number]
        ids, logprobs = document["top_ids"], document["top_logprobs"]
        assert ids.shape == logprobs.shape == (len(document["input_ids"]), 3)
        assert ids.dtype == np.int32 and logprobs.dtype == np.float32
        assert (ids[0] == -1).all() and np.isnan(logprobs[0]).all()
        assert ids[1:].tolist() == table["top_ids"][number].as_py()[1:]
        assert logprobs[1:].tolist() == table["top_logprobs"][number].as_py()[1:]
        hits, places = (ids == document["input_ids"][:, None]).nonzero()
        assert len(hits) > 0 and (logprobs[hits, places] == -document["loss"][hits]).all()
        assert masks.values("top_ids", number, 2, 4).tolist() == ids[2:4].tolist()


def test_masks_are_mapped_and_travel_as_their_path(example_masks):
    masks = open_masks(example_masks)
    before = pa.total_allocated_bytes()
    # Views of the file are not writeable, and Arrow's own memory does not grow.
    assert not masks.values("input_ids", 0).flags.writeable
    assert masks.table.num_rows == 6 and pa.total_allocated_bytes() == before
    again = pickle.loads(pickle.dumps(masks))
    assert len(pickle.dumps(masks)) < 1000
    assert again[5]["input_ids"].tolist() == masks[5]["input_ids"].tolist()


def test_of_the_program(scored):
    masks = open_masks(scored)
    assert len(masks) == 341
    datasets = pytest.importorskip("datasets")
    dataset = masks.dataset().with_format("numpy")
    assert isinstance(dataset, datasets.Dataset)
    for row in [0, 170, 340]:
        document = masks[row]
        assert set(document) == set(dataset.column_names)
        for name, values in document.items():
            np.testing.assert_array_equal(values, dataset[row][name], err_msg=name)
        assert document["token_hash"] == token_hash(document["input_ids"])


def test_of_every_way_to_store_them(tmp_path, binary, corpus, scored):
    out = tmp_path / "packed"
    options = {"score_dtype": "float16", "compression": "zstd", "keep_text": True, "shard_size": "30kB"}
    rho_mask.score(corpus / "texts", out, binary=binary, quiet=True, device="cpu", **options)
    masks, plain = open_masks(out), open_masks(scored)
    rows = plain.find(masks[i]["input_ids"] for i in range(len(masks)))
    assert len(masks) and (rows >= 0).all()
    for i, row in enumerate(rows):
        assert masks[i]["loss"].dtype == np.float16 and isinstance(masks[i]["text"], str)
        np.testing.assert_allclose(masks[i]["loss"], plain[int(row)]["loss"], rtol=1e-3)


@pytest.mark.parametrize("format", ["arrow-stream", "arrow-file", "parquet"])
def test_of_every_format(tmp_path, binary, corpus, format):
    out, plain = tmp_path / "masks", tmp_path / "plain"
    options = {"score_dtype": "float16", "keep_text": True, "shard_size": "30kB"}
    rho_mask.score(corpus / "texts", plain, binary=binary, quiet=True, device="cpu", **options)
    rho_mask.score(corpus / "texts", out, binary=binary, quiet=True, device="cpu", format=format, **options)
    masks, expected = open_masks(out), open_masks(plain)
    assert masks.table.equals(expected.table, check_metadata=True)
    for i in range(len(masks)):
        for name, values in expected[i].items():
            np.testing.assert_array_equal(masks[i][name], values, err_msg=name)
    assert masks.find([masks[3]["input_ids"]]).tolist() == expected.find([masks[3]["input_ids"]]).tolist()
    datasets = pytest.importorskip("datasets")
    dataset = masks.dataset()
    assert isinstance(dataset, datasets.Dataset) and dataset.to_list() == expected.table.to_pylist()
    single = open_masks(masks.files[0])
    assert single.dataset()["id"][:] == expected.table["id"][: len(single)].to_pylist()
    broken = masks.files[0]
    broken.write_bytes(broken.read_bytes()[:-9])
    with pytest.raises(MasksError, match="is the run that writes it finished"):
        open_masks(out)


def test_documents_are_found_by_their_tokens(tmp_path):
    made = [d for d in documents(50, 40, seed=1)]
    masks = open_masks(write_masks(tmp_path / "masks", {"a": made[:30], "empty": [], "b": made[30:]}))
    order = np.random.default_rng(2).permutation(50)
    assert masks.find(made[i][0] for i in order).tolist() == order.tolist()
    assert masks.find([[1, 2, 3], made[7][0]]).tolist() == [-1, 7]
    with pytest.raises(MissingDocuments) as error:
        masks.join([made[7][0], made[8][0][1:]])
    assert "1 of 2 documents have no masks" in str(error.value) and "number 1" in str(error.value)
    assert "special ones included" in error.value.hint


def test_of_equal_hashes_the_tokens_decide(tmp_path, monkeypatch):
    monkeypatch.setattr(rho_mask.masks, "token_hash", lambda ids: 7)
    monkeypatch.setattr(rho_mask, "token_hash", lambda ids: 7)
    made = [([1, 2], [None, 1.0], [False, True]), ([3], [None], [False]), ([1, 2], [None, 2.0], [False, True])]
    masks = open_masks(write_masks(tmp_path / "masks", {"a": made}))
    assert masks.find([[3], [1, 2], [2, 1]]).tolist() == [1, 0, -1]


def test_another_tokenizer_is_refused(tmp_path, scored):
    tokenizer = tmp_path / "model" / "tokenizer.json"
    tokenizer.parent.mkdir()
    shutil.copy(ROOT / "models/demo/tokenizer.json", tokenizer)
    for given in [tokenizer, tokenizer.parent]:
        assert len(open_masks(scored, tokenizer=given)) == 341
    tokenizer.write_bytes(tokenizer.read_bytes() + b" ")
    digest = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    with pytest.raises(TokenizerMismatch, match=digest):
        open_masks(scored, tokenizer=tokenizer)
    with pytest.raises(MasksError, match="cannot read"):
        open_masks(scored, tokenizer=tmp_path / "none")
    with pytest.raises(TokenizerMismatch, match="created from token ids"):
        open_masks(write_masks(tmp_path / "ids", {"a": []}), tokenizer=tokenizer)


def test_a_tokenizer_of_several_files_is_known_by_each(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    written = {"tokenizer.json": b"{}", "tokenizer_config.json": b'{"pad_token": "[PAD]"}'}
    for name, content in written.items():
        (folder / name).write_bytes(content)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}
    tokenizer = {"fingerprint": "of the combined tokenizer", "files": files}
    masks = write_masks(tmp_path / "masks", {"a": []}, tokenizer=tokenizer)
    for given in [folder, folder / "tokenizer.json"]:
        open_masks(masks, tokenizer=given)
    (folder / "tokenizer_config.json").write_bytes(b"{}")
    with pytest.raises(TokenizerMismatch, match="of the combined tokenizer"):
        open_masks(masks, tokenizer=folder)
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(TokenizerMismatch):
        open_masks(masks, tokenizer=folder)


def test_what_is_no_masks_folder(tmp_path):
    with pytest.raises(MasksError, match="not found"):
        open_masks(tmp_path / "none")
    with pytest.raises(MasksError, match=r"no state.json\nhint: resume"):
        open_masks(tmp_path)
    with pytest.raises(MasksError, match="format 1, got 2"):
        open_masks(write_masks(tmp_path / "newer", {"a": []}, format_version=2))
    (tmp_path / "cut.arrow").write_bytes(b"\xff\xff\xff\xff\x10\x00\x00\x00")
    with pytest.raises(MasksError, match=r"cut\.arrow"):
        open_masks(tmp_path / "cut.arrow")
    broken = write_masks(tmp_path / "broken", {"a": documents(9, 5, seed=1)}) / "a.arrow"
    broken.write_bytes(broken.read_bytes()[:-8])
    with pytest.raises(MasksError, match=r"a\.arrow: the file is truncated"):
        open_masks(broken.parent)
    with pa.ipc.new_stream(tmp_path / "other.arrow", pa.schema({"x": pa.int64()})):
        pass
    with pytest.raises(MasksError, match="no metadata 'rho_mask'"):
        open_masks(tmp_path / "other.arrow")
    folder = write_masks(tmp_path / "mixed", {"a": [], "b": []})
    with pa.ipc.new_stream(folder / "b.arrow", masks_schema(scope="document")):
        pass
    with pytest.raises(MasksError, match="columns or metadata differ"):
        open_masks(folder)
    masks = open_masks(write_masks(tmp_path / "good", {"a": []}))
    assert len(masks) == 0 and masks.lengths.tolist() == [] and masks.find([[1]]).tolist() == [-1]
    with pytest.raises(MasksError, match=r'no column "mask_excess"(.|\n)*mask_intersection'):
        masks.column("mask_excess")
