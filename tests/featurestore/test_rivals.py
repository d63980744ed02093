"""Many writers of one group for a while, some of them killed: none fails, nothing is lost, no read sees half of a save.

STRESSD_RIVALS_S sets how long (`make soak-rivals` takes a minute each).
"""

import contextlib
import json
import mmap
import multiprocessing
import os
import struct
import threading
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from crash_model import seeded

from featurestore import FeatureStoreConfig, FeatureStoreError, SimpleFeatureStore, UnknownGroup

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["featurestore.store", "pyarrow.parquet", "test_rivals"])
SECONDS = float(os.environ.get("STRESSD_RIVALS_S", "4"))
WRITERS, THREADS, READERS = 8, 4, 2
DEADLINE_S = 60.0
ROWS = 8
INCARNATION = 1_000_000  # each writer that replaces a killed one counts its saves from the next multiple
PAIR = ("same", "too")  # saved together, by everybody

pytestmark = pytest.mark.timeout(120 + 6 * SECONDS)


def frame(writer, number):
    return pd.DataFrame({"writer": np.full(ROWS, writer), "number": np.full(ROWS, number)})


def token(got):
    """(writer, number) of a frame, None if it mixes saves."""
    found = set(zip(got["writer"], got["number"], strict=True))
    return tuple(map(int, found.pop())) if len(found) == 1 and len(got) == ROWS else None


def opened(base):
    """A store that forgets nothing, so that the history can be held against what was acknowledged."""
    return SimpleFeatureStore(FeatureStoreConfig(base, durability="relaxed", keep_versions=10**9))


class Acknowledged:
    """The newest commit of the pair that each thread was told of, in a file that all processes map: nobody waits."""

    def __init__(self, path):
        self.size = 8 * WRITERS * THREADS
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, self.size)
        self.map = mmap.mmap(fd, self.size)
        os.close(fd)

    def tell(self, lane, commit):
        struct.pack_into("<q", self.map, 8 * lane, commit)

    def newest(self):
        return max(struct.unpack(f"<{WRITERS * THREADS}q", self.map[:]))


# --- Writers and readers, each a process ---------------------------------------------------------------


def write(folder, me, incarnation, until):
    """Save from every thread until the time comes. What is about to be saved, and what came of it, goes to a file."""
    store, acknowledged = opened(folder / "store"), Acknowledged(folder / "acknowledged")
    fd = os.open(folder / f"told-{me}-{incarnation}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(**what):
        os.write(fd, json.dumps(what).encode() + b"\n")

    def save(thread):
        lane = me * THREADS + thread
        number = incarnation * INCARNATION
        while time.monotonic() < until:
            names = PAIR if number % 2 else (f"own{lane}",)
            tell(begun=[lane, number])
            try:
                commit = store.commit("g", {name: frame(lane, number) for name in names})
            except Exception as error:  # noqa: BLE001 - whatever it is, it counts
                tell(failed=repr(error))
                continue
            if names == PAIR:
                acknowledged.tell(lane, commit.number)
            txns = {os.path.basename(path).partition(".")[0] for path in commit.paths.values()}
            tell(saved=[lane, number], commit=commit.number, txns=sorted(txns), names=names)
            number += 1

    threads = [threading.Thread(target=save, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read(folder, me, until):
    """Read the pair until the time comes, by turns from the cache and round it; what is wrong goes to a file."""
    store, acknowledged = opened(folder / "store"), Acknowledged(folder / "acknowledged")
    last, count = 0, 0
    with open(folder / f"read-{me}", "w") as file:
        while time.monotonic() < until:
            newest = acknowledged.newest()
            try:
                got = store.read("g", PAIR, use_cache=count % 2 == 0)
            except (UnknownGroup, KeyError):
                if newest:
                    print(json.dumps(f"nothing is there after commit {newest}"), file=file)
                continue
            tokens = {token(one) for one in got.frames.values()}
            if len(tokens) != 1 or None in tokens or got.commit < max(last, newest):
                print(json.dumps(f"commit {got.commit} after {last} and {newest}: {tokens}"), file=file)
            last, count = got.commit, count + 1
        print(json.dumps({"reads": count}), file=file)


def load(folder, *, kill_every_s=None, rng=None):
    """Let them run; returns what everybody was told, and how many were killed."""
    until = time.monotonic() + SECONDS
    readers = [PROCESSES.Process(target=read, args=(folder, me, until)) for me in range(READERS)]
    writers = [PROCESSES.Process(target=write, args=(folder, me, 0, until)) for me in range(WRITERS)]
    killed = 0
    with ended(readers, writers):
        for process in [*readers, *writers]:
            process.start()
        while kill_every_s and time.monotonic() + kill_every_s < until:
            time.sleep(kill_every_s)
            killed += 1
            me = rng.randrange(WRITERS)
            writers[me].kill()
            writers[me].join(DEADLINE_S)
            writers[me] = PROCESSES.Process(target=write, args=(folder, me, killed, until))
            writers[me].start()
        for process in [*readers, *writers]:
            process.join(max(until - time.monotonic(), 0) + DEADLINE_S)
            assert process.exitcode == 0
    return told(folder), killed


@contextlib.contextmanager
def ended(*groups):
    try:
        yield
    finally:
        for process in [process for group in groups for process in group if process.pid]:
            process.kill()
            process.join(DEADLINE_S)


def told(folder):
    lines = [
        json.loads(line)
        for path in folder.glob("told-*")
        for line in path.read_text().splitlines(keepends=True)
        if line.endswith("\n")  # a writer may be killed in the middle of a line
    ]
    wrong = [json.loads(line) for path in folder.glob("read-*") for line in path.read_text().splitlines()]
    return SimpleNamespace(
        begun={tuple(line["begun"]) for line in lines if "begun" in line},
        saved=[line for line in lines if "saved" in line],
        failed=[line["failed"] for line in lines if "failed" in line],
        reads=sum(line["reads"] for line in wrong if isinstance(line, dict)),
        wrong=[line for line in wrong if isinstance(line, str)],
    )


# --- What must hold afterwards -------------------------------------------------------------------------


def history(store):
    """{commit: (txn, names it wrote)}, every commit there is."""
    log = store._group("g").log
    manifests = [log.read(number) for number in log.numbers()]
    return {
        one.number: (one.txn, {name for name, entry in one.features.items() if entry.commit == one.number})
        for one in manifests
    }


def unlike(saved, commits):
    """What was acknowledged and is not in the history exactly once, as it was."""
    times = Counter(txn for txn, _ in commits.values())
    return [
        line
        for line in saved
        if commits.get(line["commit"]) != (line["txns"][0], set(line["names"]))
        or times[line["txns"][0]] != 1
        or len(line["txns"]) != 1
    ]


def assert_all_is_there(folder, told, unacknowledged_at_most):
    store = opened(folder / "store")
    commits = history(store)
    assert told.failed == []
    assert told.wrong == []
    assert told.reads > 0
    assert unlike(told.saved, commits) == []
    assert len({line["commit"] for line in told.saved}) == len(told.saved), "two saves got one number"
    assert sorted(commits) == list(range(1, len(commits) + 1)), "the log has a gap"
    assert 0 <= len(commits) - len(told.saved) <= unacknowledged_at_most
    newest = {}
    for line in sorted(told.saved, key=lambda line: line["commit"]):
        newest |= {name: (line["commit"], tuple(line["saved"])) for name in line["names"]}
    for name, (commit, what) in newest.items():
        got = token(store.get_features([name], "g")[name])
        assert got == what or (got in told.begun and store.entries("g")[name].commit > commit), name
    for number in range(1, len(commits), max(len(commits) // 200, 1)):
        names = sorted(commits[number][1])
        (got,) = {token(one) for one in store.get_features(names, "g", version=number).values()}
        assert got in told.begun
    store.collect()
    assert [os.listdir(folder / "store/g" / part) for part in ("pins", "tmp")] == [[], []]
    return store


def test_no_save_fails_or_is_lost_among_eight_processes_of_four_threads(tmp_path, capsys):
    told, _ = load(tmp_path)
    assert len(told.saved) > WRITERS * THREADS
    store = assert_all_is_there(tmp_path, told, unacknowledged_at_most=0)
    if SECONDS <= 10:
        assert store.verify() == []
    tell(capsys, told, 0)


def test_nor_when_one_of_the_processes_is_killed_each_second(tmp_path, run_seed, capsys):
    told, killed = load(tmp_path, kill_every_s=1.0, rng=seeded(run_seed, "rivals"))
    assert killed >= min(SECONDS - 2, 2)
    assert len(told.begun) > len(told.saved), "somebody was killed in mid save"
    store = assert_all_is_there(tmp_path, told, unacknowledged_at_most=killed * THREADS)
    if SECONDS <= 10:
        assert store.verify() == []
    tell(capsys, told, killed)


def tell(capsys, told, killed):
    if SECONDS > 10:
        with capsys.disabled():
            print(
                f"\n{SECONDS:.0f} s, {WRITERS} processes × {THREADS} threads: {len(told.saved):,} saves acknowledged, "
                f"{len(told.failed)} failed, 0 lost; {told.reads:,} reads checked; {killed} processes killed"
            )


def test_a_save_that_is_missing_or_twice_in_the_history_would_be_noticed(tmp_path):
    """So that the tests above could fail."""
    line = {"saved": [1, 2], "commit": 2, "txns": ["b"], "names": ["n"]}
    assert unlike([line], {1: ("a", {"n"}), 2: ("b", {"n"})}) == []
    assert unlike([line], {1: ("a", {"n"})}) == [line]
    assert unlike([line], {1: ("a", {"n"}), 2: ("c", {"n"})}) == [line]
    assert unlike([line], {1: ("a", {"n"}), 2: ("b", {"m"})}) == [line]
    assert unlike([line], {1: ("b", {"n"}), 2: ("b", {"n"})}) == [line]
    assert token(pd.concat([frame(1, 1)[:4], frame(1, 2)[:4]])) is None
    acknowledged = Acknowledged(tmp_path / "acknowledged")
    acknowledged.tell(3, 7)
    assert Acknowledged(tmp_path / "acknowledged").newest() == 7


# --- A crowd ---------------------------------------------------------------------------------------------

CROWD = 100


def one_of_a_crowd(base, me, barrier, answers):
    """Save and read a few times beside all the others, once everybody has the store open."""
    try:
        store = SimpleFeatureStore(FeatureStoreConfig(base, durability="relaxed", keep_versions=4, grace_seconds=0))
        barrier.wait(DEADLINE_S)
        for number in range(3):
            store.save_features("g", {f"own{me}": frame(me, number), "same": frame(me, number)})
            got = store.get_features([f"own{me}", "same"], "g")
            assert token(got[f"own{me}"]) == (me, number)
            assert token(got["same"]) is not None
        answers.put((me, store.counts()[0], ""))
    except (FeatureStoreError, AssertionError, threading.BrokenBarrierError) as error:
        answers.put((me, 0, repr(error)))


def test_a_hundred_processes_share_one_store(tmp_path):
    barrier, answers = PROCESSES.Barrier(CROWD), PROCESSES.Queue()
    crowd = [PROCESSES.Process(target=one_of_a_crowd, args=(tmp_path, me, barrier, answers)) for me in range(CROWD)]
    with ended(crowd):
        for process in crowd:
            process.start()
        found = sorted(answers.get(timeout=DEADLINE_S) for _ in crowd)
        for process in crowd:
            process.join(DEADLINE_S)
    assert found == [(me, 3, "") for me in range(CROWD)]
    store = SimpleFeatureStore(FeatureStoreConfig(tmp_path, durability="relaxed", keep_versions=4, grace_seconds=0))
    assert store.head("g") == 3 * CROWD
    frames = store.get_features([f"own{me}" for me in range(CROWD)], "g")
    assert [token(got) for got in frames.values()] == [(me, 2) for me in range(CROWD)]
    store.collect()
    assert store.verify() == []
    assert store.stats().files == 4 + len(data_files(store))


def data_files(store):
    """What the kept commits need."""
    log = store._group("g").log
    return {file for number in log.numbers() for file in log.read(number).files()}
