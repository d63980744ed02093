"""A save killed, stopped or told of an error before or after any of its calls: all or nothing, and truly reported."""

import contextlib
import errno
import itertools
import multiprocessing
import os
import shutil
import signal
import time

import pytest
from faulty_disk import FaultyDisk, frame, leavings, open_files, opened, value

from featurestore import CommitUnknown, FeatureStoreError, SaveFailed

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["featurestore.store", "pyarrow.parquet"])
DEADLINE_S = 30.0
KILLED = 137
STEPS_AT_MOST = 300


@pytest.fixture(scope="module", params=["a new group", "a group with history"])
def template(request, tmp_path_factory):
    base = tmp_path_factory.mktemp("template") / "store"
    store = opened(base)
    if request.param == "a group with history":
        for number in range(4):
            store.save_features("g", {"f": frame(number)})
    return base


@pytest.fixture
def copies(template, tmp_path):
    """A fresh copy of the template each time it is asked."""

    def copy():
        return shutil.copytree(template, tmp_path / str(next(count)), symlinks=True)

    count = itertools.count()
    return copy


def steps_of(base, act):
    """A store whose disk calls `act(step, name, args)` at every step: 2k is before the k-th call, 2k + 1 after it."""
    disk = FaultyDisk()
    store = opened(base, disk)
    store._group("g")._commits = 1  # so that the next save collects
    count = itertools.count()

    def step(name, args):
        act(next(count), name, args)

    disk.before = disk.after = step
    return store


def is_link_to_log(name, args):
    return name == "link" and "/log/" in args[1]


def test_an_error_at_any_step_is_answered_truly(copies):
    answers = set()
    for failing in range(STEPS_AT_MOST):
        base = copies()
        before = value(opened(base))
        seen = []

        def fail(step, name, args, failing=failing, seen=seen):
            seen.append((name, args))
            if step == failing:
                raise OSError(errno.EIO, f"injected into {name}")

        store = steps_of(base, fail)
        files = open_files()
        answer = attempt(store)
        store._backend._disk.before = store._backend._disk.after = None
        if len(seen) <= failing:
            break
        answers.add(answer)
        assert answer in allowed(seen, failing), (failing, seen[failing])
        assert open_files() == files, (failing, seen[failing])
        assert value(store) in {"saved": [9.0], "failed": [before], "unknown": [before, 9.0]}[answer], seen[failing]
        assert_sound(base, store)
    assert answers == {"saved", "failed", "unknown"}
    assert answer == "saved", "the last step was passed"


def attempt(store):
    try:
        store.save_features("g", {"f": frame(9)})
    except SaveFailed:
        return "failed"
    except CommitUnknown:
        return "unknown"
    return "saved"


def allowed(seen, failing):
    links = [at for at, step in enumerate(seen) if is_link_to_log(*step)]
    if not links or failing < links[0]:
        return {"failed", "saved"}  # saved, where it failed to take turns, or to give a file back
    if failing == links[0]:
        return {"unknown"}
    return {"unknown"} if seen[failing][0] == "sync_folder" and failing <= links[-1] + 2 else {"saved"}


def assert_sound(base, store):
    """Every process sees the same, nothing is damaged, the next save works and nothing stays behind."""
    assert value(opened(base)) == value(store)
    assert store.verify() == []
    store.save_features("g", {"f": frame(10)})
    assert value(opened(base)) == value(store) == 10.0
    store.collect()
    assert leavings(base) == []
    assert store.verify() == []


def save_on_demand(pipe):
    """In a process of its own: save as told, and be killed (in a child) or stopped (itself) at a step."""
    while True:
        how, base, at, name = pipe.recv()
        if how == "end":
            return
        pipe.send(killed_at(base, at, name) if how == "kill" else stopped_at(base, at, name))


def killed_at(base, at, name):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BaseException):
        steps_of(base, lambda step, *_: step == at and os._exit(KILLED)).save_features("g", {name: frame(9)})
        os._exit(0)
    os._exit(1)


def stopped_at(base, at, name):
    try:
        act = lambda step, *_: step == at and os.kill(os.getpid(), signal.SIGSTOP)  # noqa: E731
        return steps_of(base, act).commit("g", {name: frame(9)}).number
    except FeatureStoreError as error:
        return repr(error)


@pytest.fixture(scope="module")
def saver():
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=save_on_demand, args=(theirs,))
    process.start()
    try:
        yield process, ours
        ours.send(("end", None, 0, ""))
        process.join(DEADLINE_S)
    finally:
        process.kill()
        process.join()


def test_a_writer_killed_at_any_step_leaves_all_or_nothing(copies, saver):
    _, pipe = saver
    seen = set()
    for at in range(0, STEPS_AT_MOST, 2):  # between two calls nothing happens
        base = copies()
        before = value(opened(base))
        pipe.send(("kill", base, at, "f"))
        assert pipe.poll(DEADLINE_S)
        exit_code = pipe.recv()
        store = opened(base)
        seen.add(value(store))
        assert exit_code in (0, KILLED)
        assert value(store) in ([before, 9.0] if exit_code else [9.0])
        assert_sound(base, store)
        if exit_code == 0:
            break
    assert exit_code == 0
    assert seen == {before, 9.0}


def test_a_writer_stopped_at_any_step_for_longer_than_its_number_is_kept_loses_nothing(copies, saver, monkeypatch):
    monkeypatch.setattr("featurestore.turn._PATIENCE_S", 0.02)  # the one that is stopped may hold the turn
    process, pipe = saver
    stopped = 0
    for at in range(0, STEPS_AT_MOST, 2):
        base = copies()
        other = opened(base)
        first = other.head("g")
        pipe.send(("stop", base, at, "mine"))
        stopped += (was_stopped := stops_or_answers(process.pid, pipe))
        numbers = [other.commit("g", {"f": frame(number)}).number for number in range(5)]
        other.collect()
        os.kill(process.pid, signal.SIGCONT)
        assert pipe.poll(DEADLINE_S), at
        numbers.append(pipe.recv())
        assert sorted(numbers) == list(range(first + 1, first + 7)), "each save is in the log once"
        assert (value(other, "mine"), value(other)) == (9.0, 4.0)
        assert_sound(base, other)
        if not was_stopped:
            break
    assert not was_stopped
    assert stopped > 30


def stops_or_answers(pid, pipe):
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if state(pid) == "T":
            return True
        if pipe.poll(0.001):
            return False
    raise AssertionError(f"process {pid} neither stopped nor answered")


def state(pid):
    with open(f"/proc/{pid}/stat") as about:
        return about.read().rpartition(")")[2].split()[0]
