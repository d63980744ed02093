"""Any sequence of operations, by two stores of this process and one of another, against a dict."""

import contextlib
import errno
import multiprocessing
import shutil
import tempfile

import pytest
from faulty_disk import FaultyDisk, frame, leavings
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from featurestore import (
    CommitUnknown,
    FeatureStoreConfig,
    SaveFailed,
    SimpleFeatureStore,
    UnknownFeature,
    UnknownGroup,
    UnknownVersion,
)

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["featurestore.store", "pyarrow.parquet"])
DEADLINE_S = 30.0
KEPT = 3
HERE, BESIDE, ELSEWHERE = "here", "beside", "elsewhere"
NAMES = st.sets(st.sampled_from("abc"), min_size=1)
WHERE = st.sampled_from([HERE, BESIDE, ELSEWHERE])


def opened(base, disk=None):
    settings = FeatureStoreConfig(base, durability="relaxed", keep_versions=KEPT, grace_seconds=0.0)
    return SimpleFeatureStore(settings, disk=disk)


def do(store, action, *args):
    """An operation on a store, with answers that a pipe can take: values, numbers, and errors by name."""
    try:
        return {"save": save, "read": read, "drop": drop, "collect": collect, "head": head}[action](store, *args)
    except (UnknownGroup, UnknownFeature, UnknownVersion, SaveFailed, CommitUnknown) as error:
        return type(error).__name__


def save(store, names, number):
    return store.commit("g", {name: frame(number) for name in names}).number


def read(store, names, version):
    got = store.read("g", sorted(names), version=version)
    return got.commit, {name: only(one["value"]) for name, one in got.frames.items()}


def only(values):
    (found,) = set(values)
    assert len(values) == 3
    return int(found)


def drop(store):
    store.drop_group("g")


def collect(store):
    store.collect("g")


def head(store):
    return store.head("g")


def serve(pipe):
    """The other process: one store at a time, opened anew when another base is named."""
    base = store = None
    while (asked := pipe.recv()) is not None:
        if asked[0] != base:
            base, store = asked[0], opened(asked[0])
        pipe.send(do(store, *asked[1:]))


@pytest.fixture(scope="module")
def elsewhere():
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=serve, args=(theirs,))
    process.start()
    theirs.close()

    def ask(*args):
        ours.send(args)
        assert ours.poll(DEADLINE_S)
        return ours.recv()

    try:
        yield ask
        ours.send(None)
        process.join(DEADLINE_S)
    finally:
        process.kill()
        process.join()


class Stores(RuleBasedStateMachine):
    elsewhere = None

    @initialize()
    def begin(self):
        self.base = tempfile.mkdtemp()
        self.disk = FaultyDisk()
        self.stores = {HERE: opened(self.base, self.disk), BESIDE: opened(self.base)}
        self.versions = [{}]  # by commit number
        self.since = 1  # the oldest that may be asked for: what a drop left behind is gone
        self.count = 0

    def teardown(self):
        shutil.rmtree(self.base, ignore_errors=True)

    def do(self, where, *args):
        if where == ELSEWHERE:
            return self.elsewhere(self.base, *args)
        return do(self.stores[where], *args)

    @property
    def now(self):
        return self.versions[-1]

    def value(self):
        self.count += 1
        return self.count

    @rule(where=WHERE, names=NAMES)
    def save(self, where, names):
        number = self.value()
        assert self.do(where, "save", names, number) == len(self.versions)
        self.versions.append(self.now | dict.fromkeys(names, number))

    @rule(names=NAMES, at=st.integers(0, 60), number=st.sampled_from([errno.EIO, errno.ENOSPC]))
    def save_while_a_call_fails(self, names, at, number):
        left = [at]

        def fail(name, args):
            left[0] -= 1
            if left[0] == -1:
                raise OSError(number, f"injected into {name}")

        saved = self.value()
        self.disk.before = fail
        answer = self.do(HERE, "save", names, saved)
        self.disk.before = None
        if answer == "CommitUnknown":
            answer = self.do(HERE, "head")
            if answer < len(self.versions):
                return
        if answer != "SaveFailed":
            assert answer == len(self.versions)
            self.versions.append(self.now | dict.fromkeys(names, saved))

    @rule(where=WHERE, names=NAMES)
    def read(self, where, names):
        answer = self.do(where, "read", names, None)
        if not self.now:
            assert answer == "UnknownGroup"
        elif names - self.now.keys():
            assert answer == "UnknownFeature"
        else:
            assert answer == (len(self.versions) - 1, {name: self.now[name] for name in sorted(names)})

    @precondition(lambda self: self.now)
    @rule(where=WHERE, back=st.integers(0, KEPT + 3))
    def read_an_older_version(self, where, back):
        version = len(self.versions) - 1 - back
        names = set(self.versions[version]) if version > 0 else {"a"}
        answer = self.do(where, "read", names, version)
        if back < KEPT and version >= self.since and names:
            assert answer == (version, self.versions[version])
        else:  # it is gone, sooner or later
            assert answer == "UnknownVersion" or answer[1] == self.versions[version]

    @rule(where=WHERE)
    def drop(self, where):
        answer = self.do(where, "drop")
        assert answer == (None if self.now else "UnknownGroup")
        if self.now:
            self.since = len(self.versions)
            self.versions.append({})

    @rule(where=WHERE)
    def collect(self, where):
        self.do(where, "collect")
        assert leavings(self.base) == []
        assert len(self.stores[BESIDE]._group("g").log.numbers()) <= KEPT

    @rule()
    def reopen(self):
        self.stores[BESIDE].close()
        self.stores[BESIDE] = opened(self.base)

    @invariant()
    def every_store_knows_the_head(self):
        with contextlib.suppress(AttributeError):  # before the first step
            assert {store.head("g") for store in self.stores.values()} == {len(self.versions) - 1}


def test_stores_do_what_a_dict_would(elsewhere):
    machine = type("Stores", (Stores,), {"elsewhere": staticmethod(elsewhere)})
    run_state_machine_as_test(machine, settings=settings(stateful_step_count=30))
