"""Arrow's text as numpy sees it: one run of UTF-8 bytes, and where each string begins and ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def utf8_bytes(texts: Any) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return (bounds, data) of a `large_string` array: string i is ``data[bounds[i]:bounds[i + 1]]``.

    Neither is a copy, and neither may be written to.
    """
    if not len(texts):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(texts) + 1, texts.offset * 8)
    return bounds, np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)


def large_strings(values: list[str | None]) -> Any:
    """Return the Arrow array of the values. Raises UnicodeEncodeError for lone surrogates."""
    return pa.array(values, type=pa.large_string())
