"""Simulated viewers: for every movie as many rows as its popularity earns it, each one viewer's rating.

Every draw is keyed by (seed, movie_id, row of the movie), so the same movie has the same viewers in any
batch.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from featurestore.movies import draws
from featurestore.movies.columns import MovieColumns

MOST_ROWS: Final = 50
USERS: Final = 1_000_000
UNRATED: Final = 6.0
"""What viewers rate around where nobody has rated yet."""

_SPREAD: Final = 1.5
_LEAST_RATING: Final = 0.5
_MOST_RATING: Final = 10.0
_MOST_WEIGHT: Final = 100.0
_DRAWS_A_ROW: Final = 3


def augmented_features(movies: MovieColumns, seed: int) -> dict[str, NDArray[Any]]:
    """Return the columns of the augmented table, clip(int(popularity / 10), 1, 50) rows a movie, in order.

    Ratings go in halves from 0.5 to 10, around the movie's own; weight is min(2^rating, 100); minutes grow
    with it.
    """
    counts = np.clip(movies.popularity / 10, 1, MOST_ROWS).astype(np.int64)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = np.repeat(draws.keys(seed, movies.movie_id), counts)
    first = (row * _DRAWS_A_ROW).astype(np.uint64)
    original = np.repeat(movies.vote_average, counts)
    rating = _ratings(original, draws.draw(keys, first))
    spread = draws.uniform(draws.draw(keys, first + np.uint64(1)))
    users = draws.draw(keys, first + np.uint64(2)) % np.uint64(USERS)
    return {
        "user_id": users.astype(np.int64) + 1,
        "movie_id": np.repeat(movies.movie_id, counts),
        "rating": rating,
        "watch_time_minutes": (10 + spread * (80 + 10 * rating)).astype(np.int64),
        "original_rating": original,
        "weight": np.minimum(np.exp2(rating), _MOST_WEIGHT),
        "popularity": np.repeat(movies.popularity, counts),
    }


def _ratings(original: NDArray[np.float64], bits: draws.Bits) -> NDArray[np.float64]:
    centre = np.where(original > 0, original, UNRATED)
    halves = np.round(2 * (centre + _SPREAD * draws.bell(bits))) / 2
    return np.clip(halves, _LEAST_RATING, _MOST_RATING)
