"""Which of the scenario's faults can be injected here, how, and why the others cannot."""

import random
from dataclasses import dataclass, field
from typing import Final

from stressd.metrics import FaultKind
from stressd.node.disk import StoreDisk
from stressd.node.founding import Founded
from stressd.scenario import Scenario
from stressd.stats.table import Table
from stressd.supervisor.faults import Strike
from stressd.supervisor.strikes import NoWrites, Pause, SlowTarget, TargetErrors, WorkerKill, WritesFail
from stressd.supervisor.supervisor import Supervisor
from stressd.targets.protocol import Abilities

DISK_FAULTS: Final[tuple[FaultKind, ...]] = ("disk_full", "read_only")
_FAIL_SAVES: Final[tuple[FaultKind, ...]] = ("file_limit", *DISK_FAULTS)


@dataclass(frozen=True, slots=True)
class Means:
    """How each kind that the scenario asks for is done; `left_out` says of the others why not."""

    strikes: dict[FaultKind, Strike] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def wants_disk(scenario: Scenario, abilities: Abilities) -> bool:
    """Say whether the scenario has faults of the disk, and its target keeps its files where stressd says."""
    asked = any(fault.kind in DISK_FAULTS for fault in scenario.faults)
    return asked and abilities.scratch_option is not None and abilities.scratch_option not in scenario.target.options


def means_for(founded: Founded, supervisor: Supervisor, table: Table, disk: StoreDisk | None) -> Means:
    """Return how the faults of the run are done."""
    means = Means()
    possible = _strikes(founded, supervisor, table, disk)
    for kind in dict.fromkeys(fault.kind for fault in founded.scenario.faults):
        why = _hindrance(kind, founded, disk)
        if why is None:
            means.strikes[kind] = possible[kind]
        else:
            means.left_out[kind] = why
    return means


def _strikes(founded: Founded, supervisor: Supervisor, table: Table, disk: StoreDisk | None) -> dict[FaultKind, Strike]:
    control, lanes = table.control, range(founded.scenario.lanes)
    draw = random.Random(f"{founded.record.seed}:victims")  # noqa: S311 - whom a fault hits, no secret
    no_writes = NoWrites(control, lanes)
    strikes: dict[FaultKind, Strike] = {
        "target_errors": TargetErrors(control, lanes),
        "slow_target": SlowTarget(control, lanes),
        "worker_kill": WorkerKill(supervisor, draw),
        "pause": Pause(supervisor, draw),
        "file_limit": WritesFail(
            no_writes, lambda: supervisor.limit_files(True), lambda: supervisor.limit_files(False)
        ),
    }
    if disk is not None:
        strikes["disk_full"] = WritesFail(no_writes, disk.fill, disk.empty, keep=disk.fill)
        strikes["read_only"] = WritesFail(
            no_writes, lambda: disk.set_read_only(True), lambda: disk.set_read_only(False)
        )
    return strikes


def _hindrance(kind: FaultKind, founded: Founded, disk: StoreDisk | None) -> str | None:
    if kind == "worker_kill" and founded.record.one_process:
        return "what was saved lives in the worker and would be lost with it"
    if kind in _FAIL_SAVES and not any(pool.mix.save for pool in founded.scenario.pools):
        return "the scenario's load saves nothing"
    if kind in DISK_FAULTS and disk is None:
        if wants_disk(founded.scenario, founded.abilities):
            return "it takes --allow-host-faults: the store gets a disk of its own, which only root can mount"
        return f"target {founded.record.target} keeps its files elsewhere, or none"
    return None
