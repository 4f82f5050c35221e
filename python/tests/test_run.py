"""Running the program from Python: options, results and errors, and how a stream ends."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support import tiny_model

import rho_mask
from rho_mask import IncompleteWarning, RhoMaskError, RunError, SchemaMismatch, TokenizerMismatch, open_masks

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


def corpus_of(folder: Path, documents: int, tokens: int = 400) -> Path:
    """Documents of token ids."""
    lines = (json.dumps({"input_ids": [(d * 31 + t) % 64 for t in range(tokens)]}) for d in range(documents))
    path = folder / "corpus.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Options for a very fast reference, and for masks that are streamed document by document."""
    model = tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    return {"model": model, "tokens_field": "input_ids", "scope": "document", "device": "cpu"}


def test_a_folder(tmp_path, binary, capsys):
    lines = tmp_path / "two words.txt"
    lines.write_text("One day.\nAnother day, and a longer one.\n")
    out = rho_mask.score(
        [lines], tmp_path / "masks", binary=binary, lines=True, keep_loss=0.5, scope="document", strict=False
    )
    assert out == tmp_path / "masks"
    masks = open_masks(out)
    assert len(masks) == 2
    for document in (masks[0], masks[1]):
        scored = len(document["input_ids"]) - 1
        assert document["mask_loss"].sum() == int(0.5 * scored + 0.5)
    said = capsys.readouterr()
    assert said.out == "" and "wrote " in said.err
    # Resumed: nothing is left to do.
    rho_mask.score(lines, out, binary=binary, lines=True, keep_loss=0.5, scope="document", quiet=True)
    assert capsys.readouterr().err == ""


def test_errors_are_those_of_the_program(tmp_path, binary, corpus):
    def error(**options):
        with pytest.raises(RunError) as raised:
            rho_mask.score(corpus, tmp_path / "masks", binary=binary, quiet=True, **options)
        with pytest.raises(RunError) as streamed:
            rho_mask.score_stream(corpus, binary=binary, quiet=True, **options)
        assert str(streamed.value) == str(raised.value)
        assert raised.value.code == 2
        return raised.value

    missing = error(model=tmp_path / "none")
    assert "none: expected a folder with an ONNX model" in missing.message and "rho-mask export" in missing.hint
    unknown = error(keep_losses=0.5)
    assert unknown.message == "unexpected argument '--keep-losses' found" and "'--keep-loss'" in unknown.hint
    assert "between 0 and 1, got 1.5" in error(keep=1.5).message
    assert "between 0 and 1, got -1" in error(keep=-1).message
    assert not (tmp_path / "masks").exists()
    with pytest.raises(ValueError, match="score_stream"):
        rho_mask.score(corpus, "-", binary=binary)
    with pytest.raises(FileNotFoundError):
        rho_mask.score(corpus, tmp_path / "masks", binary=tmp_path / "none")


def test_what_was_left_out_is_a_warning(tmp_path, binary):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "A good one."}\n{"words": "none"}\n')
    with pytest.warns(IncompleteWarning, match="rejected.jsonl"):
        out = rho_mask.score(bad, tmp_path / "masks", binary=binary, quiet=True)
    assert len(open_masks(out)) == 1
    with pytest.warns(IncompleteWarning), rho_mask.score_stream(bad, binary=binary, quiet=True) as stream:
        assert sum(batch.num_rows for batch in stream) == 1


def test_a_stream_has_the_rows_of_the_folder(binary, corpus, scored):
    with rho_mask.score_stream(corpus / "texts", binary=binary, quiet=True, device="cpu") as stream:
        assert stream.metadata == open_masks(scored).metadata
        stream.check_tokenizer(corpus.parents[1] / "models/demo")
        with pytest.raises(TokenizerMismatch):
            stream.check_tokenizer(corpus / "pages.jsonl")
        streamed = pa.Table.from_batches(stream, stream.schema)
    masks = open_masks(scored)
    rows = masks.find(ids.as_py() for ids in streamed["input_ids"])
    assert streamed.num_rows == len(rows) == 6
    expected = masks.table.take(rows)
    # A shard alone in its folder has a shorter name.
    for name in set(streamed.column_names) - {"shard", "id"}:
        assert streamed[name].combine_chunks().equals(expected[name].combine_chunks()), name


def masks_of(corpus, **options) -> pa.Table:
    with rho_mask.score_stream(corpus, **options) as stream:
        return pa.Table.from_batches(stream, stream.schema)


def test_documents_in_memory_have_the_masks_of_a_file(tmp_path, binary, tiny):
    rows = [{"id": f"d{d}", "input_ids": [(d * 31 + t) % 64 for t in range(5 + d % 40)]} for d in range(3000)]
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"binary": binary, "quiet": True, **tiny}
    want = masks_of(path, **options).drop_columns(["shard"])
    table = pa.Table.from_pylist(rows)
    batches = table.to_batches(max_chunksize=170)
    in_numpy = ({"id": row["id"], "input_ids": np.array(row["input_ids"])} for row in rows)
    for corpus in [
        rows,
        in_numpy,
        batches,
        iter([batches[0], *(batch.select(["input_ids", "id"]) for batch in batches[1:])]),
        pa.RecordBatchReader.from_batches(table.schema, batches),
        table,
        [table.slice(0, 0), table],
    ]:
        assert masks_of(corpus, **options).drop_columns(["shard"]).equals(want)
    assert masks_of(batches[0], **options).num_rows == 170
    assert masks_of((path for _ in range(1)), **options).drop_columns(["shard"]).equals(want)
    # The program ends before the documents do.
    assert masks_of(({"input_ids": [1, 2, 3]} for _ in range(10**7)), limit=20, **options).num_rows == 20


def test_errors_of_documents_in_memory(binary, tiny):
    options = {"binary": binary, "quiet": True, **tiny}

    def broken(rows, error):
        for row in range(rows):
            yield {"input_ids": [row % 64, 2, 3]}
        raise error

    # Also one that the system has: it is not that of a pipe.
    for rows in [1, 50_000]:
        for error in [ValueError("no more"), BrokenPipeError("theirs"), KeyboardInterrupt()]:
            with pytest.raises(type(error)) as raised:
                masks_of(broken(rows, error), **options)
            assert raised.value is error
    with pytest.raises(ValueError, match="no more"):
        rho_mask.score_stream(broken(0, ValueError("no more")), **options)
    batch = pa.record_batch({"input_ids": [[1, 2, 3]]})
    for corpus, error, reason in [
        ([{"input_ids": [1]}, batch], TypeError, "document 1: expected a dictionary, as the first one is, got RecordBatch"),
        ([batch, {"input_ids": [1]}], TypeError, "batch 1: expected a record batch, a table or a dictionary, got dict"),
        (
            [batch, pa.record_batch({"text": ["a"]})],
            SchemaMismatch,
            "expected the columns input_ids, as in the first table, got text",
        ),
        ([{"input_ids": {1, 2}}], TypeError, "document 0: expected a value that JSON has, got set"),
        ([{"input_ids": [float("nan")]}], ValueError, "document 0: "),
        ([7], TypeError, "batch 0: expected a record batch, a table or a dictionary, got int"),
        ({"input_ids": [1]}, TypeError, "got one dictionary"),
        (7, TypeError, "not iterable"),
    ]:
        with pytest.raises(error, match=reason):
            masks_of(corpus, **options)
    assert masks_of(iter([]), **options).num_rows == 0


@linux
def test_documents_are_read_no_faster_than_they_are_scored(binary, tiny):
    taken = 0

    def rows():
        nonlocal taken
        for taken in range(10**9):
            yield {"input_ids": [taken % 64] * 500}

    with rho_mask.score_stream(rows(), binary=binary, quiet=True, **tiny) as stream:
        next(stream)
        still, before = 0, -1
        for _ in range(600):
            time.sleep(0.1)
            still, before = (still + 1, before) if taken == before else (0, taken)
            if still == 10:
                break
        assert still == 10 and taken < 60_000, (still, taken)
        process = stream._run.process
    assert process.poll() is not None


def test_a_stream_that_breaks_off_is_an_error(tmp_path, binary, tiny):
    corpus = corpus_of(tmp_path, 6000)
    with rho_mask.score_stream(corpus, binary=binary, quiet=True, **tiny) as stream:
        next(stream)
        # The program waits for its reader: it cannot know that this signal does not come from the user.
        stream._run.process.send_signal(signal.SIGTERM)
        with pytest.raises(RunError, match="stopped") as error:
            for _ in stream:
                pass
    assert error.value.code == 130


@linux
def test_a_slow_reader_is_waited_for(tmp_path, binary, tiny):
    def peak(process):
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def busy(process):
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    # 60 MB of masks in record batches of 4 MB: more than pipes and queues hold.
    corpus = corpus_of(tmp_path, 6000, tokens=500)
    with rho_mask.score_stream(corpus, binary=binary, quiet=True, **tiny) as stream:
        process, rows = stream._run.process, next(stream).num_rows
        # Nothing is read, so the program soon stops working.
        still, used = 0, busy(process)
        for _ in range(600):
            time.sleep(0.1)
            now = busy(process)
            still, used = (still + 1, used) if now == used else (0, now)
            if still == 10:
                break
        assert still == 10, "the program keeps working without a reader"
        waited = peak(process)
        rows += sum(batch.num_rows for batch in stream)
        assert rows == 6000
    # Scoring ahead is bounded: the peak memory with a reader is no lower.
    with rho_mask.score_stream(corpus, binary=binary, quiet=True, **tiny) as stream:
        for _ in stream:
            quick = peak(stream._run.process)
    assert waited < quick + (32 << 20), (waited, quick)


def test_a_reader_that_goes_ends_the_program(tmp_path, binary, tiny):
    corpus = corpus_of(tmp_path, 6000)
    stream = rho_mask.score_stream(corpus, binary=binary, quiet=True, **tiny)
    next(stream)
    process = stream._run.process
    assert process.poll() is None
    stream.close()
    assert process.returncode in (0, 130)
    stream.close()

    stream = rho_mask.score_stream(corpus, binary=binary, quiet=True, **tiny)
    process = stream._run.process
    next(stream)
    del stream
    gc.collect()
    assert process.returncode in (0, 130)

    # As in a shell pipe: the reader dies, and nobody sends a signal.
    command = rho_mask.run._command(corpus, "-", tiny["model"], binary, {k: v for k, v in tiny.items() if k != "model"})
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        reader = pa.ipc.open_stream(process.stdout)
        reader.read_next_batch()
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait() == 0, said
        assert "error" not in said and "panicked" not in said, said


def test_the_program_is_found(tmp_path, monkeypatch):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    monkeypatch.setattr(rho_mask.run.sysconfig, "get_path", lambda name, scheme: str(scripts))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RhoMaskError, match="no program rho-mask"):
        rho_mask.find_binary()
    name = "rho-mask.exe" if os.name == "nt" else "rho-mask"
    for folder in [tmp_path, scripts]:
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
        assert rho_mask.find_binary() == folder / name
