import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from featurestore import (
    CommitUnknown,
    CorruptFeature,
    FeatureStoreConfig,
    FeatureStoreError,
    InvalidConfig,
    InvalidFrame,
    InvalidName,
    ReadFailed,
    SaveFailed,
    SimpleFeatureStore,
    StoreClosed,
    UnknownFeature,
    UnknownGroup,
    UnknownVersion,
)


def frame(value: float, rows: int = 5) -> pd.DataFrame:
    return pd.DataFrame({"value": np.full(rows, float(value)), "text": [f"row {i}" for i in range(rows)]})


@pytest.fixture
def store(tmp_path):
    with SimpleFeatureStore(FeatureStoreConfig(tmp_path / "base", durability="relaxed")) as opened:
        yield opened


def files_below(path):
    return [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]


def test_what_was_saved_is_read_and_lies_where_the_answer_says(store):
    paths = store.save_features("movies", {"basic": frame(1), "text": frame(2)})
    assert set(paths) == {"basic", "text"}
    assert all(os.path.isfile(path) and path.endswith(".parquet") for path in paths.values())
    frames = store.get_features(["text", "basic"], "movies")
    assert list(frames) == ["text", "basic"]
    assert_frame_equal(frames["basic"], frame(1))
    assert_frame_equal(frames["text"], frame(2))


def test_other_programs_read_the_files(store):
    path = store.save_features("movies", {"basic": frame(1)})["basic"]
    assert_frame_equal(pd.read_parquet(path), frame(1))


def test_a_save_leaves_the_groups_other_features_as_they_are(store):
    store.save_features("movies", {"basic": frame(1), "text": frame(2)})
    store.save_features("movies", {"basic": frame(3)})
    frames = store.get_features(["basic", "text"], "movies")
    assert frames["basic"]["value"].iloc[0] == 3
    assert frames["text"]["value"].iloc[0] == 2


def test_a_second_store_on_the_same_base_sees_everything(store):
    store.save_features("movies", {"basic": frame(1)})
    again = SimpleFeatureStore(FeatureStoreConfig(store.base_path))
    assert again.store_id == store.store_id
    assert_frame_equal(again.get_features(["basic"], "movies")["basic"], frame(1))


def test_commits_are_numbered_and_older_ones_stay_readable(store):
    numbers = [store.commit("movies", {"basic": frame(i)}).number for i in range(3)]
    assert numbers == [1, 2, 3]
    assert store.head("movies") == 3
    assert store.head("nothing") == 0
    assert store.get_features(["basic"], "movies", version=2)["basic"]["value"].iloc[0] == 1
    with pytest.raises(UnknownVersion, match="kept are 1 to 3"):
        store.get_features(["basic"], "movies", version=4)


def test_a_read_tells_its_commit_and_whether_the_cache_had_it(store):
    store.save_features("movies", {"basic": frame(1), "text": frame(1)})
    first, second = (store.read("movies", ["basic"]) for _ in range(2))
    assert (first.commit, first.cached, second.cached) == (1, False, True)
    assert not store.read("movies", ["basic", "text"]).cached
    assert not store.read("movies", ["basic"], use_cache=False).cached
    store.save_features("movies", {"basic": frame(2)})
    after = store.read("movies", ["basic"])
    assert (after.commit, after.cached) == (2, False)


def test_without_a_cache_the_answers_are_the_same(tmp_path):
    store = SimpleFeatureStore(FeatureStoreConfig(tmp_path, cache_enabled=False))
    store.save_features("movies", {"basic": frame(1)})
    assert store.cache is None
    assert_frame_equal(store.get_features(["basic"], "movies")["basic"], frame(1))


def test_a_replaced_frame_leaves_the_cache(store):
    for value in range(5):
        store.save_features("movies", {"basic": frame(value)})
        store.get_features(["basic"], "movies")
    assert store.cache.get_stats()["size"] == 1


def test_frames_belong_to_the_caller(store):
    given = frame(1)
    store.save_features("movies", {"basic": given})
    for _ in range(3):
        got = store.get_features(["basic"], "movies")["basic"]
        assert_frame_equal(got, frame(1))
        got.iloc[0, 0] = 99.0
        got.loc[1, "text"] = "scribble"
        got["more"] = 1
    assert_frame_equal(given, frame(1))


def test_what_is_unknown_is_named_with_what_there_is(store):
    store.save_features("movies", {"basic": frame(1), "text": frame(1)})
    with pytest.raises(UnknownFeature) as no_feature:
        store.get_features(["basic", "nope"], "movies")
    with pytest.raises(UnknownGroup) as no_group:
        store.get_features(["basic"], "series")
    assert str(no_feature.value) == "group 'movies' has no ['nope']; it has basic, text"
    assert str(no_group.value) == "no group 'series'; there is movies"
    assert isinstance(no_feature.value, KeyError)
    assert isinstance(no_group.value, KeyError)


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b", "a\0b", "ü", "x" * 129, "a b", None, 3, "x\n"])
def test_a_name_unsafe_in_a_path_is_refused_before_anything_touches_the_disk(store, name):
    before = files_below(os.path.dirname(store.base_path))
    with pytest.raises(InvalidName):
        store.save_features(name, {"basic": frame(1)})
    with pytest.raises(InvalidName):
        store.save_features("movies", {"fine": frame(1), name: frame(1)})
    with pytest.raises(InvalidName):
        store.get_features(["basic"], name)
    assert files_below(os.path.dirname(store.base_path)) == before


@pytest.mark.parametrize("name", ["a", "A-b_c.d", "x" * 128, "-", "0"])
def test_safe_names_are_taken(store, name):
    store.save_features(name, {name: frame(1)})
    assert store.groups() == [name]
    assert store.names(name) == [name]


def test_one_frame_that_cannot_be_stored_keeps_all_from_being_written(store):
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(InvalidFrame, match=r"'bad'.*more than once"):
        store.save_features("movies", {"good": frame(1), "bad": twice})
    with pytest.raises(ValueError, match="nothing to save"):
        store.save_features("movies", {})
    with pytest.raises(InvalidFrame, match="Series"):
        store.save_features("movies", {"bad": pd.Series([1])})
    assert store.groups() == []
    assert files_below(store.base_path) == [os.path.join(store.base_path, ".featurestore")]


def test_a_dropped_group_is_gone_and_its_numbers_are_not_used_again(store):
    store.save_features("movies", {"basic": frame(1), "text": frame(1)})
    store.save_features("other", {"basic": frame(1)})
    store.get_features(["basic"], "movies")
    store.drop_group("movies")
    assert store.groups() == ["other"]
    with pytest.raises(UnknownGroup):
        store.get_features(["basic"], "movies")
    with pytest.raises(UnknownGroup):
        store.drop_group("movies")
    assert not [path for path in files_below(f"{store.base_path}/movies") if path.endswith(".parquet")]
    assert store.commit("movies", {"basic": frame(2)}).number == 3  # after one save and one drop
    assert store.names("movies") == ["basic"]


def test_a_store_that_was_deleted_and_made_anew_is_not_mistaken_for_the_old_one(tmp_path):
    base = tmp_path / "base"
    old = SimpleFeatureStore(FeatureStoreConfig(base))
    old.save_features("movies", {"basic": frame(1)})
    old.get_features(["basic"], "movies")
    shutil.rmtree(base)
    with pytest.raises(UnknownGroup):
        old.get_features(["basic"], "movies")
    SimpleFeatureStore(FeatureStoreConfig(base)).save_features("movies", {"basic": frame(2)})
    assert old.get_features(["basic"], "movies")["basic"]["value"].iloc[0] == 2
    old.save_features("movies", {"basic": frame(3)})
    assert old.get_features(["basic"], "movies")["basic"]["value"].iloc[0] == 3


def test_a_group_of_more_features_than_are_opened_at_once(store):
    store.save_features("wide", {f"f{i}": frame(i, rows=1) for i in range(300)})
    frames = store.get_features(store.names("wide"), "wide")
    assert {name: got["value"].iloc[0] for name, got in frames.items()} == {f"f{i}": i for i in range(300)}


@pytest.mark.parametrize("compression", ["snappy", "zstd", "lz4", "gzip", "none"])
@pytest.mark.parametrize("file_format", ["parquet", "arrow"])
def test_every_format_and_compression_round_trips(tmp_path, compression, file_format):
    if (file_format, compression) == ("arrow", "gzip"):
        with pytest.raises(InvalidConfig, match="gzip"):
            FeatureStoreConfig(tmp_path, compression=compression, format=file_format)
        return
    config = FeatureStoreConfig(tmp_path, compression=compression, format=file_format, durability="relaxed")
    store = SimpleFeatureStore(config)
    store.save_features("movies", {"basic": frame(1)})
    assert_frame_equal(store.get_features(["basic"], "movies")["basic"], frame(1))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("compression", "brotli"),
        ("format", "csv"),
        ("durability", "maybe"),
        ("cache_max_size", 0),
        ("cache_max_bytes", "many"),
        ("cache_ttl_seconds", -1),
        ("cache_ttl_seconds", float("nan")),
        ("keep_versions", 0),
        ("grace_seconds", -0.1),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(tmp_path, setting, value):
    with pytest.raises(ValueError, match=setting) as refused:
        FeatureStoreConfig(tmp_path, **{setting: value})
    assert isinstance(refused.value, FeatureStoreError)
    assert str(value) in str(refused.value)


def test_a_base_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidConfig, match="cannot be used"):
        SimpleFeatureStore(FeatureStoreConfig(tmp_path / "file"))


def test_a_closed_store_says_so(tmp_path):
    with SimpleFeatureStore(FeatureStoreConfig(tmp_path)) as store:
        store.save_features("movies", {"basic": frame(1)})
    for call in (lambda: store.get_features(["basic"], "movies"), store.groups, store.collect):
        with pytest.raises(StoreClosed):
            call()


def test_what_else_lies_in_the_base_is_left_alone(store):
    store.save_features("movies", {"basic": frame(1)})
    with open(f"{store.base_path}/notes.txt", "w") as notes:
        notes.write("mine")
    os.makedirs(f"{store.base_path}/lost+found/x")
    assert store.groups() == ["movies"]
    assert store.collect("absent").files == store.collect().files == 0
    assert store.stats().groups == 1
    assert os.listdir(f"{store.base_path}/lost+found") == ["x"]
    with pytest.raises(ReadFailed, match="Not a directory"):
        store.get_features(["basic"], "notes.txt")


def test_stats_count_what_is_on_disk(store):
    store.save_features("movies", {"basic": frame(1), "text": frame(1)})
    stats = store.stats()
    assert (stats.groups, stats.features, stats.commits, stats.conflicts) == (1, 2, 1, 0)
    on_disk = [path for path in files_below(store.base_path) if "/data/" in path or "/log/" in path]
    assert stats.files == len(on_disk)
    assert stats.bytes == sum(map(os.path.getsize, on_disk))


def test_importing_the_store_leaves_out_what_is_needed_later():
    heavy = "{'pyarrow.parquet', 'pyarrow.dataset', 'featurestore.movies'} & set(sys.modules)"
    asked = subprocess.run(
        [sys.executable, "-c", f"import sys, featurestore; print({heavy} or 'none')"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert asked.stdout.strip() == "none"


def test_errors_travel_between_processes():
    for kind in (UnknownGroup, SaveFailed, CommitUnknown, InvalidFrame):
        copied = pickle.loads(pickle.dumps(kind("what happened")))
        assert type(copied) is kind
        assert str(copied) == "what happened"
    damaged = pickle.loads(pickle.dumps(CorruptFeature("it is damaged", "/some/file")))
    assert (str(damaged), damaged.path) == ("it is damaged", "/some/file")
