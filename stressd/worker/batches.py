"""The generate operation: a batch of movies in, their features out."""

from datetime import date
from typing import Any

import pandas as pd

from featurestore.movies import AdvancedTMDBPreProcessor
from stressd.workload.frames import MovieBatches
from stressd.workload.movie_tables import MovieTables

Movies = list[dict[str, Any]]


class Batches:
    """A walk over all movies, batch after batch. One thread each."""

    def __init__(self, tables: MovieTables, size: int, start: int, as_of: date) -> None:
        self._batches = MovieBatches(tables, size, start)
        self._as_of = as_of

    def next(self) -> Movies:
        """Return the next batch."""
        return next(self._batches)

    def generate(self, movies: Movies) -> list[pd.DataFrame]:
        """Return the frames of all feature groups of the movies."""
        features = AdvancedTMDBPreProcessor(movies, as_of=self._as_of).extract_all_features()
        return [frame for frame in features.values() if isinstance(frame, pd.DataFrame)]


def size_of(frames: list[pd.DataFrame]) -> tuple[int, int]:
    """Return the rows of all frames, and the bytes of their columns."""
    rows = sum(len(frame) for frame in frames)
    return rows, sum(int(frame.memory_usage(index=False).sum()) for frame in frames)
