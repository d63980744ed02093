"""What must be in place before anything runs: the target, the content, and a ledger, gone on with or begun.

what an earlier run left is checked with *its* settings
-> two processes try whether they share the target -> the earlier run is gone on with, or archived
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from stressd.errors import TargetError, UsageError
from stressd.node.inputs import Movies, choose_seed, load_or_generate, new_record, open_target
from stressd.node.state import RunRecord, StateFolder
from stressd.node.verify import Checked, check_everything
from stressd.redaction import hidden
from stressd.scenario import Scenario
from stressd.scenario import Target as ScenarioTarget
from stressd.scenario_file import without_secrets
from stressd.scenario_file.shaping import merged
from stressd.supervisor.errand import Errand
from stressd.targets.protocol import (
    Abilities,
    Guarantees,
    Target,
    TargetSpec,
    TargetWithDrop,
    abilities_of,
    group_name,
    guarantees_of,
)
from stressd.worker.channel import Message
from stressd.worker.contended import refuse_contention
from stressd.worker.memory import release_memory
from stressd.worker.spec import Role, WorkerSpec
from stressd.workload.ledger import Ledger
from stressd.workload.movie_tables import build_base

HANDSHAKE_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks of the founding, and how to tell people of it."""

    movies_path: str | None
    seed: int | None
    processes: int | None
    say: Callable[[str], None]
    stopped: Callable[[], bool]
    on_message: Callable[[Message], None]


@dataclass(frozen=True, slots=True)
class Founded:
    """A run that can start. `carried` is what the check of the earlier run's data found."""

    scenario: Scenario
    record: RunRecord
    movies: Movies
    spec: TargetSpec
    target: Target
    guarantees: Guarantees
    abilities: Abilities
    carried: Checked

    def worker(self, state: StateFolder, role: Role, *, threads: int, first_lane: int) -> WorkerSpec:
        """Return what a worker process of this run is told."""
        return worker_spec(self.scenario, self.record, self.spec, state, role, threads=threads, first_lane=first_lane)


def found(scenario: Scenario, state: StateFolder, wishes: Wishes) -> Founded:
    """Put everything in place; UsageError says what of it cannot be."""
    previous = state.read_record()
    seed = choose_seed(wishes.seed, previous)
    listed, movies = load_or_generate(wishes.movies_path, scenario, seed)
    spec, target = open_target(scenario.target, state)
    written, scenario = scenario.target, _as_kept(scenario)
    guarantees, abilities = guarantees_of(target), abilities_of(target)
    if scenario.contended_keys and (why := refuse_contention(guarantees, abilities)) is not None:
        raise UsageError(f"contended_keys: target {spec.name} {why}; leave contended_keys out")
    record = new_record(scenario, movies, seed, guarantees, stores=abilities.storage, one_process=False)
    carried = _check_previous(previous, written, state, wishes)
    if abilities.storage and not _shared(scenario, _tried_as(previous, record), spec, state, wishes):
        scenario, record = _in_one_process(scenario, record, wishes)
    # Up to here a refusal leaves all as it was; what is there can still be verified by its run.json.
    record = _begin_ledger(previous, record, target, state, wishes)
    build_base(listed, date.fromisoformat(record.as_of), state.at("content"))
    state.write_record(record)
    del listed
    release_memory()
    return Founded(scenario, record, movies, spec, target, guarantees, abilities, carried)


def _as_kept(scenario: Scenario) -> Scenario:
    """Return the scenario as run.json, reports and workers see it; the target has its secrets by now."""
    options = without_secrets(scenario.target.options)
    return scenario.model_copy(update={"target": scenario.target.model_copy(update={"options": options})})


def as_run(scenario: Scenario, record: RunRecord) -> Scenario:
    """Return a scenario that was read anew as the run that is under way has it: secrets left out, in one process."""
    kept = _as_kept(scenario)
    return merged(kept, 1, kept.lanes) if record.one_process and kept.pools else kept


def worker_spec(
    scenario: Scenario,
    record: RunRecord,
    target: TargetSpec,
    state: StateFolder,
    role: Role,
    *,
    threads: int,
    first_lane: int,
) -> WorkerSpec:
    """Return what a worker process is told."""
    return WorkerSpec(
        role=role,
        parent_pid=os.getpid(),
        state_folder=str(state.path),
        run_id=record.run_id,
        group_prefix=record.prefix,
        seed=record.seed,
        scenario=scenario,
        target=target,
        as_of=record.as_of,
        first_lane=first_lane,
        threads=threads,
        secrets=hidden(),
    )


def _outlives(record: RunRecord) -> bool:
    """Whether what the run saved is still there after it."""
    return record.stores and not record.one_process and record.lanes > 0


def _check_previous(previous: RunRecord | None, written: ScenarioTarget, state: StateFolder, wishes: Wishes) -> Checked:
    if previous is None or not _outlives(previous):
        return Checked()
    wishes.say(f"checking what run {previous.run_id} left in {state.path}")
    checked = check_everything(state, _with_secrets(previous, written), resolve=True)
    for line in checked.lines():
        wishes.say(f"  {line}")
    return checked


def _with_secrets(previous: RunRecord, written: ScenarioTarget) -> RunRecord:
    """Return the record with the secrets that it leaves out, where this run names the same target and brings them."""
    if without_secrets(written.options) != previous.target_options:
        return previous
    target = {**previous.scenario["target"], "options": dict(written.options)}
    return replace(previous, scenario={**previous.scenario, "target": target})


def _tried_as(previous: RunRecord | None, record: RunRecord) -> RunRecord:
    """Return the record to try the target with: under the earlier run's names where it can be gone on with.

    A store may keep a trace of every name it ever had; a daemon that is started again and again must not add to them.
    """
    if previous is not None and previous.same_data(record):
        return replace(record, prefix=previous.prefix)
    return record


def _shared(scenario: Scenario, record: RunRecord, target: TargetSpec, state: StateFolder, wishes: Wishes) -> bool:
    """Let one process save and another read: whether the target is the same for both."""
    spec = worker_spec(scenario, record, target, state, "probe", threads=1, first_lane=0)
    reader = Errand(replace(spec, probe="handshake_read"), wishes.on_message)
    writer = Errand(replace(spec, probe="handshake_save"), wishes.on_message)
    saved = writer.run(HANDSHAKE_TIMEOUT_S, wishes.stopped)
    reader.tell({"saved": saved.error is None})
    read = reader.run(HANDSHAKE_TIMEOUT_S, lambda: wishes.stopped() or saved.error is not None)
    if wishes.stopped():
        return True
    for half in (saved, read):
        if half.error is not None:
            raise TargetError(f"target {record.target}: {half.error}")
    return bool(read.result["detail"]["seen"])


def _in_one_process(scenario: Scenario, record: RunRecord, wishes: Wishes) -> tuple[Scenario, RunRecord]:
    if (wishes.processes or 1) > 1:
        raise UsageError(
            f"--processes {wishes.processes}: what one process saves into target {record.target}, another does not "
            "find there, so it can only be run in one; use --threads instead"
        )
    wishes.say(f"target {record.target} lives in one process alone: run in 1 process with {scenario.lanes} threads")
    if scenario.pools:
        scenario = merged(scenario, 1, scenario.lanes)
    dumped: dict[str, Any] = scenario.model_dump(mode="json", by_alias=True)
    return scenario, replace(record, one_process=True, scenario=dumped)


def _begin_ledger(
    previous: RunRecord | None, record: RunRecord, target: Target, state: StateFolder, wishes: Wishes
) -> RunRecord:
    """Go on with the earlier run's ledger and groups if this run would save the same content, else begin anew."""
    if previous is not None and _outlives(previous) and previous.same_data(record):
        wishes.say(f"going on with the data of run {previous.run_id}")
        return replace(record, prefix=previous.prefix, as_of=previous.as_of)
    if previous is not None:
        if _outlives(previous):
            wishes.say(f"archiving run {previous.run_id}: {previous.difference(record)} changed")
        state.retire_record()
    if (leaving := state.read_leaving()) is not None:
        _put_away(leaving, record, target, state)
    if record.lanes:
        keys = record.lanes * record.keys_per_lane
        Ledger.create(state.at("ledger"), keys, run_id=record.run_id, boot_id=record.boot_id).close()
    if record.contended_keys:
        Ledger.create(
            state.at("contended"), record.contended_keys, record.lanes, run_id=record.run_id, boot_id=record.boot_id
        ).close()
    return record


def _put_away(leaving: RunRecord, record: RunRecord, target: Target, state: StateFolder) -> None:
    """Archive an earlier run's ledger and remove its groups: its data is not this run's. Done again after a crash."""
    same_target = (leaving.target, leaving.target_options) == (record.target, record.target_options)
    if same_target and _outlives(leaving) and isinstance(target, TargetWithDrop):
        for key in leaving.keys:
            group = group_name(leaving.prefix, key)
            try:
                target.drop(group)
            except Exception as error:
                raise TargetError(
                    f"target {record.target}: drop of {group} failed: {type(error).__name__}: {error}"
                ) from error
    state.archive_ledger(leaving.run_id)
    state.forget_leaving()
