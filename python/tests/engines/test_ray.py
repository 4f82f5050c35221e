"""Ray Data on a local cluster: actors that die, blocks of all kinds, GPUs, runs that are killed and started again."""

import os
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from support import close_to, code_of

import rho_mask

pytestmark = pytest.mark.filterwarnings("default")
DOCUMENT = "docs/engines.md"


@pytest.fixture(scope="module")
def ray(machine):
    """A cluster of this machine, which is said to have six cores and two GPUs."""
    import ray
    import ray.data

    ray.init(
        num_cpus=6,
        num_gpus=2,
        object_store_memory=200 << 20,
        include_dashboard=False,
        logging_level="error",
        log_to_driver=False,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


def rows_of(dataset) -> pa.Table:
    import ray

    blocks = ray.get([block for bundle in dataset.iter_internal_ref_bundles() for block in bundle.block_refs])
    return pa.concat_tables(block for block in blocks if block.num_rows)


def by_n(table: pa.Table) -> pa.Table:
    """In the order of the documents, without what counts within an actor."""
    return table.drop_columns(["row"]).sort_by("n")


def test_three_actors_score_every_row_once(ray, texts, want, program):
    counted = program('echo "$@" >> "$HERE/starts"')
    parts = [texts.slice(start, 30) for start in range(0, 240, 30)]
    # Blocks without rows, and one without columns.
    documents = ray.data.from_arrow([texts.slice(0, 0), *parts[:5], texts.slice(0, 0), pa.table({}), *parts[5:]])
    options = {"quiet": True, "by": "loss", "pass_columns": "n"}
    scores = rho_mask.ray.score(documents, binary=counted, concurrency=3, batch_size=32, **options)
    got = rows_of(scores.materialize())
    assert close_to(by_n(got), by_n(want))
    assert got.schema.equals(rho_mask.masks_schema(texts.schema, **options))
    starts = (counted.parent / "starts").read_text().splitlines()
    assert len(starts) == 3 and all("--device=cpu" in start and "--threads=1" in start for start in starts)


def test_an_actor_that_is_killed_loses_and_doubles_nothing(ray, texts, want, program):
    # The first worker takes a batch and never answers. Then its actor is killed, with the batch in work.
    hanging = program(
        'echo $PPID >> "$HERE/actors"\n'
        'if mkdir "$HERE/first" 2>/dev/null; then\n'
        '  (sleep 4; kill -9 $PPID; touch "$HERE/killed") </dev/null >/dev/null 2>&1 &\n'
        "  exec cat >/dev/null\nfi"
    )
    killed = str(hanging.parent / "killed")

    def wait(table):
        # Half of the rows come after the kill.
        until = time.monotonic() + 60
        while table["n"][0].as_py() >= 120 and not os.path.exists(killed) and time.monotonic() < until:
            time.sleep(0.1)
        return table

    documents = ray.data.from_arrow([texts.slice(start, 10) for start in range(0, 240, 10)])
    documents = documents.map_batches(wait, batch_format="pyarrow", batch_size=None)
    scores = rho_mask.ray.score(
        documents, binary=hanging, concurrency=3, batch_size=10, quiet=True, by="loss", pass_columns="n"
    )
    assert close_to(by_n(rows_of(scores)), by_n(want))
    assert os.path.exists(killed)
    assert len((hanging.parent / "actors").read_text().split()) >= 4


def test_nested_lists_keep_their_types_and_sizes(ray, tiny):
    lists = [[(d * 31 + t) % 64 for t in range(5 + d % 300)] for d in range(900)]
    table = pa.table({"id": [str(d) for d in range(900)], "input_ids": pa.array(lists), "n": range(900)})
    # Blocks that are slices, and batches across their borders.
    documents = ray.data.from_arrow([table.slice(0, 350), table.slice(350, 7), table.slice(357)])
    options = {**tiny, "top": 3, "pass_columns": "n"}
    scores = rho_mask.ray.score(documents, concurrency=(1, 2), batch_size=64, **options).materialize()
    got = rows_of(scores)
    assert got.schema.equals(rho_mask.masks_schema(table.schema, **options))
    got = got.sort_by("n")
    assert got["input_ids"].to_pylist() == lists
    for name in ("loss", "top_ids", "mask_loss"):
        assert pc.list_value_length(got[name]).to_pylist() == [len(ids) for ids in lists]
    assert scores.size_bytes() == pytest.approx(got.combine_chunks().nbytes, rel=0.1)


def test_gpus_of_ray_are_devices_of_the_worker(ray, texts, program):
    told = program(
        'echo "${CUDA_VISIBLE_DEVICES-none} $(tr " " "\\n" <<< "$*" | grep device)" >> "$HERE/told"\n'
        'set -- "${@/#--device=cuda*/--device=cpu}"'
    )

    def told_by(gpus, actors, **environment):
        (told.parent / "told").unlink(missing_ok=True)
        documents = ray.data.from_arrow([texts.slice(start, 40) for start in range(0, 240, 40)])
        map_options = {"runtime_env": {"env_vars": environment}} if environment else {}
        scores = rho_mask.ray.score(
            documents, binary=told, num_gpus=gpus, concurrency=actors, batch_size=40, quiet=True, map_options=map_options
        )
        assert rows_of(scores).num_rows == 240
        return sorted((told.parent / "told").read_text().splitlines())

    # Each sees its own GPU alone, and that is the first it sees.
    assert told_by(1, 2) == ["0 --device=cuda:0", "1 --device=cuda:0"]
    assert told_by(2, 1) == ["0,1 --device=cuda:0,1"]
    assert told_by(0.5, 1) in (["0 --device=cuda:0"], ["1 --device=cuda:0"])
    # Where Ray leaves the list alone, all of it is counted.
    unset = {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}
    assert told_by(1, 2, CUDA_VISIBLE_DEVICES="7,1,0", **unset) == ["7,1,0 --device=cuda:0", "7,1,0 --device=cuda:1"]
    assert told_by(1, 2, **unset) == ["none --device=cuda:0", "none --device=cuda:1"]
    for arguments, reason in [
        ({"num_gpus": 1, "device": "cuda:0"}, "num_gpus: expected no device beside it"),
        ({"num_gpus": 1.5}, "num_gpus: expected a whole number above 1, got 1.5"),
    ]:
        with pytest.raises(ValueError, match=reason):
            rho_mask.ray.score(ray.data.from_arrow(texts), **arguments)


def test_what_is_stored_becomes_masks(ray, texts, selected, want_selected, tmp_path):
    documents = ray.data.from_arrow([texts.slice(0, 100), texts.slice(100)])
    scores = rho_mask.ray.score(documents, quiet=True, scores_only=True, concurrency=2, batch_size=50)
    scores.write_parquet(str(tmp_path / "scores"))
    assert close_to(selected(tmp_path / "scores"), want_selected)


def test_errors_reach_the_driver(ray, texts):
    scores = rho_mask.ray.score(ray.data.from_arrow(texts), model="/nowhere", quiet=True)
    with pytest.raises(Exception, match="/nowhere") as error:
        scores.materialize()
    assert "RunError" in str(error.value) and "hint: " in str(error.value)


def test_a_killed_run_continues_where_it_was(ray, texts, want, tmp_path):
    (tmp_path / "corpus").mkdir()
    for start in range(0, 240, 20):
        pq.write_table(texts.slice(start, 20), tmp_path / f"corpus/{start:03}.parquet")
    script = f"""
import os, sys, time
import ray, ray.data
{code_of(DOCUMENT, "CheckpointConfig(").replace("/shared/checkpoint", str(tmp_path / "checkpoint"))}
# Files so small are one block to the newer reader.
ray.data.DataContext.get_current().use_datasource_v2 = False
import rho_mask.ray
ray.init(address={ray.get_runtime_context().gcs_address!r}, log_to_driver=False)

def first_or_wait(table):
    os.chdir({str(tmp_path)!r})
    try:
        os.mkdir("first")
    except FileExistsError:
        while not os.path.exists("again"):
            time.sleep(0.1)
        with open("read", "a") as read:
            read.write("".join(f"{{id}}\\n" for id in table["id"].to_pylist()))
    return table

documents = ray.data.read_parquet({str(tmp_path / "corpus")!r}, override_num_blocks=12)
documents = documents.map_batches(first_or_wait, batch_format="pyarrow", batch_size=None)
scores = rho_mask.ray.score(documents, concurrency=2, batch_size=20, quiet=True, by="loss", pass_columns="n")
scores.write_parquet({str(tmp_path / "scores")!r})
"""

    def committed():
        return [path for path in (tmp_path / "checkpoint").glob("*") if "pending" not in path.name]

    with subprocess.Popen([sys.executable, "-c", script]) as run:
        until = time.monotonic() + 60
        while not committed() and time.monotonic() < until and run.poll() is None:
            time.sleep(0.1)
        time.sleep(1)
        run.send_signal(signal.SIGKILL)
    before = pa.concat_tables(pq.read_table(path) for path in committed())["id"].to_pylist()
    assert 0 < len(before) < 240
    (tmp_path / "again").touch()
    subprocess.run([sys.executable, "-c", script], check=True)
    got = pq.read_table(tmp_path / "scores")
    assert close_to(by_n(got), by_n(want))
    # The second run has scored what the first one had not.
    again = (tmp_path / "read").read_text().split()
    assert sorted([*before, *again]) == texts["id"].to_pylist()


@pytest.mark.parametrize("line", ["rho_mask.ray.score(", "fn_constructor_kwargs="])
def test_the_lines_of_the_documentation(ray, line, texts, want, tmp_path, demo):
    (tmp_path / "corpus").mkdir()
    lines = [f'{{"id": "{row["id"]}", "text": "{row["text"]}"}}\n' for row in texts.to_pylist() if row["text"]]
    (tmp_path / "corpus/a.jsonl").write_text("".join(lines))
    code = code_of(DOCUMENT, line)
    for given, path in [("corpus/", tmp_path / "corpus"), ("ref/", demo), ("scores/", tmp_path / "scores")]:
        code = code.replace(f'"{given}"', repr(str(path)))
    exec(code, {"__name__": "__main__"})
    got = pq.read_table(tmp_path / "scores").sort_by("id")
    scored = want.filter(pc.is_valid(want["loss"]))
    assert close_to(got.select(["id", "input_ids", "loss"]), scored.select(["id", "input_ids", "loss"]))
