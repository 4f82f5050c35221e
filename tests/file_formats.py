"""Masks in the formats of `--format`, in the programs that read them.

file_formats.py open STREAMS FILES PARQUET: folders of the same masks in each format.
file_formats.py rewrite MASKS FOLDER: writes a file of masks again with other programs and options.
"""

import json
import pathlib
import sys

import datasets
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet as pq


def names(folder):
    return [str(folder / file["filename"]) for file in json.loads((folder / "state.json").read_text())["_data_files"]]


def stream(name):
    with pa.OSFile(name) as source, pa.ipc.open_stream(source) as opened:
        return opened.read_all()


def arrow_file(name):
    with pa.memory_map(name) as source, pa.ipc.open_file(source) as opened:
        return opened.read_all()


def same(table, expected):
    assert table.schema.equals(expected.schema, check_metadata=True), (table.schema, expected.schema)
    table.validate(full=True)
    # Not NaN, and no null that is none: Python's values are compared.
    assert table.to_pylist() == expected.to_pylist()


def lazily(frame, expected):
    """A lazy frame of polars: some rows and columns of it, and all."""
    assert isinstance(frame, pl.LazyFrame)
    some = frame.filter(pl.col("row") % 2 == 1).select("id", "token_hash", pl.col("input_ids").list.len().alias("tokens"))
    rows = [(r["id"], r["token_hash"], len(r["input_ids"])) for r in expected.to_pylist() if r["row"] % 2 == 1]
    assert some.collect().rows() == rows
    assert frame.collect().to_dicts() == pl.from_arrow(expected).to_dicts()


def opened(streams, files, parquet):
    tables = [stream(name) for name in names(streams)]
    expected = pa.concat_tables(tables)
    assert expected.num_rows > 50, expected.num_rows
    assert len(names(streams)) <= len(names(files)) and len(names(streams)) == len(names(parquet))
    for folder, read, kind, scan in [
        (files, arrow_file, "ipc", pl.scan_ipc),
        (parquet, pq.read_table, "parquet", pl.scan_parquet),
    ]:
        listed = names(folder)
        same(pa.concat_tables([read(name) for name in listed]), expected)
        # Lazily, by other programs; names sorted as the masks are listed.
        scanned = pa.dataset.dataset(listed, format=kind)
        assert scanned.schema.equals(expected.schema, check_metadata=True)
        same(scanned.to_table(), expected)
        some = scanned.to_table(columns=["row", "input_ids"], filter=pa.dataset.field("row") == 1)
        assert some.to_pylist() == [{"row": 1, "input_ids": r["input_ids"]} for r in expected.to_pylist() if r["row"] == 1]
        lazily(scan(listed), expected)
        assert set(json.loads(scanned.schema.metadata[b"rho_mask"])) >= {"selections", "context"}
    # Each batch of the stream is one of the file, and a row group.
    for name, same_rows in zip(names(streams), names(parquet)):
        with pa.OSFile(name) as source, pa.ipc.open_stream(source) as batches:
            rows = [batch.num_rows for batch in batches]
        metadata = pq.ParquetFile(same_rows).metadata
        assert rows == [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        codecs = {metadata.row_group(i).column(c).compression for i in range(len(rows)) for c in range(metadata.num_columns)}
        assert codecs <= {"ZSTD"}, codecs
    saved = datasets.load_from_disk(str(streams))
    assert saved.to_list() == expected.to_pylist()
    loaded = datasets.load_dataset("parquet", data_files=names(parquet), split="train")
    assert loaded.to_list() == expected.to_pylist()
    if "half" in streams.name:
        assert expected.schema.field("loss").type == pa.list_(pa.float16())
        assert any(name.endswith(".00001.arrow") for name in names(files))


def rewrite(masks, folder):
    folder.mkdir()
    table = stream(str(masks))
    to = lambda name: str(folder / name)
    for name, options in {
        "snappy": {},
        "groups": {"row_group_size": 7, "compression": "none"},
        "pages": {"data_page_size": 64, "compression": "gzip", "data_page_version": "2.0"},
        "brotli": {"compression": "brotli", "use_dictionary": False},
        "lz4": {"compression": "lz4", "use_dictionary": ["shard"]},
        "split": {"use_dictionary": False, "use_byte_stream_split": ["loss.list.element"]},
        "delta": {
            "use_dictionary": False,
            "column_encoding": {
                "id": "DELTA_BYTE_ARRAY",
                "text": "DELTA_LENGTH_BYTE_ARRAY",
                "row": "DELTA_BINARY_PACKED",
                "input_ids.list.element": "DELTA_BINARY_PACKED",
            },
        },
        "checksums": {"write_page_checksum": True, "write_page_index": True},
        "old": {"version": "1.0", "use_compliant_nested_type": False},
    }.items():
        pq.write_table(table, to(f"{name}.parquet"), **options)
    frame = pl.from_arrow(table)
    metadata = {"rho_mask": table.schema.metadata[b"rho_mask"].decode()}
    frame.write_parquet(to("polars.parquet"), metadata=metadata, row_group_size=50)
    for name, options in {"plain": {}, "zstd": {"compression": "zstd"}}.items():
        with pa.ipc.new_file(to(f"{name}.arrow"), table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
            writer.write_table(table, max_chunksize=11)
    pyarrow.feather.write_feather(table, to("feather"), compression="uncompressed")


if sys.argv[1] == "open":
    opened(*map(pathlib.Path, sys.argv[2:]))
else:
    rewrite(*map(pathlib.Path, sys.argv[2:]))
