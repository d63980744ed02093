import glob
import threading
import time

import pandas as pd
import pytest

from featurestore import CommitUnknown, SimpleFeatureStore
from stressd.targets import embedded
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


def test_sessions_that_are_opened_at_once_share_one_store(tmp_path, monkeypatch):
    """Each store has a cache of its own: a second one would hide behind the first, uncounted and unbounded."""
    together = threading.Barrier(4)
    sessions, made = [], []

    class SlowToOpen(SimpleFeatureStore):
        def __init__(self, config):
            made.append(threading.get_ident())
            time.sleep(0.05)  # the others are at the door by now
            super().__init__(config)

    monkeypatch.setattr(embedded, "SimpleFeatureStore", SlowToOpen)
    target = embedded.EmbeddedTarget(str(tmp_path / "store"), durability="relaxed")

    def open_one():
        together.wait(20)
        sessions.append(target.open())

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(sessions) == 4
    assert len(made) == 1
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
