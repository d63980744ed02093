"""Every state in which a power cut may leave the disk, opened: nothing acknowledged is lost, nothing is half there."""

import itertools
import os

import pandas as pd
import pytest
from crash_model import Kernel, Killed, MemoryDisk, moments, seeded, sites, syncs

from featurestore import FeatureStoreConfig, FeatureStoreError, SimpleFeatureStore, datafile
from featurestore.group import Group

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
        told = [e.value for e in self.kernel.events if getattr(e, "kind", "") == "published" and e.value.number == number]
        if told and not self.was_removed(number):
            self.kernel.note("acknowledged", told[-1])

    def was_removed(self, number):
        return any(getattr(e, "kind", "") == "removed" and e.value == number for e in self.kernel.events)


def open_store(disk, keep_versions=1000, grace_seconds=0.0):
    config = FeatureStoreConfig(BASE, keep_versions=keep_versions, grace_seconds=grace_seconds)
    return SimpleFeatureStore(config, disk=disk, wall_clock=disk.kernel.now)


def fault(tree, expected, *, decode=False):
    """What is wrong with a store on this tree, None where it is as it must be."""
    try:
        return _fault(tree, expected, decode=decode)
    except (FeatureStoreError, OSError, ValueError, KeyError) as error:
        return repr(error)


def _fault(tree, expected, *, decode):
    disk = MemoryDisk(Kernel(tree))
    group = Group(disk, BASE, "g", disk.kernel.now)
    head = group.log.head()
    if head.number < max(expected.acknowledged, default=0):
        return f"acknowledged is {max(expected.acknowledged)}, the head is {head.number}"
    if head.number and expected.published.get(head.number) != head:
        return f"nobody made this head: {head}"
    for number, manifest in expected.acknowledged.items():
        if group.log.read(number) != manifest:
            return f"{number} has changed"
    damaged = list(group.problems())
    store = open_store(disk)
    if not store.store_id or (expected.store_id and store.store_id != expected.store_id):
        return f"the store's id is {store.store_id!r}, it was {expected.store_id!r}"
    if store.head("g") != head.number:
        return "opening moved the head"
    damaged += store.verify()
    if decode and head.features:
        for name, got in store.get_features(list(head.features), "g").items():
            if len(got["value"]) != 1:
                return f"{name} is {got}"
    following = store._group("g").writer.commit({"fresh": FRESH})
    if following.number != head.number + 1 or following.features.keys() != {*head.features, "fresh"}:
        return f"after {head} came {following}"
    store.collect()
    damaged += store.verify()
    return "; ".join(damaged) or _leavings(disk, store)


def _leavings(disk, store):
    log = store._group("g").log
    named = {file for number in log.numbers() for file in log.read(number).files()}
    data = f"{BASE}/g/data"
    files = {f"{name}/{file}" for name in disk.names(data) for file in disk.names(f"{data}/{name}")}
    left = sorted(files - named) + disk.names(f"{BASE}/g/pins") + disk.names(f"{BASE}/g/tmp")
    return f"left behind: {left}" if left else None


@pytest.fixture(autouse=True)
def _memory_is_local(monkeypatch):
    monkeypatch.setattr("featurestore.store.remote_file_system", lambda path: None)
    monkeypatch.setattr("featurestore.turn._PATIENCE_S", 0.0)  # who holds the turn is stopped for good
