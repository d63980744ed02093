"""Features of more movies than memory holds: chunk by chunk, and the same cells as all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Literal

import pandas as pd

from featurestore.movies.columns import check_movies
from featurestore.movies.features import AdvancedTMDBPreProcessor, day_of
from featurestore.movies.statistics import CHUNK_SIZE, FeatureStatistics, chunks


def iter_features(
    movies: Iterable[Mapping[str, Any]],
    *,
    chunk_size: int = CHUNK_SIZE,
    as_of: date | None = None,
    seed: int = 0,
    statistics: FeatureStatistics | Literal["chunk"] | None = None,
) -> Iterator[dict[str, pd.DataFrame | dict[str, Any]]]:
    """Yield, for every `chunk_size` movies, what `AdvancedTMDBPreProcessor.extract_all_features` returns.

    Put end to end, the tables equal those made of all movies at once, cell by cell. The statistical table needs
    to know all movies for that, so they are gone through twice: once for `FeatureStatistics.fit`, before the
    first chunk, and once for the features. What can be gone through only once (a generator) needs `statistics`
    from the caller: fitted, or "chunk", with which z-scores and percentiles are relative to their chunk alone.

    Holds one chunk and its features, beside up to 24 bytes a movie for the statistics (48 while fitting). No movies,
    no chunks. Raises TypeError for what is no collection of movies or cannot be gone through twice, ValueError for
    a chunk size below 1, both at once.
    """
    check_movies(movies)
    if statistics is None and iter(movies) is movies:
        raise TypeError(
            f"movies: a {type(movies).__name__} can be gone through only once, and z-scores and percentiles need all "
            "movies; give a list or iter_movies(path), or statistics=FeatureStatistics.fit(the same movies), or "
            'statistics="chunk" to have them relative to each chunk'
        )
    if not (statistics is None or statistics == "chunk" or isinstance(statistics, FeatureStatistics)):
        raise TypeError(f'statistics: {statistics!r}; give FeatureStatistics, "chunk" or None')
    chunks((), chunk_size)  # raises now rather than at the first chunk
    return _features(movies, chunk_size, day_of(as_of), seed, statistics)


def _features(
    movies: Iterable[Mapping[str, Any]],
    chunk_size: int,
    as_of: date,
    seed: int,
    statistics: FeatureStatistics | Literal["chunk"] | None,
) -> Iterator[dict[str, pd.DataFrame | dict[str, Any]]]:
    if statistics is None:
        statistics = FeatureStatistics.fit(movies, chunk_size=chunk_size)
    fitted = None if statistics == "chunk" else statistics
    for chunk in chunks(movies, chunk_size):
        made = AdvancedTMDBPreProcessor(chunk, as_of=as_of, seed=seed, statistics=fitted)
        del chunk  # its movies may go before the caller takes its time with their features
        yield made.extract_all_features()
