"""The evidence of a violation: enough to file a bug against the store, bounded in number and size, never in the way.

A specimen is `<kind>-<lane>.json` and, beside it, for each name that is told in full, the frame as it was read and as
it should have been: Parquet, or CSV where that cannot hold it.
"""

import contextlib
import glob
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from stressd.redaction import redacted_tree
from stressd.workload.frames import STAMPS, Content
from stressd.workload.judge import Judgement, Note
from stressd.workload.ledger import WINDOW, Ledger, Slot

SCHEMA: Final = "stressd.specimen/1"
SPECIMENS_MOST: Final = 8  # of a kind, in one run; each of the first lanes to meet it leaves one
NAMES_MOST: Final = 8  # told in full, those that differ first
ROWS_MOST: Final = 10_000
CELLS_MOST: Final = 500_000
OPERATIONS_MOST: Final = 200
OPERATION: Final = ("began_ns", "op", "key", "source", "outcome", "service_ns")
_ROWS_BEFORE: Final = 0.25  # of those that are kept: before the first that differs


def write_specimen(
    folder: str,
    lane: int | str,
    *,
    key: int,
    note: Note,
    judged: Judgement,
    frames: Mapping[str, Any] | None,
    content: Content,
    ledger: Ledger,
    seed: int,
    group: str = "",
    recent: Iterable[Sequence[object]] = (),
) -> str | None:
    """Write the specimen of what a read of `key` returned; None for a KeyError, or where there was no read.

    `recent` are the lane's operations before, newest last, with the fields of `OPERATION`; the last 200 are kept.
    Specimens of an earlier run make room. Returns the path of the JSON; None if it could not be written, or there are
    enough of this kind. Never raises.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        if not _room(folder, judged.kind or "", ledger.run_id):
            return None
        stem = os.path.join(folder, f"{judged.kind}-{lane}")
        expected_seq = _expected_seq(judged, note[0])
        slot = ledger.slot(key)
        told = {
            "schema": SCHEMA,
            "kind": judged.kind,
            "detail": judged.detail,
            "run_id": ledger.run_id,
            "seed": seed,
            "found_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "found_at_ns": time.monotonic_ns(),
            "group": group,
            "key": key,
            "lane": lane,
            "acknowledged_before": note[0],
            "seen_before": note[1],
            "expected_seq": expected_seq or None,
            "judgement": judged._asdict(),
            "slot_after": slot._asdict() | _outcomes(slot),
            "frames": _frames(stem, key, expected_seq, frames, content),
            "operations_before": _operations(recent),
        }
        path = f"{stem}.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(redacted_tree(json.loads(json.dumps(told, default=str))), file, indent=1)
    except Exception:  # noqa: BLE001 - evidence is a courtesy; the violation is counted whether it can be kept or not
        return None
    return path


def _room(folder: str, kind: str, run_id: str) -> bool:
    """Whether this run may leave another specimen of the kind; those of an earlier run are removed."""
    there = 0
    for path in glob.glob(os.path.join(glob.escape(folder), f"{kind}-*.json")):
        if _run_of(path) == run_id:
            there += 1
            continue
        for stale in glob.glob(f"{glob.escape(path.removesuffix('.json'))}[.-]*"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(stale)
    return there < SPECIMENS_MOST


def _run_of(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return str(json.load(file)["run_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _expected_seq(judged: Judgement, acked: int) -> int:
    """Return the save that should have come: the one it resembles, or else the one acknowledged; 0 for none."""
    if judged.kind in ("corrupt", "torn", "schema", "aliased") and judged.seq > 0:
        return judged.seq
    return acked


def _outcomes(slot: Slot) -> dict[str, list[int]]:
    """Return which of the last saves failed, and of which nobody knows."""
    last = range(max(1, slot.intent_seq - WINDOW + 1), slot.intent_seq + 1)
    bits = {"failed": slot.failed_bits, "unknown": slot.unknown_bits}
    return {name: [seq for seq in last if bit >> (seq & 63) & 1] for name, bit in bits.items()}


def _operations(recent: Iterable[Sequence[object]]) -> list[dict[str, object]]:
    return [dict(zip(OPERATION, operation, strict=False)) for operation in list(recent)[-OPERATIONS_MOST:]]


# --- Frames --------------------------------------------------------------------------------------


def _frames(
    stem: str, key: int, expected_seq: int, frames: Mapping[str, Any] | None, content: Content
) -> list[dict[str, Any]]:
    """Keep the frames of the names that are told in full, and describe them all."""
    pairs = {}
    for name in content.names:
        actual = frames.get(name) if frames is not None else None
        expected = content.frame(key, name, expected_seq) if expected_seq else None
        pairs[name] = actual, expected, _difference(actual, expected)
    alike = [name for name, (_, _, differs) in pairs.items() if differs == {}]
    full = [name for name in pairs if name not in alike] + alike
    return [_pair(stem, name, *pairs[name], keep=name in full[:NAMES_MOST]) for name in content.names]


def _pair(
    stem: str, name: str, actual: Any, expected: pd.DataFrame | None, differs: dict[str, int] | None, *, keep: bool
) -> dict[str, Any]:
    first = min(differs.values(), default=0) if differs else 0
    return {
        "name": name,
        "differs": None if differs is None else {column: f"from row {row} on" for column, row in differs.items()},
        "expected_stamps": _stamps(expected),
        "actual_stamps": _stamps(actual),
        "expected_rows": _rows(expected),
        "actual_rows": _rows(actual),
        "expected_file": _kept(expected, f"{stem}-{name}-expected", first) if keep else None,
        "actual_file": _kept(actual, f"{stem}-{name}-actual", first) if keep else None,
    }


def _difference(actual: Any, expected: pd.DataFrame | None) -> dict[str, int] | None:
    """Return each column that differs with the first row in which it does; None where frames cannot be compared."""
    if not isinstance(actual, pd.DataFrame) or expected is None:
        return None
    if list(map(str, actual.columns)) != list(map(str, expected.columns)) or len(actual) != len(expected):
        return None
    found = {}
    for place, column in enumerate(map(str, expected.columns)):
        cells = (frame.iloc[:, place].astype(object).tolist() for frame in (actual, expected))
        first = next((row for row, pair in enumerate(zip(*cells, strict=True)) if _differ(*pair)), None)
        if first is not None:
            found[column] = first
    return found


def _differ(have: Any, want: Any) -> bool:
    """Whether two cells differ, nulls of all kinds being the same."""
    have, want = _plain(have), _plain(want)
    if not isinstance(have, list) and not isinstance(want, list) and (pd.isna(have) or pd.isna(want)):
        return bool(pd.isna(have) != pd.isna(want))
    return bool(have != want)


def _plain(cell: Any) -> Any:
    return list(cell) if hasattr(cell, "__iter__") and not isinstance(cell, str) else cell


def _stamps(frame: Any) -> dict[str, list[str]] | None:
    """Return the different values of each stamp column, at most eight."""
    if not isinstance(frame, pd.DataFrame):
        return None
    return {
        stamp: [str(value) for value in frame[stamp].drop_duplicates().head(8)] for stamp in STAMPS if stamp in frame
    }


def _rows(frame: Any) -> int | None:
    return len(frame) if isinstance(frame, pd.DataFrame) else None


def _kept(frame: Any, stem: str, first: int) -> str | None:
    """Write the frame, of a large one the rows around the first that differs; return the file's name."""
    if not isinstance(frame, pd.DataFrame):
        return None
    most = max(1, min(ROWS_MOST, CELLS_MOST // max(1, frame.shape[1])))
    start = max(0, min(first - int(most * _ROWS_BEFORE), len(frame) - most))
    part = frame.iloc[start : start + most]
    try:
        path = f"{stem}.parquet"
        part.to_parquet(path)
    except Exception:  # noqa: BLE001 - mixed objects, doubled columns: what the store broke may not fit Parquet
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        path = f"{stem}.csv"
        part.to_csv(path)
    return os.path.basename(path)
