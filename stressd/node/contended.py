"""The contended keys of a run, against what had been acknowledged of them: part of checking everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stressd.errors import DaemonError, UsageError
from stressd.node.state import RunRecord
from stressd.targets.protocol import Session, TargetCorrupt, group_name
from stressd.worker.contended import Fetch, fetch_with_commit
from stressd.workload.contention import ContendedJudge, Known, Shown
from stressd.workload.frames import Content
from stressd.workload.judge import Judgement
from stressd.workload.ledger import Ledger, Outcome

if TYPE_CHECKING:
    from stressd.node.verify import Checked


def check_contended(record: RunRecord, path: str, content: Content, session: Session, found: Checked) -> None:
    """Read each contended key once, round the cache, and add what comes of it to `found`.

    `path` is their ledger. UsageError if it is missing or damaged; DaemonError if the store cannot be read.
    """
    if not record.contended_keys:
        return
    try:
        ledger = Ledger.open(path)
    except (ValueError, OSError) as error:
        raise UsageError(f"{path}: the contended keys cannot be checked: {error}; move the folder away") from error
    try:
        checker = _Checker(record, ledger, content, fetch_with_commit(session, list(content.names)), found)
        for key in range(ledger.keys):
            checker.check(key)
    finally:
        ledger.close()


class _Checker:
    """One pass over the contended keys."""

    def __init__(self, record: RunRecord, ledger: Ledger, content: Content, fetch: Fetch, found: Checked) -> None:
        self._record, self._ledger, self._fetch, self._found = record, ledger, fetch, found
        self._first_key = record.lanes * record.keys_per_lane
        self._judge = ContendedJudge(ledger, content, self._first_key)

    def check(self, key: int) -> None:
        """Check one key of the ledger."""
        group = group_name(self._record.prefix, self._first_key + key)
        found = self._found
        known = self._judge.before(key)
        found.keys += 1
        found.acknowledged += any(known.acked)
        try:
            judged = self._judged(key, group, known)
        except TargetCorrupt as error:
            judged = Judgement("corrupt", detail=str(error))
        except Exception as error:
            raise DaemonError(f"{group} cannot be read: {type(error).__name__}: {error}") from error
        if judged.kind is not None:
            found.violations[judged.kind] += 1
            found.problems.append(f"{group}: {judged.kind}: {judged.detail}")
            return
        found.there += bool(judged.seq) and any(known.acked)
        found.right += judged.seq > 0
        found.never_saved += judged.seq == 0
        self._tell_open(key, group, judged.seq)

    def _judged(self, key: int, group: str, known: Known) -> Judgement:
        held_to = known if self._found.order_judged else Known(0, 0, (0,) * self._ledger.writers)
        judged = self._judge.after(key, held_to, self._shown(group))
        return self._judge.confirm(key, held_to, judged, lambda: self._shown(group)) if judged.suspect else judged

    def _shown(self, group: str) -> Shown | None:
        try:
            return self._fetch(group, True)[0]
        except KeyError:
            return None

    def _tell_open(self, key: int, group: str, version: int) -> None:
        """Tell of the saves that were under way; of one that does not show nobody knows, another may be over it."""
        for writer in range(self._ledger.writers):
            seq = self._ledger.newest_intent(key, writer)
            if self._ledger.outcome(key, seq, writer) not in (Outcome.IN_FLIGHT, Outcome.UNKNOWN):
                continue
            how = "there" if version == self._judge.version(seq, writer) else "still unknown"
            self._found.settled[how] += 1
            self._found.under_way.append(f"{group}: save {seq} of writer {writer}: {how}")
