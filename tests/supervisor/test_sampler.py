import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.metrics import CLASSES
from stressd.stats.table import Table, column
from stressd.supervisor.resources import MachineUse, TreeUsage
from stressd.supervisor.sampler import TickRing, tick
from stressd.verdict.evidence import Tick
from stressd.worker.cells import observe
from stressd.workload.offer import Pace

READ_STORE = CLASSES.index(("read", "store"))
counts = st.integers(0, 1_000)


@st.composite
def ticks(draw):
    per_class = tuple(draw(counts) for _ in CLASSES)
    return Tick(
        at_s=0.0,
        duration_s=1.0,
        counts=per_class,
        busy_s=tuple(count / 100 for count in per_class),
        p50_s=tuple(draw(st.floats(0.001, 1)) if count else None for count in per_class),
        p99_s=tuple(draw(st.floats(1, 2)) if count else None for count in per_class),
        attempts=draw(counts),
        errors=draw(counts),
        injected=draw(counts),
        rss_bytes=draw(counts),
        pss_bytes=draw(counts),
        arrow_bytes=draw(counts),
        cpu_s=draw(st.integers(0, 4)) / 4,
        workers=1,
        fault=draw(st.booleans()),
        idle=draw(st.floats(0, 1)),
        offered=draw(counts),
        begun=draw(counts),
        late=draw(counts),
    )


@given(st.lists(ticks(), max_size=60), st.integers(2, 8))
def test_the_ring_is_bounded_and_forgets_nothing_that_adds_up(added, capacity):
    ring = TickRing(capacity)
    for one in added:
        ring.append(one)
        assert len(ring.ticks()) <= capacity
    kept = ring.ticks()
    for name in ("duration_s", "attempts", "errors", "injected", "cpu_s", "offered", "begun", "late"):
        assert sum(getattr(one, name) for one in kept) == pytest.approx(sum(getattr(one, name) for one in added))
    for i in range(len(CLASSES)):
        assert sum(one.counts[i] for one in kept) == sum(one.counts[i] for one in added)
        assert sum(one.busy_s[i] for one in kept) == pytest.approx(sum(one.busy_s[i] for one in added))
    assert any(one.fault for one in kept) == any(one.fault for one in added)
    if added:
        assert kept[-1].rss_bytes == added[-1].rss_bytes
        assert max(one.p99_s[0] or 0 for one in kept) == max(one.p99_s[0] or 0 for one in added)


@given(st.lists(ticks(), min_size=1, max_size=40))
def test_a_merged_median_lies_between_those_it_was_made_of(added):
    ring = TickRing(2)
    for one in added:
        ring.append(one)
    known = [one.p50_s[0] for one in added if one.p50_s[0] is not None]
    for one in ring.ticks():
        if one.p50_s[0] is not None:
            assert min(known) * 0.999 <= one.p50_s[0] <= max(known) * 1.001


@given(ticks(), st.integers(1, 100))
def test_all_but_the_last_cover_the_same_time(one, count):
    ring = TickRing(8)
    for _ in range(count):
        ring.append(one)
    *durations_s, last_s = [kept.duration_s for kept in ring.ticks()]
    assert len(set(durations_s)) <= 1
    assert last_s <= max(durations_s, default=count)
    assert len(durations_s) + 1 >= min(count, 4)


@given(st.lists(ticks(), max_size=40))
def test_times_go_up(added):
    ring = TickRing(4)
    for second, one in enumerate(added):
        ring.append(Tick(**{name: getattr(one, name) for name in Tick.__slots__} | {"at_s": float(second)}))
    at_s = [one.at_s for one in ring.ticks()]
    assert at_s == sorted(set(at_s))


def test_a_tick_is_what_was_counted_in_its_window(tmp_path):
    table = Table.create(str(tmp_path / "table"), 2)
    before = table.snapshot()
    row = table.row(1)
    for _ in range(4):
        row[column("operations_total", "read", "ok")] += 1
        observe(row, column("operation_service_seconds", "read", "store"), 2_000_000)
    for outcome, count in (("error", 2), ("timeout", 1), ("injected", 5), ("violation", 1)):
        row[column("operations_total", "read", outcome)] += count
    usage = TreeUsage(rss_bytes=10, pss_bytes=9, cpu_s=0, by_pid={})
    machine = MachineUse(idle=0.3, others=0.5)
    facts = {"at_s": 3.0, "duration_s": 1.0, "cpu_s": -0.5, "workers": 1, "fault": False, "pace": Pace(9, 8, 2)}
    facts |= {"machine": machine, "rss_bytes": 10}
    one = tick(table.snapshot() - before, 8, usage, **facts)
    assert (one.idle, one.others) == (0.3, 0.5)
    assert (one.offered, one.begun, one.late) == (9, 8, 2)
    assert one.counts[READ_STORE] == 4
    assert one.busy_s[READ_STORE] == pytest.approx(0.008)
    assert one.p50_s[READ_STORE] == pytest.approx(0.002, rel=0.03)
    assert one.p50_s[0] is None
    assert (one.attempts, one.errors, one.injected) == (8, 3, 5)
    assert one.cpu_s == 0.0  # a process that ended took its time with it: less than nothing was not used
