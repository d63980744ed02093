"""Every state in which a power cut may leave the disk, opened: nothing acknowledged is lost, nothing is half there."""

import contextlib
import inspect
import itertools
import os
import re
import sys

import pandas as pd
import pytest
from crash_model import Kernel, Killed, MemoryDisk, Note, moments, seeded, sites, syncs

from featurestore import (
    FeatureStoreConfig,
    FeatureStoreError,
    SimpleFeatureStore,
    UnknownGroup,
    collection,
    commit,
    datafile,
    local,
)
from featurestore.group import LocalGroup

THOROUGH = int(os.environ.get("STRESSD_TEST_THOROUGH", "1"))  # times as many states
EACH_MOMENT = 56 * THOROUGH
INTERRUPTIONS = 300 * THOROUGH

pytestmark = pytest.mark.timeout(120 * THOROUGH)

DISK = "/disk"  # is there from the beginning
BASE = f"{DISK}/made/store"


def frame(value):
    return pd.DataFrame({"value": [value]})


FRESH = datafile.encode(frame(-1), "parquet", "snappy")


class Machine:
    """Processes on one kernel, and notes of what they were told."""

    def __init__(self):
        self.kernel = Kernel({DISK: None})
        self.values = itertools.count()

    def open(self, before=None, **settings):
        disk = MemoryDisk(self.kernel, before)
        store = open_store(disk, **settings)
        self.kernel.note("opened", store.store_id)
        return store

    def save(self, store, *names):
        number = store.commit("g", {name: frame(next(self.values)) for name in names}).number
        self.acknowledge(number)

    def drop(self, store):
        store.drop_group("g")
        self.acknowledge(store._group("g").log._head.manifest.number)

    def acknowledge(self, number):
        """Note that the caller was told; whoever was stopped meanwhile may hear of it after it was collected."""
        if ("removed", number) not in self.notes():
            self.kernel.note("acknowledged", self.notes()["published", number])

    def notes(self):
        found = [event for event in self.kernel.events if isinstance(event, Note)]
        return {(note.kind, getattr(note.value, "number", note.value)): note.value for note in found}


def open_store(disk, keep_versions=1000, grace_seconds=0.0):
    config = FeatureStoreConfig(BASE, keep_versions=keep_versions, grace_seconds=grace_seconds)
    return SimpleFeatureStore(config, disk=disk, wall_clock=disk.kernel.now)


def fault(tree, expected, *, decode=False):
    """The first thing that is wrong with a store on this tree, None where it is as it must be."""
    disk = MemoryDisk(Kernel(tree))
    try:
        return next(itertools.chain(_at_once(disk, expected), _in_use(disk, expected, decode)), None)
    except (FeatureStoreError, OSError, ValueError, KeyError) as error:
        return repr(error)


def _at_once(disk, expected):
    """What can be seen before a store is opened, which cleans up."""
    group = LocalGroup(disk, BASE, "g", disk.kernel.now)
    head = group.log.head()
    if head.number < max(expected.acknowledged, default=0):
        yield f"{max(expected.acknowledged)} was acknowledged, the head is {head.number}"
    if head.number and expected.published.get(head.number) != head:
        yield f"nobody made this head: {head}"
    for number, manifest in expected.acknowledged.items():
        if group.log.read(number) != manifest:
            yield f"{number} has changed"
    yield from map(str, group.inspect().damages)


def _in_use(disk, expected, decode):
    head = LocalGroup(disk, BASE, "g", disk.kernel.now).log.head()
    store = open_store(disk)
    if expected.acknowledged and store.store_id != expected.store_id:
        yield f"the store's id is {store.store_id}, it was {expected.store_id}"
    if store.head("g") != head.number:
        yield "opening moved the head"
    yield from store.verify()
    if decode and head.features:
        frames = store.get_features(list(head.features), "g")
        yield from (f"{name} is {got}" for name, got in frames.items() if len(got["value"]) != 1)
    following = store._group("g").writer.commit({"fresh": FRESH})
    if following.number != head.number + 1 or following.features.keys() != {*head.features, "fresh"}:
        yield f"after {head} came {following}"
    store.collect()
    yield from store.verify()
    yield from _leavings(disk, store)


def _leavings(disk, store):
    log = store._group("g").log
    named = {file for number in log.numbers() for file in log.read(number).files()}
    data = f"{BASE}/g/data"
    files = {f"{name}/{file}" for name in disk.names(data) for file in disk.names(f"{data}/{name}")}
    yield from (f"{file} was left behind" for file in files - named)
    for folder in ("pins", "tmp"):
        yield from (f"{folder}/{file} was left behind" for file in disk.names(f"{BASE}/g/{folder}"))


@pytest.fixture(autouse=True)
def _memory_is_local(monkeypatch):
    monkeypatch.setattr("featurestore.local.remote_file_system", lambda path: None)
    monkeypatch.setattr("featurestore.turn._PATIENCE_S", 0.0)  # whoever holds the turn is stopped for good


# --- What a machine did before the lights went out ----------------------------------------------------


def first_save(machine):
    machine.save(machine.open(), "a")


def later_saves(machine):
    store = machine.open()
    for names in ("ab", "a", "b", "ab"):
        machine.save(store, *names)


def saves_with_collection(machine):
    store = machine.open(keep_versions=2)
    for names in ("ab", "a", "b", "a", "a"):
        machine.save(store, *names)


def drop_and_save_again(machine):
    store = machine.open()
    machine.save(store, "a", "b")
    machine.drop(store)
    machine.save(store, "a")


def collection_above_a_save_in_progress(machine):
    """The newest commit is published, but not acknowledged, when another process collects all below it."""
    machine.save(machine.open(), "a")
    other = machine.open(keep_versions=1)
    writer = machine.open(lambda name, args: log_is_synced(name, args) and other.collect())
    machine.save(writer, "a")


def collection_after_one_that_died(machine):
    """It had removed manifests; the next one finds files that no manifest names."""
    store = machine.open()
    for _ in range(3):
        machine.save(store, "a")
    calls = itertools.count()
    with contextlib.suppress(Killed):
        # The log is synced twice, before the horizon and after the manifests are gone.
        machine.open(lambda name, args: log_is_synced(name, args) and next(calls) and die(), keep_versions=1).collect()
    machine.open(keep_versions=1).collect()


def a_save_above_one_that_was_only_visible(machine):
    """Its writer died after its link, before the log's folder was on the disk; another process builds on it."""
    other, linked = machine.open(), itertools.count()
    machine.save(other, "a")
    with contextlib.suppress(Killed):
        writer = machine.open(lambda name, args: log_is_synced(name, args) and next(linked) and die())
        machine.save(writer, "a")
    machine.save(other, "a")


def log_is_synced(name, args):
    return name == "sync_folder" and args[0].endswith("/log")


def die():
    sys._getframe(2).f_locals["self"].die()


SCRIPTS = [
    first_save,
    later_saves,
    saves_with_collection,
    drop_and_save_again,
    collection_above_a_save_in_progress,
    collection_after_one_that_died,
    a_save_above_one_that_was_only_visible,
]


def recorded(script):
    machine = Machine()
    script(machine)
    return machine.kernel


def test_whatever_a_power_cut_leaves_is_a_valid_store_with_all_that_was_acknowledged(run_seed):
    count = 0
    for script in SCRIPTS:
        for moment, unsure, expected in moments(recorded(script)):
            for tree in unsure.states(seeded(run_seed, script.__name__, moment), EACH_MOMENT):
                count += 1
                wrong = fault(tree, expected, decode=count % 20 == 0)
                assert wrong is None, (wrong, script.__name__, moment, tree)
    assert count >= 10_000


def test_without_any_one_of_its_syncs_the_store_would_lose_or_break_something(run_seed):
    """A sync for which this finds no failing state is one to remove."""
    kernels = [recorded(script) for script in SCRIPTS]
    needless = {
        site
        for site in sites(kernels)
        if not any(is_missed(kernel, index, run_seed) for kernel in kernels for index in reached(kernel, site))
    }
    assert not needless
    assert len(sites(kernels)) == sum(map(syncs_in, (commit, collection, local))), "every one was reached"


@pytest.mark.parametrize("script", [first_save, later_saves])
def test_every_single_sync_of_a_save_counts(script, run_seed):
    kernel = recorded(script)
    saving = [(index, site) for index, site in syncs(kernel) if "local.py" not in site]
    assert [site for index, site in saving if not is_missed(kernel, index, run_seed)] == []


def reached(kernel, site):
    return [index for index, reached_site in syncs(kernel) if reached_site == site]


def is_missed(kernel, ignoring, seed):
    """Whether some state is wrong if this sync does nothing."""
    return any(
        fault(tree, expected)
        for moment, unsure, expected in moments(kernel, ignoring, start=ignoring)
        for tree in unsure.states(seeded(seed, moment), 40)
    )


def syncs_in(module):
    return len(re.findall(r"_disk\.sync(?:_folder)?\(", inspect.getsource(module)))


# --- Two processes: one is stopped or killed before any of its calls, and the other one acts ----------


def nothing(machine):
    return None


def one_commit(machine):
    machine.save(machine.open(keep_versions=1), "a")


def two_commits(machine):
    store = machine.open(keep_versions=1)
    machine.save(store, "a")
    machine.save(store, "a", "b")
    return machine.open(keep_versions=1)


def a_drop(machine):
    store, other = machine.open(keep_versions=1), machine.open(keep_versions=1)
    machine.save(other, "a")
    machine.drop(store)
    return other  # which knows the folders of what was dropped


def save(machine, store):
    machine.save(store, "a")


def save_another(machine, store):
    machine.save(store, "a", "c")


def save_twice(machine, store):
    machine.save(store, "a")
    machine.save(store, "a")


def collect(machine, store):
    store.collect()


def drop(machine, store):
    with contextlib.suppress(UnknownGroup):
        machine.drop(store)


BEFORE = [nothing, one_commit, two_commits, a_drop]
ONE = [save, save_twice, collect, drop]
OTHER = [save, save_another, collect, drop]


def calls_of(prepare, one):
    machine, calls = Machine(), []
    prepare(machine)
    one(machine, machine.open(lambda name, args: calls.append(name), keep_versions=1))
    return len(calls)


def interrupted(prepare, one, other, killed, position):
    """The record of it, and where in the record the second process came in."""
    machine = Machine()
    known = prepare(machine)
    calls, began = itertools.count(), []

    def second():
        began.append(len(machine.kernel.events))
        other(machine, known or machine.open(keep_versions=1))

    def before(name, args):
        if next(calls) == position:
            if killed:
                die()
            second()

    try:
        one(machine, machine.open(before, keep_versions=1))
    except Killed:
        second()
    return machine.kernel, began[0]


def test_a_process_that_goes_on_where_another_one_stopped_or_died_relies_on_nothing_unsynced(run_seed):
    rng = seeded(run_seed, "two processes")
    every = [
        (prepare, one, other, killed, position)
        for prepare, one in itertools.product(BEFORE, ONE)
        for position in range(calls_of(prepare, one))
        for other, killed in itertools.product(OTHER, (False, True))
    ]
    count = 0
    for which in rng.sample(every, min(INTERRUPTIONS, len(every))):
        kernel, began = interrupted(*which)
        for moment, unsure, expected in moments(kernel, start=began):
            if isinstance(kernel.events[moment], Note) or rng.random() < 0.2:
                for tree in unsure.states(rng, 4):
                    count += 1
                    wrong = fault(tree, expected)
                    assert wrong is None, (wrong, [getattr(w, "__name__", w) for w in which], moment, tree)
    assert count >= 10 * INTERRUPTIONS
