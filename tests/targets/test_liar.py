"""The liar does the one wrong thing that it is asked for, once or as often as it is asked to, and nothing else."""

import json
import threading
import time

import pandas as pd
import pytest

from stressd import scenario
from stressd.errors import TargetError
from stressd.targets.faults import Liar, lies
from stressd.targets.faults.changes import CHANGES
from stressd.targets.faults.lies import LIES
from stressd.targets.loading import load_target, with_folder
from stressd.targets.protocol import (
    Abilities,
    DetailedSession,
    TargetRejected,
    TargetSpec,
    TargetWithDrop,
    TargetWithFootprint,
    TargetWithStats,
    guarantees_of,
)
from stressd.workload.frames import RandomContent

CONTENT = RandomContent(scenario.Content(kind="random", rows=6, columns=3, names=3), 7)
NAMES = list(CONTENT.names)
GROUP, OTHER = "g-00001", "g-00002"
PATIENCE_S = 20


def frames(seq, key=1):
    return CONTENT.frames(key, seq).frames


def same(left, right):
    return set(left) == set(right) and all(left[name].equals(right[name]) for name in right)


class Store:
    """A session of a liar before a dict, with three saves of two groups made."""

    def __init__(self, lie, folder=None, **options):
        self.target = Liar(lie, inner="memory", folder=folder, **options)
        self.target.setup()
        self.session = self.target.open()
        for seq in (1, 2, 3):
            self.session.save(GROUP, frames(seq))
            self.session.save(OTHER, frames(seq, key=2))

    def save(self, seq, group=GROUP):
        return self.session.save(group, frames(seq))

    def read(self, group=GROUP):
        return self.session.read(group, NAMES)

    def truth(self, group=GROUP):
        return self.target._inner.read(group, NAMES)

    def right(self, seq):
        return same(self.read(), frames(seq))


@pytest.fixture
def liar(tmp_path):
    """Make a store whose liar tells its lie once from call 7 on, the first after the saves that are made."""
    return lambda lie, **options: Store(lie, str(tmp_path / lie), **({"at": 7} | options))


def test_the_liar_that_tells_nothing_changes_nothing(liar):
    store = liar("none", at=1)
    assert store.right(3)
    assert store.save(4) > 0
    assert store.right(4)
    with pytest.raises(KeyError):
        store.session.read("nobody", NAMES)
    store.session.close()
    store.target.teardown()


# --- Content -------------------------------------------------------------------------------------


def test_a_dropped_save_is_acknowledged_and_the_next_is_not_dropped(liar):
    store = liar("drop_save")
    assert store.save(4) is None
    assert store.right(3)
    assert store.save(5) > 0
    assert store.right(5)


def test_the_first_save_of_a_group_is_not_dropped(liar):
    store = liar("drop_save", at=1)  # the first save of the group could not be told from one that was never made
    assert store.right(3 if store.save(4) is None else 4)
    assert same(store.truth(OTHER), frames(3, key=2)) or same(store.truth(OTHER), frames(1, key=2))


def test_an_old_version_is_the_last_but_two(liar):
    store = liar("old_version")
    assert store.right(1)
    assert store.right(3)


def test_another_groups_frames_are_served_once(liar):
    store = liar("other_group")
    assert same(store.read(), frames(3, key=2))
    assert store.right(3)


def test_half_a_save_leaves_some_names_as_they_were(liar):
    store = liar("half_save")
    assert store.save(4) > 0
    found = store.read()
    new = [name for name in NAMES if found[name].equals(frames(4)[name])]
    old = [name for name in NAMES if found[name].equals(frames(3)[name])]
    assert sorted(new + old) == sorted(NAMES)
    assert new
    assert old


@pytest.mark.parametrize("on", ["read", "save"])
@pytest.mark.parametrize("change", CHANGES)
def test_one_frame_is_changed_for_one_read_or_until_the_next_save(liar, change, on):
    store = liar(change, on=on)
    if on == "save":
        store.save(3)
    found = store.read()
    assert [name for name in NAMES if not found[name].equals(frames(3)[name])], "one is changed"
    assert len([name for name in NAMES if not found[name].equals(frames(3)[name])]) == 1
    assert store.right(3) == (on == "read")
    store.save(4)
    assert store.right(4)


def test_what_each_change_does_to_a_frame(run_seed):
    print("seed", run_seed)
    import random

    new, old = frames(3)[NAMES[0]], frames(2)[NAMES[0]]
    for turn in range(50):
        draw = random.Random(f"{run_seed}:{turn}")
        changed = {name: change(new, old, draw) for name, change in CHANGES.items()}
        assert len(changed["lose_rows"]) in range(1, len(new))
        assert changed["drop_column"].shape == (len(new), new.shape[1] - 1)
        assert sorted(changed["reorder_rows"]["id"]) == sorted(new["id"])
        assert not changed["reorder_rows"].equals(new)
        differing = (changed["flip_bit"] != new).to_numpy()
        assert differing.sum() == 1
        assert [str(kind) for kind in changed["retype_column"].dtypes] != [str(kind) for kind in new.dtypes]
        rows = [list(row) for row in zip(*(changed["mix_rows"]["id"] == one["id"] for one in (new, old)), strict=True)]
        assert rows[0] == [True, False]
        assert rows[-1] == [False, True]
        columns = [(changed["mix_columns"][name].equals(new[name])) for name in new]
        assert any(columns)
        assert not all(columns)
        assert new.equals(frames(3)[NAMES[0]]), "the frame itself is left alone"


def test_a_change_that_cannot_be_made_is_not_made():
    import random

    draw, nothing, text = random.Random(1), pd.DataFrame({"a": []}), pd.DataFrame({"a": ["x"]})
    for frame in (nothing, text):
        assert {name for name, change in CHANGES.items() if change(frame, None, draw) is not None} == set()
    zero = pd.DataFrame({"a": [0.0, float("nan")]})
    assert CHANGES["flip_bit"](zero, None, draw) is None, "neither the sign of zero nor a null's bits are content"
    twice = pd.DataFrame({"a": [1, 1]})
    assert CHANGES["reorder_rows"](twice, None, draw) is None
    assert CHANGES["mix_rows"](twice, twice.copy(), draw) is None


def test_a_frame_that_is_handed_out_is_the_same_for_all_readers(liar):
    store = liar("hand_out_own")
    first, second = store.read(), store.read()
    assert all(first[name] is second[name] for name in NAMES)
    first[NAMES[0]].iat[0, 1] = -1.0
    assert store.read()[NAMES[0]].iat[0, 1] == -1.0
    assert store.session.read_detail(GROUP, NAMES, bypass_cache=True).frames[NAMES[0]].iat[0, 1] != -1.0
    store.save(4)
    assert store.right(4), "a new version is a new frame"


def test_a_frame_that_is_saved_stays_in_the_hands_of_its_owner(liar):
    store = liar("keep_yours")
    mine = frames(4)
    store.session.save(GROUP, mine)
    assert same(store.read(), frames(4))
    mine[NAMES[0]].iat[0, 1] = -1.0
    assert store.read()[NAMES[0]].iat[0, 1] == -1.0
    assert store.read()[NAMES[0]] is not mine[NAMES[0]]


def test_a_rejected_save_comes_back_once(liar):
    store = liar("resurrect")
    with pytest.raises(TargetRejected):
        store.save(4)
    assert same(store.truth(), frames(3))
    assert store.right(4)
    assert store.right(3)


def test_a_cache_that_never_looks_again(liar):
    store = liar("stale_cache")
    assert store.right(3)
    store.save(4)
    detail = store.session.read_detail(GROUP, NAMES, bypass_cache=False)
    assert detail.source == "cache"
    assert same(detail.frames, frames(3))
    assert same(store.session.read_detail(GROUP, NAMES, bypass_cache=True).frames, frames(4))


def test_a_reader_sees_a_save_under_way_and_then_the_one_before(liar, monkeypatch):
    monkeypatch.setattr(lies, "FLICKER_WAIT_S", PATIENCE_S)
    store = liar("flicker")
    saver = threading.Thread(target=store.save, args=(4,), daemon=True)
    saver.start()
    deadline_s = time.monotonic() + PATIENCE_S
    while not store.target._lie._shown and time.monotonic() < deadline_s:
        time.sleep(0.001)
    assert store.right(4)
    assert saver.is_alive(), "not acknowledged"
    assert store.right(3)
    saver.join(PATIENCE_S)
    assert not saver.is_alive()
    assert store.right(4)


def test_where_nobody_looks_a_save_does_not_flicker_and_goes_on(liar, monkeypatch):
    monkeypatch.setattr(lies, "FLICKER_WAIT_S", 0.01)
    store = liar("flicker")
    assert store.save(4) > 0
    assert store.right(4)
    assert store.right(4)


def test_a_commit_number_is_told_twice(liar):
    store = liar("wrong_commit", at=8)
    first, second, third = (store.save(seq) for seq in (4, 5, 6))
    assert first == second < third


# --- Drifts --------------------------------------------------------------------------------------


def test_a_leak_holds_what_time_says(liar, monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(lies.time, "monotonic", lambda: now_s[0])
    store = liar("leak", at=1, mb_per_s="2")
    now_s[0] += 3
    store.read()
    store.read()
    held = sum(map(len, store.target._lie._held))
    assert 5.5e6 < held <= 6e6


def test_calls_take_longer_as_time_goes_by(liar, monkeypatch):
    waits = []
    monkeypatch.setattr(lies, "_wait_until", lambda at_s: waits.append(at_s - now_s[0]))
    now_s = [100.0]

    def clock():
        now_s[0] += 1  # each call takes one second: it is asked before and after
        return now_s[0]

    monkeypatch.setattr(lies.time, "perf_counter", clock)
    store = liar("slow_down", at=1, slower_by="25%", over_s=180)
    now_s[0] = 102.0 + 180 - 2
    waits.clear()
    store.read()
    assert waits == [pytest.approx(0.25, rel=0.02)]


def test_waiting_is_to_the_point():
    began_s = time.perf_counter()
    lies._wait_until(began_s + 0.005)
    assert time.perf_counter() >= began_s + 0.005
    lies._wait_until(began_s)  # past: at once


def test_a_stalled_call_does_not_come_back_in_time_and_no_other_stalls(liar):
    store = liar("stall", stall_s=PATIENCE_S)
    stalled = threading.Thread(target=store.read, daemon=True)
    stalled.start()
    while not store.target._moments._over:
        time.sleep(0.001)
    assert store.right(3)
    assert stalled.is_alive()


def test_errors_come_before_the_save_or_after_it(run_seed):
    store = Store("raise_error", rate=0)
    store.target._moments._rate = 1.0
    outcomes = set()
    for seq in range(4, 12):
        with pytest.raises(ConnectionError):
            store.save(seq)
        outcomes.add(same(store.truth(), frames(seq)))
    assert outcomes == {True, False}


# --- When ----------------------------------------------------------------------------------------


def test_the_same_seed_tells_the_same_lie(tmp_path):
    seeds = (1, 1, 2)
    told = [Store("flip_bit", str(tmp_path / str(number)), at=7, seed=seed).read() for number, seed in enumerate(seeds)]
    assert same(told[0], told[1])
    assert not same(told[0], told[2])


def test_several_processes_tell_it_once_between_them(tmp_path):
    """Each liar stands for a process: they share nothing but the folder."""
    folder = str(tmp_path)
    first = Store("flip_bit", folder, at=20)
    others = [Liar("flip_bit", inner="memory", folder=folder, at=20) for _ in range(3)]
    stores = [first]
    for target in others:
        store = object.__new__(Store)
        store.target, store.session = target, target.open()
        store.session.save(GROUP, frames(3))
        stores.append(store)
    wrong = [number for number in range(40) if not stores[number % 4].right(3)]
    assert wrong == [20 - 9 - 1], "six and three saves came before"
    (line,) = (tmp_path / "told").read_text().splitlines()
    assert (json.loads(line)["call"], json.loads(line)["group"]) == (20, GROUP)
    calls = (tmp_path / "calls").read_bytes()
    moments = [int.from_bytes(calls[at : at + 8], "little") for at in range(0, len(calls), 8)]
    assert len(moments) == 6 + 3 + 40
    assert moments == sorted(moments)


def test_a_new_run_begins_to_count_anew(tmp_path):
    Store("flip_bit", str(tmp_path), at=7).read()
    assert not Store("flip_bit", str(tmp_path), at=7).right(3)


def test_a_rate_is_a_share_of_the_calls(tmp_path):
    store = Store("flip_bit", str(tmp_path), rate="25%", seed=5)
    wrong = sum(not store.right(3) for _ in range(400))
    assert 60 < wrong < 140
    assert len((tmp_path / "told").read_text().splitlines()) == wrong
    assert not (tmp_path / "calls").exists()


def test_without_a_word_about_when_it_lies_now_and_then(tmp_path):
    store = Store("flip_bit", str(tmp_path))
    wrong = sum(not store.right(3) for _ in range(500))
    assert 0 < wrong < 30


# --- Options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "there are .*drop_save"),
        ({"lie": "drop_saves"}, "did you mean drop_save"),
        ({"lie": "flip_bit", "at": "5", "rate": "1%"}, "leave one out"),
        ({"lie": "flip_bit", "rate": 2}, "from 0 to 1"),
        ({"lie": "flip_bit", "at": "soon"}, "at=soon: no number"),
        ({"lie": "flip_bit", "on": "both"}, "on save or on read"),
        ({"lie": "leak", "rate": 0.1}, "goes on"),
        ({"lie": "none", "inner": "nowhere"}, "target nowhere: unknown"),
        ({"lie": "none", "no_such": 1}, "no_such"),
    ],
)
def test_options_that_cannot_be_are_told(options, said):
    with pytest.raises(TargetError, match=said):
        Liar(**({"inner": "memory"} | options))


def test_every_lie_says_what_it_does():
    assert all(lie.__doc__ for lie in LIES.values())
    assert len({lie.__doc__ for lie in LIES.values()}) == len(LIES)


def test_it_is_what_the_inner_target_is(tmp_path):
    spec = with_folder(TargetSpec("stressd.targets.faults:Liar", {"lie": "none", "cache_max_size": 7}), str(tmp_path))
    target = load_target(spec)
    assert (target.abilities.cache, target.abilities.ttl_option) == (True, "cache_ttl_seconds")
    assert isinstance(target, TargetWithStats)
    assert isinstance(target, TargetWithFootprint)
    assert isinstance(target, TargetWithDrop)
    assert isinstance(target.open(), DetailedSession)
    target.setup()
    session = target.open()
    session.save(GROUP, frames(1))
    assert session.read_detail(GROUP, NAMES, bypass_cache=False).source == "store"
    assert session.read_detail(GROUP, NAMES, bypass_cache=False).source == "cache"
    assert (tmp_path / "inner" / GROUP).is_dir()
    target.drop(GROUP)
    with pytest.raises(KeyError):
        session.read(GROUP, NAMES)
    target.teardown()


def test_a_plain_inner_target_keeps_its_claims_and_gets_no_abilities():
    class Plain:
        guarantees = {"reads": "session"}  # noqa: RUF012 - as anyone writes it

        def __init__(self, seed):
            self.seed = seed

        def setup(self):
            pass

        def teardown(self):
            pass

        def open(self):
            return self

    import sys

    sys.modules["plain_store"] = sys.modules[__name__]
    sys.modules[__name__].Plain = Plain
    try:
        target = Liar("none", inner="plain_store:Plain", inner_seed=5, seed=6)
    finally:
        del sys.modules["plain_store"]
    assert target._inner.seed == 5
    assert guarantees_of(target).reads == "session"
    assert target.abilities == Abilities()
    assert not isinstance(target, TargetWithStats)
    assert not isinstance(target, TargetWithDrop)


def test_a_delay_lies_on_the_way_to_the_inner_target(monkeypatch):
    slept = []
    monkeypatch.setattr("stressd.targets.faults.memory.time.sleep", slept.append)
    store = Store("none", delay_ms=5)
    slept.clear()
    store.save(4)
    store.read()
    assert slept == [0.005, 0.005]
