"""Masks on disk, by document: takes a folder, a file or record batches, gives NumPy arrays and Arrow tables.

Arrow streams and files are memory-mapped: opening a folder reads only the headers of its record batches, and memory does
not grow with its size. Masks written with `--compression zstd` or `--format parquet` cannot be mapped: they are decompressed
when they are opened. For packing see `packing`, for torch `dataset` and `loss`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .errors import MasksError, MissingDocuments, TokenizerMismatch
from .hashing import token_hash

if TYPE_CHECKING:
    import datasets

METADATA_KEY = b"rho_mask"
"""The key of the schema metadata that records how a mask file was created."""

FORMAT_VERSION = 1
"""The format version that this package reads."""

_END = b"\xff\xff\xff\xff\0\0\0\0"
"""The end-of-stream marker of an Arrow stream."""

_ARROW_FILE = b"ARROW1"
"""What an Arrow file starts with."""

_PARQUET = b"PAR1"
"""What a Parquet file starts with."""

StrPath = str | os.PathLike[str]


class Documents:
    """The documents of some record batches, by number from 0."""

    def __init__(self, batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> None:
        self.schema: pa.Schema = schema
        self._batches = [batch for batch in batches if batch.num_rows]
        self._ends = np.cumsum([batch.num_rows for batch in self._batches], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, document: int) -> dict[str, Any]:
        """A document's columns: lists as NumPy arrays, with NaN for null scores."""
        batch, row = self._find(document)
        return {
            name: self.values(name, document) if pa.types.is_list(kind) else batch.column(name)[row].as_py()
            for name, kind in zip(self.schema.names, self.schema.types)
        }

    def values(self, column: str, document: int, start: int = 0, end: int | None = None) -> npt.NDArray[Any]:
        """Entries `start` to `end` of a document in a column of lists; null is NaN. Token ids are not copied.

        The most likely tokens (`top_ids`, `top_logprobs`) are a row for each entry: -1 and NaN where there are none.
        """
        batch, row = self._find(document)
        lists = batch.column(self._index(column))
        offsets = lists.offsets
        first, last = offsets[row].as_py(), offsets[row + 1].as_py()
        stop = last if end is None else min(first + end, last)
        values = lists.values.slice(first + start, max(stop - first - start, 0))
        if pa.types.is_fixed_size_list(values.type):
            return _rows(values)
        array: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
        return array

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of tokens of every document."""
        index = self._index("input_ids")
        lengths = [np.diff(batch.column(index).offsets.to_numpy()) for batch in self._batches]
        return np.concatenate([np.zeros(0, np.int64), *lengths]).astype(np.int64)

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of all documents, not copied."""
        index = self._index(name)
        return pa.chunked_array([batch.column(index) for batch in self._batches], self.schema.field(index).type)

    def _find(self, document: int) -> tuple[pa.RecordBatch, int]:
        if not 0 <= document < len(self):
            raise IndexError(f"expected a document from 0 to {len(self) - 1}, got {document}")
        batch = int(np.searchsorted(self._ends, document, side="right"))
        before = int(self._ends[batch - 1]) if batch else 0
        return self._batches[batch], document - before

    def _index(self, column: str) -> int:
        index: int = self.schema.get_field_index(column)
        if index < 0:
            raise MasksError(
                f'no column "{column}" in the masks',
                f"the columns are {', '.join(self.schema.names)}; rho-mask select makes others from the same scores",
            )
        return index


def _rows(lists: pa.FixedSizeListArray) -> npt.NDArray[Any]:
    """Lists of one length, as rows of an array."""
    width = lists.type.list_size
    items = lists.values.slice(lists.offset * width, len(lists) * width)
    rows: npt.NDArray[Any] = items.to_numpy(zero_copy_only=False).reshape(-1, width)
    if lists.null_count:
        rows = rows.copy()
        rows[lists.is_null().to_numpy(zero_copy_only=False)] = np.nan if rows.dtype.kind == "f" else -1
    return rows


class Masks(Documents):
    """The masks of a corpus: a folder written by `rho-mask score` or `select`, or one of its files.

    `masks[i]` is a document, `len(masks)` the number of documents, `masks.metadata` records how they were made. Can be sent
    to the workers of a data loader: only the path is pickled.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        self.files = _files(self.path)
        batches: list[pa.RecordBatch] = []
        schema: pa.Schema | None = None
        for file in self.files:
            try:
                read = _read(file)
                found = read.schema
            except (pa.ArrowInvalid, OSError) as error:
                raise MasksError(f"{file}: {error}", "is the run that writes it finished?") from error
            if schema is not None and not schema.equals(found, check_metadata=True):
                raise MasksError(f"{file}: columns or metadata differ from those of {self.files[0]}")
            schema = found
            batches.extend(read.to_batches())
        if schema is None:
            raise MasksError(f"{self.path}: the folder lists no files", "no shard of the corpus could be read")
        self.metadata = metadata_of(schema, self.path)
        super().__init__(batches, schema)
        self._hashes: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None

    def __repr__(self) -> str:
        return f"Masks({str(self.path)!r}, {len(self):,} documents)"

    def __reduce__(self) -> tuple[type[Masks], tuple[Path]]:
        return type(self), (self.path,)

    @property
    def table(self) -> pa.Table:
        """All documents as an Arrow table, not copied."""
        return pa.Table.from_batches(self._batches, self.schema)

    def dataset(self) -> datasets.Dataset:
        """The masks as a Hugging Face dataset: of a folder of Arrow streams as `datasets.load_from_disk` opens it, else of
        what is open here."""
        import datasets

        if self.path.is_dir() and not any(_format(file) for file in self.files):
            return datasets.load_from_disk(str(self.path))
        return datasets.Dataset(datasets.table.InMemoryTable(self.table))

    def check_tokenizer(self, tokenizer: StrPath) -> None:
        """Raises `TokenizerMismatch` unless the masks were created with this tokenizer.json (or the one in this folder)
        and the files beside it, byte for byte."""
        check_tokenizer(self.metadata, tokenizer, str(self.path))

    def find(self, documents: Iterable[Sequence[int] | npt.NDArray[np.integer]]) -> npt.NDArray[np.int64]:
        """For each list of token ids the number of the document with exactly these tokens, -1 if there is none.

        Of several equal documents it is the first. Special tokens count: the ids must be those that the reference saw.
        """
        if self._hashes is None:
            hashes: npt.NDArray[np.int64] = self.column("token_hash").to_numpy()
            order = np.argsort(hashes, kind="stable")
            self._hashes = hashes[order], order
        sorted_hashes, order = self._hashes
        found: list[int] = []
        for tokens in documents:
            wanted = np.asarray(tokens)
            at = int(np.searchsorted(sorted_hashes, token_hash(wanted)))
            match = -1
            # Compare the tokens of equal hashes: 64-bit hashes may collide in a large corpus.
            while match < 0 and at < len(order) and sorted_hashes[at] == token_hash(wanted):
                if np.array_equal(self.values("input_ids", int(order[at])), wanted):
                    match = int(order[at])
                at += 1
            found.append(match)
        return np.array(found, np.int64)

    def join(self, documents: Iterable[Sequence[int] | npt.NDArray[np.integer]]) -> npt.NDArray[np.int64]:
        """Like `find`, but raises `MissingDocuments` if a document has no masks."""
        found = self.find(documents)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            rules = {name: self.metadata.get(name) for name in ("bos", "eos")}
            raise MissingDocuments(
                f"{len(missing)} of {len(found)} documents have no masks in {self.path}, the first is number {missing[0]}",
                f"documents are matched by all of their tokens, special ones included; in these masks: {json.dumps(rules)}",
            )
        return found


def open_masks(path: StrPath, *, tokenizer: StrPath | None = None) -> Masks:
    """Opens a masks folder, or one of its files, memory-mapped.

    With a `tokenizer` (tokenizer.json, or a folder with one), masks created with another tokenizer are refused.
    """
    masks = Masks(path)
    if tokenizer is not None:
        masks.check_tokenizer(tokenizer)
    return masks


def metadata_of(schema: pa.Schema, origin: object) -> dict[str, Any]:
    """How masks were created, from the metadata of their schema."""
    text = (schema.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise MasksError(f"{origin}: expected masks: the schema has no metadata {METADATA_KEY.decode()!r}")
    metadata: dict[str, Any] = json.loads(text)
    version = metadata.get("format_version")
    if version != FORMAT_VERSION:
        raise MasksError(
            f"{origin}: expected masks of format {FORMAT_VERSION}, got {version}", "update the package rho-mask"
        )
    return metadata


def check_tokenizer(metadata: Mapping[str, Any], tokenizer: StrPath, origin: str) -> None:
    """Raises `TokenizerMismatch` unless the metadata has the fingerprint of this tokenizer, or of each file that it was
    built from."""
    path = Path(tokenizer)
    path = path / "tokenizer.json" if path.is_dir() else path
    try:
        got = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise MasksError(f"cannot read the tokenizer {path}: {error.strerror}") from error
    said: Mapping[str, Any] = metadata.get("tokenizer") or {}
    made_with = said.get("fingerprint")
    if made_with is None:
        raise TokenizerMismatch(
            f"{origin}: the tokenizer is unknown: these masks were created from token ids",
            "omit the tokenizer if you know that the ids are its own",
        )
    if made_with != got and not _made_of(said.get("files") or {}, path):
        raise TokenizerMismatch(
            f"{origin}: created with another tokenizer: expected {path} with SHA-256 {made_with}, got {got}",
            "use the tokenizer.json of the reference, or score again with yours",
        )


def _made_of(files: Mapping[str, str], path: Path) -> bool:
    """Whether the tokenizer of some masks was built from this file and those beside it."""
    if path.name not in files:
        return False
    for name, expected in files.items():
        if Path(name).name != name:
            return False
        try:
            got = hashlib.sha256((path.parent / name).read_bytes()).hexdigest()
        except OSError:
            return False
        if got != expected:
            return False
    return True


def _format(file: Path) -> bytes:
    """What an Arrow or Parquet file starts with; empty for a stream. The name of a file says nothing."""
    with file.open("rb") as opened:
        head = opened.read(len(_ARROW_FILE))
    return next((magic for magic in (_ARROW_FILE, _PARQUET) if head.startswith(magic)), b"")


def _read(file: Path) -> pa.Table:
    """The rows of a mask file in any of its formats."""
    magic = _format(file)
    if magic == _PARQUET:
        import pyarrow.parquet

        # Its record batches are its row groups: a column of several chunks is none of one batch.
        with pyarrow.parquet.ParquetFile(file) as parquet:
            groups = [parquet.read_row_group(group) for group in range(parquet.num_row_groups)]
            return pa.concat_tables([parquet.schema_arrow.empty_table(), *groups])
    mapped = pa.memory_map(str(file))
    if magic == _ARROW_FILE:
        with pa.ipc.open_file(mapped) as arrow:
            return arrow.read_all()
    # Arrow accepts a stream that is truncated between two record batches.
    if mapped.size() < len(_END) or mapped.read_at(len(_END), mapped.size() - len(_END)) != _END:
        raise OSError("the file is truncated: it has no end-of-stream marker")
    with pa.ipc.open_stream(mapped) as stream:
        return stream.read_all()


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    listed = path / "state.json"
    try:
        state = json.loads(listed.read_text("utf-8"))
    except FileNotFoundError as error:
        raise MasksError(
            f"{path}: expected a masks folder or file, got no {listed.name}" if path.exists() else f"{path}: not found",
            "resume an unfinished run with the same command" if path.exists() else None,
        ) from error
    return [path / _inside(file["filename"], listed) for file in state["_data_files"]]


def _inside(name: str, listed: Path) -> str:
    """The name of a file, if it stays inside the folder that lists it."""
    parts = name.replace("\\", "/").split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\0" in name or Path(name).is_absolute() or ":" in parts[0][1:2]:
        raise MasksError(
            f"{listed}: expected a relative path that stays inside its folder, got {name[:200]!r}",
            "do not trust this folder: no program writes such a list",
        )
    return name
