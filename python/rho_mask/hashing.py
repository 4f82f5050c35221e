"""The key that joins documents with their masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash


def token_hash(input_ids: Sequence[int] | npt.NDArray[np.integer]) -> int:
    """XXH3 (64 bits, seed 0) over the ids as little-endian 32-bit integers, as a signed integer: the column `token_hash`.

    Raises `OverflowError` or `ValueError` if an id is not a 32-bit number.
    """
    ids = np.asarray(input_ids)
    if ids.size == 0:
        ids = ids.astype(np.int32)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"expected a list of token ids, got {ids.dtype} of shape {ids.shape}")
    if ids.size and not (0 <= int(ids.min()) and int(ids.max()) <= np.iinfo(np.int32).max):
        raise ValueError(f"expected token ids from 0 to 2^31 - 1, got {ids.min()} to {ids.max()}")
    digest = xxhash.xxh3_64_intdigest(np.ascontiguousarray(ids, "<i4").tobytes())
    return digest - (1 << 64) if digest >> 63 else digest
