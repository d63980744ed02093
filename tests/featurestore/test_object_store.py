"""A store on an object store does what one on a disk does, and refuses what cannot hold one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import obstore
import pandas as pd
import pytest
from object_servers import SECRET, careless, config_for, moto, options_for
from pandas.testing import assert_frame_equal

# What holds on a disk holds here: these run once more, with the store below.
from test_store import (  # noqa: F401
    frame,
    test_a_group_of_more_features_than_are_opened_at_once,
    test_a_read_tells_its_commit_and_whether_the_cache_had_it,
    test_a_replaced_frame_leaves_the_cache,
    test_a_save_leaves_the_groups_other_features_as_they_are,
    test_commits_are_numbered_and_older_ones_stay_readable,
    test_frames_belong_to_the_caller,
    test_safe_names_are_taken,
    test_what_is_unknown_is_named_with_what_there_is,
)

import featurestore
from featurestore import (
    CorruptFeature,
    FeatureStoreConfig,
    InvalidConfig,
    ReadFailed,
    SaveFailed,
    SimpleFeatureStore,
    StoreReadOnly,
    UnknownGroup,
    UnknownVersion,
    cli,
)
from featurestore.objects.bucket import Bucket
from stressd.targets.embedded import EmbeddedTarget


class Clock:
    """Seconds since the epoch; the server has the real time, so only the distance to it counts."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(s3_port, clock):
    config = config_for(s3_port, keep_versions=3, grace_seconds=60)
    with SimpleFeatureStore(config, wall_clock=clock) as opened:
        yield opened


def again(store, **settings):
    """The same store, opened once more, as another process would."""
    return SimpleFeatureStore(
        FeatureStoreConfig(store.base_path, object_store_options=store.config.object_store_options, **settings)
    )


def bucket_of(store):
    return store._backend._bucket


def keys(store):
    return sorted(status.key for folder in ("g", "movies") for status in bucket_of(store).below(folder))


def test_what_was_saved_is_read_and_lies_where_the_answer_says(store):
    paths = store.save_features("movies", {"basic": frame(1), "text": frame(2)})
    assert set(paths) == {"basic", "text"}
    assert all(path.startswith(f"{store.base_path}/movies/data/") for path in paths.values())
    for path in paths.values():
        assert len(bucket_of(store).get(path.removeprefix(f"{store.base_path}/"))[0]) > 0
    frames = again(store).get_features(["text", "basic"], "movies")
    assert list(frames) == ["text", "basic"]
    assert_frame_equal(frames["basic"], frame(1))
    assert_frame_equal(frames["text"], frame(2))


def test_the_environment_tells_where_the_server_is_and_who_asks(store, monkeypatch):
    store.save_features("movies", {"basic": frame(1)})
    options = store.config.object_store_options
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["endpoint"])
    for name in ("access_key_id", "secret_access_key", "region"):
        monkeypatch.setenv(f"AWS_{name.upper()}", options[name])
    found = SimpleFeatureStore(FeatureStoreConfig(store.base_path))
    assert found.store_id == store.store_id
    assert_frame_equal(found.get_features(["basic"], "movies")["basic"], frame(1))


@pytest.mark.parametrize("file_format", ["parquet", "arrow"])
def test_every_format_comes_back(s3_port, file_format):
    store = SimpleFeatureStore(config_for(s3_port, format=file_format, cache_enabled=False))
    given = {"small": frame(1), "large": pd.DataFrame(np.arange(1_500_000.0).reshape(-1, 30))}
    given["large"].columns = [f"c{i}" for i in range(30)]
    store.save_features("g", given)
    for name, got in store.get_features(["small", "large"], "g").items():
        assert_frame_equal(got, given[name])


def test_a_cache_sees_the_save_of_another_process_at_once(store):
    other = again(store)
    for value in range(1, 5):
        store.save_features("g", {"f": frame(value)})
        assert not other.read("g", ["f"]).cached
        assert other.read("g", ["f"]).cached
        got = other.read("g", ["f"])
        assert (got.commit, got.frames["f"]["value"].iloc[0]) == (value, value)


def test_a_dropped_group_is_gone_and_its_numbers_are_not_used_again(store, clock):
    store.save_features("g", {"f": frame(1)})
    store.save_features("other", {"f": frame(1)})
    assert store.groups() == ["g", "other"]
    clock.ahead = 61
    store.drop_group("g")
    assert store.groups() == ["other"]
    assert store.group_names() == ["g", "other"]
    with pytest.raises(UnknownGroup, match="there is other"):
        store.get_features(["f"], "g")
    assert not [key for key in keys(store) if "/data/" in key]
    assert again(store).commit("g", {"f": frame(2)}).number == 3


def test_a_store_that_was_deleted_and_made_anew_is_not_mistaken_for_the_old_one(store):
    store.save_features("g", {"f": frame(1)})
    store.get_features(["f"], "g")
    bucket_of(store).delete([".featurestore", *keys(store)])
    with pytest.raises(UnknownGroup):
        store.get_features(["f"], "g")
    again(store).save_features("g", {"f": frame(2)})
    assert store.get_features(["f"], "g")["f"]["value"].iloc[0] == 2


def test_the_newest_commits_and_the_young_ones_are_kept(store, clock):
    store.save_features("g", {"old": frame(7), "f": frame(0)})
    for value in range(1, 10):
        store.save_features("g", {"f": frame(value)})
    assert store.collect().commits == 0, "all are young"
    clock.ahead = 62
    removed = store.collect()
    assert (removed.commits, removed.files) == (7, 7)
    assert removed.bytes > 0
    assert [revision.commit for revision in store.history("g")] == [10, 9, 8]
    assert store.get_features(["f"], "g", version=8)["f"]["value"].iloc[0] == 7
    assert store.get_features(["old"], "g")["old"]["value"].iloc[0] == 7
    with pytest.raises(UnknownVersion, match="kept are 8 to 10"):
        store.get_features(["f"], "g", version=7)
    assert store.verify() == []
    assert store.stats().files == 3 + 4 + 1  # manifests, files, a horizon


def test_hundreds_of_saves_leave_few_objects_without_anybody_asking(s3_port, clock):
    store = SimpleFeatureStore(config_for(s3_port, keep_versions=2, grace_seconds=0), wall_clock=clock)
    clock.ahead = 10  # so that nothing is young, whatever fractions of seconds the server leaves out
    most = 0
    for value in range(300):
        store.save_features("g", {"f": frame(value, rows=1)})
        if value % 20 == 0:
            most = max(most, store.stats().files)
    assert store.head("g") == 300
    assert most <= 2 * (2 + 2 * 32) + 8


def test_the_servers_clock_counts_and_not_ours(s3_port):
    wrong = SimpleFeatureStore(config_for(s3_port, keep_versions=1, grace_seconds=60), wall_clock=lambda: 4e9)
    for value in range(3):
        wrong.save_features("g", {"f": frame(value)})
    assert wrong.collect().commits == 0
    assert len(wrong.history("g")) == 3


def test_a_damaged_object_is_told_and_saving_again_mends_it(store):
    path = store.save_features("g", {"f": frame(1), "h": frame(1)})["f"]
    key = path.removeprefix(f"{store.base_path}/")
    data = bytearray(bucket_of(store).get(key)[0])
    data[len(data) // 2] ^= 1
    bucket_of(store).put(key, bytes(data))
    with pytest.raises(CorruptFeature, match=key):
        store.get_features(["f"], "g")
    assert [damage.feature for damage in store.inspect()] == ["f"]
    bucket_of(store).delete([key])
    with pytest.raises(CorruptFeature, match="is missing"):
        store.get_features(["f"], "g")
    assert "is missing" in store.verify()[0]
    store.save_features("g", {"f": frame(2)})
    assert store.get_features(["f", "h"], "g")["f"]["value"].iloc[0] == 2


def test_a_damaged_manifest_is_told(store):
    for value in range(3):
        store.save_features("g", {"f": frame(value)})
    key = f"g/log/{2:020d}"
    bucket_of(store).put(key, b"nonsense")
    assert [(damage.commits, damage.feature) for damage in store.inspect()] == [((2,), None)]
    assert [revision.state for revision in store.history("g")] == ["kept", "damaged", "kept"]
    assert store.get_features(["f"], "g")["f"]["value"].iloc[0] == 2
    bucket_of(store).put(f"g/log/{3:020d}", b"nonsense")
    with pytest.raises(CorruptFeature, match="where the bucket keeps them"):
        again(store).get_features(["f"], "g")


def test_a_store_opened_to_read_changes_nothing(store):
    store.save_features("g", {"f": frame(1)})
    before = keys(store)
    reader = again(store, read_only=True)
    assert reader.store_id == store.store_id
    assert_frame_equal(reader.get_features(["f"], "g")["f"], frame(1))
    for change in (lambda: reader.save_features("g", {"f": frame(2)}), lambda: reader.collect("g")):
        with pytest.raises(StoreReadOnly):
            change()
    assert keys(store) == before
    with pytest.raises(InvalidConfig, match="is no store"):
        SimpleFeatureStore(
            FeatureStoreConfig(
                f"{store.base_path}-2", object_store_options=store.config.object_store_options, read_only=True
            )
        )


# --- What cannot hold a store


def test_a_server_that_ignores_the_condition_is_refused():
    with careless() as server:
        with pytest.raises(InvalidConfig, match=r"let \d of 9 puts-if-absent .* through.*honours conditional puts"):
            SimpleFeatureStore(config_for(server.server_port))
        assert "*" in server.puts, "the condition was sent"
        assert not [path for path in server.objects if path.endswith(".featurestore")], "nothing was made there"


def test_a_server_that_looks_first_and_puts_then_is_refused():
    with moto("--racy") as port, pytest.raises(InvalidConfig, match="so that commits could be lost"):
        SimpleFeatureStore(config_for(port))


def test_a_server_without_conditions_is_refused():
    with careless(knows_no_condition=True) as server, pytest.raises(InvalidConfig, match="501"):
        SimpleFeatureStore(config_for(server.server_port))


def test_a_server_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr("featurestore.objects.bucket._RETRIES", 1)
    with pytest.raises(InvalidConfig, match="cannot be used"):
        SimpleFeatureStore(config_for(1))


def test_a_bucket_that_is_not_there_is_told(s3_port):
    with pytest.raises(InvalidConfig, match="no such object or bucket"):
        SimpleFeatureStore(FeatureStoreConfig("s3://another/x", object_store_options=options_for(s3_port)))


def test_a_server_that_goes_away_is_told_as_a_disk_would_be(monkeypatch):
    monkeypatch.setattr("featurestore.objects.bucket._RETRIES", 0)
    with moto() as port:
        store = SimpleFeatureStore(config_for(port))
        store.save_features("g", {"f": frame(1)})
    with pytest.raises(ReadFailed):
        store.get_features(["f"], "g")
    with pytest.raises(SaveFailed, match="nothing was saved"):
        store.save_features("g", {"f": frame(2)})


def test_a_url_is_a_text_of_a_known_kind():
    for wrong, why in ((Path("s3://bucket/x"), "lost a slash"), ("ftp://host/x", "s3://, gs://, az://")):
        with pytest.raises(InvalidConfig, match=why):
            FeatureStoreConfig(wrong)
    assert not FeatureStoreConfig("a:b/c").is_url


def test_a_wrong_option_is_told(s3_port):
    with pytest.raises(InvalidConfig, match="nonsense"):
        Bucket("s3://features/x", {**options_for(s3_port), "nonsense": "1"})


def test_without_obstore_a_disk_will_do_and_a_url_names_the_extra(tmp_path):
    script = (
        "import sys; sys.modules['obstore'] = None\n"
        "import featurestore as f, pandas as pd\n"
        f"disk = f.SimpleFeatureStore(f.FeatureStoreConfig({str(tmp_path)!r}))\n"
        "disk.save_features('g', {'a': pd.DataFrame({'x': [1]})})\n"
        "f.SimpleFeatureStore(f.FeatureStoreConfig('s3://bucket/x'))\n"
    )
    asked = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (
        "InvalidConfig: base_path s3://bucket/x needs obstore; install it: pip install 'stressd[objectstore]'"
        in (asked.stderr.splitlines()[-1])
    )


def test_a_store_on_a_disk_never_imports_obstore(tmp_path):
    script = (
        "import sys, featurestore as f\n"
        f"f.SimpleFeatureStore(f.FeatureStoreConfig({str(tmp_path)!r}))\n"
        "assert not {name for name in sys.modules if name.startswith(('obstore', 'featurestore.objects'))}\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_no_secret_is_shown(s3_port, caplog):
    config = config_for(s3_port)
    store = SimpleFeatureStore(config)
    wrong = {**options_for(s3_port), "region": ""}
    messages = [repr(config), repr(store), caplog.text]
    for ask in (
        lambda: store.get_features(["f"], "g"),
        lambda: SimpleFeatureStore(FeatureStoreConfig("s3://another/x", object_store_options=wrong)),
        lambda: Bucket("s3://features/x", {**wrong, "nonsense": SECRET}),
    ):
        with pytest.raises((featurestore.FeatureStoreError, OSError)) as told:
            ask()
        messages.append(str(told.value))
    assert not [message for message in messages if SECRET in message]


def test_a_store_may_take_the_whole_bucket():
    with moto() as port:
        config = FeatureStoreConfig("s3://features", object_store_options=options_for(port))
        store = SimpleFeatureStore(config)
        store.save_features("g", {"f": frame(1)})
        assert store.groups() == ["g"]
        assert_frame_equal(again(store).get_features(["f"], "g")["f"], frame(1))


def test_a_soak_takes_a_url_as_its_stores_folder(store):
    target = EmbeddedTarget(store.base_path, object_store_options=store.config.object_store_options)
    target.setup()
    session = target.open()
    assert session.save("g", {"f": frame(1)}) == 1
    detail = session.read_detail("g", ["f"], bypass_cache=True)
    assert (detail.source, detail.commit) == ("store", 1)
    assert_frame_equal(detail.frames["f"], frame(1))
    assert target.footprint().features == 1
    target.drop("g")
    with pytest.raises(KeyError):
        session.read("g", ["f"])
    target.teardown()


# --- The command


@pytest.fixture
def in_the_environment(store, monkeypatch):
    options = store.config.object_store_options
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["endpoint"])
    for name in ("access_key_id", "secret_access_key", "region"):
        monkeypatch.setenv(f"AWS_{name.upper()}", options[name])


@pytest.mark.usefixtures("in_the_environment")
def test_the_command_looks_into_an_object_store(store, capsys):
    for value in range(3):
        store.save_features("g", {"f": frame(value)})
    assert cli.run(["ls", store.base_path]) == 0
    assert cli.run(["history", store.base_path, "g", "--json"]) == 0
    assert cli.run(["show", store.base_path, "g", "f", "--csv", "--version", "2"]) == 0
    assert cli.run(["verify", store.base_path]) == 0
    assert cli.run(["gc", store.base_path, "--keep", "1", "--grace", "0"]) == 0
    told = capsys.readouterr().out
    assert "1.0,row 0" in told
    assert "every file of 1 group is whole" in told
    bucket_of(store).delete([key for key in keys(store) if "/data/" in key])
    assert cli.run(["verify", store.base_path]) == 3
    assert "save them again" in capsys.readouterr().err
    assert cli.run(["recover", store.base_path]) == 2
    assert "recovery is for disks" in capsys.readouterr().err


def test_obstore_answers_as_the_store_relies_on(s3_port):
    bucket = Bucket("s3://features/contract", options_for(s3_port))
    tag = bucket.put_new("a/1", b"one")
    with pytest.raises(FileExistsError):
        bucket.put_new("a/1", b"two")
    data, status = bucket.get("a/1")
    assert bytes(data) == b"one"
    assert status == bucket.status("a/1")
    assert status.tag == tag
    assert abs(status.modified - time.time()) < 3600
    assert bucket.status("a/2") is None
    with pytest.raises(FileNotFoundError):
        bucket.get("a/2")
    bucket.put("ab/3", memoryview(np.arange(3, dtype=np.int8)))
    assert [s.key for s in bucket.below("a")] == ["a/1"]
    assert bucket.folders("") == ["a", "ab"]
    bucket.delete(["a/1", "ab/3", "never"])
    assert list(bucket.below("a")) == []
    assert obstore.__version__
    assert os.environ.get("AWS_SECRET_ACCESS_KEY") != SECRET
