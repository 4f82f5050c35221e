"""Tables as they are sent to the program: all with the columns of the first one, in parts of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from .errors import SchemaMismatch

BATCH_BYTES = 256 << 20
"""The most bytes that are sent at once, unless the caller says otherwise. The program refuses 2 GiB."""


def sent(columns: pa.Schema) -> pa.Schema:
    """The columns as they are sent: later tables may have nulls where the first one has none."""
    if not columns.names:
        raise SchemaMismatch("expected columns, got a table without any")
    twice = {name for name in columns.names if columns.names.count(name) > 1}
    if twice:
        raise SchemaMismatch(f"expected columns with different names, got {', '.join(sorted(twice))} more than once")
    return pa.schema([field.with_nullable(True) for field in columns])


def fitted(table: Any, columns: pa.Schema) -> pa.Table:
    """The table (or record batch) with these columns, in this order; raises `SchemaMismatch` if it has others."""
    given = table.schema
    if sorted(given.names) != sorted(columns.names):
        raise SchemaMismatch(
            f"expected the columns {', '.join(columns.names)}, as in the first table, got {', '.join(given.names)}"
        )
    ordered = []
    for field in columns:
        column, kind = table.column(field.name), given.field(field.name).type
        if kind != field.type:
            if not _is_another_form(kind, field.type):
                raise SchemaMismatch(f'column "{field.name}": expected {field.type}, as in the first table, got {kind}')
            column = pa.nulls(len(column), field.type) if pa.types.is_null(kind) else column.cast(field.type)
        ordered.append(column)
    return pa.table(ordered, schema=columns)


def _is_another_form(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one type are values of the other: only nullability or the width of offsets differs."""
    if given == wanted or pa.types.is_null(given):
        return True
    texts = (pa.types.is_string, pa.types.is_large_string)
    if any(text(given) for text in texts):
        return any(text(wanted) for text in texts)
    lists = (pa.types.is_list, pa.types.is_large_list)
    if any(kind(given) for kind in lists) and any(kind(wanted) for kind in lists):
        return _is_another_form(given.value_type, wanted.value_type)
    return False


def parts(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """The batch in parts of at most so many bytes, in order. A row is not divided."""
    if batch.num_rows <= 1 or pa.ipc.get_record_batch_size(batch) <= most:
        yield batch
        return
    half = batch.num_rows // 2
    yield from parts(batch.slice(0, half), most)
    yield from parts(batch.slice(half), most)
