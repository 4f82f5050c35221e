"""Scores a corpus with two workers and stores their answers as engines do: metadata lost, lists renamed, columns added."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

program, place, *arguments = sys.argv[1:]
place = Path(place)
documents = [{"id": f"d{i}", "text": f"What is {i} plus {i % 7}? It is {i + i % 7}. We know that."} for i in range(40)]
(place / "corpus.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
rows = [*documents[:20], {"id": "none", "text": None}, *documents[20:], {"id": "void", "text": None}]
for row in rows:
    row["weight"] = 0.5
halves = [pa.Table.from_pylist(half) for half in (rows[:21], rows[21:])]


def answer(table: pa.Table) -> pa.Table:
    command = [program, "worker", "--pass", "weight", *arguments]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with pa.ipc.new_stream(worker.stdin, table.schema) as stream:
        stream.write_table(table)
    worker.stdin.close()
    answers = pa.ipc.open_stream(worker.stdout).read_all()
    assert worker.wait() == 0
    return answers


def renamed(kind: pa.DataType) -> pa.DataType:
    lists = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return pa.list_(pa.field("element", renamed(kind.value_type))) if lists else kind


first, second = (answer(half) for half in halves)
scores = place / "scores"
scores.mkdir()
bare = pa.schema([pa.field(field.name, renamed(field.type)) for field in first.schema])
columns = [column.cast(field.type) for column, field in zip(first.columns, bare)]
bare = pa.table(columns, schema=bare).select([*reversed(bare.names)])
pq.write_table(bare, scores / "bare.parquet", row_group_size=7, store_schema=False)
with pa.ipc.new_file(scores / "whole.arrow", second.schema) as file:
    file.write_table(second)
(scores / "_SUCCESS").write_text("")
