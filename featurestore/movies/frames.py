"""DataFrames out of finished columns, without a copy and without a look at the values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.movies.schema import SCHEMA


def frame(group: str, columns: dict[str, Any]) -> pd.DataFrame:
    """Return the group's table with its columns in the schema's order; the frame takes the arrays over.

    No array may be handed to two frames: a frame belongs to its caller, who may write into it.
    """
    return pd.DataFrame({name: columns[name] for name in SCHEMA[group]}, copy=False)


def text_column(texts: Any) -> Any:
    """Return a `large_string` array as pandas' text: `str` over Arrow memory with pandas 3, else objects."""
    dtype = _text_dtype()
    if dtype is None:
        return np.array(texts.to_pylist(), dtype=object)
    return dtype.__from_arrow__(texts)


def choice_column(names: Sequence[str], codes: NDArray[np.int64]) -> Any:
    """Return the text column that has ``names[code]`` for each code."""
    if _text_dtype() is None:
        return np.array(names, dtype=object)[codes]
    return text_column(pa.array(names, type=pa.large_string()).take(pa.array(codes)))


@cache
def _text_dtype() -> Any:
    """Return pandas' extension type for text, or None where text is a column of objects."""
    dtype = pd.Series(["text"]).dtype
    return dtype if isinstance(dtype, pd.StringDtype) else None
