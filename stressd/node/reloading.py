"""A reload on its way: read anew and checked at once, by whoever asks, and taken over by the main loop.

What is wrong changes nothing. Both a SIGHUP and a request end here.
"""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from stressd.errors import StressdError
from stressd.node.founding import as_run
from stressd.node.state import RunRecord
from stressd.observe.node_metrics import NodeMetrics
from stressd.observe.routes import Reloaded
from stressd.redaction import redacted
from stressd.scenario import Scenario
from stressd.scenario_file import reload_of

log = logging.getLogger(__name__)

MOST: Final = 1_000  # a worker that is started later follows all of them
_OVER: Final = "the load has ended, or there is none: what is read anew would change nothing"
_TOO_MANY: Final = f"a run follows {MOST:,} reloads at most; stop stressd and start it again to go on from there"


class Reloads:
    """Takes wishes for another scenario. Any thread may `ask`; the main loop takes what came of it by `take`."""

    def __init__(
        self, scenario: Scenario, record: RunRecord, reread: Callable[[], Scenario], metrics: NodeMetrics
    ) -> None:
        self._agreed = scenario
        self._record = record
        self._reread = reread
        self._metrics = metrics
        self._lock = Lock()
        self._wanted: tuple[Scenario, Sequence[str]] | None = None
        self._taken = 0
        self._over = False
        self._told(time.time(), well=True)

    def ask(self) -> Reloaded:
        """Read the scenario anew, and check it against the one that runs; say what changes, or what is wrong."""
        with self._lock:
            if self._over or self._taken == MOST:
                return self._refused([_OVER if self._over else _TOO_MANY])
            try:
                new = as_run(self._reread(), self._record)
            except StressdError as error:
                return self._refused(redacted(str(error)).splitlines())
            step = reload_of(self._agreed, new)
            if step.mistakes:
                return self._refused([redacted(mistake) for mistake in step.mistakes])
            if step.changes:
                before = self._wanted[1] if self._wanted is not None else ()
                self._agreed, self._wanted = new, (new, (*before, *step.changes))
            self._told(time.time(), well=True)
            for change in step.changes or ("nothing changed",):
                log.info("reloaded: %s", redacted(change))
            return Reloaded(True, step.changes or ("nothing changed",))

    def take(self) -> tuple[Scenario, Sequence[str]] | None:
        """Return the newest scenario that was agreed on and not yet taken, with its changes; None if there is none."""
        with self._lock:
            wanted, self._wanted = self._wanted, None
            self._taken += wanted is not None
            return wanted

    def end(self) -> None:
        """Agree to nothing from now on; what was agreed on and not taken has come too late."""
        with self._lock:
            self._over = True
            wanted, self._wanted = self._wanted, None
            for change in wanted[1] if wanted is not None else ():
                log.warning("came too late, and was not taken over: %s", redacted(change))

    def _refused(self, mistakes: Sequence[str]) -> Reloaded:
        self._told(None, well=False)
        for mistake in mistakes:
            log.error("not reloaded: %s", mistake)
        log.error("not reloaded: what ran goes on unchanged")
        return Reloaded(False, tuple(mistakes))

    def _told(self, at_s: float | None, *, well: bool) -> None:
        self._metrics.set("reload_success", float(well))
        if at_s is not None:
            self._metrics.set("reload_timestamp_seconds", at_s)
