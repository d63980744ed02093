"""What a movie is on the way in, and what every feature table looks like on the way out.

Pure data, no imports of weight: loaders, features and the generator all read it from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["int", "float", "bool", "text", "datetime", "list"]
"""The kind of a column, whatever the data: int64, float64, bool, pandas' own text dtype, datetime64[us] (NaT
where unknown), or a Python list in each cell."""

GENRES: Final[dict[int, str]] = {
    28: "Action",
    12: "Adventure",
    16: "Animation",
    35: "Comedy",
    80: "Crime",
    99: "Documentary",
    18: "Drama",
    10751: "Family",
    14: "Fantasy",
    36: "History",
    27: "Horror",
    10402: "Music",
    9648: "Mystery",
    10749: "Romance",
    878: "Science Fiction",
    10770: "TV Movie",
    53: "Thriller",
    10752: "War",
    37: "Western",
}
"""TMDB's genre ids, in the order of the one-hot columns."""

GENRE_COLUMNS: Final = tuple(f"genre_{name.lower().replace(' ', '_')}" for name in GENRES.values())

POPULAR_GENRES: Final = frozenset({28, 12, 35, 878})
"""Action, Adventure, Comedy, Science Fiction: what fills cinemas."""

TYPICAL_RATING: Final = 6.3
"""The rating that a movie of no known genre is expected to have."""

GENRE_TYPICAL_RATINGS: Final[dict[int, float]] = {
    28: 6.2,
    12: 6.4,
    16: 6.8,
    35: 6.2,
    80: 6.4,
    99: 7.0,
    18: 6.6,
    10751: 6.5,
    14: 6.4,
    36: 6.9,
    27: 5.8,
    10402: 6.9,
    9648: 6.2,
    10749: 6.4,
    878: 6.1,
    10770: 6.2,
    53: 6.1,
    10752: 6.8,
    37: 6.4,
}
"""Round figures, fixed rather than measured on the batch: a movie's features depend on that movie alone."""

RATING_TIERS: Final = (
    ("poor", 0.0),
    ("below_average", 5.0),
    ("average", 6.0),
    ("good", 7.0),
    ("excellent", 8.0),
)
POPULARITY_TIERS: Final = (
    ("minimal", 0.0),
    ("low", 5.0),
    ("moderate", 20.0),
    ("popular", 50.0),
    ("viral", 100.0),
)
"""Tiers in rising order, each with the least value that belongs to it."""

UNKNOWN_ID: Final = -1


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a movie: its names (the first that is present and not null counts) and its default."""

    name: str
    kind: Kind
    default: object
    least: float = 0
    most: float = 1e12
    aliases: tuple[str, ...] = ()


FIELDS: Final = (
    Field("movie_id", "int", UNKNOWN_ID, most=2**53, aliases=("id",)),
    Field("title", "text", ""),
    Field("overview", "text", ""),
    Field("original_language", "text", ""),
    Field("release_date", "datetime", None),
    Field("vote_average", "float", 0.0, most=10.0),
    Field("vote_count", "int", 0),
    Field("popularity", "float", 0.0),
    Field("adult", "bool", False),
    Field("genre_ids", "list", (), aliases=("genres",)),
)
"""Numbers outside least … most are broken: no movie has −3 votes, a rating of 11 or 10¹⁵ viewers."""

FEATURE_GROUPS: Final = ("basic", "temporal", "statistical", "text", "interaction", "augmented")

SCHEMA: Final[dict[str, dict[str, Kind]]] = {
    "basic": {
        "movie_id": "int",
        "title": "text",
        "popularity": "float",
        "vote_average": "float",
        "vote_count": "int",
        "adult": "bool",
        "release_date": "datetime",
        "genre_ids": "list",
        "original_language": "text",
        **dict.fromkeys(GENRE_COLUMNS, "bool"),
        "is_english": "bool",
        "is_korean": "bool",
        "rating_tier": "text",
        "log_popularity": "float",
    },
    "temporal": {
        "movie_id": "int",
        "release_year": "int",
        "release_month": "int",
        "release_quarter": "int",
        "release_day_of_year": "int",
        "release_decade": "int",
        "is_recent": "bool",
        "is_classic": "bool",
        "days_since_release": "int",
        "years_since_release": "float",
        "is_summer_release": "bool",
        "is_holiday_release": "bool",
        "is_spring_release": "bool",
        "is_future_release": "bool",
    },
    "statistical": {
        "movie_id": "int",
        "rating_zscore": "float",
        "popularity_zscore": "float",
        "votes_zscore": "float",
        "rating_percentile": "float",
        "popularity_percentile": "float",
        "votes_percentile": "float",
        "popularity_tier": "text",
        "weighted_rating": "float",
        "rating_confidence": "float",
        "controversy_score": "float",
    },
    "text": {
        "movie_id": "int",
        "title_length": "int",
        "title_word_count": "int",
        "overview_length": "int",
        "overview_word_count": "int",
        "title_has_colon": "bool",
        "title_has_digit": "bool",
        "title_has_sequel_mark": "bool",
        "action_keyword_count": "int",
        "horror_keyword_count": "int",
        "romance_keyword_count": "int",
    },
    "interaction": {
        "movie_id": "int",
        "rating_times_popularity": "float",
        "rating_per_popularity": "float",
        "rating_times_log_votes": "float",
        "votes_per_popularity": "float",
        "genre_count": "int",
        "is_single_genre": "bool",
        "is_multi_genre": "bool",
        "has_popular_genre": "bool",
        "rating_against_genres": "float",
    },
    "augmented": {
        "user_id": "int",
        "movie_id": "int",
        "rating": "float",
        "watch_time_minutes": "int",
        "original_rating": "float",
        "weight": "float",
        "popularity": "float",
    },
}
"""Every table's columns in order. They never depend on the data: one movie, none, or broken ones only."""
