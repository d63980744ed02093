"""After a power cut: the right data or an error before recovery, the newest whole commit after it, nothing deleted."""

import errno
import itertools
import shutil
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore import (
    CorruptFeature,
    FeatureStoreConfig,
    FeatureStoreError,
    InvalidConfig,
    SimpleFeatureStore,
    StoreReadOnly,
    UnknownVersion,
    recover,
)
from featurestore.disk import Disk

COMMITS = {1: "ab", 2: "a", 3: "ab", 4: "b", 5: "abc", 6: "a", 7: "bc"}
FIRST_KEPT = 3
CHANGES = ("create", "write", "sync", "sync_folder", "link", "rename", "make_symlink", "make_folder", "remove")


def store_at(base, **settings):
    return SimpleFeatureStore(FeatureStoreConfig(base, durability="relaxed", **settings))


def frame(number):
    return pd.DataFrame({"value": [float(number)] * 3})


def values(store, names, version=None):
    found = store.get_features(list(names), "g", version=version)
    return {name: found[name]["value"].iloc[0] for name in names}


def content_of(number):
    """What commit `number` holds: each name's value is that of the last commit that wrote it."""
    return {name: float(n) for n in range(1, number + 1) for name in COMMITS[n]}


def manifest(base, number):
    return Path(base) / "g" / "log" / f"{number:020d}"


def files_of(base, number):
    return {name: Path(base, "g", "data", e.file) for name, e in store_at(base).entries("g", version=number).items()}


def tree(base):
    return {p: (p.lstat().st_mtime_ns, bytes_of(p)) for p in Path(base).rglob("*")}


def bytes_of(path):
    if path.is_symlink():
        return path.readlink()
    return path.read_bytes() if path.is_file() else None


def copy_of(template, base):
    return shutil.copytree(template, base, symlinks=True)


def data_bytes(base, *folders):
    return Counter(p.read_bytes() for folder in folders for p in (Path(base) / "g" / folder).rglob("*.parquet"))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    base = tmp_path_factory.mktemp("template") / "store"
    store = store_at(base, keep_versions=100)
    for number, names in COMMITS.items():
        assert store.commit("g", {name: frame(number) for name in names}).number == number
    store.close()
    store_at(base, keep_versions=len(COMMITS) - FIRST_KEPT + 1, grace_seconds=0).collect()
    return base


@pytest.fixture
def base(template, tmp_path):
    return copy_of(template, tmp_path / "store")


def cut(path, fate):
    if fate == "absent" or path.is_symlink():  # a symbolic link is there whole or not at all
        path.unlink()
    else:
        data = path.read_bytes()
        half = data[: len(data) // 2]
        path.write_bytes({"empty": b"", "torn": half, "zeros": half + b"\0" * (len(data) - len(half))}[fate])


FATES = st.sampled_from(["empty", "torn", "zeros", "absent"])


@settings(max_examples=40)
@given(st.data())
def test_whatever_a_power_cut_leaves(template, data):
    with tempfile.TemporaryDirectory() as folder:
        base = copy_of(template, Path(folder, "store"))
        kept = range(FIRST_KEPT, max(COMMITS) + 1)
        needs_of = {n: files_of(base, n) for n in kept}
        needs = {n: {manifest(base, n), *files.values()} for n, files in needs_of.items()}
        files = sorted({*itertools.chain(*needs.values()), base / "g" / "horizon", base / ".featurestore"})
        cuts = data.draw(st.dictionaries(st.sampled_from(files), FATES, max_size=8))
        for path, fate in cuts.items():
            cut(path, fate)
        whole = [n for n in kept if not needs[n] & set(cuts)]
        newest = max((n for n in kept if manifest(base, n).exists()), default=0)  # what left no trace is not missed
        existed = data_bytes(base, "data")

        readings_are_right_or_raise(base, kept)
        before = tree(base)
        planned = recover(base, dry_run=True)
        assert tree(base) == before
        done = recover(base, disk=Disk(durable=False))
        assert done == planned

        store = store_at(base, keep_versions=100)
        assert store.verify() == []
        assert recover(base) == []
        assert not existed - data_bytes(base, "data", "quarantine"), "nothing is deleted"
        assert_holds(store, whole)
        if not whole:
            readable = [n for n in kept if manifest(base, n) not in cuts]
            left = content_of(readable[-1]) if readable else {}
            sound = {name for name in left if not {needs_of[readable[-1]][name]} & set(cuts)}
            assert values(store, sound) == {name: left[name] for name in sound} if sound else store.groups() == []
        published = store.head("g")
        assert published == newest if newest in whole else published > newest
        assert store.commit("g", {"a": frame(99)}).number == published + 1
        for keep in range(published - FIRST_KEPT + 2, 0, -1):  # collecting one commit after the other
            store_at(base, keep_versions=keep, grace_seconds=0).collect()
            assert store.verify() == []


def readings_are_right_or_raise(base, kept):
    store = store_at(base, keep_versions=100)
    for version in (None, *kept):
        for names in ("ab", "c"):
            try:
                found = values(store, names, version)
            except FeatureStoreError:
                continue
            allowed = [content_of(version)] if version is not None else map(content_of, kept)
            assert found in [{n: c.get(n) for n in names} for c in allowed], (version, names)


def assert_holds(store, whole):
    """The store's newest commit is the newest whole one; the others can be read under their numbers, and no more."""
    if not whole:
        return
    assert store.names("g") == sorted(content_of(whole[-1]))
    assert values(store, content_of(whole[-1])) == content_of(whole[-1])
    for number in whole:
        assert values(store, content_of(number), version=number) == content_of(number)
    readable = {revision.commit for revision in store.history("g") if revision.state == "kept"}
    assert readable == {*whole, store.head("g")}


def test_recovery_says_what_was_found_dropped_lost_and_moved(base):
    torn = files_of(base, 7)["b"]
    cut(torn, "zeros")
    cut(manifest(base, 6), "torn")
    (recovery,) = recover(base)
    assert (recovery.group, recovery.newest, recovery.whole, recovery.published) == ("g", 7, 5, 8)
    assert recovery.dropped == (6, 7)
    assert [(loss.feature, loss.commit, loss.rows, loss.back_to) for loss in recovery.losses] == [
        ("a", 6, 3, 5), ("b", 7, 3, 5), ("c", 7, 3, 5),
    ]  # fmt: skip
    torn_line, manifest_line = map(str, recovery.damages)
    assert str(torn) in torn_line
    assert "feature b (3 rows) in commit 7 of group g, the newest" in torn_line
    assert str(manifest(base, 6)) in manifest_line
    assert "all of commit 6 of group g" in manifest_line
    quarantine = base / "g" / "quarantine"
    assert (quarantine / "data" / "b" / torn.name).is_file()
    assert len(list(quarantine.glob("log/*"))) == 2
    assert len(list(quarantine.glob("data/*/*"))) == 3, "commit 6's a, and 7's b and c"
    assert [r.state for r in store_at(base).history("g")] == ["kept", "dropped", "dropped", "kept", "kept", "kept"]


def test_damage_to_an_older_commit_costs_that_commit_alone(base):
    cut(files_of(base, 3)["a"], "torn")
    (recovery,) = recover(base)
    assert (recovery.dropped, recovery.losses, recovery.published) == ((3, 4), (), 7)
    assert values(store_at(base), "abc") == content_of(7)


def test_saving_the_damaged_feature_again_is_the_way_that_loses_less(base):
    cut(files_of(base, 7)["b"], "torn")
    store = store_at(base, keep_versions=100)
    with pytest.raises(CorruptFeature, match="save the feature again"):
        store.get_features(["a", "b"], "g")
    store.save_features("g", {"b": frame(8)})
    assert values(store, "abc") == {"a": 6.0, "b": 8.0, "c": 7.0}
    (recovery,) = recover(base)
    assert (recovery.dropped, recovery.published, recovery.losses) == ((7,), 8, ())
    assert values(store, "abc") == {"a": 6.0, "b": 8.0, "c": 7.0}


def test_no_save_builds_on_a_head_that_cannot_be_read(base):
    cut(manifest(base, 7), "empty")
    store = store_at(base)
    for refused in (lambda: store.save_features("g", {"a": frame(8)}), lambda: values(store, "a")):
        with pytest.raises(CorruptFeature, match=f"featurestore recover {base}"):
            refused()
    recover(base)
    assert values(store, "abc") == {"a": 6.0, "b": 5.0, "c": 5.0}, "whoever had it open goes on"


def test_a_store_that_lost_its_newest_commits_below_the_horizon_is_refused_until_recovered(base):
    (base / "g" / "horizon").unlink()
    (base / "g" / "horizon").symlink_to("7")
    for number in (6, 7):
        manifest(base, number).unlink()
    store = store_at(base)
    with pytest.raises(FeatureStoreError):
        store.save_features("g", {"a": frame(8)})
    (recovery,) = recover(base)
    assert (recovery.whole, recovery.dropped, recovery.published) == (5, (6, 7), 8)
    assert store.commit("g", {"a": frame(9)}).number == 9


def test_processes_that_knew_the_old_head_follow(base):
    idle, busy = store_at(base, keep_versions=100), store_at(base, keep_versions=100)
    assert values(idle, "abc") == content_of(7)
    busy.save_features("g", {"a": frame(8)})
    cut(files_of(base, 7)["c"], "torn")
    recover(base)
    assert values(idle, "abc") == content_of(6) | {"c": 5.0} == values(busy, "abc")
    busy.save_features("g", {"c": frame(10)})
    assert values(idle, "abc")["c"] == 10.0


class MeddlingDisk(Disk):
    """Calls `hook(name, path)` before every call that opens or changes something."""

    def __init__(self, hook):
        super().__init__()
        self.hook = hook


def _meddled(name):
    call = getattr(Disk, name)

    def meddled(self, *args):
        self.hook(name, args[-1])
        return call(self, *args)

    return meddled


for _name in (*CHANGES, "open"):
    setattr(MeddlingDisk, _name, _meddled(_name))


def test_an_interrupted_recovery_is_finished_by_the_next_whatever_is_collected_in_between(template, tmp_path):
    interrupted = 0
    for step in range(1, 300):
        base = copy_of(template, tmp_path / str(step))
        cut(files_of(base, 7)["c"], "torn")
        cut(files_of(base, 5)["b"], "torn")
        cut(manifest(base, 6), "empty")
        existed = data_bytes(base, "data")
        left = itertools.count(step, -1)

        def power_cut(name, path, left=left):
            if name in CHANGES and next(left) <= 1:
                raise OSError(errno.EIO, "the power is cut")

        try:
            recover(base, disk=MeddlingDisk(power_cut))
            whole_run, unfinished = True, False
        except OSError:
            whole_run = False
            interrupted += 1
            with store_at(base, keep_versions=1, grace_seconds=0) as collecting:
                unfinished = (base / "g" / "recovering").exists()
                if collecting.head("g") == 8:
                    collecting.collect()
        if step % 3 == 0 or whole_run or step < 3:  # a third of them, for time
            recover(base)
            store = store_at(base)
            assert store.verify() == []
            assert values(store, "ab") == {"a": 3.0, "b": 4.0} == values(store, "ab", version=8), step
            assert store.names("g") == ["a", "b"]
            if unfinished:
                assert not existed - data_bytes(base, "data", "quarantine")
            assert not (base / "g" / "recovering").exists()
        if whole_run:
            break
    assert whole_run
    assert interrupted > 30


def test_a_writer_that_takes_the_number_first_is_not_overwritten(base):
    cut(files_of(base, 7)["c"], "torn")
    other, done = store_at(base, keep_versions=100), []

    def save_first(name, path):
        if name == "link" and path == str(manifest(base, 8)) and not done:
            done.append(other.commit("g", {"c": frame(50)}).number)

    (recovery,) = recover(base, disk=MeddlingDisk(save_first))
    assert done == [8]
    assert (recovery.newest, recovery.published, recovery.dropped) == (8, 8, (7,)), "that save has made it whole"
    assert values(other, "abc") == {"a": 6.0, "b": 7.0, "c": 50.0}


def once(wanted, action):
    """A hook that does something before the first call of a name on a path that has a part."""
    done = []

    def hook(name, path):
        if (name, True) == (wanted[0], wanted[1] in str(path)) and not done:
            done.append(action())

    return hook, done


def test_a_save_that_recovery_overtakes_goes_through(base):
    cut(files_of(base, 7)["c"], "torn")
    hook, recovered = once(("link", "/log/"), lambda: recover(base))
    config = FeatureStoreConfig(base, durability="relaxed")
    writer = SimpleFeatureStore(config, disk=MeddlingDisk(hook))
    assert writer.commit("g", {"a": frame(50)}).number == 9
    assert [r.published for r in recovered[0]] == [8]
    assert values(store_at(base), "abc") == {"a": 50.0, "b": 5.0, "c": 5.0}
    assert writer.verify() == []


def test_a_read_that_recovery_overtakes_reads_what_it_went_back_to(base):
    cut(files_of(base, 7)["c"], "torn")
    hook, recovered = once(("open", "/data/"), lambda: recover(base))
    reader = SimpleFeatureStore(FeatureStoreConfig(base), disk=MeddlingDisk(hook))
    assert values(reader, "ab") == {"a": 6.0, "b": 5.0}
    assert recovered
    with pytest.raises(UnknownVersion, match=r"no commit 7 .* kept are 3 to 6, 8"):
        reader.get_features(["a"], "g", version=7)


def test_a_manifest_missing_below_the_horizon_was_collected_and_is_no_damage(base):
    manifest(base, 4).unlink()
    assert [damage.commits for damage in store_at(base).inspect()] == [(4,)]
    (base / "g" / "horizon").unlink()
    (base / "g" / "horizon").symlink_to("5")
    assert store_at(base).verify() == []
    assert recover(base) == []


def test_recovery_beside_a_busy_writer(base):
    cut(files_of(base, 7)["c"], "torn")
    writer, errors, stop = store_at(base, keep_versions=1_000), [], threading.Event()

    def write():
        for number in range(100, 400):
            if stop.is_set():
                return
            try:
                writer.save_features("g", {"w": frame(number)})
            except Exception as error:  # noqa: BLE001 - whatever it is, the test has to hear of it
                errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        recover(base)
    finally:
        stop.set()
        thread.join(30)
    assert errors == []
    assert writer.verify() == []
    writer.save_features("g", {"w": frame(1)})
    assert values(writer, "abcw") == {"a": 6.0, "b": 5.0, "c": 5.0, "w": 1.0}


def test_where_no_commit_is_whole_what_is_whole_of_the_newest_stays(base):
    writer = store_at(base, keep_versions=1, grace_seconds=0)
    cut(files_of(base, 7)["c"], "torn")
    writer.save_features("g", {"a": frame(8)})
    writer.collect()
    (recovery,) = recover(base)
    assert (recovery.whole, recovery.kept, recovery.published) == (None, ("a", "b"), 9)
    assert [(loss.feature, loss.back_to) for loss in recovery.losses] == [("c", None)]
    assert values(writer, "ab") == {"a": 8.0, "b": 7.0}
    assert writer.names("g") == ["a", "b"]


def test_another_process_that_collects_is_waited_for_and_not_disturbed(base, monkeypatch):
    cut(files_of(base, 7)["c"], "torn")
    monkeypatch.setattr("featurestore.recovery._PATIENCE_S", 0.0)
    disk = Disk()
    collecting = disk.open_lock(str(base / "g" / "collector"))
    assert disk.try_lock(collecting)
    before = {path: content for path, (_, content) in tree(base).items()}
    with pytest.raises(FeatureStoreError, match="another process is collecting"):
        recover(base)
    assert {path: content for path, (_, content) in tree(base).items()} == before
    disk.close(collecting)
    assert len(recover(base)) == 1


def test_a_store_read_only_changes_nothing_and_refuses_what_would(base):
    (base / "g" / "pins" / "leaving").touch()
    before = tree(base)
    store = store_at(base, read_only=True)
    assert values(store, "abc") == content_of(7)
    assert [r.commit for r in store.history("g")] == [7, 6, 5, 4, 3]
    assert store.verify() == []
    assert store.stats().features == 3
    for refused in (
        lambda: store.save_features("g", {"a": frame(8)}),
        lambda: store.save_features("new", {"a": frame(8)}),
        lambda: store.drop_group("g"),
        store.collect,
    ):
        with pytest.raises(StoreReadOnly, match="read_only=True"):
            refused()
    assert tree(base) == before


def test_read_only_and_recover_make_no_store_where_there_is_none(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    before = tree(tmp_path)
    for path in (tmp_path / "absent", tmp_path / "folder", tmp_path / "file"):
        for opened in (lambda p: store_at(p, read_only=True), recover, lambda p: recover(p, dry_run=True)):
            with pytest.raises((InvalidConfig, NotADirectoryError), match=r"no store|not exist|[Nn]ot a directory"):
                opened(path)
    assert tree(tmp_path) == before


def test_versions_that_are_none_are_unknown_and_say_what_is_kept(base):
    store = store_at(base)
    for version in (0, -1, FIRST_KEPT - 1, 8, 10**30):
        with pytest.raises(UnknownVersion, match="kept are 3 to 7"):
            store.get_features(["a"], "g", version=version)
    for version in ("7", 7.0, True):
        with pytest.raises(UnknownVersion, match="no commit number"):
            store.get_features(["a"], "g", version=version)
    with pytest.raises(KeyError, match="it has a, b"):
        store.get_features(["c"], "g", version=4)
