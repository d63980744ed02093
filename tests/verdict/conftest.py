"""Runs that never ran: evidence made of numbers, healthy unless a test says otherwise."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from simulated import MB, RATES, WARMUP_S, memory_ticks, noisy_ticks, quiet_ticks, tick

from stressd.metrics import CLASSES
from stressd.scenario import Scenario
from stressd.stats.table import Table, column
from stressd.targets.protocol import Abilities
from stressd.verdict.evidence import Evidence, FaultRecord, ProbeResult
from stressd.verdict.report import RunFacts, build_report
from stressd.verdict.verdict import exit_code, judge
from stressd.worker.cells import observe

ABILITIES = Abilities(storage=True, cache=True, ttl_option="cache_ttl_seconds")
SCENARIO = {
    "name": "soak",
    "warmup_s": WARMUP_S,
    "pools": [{"name": "mixed", "processes": 2, "rate": 60, "mix": {"generate": 3, "save": 12, "read": 45}}],
    "probes": {"before": ["generation", "storage"], "after": ["concurrency", "memory", "cache"]},
    "faults": [{"kind": "target_errors"}],
}
FIGURES = {
    "generation": {"generation_rate": 2_000.0, "generation_memory": 180.0},
    "storage": {"save_throughput": 80.0, "read_throughput": 300.0},
    "concurrency": {"concurrent_success_rate": 100.0},
    "memory": {"memory_released": 3.0},
    "cache": {"cache_speedup": 12.0, "cache_hit_rate": 100.0, "cache_ttl_refresh": 1.0},
}


class Counters:
    """A shared table's one row, to count into as a worker would."""

    def __init__(self, path):
        self.table = Table.create(str(path), 1)
        self.row = self.table.row(0)

    def add(self, name, *values, count=1):
        self.row[column(name, *values)] += count

    def serve(self, op, source, times_s):
        for time_s in times_s:
            self.add("operations_total", op, "ok")
            observe(self.row, column("operation_service_seconds", op, source), round(time_s * 1e9))
            observe(self.row, column("operation_latency_seconds", op), round(time_s * 1.1e9))

    def snapshot(self):
        return self.table.snapshot()


@pytest.fixture
def counters(tmp_path):
    made = 0

    def make():
        nonlocal made
        made += 1
        return Counters(tmp_path / f"table-{made}")

    return make


@pytest.fixture
def healthy(counters):
    """Evidence of a healthy three-minute soak."""
    counted = counters()
    counted.serve("save", "none", [0.02] * 200)
    counted.serve("read", "store", [0.006] * 300)
    counted.serve("read", "cache", [0.0005] * 300)
    counted.serve("generate", "none", [0.025] * 100)
    counted.add("bytes_total", "save", count=200 * 2 * MB)
    counted.add("bytes_from_store", count=300 * 2 * MB)
    counted.add("reads_verified_total", count=600)
    counted.add("cells_checked", count=600 * 20_000)
    counted.add("writes_acknowledged", count=200)
    counted.add("writes_verified", count=200)
    counted.add("reads_expected_cached", count=300)
    counted.add("reads_expected_cached_hit", count=295)
    snapshot = counted.snapshot()
    return Evidence(
        scenario=Scenario.model_validate(SCENARIO),
        abilities=ABILITIES,
        cores=2.0,
        load_s=180.0,
        measured=snapshot,
        total=snapshot,
        ticks=quiet_ticks(),
        probes={name: ProbeResult(name, 1.0, figures) for name, figures in FIGURES.items()},
        faults=[FaultRecord("target_errors", 90.0, 93.0, 0.2)],
        deaths=0,
        restarts={},
    )


@pytest.fixture
def violated(healthy, counters):
    """A run that fails in every way: a violation, a failure, a warning, and one that cannot tell."""
    counted = counters()
    counted.serve("save", "none", [0.02] * 200)
    counted.add("violations_total", "lost", count=2)
    probes = {
        **healthy.probes,
        "concurrency": ProbeResult("concurrency", 1.0, {"concurrent_success_rate": 93.0}),
        "memory": ProbeResult("memory", 1.0, error="ValueError: a | pipe, a <tag>, a [red]style[/] and \x1b[31mred"),
    }
    return replace(
        healthy,
        total=counted.snapshot(),
        measured=counted.snapshot(),
        probes=probes,
        deaths=1,
        abilities=Abilities(),
    )


def scenario(**changes):
    """The healthy run's scenario, changed; a key with None is left out."""
    merged = {**SCENARIO, **changes}
    return Scenario.model_validate({key: value for key, value in merged.items() if value is not None})


@dataclass(frozen=True)
class Made:
    """What the tests make evidence from."""

    tick = staticmethod(tick)
    quiet_ticks = staticmethod(quiet_ticks)
    noisy_ticks = staticmethod(noisy_ticks)
    memory_ticks = staticmethod(memory_ticks)
    scenario = staticmethod(scenario)
    mb = MB


@pytest.fixture(scope="session")
def made():
    return Made()


@pytest.fixture
def report_of():
    """Return the report of some evidence, as a timed run would write it."""

    def report(evidence, **changes):
        verdict = judge(evidence)
        facts = RunFacts(
            run_id="20260102-030405-abcd",
            scenario=evidence.scenario.model_dump(mode="json"),
            target={"name": "embedded", "options": {}},
            guarantees={"reads": "latest", "atomic_groups": True, "late_writes": False},
            seed=4711,
            movies={"path": None, "sha256": "00ff", "good": 4_000, "bad": 0},
            started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            load_started_at=datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC),
            duration_s=215.5,
            environment={"python": "3.11", "cores": evidence.cores},
            exit_code=exit_code(verdict, interrupted_by=None, strict=False, timed=True),
            run_again="stressd run soak --duration 180 --seed 4711",
        )
        return build_report(evidence, verdict, replace(facts, **changes))

    return report


assert len(RATES) == len(CLASSES)
