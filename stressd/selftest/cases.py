"""What is told, and what has to catch it: a case a lie, and one in which nobody lies.

A case is a run as anyone could start it, with a scenario and options of the command line; the lie is on the far side of
a target. Content lies are told once, at a seeded call, and the run stops at the first violation. Drifts are judged by
the criteria as shipped: no threshold is moved, here or in a scenario; criteria that so small a load says nothing about
are left out.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stressd.errors import UsageError
from stressd.spelling import suggest

LIAR: Final = "stressd.targets.faults:Liar"
CLEAN: Final = "none"

Scenario = dict[str, Any]
Options = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One run. `caught_by` is a kind of violation, or a criterion that has to fail; None: nothing may.

    `also` are names that are as right, where the same lie is met while a save is under way.
    """

    lie: str
    caught_by: str | None
    scenario: Scenario
    options: Options
    seed: int
    also: frozenset[str] = frozenset()
    stop_on_violation: bool = False
    patience_s: float = 240.0

    @property
    def takes_its_time(self) -> bool:
        """Whether it lasts for long, and leaves the cores to others meanwhile."""
        return not self.stop_on_violation


def cases(seed: int, *, long: bool = False, only: tuple[str, ...] = ()) -> list[Case]:
    """Return the cases of a selftest, those that take longest first; UsageError names a lie that there is none of."""
    made = [*_drifts(seed, long=long), *_content(seed)]
    known = [case.lie for case in made]
    for name in only:
        if name not in known:
            raise UsageError(f"--only {name}: there is no such lie; {suggest(name, known)}")
    return [case for case in made if not only or case.lie in only]


# --- Content: told once --------------------------------------------------------------------------

# A lie, its right name, and where it is told: in a dict with two threads, or in the embedded store with two processes.
_MEMORY: Final = "memory"
_EMBEDDED: Final = "embedded"
_CONTENT: Final = (
    ("drop_save", "lost", _EMBEDDED),
    ("old_version", "stale", _EMBEDDED),
    ("stale_cache", "stale", _EMBEDDED),
    ("half_save", "fractured", _EMBEDDED),
    ("resurrect", "phantom", _EMBEDDED),
    ("other_group", "phantom", _MEMORY),
    ("mix_rows", "torn", _MEMORY),
    ("mix_columns", "torn", _MEMORY),
    ("flip_bit", "corrupt", _MEMORY),
    ("reorder_rows", "corrupt", _MEMORY),
    ("drop_column", "schema", _MEMORY),
    ("retype_column", "schema", _MEMORY),
    ("lose_rows", "schema", _MEMORY),
    ("hand_out_own", "aliased", _MEMORY),
    ("keep_yours", "aliased", _MEMORY),
    ("flicker", "non_monotonic", _MEMORY),
    ("wrong_commit", "non_monotonic", _MEMORY),
)
_ALSO: Final = {"stale_cache": frozenset({"non_monotonic"})}
_MISSED_AFTER_S: Final = 120.0  # on a machine that is busy with other things; on an idle one it takes a second or two
_FIRST_CALL: Final = {_MEMORY: (200, 3000), _EMBEDDED: (60, 400)}
_LANES: Final = {_MEMORY: {"processes": 1, "threads": 2}, _EMBEDDED: {"processes": 2, "threads": 1}}


def _content(seed: int) -> list[Case]:
    return [_content_case(seed, *told) for told in _CONTENT]


def _content_case(seed: int, lie: str, kind: str, inner: str) -> Case:
    draw = random.Random(f"{seed}:{lie}")  # noqa: S311 - when, and in which form, no secret
    options = {"inner": inner, "at": draw.randrange(*_FIRST_CALL[inner]), "on": draw.choice(("save", "read"))}
    scenario = _scenario(lie, duration_s=_MISSED_AFTER_S, **_LANES[inner])
    scenario["content"] |= {"rows": draw.randrange(2, 10), "columns": draw.randrange(2, 6)}
    return Case(
        lie,
        kind,
        scenario,
        {"lie": lie, "seed": draw.randrange(2**32), **options},
        draw.randrange(2**32),
        also=_ALSO.get(lie, frozenset()),
        stop_on_violation=True,
    )


# --- Drifts: it goes on, and a criterion has to fail ---------------------------------------------


@dataclass(frozen=True, slots=True)
class _Drift:
    """A lie that goes on. `long_s` is how long it takes at its natural pace, with `slowly` for its options."""

    lie: str
    criterion: str | None
    duration_s: float
    options: Mapping[str, Any]
    long_s: float | None = None
    slowly: Mapping[str, Any] = field(default_factory=dict)
    processes: int = 1
    threads: int = 4
    rate: float = 25.0
    delay_ms: float = 50.0  # a store far away: what else runs on this machine is little beside its own time


def _slower(by: float, over_s: float) -> dict[str, float]:
    return {"slower_by": by, "over_s": over_s}


_DRIFTS: Final = (
    _Drift(CLEAN, None, 47, {"inner": _EMBEDDED}, long_s=180, processes=2, threads=2),
    _Drift("slow_down", "degradation", 47, _slower(0.012, 1), long_s=180, slowly=_slower(0.25, 180)),
    _Drift("leak", "memory_growth", 46, {"mb_per_s": 5}, long_s=180, slowly={"mb_per_s": 2}),
    _Drift("stall", "worker_deaths", 38, {"inner": _EMBEDDED, "at": 60}, processes=2, threads=2),
    _Drift("raise_error", "error_rate", 10, {"rate": 0.12}, rate=100.0, delay_ms=5.0),
)


def _drifts(seed: int, *, long: bool) -> list[Case]:
    return [_drift_case(seed, drift, long=long) for drift in _DRIFTS]


def _drift_case(seed: int, drift: _Drift, *, long: bool) -> Case:
    draw = random.Random(f"{seed}:{drift.lie}")  # noqa: S311 - no secret
    slowly = long and drift.long_s is not None
    duration_s = drift.long_s if slowly and drift.long_s is not None else drift.duration_s
    options: Options = {"lie": drift.lie, "inner": _MEMORY, "seed": draw.randrange(2**32)}
    options["delay_ms"] = drift.delay_ms
    options |= {**drift.options, **(drift.slowly if slowly else {})}
    lanes = {"processes": drift.processes, "threads": drift.threads}
    scenario = _scenario(drift.lie, duration_s=duration_s, rate=drift.rate, **lanes)
    patience_s = duration_s + 180
    return Case(drift.lie, drift.criterion, scenario, options, draw.randrange(2**32), patience_s=patience_s)


# --- What all have in common ---------------------------------------------------------------------

_LEFT_OUT: Final = (
    *("cpu_at_rest", "save_throughput", "read_throughput"),  # frames as small as these say nothing of it
    *("cache_speedup", "cache_hit_rate"),
)
_OF_DRIFTS: Final = ("memory_growth", "degradation")  # not to be told from settling in, in less than this
_LEAST_S: Final = 40.0
_FEW_ERRORS: Final = "error_rate"  # one save that is said to be rejected is no rate


def _scenario(lie: str, *, duration_s: float, processes: int, threads: int, rate: float | None = None) -> Scenario:
    drifts = rate is not None
    omit = [*_LEFT_OUT, *(() if drifts and duration_s >= _LEAST_S else _OF_DRIFTS), *(() if drifts else (_FEW_ERRORS,))]
    mix = {"save": 25, "read": 45, "read_store": 20, "scrub": 10}
    return {
        "name": "selftest",
        "description": f"A store that tells the lie {lie}",
        "duration_s": duration_s,
        "warmup_s": 0 if rate is None else 2,
        "generated_movies": 20,
        "generate_batch": 10,
        "content": {"kind": "random", "rows": 6, "columns": 3, "names": 3},
        "keys_per_lane": 2,
        "pools": [{"name": "main", "processes": processes, "threads": threads, "mix": mix}]
        if rate is None
        else [{"name": "main", "processes": processes, "threads": threads, "rate": rate, "mix": mix}],
        "verification": {"cache_every": 1, "scribble_every": 16},
        "criteria": {"omit": omit},
    }
