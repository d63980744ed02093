"""The report: one dictionary, `stressd.report/1`, plain JSON, from which everything else is rendered.

Its operations are those of the load after warm-up, or those of the probes where there was no load; its
verification is that of the whole run.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from stressd.metrics import CHECKS, CLASSES, OPS, OUTCOMES
from stressd.stats.histogram import Counts, bars, quantiles_s
from stressd.stats.table import Snapshot
from stressd.verdict.degradation import crowded, host_speed
from stressd.verdict.evidence import Evidence, FaultRecord, PhaseRecord, ProbeResult, Tick
from stressd.verdict.measures import violations_of
from stressd.verdict.verdict import CriterionResult, Verdict

SCHEMA: Final = "stressd.report/1"
Report = dict[str, Any]

_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999, "max": 1.0}
_MOST_POINTS: Final = 240


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a report says beside what was measured. Whoever fills it in leaves secrets out.

    `scenario`: as resolved. `target`: `name` and `options`. `guarantees`: as claimed. `movies`: `path`,
    `sha256`, `good`, `bad`, and what else is known, such as the share that was used. `run_again`: the
    command that repeats the run. `aborted`: which objective ended it early. `unfinished`: it still went on.
    `started_at` is the run's begin, `load_started_at` the load's.
    """

    run_id: str
    scenario: Mapping[str, Any]
    target: Mapping[str, Any]
    guarantees: Mapping[str, Any]
    seed: int
    movies: Mapping[str, Any]
    started_at: datetime
    duration_s: float
    environment: Mapping[str, Any]
    exit_code: int
    interrupted: bool = False
    unfinished: bool = False
    load_started_at: datetime | None = None
    specimens: Sequence[Any] = ()
    run_again: str = ""
    aborted: str = ""
    reloads: Sequence[Mapping[str, Any]] = ()
    harness: Mapping[str, Any] = field(default_factory=dict)


def build_report(evidence: Evidence, verdict: Verdict, facts: RunFacts) -> Report:
    """Return the report as plain JSON values; numbers that are none (NaN, infinite) become null."""
    loaded = evidence.load_s > 0
    counted = evidence.measured if loaded else evidence.total
    counted_s = max(evidence.load_s - evidence.scenario.warming_s, 0.0) if loaded else facts.duration_s
    report = {
        "schema": SCHEMA,
        "verdict": verdict.outcome,
        "exit_code": facts.exit_code,
        "interrupted": facts.interrupted,
        "unfinished": facts.unfinished,
        "aborted": facts.aborted or None,
        "reloads": list(facts.reloads),
        "run_id": facts.run_id,
        "scenario": facts.scenario,
        "target": facts.target,
        "guarantees": facts.guarantees,
        "seed": facts.seed,
        "run_again": facts.run_again,
        "movies": facts.movies,
        "started_at": _instant(facts.started_at),
        "duration_seconds": facts.duration_s,
        "load_seconds": evidence.load_s,
        "environment": facts.environment,
        "criteria": [_criterion(result, facts.load_started_at) for result in verdict.criteria],
        "operations": {op: _operation(op, counted, counted_s) for op in OPS},
        "pools": _pools(evidence, counted_s) if loaded else {},
        "phases": [_phase(phase) for phase in evidence.phases],
        "verification": _verification(evidence, facts.specimens),
        "workers": _workers(evidence),
        "memory": _memory(evidence.ticks) | {"by_process": _by_process(evidence)},
        "host": host_speed(evidence.ticks, evidence.scenario.warming_s),
        "harness": _harness(counted) | _reach(evidence) | dict(facts.harness),
        "probes": {name: _probe(result) for name, result in evidence.probes.items()},
        "faults": [_fault(fault) for fault in evidence.faults],
        "faults_left_out": dict(evidence.faults_left_out),
        "timeline": _timeline(evidence.ticks),
    }
    plain: Report = _plain(report)
    return plain


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _criterion(result: CriterionResult, load_started_at: datetime | None) -> dict[str, Any]:
    criterion, worst_at = result.criterion, None
    if result.worst_at_s is not None and load_started_at is not None:
        worst_at = _instant(load_started_at + timedelta(seconds=result.worst_at_s))
    return {
        "name": criterion.name,
        "subject": criterion.subject,
        "verdict": result.outcome.value,
        "value": result.value,
        "low": result.low,
        "high": result.high,
        "unit": criterion.unit,
        "pass": str(criterion.pass_line),
        "fail": str(criterion.fail_line),
        "worst_at": worst_at,
        "worst_at_seconds": result.worst_at_s,
        "why": result.why,
        "measures": criterion.measures,
    }


def _operation(op: str, counted: Snapshot, counted_s: float) -> dict[str, Any]:
    outcomes = {outcome: counted.total("operations_total", op, outcome) for outcome in OUTCOMES}
    by_source = {
        source: counted.histogram("operation_service_seconds", op, source) for each, source in CLASSES if each == op
    }
    count = sum(outcomes.values())
    return {
        "count": count,
        "errors": outcomes["error"] + outcomes["timeout"],
        "rows": counted.total("rows_total", op),
        "bytes": counted.total("bytes_total", op),
        "rate_per_second": count / counted_s if counted_s > 0 else None,
        "latency_seconds": _quantiles(counted.histogram("operation_latency_seconds", op)),
        "service_seconds": _quantiles(np.sum(list(by_source.values()), axis=0)),
        "outcomes": outcomes,
        "sources": {
            source: {"count": int(counts.sum()), "service_seconds": _quantiles(counts), "histogram": bars(counts)}
            for source, counts in by_source.items()
        },
    }


def _pools(evidence: Evidence, counted_s: float) -> dict[str, Any]:
    """Return the operations of each pool after warm-up; those that did not happen are left out, here and in phases."""
    pools, lane = {}, 0
    for pool in evidence.scenario.pools:
        rows = evidence.measured.rows(slice(lane, lane + pool.lanes))
        pools[pool.name] = {"operations": _operations_of(rows, counted_s)}
        lane += pool.lanes
    return pools


def _phase(phase: PhaseRecord) -> dict[str, Any]:
    seconds = phase.until_s - phase.from_s
    return {
        "name": phase.name,
        "warmup": phase.warmup,
        "from_seconds": phase.from_s,
        "until_seconds": phase.until_s,
        "pools": {name: {"operations": _operations_of(counted, seconds)} for name, counted in phase.pools.items()},
    }


def _operations_of(counted: Snapshot, counted_s: float) -> dict[str, Any]:
    each = {op: _operation(op, counted, counted_s) for op in OPS}
    return {op: operation for op, operation in each.items() if operation["count"]}


def _reach(evidence: Evidence) -> dict[str, Any]:
    reach = evidence.reach
    return {
        "saturated": evidence.saturated,
        "saturated_by": reach.limit or None,
        "offered_per_second": reach.offered_per_s,
        "reached_per_second": reach.begun_per_s,
    }


def _quantiles(counts: Counts) -> dict[str, float | None]:
    return dict(zip(_QUANTILES, quantiles_s(counts, tuple(_QUANTILES.values())), strict=True))


def _verification(evidence: Evidence, specimens: Sequence[Any]) -> dict[str, Any]:
    total, scenario = evidence.total, evidence.scenario
    acknowledged = total.total("writes_acknowledged")
    keys = scenario.lanes * scenario.keys_per_lane + scenario.contended_keys
    return {
        "reads_checked": total.total("reads_verified_total"),
        "reads_from_store_checked": total.total("reads_from_store"),
        "reads_across_processes_checked": total.total("reads_foreign"),
        "cells_checked": total.total("cells_checked"),
        "writes_acknowledged": acknowledged,
        "writes_verified": total.total("writes_verified"),
        "saves_per_key": acknowledged / keys if keys else None,
        "violations": violations_of(total),
        "specimens": list(specimens),
    }


def _workers(evidence: Evidence) -> dict[str, Any]:
    return {
        "deaths": evidence.deaths,
        "restarts": sum(evidence.restarts.values()),
        "restarts_by_reason": dict(evidence.restarts),
        "unresolved": evidence.unresolved_workers,
        "recovery_seconds": list(evidence.outages_s),
    }


def _memory(ticks: Sequence[Tick]) -> dict[str, Any]:
    sizes: dict[str, Callable[[Tick], int]] = {
        "rss_bytes": lambda tick: tick.rss_bytes,
        "pss_bytes": lambda tick: tick.pss_bytes,
        "arrow_bytes": lambda tick: tick.arrow_bytes,
    }
    return {name: _first_last_peak([size(tick) for tick in ticks]) for name, size in sizes.items()}


def _first_last_peak(sampled: Sequence[int]) -> dict[str, int] | None:
    known = [size for size in sampled if size > 0]
    return {"first": known[0], "last": known[-1], "peak": max(known)} if known else None


def _by_process(evidence: Evidence) -> dict[str, Any]:
    """Return the memory of each process over the load, its share of what is shared."""
    return {"at_seconds": evidence.memory_at_s, "bytes": dict(evidence.memory_by_process)}


def _harness(counted: Snapshot) -> dict[str, Any]:
    """Say what the soak itself cost: the lanes' time on operations that was not the target's."""
    count = sum(counted.total("operations_total", op, outcome) for op in OPS for outcome in OUTCOMES)
    target_ns = sum(counted.sum_ns("operation_service_seconds", *each) for each in CLASSES)
    busy_ns = counted.total("busy_ns")
    checks_ns = {check: counted.total("verification_seconds_total", check) for check in CHECKS}
    return {
        "overhead_seconds_per_operation": max(0, busy_ns - target_ns) / 1e9 / count if count else None,
        "overhead_share": max(0, busy_ns - target_ns) / busy_ns if busy_ns else None,
        "content_seconds": counted.total("content_ns") / 1e9,
        "verification_seconds": {check: ns / 1e9 for check, ns in checks_ns.items()},
        "verification_share": sum(checks_ns.values()) / target_ns if target_ns else None,
        "operations_late": counted.total("operations_late_total"),
        "operations_dropped": counted.total("operations_dropped_total"),
    }


def _probe(result: ProbeResult) -> dict[str, Any]:
    return {
        "duration_seconds": result.duration_s,
        "figures": dict(result.figures),
        "detail": dict(result.detail),
        "error": result.error,
    }


def _fault(fault: FaultRecord) -> dict[str, Any]:
    return {
        "kind": fault.kind,
        "on": fault.on,
        "from_seconds": fault.from_s,
        "until_seconds": fault.until_s,
        "recovery_seconds": fault.recovery_s,
    }


def _timeline(ticks: Sequence[Tick]) -> list[dict[str, Any]]:
    """Return at most 240 points, each of as many ticks, whatever the length of the run."""
    step = -(-len(ticks) // _MOST_POINTS) or 1
    return [_point(ticks[start : start + step]) for start in range(0, len(ticks), step)]


def _point(ticks: Sequence[Tick]) -> dict[str, Any]:
    seconds = sum(tick.duration_s for tick in ticks)
    classes = ["/".join(each).removesuffix("/none") for each in CLASSES]
    p50, p99 = ([getattr(tick, name) for tick in ticks] for name in ("p50_s", "p99_s"))
    return {
        "at_seconds": ticks[-1].at_s,
        "operations_per_second": sum(sum(tick.counts) for tick in ticks) / seconds if seconds else None,
        "offered_per_second": sum(tick.offered for tick in ticks) / seconds if seconds else None,
        "reached_per_second": sum(tick.begun for tick in ticks) / seconds if seconds else None,
        "errors": sum(tick.errors for tick in ticks),
        "injected": sum(tick.injected for tick in ticks),
        "p50_seconds": {name: _over(np.median, [row[index] for row in p50]) for index, name in enumerate(classes)},
        "p99_seconds": {name: _over(max, [row[index] for row in p99]) for index, name in enumerate(classes)},
        "rss_bytes": max(tick.rss_bytes for tick in ticks),
        "pss_bytes": max(tick.pss_bytes for tick in ticks),
        "cpu_cores": sum(tick.cpu_s for tick in ticks) / seconds if seconds else None,
        "seconds_per_cell": _ratio(sum(tick.cells_cpu_s for tick in ticks), sum(tick.cells for tick in ticks)),
        "workers": ticks[-1].workers,
        "fault": any(tick.fault for tick in ticks),
        "crowded": any(crowded(tick) for tick in ticks),
    }


def _ratio(seconds: float, count: int) -> float | None:
    return seconds / count if count else None


def _over(statistic: Callable[[list[float]], Any], values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(statistic(known)) if known else None


def _plain(value: Any) -> Any:
    """Return the value as what JSON knows."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)
