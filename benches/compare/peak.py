"""The machine's f32 matmul rate in GFLOP/s: the best of well-known libraries on 4096^3.

    python peak.py THREADS
"""

import os
import sys
import time

threads = sys.argv[1]
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = threads

import numpy
import torch

torch.set_num_threads(int(threads))
SIZE, REPEATS = 4096, 3


def rate(product):
    product()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        product()
        times.append(time.perf_counter() - start)
    return 2 * SIZE**3 / min(times) / 1e9


a = torch.randn(SIZE, SIZE)
b = torch.randn(SIZE, SIZE)
rates = {"PyTorch": rate(lambda: a @ b)}
x, y = a.numpy(), b.numpy()
rates["NumPy"] = rate(lambda: numpy.matmul(x, y))
print(" ".join(f"{name}={value:.1f}" for name, value in rates.items()))
