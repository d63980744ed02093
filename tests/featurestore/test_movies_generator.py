import json
import unicodedata
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.movies import AdvancedTMDBPreProcessor, generate_movies


def scripts(texts):
    return {unicodedata.name(char, "?").split()[0] for text in texts for char in text if char.isalpha()}


def is_date(text):
    try:
        return bool(date.fromisoformat(text)) and len(text) == 10
    except ValueError:
        return False


@pytest.fixture(scope="module")
def movies():
    return generate_movies(20_000, seed=1)


@settings(max_examples=20)
@given(st.integers(0, 300), st.integers(-(2**70), 2**70))
def test_the_same_seed_gives_the_same_movies_and_fewer_are_the_first_of_more(count, seed):
    assert repr(generate_movies(count, seed)) == repr(generate_movies(300, seed)[:count])


def test_the_first_movies_are_the_same_across_blocks(movies):
    assert repr(generate_movies(10_001, seed=1)) == repr(movies[:10_001])


def test_another_seed_gives_other_movies():
    assert generate_movies(50, seed=1) != generate_movies(50, seed=2)


def test_movies_are_the_callers_own():
    first = generate_movies(100, seed=1)
    before = json.dumps(first)
    for movie in generate_movies(100, seed=1):
        if movie["genre_ids"] is not None:
            movie["genre_ids"].append(0)
    assert json.dumps(first) == before == json.dumps(generate_movies(100, seed=1))


def test_ids_are_distinct(movies):
    assert len({movie["movie_id"] for movie in movies}) == len(movies)


def test_tails_are_heavy(movies):
    popularity = sorted(movie["popularity"] for movie in movies if movie["popularity"] is not None)
    votes = sorted(movie["vote_count"] for movie in movies if movie["vote_count"] is not None)
    assert popularity[len(popularity) * 99 // 100] > 20 * popularity[len(popularity) // 2]
    assert votes[len(votes) * 99 // 100] > 500 * votes[len(votes) // 2]


def test_texts_come_in_several_scripts(movies):
    titles, overviews = ([movie[name] or "" for movie in movies] for name in ("title", "overview"))
    assert {"LATIN", "CJK", "HIRAGANA", "HANGUL", "CYRILLIC", "ARABIC", "DEVANAGARI", "THAI"} <= scripts(titles)
    assert {"LATIN", "CJK", "HANGUL", "CYRILLIC", "ARABIC"} <= scripts(overviews)


def test_dirt_of_every_kind_is_there_and_rare(movies):
    metadata = AdvancedTMDBPreProcessor(movies).extract_all_features()["metadata"]
    dirty = {"release_date", "vote_average", "vote_count", "popularity"}
    assert {field for field, count in metadata["broken"].items() if count} == dirty
    assert {field for field, count in metadata["missing"].items() if count} == dirty | {
        "title",
        "overview",
        "genre_ids",
    }
    assert all(count < len(movies) / 50 for status in ("missing", "broken") for count in metadata[status].values())
    assert any(movie["release_date"] and not is_date(movie["release_date"]) for movie in movies)


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="-1 is below 0"):
        generate_movies(-1, seed=0)
