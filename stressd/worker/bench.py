"""What the lanes of one process share, and the making of a lane."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Self

from stressd import scenario
from stressd.stats.table import Table
from stressd.targets.protocol import Abilities, Guarantees, Session, Target, abilities_of, guarantees_of
from stressd.worker.batches import Batches
from stressd.worker.channel import Channel
from stressd.worker.contended import Contended, ContendingLane
from stressd.worker.lane import Lane, LaneParts
from stressd.worker.recollection import Recollection
from stressd.worker.spec import WorkerSpec
from stressd.worker.trace import Trace
from stressd.workload.frames import content_of
from stressd.workload.judge import Judge
from stressd.workload.ledger import Ledger
from stressd.workload.movie_tables import MovieTables


@dataclass(frozen=True, slots=True)
class Bench:
    """Shared parts; `lane` may be called by several threads. A load worker has one bench, a probe one for each ledger.

    `first_row` is the table's row of the ledger's lane 0: the load's lanes have the same number in both, a probe's
    ledger is its own. `process_lanes` are the lanes of the ledger that this process runs.
    """

    spec: WorkerSpec
    table: Table
    tables: MovieTables
    ledger: Ledger
    plan: scenario.Content
    keys_per_lane: int
    group_prefix: str
    guarantees: Guarantees
    abilities: Abilities
    trace: Trace
    process_lanes: range
    recollection: Recollection
    first_row: int = 0
    full: bool = field(default=False)
    contended: Contended | None = None
    fresh: Callable[[], Session] | None = None

    @classmethod
    def of_run(cls, spec: WorkerSpec, table: Table, target: Target, channel: Channel) -> Self:
        """Return the bench of a load worker: the run's ledger and content."""
        return cls(
            spec=spec,
            table=table,
            tables=movie_tables(spec),
            ledger=Ledger.open(os.path.join(spec.state_folder, "ledger")),
            plan=spec.scenario.content,
            keys_per_lane=spec.scenario.keys_per_lane,
            group_prefix=spec.group_prefix,
            guarantees=guarantees_of(target),
            abilities=abilities_of(target),
            trace=Trace(channel, os.path.join(spec.state_folder, "specimens")),
            process_lanes=range(spec.first_lane, spec.first_lane + spec.threads),
            recollection=recollection(spec, abilities_of(target)),
            contended=_contended(spec),
            fresh=target.open,
        )

    def lane(self, number: int, session: Session) -> Lane:
        """Make lane `number` of the ledger, for the calling thread."""
        spec, settings = self.spec, self.spec.scenario.verification
        content = content_of(self.plan, spec.seed, self.tables) if self.abilities.storage else None
        keys = self.keys_per_lane
        own = range(number * keys, (number + 1) * keys)
        parts = LaneParts(
            number=number,
            row=self.table.row(self.first_row + number),
            control=self.table.control,
            session=session,
            names=content.names if content is not None else (),
            group_prefix=self.group_prefix,
            content=content,
            batches=self.batches(number),
            ledger=self.ledger,
            judge=Judge(self.ledger, content, self.guarantees, owned=own),
            recollection=self.recollection,
            trace=self.trace,
            own_keys=own,
            process_keys=range(self.process_lanes.start * keys, self.process_lanes.stop * keys),
            cache_every=1 if self.full else settings.cache_every,
            scribble_every=settings.scribble_every,
            late_writes=self.guarantees.late_writes,
            seed=spec.seed,
            fresh=self.fresh,
        )
        return Lane(parts) if self.contended is None else ContendingLane(parts, self.contended)

    @property
    def acked(self) -> Callable[[int], int]:
        """Return what tells the newest acknowledged sequence of a key; 0 if there is none."""
        contended, acked = self.contended, self.ledger.acked
        if contended is None:
            return acked
        return lambda key: contended.acked(key) if key in contended.keys else acked(key)

    def batches(self, number: int) -> Batches:
        """Return a lane's walk over the movies, each lane beginning elsewhere."""
        lanes = max(1, self.spec.scenario.lanes)
        start = number * self.tables.base.movies // lanes
        return Batches(self.tables, self.spec.scenario.generate_batch, start, date.fromisoformat(self.spec.as_of))


def _contended(spec: WorkerSpec) -> Contended | None:
    scenario = spec.scenario
    if not scenario.contended_keys:
        return None
    ledger = Ledger.open(os.path.join(spec.state_folder, "contended"))
    return Contended(ledger, scenario.lanes * scenario.keys_per_lane)


def movie_tables(spec: WorkerSpec) -> MovieTables:
    """Map the run's movies and their features."""
    return MovieTables(os.path.join(spec.state_folder, "content"))


def recollection(spec: WorkerSpec, abilities: Abilities) -> Recollection:
    """Return an empty memory of what the process's cache should hold, for as long as its time to live."""
    ttl_s = abilities.default_ttl_s
    if abilities.ttl_option is not None:
        ttl_s = float(spec.target.options.get(abilities.ttl_option, ttl_s))
    return Recollection(ttl_s * 1e9)
