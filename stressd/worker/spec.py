"""What a worker process is told at its start: text, sent over its channel, so that secrets are in no command line."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from stressd.scenario import Scenario
from stressd.targets.protocol import TargetSpec
from stressd.workload.plan import Change

Role = Literal["load", "probe"]


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker process.

    `first_lane` is its first row of the table and its first lane in the ledger; `pool` and `process` say which of the
    scenario's pools it belongs to and which of the pool's processes it is. Keys are numbered through all lanes;
    `group_prefix` and a key's number make its group's name. A probe has its name in `probe`. `secrets` are the
    values that must be told nowhere. `changes` are the reloads so far.
    """

    role: Role
    parent_pid: int
    state_folder: str
    run_id: str
    group_prefix: str
    seed: int
    scenario: Scenario
    target: TargetSpec
    as_of: str
    first_lane: int
    threads: int
    pool: int = 0
    process: int = 0
    probe: str = ""
    secrets: Sequence[str] = ()
    changes: Sequence[Change] = ()

    def as_message(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        parts = {name: getattr(self, name) for name in self.__slots__}
        return parts | {
            "scenario": self.scenario.model_dump(mode="json", by_alias=True),
            "target": asdict(self.target),
            "changes": [change_message(change) for change in self.changes],
        }

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Self:
        """Rebuild it on the other side."""
        scenario = Scenario.model_validate(message["scenario"])
        target, changes = TargetSpec(**message["target"]), tuple(change_of(each) for each in message["changes"])
        return cls(**(message | {"scenario": scenario, "target": target, "changes": changes}))


def change_message(change: Change) -> dict[str, Any]:
    """Return what a worker is told of a reload."""
    scenario = change.scenario.model_dump(mode="json", by_alias=True)
    return {"event": "change", "at_ns": change.at_ns, "scenario": scenario}


def change_of(message: dict[str, Any]) -> Change:
    """Rebuild it on the other side."""
    return Change(message["at_ns"], Scenario.model_validate(message["scenario"]))
