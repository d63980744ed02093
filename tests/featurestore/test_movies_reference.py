"""The features against a second implementation: a movie at a time, in plain Python."""

import math
import re
from collections import Counter
from datetime import date

import pandas as pd
import pytest

from featurestore.movies import AdvancedTMDBPreProcessor, generate_movies, load_movies
from featurestore.movies.schema import (
    FEATURE_GROUPS,
    GENRE_TYPICAL_RATINGS,
    GENRES,
    POPULAR_GENRES,
    SCHEMA,
)
from featurestore.movies.text import KEYWORDS, SEQUEL_MARK

AS_OF = date(2026, 7, 1)
PANDAS_KINDS = {
    "int": "int64",
    "float": "float64",
    "bool": "bool",
    "datetime": "datetime64[us]",
    "list": object,
}
MASK = 2**64 - 1


def clean(movie):
    """A movie of the generator or of a loader, with defaults for such dirt as those two let through."""

    def number(value, most=1e12):
        good = isinstance(value, int | float) and 0 <= value <= most
        return value if good else 0

    try:
        released = date.fromisoformat(movie["release_date"] or "")
    except ValueError:
        released = None
    return {
        "movie_id": movie["movie_id"],
        "title": movie["title"] or "",
        "overview": movie["overview"] or "",
        "original_language": movie["original_language"] or "",
        "release_date": released if released and len(movie["release_date"]) == 10 else None,
        "vote_average": float(number(movie["vote_average"], 10)),
        "vote_count": number(movie["vote_count"]),
        "popularity": float(number(movie["popularity"])),
        "adult": bool(movie["adult"]),
        "genre_ids": movie["genre_ids"] or [],
    }


def basic(movie):
    rating, genres = movie["vote_average"], movie["genre_ids"]
    tiers = ((8, "excellent"), (7, "good"), (6, "average"), (5, "below_average"), (0, "poor"))
    return {
        **{name: movie[name] for name in list(SCHEMA["basic"])[:9]},
        **{f"genre_{name.lower().replace(' ', '_')}": genre in genres for genre, name in GENRES.items()},
        "is_english": movie["original_language"] == "en",
        "is_korean": movie["original_language"] == "ko",
        "rating_tier": next(tier for least, tier in tiers if rating >= least),
        "log_popularity": math.log1p(movie["popularity"]),
    }


def temporal(movie):
    day = movie["release_date"]
    if day is None:
        unknown = {"int": 0, "float": 0.0, "bool": False}
        return {name: unknown[kind] for name, kind in SCHEMA["temporal"].items()} | {"movie_id": movie["movie_id"]}
    age = (AS_OF - day).days
    return {
        "movie_id": movie["movie_id"],
        "release_year": day.year,
        "release_month": day.month,
        "release_quarter": 1 + (day.month - 1) // 3,
        "release_day_of_year": day.timetuple().tm_yday,
        "release_decade": day.year - day.year % 10,
        "is_recent": day.year >= 2020,
        "is_classic": day.year < 2000,
        "days_since_release": age,
        "years_since_release": age / 365.25,
        "is_summer_release": day.month in {6, 7, 8},
        "is_holiday_release": day.month in {11, 12},
        "is_spring_release": day.month in {3, 4, 5},
        "is_future_release": day > AS_OF,
    }


def standing(values):
    """For each value its z-score and its percentile."""
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    counts, below = Counter(values), 0
    ranks = {}
    for value in sorted(counts):
        ranks[value] = below + (counts[value] + 1) / 2
        below += counts[value]
    same = len(counts) == 1
    return [(0.0 if same else (value - mean) / deviation, ranks[value] / len(values)) for value in values]


def statistical(movies):
    names = {"rating": "vote_average", "popularity": "popularity", "votes": "vote_count"}
    standings = {name: standing([movie[field] for movie in movies]) for name, field in names.items()}
    tiers = ((100, "viral"), (50, "popular"), (20, "moderate"), (5, "low"), (0, "minimal"))
    for row, movie in enumerate(movies):
        rating, votes = movie["vote_average"], movie["vote_count"]
        yield {
            "movie_id": movie["movie_id"],
            **{f"{name}_zscore": standings[name][row][0] for name in names},
            **{f"{name}_percentile": standings[name][row][1] for name in names},
            "popularity_tier": next(tier for least, tier in tiers if movie["popularity"] >= least),
            "weighted_rating": rating * math.log1p(votes),
            "rating_confidence": min(votes / 100, 1),
            "controversy_score": (1 - abs(rating - 5) / 5) * min(votes / 100, 1),
        }


def text(movie):
    title, overview = movie["title"], movie["overview"]
    letters = re.findall("[A-Za-z]+", overview)
    return {
        "movie_id": movie["movie_id"],
        "title_length": len(title),
        "title_word_count": len(re.findall("[^\x00-\x20]+", title)),
        "overview_length": len(overview),
        "overview_word_count": len(re.findall("[^\x00-\x20]+", overview)),
        "title_has_colon": ":" in title,
        "title_has_digit": any(char in "0123456789" for char in title),
        "title_has_sequel_mark": bool(re.search(SEQUEL_MARK, title, re.ASCII)),
        **{f"{genre}_keyword_count": sum(run.lower() in words for run in letters) for genre, words in KEYWORDS.items()},
    }


def interaction(movie):
    rating, votes, popularity = movie["vote_average"], movie["vote_count"], movie["popularity"]
    genres = movie["genre_ids"]
    typical = [GENRE_TYPICAL_RATINGS[genre] for genre in genres if genre in GENRES]
    return {
        "movie_id": movie["movie_id"],
        "rating_times_popularity": rating * popularity,
        "rating_per_popularity": rating / (popularity + 1),
        "rating_times_log_votes": rating * math.log1p(votes),
        "votes_per_popularity": votes / (popularity + 1),
        "genre_count": len(genres),
        "is_single_genre": len(genres) == 1,
        "is_multi_genre": len(genres) >= 2,
        "has_popular_genre": any(genre in POPULAR_GENRES for genre in genres),
        "rating_against_genres": rating - (sum(typical) / len(typical) if typical else 6.3),
    }


def mixed(state):
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def augmented(movie, seed):
    golden = 0x9E3779B97F4A7C15
    key = mixed((movie["movie_id"] * golden & MASK) ^ mixed((seed + golden) & MASK))
    original = movie["vote_average"]
    for row in range(min(max(int(movie["popularity"] / 10), 1), 50)):
        first, second, third = (mixed((key + (3 * row + step) * golden) & MASK) for step in (1, 2, 3))
        lanes = sum(first >> shift & 0xFFFF for shift in (0, 16, 32, 48))
        bell = (lanes - 2 * 65535) / (65536 * math.sqrt(1 / 3))
        rating = min(max(round(2 * ((original or 6.0) + 1.5 * bell)) / 2, 0.5), 10.0)
        yield {
            "user_id": third % 1_000_000 + 1,
            "movie_id": movie["movie_id"],
            "rating": rating,
            "watch_time_minutes": int(10 + (second >> 11) / 2**53 * (80 + 10 * rating)),
            "original_rating": original,
            "weight": min(2**rating, 100.0),
            "popularity": movie["popularity"],
        }


def reference(movies, seed):
    movies = [clean(movie) for movie in movies]
    return {
        "basic": list(map(basic, movies)),
        "temporal": list(map(temporal, movies)),
        "statistical": list(statistical(movies)),
        "text": list(map(text, movies)),
        "interaction": list(map(interaction, movies)),
        "augmented": [row for movie in movies for row in augmented(movie, seed)],
    }


def as_frame(group, rows):
    columns = {}
    for name, kind in SCHEMA[group].items():
        values = [row[name] for row in rows]
        columns[name] = pd.Series(values, dtype=PANDAS_KINDS.get(kind))
    return pd.DataFrame(columns)


def assert_equal_to_reference(movies, seed=7):
    features = AdvancedTMDBPreProcessor(movies, as_of=AS_OF, seed=seed).extract_all_features()
    for group, rows in reference(movies, seed).items():
        pd.testing.assert_frame_equal(features[group], as_frame(group, rows), rtol=1e-9, atol=1e-9)
    return features


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 3000])
def test_generated_movies_have_the_features_of_the_reference(count):
    features = assert_equal_to_reference(generate_movies(count, seed=count))
    assert [len(features[group]) for group in FEATURE_GROUPS[:5]] == [count] * 5


def test_movies_of_a_file_have_the_features_of_the_reference(movies_csv):
    assert_equal_to_reference(load_movies(movies_csv).movies)


def test_movies_that_are_all_alike_have_no_spread_and_share_their_rank():
    movie = generate_movies(1, seed=1)[0]
    features = assert_equal_to_reference([movie] * 3)
    assert features["statistical"]["rating_zscore"].tolist() == [0, 0, 0]
    assert features["statistical"]["votes_percentile"].tolist() == [2 / 3] * 3


@pytest.mark.parametrize(
    "released", ["2000-02-29", "1900-03-01", "2024-12-31", "2023-12-31", "0001-01-01", "9999-12-31"]
)
def test_the_calendar_is_right_at_its_corners(released):
    assert_equal_to_reference([generate_movies(1, seed=1)[0] | {"release_date": released}])


@pytest.mark.parametrize("rating", [0.0, 4.999, 5.0, 6.0, 7.0, 7.999, 8.0, 10.0])
@pytest.mark.parametrize("popularity", [0.0, 4.9, 5.0, 20.0, 50.0, 99.9, 100.0, 499.9, 500.0, 10_000.0])
def test_tiers_and_row_counts_change_where_they_should(rating, popularity):
    movie = generate_movies(1, seed=1)[0] | {"vote_average": rating, "popularity": popularity}
    assert_equal_to_reference([movie])


@pytest.mark.parametrize(
    "overview",
    [
        "war",
        "War, WAR; war-torn wars warmonger war",
        "love\nmarriage marriages LOVERS lovers2 2lovers é̀love愛love",
        "  \t war\u3000love \x1f ",
        "\0war\0",
        "a" * 5000 + " war",
    ],
)
def test_words_are_found_wherever_they_stand(overview):
    movies = [movie | {"overview": overview, "title": overview} for movie in generate_movies(3, seed=1)]
    assert_equal_to_reference(movies)
