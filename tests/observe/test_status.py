import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.criteria import BY_NAME, Outcome
from stressd.metrics import CLASSES
from stressd.observe.status import (
    CLASS_NAMES,
    HISTORY_POINTS,
    CriterionStatus,
    NodeFacts,
    PoolFacts,
    build_status,
    history,
)
from stressd.stats.histogram import bucket
from stressd.stats.table import Table, column
from stressd.verdict.evidence import FaultRecord, Tick

FACTS = NodeFacts(
    state="running",
    run_id="r1",
    scenario="soak",
    target="embedded",
    seed=2**64 - 1,
    version="0.1.0",
    started_at="2026-01-01T00:00:00Z",
    elapsed_s=90.0,
    duration_s=180.0,
    pools=(PoolFacts("main", 3, {"running": 1, "degraded": 1, "starting": 1}),),
    restarts={"oom": 1},
    memory_bytes=400_000_000,
    faults=(FaultRecord("target_errors", 60.0, 63.0, None),),
)


def tick(at_s, count=10, **changes):
    read_store = CLASSES.index(("read", "store"))
    facts = {
        "at_s": at_s,
        "duration_s": 1.0,
        "counts": tuple(count if i == read_store else 0 for i in range(len(CLASSES))),
        "busy_s": (0.0,) * len(CLASSES),
        "p50_s": tuple(0.004 if i == read_store else None for i in range(len(CLASSES))),
        "p99_s": tuple(0.01 if i == read_store else None for i in range(len(CLASSES))),
        "attempts": count,
        "errors": 0,
        "injected": 0,
        "rss_bytes": 500,
        "pss_bytes": 400,
        "arrow_bytes": 0,
        "cpu_s": 0.5,
        "workers": 2,
        "fault": False,
    }
    return Tick(**{**facts, **changes})


@pytest.fixture
def table(tmp_path):
    return Table.create(str(tmp_path / "table"), 2)


def add(table, row, amount, name, *values):
    table.row(row)[column(name, *values)] += amount


def read_for(table, row, duration_s, times):
    add(table, row, times, "operations_total", "read", "ok")
    table.row(row)[column("operation_service_seconds", "read", "store") + bucket(round(duration_s * 1e9))] += times


def status(table, *, recent=None, ticks=(), criteria=()):
    total = table.snapshot()
    return build_status(FACTS, total, recent or total, recent_s=10.0, ticks=ticks, criteria=criteria)


def test_rates_and_recent_quantiles_are_of_the_last_seconds_the_rest_of_all(table):
    read_for(table, 0, 0.100, 100)
    before = table.snapshot()
    read_for(table, 1, 0.001, 50)
    shown = status(table, recent=table.snapshot() - before)
    (read,) = [operation for operation in shown.operations if operation.name == "read (store)"]
    assert (read.count, read.rate_per_s, shown.rate_per_s) == (150, 5.0, 5.0)
    assert read.recent_p99_s == pytest.approx(0.001, rel=0.03)
    assert read.p50_s == pytest.approx(0.1, rel=0.03)
    (save,) = [operation for operation in shown.operations if operation.name == "save"]
    assert (save.count, save.p50_s, save.recent_p99_s) == (0, None, None)


def test_injected_errors_are_apart_and_violations_are_no_errors(table):
    for outcome, times in (("ok", 90), ("error", 3), ("timeout", 2), ("injected", 40), ("violation", 5)):
        add(table, 0, times, "operations_total", "save", outcome)
    add(table, 1, 5, "violations_total", "lost")
    shown = status(table)
    assert (shown.errors, shown.attempts, shown.violation_count) == (5, 100, 5)
    assert shown.violations["lost"] == 5


def test_workers_are_those_at_work(table):
    shown = status(table)
    assert (shown.workers_running, shown.workers_desired) == (2, 3)


def test_it_becomes_json_that_a_browser_reads_without_loss(table):
    read_for(table, 0, 0.1, 1)
    criterion = CriterionStatus.of(BY_NAME["error_rate"], Outcome.INCONCLUSIVE, math.nan, "nothing yet")
    dump = status(table, ticks=[tick(0), tick(1)], criteria=[criterion]).to_json()
    read = json.loads(json.dumps(dump, allow_nan=False))
    assert read["schema"] == "stressd.status/1"
    assert read["facts"]["seed"] == str(2**64 - 1)
    assert [operation["name"] for operation in read["operations"]] == list(CLASS_NAMES)
    assert read["criteria"][0] == {
        "name": "error_rate",
        "subject": "target",
        "outcome": "inconclusive",
        "value": None,
        "unit": "%",
        "passes": "< 1",
        "fails": ">= 5",
        "measures": BY_NAME["error_rate"].measures,
        "note": "nothing yet",
    }
    assert read["facts"]["faults"][0]["recovery_s"] is None
    assert read["history"]["rates_per_s"] == [10.0, 10.0]


def test_a_long_run_is_thinned_the_worst_and_the_faults_stay_visible():
    ticks = [tick(float(i)) for i in range(1_000)]
    ticks[502] = tick(
        502.0, count=0, p99_s=(None, None, None, 0.7, None), pss_bytes=0, rss_bytes=900, errors=2, fault=True
    )
    past = history(ticks)
    assert past.step_s == 5.0
    assert len(past.at_s) == 200
    assert past.rates_per_s[99:102] == [10.0, 8.0, 10.0]
    assert past.memory_bytes[99:102] == [400, 900, 400]
    assert past.p99_s["read (store)"][100] == 0.7
    assert past.p99_s["save"] == [None] * 200
    assert (past.errors[100], [i for i, fault in enumerate(past.faults) if fault]) == (2, [100])


def test_points_stay_where_they_are_while_the_ring_moves_on():
    seconds = random.Random(1)
    ticks = [tick(i + seconds.random() / 10, count=i % 17) for i in range(1_500)]
    early, late = history(ticks[:1_000]), history(ticks[3:1_003])
    shared = dict(zip(early.at_s[1:-1], early.rates_per_s[1:-1], strict=True))
    later = dict(zip(late.at_s[1:-1], late.rates_per_s[1:-1], strict=True))
    assert early.step_s == late.step_s
    both = shared.keys() & later.keys()
    assert len(both) > 190
    assert all(shared[at_s] == later[at_s] for at_s in both)


@given(st.integers(0, 5_000), st.floats(0.5, 400.0), st.floats(0, 1e6))
def test_the_history_is_bounded_and_its_lists_are_of_one_length(count, every_s, start_s):
    past = history([tick(start_s + i * every_s) for i in range(0, count, max(1, count // 400))])
    lists = [
        past.rates_per_s,
        past.memory_bytes,
        past.errors,
        past.faults,
        *past.p50_s.values(),
        *past.p99_s.values(),
    ]
    assert len(past.at_s) <= HISTORY_POINTS
    assert {len(values) for values in lists} == {len(past.at_s)}
    assert list(past.at_s) == sorted(past.at_s)


def test_without_ticks_there_is_an_empty_history():
    assert history([]).at_s == []
