"""Scoring tables in memory: the right scores and rows, whatever happens to the worker, the thread or the process."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from support import close_to, code_of, tiny_model

import rho_mask
from rho_mask import RunError, SchemaMismatch, Scorer, ScorerError, masks_schema, open_masks

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
scripts = pytest.mark.skipif(os.name == "nt", reason="runs a shell script in the place of the program")

TEXTS = [f"Ann has {i} apples and buys {i % 7} more. " * (1 + i * i % 11) for i in range(40)]
TEXTS[7], TEXTS[20] = "", None


def texts() -> pa.Table:
    return pa.table(
        {"id": [f"d{i}" for i in range(40)], "text": TEXTS, "url": pa.array(["a", "b"] * 20).dictionary_encode()}
    )


def tokens(documents: int, length: int = 100) -> pa.Table:
    """Documents of token ids, without names."""
    return pa.table({"input_ids": pa.array([[(d * 31 + t) % 64 for t in range(length)] for d in range(documents)])})


@pytest.fixture
def options(binary):
    return {"binary": binary, "quiet": True, "device": "cpu"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, binary):
    """Options for a very fast reference."""
    model = tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    return {"model": model, "tokens_field": "input_ids", "device": "cpu", "binary": binary, "quiet": True, "by": "loss"}


def kill_after(monkeypatch, answers: int, times: int) -> list[int]:
    """Kills workers after so many answers, so many times. Returns the list of their process ids, which grows."""
    killed: list[int] = []
    answered = rho_mask.scorer._Worker.answers

    def answers_until_killed(self, batches):
        for number, answer in enumerate(answered(self, batches)):
            if number == answers and len(killed) < times:
                killed.append(self._process.pid)
                self._process.kill()
                self._process.wait()
            yield answer

    monkeypatch.setattr(rho_mask.scorer._Worker, "answers", answers_until_killed)
    return killed


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    until = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not is_running(pid)


def test_scores_are_those_of_the_program(tmp_path, options):
    table = texts()
    with pa.OSFile(str(tmp_path / "corpus.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    with pytest.warns(rho_mask.IncompleteWarning):
        out = rho_mask.score(
            tmp_path / "corpus.arrow", tmp_path / "masks", scope="document", keep=0.3, top=2, max_rejected=1, **options
        )
    want = open_masks(out).table.drop_columns(["shard"])
    with Scorer(keep=0.3, top=2, **options) as scorer:
        got = scorer(table)
    # Also of the row that holds no document.
    assert got["id"].equals(table["id"])
    assert got.filter(pc.is_null(got["error"])).drop_columns(["shard", "error"]).equals(want)
    rejected = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
    errors = {row: error for row, error in enumerate(got["error"].to_pylist()) if error is not None}
    assert errors == {row["row"]: row["reason"] for row in rejected} and set(errors) == {20}
    metadata = rho_mask.metadata_of(got.schema, "the scores")
    assert metadata["format_version"] == open_masks(out).metadata["format_version"]


def test_the_lines_of_the_documentation(binary, monkeypatch):
    monkeypatch.setattr(rho_mask.scorer, "find_binary", lambda: binary)
    lines = code_of("docs/python.md", "rho_mask.Scorer(")
    names: dict = {}
    exec(lines, names)
    assert names["scores"].schema.equals(names["schema"]) and names["scores"]["url"].to_pylist() == ["x", "y"]
    monkeypatch.setattr(rho_mask.run, "find_binary", lambda: binary)
    exec(code_of("docs/python.md", "rho_mask.score_stream("), names)
    texts = [f"{i} plus 2 is {i + 2}." for i in range(1000)]
    with Scorer(binary=binary, quiet=True, scores_only=True) as scorer:
        scored = len(pc.list_flatten(scorer(pa.table({"text": texts}))["loss"]).drop_null())
    assert names["kept"] == int(0.7 * scored + 0.5)


def test_tables_batches_and_parts(tiny):
    table = tokens(300)
    with Scorer(**tiny) as whole, Scorer(batch_bytes=4000, **tiny) as parts:
        first = whole(table)
        assert first["id"].to_pylist() == [f"stdin#{i}" for i in range(300)]
        assert first["row"].to_pylist() == list(range(300))
        assert close_to(first, parts(table))
        assert parts(table).column("loss").num_chunks > 20
        batch = whole(table.to_batches()[0])
        assert isinstance(batch, pa.RecordBatch) and batch["row"].to_pylist() == list(range(300, 600))
        assert batch["loss"].equals(first["loss"].combine_chunks())
        # Tables of several chunks, and slices.
        again = parts(pa.concat_tables([table.slice(10, 50), table.slice(200)]))
        assert again["input_ids"].to_pylist() == first["input_ids"].to_pylist()[10:60] + first["input_ids"].to_pylist()[200:]


def test_more_than_pipes_hold_goes_both_ways(tiny):
    # 13 MB in, 30 MB out, in one part and in many.
    table = tokens(4000, 400)
    for size in [1 << 28, 1 << 18]:
        with Scorer(batch_bytes=size, **tiny) as scorer:
            assert scorer(table)["row"].to_pylist() == list(range(4000))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"scores_only": True},
        {"by": "union", "keep_loss": 0.5, "top": 3, "keep_text": True, "source_field": "url"},
        {"by": "loss", "weights": "exp", "score_dtype": "float16"},
        {"model": ["demo", "demo"], "combine": "max", "base": "demo"},
        {"pass_columns": "url"},
        {"pass_columns": ["text", "url"], "scores_only": True},
        {"pass_all": True},
    ],
)
def test_the_schema_is_known_before(given, options, corpus):
    demo = corpus.parents[1] / "models/demo"
    with_models = {name: [demo] * 2 if name == "model" else demo for name in ("model", "base") if name in given}
    table = texts().cast(pa.schema([pa.field("id", pa.string(), nullable=False), *list(texts().schema)[1:]]))
    with Scorer(**options, **{**given, **with_models}) as scorer:
        got = scorer(table)
    elsewhere = {name: ["/nowhere"] * 2 if name == "model" else "/nowhere" for name in with_models}
    for columns in (table.schema, texts().schema):
        schema = masks_schema(columns, **options, **{"model": "/nowhere", **given, **elsewhere})
        assert schema.equals(got.schema.remove_metadata(), check_metadata=True), (schema, got.schema)
    assert Scorer(**options, **{**given, **with_models})(table.slice(0, 0)).schema.equals(got.schema)


def test_what_a_schema_cannot_be_told_of(options):
    with pytest.raises(RunError, match='expected a column of the input, got "none"'):
        masks_schema(texts().schema, pass_columns="none", **options)
    with pytest.raises(RunError, match="expected an Arrow stream with the schema"):
        masks_schema(pass_all=True, **options)
    with pytest.raises(RunError, match="unexpected argument '--keeps'"):
        masks_schema(keeps=0.5, **options)


def test_columns_of_later_tables(options):
    table = texts()
    with Scorer(pass_columns="url", **options) as scorer:
        want = scorer(table).drop_columns(["row"])
        others = [
            table.select(["url", "text", "id"]),
            table.replace_schema_metadata({"made": "elsewhere"}),
            table.set_column(1, "text", table["text"].cast(pa.large_string())),
            table.cast(pa.schema([pa.field("id", pa.string(), nullable=False), *list(table.schema)[1:]])),
        ]
        for other in others:
            assert scorer(other).drop_columns(["row"]).equals(want)
        nulls = scorer(table.set_column(1, "text", pa.nulls(40)))
        assert nulls["error"].null_count == 0 and nulls["url"].equals(want["url"])
        for other, reason in [
            (table.drop_columns(["url"]), "expected the columns id, text, url, as in the first table, got id, text"),
            (table.append_column("more", pa.nulls(40)), "got id, text, url, more"),
            (
                table.set_column(1, "text", pa.array(range(40))),
                'column "text": expected string, as in the first table, got int64',
            ),
            (pa.table([["a"], ["b"]], names=["text", "text"]), "text"),
        ]:
            with pytest.raises(SchemaMismatch, match=reason):
                scorer(other)
        assert scorer(table).drop_columns(["row"]).equals(want)
    with pytest.raises(TypeError, match="expected a pyarrow table"), Scorer(**options) as scorer:
        scorer(["a text"])


def test_a_table_without_rows(options):
    with Scorer(**options) as scorer:
        before = scorer(pa.table({"id": pa.nulls(0), "text": pa.nulls(0)}))
        assert before.num_rows == 0
        after = scorer(texts())
        assert after.schema.equals(before.schema)
        assert scorer(texts().slice(0, 0)).schema.equals(after.schema, check_metadata=True)
        assert isinstance(scorer(texts().to_batches()[0].slice(0, 0)), pa.RecordBatch)


def test_a_refused_table_is_no_first_table(options, tiny):
    scorer = Scorer(**options)
    with pytest.raises(RunError, match="the schema of the input: ") as error:
        scorer(pa.table({"words": ["a b c"]}))
    assert not isinstance(error.value, ScorerError) and "text_field" in error.value.hint.replace("-", "_")
    assert scorer(texts()).num_rows == 40
    scorer.close()
    with pytest.raises(ValueError, match="closed"):
        scorer(texts())
    with pytest.raises(ValueError, match="closed"):
        scorer.__enter__()


def test_threads_take_turns(tiny):
    table, got = tokens(64), {}
    with Scorer(batch_bytes=2000, **tiny) as scorer:

        def call(start):
            for turn in range(4):
                names = [f"{start}.{turn}.{i}" for i in range(8)]
                got[start, turn] = names, scorer(table.slice(start, 8).add_column(0, "id", pa.array(names)))

        threads = [threading.Thread(target=call, args=(start,)) for start in range(0, 64, 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    rows = []
    assert len(got) == 32
    for (start, _), (names, answer) in got.items():
        assert answer["id"].to_pylist() == names
        assert answer["input_ids"].to_pylist() == table["input_ids"].to_pylist()[start : start + 8]
        rows += answer["row"].to_pylist()
    assert sorted(rows) == list(range(256))


def test_pickled_before_it_starts(tiny):
    scorer = pickle.loads(pickle.dumps(Scorer(**tiny)))
    with scorer:
        with pytest.raises(TypeError, match="cannot pickle a Scorer whose worker was started"):
            pickle.dumps(scorer)
        assert scorer(tokens(5)).num_rows == 5
    error = ScorerError("it ended", "try again", -9, ["a line"])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is ScorerError and str(again) == str(error)
    assert (again.message, again.hint, again.code, again.said) == ("it ended", "try again", -9, ["a line"])


def test_a_killed_worker_is_replaced(tiny, monkeypatch):
    table = tokens(300)
    with Scorer(batch_bytes=4000, **tiny) as scorer:
        want = scorer(table)
    killed = kill_after(monkeypatch, 3, times=1)
    with Scorer(batch_bytes=4000, **tiny) as scorer:
        assert scorer(table).equals(want)
        assert len(killed) == 1
        # Between two calls.
        scorer._worker._process.kill()
        scorer._worker._process.wait()
        again = scorer(table)
        assert again["row"].to_pylist() == list(range(300, 600))
        assert again["id"].to_pylist() == [f"stdin#{i}" for i in range(300, 600)]
        assert again.drop_columns(["row", "id"]).equals(want.drop_columns(["row", "id"]))


def test_a_worker_that_dies_again_is_an_error(tiny, monkeypatch):
    killed = kill_after(monkeypatch, 0, times=2)
    table = tokens(300)
    with Scorer(batch_bytes=4000, **tiny) as scorer:
        with pytest.raises(ScorerError, match=r"rho-mask worker ended with signal 9 \(SIGKILL\)") as error:
            scorer(table)
        assert error.value.code == -9 and len(set(killed)) == 2
        assert scorer(table).num_rows == 300


@scripts
def test_last_words(tmp_path, tiny):
    program, starts = tmp_path / "program", tmp_path / "starts"

    def error(script, table=None):
        program.write_text(f'#!/bin/sh\necho start >> "{starts}"\n{script}\n')
        program.chmod(0o755)
        starts.write_text("")
        with pytest.raises(RunError) as raised, Scorer(**{**tiny, "binary": program}) as scorer:
            scorer(tokens(2000, 400) if table is None else table)
        return raised.value, starts.read_text().count("start")

    ended, count = error("echo 'out of luck' >&2; exit 3")
    assert isinstance(ended, ScorerError) and ended.code == 3 and ended.said == ["out of luck"] and count == 2
    assert str(ended) == "rho-mask worker ended with exit code 3\nits last lines:\nout of luck"
    ended, count = error("kill -SEGV $$")
    assert ended.code == -signal.SIGSEGV and "SIGSEGV" in ended.message and count == 2
    # Whatever it prints before, memory does not grow with it.
    ended, count = error("head -c 30000000 /dev/zero | tr '\\0' x >&2; echo; echo 'the end' >&2; exit 1")
    assert len("".join(ended.said)) <= 1 << 16 and ended.said[-1].endswith("the end") and count == 2
    # Its own error, before it answered anything: once more would be in vain.
    ended, count = error(f'exec "{tiny["binary"]}" "$@" --keep 7')
    assert type(ended) is RunError and ended.code == 2 and "got 7" in ended.message
    assert count == 1
    ended, count = error("printf 'no Arrow, but words of the program'; exit 0")
    assert isinstance(ended, ScorerError) and ended.code == 0 and count == 2


def test_an_interrupted_call_leaves_no_answers_behind(tiny, monkeypatch):
    answered = rho_mask.scorer._Worker.answers
    table = tokens(300)

    def interrupted(self, batches):
        answers = answered(self, batches)
        yield next(answers)
        raise KeyboardInterrupt

    with Scorer(batch_bytes=4000, **tiny) as scorer:
        with monkeypatch.context() as patch:
            patch.setattr(rho_mask.scorer._Worker, "answers", interrupted)
            with pytest.raises(KeyboardInterrupt):
                scorer(table)
        other = table.slice(150).append_column("id", pa.array([f"x{i}" for i in range(150)])).select(["input_ids"])
        assert scorer(other)["input_ids"].to_pylist() == other["input_ids"].to_pylist()


@linux
def test_it_ends_with_its_process(tmp_path, tiny):
    script = """
import pickle, sys, time
import pyarrow as pa
options, how = pickle.loads(bytes.fromhex(sys.argv[1])), sys.argv[2]
import rho_mask
scorer = rho_mask.Scorer(**options)
scorer(pa.table({"input_ids": [[1, 2, 3]]}))
print(scorer._worker._process.pid, flush=True)
if how == "exits":
    sys.exit()
time.sleep(600)
"""
    for how in ["killed", "exits"]:
        given = [sys.executable, "-c", script, pickle.dumps(tiny).hex(), how]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(given, stdout=subprocess.PIPE, env=environment) as parent:
            worker = int(parent.stdout.readline())
            assert is_running(worker) or how == "exits"
            if how == "killed":
                parent.kill()
            assert parent.wait() == (-signal.SIGKILL if how == "killed" else 0)
        assert ends(worker), f"the worker outlived a parent that {how}"


@linux
def test_a_scorer_that_nobody_holds_ends_its_worker(tiny):
    scorer = Scorer(**tiny)
    scorer(tokens(3))
    worker = scorer._worker._process.pid
    del scorer
    assert not is_running(worker)


@forking
@linux
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_starts_its_own(tiny):
    scorer = Scorer(**tiny)
    want = scorer(tokens(50)).drop_columns(["id", "row"])
    worker = scorer._worker._process.pid
    to_parent, from_child = os.pipe()
    until, done = os.pipe()
    # As if another thread was calling it.
    scorer._lock.acquire()
    child = os.fork()
    if child == 0:
        try:
            os.close(done)
            right = scorer(tokens(50)).drop_columns(["id", "row"]).equals(want)
            own = scorer._worker._process.pid
            os.write(from_child, json.dumps([right, own]).encode() + b"\n")
            os.read(until, 1)
            scorer.close()
        finally:
            os._exit(0)
    scorer._lock.release()
    with os.fdopen(to_parent) as lines:
        right, own = json.loads(lines.readline())
    assert right and own != worker and is_running(own) and is_running(worker)
    assert scorer(tokens(50)).drop_columns(["id", "row"]).equals(want)
    start = time.monotonic()
    scorer.close()
    assert time.monotonic() - start < 5 and scorer._worker is None and not is_running(worker)
    os.close(done)
    os.waitpid(child, 0)
    assert ends(own)
    for end in (from_child, until):
        os.close(end)
