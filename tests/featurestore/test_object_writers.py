"""Writers, collectors and sweeps of one group on a real server: who sleeps, dies or gets no answer."""

import contextlib
import multiprocessing
import threading
import time

import pandas as pd
import pytest
from object_servers import config_for, options_for

from featurestore import CommitUnknown, FeatureStoreConfig, SaveFailed, SimpleFeatureStore
from featurestore.objects.bucket import Bucket

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["featurestore.store", "featurestore.objects.backend", "pyarrow.parquet"])
DEADLINE_S = 60.0


def frame(value):
    return pd.DataFrame({"value": [float(value)] * 5})


def value_of(store, name, **version):
    return store.get_features([name], "g", **version)[name]["value"].iloc[0]


class Interrupted(Bucket):
    """Calls `before` and `after` a manifest is put; what they raise is raised."""

    before = after = staticmethod(lambda: None)

    def put_new(self, key, data):
        if "/log/" not in key:
            return super().put_new(key, data)
        self.before()
        tag = super().put_new(key, data)
        self.after()
        return tag


class Later:
    """Seconds since the epoch, so far ahead that nothing is young."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead


class Stores:
    """Stores on one URL, each as in a process of its own."""

    def __init__(self, port):
        self.config = config_for(port, keep_versions=2, grace_seconds=0, orphan_seconds=0)
        self.clock = Later()
        self.plain = self.open(Bucket)
        self.odd = self.open(Interrupted)
        self.plain.save_features("g", {"f": frame(0), "old": frame(0)})
        self.odd.head("g")
        self.clock.ahead = 10
        self.bucket = self.odd._backend._bucket

    def open(self, kind):
        bucket = kind(self.config.base_path, self.config.object_store_options)
        return SimpleFeatureStore(self.config, bucket=bucket, wall_clock=self.clock)

    def data(self):
        return [status.key for status in self.bucket.below("g/data")]

    def fifty_commits_and_a_collection(self):
        for value in range(1, 51):
            self.plain.save_features("g", {"f": frame(value)})
        assert self.plain.collect().commits > 0

    def commits_of(self, value, name="mine"):
        """Kept commits that wrote this value."""
        kept = [revision for revision in self.plain.history("g") if name in revision.changed]
        return [r.commit for r in kept if value_of(self.plain, name, version=r.commit) == value]


@pytest.fixture
def stores(s3_port):
    return Stores(s3_port)


def once(do):
    """A hook that does it the first time it is called."""
    done = []

    def hook():
        if not done:
            done.append(True)
            do()

    return hook


def test_a_writer_that_slept_through_fifty_commits_saves_into_the_newest(stores):
    stores.bucket.before = once(stores.fifty_commits_and_a_collection)
    assert stores.odd.commit("g", {"mine": frame(7)}).number > 51, "not at the number 2, which was free again"
    assert value_of(stores.plain, "mine") == 7
    assert value_of(stores.plain, "f") == 50
    assert stores.commits_of(7) == [stores.plain.head("g")]
    stores.plain.collect()
    assert stores.plain.verify() == []
    assert len(stores.data()) == 3, "what it put in vain is gone"  # the newest f, old and mine


def test_a_save_that_was_collected_before_its_writer_woke_up_counts_once(stores):
    stores.bucket.after = once(stores.fifty_commits_and_a_collection)
    assert stores.odd.commit("g", {"mine": frame(7)}).number == 2
    assert stores.plain.head("g") == 52
    assert value_of(stores.plain, "mine") == 7


def test_it_counts_once_although_another_one_replaced_it(stores):
    def replaced():
        stores.plain.save_features("g", {"mine": frame(8)})
        stores.fifty_commits_and_a_collection()

    stores.bucket.after = once(replaced)
    assert stores.odd.commit("g", {"mine": frame(7)}).number == 2
    assert value_of(stores.plain, "mine") == 8, "the later save stands"


def test_whose_a_number_was_is_unknown_when_the_record_is_gone(stores):
    def forgotten():
        stores.fifty_commits_and_a_collection()
        stores.bucket.delete([status.key for status in stores.bucket.below("g/horizon")][:-1])
        horizon = max(status.key for status in stores.bucket.below("g/horizon"))
        stores.bucket.put(horizon, b"{}")

    stores.bucket.after = once(forgotten)
    with pytest.raises(CommitUnknown, match="collected before we could look"):
        stores.odd.save_features("g", {"mine": frame(7)})
    assert value_of(stores.plain, "mine") == 7
    assert stores.plain.verify() == []


def test_a_writer_whose_files_were_swept_away_puts_them_again(stores):
    def swept():
        assert len(stores.data()) == 3
        assert stores.plain.collect().files == 1, "it is taken for dead"
        assert len(stores.data()) == 2

    stores.bucket.before = once(swept)
    assert stores.odd.commit("g", {"mine": frame(7)}).number == 3, "after the commit that revokes"
    assert value_of(stores.plain, "mine") == 7
    assert stores.plain.verify() == []


def test_files_of_dead_writers_are_swept_and_others_are_not(stores):
    class Dies(BaseException):
        pass

    def die():
        raise Dies

    stores.bucket.before = die
    with pytest.raises(Dies):
        stores.odd.save_features("g", {"mine": frame(7), "yours": frame(7)})
    assert len(stores.data()) == 4
    stores.clock.ahead = -100
    assert stores.plain.collect().files == 0, "they are too young"
    stores.clock.ahead = 10
    assert stores.plain.collect().files == 2
    assert len(stores.data()) == 2
    assert stores.plain.collect().files == 0
    assert stores.plain.head("g") == 2, "revoked once"
    assert value_of(stores.plain, "old") == 0
    assert stores.plain.verify() == []


def no_answer():
    raise OSError("no answer")


def test_a_put_that_landed_without_an_answer_is_a_save(stores):
    stores.bucket.after = no_answer
    assert stores.odd.commit("g", {"mine": frame(7)}).number == 2
    assert stores.plain.head("g") == 2
    assert value_of(stores.plain, "mine") == 7


def test_a_put_that_got_lost_is_put_again(stores):
    stores.bucket.before = once(no_answer)
    assert stores.odd.commit("g", {"mine": frame(7)}).number == 2
    assert stores.commits_of(7) == [2]


def test_a_put_that_never_gets_an_answer_is_unknown_and_keeps_its_files(stores):
    stores.bucket.before = no_answer
    with pytest.raises(CommitUnknown, match="no answer"):
        stores.odd.save_features("g", {"mine": frame(7)})
    assert stores.plain.head("g") == 1
    assert len(stores.data()) == 3, "it may still land"


def test_a_put_without_an_answer_is_lost_when_another_has_its_number(stores):
    def overtaken():
        stores.plain.save_features("g", {"f": frame(9)})
        raise OSError("no answer")

    stores.bucket.before = once(overtaken)
    assert stores.odd.commit("g", {"mine": frame(7)}).number == 3
    assert stores.commits_of(7) == [3]
    assert value_of(stores.plain, "f") == 9


def test_a_put_that_is_refused_is_a_failure_and_leaves_nothing(stores):
    def refuse():
        raise PermissionError(13, "refused")

    stores.bucket.before = refuse
    with pytest.raises(SaveFailed, match="nothing was saved"):
        stores.odd.save_features("g", {"mine": frame(7)})
    assert stores.plain.head("g") == 1
    assert len(stores.data()) == 2


def test_a_put_told_as_taken_where_nothing_is_is_put_again(stores):
    def conflict():
        raise FileExistsError("409, a delete came in between")

    stores.bucket.before = once(conflict)
    assert stores.odd.commit("g", {"mine": frame(7)}).number == 2


def test_a_put_told_as_taken_because_it_was_repeated_on_the_way_is_ours(stores):
    def repeated():
        raise FileExistsError("412")

    stores.bucket.after = once(repeated)
    assert stores.odd.commit("g", {"mine": frame(7)}).number == 2
    assert stores.commits_of(7) == [2]


def test_a_collection_that_dies_anywhere_breaks_nothing(stores):
    class Dies(BaseException):
        pass

    stores.fifty_commits_and_a_collection()
    for value in range(51, 57):
        stores.plain.save_features("g", {"f": frame(value)})
    deletes = stores.bucket.delete
    for survived in range(12):
        left = iter(range(survived))

        def dying(keys, left=left):
            for key in keys:
                if next(left, None) is None:
                    raise Dies
                deletes([key])

        stores.bucket.delete = dying
        with contextlib.suppress(Dies):
            stores.odd.collect("g")
        stores.bucket.delete = deletes
        assert value_of(stores.plain, "f") == 56
        assert value_of(stores.plain, "old") == 0
        assert stores.plain.verify() == []
    stores.plain.collect()
    assert len(stores.data()) == 2, "nothing is left behind"


def test_a_slow_read_is_overtaken_by_a_collection_and_starts_again(stores):
    class Slow(Bucket):
        def get(self, key):
            if "/data/" in key and "/data/old/" not in key:
                overtake()
            return super().get(key)

    overtake = once(stores.fifty_commits_and_a_collection)
    reader = stores.open(Slow)
    got = reader.read("g", ["f", "old"], use_cache=False)
    assert got.commit >= 51
    assert got.frames["f"]["value"].iloc[0] == 50


# --- Several processes


def save_from_threads(url, options, me, count, answers):
    config = FeatureStoreConfig(url, keep_versions=1_000_000, object_store_options=options)
    store = SimpleFeatureStore(config)
    acknowledged, failed = {}, []

    def save(thread):
        try:
            for number in range(count):
                value = me * 10_000 + thread * 1_000 + number
                done = store.commit("g", {"same": frame(value), f"p{me}t{thread}": frame(value)})
                acknowledged[done.number] = value
        except Exception as error:  # noqa: BLE001 - whatever it is, it counts
            failed.append(repr(error))

    threads = [threading.Thread(target=save, args=(thread,)) for thread in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    answers.put((acknowledged, failed))


def test_no_save_of_four_processes_with_two_threads_each_fails_or_is_lost(s3_port):
    processes, count = 4, 6
    config = config_for(s3_port, keep_versions=1_000_000)
    answers = PROCESSES.Queue()
    arguments = [(config.base_path, options_for(s3_port), me, count, answers) for me in range(processes)]
    children = [PROCESSES.Process(target=save_from_threads, args=each) for each in arguments]
    for child in children:
        child.start()
    results = [answers.get(timeout=DEADLINE_S) for _ in children]
    for child in children:
        child.join(DEADLINE_S)
        assert child.exitcode == 0
    assert [failed for _, failed in results] == [[]] * processes
    acknowledged = {number: value for each, _ in results for number, value in each.items()}
    store = SimpleFeatureStore(config)
    assert sorted(acknowledged) == list(range(1, processes * 2 * count + 1))
    for revision in store.history("g"):
        assert len(revision.changed) == 2
        assert value_of(store, "same", version=revision.commit) == acknowledged[revision.commit]
    for me in range(processes):
        for thread in range(2):
            assert value_of(store, f"p{me}t{thread}") == me * 10_000 + thread * 1_000 + count - 1
