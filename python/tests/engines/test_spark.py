"""Spark on this machine: tasks that fail, batches of all sizes, and schemas that are not those of the scores."""

import os
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from support import close_to, code_of

import rho_mask

pytestmark = pytest.mark.filterwarnings("default")
DOCUMENT = "docs/engines.md"
OPTIONS = {"quiet": True, "by": "loss", "pass_columns": "n"}


@pytest.fixture(scope="module")
def spark(machine):
    """Two cores; a task may fail three times."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.fail("no java: Spark needs Java 17 of the system's packages (Debian: openjdk-17-jre-headless)")
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.sql.shuffle.partitions", "2")
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture
def records(spark):
    """Sets how many rows Spark puts into a batch; 0 is all of a partition."""
    setting = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(setting)
    yield lambda most: spark.conf.set(setting, most)
    spark.conf.set(setting, before)


@pytest.fixture
def frame(spark, texts):
    return spark.createDataFrame(texts).repartition(6)


def by_n(table: pa.Table) -> pa.Table:
    """In the order of the documents, without what counts within a Python worker."""
    return table.drop_columns(["row"]).sort_by("n")


def test_every_row_is_scored_once(frame, texts, want, program):
    counted = program('echo "$@" >> "$HERE/starts"')
    scores = rho_mask.spark.score(frame, binary=counted, **OPTIONS)
    got = scores.toArrow()
    assert close_to(by_n(got), by_n(want))
    assert got.schema.names == rho_mask.masks_schema(texts.schema, **OPTIONS).names
    starts = (counted.parent / "starts").read_text().splitlines()
    assert starts.pop(0).endswith("--show-schema")
    # Six tasks on two cores: their workers stay.
    assert 1 <= len(starts) <= 2 and all("--device=cpu" in start and "--threads=1" in start for start in starts)


def test_a_task_that_fails_is_retried_without_losing_or_doubling(frame, want, program, tmp_path):
    # Three workers die: at least two of them in one call, which fails its task.
    dying = program(
        'for n in 1 2 3; do\n  if mkdir "$HERE/died$n" 2>/dev/null; then head -c 100 >/dev/null; echo "out of luck" >&2; exit 3; fi\n'
        "done"
    )
    scored = rho_mask.spark.scorer(binary=dying, **OPTIONS)
    attempts = str(tmp_path / "attempts")

    def recorded(batches):
        from pyspark import TaskContext

        with open(attempts, "a") as file:
            file.write(f"{TaskContext.get().attemptNumber()}\n")
        yield from scored(batches)

    got = frame.mapInArrow(recorded, rho_mask.spark.schema(frame.schema, **OPTIONS)).toArrow()
    assert close_to(by_n(got), by_n(want))
    assert (tmp_path / "died3").exists()
    assert "1" in Path(attempts).read_text().split()


def test_what_is_stored_becomes_masks(frame, selected, want_selected, tmp_path):
    rho_mask.spark.score(frame, quiet=True, scores_only=True).write.parquet(str(tmp_path / "scores"))
    assert (tmp_path / "scores/_SUCCESS").exists()
    assert close_to(selected(tmp_path / "scores"), want_selected)


def test_lists_of_a_fixed_size_become_masks(frame, want, binary, tmp_path):
    # Spark has none, and its files do not say of which size they were.
    scores = rho_mask.spark.score(frame.filter("text is not null"), quiet=True, by="loss", top=2)
    scores.write.parquet(str(tmp_path / "scores"))
    command = [binary, "gather", tmp_path / "scores", "--out", tmp_path / "masks", "--by=loss", "--top=2"]
    subprocess.run(command, check=True, capture_output=True)
    masks = rho_mask.open_masks(tmp_path / "masks").table.sort_by("id")
    scored = want.filter(pc.is_valid(want["loss"]))
    assert close_to(masks.select(["id", "input_ids", "loss"]), scored.select(["id", "input_ids", "loss"]))
    assert masks.schema.field("top_ids").type == rho_mask.masks_schema(by="loss", top=2).field("top_ids").type


def test_errors_reach_the_driver(frame):
    with pytest.raises(Exception, match="/nowhere") as error:
        rho_mask.spark.score(frame, model="/nowhere", quiet=True).collect()
    assert "RunError" in str(error.value) and "hint: " in str(error.value)


@pytest.mark.parametrize("most", [7, 0])
def test_batches_of_all_sizes(records, frame, want, tmp_path, most):
    records(most)
    scored = rho_mask.spark.scorer(**OPTIONS)
    sizes = str(tmp_path / "sizes")

    def recorded(batches):
        def each():
            for batch in batches:
                with open(sizes, "a") as file:
                    file.write(f"{batch.num_rows}\n")
                yield batch

        yield from scored(each())

    # A partition without rows, too.
    frame = frame.union(frame.filter("n < 0"))
    got = frame.mapInArrow(recorded, rho_mask.spark.schema(frame.schema, **OPTIONS)).toArrow()
    assert close_to(by_n(got), by_n(want))
    rows = [int(size) for size in Path(sizes).read_text().split()]
    assert sum(rows) == 240 and (max(rows) <= 7 if most else len([size for size in rows if size]) <= 6)


def test_memory_does_not_grow_with_a_batch(spark, records, tiny, tmp_path):
    documents, length = 12_000, 400
    lists = pa.array([[(d * 31 + t) % 64 for t in range(length)] for d in range(documents)], pa.list_(pa.int32()))
    # One partition, and so one batch, of 19 MB.
    frame = spark.createDataFrame(pa.table({"id": [str(d) for d in range(documents)], "input_ids": lists})).coalesce(1)
    records(0)
    peaks = {}
    for most in [256 << 20, 256 << 10]:
        scored = rho_mask.spark.scorer(batch_bytes=most, **tiny)
        status = str(tmp_path / f"status-{most}")

        def recorded(batches, scored=scored, status=status):
            sizes = [0]

            def each():
                for batch in batches:
                    sizes.append(batch.num_rows)
                    yield batch

            yield from scored(each())
            worker = rho_mask.spark._scorer[1]._worker._process.pid
            with open(status, "w") as file:
                file.write(f"batch: {max(sizes)}\n" + open(f"/proc/{worker}/status").read())

        scores = frame.mapInArrow(recorded, rho_mask.spark.schema(**tiny))
        assert scores.selectExpr("sum(size(loss))").collect()[0][0] == documents * length
        lines = dict(line.split(":", 1) for line in Path(status).read_text().splitlines())
        assert int(lines["batch"]) == documents
        peaks[most] = int(lines["VmHWM"].split()[0]) << 10
    whole, parts = peaks.values()
    assert parts < whole - (60 << 20), peaks


def test_a_schema_that_is_not_that_of_the_scores_is_refused(frame):
    from pyspark.sql.types import ArrayType, DoubleType, StringType, StructField, StructType

    right = rho_mask.spark.schema(frame.schema, **OPTIONS)
    rho_mask.spark.scorer(expected=right, columns=frame.schema, **OPTIONS)
    fields = right.fields
    loss = right.names.index("loss")
    for wrong, reason in [
        # Spark would take these: it does not compare names.
        (
            [*fields[:loss], fields[loss + 1], fields[loss], *fields[loss + 2 :]],
            "column 5 of the schema for mapInArrow: expected loss:array<float>, got entropy:array<float>",
        ),
        (fields[:-1], "column 9 of the schema for mapInArrow: expected n:bigint, got no column"),
        (
            [*fields, StructField("more", StringType())],
            "column 10 of the schema for mapInArrow: expected no column, got more:string",
        ),
        ([*fields[:loss], StructField("loss", ArrayType(DoubleType())), *fields[loss + 1 :]], "got loss:array<double>"),
    ]:
        with pytest.raises(rho_mask.SchemaMismatch, match=reason):
            rho_mask.spark.scorer(expected=StructType(wrong), columns=frame.schema, **OPTIONS)
    with pytest.raises(ValueError, match='column "loss": expected a type that Spark has, got halffloat'):
        rho_mask.spark.schema(score_dtype="float16")
    # Other types are not converted on the way.
    with pytest.raises(Exception, match="getDouble"):
        wrong = StructType([*fields[:loss], StructField("loss", ArrayType(DoubleType())), *fields[loss + 1 :]])
        frame.mapInArrow(rho_mask.spark.scorer(**OPTIONS), wrong).collect()


@pytest.mark.parametrize("line", ["rho_mask.spark.score(", "mapInArrow(scored"])
def test_the_lines_of_the_documentation(spark, line, texts, want, tmp_path, demo):
    (tmp_path / "corpus").mkdir()
    rows = [row for row in texts.to_pylist() if row["text"]]
    (tmp_path / "corpus/a.json").write_text("".join(f'{{"id": "{row["id"]}", "text": "{row["text"]}"}}\n' for row in rows))
    code = code_of(DOCUMENT, line)
    for given, path in [("corpus/", tmp_path / "corpus"), ("ref/", demo), ("scores/", tmp_path / "scores")]:
        code = code.replace(f'"{given}"', repr(str(path)))
    exec(code, {"__name__": "__main__"})
    got = pq.read_table(tmp_path / "scores").sort_by("id")
    scored = want.filter(pc.is_valid(want["loss"])).select(["id", "input_ids", "loss"])
    assert close_to(got.select(scored.column_names).cast(scored.schema), scored)
