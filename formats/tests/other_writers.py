"""Writes the same documents with other writers into a folder. `other_writers.rs` has the same documents."""

import pathlib
import sys

import datasets
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.feather
import webdataset
import pyarrow.parquet as pq

folder = pathlib.Path(sys.argv[1])
COUNT = 1000

ids = [f"document {index}" for index in range(COUNT)]
# Some texts repeat, so that dictionaries pay off; some are long, so that there are many pages.
texts = [f"text {index % 7} é" * (index % 11) + ("x" * 5000 if index % 100 == 0 else "") for index in range(COUNT)]
tokens = [[(index * token) % 50_000 for token in range(index % 13)] for index in range(COUNT)]
numbers = list(range(COUNT))


def table(text=pa.string(), items=pa.int32(), lists=pa.list_):
    strings = pa.array(texts)
    text = strings.dictionary_encode() if text == "dictionary" else strings.cast(text)
    return pa.table(
        {
            "before": pa.array([{"a": [None, index], "b": "-"} for index in range(COUNT)]),
            "id": ids,
            "text": text,
            "number": pa.array(numbers, pa.uint16()),
            "input_ids": pa.array(tokens, lists(items)),
            "meta": pa.array([{"inner": {"text": text}} for text in texts]),
        }
    )


# Parquet: codecs, pages, types.
parquet = folder / "parquet"
parquet.mkdir()
for codec in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]:
    for version in ["1.0", "2.0"]:
        pq.write_table(
            table(),
            parquet / f"{codec}-{version}.parquet",
            compression=codec,
            data_page_version=version,
            row_group_size=300,
            data_page_size=2000,
            write_page_checksum=True,
        )
for name, kind in [
    ("large", pa.large_string()),
    ("view", pa.string_view()),
    ("binary", pa.binary()),
    ("dictionary", "dictionary"),
]:
    pq.write_table(table(kind), parquet / f"{name}.parquet")
for encoding in ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"]:
    pq.write_table(
        table(), parquet / f"{encoding}.parquet", use_dictionary=False, column_encoding={"text": encoding}
    )
for kind in ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]:
    small = [[token % 100 for token in row] for row in tokens] if kind.endswith("int8") else tokens
    if kind == "int16":
        small = [[token % 30_000 for token in row] for row in tokens]
    lists = pa.large_list if kind.startswith("u") else pa.list_
    pq.write_table(
        pa.table({"input_ids": pa.array(small, lists(getattr(pa, kind)()))}), parquet / f"tokens-{kind}.parquet"
    )
pq.write_table(
    pa.table(
        {
            "text": pa.array(["a", None, "", "b", b"\xff", None], pa.binary()),
            "input_ids": pa.array([[1], None, [], [2, None], [-1], [2**31]], pa.list_(pa.int64())),
            "id": pa.array([1, None, -3, 4, 5, 6]),
            "meta": [{"text": "x"}, {"text": None}, None, {"text": "y"}, None, None],
        }
    ),
    parquet / "nulls.parquet",
)

# Arrow: files and streams, compressed or not, batches small and large.
arrow = folder / "arrow"
arrow.mkdir()


def write_arrow(name, table, *, stream=False, codec=None, rows=300):
    options = pa.ipc.IpcWriteOptions(compression=codec)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(arrow / name), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)


for codec in [None, "lz4", "zstd"]:
    for stream in [False, True]:
        write_arrow(f"{'stream' if stream else 'file'}-{codec}.arrow", table(), stream=stream, codec=codec)
for name, kind in [
    ("large", pa.large_string()),
    ("view", pa.string_view()),
    ("binary", pa.binary()),
    ("dictionary", "dictionary"),
]:
    write_arrow(f"{name}.arrow", table(kind), codec="zstd")
    write_arrow(f"{name}.arrows", table(kind), stream=True)
write_arrow("large_list.arrow", table(lists=pa.large_list, items=pa.uint64()))
write_arrow("nulls.arrow", pq.read_table(parquet / "nulls.parquet"))
pyarrow.feather.write_feather(table(), arrow / "feather.feather")
pl.from_arrow(table()).write_ipc(arrow / "polars.arrow", compression="zstd")
fixed = pa.table({"input_ids": pa.array([[index, 1, 2] for index in range(COUNT)], pa.list_(pa.int16(), 3))})
write_arrow("fixed.arrow", fixed)

# Hugging Face.
part = datasets.Dataset.from_dict({"id": ids, "text": texts, "input_ids": tokens})
part.save_to_disk(folder / "dataset", num_shards=3)
half = COUNT // 2
splits = datasets.DatasetDict({"train": part.select(range(half)), "dev": part.select(range(half, COUNT))})
splits.save_to_disk(folder / "dataset-dict")

# WebDataset.
tars = folder / "tar"
tars.mkdir()
picture = np.zeros(10, np.uint8)
for name in ["text.tar", "text.tar.gz"]:
    with webdataset.TarWriter(str(tars / name)) as writer:
        for index in range(COUNT):
            writer.write({"__key__": ids[index].replace(" ", "/"), "npy": picture, "txt": texts[index]})
with webdataset.TarWriter(str(tars / "json.tar")) as writer:
    for index in range(COUNT):
        row = {"text": texts[index], "input_ids": tokens[index], "id": ids[index], "meta": {"inner": {"text": texts[index]}}, "number": index}
        writer.write({"__key__": f"{index:06}", "json": row})
with webdataset.ShardWriter(str(tars / "shard-%06d.tar"), maxcount=COUNT // 4) as writer:
    for index in range(COUNT):
        writer.write({"__key__": f"{index:06}", "txt": texts[index]})
