"""Features chunk by chunk: the same cells as at once, in memory that does not grow with the movies."""

import itertools
import json
import os
import pickle
import subprocess
import sys
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.movies import (
    FEATURE_GROUPS,
    AdvancedTMDBPreProcessor,
    FeatureStatistics,
    GeneratedMovies,
    MoviesFileError,
    generate_movies,
    iter_features,
    iter_movies,
    load_movies,
)
from featurestore.movies.statistics import Distribution, percentiles, zscores

AS_OF = date(2026, 7, 1)
MOVIES = generate_movies(1_000, seed=5)
HEADER = "id,title,overview,vote_average\n"


def joined(chunks, group):
    return pd.concat([chunk[group] for chunk in chunks], ignore_index=True)


def at_once(movies, **options):
    return AdvancedTMDBPreProcessor(movies, as_of=AS_OF, **options).extract_all_features()


def assert_same(chunks, whole):
    for group in FEATURE_GROUPS:
        pd.testing.assert_frame_equal(joined(chunks, group), whole[group], check_exact=True)


@pytest.fixture
def written(tmp_path):
    def write(content, name="movies.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("chunk_size", [1, 7, 250, 1_000, 10_000])
def test_streamed_features_equal_those_made_at_once_cell_by_cell(chunk_size):
    movies = MOVIES[:120] if chunk_size == 1 else MOVIES
    chunks = list(iter_features(movies, chunk_size=chunk_size, as_of=AS_OF, seed=3))
    assert [len(chunk["basic"]) for chunk in chunks[:-1]] == [chunk_size] * (len(chunks) - 1)
    assert_same(chunks, at_once(movies, seed=3))
    assert {chunk["metadata"]["statistics_of"] for chunk in chunks} == {len(movies)}


@settings(max_examples=40)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {
                    "vote_average": st.sampled_from([0, 5.5, 7, "7.0", None, "abc", 11]),
                    "vote_count": st.sampled_from([0, 3, 40_000, -1, None]),
                    "popularity": st.floats(0, 100) | st.sampled_from([1.5, float("nan"), 10**400]),
                }
            ),
        ),
        max_size=30,
    ),
    st.integers(1, 8),
)
def test_dirty_movies_change_nothing_about_that(movies, chunk_size):
    chunks = list(iter_features(movies, chunk_size=chunk_size, as_of=AS_OF))
    if chunks:
        whole = at_once(movies)
        assert_same(chunks, whole)
        assert sum(chunk["metadata"]["skipped"] for chunk in chunks) == whole["metadata"]["skipped"]
    else:
        assert movies == []


def test_relative_to_the_chunk_is_what_one_gets_by_asking_for_it():
    chunks = list(iter_features(iter(MOVIES), chunk_size=300, as_of=AS_OF, statistics="chunk"))
    parts = [at_once(MOVIES[start : start + 300]) for start in range(0, 1_000, 300)]
    for chunk, part in zip(chunks, parts, strict=True):
        pd.testing.assert_frame_equal(chunk["statistical"], part["statistical"], check_exact=True)
        assert chunk["metadata"]["statistics_of"] == part["metadata"]["movies"]
    assert not joined(chunks, "statistical").equals(at_once(MOVIES)["statistical"])


def test_what_can_be_gone_through_only_once_needs_statistics_from_the_caller():
    with pytest.raises(TypeError, match="only once") as raised:
        iter_features(movie for movie in MOVIES)
    assert "FeatureStatistics.fit" in str(raised.value)
    statistics = pickle.loads(pickle.dumps(FeatureStatistics.fit(iter(MOVIES), chunk_size=90)))
    assert statistics.movies == 1_000
    chunks = list(iter_features(iter(MOVIES), chunk_size=400, as_of=AS_OF, statistics=statistics))
    assert_same(chunks, at_once(MOVIES))


@pytest.mark.parametrize(
    ("movies", "options", "error"),
    [
        ("movies.csv", {}, TypeError),
        ({"id": 1}, {}, TypeError),
        (pd.DataFrame({"id": [1]}), {}, TypeError),
        (7, {}, TypeError),
        ([], {"chunk_size": 0}, ValueError),
        ([], {"statistics": "batch"}, TypeError),
    ],
)
def test_a_wrong_argument_is_refused_before_the_first_chunk_is_asked_for(movies, options, error):
    with pytest.raises(error):
        iter_features(movies, **options)


@given(
    st.lists(st.floats(0, 1e12), max_size=40),
    st.lists(st.floats(0, 1e12), min_size=1, max_size=5),
)
def test_values_never_seen_stand_between_those_that_were(seen, others):
    among = Distribution.of(np.array(seen))
    np.testing.assert_array_equal(among.percentiles(np.array(seen)), percentiles(np.array(seen)))
    np.testing.assert_array_equal(among.zscores(np.array(seen)), zscores(np.array(seen)))
    for value, rank in zip(others, among.percentiles(np.array(others)), strict=True):
        below, equal = sum(s < value for s in seen), sum(s == value for s in seen)
        expected = (below + (equal + 1) / 2) / len(seen) if seen else 1.0
        assert rank == pytest.approx(min(expected, 1.0))


def test_one_day_holds_for_the_whole_stream(monkeypatch):
    days = iter([date(2020, 1, 1), date(2020, 1, 2), date(2020, 1, 3), date(2020, 1, 4)])
    monkeypatch.setattr("featurestore.movies.streaming.day_of", lambda _: next(days))
    chunks = list(iter_features(MOVIES, chunk_size=300))
    assert {chunk["metadata"]["as_of"] for chunk in chunks} == {"2020-01-01"}


def test_generated_movies_are_the_same_streamed_and_in_a_list():
    stream = GeneratedMovies(12_345, seed=5)
    assert len(stream) == 12_345
    assert list(itertools.islice(stream, 1_000)) == MOVIES
    assert stream != GeneratedMovies(12_345, seed=6)
    assert [m["movie_id"] for m in stream] == [m["movie_id"] for m in generate_movies(12_345, seed=5)]


def test_a_file_streams_what_it_loads(movies_csv, written):
    loaded = load_movies(movies_csv)
    stream = iter_movies(movies_csv)
    for _ in range(2):
        assert list(map(repr, stream)) == list(map(repr, loaded.movies))  # as text: a broken number may be NaN
        assert (stream.good, stream.bad, stream.reasons) == (loaded.good, loaded.bad, loaded.reasons)
    lines = "\n".join(json.dumps(movie) for movie in loaded.movies[:50])
    assert list(map(repr, iter_movies(written(lines, "movies.jsonl")))) == list(map(repr, loaded.movies[:50]))
    chunks = list(iter_features(stream, chunk_size=1_000, as_of=AS_OF))
    assert_same(chunks, at_once(loaded.movies))


@settings(max_examples=60)
@given(st.lists(st.sampled_from(['"', ",", "\n", "\r", "\r\n", "7", "x", "\0", "é", "\udce9", '"",']), max_size=40))
def test_broken_records_are_the_same_wherever_the_lines_come_from(tmp_path_factory, pieces):
    junk = "".join(pieces).encode(errors="surrogateescape")
    content = HEADER.encode() + b"1,Ran,War.,8\n" + junk + b'\n2,Ikiru,"A\nlife.",8\n3,Ran,War.,8\n'
    path = tmp_path_factory.mktemp("junk") / "movies.csv"
    path.write_bytes(content)
    loaded, stream = load_movies(path), iter_movies(path)
    assert list(stream) == loaded.movies
    assert stream.reasons == loaded.reasons
    assert [m["title"] for m in loaded.movies if m["movie_id"] in {1, 3} and m["overview"] == "War."]


def test_a_broken_record_after_a_blank_line_counts_once(written):
    loaded = load_movies(written(HEADER + '1,Ran,War.,8\n\n2,"Ik"iru,Life.,8\n\n3,Ran\n4,Ran,War.,8\n'))
    assert loaded.reasons == {"broken quoting": 1, "too few fields": 1}
    assert [movie["movie_id"] for movie in loaded.movies] == [1, 4]


def test_a_file_that_cannot_be_streamed_is_refused_at_once(written, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused = {
        tmp_path / "absent.csv": "no such file",
        tmp_path: "a folder",
        tmp_path / "pipe": "only once",
        written("", "empty.csv"): "empty",
        written(HEADER, "header.csv"): "no movie",
        written("a,b\n1,2\n", "other.csv"): "no column",
        written(bytes(range(256)) * 20, "binary"): "not UTF-8 text",
        written(HEADER + "1," + "x" * (16 * 2**20), "long.csv"): "over 16 MiB",
    }
    for path, message in refused.items():
        with pytest.raises(MoviesFileError, match=message) as raised:
            iter_movies(path)
        assert str(path) in str(raised.value)


def test_a_file_that_goes_away_between_two_passes_says_so(written):
    path = written(HEADER + "1,Ran,War.,8\n")
    stream = iter_movies(path)
    path.unlink()
    with pytest.raises(MoviesFileError, match="no such file"):
        list(stream)


STREAM = """
import resource, sys
from featurestore.movies import FeatureStatistics, generate_movies, iter_features
base, count = generate_movies(2_000, 1), int(sys.argv[1])
class Repeated:
    def __iter__(self):
        return (base[number % len(base)] for number in range(count))
rows = sum(len(chunk["basic"]) for chunk in iter_features(Repeated(), chunk_size=2_000))
assert rows == count
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_thirty_times_the_movies_need_no_thirty_times_the_memory(project_root):
    def peak_kib(count):
        command = [sys.executable, "-c", STREAM, str(count)]
        environment = {**os.environ, "PYTHONPATH": str(project_root)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        return int(done.stdout)

    few, many = peak_kib(4_000), peak_kib(120_000)
    held_at_once_kib = 116_000 * 2  # two KiB a movie would be little for six tables; chunks cost none of it
    assert many - few < held_at_once_kib / 8, f"{few} KiB for 4,000 movies, {many} KiB for 120,000"
