"""Reads converted masks with the trainers' own reading libraries, and compares every entry with what plain Python
computes from the masks.

convert.py MASKS CASES, the cases as JSON: folder, to, column, and length and eos if they were given; with `rows`, the
result is compared with these instead.
"""

import itertools
import json
import pathlib
import sys

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import webdataset

IGNORE = -100
datasets.disable_progress_bars()
masks, cases = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])


def files(folder):
    return [file["filename"] for file in json.loads((folder / "state.json").read_text())["_data_files"]]


def stream(source):
    with pa.OSFile(str(source)) as file, pa.ipc.open_stream(file) as reader:
        return reader.read_all()


own = pa.concat_tables([stream(masks / name) for name in files(masks)])
rows = own.to_pylist()


def ordered(folder, ending):
    """The files of a target without an index, in the order of the corpus: that of the mask files, by shard."""
    stems, found = [], {str(path.relative_to(folder)) for path in folder.rglob(f"*{ending}")}
    for name in files(masks):
        stem = name.removesuffix(".arrow")
        one, several = stem + ending, stem.rpartition(".")[0] + ending
        stem = one if one in found else several
        if stem not in stems:
            stems.append(stem)
    assert found == set(stems), (found, stems)
    return [folder / stem for stem in stems]


def documents(case):
    """Ids and weights of each document that has a target; for a few formats, of each that has tokens. Bits are weights of 0
    and 1."""
    for row in rows:
        ids, weights = list(row["input_ids"]), [float(weight or 0) for weight in row[case["column"]]]
        if ids and "eos" in case and ids[-1] != case["eos"]:
            ids, weights = [*ids, case["eos"]], [*weights, 0.0]
        if weights:
            weights[0] = 0.0
        if any(weights) or (ids and case["to"] in ARRAYS):
            yield ids, weights


def pieces(case, table, ids_of):
    """The rows of a table as (row, window, begin, end), by the positions, which are 0 at the start of a window."""
    for row in table:
        starts = [i for i, position in enumerate(row) if position == 0] + [len(row)]
        yield list(itertools.pairwise(starts))


def packed(case, length, sequences):
    """Checks sequences, given as (ids, weights by token, ends of the windows): every target occurs exactly once."""
    left = {}
    for ids, weights in documents(case):
        if len(ids) <= length:
            key = tuple(ids), tuple(weights)
            left[key] = left.get(key, 0) + 1
            continue
        begin = 0
        while begin < len(ids) - 1:
            piece, of_piece = ids[begin : begin + length], weights[begin : begin + length]
            key = tuple(piece), (0.0, *of_piece[1:])
            left[key] = left.get(key, 0) + 1
            begin += length - 1
    count = 0
    for parts in sequences:
        assert sum(len(ids) for ids, _ in parts) == length
        for ids, weights in parts:
            key = tuple(ids), tuple(weights)
            if key in left:
                left[key] -= 1
                count += 1
                if not left[key]:
                    del left[key]
            else:
                # Padding, the last part: one token repeated, without targets.
                assert (ids, weights) == parts[-1] and not any(weights) and len(set(ids)) == 1, (ids, weights)
    # A sequence without a target is dropped: a window of a long document.
    assert all(not any(weights) for _, weights in left), left
    assert count, "nothing was packed"


def of_labels(case, ids, labels):
    """Token-aligned weights from token-aligned labels."""
    assert all(label in (IGNORE, token) for token, label in zip(ids, labels, strict=True))
    return [0.0 if label == IGNORE else 1.0 for label in labels]


def cut(entries, lengths):
    ends = np.cumsum(lengths).tolist()
    assert ends[-1] == len(entries)
    return [entries[end - n : end] for n, end in zip(lengths, ends)]


def labels(case, folder):
    data = datasets.load_from_disk(str(folder))
    length = case.get("length")
    names = ["input_ids", "attention_mask", "labels"] + ["position_ids", "seq_lengths"] * bool(length)
    assert data.column_names == names, data.column_names
    assert [data.features[name].feature.dtype for name in names[:3]] == ["int32", "int8", "int32"]
    if not length:
        expected = [
            {
                "input_ids": ids,
                "attention_mask": [1] * len(ids),
                "labels": [token if weight else IGNORE for token, weight in zip(ids, weights)],
            }
            for ids, weights in documents(case)
        ]
        assert data.to_list() == expected
        return
    sequences = []
    for row in data.to_list():
        lengths = row["seq_lengths"]
        assert row["position_ids"] == [i for n in lengths for i in range(n)]
        weights = of_labels(case, row["input_ids"], row["labels"])
        padding = row["attention_mask"].count(0)
        assert row["attention_mask"] == [1] * (length - padding) + [0] * padding
        assert padding in (0, lengths[-1]) and (not padding or row["input_ids"][-1] == 0)
        sequences.append(list(zip(cut(row["input_ids"], lengths), cut(weights, lengths))))
    packed(case, length, sequences)


def shifted(entries, none):
    """Shifts token-aligned entries to prediction-aligned ones."""
    return [*entries[1:], none]


def unshifted(entries):
    assert entries[-1] in (0.0, IGNORE)
    return [0.0 if entries[-1] == 0.0 else IGNORE, *entries[:-1]]


def levanter(case, folder):
    tables = [pa.parquet.read_table(path) for path in ordered(folder, ".parquet")]
    table = pa.concat_tables(tables)
    assert [str(field.type) for field in table.schema] == ["list<item: int32>", "list<item: float>"], table.schema
    assert json.loads(table.schema.metadata[b"rho_mask"])["convert"]["to"] == "levanter"
    got = [(row["input_ids"], row["loss_weights"]) for row in table.to_pylist()]
    if "length" not in case:
        assert got == [(ids, shifted(list(np.float32(weights)), 0.0)) for ids, weights in documents(case)]
        return
    sequences = []
    for ids, weights in got:
        # Documents end with the end-of-sequence token, and so does padding, token by token.
        padding = 0
        while padding + 1 < len(ids) and ids[-1 - padding :][:2] == [case["eos"]] * 2:
            padding += 1
        whole = len(ids) - padding
        ends = [i + 1 for i in range(whole) if ids[i] == case["eos"]]
        ends = ends if ends and ends[-1] == whole else [*ends, whole]
        lengths = np.diff([0, *ends, *([len(ids)] if padding else [])]).tolist()
        parts = zip(cut(ids, lengths), cut(weights, lengths))
        sequences.append([(part, unshifted(of)) for part, of in parts])
    packed(case, case["length"], sequences)


def torchtitan(case, folder):
    data = datasets.load_from_disk(str(folder))
    assert data.column_names == ["input", "labels", "positions"]
    if "length" not in case:
        expected = [
            {
                "input": ids,
                "labels": shifted([token if weight else IGNORE for token, weight in zip(ids, weights)], IGNORE),
                "positions": list(range(len(ids))),
            }
            for ids, weights in documents(case)
        ]
        assert data.to_list() == expected
        return
    sequences = []
    for row in data.to_list():
        starts = [i for i, position in enumerate(row["positions"]) if position == 0]
        lengths = np.diff([*starts, len(row["positions"])]).tolist()
        parts = zip(cut(row["input"], lengths), cut(row["labels"], lengths))
        parts = [(ids, unshifted(labels)) for ids, labels in parts]
        sequences.append([(ids, of_labels(case, ids, labels)) for ids, labels in parts])
    packed(case, case["length"], sequences)


def torchtune(case, folder):
    # As in its SFTDataset.
    paths = [str(path) for path in ordered(folder, ".parquet")]
    data = datasets.load_dataset("parquet", data_files=paths, split="train", cache_dir=str(folder) + "-cache")
    assert data.column_names == ["tokens", "mask"]
    expected = [{"tokens": ids, "mask": [not weight for weight in weights]} for ids, weights in documents(case)]
    assert data.to_list() == expected


def own_columns(case):
    """The masks' own columns: all, or without those of selections that were not requested."""
    selected = [name for name in own.column_names if name.startswith(("mask_", "weight_"))]
    return [name for name in own.column_names if not case.get("column") or name not in selected or name == case["column"]]


def same(got, expected):
    if isinstance(expected, float):
        return got == expected or (np.isnan(got) and np.isnan(expected))
    if isinstance(expected, list):
        return len(got) == len(expected) and all(map(same, got, expected))
    return got == expected


def parquet(case, folder):
    tables = [pa.parquet.read_table(path) for path in ordered(folder, ".parquet")]
    table = pa.concat_tables(tables)
    expected = own.select(own_columns(case))
    assert table.column_names == expected.column_names
    types = [str(field.type) for field in table.schema]
    assert types == [str(field.type) for field in expected.schema], types
    assert table.to_pylist() == expected.to_pylist()
    made = json.loads(table.schema.metadata[b"rho_mask"])
    convert = made.pop("convert")
    assert convert["columns"] == expected.column_names and made == json.loads(own.schema.metadata[b"rho_mask"])


def jsonl(case, folder):
    paths = [folder] if folder.is_file() else ordered(folder, ".jsonl")
    got = [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    def finite(entry):
        if isinstance(entry, list):
            return [finite(item) for item in entry]
        return None if isinstance(entry, float) and not np.isfinite(entry) else entry

    expected = [{name: finite(row[name]) for name in own_columns(case)} for row in rows]
    assert [list(row) for row in got] == [list(row) for row in expected]
    for one, other in zip(got, expected, strict=True):
        for name, entry in other.items():
            if isinstance(entry, list) and any(isinstance(item, float) for item in entry):
                # The shortest decimal that parses to the same 32 bits.
                assert same(np.float32(one[name]).tolist(), np.float32(entry).tolist()), (name, one["id"])
            else:
                assert one[name] == entry, (name, one["id"])


def of_webdataset(case, folder):
    paths = [folder] if folder.is_file() else ordered(folder, ".tar")
    samples = list(webdataset.WebDataset([str(path) for path in paths], shardshuffle=False, empty_check=False).decode())
    assert len(samples) == len(rows)
    lists = {field.name for field in own.schema if pa.types.is_list(field.type)}
    for sample, row in zip(samples, rows):
        assert sample["__key__"] == f"{row['shard']}/{row['row']:09}"
        names = own_columns(case)
        assert sample["json"] == {name: row[name] for name in names if name not in lists}
        for name in lists & set(names):
            array, expected = sample[f"{name}.npy"], row[name]
            if array.ndim == 2:
                # Alternatives of each token; those of an unscored one have the length of the others.
                nothing = [np.nan if array.dtype.kind == "f" else -1] * array.shape[1]
                expected = [nothing if item is None else item for item in expected]
                if not expected:
                    expected = np.empty(array.shape)
            elif array.dtype.kind == "f":
                expected = [np.nan if item is None else item for item in expected]
            np.testing.assert_array_equal(array, np.array(expected, array.dtype))
        kinds = {sample[f"{name}.npy"].dtype.str for name in lists & set(names)}
        assert kinds <= {"<i4", "<f4", "<f2", "|b1"}, kinds


def stems():
    """The names of the files, shard by shard."""
    names = [name.removesuffix(".arrow") for name in files(masks)]
    several = [name.rpartition(".")[0] for name in names if name.endswith(".00001")]
    names = [name.rpartition(".")[0] if name.rpartition(".")[0] in several else name for name in names]
    return list(dict.fromkeys(names))


def arrays(case, folder):
    expected = [(ids, [bool(weight) for weight in weights]) for ids, weights in documents(case)]
    got = list(ARRAYS[case["to"]](folder, stems()))
    assert got == expected, next((i, a, b) for i, (a, b) in enumerate(zip(got, expected)) if a != b)


targets = {
    **dict.fromkeys(ARRAYS, arrays),
    "labels": labels,
    "levanter": levanter,
    "torchtitan": torchtitan,
    "torchtune": torchtune,
    "parquet": parquet,
    "jsonl": jsonl,
    "webdataset": of_webdataset,
}


def read(to, folder):
    """All rows of a folder."""
    if to in ARRAYS:
        return [{"input_ids": ids, "mask": mask} for ids, mask in ARRAYS[to](folder, stems())]
    if to in ("labels", "torchtitan"):
        return datasets.load_from_disk(str(folder)).to_list()
    if to == "jsonl":
        return [json.loads(line) for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines()]
    if to == "webdataset":
        paths = [str(path) for path in folder.rglob("*.tar")]
        samples = webdataset.WebDataset(paths, shardshuffle=False).decode()
        return [{name.removesuffix(".npy"): np.array(entry).tolist() for name, entry in one.items()} for one in samples]
    return [row for path in folder.rglob("*.parquet") for row in pa.parquet.read_table(path).to_pylist()]


for case in cases:
    folder = pathlib.Path(case["folder"])
    try:
        if "rows" in case:
            got = [
                {name: one[name] for name in row} for row, one in zip(case["rows"], read(case["to"], folder), strict=True)
            ]
            assert got == case["rows"], got
            continue
        if folder.is_file() and case["to"] == "labels":
            table = stream(folder)
            assert table.to_pylist() == datasets.load_from_disk(case["same_as"]).to_list()
        else:
            targets[case["to"]](case, folder)
    except Exception as error:
        raise SystemExit(f"{case}: {type(error).__name__}: {error}") from error
print(len(cases))
