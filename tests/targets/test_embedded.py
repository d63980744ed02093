import glob
import sys
import threading

import pandas as pd
import pytest

from featurestore import CommitUnknown, SimpleFeatureStore
from stressd.targets.embedded import EmbeddedTarget
from stressd.targets.protocol import TargetCorrupt, TargetRejected

GROUP = "group"


@pytest.fixture
def target(tmp_path):
    built = EmbeddedTarget(str(tmp_path / "store"), durability="relaxed")
    built.setup()
    yield built
    built.teardown()


def frames(value=1):
    return {"numbers": pd.DataFrame({"id": list(range(1_000)), "value": [float(value)] * 1_000})}


def test_sessions_that_are_opened_at_once_share_one_store(tmp_path):
    """Each store has a cache of its own: a second one would hide behind the first, uncounted and unbounded."""
    target = EmbeddedTarget(str(tmp_path / "store"), durability="relaxed")
    together, stores = threading.Barrier(8), []

    def open_one():
        together.wait(20)
        stores.append(target.open()._store)

    threads = [threading.Thread(target=open_one) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    finally:
        sys.setswitchinterval(interval)
    assert len({id(store) for store in stores}) == 1
    target.teardown()


def test_damage_that_the_store_finds_is_told_as_such(tmp_path, target):
    session = target.open()
    session.save(GROUP, frames())
    session.read(GROUP, ["numbers"])
    (path,) = glob.glob(f"{tmp_path}/store/**/*.parquet", recursive=True)
    with open(path, "r+b") as file:
        file.seek(600)
        was = file.read(1)
        file.seek(600)
        file.write(bytes([was[0] ^ 0x10]))
    with pytest.raises(TargetCorrupt):
        session.read_detail(GROUP, ["numbers"], bypass_cache=True)


def test_an_outcome_that_the_store_does_not_know_is_not_taken_for_a_failure(target, monkeypatch):
    def lost(store, group, features):
        raise CommitUnknown("the last step was not answered")

    session = target.open()
    monkeypatch.setattr(SimpleFeatureStore, "commit", lost)
    with pytest.raises(CommitUnknown):
        session.save(GROUP, frames())


def test_a_name_that_is_no_name_is_a_rejection(target):
    with pytest.raises(TargetRejected, match=r"\.\./outside"):
        target.open().save("../outside", frames())


def test_without_a_cache_there_is_nothing_to_count_of_one(tmp_path):
    target = EmbeddedTarget(str(tmp_path / "store"), cache_enabled=False, durability="relaxed")
    session = target.open()
    session.save(GROUP, frames())
    session.read(GROUP, ["numbers"])
    stats = target.stats()
    assert (stats.cache_bytes, stats.cache_evictions, stats.commits) == (0, 0, 1)
    assert session.read_detail(GROUP, ["numbers"], bypass_cache=False).source == "store"
    target.teardown()
