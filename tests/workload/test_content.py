import json
import os
from datetime import date

import numpy as np
import pandas as pd
import pytest

from featurestore.movies import FEATURE_GROUPS, AdvancedTMDBPreProcessor
from stressd import scenario
from stressd.workload.canonical import columns_sum
from stressd.workload.columns import all_columns
from stressd.workload.frames import (
    STAMPS,
    Identity,
    MovieBatches,
    MovieContent,
    RandomContent,
    content_of,
    names_total,
    signed,
)
from stressd.workload.movie_tables import MovieTables, build_base

AS_OF = date(2026, 1, 1)


def movie_content(tables, rows, seed=1, **more):
    return MovieContent(tables, scenario.Content(rows=rows, **more), seed)


def test_the_same_save_is_the_same_whoever_makes_it(content, tables, run_seed):
    plan = scenario.Content(rows=(20, 40))
    if isinstance(content, RandomContent):
        plan = scenario.Content(kind="random", rows=30, columns=4, names=2)
    again = content_of(plan, run_seed, tables).frames(2, 9)
    for name, frame in content.frames(2, 9).frames.items():
        pd.testing.assert_frame_equal(frame, again.frames[name])
        pd.testing.assert_frame_equal(frame, content.frame(2, name, 9))


def test_every_part_of_the_identity_makes_another_sum(content, tables):
    base = content.frames(2, 9).total
    assert base != content.frames(3, 9).total
    assert base != content.frames(2, 10).total
    assert base != content.frames(2, 9, writer=1).total
    other_run = movie_content(tables, (20, 40), seed=2)
    assert movie_content(tables, (20, 40)).frames(2, 9).total != other_run.frames(2, 9).total


def test_frames_end_in_stamps_and_carry_the_sum_of_their_payload(content):
    made = content.frames(3, 7)
    sums = []
    for name, frame in made.frames.items():
        layout = content.layouts[name]
        assert tuple(frame.columns) == (*layout.columns, *STAMPS)
        payload = all_columns(frame)[: len(layout.columns)]
        total = columns_sum(payload, layout.kinds, content.sum_seed(Identity(3, name, 7)))
        stamps = frame[list(STAMPS)].drop_duplicates().to_numpy().tolist()
        assert stamps == [[3, 0, 7, signed(total)]]
        sums.append(signed(total))
    assert made.total == names_total(sums)


def test_rows_and_sizes_are_known_without_making_the_frames(content):
    for seq in (1, 2, 3):
        made, shapes = content.frames(1, seq), content.shapes(1, seq)
        assert {name: len(frame) for name, frame in made.frames.items()} == {n: s.rows for n, s in shapes.items()}
        assert made.rows == sum(shape.rows for shape in shapes.values()) > 0
        assert made.payload_bytes == sum(shape.payload_bytes for shape in shapes.values())


def test_payload_bytes_are_those_of_the_canonical_form(tables):
    content = movie_content(tables, 10, names=("basic",))
    basic = content.frame(1, "basic", 1)
    text = ("title", "original_language", "rating_tier")
    expected = 10 * (8 * (5 + 1) + 22)  # numbers and an instant; booleans
    expected += sum(8 + len(value.encode()) for column in text for value in basic[column])
    expected += sum(8 + 8 * len(genres) for genres in basic["genre_ids"])
    assert content.shapes(1, 1)["basic"].payload_bytes == expected


def test_a_frame_is_its_callers_own(content):
    for name, frame in content.frames(1, 1).frames.items():
        before = frame.copy(deep=True)
        for place, column in enumerate(frame.columns):
            if frame[column].dtype in (np.int64, np.float64):
                frame.iloc[:, place] = -1
                frame.to_numpy()
        pd.testing.assert_frame_equal(content.frame(1, name, 1), before)
        assert isinstance(frame.index, pd.RangeIndex)


def test_saves_hold_what_the_preprocessor_makes_of_the_movies(movies, tables):
    features = AdvancedTMDBPreProcessor(movies, as_of=AS_OF).extract_all_features()
    content = movie_content(tables, 100)
    starts = set()
    for seq in range(1, 9):
        frames = content.frames(5, seq).frames
        places = np.flatnonzero(features["basic"]["movie_id"] == frames["basic"]["movie_id"].iloc[0])
        start = next(p for p in places if features["basic"]["title"][p] == frames["basic"]["title"][0])
        chosen = (start + np.arange(100)) % len(movies)
        starts.add(int(start))
        for name in FEATURE_GROUPS[:-1]:
            expected = features[name].iloc[chosen].reset_index(drop=True)
            pd.testing.assert_frame_equal(frames[name].drop(columns=list(STAMPS)), expected)
        counts = np.clip((features["basic"]["popularity"] / 10).astype(int), 1, 50)
        rows = np.split(np.arange(counts.sum()), np.cumsum(counts)[:-1])
        expected = features["augmented"].iloc[np.concatenate([rows[movie] for movie in chosen])]
        augmented = frames["augmented"].drop(columns=list(STAMPS))
        pd.testing.assert_frame_equal(augmented, expected.reset_index(drop=True))
    assert any(start > 200 for start in starts)  # one of them went round the end


def test_saves_in_succession_share_no_movie_and_soon_use_all(tables):
    content = movie_content(tables, (60, 100))
    for seq in range(1, 20):
        movie_sets = [set().union(*(range(*span) for span in content._spans(3, s))) for s in (seq, seq + 1)]
        assert not movie_sets[0] & movie_sets[1]
        assert 60 <= len(movie_sets[0]) <= 100
    assert content.coverage({}) == 0
    assert 0.2 <= content.coverage({1: 1}) < 0.4
    assert content.coverage({0: 10, 1: 10, 2: 10}) > 0.9
    assert content.coverage({0: 10**9}) == 1


@pytest.mark.parametrize("rows", [1, 299, 300, 301, 1000])
def test_there_may_be_fewer_movies_than_rows(tables, rows):
    content = movie_content(tables, rows, names=("temporal", "augmented"))
    for seq in (1, 2):
        frames = content.frames(1, seq).frames
        assert len(frames["temporal"]) == rows
        assert len(frames["augmented"]) >= rows


def test_random_content_takes_its_shape_from_the_plan(random_content):
    frame = random_content.frame(0, "payload_1", 3)
    assert frame.shape == (30, 1 + 4 + 4)
    assert frame["id"].dtype == np.int64
    payload = frame[["c0", "c1", "c2", "c3"]].to_numpy()
    assert payload.dtype == np.float64
    assert 0 <= payload.min() < payload.max() < 1
    others = [random_content.frame(0, "payload_1", 4), random_content.frame(0, "payload_0", 3)]
    assert not any(np.isin(payload, other.to_numpy()).any() for other in others)


def test_batches_walk_over_all_movies_and_round(tables, movies):
    batches = MovieBatches(tables, 70, start=250)
    taken = [movie for _ in range(5) for movie in next(batches)]
    expected = [movies[(250 + i) % len(movies)] for i in range(350)]
    assert json.dumps(taken) == json.dumps(expected)
    assert next(MovieBatches(tables, 1000))[300] == taken[50]


def test_the_tables_are_built_once_and_again_when_they_differ(tmp_path, movies):
    path = str(tmp_path / "content")
    base = build_base(movies, AS_OF, path)
    inode = os.stat(f"{path}/basic.arrow").st_ino
    assert build_base(movies, AS_OF, path) == base
    assert os.stat(f"{path}/basic.arrow").st_ino == inode
    with open(f"{path}/text.arrow", "r+b") as file:  # damaged: half a page of it never reached the disk
        file.seek(1000)
        file.write(b"\0" * 2000)
    build_base(movies, AS_OF, path)
    assert os.stat(f"{path}/basic.arrow").st_ino != inode
    assert build_base(movies[:100], AS_OF, path) != base
    assert MovieTables(path).base.movies == 100


def test_values_that_are_no_movies_are_left_out_and_none_is_an_error(tmp_path, movies):
    assert build_base([None, movies[0], 5], AS_OF, str(tmp_path / "one")).movies == 1
    with pytest.raises(ValueError, match="there is none"):
        build_base([None], AS_OF, str(tmp_path / "none"))


def test_a_folder_without_tables_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"no content\.json there"):
        MovieTables(str(tmp_path))
    (tmp_path / "content.json").write_text("{}")
    with pytest.raises(ValueError, match="not a description of content"):
        MovieTables(str(tmp_path))
