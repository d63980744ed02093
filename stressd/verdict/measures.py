"""How each criterion is measured: one function a criterion, from the evidence to a `Finding`, in one table.

A figure comes from the criterion's probe if the scenario runs that, from the load otherwise.
"""

from collections.abc import Callable, Sequence
from typing import Final

from stressd.criteria import Ability, Criterion
from stressd.metrics import VIOLATIONS
from stressd.pools import Mix
from stressd.scenario import Scenario
from stressd.stats.histogram import Counts, quantiles_s
from stressd.stats.table import Snapshot
from stressd.targets.protocol import Abilities
from stressd.verdict.degradation import crowded, degradation
from stressd.verdict.evidence import Evidence, FaultRecord, Tick
from stressd.verdict.growth import MB, memory_growth
from stressd.verdict.measured import Finding, Inconclusive, Measured, NotApplicable
from stressd.verdict.statistics import Estimate, wilson

_LEAST_OPERATIONS: Final = 20
_LEAST_EXPECTED_HITS: Final = 100
_LEAST_MEDIAN: Final = 50
_LEAST_ATTEMPTS: Final = 400  # fewer cannot show a rate below 1 %, even without one error
_MINUTE_S: Final = 60.0
_MOST_CROWDED: Final = 1 / 3  # of the time; a machine that others had for longer shows less than the target can


def measure(criterion: Criterion, evidence: Evidence) -> Finding:
    """Measure one criterion."""
    if missing := [need for need in criterion.needs if not _has(evidence.scenario, evidence.abilities, need)]:
        return NotApplicable(_WITHOUT[missing[0]])
    from_load = _FROM_LOAD.get(criterion.name)
    if criterion.probe is not None and criterion.probe in evidence.scenario.probes.names:
        return _from_probe(criterion, criterion.probe, evidence)
    if from_load is None or (criterion.probe is not None and not evidence.scenario.pools):
        return NotApplicable("not measured by this scenario")
    return from_load(evidence)


# --- What must be there ------------------------------------------------------------------------------

_WITHOUT: Final[dict[Ability, str]] = {
    "storage": "target stores nothing",
    "cache": "target has no cache",
    "short_ttl": "target's time to live cannot be set",
    "load": "scenario has no load",
    "paced_load": "scenario's load is not paced",
    "faults": "scenario has no faults",
}


def _has(scenario: Scenario, abilities: Abilities, need: Ability) -> bool:
    return {
        "storage": abilities.storage,
        "cache": abilities.cache,
        "short_ttl": abilities.ttl_option is not None,
        "load": bool(scenario.pools),
        "paced_load": scenario.paced,
        "faults": bool(scenario.faults),
    }[need]


def _from_probe(criterion: Criterion, probe: str, evidence: Evidence) -> Finding:
    result = evidence.probes.get(probe)
    scenario = evidence.scenario
    if result is None and scenario.pools and scenario.duration_s is None and probe not in scenario.probes.before:
        return NotApplicable(f"the {probe} probe comes after the load, and an endless one has no after")
    if result is None:
        return Inconclusive(f"the {probe} probe has not run")
    if result.error is not None:
        return Inconclusive(f"the {probe} probe failed: {result.error}")
    if criterion.name not in result.figures:
        return Inconclusive(f"the {probe} probe could not measure it")
    return Measured.exactly(result.figures[criterion.name], f"{probe} probe")


def _loads(scenario: Scenario, weight: Callable[[Mix], float]) -> bool:
    return any(weight(mix) for mix in scenario.mixes)


# --- Speed -------------------------------------------------------------------------------------------


def _save_throughput(evidence: Evidence) -> Finding:
    if not _loads(evidence.scenario, lambda mix: mix.save):
        return NotApplicable("the scenario's load saves nothing")
    saved = evidence.measured.total("bytes_total", "save")
    return _throughput(saved, evidence, [("save", "none")], "saves")


def _read_throughput(evidence: Evidence) -> Finding:
    if not _loads(evidence.scenario, lambda mix: mix.read + mix.read_store + mix.scrub):
        return NotApplicable("the scenario's load reads nothing")
    read = evidence.measured.total("bytes_from_store")
    return _throughput(read, evidence, [("read", "store"), ("scrub", "store")], "reads from the store")


def _throughput(size: int, evidence: Evidence, classes: Sequence[tuple[str, str]], what: str) -> Finding:
    """Return the bytes for each second of the target's time; at least that, where other programs had the machine."""
    measured = evidence.measured
    count = sum(int(measured.histogram("operation_service_seconds", *each).sum()) for each in classes)
    busy_ns = sum(measured.sum_ns("operation_service_seconds", *each) for each in classes)
    if count < _LEAST_OPERATIONS or busy_ns == 0:
        return Inconclusive(f"{count} {what} after warm-up; {_LEAST_OPERATIONS} are needed")
    reached, note = size / MB / (busy_ns / 1e9), f"{count:,} {what}"
    ticks = _after_warmup(evidence)
    whole_s = sum(tick.duration_s for tick in ticks)
    crowded_s = sum(tick.duration_s for tick in ticks if crowded(tick))
    if crowded_s <= _MOST_CROWDED * whole_s:
        return Measured.exactly(reached, note)
    note += f"; other programs had the machine for {crowded_s:.0f} of {whole_s:.0f} s"
    return Measured(reached, reached, float("inf"), note)


def _cpu_at_rest(evidence: Evidence) -> Finding:
    ticks = _after_warmup(evidence)
    available_s = sum(tick.duration_s for tick in ticks) * evidence.cores
    if available_s <= 0:
        return Inconclusive("nothing was sampled after warm-up")
    used_s = sum(tick.cpu_s for tick in ticks)
    return Measured.exactly(100 * used_s / available_s, f"of {evidence.cores:g} cores")


def _degradation(evidence: Evidence) -> Finding:
    return degradation(evidence.ticks, evidence.scenario.warming_s)


def _after_warmup(evidence: Evidence) -> list[Tick]:
    return [tick for tick in evidence.recent if tick.at_s - tick.duration_s >= evidence.scenario.warming_s - 1e-6]


# --- Memory ------------------------------------------------------------------------------------------


def _memory_growth(evidence: Evidence) -> Finding:
    return memory_growth(evidence.ticks, evidence.load_s, evidence.scenario.warming_s)


# --- Cache -------------------------------------------------------------------------------------------


def _cache_speedup(evidence: Evidence) -> Finding:
    if not _loads(evidence.scenario, lambda mix: mix.read):
        return NotApplicable("the scenario's load does not read through the cache")
    store, cache = (
        evidence.measured.histogram("operation_service_seconds", "read", source) for source in ("store", "cache")
    )
    fewest = min(int(store.sum()), int(cache.sum()))
    if fewest < _LEAST_MEDIAN:
        return Inconclusive(
            f"{int(store.sum())} reads from the store, {int(cache.sum())} from the cache after warm-up; "
            f"{_LEAST_MEDIAN} of each are needed"
        )
    slow, fast = _median_s(store), _median_s(cache)
    ratio = Estimate(slow.value / fast.value, slow.low / fast.high, slow.high / fast.low)
    return Measured.of(ratio, f"{_ms(slow.value)} from the store, {_ms(fast.value)} from the cache")


def _median_s(counts: Counts) -> Estimate:
    """Return the median with its 95 % interval: the order statistics that the binomial distribution names."""
    reach = 0.98 / float(counts.sum()) ** 0.5
    low, value, high = quantiles_s(counts, (0.5 - reach, 0.5, 0.5 + reach))
    return Estimate(value or 0.0, low or 0.0, high or 0.0)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def _cache_hit_rate(evidence: Evidence) -> Finding:
    if not _loads(evidence.scenario, lambda mix: mix.read):
        return NotApplicable("the scenario's load does not read through the cache")
    expected = evidence.measured.total("reads_expected_cached")
    hits = evidence.measured.total("reads_expected_cached_hit")
    if expected < _LEAST_EXPECTED_HITS:
        return Inconclusive(f"{expected} reads that a cache could have answered; {_LEAST_EXPECTED_HITS} are needed")
    return Measured.of(wilson(hits, expected).scaled(100), f"{hits:,} of {expected:,}")


# --- Service -----------------------------------------------------------------------------------------


def _error_rate(evidence: Evidence) -> Finding:
    """Compare the whole load and its worst minute; the worse of both counts."""
    attempts = sum(tick.attempts for tick in evidence.recent)
    errors = sum(tick.errors for tick in evidence.recent)
    if attempts < _LEAST_ATTEMPTS and not errors:
        return Inconclusive(f"{attempts} operations without an error; it takes {_LEAST_ATTEMPTS} to be sure")
    at_s, bad, tried = max(_minutes(evidence.recent), key=lambda minute: minute[1] / minute[2])
    whole, worst = wilson(errors, attempts).scaled(100), wilson(bad, tried).scaled(100)
    rate = Estimate(*map(max, whole, worst))
    note = f"{errors:,} of {attempts:,}"
    if bad:
        note += f"; {bad:,} of {tried:,} in the worst minute"
    return Measured.of(rate, note, worst_at_s=at_s if bad else None)


def _minutes(ticks: Sequence[Tick]) -> list[tuple[float, int, int]]:
    """Return start, errors and attempts of each minute; minutes of few operations are taken together."""
    minutes: list[tuple[float, int, int]] = []
    start_s, errors, attempts = 0.0, 0, 0
    for tick in ticks:
        if tick.at_s - start_s > _MINUTE_S and attempts >= _LEAST_ATTEMPTS:
            minutes.append((start_s, errors, attempts))
            start_s, errors, attempts = tick.at_s - tick.duration_s, 0, 0
        errors, attempts = errors + tick.errors, attempts + tick.attempts
    if attempts < _LEAST_ATTEMPTS and minutes:
        start_s, more_errors, more_attempts = minutes.pop()
        errors, attempts = errors + more_errors, attempts + more_attempts
    return [*minutes, (start_s, errors, attempts)]


def _recovery(evidence: Evidence) -> Finding:
    without = "".join(f"; without {kind}: {why}" for kind, why in evidence.faults_left_out.items())
    if not evidence.faults:
        return Inconclusive(f"no fault happened yet{without}")
    if failed := [fault for fault in evidence.faults if _recovered(fault, evidence.load_s) is False]:
        fault = failed[0]
        took = "did not come back" if fault.recovery_s is None else f"took {fault.recovery_s:.1f} s"
        on = f" of {fault.on}" if fault.on else ""
        why = f"good service {took} after {fault.kind}{on}; {fault.allowed_s:g} s are allowed"
        if len(failed) > 1:
            why += f"; so did {len(failed) - 1} more of {len(evidence.faults)} faults"
        return Measured(0, 0, 0, why + without, worst_at_s=fault.until_s)
    if open_yet := [fault for fault in evidence.faults if _recovered(fault, evidence.load_s) is None]:
        why = f"the last fault ended less than {open_yet[-1].allowed_s:g} s before the load did"
        return Inconclusive(why + without)
    longest = max(evidence.faults, key=lambda fault: fault.recovery_s or 0.0)
    faults = f"{len(evidence.faults)} fault{'s' if len(evidence.faults) > 1 else ''}"
    after = f" ({longest.kind})" if len({fault.kind for fault in evidence.faults}) > 1 else ""
    return Measured.exactly(1, f"{faults}, good service within {longest.recovery_s or 0.0:.2f} s{after}{without}")


def _recovered(fault: FaultRecord, load_s: float) -> bool | None:
    if fault.recovery_s is not None:
        return fault.recovery_s <= fault.allowed_s
    clear_s = fault.until_s if fault.clear_s is None else fault.clear_s
    return False if load_s - clear_s >= fault.allowed_s else None


def _worker_deaths(evidence: Evidence) -> Finding:
    restarts = sum(evidence.restarts.values())
    return Measured.exactly(evidence.deaths, f"{restarts} restarts" if restarts else "")


# --- Truth -------------------------------------------------------------------------------------------


def violations_of(total: Snapshot) -> dict[str, int]:
    """Return how many violations of each kind were found."""
    return {kind: total.total("violations_total", kind) for kind in VIOLATIONS}


def _data_integrity(evidence: Evidence) -> Finding:
    found = {kind: count for kind, count in violations_of(evidence.total).items() if count}
    if found:
        return Measured.exactly(sum(found.values()), ", ".join(f"{count:,} {kind}" for kind, count in found.items()))
    if not evidence.abilities.storage:
        return Measured.exactly(0, "stores nothing")
    reads = evidence.total.total("reads_verified_total")
    if reads:
        return Measured.exactly(0, f"{reads:,} reads checked")
    if not evidence.scenario.pools and not evidence.total.total("writes_acknowledged"):
        return NotApplicable("this scenario saves and reads nothing")
    return Inconclusive("nothing was checked")


_FROM_LOAD: Final[dict[str, Callable[[Evidence], Finding]]] = {
    "save_throughput": _save_throughput,
    "read_throughput": _read_throughput,
    "error_rate": _error_rate,
    "memory_growth": _memory_growth,
    "cpu_at_rest": _cpu_at_rest,
    "cache_speedup": _cache_speedup,
    "cache_hit_rate": _cache_hit_rate,
    "recovery": _recovery,
    "data_integrity": _data_integrity,
    "degradation": _degradation,
    "worker_deaths": _worker_deaths,
}
