"""From what the node knows to its report: facts gathered, files written, what workers told noted on the way."""

import logging
import os
import shlex
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from stressd.node.founding import Founded
from stressd.node.run_state import RunState
from stressd.node.settings import Settings
from stressd.node.state import StateFolder
from stressd.redaction import redacted_tree
from stressd.supervisor.resources import environment
from stressd.verdict.evidence import Evidence
from stressd.verdict.report import Report, RunFacts, build_report
from stressd.verdict.report_file import write_report
from stressd.verdict.verdict import Verdict, exit_code
from stressd.worker.channel import Message
from stressd.workload.frames import MovieContent, content_of
from stressd.workload.ledger import Ledger
from stressd.workload.movie_tables import MovieTables

log = logging.getLogger(__name__)

SPECIMENS_MOST: Final = 50
RELOADS_MOST: Final = 50


class Reporter:
    """Notes what workers tell, and writes the report, on the way and at the end. Main thread."""

    def __init__(self) -> None:
        self._specimens: list[str] = []
        self._reloads: deque[dict[str, Any]] = deque(maxlen=RELOADS_MOST)
        self._began = datetime.now(UTC)

    def note(self, who: str, message: Message) -> None:
        """Log what a worker has told; keep where its specimens lie."""
        match message["event"]:
            case "error":
                log.warning("%s: %s raised %s: %s", who, message["op"], message["kind"], message["message"])
                log.debug("%s", message["trace"])
            case "failed":
                log.error("%s failed: %s", who, message["message"])
                log.log(logging.ERROR if message.get("bug") else logging.DEBUG, "%s", message["trace"])
            case "violation":
                specimen = message["specimen"]
                log.error("%s: VIOLATION %s: %s (specimen: %s)", who, message["kind"], message["detail"], specimen)
                if specimen is not None and len(self._specimens) < SPECIMENS_MOST:
                    self._specimens.append(specimen)
            case _:
                pass

    def reloaded(self, at_s: float, changes: Sequence[str]) -> None:
        """Note that the run goes on otherwise from a moment of the load on."""
        self._reloads.append({"at_seconds": at_s, "changes": list(changes)})

    def report(
        self,
        founded: Founded,
        settings: Settings,
        state: StateFolder,
        evidence: Evidence,
        verdict: Verdict,
        run: RunState,
        interrupted_by: int | None,
    ) -> tuple[Report, int]:
        """Write the report into the state folder, at the end also where it was asked for."""
        timed = founded.scenario.duration_s is not None or not founded.scenario.pools or bool(run.aborted)
        code = exit_code(verdict, interrupted_by=interrupted_by, strict=settings.strict, timed=timed)
        facts = self._facts(founded, settings, state, run, code, interrupted=timed and interrupted_by is not None)
        report: Report = redacted_tree(build_report(evidence, verdict, facts))
        write_report(report, state.report_path(founded.record.run_id))
        if run.state == "stopped":
            for path in settings.reports:
                write_report(report, path)
        return report, code

    def _facts(
        self,
        founded: Founded,
        settings: Settings,
        state: StateFolder,
        run: RunState,
        code: int,
        *,
        interrupted: bool,
    ) -> RunFacts:
        record, movies = founded.record, founded.movies
        now = datetime.now(UTC)
        return RunFacts(
            run_id=record.run_id,
            scenario=record.scenario,
            target={"name": record.target, "options": record.target_options},
            guarantees=founded.guarantees.as_claimed(),
            seed=record.seed,
            movies={
                "path": movies.path,
                "sha256": movies.sha256,
                "good": movies.good,
                "bad": movies.bad,
                "bad_by_reason": dict(movies.reasons),
                "share_used": _share_used(founded, state),
            },
            started_at=self._began,
            duration_s=(now - self._began).total_seconds(),
            environment=environment(str(state.path)) | {"stressd": record.version, "as_of": record.as_of},
            exit_code=code,
            interrupted=interrupted,
            unfinished=run.state != "stopped",
            load_started_at=_wall_clock(run.load_start_s),
            specimens=[os.path.relpath(path) for path in self._specimens],
            aborted=run.aborted,
            reloads=list(self._reloads),
            run_again=shlex.join(["stressd", "run", *settings.asked_for, "--seed", str(record.seed)]),
        )


def _wall_clock(monotonic_s: float | None) -> datetime | None:
    if monotonic_s is None:
        return None
    return datetime.now(UTC) - timedelta(seconds=time.monotonic() - monotonic_s)


def _share_used(founded: Founded, state: StateFolder) -> float | None:
    """Return the share of the movies that the saves so far were about."""
    if founded.scenario.content.kind != "movies" or not founded.record.lanes or not founded.abilities.storage:
        return None
    try:
        content = content_of(founded.scenario.content, founded.record.seed, MovieTables(state.at("content")))
        ledger = Ledger.open(state.at("ledger"))
    except (OSError, ValueError) as error:  # what broke the run must not cost its report, too
        log.warning("how many of the movies were used is not known: %s", error)
        return None
    saves = {key: ledger.slot(key).intent_seq for key in range(ledger.keys)}
    ledger.close()
    return content.coverage(saves) if isinstance(content, MovieContent) else None
