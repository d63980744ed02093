"""A store against what had been acknowledged, after anything: a stop, a crash, a kill.

Everything that is needed stands in the state folder. Each key is read once, round the cache, and judged as a read is
judged while a load runs; with `resolve`, saves whose outcome nobody knew are settled. Nobody else may use the folder
meanwhile.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from stressd.errors import DaemonError, TargetError, UsageError
from stressd.node.contended import check_contended
from stressd.node.inputs import open_target
from stressd.node.state import RunRecord, StateFolder, boot_id
from stressd.scenario import Scenario
from stressd.targets.protocol import (
    DetailedSession,
    Frames,
    Guarantees,
    Session,
    Target,
    TargetCorrupt,
    group_name,
    guarantees_of,
)
from stressd.workload.frames import content_of
from stressd.workload.judge import Judge, Judgement, Note
from stressd.workload.ledger import Ledger, Outcome
from stressd.workload.movie_tables import MovieTables
from stressd.workload.specimen import write_specimen

log = logging.getLogger(__name__)

SHOWN: Final = 20
_AGAIN_S: Final = (0.1, 0.5)  # before a read that raised is asked again


@dataclass(slots=True)
class Checked:
    """What was found, key by key.

    `acknowledged` keys have a save that was acknowledged; of `there` of them the newest such, or a newer one, can be
    read. `settled` are the saves that were under way, by how they ended, and `under_way` has a line for each.
    """

    keys: int = 0
    right: int = 0
    never_saved: int = 0
    acknowledged: int = 0
    there: int = 0
    settled: Counter[str] = field(default_factory=Counter)
    under_way: list[str] = field(default_factory=list)
    violations: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    order_judged: bool = True

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to know: what is there, what is not, what was under way and how it ended."""
        wrong = sum(self.violations.values())
        yield f"{self.keys} keys: {self.right} right, {self.never_saved} never saved, {wrong} wrong"
        missing = self.acknowledged - self.there
        yield f"the newest acknowledged save: there in {self.there} keys, not there in {missing}"
        if self.settled:
            told = ", ".join(f"{count} {how}" for how, count in sorted(self.settled.items()))
            yield f"saves that were under way when it ended: {told}"
            yield from _first(self.under_way)
        if not self.order_judged:
            yield "the machine was started anew since: content was checked, but not whether it is the newest"
        for kind, count in sorted(self.violations.items()):
            yield f"{kind}: {count}"
        yield from _first(self.problems)


def _first(lines: list[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"  ... and {len(lines) - SHOWN} more"


def check_everything(state: StateFolder, record: RunRecord, *, resolve: bool) -> Checked:
    """Check all keys of the run that `record` describes. UsageError if its ledger or content is missing or damaged."""
    scenario = Scenario.model_validate(record.scenario)
    try:
        ledger = Ledger.open(state.at("ledger"))
        tables = MovieTables(state.at("content"))
    except (ValueError, OSError) as error:
        raise UsageError(
            f"{state.path}: what run {record.run_id} left cannot be checked: {error}; move the folder away"
        ) from error
    _, target = open_target(scenario.target, state)
    try:
        session = _opened(target, scenario.target.name)
        checker = _Checker(
            record,
            scenario,
            ledger,
            tables,
            session,
            guarantees_of(target),
            state.at("specimens"),
            resolve=resolve,
        )
        checked = checker.check()
        content = content_of(scenario.content, record.seed, tables)
        check_contended(record, state.at("contended"), content, session, checked)
        session.close()
    finally:
        target.teardown()
        ledger.close()
    return checked


def _opened(target: Target, name: str) -> Session:
    try:
        return target.open()
    except Exception as error:
        raise TargetError(f"target {name}: no session: {type(error).__name__}: {error}") from error


class _Checker:
    """One pass over all keys."""

    def __init__(
        self,
        record: RunRecord,
        scenario: Scenario,
        ledger: Ledger,
        tables: MovieTables,
        session: Session,
        guarantees: Guarantees,
        specimens: str,
        *,
        resolve: bool,
    ) -> None:
        content = content_of(scenario.content, record.seed, tables)
        same_boot = record.boot_id == boot_id()
        held_to = guarantees if same_boot else Guarantees("eventual", 0.0, guarantees.atomic_groups)
        self._ledger = ledger
        self._content = content
        self._seed = record.seed
        self._specimens = specimens
        self._last_read: Frames | None = None
        self._judge = Judge(ledger, content, held_to)
        self._session = session
        self._names = list(content.names)
        self._prefix = record.prefix
        self._resolve = resolve and same_boot
        self._found = Checked(keys=ledger.keys, order_judged=same_boot)

    def check(self) -> Checked:
        """Check every key; DaemonError if the store cannot be read."""
        for key in range(self._ledger.keys):
            try:
                self._check(key)
            except TargetCorrupt as error:
                self._found.violations["corrupt"] += 1
                self._found.problems.append(f"{self._group(key)}: {error}")
            except Exception as error:
                raise DaemonError(f"{self._group(key)} cannot be read: {type(error).__name__}: {error}") from error
        return self._found

    def _check(self, key: int) -> None:
        found, slot = self._found, self._ledger.slot(key)
        note = self._judge.before(key)
        found.acknowledged += slot.acked_seq > 0
        if slot.intent_seq > slot.acked_seq and self._ledger.outcome(key, slot.intent_seq) is not Outcome.FAILED:
            judged = self._settle(key, note)
        else:
            judged = self._judged(key, note)
        if judged.kind is not None:
            self._accuse(key, note, judged)
            return
        found.there += 0 < slot.acked_seq <= judged.seq
        if judged.seq:
            found.right += 1
        else:
            found.never_saved += 1

    def _accuse(self, key: int, note: Note, judged: Judgement) -> None:
        """Count a violation; the first of its kind leaves a specimen."""
        kind, specimen = judged.kind or "", ""
        if kind not in self._found.violations:
            path = write_specimen(
                self._specimens,
                "verify",
                key=key,
                note=note,
                judged=judged,
                frames=self._last_read,
                content=self._content,
                ledger=self._ledger,
                seed=self._seed,
                group=self._group(key),
            )
            specimen = f" (specimen: {path})" if path is not None else ""
        self._found.violations[kind] += 1
        self._found.problems.append(f"{self._group(key)}: {kind}: {judged.detail}{specimen}")

    def _settle(self, key: int, note: Note) -> Judgement:
        """Judge a key whose last save was under way: its value or the one before it is right."""
        seq = self._ledger.newest_intent(key)
        if self._resolve:
            resolution = self._judge.resolve(key, lambda: self._read(key))
            how, judged = _HOW[resolution.outcome], resolution.judgement
        else:
            judged = self._judged(key, note)
            how = "there" if judged.seq == seq else "not there"
            how = how if judged.kind is None else _HOW[Outcome.UNKNOWN]
        self._found.settled[how] += 1
        self._found.under_way.append(f"{self._group(key)}: save {seq}: {how}")
        return judged

    def _judged(self, key: int, note: Note) -> Judgement:
        judged = self._judge.after(key, note, self._read(key))
        return self._judge.confirm(key, note, judged, lambda: self._read(key)) if judged.suspect else judged

    def _read(self, key: int) -> Frames | None:
        """Read the key; one that raises is asked again, since a store may be out of reach for a moment."""
        self._last_read = None
        for again_s in _AGAIN_S:
            try:
                self._last_read = self._read_or_none(key)
            except TargetCorrupt:
                raise  # an answer, and no error
            except Exception as error:  # noqa: BLE001 - the last one is told
                log.info("%s cannot be read, asked again: %s", self._group(key), error)
                time.sleep(again_s)
            else:
                return self._last_read
        self._last_read = self._read_or_none(key)
        return self._last_read

    def _read_or_none(self, key: int) -> Frames | None:
        try:
            if isinstance(self._session, DetailedSession):
                return self._session.read_detail(self._group(key), self._names, bypass_cache=True).frames
            return self._session.read(self._group(key), self._names)
        except KeyError:
            return None

    def _group(self, key: int) -> str:
        return group_name(self._prefix, key)


_HOW: Final = {Outcome.ACKED: "there", Outcome.FAILED: "not there", Outcome.UNKNOWN: "still unknown"}
