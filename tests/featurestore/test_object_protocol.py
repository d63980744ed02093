"""The protocol of object stores: it holds under every order of steps that was tried, and no part of it is idle."""

import contextlib
import os
import random

import object_model
import pytest
from object_model import DATA, Violation

from featurestore.manifest import Manifest
from featurestore.objects import collection, commit, log
from featurestore.objects.collection import Collected, ObjectCollector
from featurestore.objects.commit import Change, ObjectWriter
from featurestore.objects.group import ObjectGroup
from featurestore.objects.log import ObjectLog

THOROUGH = int(os.environ.get("STRESSD_TEST_THOROUGH", "1"))
RUNS = 1_500 * THOROUGH
RUNS_TO_CATCH = 10_000


def test_nothing_is_lost_torn_or_published_twice_in_any_order_of_steps(monkeypatch, run_seed):
    acknowledged = unknown = failed = reads = 0
    for number in range(RUNS):
        seed = run_seed * RUNS + number
        try:
            run = object_model.play(seed, monkeypatch)
        except Violation as violation:
            pytest.fail(f"object_model.play({seed}): {violation}")
        acknowledged += len(run.acknowledged)
        unknown += len(run.unknown)
        failed += len(run.failed)
        reads += run.reads
    assert acknowledged > 3 * RUNS
    assert reads > RUNS
    assert unknown + failed < acknowledged / 50


class PassedWhileListing(object_model.World):
    """Shows of what was there when a list began only what is still there when it ends."""

    passing = None

    def below(self, folder):
        known = [key for key in self.objects if key.startswith(f"{folder}/")]
        passing, self.passing = self.passing, None
        if passing is not None:
            passing()
        return iter([self._status(key) for key in known if key in self.objects])


@pytest.mark.parametrize(("kept", "seen"), [(None, 6), (1, 0)], ids=["as it is", "with only the newest one recorded"])
def test_a_list_that_a_collector_passes_misses_no_horizon(monkeypatch, kept, seen):
    if kept is not None:
        monkeypatch.setattr(log, "_HORIZONS_KEPT", kept)
    dice = random.Random(1)
    world = PassedWhileListing(object_model.Schedule(dice), dice, faults=0.0)
    monkeypatch.setattr(world, "step", lambda: None)
    mine, collectors = ObjectLog(world, "g"), ObjectLog(world, "g")

    def collect(horizon):
        collectors.raise_horizon(horizon, {})
        collectors.drop_old_horizons()

    for horizon in (5, 6):
        collect(horizon)
    world.passing = lambda: collect(7)
    assert mine.horizon() == seen
    assert mine.horizon() == 7


class Stopped(Exception):  # noqa: N818 - a collector's end
    pass


def collector_stopped_after(steps, world, collector):
    """Whether it came to its end."""
    left = iter(range(steps))

    def step():
        if next(left, None) is None:
            raise Stopped

    world.step = step
    try:
        collector.collect(1, 0.0)
    except Stopped:
        return False
    finally:
        world.step = lambda: None
    return True


def heads_seen(put_late=False):
    """What a reader that had seen commit 2 takes for the head, beside a collector stopped after 1, 2, ... steps."""
    for steps in range(1, 1000):
        dice = random.Random(steps)
        world = object_model.World(object_model.Schedule(dice), dice, faults=0.0)
        world.step = lambda: None
        writer, reader, collector = (ObjectGroup(world, "g", lambda: 1.0, orphan_s=0.0) for _ in range(3))
        for number in range(1, 6):
            writer.writer.commit({"f": object_model.File(memoryview(b"%d" % number))})
            if number == 2:
                assert reader.log.head().number == 2
        done = collector_stopped_after(steps, world, collector)
        if put_late:
            with contextlib.suppress(FileExistsError):
                world.put_new(reader.log.key(2), Manifest(2, "somebody who slept").encode())
        yield reader.log.head().number
        if done:
            return


def test_a_reader_sees_the_newest_commit_wherever_a_collector_stopped():
    seen = list(heads_seen())
    assert seen == [5] * len(seen)
    assert len(seen) > 20


def test_a_reader_sees_it_although_somebody_put_into_a_collected_number():
    assert set(heads_seen(put_late=True)) == {5}


def test_that_needs_manifests_to_be_deleted_oldest_first(monkeypatch):
    manifests_are_deleted_from_the_newest_down(monkeypatch.setattr)
    assert set(heads_seen()) > {5}


def test_that_needs_a_second_look_at_the_head_and_at_its_tag(monkeypatch):
    with monkeypatch.context() as patch:
        a_head_is_believed_without_a_second_look(patch.setattr)
        assert 2 in set(heads_seen())
    a_head_is_believed_if_anything_has_its_number(monkeypatch.setattr)
    assert set(heads_seen()) == {5}
    assert 2 in set(heads_seen(put_late=True))


def late_answers(monkeypatch):
    """A save beside which the first attempt of the writer's last one lands, after its number was collected."""
    monkeypatch.setattr(commit, "_pause", lambda attempt: None)
    dice = random.Random(1)
    world = object_model.World(object_model.Schedule(dice), dice, faults=0.0)
    world.step = lambda: None
    writer, other = (ObjectGroup(world, "g", lambda: 1.0, orphan_s=0.0) for _ in range(2))
    put_new, late = world.put_new, []

    def first_gets_no_answer(key, data):
        if not late:
            late.append((key, data))
            raise OSError("no answer")
        return put_new(key, data)

    def save(group, value):
        return group.writer.commit({"f": object_model.File(memoryview(value))}).number

    assert save(other, b"1") == 1
    world.put_new = first_gets_no_answer
    assert save(writer, b"2") == 2
    for value in (b"3", b"4", b"5", b"6"):
        save(other, value)
    other.collect(1, 0.0)
    put_new(*late[0])
    return save(writer, b"7")


def test_an_attempt_that_lands_late_is_not_taken_for_the_one_that_was_seen(monkeypatch):
    assert late_answers(monkeypatch) == 7


def test_that_needs_attempts_that_differ(monkeypatch):
    monkeypatch.setattr(commit, "replace", lambda following, attempt: following)
    assert late_answers(monkeypatch) == 3, "a number that was collected: the save is lost"


# --- What each part is for: without it, some order of steps goes wrong


def a_head_is_believed_if_anything_has_its_number(patch):
    def newest(self):
        known = self._head
        if known is not None and self._bucket.status(self.key(known.manifest.number + 1)) is None:
            if self._bucket.status(self.key(known.manifest.number)) is not None:
                return known
            known = None
        return self._find(known)

    patch(ObjectLog, "newest", newest)


def manifests_are_deleted_from_the_newest_down(patch):
    expire = ObjectCollector.expire

    class Downwards:
        def __init__(self, bucket):
            self.bucket = bucket
            self.doomed = []

        def __getattr__(self, name):
            return getattr(self.bucket, name)

        def delete(self, keys):
            keys = list(keys)
            if len(keys) == 1 and not keys[0].startswith(DATA):
                self.doomed += keys
                return
            self.bucket.delete(reversed(self.doomed))
            self.bucket.delete(keys)

    def downwards(self, keep_versions, grace_s, at_most=None):
        mine = ObjectCollector(Downwards(self._bucket), self._log, self._writer, self._data, self._clock)
        return expire(mine, keep_versions, grace_s, at_most)

    patch(ObjectCollector, "expire", downwards)


@contextlib.contextmanager
def blind(of):
    """Does not look whether a number was collected."""
    of.is_first = lambda number, below: True
    try:
        yield
    finally:
        del of.is_first


def a_writer_does_not_look_at_the_horizon(patch):
    publish = ObjectWriter._publish

    def _publish(self, change, base):
        with blind(self._log):
            return publish(self, change, base)

    patch(ObjectWriter, "_publish", _publish)


def whoever_looks_for_the_head_does_not_look_at_the_horizon(patch):
    find = ObjectLog._find

    def _find(self, known):
        with blind(self):
            return find(self, known)

    patch(ObjectLog, "_find", _find)


def a_head_is_believed_without_a_second_look(patch):
    def newest(self):
        known = self._head
        if known is not None and self._bucket.status(self.key(known.manifest.number + 1)) is None:
            return known
        return self._find(known)

    patch(ObjectLog, "newest", newest)


def a_writer_does_not_ask_whether_it_was_revoked(patch):
    patch(commit._Save, "passed", lambda self, manifest: None)


def a_writer_looks_for_its_base_after_its_files(patch):
    def _save(self, save, *, afresh):
        self._put_files(save)
        return self.publish(Change(save.txn, save.follow, save.passed), self._log.newest())

    patch(ObjectWriter, "_save", _save)


def a_sweep_deletes_without_revoking(patch):
    def _revoke(self, orphans, head):
        self._bucket.delete(status.key for status in orphans.values())
        return Collected()

    patch(ObjectCollector, "_revoke", _revoke)


def a_sweep_deletes_before_it_revokes(patch):
    revoke = ObjectCollector._revoke

    def _revoke(self, orphans, head):
        self._bucket.delete([status.key for status in orphans.values()])
        return revoke(self, orphans, head)

    patch(ObjectCollector, "_revoke", _revoke)


def a_sweep_forgets_to_ask_what_commits_name(patch):
    patch(collection, "_forget", lambda orphans, manifest: None)


def a_collector_publishes_no_horizon(patch):
    patch(ObjectLog, "raise_horizon", lambda self, number, whose: None)


def a_collector_publishes_its_horizon_when_it_is_done(patch):
    raise_horizon = ObjectLog.raise_horizon
    later = {}
    patch(ObjectLog, "raise_horizon", lambda self, *horizon: later.update({id(self): horizon}))
    patch(ObjectLog, "drop_old_horizons", lambda self: raise_horizon(self, *later.pop(id(self))))


def a_collected_number_is_taken_for_ours(patch):
    patch(ObjectWriter, "_was_ours", lambda self, following: True)


def a_collected_number_is_taken_for_anothers(patch):
    patch(ObjectWriter, "_was_ours", lambda self, following: False)


def a_writer_does_not_know_its_own_manifest(patch):
    publish = ObjectWriter._publish

    def _publish(self, change, base):
        change.txn = "nobody's"
        return publish(self, change, base)

    patch(ObjectWriter, "_publish", _publish)


def an_error_of_a_put_is_taken_for_a_failure(patch):
    patch(commit, "_REFUSALS", (None,))  # what the model's errors have for a number
    walk = ObjectLog.walk
    patch(ObjectLog, "walk", lambda self, number, at_most=None: [] if at_most == 1 else walk(self, number, at_most))


MUTATIONS = [
    a_writer_does_not_look_at_the_horizon,
    whoever_looks_for_the_head_does_not_look_at_the_horizon,
    a_head_is_believed_without_a_second_look,
    a_writer_does_not_ask_whether_it_was_revoked,
    a_writer_looks_for_its_base_after_its_files,
    a_sweep_deletes_without_revoking,
    a_sweep_deletes_before_it_revokes,
    a_sweep_forgets_to_ask_what_commits_name,
    a_collector_publishes_no_horizon,
    a_collector_publishes_its_horizon_when_it_is_done,
    a_collected_number_is_taken_for_ours,
    a_collected_number_is_taken_for_anothers,
    a_writer_does_not_know_its_own_manifest,
    an_error_of_a_put_is_taken_for_a_failure,
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_no_part_of_the_protocol_is_idle(monkeypatch, run_seed, mutation):
    mutation(monkeypatch.setattr)
    for number in range(RUNS_TO_CATCH):
        try:
            object_model.play(run_seed * RUNS_TO_CATCH + number, monkeypatch)
        except Violation:
            return
    pytest.fail(f"in {RUNS_TO_CATCH} runs nothing went wrong")
