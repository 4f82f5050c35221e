"""Parquet seeds: files of every codec, encoding and shape, and the classes of hostile files that other fuzzers are
known to have found, made by editing the headers of valid files."""

import io
import struct

import pyarrow as pa
import pyarrow.parquet as pq

import thrift
from thrift import BINARY, FALSE, I32, I64, LIST, STRUCT, Reader, get, put

ROWS = 6
TEXTS = ["first", "second é", None, "first", "", "x" * 40]


def table(text=pa.string(), items=pa.int32()):
    return pa.table(
        {
            "id": [f"d{index}" for index in range(ROWS)],
            "text": pa.array(TEXTS).cast(text),
            "number": pa.array(range(ROWS), pa.uint16()),
            "input_ids": pa.array([[1, 2], [], None, [3], [None], [4, 5, 6]], pa.list_(items)),
            "meta": pa.array([{"inner": {"text": text}} for text in TEXTS]),
        }
    )


def write(what, **options):
    out = io.BytesIO()
    options = {"compression": "none", "store_schema": False, "write_statistics": False, **options}
    pq.write_table(what, out, **options)
    return out.getvalue()


class File:
    """The parts of a file: the footer, and the pages of each column as `[header, data]`."""

    def __init__(self, data):
        length = struct.unpack("<I", data[-8:-4])[0]
        self.footer = Reader(data[-8 - length : -8]).struct()
        self.pages = []
        for group in get(self.footer, 4)[1]:
            for chunk in get(group, 1)[1]:
                meta = get(chunk, 3)
                start = next((what for number, _, what in meta if number == 11), get(meta, 9))
                reader, pages = Reader(data, start), []
                while reader.at < start + get(meta, 7):
                    header = reader.struct()
                    pages.append([header, reader.take(get(header, 3))])
                self.pages.append((chunk, pages))

    def join(self, fix=True):
        out = bytearray(b"PAR1")
        for chunk, pages in self.pages:
            start = len(out)
            for header, data in pages:
                if fix:
                    first_data = get(header, 1) != 2
                    if first_data and all(get(other, 1) == 2 for other, _ in pages[: pages.index([header, data])]):
                        put(chunk, (3, 9), len(out), I64)
                out += thrift.struct(header) + data
            if fix:
                put(chunk, (3, 7), len(out) - start, I64)
                if get(pages[0][0], 1) == 2:
                    put(chunk, (3, 11), start, I64)
        footer = thrift.struct(self.footer)
        return bytes(out) + footer + struct.pack("<I", len(footer)) + b"PAR1"


def texts(**options):
    return File(write(pa.table({"text": TEXTS}), **options))


def lists(**options):
    return File(write(pa.table({"input_ids": [[1, 2], [], [3], [4, 5, 6]]}), **options))


DICTIONARY, PLAIN = {}, {"use_dictionary": False}
NEW = {"use_dictionary": False, "data_page_version": "2.0"}


def whole():
    found = {}
    for codec in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]:
        for version in ["1.0", "2.0"]:
            found[f"{codec}-{version}"] = write(table(), compression=codec, data_page_version=version)
    for encoding in ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"]:
        columns = {"text": encoding, "id": encoding}
        found[f"text-{encoding}"] = write(table(), use_dictionary=False, column_encoding=columns)
    for encoding in ["DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT", "PLAIN"]:
        for items in [pa.int32(), pa.int64()]:
            lists = pa.table({"input_ids": pa.array([[1, 2], [], [3] * 40], pa.list_(items))})
            columns = {"input_ids.list.element": encoding}
            options = {"use_dictionary": False, "column_encoding": columns}
            found[f"items-{items}-{encoding}"] = write(lists, **options)
    for kind in [pa.large_string(), pa.binary(), pa.string_view()]:
        found[f"type-{kind}"] = write(pa.table({"text": pa.array(TEXTS).cast(kind)}))
    for kind in [pa.uint8(), pa.int16(), pa.uint64()]:
        found[f"items-{kind}"] = write(pa.table({"input_ids": pa.array([[1, 255], []], pa.list_(kind))}))
    for name, column in {
        "null": pa.nulls(3),
        "boolean": pa.array([True, None, False]),
        "double": pa.array([1.5, None]),
        "fixed": pa.array([b"abcd", None], pa.binary(4)),
        "time": pa.array([1, None], pa.timestamp("ns")),
        "decimal": pa.array([1, None], pa.decimal128(30, 2)),
        "list": pa.array([["a"], []]),
        "lists": pa.array([[[1], []], [], None], pa.list_(pa.list_(pa.int32()))),
        "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())),
        "dictionary": pa.array(TEXTS).dictionary_encode(),
    }.items():
        found[f"column-{name}"] = write(pa.table({"text": column, "input_ids": column}))
    found["groups"] = write(pa.table({"text": TEXTS}), row_group_size=2)
    found["pages"] = write(pa.table({"text": ["y" * 30] * 40}), data_page_size=100, write_batch_size=3, use_dictionary=False)
    found["statistics"] = write(pa.table({"text": TEXTS}), write_statistics=True, write_page_index=True)
    found["checksums"] = write(pa.table({"text": TEXTS}), write_page_checksum=True)
    found["arrow-schema"] = write(pa.table({"text": TEXTS}), store_schema=True)
    found["no-rows"] = write(pa.table({"text": pa.array([], pa.string())}))
    found["no-columns"] = write(pa.table({}))
    return found


CONVERSATIONS = {
    "messages": [
        [{"role": "user", "content": "é", "calls": None}, {"role": "assistant", "content": None, "calls": [{"name": "f", "n": 1}, None]}],
        [],
        None,
        [None, {"role": "user", "content": "x" * 40, "calls": []}],
    ],
    "tools": [[{"name": "f"}], None, [], [{"name": None}]],
    "targets": [[True, False], [], None, [None]],
    "spans": [[[0, 1]], [[1, 0]], None, []],
    "text": ["ab", "c", None, ""],
    "input_ids": [[5, 6], [], [7], [8]],
}


def conversations(string=pa.string(), lists=pa.list_):
    call = pa.struct([("name", string), ("n", pa.int64())])
    types = {
        "messages": lists(pa.struct([("role", string), ("content", string), ("calls", lists(call))])),
        "tools": lists(pa.struct([("name", string)])),
        "targets": lists(pa.bool_()),
        "spans": lists(lists(pa.int32())),
        "text": string,
        "input_ids": lists(pa.int32()),
    }
    return pa.table({name: pa.array(rows, types[name]) for name, rows in CONVERSATIONS.items()})


def nested():
    found = {}
    for name, options in {"1": DICTIONARY, "plain": PLAIN, "2": NEW}.items():
        found[f"nested-{name}"] = write(conversations(), **options)
        found[f"nested-large-{name}"] = write(conversations(pa.large_string(), pa.large_list), row_group_size=2, **options)
    leaves = [f"messages.list.element.{name}" for name in ["role", "content", "calls.list.element.name"]]
    found["nested-shared"] = write(conversations(), use_dictionary=False, column_encoding=dict.fromkeys(leaves, "DELTA_BYTE_ARRAY"))
    found["nested-older"] = write(conversations(), use_compliant_nested_type=False)
    found["nested-pages"] = write(conversations(), data_page_size=1, write_batch_size=1, use_dictionary=False)
    for name, column in {
        "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())),
        "maps": pa.array([[[("a", 1), ("b", None)]], [[]]], pa.list_(pa.map_(pa.string(), pa.int32()))),
        "times": pa.array([[1, None], []], pa.list_(pa.timestamp("ns"))),
        "floats": pa.array([[1.5, float("nan")], [None]]),
        "lists": pa.array([[[[1]], []], [None]], pa.list_(pa.list_(pa.list_(pa.int8())))),
        "json": pa.array(['[{"role":"user"}]', "[", None]),
        "binary": pa.array([[b"\xff"], [b"a"]]),
        "structs": pa.array([[{"a": {"b": {"c": None}}}], [{"a": None}]], pa.list_(pa.struct([("a", pa.struct([("b", pa.struct([("c", pa.int8())]))]))]))),
    }.items():
        found[f"nested-{name}"] = write(pa.table({"messages": column, "tools": column}))
    # The leaves disagree: the pages of one are those of another.
    data = found["nested-plain"]
    for one, other in [(0, 1), (0, 2), (2, 3), (3, 1), (4, 0)]:
        file = File(data)
        file.pages[one][1][:] = File(data).pages[other][1]
        found[f"nested-{one}-as-{other}"] = file.join()
    # One row with as many entries as a run can say, with values and without.
    for name, count in {"many": 1 << 20, "huge": 2**31 - 1}.items():
        for column, width in [(0, 1), (2, 1)]:
            for level in [0, 7]:
                file = File(data)
                header, page = file.pages[column][1][0]
                run = bytearray()
                left = count << 1
                while left > 0x7F:
                    run.append(left & 0x7F | 0x80)
                    left >>= 7
                run.append(left)
                levels = b"".join(struct.pack("<I", len(part)) + part for part in [bytes(run) + b"\1", bytes(run) + bytes([level])])
                file.pages[column][1][0][1] = levels + page
                put(header, (5, 1), count)
                put(header, (2,), len(levels + page))
                put(header, (3,), len(levels + page))
                found[f"nested-run-{name}-{column}-{level}"] = file.join()
    # Levels that are none: the bytes of the levels of one leaf, one after the other.
    for column in range(4):
        for at in range(4, 14):
            file = File(data)
            header, page = file.pages[column][1][0]
            if at < len(page):
                file.pages[column][1][0][1] = page[:at] + bytes([page[at] ^ 0x55]) + page[at + 1 :]
                found[f"nested-levels-{column}-{at}"] = file.join()
    return found


def footers():
    data = texts().join()
    length = struct.pack("<I", struct.unpack("<I", data[-8:-4])[0])
    found = {
        "magic-only": b"PAR1PAR1",
        "magic-length": b"PAR1\0\0\0\0PAR1",
        "encrypted": data[:-4] + b"PARE",
        "no-end": data[:-4],
        "cut": data[: len(data) // 2],
    }
    for name, lie in {"zero": 0, "more": len(data), "huge": 2**32 - 1, "high": 2**31, "one-less": length[0] - 1}.items():
        found[f"footer-length-{name}"] = data[:-8] + struct.pack("<I", lie) + data[-4:]

    def footer(name, change):
        file = texts()
        change(file.footer)
        found[name] = file.join()

    def raw(name, tree):
        out = tree if isinstance(tree, bytes) else thrift.struct(tree)
        found[name] = b"PAR1" + out + struct.pack("<I", len(out)) + b"PAR1"

    for name, count in {"negative": -1, "huge": 2**62, "million": 1 << 20}.items():
        footer(f"rows-{name}", lambda tree: (put(tree, (3,), count), put(tree, (4, 0, 3), count)))
        footer(f"group-rows-{name}", lambda tree: put(tree, (4, 0, 3), count))
        footer(f"column-values-{name}", lambda tree: put(tree, (4, 0, 1, 0, 3, 5), count))
    for name, place in {"negative": -5, "footer": len(data) - 40, "end": len(data), "huge": 2**62, "zero": 0}.items():
        for field, what in {9: "data", 11: "dictionary", 7: "size", 6: "plain-size"}.items():
            file = texts()
            file.join()
            put(file.footer, (4, 0, 1, 0, 3, field), place, I64)
            found[f"{what}-offset-{name}"] = file.join(fix=False)
    for codec in [1, 2, 3, 4, 5, 6, 7, 8, -1, 99]:
        footer(f"codec-{codec}", lambda tree: put(tree, (4, 0, 1, 0, 3, 4), codec))
    for kind in [0, 1, 2, 3, 4, 5, 7, 8, -1]:
        footer(f"physical-{kind}", lambda tree: (put(tree, (2, 1, 1), kind), put(tree, (4, 0, 1, 0, 3, 1), kind)))
    for repetition in [0, 2, 3, -1]:
        footer(f"repetition-{repetition}", lambda tree: put(tree, (2, 1, 3), repetition))
    for name, count in {"none": 0, "two": 2, "huge": 2**31 - 1, "negative": -1}.items():
        footer(f"children-{name}", lambda tree: put(tree, (2, 0, 5), count))
        footer(f"leaf-children-{name}", lambda tree: put(tree, (2, 1, 5), count, I32))
    footer("columns-twice", lambda tree: get(tree, 4, 0, 1)[1].append(get(tree, 4, 0, 1, 0)))
    footer("columns-none", lambda tree: get(tree, 4, 0, 1)[1].clear())
    footer("other-file", lambda tree: put(tree, (4, 0, 1, 0, 1), b"../../elsewhere", BINARY))
    footer("group-type-length", lambda tree: put(tree, (2, 1, 2), -7, I32))
    footer("names-not-utf8", lambda tree: put(tree, (2, 1, 4), b"\xff\xfe"))
    footer("no-schema", lambda tree: tree.remove(next(field for field in tree if field[0] == 2)))
    footer("schema-twice", lambda tree: tree.insert(2, list(tree[1])))
    for name, statistics in {
        "empty": [],
        "short": [[1, BINARY, b"\1"], [2, BINARY, b""], [3, I64, -1], [5, BINARY, b"z"], [6, BINARY, b"a"]],
        "long": [[5, BINARY, b"\xff" * 500], [6, BINARY, b"\0" * 500], [3, I64, 2**62], [4, I64, -(2**62)]],
    }.items():
        footer(f"statistics-{name}", lambda tree: put(tree, (4, 0, 1, 0, 3, 12), statistics, STRUCT))

    # A schema of nested groups; 8 bytes each are enough for any depth.
    def group(children):
        return [[3, I32, 0], [4, BINARY, b"g"], [5, I32, children]]

    leaf = [[1, I32, 6], [3, I32, 0], [4, BINARY, b"l"]]
    root = [[4, BINARY, b"r"], [5, I32, 1]]

    def schema(name, elements):
        raw(name, [[1, I32, 2], [2, LIST, (STRUCT, elements)], [3, I64, 0], [4, LIST, (STRUCT, [])]])

    schema("schema-deep", [root] + [group(1)] * 500 + [leaf])
    schema("schema-deep-cut", [root] + [group(1)] * 500)
    schema("schema-recursive", [root] + [group(2**31 - 1)] * 20)
    schema("schema-repeated", [root] + [[[3, I32, 2], [4, BINARY, b"g"], [5, I32, 1]]] * 300 + [leaf])
    schema("schema-wide", [[[4, BINARY, b"r"], [5, I32, 200]]] + [leaf] * 200)
    # Nested structs, nested lists, and lists that claim missing items.
    raw("thrift-structs", b"\x1c" * 3000)
    raw("thrift-lists", b"\x19" + b"\x19" * 3000)
    raw("thrift-unknown-structs", b"\x15\x04" + b"\xfc" + b"\x1c" * 2000)
    raw("thrift-list-claims", b"\x15\x04\x19\xfc\xff\xff\xff\xff\x07")
    raw("thrift-groups-claim", thrift.struct(texts().footer).replace(b"\x19\x1c\x19\x1c", b"\x19\xfc\xff\xff\xff\x7f\x19\x1c", 1))
    raw("thrift-empty-structs", b"\x15\x04\x19\xfc\xa0\x1f" + b"\0" * 4000)
    raw("thrift-long-integer", b"\x15" + b"\xff" * 100)
    raw("thrift-binary-claims", b"\x15\x04\x19\x1c\x48\xff\xff\xff\xff\x0f")
    raw("thrift-map", b"\x1b\xff\xff\xff\xff\x07\xbb" + b"\1\xbb" * 300)
    return found


def pages():
    found = {}

    def page(name, file, change, at=0, column=0):
        pages = file.pages[column][1]
        header, data = pages[at]
        new = change(header, data)
        pages[at][1] = data if new is None else new
        found[name] = file.join()

    lies = {"negative": -1, "none": 0, "one-more": ROWS + 1, "many": 1 << 20, "huge": 2**31 - 1}
    for name, lie in lies.items():
        page(f"values-{name}", texts(**PLAIN), lambda header, data: put(header, (5, 1), lie))
        page(f"values-v2-{name}", texts(**NEW), lambda header, data: put(header, (8, 1), lie))
        page(f"nulls-v2-{name}", texts(**NEW), lambda header, data: put(header, (8, 2), lie))
        page(f"rows-v2-{name}", texts(**NEW), lambda header, data: put(header, (8, 3), lie))
        page(f"definition-v2-{name}", texts(**NEW), lambda header, data: put(header, (8, 5), lie))
        page(f"repetition-v2-{name}", lists(**NEW), lambda header, data: put(header, (8, 6), lie))
        page(f"dictionary-values-{name}", texts(), lambda header, data: put(header, (7, 1), lie))
        page(f"plain-size-{name}", texts(), lambda header, data: put(header, (2,), lie), 1)
        for codec in ["snappy", "gzip", "zstd", "lz4", "brotli"]:
            if name in ("none", "many"):
                page(f"{codec}-size-{name}", texts(compression=codec), lambda header, data: put(header, (2,), lie), 1)
        file = texts()
        file.join()
        put(file.pages[0][1][1][0], (3,), lie)
        found[f"page-size-{name}"] = file.join(fix=False)
    page("zero-size", texts(**PLAIN), lambda header, data: (put(header, (2,), 0), put(header, (3,), 0), b"")[2])
    both = [2**31 - 1, 2**31 - 1]
    page("levels-v2-overflow", texts(**NEW), lambda header, data: [put(header, (8, 5 + at), much) for at, much in enumerate(both)] and data)
    page("type-index", texts(), lambda header, data: put(header, (1,), 1), 1)
    page("type-dictionary", texts(), lambda header, data: put(header, (1,), 2), 1)
    page("type-data", texts(), lambda header, data: put(header, (1,), 0))
    page("type-unknown", texts(), lambda header, data: put(header, (1,), 77), 1)
    for encoding in [1, 2, 3, 4, 5, 6, 7, 8, 9, 77, -1]:
        page(f"encoding-{encoding}", texts(**PLAIN), lambda header, data: put(header, (5, 2), encoding))
        page(f"encoding-lists-{encoding}", lists(**PLAIN), lambda header, data: put(header, (5, 2), encoding))
        page(f"level-encoding-{encoding}", texts(**PLAIN), lambda header, data: put(header, (5, 3), encoding))
    page("dictionary-encoding", texts(), lambda header, data: put(header, (7, 2), 7))
    page("dictionary-empty", texts(), lambda header, data: (put(header, (7, 1), 0), put(header, (2,), 0), put(header, (3,), 0), b"")[3])
    no_dictionary = texts()
    del no_dictionary.pages[0][1][0]
    found["dictionary-missing"] = no_dictionary.join()
    twice = texts()
    twice.pages[0][1].insert(1, twice.pages[0][1][0])
    found["dictionary-twice"] = twice.join()

    # Page contents. Levels of a version 1 page: their length in 4 bytes, then runs.
    def content(name, file, new, at=0):
        def change(header, data):
            out = new(data)
            put(header, (2,), len(out))
            put(header, (3,), len(out))
            return out

        page(name, file, change, at)

    many = b"\xff\xff\xff\xff\x0f"
    content("index-out-of-range", texts(), lambda data: data[:-2] + b"\xff\xff", 1)
    content("index-width", texts(), lambda data: data[:6] + b"\xff" + data[7:], 1)
    content("index-width-0", texts(), lambda data: data[:6] + b"\0" + data[7:], 1)
    content("level-length", texts(**PLAIN), lambda data: b"\xff\xff\xff\x7f" + data[4:])
    content("level-length-negative", texts(**PLAIN), lambda data: b"\xff\xff\xff\xff" + data[4:])
    content("level-run", texts(**PLAIN), lambda data: b"\6\0\0\0" + many + b"\1" + data[6:])
    content("level-groups", texts(**PLAIN), lambda data: b"\6\0\0\0\xff\xff\xff\xff\x0f\1" + data[6:])
    content("level-run-0", texts(**PLAIN), lambda data: b"\2\0\0\0\0\1" + data[6:])
    content("level-too-high", texts(**PLAIN), lambda data: b"\2\0\0\0\x0c\7" + data[6:])
    content("repetition-starts-inside", lists(**PLAIN), lambda data: b"\2\0\0\0\x0e\1" + data[6:])
    content("repetition-all", lists(**PLAIN), lambda data: b"\2\0\0\0\x0e\1\2\0\0\0\x0e\3" + bytes(28))
    content("repetition-too-high", lists(**PLAIN), lambda data: b"\2\0\0\0\x0e\5" + data[6:])
    content("definition-too-high", lists(**PLAIN), lambda data: b"\2\0\0\0\x0e\0\2\0\0\0\x0e\3" + bytes(8))
    content("length-of-text", texts(**PLAIN), lambda data: data[:6] + b"\xff\xff\xff\x7f" + data[10:])
    content("length-of-text-negative", texts(**PLAIN), lambda data: data[:6] + b"\xff\xff\xff\xff" + data[10:])
    content("cut-texts", texts(**PLAIN), lambda data: data[:-20])
    for encoding in ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"]:
        options = {"use_dictionary": False, "column_encoding": {"text": encoding}}
        # The header of a delta block: values per block, miniblocks per block, values in total, the first value.
        for name, head in {
            "block-0": b"\0\4\6\0",
            "miniblocks-0": b"\x80\1\0\6\0",
            "miniblocks-many": b"\x80\1" + many + b"\6\0",
            "block-huge": many + b"\4\6\0",
            "values-huge": b"\x80\1\4" + many + b"\0",
            "values-0": b"\x80\1\4\0\0",
            "first-negative": b"\x80\1\4\1\1",
            "first-huge": b"\x80\1\4\1\xfe\xff\xff\xff\x0f",
            "width": b"\x80\1\4\6\0\0\xff\xff\xff\xff" + bytes(40),
            "long": b"\x80\1\4" + b"\xff" * 12,
        }.items():
            content(f"{encoding}-{name}", texts(**options), lambda data: data[:6] + head + data[10:])
    options = {"use_dictionary": False, "column_encoding": {"input_ids.list.element": "DELTA_BINARY_PACKED"}}
    for name, head in {"block-0": b"\0\4\6\0", "miniblocks-0": b"\x80\1\0\6\0", "values": b"\x80\1\4" + many + b"\0"}.items():
        content(f"packed-{name}", lists(**options), lambda data: data[:-12] + head + data[-8:])

    # Few bytes that decode to many values.
    big = 2 << 20
    for codec in ["snappy", "gzip", "zstd", "brotli", "lz4"]:
        bomb = pa.compress(b"\2\0\0\0\x0c\1" + struct.pack("<I", big) + bytes(big), codec="lz4_raw" if codec == "lz4" else codec, asbytes=True)
        if len(bomb) < 4000:
            for name, size in {"told": big + 10, "untold": 100}.items():
                page(f"bomb-{codec}-{name}", texts(compression=codec, **PLAIN), lambda header, data: (put(header, (2,), size), put(header, (3,), len(bomb)), bomb)[2])
    page("run-of-values", texts(), lambda header, data: (put(header, (5, 1), 30_000), put(header, (2,), 13), put(header, (3,), 13), b"\4\0\0\0\xe0\xd4\3\1" + b"\1\xe0\xd4\3\0")[3], 1)
    page("statistics-in-page", texts(**PLAIN), lambda header, data: put(header, (5, 5), [[1, BINARY, b"a" * 500], [5, BINARY, b"z"]], STRUCT))
    # A string longer than the bytes; size and type twice, in another order; an endless struct.
    page("statistics-claim", texts(**PLAIN), lambda header, data: put(header, (5, 5), b"\x18" + many + b"\0", STRUCT))
    page("size-twice", texts(**PLAIN), lambda header, data: header.append([2, I32, 2**31 - 1]))
    page("size-late", texts(**PLAIN), lambda header, data: header.append(header.pop(1)))
    page("unknown-fields", texts(**PLAIN), lambda header, data: header.append([99, STRUCT, b"\x1c" * 300]))
    page("unknown-false", texts(**PLAIN), lambda header, data: header.append([50, FALSE, None]))
    return found


def files():
    return {**whole(), **nested(), **footers(), **pages()}
