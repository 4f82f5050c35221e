"""Scores tables in memory: keeps `rho-mask worker` running and sends it record batches through pipes.

Takes tables, yields tables with as many rows in the same order. The options are passed on unchecked, as in `run`. Does not
spread a corpus over machines: see `ray` and `spark`, or any engine that calls a function with a batch.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, TextIO

import pyarrow as pa

from .errors import RhoMaskError, RunError, ScorerError
from .masks import StrPath
from .run import Option, error_of, find_binary, flags
from .tables import BATCH_BYTES, fitted, parts, sent

_LAST_WORDS = 64 << 10
"""Bytes of standard error that are kept to extract the error from."""

_LAST_LINES = 20
"""Lines of standard error that an error quotes."""

_PATIENCE = 10.0
"""Seconds that an idle worker has to exit after its input ends before it is killed."""

_MOST_READ = 1 << 30
"""The most bytes of one system call."""


class Scorer:
    """Scores documents that are in memory, with models that stay loaded.

        with rho_mask.Scorer(model="ref/", by="loss", keep=0.6) as scorer:
            scores = scorer(table)                          # a pyarrow table, or a record batch

    The answer has a row for each row of the table, in the same order: the columns of masks (scores in nats), `error`, and the
    columns that are passed through. A row that cannot be scored has a reason in `error`, and null scores. `row` counts the
    rows of all calls, and a document without an id is named after it.

    The worker process starts at the first call, or when the context is entered, and loads the models once. Calls of
    several threads take turns. If the worker dies, another one takes its place and gets the rows that have no answer yet;
    if that one dies in the same call, `ScorerError` is raised with its last lines. A worker that stops with an error before
    its first answer is not replaced: its options or the columns are wrong. It ends with this process, even if that is killed.

    The columns are those of the first table. In later calls, other columns raise `SchemaMismatch`; their order, nullability,
    metadata, the width of offsets, and columns of nulls alone may differ.

    A scorer can be pickled until its worker starts. A forked process starts a worker of its own.

    Args:
        model: the reference, or several; without it the bundled demonstration model.
        binary: the program, if not that of `find_binary`.
        quiet: do not print the worker's messages to `sys.stderr`.
        batch_bytes: larger tables are sent in parts of at most so many bytes, which bounds the memory of the worker. A row
            is never divided.
        pass_columns: columns to return unchanged, behind the others. `pass_all=True` returns all.
        options: those of `rho-mask worker --help` by name, as for `score`; a list repeats an option.
    """

    def __init__(
        self,
        *,
        model: StrPath | Sequence[StrPath] | None = None,
        binary: StrPath | None = None,
        quiet: bool = False,
        batch_bytes: int = BATCH_BYTES,
        pass_columns: str | Sequence[str] = (),
        **options: Option | Sequence[Option],
    ) -> None:
        if batch_bytes < 1:
            raise ValueError(f"batch_bytes: expected at least 1, got {batch_bytes}")
        self._binary = None if binary is None else os.fspath(binary)
        self._flags = flags({"model": model, **options, "pass": pass_columns})
        self._passes = bool(pass_columns) or options.get("pass_all") is True
        self._quiet = quiet
        self._batch_bytes = batch_bytes
        self._prepare()

    def _prepare(self) -> None:
        """The state of a scorer whose worker has not started."""
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._started = self._closed = False
        self._columns: pa.Schema | None = None
        self._rows = 0
        _scorers.add(self)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Scores the rows of a table, and returns a table with a row for each. A record batch gives a record batch."""
        if not isinstance(table, (pa.Table, pa.RecordBatch)):
            raise TypeError(f"expected a pyarrow table or record batch, got {type(table).__name__}")
        with self._lock:
            if self._closed:
                raise ValueError("the scorer is closed")
            if table.num_rows == 0:
                # Without rows, columns often have no types, so such a table does not fix the columns of later ones.
                scored = self._schema(table.schema).empty_table()
            else:
                scored = self._scored(table)
        return _one_batch(scored) if isinstance(table, pa.RecordBatch) else scored

    def schema(self, columns: pa.Schema | None = None) -> pa.Schema:
        """The schema of the answers, without metadata; starts no worker and opens no model. With `pass_columns` or
        `pass_all`, `columns` is the schema of the tables to score."""
        return _schema_of(self._command("--show-schema"), sent(columns) if self._passes and columns is not None else None)

    def close(self) -> None:
        """Ends the worker. A call that another thread has made is finished first."""
        with self._lock:
            self._closed = True
            if self._worker is not None:
                self._worker.stop()
                self._worker = None

    def __enter__(self) -> Scorer:
        with self._lock:
            if self._closed:
                raise ValueError("the scorer is closed")
            self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        worker = self.__dict__.get("_worker")
        if worker is not None:
            worker.stop()

    def __getstate__(self) -> dict[str, Any]:
        if self._started:
            raise TypeError(
                "cannot pickle a Scorer whose worker was started: pickle it before its first call, or create it there"
            )
        names = ("_binary", "_flags", "_passes", "_quiet", "_batch_bytes")
        return {name: self.__dict__[name] for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def _command(self, *arguments: str) -> list[str]:
        binary = os.fspath(find_binary()) if self._binary is None else self._binary
        return [binary, "worker", *self._flags, *arguments]

    def _start(self) -> _Worker:
        if self._worker is None:
            first_row = [f"--first-row={self._rows}"] if self._rows else []
            self._started = True
            self._worker = _Worker(self._command(*first_row), self._quiet)
        return self._worker

    def _schema(self, columns: pa.Schema) -> pa.Schema:
        """The schema of the answers: with the metadata of the masks if there has been an answer."""
        if self._worker is not None and self._worker.schema is not None:
            return self._worker.schema
        return self.schema(columns if self._columns is None else self._columns)

    def _scored(self, table: Any) -> pa.Table:
        batches = list(self._batches(table))
        answers: list[pa.RecordBatch] = []
        replaced = False
        while len(answers) < len(batches):
            worker = self._start()
            try:
                for answer in worker.answers(batches[len(answers) :]):
                    answers.append(answer)
                    self._rows += answer.num_rows
            except _Died as died:
                self._worker = None
                if self._rows == 0:
                    self._columns = None
                if replaced or died.refused:
                    raise died.error() from None
                replaced = True
            except BaseException:
                # Whatever it still answers would be taken for the answer to the next table.
                self._worker = None
                worker.kill()
                raise
        return pa.Table.from_batches(answers)

    def _batches(self, table: Any) -> Iterator[pa.RecordBatch]:
        """The table in the columns of the first one, in parts that may be sent."""
        if self._columns is None:
            self._columns = sent(table.schema)
        for batch in fitted(table, self._columns).to_batches():
            if batch.num_rows:
                yield from parts(batch, self._batch_bytes)


_scorers: weakref.WeakSet[Scorer] = weakref.WeakSet()
"""Those of this process, to leave their workers to the parent after a fork."""


def masks_schema(columns: pa.Schema | None = None, **options: Any) -> pa.Schema:
    """The schema of what a `Scorer` with these options returns: names, order, types and nullability, without metadata.

    Starts no worker and opens no model: for engines that must know it first. With `pass_columns` or `pass_all`, `columns` is
    the schema of the tables to score.
    """
    return Scorer(**options).schema(columns)


class _Died(Exception):
    """A worker ended without an answer."""

    def __init__(self, code: int, said: list[str], answered: bool) -> None:
        super().__init__(code)
        self.code, self.said = code, said
        message, self.hint = error_of(said)
        reported = any(line.startswith("error: ") for line in said)
        self.message = message if reported else None
        self.refused = code == 2 and reported and not answered

    def error(self) -> RunError:
        if self.refused:
            return RunError(self.message or "", self.hint, self.code)
        how = f"exit code {self.code}" if self.code >= 0 else _signal(-self.code)
        message = f"rho-mask worker ended with {how}" + (f": {self.message}" if self.message else "")
        last = self.said[-_LAST_LINES:]
        if last and not self.message:
            message += "\nits last lines:\n" + "\n".join(last)
        return ScorerError(message, self.hint if self.message else None, self.code, last)


def _signal(number: int) -> str:
    with contextlib.suppress(ValueError):
        return f"signal {number} ({signal.Signals(number).name})"
    return f"signal {number}"


class _Worker:
    """A running worker and its pipes. It belongs to the process that started it."""

    def __init__(self, command: list[str], quiet: bool) -> None:
        # Unbuffered: after a fork in another thread, nobody could unlock a buffer.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self._owner = os.getpid()
        self._messages = _Messages(self._process.stderr, None if quiet else sys.stderr)
        self._sender: threading.Thread | None = None
        self._writer: Any = None
        self._reader: Any = None
        self._unsent: BaseException | None = None
        # At the end of this process the worker ends too.
        self._idle = threading.Event()
        self.stop = weakref.finalize(self, _stop, self._process, self._messages, self._idle, self._owner)
        self.schema: pa.Schema | None = None

    def answers(self, batches: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """An answer for each batch. Batches are sent while answers are read, so that neither side waits for the other."""
        self._idle.clear()
        self._sender = threading.Thread(target=self._send, args=(batches,), daemon=True)
        self._sender.start()
        for batch in batches:
            answer = self._next()
            if answer.num_rows != batch.num_rows:
                raise RhoMaskError(f"expected an answer of {batch.num_rows} rows, got {answer.num_rows}")
            yield answer
        self._sender.join()
        self._idle.set()

    def _next(self) -> pa.RecordBatch:
        try:
            if self._reader is None:
                self._reader = pa.ipc.open_stream(_Pipe(self._process.stdout))
                self.schema = self._reader.schema
            return self._reader.read_next_batch()
        except (StopIteration, pa.ArrowInvalid, OSError) as error:
            answered = self.schema is not None
            code, said = self._end()
            if self._unsent is not None:
                raise self._unsent from None
            raise _Died(code, said, answered) from error

    def _send(self, batches: list[pa.RecordBatch]) -> None:
        try:
            if self._writer is None:
                self._writer = pa.ipc.new_stream(_Pipe(self._process.stdin), batches[0].schema)
            for batch in batches:
                self._writer.write_batch(batch)
        except OSError:
            # The worker is gone; whoever reads its answers finds out why.
            pass
        except BaseException as error:
            self._unsent = error
            # Without its input it ends, and the reader wakes.
            self._process.kill()

    def _end(self) -> tuple[int, list[str]]:
        """Waits for a worker whose output has ended: its exit code and last lines."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        self.kill()
        return self._process.returncode, self._messages.lines()

    def kill(self) -> None:
        """Ends a worker that is not idle."""
        self._process.kill()
        self._process.wait()
        if self._sender is not None:
            # The pipe has no reader any more.
            self._sender.join(_PATIENCE)
        self.stop()

    def leave(self) -> None:
        """After a fork, in the child: closes its ends of the pipes, so that the worker sees when the parent closes its own."""
        self.stop.detach()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        # Not a child of this process: it must not be waited for.
        self._process.returncode = 0


def _stop(process: subprocess.Popen[bytes], messages: _Messages, idle: threading.Event, owner: int) -> None:
    if os.getpid() != owner:
        return
    assert process.stdin is not None and process.stdout is not None
    if not idle.is_set():
        process.kill()
    process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
    messages.end()


def _leave_workers() -> None:
    for scorer in list(_scorers):
        # Another thread of the parent may have held it.
        scorer._lock = threading.Lock()
        worker, scorer._worker = scorer._worker, None
        if worker is not None:
            worker.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_workers)


class _Pipe:
    """A pipe as Arrow reads and writes it: always all of the bytes."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self.closed = False

    def read(self, size: int) -> memoryview:
        whole = memoryview(bytearray(size))
        at = 0
        while at < size:
            got = self._pipe.readinto(whole[at : at + _MOST_READ])
            if not got:
                break
            at += got
        return whole[:at]

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            left = left[self._pipe.write(left[:_MOST_READ]) :]
        return size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class _Messages:
    """What a worker writes to standard error: printed as it comes, and its end kept."""

    def __init__(self, pipe: Any, echo: TextIO | None) -> None:
        self._pipe = pipe
        self._kept = b""
        self._thread = threading.Thread(target=self._listen, args=(echo,), daemon=True)
        self._thread.start()

    def _listen(self, echo: TextIO | None) -> None:
        line = b""
        while chunk := self._pipe.read(1 << 16):
            self._kept = (self._kept + chunk)[-_LAST_WORDS:]
            if echo is None:
                continue
            lines, found, rest = (line + chunk).rpartition(b"\n")
            # A line without an end is not kept either.
            line = rest[-_LAST_WORDS:]
            # The messages are optional, the scores are not: a closed sys.stderr must not end the reading.
            with contextlib.suppress(ValueError, OSError):
                if found:
                    print(lines.decode("utf-8", "replace"), file=echo, flush=True)

    def lines(self) -> list[str]:
        """The last lines, once the worker has ended."""
        self._thread.join(_PATIENCE)
        return self._kept.decode("utf-8", "replace").splitlines()

    def end(self) -> None:
        self._thread.join(_PATIENCE)
        if not self._thread.is_alive():
            self._pipe.close()


def _schema_of(command: list[str], columns: pa.Schema | None) -> pa.Schema:
    given = b"" if columns is None else columns.serialize().to_pybytes()
    ended = subprocess.run(command, input=given, capture_output=True)
    if ended.returncode != 0:
        message, hint = error_of(ended.stderr.decode("utf-8", "replace").splitlines())
        raise RunError(message or f"rho-mask ended with exit code {ended.returncode}", hint, ended.returncode)
    return pa.ipc.open_stream(ended.stdout).schema


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
