"""Point estimates and bootstrap intervals of `eval`, by NumPy: `eval.py MASKS EVAL.JSON`.

Estimates must be equal; intervals come from other draws, so they are only close.
"""

import json
import pathlib
import sys

import numpy as np
import pyarrow as pa

masks, report = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
with pa.OSFile(str(masks / "texts.jsonl.arrow")) as source, pa.ipc.open_stream(source) as stream:
    rows = stream.read_all().to_pylist()
assert len(report["sets"]) == 1
found = report["sets"][0]


def check(name, got, numerators, denominators, through=lambda x: x):
    numerators, denominators = np.array(numerators, float), np.array(denominators, float)
    some = denominators > 0
    numerators, denominators = numerators[some], denominators[some]
    random, count = np.random.default_rng(0), len(numerators)
    drawn = random.integers(0, count, (20_000, count))
    ratios = numerators[drawn].sum(1) / denominators[drawn].sum(1)
    value = through(numerators.sum() / denominators.sum())
    assert np.isclose(got["value"], value, rtol=1e-9), (name, got["value"], value)
    ends = through(np.percentile(ratios, [2.5, 97.5]))
    # 1,000 draws give each end to within a tenth of the interval.
    near = 0.1 * (ends[1] - ends[0])
    assert np.allclose(got["interval"], ends, atol=near), (name, got["interval"], ends)
    if got["standard_error"] is not None:
        error = through(ratios).std(ddof=1)
        assert abs(got["standard_error"] / error - 1) < 0.12, (name, got["standard_error"], error)


losses = [np.array(row["loss"][1:], float) for row in rows]
kept = [np.array(row["mask_intersection"][1:]) for row in rows]
check("loss", found["loss"], [x.sum() for x in losses], [len(x) for x in losses])
check("perplexity", found["perplexity"], [x.sum() for x in losses], [len(x) for x in losses], np.exp)
# The end-of-sequence token has no bytes of text.
bits = [x[:-1].sum() / np.log(2) for x in losses]
check("bits per byte", found["bits_per_byte"], bits, [len(row["text"].encode()) for row in rows])
for name, which in [("kept", kept), ("dropped", [~k for k in kept])]:
    sums = [x[k].sum() for x, k in zip(losses, which)]
    check(name, found["masks"][name]["loss"], sums, [k.sum() for k in which])
