"""Many processes on one base: snapshots, coherence, fairness, collection."""

import fcntl
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pandas as pd

from featurestore import FeatureStoreConfig, SimpleFeatureStore, UnknownGroup
from featurestore.disk import Disk

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["featurestore.store", "pyarrow.parquet"])
DEADLINE_S = 60.0


def frame(writer, number):
    return pd.DataFrame({"writer": np.full(8, writer), "number": np.full(8, number)})


def token(got):
    """(writer, number) of a frame, None if it mixes saves."""
    writers, numbers = got["writer"].unique(), got["number"].unique()
    return (int(writers[0]), int(numbers[0])) if len(writers) == len(numbers) == 1 and len(got) == 8 else None


def store_at(base, **settings):
    return SimpleFeatureStore(FeatureStoreConfig(base, **{"durability": "relaxed", **settings}))


def run(target, arguments):
    """One process for each tuple of arguments; returns what they put in the queue, in no order."""
    answers = PROCESSES.Queue()
    children = [PROCESSES.Process(target=target, args=(*args, answers)) for args in arguments]
    for child in children:
        child.start()
    results = [answers.get(timeout=DEADLINE_S) for _ in children]
    for child in children:
        child.join(DEADLINE_S)
        assert child.exitcode == 0
    return results


def save_and_read(base, role, me, count, answers):
    store = store_at(base, keep_versions=1_000_000)
    if role == "write":
        acknowledged = {}
        for number in range(count):
            one = frame(me, number)
            acknowledged[store.commit("g", {"a": one, "b": one, f"own{me}": one}).number] = (me, number)
        answers.put(("write", acknowledged, store.stats().commits))
        return
    wrong, last, seen = [], 0, 0
    end = time.monotonic() + DEADLINE_S
    while last < 4 * count and time.monotonic() < end:
        try:
            got = store.read("g", ["a", "b"], use_cache=me % 2 == 0)
        except UnknownGroup:
            continue
        seen += 1
        tokens = [token(got.frames[name]) for name in ("a", "b")]
        if tokens[0] is None or tokens[0] != tokens[1] or got.commit < last:
            wrong.append((got.commit, last, tokens))
        last = got.commit
    answers.put(("read", wrong, seen))


def test_four_writers_and_four_readers_of_one_group_lose_tear_and_fracture_nothing(tmp_path):
    count = 200
    results = run(save_and_read, [(tmp_path, role, me, count) for me in range(4) for role in ("write", "read")])
    acknowledged = {}
    for role, what, how_many in results:
        if role == "write":
            assert how_many == count
            assert not acknowledged.keys() & what.keys(), "two saves got one number"
            acknowledged |= what
        else:
            assert what == []
            assert how_many > 0
    store = store_at(tmp_path, cache_enabled=False)
    assert sorted(acknowledged) == list(range(1, 4 * count + 1))
    log = store._group("g").log
    for number, expected in acknowledged.items():
        assert {log.read(number).features[n].commit for n in ("a", "b", f"own{expected[0]}")} == {number}
    for number in range(1, 4 * count + 1, 7):
        assert token(store.get_features(["a"], "g", version=number)["a"]) == acknowledged[number]
    assert {f"own{me}": token(store.get_features([f"own{me}"], "g")[f"own{me}"]) for me in range(4)} == {
        f"own{me}": (me, count - 1) for me in range(4)
    }


def save_from_threads(base, me, answers):
    store = store_at(base, keep_versions=1_000_000)
    failed = []

    def save(thread):
        try:
            for number in range(8):
                store.save_features("g", {"same": frame(me, number), f"p{me}t{thread}": frame(me, number)})
        except Exception as error:  # noqa: BLE001 - whatever it is, it counts
            failed.append(repr(error))

    threads = [threading.Thread(target=save, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    answers.put(failed)


def test_no_save_of_eight_processes_with_four_threads_each_fails(tmp_path):
    assert run(save_from_threads, [(tmp_path, me) for me in range(8)]) == [[]] * 8
    store = store_at(tmp_path)
    assert store.head("g") == 8 * 4 * 8
    frames = store.get_features([f"p{me}t{thread}" for me in range(8) for thread in range(4)], "g")
    assert {token(got)[1] for got in frames.values()} == {7}


def save_when_told(base, told, saved):
    store = store_at(base)
    for number in range(1, 6):
        assert told.acquire(timeout=DEADLINE_S)
        store.save_features("g", {"f": frame(1, number)})
        saved.release()


def test_a_cache_sees_the_save_of_another_process_at_once(tmp_path):
    store = store_at(tmp_path)
    store.save_features("g", {"f": frame(1, 0)})
    told, saved = PROCESSES.Semaphore(0), PROCESSES.Semaphore(0)
    other = PROCESSES.Process(target=save_when_told, args=(tmp_path, told, saved))
    other.start()
    for number in range(1, 6):
        assert store.read("g", ["f"]).cached is False
        assert store.read("g", ["f"]).cached is True
        told.release()
        assert saved.acquire(timeout=DEADLINE_S)
        got = store.read("g", ["f"])
        assert token(got.frames["f"]) == (1, number)
        store.cache.clear()
    other.join(DEADLINE_S)
    assert other.exitcode == 0


def test_a_turn_that_nobody_gives_back_wedges_nobody(tmp_path):
    store = store_at(tmp_path)
    store.save_features("g", {"f": frame(1, 0)})
    with open(tmp_path / "g/turn", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for number in range(1, 4):
            store._group("g").writer._undisturbed = False  # as if it had met another writer: it asks for its turn
            store.save_features("g", {"f": frame(1, number)})
    assert token(store.get_features(["f"], "g")["f"]) == (1, 3)


class StoppingDisk(Disk):
    """Stops its process just before the link that publishes."""

    def link(self, path, new_path):
        if "/log/" in new_path:
            os.kill(os.getpid(), signal.SIGSTOP)
        super().link(path, new_path)


def save_and_stop(base, answers):
    config = FeatureStoreConfig(base, durability="relaxed", keep_versions=2, grace_seconds=0)
    store = SimpleFeatureStore(config, disk=StoppingDisk(durable=False))
    answers.put(store.commit("g", {"mine": frame(2, 0)}).number)


def state(pid):
    with open(f"/proc/{pid}/stat") as about:
        return about.read().rpartition(")")[2].split()[0]


def test_a_writer_that_slept_through_fifty_commits_loses_nothing(tmp_path):
    settings = {"keep_versions": 2, "grace_seconds": 0}
    store = store_at(tmp_path, **settings)
    for number in range(3):
        store.save_features("g", {"f": frame(1, number)})
    answers = PROCESSES.Queue()
    sleeper = PROCESSES.Process(target=save_and_stop, args=(tmp_path, answers))
    sleeper.start()
    end = time.monotonic() + DEADLINE_S
    while state(sleeper.pid) != "T" and time.monotonic() < end:
        time.sleep(0.005)
    try:
        for number in range(50):
            store.save_features("g", {"f": frame(1, number)})
        store.collect()
        assert len(list((tmp_path / "g/log").iterdir())) >= 50, "its pin keeps what it may build on"
        end = time.monotonic() + DEADLINE_S
        while answers.empty() and time.monotonic() < end:
            os.kill(sleeper.pid, signal.SIGCONT)  # it stops again before each try
            time.sleep(0.005)
        number = answers.get(timeout=DEADLINE_S)
    finally:
        sleeper.kill()
        sleeper.join(DEADLINE_S)
    assert number == store.head("g") == 54
    assert token(store.get_features(["mine"], "g")["mine"]) == (2, 0)
    assert token(store.get_features(["f"], "g")["f"]) == (1, 49)
    store.collect()
    assert len(list((tmp_path / "g/log").iterdir())) == 2
    assert store.verify() == []


class SlowDisk(Disk):
    """Takes its time between opening the manifest and the files."""

    def open(self, path):
        if "/data/" in path:
            time.sleep(0.002)
        return super().open(path)


def save_and_read_while_collecting(base, role, me, answers):
    config = FeatureStoreConfig(base, durability="relaxed", keep_versions=2, grace_seconds=0)
    if role == "write":
        store = SimpleFeatureStore(config)
        for number in range(150):
            store.save_features("g", {name: frame(me, number) for name in "abc"})
        answers.put([])
        return
    store = SimpleFeatureStore(config, disk=SlowDisk(durable=False))
    wrong, last = [], 0
    end = time.monotonic() + DEADLINE_S
    while last < 300 and time.monotonic() < end:
        got = store.read("g", ["a", "b", "c"], use_cache=False)
        tokens = {token(one) for one in got.frames.values()}
        if len(tokens) != 1 or None in tokens or got.commit < last:
            wrong.append((got.commit, last, tokens))
        last = got.commit
    answers.put(wrong)


def test_collection_breaks_no_slow_reader_and_keeps_the_folder_small(tmp_path):
    store = store_at(tmp_path, keep_versions=2, grace_seconds=0)
    store.save_features("g", {name: frame(0, 0) for name in "abc"})
    roles = [("write", 1), ("write", 2), ("read", 3), ("read", 4)]
    assert run(save_and_read_while_collecting, [(tmp_path, *role) for role in roles]) == [[]] * 4
    assert store.head("g") == 301
    assert store.stats().files <= 3 * 2 * 5, "bounded without anybody asking"
    store.collect()
    assert store.stats().files == 2 + 3 * 2
    assert store.verify() == []
