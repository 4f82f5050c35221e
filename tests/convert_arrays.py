"""Reads the array formats with NumPy alone, following their documentation; the trainers' own readers are
in python/tests/consumers. Each reader yields the documents of a folder in the order of the corpus, as (ids, bits).

Runs before convert.py, in the same program.
"""

import gzip
import itertools
import json

import numpy as np


def there(folder, stems, ending):
    """Shards without documents have no files."""
    found = {str(path.relative_to(folder)) for path in folder.rglob(f"*{ending}")}
    names = [stem + ending for stem in stems if stem + ending in found]
    assert set(names) == found, (names, found)
    return [folder / name for name in names]


def cut_at(entries, ends):
    return [entries[begin:end].tolist() for begin, end in zip([0, *ends], ends)]


def read_olmo(folder, stems):
    dtype = {"u16": np.uint16, "u32": np.uint32}[json.loads((folder / "rho_mask.json").read_text())["convert"]["dtype"]]
    for tokens in there(folder / "tokens", stems, ".npy"):
        ids = np.fromfile(tokens, dtype)
        mask = np.fromfile(folder / "label_mask" / tokens.relative_to(folder / "tokens"), np.bool_)
        assert len(ids) == len(mask)
        with gzip.open(tokens.with_name(tokens.name.replace(".npy", ".csv.gz")), "rt") as table:
            spans = [tuple(map(int, line.split(",")[:2])) for line in table]
        ends = [end for _, end in spans]
        assert spans == list(zip([0, *ends], ends))
        yield from zip(cut_at(ids, ends), cut_at(mask, ends))


def indexed(prefix):
    head = np.fromfile(prefix.with_name(prefix.name + ".idx"), np.uint8).tobytes()
    assert head[:18] == b"MMIDIDX\0\0" + (1).to_bytes(8, "little") + b"\4"
    count, documents = np.frombuffer(head, "<u8", 2, 18)
    assert documents == count + 1
    lengths = np.frombuffer(head, "<i4", count, 34)
    begins = np.frombuffer(head, "<i8", count, 34 + 4 * count)
    assert np.frombuffer(head, "<i8", documents, 34 + 12 * count).tolist() == list(range(documents))
    ends = np.cumsum(lengths)
    assert begins.tolist() == [0, *(4 * ends[:-1]).tolist()]
    assert len(head) == 34 + 20 * count + 8
    return cut_at(np.fromfile(prefix.with_name(prefix.name + ".bin"), "<i4"), ends.tolist())


def read_neox(folder, stems):
    for path in there(folder / "tokens", stems, ".idx"):
        name = str(path.relative_to(folder / "tokens")).removesuffix(".idx")
        for ids, labels in zip(indexed(folder / "tokens" / name), indexed(folder / "labels" / name), strict=True):
            assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))
            yield ids, [label != -100 for label in labels]


def read_mds(folder, stems):
    index = json.loads((folder / "index.json").read_text())
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.mds")} == {
        shard["raw_data"]["basename"] for shard in index["shards"]
    }
    for shard in index["shards"]:
        assert shard["column_names"] == ["mask", "tokens"]
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        places = np.frombuffer(data, "<u4", shard["samples"] + 2)
        assert places[0] == shard["samples"] and places[-1] == len(data)
        for begin, end in itertools.pairwise(places[1:].tolist()):
            sizes, at, arrays = np.frombuffer(data, "<u4", 2, begin), begin + 8, []
            for size, encoding in zip(sizes, shard["column_encodings"]):
                width = 1 << (data[at] & 3)
                assert data[at] >> 2 == 1
                length = int.from_bytes(data[at + 1 : at + 1 + width], "little")
                dtype = np.dtype(encoding.removeprefix("ndarray:"))
                assert size == 1 + width + length * dtype.itemsize
                arrays.append(np.frombuffer(data, dtype, length, at + 1 + width).tolist())
                at += size
            assert at == end
            yield arrays[1], [bool(bit) for bit in arrays[0]]


def read_litdata(folder, stems):
    parts = []
    for part, dtype in [("tokens", "<i4"), ("mask", "?")]:
        index = json.loads((folder / part / "index.json").read_text())
        found = []
        for chunk in index["chunks"]:
            data = (folder / part / chunk["filename"]).read_bytes()
            assert len(data) == chunk["chunk_bytes"]
            count = int.from_bytes(data[:4], "little")
            places = np.frombuffer(data, "<u4", count + 1, 4)
            items = np.frombuffer(data, dtype, offset=8 + 4 * count)
            assert (count, len(items)) == (chunk["chunk_size"], chunk["dim"])
            found += cut_at(items, ((places[1:] - places[0]) // items.itemsize).tolist())
        parts.append(found)
    return zip(*parts, strict=True)


ARRAYS = {"olmo": read_olmo, "neox": read_neox, "mds": read_mds, "litdata": read_litdata}
