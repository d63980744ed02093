"""What a worker process is told at its start: text, sent over its channel, so that secrets are in no command line."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from stressd.scenario import Scenario
from stressd.targets.protocol import TargetSpec

Role = Literal["load", "probe"]


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker process.

    `first_lane` is its first row of the table and its first lane in the ledger; `pool` and `process` say which of the
    scenario's pools it belongs to and which of the pool's processes it is. Keys are numbered through all lanes;
    `group_prefix` and a key's number make its group's name. A probe has its name in `probe`. `secrets` are the
    values that must be told nowhere.
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

    def as_message(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        parts = {name: getattr(self, name) for name in self.__slots__}
        return parts | {"scenario": self.scenario.model_dump(mode="json", by_alias=True), "target": asdict(self.target)}

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Self:
        """Rebuild it on the other side."""
        scenario = Scenario.model_validate(message["scenario"])
        return cls(**(message | {"scenario": scenario, "target": TargetSpec(**message["target"])}))
