"""Talks to `worker` through pipes, as programs do, and compares with `score` on the same rows.

Arguments: the program, a model, a folder to write to.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
from pyarrow import ipc

PROGRAM, MODEL, PLACE = sys.argv[1], sys.argv[2], Path(sys.argv[3])
CPU = ["--device", "cpu"]


def command(*arguments):
    return [PROGRAM, "worker", *CPU, *(["--model", MODEL] if "--model" not in arguments else []), *arguments]


def run(data, *arguments):
    """The worker on these bytes: exit code, standard output, standard error."""
    ended = subprocess.run(command(*arguments), input=data, capture_output=True)
    return ended.returncode, ended.stdout, ended.stderr.decode()


def stream(table, rows=None, **options):
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue().to_pybytes()


def answers(table, *arguments, rows=None, **options):
    code, out, said = run(stream(table, rows, **options), *arguments)
    assert code == 0, said
    return ipc.open_stream(out).read_all()


def scored(table, *arguments):
    """The masks of `score` for the same rows, and its rejected rows."""
    corpus, out = PLACE / "corpus.arrow", PLACE / "masks"
    corpus.write_bytes(stream(table))
    arguments = [*arguments, "--restart", "--max-rejected", "1", "--max-untargeted", "1"]
    if "--scores-only" in arguments:
        arguments.remove("--scores-only")
        arguments += ["--by", "loss"]
    arguments += ["--scope", "document"] if "--weights" not in arguments else []
    given = [PROGRAM, "score", *CPU, "--model", MODEL, str(corpus), "--out", str(out), *arguments]
    ended = subprocess.run(given, capture_output=True, text=True)
    assert ended.returncode in (0, 1), ended.stderr
    masks = pa.concat_tables(ipc.open_stream(path).read_all() for path in sorted(out.glob("**/*.arrow")))
    rejected = out / "rejected.jsonl"
    lines = rejected.read_text().splitlines() if rejected.exists() else []
    return masks, {row["row"]: row["reason"] for row in map(json.loads, lines)}


def texts():
    texts = [f"Ann has {i} apples and buys {i % 7} more. " * (1 + i * i % 11) for i in range(60)]
    texts[7], texts[20], texts[21] = "", None, "x"
    return pa.table(
        {
            "id": pa.array([f"d{i}" for i in range(60)]),
            "text": pa.array(texts),
            "kind": pa.array(["a", "b", None] * 20).dictionary_encode(),
            "more": pa.array([{"x": [i, None]} for i in range(60)]),
        }
    )


def messages():
    def rows(i):
        talk = [{"role": "user", "content": f"What is {i} plus 2?"}, {"role": "assistant", "content": f"It is {i + 2}."}]
        return talk if i != 3 else talk[:1]

    return pa.table({"id": [f"c{i}" for i in range(12)], "messages": [rows(i) for i in range(12)]})


def chat():
    template = PLACE / "template.jinja"
    template.write_text(
        "{% for m in messages %}{{ m.role }}:\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
        "{% else %}{{ m.content }}{% endif %}\n{% endfor %}"
    )
    return ["--messages-field", "messages", "--chat-template", str(template)]


def without(table, *names):
    return table.drop_columns([name for name in names if name in table.column_names])


def whole_batches_are_those_of_score():
    cases = [
        (texts(), []),
        (texts(), ["--by", "union", "--keep", "0.3", "--top", "3", "--keep-text", "--source-field", "kind"]),
        (texts(), ["--by", "loss", "--weights", "exp", "--score-dtype", "float16", "--context", "32", "--batch-tokens", "64"]),
        (texts(), ["--base", MODEL, "--by", "excess"]),
        (messages(), [*chat(), "--by", "loss", "--score-context", "no"]),
    ]
    for table, arguments in cases:
        got, (masks, rejected) = answers(table, *arguments), scored(table, *arguments)
        assert got.num_rows == table.num_rows
        assert got["row"].to_pylist() == list(range(table.num_rows))
        assert got["id"].equals(table["id"])
        errors = {row: reason for row, reason in enumerate(got["error"].to_pylist()) if reason is not None}
        assert errors == rejected, (errors, rejected)
        assert rejected, arguments
        fine = got.filter(pa.compute.is_null(got["error"]))
        assert without(fine, "shard", "error").equals(without(masks, "shard")), arguments
        bad = got.filter(pa.compute.is_valid(got["error"]))
        for name in without(bad, "id", "shard", "row", "error").column_names:
            assert bad[name].null_count == bad.num_rows, name
        assert json.loads(got.schema.metadata[b"rho_mask"]) == {
            **json.loads(masks.schema.metadata[b"rho_mask"]),
            "scope": json.loads(got.schema.metadata[b"rho_mask"])["scope"],
        }


def small_batches_change_nothing_but_rounding():
    whole, parts = answers(texts()), answers(texts(), rows=7)
    assert without(whole, "loss", "entropy").equals(without(parts, "loss", "entropy"))
    for name in ["loss", "entropy"]:
        one, other = (pa.compute.list_flatten(t[name]).to_pylist() for t in (whole, parts))
        assert len(one) == len(other)
        for a, b in zip(one, other):
            assert (a is None) == (b is None) and (a is None or abs(a - b) <= 1e-5), (a, b)


def each_batch_is_answered_at_once():
    worker = subprocess.Popen(command("--by", "loss"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    batches = texts().to_batches(max_chunksize=9)
    writer = ipc.new_stream(worker.stdin, batches[0].schema)
    reader, row = None, 0
    for batch in [*batches, batches[0].slice(0, 0), batches[0]]:
        writer.write_batch(batch)
        worker.stdin.flush()
        # The first answer stands behind the schema.
        reader = reader or ipc.open_stream(worker.stdout)
        got = reader.read_next_batch()
        assert got.num_rows == batch.num_rows
        assert got["row"].to_pylist() == list(range(row, row + batch.num_rows))
        row += batch.num_rows
    writer.close()
    worker.stdin.close()
    assert worker.wait() == 0
    assert next(iter(reader), None) is None


def rows_are_counted_from_the_first():
    table = texts().select(["text"])
    whole, rest = answers(table, rows=20), answers(table.slice(20), "--first-row", "20", rows=20)
    assert rest.equals(whole.slice(20)) and rest["id"][1].as_py() == "stdin#21"
    code, _, said = run(stream(table), "--first-row=-1")
    assert code == 2 and "--first-row" in said, said


def columns_are_passed_through():
    table = texts()
    got = answers(table, "--pass-all")
    assert got.select(["text", "kind", "more"]).equals(table.select(["text", "kind", "more"]))
    assert got.schema.names[-3:] == ["text", "kind", "more"]
    got = answers(table, "--pass", "more,kind", compression="zstd")
    assert got.schema.names[-2:] == ["kind", "more"]
    code, _, said = run(stream(table), "--pass", "nothing")
    assert code == 2 and '--pass: expected a column of the input, got "nothing"; it has id, text, kind, more' in said, said
    clash = table.append_column("loss", pa.array([1.0] * 60))
    code, out, said = run(stream(clash), "--pass", "loss")
    assert code == 2 and 'column "loss": expected a unique name' in said and "hint: " in said and out == b"", said
    # A dictionary that is replaced, as a writer does when the values of a column change.
    parts = [pa.table({"text": ["a b"], "kind": pa.array([kind]).dictionary_encode()}) for kind in ("x", "y", "x")]
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, parts[0].schema) as writer:
        for part in parts:
            writer.write_table(part)
    code, out, said = run(sink.getvalue().to_pybytes(), "--pass", "kind")
    assert code == 0, said
    assert ipc.open_stream(out).read_all()["kind"].to_pylist() == ["x", "y", "x"]


def every_type_of_text_and_tokens():
    want = answers(texts().select(["id", "text"]))
    for kind in [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]:
        table = texts().select(["id", "text"])
        table = table.set_column(1, "text", table["text"].combine_chunks().cast(kind))
        for options in [{}, {"compression": "lz4"}]:
            assert answers(table, **options).equals(want), kind
    ids = want["input_ids"].to_pylist()
    for kind in [pa.list_(pa.int64()), pa.large_list(pa.uint16()), pa.list_(pa.int32())]:
        table = pa.table({"id": want["id"], "input_ids": pa.array(ids, kind)})
        got = answers(table, "--tokens-field", "input_ids", rows=60)
        assert got["loss"].equals(want["loss"]), kind


def the_schema_is_known_without_a_model():
    table = texts()
    cases = [
        (table, []),
        (table, ["--scores-only"]),
        (table, ["--top", "2", "--keep-text", "--source-field", "kind", "--score-dtype", "float16"]),
        (table, ["--base", MODEL, "--by", "excess", "--weights", "sigmoid", "--pass", "more"]),
        (table, ["--model", MODEL, "--model", MODEL, "--combine", "max", "--by", "union", "--pass-all"]),
        (messages(), [*chat(), "--by", "loss"]),
    ]
    for table, arguments in cases:
        want = ipc.open_stream(run(stream(table), *arguments)[1]).schema
        elsewhere = ["/nowhere" if word == MODEL else word for word in arguments]
        elsewhere += [] if "--model" in elsewhere else ["--model", "/nowhere"]
        code, out, said = run(table.schema.serialize().to_pybytes(), "--show-schema", *elsewhere)
        assert code == 0, said
        got = ipc.open_stream(out).schema
        assert got.equals(want.remove_metadata(), check_metadata=True), (got, want)
    code, out, said = run(b"", "--show-schema", "--pass-all")
    assert code == 2 and "expected an Arrow stream with the schema" in said, said


def what_goes_wrong_is_named():
    table = texts()
    good = stream(table, rows=20)
    assert run(b"")[:2] == (0, b"")
    code, out, said = run(good[: good.rindex(b"\xff\xff\xff\xff")])
    assert code == 0 and ipc.open_stream(out).read_all().num_rows == 60, said
    broken = [
        (good[:-500], "batch 3 of the input: the input ends inside a message"),
        (good[:40], "batch 0 of the input: the input ends inside a message"),
        (b"ff", "batch 0 of the input: the input ends inside a message"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"0" * 64, "expected a message of at most"),
        (b'{"text": "a line of JSON"}\n' * 9, "batch 0 of the input: "),
        (good[: len(good) // 2] + bytes(200) + good[len(good) // 2 :], "of the input"),
    ]
    for data, reason in broken:
        code, _, said = run(data)
        assert code == 2 and reason in said and "\nhint: " in said, (reason, said)
        assert "panicked" not in said, said
    code, out, said = run(stream(table.select(["id", "kind"])))
    assert code == 2 and 'the schema of the input: ' in said and '"text"' in said and "--text-field" in said, said
    assert out == b""
    for arguments, reason in [
        (["--limit", "3"], "--limit: expected rows to answer one by one"),
        (["--strict"], "--strict: expected rows to answer one by one"),
        (["--max-rejected", "1"], "--max-rejected: expected rows to answer one by one"),
        (["--scope", "corpus"], "--scope: expected document"),
        (["--scores-only", "--by", "loss"], "cannot be used with"),
    ]:
        code, _, said = run(good, *arguments)
        assert code == 2 and reason in said, said


def damaged_bytes_end_it_by_name():
    import random

    draw = random.Random(7)
    for options in [{}, {"compression": "zstd"}]:
        good = stream(texts().slice(0, 6), **options)
        for _ in range(8):
            data = bytearray(good)
            for _ in range(draw.randint(1, 4)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            code, _, said = run(bytes(data), "--pass-all")
            assert code == 0 or (code == 2 and "error: " in said), (code, said)
            assert "panicked" not in said and "memory allocation" not in said, said


def it_ends_with_its_parent():
    # This program keeps both pipes open, so that only the parent's end can end the worker.
    to, at = os.pipe()
    back, out = os.pipe()
    start = f"import subprocess, time; print(subprocess.Popen({command()!r}, stdin={to}, stdout={out}).pid, flush=True); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE, text=True, pass_fds=[to, out])
    worker = int(parent.stdout.readline())
    sink = os.fdopen(at, "wb", buffering=0)
    writer = ipc.new_stream(sink, texts().schema)
    writer.write_batch(texts().to_batches()[0])
    assert ipc.open_stream(os.fdopen(back, "rb")).read_next_batch().num_rows == 60
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 60
    while is_running(worker):
        assert time.monotonic() < until, "the worker outlived its parent"
        time.sleep(0.1)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    globals()[sys.argv[4]]()
