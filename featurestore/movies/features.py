"""Features of movies: six tables and a description, made from columns and never row by row.

Basic, temporal, text, interaction and augmented rows depend on their movie alone (and on `as_of` and `seed`),
so they are the same however the movies are split into batches. The z-scores and percentiles of the
statistical table are relative to the batch they are made in, or to the `FeatureStatistics` given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from featurestore.movies.augmented import augmented_features
from featurestore.movies.columns import Bools, Floats, Ints, MovieColumns, read_columns
from featurestore.movies.frames import choice_column, frame, text_column
from featurestore.movies.schema import (
    FEATURE_GROUPS,
    GENRE_COLUMNS,
    GENRE_TYPICAL_RATINGS,
    GENRES,
    POPULAR_GENRES,
    POPULARITY_TIERS,
    RATING_TIERS,
    SCHEMA,
    TYPICAL_RATING,
)
from featurestore.movies.statistics import Distribution, FeatureStatistics, percentiles, zscores
from featurestore.movies.text import text_features

_DAYS_A_YEAR: Final = 365.25
_CONFIDENT_VOTES: Final = 100
_UNKNOWN_GENRE: Final = len(GENRES)
_GENRE_PLACES: Final = np.full(max(GENRES) + 2, _UNKNOWN_GENRE)
_GENRE_PLACES[list(GENRES)] = np.arange(len(GENRES))
_TYPICAL_RATINGS: Final = np.array([*(GENRE_TYPICAL_RATINGS[genre] for genre in GENRES), 0.0])
_POPULAR_PLACES: Final = np.array([*(genre in POPULAR_GENRES for genre in GENRES), False])


class AdvancedTMDBPreProcessor:
    """Makes features of TMDB movies.

    `movies` are dicts of `movie_id` (or `id`), `title`, `release_date`, `vote_average`, `vote_count`,
    `popularity`, `genre_ids` (or `genres`), `adult`, `original_language` and `overview`. A missing, null or
    broken field gets the default that `schema.FIELDS` declares (id −1, no text, no votes, no genres, no date)
    and is counted in the metadata; what is no mapping is skipped and counted. `as_of` is the day that ages
    are counted from (default: today, UTC), `seed` that of the augmented rows, `statistics` what z-scores and
    percentiles are relative to (default: these movies).

    The movies are read once, here; later changes to them do not show. Instances do not change and may be
    shared by threads; every call returns new frames, which belong to the caller. Raises TypeError if `movies`
    is no list of movies.
    """

    def __init__(
        self,
        movies: Iterable[Mapping[str, Any]],
        *,
        as_of: date | None = None,
        seed: int = 0,
        statistics: FeatureStatistics | None = None,
    ) -> None:
        self._movies = read_columns(movies)
        self._as_of = day_of(as_of)
        self._seed = int(seed)
        self._statistics = statistics

    def extract_all_features(self) -> dict[str, pd.DataFrame | dict[str, Any]]:
        """Return a DataFrame for each of `FEATURE_GROUPS`, and as "metadata" a dict that describes them."""
        frames = {
            "basic": self.extract_basic_features(),
            "temporal": self.extract_temporal_features(),
            "statistical": self.extract_statistical_features(),
            "text": self.extract_text_features(),
            "interaction": self.extract_interaction_features(),
            "augmented": self.extract_augmented_features(),
        }
        return {**frames, "metadata": self._metadata({group: len(found) for group, found in frames.items()})}

    def extract_basic_features(self) -> pd.DataFrame:
        """Return the movies' own fields, 19 genre columns, languages, rating tier and log1p(popularity)."""
        movies = self._movies
        places, rows = _genre_places(movies)
        one_hot = np.zeros((len(GENRES) + 1, len(movies)), np.bool_)
        one_hot[places, rows] = True
        return frame(
            "basic",
            {
                "movie_id": movies.movie_id.copy(),
                "title": text_column(movies.title),
                "popularity": movies.popularity.copy(),
                "vote_average": movies.vote_average.copy(),
                "vote_count": movies.vote_count.copy(),
                "adult": movies.adult.copy(),
                "release_date": movies.release_date.datetimes(),
                "genre_ids": _lists(movies.genre_ids, movies.genre_counts),
                "original_language": text_column(movies.original_language),
                **dict(zip(GENRE_COLUMNS, one_hot[:-1], strict=True)),
                **_languages(movies.original_language),
                "rating_tier": _tier(movies.vote_average, RATING_TIERS),
                "log_popularity": np.log1p(movies.popularity),
            },
        )

    def extract_temporal_features(self) -> pd.DataFrame:
        """Return the release date's parts, its season and its age; where it is unknown all are 0 and False.

        Recent is 2020 or later, classic before 2000; summer June to August, holiday November and December,
        spring March to May. Days until a future release are negative; a year has 365.25 days.
        """
        movies, dates = self._movies, self._movies.release_date
        days = (self._as_of.toordinal() - date(1970, 1, 1).toordinal() - dates.epoch_day) * dates.known
        month = dates.month
        return frame(
            "temporal",
            {
                "movie_id": movies.movie_id.copy(),
                "release_year": dates.year.copy(),
                "release_month": month.copy(),
                "release_quarter": (month + 2) // 3,
                "release_day_of_year": dates.day_of_year.copy(),
                "release_decade": dates.year // 10 * 10,
                "is_recent": dates.year >= 2020,
                "is_classic": (dates.year < 2000) & dates.known,
                "days_since_release": days,
                "years_since_release": days / _DAYS_A_YEAR,
                "is_summer_release": (month >= 6) & (month <= 8),
                "is_holiday_release": month >= 11,
                "is_spring_release": (month >= 3) & (month <= 5),
                "is_future_release": days < 0,
            },
        )

    def extract_statistical_features(self) -> pd.DataFrame:
        """Return where each movie stands, and how far its rating can be trusted.

        It stands among the movies of `statistics`, or else of this batch. Z-scores use the population's deviation
        and are 0 where all values are equal. Percentiles are ranks in (0, 1], ties sharing their mean.
        `rating_confidence` is min(votes / 100, 1); `controversy_score` is that times 1 − |rating − 5| / 5: 1
        where many voted and the mean is right in the middle, 0 at either end or without votes.
        """
        movies = self._movies
        rating, votes = movies.vote_average, movies.vote_count.astype(np.float64)
        confidence = np.minimum(votes / _CONFIDENT_VOTES, 1.0)
        return frame(
            "statistical",
            {
                "movie_id": movies.movie_id.copy(),
                **self._standing("rating", rating),
                **self._standing("popularity", movies.popularity),
                **self._standing("votes", votes),
                "popularity_tier": _tier(movies.popularity, POPULARITY_TIERS),
                "weighted_rating": rating * np.log1p(votes),
                "rating_confidence": confidence,
                "controversy_score": (1 - np.abs(rating - 5) / 5) * confidence,
            },
        )

    def extract_text_features(self) -> pd.DataFrame:
        """Return lengths, word counts, marks and keyword counts; `featurestore.movies.text` defines them."""
        movies = self._movies
        return frame(
            "text",
            {"movie_id": movies.movie_id.copy(), **text_features(movies.title, movies.overview)},
        )

    def extract_interaction_features(self) -> pd.DataFrame:
        """Return products and ratios of rating, popularity and votes, and what the genres say.

        Ratios are per (popularity + 1). `rating_against_genres` is the rating less the mean of its known
        genres' typical ratings (`schema.GENRE_TYPICAL_RATINGS`; 6.3 for a movie of no known genre).
        """
        movies = self._movies
        rating, votes = movies.vote_average, movies.vote_count
        places, rows = _genre_places(movies)
        return frame(
            "interaction",
            {
                "movie_id": movies.movie_id.copy(),
                "rating_times_popularity": rating * movies.popularity,
                "rating_per_popularity": rating / (movies.popularity + 1),
                "rating_times_log_votes": rating * np.log1p(votes),
                "votes_per_popularity": votes / (movies.popularity + 1),
                "genre_count": movies.genre_counts.copy(),
                "is_single_genre": movies.genre_counts == 1,
                "is_multi_genre": movies.genre_counts > 1,
                "has_popular_genre": np.bincount(rows[_POPULAR_PLACES[places]], minlength=len(movies)) > 0,
                "rating_against_genres": rating - _expected_ratings(places, rows, len(movies)),
            },
        )

    def extract_augmented_features(self) -> pd.DataFrame:
        """Return simulated viewers, 1 to 50 rows a movie; `featurestore.movies.augmented` defines them."""
        return frame("augmented", augmented_features(self._movies, self._seed))

    def _standing(self, name: str, values: Floats) -> dict[str, Floats]:
        if self._statistics is None:
            return {f"{name}_zscore": zscores(values), f"{name}_percentile": percentiles(values)}
        among: Distribution = getattr(self._statistics, name)
        return {f"{name}_zscore": among.zscores(values), f"{name}_percentile": among.percentiles(values)}

    def _metadata(self, rows: dict[str, int]) -> dict[str, Any]:
        movies = self._movies
        return {
            "generated_at": datetime.now(UTC).isoformat(),
            "as_of": self._as_of.isoformat(),
            "seed": self._seed,
            "movies": len(movies),
            "skipped": movies.skipped,
            "categories": list(FEATURE_GROUPS),
            "rows": rows,
            "statistics_of": len(movies) if self._statistics is None else self._statistics.movies,
            "columns": {group: _columns_by_kind(group) for group in FEATURE_GROUPS},
            "missing": dict(movies.missing),
            "broken": dict(movies.broken),
        }


def day_of(as_of: date | None) -> date:
    """Return the day that ages are counted from: this one, or today (UTC)."""
    if as_of is None:
        return datetime.now(UTC).date()
    return as_of.date() if isinstance(as_of, datetime) else as_of


def _tier(values: Floats, tiers: tuple[tuple[str, float], ...]) -> Any:
    names = [name for name, _ in tiers]
    bounds = np.array([least for _, least in tiers[1:]])
    return choice_column(names, np.searchsorted(bounds, values, side="right"))


def _languages(codes: Any) -> dict[str, Bools]:
    return {
        "is_english": pc.equal(codes, "en").to_numpy(zero_copy_only=False),
        "is_korean": pc.equal(codes, "ko").to_numpy(zero_copy_only=False),
    }


def _lists(flat: Ints, counts: Ints) -> NDArray[np.object_]:
    """Return the flat values as lists of Python ints, one list a cell."""
    ends = np.cumsum(counts).tolist()
    values = flat.tolist()
    return np.fromiter(
        (values[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)),
        dtype=object,
        count=len(counts),
    )


def _genre_places(movies: MovieColumns) -> tuple[Ints, Ints]:
    """Return each genre's place among `GENRES` (19 where it is none of them), and its movie's row."""
    places = _GENRE_PLACES[np.minimum(movies.genre_ids, len(_GENRE_PLACES) - 1)]
    return places, np.repeat(np.arange(len(movies)), movies.genre_counts)


def _expected_ratings(places: Ints, rows: Ints, count: int) -> Floats:
    known = places != _UNKNOWN_GENRE
    genres = np.bincount(rows[known], minlength=count)
    total = np.bincount(rows, weights=_TYPICAL_RATINGS[places], minlength=count)
    return np.where(genres > 0, total / np.maximum(genres, 1), TYPICAL_RATING)


def _columns_by_kind(group: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, kind in SCHEMA[group].items():
        found.setdefault(kind, []).append(name)
    return found
