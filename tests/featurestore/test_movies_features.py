"""What holds for the features of any movies: schema, determinism, ownership, and what dirt does to them."""

import json
import math
from collections import OrderedDict, defaultdict
from datetime import UTC, date, datetime
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.movies import FEATURE_GROUPS, AdvancedTMDBPreProcessor, generate_movies
from featurestore.movies.schema import FIELDS, SCHEMA

AS_OF = date(2026, 7, 1)
PANDAS_KINDS = {
    "int": np.dtype("int64"),
    "float": np.dtype("float64"),
    "bool": np.dtype("bool"),
    "datetime": np.dtype("datetime64[us]"),
    "list": np.dtype(object),
    "text": pd.Series(["text"]).dtype,
}
SOUND = {
    "movie_id": 603,
    "title": "The Matrix",
    "overview": "A hacker joins a war.",
    "original_language": "en",
    "release_date": "1999-03-31",
    "vote_average": 8.2,
    "vote_count": 25_000,
    "popularity": 83.0,
    "adult": False,
    "genre_ids": [28, 878],
}


class Odd:
    """Something that is no value of any field."""


DIRT = {
    "movie_id": [
        ("12", 12, None), (np.int64(12), 12, None), (12.0, 12, None), (None, -1, "missing"),
        (math.nan, -1, "missing"), ("", -1, "missing"), (1.5, -1, "broken"), (True, -1, "broken"),
        ("tt0133093", -1, "broken"), (-4, -1, "broken"), (2**70, -1, "broken"), ([1], -1, "broken"),
        ("1_2", -1, "broken"),
    ],
    "title": [
        (np.str_("Ran"), "Ran", None), ("乱\u200b", "乱\u200b", None), (None, "", "missing"),
        ("", "", "missing"), (math.nan, "", "missing"), (1917, "", "broken"), (b"Ran", "", "broken"),
        ("\ud800", "", "broken"), (pd.NA, "", "missing"),
    ],
    "overview": [
        (None, "", "missing"), ("", "", "missing"), (["war"], "", "broken"), ("war \udfff", "", "broken"),
    ],
    "original_language": [("ko", "ko", None), (None, "", "missing"), (7, "", "broken")],
    "release_date": [
        (date(2003, 5, 15), "2003-05-15", None), (datetime(2003, 5, 15, 9, tzinfo=UTC), "2003-05-15", None),
        (np.datetime64("2003-05-15"), "2003-05-15", None),
        (pd.Timestamp("2003-05-15"), "2003-05-15", None), ("2003-05-15T10:00:00Z", "2003-05-15", None),
        ("", None, "missing"), (None, None, "missing"), (pd.NaT, None, "missing"),
        (np.datetime64("NaT"), None, "missing"), ("2021-13-45", None, "broken"),
        ("2021-02-29", None, "broken"), ("0000-00-00", None, "broken"), ("15/05/2003", None, "broken"),
        ("2003-5-15", None, "broken"), ("2003-05-15 or so", None, "broken"), (2003, None, "broken"),
        ("2003-05-1\u0665", None, "broken"), ("\ud800", None, "broken"),
    ],
    "vote_average": [
        (7, 7.0, None), ("8.1", 8.1, None), (np.float32(2.5), 2.5, None), (None, 0.0, "missing"),
        (math.nan, 0.0, "missing"), ("nan", 0.0, "missing"), (math.inf, 0.0, "broken"),
        ("abc", 0.0, "broken"), (10.1, 0.0, "broken"), (-1, 0.0, "broken"), (10**400, 0.0, "broken"),
        (Odd(), 0.0, "broken"), (True, 0.0, "broken"),
    ],
    "vote_count": [
        (0, 0, None), (" 31 ", 31, None), (31.0, 31, None), (None, 0, "missing"), (-1, 0, "broken"),
        (0.5, 0, "broken"), (10**30, 0, "broken"), (str(10**30), 0, "broken"), (math.inf, 0, "broken"),
        ({}, 0, "broken"),
    ],
    "popularity": [
        (0, 0.0, None), ("1e2", 100.0, None), (None, 0.0, "missing"), (-0.1, 0.0, "broken"),
        (-math.inf, 0.0, "broken"), (1e300, 0.0, "broken"), (np.array([1.0, 2.0]), 0.0, "broken"),
        (1j, 0.0, "broken"),
    ],
    "adult": [
        (True, True, None), (1, True, None), ("True", True, None), ("0", False, None),
        (np.True_, True, None), (None, False, "missing"), ("", False, "missing"),
        ("yes", False, "broken"), (2, False, "broken"), ([], False, "broken"),
    ],
    "genre_ids": [
        ([], [], None), ((35, 18), [35, 18], None), (np.array([35, 18]), [35, 18], None),
        ([99_999], [99_999], None), ([{"id": 35, "name": "Comedy"}], [35], None),
        ('[{"id": 35, "name": "Comedy"}]', [35], None), ("[{'id': 35, 'name': 'Comedy'}]", [35], None),
        ("Comedy|Drama", [35, 18], None), ("[35, 18]", [35, 18], None),
        ("Action, Science Fiction", [28, 878], None), ([{"name": "Drama"}], [18], None),
        (None, [], "missing"), ("", [], "missing"), (35, [], "broken"),
        ([35, "x", None, -1, 1.5, True, 2**40], [35], "broken"), ("Jazz|Drama", [18], "broken"),
        ("[35, 18", [], "broken"), ("[" * 50_000, [], "broken"), ({"id": 35}, [], "broken"),
        ([[35]], [], "broken"),
    ],
}  # fmt: skip
"""For each field: a value, what it is taken for, and what it is counted as."""


def features_of(movies, **options):
    return AdvancedTMDBPreProcessor(movies, as_of=AS_OF, **options).extract_all_features()


def assert_same_frames(some, others, groups=FEATURE_GROUPS):
    for group in groups:
        pd.testing.assert_frame_equal(some[group], others[group], check_exact=True)


def assert_schema(features):
    assert list(features) == [*FEATURE_GROUPS, "metadata"]
    for group in FEATURE_GROUPS:
        expected = {name: PANDAS_KINDS[kind] for name, kind in SCHEMA[group].items()}
        assert features[group].dtypes.to_dict() == expected
        assert list(features[group].columns) == list(expected)


def assert_taken_for(dirty, clean, counted):
    """The dirty movies have the features of the clean ones, and each (field, status) is counted."""
    features = features_of(dirty)
    assert_schema(features)
    assert_same_frames(features, features_of(clean))
    for status in ("missing", "broken"):
        expected = {field.name: counted.count((field.name, status)) for field in FIELDS}
        assert features["metadata"][status] == expected


@pytest.mark.parametrize(
    "movies",
    [[], [SOUND], [SOUND] * 300, [{}], [None, 7, "x"], [{field.name: Odd() for field in FIELDS}] * 3],
    ids=["none", "one", "many", "empty dict", "no mappings", "all broken"],
)
def test_the_schema_does_not_depend_on_the_movies(movies):
    assert_schema(features_of(movies))


@pytest.mark.parametrize(("field", "case"), [(field, case) for field, cases in DIRT.items() for case in cases])
def test_each_kind_of_dirt_has_its_default_and_is_counted(field, case):
    dirty, taken_for, status = case
    assert_taken_for(
        [SOUND, SOUND | {field: dirty}, SOUND],
        [SOUND, SOUND | {field: taken_for}, SOUND],
        [(field, status)],
    )


@st.composite
def dirty_movies(draw):
    """Movies, what they are to be taken for, and what is to be counted."""
    dirty, clean, counted = [], [], []
    for number in range(draw(st.integers(1, 8))):
        movie = SOUND | {"movie_id": number, "popularity": 3.0 * number}
        twin = dict(movie)
        for field in draw(st.lists(st.sampled_from(list(DIRT)), max_size=4, unique=True)):
            value, twin[field], status = draw(st.sampled_from(DIRT[field]))
            movie[field] = value
            counted.append((field, status))
            if status == "missing" and draw(st.booleans()):
                del movie[field]
        dirty.append(movie)
        clean.append(twin)
    return dirty, clean, counted


@settings(max_examples=60)
@given(dirty_movies())
def test_dirt_costs_its_own_field_and_nothing_else(movies):
    assert_taken_for(*movies)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150)
@given(st.lists(JSON_VALUES | st.dictionaries(st.sampled_from([*SOUND, "id", "genres"]), JSON_VALUES), max_size=6))
def test_anything_at_all_is_skipped_or_given_defaults(movies):
    features = features_of([SOUND, *movies])
    assert_schema(features)
    mappings = [movie for movie in movies if isinstance(movie, dict)]
    assert features["metadata"]["movies"] == 1 + len(mappings)
    assert features["metadata"]["skipped"] == len(movies) - len(mappings)
    assert_same_frames(
        {
            group: frame.iloc[:1]
            for group, frame in features.items()
            if group in ("basic", "temporal", "text", "interaction")
        },
        features_of([SOUND]),
        ("basic", "temporal", "text", "interaction"),
    )


def test_a_field_goes_by_its_other_name_where_the_first_is_absent_or_null():
    raw = {name: value for name, value in SOUND.items() if name not in {"movie_id", "genre_ids"}}
    named = raw | {
        "id": 603,
        "genres": [{"id": 28, "name": "Action"}, {"id": 878, "name": "Science Fiction"}],
    }
    assert_taken_for([named] * 3, [SOUND] * 3, [])
    assert_taken_for([named, SOUND, named | {"movie_id": None, "genre_ids": None}], [SOUND] * 3, [])
    assert_taken_for([SOUND | {"id": 1, "genres": []}], [SOUND], [])


@pytest.mark.parametrize("kind", [OrderedDict, MappingProxyType, lambda movie: defaultdict(list, movie)])
def test_any_mapping_is_a_movie(kind):
    partial = {name: value for name, value in SOUND.items() if name != "adult"}
    movie = kind(partial)
    assert_taken_for([SOUND, movie], [SOUND, SOUND], [("adult", "missing")])
    assert "adult" not in movie


@pytest.mark.parametrize(
    "movies", ["movies.csv", SOUND, 7, None, pd.DataFrame([SOUND])], ids=lambda value: type(value).__name__
)
def test_what_is_no_list_of_movies_is_refused_with_the_way_out(movies):
    with pytest.raises(TypeError, match="list of dicts"):
        AdvancedTMDBPreProcessor(movies)


@pytest.mark.parametrize("size", [1, 7, 270])
def test_rows_do_not_depend_on_how_movies_are_batched(size):
    movies = generate_movies(300, seed=3)
    whole = features_of(movies, seed=5)
    batches = [features_of(movies[start : start + size], seed=5) for start in range(0, len(movies), size)]
    for group in set(FEATURE_GROUPS) - {"statistical"}:
        together = pd.concat([batch[group] for batch in batches], ignore_index=True)
        pd.testing.assert_frame_equal(together, whole[group], check_exact=True)


def test_a_movie_has_the_same_viewers_wherever_it_stands_and_others_under_another_seed():
    movies = generate_movies(200, seed=3)
    some = features_of(movies, seed=5)["augmented"]
    turned = features_of(movies[::-1], seed=5)["augmented"]
    pd.testing.assert_frame_equal(
        some.sort_values("movie_id", kind="stable", ignore_index=True),
        turned.sort_values("movie_id", kind="stable", ignore_index=True),
    )
    other = features_of(movies, seed=6)["augmented"]
    assert (some["user_id"] != other["user_id"]).mean() > 0.99
    assert (some["movie_id"] == other["movie_id"]).all()


def test_viewers_rate_around_the_movie_and_within_their_bounds():
    frame = features_of([SOUND | {"movie_id": number, "popularity": 500.0} for number in range(400)])["augmented"]
    assert len(frame) == 400 * 50
    assert set(frame["rating"] * 2) <= set(range(1, 21))
    assert frame["user_id"].between(1, 1_000_000).all()
    assert frame["user_id"].nunique() > 19_000
    assert frame["watch_time_minutes"].between(10, 190).all()
    assert abs(frame["rating"].mean() - 8.1) < 0.1
    assert (frame["weight"] == np.minimum(2.0 ** frame["rating"], 100)).all()


def test_the_day_that_ages_count_from_is_an_argument():
    early = AdvancedTMDBPreProcessor([SOUND], as_of=date(1999, 3, 30)).extract_temporal_features()
    late = AdvancedTMDBPreProcessor([SOUND], as_of=datetime(1999, 4, 1, 23, tzinfo=UTC)).extract_temporal_features()
    assert (early["days_since_release"][0], early["is_future_release"][0]) == (-1, True)
    assert (late["days_since_release"][0], late["is_future_release"][0]) == (1, False)


def test_frames_belong_to_the_caller_and_movies_stay_as_they_were():
    movies = generate_movies(50, seed=2)
    before = json.dumps(movies)
    preprocessor = AdvancedTMDBPreProcessor(movies, as_of=AS_OF)
    spoilt = preprocessor.extract_all_features()
    for group in FEATURE_GROUPS:
        for name, kind in SCHEMA[group].items():
            if kind in ("int", "float", "bool"):
                spoilt[group].loc[:, name] = spoilt[group][name].dtype.type(1)
            elif kind == "list":
                spoilt[group][name][0].append(1)
            elif kind == "text":
                spoilt[group].loc[0, name] = "spoilt"
            else:
                spoilt[group].loc[0, name] = pd.Timestamp("1999-12-31")
    assert json.dumps(movies) == before
    assert_same_frames(preprocessor.extract_all_features(), features_of(movies))


def test_writing_into_one_frame_shows_in_no_other():
    features = features_of(generate_movies(5, seed=2))
    untouched = {group: frame.copy(deep=True) for group, frame in features.items() if group in FEATURE_GROUPS}
    basic = features["basic"]
    for name in ("movie_id", "popularity", "vote_average", "vote_count", "genre_drama"):
        basic.iloc[0, basic.columns.get_loc(name)] = basic[name].dtype.type(1)
    assert_same_frames(features, untouched, FEATURE_GROUPS[1:])


def test_the_metadata_tells_what_was_made_of_what():
    metadata = features_of([SOUND, SOUND | {"vote_count": -1}, None], seed=11)["metadata"]
    assert json.loads(json.dumps(metadata)) == metadata
    assert metadata["movies"] == 2
    assert metadata["skipped"] == 1
    assert (metadata["as_of"], metadata["seed"]) == ("2026-07-01", 11)
    assert metadata["rows"] == dict.fromkeys(FEATURE_GROUPS[:5], 2) | {"augmented": 16}
    assert metadata["categories"] == list(FEATURE_GROUPS)
    assert metadata["columns"]["basic"]["datetime"] == ["release_date"]
    assert datetime.fromisoformat(metadata["generated_at"]).tzinfo is not None
