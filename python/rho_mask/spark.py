"""Scores data frames of Spark: `rho_mask.spark.score(df, model="ref/")`, or `mapInArrow` with `scorer` and `schema`.

Takes record batches of a partition, yields what a `Scorer` returns for them, in types that Spark has. Spark divides, places,
retries and writes; each Python worker of an executor has one scorer, whose models stay loaded from task to task.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from .errors import SchemaMismatch
from .run import absolute
from .scorer import Scorer, masks_schema
from .tables import parts

BATCH_BYTES = 16 << 20
"""The most bytes that are scored at once, unless the caller says otherwise: a batch of Spark may be a whole partition."""

_TIME_ZONE = "UTC"


def score(frame: DataFrame, **options: Any) -> DataFrame:
    """The scores of a data frame: `mapInArrow` with `scorer` and `schema`, which take the same options."""
    return frame.mapInArrow(scorer(**options), schema(frame.schema, **options))


def scorer(
    *, expected: StructType | None = None, columns: StructType | None = None, **options: Any
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for `DataFrame.mapInArrow`: yields a row for each row of its batches, in order.

    A batch is scored in parts of at most `batch_bytes` (16 MiB), and each part is given to Spark before the next one is scored,
    so memory does not grow with `spark.sql.execution.arrow.maxRecordsPerBatch`. A task that Spark retries starts over. Give the
    documents ids (unique): `shard` and `row` count within a Python worker, and so do the names of documents without ids.

    Spark takes columns by their order and does not compare names: with a schema of another order it would exchange loss and
    entropy. Use `schema`, or `score`, or have yours compared: `expected`.

    Args:
        expected: the schema that `mapInArrow` gets. `SchemaMismatch` is raised if the scores have another one.
        columns: the schema of the data frame; needed with `expected` and columns that are passed through.
        options: those of `rho_mask.Scorer`. `device` is "cpu" and `threads` 1 (a core, as Spark counts tasks) unless they say
            otherwise.
    """
    options = {"device": "cpu", "threads": 1, "batch_bytes": BATCH_BYTES, **options}
    if "model" in options:
        options["model"] = absolute(options["model"])
    if expected is not None:
        _compare(expected, schema(columns, **options))
    # Wrong arguments are refused here, not in a task.
    Scorer(**options)

    def scored(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for part in parts(batch, options["batch_bytes"]):
                answers = _held(options, part.schema)(pa.Table.from_batches([part]))
                yield from answers.cast(_of_spark(answers.schema)).to_batches()

    return scored


def schema(columns: StructType | None = None, **options: Any) -> StructType:
    """The schema of what `scorer` yields, for `DataFrame.mapInArrow`. `columns` is the schema of the data frame; it is needed
    with `pass_columns` or `pass_all`."""
    given = None if columns is None else to_arrow_schema(columns, timezone=_TIME_ZONE)
    return from_arrow_schema(_of_spark(masks_schema(given, **options)))


def _compare(expected: StructType, scores: StructType) -> None:
    for number, (ours, theirs) in enumerate(zip_longest(scores, expected)):
        if ours is None or theirs is None or (ours.name, ours.dataType) != (theirs.name, theirs.dataType):
            ours, theirs = ("no column" if field is None else field.simpleString() for field in (ours, theirs))
            raise SchemaMismatch(
                f"column {number} of the schema for mapInArrow: expected {ours}, got {theirs}",
                "use rho_mask.spark.schema with the options of the scorer",
            )


def _of_spark(columns: pa.Schema) -> pa.Schema:
    """The same columns in types that Spark reads, without metadata."""
    return pa.schema([field.with_type(_spark_type(field.name, field.type)) for field in columns])


def _spark_type(name: str, kind: pa.DataType) -> pa.DataType:
    if pa.types.is_float16(kind):
        raise ValueError(f'column "{name}": expected a type that Spark has, got {kind}; leave score_dtype at float32')
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_spark_type(name, kind.value_type))
    if pa.types.is_list(kind):
        return pa.list_(_spark_type(name, kind.value_type))
    return kind


_scorer: tuple[bytes, Scorer] | None = None
"""That of this Python worker, which runs one task at a time."""


def _held(options: dict[str, Any], columns: pa.Schema) -> Scorer:
    """The scorer of this process for these options and columns; another one is closed."""
    global _scorer
    key = pickle.dumps((sorted(options.items()), columns.remove_metadata().to_string()))
    if _scorer is None or _scorer[0] != key:
        if _scorer is not None:
            _scorer[1].close()
        _scorer = key, Scorer(**options)
    return _scorer[1]
