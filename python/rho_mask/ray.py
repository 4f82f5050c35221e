"""Scores datasets of Ray Data: `rho_mask.ray.score(dataset, model="ref/", num_gpus=1, concurrency=8)`.

Takes a dataset, yields one with a row for each of its rows: what a `Scorer` returns. Ray divides, places, retries and writes;
each actor of a pool has a scorer whose models stay loaded.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import ray
import ray.data

from .masks import StrPath
from .run import Option, absolute
from .scorer import Scorer

BATCH_SIZE = 1024
"""Rows that an actor gets at once. Documents are batched for the models among them: fewer waste padding."""


def score(
    dataset: ray.data.Dataset,
    *,
    model: StrPath | Sequence[StrPath] | None = None,
    num_gpus: float = 0,
    num_cpus: float | None = None,
    concurrency: int | tuple[int, int] = 1,
    batch_size: int = BATCH_SIZE,
    map_options: Mapping[str, Any] | None = None,
    **options: Option | Sequence[Option],
) -> ray.data.Dataset:
    """Scores the rows of a dataset in a pool of actors, each with models of its own. Lazy, as all of Ray Data.

    Args:
        dataset: documents, in the fields that `rho-mask worker` reads. Give them ids (strings, unique): `shard` and `row`
            count within an actor, and so do the names of documents without ids.
        model: the reference, or several; without it the bundled demonstration model. All nodes must have it.
        num_gpus: GPUs of an actor. Those that Ray assigns become `--device cuda:N`, where N counts among the devices that
            the actor sees. Without GPUs the device is the CPU, as Ray has assigned no other.
        num_cpus: cores of an actor, by default 1; also the number of threads, unless `threads` says otherwise.
        concurrency: how many actors, or the least and the most of them.
        batch_size: rows that an actor gets at once.
        map_options: other arguments of `Dataset.map_batches`.
        options: those of `rho_mask.Scorer`.
    """
    if num_gpus and "device" in options:
        raise ValueError("num_gpus: expected no device beside it, because Ray assigns one; leave one of them out")
    if num_gpus > 1 and num_gpus != int(num_gpus):
        raise ValueError(f"num_gpus: expected a whole number above 1, got {num_gpus}")
    size: dict[str, Any] = (
        {"size": concurrency} if isinstance(concurrency, int) else dict(zip(("min_size", "max_size"), concurrency))
    )
    placed: dict[str, Any] = {"num_gpus": num_gpus} if num_gpus else {}
    if num_cpus is not None or not num_gpus:
        placed["num_cpus"] = 1 if num_cpus is None else num_cpus
    threads = max(1, math.floor(1 if num_cpus is None else num_cpus))
    return dataset.map_batches(
        _Actor,
        fn_constructor_kwargs={"gpus": bool(num_gpus), "options": {"threads": threads, "model": absolute(model), **options}},
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(**size),
        udf_modifying_row_count=False,
        **placed,
        **(map_options or {}),
    )


class _Actor:
    """What an actor of the pool runs."""

    def __init__(self, gpus: bool, options: dict[str, Any]) -> None:
        self._scorer = Scorer(**{"device": device() if gpus else "cpu", **options})
        # The models are loaded while the first rows are on their way.
        self._scorer.__enter__()

    def __call__(self, table: pa.Table) -> pa.Table:
        return self._scorer(table)


def device() -> str:
    """The GPUs that Ray has assigned to this actor or task, as `--device` names them: `cuda:0`, `cuda:0,1`.

    CUDA counts the devices of `CUDA_VISIBLE_DEVICES` from 0. Ray reduces that list to the assigned devices, unless
    `RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES` is set.
    """
    assigned = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    if not assigned:
        raise RuntimeError("expected GPUs that Ray assigned, got none: num_gpus is 0 here")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        indices = [str(int(gpu)) for gpu in assigned]
    else:
        names = [name.strip() for name in visible.split(",")]
        missing = [gpu for gpu in assigned if str(gpu) not in names]
        if missing:
            raise RuntimeError(f"expected GPU {missing[0]}, which Ray assigned, in CUDA_VISIBLE_DEVICES, got {visible!r}")
        indices = [str(names.index(str(gpu))) for gpu in assigned]
    return "cuda:" + ",".join(indices)
