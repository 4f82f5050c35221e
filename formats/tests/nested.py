"""Writes conversations, targets and spans with other writers into a folder, and what their readers read: `expected.jsonl`
has a row per row, with the null fields of objects removed. `nested.rs` reads the files."""

import json
import pathlib
import random
import sys

import datasets
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

folder = pathlib.Path(sys.argv[1])
COUNT = 400
rng = random.Random(2404_07965)


def text():
    parts = ["user", "é\n", '"quoted" \\', "日本", "\x00\x1f\x7f", "🙂", "", "a" * rng.choice([1, 40, 3000])]
    return "".join(rng.choices(parts, weights=[9, 3, 3, 3, 1, 3, 3, 1], k=rng.randrange(4)))


def maybe(make):
    return None if rng.random() < 0.25 else make()


def many(make, most=4):
    return [make() for _ in range(rng.randrange(most))]


def call():
    return {
        "id": maybe(text),
        "function": maybe(lambda: {"name": maybe(text), "arguments": maybe(lambda: {"x": maybe(lambda: rng.randrange(9)), "y": None})}),
    }


def message():
    return {
        "role": maybe(text),
        "content": maybe(text),
        "tool_calls": maybe(lambda: many(lambda: maybe(call))),
        "weight": maybe(lambda: rng.choice([0.5, -2.25, 0.1, 3.0])),
        "flag": maybe(lambda: rng.random() < 0.5),
        "number": maybe(lambda: rng.choice([-(2**63), -1, 0, 2**63 - 1])),
        "never": None,
        "deep": maybe(lambda: many(lambda: maybe(lambda: many(lambda: maybe(lambda: rng.randrange(250)))))),
        "parts": maybe(lambda: many(lambda: {"type": text(), "text": maybe(text)})),
    }


def arguments(of):
    return pa.struct([("x", of), ("y", of)])


def message_type(string=pa.string(), lists=pa.list_, small=pa.uint8()):
    function = pa.struct([("name", string), ("arguments", arguments(pa.int64()))])
    return pa.struct(
        [
            ("role", string),
            ("content", string),
            ("tool_calls", lists(pa.struct([("id", string), ("function", function)]))),
            ("weight", pa.float64()),
            ("flag", pa.bool_()),
            ("number", pa.int64()),
            ("never", pa.null()),
            ("deep", lists(lists(small))),
            ("parts", lists(pa.struct([("type", string), ("text", string)]))),
        ]
    )


messages = [maybe(lambda: many(lambda: maybe(message), 5)) for _ in range(COUNT)]
tools = [maybe(lambda: many(lambda: {"name": maybe(text), "parameters": {"type": text(), "required": maybe(lambda: many(text))}})) for _ in range(COUNT)]


def table(string=pa.string(), lists=pa.list_, small=pa.uint8()):
    tool = pa.struct([("name", string), ("parameters", pa.struct([("type", string), ("required", lists(string))]))])
    return pa.table(
        {
            "before": pa.array([[{"a": [None, index], "b": "-"}] for index in range(COUNT)]),
            "messages": pa.array(messages, lists(message_type(string, lists, small))),
            "tools": pa.array(tools, lists(tool)),
            "in": pa.array([{"side": {"messages": row}} if row != [] else None for row in messages], pa.struct([("side", pa.struct([("messages", lists(message_type(string, lists, small)))]))])),
            "number": range(COUNT),
        }
    )


def stripped(value):
    if isinstance(value, dict):
        return {name: stripped(part) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        return [stripped(part) for part in value]
    return value


def put(name, rows):
    with open(folder / name, "w") as file:
        for row in rows:
            file.write(json.dumps(stripped(row), ensure_ascii=False, separators=(",", ":")) + "\n")


whole = table()
assert whole.select(["messages", "tools"]).to_pylist() == [{"messages": m, "tools": t} for m, t in zip(messages, tools)]
put("expected.jsonl", [{"messages": m, "tools": t} for m, t in zip(messages, tools)])


def parquet(name, what, **options):
    pq.write_table(what, folder / f"{name}.parquet", **{"row_group_size": 150, "data_page_size": 700, "write_batch_size": 7, **options})


for codec in ["none", "snappy", "zstd", "lz4"]:
    for version in ["1.0", "2.0"]:
        parquet(f"{codec}-{version}", whole, compression=codec, data_page_version=version)
for name, options in {
    "plain": {"use_dictionary": False},
    "large-pages": {"data_page_size": 1 << 20, "row_group_size": COUNT},
    "no-schema": {"store_schema": False},
    "older-lists": {"use_compliant_nested_type": False},
}.items():
    parquet(name, whole, **options)
delta = pa.table({"messages": pa.array(messages, pa.list_(message_type())), "tools": whole["tools"]})
for encoding in ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"]:
    columns = {f"messages.list.element.{name}": encoding for name in ["role", "content", "tool_calls.list.element.id"]}
    parquet(encoding, delta, use_dictionary=False, column_encoding=columns)

kinds = {
    "large": table(pa.large_string(), pa.large_list),
    "view": table(pa.string_view()),
    "dictionary": table(pa.dictionary(pa.int16(), pa.string()), small=pa.int16()),
}
for name, what in {"usual": whole, **kinds}.items():
    if name != "view":  # not implemented in pyarrow
        parquet(f"kind-{name}", what)
    for codec in [None, "lz4", "zstd"]:
        options = pa.ipc.IpcWriteOptions(compression=codec)
        with pa.ipc.new_file(folder / f"{name}-{codec}.arrow", what.schema, options=options) as out:
            out.write_table(what, 150)
        # Streams replace a dictionary that changes; files cannot.
        with pa.ipc.new_stream(folder / f"{name}-{codec}.arrows", what.schema, options=options) as out:
            for batch in what.to_batches(90):
                out.write_batch(batch)

# Sliced: offsets that do not start at 0.
sliced = pa.concat_tables([whole.slice(0, 3), whole.slice(3, 200), whole.slice(203)])
with pa.ipc.new_file(folder / "sliced.arrow", sliced.schema) as out:
    out.write_table(sliced)

both = whole.select(["messages", "tools"])
datasets.Dataset(both).save_to_disk(folder / "saved")
(folder / "saved" / "data-00000-of-00001.arrow").rename(folder / "datasets.arrow")
datasets.Dataset(both).to_parquet(folder / "datasets.parquet")
frame = pl.from_arrow(both)
frame.write_parquet(folder / "polars.parquet", row_group_size=100, data_page_size=1000)
frame.write_ipc(folder / "polars.arrow")

# Strings that hold JSON.
as_json = lambda rows: [None if row is None else json.dumps(row) for row in rows]
strings = pa.table({"messages": as_json([[] if row is None else row for row in messages]), "tools": as_json(tools)})
parquet("strings", strings)
with pa.ipc.new_file(folder / "strings.arrow", strings.schema) as out:
    out.write_table(strings)

# Other types inside of messages.
rows = [
    [{"role": "user", "at": 1, "price": 3, "half": 1.5, "single": 0.1, "map": [("a", "1"), ("b", None)], "pair": [1, None], "json": '{"k": [1, null]}'}],
    [{"role": None, "at": None, "price": None, "half": None, "single": None, "map": [], "pair": None, "json": None}],
    [],
    None,
    [None, {"role": "x", "at": 2, "price": 4, "half": 2.0, "single": 2.0, "map": None, "pair": [3, 4], "json": '"text"'}],
]
kinds = {
    "role": pa.string(),
    "at": pa.timestamp("us"),
    "price": pa.decimal128(9, 2),
    "half": pa.float16(),
    "single": pa.float32(),
    "map": pa.map_(pa.string(), pa.string()),
    "pair": pa.list_(pa.int32(), 2),
    "json": pa.string(),
}
plain = pa.array(rows, pa.list_(pa.struct(list(kinds.items()))))
parts = [plain.values.field(name) for name in kinds]
parts[-1] = pa.ExtensionArray.from_storage(pa.json_(), parts[-1])
objects = pa.StructArray.from_arrays(parts, list(kinds), mask=plain.values.is_null())
odd = pa.table({"messages": pa.ListArray.from_arrays(plain.offsets, objects, mask=plain.is_null())})
parquet("odd", odd)
with pa.ipc.new_file(folder / "odd.arrow", odd.schema) as out:
    out.write_table(odd)

# Targets and spans.
ids = [[9, 8, 7], [5], [], [4, 4], [6, 6]]
targets = {
    "booleans": ([[True, False, True], [False], [], [True, True], [True]], pa.bool_()),
    "bytes": ([[1, 0, 1], [0], [], [1, 1], [1]], pa.int8()),
    "labels": ([[9, -100, 7], [-100], [], [4, 4], [6]], pa.int64()),
    "nulls": ([[1, None, 1], None, [], [1, 1], [1]], pa.int32()),
    "floats": ([[1.0, 0.0, 1.0], [0.0], [], [1.0, 1.0], [1.0]], pa.float32()),
}
columns = {"ids": pa.array(ids, pa.list_(pa.int32()))}
for name, (rows, kind) in targets.items():
    columns[name] = pa.array(rows, pa.list_(kind))
columns["text"] = ["aé日🙂 b", "b", "", None, "abc"]
columns["pairs"] = pa.array([[[4, 6], [0, 1]], [[0, 1]], [], [], [[0, 4]]], pa.list_(pa.list_(pa.int64())))
columns["fixed"] = pa.array([[[4, 6], [0, 1]], [[0, 1]], [], [], [[0, 4]]], pa.list_(pa.list_(pa.uint32(), 2)))
columns["objects"] = pa.array([[{"start": 4, "end": 6}, {"start": 0, "end": 1}], [{"start": 0, "end": 1}], [], [], [{"start": 0, "end": 4}]], pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())])))
columns["scored"] = pa.array([[[4, 6, 1.0], [1, 2, 0.0], [0, 1, 1.0]], [[0, 1, 1.0]], [], [], [[0, 4, 1.0]]], pa.list_(pa.list_(pa.float64())))
columns["objects_scored"] = pa.array([[{"start": 4, "end": 6, "score": 1.0}, {"start": 0, "end": 1, "score": None}], [{"start": 0, "end": 1, "score": 1.0}], [], [], [{"start": 0, "end": 4, "score": 1.0}]], pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("score", pa.float64())])))
columns["hint"] = ["h", None, "", "x", "y"]
lists = pa.table(columns)
parquet("lists", lists)
with pa.ipc.new_file(folder / "lists.arrow", lists.schema) as out:
    out.write_table(lists)
with open(folder / "lists.jsonl", "w") as file:
    for row in lists.to_pylist():
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
