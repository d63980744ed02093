"""Writing into a frame on purpose, to find out who else sees it.

A frame that a read returned belongs to its caller, and one that was saved stays its caller's. One numeric
payload cell is set to a reserved value that content never has; whoever reads that value from the store has
found two owners of one frame (`aliased`).
"""

import random
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from stressd.workload.columns import dtypes
from stressd.workload.frames import STAMPS

SENTINEL_INT: Final = -0x5C41BB1E0DD5EED5
SENTINEL_FLOAT: Final = -1.7357589e307

_SENTINELS: Final[dict[Any, int | float]] = {np.dtype("i8"): SENTINEL_INT, np.dtype("f8"): SENTINEL_FLOAT}


@dataclass(frozen=True, slots=True)
class Scribble:
    """One edit. `protected`: the frame refused it, so there is nothing to find and nothing to restore."""

    frame: pd.DataFrame
    row: int
    column: int
    before: Any
    protected: bool

    def restore(self) -> None:
        """Put the cell back as it was."""
        if not self.protected:
            self.frame.iat[self.row, self.column] = self.before


def scribble(frames: dict[str, pd.DataFrame], draw: random.Random) -> Scribble | None:
    """Set one cell of one frame to the reserved value. None if no frame has a cell that can hold it."""
    for frame in draw.sample(list(frames.values()), len(frames)):
        found = dtypes(frame)
        columns = [place for place in _payload(frame) if found[place] in _SENTINELS] if len(frame) else []
        if columns:
            column = draw.choice(columns)
            return _edited(frame, draw.randrange(len(frame)), column, _SENTINELS[found[column]])
    return None


def _payload(frame: pd.DataFrame) -> list[int]:
    return [place for place, name in enumerate(frame.columns.tolist()) if name not in STAMPS]


def _edited(frame: pd.DataFrame, row: int, column: int, sentinel: float) -> Scribble:
    before = frame.iat[row, column]
    try:
        frame.iat[row, column] = sentinel
    except (ValueError, TypeError):  # read-only memory, or a frame that cannot be written
        return Scribble(frame, row, column, before, protected=True)
    return Scribble(frame, row, column, before, protected=bool(frame.iat[row, column] != sentinel))


def holds_sentinel(numbers: Any) -> bool:
    """Whether a canonical buffer, of int64 or float64, has the reserved value in it."""
    sentinel = _SENTINELS.get(getattr(numbers, "dtype", None))  # the buffers of text have none
    return sentinel is not None and bool((numbers == sentinel).any())
