import csv
import hashlib
import io
import json
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.movies import (
    AdvancedTMDBPreProcessor,
    MoviesFileError,
    generate_movies,
    load_movies,
    movies_from_csv,
    movies_from_jsonl,
)

HEADER = "id,title,overview,genres,vote_average,vote_count,popularity,release_date,original_language"
GENRES = '"[{""id"": 28, ""name"": ""Action""}]"'
COLUMNS = (
    "movie_id",
    "title",
    "overview",
    "genres",
    "vote_average",
    "vote_count",
    "popularity",
    "release_date",
    "adult",
    "original_language",
)


def record(number, title="Some Movie", overview="A plot."):
    return f"{number},{title},{overview},{GENRES},6.5,100,12.5,2001-02-03,en"


@pytest.fixture
def written(tmp_path):
    def write(content, name="movies.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def csv_of(written):
    return lambda *lines, end="\n": written(end.join([HEADER, *lines]) + end)


def ids(loaded):
    return [movie["movie_id"] for movie in loaded.movies]


def test_a_good_record_becomes_a_movie(csv_of):
    path = csv_of(record(5, '"Ran, ""乱"""', '"Two\nlines."'))
    loaded = movies_from_csv(path)
    assert loaded.movies == [
        {
            "movie_id": 5,
            "title": 'Ran, "乱"',
            "overview": "Two\nlines.",
            "original_language": "en",
            "release_date": "2001-02-03",
            "vote_average": 6.5,
            "vote_count": 100,
            "popularity": 12.5,
            "adult": None,
            "genre_ids": [28],
        }
    ]
    assert (loaded.good, loaded.bad, loaded.reasons, loaded.path) == (1, 0, {}, str(path))
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("broken", "reasons"),
    [
        ("5,Short", {"too few fields": 1}),
        (record(5) + ",more", {"too many fields": 1}),
        ("457697,Half,A point.\r Of the domestic,[],6.9,8,6.9,2016-09-01,en", {"too few fields": 2}),
        (record("x"), {"id is no whole number": 1}),
        (record("5.0"), {"id is no whole number": 1}),
        (record("-5"), {"id is no whole number": 1}),
        (record(""), {"id is no whole number": 1}),
        (record("9" * 30), {"id is no whole number": 1}),
        (record("٥"), {"id is no whole number": 1}),
        (record(5, '"Unclosed'), {"broken quoting": 1}),
        (record(5, '"Say "what" now"'), {"broken quoting": 1}),
        (record(5, "NUL\0"), {"NUL byte": 1}),
        (record(5, overview='"' + "x" * 200_000 + '"'), {"field too long": 1}),
        (record(5, '"Unclosed\n' + "on\n" * 3), {"broken quoting": 1, "too few fields": 4}),
    ],
)
def test_a_broken_record_is_counted_with_its_reason_and_costs_no_other(csv_of, broken, reasons):
    loaded = movies_from_csv(csv_of(record(1), record(2), broken, record(3), record(4, overview='""')))
    assert ids(loaded) == [1, 2, 3, 4]
    assert {movie["title"] for movie in loaded.movies} == {"Some Movie"}
    assert loaded.reasons == reasons
    assert (loaded.good, loaded.bad) == (4, sum(reasons.values()))


def test_an_unclosed_quote_that_another_record_closes_does_not_mix_the_two(csv_of):
    lost = movies_from_csv(csv_of(record(1), '5,"Unclosed,A plot.', record(6, overview='6"'), record(2)))
    assert (ids(lost), lost.reasons) == ([1, 6, 2], {"broken quoting": 1})
    mixed = movies_from_csv(csv_of(record(1), '5,"Unclosed,A plot.', record(6, title='6"'), record(2)))
    assert (ids(mixed), mixed.reasons) == ([1, 2], {"broken quoting": 1})


def test_bytes_that_are_not_utf8_cost_their_own_record(written):
    lines = [HEADER, record(1, "Zoë"), record(2, "Am\u00e9lie"), record(3, "乱")]
    content = "\n".join(lines).encode().replace("Am\u00e9lie".encode(), b"Am\xe9lie")
    loaded = movies_from_csv(written(content))
    assert [movie["title"] for movie in loaded.movies] == ["Zoë", "乱"]
    assert loaded.reasons == {"not UTF-8": 1}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_any_line_ending_and_a_byte_order_mark_are_fine(written, end, mark):
    loaded = movies_from_csv(written(mark + end.join([HEADER, record(1), "", record(2)])))
    assert (ids(loaded), loaded.bad) == ([1, 2], 0)


def test_empty_cells_are_null_and_broken_ones_stay_for_the_features_to_count(csv_of):
    loaded = movies_from_csv(csv_of("1,,,,,,,,", "2,T,O,[28,abc,1_0,inf,2021-13-45,en", '3,T,O,"[28, 12]",1,2.0,3,,en'))
    assert loaded.movies[0] == dict.fromkeys(loaded.movies[0]) | {"movie_id": 1}
    metadata = AdvancedTMDBPreProcessor(loaded.movies).extract_all_features()["metadata"]
    numbers = ("vote_average", "vote_count", "popularity", "release_date", "genre_ids")
    assert {field for field, count in metadata["broken"].items() if count} == set(numbers)
    assert all(metadata["broken"][field] == 1 for field in numbers)
    assert loaded.movies[2]["genre_ids"] == [28, 12]


@pytest.mark.parametrize(
    ("cell", "genres"),
    [
        ('"[{""id"": 28, ""name"": ""Action""}]"', [28]),
        ("\"[{'id': 28, 'name': 'Action'}]\"", [28]),
        ("Action|Comedy", [28, 35]),
        ('"Science Fiction, tv movie"', [878, 10770]),
        ('"[28, 12]"', [28, 12]),
        ("[]", []),
        ("28", [28]),
    ],
)
def test_genres_are_understood_in_every_published_shape(csv_of, cell, genres):
    loaded = movies_from_csv(csv_of(record(1).replace(GENRES, cell), record(2).replace(GENRES, cell)))
    assert [movie["genre_ids"] for movie in loaded.movies] == [genres, genres]
    assert loaded.movies[0]["genre_ids"] is not loaded.movies[1]["genre_ids"]


def test_columns_are_found_by_name_in_any_order_among_others(written):
    loaded = movies_from_csv(written("budget, Original_Title ,adult,ID\n7,Ran,False,11645\n0,Ikiru,True,3782\n"))
    assert [(movie["title"], movie["movie_id"], movie["adult"]) for movie in loaded.movies] == [
        ("Ran", 11645, False),
        ("Ikiru", 3782, True),
    ]


def test_json_lines_are_read_a_movie_a_line(written):
    lines = [
        '\ufeff{"id": 1, "title": "乱", "genres": [{"id": 18, "name": "Drama"}], "runtime": 162}',
        "",
        "[1, 2]",
        '{"id": 2, "title": "cut',
        '{"title": "no id"}',
        '{"id": true}',
        "[" * 100_000,
        '{"movie_id": "3", "vote_average": NaN}\r',
    ]
    loaded = movies_from_jsonl(written("\n".join(lines).encode() + b'\n{"id": 4, "title": "\xe9"}\n', "movies.jsonl"))
    assert ids(loaded) == [1, 3]
    assert loaded.reasons == {
        "no JSON object": 1,
        "broken JSON": 2,
        "id is no whole number": 2,
        "not UTF-8": 1,
    }
    basic = AdvancedTMDBPreProcessor(loaded.movies).extract_basic_features()
    assert basic["genre_ids"].tolist() == [[18], []]
    assert "runtime" not in loaded.movies[0]


@pytest.mark.parametrize("name", ["movies.csv", "movies.CSV", "movies.txt", "movies"])
def test_csv_is_told_by_its_ending_or_its_first_byte(written, name):
    assert ids(load_movies(written(f"{HEADER}\n{record(1)}\n", name))) == [1]


@pytest.mark.parametrize("name", ["movies.jsonl", "movies.ndjson", "movies.json", "movies"])
def test_json_lines_are_told_by_their_ending_or_their_first_byte(written, name):
    assert ids(load_movies(written('\n {"id": 1, "title": "Ran"}\n', name))) == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        ("\ufeff", "empty"),
        (bytes(range(256)) * 8, "not UTF-8 text"),
        (f"{HEADER}\n{record(1)}\n".encode("utf-16"), "not UTF-8 text"),
        (b"\x1f\x8b\x08" + b"a" * 100, "not UTF-8 text"),
        (HEADER + "\n", "no records"),
        ("title,overview\nRan,War.\n", "no column movie_id or id"),
        ("id,overview\n1,War.\n", "no column title"),
        ("id;title\n1;Ran\n", "commas"),
        ('"id,title\n1,Ran\n', "broken quoting"),
        (f"{HEADER}\nx,y\n", "1 × too few fields"),
    ],
)
def test_a_file_without_movies_is_refused_in_one_line_with_its_path(written, content, message):
    path = written(content)
    with pytest.raises(MoviesFileError) as raised:
        load_movies(path)
    assert isinstance(raised.value, ValueError)
    assert str(path) in str(raised.value)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "message"), [("absent.csv", "no such file"), ("", "a folder"), ("a\0b", "cannot be read")]
)
def test_a_path_that_is_no_file_is_refused(tmp_path, name, message):
    with pytest.raises(MoviesFileError, match=message):
        load_movies(f"{tmp_path}/{name}")


def test_a_written_catalogue_loads_whole(movies_csv):
    loaded = load_movies(movies_csv)
    assert loaded.good > 3_000
    assert loaded.bad <= 2
    assert loaded.good == len(loaded.movies) == len({id(movie["genre_ids"]) for movie in loaded.movies})


@settings(max_examples=40)
@given(st.data())
def test_no_damage_to_a_file_makes_up_a_movie_or_costs_more_than_its_neighbourhood(data):
    movies = {number: f"Movie {number}" for number in range(1, 60)}
    content = "\n".join(
        [HEADER, *(record(number, f'"{title}"', '"A plot, or two."') for number, title in movies.items())]
    )
    places = data.draw(st.lists(st.integers(len(HEADER) + 1, len(content) - 1), min_size=1, max_size=3))
    damaged = content
    for place in places:
        damaged = (
            damaged[:place] + data.draw(st.sampled_from(['"', ",", "\n", "", "\r", "\0", '",'])) + damaged[place + 1 :]
        )
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(damaged.encode())
        file.flush()
        loaded = load_movies(file.name)
    whole = [movie for movie in loaded.movies if movies.get(movie["movie_id"]) == movie["title"]]
    assert len(whole) >= len(movies) - 2 * len(places)


@settings(max_examples=40)
@given(st.binary(max_size=300), st.sampled_from([".csv", ".jsonl", ""]))
def test_any_bytes_load_or_are_refused(junk, ending):
    with tempfile.NamedTemporaryFile(suffix=ending) as file:
        file.write(HEADER.encode() + b"\n" + record(1).encode() + b"\n" + junk)
        file.flush()
        try:
            loaded = load_movies(file.name)
        except MoviesFileError:
            return
    assert loaded.good == len(loaded.movies) > 0


def test_generated_movies_survive_a_round_through_both_formats(tmp_path):
    movies = generate_movies(1_000, seed=9)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for movie in movies:
        genres = None if movie["genre_ids"] is None else json.dumps(movie["genre_ids"])
        writer.writerow({**{name: movie.get(name) for name in COLUMNS}, "genres": genres})
    (tmp_path / "movies.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    (tmp_path / "movies.jsonl").write_text("\n".join(json.dumps(movie) for movie in movies), encoding="utf-8")
    expected = AdvancedTMDBPreProcessor(movies).extract_all_features()
    for name in ("movies.csv", "movies.jsonl"):
        loaded = load_movies(tmp_path / name)
        assert (loaded.good, loaded.bad) == (1_000, 0)
        found = AdvancedTMDBPreProcessor(loaded.movies).extract_all_features()
        assert found["metadata"]["broken"] == expected["metadata"]["broken"]
        assert found["basic"].equals(expected["basic"])
