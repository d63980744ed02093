"""Runs that never ran: evidence made of numbers, healthy unless a test says otherwise."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from stressd.metrics import CLASSES
from stressd.scenario import Scenario
from stressd.stats.table import Table, column
from stressd.targets.protocol import Abilities
from stressd.verdict.evidence import Evidence, FaultRecord, ProbeResult, Tick
from stressd.verdict.report import RunFacts, build_report
from stressd.verdict.verdict import exit_code, judge
from stressd.worker.cells import observe

MB = 1_000_000
WARMUP_S = 10
RATES = (3, 12, 25, 18, 2)  # per second, of CLASSES: generate, save, read/cache, read/store, scrub
USUAL_S = (0.025, 0.020, 0.0005, 0.006, 0.008)
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


def tick(at_s, **changes):
    """A quiet second that ended `at_s` after the load began."""
    quiet = Tick(
        at_s=at_s,
        duration_s=1.0,
        counts=RATES,
        busy_s=tuple(rate * usual_s for rate, usual_s in zip(RATES, USUAL_S, strict=True)),
        p50_s=USUAL_S,
        p99_s=tuple(4 * usual_s for usual_s in USUAL_S),
        attempts=sum(RATES),
        errors=0,
        injected=0,
        rss_bytes=400 * MB,
        pss_bytes=300 * MB,
        arrow_bytes=50 * MB,
        cpu_s=0.5,
        workers=2,
        fault=False,
    )
    return replace(quiet, **changes)


def quiet_ticks(seconds=180):
    return [tick(float(second + 1)) for second in range(seconds)]


def noisy_ticks(seed, slower, seconds=180):
    """A load on a shared machine: log-normal times, 5 % outliers of 5x, a host that wanders by 5 %.

    `slower` takes the share of the run that is over and returns the factor on all times.
    """
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.3, 0.5)
    host = 1 + np.clip(_wander(rng, seconds), -0.05, 0.05)
    ticks = []
    for second in range(seconds):
        factor = host[second] * slower(max(0.0, second - WARMUP_S) / (seconds - WARMUP_S))
        times = [_times(rng, rate, usual_s * factor, sigma) for rate, usual_s in zip(RATES, USUAL_S, strict=True)]
        ticks.append(
            tick(
                float(second + 1),
                counts=tuple(len(each) for each in times),
                busy_s=tuple(float(each.sum()) for each in times),
                p50_s=tuple(float(np.median(each)) if len(each) else None for each in times),
                p99_s=tuple(float(each.max()) if len(each) else None for each in times),
            )
        )
    return ticks


def _wander(rng, seconds):
    keep = np.exp(-1 / rng.uniform(5, 40))
    kicks = rng.normal(0, 0.025 * np.sqrt(1 - keep**2), seconds)
    values = [rng.normal(0, 0.025)]
    for kick in kicks[1:]:
        values.append(keep * values[-1] + kick)
    return np.array(values)


def _times(rng, rate, usual_s, sigma):
    count = rate if rate >= 5 else rng.poisson(rate)
    times = usual_s * np.exp(rng.normal(0, sigma, count))
    return np.where(rng.random(count) < 0.05, 5 * times, times)


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
