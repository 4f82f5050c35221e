"""Seeds in Arrow's formats: files, streams, and masks."""

import io
import json
import struct

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import xxhash

import seeds_parquet

TEXTS = seeds_parquet.TEXTS
ROWS = len(TEXTS)


def write(table, new=pa.ipc.new_stream, **options):
    sink = pa.BufferOutputStream()
    with new(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in table.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def tables():
    one = {
        "string": pa.array(TEXTS),
        "large": pa.array(TEXTS, pa.large_string()),
        "view": pa.array(TEXTS, pa.string_view()),
        "binary": pa.array([b"\xff", b"a", None]),
        "dictionary": pa.array(TEXTS).dictionary_encode(),
        "dictionary-view": pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.uint8()), pa.array(["a", "b" * 20], pa.string_view())),
        "null": pa.nulls(3),
        "boolean": pa.array([True, None]),
        "list": pa.array([[1], [], None, [2, 3]]),
        "large-list": pa.array([[1], []], pa.large_list(pa.int64())),
        "fixed-list": pa.array([[1, 2], None], pa.list_(pa.uint8(), 2)),
        "list-view": pa.array([[1], []], pa.list_view(pa.int32())),
        "lists": pa.array([[[1]], []]),
        "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())),
        "union": pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array(["a", "b"]), pa.array([1, 2])]),
        "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"])),
        "fixed": pa.array([b"ab", None], pa.binary(2)),
    }
    found = {name: pa.table({"text": column, "input_ids": column}) for name, column in one.items()}
    found["ids"] = pa.table({"id": pa.array([1, None], pa.uint64()), "text": ["a", "b"], "input_ids": [[1], [None]]})
    found["structs"] = pa.table({"meta": pa.array([{"inner": {"text": text}} for text in TEXTS] + [None]), "number": range(ROWS + 1)})
    found["nested"] = seeds_parquet.conversations()
    found["nested-large"] = seeds_parquet.conversations(pa.large_string(), pa.large_list)
    found["nested-views"] = seeds_parquet.conversations(pa.string_view())
    for name, column in {
        "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())),
        "maps": pa.array([[[("a", 1), ("b", None)]], [[]]], pa.list_(pa.map_(pa.string(), pa.int32()))),
        "floats": pa.array([[1.5, float("nan")], [None]]),
        "lists": pa.array([[[1], [2]], [None]], pa.list_(pa.list_(pa.int8(), 1))),
        "null": pa.nulls(2),
        "nulls": pa.array([[None], []], pa.list_(pa.null())),
        "json": pa.array(['[{"role":"user"}]', "["]),
        "dictionary": pa.array([["a", "b", "a"], [None]]).cast(pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        "empty": pa.array([[{}, None], []], pa.list_(pa.struct([]))),
    }.items():
        found[f"nested-{name}"] = pa.table({"messages": column, "tools": column})
    found["no-rows"] = pa.table({"text": pa.array([], pa.string())})
    found["no-columns"] = pa.table({})
    return found


def nested(new):
    whole = write(seeds_parquet.conversations().select(["messages", "targets"]), new)
    return {f"nested-{name}": data for name, data in damaged(whole).items()}


def damaged(data):
    found = {"cut": data[: len(data) // 2], "cut-message": data[:60], "no-end": data[:-8], "after-the-end": data + b"rubbish"}
    # Numbers anywhere in the messages: most are lengths, offsets and counts.
    places = [at for at in range(16, len(data) - 8, 4) if 0 < struct.unpack_from("<i", data, at)[0] < 4096]
    for lie in [-1, 0x7FFFFFFF]:
        for at in places[:: max(1, len(places) // 7)]:
            found[f"number-{at}-{lie & 0xFF:x}"] = data[:at] + struct.pack("<i", lie) + data[at + 4 :]
    return found


def arrow_streams():
    found = {name: write(table) for name, table in tables().items()}
    text = pa.table({"text": TEXTS, "id": [str(index) for index in range(ROWS)]})
    repeated = pa.table({"text": ["again and again " * 10] * 8, "input_ids": [[7] * 40] * 8})
    for codec in ["zstd", "lz4"]:
        found[f"compressed-{codec}"] = write(repeated, compression=codec)
        bomb = write(pa.table({"text": ["a" * (2 << 20)]}), compression=codec)
        if len(bomb) < 4000:
            found[f"bomb-{codec}"] = bomb
    found["old"] = write(text, metadata_version=pa.ipc.MetadataVersion.V4)
    found["very-old"] = write(text, use_legacy_format=True)
    sink, schema = pa.BufferOutputStream(), pa.schema({"text": pa.dictionary(pa.int8(), pa.string())})
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)) as writer:
        for values in (["a"], ["a", "b"], ["c"]):
            column = pa.DictionaryArray.from_arrays(pa.array(range(len(values)), pa.int8()), pa.array(values))
            writer.write_batch(pa.record_batch([column], schema=schema))
    found["deltas"] = sink.getvalue().to_pybytes()
    found |= nested(pa.ipc.new_stream)
    deep = pa.string()
    for _ in range(20):
        deep = pa.struct({"text": deep})
    found["deep"] = write(pa.table({"text": pa.array([None], deep)}))
    found |= damaged(write(pa.table({"text": ["a", "b"], "input_ids": [[1], [2]]})))
    found["dictionary-out-of-range"] = found["deltas"].replace(b"\0\1", b"\0\x7f")
    found["message-claims"] = b"\xff" * 4 + b"\xff\xff\xff\x0f" + bytes(100)
    found["message-negative"] = b"\xff" * 8 + bytes(100)
    found["end-mark-only"] = b"\xff" * 4 + bytes(4)
    # Batches that claim rows and bodies they do not have.
    found |= claims(write(pa.table({"other": pa.nulls(3)})), 3)
    return found


def claims(data, rows):
    """Batches with wrong numbers of rows and wrong body lengths."""
    found = {}
    at = [at for at in range(0, len(data) - 8, 8) if struct.unpack_from("<q", data, at)[0] == rows]
    for name, lie in {"negative": -1, "million": 1 << 20, "huge": 2**62}.items():
        lying = bytearray(data)
        for place in at:
            struct.pack_into("<q", lying, place, lie)
        found[f"rows-{name}"] = bytes(lying)
    return found


def arrow_files():
    found = {name: write(table, pa.ipc.new_file) for name, table in tables().items()}
    for codec in ["uncompressed", "zstd", "lz4"]:
        sink = pa.BufferOutputStream()
        pyarrow.feather.write_feather(pa.table({"text": ["again " * 30] * 5}), sink, compression=codec)
        found[f"feather-{codec}"] = sink.getvalue().to_pybytes()
    for codec in ["uncompressed", "zstd", "lz4"]:
        import io

        out = io.BytesIO()
        pl.DataFrame({"text": ["a", "b" * 20], "input_ids": [[1], [2, 3]]}).write_ipc(out, compression=codec)
        found[f"polars-{codec}"] = out.getvalue()
    whole = write(pa.table({"text": ["a", "b"], "input_ids": [[1], [2]]}), pa.ipc.new_file)
    found |= damaged(whole) | nested(pa.ipc.new_file)
    for name, lie in {"zero": 0, "more": len(whole), "huge": 2**32 - 1, "one-less": 1}.items():
        found[f"footer-length-{name}"] = whole[:-10] + struct.pack("<I", lie) + whole[-6:]
    found |= claims(write(pa.table({"other": pa.nulls(3)}), pa.ipc.new_file), 3)
    # A batch with a wrong offset in the footer.
    footer = len(whole) - 10 - struct.unpack("<I", whole[-10:-6])[0]
    for name, lie in {"negative": -8, "footer": footer, "end": len(whole), "start": 0}.items():
        lying = bytearray(whole)
        for at in range(footer, len(whole) - 10, 4):
            if 0 < struct.unpack_from("<q", whole, at)[0] < footer and at % 8 == footer % 8:
                struct.pack_into("<q", lying, at, lie)
        found[f"block-{name}"] = bytes(lying)
    return found


def mask_table(rows, scores=pa.float32(), text=False):
    def hashed(ids):
        packed = b"".join(struct.pack("<i", token) for token in ids)
        return struct.unpack("<q", struct.pack("<Q", xxhash.xxh3_64_intdigest(packed)))[0]

    ids = [[index, 7, 8][: index % 4] for index in range(rows)]
    columns = {
        "id": pa.array([str(index) for index in range(rows)]),
        "shard": pa.array(["a"] * rows),
        "row": pa.array(range(rows), pa.int64()),
        "token_hash": pa.array(map(hashed, ids), pa.int64()),
        "input_ids": pa.array(ids, pa.list_(pa.field("item", pa.int32()))),
        "loss": pa.array([[None, 1.5, 2][: len(tokens)] for tokens in ids], pa.list_(pa.field("item", scores))),
        "mask_loss": pa.array([[True] * len(tokens) for tokens in ids], pa.list_(pa.field("item", pa.bool_()))),
    }
    if text:
        columns["text"] = pa.array(["text"] * rows)
    metadata = {"rho_mask": json.dumps({"format": 1})}
    return pa.table(columns).replace_schema_metadata(metadata)


def with_top(table, widths=(2, 2), scores=pa.float32(), null=0):
    """Adds the most likely tokens: a list of a fixed length for each token; those of the token `null` are null."""

    def column(name, width, items, value):
        lists = [[None if i == 0 else [value] * width for i in range(len(ids))] for ids in table["input_ids"].to_pylist()]
        if name == "top_logprobs" and null and len(lists[2]) > null:
            lists[2][null] = None
        kind = pa.list_(pa.field("item", pa.list_(pa.field("item", items), width)))
        return pa.field(name, kind), pa.array(lists, kind)

    for name, width, items, value in [("top_ids", widths[0], pa.int32(), 9), ("top_logprobs", widths[1], scores, -0.5)]:
        if width is not None:
            table = table.append_column(*column(name, width, items, value))
    return table


def top():
    plain = mask_table(3)
    whole = write(with_top(plain))
    found = {
        "whole": whole,
        "half": write(with_top(mask_table(2, pa.float16()), scores=pa.float16()), compression="zstd"),
        "only-ids": write(with_top(plain, (2, None))),
        "other-widths": write(with_top(plain, (2, 3))),
        "other-nulls": write(with_top(plain, null=1)),
        "wide": write(with_top(plain, (129, 129))),
        "parquet": parquet(with_top(plain), use_dictionary=False, compression="none"),
    }
    return {f"top-{name}": content for name, content in (found | damaged(whole)).items()}


def masks():
    plain = mask_table(3)
    found = {
        "plain": write(plain),
        "zstd": write(mask_table(12), compression="zstd"),
        "lz4": write(plain, compression="lz4"),
        "no-rows": write(mask_table(0)),
        "file": write(pa.table({"id": ["a"]}), pa.ipc.new_file),
        "other-columns": write(pa.table({"id": ["a"]}).replace_schema_metadata({"rho_mask": "{}"})),
        "no-metadata": write(pa.table({"id": ["a"]})),
        "deep-metadata": write(pa.table({"id": ["a"]}).replace_schema_metadata({"rho_mask": "[" * 2000})),
        "wrong-hash": write(plain.set_column(3, "token_hash", pa.array([0, 0, 0], pa.int64()))),
        "nulls": write(plain.set_column(0, "id", pa.nulls(3, pa.string()))),
        "negative-token": write(plain.set_column(4, "input_ids", pa.array([[-1]] * 3, pa.list_(pa.int32())))),
        "null-in-mask": write(plain.set_column(6, "mask_loss", pa.array([[], [None], [None, True]]))),
        "lengths": write(plain.set_column(6, "mask_loss", pa.array([[True]] * 3))),
        "dictionary": write(plain.set_column(0, "id", pa.array(["a"] * 3).dictionary_encode())),
    }
    small = {name: write(mask_table(2, kind, text)) for name, kind, text in [("half", pa.float16(), False), ("text", pa.float32(), True)]}
    found |= small | damaged(small["half"])
    packed = found["zstd"]
    frame = b"\x28\xb5\x2f\xfd"
    at = packed.find(frame)
    for name, lie in {"negative": -2, "huge": 2**62, "four-gigabytes": (1 << 32) - 1, "short": 1, "none": 0}.items():
        if at > 0:
            found[f"zstd-{name}"] = packed[: at - 8] + struct.pack("<q", lie) + packed[at:]
    return found | mask_files(plain) | top()


def mask_files(plain):
    """The same masks as Arrow files and Parquet, whole and damaged."""
    whole = write(plain, pa.ipc.new_file)
    found = {
        "arrow-file": whole,
        "arrow-file-zstd": write(mask_table(2), pa.ipc.new_file, compression="zstd"),
        "arrow-file-no-footer": whole[: whole.index(b"\xff\xff\xff\xff\0\0\0\0") + 8],
        "arrow-file-long-footer": whole[:-10] + struct.pack("<i", 2**31 - 1) + whole[-6:],
        "arrow-file-negative-footer": whole[:-10] + struct.pack("<i", -1) + whole[-6:],
        "arrow-file-padded": whole[:8] + bytes(56) + whole[8:],
    }
    for name, options in {
        "plain": {"use_dictionary": False},
        "dictionary": {"compression": "zstd"},
        "delta": {
            "use_dictionary": False,
            "column_encoding": {"id": "DELTA_BYTE_ARRAY", "shard": "DELTA_LENGTH_BYTE_ARRAY", "row": "DELTA_BINARY_PACKED"},
        },
        "version-2": {"data_page_version": "2.0", "compression": "gzip"},
        "no-schema": {"store_schema": False, "compression": "none", "row_group_size": 2},
        "split": {"use_dictionary": ["loss.list.element"], "column_encoding": {"row": "BYTE_STREAM_SPLIT"}},
    }.items():
        found[f"parquet-{name}"] = parquet(plain, **options)
    half = parquet(mask_table(2, pa.float16()), use_dictionary=False, compression="none")
    return found | {"parquet-half": half} | {f"parquet-{name}": cut for name, cut in damaged(half).items()}


def parquet(table, **options):
    to = io.BytesIO()
    pq.write_table(table, to, **options)
    return to.getvalue()
