"""Runs the program from Python: finds the binary, runs it, raises its errors.

Takes a corpus and the program's options by name, returns a masks folder or a stream of record batches. The options are
passed on unchecked: the program decides whether an option exists and what it means.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import pyarrow as pa

from .errors import IncompleteWarning, RhoMaskError, RunError
from .masks import StrPath, check_tokenizer, metadata_of
from .tables import fitted, parts, sent

Option = None | bool | str | int | float | os.PathLike[str]

_LINES = 200
"""Lines of standard error that are kept to extract the error from."""

Documents = Iterable[pa.RecordBatch] | Iterable[pa.Table] | Iterable[Mapping[str, Any]]
"""Documents in memory: as Arrow, or as dictionaries."""

_STREAMED_BYTES = 16 << 20
"""The most bytes of a record batch that is streamed to the program."""

_PATIENCE = 10.0
"""Seconds that the program has to exit after SIGTERM before it is killed."""


def find_binary() -> Path:
    """The program `rho-mask`: of this Python environment, of the user's site packages, or on the PATH, in this order."""
    name = "rho-mask.exe" if os.name == "nt" else "rho-mask"
    schemes = [sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")]
    for scheme in schemes:
        path = Path(sysconfig.get_path("scripts", scheme=scheme)) / name
        if path.is_file():
            return path
    on_path = shutil.which(name)
    if on_path is None:
        raise RhoMaskError(
            f"no program {name} in this Python environment or on the PATH",
            "install the wheel of rho-mask, which contains it, or name it: binary=...",
        )
    return Path(on_path)


def score(
    corpus: StrPath | Sequence[StrPath],
    out: StrPath,
    *,
    model: StrPath | Sequence[StrPath] | None = None,
    binary: StrPath | None = None,
    quiet: bool = False,
    **options: Option | Sequence[Option],
) -> Path:
    """Scores a corpus into a masks folder and returns it: `open_masks(score("corpus/", "masks/", model="ref/"))`.

    Args:
        corpus: files, folders, patterns and URLs, as on the command line.
        out: the masks folder; an unfinished one is resumed.
        model: the reference, or several; without it the bundled demonstration model.
        binary: the program, if not that of `find_binary`.
        quiet: do not print the program's messages to `sys.stderr`.
        options: those of `rho-mask score --help` by name: `keep_loss=0.7` is `--keep-loss 0.7`, `lines=True` is `--lines`;
            None and False omit an option, and a list repeats it.

    If the program stopped, raises `RunError` with its error and hint. If it finished but skipped rows or shards, warns with
    `IncompleteWarning`: `rejected.jsonl` in the folder lists them with the reasons.
    """
    if os.fspath(out) == "-":
        raise ValueError('expected a folder, got "-": use score_stream to stream the masks')
    run = _Run(_command(corpus, out, model, binary, options), stdout=subprocess.DEVNULL, quiet=quiet)
    try:
        run.process.wait()
    except BaseException:
        run.stop()
        raise
    run.check()
    return Path(out)


def score_stream(
    corpus: StrPath | Sequence[StrPath] | Documents,
    *,
    model: StrPath | Sequence[StrPath] | None = None,
    binary: StrPath | None = None,
    quiet: bool = False,
    **options: Option | Sequence[Option],
) -> MaskStream:
    """Scores a corpus and streams the masks as Arrow record batches, to train while scoring runs.

    Arguments are those of `score`. The program waits for a slow reader, so memory does not grow.

    The corpus may also be an iterable of record batches, pyarrow tables or dictionaries: a generator, a
    `pyarrow.RecordBatchReader`, a dataset of `datasets`. A thread reads it while the program scores, no faster than the
    program. Batches have the columns of the first one; dictionaries are sent as JSON. What the iterable raises ends the
    program and is raised where the stream is read.
    """
    places, rows = _documents(corpus)
    command = _command(places, "-", model, binary, options)
    return MaskStream(_Run(command, stdout=subprocess.PIPE, quiet=quiet, rows=rows))


class MaskStream(Iterator[pa.RecordBatch]):
    """Record batches of a program that is still scoring. `close`, or leaving it as a context manager, ends the program.

    `schema` is their schema, `metadata` records how the masks are made.
    """

    def __init__(self, run: _Run) -> None:
        self._run = run
        try:
            self._reader = pa.ipc.open_stream(run.process.stdout)
        except BaseException as error:
            if not isinstance(error, pa.ArrowInvalid):
                run.stop()
                raise
            # The stream is empty, so the program has an error that says why.
            run.end()
            raise
        self.schema: pa.Schema = self._reader.schema
        self.metadata: dict[str, Any] = metadata_of(self.schema, "the stream")

    def __next__(self) -> pa.RecordBatch:
        try:
            return self._reader.read_next_batch()
        except StopIteration:
            # A truncated stream looks like a finished one; the exit code distinguishes them.
            self._run.end()
            raise
        except (pa.ArrowInvalid, OSError):
            self._run.end()
            raise
        except BaseException:
            self._run.stop()
            raise

    def check_tokenizer(self, tokenizer: StrPath) -> None:
        """Raises `TokenizerMismatch` unless the masks are created with this tokenizer.json (or the one in this folder)."""
        check_tokenizer(self.metadata, tokenizer, "the stream")

    def close(self) -> None:
        """Ends the program, if it is still running."""
        self._run.stop()

    def __enter__(self) -> MaskStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if "_run" in self.__dict__:
            self._run.stop()


class _Run:
    """A started program and its last lines of standard error."""

    def __init__(self, command: list[str], *, stdout: int, quiet: bool, rows: Iterator[Any] | None = None) -> None:
        stdin = subprocess.DEVNULL if rows is None else subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=False)
        self._raised: BaseException | None = None
        if rows is not None:
            threading.Thread(target=self._feed, args=(rows,), daemon=True).start()
        self._said: deque[str] = deque(maxlen=_LINES)
        self._listener = threading.Thread(target=self._listen, args=(None if quiet else sys.stderr,), daemon=True)
        self._listener.start()
        self._checked = False

    def _listen(self, echo: TextIO | None) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for raw in lines:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                self._said.append(line)
                if echo is not None:
                    print(line, file=echo)

    def _feed(self, rows: Iterator[Any]) -> None:
        """Writes documents to standard input. It alone closes the pipe: another thread would wait for its lock."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError), self.process.stdin as pipe:
            try:
                for part in _encoded(rows):
                    try:
                        pipe.write(part)
                    except OSError:
                        # The program has ended. Whoever reads its masks finds out why.
                        return
            except BaseException as error:
                self._raised = error
                # Before its input ends: it would take the rows so far for all.
                self.process.kill()

    def stop(self) -> None:
        """Ends the program if it is still running: closes its pipe and sends SIGTERM, then SIGKILL."""
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._listener.join()
        self._checked = True

    def end(self) -> None:
        """Waits for the program, whose stream has ended, and raises its error."""
        if not self._checked:
            self._checked = True
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.check()

    def check(self) -> None:
        """Raises or warns according to the exit code of the ended program."""
        self._listener.join()
        if self._raised is not None:
            raise self._raised
        code = self.process.returncode
        if code == 0:
            return
        if code == 1:
            notes = [line for line in self._said if line.startswith("note: ")]
            left_out = notes[-1] if notes else "documents or shards were skipped"
            warnings.warn(f"rho-mask finished: {left_out}", IncompleteWarning, stacklevel=4)
            return
        message, hint = error_of(list(self._said))
        raise RunError(message or f"rho-mask ended with exit code {code}", hint, code)


def absolute(model: StrPath | Sequence[StrPath] | None) -> Any:
    """Models with absolute paths, for a process in another folder. Names of the Hub stay as they are."""
    if model is None or isinstance(model, (str, os.PathLike)):
        return os.path.abspath(model) if model is not None and os.path.exists(model) else model
    return [absolute(one) for one in model]


def _documents(corpus: Any) -> tuple[Any, Iterator[Any] | None]:
    """A corpus as paths, or as standard input and the documents for it."""
    if isinstance(corpus, (str, os.PathLike)):
        return corpus, None
    if isinstance(corpus, (pa.Table, pa.RecordBatch)):
        corpus = [corpus]
    if isinstance(corpus, Mapping):
        raise TypeError("expected paths, or an iterable of record batches or dictionaries, got one dictionary")
    items = iter(corpus)
    first = next(items, None)
    if isinstance(first, (str, os.PathLike)) or (first is None and isinstance(corpus, Sequence)):
        return corpus if isinstance(corpus, Sequence) else [first, *items], None
    return "-", iter(()) if first is None else itertools.chain([first], items)


def _encoded(rows: Iterator[Any]) -> Iterator[bytes]:
    """Documents as an Arrow stream or as JSON lines, after the type of the first one."""
    first = next(rows, None)
    if first is None:
        return
    rows = itertools.chain([first], rows)
    if isinstance(first, Mapping):
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise TypeError(f"document {number}: expected a dictionary, as the first one is, got {type(row).__name__}")
            try:
                yield json.dumps(row, allow_nan=False, default=_as_list).encode() + b"\n"
            except (TypeError, ValueError) as error:
                raise type(error)(f"document {number}: {error}") from error
        return
    columns: pa.Schema | None = None
    sink = io.BytesIO()
    for number, batch in enumerate(rows):
        if not isinstance(batch, (pa.RecordBatch, pa.Table)):
            got = type(batch).__name__
            raise TypeError(f"batch {number}: expected a record batch, a table or a dictionary, got {got}")
        if columns is None:
            columns = sent(batch.schema)
            writer = pa.ipc.new_stream(sink, columns)
        for whole in fitted(batch, columns).to_batches():
            for part in parts(whole, _STREAMED_BYTES):
                writer.write_batch(part)
                yield sink.getvalue()
                sink.seek(0)
                sink.truncate()
    writer.close()
    yield sink.getvalue()


def _as_list(value: Any) -> Any:
    """Arrays and numbers of NumPy and PyTorch as JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"expected a value that JSON has, got {type(value).__name__}")


def error_of(said: Sequence[str]) -> tuple[str | None, str | None]:
    """The last error of the program and its hint, or the option parser's tip."""
    starts = [i for i, line in enumerate(said) if line.startswith("error: ")]
    if not starts:
        return (said[-1], None) if said else (None, None)
    lines: list[str] = []
    hint: str | None = None
    for line in said[starts[-1] :]:
        text = line.strip()
        if text.startswith("hint: ") or text.startswith("tip: "):
            hint = text.partition(": ")[2]
        elif text.startswith(("Usage: ", "For more information")):
            break
        elif text and hint is None:
            lines.append(text)
    return " ".join(lines).removeprefix("error: "), hint


def _command(
    corpus: StrPath | Sequence[StrPath],
    out: StrPath,
    model: StrPath | Sequence[StrPath] | None,
    binary: StrPath | None,
    options: dict[str, Option | Sequence[Option]],
) -> list[str]:
    places = [corpus] if isinstance(corpus, (str, os.PathLike)) else list(corpus)
    command = [os.fspath(find_binary() if binary is None else binary), "score", "--out", os.fspath(out)]
    command += flags({"model": model, **options})
    return [*command, "--", *(os.fspath(place) for place in places)]


def flags(options: Mapping[str, Option | Sequence[Option]]) -> list[str]:
    """Options by name as arguments of the program: `keep_loss=0.7` is `--keep-loss=0.7`, and a list repeats its option."""
    arguments = []
    for name, given in options.items():
        flag = "--" + name.replace("_", "-")
        values = [given] if given is None or isinstance(given, (bool, str, int, float, os.PathLike)) else list(given)
        for value in values:
            if value is True:
                arguments.append(flag)
            elif value is not None and value is not False:
                # One argument, so that a value may start with a dash.
                arguments.append(f"{flag}={value if not isinstance(value, os.PathLike) else os.fspath(value)}")
    return arguments
